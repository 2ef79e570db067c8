"""Mail that arrives while a device is locked: the mail server says so, the device hears of it on its
stream, gets its key for that event, and nobody else does."""

import base64
import json
import subprocess

import pytest

from helpers.arrival import Hook, Stream
from helpers.device import Device
from helpers.lease import LeaseApp, lease_open

ALICE, BOB = "arrival-alice@example.org", "arrival-bob@example.org"


class Phone:
    def __init__(self, instance, factory, person):
        self.instance, self.address = instance, person[0]
        self.device = Device(instance, factory).enrol(*person)
        self.device.session()
        self.token = instance.api("POST", f"/devices/{self.device.udid}/token", expect=201).json()["token"]
        self.app = LeaseApp(self.device, token=self.token, account=self.address)

    def stream(self, **options):
        return Stream(self.instance, token=self.token, **options)


@pytest.fixture(scope="module")
def hook(instance):
    return Hook(instance, "imap1")


@pytest.fixture(scope="module")
def phone(instance, factory, hook):
    made = Phone(instance, factory, instance.person(ALICE))
    instance.api("POST", "/mailboxes", {"address": ALICE, "hook": "imap1", "login": "Alice"}, expect=201)
    return made


@pytest.fixture(scope="module")
def other(instance, factory, hook):
    made = Phone(instance, factory, instance.person(BOB))
    instance.api("POST", "/mailboxes", {"address": BOB, "hook": "imap1"}, expect=201)
    return made


def ends(stream):
    """Nothing but beats comes any more, and then its end."""
    assert stream.next() is None


def test_a_stream_ends_with_what_was_shown_for_it(instance, factory):
    """Its token is replaced, its identity revoked: within seconds; others go on."""
    phones = [Phone(instance, factory, instance.person(f"arrival-end-{i}@example.org")) for i in range(3)]
    by_token, left, stays = (phone.stream() for phone in phones)
    by_identity = Stream(instance, device=phones[1].device)
    anew = instance.api("POST", f"/devices/{phones[0].device.udid}/token", expect=201).json()["token"]
    serial = instance.coffer_json("device", "show", phones[1].device.udid)["identity"]["serial"]
    instance.coffer("cert", "revoke", serial, "--reason", "keyCompromise")
    for stream in (by_token, left, by_identity):
        ends(stream)
    with Stream(instance, token=anew) as again:
        assert again.hello["device"] == by_token.hello["device"]
    stays.connection.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        stays.next()
    stays.close()


UIDS = iter(range(100, 10**6))


@pytest.fixture
def fresh(hook):
    """Mail for a login, with a UID that nothing had before."""
    def say(login, **more):
        uid = next(UIDS)
        hook.mail(login, uid, **more)
        return uid
    return say


def mailboxes(instance):
    return instance.coffer_json("mailbox", "list")["mailboxes"]


def test_a_locked_phone_hears_of_mail_and_gets_its_key(instance, phone, other, hook, fresh):
    kek = phone.app.put()
    with phone.stream() as stream, other.stream() as foreign:
        assert stream.hello == {"device": phone.app.id}
        uid = fresh("alice")
        event = stream.next()
        assert {k: event[k] for k in ("account", "folder", "uidvalidity", "uid", "modseq")} == {
            "account": ALICE, "folder": "INBOX", "uidvalidity": 1700000000, "uid": uid, "modseq": 0}
        assert phone.app.opened(phone.app.release(event["event"]), event["event"]) == kek
        # the other's stream has nothing of it: what it reads next is its own
        fresh(BOB)
        heard = foreign.next()
        assert heard["account"] == BOB
        assert other.app.release(event["event"]).status == 404
    assert phone.app.state()[ALICE]["releases"] == 1


def test_the_release_comes_with_the_event(instance, phone, hook, fresh):
    kek = phone.app.put()
    with phone.stream(release=True) as stream:
        fresh("alice", folder="With release")
        event = stream.next()
        release = event["release"]
        assert release["event"] == event["event"] and release["epoch"] == phone.app.epoch
        sealed = base64.b64decode(release["sealed"])
        info = lease_open.release_info(*phone.app.of(), event=event["event"])
        assert lease_open.unseal(phone.app.push, sealed, info) == kek
        metrics = instance.http("GET", "/metrics", headers={
            "Authorization": f"Bearer {instance.api_token()}"}).text().splitlines()
        told = {line.split(" ")[0]: int(line.split(" ")[1]) for line in metrics if line.startswith("coffer_stream")}
        assert all(told[f"coffer_{name}"] > 0 for name in ("streams", "stream_events_total", "stream_releases_total"))
        phone.app.http("DELETE", f"/leases/{ALICE}")  # no lease: the event comes alone
        fresh("alice", folder="Without lease")
        assert "release" not in stream.next()


