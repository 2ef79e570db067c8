"""Mail that is written while the device is locked: coffer-mailbox with Dovecot and an instance. Device
and server need each other for it, and neither reads anything alone."""

import os
import shutil

import pytest

from helpers import instance as instances
from helpers.arrival import Graph, Hook
from helpers.device import Device
from helpers.dovecot import Dovecot, Mailbox
from helpers.proc import disk_of, files_below

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="Dovecot changes to its own users")
CANARY = "The vault opens at nine"


class World:
    def __init__(self, instance, factory, files):
        self.instance, self.factory, self.files = instance, factory, files
        self.dovecot = Dovecot()
        self.hook = Hook(instance, "box-imap")
        self.number = 0

    def mailbox(self, hours=48):
        """A new person with a device and a mailbox on it, unlocked, its lease left."""
        self.number += 1
        address = f"box{self.number}@example.org"
        device = Device(self.instance, self.factory).enrol(*self.instance.person(address))
        device.session()
        token = self.instance.api("POST", f"/devices/{device.udid}/token",
                                  expect=201).json()["token"]
        self.instance.api("POST", "/mailboxes", {"address": address, "hook": "box-imap",
                                                 "login": address}, expect=201)
        files = self.files / str(self.number)
        files.mkdir()
        box = Mailbox(files, self.dovecot, address)
        box.device, box.world, box.uid = device, self, 0
        box.init("--server", self.instance.url, "--server-ca", self.instance.root,
                 "--device-token-file", box.secret(token, "token"), "--lease-hours", hours).start()
        box.unlock()
        instances.wait_for(lambda: box.status().get("lease_until"), bool, box.log())
        return box

    def arrive(self, box, subject, hook=True):
        """Mail comes, and the mail server says so."""
        self.dovecot.deliver(box.address, (f"From: oscar@example.com\r\nSubject: {subject}\r\n\r\n"
                                           f"{CANARY} {subject}\r\n").encode())
        box.uid += 1
        if hook:
            self.hook.mail(box.address, box.uid)

    def close(self):
        self.dovecot.close()


@pytest.fixture(scope="module")
def world(instance, factory, tmp_path_factory):
    made = World(instance, factory, tmp_path_factory.mktemp("boxes"))
    yield made
    made.close()


@pytest.fixture
def box(world):
    made = world.mailbox()
    yield made
    if made.agent and made.agent.poll() is None:
        made.stop()


def lock(box):
    box.run("lock", "--now")
    instances.wait_for(lambda: box.status()["listening"], bool, box.log())


def wait_used(box, count):
    instances.wait_for(lambda: box.status().get("lease_used"), lambda n: n == count, box.log())


def test_mail_is_written_while_locked_and_read_by_nobody(box, world):
    lock(box)
    before = (box.dir / "mail.db").stat().st_size, len(box.log())
    world.arrive(box, "While locked")
    wait_used(box, 1)
    state = box.status()
    assert state["state"] == "locked" and state["waiting"] == 0
    for command in (("list",), ("read", "1"), ("search", "vault")):
        box.run(*command, status=4)
    assert "by a lease" in box.log()[before[1]:]
    disk = disk_of(box.dir)
    assert CANARY.encode() not in disk and b"While locked" not in disk
    world.arrive(box, "Once more")
    wait_used(box, 2)
    world.dovecot.stop()  # what is in the mailbox came while it was locked
    try:
        box.unlock()
        assert sorted(m["subject"] for m in box.messages("INBOX")) == ["Once more", "While locked"]
        assert CANARY in box.run("read", box.messages("INBOX")[0]["id"]).decode()
    finally:
        world.dovecot.start()


