"""coffer-mailbox and servers that are silent, odd or liars; and what a person gets wrong first."""

import os
import shutil
import subprocess

import pytest

from helpers import instance as instances
from helpers.dovecot import PASSWORD, Mailbox
from helpers.imap_script import ImapScript, Silent

ADDRESS = "anna@example.org"
DRAFT = b"From: anna@example.org\r\nTo: ben@example.org\r\nSubject: Plans\r\n\r\nAt nine.\r\n"


def mail(subject, size=0):
    return (f"From: oscar@example.com\r\nSubject: {subject}\r\n\r\n" + "x" * size + "\r\n").encode()


@pytest.fixture
def closing():
    """What is to be closed, the last first."""
    things = []
    yield lambda thing: things.append(thing) or thing
    for thing in reversed(things):
        thing.close()


class Boxes:
    def __init__(self, path):
        self.path, self.boxes = path, []

    def make(self, server, *args, name="one"):
        (self.path / name).mkdir()
        box = Mailbox(self.path / name, None, ADDRESS)
        self.boxes.append(box)
        box.init(*args, where=server.where())
        return box.start()

    def close(self):
        for box in self.boxes:
            if box.agent and box.agent.poll() is None:
                box.kill()


@pytest.fixture
def boxes(tmp_path, closing):
    return closing(Boxes(tmp_path))