def test_what_was_missed_comes_later(instance, phone, hook, fresh):
    with phone.stream() as stream:
        fresh("alice", folder="Missed")
        stream.next()
        last = stream.id
    with phone.stream(last=last) as stream:  # nothing was
        uid = fresh("alice", folder="Missed")
        assert stream.next()["uid"] == uid
    with phone.stream(last=last) as stream:
        assert stream.next()["uid"] == uid and stream.id > last
    with phone.stream(last=stream.id + 10**6) as stream:  # from another life
        assert stream.next("resync") == {}
    assert instance.http("GET", "/push/v1/stream", headers={
        "Authorization": f"Bearer {phone.token}", "Last-Event-ID": "x"}).status == 400


def test_hooks_doubled_and_late_are_one_event(instance, phone, hook, fresh):
    with phone.stream() as stream:
        uid = fresh("alice", folder="Doubled")
        assert stream.next()["uid"] == uid
        for again in (uid, uid - 1, uid):
            hook.mail("ALICE", again, folder="Doubled")
        for more in range(uid + 1, uid + 6):  # gathered
            hook.mail("alice", more, folder="Doubled")
        assert stream.next()["uid"] == uid + 5
        hook.mail("alice", 1, folder="Doubled, the end")
        assert stream.next()["folder"] == "Doubled, the end"


def test_a_phone_by_its_certificate(instance, phone, fresh):
    with Stream(instance, device=phone.device) as stream:
        fresh("alice", folder="Certificate")
        assert stream.next()["folder"] == "Certificate"


def test_strangers_hear_and_say_nothing(instance, phone, hook):
    assert instance.http("GET", "/push/v1/stream").status == 401
    assert instance.http("GET", "/push/v1/stream",
                         headers={"Authorization": f"Bearer {instance.api_token()}"}).status == 401
    good = hook.body("alice", 1, folder="Strangers")
    assert hook.send(good, secret="cfh_wrong").status == 401
    assert hook.send(good, secret=phone.token).status == 401
    assert hook.send(good, secret="x" * 1000).status == 401
    assert instance.http("PUT", "/push/v1/hook", json.dumps(good).encode()).status == 401
    # and with the secret in another's place
    assert instance.http("POST", "/push/v1/hook", json.dumps(good).encode(), {
        "Authorization": f"Bearer {hook.secret}"}).status == 204


@pytest.mark.parametrize("body", [b"", b"[]", b'{"event":"messageNew"}', b"\xff" * 100,
                                  b'{"user":"a","event":"messageNew","folder":"b","imap-uid":0,'
                                  b'"imap-uidvalidity":1}'],
                         ids=["empty", "array", "bare", "bytes", "zero"])
def test_a_hook_that_says_nonsense(hook, body):
    assert hook.send(body).status == 400


def test_a_hook_that_says_too_much(hook):
    assert hook.send(b"[" * 100000).status == 413
    assert hook.send(b" " * (256 * 1024 + 1)).status == 413
    assert hook.send(hook.body("alice", 1, folder="f" * 256)).status == 413


def test_nobody_keeps_what_a_mail_says(instance, phone, hook, fresh):
    with phone.stream() as stream:
        fresh("alice", folder="Canary folder")
        stream.next()
    found = subprocess.run(["grep", "-rlai", "-e", "canary of a", "-e", "canary.example", str(instance.directory),
                            str(instance.daemon.log_path)], capture_output=True, text=True)
    assert found.stdout == ""
    found = subprocess.run(["grep", "-rlai", "canary folder", str(instance.directory)],
                           capture_output=True, text=True)
    assert found.stdout  # the search can find something


