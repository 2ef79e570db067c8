"""A person's mail keys go to his devices: the current one and every former one, encrypted where they
are kept, and to nobody else. New devices get them, and those that enrolled before."""
import json
import pathlib
import sqlite3
import subprocess
import uuid

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography import x509

from helpers import instance as instances
from helpers import sim
from helpers.instance import TOPIC, wait_for
from helpers.proc import disk_of


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mail-keys")
    sim.run("apns-cert", "--out", folder / "c", "--topic", TOPIC)
    sim.run("factory-ca", "--out", folder / "f")
    apns = sim.Apns(folder, folder / "c", "")
    instance = instances.Instance(folder)
    instance.init({"enrol": {"factory_ca": str(folder / "f/factory-ca.cert.pem"),
                             "mail_key_profile": "mail-encrypt-p256"}})
    instance.configure(sim.push_settings(apns, folder / "c"))
    instance.start()
    instance.folder, instance.apns = folder, apns
    yield instance
    instance.stop()
    assert apns.stop() == 0


def enrolled(world, person):
    phone = sim.Phone(world, world.folder / f"phone-{uuid.uuid4()}", world.folder / "f", world.apns)
    phone.enrol(person)
    return phone


def certificates(phone):
    return sorted(phone.state.glob("mail*.cert.pem"), key=lambda p: int(p.name[4:].split(".")[0]))


def encrypt(folder, certificate, text):
    out = folder / f"mail-{uuid.uuid4()}"
    subprocess.run(["openssl", "cms", "-encrypt", "-aes-256-cbc", "-outform", "DER", "-out", out,
                    certificate], input=text.encode(), check=True)
    return out


def decrypt(phone, number, mail):
    return subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", "-in", mail, "-recip",
                           phone.state / f"mail{number}.cert.pem", "-inkey",
                           phone.state / f"mail{number}.key.pem"],
                          check=True, capture_output=True).stdout.decode()


def private_value(phone, number):
    key = load_pem_private_key((phone.state / f"mail{number}.key.pem").read_bytes(), None)
    return key.private_numbers().private_value.to_bytes(32, "big")


def keeper_log(world):
    return [json.loads(line) for line in world.coffer("audit", "keeper-log").stdout.splitlines()]


def store_bytes(world):
    return disk_of(*(pathlib.Path(world.directory) / folder for folder in ("store", "vault")))


def audit_of(world, action):
    return [e for e in world.coffer_json("audit", "list")["entries"] if e["action"] == action]


def test_mail_keys__a_new_phone_reads_mail_to_a_key_of_three_renewals_ago(world):
    person = world.person("reader@example.org")
    first = enrolled(world, person)
    assert len(certificates(first)) == 1
    mails = [(1, encrypt(world.folder, certificates(first)[0], "the oldest"))]
    for generation in range(2, 5):
        world.coffer("key", "new", person[0])
        phone = enrolled(world, person)
        assert len(certificates(phone)) == generation
        mails.append((generation, encrypt(world.folder, certificates(phone)[0], f"number {generation}")))
    new = enrolled(world, person)  # the others are lost
    newest = len(certificates(new))
    assert newest == 4
    for generation, mail in mails:
        text = decrypt(new, newest + 1 - generation, mail)
        assert text == ("the oldest" if generation == 1 else f"number {generation}")
    held = store_bytes(world)
    for number in range(1, newest + 1):
        assert private_value(new, number) not in held


def keys_in(events):
    """Of the profiles with mail keys that a session of coffer-sim installed."""
    return [e["text"] for e in events if "mail keys" in e["text"]]


