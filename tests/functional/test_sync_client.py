"""`coffer sync` through the real programs: devices of two people, a folder each, one service."""

import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import threading

import pytest

from helpers import instance as instances
from helpers.instance import PATIENCE, program
from helpers.sync_client import person

ANNA, BERT = "anna@example.org", "bert@example.org"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    yield from instances.running(tmp_path_factory.mktemp("service"), {"sync": {"enabled": "yes"}})


class Device:
    """A device's home and folder, and the command line on it."""

    def __init__(self, service, place, name, email, token):
        self.service, self.name, self.email = service, name, email
        self.home, self.folder = place / f"{name}-home", place / name
        self.folder.mkdir()
        self.token = place / f"{name}-token"
        self.token.write_text(token)
        self.token.chmod(0o600)

    def arguments(self, *words):
        return [program("coffer"), "sync", *words, "--home", str(self.home), "--json"]

    def person_options(self):
        return ["--server", self.service.url, "--token-file", str(self.token),
                "--ca", str(self.service.directory) + "/public/root.pem"]

    def run(self, *words, status=0, env=None):
        done = subprocess.run(self.arguments(*words), capture_output=True, text=True, timeout=PATIENCE,
                              env={**os.environ, **(env or {})})
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done

    def call(self, *words):
        out = self.run(*words).stdout
        return json.loads(out) if out.strip() else {}

    def init(self):
        self.region = self.call("init", self.email, "--name", self.name, *self.person_options())["region"]
        return self

    def join(self, other, role=None, wrong_first=False):
        """Asks to join `other`'s region, which compares the digits and approves."""
        joining = subprocess.Popen(
            self.arguments("join", self.email, other.region, "--name", self.name, *self.person_options()),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert "coffer sync approve" in joining.stderr.readline()
            # The digits show once the other device has answered; it then waits for them.
            digits = []
            reader = threading.Thread(target=lambda: digits.append(joining.stderr.readline()))
            reader.start()
            approving = subprocess.Popen(
                other.arguments("approve", *(["--role", role] if role else [])),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            refused = approving.communicate(timeout=PATIENCE)
            reader.join(PATIENCE)
            assert approving.returncode == 4, refused  # nobody is there to compare
            shown = re.search(r"Digits: (\d{3}-\d{3}-\d{3})", refused[1]).group(1)
            mine = re.search(r"Digits: (\d{3}-\d{3}-\d{3})", digits[0]).group(1)
            assert shown == mine
            if wrong_first:
                other.run("approve", "--digits", "000-000-000", status=4)
            other.run("approve", "--digits", mine, *(["--role", role] if role else []))
            out, err = joining.communicate(timeout=PATIENCE)
            assert joining.returncode == 0, (out, err)
        finally:
            joining.kill()
            joining.wait()
        self.region = other.region
        return self

    def sync(self, *words):
        return self.call("run", str(self.folder), "--once", *words)

    def write(self, path, content):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def tree(self):
        found = {}
        for path in self.folder.rglob("*"):
            name = str(path.relative_to(self.folder))
            if name.startswith(".coffer-sync"):
                continue
            if path.is_symlink():
                found[name] = ("link", os.readlink(path))
            elif path.is_dir():
                found[name] = "folder"
            else:
                found[name] = path.read_bytes()
        return found


@pytest.fixture(scope="module")
def people(service):
    return {email: person(service, email) for email in (ANNA, BERT)}


@pytest.fixture
def devices(service, people, tmp_path):
    """Anna's two devices."""
    laptop = Device(service, tmp_path, "laptop", ANNA, people[ANNA]).init()
    desktop = Device(service, tmp_path, "desktop", ANNA, people[ANNA]).join(laptop)
    return laptop, desktop


def test_a_device_that_joined_keeps_the_chain_that_the_digits_covered(devices):
    """Before it asks for anything else, so that nobody who was revoked can show it another one."""
    laptop, desktop = devices
    state = sqlite3.connect(desktop.home / "state.db")
    rows = state.execute("SELECT value FROM local_state WHERE kind = 2 ORDER BY name").fetchall()
    state.close()
    assert [hashlib.sha256(value).hexdigest() for value, in rows] == [laptop.region]


def test_a_new_device_begins_without_a_folder_and_sees_who_can_read(service, people, tmp_path):
    """Nothing there yet is no error; a folder that was synced and is gone is."""
    device = Device(service, tmp_path, "first", ANNA, people[ANNA]).init()
    device.folder.rmdir()
    device.sync()
    assert device.folder.is_dir() and device.folder.stat().st_mode & 0o077 == 0
    (row,) = device.call("who")["devices"]
    assert (row["person"], row["state"], row["this"]) == (ANNA, "active", True)
    shutil.rmtree(device.folder)
    assert "mounted" in device.run("run", str(device.folder), "--once", status=3).stderr
    assert not device.folder.exists()


def test_looking_while_a_run_is_at_work_mixes_no_trees(devices):
    """A run that holds an older tree, and a status that writes a newer one: neither spoils the other's."""
    laptop, desktop = devices
    for i in range(900):
        laptop.write(f"d/{i}", f"old {i}")
    laptop.sync(), desktop.sync()
    for i in range(900):
        laptop.write(f"d/{i}", f"newer {i}")
    laptop.sync()
    running = subprocess.Popen(desktop.arguments("run", str(desktop.folder), "--once"),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    last = desktop.folder / "d"
    while running.poll() is None and sum(e.stat().st_size > 7 for e in os.scandir(last)) < 600:
        pass
    running.send_signal(signal.SIGSTOP)
    for i in range(900):
        laptop.write(f"d/{i}", f"newest {i}")
    laptop.sync()
    desktop.call("status")
    running.send_signal(signal.SIGCONT)
    out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, (out, err)
    desktop.sync(), laptop.sync(), desktop.sync()
    assert laptop.tree() == desktop.tree()
    assert laptop.tree()["d/899"] == b"newest 899" and len(laptop.tree()) == 901


def test_three_devices_of_two_people_come_to_one_tree(service, people, tmp_path, devices):
    laptop, desktop = devices
    bert = Device(service, tmp_path, "bert", BERT, people[BERT]).join(laptop, "write", wrong_first=True)
    listed = laptop.call("devices")["devices"]
    assert [(d["name"], d["role"], d["state"]) for d in listed] == [
        ("laptop", "manage", "active"), ("desktop", "manage", "active"), ("bert", "write", "active")]
    laptop.write("report.txt", "one")
    laptop.write("deep/er/data.bin", os.urandom(3 * MIB))
    laptop.write("deep/empty", b"")
    os.symlink("report.txt", laptop.folder / "link")
    os.chmod(laptop.folder / "report.txt", 0o640)
    (laptop.folder / "hollow").mkdir()
    done = laptop.sync()
    assert (done["uploaded"], done["commits"], done["conflicts"]) == (3, 1, 0)
    for device in (desktop, bert):
        assert device.sync()["downloaded"] == 3
        assert device.tree() == laptop.tree()
        ours, theirs = (device.folder / "report.txt").stat(), (laptop.folder / "report.txt").stat()
        assert (ours.st_mode, ours.st_mtime_ns) == (theirs.st_mode, theirs.st_mtime_ns)
    bert.write("from-bert", "hello")
    bert.write("report.txt", "two!")
    assert bert.sync()["uploaded"] == 2
    os.remove(desktop.folder / "deep/empty")
    desktop.sync()
    for device in (laptop, bert, desktop):
        device.sync()
    assert laptop.tree() == desktop.tree() == bert.tree()
    assert laptop.tree()["report.txt"] == b"two!" and "deep/empty" not in laptop.tree()


def test_nothing_new_is_one_request(devices):
    laptop, _ = devices
    for i in range(300):
        laptop.write(f"d{i % 7}/{i}", f"content {i}")
    assert laptop.sync()["uploaded"] == 300
    done = laptop.sync()
    assert done["requests"] == 1 and done["commits"] == done["uploaded"] == 0


def test_both_edit_one_file_and_nothing_is_lost(devices):
    laptop, desktop = devices
    laptop.write("plan.txt", "first")
    laptop.sync()
    desktop.sync()
    laptop.write("plan.txt", "from the laptop")
    desktop.write("plan.txt", "from the desktop!")
    laptop.sync()
    assert desktop.sync()["conflicts"] == 1
    laptop.sync()
    assert laptop.tree() == desktop.tree()
    copies = [name for name in laptop.tree() if "(conflict, desktop, " in name]
    assert len(copies) == 1 and copies[0].endswith(").txt")
    assert laptop.tree()["plan.txt"] == b"from the laptop"
    assert laptop.tree()[copies[0]] == b"from the desktop!"


def test_an_edit_beats_a_delete(devices):
    laptop, desktop = devices
    laptop.write("a/kept", "old")
    laptop.write("a/gone", "old")
    laptop.sync()
    desktop.sync()
    for name in ("kept", "gone"):
        os.remove(laptop.folder / "a" / name)
    (laptop.folder / "a").rmdir()
    desktop.write("a/kept", "new and longer")
    laptop.sync()
    desktop.sync()
    laptop.sync()
    assert laptop.tree() == desktop.tree() == {"a": "folder", "a/kept": b"new and longer"}


def test_a_big_folder_is_renamed_by_one_small_write(devices):
    laptop, desktop = devices
    for i in range(600):
        laptop.write(f"photos/{i // 50}/{i}.jpg", f"picture {i}" * 20)
    laptop.sync()
    desktop.sync()
    os.rename(laptop.folder / "photos", laptop.folder / "pictures")
    done = laptop.sync()
    assert (done["uploaded"], done["commits"], done["bytes_up"]) == (0, 1, 0)
    done = desktop.sync()
    assert (done["downloaded"], done["moved"]) == (0, 1)
    assert laptop.tree() == desktop.tree() and len(laptop.tree()) == 613


def test_the_brake_stops_a_mass_deletion(devices):
    laptop, desktop = devices
    for i in range(60):
        laptop.write(f"f{i}", f"content {i}")
    laptop.sync()
    desktop.sync()
    for i in range(40):
        os.remove(laptop.folder / f"f{i}")
    stopped = laptop.run("run", "--once", status=4)
    assert json.loads(stopped.stdout)["alarm"] == "brake" and "--release-brake" in stopped.stderr
    assert len(desktop.tree()) == 60 and desktop.sync()["removed_here"] == 0
    assert laptop.sync("--release-brake")["removed_there"] == 40
    assert desktop.run("run", "--once", status=4).returncode == 4
    assert desktop.sync("--release-brake")["removed_here"] == 40
    assert len(desktop.tree()) == 20


def test_a_folder_that_vanished_is_not_an_empty_one(devices):
    laptop, desktop = devices
    laptop.write("file", "content")
    laptop.sync()
    laptop.folder.rename(laptop.folder.with_name("elsewhere"))
    laptop.folder.mkdir()
    stopped = laptop.run("run", "--once", status=4)
    assert json.loads(stopped.stdout)["alarm"] == "vanished"
    laptop.folder.rmdir()
    laptop.folder.with_name("elsewhere").rename(laptop.folder)
    laptop.sync()
    desktop.sync()
    assert desktop.tree() == {"file": b"content"}


def test_large_and_sparse_files_come_over_whole(devices):
    laptop, desktop = devices
    content = os.urandom(21 * MIB + 17)
    laptop.write("big", content)
    with open(laptop.folder / "sparse", "wb") as f:
        f.truncate(40 * MIB)
        f.seek(20 * MIB)
        f.write(b"in the middle")
    laptop.sync()
    desktop.sync()
    assert desktop.tree() == laptop.tree()
    assert (desktop.folder / "sparse").stat().st_blocks * 512 < 4 * MIB
    laptop.run("get", "big", str(laptop.home / "copy"))
    assert (laptop.home / "copy").read_bytes() == content
    listed = {e["path"]: e for e in laptop.call("ls")["entries"]}
    assert listed["big"]["size"] == len(content) and listed["big"]["here"]
    files = laptop.call("status", "--files")
    assert files["wanted"] == 1 and {f["replicas"] for f in files["files"]} == {1}


def test_a_device_that_was_revoked_is_out(devices):
    laptop, desktop = devices
    laptop.write("before", "shared")
    laptop.sync()
    desktop.sync()
    laptop.run("revoke", "desktop")
    laptop.write("after", "not for the desktop")
    laptop.sync()
    stopped = desktop.run("run", "--once", status=4)
    assert json.loads(stopped.stdout)["alarm"] == "revoked"
    assert desktop.tree() == {"before": b"shared"}


def test_ignored_files_stay_here(devices):
    laptop, desktop = devices
    laptop.write(".coffer-ignore", "*.tmp\nbuild/\n/only/here\n")
    for path in ("a.tmp", "a.txt", "build/out", "only/here", "only/there"):
        laptop.write(path, path)
    laptop.sync()
    desktop.sync()
    assert sorted(n for n, c in desktop.tree().items() if c != "folder") == [".coffer-ignore", "a.txt", "only/there"]


def test_a_folder_that_keeps_ignored_files_is_left_in_peace(devices):
    laptop, desktop = devices
    laptop.write(".coffer-ignore", "*.tmp\n")
    laptop.write("a/file", "a")
    laptop.sync()
    desktop.sync()
    desktop.write("a/here.tmp", "mine")
    os.remove(laptop.folder / "a/file")
    (laptop.folder / "a").rmdir()
    laptop.sync()
    done = desktop.sync()
    assert done["again"] is False and done["removed_here"] == 1
    assert desktop.tree()["a/here.tmp"] == b"mine" and "a/file" not in desktop.tree()


def edit_unseen(path, content):
    """As programs do that keep a file's time: containers, `rsync --inplace -t`."""
    before = path.stat()
    with open(path, "r+b") as file:
        file.write(content)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_edit_that_keeps_size_and_time_is_not_lost(devices):
    laptop, desktop = devices
    laptop.write("box", b"1111")
    laptop.write("other", b"5555")
    laptop.sync()
    desktop.sync()
    edit_unseen(desktop.folder / "box", b"2222")
    assert desktop.sync()["uploaded"] == 1
    laptop.sync()
    assert laptop.tree()["box"] == b"2222"
    edit_unseen(laptop.folder / "box", b"3333")
    desktop.write("box", b"44444")
    desktop.sync()
    assert laptop.sync()["conflicts"] == 1
    assert sorted(laptop.tree().values()) == [b"3333", b"44444", b"5555"]
    # Names and modes touch a file too: neither sends it again.
    (laptop.folder / "other").rename(laptop.folder / "another")
    (laptop.folder / "another").chmod(0o600)
    assert laptop.sync()["uploaded"] == 0
    (laptop.folder / "another").chmod(0o640)
    assert laptop.sync()["uploaded"] == 0
    desktop.sync()
    done = desktop.sync()
    assert done["uploaded"] == done["commits"] == 0
    assert laptop.tree() == desktop.tree()


def test_a_part_of_the_region_can_be_chosen(devices):
    laptop, desktop = devices
    for path in ("work/a", "work/deep/b", "photos/c"):
        laptop.write(path, path)
    laptop.sync()
    desktop.sync("--only", "work")
    assert sorted(n for n, c in desktop.tree().items() if c != "folder") == ["work/a", "work/deep/b"]
    desktop.write("work/new", "new")
    desktop.sync("--only", "work")
    laptop.sync()
    assert laptop.tree()["work/new"] == b"new" and laptop.tree()["photos/c"] == b"photos/c"


def test_a_killed_client_goes_on(devices):
    laptop, desktop = devices
    for i in range(400):
        laptop.write(f"many/{i}", os.urandom(3000))
    laptop.write("big", os.urandom(12 * MIB))
    delay = 0.02
    for device in (laptop, desktop):
        for _ in range(6):
            running = subprocess.Popen(device.arguments("run", str(device.folder), "--once"),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                running.wait(delay)
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGKILL)
                running.wait()
            delay *= 1.6
        device.sync()
        delay = 0.02
    laptop.sync()
    assert laptop.tree() == desktop.tree()
    assert not any("conflict" in name for name in desktop.tree())


def test_run_follows_both_sides_until_it_is_told_to_end(devices):
    laptop, desktop = devices
    running = [subprocess.Popen(d.arguments("run", str(d.folder)), stdout=subprocess.PIPE, text=True)
               for d in (laptop, desktop)]
    try:
        laptop.write("live/file", "hello")
        instances.wait_for(lambda: desktop.tree().get("live/file"), lambda c: c == b"hello", "the file to come")
        desktop.write("live/answer", "hello too")
        instances.wait_for(lambda: laptop.tree().get("live/answer"), lambda c: c == b"hello too", "the answer")
        for process in running:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
    finally:
        for process in running:
            process.kill()
            process.communicate()


def test_the_folder_may_be_moved(devices):
    laptop, desktop = devices
    laptop.write("a", "text")
    laptop.sync()
    elsewhere = laptop.folder.parent / "elsewhere"
    elsewhere.mkdir()
    assert "another --home" in laptop.run("run", str(elsewhere), "--once", status=2).stderr
    elsewhere.rmdir()
    laptop.folder.rename(elsewhere)
    laptop.folder = elsewhere
    said = laptop.sync()
    assert said["uploaded"] == said["removed_there"] == said["commits"] == 0
    laptop.write("b", "more")
    laptop.sync(), desktop.sync()
    assert desktop.tree() == laptop.tree() == {"a": b"text", "b": b"more"}
    # A copy is another folder, also when the first one is away: what came since would be undone.
    backup = laptop.folder.parent / "backup"
    shutil.copytree(laptop.folder, backup, symlinks=True)
    laptop.write("b", "edited since")
    laptop.write("c", "made since")
    laptop.sync()
    away = laptop.folder.rename(laptop.folder.parent / "away")
    assert "another --home" in laptop.run("run", str(backup), "--once", status=2).stderr
    away.rename(laptop.folder)
    assert laptop.sync()["commits"] == 0
    desktop.sync()
    assert desktop.tree() == {"a": b"text", "b": b"edited since", "c": b"made since"}