def test_a_lost_phone_hears_nothing_more(instance, factory, hook):
    lost = Phone(instance, factory, instance.person("arrival-lost@example.org"))
    instance.api("POST", "/mailboxes", {"address": lost.address, "hook": "imap1"}, expect=201)
    kept = Phone(instance, factory, (lost.address, "correct horse battery"))
    with lost.stream(release=True) as stream, kept.stream() as other:
        instance.coffer("device", "lost", lost.device.udid, "--yes")
        hook.mail(lost.address, 1)
        assert other.next()["uid"] == 1
        stream.close()
    again = instance.http("GET", "/push/v1/leases", headers={"Authorization": f"Bearer {lost.token}"})
    if again.status == 200:  # still managed, to be erased: but there is nothing for it
        assert not [e for lease in again.json()["leases"] for e in lease["events"]]


def test_streams_end_when_there_are_too_many(instance, phone, fresh):
    streams = [phone.stream() for _ in range(6)]
    fresh("alice", folder="Many")
    assert streams[-1].next()["folder"] == "Many"
    for stream in streams:
        stream.close()


def test_devices_hear_again_after_the_server_died(instance, phone, hook, fresh):
    with phone.stream() as stream:
        last = stream.id
        instance.kill("coffer-web")
        instance.wait_healthy()
        fresh("alice", folder="After the crash")
    with phone.stream(last=last) as stream:
        event = stream.next()
        while event["folder"] != "After the crash":
            event = stream.next()


def test_the_command_line(instance, phone, hook, fresh, tmp_path):
    phone.app.put()
    with phone.stream() as stream:
        fresh("alice", folder="Command line")
        event = stream.next()
        while event["folder"] != "Command line":
            event = stream.next()
        assert phone.app.release(event["event"]).status == 200
    box = [b for b in mailboxes(instance) if b["address"] == ALICE][0]
    assert (box["person"], box["source"], box["state"]) == (ALICE, "hook:imap1", "watched")
    text = instance.coffer("mailbox", "releases", ALICE).stdout
    assert "times in 7 days" in text
    entries = instance.coffer_json("mailbox", "releases", ALICE)["releases"]
    assert entries and entries[0]["device"] == phone.app.id
    secret = tmp_path / "secret"
    said = instance.coffer("mailbox", "hook", "add", "imap2", "--output", secret).stdout
    assert "/push/v1/hook" in said and secret.read_text().startswith("cfh_")
    assert secret.stat().st_mode & 0o777 == 0o600
    assert "imap2" in instance.coffer("mailbox", "hook").stdout
    instance.coffer("mailbox", "add", "arrival-info@example.org", "--hook", "imap2", "--login", "info",
                    "--person", ALICE)
    again = instance.coffer("mailbox", "add", "arrival-info@example.org", "--hook", "imap2", "--login", "info",
                            "--person", ALICE, expect=None)
    assert again.returncode != 0 and "watched already" in again.stderr
    nobody = instance.coffer("mailbox", "add", "nobody@example.org", "--hook", "imap2", expect=None)
    assert "there is nobody with the address" in nobody.stderr
    busy = instance.coffer("mailbox", "hook", "remove", "imap2", expect=None)
    assert "remove them first" in busy.stderr
    with phone.stream() as stream:
        assert instance.http("PUT", "/push/v1/hook", json.dumps(hook.body("info", 5)).encode(), {
            "Authorization": f"Bearer {secret.read_text().strip()}"}).status == 204
        assert stream.next()["account"] == "arrival-info@example.org"
    instance.coffer("mailbox", "remove", "arrival-info@example.org")
    instance.coffer("mailbox", "hook", "remove", "imap2")
    assert instance.coffer("mailbox", "hook", "remove", "imap2", expect=None).returncode != 0


def test_people_see_their_own_releases(instance, phone, other):
    def asks(role, person, address=ALICE):
        name = f"arrival-{role}-{person or 'nobody'}"
        body = {"name": name, "role": role, **({"person": person} if person else {})}
        token = instance.api("POST", "/tokens", body, expect=201).json()["token"]
        return instance.api("GET", f"/mailboxes/{address}/releases", token=token).status

    assert asks("auditor", None) == 200
    assert asks("officer", ALICE) == 200  # her own
    assert asks("officer", BOB) == 403
    assert instance.api("GET", "/mailboxes/nobody@example.org/releases").status == 404
