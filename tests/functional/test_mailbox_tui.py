"""coffer-mailbox in a terminal: list, read, search, lock; replies with a lock for each recipient."""

import os
import signal
import subprocess

import pytest

from helpers import instance as instances
from helpers.dovecot import Mailbox
from helpers.imap_script import ImapScript
from helpers.mail import NextHop
from helpers.screen import Screen

ADDRESS = "anna@example.org"
HOSTILE = b"\x1b]0;pwned\x07\x1b[2J\xc2\x9b31m \xe2\x80\xaeevil"


def openssl(*args, **options):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, **options)


class Signers:
    """People whom one root vouches for; a certificate each to sign and to encrypt to."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path / "root.key", "-out",
                self.root, "-days", "30", "-subj", "/CN=Root", "-addext",
                "basicConstraints=critical,CA:true", "-addext", "keyUsage=keyCertSign")

    @property
    def root(self):
        return self.path / "root.pem"

    def make(self, name):
        at = self.path
        (at / "ext").write_text(
            f"subjectAltName=email:{name}@example.org\nextendedKeyUsage=emailProtection\n"
            "keyUsage=critical,digitalSignature,keyEncipherment\nbasicConstraints=CA:false\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", at / f"{name}.key", "-out",
                at / "csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", at / "csr", "-CA", self.root, "-CAkey", at / "root.key",
                "-CAcreateserial", "-days", "20", "-extfile", at / "ext", "-out", at / f"{name}.pem")
        both = at / f"{name}.both"
        both.write_bytes((at / f"{name}.key").read_bytes() + (at / f"{name}.pem").read_bytes())
        os.chmod(both, 0o600)
        return both

    def signed(self, name, subject, text, more=()):
        return openssl("cms", "-sign", "-signer", self.path / f"{name}.pem", "-inkey",
                       self.path / f"{name}.key", "-from", f"{name}@example.org", "-to", ADDRESS,
                       "-subject", subject, *more,
                       input=f"Content-Type: text/plain\r\n\r\n{text}\r\n".encode()).stdout

    def sealed(self, to, content):
        """Encrypted to `to`; the header of a message stays outside."""
        head, _, body = content.replace(b"\r\n", b"\n").partition(b"\n\n")
        outer = [line for line in head.split(b"\n") if line.split(b":")[0] in (b"From", b"To",
                                                                               b"Subject")]
        inner = [line for line in head.split(b"\n") if line not in outer]
        closed = openssl("cms", "-encrypt", "-aes-256-cbc", self.path / f"{to}.pem",
                         input=b"\n".join(inner) + b"\n\n" + body).stdout
        return b"\n".join(outer) + b"\n" + closed

    def opened(self, name, data):
        return openssl("cms", "-decrypt", "-recip", self.path / f"{name}.pem", "-inkey",
                       self.path / f"{name}.key", input=data).stdout


class World:
    def __init__(self, path):
        self.signers = Signers(path / "signers")
        both = self.signers.make("anna")
        self.signers.make("ben")
        ben = self.signers.signed("ben", "Hello from Ben", "I sign what I send.")
        self.server = ImapScript({b"INBOX": {
            1: b"From: carla@example.com\r\nTo: anna@example.org\r\nMessage-ID: <one@example.com>\r\n"
               b"Subject: " + HOSTILE + b"\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\n\r\nline one "
               + HOSTILE + b"\r\n",
            2: ben,
            3: self.signers.sealed("anna", self.signers.signed("ben", "Closed", "The vault at nine.")),
            4: self.signers.sealed("anna", b"From: ben@example.org\nTo: anna@example.org\n"
                                           b"Subject: Unsigned\nContent-Type: text/plain\n\n"
                                           b"The vault at ten.\n"),
        }, b"Archive": {1: b"From: x@example.com\r\nSubject: Old things\r\n\r\nOld.\r\n"}, b"Sent": {}})
        self.hop = NextHop()
        self.box = Mailbox(path, None, ADDRESS)
        self.box.init("--key", both, "--server-ca", self.signers.root, "--smtp",
                      f"smtp://127.0.0.1:{self.hop.port}", where=self.server.where())
        self.box.start()
        self.box.unlock()
        self.ids = {s: self.box.wait_subject(s)["id"]
                    for s in ("Hello from Ben", "Closed", "Unsigned")}
        self.box.run("read", self.ids["Hello from Ben"])  # from here on Ben's certificate is known

    def close(self):
        self.box.kill()
        self.server.close()
        self.hop.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("tui"))
    yield made
    made.close()


@pytest.fixture
def box(world):
    if world.box.status()["state"] != "unlocked":
        world.box.unlock()
    return world.box


@pytest.fixture
def screen(box):
    made = Screen([instances.program("coffer-mailbox"), "--dir", str(box.dir)])
    yield made
    made.close()


def quits(screen):
    screen.type("q")
    while screen.read():
        pass
    assert screen.process.wait(instances.PATIENCE) == 0
    assert screen.raw.endswith(b"\x1b[?25h\x1b[?1049l")


def test_mail_is_listed_read_and_found(screen):
    shown = screen.wait("Hello from Ben")
    assert "anna@example.org" in shown and "INBOX" in shown and "unlocked" in shown
    screen.type("/vault\r")
    screen.wait("Nothing here")  # it is encrypted
    screen.type("\x1b")
    screen.wait("Hello from Ben")
    screen.type("/hello ben\r")
    screen.wait("Unsigned", absent=True)
    screen.type("\r")
    shown = screen.wait("I sign what I send.")
    assert "Signed by the sender." in shown
    screen.type("q")
    screen.wait("search: hello ben")
    screen.type("\x1b")
    screen.wait("Unsigned")
    screen.type("f")
    screen.wait("Sent")
    screen.type("f")
    screen.wait("Old things")
    quits(screen)


def test_hostile_text_steers_nothing_and_any_size_will_do(screen):
    """Screen.read knows the sequences that may come, and takes no other."""
    screen.wait("Hello from Ben")
    screen.type("\x1b[F\r")
    shown = screen.wait("line one")
    assert "[2J" in shown and "31m" in shown and "\u202e" not in shown and "\x9b" not in shown
    for rows, cols in ((10, 30), (3, 10), (200, 300), (24, 80)):
        screen.resize(rows, cols)
        screen.wait("too small" if rows < 6 else "r reply  a reply all")
        assert rows < 6 or "r reply" in screen.rows[rows].decode()
    assert b"\x07" not in screen.raw
    screen.type("q")
    screen.wait("Closed")
    quits(screen)


def test_nothing_of_the_mail_stays_on_the_screen_of_a_locked_mailbox(screen, box):
    screen.wait("Hello from Ben")
    screen.type("l")
    shown = screen.wait("Press u to unlock.")
    assert "Ben" not in shown and "locked" in shown
    screen.type("uwrong one\r")
    screen.wait("wrong passcode")
    assert "wrong one" not in screen.raw.decode(errors="replace")
    screen.type("ucorrect horsex\x7f\r")
    screen.wait("Hello from Ben")
    screen.type("\r")
    screen.wait("r reply  a reply all")
    box.run("lock", "--now")  # by the screen locker
    screen.wait("Press u to unlock.")
    assert "horse" not in screen.raw.decode(errors="replace")
    quits(screen)


def test_a_signal_leaves_the_terminal_as_it_was(screen):
    screen.wait("Hello from Ben")
    screen.process.send_signal(signal.SIGTERM)
    while screen.read():
        pass
    assert screen.process.wait(instances.PATIENCE) == 0
    assert screen.raw.endswith(b"\x1b[?25h\x1b[?1049l")


def test_reply_in_the_terminal_shows_each_lock_and_is_encrypted(screen, world):
    before = len(world.hop.taken)
    screen.wait("Hello from Ben")
    screen.type("/hello\r")
    screen.wait("search: hello")
    screen.type("r")
    shown = screen.wait("Will be encrypted for everybody")
    assert "[locked] ben@example.org" in shown and "Re: Hello from Ben" in shown
    screen.type("Grüße\rfrom the zoo\x07\x13")
    screen.wait("sent to 1, encrypted")
    sent = world.hop.wait(before + 1)[-1]
    assert sent.recipients == ["ben@example.org"]
    assert b"zoo" not in sent.data and b"Hello from Ben" not in sent.data
    opened = world.signers.opened("ben", sent.data)
    assert b"multipart/signed" in opened or b"pkcs7-mime" in opened
    quits(screen)


def test_reply_to_one_without_a_certificate_says_that_it_goes_open(screen, world):
    screen.wait("Hello from Ben")
    screen.type("\x1b[Fr")
    shown = screen.wait("Will be sent open: not everybody")
    assert "[OPEN] carla@example.com" in shown
    screen.type("\x1b")
    screen.wait("Hello from Ben")
    quits(screen)


def test_who_can_read_it(world, box):
    known = box.run("who", "ben@example.org").decode()
    assert "ready" in known and "from signed mail" in known
    done = subprocess.run([instances.program("coffer-mailbox"), "--dir", box.dir, "who",
                           "ben@example.org", "carla@example.com"], capture_output=True)
    assert done.returncode == 4 and b"no-certificate" in done.stdout


def test_replies_from_the_command_line(world, box):
    def taken():
        return len(world.hop.taken)
    before = taken()
    said = box.run("reply", world.ids["Hello from Ben"], "--sign", "--quote", stdin="Grüße\n".encode())
    assert b"sent to 1, encrypted" in said
    data = world.hop.wait(before + 1)[-1].data
    assert b"I sign what I send" not in data and b"pkcs7" in world.signers.opened("ben", data)
    carla = [m for m in box.messages("INBOX") if "carla" in m["from"]][0]["id"]
    said = box.run("reply", carla, stdin=b"Hello Carla\n")
    assert b"sent to 1, not encrypted" in said
    plain = world.hop.wait(before + 2)[-1].data
    assert b"In-Reply-To:\r\n <one@example.com>" in plain
    assert b"\x1b" not in plain and b"pwned" not in plain.partition(b"\r\n\r\n")[0]


def text_of(world, name, data):
    """What `name` reads."""
    opened = world.signers.opened(name, data).replace(b"\r", b"")
    return subprocess.run(["openssl", "base64", "-d"], capture_output=True,
                          input=opened.rpartition(b"\n\n")[2]).stdout


def test_an_encrypted_message_is_answered_encrypted_or_not_at_all(world, box):
    before = len(world.hop.taken)
    world.server.folders[b"INBOX"][5] = world.signers.sealed(
        "anna", b"From: carla@example.com\nTo: anna@example.org\nSubject: Carla closed\n"
                b"Content-Type: text/plain\n\nThe vault at eleven.\n")
    box.run("sync")
    carla = box.wait_subject("Carla closed")["id"]
    refused = box.run("reply", carla, stdin=b"yes\n", status=4)
    assert b"no certificate for carla@example.com" in refused and len(world.hop.taken) == before
    box.run("reply", carla, "--plain", "--quote", stdin=b"yes\n")
    data = world.hop.wait(before + 1)[-1].data
    assert b"application/pkcs7" not in data
    assert len(data.partition(b"\r\n\r\n")[2].strip()) < 20  # nothing of the vault is quoted
    for subject, quoted in (("Closed", True), ("Unsigned", False)):
        before = len(world.hop.taken)
        box.run("reply", world.ids[subject], "--quote", stdin=b"yes\n")
        text = text_of(world, "ben", world.hop.wait(before + 1)[-1].data)
        assert b"yes" in text and (b"vault" in text) == quoted


def test_completion_is_the_one_that_is_installed(box):
    installed = instances.ROOT / "packaging/completion/coffer-mailbox.bash"
    assert box.run("completion") == installed.read_bytes()
    manual = (instances.ROOT / "docs/man/coffer-mailbox.1").read_text().replace("\\-", "-")
    for line in box.run("--help").decode().partition("Commands")[2].partition("Options")[0].split("\n")[1:]:
        assert not line.strip() or line.split()[0] in manual, line


def test_needs_a_terminal(box):
    assert b"needs a terminal" in box.run("tui", status=2)
    assert b"usage:" in box.run()


@pytest.mark.parametrize("field, option, to", [(b"Reply-To", (), {"ben"}), (b"Reply-To", ("--reply-to",), {"eve"}),
                                               (b"Cc", ("--all",), {"ben", "eve"})],
                         ids=["reply-to", "followed", "cc"])
def test_who_sends_on_a_signed_and_encrypted_message_is_quoted_nothing_of_it(world, box, field, option, to):
    """Header fields are outside of what is signed: Eve, a colleague, takes Ben's message to Anna."""
    signers, inbox = world.signers, world.server.folders[b"INBOX"]
    if not (signers.path / "eve.pem").exists():
        signers.make("eve")
        inbox[20] = signers.signed("eve", "Hello from Eve", "I am a colleague.")
        box.run("sync")
        box.run("read", box.wait_subject("Hello from Eve")["id"])
    subject = b"Sent on by " + field + b" to " + "".join(to).encode()
    closed = signers.sealed("anna", signers.signed("ben", "Closed", "The vault at nine."))
    inbox[max(inbox) + 1] = field + b": eve@example.org\n" + closed.replace(b"Closed", subject, 1)
    box.run("sync")
    sent_on = box.wait_subject(subject.decode())["id"]
    assert b"Signed by the sender. Encrypted." in box.run("read", sent_on)
    before = len(world.hop.taken)
    said = box.run("reply", sent_on, "--quote", *option, stdin=b"When?\n").decode()
    assert {name for name in ("ben", "eve") if f"\n  {name}@example.org\n" in said} == to
    assert ("Reply-To says eve@example.org, which is not signed" in said) == (to == {"ben"})
    taken = world.hop.wait(before + len(to))[before:]
    assert {sent.recipients[0].partition("@")[0] for sent in taken} == to
    for sent in taken:
        text = text_of(world, sent.recipients[0].partition("@")[0], sent.data)
        assert b"When?" in text and (b"vault" in text) == (to == {"ben"})


