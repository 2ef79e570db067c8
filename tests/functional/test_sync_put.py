"""`coffer sync put` and `get`: files and whole folders without a synced folder, broken off and begun again."""

import hashlib
import os
import pty
import signal
import subprocess

import pytest

from helpers import instance as instances
from helpers.instance import PATIENCE, wait_for
from helpers.sync_client import person
from test_sync_client import ANNA, Device

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    place = tmp_path_factory.mktemp("put")
    made = instances.Instance(tmp_path_factory.mktemp("service"))
    try:
        made.init({"sync": {"enabled": "yes"}}).start()
        yield Device(made, place, "laptop", ANNA, person(made, ANNA)).init()
        made.stop()
    finally:
        made.abandon()


@pytest.fixture
def source(tmp_path):
    """A folder with a bit of everything."""
    top = tmp_path / "album"
    (top / "deep" / "er").mkdir(parents=True)
    (top / "empty").mkdir(mode=0o700)
    (top / "a").write_bytes(b"a")
    (top / "deep" / "b").write_bytes(os.urandom(300_000))
    (top / "deep" / "er" / "c").write_bytes(b"")
    (top / "run").write_text("#!/bin/sh\n")
    (top / "run").chmod(0o755)
    (top / "link").symlink_to("deep/b")
    (top / "dangling").symlink_to("/nowhere")
    for name in ("a", "deep/b", "run"):
        os.utime(top / name, (1_600_000_000, 1_600_000_000))
    return top


def tree(top):
    found = {}
    for path in sorted(top.rglob("*")):
        name, state = str(path.relative_to(top)), path.lstat()
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_dir():
            found[name] = oct(state.st_mode & 0o777)
        else:
            found[name] = (path.read_bytes(), oct(state.st_mode & 0o777), int(state.st_mtime))
    return found


def test_a_folder_goes_up_and_comes_down_whole(device, source, tmp_path):
    os.mkfifo(source / "pipe")
    done = device.call("put", str(source), "Photos", "--parents")
    assert (done["files"], done["folders"], done["links"], done["left_out"]) == (4, 4, 2, 1)
    (source / "pipe").unlink()
    out = tmp_path / "out"
    got = device.call("get", "Photos", str(out))
    assert (got["files"], got["folders"], got["links"], got["there"]) == (4, 4, 2, 0)
    assert tree(out) == tree(source)
    # All of it is one version; a folder that is there takes it in, as cp -r does.
    before = device.call("status")["root"]
    (source / "a").write_bytes(b"changed")
    assert device.call("put", f"{source}/", "Photos")["version"] == before + 1
    assert {e["path"] for e in device.call("ls", "Photos/album")["entries"]} == {
        "Photos/album/" + n for n in ("a", "deep", "empty", "run", "link", "dangling")}
    device.call("put", f"{source}/.", "Photos")
    device.call("get", "Photos/a", str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b"changed"
    # What is in the way is not replaced by something of another kind.
    (tmp_path / "x").mkdir()
    assert device.run("put", str(tmp_path / "x"), "Photos/a/x", "--parents", status=1).stderr
    assert device.run("put", str(tmp_path / "x"), "No/where", status=3).stderr


def test_get_leaves_what_is_there_and_goes_on_with_replace(device, source, tmp_path):
    device.call("put", str(source), "again", "--parents")
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("stays")
    assert "--replace" in device.run("get", "again", str(out), status=1).stderr
    assert sorted(p.name for p in out.iterdir()) == ["mine"]
    got = device.call("get", "again", str(out), "--replace")
    assert (got["files"], got["there"]) == (4, 0)
    (out / "a").write_bytes(b"?")
    (out / "deep" / "b").unlink()
    got = device.call("get", "again", str(out), "--replace")
    assert (got["files"], got["there"]) == (2, 2)
    assert (out / "mine").read_text() == "stays"
    (out / "mine").unlink()
    assert tree(out) == tree(source)
    # No link of somebody's is followed.
    elsewhere = tmp_path / "elsewhere"
    (out / "deep").rename(elsewhere)
    (out / "deep").symlink_to(elsewhere)
    assert "is no folder" in device.run("get", "again", str(out), "--replace", status=1).stderr
    assert (elsewhere / "er" / "c").exists()


def part_of(path):
    """What it is called until it is whole."""
    return path.with_name(f".coffer-{hashlib.sha256(path.name.encode()).hexdigest()[:32]}.part")


def test_a_file_of_ones_own_is_never_what_a_part_is_written_to(device, tmp_path):
    (tmp_path / "a").write_text("text")
    (tmp_path / "long").write_text("long")
    long = "n" * 255
    device.call("mkdir", "own")
    device.call("put", str(tmp_path / "a"), "own/a")
    device.call("put", str(tmp_path / "long"), f"own/{long}")
    root = str(device.call("status")["root"])
    mine = tmp_path / "got.part"
    mine.write_text("mine")
    device.call("get", "own/a", str(tmp_path / "got"))
    device.call("restore", "own/a", "--version", root, "--to", str(tmp_path / "other"))
    assert mine.read_text() == "mine" and (tmp_path / "got").read_text() == "text"
    device.call("get", "own", str(tmp_path / "whole"))
    assert (tmp_path / "whole" / long).read_text() == "long"


def test_one_that_was_killed_does_not_block_the_next(device, tmp_path):
    data = os.urandom(6 * MIB)
    (tmp_path / "big").write_bytes(data)
    device.call("put", str(tmp_path / "big"), "big")
    for words in (("get", "big", str(tmp_path / "out")),
                  ("restore", "big", "--version", str(device.call("status")["root"]), "--to",
                   str(tmp_path / "then"))):
        out = tmp_path / ("out" if words[0] == "get" else "then")
        part = part_of(out)
        slow = subprocess.Popen(device.arguments(*words, "--limit-down", "500k"), stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda p=part: p.exists() and p.stat().st_size, bool, "the beginning")
            slow.send_signal(signal.SIGSTOP)  # it is not done before the other one has looked
            assert "another program" in device.run(*words, status=4).stderr
        finally:
            slow.send_signal(signal.SIGKILL)
            slow.wait()
        assert part.exists() and not out.exists()
        device.call(*words)
        assert out.read_bytes() == data and not part.exists()
    # What somebody else put there is left alone.
    part = part_of(tmp_path / "trap")
    part.symlink_to(tmp_path / "out")
    device.run("get", "big", str(tmp_path / "trap"), status=1)
    assert (tmp_path / "out").read_bytes() == data and part.is_symlink()


def on_a_terminal(device, *words):
    """What a person sees."""
    ours, theirs = pty.openpty()
    command = [w for w in device.arguments(*words) if w != "--json"]
    running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            piece = b""
        if not piece:
            break
        seen += piece
    os.close(ours)
    assert running.wait(PATIENCE) == 0, seen
    return seen.decode()


def test_long_work_shows_how_far_it_is(device, tmp_path):
    top = tmp_path / "top"
    top.mkdir()
    for name in ("one", "two"):
        (top / name).write_bytes(os.urandom(2 * MIB))
    assert "MB/s" in on_a_terminal(device, "put", str(top), "Bars", "--parents", "--limit-up", "2M")
    seen = on_a_terminal(device, "get", "Bars", str(tmp_path / "out"), "--limit-down", "2M")
    assert "MB/s" in seen and "%" in seen and "2 files" in seen
    version = str(device.call("status")["root"])
    assert "MB/s" in on_a_terminal(device, "restore", "Bars/one", "--version", version, "--to",
                                   str(tmp_path / "one"), "--limit-down", "1M")
