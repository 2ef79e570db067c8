"""Mailboxes that are watched at Exchange's web services: coffer-courier holds a stream there, devices hear of mail."""

import json
import subprocess

import pytest

from helpers import instance as instances
from helpers.arrival import Stream
from helpers.clear import search
from helpers.device import Device
from helpers.false_ews import COOKIE, FalseEws, busy, events, event, streamed

ALICE, BOB = "ews-alice@example.org", "ews-bob@example.org"
LOGINS = {ALICE: "EXAMPLE\\alice", BOB: "EXAMPLE\\bob"}
PASSWORDS = {"EXAMPLE\\alice": "canary password <one>", "EXAMPLE\\bob": "canary password two"}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    files = tmp_path_factory.mktemp("ews")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days",
                    "2", "-addext", "subjectAltName=DNS:localhost", "-keyout", files / "key.pem", "-out",
                    files / "cert.pem"], check=True, capture_output=True)
    made = FalseEws((files / "cert.pem", files / "key.pem"), dict(PASSWORDS))
    made.ca = files / "cert.pem"
    yield made
    made.stop()


@pytest.fixture(scope="module")
def watching(tmp_path_factory, factory, exchange):
    """An instance that trusts the server."""
    files = tmp_path_factory.mktemp("watching")
    made = instances.Instance(files)
    try:
        made.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem"))}})
        made.configure({"mailbox": {"imap_ca": str(exchange.ca)}})
        made.start()
        yield made
        made.stop()
    finally:
        made.abandon()


def add(instance, exchange, address, *more, password=None, url=None, expect=0):
    login = LOGINS[address]
    return instance.coffer("mailbox", "add", address, "--ews", url or exchange.url, "--login", login, *more,
                           "--password-file", "-", stdin=(password or PASSWORDS[login]) + "\n", expect=expect)


def state(instance, address):
    return [b for b in instance.coffer_json("mailbox", "list")["mailboxes"] if b["address"] == address][0]


@pytest.fixture(scope="module")
def token(watching, factory, exchange):
    device = Device(watching, factory).enrol(*watching.person(ALICE))
    device.session()
    made = watching.api("POST", f"/devices/{device.udid}/token", expect=201).json()["token"]
    add(watching, exchange, ALICE)
    exchange.await_stream(LOGINS[ALICE])
    return made


def hears(stream):
    said = stream.next()
    assert (said["account"], said["folder"], said["uidvalidity"], said["uid"], said["modseq"]) == (ALICE, "", 0, 0, 0)
    return said["event"]


def test_mail_at_exchange(watching, exchange, token):
    alice = LOGINS[ALICE]
    instances.wait_for(lambda: state(watching, ALICE)["state"], lambda s: s == "watched", "watched")
    with Stream(watching, token=token) as stream:
        exchange.deliver(alice)
        first = hears(stream)
        exchange.deliver(alice, 30)
        assert hears(stream) != first
    assert [what for _, what, _ in exchange.requests] == ["Subscribe", "GetStreamingEvents"]
    assert exchange.requests[0][0] == "POST /EWS/Exchange.asmx HTTP/1.1"
    assert exchange.cookies == [None, COOKIE]  # the server that holds the subscription
    assert f"<t:EmailAddress>{ALICE}<" in exchange.bodies[0]
    assert not any("GetItem" in body for body in exchange.bodies)


def test_the_half_hour_ends_and_connections_break(watching, exchange, token):
    alice, before = LOGINS[ALICE], len(exchange.requests)
    exchange.close(alice)
    exchange.await_requests(before + 1)
    exchange.await_stream(alice)
    exchange.cut(alice)
    exchange.await_requests(before + 2)
    exchange.await_stream(alice)
    # The same subscription: nothing was lost, so nothing is told but what comes.
    assert [what for _, what, _ in exchange.requests[before:]] == ["GetStreamingEvents"] * 2
    assert len(exchange.subscriptions) == 1
    with Stream(watching, token=token) as stream:
        exchange.deliver(alice)
        hears(stream)


