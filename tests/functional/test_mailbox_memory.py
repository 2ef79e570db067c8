"""What stands in the memory of coffer-mailbox when its mailbox is locked or wiped: no mail and no key."""

import os

import pytest

from helpers import instance as instances
from helpers import proc
from helpers.imap_script import ImapScript, Silent
from helpers.mailbox_keys import keys_of
from helpers.screen import Screen
from test_mailbox_hostile import boxes, closing, mail, running  # noqa: F401 - fixtures
from test_mailbox_tui import World

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="a program's memory is read by root alone"),
              pytest.mark.skipif(bool(instances.SANITIZER), reason="sanitizers keep what is freed")]
TEXTS = {b"The vault at nine", b"I sign what I send", b"Hello from Ben", b"Old things", b"line one"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("memory"))
    yield made
    made.close()


def test_nothing_of_a_mail_is_in_the_memory_of_a_locked_mailbox(world):
    box, ids = world.box, world.ids
    for command in (("read", ids["Closed"]), ("read", ids["Hello from Ben"]), ("list",), ("search", "sign"),
                    ("read", ids["Hello from Ben"], "--raw"), ("list", "Archive")):
        box.run(*command)
    box.run("reply", ids["Closed"], "--quote", stdin=b"When?\n")
    screen = Screen([instances.program("coffer-mailbox"), "--dir", str(box.dir)])
    try:
        screen.wait("Closed")
        at = [m["subject"] for m in box.messages("INBOX")].index("Closed")
        screen.type("\x1b[H" + "j" * at + "\r")
        screen.wait("The vault at nine.")
        assert proc.remembers(screen.process.pid, TEXTS)  # or it is looked for in the wrong place
        instances.wait_for(lambda: box.messages("Sent"), bool, box.log())
        keys = keys_of(box)
        del keys["class C"], keys["passcode"]  # the one stays, the other is in no memory
        assert proc.remembers(box.agent.pid, keys.values())
        box.run("lock", "--now")
        screen.wait("Press u to unlock.")
        assert proc.remembers(screen.process.pid, TEXTS) == set()
        assert proc.remembers(box.agent.pid, {*keys.values(), b"correct horse"}) == set()
        # What was being fetched ends within a second.
        instances.wait_for(lambda: proc.remembers(box.agent.pid, TEXTS), lambda found: not found, "the agent")
    finally:
        screen.close()
        box.unlock()


def test_a_wiped_mailbox_is_gone_from_memory_before_the_server_has_answered(boxes, closing, tmp_path):  # noqa: F811
    """Also where the wipe comes while the server is being asked for something else."""
    server, silent = closing(ImapScript({b"INBOX": {1: mail("First")}})), closing(Silent())
    token = tmp_path / "token"
    token.write_text("cfd_something\n")
    os.chmod(token, 0o600)
    box = boxes.make(server, "--server", f"https://127.0.0.1:{silent.port}", "--device-token-file", token)
    box.unlock()
    assert silent.reached.wait(instances.PATIENCE)  # a lease is being left
    keys = keys_of(box)
    silent.reached.clear()
    wiping = running(box, "wipe", "--yes")
    assert silent.reached.wait(instances.PATIENCE)  # it is to be ended
    assert proc.remembers(box.agent.pid, {*keys.values(), b"mail-password"}) == set()
    assert not [name for name in proc.descriptors(box.agent.pid).values() if "mail.db" in name]
    assert wiping.poll() is None
    silent.close()
    assert b"could not be told" in wiping.communicate(timeout=instances.PATIENCE)[0]
    assert box.agent.wait(instances.PATIENCE) == 0


def test_a_wipe_that_fails_leaves_nothing_open(boxes, closing):  # noqa: F811
    box = boxes.make(closing(ImapScript({b"INBOX": {1: mail("First")}})))
    box.unlock()
    box.wait_subject("First")
    keys = keys_of(box)
    (box.dir / "device.key").unlink()
    (box.dir / "device.key").mkdir()  # which the wipe can't remove, as with a TPM that is away
    assert b"device.key" in box.run("wipe", "--yes", status=1)
    assert b"locked" in box.run("list", status=4)
    assert box.status()["state"] == "destroyed"
    assert proc.remembers(box.agent.pid, keys.values()) == set()
    assert not [name for name in proc.descriptors(box.agent.pid).values() if "mail.db" in name]
    (box.dir / "device.key").rmdir()
    box.run("wipe", "--yes")
    assert box.agent.wait(instances.PATIENCE) == 0 and list(box.dir.iterdir()) == []