def running(box, *args, stdin=None):
    """A command whose end is not waited for."""
    process = subprocess.Popen([instances.program("coffer-mailbox"), "--dir", box.dir, *map(str, args)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if stdin is not None:
        process.stdin.write(stdin)
    process.stdin.close()
    process.stdin = None
    return process


def test_one_odd_folder_keeps_no_other_away(boxes, closing):
    server = closing(ImapScript({b"INBOX": {1: mail("First")}, b"Caf\xe9": {1: mail("Odd")},
                                 b"Lost": {1: mail("Lost")}, b"Work": {1: mail("Last")}}))
    server.validity[b"Lost"] = 0
    box = boxes.make(server)
    box.unlock()
    box.wait_subject("Last", "Work")
    instances.wait_for(lambda: box.status().get("synced"), bool, box.log())
    assert "problem" not in box.status()
    assert [m["subject"] for m in box.messages()] == ["Last", "First"]
    box.run("lock", "--now")  # and what it knows of INBOX is not fetched twice
    server.folders[b"INBOX"][2] = mail("Second")
    box.run("sync")
    box.wait_waiting(1)


def test_a_server_that_lies_about_uids_gets_nothing_twice_or_beyond(boxes, closing):
    state = {"lies": False}

    def odd(verb, rest):
        if not state["lies"] or verb != b"UID" or not rest.startswith(b"SEARCH"):
            return None
        return [b"* SEARCH 4294967295 1 1 0 2 2 4294967295"]
    server = closing(ImapScript({b"INBOX": {1: mail("First")}}, odd))
    box = boxes.make(server)
    box.unlock()
    box.wait_subject("First")
    state["lies"] = True
    server.folders[b"INBOX"][2] = mail("Second")
    box.run("sync")
    box.wait_subject("Second")
    assert [m["subject"] for m in box.messages()] == ["Second", "First"]


def test_unreadable_mail_of_the_locked_time_is_fetched_again(boxes, closing):
    server = closing(ImapScript({b"INBOX": {1: mail("First")}}))
    box = boxes.make(server)
    box.unlock()
    box.wait_subject("First")
    instances.wait_for(lambda: box.status().get("synced"), bool, box.log())
    box.run("lock", "--now")
    server.folders[b"INBOX"][2] = mail("Second")
    box.run("sync")
    box.wait_waiting(1)
    item, = (box.dir / "inbox").glob("*.mail")
    server.folders[b"INBOX"][3] = mail("Third")
    box.run("sync")
    box.wait_waiting(2)
    data = bytearray(item.read_bytes())
    data[-1] ^= 1
    item.write_bytes(data)
    box.unlock()
    box.wait_subject("Second")
    assert sorted(m["subject"] for m in box.messages()) == ["First", "Second", "Third"]
    instances.wait_for(lambda: len(list((box.dir / "inbox").glob("*.kept"))), bool, box.log())
    assert box.status()["waiting"] == 0 and len(list((box.dir / "inbox").iterdir())) == 1


def test_unreadable_mail_is_fetched_again_also_after_a_kill(boxes, closing):
    state = {"away": False}

    def odd(verb, rest):
        if state["away"] and verb == b"SELECT":
            raise OSError("away")
    server = closing(ImapScript({b"INBOX": {1: mail("First")}}, odd))
    box = boxes.make(server)
    box.unlock()
    box.wait_subject("First")
    box.run("lock", "--now")
    server.folders[b"INBOX"][2] = mail("Second")
    box.run("sync")
    box.wait_waiting(1)
    item, = (box.dir / "inbox").glob("*.mail")
    server.folders[b"INBOX"][3] = mail("Third")
    box.run("sync")
    box.wait_waiting(2)
    item.write_bytes(item.read_bytes()[:-1])
    state["away"] = True
    box.unlock()
    instances.wait_for(lambda: box.status().get("problem"), bool, box.log())
    assert [m["subject"] for m in box.messages()] == ["Third", "First"]
    box.kill()
    state["away"] = False
    box.start()
    box.unlock()
    box.wait_subject("Second")


def test_silent_mail_server_holds_up_neither_lock_nor_wipe(boxes, closing):
    server, silent = closing(ImapScript({b"INBOX": {}})), closing(Silent())
    box = boxes.make(server, "--smtp", f"smtp://127.0.0.1:{silent.port}")
    box.unlock()
    sending = running(box, "send", stdin=DRAFT)
    assert silent.reached.wait(instances.PATIENCE)
    assert box.status()["state"] == "unlocked"  # answered meanwhile
    assert sending.poll() is None
    box.run("lock", "--now")
    said = sending.communicate(timeout=instances.PATIENCE)[1]
    assert sending.returncode != 0 and b"not waited for any more" in said
    assert box.status()["state"] == "locked"
    assert b"locked" in box.run("list", status=4)


def test_silent_service_holds_up_neither_lock_nor_the_end_of_keys(boxes, closing, tmp_path):
    server, silent = closing(ImapScript({b"INBOX": {}})), closing(Silent())
    token = tmp_path / "token"
    token.write_text("cfd_something\n")
    os.chmod(token, 0o600)
    box = boxes.make(server, "--server", f"https://127.0.0.1:{silent.port}", "--device-token-file",
                     token)
    box.unlock()
    assert silent.reached.wait(instances.PATIENCE)
    box.run("lock", "--now")
    instances.wait_for(lambda: "aborted" in box.log(), bool, box.log())
    assert box.status()["state"] == "locked"
    silent.reached.clear()
    wiping = running(box, "wipe", "--yes")
    assert silent.reached.wait(instances.PATIENCE)  # the service is asked ...
    assert wiping.poll() is None
    assert not (box.dir / "keybag").exists() and not (box.dir / "device.key").exists()
    silent.close()
    said = wiping.communicate(timeout=instances.PATIENCE)[0]
    assert wiping.returncode == 0 and b"could not be told" in said
    assert box.agent.wait(instances.PATIENCE) == 0
    assert list(box.dir.iterdir()) == []


def make_p12(path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path / "key",
                    "-out", path / "cert", "-days", "30", "-subj", "/CN=Anna"], check=True,
                   capture_output=True)
    subprocess.run(["openssl", "pkcs12", "-export", "-inkey", path / "key", "-in", path / "cert",
                    "-passout", "pass:right", "-out", path / "anna.p12"], check=True)
    return path / "anna.p12"


def init(box, *args, status=0):
    return box.run("init", "--address", ADDRESS, "--password-file", box.secret(PASSWORD, "password"),
                   "--passcode-file", box.secret(box.passcode, "passcode"), "--without-tpm", "--imap",
                   "localhost:1", "--tls", "none", *args, status=status)


def test_failed_or_broken_off_init_can_be_repeated(tmp_path):
    box = Mailbox(tmp_path, None, ADDRESS)
    key = make_p12(tmp_path)
    mine = box.dir / "mine.txt"
    init(box, "--key", key, "--passphrase-file", box.secret("wrong", "phrase"), status=5)
    box.passcode = "short"
    init(box, status=2)
    assert not box.dir.exists() or list(box.dir.iterdir()) == []
    box.passcode = "correct horse"
    init(box, "--key", key, "--passphrase-file", box.secret("right", "phrase"))
    assert b"there is a mailbox" in init(box, status=1)
    mine.write_text("not the mailbox's\n")
    for gone in (["account.json"], ["account.json", "keybag", "mail.db"], ["keybag"]):
        for name in gone:  # killed at some time, or destroyed by wrong passcodes
            (box.dir / name).unlink()
        init(box)
    assert mine.exists()
    box.dovecot = None
    box.start()
    try:
        (box.dir / "account.json").unlink()
        assert b"an agent serves" in init(box, status=1)
    finally:
        box.kill()


@pytest.mark.parametrize("name", ["inbox/1", "inbox", "secrets", "mail.db"])
def test_init_touches_nothing_in_a_directory_that_is_somebody_elses(tmp_path, name):
    """~/Mail/inbox/1 is a mail of who uses MH."""
    box = Mailbox(tmp_path, None, ADDRESS)
    mine = box.dir / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine\n")
    assert b"no mailbox's" in init(box, status=1)
    assert mine.read_text() == "mine\n" and len(list(box.dir.iterdir())) == 1


def test_wipe_and_init_leave_other_files_in_the_inbox(tmp_path):
    box = Mailbox(tmp_path, None, ADDRESS)
    init(box)
    mine = box.dir / "inbox" / "1"
    mine.write_text("mine\n")
    for name in ("00" * 16 + ".mail", "00" * 16 + ".mail.bad", "00" * 16 + ".mail.new"):
        (box.dir / "inbox" / name).write_bytes(b"an item")
    (box.dir / "keybag").unlink()
    init(box)
    assert list(mine.parent.iterdir()) == [mine]
    box.start()
    box.run("wipe", "--yes")
    box.agent.wait(instances.PATIENCE)
    assert list(mine.parent.iterdir()) == [mine] and list(box.dir.iterdir()) == [mine.parent]


def test_ten_wrong_passcodes_end_it_and_a_new_one_can_be_made(boxes, closing):
    """An old keybag in the place of the present one has no tries left: the device's count goes on."""
    server = closing(ImapScript({b"INBOX": {1: mail("First")}}))
    box = boxes.make(server)
    box.stop()
    shutil.copy(box.dir / "keybag", box.files / "old")
    box.start()
    for _ in range(10):
        box.unlock()
    box.wait_subject("First")
    box.stop()
    shutil.copy(box.files / "old", box.dir / "keybag")
    box.start()
    assert b"destroyed" in box.unlock(status=4)
    assert box.status()["state"] == "destroyed"
    assert not (box.dir / "keybag").exists() and not (box.dir / "device.key").exists()
    box.stop()
    box.init(where=server.where()).start()
    box.unlock()
    box.wait_subject("First")


def test_wipe_without_an_unlock_says_that_the_lease_may_stay(boxes, closing, tmp_path):
    server = closing(ImapScript({b"INBOX": {}}))
    token = tmp_path / "token"
    token.write_text("cfd_something\n")
    os.chmod(token, 0o600)
    box = boxes.make(server, "--server", "https://127.0.0.1:1", "--device-token-file", token)
    assert b"could not be told" in box.run("wipe", "--yes")
    assert box.agent.wait(instances.PATIENCE) == 0
    assert list(box.dir.iterdir()) == []
