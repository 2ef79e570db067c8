"""coffer mail reencrypt: old mail to the current key, killed at any moment, on a full disk."""

import json
import mailbox
import os
import resource
import shutil
import signal
import subprocess
import time

import pytest

from test_mail import COFFER, EC, MESSAGE, People, coffer, openssl

LEFT = 6
MESSAGES = 40


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    made = People(tmp_path_factory.mktemp("reencrypt-people"))
    made.add("old", address="alice@example.org")
    made.add("older", address="alice@example.org")
    made.add("new", kind=EC, address="alice@example.org")
    made.add("foreign")
    return made


def keys(people):
    return [a for n in ("older", "old", "new") for a in ("--key", people.dir / f"{n}.pem")]


def command(people, *args, to="new"):
    return [COFFER, "mail", "reencrypt", *map(str, [*keys(people), "--to", people.crt(to), *args])]


def run(people, *args, to="new", status=0):
    return json.loads(coffer(*command(people, *args, "--json", to=to)[1:], status=status))


def maildir(folder, people, count=MESSAGES):
    made = folder / "Maildir"
    for sub in ("cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp"):
        (made / sub).mkdir(parents=True)
    old = coffer("mail", "encrypt", "--to", people.crt("old"), stdin=MESSAGE)
    for i in range(count):
        place = made / ("cur", "new", ".Sent/cur")[i % 3] / (f"{1000 + i}.M1P2.host" + (":2,FS" if i % 3 != 1 else ""))
        place.write_bytes(old)
        os.utime(place, (1000000000 + i, 1000000000 + i))
    return made


def files(folder):
    return {str(p.relative_to(folder)): p.stat() for p in sorted(folder.rglob("*"))
            if p.is_file() and not p.name.startswith(".coffer-reencrypt")}


def all_open(people, path, count):
    """Every message opens: those still of the old key by it, the others by the new one."""
    before = run(people, path, "--dry-run")
    after = run(people, path, "--dry-run", to="old")
    assert before["reencrypted"] + before["current"] == count and not before["left"]
    assert after["reencrypted"] == before["current"] and after["current"] == before["reencrypted"]
    return before["current"]


def test_reencrypt__keeps_names_flags_times_and_content(people, tmp_path):
    made = maildir(tmp_path, people, 6)
    (made / "cur" / "5000.plain:2,").write_bytes(MESSAGE)
    signed = coffer("mail", "sign", "--key", people.dir / "old.pem", stdin=MESSAGE)
    (made / "cur" / "5001.signed:2,").write_bytes(coffer("mail", "encrypt", "--to", people.crt("older"), stdin=signed))
    (made / "cur" / "5002.foreign:2,").write_bytes(coffer("mail", "encrypt", "--to", people.crt("foreign"), stdin=MESSAGE))
    (made / "cur" / "5003.cut:2,").write_bytes((made / "new" / "1001.M1P2.host").read_bytes()[:900])
    by_ski = openssl("cms", "-encrypt", "-keyid", "-aes-256-cbc", people.crt("old"), stdin=MESSAGE)
    (made / "new" / "5004.ski").write_bytes(by_ski)
    was = {name: (st.st_mode, st.st_mtime_ns) for name, st in files(made).items()}
    bytes_were = {n: (made / n).read_bytes() for n in was}
    said = run(people, made, status=LEFT)
    assert (said["reencrypted"], said["current"], said["plain"]) == (8, 0, 1)
    left = {os.path.basename(one["path"]): one["reason"] for one in said["left"]}
    assert set(left) == {"5002.foreign:2,", "5003.cut:2,"} and "not encrypted to any key" in left["5002.foreign:2,"]
    assert {name: (st.st_mode, st.st_mtime_ns) for name, st in files(made).items()} == was
    for name in ("cur/5000.plain:2,", "cur/5002.foreign:2,", "cur/5003.cut:2,"):
        assert (made / name).read_bytes() == bytes_were[name]
    new = ("--key", people.dir / "new.pem")
    inside = coffer("mail", "decrypt", *new, made / "cur" / "1000.M1P2.host:2,FS")
    assert inside == coffer("mail", "decrypt", "--key", people.dir / "old.pem",
                            stdin=bytes_were["cur/1000.M1P2.host:2,FS"])
    verdict = json.loads(coffer("mail", "verify", *new, "--root", people.root, "--json", made / "cur" / "5001.signed:2,"))
    assert verdict["status"] == "good"  # the signature inside is as it was
    # OpenSSL opens them too.
    assert b"Gr" in openssl("cms", "-decrypt", "-inkey", people.dir / "new.key", "-recip", people.crt("new"),
                            "-in", made / "cur" / "1000.M1P2.host:2,FS")
    assert run(people, made, status=LEFT)["current"] == 8
    coffer("mail", "decrypt", "--key", people.dir / "old.pem", made / "cur" / "1000.M1P2.host:2,FS", status=3)


