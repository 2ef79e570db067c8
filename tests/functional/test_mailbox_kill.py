"""coffer-mailbox's agent killed at each change of the disk while it unlocks, merges, locks, changes the
passcode and takes mail in: whatever the last one was, no mail is lost or doubled, a passcode opens, no
try is given back, and no key or mail lies on the disk in clear."""

import subprocess

import keybag_open
import pytest

from helpers import instance as instances
from helpers.dovecot import Mailbox
from helpers.imap_script import ImapScript
from helpers.kill import STRIDE, KillAt
from helpers.mailbox_keys import keys_of

CANARY = "The vault opens at nine."


class Story:
    def __init__(self, path):
        self.server = ImapScript({b"INBOX": {}})
        self.inbox = self.server.folders[b"INBOX"]
        self.box = Mailbox(path, None, "anna@example.org").init(where=self.server.where())
        self.keys = {key for name, key in keys_of(self.box).items() if name != "passcode" and name != "kek"}
        self.tries = self.tries_counted()

    def start(self):
        self.box.start()
        return self

    def arrive(self, count=2):
        for _ in range(count):
            number = max(self.inbox, default=0) + 1
            self.inbox[number] = f"From: o@example.com\r\nSubject: Number {number}\r\n\r\n{CANARY}\r\n".encode()

    def wait_waiting(self):
        """Until all that came while it was locked is taken in."""
        self.box.run("sync")
        self.box.wait_waiting(2)

    def tries_counted(self):
        return keybag_open.parse_device((self.box.dir / "device.key").read_bytes())[1]

    def killed(self, number, *command):
        """A command whose agent is killed at the numberth change of the disk; whether it was before it
        was done. The agent is gone afterwards in any case."""
        killer = KillAt(self.box.agent.pid, number)
        done = subprocess.run([instances.program("coffer-mailbox"), "--dir", self.box.dir, *map(str, command)],
                              capture_output=True, timeout=instances.PATIENCE)
        assert done.returncode in (0, 1), done
        if done.returncode:
            assert killer.last().startswith("killed "), (done, self.box.log())
        else:
            killer.let_go()
        self.box.kill()
        return done.returncode != 0

    def check_disk(self):
        disk = b"".join(p.read_bytes() for p in self.box.dir.rglob("*") if p.is_file())
        assert not [secret for secret in (*self.keys, CANARY.encode(), b"mail-password") if secret in disk]
        tries = self.tries_counted()
        assert tries >= self.tries
        self.tries = tries

    def check_mail(self):
        """All of it, once."""
        wanted = sorted(f"Number {number}" for number in self.inbox)

        def look():
            return sorted(m["subject"] for m in self.box.messages())
        instances.wait_for(look, lambda found: found == wanted, self.box.log())
        assert self.box.status()["waiting"] == 0 and self.box.status()["tries_left"] == 10

    def close(self):
        if self.box.agent and self.box.agent.poll() is None:
            self.box.kill()
        self.server.close()


@pytest.fixture
def story(tmp_path):
    made = Story(tmp_path)
    yield made
    made.close()


def each(at_least, kill_one, stride=STRIDE):
    """Kills at each change of the disk in turn, until one is done before it comes to that."""
    number = 1
    while kill_one(number):
        number += stride
    assert number > at_least, number


def test_it_is_killed_while_it_unlocks_and_merges(story):
    box = story.start().box
    box.unlock()

    def kill_one(number):
        if not box.agent:
            story.start()
            box.unlock()
        box.run("lock", "--now")
        story.arrive()
        story.wait_waiting()
        before = story.killed(number, "unlock", "--passcode-file", box.secret(box.passcode, "typed"))
        story.check_disk()
        story.start()
        assert box.status()["state"] == "locked since start"
        box.unlock()
        story.check_mail()
        return before
    each(60, kill_one)


def test_it_is_killed_while_it_locks(story):
    box = story.box

    def kill_one(number):
        story.start()
        box.unlock()
        story.arrive(1)
        box.run("sync")
        story.check_mail()
        before = story.killed(number, "lock", "--now")
        story.check_disk()
        story.start()
        assert b"locked" in box.run("list", status=4)
        box.unlock()
        story.check_mail()
        box.kill()
        return before
    each(1, kill_one, stride=max(1, STRIDE // 2))


def test_it_is_killed_while_the_passcode_is_changed(story):
    box = story.box
    passcodes = ["correct horse", "battery staple"]

    def kill_one(number):
        story.start()
        box.unlock()
        old, new = passcodes
        before = story.killed(number, "passcode", "--passcode-file", box.secret(old, "old"), "--new-passcode-file",
                              box.secret(new, "new"))
        story.check_disk()
        story.start()
        done = subprocess.run([instances.program("coffer-mailbox"), "--dir", box.dir, "unlock", "--passcode-file",
                               box.secret(new, "new")], capture_output=True, timeout=instances.PATIENCE)
        assert before or done.returncode == 0  # what was told to be done is
        if done.returncode == 0:
            passcodes.reverse()
            box.run("lock", "--now")
            box.unlock(old, status=4)  # one of them, never both
        box.passcode = passcodes[0]
        box.unlock()
        story.check_disk()
        story.check_mail()
        box.kill()
        return before
    story.arrive(1)
    each(8, kill_one)


def test_it_is_killed_while_it_takes_mail_in(story):
    box = story.start().box
    box.unlock()

    def kill_one(number):
        if not box.agent:
            story.start()
            box.unlock()
        box.run("lock", "--now")
        story.arrive()
        killer = KillAt(box.agent.pid, number)
        done = subprocess.run([instances.program("coffer-mailbox"), "--dir", box.dir, "sync"], capture_output=True,
                              timeout=instances.PATIENCE)
        assert done.returncode in (0, 1), done

        def over():
            return killer.ended() or len(list((box.dir / "inbox").glob("*.mail"))) == 2
        instances.wait_for(over, bool, box.log())
        before = killer.ended()
        if not before:
            killer.let_go()
        box.kill()
        story.check_disk()
        story.start()
        box.unlock()
        story.check_mail()
        return before
    each(8, kill_one)