@pytest.mark.parametrize("how", ["lost", "missed", "restart"])
def test_what_was_missed_is_told(watching, exchange, token, how):
    alice = LOGINS[ALICE]
    with Stream(watching, token=token) as stream:
        if how == "lost":
            exchange.subscriptions.clear()
            exchange.cut(alice)
        elif how == "missed":
            exchange.say(alice, streamed("", "Error", "ErrorMissedNotificationEvents"))
            exchange.streams.pop(alice)
        else:
            exchange.streams.pop(alice)
            watching.kill("coffer-courier", wait=False)
        hears(stream)  # nothing was delivered: the device looks
        exchange.await_stream(alice)
        exchange.deliver(alice)
        hears(stream)


def test_what_is_refused_is_said(watching, exchange, token):
    watching.person(BOB)
    bob = LOGINS[BOB]
    add(watching, exchange, BOB, password="wrong")
    found = instances.wait_for(lambda: state(watching, BOB), lambda b: b["state"] == "failed", "failed")
    assert "refuses login or password" in found["problem"]
    assert exchange.logins.count(bob) == 1  # not tried often: servers lock accounts
    watching.coffer("mailbox", "remove", BOB)
    exchange.answers[bob] = ("500 Internal Server Error", ["Content-Type: text/xml"], busy(3600 * 1000))
    add(watching, exchange, BOB, "--all-folders")
    instances.wait_for(lambda: exchange.logins.count(bob), lambda n: n == 2, "asked")
    assert any('SubscribeToAllFolders="true"' in body for body in exchange.bodies)
    with Stream(watching, token=token) as stream:  # others don't suffer
        exchange.deliver(LOGINS[ALICE])
        hears(stream)
    assert exchange.logins.count(bob) == 2  # Exchange said for how long
    exchange.answers.clear()
    watching.coffer("mailbox", "remove", BOB)
    add(watching, exchange, BOB)
    exchange.await_stream(bob)
    assert state(watching, BOB)["source"] == "ews"


def test_a_server_that_floods(watching, exchange, token):
    bob = LOGINS[BOB]
    exchange.await_stream(bob)
    link, name = exchange.streams[bob]
    flood = events(name, *(event("ModifiedEvent", n) for n in range(400)))
    try:
        for _ in range(100):
            link.sendall(f"{len(flood):x}\r\n".encode() + flood + b"\r\n")
    except OSError:
        pass
    with Stream(watching, token=token) as stream:
        exchange.deliver(LOGINS[ALICE])
        hears(stream)
    log = watching.daemon.log_path.read_text()
    assert "bytes a minute" in log


def test_passwords_are_the_keepers(watching, exchange, token):
    """They and the ids that Exchange says are in no file, log, argument or environment, and in no URL."""
    search(watching, {name: password for name, password in PASSWORDS.items()})
    search(watching, {f"Basic of {name}": f"{name}:{password}" for name, password in PASSWORDS.items()})
    search(watching, {"an item's id": b"canary of an item "})
    assert {first for first, _, _ in exchange.requests} == {"POST /EWS/Exchange.asmx HTTP/1.1"}
    log = [json.loads(line) for line in watching.coffer("audit", "keeper-log").stdout.splitlines()]
    opened = [e for e in log if e["intent"] == "mailbox-open"]
    assert opened and all(e["role"] == "courier" and exchange.url in e["object"] for e in opened)


@pytest.mark.parametrize("url, says", [("http://mail.example.org", "without TLS"), ("imaps://x", "are written"),
                                       ("https://a:b@x", "are written"), ("https://x/?a=b", "are written")],
                         ids=["plain", "scheme", "userinfo", "query"])
def test_servers_that_are_refused(watching, exchange, token, url, says):
    done = add(watching, exchange, BOB, url=url, expect=None)
    assert done.returncode != 0 and says in done.stderr
