"""The whole play, with nothing but the real programs: mail comes to Postfix, which hands it to Dovecot,
which tells Coffer, which releases the lease to the locked device, which writes it."""

import os
import smtplib

import pytest

from helpers import instance as instances
from helpers.device import Device
from helpers.dovecot import Mailbox
from helpers.mailservers import MailServers
from helpers.proc import disk_of
from test_arrival_dovecot import Told

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mail servers change to their own users")
ADDRESS = "whole@example.org"
CANARY = "The vault opens at nine."


class Play:
    def __init__(self, files, factory):
        self.instance = instances.Instance(files)
        self.instance.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem"))}})
        self.dovecot = Told(self.instance)
        gate, outside, *ports = instances.free_ports(6)
        self.servers = MailServers(gate, self.dovecot.lmtp, outside, ports)
        self.device = Device(self.instance, factory).enrol(*self.instance.person(ADDRESS))
        self.device.session()
        token = self.instance.api("POST", f"/devices/{self.device.udid}/token",
                                  expect=201).json()["token"]
        self.instance.coffer("mailbox", "add", ADDRESS, "--hook", "imap1")
        self.dovecot.subscribe(ADDRESS)
        self.box = Mailbox(files, self.dovecot, ADDRESS)
        self.box.init("--server", self.instance.url, "--server-ca", self.instance.root,
                      "--device-token-file", self.box.secret(token, "token"))

    def mail(self, subject):
        with smtplib.SMTP("127.0.0.1", self.servers.arriving) as client:
            client.sendmail("oscar@example.com", [ADDRESS],
                            f"From: oscar@example.com\r\nTo: {ADDRESS}\r\nSubject: {subject}\r\n\r\n"
                            f"{CANARY}\r\n")

    def lock(self):
        self.box.run("lock", "--now")
        instances.wait_for(lambda: self.box.status()["listening"], bool, self.box.log())

    def close(self):
        if self.box.agent and self.box.agent.poll() is None:
            self.box.kill()
        self.servers.stop()
        self.dovecot.close()


@pytest.fixture
def play(tmp_path, factory):
    made = Play(tmp_path, factory)
    try:
        yield made
        made.instance.stop()
    finally:
        made.close()
        made.instance.abandon()


def test_from_postfix_to_a_locked_mailbox_until_it_is_lost_and_wiped(play):
    box = play.box.start()
    box.unlock()
    instances.wait_for(lambda: box.status().get("lease_until"), bool, box.log())
    play.mail("While open")
    box.wait_subject("While open")
    play.lock()
    play.mail("While locked")
    instances.wait_for(lambda: box.status()["lease_used"], lambda n: n == 1,
                       box.log() + play.servers.tail() + play.dovecot.tail())
    assert box.status()["waiting"] == 0 and box.status()["state"] == "locked"
    for command in (("list",), ("read", "1"), ("search", "vault")):
        assert b"locked" in box.run(*command, status=4)
    disk = disk_of(box.dir)
    assert CANARY.encode() not in disk and b"While locked" not in disk
    releases = play.instance.coffer_json("mailbox", "releases", ADDRESS)
    assert len(releases["releases"]) == 1, releases
    play.dovecot.stop()  # what is there came while it was locked
    box.unlock()
    assert [m["subject"] for m in box.messages("INBOX")] == ["While locked", "While open"]
    assert CANARY in box.run("read", box.messages("INBOX")[0]["id"]).decode()
    play.dovecot.process = None
    super(Told, play.dovecot).start()
    instances.wait_for(lambda: box.status().get("lease_until"), bool, box.log())
    # lost: the next mail is taken in, but nobody opens the mailbox for it
    play.lock()
    play.instance.coffer("device", "lost", play.device.udid, "--yes")
    play.mail("After the loss")

    def waiting():  # it takes its way through two servers: looked for until it is there
        box.run("sync")
        return box.status()["waiting"]
    instances.wait_for(waiting, lambda n: n == 1,
                       box.log() + play.servers.tail() + play.dovecot.tail())
    assert box.status()["lease_used"] == 1
    box.run("wipe", "--yes")
    assert box.agent.wait(instances.PATIENCE) == 0
    assert list(box.dir.iterdir()) == []
