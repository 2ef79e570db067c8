"""The gateway between real servers: Postfix filters what people send through it and hands it what
arrives, Dovecot keeps the mailboxes. Two colleagues with keys, and one outside without."""

import email
import email.policy
import os
import smtplib
import time

import pytest

from helpers import instance as instances
from helpers.mail import NextHop
from helpers.mailservers import MailServers

PATIENCE = instances.PATIENCE
ANNA, BEN, OSCAR = "anna@example.org", "ben@example.org", "oscar@example.com"
SECRET = "The vault opens at nine."

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="Postfix changes to its own user")


class World:
    def __init__(self, files, filter):
        ports = instances.free_ports(6)
        self.rules = lambda event, argument: None
        self.outside = NextHop(lambda e, a: self.rules(e, a))  # oscar's server
        self.gate_out, self.gate_in = ports[:2]
        submission, back, arriving, lmtp = ports[2:]
        self.instance = instances.Instance(files)
        self.instance.init({
            "mailgate": {"listen_out": f"127.0.0.1:{self.gate_out}",
                         "next_out": f"smtp:127.0.0.1:{back}",
                         "listen_in": f"127.0.0.1:{self.gate_in}",
                         "next_in": f"lmtp:127.0.0.1:{lmtp}", "domains": "example.org",
                         "hostname": "gate.example.org"},
            "mail_policy": {"domains": "example.org"}}).start()
        self.servers = MailServers(self.gate_out, self.gate_in, self.outside.port,
                                   (submission, back, arriving, lmtp), filter)
        for person in (ANNA, BEN):
            self.instance.coffer("user", "add", person, "--name", person.split("@")[0].title())
            self.instance.coffer("key", "new", person)
        self.seen = {}

    def send(self, sender, recipients, text, port=None):
        with smtplib.SMTP("127.0.0.1", port or self.servers.submission, timeout=PATIENCE) as client:
            assert client.sendmail(sender, recipients, text) == {}

    def arrive(self, sender, recipients, text):
        """From the world outside."""
        self.send(sender, recipients, text, self.servers.arriving)

    def next_of(self, person):
        """The next message in this mailbox."""
        self.seen[person] = self.seen.get(person, 0) + 1
        return self.servers.mailbox(person, self.seen[person])[-1]

    def close(self):
        self.servers.stop()
        self.outside.close()
        self.instance.stop()


@pytest.fixture(scope="module", params=["smtp", "lmtp"])
def world(request, tmp_path_factory):
    files = tmp_path_factory.mktemp("postfix")
    made = None
    try:
        made = World(files, request.param)
        yield made
        made.close()
    finally:
        if made:
            made.instance.abandon()


@pytest.fixture(autouse=True)
def quiet(world):
    world.rules = lambda event, argument: None
    world.outside.taken.clear()
    yield
    for rule in world.instance.coffer_json("mail", "policy")["policy"]:
        if rule["source"] != "coffer.conf":
            world.instance.coffer("mail", "policy", "remove", rule["name"])


def message(sender, to, subject="Plans", **headers):
    lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
    return (f"From: <{sender}>\r\nTo: {', '.join(to)}\r\nSubject: {subject}\r\n"
            f"Message-ID: <{time.monotonic_ns()}@example.org>\r\n"
            f"Date: Mon, 02 Nov 2026 10:00:00 +0000\r\n{lines}\r\n{SECRET}\r\n").encode()


def parsed(data):
    return email.message_from_bytes(data, policy=email.policy.default)


def test_colleagues_write_closed_mail_and_notice_nothing(world):
    """Encrypted between the servers; ben's program can't decrypt, so the gateway does it for him."""
    world.instance.coffer("mail", "policy", "set", "*", "encrypt=all-or-plain", "sign=yes")
    world.send(ANNA, [BEN], message(ANNA, [BEN]))
    closed = world.next_of(BEN)
    assert SECRET.encode() not in closed and b"Plans" not in closed
    assert parsed(closed).get_content_type() == "application/pkcs7-mime"
    world.instance.coffer("mail", "policy", "set", BEN, "decrypt=yes")
    world.send(ANNA, [BEN], message(ANNA, [BEN]))
    opened = world.next_of(BEN)
    assert SECRET.encode() in opened
    assert "smime=pass" in parsed(opened)["Authentication-Results"]


