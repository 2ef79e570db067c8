"""With mail_key_delivery = approved a person's new device gets his mail keys when an officer agreed on
a machine of his own, and not before: whatever the server's tables say."""
import base64
import email
import pathlib
import sqlite3

import pytest

from helpers import notices
from helpers.device import Device
from helpers.instance import Instance
from helpers.officers import Officer, Person

REFUSED, VERIFY = 4, 5


@pytest.fixture(scope="module")
def world(tmp_path_factory, factory):
    files = tmp_path_factory.mktemp("mail-consent")
    instance = Instance(files)
    mails = notices.Mails()
    instance.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem")),
                             "mail_key_profile": "mail-encrypt-p256",
                             "mail_key_delivery": "approved"},
                   "smtp": {"url": f"smtp://127.0.0.1:{mails.port}", "from": "coffer@example.org",
                            "tls": "none"}})
    instance.start()
    instance.files, instance.factory, instance.mails = files, factory, mails
    try:
        instance.anna, instance.ben = (Officer(instance, files, name) for name in ("anna", "ben"))
        instance.coffer("officer", "activate", "--threshold", "2")
        instance.dora = Person(instance, files, "dora", "admin")
        yield instance
        instance.stop()
    finally:
        instance.abandon()
        mails.stop()


def enrolled(world, person):
    device = Device(world, world.factory).enrol(*person)
    device.session()
    return device


def state(world, device):
    return world.coffer_json("device", "show", device.udid)["mail_keys"]["state"]


def pending(world, device):
    """The request about this device."""
    found = [r for r in world.anna.coffer_json("key", "pending")["requests"]
             if r["device"]["serial_number"] == device.serial]
    return found[0] if found else None


def approve(officer, request, *more, expect=0):
    return officer.coffer("key", "approve", request["id"], *officer.unlock, *more, expect=expect)


def audited(world, action, object_):
    return [e for e in world.coffer_json("audit", "list", "--limit", 1000)["entries"]
            if e["action"] == action and e["object"] == object_]


def database(world):
    return sqlite3.connect(pathlib.Path(world.directory) / "store/store.db")


def test_mail_consent__an_officer_agrees_to_each_new_device(world):
    person = world.person("nurse@example.org")
    first = enrolled(world, person)
    assert not first.mail_keys() and state(world, first) == "waiting"
    request = pending(world, first)
    assert request["person"] == person[0] and (request["consents"], request["needed"]) == (0, 1)
    told = world.mails.wait(2)  # the officers, at once
    assert {to for _, [to], _ in told} == {world.anna.email, world.ben.email}
    for _, _, mail in told:
        text = email.message_from_bytes(mail).get_payload(decode=True).decode()
        assert request["id"] in text and first.serial in text and person[0] in text
    first.session()
    assert not first.mail_keys(), "asking again changes nothing"
    assert pending(world, first)["id"] == request["id"]
    shown = world.anna.api("GET", f"/mail-consents/{request['id']}", expect=200).json()
    approve(world.anna, request, "--fingerprint", "00" * 32, expect=VERIFY)
    approve(world.anna, request, "--fingerprint", shown["fingerprint"])
    assert pending(world, first) is None
    first.session()
    assert len(first.mail_keys()) == 1 and state(world, first) == "delivered"
    # the next keys need nobody; another device does
    world.coffer("key", "new", person[0])
    first.session()
    assert len(first.mail_keys()) == 2
    second = enrolled(world, person)
    assert not second.mail_keys() and pending(world, second)
    [consent] = audited(world, "key.consent", request["id"])
    assert consent["detail"]["person"] == "anna@example.org"
    assert consent["detail"]["owner"] == person[0]


def test_mail_consent__wrong_people_do_not_agree(world):
    device = enrolled(world, world.person("doctor@example.org"))
    request = pending(world, device)
    url = f"/mail-consents/{request['id']}/approvals"
    # an administrator who is no officer, whatever key he has
    world.dora.coffer("key", "approve", request["id"], *world.anna.unlock, expect=REFUSED)
    # one officer's key with another's token
    world.ben.coffer("key", "approve", request["id"], *world.anna.unlock, expect=REFUSED)
    # nobody's
    assert world.anna.api("POST", url, {"record": ""}).status == 400
    # an officer for his own device
    own = enrolled(world, (world.anna.email, password_of(world, world.anna)))
    mine = pending(world, own)
    said = approve(world.anna, mine, expect=REFUSED).stderr
    assert "your own" in said
    approve(world.ben, mine)
    own.session()
    assert len(own.mail_keys()) == 1
    device.session()
    assert not device.mail_keys() and state(world, device) == "waiting"
    assert len(audited(world, "key.refuse-consent", request["id"])) == 2
    # once is enough, and no more is taken
    approve(world.ben, request)
    approve(world.anna, request, expect=REFUSED)


