"""The whole story of a person's mail: keys come with his phones and outlive them; after he left, two
officers give his successor the old mail; the auditor sees each act on a machine of his own."""

import json
import subprocess

import pytest

from helpers import instance as instances
from helpers.device import Device, Refused
from helpers.instance import Instance, wait_for
from helpers.officers import PASSPHRASE, Officer, Person, private

DONE, NOT_FOUND, REFUSED, VERIFY = 0, 3, 4, 5
REASON = "his patients' letters are needed"
LETTER = ("From: lab@example.org\r\nTo: nurse@example.org\r\nSubject: findings\r\n"
          "Content-Type: text/plain\r\n\r\n{}\r\n")


def alone(*args, stdin=b"", expect=DONE):
    """The command line on a machine that knows no server."""
    done = subprocess.run([instances.program("coffer"), *[str(a) for a in args]], input=stdin,
                          capture_output=True, timeout=instances.PATIENCE)
    assert done.returncode == expect, (args, done.returncode, done.stderr)
    return done


class Phone:
    """A phone that enrolled, with the mail keys that a profile brought it, the current one first."""

    def __init__(self, world, person):
        self.device = Device(world.instance, world.factory).enrol(*person)
        self.files = world.files
        self.fetch()

    def fetch(self):
        """Calls the server, as a push makes it do; it has the keys then that its profile brings."""
        self.device.session()
        self.keys = []
        for n, p in enumerate(self.device.mail_keys()):
            base = f"{self.device.serial}-{n}"
            self.keys.append((p["PayloadUUID"],
                              private(self.files / f"{base}.p12", p["PayloadContent"]),
                              private(self.files / f"{base}.pass", p["Password"].encode())))
        return self

    def certificate(self):
        """Of the current key: what others encrypt to."""
        _, file, secret = self.keys[0]
        return subprocess.run(["openssl", "pkcs12", "-in", file, "-nokeys", "-clcerts", "-passin",
                               f"file:{secret}"], check=True, capture_output=True).stdout

    def read(self, mail, expect=DONE):
        """As its mail program does: whichever key the message names. The files have passwords of
        their own, so each is tried."""
        errors = set()
        for _, file, secret in self.keys:
            done = subprocess.run([instances.program("coffer"), "mail", "decrypt", "--key", file,
                                   "--passphrase-file", secret, mail], capture_output=True,
                                  timeout=instances.PATIENCE)
            if done.returncode == DONE:
                assert expect == DONE
                return done.stdout.decode()
            assert done.returncode == NOT_FOUND, done.stderr  # made for another key
            errors.add(done.stderr)
        assert expect == NOT_FOUND, errors
        return None


class World:
    def __init__(self, files, factory):
        self.files, self.factory = files, factory
        self.instance = Instance(files)
        self.instance.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem")),
                                      "mail_key_profile": "mail-encrypt-p256"}})
        self.instance.start()
        self.officers = [Officer(self.instance, files, name) for name in ("anna", "ben", "cleo")]
        self.admin = Person(self.instance, files, "dora", "admin")
        self.auditor = Person(self.instance, files, "otto", "auditor")
        self.instance.coffer("officer", "activate", "--threshold", "2")
        self.mails = []

    def letter(self, certificate):
        """A mail encrypted to that certificate; its text is kept to compare."""
        text = f"the findings of case {len(self.mails)}"
        to = self.files / f"to{len(self.mails)}.pem"
        to.write_bytes(certificate)
        mail = self.files / f"letter{len(self.mails)}.eml"
        mail.write_bytes(alone("mail", "encrypt", "--to", to,
                               stdin=LETTER.format(text).encode()).stdout)
        assert text.encode() not in mail.read_bytes()
        self.mails.append((mail, text))

    def keys_of(self, email):
        listed = self.instance.coffer_json("escrow", "list", "--person", email)["objects"]
        return [o for o in listed if o["kind"] == "smime-key"]


@pytest.fixture
def world(tmp_path, factory):
    one = World(tmp_path, factory)
    try:
        yield one
        one.instance.stop()
    finally:
        one.instance.abandon()


def seen(entries, action, object_=None, **detail):
    """How many entries tell this act."""
    return sum(e["action"] == action and object_ in (None, e["object"])
               and all(e["detail"].get(k) == v for k, v in detail.items()) for e in entries)