def test_microsoft_graph_tells_of_it(box, world):
    """Graph names the mailbox and no UID: the device looks itself."""
    graph = Graph(world.instance, "box-graph", "0fc0d6db-0073-42e5-a186-853da75fb308")
    world.instance.coffer("mailbox", "remove", box.address)
    world.instance.coffer("mailbox", "add", box.address, "--graph", "box-graph",
                          "--subscription", graph.subscription)
    lock(box)
    world.arrive(box, "From the cloud", hook=False)
    graph.say(graph.message())
    wait_used(box, 1)
    assert box.status()["waiting"] == 0
    box.unlock()
    assert [m["subject"] for m in box.messages("INBOX")] == ["From the cloud"]


def test_each_unlock_leaves_another_key(box, world):
    first = leases(box)[box.address]["epoch"]
    lock(box)
    box.unlock()
    instances.wait_for(lambda: leases(box)[box.address]["epoch"], lambda e: e > first, box.log())
    lock(box)
    world.arrive(box, "With the new one")
    wait_used(box, 1)


def leases(box):
    answer = box.world.instance.http("GET", "/push/v1/leases", headers={
        "Authorization": "Bearer " + (box.files / "token").read_text().strip()})
    assert answer.status == 200, answer
    return {lease["account"]: lease for lease in answer.json()["leases"]}


def test_without_the_lease_mail_goes_where_nobody_reads_it(box, world):
    lock(box)
    path = f"/devices/{box.device.udid}/leases/{box.address}"
    world.instance.api("DELETE", path, expect=204)
    world.arrive(box, "No lease")
    box.wait_waiting(1)
    assert box.status()["lease_used"] == 0
    box.unlock()
    box.wait_subject("No lease")


def test_hook_is_lost_doubled_and_late(box, world):
    lock(box)
    world.arrive(box, "Lost", hook=False)
    world.arrive(box, "Told")
    wait_used(box, 1)
    world.hook.mail(box.address, box.uid)  # once more
    world.hook.mail(box.address, 1)        # and late
    box.unlock()
    assert sorted(m["subject"] for m in box.messages("INBOX")) == ["Lost", "Told"]


def test_wipe_ends_the_lease(box):
    assert leases(box)[box.address]["state"] == "active"
    token = box.files / "token"
    assert token.exists()
    box.run("wipe", "--yes")
    assert box.agent.wait(instances.PATIENCE) == 0
    assert leases(box)[box.address]["state"] == "revoked"
    box.agent = None


def test_wipe_ends_the_lease_after_a_restart_of_the_agent_too(box):
    box.stop()
    box.start()
    box.unlock()
    box.run("lock", "--now")
    box.run("wipe", "--yes")
    assert box.agent.wait(instances.PATIENCE) == 0
    assert leases(box)[box.address]["state"] == "revoked"
    box.agent = None


def test_a_thief_of_the_disk_learns_nothing(box, world):
    """A copy of the locked device's disk; then the same with what the server gave out by a lease that
    has been renewed since: together they open nothing."""
    world.arrive(box, "Before the theft")
    box.wait_subject("Before the theft")
    lock(box)
    copy = box.files / "stolen"
    shutil.copytree(box.dir, copy, ignore=shutil.ignore_patterns("*.sock"))
    stolen = disk_of(copy)
    for trace in (CANARY.encode(), b"Before the theft", b"mail-password",
                  (box.files / "token").read_bytes().strip()):
        assert trace not in stolen
    # another device with the copy: it has no passcode, and its own tries run out
    thief = Mailbox(box.files, world.dovecot, box.address)
    thief.dir = copy
    thief.start()
    try:
        thief.run("list", status=4)
        thief.unlock("wrong one", status=4)
    finally:
        thief.kill()


def test_a_thief_of_the_server_learns_nothing(box, world):
    world.arrive(box, "Not for the server")
    box.wait_subject("Not for the server")
    lock(box)
    world.arrive(box, "Neither")
    wait_used(box, 1)
    for path, data in files_below(world.instance.directory).items():
        for trace in (CANARY.encode(), b"Not for the server", b"Neither", b"oscar@example.com"):
            assert trace not in data, path
