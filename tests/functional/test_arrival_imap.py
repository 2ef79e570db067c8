"""Mailboxes that are watched at their IMAP server: coffer-courier idles there, devices hear of mail."""

import json
import subprocess

import pytest

from helpers import instance as instances
from helpers.arrival import Stream
from helpers.clear import search
from helpers.device import Device
from helpers.false_imap import FalseImap

ALICE, BOB, CAROL = "imap-alice@example.org", "imap-bob@example.org", "imap-carol@example.org"
PASSWORDS = {"alice": "canary password one", "bob": "canary password two", "carol": "canary three"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    files = tmp_path_factory.mktemp("imap")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days",
                    "2", "-addext", "subjectAltName=DNS:localhost", "-keyout", files / "key.pem", "-out",
                    files / "cert.pem"], check=True, capture_output=True)
    made = FalseImap((files / "cert.pem", files / "key.pem"), dict(PASSWORDS))
    made.ca = files / "cert.pem"
    yield made
    made.stop()


@pytest.fixture(scope="module")
def watching(tmp_path_factory, factory, server):
    """An instance that trusts the server, with Alice's mailbox."""
    files = tmp_path_factory.mktemp("watching")
    made = instances.Instance(files)
    try:
        made.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem"))}})
        made.configure({"mailbox": {"imap_ca": str(server.ca), "reconcile": "10s"}})
        made.start()
        yield made
        made.stop()
    finally:
        made.abandon()


def enrolled(instance, factory, address):
    device = Device(instance, factory).enrol(*instance.person(address))
    device.session()
    return instance.api("POST", f"/devices/{device.udid}/token", expect=201).json()["token"]


def add(instance, server, address, login, password=None, url=None, expect=0):
    return instance.coffer("mailbox", "add", address, "--imap", url or server.url, "--login", login,
                           "--password-file", "-", stdin=(password or PASSWORDS[login]) + "\n", expect=expect)


def state(instance, address):
    return [b for b in instance.coffer_json("mailbox", "list")["mailboxes"] if b["address"] == address][0]


@pytest.fixture(scope="module")
def token(watching, factory, server):
    made = enrolled(watching, factory, ALICE)
    server.deliver("alice", 5)  # from before: no news
    add(watching, server, ALICE, "alice")
    server.await_idle("alice")
    return made


def test_mail_at_an_imap_server(watching, server, token):
    with Stream(watching, token=token) as stream:
        uid = server.deliver("alice")
        event = stream.next()
        assert (event["account"], event["folder"], event["uidvalidity"], event["uid"], event["modseq"]) == (
            ALICE, "INBOX", 7, uid, 100 + uid)
        server.await_idle("alice")
        last = server.deliver("alice", 30)
        assert stream.next()["uid"] == last
    instances.wait_for(lambda: state(watching, ALICE)["state"], lambda s: s == "watched", "watched")
    assert "STORE" not in server.commands and "SELECT" not in server.commands


def test_mail_that_the_server_kept_silent_about(watching, server, token):
    with Stream(watching, token=token) as stream:
        server.await_idle("alice")
        last = server.deliver("alice", quiet=True)
        assert stream.next()["uid"] == last  # reconciled after 10 s


def test_mail_while_the_connection_was_cut(watching, server, token):
    with Stream(watching, token=token) as stream:
        server.await_idle("alice")
        server.cut()
        last = server.deliver("alice", quiet=True)
        assert stream.next()["uid"] == last
        watching.kill("coffer-courier", wait=False)
        last = server.deliver("alice", quiet=True)
        assert stream.next()["uid"] == last


def test_mail_that_came_and_went_meanwhile_wakes_nobody(watching, server, token):
    """QRESYNC (RFC 7162): after a break the server shows what is new."""
    with Stream(watching, token=token) as stream:
        server.await_idle("alice")
        count = server.commands.count("ENABLE")
        server.cut()
        gone = server.deliver("alice", quiet=True)
        server.gone["alice"] = {gone}
        server.await_idle("alice")
        assert server.commands.count("ENABLE") == count + 1
        last = server.deliver("alice")
        event = stream.next()
        assert (event["uid"], event["modseq"]) == (last, 100 + last)  # nothing was told before it


def test_a_wrong_password_is_said_and_not_tried_often(watching, server, factory, token):
    watching.person(BOB)
    add(watching, server, BOB, "bob", password="wrong")
    found = instances.wait_for(lambda: state(watching, BOB), lambda b: b["state"] == "failed", "failed")
    assert "refuses login or password" in found["problem"]
    assert server.logins.count("bob") == 1
    watching.coffer("mailbox", "remove", BOB)
    add(watching, server, BOB, "bob")
    server.await_idle("bob")
    watching.coffer("mailbox", "remove", BOB)


def test_a_server_that_floods(watching, server, factory, token):
    watching.person(CAROL)
    server.floods["carol"] = b"* 1 FETCH (FLAGS ())\r\n" * 300000
    add(watching, server, CAROL, "carol")
    found = instances.wait_for(lambda: state(watching, CAROL), lambda b: b["state"] == "failed", "failed")
    assert "bytes a minute" in found["problem"]
    server.floods.clear()
    with Stream(watching, token=token) as stream:  # others don't suffer
        server.await_idle("alice")
        last = server.deliver("alice")
        assert stream.next()["uid"] == last
    watching.coffer("mailbox", "remove", CAROL)


def test_passwords_are_the_keepers(watching, server, token):
    """They are in no file, log, argument or environment."""
    search(watching, {name: password for name, password in PASSWORDS.items()})
    search(watching, {f"SASL PLAIN of {name}": f"\0{name}\0{password}" for name, password in PASSWORDS.items()})
    log = [json.loads(line) for line in watching.coffer("audit", "keeper-log").stdout.splitlines()]
    opened = [e for e in log if e["intent"] == "mailbox-open"]
    assert opened and all(e["role"] == "courier" and server.url in e["object"] for e in opened)


@pytest.mark.parametrize("url, says", [("imap://imap.example.org", "without TLS"), ("https://x", "is written"),
                                       ("imaps://a:b@x", "is written")], ids=["plain", "scheme", "userinfo"])
def test_servers_that_are_refused(watching, server, token, url, says):
    done = add(watching, server, BOB, "bob", url=url, expect=None)
    assert done.returncode != 0 and says in done.stderr
