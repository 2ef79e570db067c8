"""The encrypted mailbox of a device: coffer-mailbox with a real Dovecot."""

import imaplib
import os
import socket
import subprocess
import threading

import keybag_open
import pytest

from helpers import instance as instances
from helpers.mail import NextHop
from helpers.dovecot import PASSWORD, Dovecot, Mailbox
from helpers.proc import disk_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="Dovecot changes to its own users")
CANARY = "The vault opens at nine."


@pytest.fixture(scope="module")
def dovecot():
    made = Dovecot()
    yield made
    made.close()


_names = iter(range(10**6))


@pytest.fixture
def fresh(dovecot, tmp_path):
    """Makes a mailbox of an address of its own; stops what was started."""
    made = []

    def make(*args, **options):
        number = next(_names)
        (tmp_path / str(number)).mkdir()
        box = Mailbox(tmp_path / str(number), dovecot, f"anna{number}@example.org")
        made.append(box)
        return box.init(*args, **options)

    yield make
    for box in made:
        if box.agent and box.agent.poll() is None:
            box.kill()


@pytest.fixture(scope="module")
def box(dovecot, tmp_path_factory):
    """One that is unlocked; for tests that leave it so."""
    made = Mailbox(tmp_path_factory.mktemp("box"), dovecot, "ben@example.org").init().start()
    made.unlock()
    yield made
    made.stop()


def mail(subject, text=CANARY, **more):
    lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in more.items())
    return (f"From: Oscar <oscar@example.com>\r\nTo: anna@example.org\r\nSubject: {subject}\r\n"
            f"Message-ID: <{subject.replace(' ', '.')}@example.com>\r\n"
            f"Date: Mon, 02 Nov 2026 10:00:00 +0000\r\n{lines}\r\n{text}\r\n").encode()


def imap(dovecot, address):
    client = imaplib.IMAP4("127.0.0.1", dovecot.imap)
    client.login(address, PASSWORD)
    client.select("INBOX")
    return client


def test_mail_comes_is_read_and_found(box, dovecot):
    dovecot.deliver(box.address, mail("Plans", "Grüße from the zoo.",
                                      Content_Type="text/plain; charset=utf-8"))
    number = box.wait_subject("Plans")["id"]
    text = box.run("read", number).decode()
    assert "Grüße from the zoo." in text and "Not signed." in text
    assert [m["id"] for m in box.json("search", "gruße", "ZOO")["messages"]] == [number]
    assert [m["id"] for m in box.json("search", "oscar", "pla")["messages"]] == [number]
    assert box.json("search", "giraffe")["messages"] == []
    assert box.json("search", '"zoo* OR (NEAR')["messages"] == []
    assert b"Grusse" not in box.run("read", number, "--raw")
    box.run("read", "999999", status=3)


def test_changes_on_the_server_come_too(box, dovecot):
    for subject in ("Kept", "Gone"):
        dovecot.deliver(box.address, mail(subject))
        box.wait_subject(subject)
    client = imap(dovecot, box.address)
    for subject, flag in (("Kept", r"\Seen"), ("Gone", r"\Deleted")):
        uid = client.uid("SEARCH", "SUBJECT", subject)[1][0].split()[-1].decode()
        client.uid("STORE", uid, "+FLAGS", flag)
    client.expunge()
    client.logout()
    box.run("sync")

    def look():
        return {m["subject"]: m["seen"] for m in box.messages("INBOX")}
    found = instances.wait_for(look, lambda f: f.get("Kept") and "Gone" not in f, box.log())
    assert found["Kept"] is True


def test_spam_is_moved(box, dovecot):
    dovecot.deliver(box.address, mail("Win a prize"))
    number = box.wait_subject("Win a prize")["id"]

    def report():
        done = subprocess.run([instances.program("coffer-mailbox"), "--dir", box.dir, "report-spam",
                               str(number)], capture_output=True, timeout=instances.PATIENCE)
        assert done.returncode in (0, 4), done.stderr  # 4: just fetching
        return done.returncode == 0
    instances.wait_for(report, bool, "moving")
    box.wait_subject("Win a prize", "Junk")
    assert "Win a prize" not in [m["subject"] for m in box.messages("INBOX")]


