"""Leases that really end, with coffer-mailbox: copies of the disks of device and server, releases that come
too late, clocks that are set back, and a mail server that keeps the mailbox open."""

import os
import shutil
import signal
import sqlite3
import struct

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import keybag_open
from helpers import instance as instances
from helpers import proc
from helpers.arrival import Hook, Stream
from helpers.clock import HOUR, Clock
from helpers.dovecot import Dovecot, Mailbox
from helpers.lease_thief import ClockedServer, right_again, stolen_keys, wait_erased
from helpers.relay import Relay
from test_escrow_thieves import assert_nowhere, contents

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="Dovecot changes to its own users")


@pytest.fixture(scope="module")
def server(tmp_path_factory, factory):
    made = ClockedServer(tmp_path_factory.mktemp("ends"), factory)
    try:
        made.instance.start()
        yield made
        made.instance.stop()
    finally:
        made.instance.abandon()


@pytest.fixture(autouse=True)
def right_clock(request):
    """Each test begins with a clock that is right, whatever the one before did to it."""
    yield
    if "server" in request.fixturenames:
        right_again(request.getfixturevalue("server").clock)


class World:
    def __init__(self, server, files):
        self.server, self.files, self.number = server, files, 0
        self.dovecot = Dovecot()
        self.hook = Hook(server.instance, "ends-imap")

    def mailbox(self, hours, dovecot=None):
        self.number += 1
        address, instance = f"ends{self.number}@example.org", self.server.instance
        device = self.server.device(address)
        token = instance.api("POST", f"/devices/{device.udid}/token", expect=201).json()["token"]
        instance.api("POST", "/mailboxes", {"address": address, "hook": "ends-imap",
                                            "login": address}, expect=201)
        files = self.files / str(self.number)
        files.mkdir()
        box = Mailbox(files, dovecot or self.dovecot, address)
        box.clock, box.device, box.uid = Clock(files / "clock"), device, 0
        box.env = box.clock.env
        where = ("--imap", f"{dovecot.address}:{dovecot.imap}", "--tls", "none") if dovecot else None
        box.init("--server", instance.url, "--server-ca", instance.root, "--device-token-file",
                 box.secret(token, "token"), "--lease-hours", hours, where=where).start()
        box.unlock()
        instances.wait_for(lambda: box.status(), lambda s: s.get("lease_until") and s.get("synced"), box.log())
        return box

    def arrive(self, box, subject, lines=1):
        body = f"body of {subject}\r\n" * lines
        self.dovecot.deliver(box.address, f"Subject: {subject}\r\n\r\n{body}".encode())
        box.uid += 1
        self.hook.mail(box.address, box.uid)


@pytest.fixture(scope="module")
def world(server, tmp_path_factory):
    made = World(server, tmp_path_factory.mktemp("ends-boxes"))
    yield made
    made.dovecot.close()


@pytest.fixture
def box(world):
    made = world.mailbox(1)
    yield made
    if made.agent and made.agent.poll() is None:
        made.stop()


def lock(box):
    box.run("lock", "--now")
    instances.wait_for(lambda: box.status()["listening"], bool, box.log())


def memory_of_class_c(box, disk):
    """What a device that is on and locked has in memory, were it read out."""
    keys = keybag_open.open_bag((disk / "keybag").read_bytes(), (disk / "device.key").read_bytes(),
                                box.passcode.encode())
    bag = keybag_open.parse((disk / "keybag").read_bytes())
    return keys["C"], bag["id"]


def open_item(letter, key, bag_id, context, item):
    by = keybag_open.hkdf(bag_id, key, b"coffer/v1/keybag/items" + letter.encode())
    aad = keybag_open.text("coffer/v1/keybag/item") + bag_id + letter.encode() + keybag_open.text(context)
    return AESGCM(by).decrypt(item[:12], item[12:], aad)


def database_key(box, disk, kek):
    """docs/formats/mailbox.md: class C and a KEK give the database's key."""
    data = (disk / "box.key").read_bytes()
    assert data[:8] == b"COFBOXK1"
    n, = struct.unpack(">I", data[8:12])
    plain = open_item("C", *memory_of_class_c(box, disk), "mailbox/key", data[12:12 + n])
    epoch, sealed = plain[:8], plain[8:]
    return AESGCM(kek).decrypt(sealed[:12], sealed[12:],
                               keybag_open.text("coffer/v1/mailbox/database") + epoch)