def test_reencrypt__names_what_still_needs_an_old_key(people, tmp_path):
    """An envelope below a signature or among parts stays, and its key must not be thrown away."""
    made = maildir(tmp_path, people, 0)
    sealed = {who: coffer("mail", "encrypt", "--to", people.crt(who), stdin=MESSAGE) for who in ("old", "new")}
    around = {"clear": coffer("mail", "sign", "--key", people.dir / "old.pem", stdin=sealed["old"]),
              "opaque": coffer("mail", "sign", "--opaque", "--key", people.dir / "old.pem", stdin=sealed["old"])}
    part = sealed["old"][sealed["old"].index(b"Content-Type: application/pkcs7-mime"):]
    around["parts"] = (b"From: eve@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=g\r\n\r\n"
                       b"--g\r\n\r\nhello\r\n--g\r\n" + part + b"\r\n--g--\r\n")
    (made / "cur" / "1.plain:2,").write_bytes(coffer("mail", "sign", "--key", people.dir / "old.pem", stdin=MESSAGE))
    (made / "cur" / "2.new:2,").write_bytes(coffer("mail", "sign", "--key", people.dir / "old.pem", stdin=sealed["new"]))
    assert run(people, made)["plain"] == 2
    for name, text in around.items():
        (made / "cur" / f"{name}:2,").write_bytes(text)
    said = run(people, made, status=LEFT)
    assert (said["reencrypted"], said["current"], said["plain"]) == (0, 0, 2)
    left = {os.path.basename(one["path"]): one["reason"] for one in said["left"]}
    assert set(left) == {f"{name}:2," for name in around}
    assert "signed around" in left["clear:2,"] and "signed around" in left["opaque:2,"] and "parts" in left["parts:2,"]
    for name, text in around.items():
        assert (made / "cur" / f"{name}:2,").read_bytes() == text


def test_reencrypt__mailbox_files(people, tmp_path):
    path = tmp_path / "Archive"
    box = mailbox.mbox(path)
    old = coffer("mail", "encrypt", "--to", people.crt("old"), stdin=MESSAGE)
    for i in range(5):
        box.add(old if i != 2 else MESSAGE)
    box.flush()
    box.close()
    (tmp_path / "Archive.msf").write_text("// not mail\n")
    (tmp_path / "one.eml").write_bytes(old)
    subjects = [m["Subject"] for m in mailbox.mbox(path)]
    said = run(people, tmp_path)
    assert (said["reencrypted"], said["plain"], said["left"]) == (5, 1, [])
    assert [m["Subject"] for m in mailbox.mbox(path)] == subjects
    for i, message in enumerate(mailbox.mbox(path)):
        if i != 2:
            assert b"AAECAwQ=" in coffer("mail", "decrypt", "--key", people.dir / "new.pem", stdin=message.as_bytes())
    assert run(people, path)["current"] == 4
    assert not list(tmp_path.glob("Archive*.lock"))
    (tmp_path / "Archive.lock").write_text("")  # a mail server is at it
    assert "locked by another program" in subprocess.run(
        command(people, path), capture_output=True, text=True, check=False).stderr


def test_reencrypt__needs_the_new_key(people, tmp_path):
    made = maildir(tmp_path, people, 1)
    done = subprocess.run([COFFER, "mail", "reencrypt", "--key", people.dir / "old.pem", "--to",
                           people.crt("new"), made], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "must be among --key" in done.stderr
    assert all_open(people, made, 1) == 0


def test_reencrypt__killed_at_any_moment_loses_nothing(people, tmp_path):
    made = maildir(tmp_path, people)
    box = mailbox.mbox(made / "box")
    for _ in range(5):
        box.add((made / "new" / "1001.M1P2.host").read_bytes())
    box.flush()
    box.close()
    names = set(files(made))
    count, kills, delay, done = MESSAGES + 5, 0, 0.004, 0
    while True:
        process = subprocess.Popen(command(people, made), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            process.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        complaint = process.stderr.read()
        process.stderr.close()
        now = all_open(people, made, count)
        assert now >= done  # never back
        done = now
        assert {n for n in files(made) if not n.endswith(".lock")} == names
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, complaint
        delay *= 1.3
    assert done == count and kills > 3
    assert not list(made.rglob(".coffer-reencrypt.[0-9]*"))


def test_reencrypt__full_disk_and_other_programs(people, tmp_path):
    made = maildir(tmp_path, people, 3)

    def no_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))

    done = subprocess.run(command(people, made), capture_output=True, text=True, check=False, preexec_fn=no_room)
    assert done.returncode == 1 and "run again to go on" in done.stderr
    assert all_open(people, made, 3) == 0
    assert not list(made.rglob(".coffer-reencrypt.[0-9]*"))
    # While one runs, another one doesn't.
    lock = made / ".coffer-reencrypt.lock"
    holder = subprocess.Popen(["flock", lock, "sleep", "60"]) if shutil.which("flock") else None
    if holder:
        try:
            until = time.monotonic() + 30
            while subprocess.run(["flock", "-n", lock, "true"], check=False).returncode == 0:
                assert time.monotonic() < until
            said = subprocess.run(command(people, made), capture_output=True, text=True, check=False)
            assert "being re-encrypted already" in said.stderr
        finally:
            holder.kill()
            holder.wait()