def test_mail_consent__who_set_the_password_does_not_agree(world):
    """He could have enrolled the device himself, in that person's name."""
    person = world.person("locum@example.org")
    world.dora.coffer("token", "add", "anna-admin", "--role", "admin", "--person", world.anna.email,
                      "--output", world.anna.home / "admin-token")
    mine, world.anna.token = world.anna.token, world.anna.home / "admin-token"
    try:
        password = world.anna.coffer_json("user", "password", person[0])["password"]
    finally:
        world.anna.token = mine
    request = pending(world, enrolled(world, (person[0], password)))
    said = approve(world.anna, request, expect=REFUSED).stderr
    assert "another officer must answer" in said
    assert audited(world, "key.refuse-consent", request["id"])
    approve(world.ben, request)


def password_of(world, officer):
    return world.coffer_json("user", "password", officer.email)["password"]


def test_mail_consent__a_signature_is_for_one_device(world):
    person = world.person("head@example.org")
    agreed, other = enrolled(world, person), enrolled(world, person)
    first, second = pending(world, agreed), pending(world, other)
    approve(world.anna, first)
    with database(world) as db:
        [[record]] = db.execute("SELECT record FROM mail_consent_answer WHERE consent_id = ?",
                                (first["id"],))
    # replayed for another device of the same person
    answer = world.anna.api("POST", f"/mail-consents/{second['id']}/approvals",
                            {"record": base64.b64encode(record).decode()})
    assert answer.status in (403, 422), answer
    assert len(audited(world, "key.refuse-consent", second["id"])) == 1
    # a server that fell says that it was given: the key process knows better
    world.stop()
    with database(world) as db:
        db.execute("INSERT INTO mail_consent_answer SELECT ?, officer_id, person_id, approved, record,"
                   " reason, created_ms FROM mail_consent_answer WHERE consent_id = ?",
                   (second["id"], first["id"]))
        db.execute("UPDATE mail_consent SET state = 'given', consents = 1, expires = (SELECT expires FROM"
                   " mail_consent WHERE id = ?) WHERE id = ?", (first["id"], second["id"]))
        db.execute("UPDATE mail_delivery SET due_ms = 1")
    world.start()
    world.coffer("key", "deliver", person[0])
    other.session()
    assert not other.mail_keys() and state(world, other) == "refused"
    agreed.session()
    assert len(agreed.mail_keys()) == 1


def test_mail_consent__a_changed_certificate_is_refused(world):
    person = world.person("tampered@example.org")
    device, thief = enrolled(world, person), enrolled(world, world.person("thief@example.org"))
    request, foreign = pending(world, device), pending(world, thief)
    with database(world) as db:  # the thief's certificate in the victim's request
        db.execute("UPDATE mail_consent SET certificate = (SELECT certificate FROM mail_consent WHERE id = ?)"
                   " WHERE id = ?", (foreign["id"], request["id"]))
    said = approve(world.anna, request, expect=REFUSED).stderr
    assert "another identity" in said
    with database(world) as db:
        db.execute("UPDATE mail_consent SET certificate = zeroblob(32) WHERE id = ?", (request["id"],))
    approve(world.anna, request, expect=None)
    for one in (device, thief):
        one.session()
        assert not one.mail_keys()


def test_mail_consent__an_officers_no_ends_it(world):
    person = world.person("nobody@example.org")
    device = enrolled(world, person)
    request = pending(world, device)
    world.ben.coffer("key", "deny", request["id"], "--reason", "not his phone")
    assert pending(world, device) is None and state(world, device) == "refused"
    approve(world.anna, request, expect=REFUSED)
    device.session()
    assert not device.mail_keys()
    [denied] = audited(world, "key.deny-consent", request["id"])
    assert denied["detail"]["reason"] == "not his phone"
    # asked once more, it is another request
    world.coffer("key", "deliver", person[0])
    device.session()
    assert pending(world, device)["id"] != request["id"]
    # which ends with the device's management
    world.coffer("device", "release", device.udid)
    assert pending(world, device) is None
