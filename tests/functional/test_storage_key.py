"""The storage key's rotation: in the background, over kills, and everything still opens."""

import base64
import sqlite3
import time

import pytest

from helpers import instance as instances
from helpers.instance import Instance

OBJECTS = 300
REFUSED = 4


@pytest.fixture
def instance(tmp_path, factory):
    one = Instance(tmp_path)
    one.init({"enrol": {"factory_ca": str(factory.write(tmp_path / "factory-ca.pem"))}})
    one.start()
    try:
        yield one
        one.stop()
    finally:
        one.abandon()


def row(instance, sql):
    with sqlite3.connect(instance.directory / "store" / "store.db", timeout=20) as db:
        return db.execute(sql).fetchone()


def keys_of_wraps(instance):
    """Which storage keys the wraps in the store name: magic, version, then the number."""
    with sqlite3.connect(instance.directory / "store" / "store.db", timeout=20) as db:
        wraps = [w for (w,) in db.execute("SELECT wrap FROM escrow_object")]
    assert all(w[:8] == b"cofferWR" for w in wraps)
    return [int.from_bytes(w[9:13], "big") for w in wraps]


def position(instance):
    found = row(instance, "SELECT last_seq FROM storage_rotation ORDER BY number DESC")
    return found[0] if found else 0


def killed_midway(instance, number):
    """Rotates to this key and kills coffer-web while wraps of both keys are there."""
    made = instance.coffer_json("keeper", "rotate-storage-key")
    assert (made["number"], made["state"]) == (number, "rotating")
    instance.coffer("keeper", "rotate-storage-key", expect=REFUSED)  # one at a time
    end = time.monotonic() + instances.PATIENCE
    while position(instance) == 0:
        assert time.monotonic() < end, "the rotation does not begin"
    instance.kill("coffer-web")
    return 0 < position(instance) < OBJECTS


def settled(instance, number):
    def look():
        answer = instance.api_patient("GET", "/keeper/storage-key")
        return answer.json() if answer.status == 200 else {}
    shown = instances.wait_for(look, lambda s: s.get("state") == "done", "the rotation's end")
    assert (shown["number"], shown["refused"], shown["position"]) == (number, 0, OBJECTS)
    assert shown["wrapped"] == OBJECTS, "each once, in spite of the kill"
    assert set(keys_of_wraps(instance)) == {number}


def test_rotation_goes_on_after_a_kill(instance):
    for i in range(OBJECTS):
        secret = base64.b64encode(b"secret %d" % i).decode()
        instance.api("POST", "/escrow", {"kind": "file", "secret": secret}, expect=201)
    assert instance.coffer_json("keeper", "storage-key")["number"] == 1
    number = 2
    while not killed_midway(instance, number):  # it was quicker than we
        instance.wait_healthy()
        settled(instance, number)
        number += 1
        assert number < 8, "it is never met midway"
    instance.wait_healthy()
    settled(instance, number)
    drill = instance.coffer_json("escrow", "drill", "--sample", 1000)
    assert drill["failed"] == 0 and drill["kinds"][0]["opened"] == OBJECTS
    entries = instance.coffer_json("audit", "list", "--limit", 500)["entries"]
    begun = [e for e in entries if e["action"] == "storage-key.rotate"]
    ended = [e for e in entries if e["action"] == "storage-key.done"]
    assert str(number) in [e["object"] for e in begun]
    assert [e for e in ended if e["object"] == str(number)
            and e["detail"] == {"objects": str(OBJECTS), "refused": "0"}]


def test_a_damaged_wrap_is_counted_and_stops_nothing(instance):
    kept = [instance.api("POST", "/escrow", {"kind": "file", "secret": "QUJD"}, expect=201).json()
            for _ in range(3)]
    with sqlite3.connect(instance.directory / "store" / "store.db", timeout=20) as db:
        db.execute("UPDATE escrow_object SET wrap = (SELECT wrap FROM escrow_object WHERE id = ?)"
                   " WHERE id = ?", (kept[0]["id"], kept[1]["id"]))
    instance.coffer("keeper", "rotate-storage-key")
    shown = instances.wait_for(lambda: instance.coffer_json("keeper", "storage-key"),
                               lambda s: s["state"] == "done", "the rotation's end")
    assert (shown["wrapped"], shown["refused"]) == (2, 1)
    instance.coffer("escrow", "verify", kept[0]["id"])
    instance.coffer("escrow", "verify", kept[1]["id"], expect=5)


def test_members_do_not_rotate(instance):
    instance.coffer("keeper", "storage-key")
    made = instance.coffer_json("token", "add", "auditor", "--role", "auditor")
    answer = instance.api("POST", "/keeper/storage-key", token=made["token"])
    assert answer.status == 403