def chosen(screen, box, subject):
    """The list with that message chosen."""
    screen.wait(subject)
    at = [m["subject"] for m in box.messages("INBOX")].index(subject)
    screen.type("\x1b[H" + "j" * at)


def test_a_reply_is_kept_and_leaves_the_screen_when_the_mailbox_is_locked(world, box, screen):
    chosen(screen, box, "Closed")
    screen.type("r")
    screen.wait("Re: Closed")
    screen.type("Dear Ben")
    instances.wait_for(lambda: b"Dear Ben" in box.run("draft", world.ids["Closed"]), bool, box.log())
    box.run("lock", "--now")  # by the screen locker
    shown = screen.wait("Locked: your reply is kept")
    assert "Ben" not in shown and "Closed" not in shown and "ben@" not in shown
    screen.type("ucorrect horse\r")
    chosen(screen, box, "Closed")
    screen.type("r")
    shown = screen.wait("Dear Ben_")
    assert "This is what you began to write." in shown
    screen.type(", at nine.\x13")
    screen.wait("sent to 1, encrypted")
    assert b"Dear Ben, at nine." in text_of(world, "ben", world.hop.taken[-1].data)
    screen.wait("Hello from Ben")
    screen.type("r")
    screen.wait("Re: Closed")
    assert "Dear Ben" not in screen.text()
    screen.type("never mind")
    instances.wait_for(lambda: b"never" in box.run("draft", world.ids["Closed"]), bool, box.log())
    screen.type("\x1b")
    screen.wait("Enter read")
    assert b"never" not in box.run("draft", world.ids["Closed"])
    quits(screen)