def test_mail_keys__a_device_gets_each_new_key(world):
    person = world.person("keeper@example.org")
    phone = enrolled(world, person)
    mails = [encrypt(world.folder, certificates(phone)[0], "generation 1")]
    udid = world.coffer_json("device", "list")["devices"][-1]["udid"]
    for generation in range(2, 5):
        before = certificates(phone)[0].read_bytes()
        told = world.coffer_json("key", "new", person[0])
        assert told["devices"] == 1
        assert certificates(phone)[0].read_bytes() == before, "it has not called yet"
        assert len(keys_in(phone.session())) == 1
        assert len(certificates(phone)) == generation
        assert certificates(phone)[1].read_bytes() == before, "the current one comes first"
        mails.append(encrypt(world.folder, certificates(phone)[0], f"generation {generation}"))
        assert phone.session() and not keys_in(phone.session()), "once"
    for generation, mail in enumerate(mails, 1):
        assert decrypt(phone, 5 - generation, mail) == f"generation {generation}"
    # one profile, however often it came
    assert sum("mail-keys" in p for p in profiles(phone)) == 1
    # what is kept for the next session is ciphertext, and goes when it is done
    with sqlite3.connect(pathlib.Path(world.directory) / "store/store.db") as db:
        assert db.execute("SELECT count(*) FROM mail_delivery WHERE length(profile) > 0").fetchone()[0] == 0
    assert udid


def profiles(phone):
    import plistlib
    state = plistlib.loads((phone.state / "state.plist").read_bytes())
    return [p["PayloadIdentifier"] for p in state["Profiles"]]


def test_mail_keys__a_device_that_is_busy_or_fails_gets_them_later(world):
    person = world.person("busy@example.org")
    phone = enrolled(world, person)
    had = certificates(phone)[0].read_bytes()
    world.coffer("key", "new", person[0])

    def deliveries():
        return sum(e["intent"] == "escrow-deliver" for e in keeper_log(world))

    count = deliveries()
    for _ in range(3):
        phone.session("--not-now", "InstallProfile")
    assert certificates(phone)[0].read_bytes() == had
    assert deliveries() == count + 1, "the same ciphertext serves as long as the command is open"
    [shown] = world.coffer_json("key", "deliveries", "--person", person[0])["deliveries"]
    assert (shown["state"], shown["keys"], shown["complete"]) == ("sent", 1, False)
    phone.session()
    assert len(certificates(phone)) == 2 and deliveries() == count + 1
    assert world.coffer_json("device", "show", shown["device"])["mail_keys"]["complete"]
    world.coffer("key", "new", person[0])
    phone.session("--error", "InstallProfile")
    [shown] = world.coffer_json("key", "deliveries", "--person", person[0], "--unfinished")["deliveries"]
    assert shown["state"] == "failed" and "as told" in shown["why"] and shown["again"]
    assert not keys_in(phone.session()), "not at once again"
    assert world.coffer_json("key", "deliver", person[0])["devices"] == 1
    assert len(keys_in(phone.session())) == 1 and len(certificates(phone)) == 3
    assert not world.coffer_json("key", "deliveries", "--person", person[0], "--unfinished")["deliveries"]


def test_mail_keys__certified_by_the_mail_ca_for_encryption_alone(world):
    phone = enrolled(world, world.person("usage@example.org"))
    certificate = x509.load_pem_x509_certificate(certificates(phone)[0].read_bytes())
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_agreement and not usage.digital_signature and not usage.content_commitment
    mailbox = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert mailbox.get_values_for_type(x509.RFC822Name) == ["usage@example.org"]
    subprocess.run(["openssl", "verify", "-CAfile", world.root, "-untrusted",
                    pathlib.Path(world.directory) / "public/mail-ca.pem", certificates(phone)[0]],
                   check=True, capture_output=True)
    answer = world.http("GET", "/ca/mail-ca.der")
    assert answer.status == 200
    ca = x509.load_der_x509_certificate(answer.body)
    assert ca.subject == certificate.issuer
    # revoked, it is on the mail CA's list
    serial = f"{certificate.serial_number:x}"
    world.coffer("cert", "revoke", serial.zfill(len(serial) + len(serial) % 2))

    def revoked():
        found = world.http("GET", "/ca/crl/mail-ca.crl")
        if found.status != 200:
            return None
        return x509.load_der_x509_crl(found.body).get_revoked_certificate_by_serial_number(
            certificate.serial_number)
    wait_for(revoked, lambda entry: entry is not None, "the revocation on the mail CA's list")


