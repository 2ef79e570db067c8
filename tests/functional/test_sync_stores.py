"""Where the sync service keeps data: several stores, one of them lost, S3, kill -9, full disks, the command line."""

import os
import pathlib
import shutil
import subprocess
import threading
import time

import pytest

from helpers import instance as instances
from helpers.swift_s3 import ACCESS, SECRET, Swift
from helpers.sync_client import API, Client, Refused, begin, person
from sync_unseal import run

ANNA = "anna@example.org"
FOUR = {f"sync_store {name}": {"kind": "disk", "path": name} for name in ("one", "two", "three", "four")}


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    made = instances.Instance(tmp_path_factory.mktemp("four"))
    try:
        made.init({"sync": {"enabled": "yes"}, "sync_storage": {"quorum": "2", "scrub_rate": "1000"}, **FOUR}).start()
        yield made
        made.stop()
    finally:
        made.abandon()


@pytest.fixture(scope="module")
def anna(four):
    return person(four, ANNA)


def objects(instance, store):
    return sorted(p for p in (instance.directory / store).glob("??/*") if p.is_file())


def store_of(instance):
    return {s["name"]: s for s in instance.api("GET", "/sync/store", expect=200).json()["stores"]}


def coffer(instance, *args):
    done = subprocess.run([instances.program("coffer"), "--dir", instance.directory, *args], capture_output=True,
                          text=True, timeout=instances.PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def all_good(client, roots, wanted):
    state = client.good("POST", client.r("/status"), b"".join(roots)).json()["data"]
    return [d["replicas"] for d in state] == [wanted] * len(roots)


def scrubbed(instance):
    """A scrub from its beginning to its end."""
    def look():
        return instance.api("GET", "/sync/store").json()["scrub"]

    before = instances.wait_for(look, lambda s: not s or s["finished"], "the scrub before")
    while True:  # times are whole seconds
        coffer(instance, "sync", "store", "scrub")
        now = instances.wait_for(look, lambda s: s and s["finished"], "the scrub's end")
        if not before or now["started"] > before["started"]:
            return now


def test_of_four_replicas_one_is_destroyed_and_repaired(four, anna):
    client = begin(four, ANNA, anna)
    idents, folder = client.put_files({b"a": os.urandom(9 * 1024 * 1024), b"b": b"small", b"c": b"other"})
    roots = [client.root_of(i) for i in (*idents.values(), folder)]
    coffer(four, "sync", "store", "repair")
    instances.wait_for(lambda: all_good(client, roots, 4), bool, "four replicas")
    scrubbed(four)  # one may be under way already
    count = len(objects(four, "two"))
    assert count == len(objects(four, "one")) > len(roots)
    for entry in (four.directory / "two").glob("??"):
        shutil.rmtree(entry)
    damaged = objects(four, "three")[0]
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(bytes(data))
    for root in roots:  # read all the same
        assert client.get(root, len(client.region.blobs[root])) == client.region.blobs[root]
    scrub = scrubbed(four)
    assert scrub["bad"] >= 1 and scrub["lost"] == 0
    instances.wait_for(lambda: all_good(client, roots, 4), bool, "four replicas again")
    assert len(objects(four, "two")) == count
    scrubbed(four)  # what was brought anew is read back too
    state = client.good("POST", client.r("/status"), roots[0]).json()
    assert state["wanted"] == 4 and state["data"][0]["verified"]
    assert "two" in coffer(four, "sync", "store")
    # At rest it is sealed once more: what the device sent is nowhere to be seen.
    blob = client.region.blobs[roots[1]]
    assert not any(blob[40:72] in p.read_bytes() for p in objects(four, "one"))


def test_what_was_acknowledged_outlives_kill_9(four, anna):
    client = begin(four, ANNA, anna)
    client.put_files({b"a": b"1"})
    acknowledged, stop = [], threading.Event()

    def patient(call):
        while True:
            try:
                return call()
            except (OSError, Refused) as e:
                if isinstance(e, Refused) and e.status not in (401, 500, 503, 504):
                    raise
                time.sleep(0.02)  # until it is there again
                if isinstance(e, Refused) and e.status == 401:
                    client.token = None
                    try:
                        client.log_in()
                    except (OSError, Refused):
                        continue

    def work():
        while not stop.is_set():
            region = client.region
            folder = region.listing_of([(b"f%d" % len(acknowledged), region.file(os.urandom(2000)), 2000)])
            ident = list(region.packages)[-2]
            for new in (ident, folder):
                patient(lambda new=new: client.upload(new))
            dropped = set(region.live)
            root, change = region.root(folder, [ident, folder], dropped, device=client.device)
            patient(lambda: client.good("POST", client.r("/root"), run(root) + run(change)))
            region.took(root, [ident, folder], dropped)
            acknowledged.append((region.counter, root))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    for _ in range(4):
        had = len(acknowledged)
        instances.wait_for(lambda: len(acknowledged), lambda n, had=had: n > had + 1 or not thread.is_alive(), "commits")
        four.kill("coffer-web")
    stop.set()
    thread.join(instances.PATIENCE)
    assert not thread.is_alive() and len(acknowledged) >= 4
    client.log_in()
    got = client.good("GET", client.r(f"/roots?after={acknowledged[0][0] - 1}")).body
    for _, root in acknowledged:
        assert root in got
    for ident in client.region.live:
        root = client.root_of(ident)
        assert client.get(root, len(client.region.blobs[root])) == client.region.blobs[root]


def test_an_administrator_sees_and_rules_by_the_command_line(four, anna):
    client = begin(four, ANNA, anna)
    region, device = client.region.id.hex(), client.device.id.hex()
    assert region in coffer(four, "sync", "regions")
    assert device in coffer(four, "sync", "regions", region)
    assert "regions" in coffer(four, "sync", "usage")
    coffer(four, "sync", "quota", ANNA, "1K")
    with pytest.raises(Refused) as full:
        client.upload(client.region.file(b"x" * 5000))
    assert (full.value.status, full.value.reason) == (507, "quota")
    coffer(four, "sync", "quota", ANNA, "default")
    coffer(four, "sync", "hold", "add", region, "--reason", "case 7")
    assert "case 7" in coffer(four, "sync", "hold")
    hold = four.api("GET", "/sync/holds").json()["holds"][0]["hold"]
    coffer(four, "sync", "hold", "end", str(hold))
    coffer(four, "sync", "wipe", region, device)
    assert "asked" in coffer(four, "sync", "regions", region)


def test_blobs_lie_in_s3(tmp_path_factory):
    swift = Swift(tmp_path_factory.mktemp("swift") / "s")
    made = instances.Instance(tmp_path_factory.mktemp("s3"))
    try:
        swift.make_bucket("coffer")
        made.init()
        credentials = made.directory / "s3.secret"
        credentials.write_text(f"access_key = {ACCESS}\nsecret_key = {SECRET}\n")
        credentials.chmod(0o600)
        made.configure({"sync": {"enabled": "yes"}, "sync_storage": {"quorum": "2"},
                        "sync_store main": {"kind": "disk", "path": "main"},
                        "sync_store bucket": {"kind": "s3", "endpoint": f"http://127.0.0.1:{swift.port}",
                                              "bucket": "coffer", "credentials_file": "s3.secret"}})
        made.start()
        client = begin(made, ANNA, person(made, ANNA))
        idents, folder = client.put_files({b"a": os.urandom(9 * 1024 * 1024), b"b": b"small"})
        assert len(swift.keys("coffer")) == len(objects(made, "main")) == 4
        for entry in (made.directory / "main").glob("??"):
            shutil.rmtree(entry)
        for ident in (*idents.values(), folder):
            root = client.root_of(ident)
            assert client.get(root, len(client.region.blobs[root])) == client.region.blobs[root]
        made.stop()
    finally:
        made.abandon()
        swift.stop()


def test_a_store_that_lost_its_disk_turns_syncing_off_and_nothing_else(tmp_path_factory):
    made = instances.Instance(tmp_path_factory.mktemp("away"))
    try:
        made.init({"sync": {"enabled": "yes"}, **FOUR}).start()
        client = begin(made, ANNA, person(made, ANNA))
        client.put_files({b"a": b"1"})
        made.stop()
        shutil.move(made.directory / "four", made.directory / "unplugged")
        made.start()
        made.daemon.wait_line("syncing is off")
        assert made.http("GET", "/healthz").status == 200
        assert made.http("GET", API + "/log/checkpoint").status == 404
        made.stop()
        shutil.rmtree(made.directory / "four")
        shutil.move(made.directory / "unplugged", made.directory / "four")
        made.start()
        client.log_in().good("GET", client.r("/root"))
        made.stop()
    finally:
        made.abandon()


def test_a_full_disk_is_said_and_loses_nothing(tmp_path_factory):
    files = tmp_path_factory.mktemp("full")
    mount = files / "blobs"
    mount.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=0700", "tmpfs", mount], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    made = instances.Instance(files)
    try:
        made.init({"sync": {"enabled": "yes"}, "sync_store small": {"kind": "disk", "path": str(mount)}}).start()
        client = begin(made, ANNA, person(made, ANNA))
        idents, folder = client.put_files({b"a": os.urandom(3 * 1024 * 1024)})
        big = client.region.file(os.urandom(16 * 1024 * 1024))
        with pytest.raises(Refused) as full:
            client.upload(big)
        assert (full.value.status, full.value.reason) == (507, "full")
        client.put_files({b"b": b"still some room"})
        root = client.root_of(idents[b"a"])
        assert client.get(root, len(client.region.blobs[root])) == client.region.blobs[root]
        made.stop()
    finally:
        made.abandon()
        subprocess.run(["umount", "-l", mount], check=False)
