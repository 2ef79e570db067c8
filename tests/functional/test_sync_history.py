"""`coffer sync put`, `mkdir`, `rm`, `history` and `restore` through the real programs."""

import concurrent.futures
import os
import shutil
import subprocess
import time

import pytest

from helpers import instance as instances
from helpers.instance import PATIENCE
from helpers.sync_client import person
from test_sync_client import ANNA, MIB, Device


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    yield from instances.running(tmp_path_factory.mktemp("service"), {"sync": {"enabled": "yes"}})


@pytest.fixture(scope="module")
def anna(service):
    return person(service, ANNA)


@pytest.fixture
def laptop(service, anna, tmp_path):
    return Device(service, tmp_path, "laptop", ANNA, anna).init()


@pytest.fixture
def source(tmp_path):
    """A file that lies outside of every synced folder."""
    def make(name, content):
        path = tmp_path / "elsewhere" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)
    return make


def history(device, *words):
    return device.call("history", *words)


def told(device, *words):
    return [(c["change"], c["path"]) for c in history(device, *words)["changes"]]


def got(device, path, tmp_path):
    into = tmp_path / "got"
    device.call("get", path, str(into))
    content = into.read_bytes()
    into.unlink()
    return content


def test_files_are_put_without_a_folder(laptop, source, tmp_path):
    big = os.urandom(3 * MIB + 17)
    first = laptop.call("put", source("a.txt", "one"), "a.txt")
    assert (first["version"], first["uploaded"]) == (1, 1)
    laptop.run("put", source("a.txt", "one"), "Work/a.txt", status=3)  # there is no such folder
    laptop.call("put", source("a.txt", "two"), source("b.bin", big), "Work/2026/", "--parents")
    laptop.call("put", source("c.txt", "three"), "Work")  # it is a folder
    laptop.run("put", source("c.txt", "three"), "a.txt/c.txt", "--parents", status=1)
    laptop.run("put", "/dev/null", "x", status=2)  # no file
    assert sorted(e["path"] for e in laptop.call("ls", "--all")["entries"]) == [
        "Work", "Work/2026", "Work/2026/a.txt", "Work/2026/b.bin", "Work/c.txt", "a.txt"]
    assert got(laptop, "Work/2026/b.bin", tmp_path) == big
    laptop.call("mkdir", "Empty", "Work/2026/Deep/er", "--parents")
    laptop.run("mkdir", "Empty", status=1)
    laptop.run("rm", "Work", status=2)  # something is in it
    laptop.call("rm", "Work", "a.txt", "--recursive")
    assert [e["path"] for e in laptop.call("ls", "--all")["entries"]] == ["Empty"]


def test_what_is_put_comes_to_a_folder_and_what_runs_there_is_not_disturbed(laptop, source):
    laptop.write("mine.txt", "mine")
    laptop.sync()
    laptop.call("put", source("theirs.txt", "theirs"), "theirs.txt")
    laptop.write("mine.txt", "mine, edited")
    laptop.write("new.txt", "new")
    laptop.sync()
    assert laptop.tree() == {"mine.txt": b"mine, edited", "theirs.txt": b"theirs", "new.txt": b"new"}
    laptop.call("put", source("other.txt", "put over it"), "mine.txt")
    laptop.sync()
    assert laptop.tree()["mine.txt"] == b"put over it"


def test_puts_at_once_all_come_in(laptop, source):
    laptop.call("mkdir", "In")
    files = [source(f"{i}.txt", f"file {i}") for i in range(6)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda path: laptop.call("put", path, "In"), files))
    assert sorted(d["version"] for d in done) == [2, 3, 4, 5, 6, 7]
    assert len(laptop.call("ls", "In")["entries"]) == 6