def test_both_disks_after_the_expiry_open_nothing(world, server, box, tmp_path):
    """The device is on and locked, even class C is read out of its memory; and the whole server."""
    world.arrive(box, "While it was open")
    box.wait_subject("While it was open")
    lock(box)

    def steal(name):
        shutil.copytree(box.dir, tmp_path / f"{name}-disk", ignore=shutil.ignore_patterns("*.sock"))
        return tmp_path / f"{name}-disk", server.copy(tmp_path / f"{name}-server")
    disk, whole = steal("before")
    kek = stolen_keys(whole)[box.address]
    assert len(database_key(box, disk, kek)) == 32  # in time, and with both: they can
    sealed = sqlite3.connect(whole / "vault" / "vault.db").execute(
        "SELECT sealed FROM lease WHERE account = ?", (box.address,)).fetchone()[0]
    server.clock.set(HOUR + 1)
    wait_erased(server, sealed)
    disk, whole = steal("after")
    assert box.address not in stolen_keys(whole)
    assert_nowhere(contents(disk, whole), {"the key": kek})
    assert sealed[32:] not in b"".join(contents(disk, whole).values())
    for other in [os.urandom(32), *stolen_keys(whole).values()]:
        with pytest.raises(InvalidTag):
            database_key(box, disk, other)
    # the device goes on without: mail goes where nobody reads it
    world.arrive(box, "After its end")
    box.wait_waiting(1)
    assert box.status()["lease_used"] == 0
    disk = b"".join(contents(box.dir).values())
    assert b"After its end" not in disk
    right_again(server.clock)
    box.unlock()
    box.wait_subject("After its end")
    instances.wait_for(lambda: box.status().get("lease_until"), bool, box.log())
    lock(box)
    renewed, whole = steal("renewed")  # and what was in the former lease opens nothing of the next
    with pytest.raises(InvalidTag):
        database_key(box, renewed, kek)
    now = stolen_keys(whole).get(box.address)
    assert now is None or (now != kek and len(database_key(box, renewed, now)) == 32)


@pytest.mark.parametrize("back", [0, 2 * HOUR], ids=["clock-right", "clock-back"])
def test_a_release_that_comes_after_the_end_opens_nothing(world, box, back):
    """It was sent in time, and held up on the way; with a device whose clock somebody set back too."""
    lock(box)
    os.kill(box.agent.pid, signal.SIGSTOP)  # what comes waits before it
    try:
        token = (box.files / "token").read_text().strip()
        with Stream(world.server.instance, token, release=True) as seen:
            world.arrive(box, "Held up")
            assert "release" in seen.next()  # the other stream has it, too
        box.clock.pass_by(HOUR + 1)
        box.clock.set(-back)
    finally:
        os.kill(box.agent.pid, signal.SIGCONT)
    box.wait_waiting(1)
    assert box.status()["lease_used"] == 0
    assert "by a lease" not in box.log()


class Slow(Relay):
    """The way to a mail server that can be stopped."""

    address = "127.0.0.2"

    def __init__(self, dovecot):
        super().__init__(dovecot.imap, self.address)
        self.imap = dovecot.imap


def open_database(box):
    return any(str(box.dir / "mail.db") in to for to in proc.descriptors(box.agent.pid).values())


def test_a_lease_opens_the_mailbox_for_a_minute_at_most(world):
    slow = Slow(world.dovecot)
    box = world.mailbox(1, dovecot=slow)
    try:
        world.arrive(box, "First")
        box.wait_subject("First")
        lock(box)
        assert not open_database(box)
        for count in range(1, 4):
            slow.hold(down=100_000)  # in the middle of this one
            world.arrive(box, f"Held {count}", lines=20_000)
            assert slow.held.wait(instances.PATIENCE)
            if open_database(box):
                break
            slow.hold()  # a look that was on its way when it was locked took it, without a lease
            box.wait_waiting(count)
        assert open_database(box)
        box.clock.pass_by(61)
        instances.wait_for(lambda: open_database(box), lambda is_open: not is_open, box.log())
        slow.cut()
        box.run("sync")
        box.wait_waiting(count)
        box.unlock()
        box.wait_subject(f"Held {count}")
        box.stop()
    finally:
        slow.close()
        if box.agent:
            box.kill()