class Dripping:
    """An IMAP server whose answer to SELECT never ends."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.drips, self.over = threading.Event(), threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                link = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._talk, args=(link,), daemon=True).start()

    def _talk(self, link):
        try:
            lines = link.makefile("rb")
            link.sendall(b"* OK ready\r\n")
            for line in lines:
                tag, _, rest = line.decode().strip().partition(" ")
                if rest.startswith("LOGIN"):
                    link.sendall(b"+ go on\r\n")
                    lines.readline()
                if rest.startswith("SELECT"):
                    self.drips.set()
                while self.drips.is_set() and not self.over.wait(0.05):
                    link.sendall(b"* OK wait\r\n")
                link.sendall(f"{tag} OK done\r\n".encode())
        except OSError:
            pass

    def stop(self):
        self.over.set()
        self.listener.close()


def test_a_server_that_never_ends_its_answer_does_not_hold_up_the_lock(fresh):
    server = Dripping()
    box = fresh(where=("--imap", f"localhost:{server.listener.getsockname()[1]}", "--tls",
                       "none")).start()
    try:
        box.unlock()
        assert server.drips.wait(instances.PATIENCE)
        assert box.run("list") == b""
        server.drips.clear()
        box.run("lock", "--now")
        assert box.status()["state"] == "locked"
        assert b"locked" in box.run("list", status=4)
        box.unlock()
        assert server.drips.wait(instances.PATIENCE)
        box.run("lock")
        instances.wait_for(lambda: box.status()["state"], lambda s: s == "locked", box.log())
        box.stop()
    finally:
        server.stop()


def test_locked_mail_is_taken_in_and_nothing_can_be_read(fresh, dovecot):
    box = fresh().start()
    assert box.status()["state"] == "locked since start"
    box.run("list", status=4)
    box.unlock()
    dovecot.deliver(box.address, mail("First", CANARY + " 1"))
    box.wait_subject("First")
    instances.wait_for(lambda: box.status()["idle"], bool, box.log())
    box.run("lock", "--now")
    assert box.status()["state"] == "locked"
    for command in (("list",), ("read", "1"), ("search", "vault"), ("folders",)):
        assert b"locked" in box.run(*command, status=4)
    dovecot.deliver(box.address, mail("Second", CANARY + " 2"))
    box.wait_waiting(1)
    disk = disk_of(box.dir)
    for trace in (b"vault opens", b"Second", b"First", PASSWORD.encode(), b"oscar@example.com"):
        assert trace not in disk
    box.unlock()
    message = box.wait_subject("Second")
    assert CANARY + " 2" in box.run("read", message["id"]).decode()
    assert box.status()["waiting"] == 0
    assert [m["subject"] for m in box.messages("INBOX")] == ["Second", "First"]
    box.stop()


def test_each_unlock_has_a_new_epoch_and_the_grace_ends_by_itself(fresh):
    box = fresh().start()
    box.unlock()
    first = box.status()["epoch"]
    box.run("lock")
    assert box.status()["state"] == "locking"
    box.unlock()
    assert box.status()["epoch"] == first + 1
    before = (box.dir / "box.key").read_bytes()
    box.run("lock", "--now")
    box.unlock()
    assert (box.dir / "box.key").read_bytes() != before


def test_wrong_passcodes_are_counted_over_kills_and_the_tenth_destroys(fresh):
    box = fresh().start()
    for left in (9, 8, 7, 6):
        assert f"{left} tries".encode() in box.unlock("wrong one", status=4)
        box.kill()
        box.start()
    box.unlock("wrong one", status=4)
    assert b"wait" in box.unlock(status=4)  # not even the right one, for a minute
    assert 0 < box.status()["wait_seconds"] <= 60
    box.stop()


def test_passcode_is_changed_and_the_old_one_is_over(fresh):
    box = fresh().start()
    box.unlock()
    box.run("passcode", "--passcode-file", box.secret(box.passcode, "old"), "--new-passcode-file",
            box.secret("battery staple", "new"))
    box.kill()
    box.start()
    box.unlock(status=4)
    box.unlock("battery staple")
    keys = keybag_open.open_bag((box.dir / "keybag").read_bytes(),
                                (box.dir / "device.key").read_bytes(), b"battery staple")
    assert sorted(keys) == list("ABCD")
    box.stop()


def test_kill_at_any_time_loses_and_doubles_nothing(fresh, dovecot):
    box = fresh().start()
    box.unlock()
    wanted = []
    for number in range(4):
        subject = f"Number {number}"
        wanted.append(subject)
        if number % 2:
            instances.wait_for(lambda: box.status()["idle"], bool, box.log())
            box.run("lock", "--now")
        dovecot.deliver(box.address, mail(subject))
        box.kill()
        box.start()
        box.unlock()
    for subject in wanted:
        box.wait_subject(subject)
    assert sorted(m["subject"] for m in box.messages("INBOX")) == wanted
    box.stop()


def test_smime_stays_closed_on_disk_and_is_opened_to_be_shown(fresh, dovecot, tmp_path):
    pem, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pem, "-out",
                    cert, "-days", "30", "-subj", "/CN=Anna", "-addext",
                    "subjectAltName=email:anna@example.org"], check=True, capture_output=True)
    both = tmp_path / "both.pem"
    both.write_bytes(pem.read_bytes() + cert.read_bytes())
    os.chmod(both, 0o600)
    box = fresh("--key", both).start()
    box.unlock()
    closed = subprocess.run(
        ["openssl", "cms", "-encrypt", "-aes-256-cbc", "-from", "oscar@example.com", "-to",
         "anna@example.org", "-subject", "Closed", cert],
        input=b"Content-Type: text/plain\r\n\r\n" + CANARY.encode(), check=True,
        capture_output=True).stdout
    dovecot.deliver(box.address, closed)
    message = box.wait_subject("Closed")
    assert message["encrypted"]
    text = box.run("read", message["id"]).decode()
    assert CANARY in text and "Encrypted." in text
    assert box.json("search", "vault")["messages"] == []
    assert CANARY.encode() not in box.run("read", message["id"], "--raw")
    # another mailbox without the key
    other = fresh().start()
    other.unlock()
    dovecot.deliver(other.address, closed)
    number = other.wait_subject("Closed")["id"]
    assert b"not here" in subprocess.run(
        [instances.program("coffer-mailbox"), "--dir", other.dir, "read", str(number)],
        capture_output=True).stdout


def test_tls_is_checked(fresh, dovecot):
    box = fresh("--ca", dovecot.dir / "tls.pem",
                where=("--imap", f"localhost:{dovecot.imaps}")).start()
    box.unlock()
    dovecot.deliver(box.address, mail("By TLS"))
    box.wait_subject("By TLS")
    start = fresh("--ca", dovecot.dir / "tls.pem",
                  where=("--imap", f"localhost:{dovecot.imap}", "--tls", "starttls")).start()
    start.unlock()
    instances.wait_for(lambda: start.status()["idle"], bool, start.log())
    liar = fresh(where=("--imap", f"localhost:{dovecot.imaps}")).start()
    liar.unlock()
    problem = instances.wait_for(lambda: liar.status().get("problem"), bool, liar.log())
    assert "certificate" in problem or "verif" in problem


def test_server_away_and_back(fresh, dovecot):
    box = fresh().start()
    box.unlock()
    instances.wait_for(lambda: box.status()["idle"], bool, box.log())
    dovecot.stop()
    instances.wait_for(lambda: box.status().get("problem"), bool, box.log())
    dovecot.start()
    dovecot.deliver(box.address, mail("Back"))
    box.run("sync")  # else in its own time
    box.wait_subject("Back")


def test_send_locks_for_all_or_does_not_send(fresh, dovecot, tmp_path):
    hop = NextHop()
    try:
        files = {}
        for who in ("anna", "ben"):
            files[who] = tmp_path / f"{who}.key", tmp_path / f"{who}.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
                            files[who][0], "-out", files[who][1], "-days", "30", "-subj", f"/CN={who}",
                            "-addext", f"subjectAltName=email:{who}@example.org", "-addext",
                            "basicConstraints=CA:false"], check=True, capture_output=True)
        both = tmp_path / "both.pem"
        both.write_bytes(files["anna"][0].read_bytes() + files["anna"][1].read_bytes())
        os.chmod(both, 0o600)
        box = fresh("--key", both, "--smtp", f"smtp://127.0.0.1:{hop.port}").start()
        draft = (b"From: anna@example.org\r\nTo: Ben <ben@example.org>\r\nSubject: Our plans\r\n"
                 b"\r\n" + CANARY.encode() + b"\r\n")
        box.run("send", stdin=draft, status=4)  # locked
        box.unlock()
        instances.wait_for(lambda: box.status()["idle"], bool, box.log())
        refused = box.run("send", "--certificate", files["anna"][1], stdin=draft, status=4)
        assert b"no certificate for ben@example.org" in refused and not hop.taken
        box.run("send", "--certificate", files["ben"][1], status=2, stdin=draft.replace(
            b"Subject", b"Bcc: oscar@example.com\r\nSubject"))
        said = box.run("send", "--sign", "--certificate", files["ben"][1], stdin=draft)
        assert b"sent to 1, encrypted" in said
        sent = hop.wait(1)[0]
        assert sent.recipients == ["ben@example.org"]
        assert CANARY.encode() not in sent.data and b"Our plans" not in sent.data
        opened = subprocess.run(["openssl", "cms", "-decrypt", "-recip", files["ben"][1], "-inkey",
                                 files["ben"][0]], input=sent.data, capture_output=True, check=True)
        assert CANARY.encode() in opened.stdout and b"Our plans" in opened.stdout
        copy = instances.wait_for(lambda: box.messages("Sent"), bool, box.log())[0]
        shown = box.run("read", copy["id"]).decode()
        assert CANARY in shown and "Our plans" in shown and "Encrypted." in shown
        hidden = draft.replace(b"Subject", b"Bcc: oscar@example.com\r\nSubject")
        box.run("send", stdin=hidden)
        plain = hop.wait(3)
        assert [t.recipients for t in plain[1:]] == [["ben@example.org"], ["oscar@example.com"]]
        assert b"Bcc" not in plain[1].data and b"oscar" not in plain[1].data
    finally:
        hop.close()


def test_wipe_leaves_nothing(fresh, dovecot):
    box = fresh().start()
    box.unlock()
    dovecot.deliver(box.address, mail("Soon gone"))
    box.wait_subject("Soon gone")
    copy = disk_of(box.dir)
    box.run("wipe", status=4)  # nobody to ask
    box.run("wipe", "--yes")
    assert box.agent.wait(instances.PATIENCE) == 0
    assert list(box.dir.iterdir()) == []
    assert b"Soon gone" not in copy
    box.agent = None