def test_mail_keys__a_key_of_before_is_brought_along(world, tmp_path):
    person = world.person("mover@example.org")
    phone = enrolled(world, person)
    (tmp_path / "conf").write_text("[req]\ndistinguished_name=dn\n[dn]\n")  # no extensions of its own
    subprocess.run(["openssl", "req", "-config", "conf", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "old.key", "-out",
                    "old.pem", "-subj", "/CN=old", "-days", "30", "-addext",
                    "keyUsage=critical,keyEncipherment"], cwd=tmp_path, check=True, capture_output=True)
    key = load_pem_private_key((tmp_path / "old.key").read_bytes(), None)
    certificate = x509.load_pem_x509_certificate((tmp_path / "old.pem").read_bytes())
    (tmp_path / "old.p12").write_bytes(serialize_key_and_certificates(
        b"old", key, certificate, None, BestAvailableEncryption(b"hunter2")))
    for name, secret in (("right", "hunter2"), ("wrong", "hunter3")):
        (tmp_path / name).write_text(secret + "\n")
        (tmp_path / name).chmod(0o600)
    world.coffer("key", "import", person[0], tmp_path / "old.p12", "--password-file", tmp_path / "wrong",
                 expect=5)
    world.coffer("key", "import", person[0], tmp_path / "old.p12", "--password-file", tmp_path / "right")
    mail = encrypt(tmp_path, tmp_path / "old.pem", "from before")
    current = certificates(phone)[0].read_bytes()
    assert len(keys_in(phone.session())) == 1, "it comes to the phone that he has"
    for one in (phone, enrolled(world, person)):
        assert certificates(one)[0].read_bytes() == current, "what was brought along is for old mail"
        assert decrypt(one, 2, mail) == "from before"
    # a key that signs is its owner's alone
    subprocess.run(["openssl", "req", "-config", "conf", "-x509", "-key", "old.key", "-out", "sign.pem", "-subj", "/CN=old",
                    "-days", "30", "-addext", "keyUsage=critical,digitalSignature,keyEncipherment"],
                   cwd=tmp_path, check=True, capture_output=True)
    certificate = x509.load_pem_x509_certificate((tmp_path / "sign.pem").read_bytes())
    (tmp_path / "sign.p12").write_bytes(serialize_key_and_certificates(
        b"sign", key, certificate, None, BestAvailableEncryption(b"hunter2")))
    world.coffer("key", "import", person[0], tmp_path / "sign.p12", "--password-file", tmp_path / "right",
                 expect=4)


def test_mail_keys__a_row_given_to_another_person_opens_for_nobody(world):
    victim, thief = world.person("victim@example.org"), world.person("thief@example.org")
    enrolled(world, victim)
    world.stop()
    with sqlite3.connect(pathlib.Path(world.directory) / "store/store.db") as db:
        changed = db.execute("UPDATE escrow_object SET owner = (SELECT id FROM person WHERE email = ?)"
                             " WHERE owner = (SELECT id FROM person WHERE email = ?)",
                             (thief[0], victim[0])).rowcount
    assert changed == 1
    world.start()
    phone = enrolled(world, thief)
    assert not certificates(phone)
    refused = [e for e in audit_of(world, "key.deliver") if "not what the keeper archived" in str(e)]
    assert refused


def test_mail_keys__verify_asks_the_instance_named(world, tmp_path):
    """A stranger's certificate isn't in its store: unknown, said so, and no error."""
    key, crt = tmp_path / "k.pem", tmp_path / "c.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", crt,
                    "-subj", "/CN=x", "-days", "3", "-addext", "subjectAltName=email:x@example.org"],
                   check=True, capture_output=True)
    (tmp_path / "both.pem").write_bytes(key.read_bytes() + crt.read_bytes())
    (tmp_path / "m").write_text("From: x@example.org\nSubject: s\n\nhello\n")
    with open(tmp_path / "s", "wb") as out:
        subprocess.run([instances.program("coffer"), "mail", "sign", "--key", tmp_path / "both.pem",
                        tmp_path / "m"], stdout=out, check=True)
    verdict = world.coffer_json("mail", "verify", "--root", crt, tmp_path / "s")
    assert verdict["status"] == "good"
    assert verdict["signatures"][0]["signers"][0]["revocation"] == "unknown"