def test_versions_of_a_file_are_told_and_come_back(laptop, source, tmp_path):
    laptop.call("mkdir", "Work")
    for text in ("one", "two!", "three"):
        laptop.call("put", source("report.txt", text), "Work/report.txt")
    laptop.call("put", source("noise.txt", "noise"), "noise.txt")
    told_now = history(laptop, "Work/report.txt")
    assert [(c["version"], c["change"], c["size"]) for c in told_now["changes"]] == [
        (4, "changed", 5), (3, "changed", 4), (2, "added", 3)]
    assert {c["device"] for c in told_now["changes"]} == {"laptop"}
    assert (told_now["newest"], told_now["oldest"], told_now["more"]) == (5, 1, False)
    short = history(laptop, "Work/report.txt", "--last", "1")
    assert ([c["version"] for c in short["changes"]], short["more"]) == ([4], True)
    out = tmp_path / "old"
    laptop.call("restore", "Work/report.txt", "--version", "2", "--to", str(out))
    assert out.read_bytes() == b"one"
    # A file that is there is somebody's work.
    out.write_bytes(b"mine")
    for words in (("restore", "Work/report.txt", "--version", "2", "--to", str(out)), ("get", "Work/report.txt", str(out))):
        assert "is there already; --replace overwrites it" in laptop.run(*words, status=1).stderr
        assert out.read_bytes() == b"mine" and not out.with_name("old.part").exists()
    laptop.call("get", "Work/report.txt", str(out), "--replace")
    assert out.read_bytes() == b"three"
    laptop.call("restore", "Work/report.txt", "--version", "2", "--to", str(out), "--replace")
    assert out.read_bytes() == b"one"
    assert laptop.call("ls", "Work/report.txt")["entries"][0]["size"] == 5  # the region stays as it is
    back = laptop.call("restore", "Work/report.txt", "--version", "2")
    assert (back["version"], back["files"]) == (6, 1)
    assert got(laptop, "Work/report.txt", tmp_path) == b"one"
    # History is longer by one, not rewritten; what was newest can be had again.
    assert [c["version"] for c in history(laptop, "Work/report.txt")["changes"]] == [6, 4, 3, 2]
    assert laptop.call("restore", "Work/report.txt", "--version", "6")["version"] == 6  # nothing to do
    laptop.call("restore", "Work/report.txt")  # the one before
    assert got(laptop, "Work/report.txt", tmp_path) == b"three"
    laptop.run("restore", "Work/report.txt", "--version", "99", status=3)
    laptop.run("restore", "nothing.txt", status=3)
    laptop.run("history", "nothing.txt", status=3)


def test_a_file_is_followed_through_renames(laptop):
    laptop.write("Old/name.txt", "first")
    laptop.sync()
    (laptop.folder / "Old").rename(laptop.folder / "New")
    laptop.sync()
    (laptop.folder / "New/name.txt").rename(laptop.folder / "other.txt")
    laptop.sync()
    laptop.write("other.txt", "second!")
    laptop.sync()
    changes = history(laptop, "other.txt")["changes"]
    assert [(c["change"], c["path"], c.get("from")) for c in changes] == [
        ("changed", "other.txt", None), ("moved", "other.txt", "New/name.txt"), ("added", "Old/name.txt", None)]
    # It keeps the name that it has now.
    laptop.call("restore", "other.txt", "--version", "1")
    laptop.sync()
    assert laptop.tree() == {"New": "folder", "other.txt": b"first"}
    assert told(laptop, "New/name.txt")[0] == ("moved", "other.txt")


def test_what_was_deleted_comes_back_with_its_folder(laptop, tmp_path):
    files = {f"Photos/{d}/{i}.jpg": f"{d} {i}".encode() * 40 for d in "ab" for i in range(4)}
    for path, content in files.items():
        laptop.write(path, content)
    laptop.write("stays.txt", "stays")
    laptop.sync()
    big = os.urandom(2 * MIB)
    laptop.write("Photos/big.raw", big)
    laptop.sync()
    laptop.call("rm", "Photos", "--recursive")
    laptop.sync()
    assert set(laptop.tree()) == {"stays.txt"}
    gone = history(laptop, "Photos")["changes"]
    assert ("deleted", "Photos/big.raw") in [(c["change"], c["path"]) for c in gone]
    assert [c["size"] for c in gone if c["path"] == "Photos/big.raw"] == [len(big), len(big)]
    assert history(laptop, "--last", "1")["changes"][0]["change"] == "deleted"
    laptop.call("restore", "Photos/a/1.jpg")  # one, with the folders above it
    assert got(laptop, "Photos/a/1.jpg", tmp_path) == files["Photos/a/1.jpg"]
    back = laptop.call("restore", "Photos", "--version", "2")
    assert back["files"] == len(files)  # one was there
    laptop.sync()
    want = {**files, "Photos/big.raw": big, "stays.txt": b"stays"}
    assert {k: v for k, v in laptop.tree().items() if v != "folder"} == want
    # Nothing was sent for it but lists.
    laptop.write("Photos/a/1.jpg", "edited since")
    laptop.write("Photos/later.txt", "later")
    (laptop.folder / "Photos/b/2.jpg").rename(laptop.folder / "moved.jpg")
    laptop.sync()
    back = laptop.call("restore", "Photos", "--version", "2")
    assert (back["files"], back["left"]) == (1, 1)
    laptop.sync()
    tree = {k: v for k, v in laptop.tree().items() if v != "folder"}
    del want["Photos/b/2.jpg"]
    assert tree == {**want, "Photos/later.txt": b"later", "moved.jpg": files["Photos/b/2.jpg"]}