def test_reply_to_all_reaches_all_so_that_all_can_read(world):
    """Oscar has no certificate. Nobody gets what he can't read, nobody is left out, and the
    colleagues alone write closed again."""
    world.instance.coffer("mail", "policy", "set", "*", "encrypt=all-or-plain", "sign=yes")
    world.instance.coffer("mail", "policy", "set", BEN, "decrypt=yes")
    world.instance.coffer("mail", "policy", "set", ANNA, "decrypt=yes")
    world.send(ANNA, [BEN], message(ANNA, [BEN]))  # closed between the two
    first = parsed(world.next_of(BEN))
    # ben replies to all and adds oscar
    reply = message(BEN, [ANNA, OSCAR], "Re: Plans", In_Reply_To=first["Message-ID"])
    world.send(BEN, [ANNA, OSCAR], reply)
    at_oscar, = world.outside.wait(1)
    assert SECRET.encode() in at_oscar.data and at_oscar.recipients == [OSCAR]
    assert at_oscar.message().get_content_type() == "multipart/signed"
    at_anna = world.next_of(ANNA)
    assert SECRET.encode() in at_anna
    assert "smime=pass" in parsed(at_anna)["Authentication-Results"]
    # oscar replies to all, anna to all again: oscar still can read it
    world.arrive(OSCAR, [BEN, ANNA], message(OSCAR, [BEN, ANNA], "Re: Plans"))
    assert SECRET.encode() in world.next_of(BEN) and SECRET.encode() in world.next_of(ANNA)
    world.send(ANNA, [OSCAR, BEN], message(ANNA, [OSCAR, BEN], "Re: Plans"))
    assert SECRET.encode() in world.outside.wait(2)[1].data
    assert SECRET.encode() in world.next_of(BEN)


def test_required_encryption_comes_back_with_the_name_of_who_cannot_read(world):
    world.instance.coffer("mail", "policy", "set", "*", "encrypt=require")
    world.send(ANNA, [BEN, OSCAR], message(ANNA, [BEN, OSCAR], "Secret plans"))
    world.instance.coffer("mail", "policy", "set", ANNA, "decrypt=yes")
    bounce = world.next_of(ANNA)
    assert parsed(bounce).get_content_type() == "multipart/report"
    assert OSCAR.encode() in bounce and b"no certificate" in bounce
    assert world.outside.taken == []


def test_gateway_away_loses_nothing_and_repeats_nothing(world):
    world.instance.kill("coffer-mailgate", wait=False)
    world.send(ANNA, [BEN, OSCAR], message(ANNA, [BEN, OSCAR], "Away"))
    assert b"Subject: Away" in world.next_of(BEN)
    assert len(world.outside.wait(1)) == 1
    world.send(ANNA, [BEN, OSCAR], message(ANNA, [BEN, OSCAR], "After"))
    assert b"Subject: After" in world.next_of(BEN)
    assert [m.message()["Subject"] for m in world.outside.wait(2)] == ["Away", "After"]


def test_utf8_and_notifications_pass_through_everything(world):
    text = ("From: <anna@example.org>\r\nTo: <os\u00e7ar@example.com>\r\nSubject: Gr\u00fc\u00dfe\r\n\r\n"
            "\u00e4\u00f6\u00fc\r\n").encode()
    with smtplib.SMTP("127.0.0.1", world.servers.submission, timeout=PATIENCE) as client:
        client.ehlo()
        client.mail(ANNA, ["SMTPUTF8", "BODY=8BITMIME", "RET=HDRS", "ENVID=E4711"])
        client.docmd("RCPT", "TO:<oscar@example.com> NOTIFY=FAILURE,DELAY ORCPT=rfc822;o@example.com")
        assert client.data(text)[0] == 250
    mail, = world.outside.wait(1)
    assert "ENVID=E4711" in mail.mail and "RET=HDRS" in mail.mail and "SMTPUTF8" in mail.mail
    assert "NOTIFY=FAILURE,DELAY" in mail.rcpts[0] and "ORCPT=rfc822;o@example.com" in mail.rcpts[0]
    assert "\u00e4\u00f6\u00fc".encode() in mail.data