def test_a_search_that_is_being_typed_ends_when_the_mailbox_is_locked(box, screen):
    screen.wait("Hello from Ben")
    screen.type("/the vault")
    screen.wait("Search: the vault")
    box.run("lock", "--now")
    shown = screen.wait("Press u to unlock.")
    assert "vault" not in shown
    quits(screen)


def test_all_recipients_of_a_reply_can_be_seen(world, box, screen):
    names = ", ".join(f"p{n}@example.com" for n in range(40))
    inbox = world.server.folders[b"INBOX"]
    inbox[max(inbox) + 1] = (f"From: carla@example.com\r\nTo: {names}\r\nReply-To: d@example.com\r\n"
                             "Subject: Many\r\n\r\nMany.\r\n").encode()
    box.run("sync")
    box.wait_subject("Many")
    chosen(screen, box, "Many")
    screen.type("a")
    shown = screen.wait("and 35 more (^L shows them)")
    assert "[OPEN] d@example.com" in shown and "p5@" not in shown  # not signed: as Reply-To says
    seen = set()
    for last in ("p24@example.com", "p39@example.com"):
        screen.type("\x0c")
        seen.update(row.split()[2] for row in screen.wait(last).splitlines() if row.startswith("To: "))
    assert seen == {f"p{n}@example.com" for n in range(5, 40)}
    screen.type("\x0c")
    screen.wait("Re: Many")
    screen.type("\x1b")
    screen.wait("Enter read")
    quits(screen)


def test_an_unsigned_reply_to_is_followed_only_by_a_key(world, box, screen):
    inbox = world.server.folders[b"INBOX"]
    inbox[max(inbox) + 1] = b"Reply-To: eve@example.org\n" + world.signers.signed("ben", "With Reply-To", "Hello.")
    box.run("sync")
    box.wait_subject("With Reply-To")
    chosen(screen, box, "With Reply-To")
    screen.type("r")
    shown = screen.wait("Reply-To, not signed: eve@example.org (^R answers there)")
    assert "[locked] ben@example.org" in shown
    screen.type("\x12")
    screen.wait("] eve@example.org")
    assert "ben@example.org" not in screen.text()
    screen.type("\x1b")
    screen.wait("Enter read")
    quits(screen)