def test_nothing_is_lost_and_nobody_reveals_alone(world):
    instance = world.instance
    email = "nurse@example.org"
    person = instance.person(email)

    # The first phone, and mail to the key of each of three renewals.
    first = Phone(world, person)
    assert len(first.keys) == 1
    world.letter(first.certificate())
    for renewals in range(1, 4):
        instance.coffer("key", "new", email)
        renewed = Phone(world, person)
        assert len(renewed.keys) == 1 + renewals
        world.letter(renewed.certificate())
    assert first.read(world.mails[0][0]).endswith(world.mails[0][1] + "\r\n")
    assert first.read(world.mails[3][0], expect=NOT_FOUND) is None, "it has not called since"
    had = first.keys[0][0]
    assert len(first.fetch().keys) == 4 and first.keys[3][0] == had
    for mail, text in world.mails:
        assert text in first.read(mail), "new keys come to a device that is enrolled"

    # The phones are lost. The new one reads all mail, of before and of after the loss.
    for phone in (first, renewed):
        instance.coffer("device", "lost", phone.device.udid, "--yes")
    world.letter(renewed.certificate())
    new = Phone(world, person)
    assert new.device.udid not in (first.device.udid, renewed.device.udid)
    assert {k[0] for k in renewed.keys} == {k[0] for k in new.keys}, "UUIDs of payloads are stable"
    for mail, text in world.mails:
        assert text in new.read(mail)
    # the lost phone is shut out
    assert first.device.report().status >= 400

    # He leaves. His devices are out; nobody gets his keys by enrolling in his name.
    instance.coffer("user", "disable", email, "--left")
    assert new.device.report().status >= 400
    with pytest.raises(Refused, match="phase 1"):
        Phone(world, person)

    # The key of the first mail, the oldest, is recovered for his successor: dora asks, two approve.
    keys = wait_for(lambda: world.keys_of(email), lambda found: len(found) == 4
                    and all(k["set"] == 1 for k in found), "four keys dealt to the officers")
    oldest = min(keys, key=lambda k: k["created"])
    anna, ben, cleo = world.officers
    request = world.admin.request(oldest["id"], "--ticket", "HR-12", whom="ward@example.org",
                                  reason=REASON)
    out = world.admin.home / "nurse.p12"
    secret = private(world.admin.home / "p12-password", PASSPHRASE.encode() + b"\n")
    opening = ("recover", "open", request["path"], "--out", out, "--password-file", secret)
    world.admin.coffer(*opening, expect=REFUSED)
    anna.approve(request, "--code", request["code"])
    anna.approve(request, expect=None)  # an officer counts once
    world.admin.coffer(*opening, expect=REFUSED)
    assert not out.exists()
    cleo.approve(request, "--code", request["code"])
    world.admin.coffer(*opening)
    read = alone("mail", "decrypt", "--key", out, "--passphrase-file", secret, world.mails[0][0])
    assert world.mails[0][1].encode() in read.stdout
    alone("mail", "decrypt", "--key", out, "--passphrase-file", secret, world.mails[2][0],
          expect=NOT_FOUND)  # that key alone
    world.admin.coffer(*opening, expect=None)
    assert not request["path"].exists()

    # The auditor fetches the log with a token of his own and verifies it far from the server.
    export = world.auditor.home / "audit.jsonl"
    world.auditor.coffer("audit", "export", "--output", export)
    key = world.auditor.home / "audit-key.pem"
    key.write_bytes((instance.directory / "public" / "audit-key.pem").read_bytes())
    alone("audit", "verify", export, "--key", key)
    entries = world.auditor.coffer_json("audit", "list", "--limit", 1000)["entries"]
    assert seen(entries, "recovery.request", request["id"], reason=REASON, ticket="HR-12") == 1
    assert seen(entries, "recovery.approve", request["id"]) == 2
    approvers = {e["actor"] for e in entries if e["action"] == "recovery.approve"}
    assert len(approvers) == 2
    assert seen(entries, "recovery.refuse-open", request["id"]) == 2
    assert seen(entries, "recovery.open", request["id"]) == 1
    # who made and got keys, which certificates ended and why
    assert seen(entries, "key.make") == 4
    assert [e["detail"]["keys"] for e in entries if e["action"] == "key.deliver"] in (
        ["1", "2", "3", "4", "4", "4"], ["4", "4", "4", "3", "2", "1"])
    assert seen(entries, "key.deliver", outcome="delivered") == 6
    assert seen(entries, "certificate.revoke", reason="keyCompromise") == 2
    assert seen(entries, "device.lost", f"device:{first.device.udid}", revoked="1") == 1
    assert seen(entries, "certificate.revoke", profile="mail-encrypt-p256",
                reason="affiliationChanged") == 4
    assert seen(entries, "person.disable", email, left="yes") == 1
    assert seen(entries, "officers.activate", threshold="2") == 1
    report = world.auditor.coffer_json("escrow", "report")
    assert report["officers_needed"] == 2 and len(report["officers"]) == 3
    text = export.read_text()
    for told in (REASON, first.device.udid, renewed.device.udid, email, "recovery.open"):
        assert told in text, told
    for secret in (PASSPHRASE, *(password.read_text() for _, _, password in new.keys)):
        assert secret not in text
    # The key process's own log has every delivery, those to the five new devices marked.
    log = [json.loads(line) for line in
           world.auditor.coffer("audit", "keeper-log").stdout.splitlines()]
    assert [e["seq"] for e in log] == list(range(1, len(log) + 1))
    delivered = [e for e in log if e["intent"] == "escrow-deliver"]
    assert len(delivered) == 6 and sum("(new)" in e["object"] for e in delivered) == 5
    told = world.auditor.coffer("audit", "keeper-log")
    assert "The chain holds: entries 1 to" in told.stderr and "from the very first" in told.stderr
    last = json.loads(told.stdout.splitlines()[-1])
    assert last["hash"] in told.stderr
    after = world.auditor.coffer("audit", "keeper-log", "--after", log[-2]["seq"])
    assert json.loads(after.stdout.splitlines()[0])["seq"] == log[-1]["seq"]
    assert "from the first one shown on" in after.stderr
    # One entry changed, and it is named.
    lines = export.read_text().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if '"recovery.approve"' in line)
    lines[at] = lines[at].replace("recovery.approve", "recovery.denied!")
    export.write_text("".join(lines))
    assert f"{at + 1}" in alone("audit", "verify", export, "--key", key, expect=VERIFY).stderr.decode()
    assert ben.email in [o["person"] for o in report["officers"]]