def test_a_folder_does_not_come_back_inside_itself(laptop):
    laptop.write("Work/project/project/main.c", "then")
    laptop.write("Work/project/README", "read me")
    laptop.sync()
    work = laptop.folder / "Work"
    (work / "project/project").rename(work / "inner")
    shutil.rmtree(work / "project")
    (work / "inner").rename(work / "project")
    laptop.write("Work/project/main.c", "edited since")
    laptop.write("Work/project/later.c", "later")
    laptop.sync()
    back = laptop.call("restore", "Work", "--version", "1")
    assert (back["files"], back["left"]) == (2, 0)
    laptop.sync()
    assert {k: v for k, v in laptop.tree().items() if v != "folder"} == {
        "Work/project/project/main.c": b"then", "Work/project/README": b"read me",
        "Work/project/later.c": b"later"}


def test_a_time_is_a_version_too(laptop, source, tmp_path):
    laptop.call("put", source("a.txt", "one"), "a.txt")
    when = history(laptop, "a.txt")["changes"][0]["time"]
    laptop.call("restore", "a.txt", "--at", when)
    laptop.run("restore", "a.txt", "--at", "2001-01-01T00:00:00Z", status=3)
    laptop.run("restore", "a.txt", "--at", "yesterday", status=2)
    laptop.run("restore", "a.txt", "--at", when, "--version", "1", status=2)


def test_a_device_that_joined_later_sees_what_was_before_it(service, anna, tmp_path, laptop, source):
    laptop.call("put", source("a.txt", "one"), "a.txt")
    laptop.call("put", source("a.txt", "two"), "a.txt")
    desktop = Device(service, tmp_path, "desktop", ANNA, anna).join(laptop)
    desktop.call("put", source("a.txt", "three"), "a.txt")
    assert [(c["version"], c["device"]) for c in history(desktop, "a.txt")["changes"]] == [
        (3, "desktop"), (2, "laptop"), (1, "laptop")]
    desktop.call("restore", "a.txt", "--version", "1")
    assert got(laptop, "a.txt", tmp_path) == b"one"


def test_a_device_that_only_reads_puts_nothing(service, anna, tmp_path, laptop, source):
    laptop.call("put", source("a.txt", "one"), "a.txt")
    reader = Device(service, tmp_path, "reader", ANNA, anna).join(laptop, role="read")
    reader.run("put", source("b.txt", "b"), "b.txt", status=4)
    reader.run("restore", "a.txt", "--version", "1", status=4)
    assert got(reader, "a.txt", tmp_path) == b"one"


def test_names_do_not_steer_the_terminal(laptop, source):
    name = "a\x1b]0;owned\x07.txt"
    laptop.write("\x1b[2Jbad", "x")
    os.chmod(laptop.folder / "\x1b[2Jbad", 0)
    laptop.call("put", source("a.txt", "one"), name)
    for words in (["ls"], ["history"], ["rm", "no\x1bthing"]):
        shown = laptop.run(*words, status=3 if words[0] == "rm" else 0).stdout
        assert "\x1b" not in shown
    for words in (["ls"], ["history"], ["rm", "no\x1bthing"], ["run", str(laptop.folder), "--once"]):
        done = subprocess.run([w for w in laptop.arguments(*words) if w != "--json"], capture_output=True, text=True)
        assert "\x1b" not in done.stdout + done.stderr


def test_what_retention_dropped_is_said(tmp_path, tmp_path_factory, source):
    made = instances.Instance(tmp_path_factory.mktemp("fleeting"))
    try:
        made.init({"sync": {"enabled": "yes", "keep_versions": "0s"}}).start()
        device = Device(made, tmp_path, "phone", ANNA, person(made, ANNA)).init()
        device.call("put", source("b.txt", "other"), "b.txt")
        for text in ("one", "two!", "three"):
            device.call("put", source("a.txt", text), "a.txt")
        device.call("put", source("b.txt", "other, later"), "b.txt")
        made.stop()
        made.start()  # it forgets what no tree has soon after its start
        until = time.monotonic() + PATIENCE
        while (told_now := history(device, "a.txt"))["oldest"] < 4 and time.monotonic() < until:
            time.sleep(0.2)
        assert [(c["version"], c["size"]) for c in told_now["changes"]] == [(4, 5)]
        assert (told_now["oldest"], told_now["newest"]) == (4, 5)
        said = device.run("restore", "a.txt", "--version", "2", status=3).stderr
        assert "not kept any more" in said
        device.run("restore", "a.txt", status=3)
        device.call("put", source("a.txt", "four"), "a.txt")  # nothing of it was taken for an attack
        assert got(device, "a.txt", tmp_path) == b"four"
        made.stop()
    finally:
        made.abandon()
