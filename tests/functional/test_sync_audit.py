"""The log of device chains: `coffer sync audit`, copies for others, an independent checker, a store that was rolled back."""

import base64
import json
import shutil
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import sync_audit
from helpers import instance as instances
from helpers.sync_client import person
from test_sync_client import Device

ANNA, BERT, CARL = "anna@example.org", "bert@example.org", "carl@example.org"
CHECKER = sync_audit.__file__


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    yield from instances.running(tmp_path_factory.mktemp("audit"), {"sync": {"enabled": "yes"}})


@pytest.fixture(scope="module")
def devices(service, tmp_path_factory):
    """Anna's two devices and Bert's one."""
    place = tmp_path_factory.mktemp("devices")
    token = person(service, ANNA)
    laptop = Device(service, place, "laptop", ANNA, token).init()
    desktop = Device(service, place, "desktop", ANNA, token).join(laptop)
    return laptop, desktop, Device(service, place, "bert", BERT, person(service, BERT)).init()


def check(*places):
    done = subprocess.run([sys.executable, CHECKER, *map(str, places)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_every_entry_is_in_the_log_and_it_only_grows(service, devices):
    laptop, desktop, bert = devices
    bert.call("audit")  # which waits until the signed log has all of its chain
    first = laptop.call("audit")
    assert first["before"] == 0 and first["entries"] == 3 and first["size"] >= 4
    assert first["key"] == service.http("GET", "/api/v1/sync/log/key").text().strip()
    laptop.call("rotate")
    again = laptop.call("audit")
    assert again["before"] == first["size"] and again["entries"] == 4 and again["size"] > first["size"]
    desktop.sync()
    assert desktop.call("audit", "--key", first["key"])["entries"] == 4
    words = laptop.run("audit")
    said = subprocess.run([w for w in words.args if w != "--json"], capture_output=True, text=True, check=True).stdout
    assert f"goes on from the {again['size']} entries" in said and "all 4 entries of its chain are in it" in said


def test_a_copy_is_checked_without_coffer(devices, tmp_path):
    laptop, _, bert = devices
    old, new = tmp_path / "old", tmp_path / "new"
    before = laptop.call("audit", "--export", str(old))
    assert before["exported"] == str(old)
    bert.call("rotate"), laptop.call("rotate")
    after = laptop.call("audit", "--export", str(new))
    status, said = check(new, old)
    assert status == 0, said
    assert f"{after['size']} entries of 2 regions, root {after['root']}" in said
    assert f"{after['entries']} entries" in said and after["region"] in said
    assert check(old, new)[0] == 1  # not the other way round
    # Nothing of it can be changed.
    log = sync_audit.Log(new)
    for name in ("chain", "checkpoint", sync_audit.tile_name(0, 0, log.size), sync_audit.tile_name("entries", 0, log.size)):
        path = new / name
        true = path.read_bytes()
        path.write_bytes(true[:-9] + bytes([true[-9] ^ 1]) + true[-8:])
        assert check(new)[0] != 0, name
        path.write_bytes(true)
    assert check(new)[0] == 0


def another_key(key):
    name = sync_audit.key_of(key)[0]
    raw = b"\1" + Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes(
        Encoding.Raw, PublicFormat.Raw)
    return f"{name}+{sync_audit.sha(name.encode() + chr(10).encode() + raw)[:4].hex()}+{base64.b64encode(raw).decode()}"


def test_two_copies_are_compared(service, devices, tmp_path):
    laptop, _, bert = devices
    copy = tmp_path / "bert"
    of_bert = bert.call("audit", "--export", str(copy))
    assert laptop.call("audit", "--against", str(copy))["against"] == of_bert["size"]
    assert laptop.call("audit", "--against", str(copy / "checkpoint"))["against"] == of_bert["size"]
    url = service.url + "/api/v1/sync/log/checkpoint"
    got = laptop.call("audit", "--against", url, "--against-ca", str(service.root))
    assert got["against"] == got["size"]
    # A copy that is not this log's, or was changed.
    note = (copy / "checkpoint").read_text()
    (copy / "checkpoint").write_text(note.replace("\n", "\n1", 1))
    assert "log-unsigned" in laptop.run("audit", "--against", str(copy), status=5).stderr
    # Another key than the one that this device knows.
    assert "log-key" in laptop.run("audit", "--key", another_key(of_bert["key"]), status=5).stderr
    # A pardon alone doesn't forget the key; with a new one it goes by that.
    assert laptop.call("audit", "--pardon")["key"] == of_bert["key"]
    assert "log-key" in laptop.run("audit", "--key", another_key(of_bert["key"]), status=5).stderr
    assert "log-unsigned" in laptop.run("audit", "--pardon", "--key", another_key(of_bert["key"]), status=5).stderr
    assert "log-unsigned" in laptop.run("audit", status=5).stderr  # nor does it take what is shown then
    assert laptop.call("audit", "--pardon", "--key", of_bert["key"])["key"] == of_bert["key"]


def stop_and_copy(service, to):
    service.stop()
    shutil.copytree(service.directory, to, symlinks=True)
    service.start()


def put_back(service, backup, *parts):
    """These parts of the instance as they were; all if none is named."""
    service.stop()
    for part in parts or [p.name for p in backup.iterdir()]:
        now = service.directory / part
        if now.is_dir() and not now.is_symlink():
            shutil.rmtree(now)
            shutil.copytree(backup / part, now, symlinks=True)
        elif (backup / part).exists():
            shutil.copy2(backup / part, now, follow_symlinks=False)
        for stale in service.directory.glob(part + "-*"):  # journals of the database that was there
            if not (backup / stale.name).exists():
                stale.unlink()
            else:
                shutil.copy2(backup / stale.name, stale)
    service.start()


def test_a_log_that_went_back_is_noticed_and_never_signed_anew(tmp_path):
    service = instances.Instance(tmp_path)
    try:
        service.init({"sync": {"enabled": "yes"}}).start()
        anna = Device(service, tmp_path, "anna", ANNA, person(service, ANNA)).init()
        bert = Device(service, tmp_path, "bert", BERT, person(service, BERT)).init()
        carl = person(service, CARL)
        anna.call("audit"), bert.call("audit")
        backup = tmp_path / "backup"
        stop_and_copy(service, backup)
        bert.call("rotate"), bert.call("audit")
        copy = tmp_path / "copy"
        seen = anna.call("audit", "--export", str(copy))
        assert seen["size"] == 3
        # The store alone: the service knows less than it signed.
        store = [p.name for p in backup.iterdir() if p.name.startswith("store")]
        put_back(service, backup, *store)
        assert "log-rolled-back" in anna.run("audit", status=5).stderr
        # It grows again, otherwise than it was signed: the keeper refuses, so nobody is shown a signed fork.
        mark = service.daemon.mark()
        Device(service, tmp_path, "carl", CARL, carl).init()
        service.daemon.wait_line("ALARM: the log of device chains does not go on", since=mark)
        assert "log-rolled-back" in anna.run("audit", status=5).stderr
        entries = [json.loads(line) for line in service.coffer("audit", "keeper-log").stdout.splitlines()]
        assert any(e["intent"] == "sync-checkpoint" and "ALARM" in e["outcome"] for e in entries)
        # All of it, vault and keys too, as somebody could who owns the machine: the devices notice.
        put_back(service, backup)
        other = Device(service, tmp_path, "carl2", CARL, carl).init()
        other.call("audit")
        assert "log-forked" in anna.run("audit", status=5).stderr
        # Who knew no log sees nothing, but with Anna's copy he sees that there were two.
        assert "log-forked" in other.run("audit", "--against", str(copy), status=5).stderr
        # A person who knows why begins anew.
        # With the same key: no backup changes that, so another one is nobody's but an attacker's.
        assert "log-key" in anna.run("audit", "--key", another_key(seen["key"]), status=5).stderr
        assert anna.call("audit", "--pardon")["before"] == 0
        assert "log-key" in anna.run("audit", "--key", another_key(seen["key"]), status=5).stderr
        assert anna.call("audit")["before"] >= 3
        service.stop()
    finally:
        service.abandon()
