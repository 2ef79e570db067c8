"""Remote wipe through the real programs: the region's keys, the files, the receipt, the device's keys."""

import fcntl
import os
import re
import signal
import subprocess

import pytest

from helpers import instance as instances
from helpers.instance import PATIENCE, program
from helpers.sync_client import person
from test_sync_client import Device
from test_sync_mount import no_fuse

ANNA = "anna@example.org"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = instances.Instance(tmp_path_factory.mktemp("service"))
    try:
        made.init({"sync": {"enabled": "yes", "may_share_outside": "yes"}}).start()
        yield made
        made.stop()
    finally:
        made.abandon()


@pytest.fixture(scope="module")
def anna(service):
    return person(service, ANNA)


@pytest.fixture
def device(service, anna, tmp_path):
    return Device(service, tmp_path, "laptop", ANNA, anna).init()


def state_of(device):
    """As the administrator sees the only device of its region."""
    return device.service.api("GET", f"/sync/regions/{device.region}/devices", expect=200).json()["devices"][0]


def ask(device):
    me = state_of(device)["device"]
    device.service.api("POST", f"/sync/regions/{device.region}/devices/{me}/wipe", expect=202)
    return device


def noted_files(device):
    """What the receipts said, from the audit log."""
    lines = device.service.api("GET", "/audit/export", expect=200).text().splitlines()
    me = state_of(device)["device"]
    return [int(re.search(r'files\W+(\d+)', line).group(1)) for line in lines
            if "sync.wipe.receipt" in line and me in line]


def gone(device, *kept):
    assert sorted(p.name for p in device.home.iterdir()) == []
    assert sorted(str(p.relative_to(device.folder)) for p in device.folder.rglob("*")) == sorted(kept)
    assert state_of(device)["wipe"] == "done"


def test_a_wiped_device_has_neither_keys_nor_files(device):
    device.write("a/b/report.txt", "content")
    device.write("keep/in", "synced before a rule kept it out")
    os.symlink("a", device.folder / "link")
    device.sync()
    device.write(".coffer-ignore", "keep/*\n*.tmp\n")
    device.write("keep/out", "never synced")
    device.write("mine.tmp", "never synced")
    device.sync()
    device.write("a/unsent", "edited at the last moment")
    ask(device)
    done = device.run("run", "--once")
    assert '"wiped":true' in done.stdout and '"receipt":true' in done.stdout
    gone(device, "keep", "keep/out", "mine.tmp")
    assert noted_files(device) == [5]
    again = device.run("run", "--once", status=3)
    assert "no device's home" in again.stderr


def test_links_of_a_device_that_is_to_be_wiped_are_closed(service, device, tmp_path):
    """From the moment that it is asked for: the device need not come by."""
    device.write("report.txt", "content")
    device.sync()
    url = device.call("link", "report.txt")["url"]
    fetch = [program("coffer"), "sync", "fetch", url, "--ca", f"{service.directory}/public/root.pem", "--to"]
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    opened = subprocess.run([*fetch, tmp_path / "before"], capture_output=True, text=True, timeout=PATIENCE)
    assert opened.returncode == 0, opened.stderr
    ask(device)
    closed = subprocess.run([*fetch, tmp_path / "after"], capture_output=True, text=True, timeout=PATIENCE)
    assert closed.returncode != 0
    assert not list(tmp_path.glob("after/**/report.txt"))


def test_a_killed_wipe_goes_on(device):
    for i in range(3000):
        device.write(f"many/{i % 50}/{i}", "x")
    device.sync()
    ask(device)
    kills, delay = 0, 0.03
    while (device.home / "device.key").exists():
        running = subprocess.Popen(device.arguments("run", "--once"), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            running.wait(delay)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
            kills += 1
        delay *= 1.3
    if (device.home / "wipe.json").exists():  # killed at the very end
        device.run("run", "--once")
    assert kills
    gone(device)
    assert noted_files(device) == [3000]


def test_keys_go_though_the_folder_is_away(device):
    device.write("file", "content")
    device.sync()
    ask(device)
    device.folder.rename(device.folder.with_name("elsewhere"))
    away = device.run("run", "--once", status=3)
    assert "is to be wiped" in away.stderr
    assert not (device.home / "state.db").exists() and state_of(device)["wipe"] == "asked"
    assert "being wiped" in device.run("ls", status=4).stderr
    device.folder.with_name("elsewhere").rename(device.folder)
    device.run("run", "--once")
    gone(device)


def test_a_device_that_was_not_asked_keeps_everything(service, anna, tmp_path, device):
    other = Device(service, tmp_path, "desktop", ANNA, anna).join(device)
    device.write("file", "content")
    device.sync()
    other.sync()
    ids = {d["name"]: d["device"] for d in device.call("devices")["devices"]}
    service.api("POST", f"/sync/regions/{device.region}/devices/{ids['desktop']}/wipe", expect=202)
    device.sync()
    other.run("run", "--once")
    assert other.tree() == {} and device.tree() == {"file": b"content"}
    assert device.call("ls")["entries"][0]["path"] == "file"


def test_a_following_client_ends_when_it_is_wiped(device):
    device.write("file", "content")
    device.sync()
    running = subprocess.Popen(device.arguments("run", "--poll", "1"), stdout=subprocess.PIPE, text=True)
    try:
        ask(device)
        out, _ = running.communicate(timeout=PATIENCE)
        assert running.returncode == 0 and '"wiped":true' in out
    finally:
        running.kill()
        running.wait()
    gone(device)


@pytest.mark.skipif(no_fuse() is not None, reason=str(no_fuse()))
def test_a_drive_ends_when_it_is_wiped(device, tmp_path):
    mount = tmp_path / "drive"
    mount.mkdir()
    running = subprocess.Popen(device.arguments("mount", str(mount), "--poll", "1"), stdout=subprocess.PIPE,
                               text=True)
    try:
        instances.wait_for(lambda: os.path.ismount(mount), bool, "the drive")
        (mount / "file").write_text("content")
        instances.wait_for(lambda: state_of(device), lambda d: d["state"] == "active", "the device")
        ask(device)
        out, _ = running.communicate(timeout=PATIENCE)
        assert running.returncode == 0 and '"wiped":true' in out
    finally:
        running.kill()
        running.wait()
        subprocess.run(["fusermount3", "-u", "-z", mount], check=False, capture_output=True)
    gone(device)


def test_a_home_that_never_had_a_folder_is_wiped_by_any_command(service, anna, tmp_path):
    for name, words in (("ls", ["ls"]), ("put", ["put", str(tmp_path / "source"), "x"]), ("rm", ["rm", "sent"]),
                        ("status", ["status"]), ("run", ["run", "--once"])):
        place = tmp_path / name
        place.mkdir()
        (tmp_path / "source").write_text("text")
        device = Device(service, place, "laptop", ANNA, anna).init()
        device.call("put", str(tmp_path / "source"), "sent")
        ask(device)
        done = device.run(*words, status=0 if name == "run" else 4)
        assert '"wiped":true' in done.stdout, done
        gone(device)
        assert noted_files(device) == [0]


def test_a_device_that_runs_is_left_to_its_run(device):
    """A command beside it says the word and destroys nothing."""
    device.write("a", "text")
    device.sync()
    with open(device.home / "lock", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ask(device)
        done = device.run("ls", status=4)
        assert "wipe" in done.stderr and (device.home / "device.key").exists()
        assert (device.folder / "a").exists()
    device.run("ls", status=4)
    gone(device)
