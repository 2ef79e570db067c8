"""Large files go on where they were broken off, in both directions; the quota counts them once."""

import json
import os
import signal
import subprocess
import time

import pytest

from helpers import instance as instances
from helpers.instance import PATIENCE
from helpers.relay import Relay
from helpers.sync_client import person
from test_sync_client import ANNA, MIB, Device

SIZE = 60 * MIB
PART = 8 * MIB
AHEAD = 4 * PART  # on their way at once, and the one that is being sealed


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    yield from instances.running(tmp_path_factory.mktemp("service"), {"sync": {"enabled": "yes"}})


@pytest.fixture(scope="module")
def relay(service):
    made = Relay(service.port)
    yield made
    made.close()


@pytest.fixture(scope="module")
def anna(service):
    return person(service, ANNA)


def through(device, relay):
    """Its connections go by the relay from now on."""
    path = device.home / "sync.json"
    config = json.loads(path.read_text())
    config["resolve"] = f"localhost:{relay.target[1]}:127.0.0.2"
    path.write_text(json.dumps(config))
    return device


@pytest.fixture
def laptop(service, anna, relay, tmp_path):
    return through(Device(service, tmp_path, "laptop", ANNA, anna).init(), relay)


@pytest.fixture(scope="module")
def content():
    return os.urandom(SIZE)


def used(device):
    regions = device.service.api("GET", "/sync/regions?all=1", expect=200).json()["regions"]
    return next(r["used"] for r in regions if r["region"] == device.region)


def broken_off(device, relay, *words, **hold):
    """kill -9 once so many bytes went by."""
    relay.count()
    relay.hold(**hold)
    running = subprocess.Popen(device.arguments(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert relay.held.wait(PATIENCE)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
        relay.cut()
    return relay.count()


def test_an_upload_goes_on_and_is_charged_once(laptop, relay, content):
    laptop.write("big", content)
    broken_off(laptop, relay, "run", str(laptop.folder), "--once", up=40 * MIB)
    assert laptop.sync()["uploaded"] == 1
    sent, _ = relay.count()
    assert sent < SIZE - 40 * MIB + AHEAD + 2 * MIB
    assert SIZE <= used(laptop) < SIZE * 9 / 8 + 2 * MIB
    assert laptop.call("status", "big")["files"][0]["replicas"] == 1
    into = laptop.home / "got"
    laptop.call("get", "big", str(into))
    assert into.read_bytes() == content


def test_it_goes_on_after_being_broken_off_again_and_again(laptop, relay, content):
    laptop.write("big", content)
    total = 0
    for _ in range(3):
        sent, _ = broken_off(laptop, relay, "run", str(laptop.folder), "--once", up=16 * MIB)
        total += sent
    laptop.sync()
    assert total + relay.count()[0] < SIZE + 4 * AHEAD
    assert used(laptop) < SIZE * 9 / 8 + 2 * MIB


def test_a_file_that_changed_begins_anew_and_what_was_sent_of_it_is_freed(laptop, relay, content):
    laptop.write("big", content)
    broken_off(laptop, relay, "run", str(laptop.folder), "--once", up=40 * MIB)
    with open(laptop.folder / "big", "r+b") as f:
        f.seek(3 * MIB)
        f.write(b"another")
    laptop.sync()
    assert relay.count()[0] > SIZE
    assert used(laptop) < SIZE * 9 / 8 + 2 * MIB
    changed = (laptop.folder / "big").read_bytes()
    into = laptop.home / "got"
    laptop.call("get", "big", str(into))
    assert into.read_bytes() == changed != content


def test_an_upload_of_a_file_that_is_gone_is_freed(laptop, relay, content):
    laptop.write("big", content)
    broken_off(laptop, relay, "run", str(laptop.folder), "--once", up=40 * MIB)
    assert used(laptop) >= SIZE
    (laptop.folder / "big").unlink()
    laptop.write("small", "small")
    laptop.sync()
    assert used(laptop) < 2 * MIB


def test_put_goes_on_too(laptop, relay, content, tmp_path):
    (tmp_path / "disk.img").write_bytes(content)
    broken_off(laptop, relay, "put", str(tmp_path / "disk.img"), "disk.img", up=40 * MIB)
    laptop.call("put", str(tmp_path / "disk.img"), "disk.img")
    assert relay.count()[0] < SIZE - 40 * MIB + AHEAD + 2 * MIB
    assert used(laptop) < SIZE * 9 / 8 + 2 * MIB


def test_what_a_put_sends_is_not_dropped_by_another_edit(laptop, relay, content, tmp_path):
    """Two at once: the second one's commit comes while the first one is on its way."""
    (tmp_path / "disk.img").write_bytes(content)
    (tmp_path / "small").write_bytes(b"small")
    broken_off(laptop, relay, "put", str(tmp_path / "disk.img"), "disk.img", up=40 * MIB)
    laptop.call("mkdir", "Work")
    laptop.call("put", str(tmp_path / "small"), "small")
    laptop.call("rm", "small")
    relay.count()
    laptop.call("put", str(tmp_path / "disk.img"), "disk.img")
    assert relay.count()[0] < SIZE - 40 * MIB + AHEAD + 2 * MIB
    laptop.call("get", "disk.img", str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == content


def test_a_download_goes_on_from_what_came(service, anna, relay, laptop, content, tmp_path):
    laptop.write("big", content)
    laptop.sync()
    desktop = through(Device(service, tmp_path, "desktop", ANNA, anna).join(laptop), relay)
    desktop.sync("--only", "none")  # says which folder, fetches nothing
    broken_off(desktop, relay, "run", str(desktop.folder), "--once", down=48 * MIB)
    assert desktop.tree() == {}
    assert desktop.sync()["downloaded"] == 1
    assert relay.count()[1] < SIZE - 48 * MIB + AHEAD + PART
    assert desktop.tree() == {"big": content}


def test_what_was_here_and_is_not_right_is_fetched_again(service, anna, relay, laptop, content, tmp_path):
    laptop.write("big", content)
    laptop.sync()
    desktop = through(Device(service, tmp_path, "desktop", ANNA, anna).join(laptop), relay)
    desktop.sync("--only", "none")
    broken_off(desktop, relay, "run", str(desktop.folder), "--once", down=48 * MIB)
    begun = max((desktop.folder / ".coffer-sync").iterdir(), key=lambda path: path.stat().st_size)
    with open(begun, "r+b") as f:
        f.seek(17 * MIB)
        f.write(b"a bad disk")
    done = desktop.sync()  # no alarm: nobody but this disk has done wrong
    assert (done["downloaded"], done.get("alarm")) == (1, None)
    assert desktop.tree() == {"big": content}


def test_a_limit_holds_and_is_kept(laptop, tmp_path):
    """A part waits for the ones before: the last byte can't be there sooner, however fast the machine is."""
    laptop.write("big", os.urandom(9 * MIB))
    began = time.monotonic()
    laptop.sync("--limit-up", "8M")
    assert time.monotonic() - began > 0.5
    laptop.run("run", str(laptop.folder), "--once", "--limit-up", "fast", status=2)
    assert laptop.call("limit", "--up", "500k", "--down", "5M") == {"up": 500000, "down": 5000000}
    assert laptop.call("limit") == {"up": 500000, "down": 5000000}
    began = time.monotonic()
    laptop.call("get", "big", str(tmp_path / "got"))
    assert time.monotonic() - began > 0.9
    assert laptop.call("limit", "--up", "0", "--down", "0") == {"up": None, "down": None}
