"""The organisation's recovery of regions: off, then by officers together, seen by everybody in the region."""

import json
import subprocess

import pytest

from helpers import instance as instances
from helpers.officers import Officer, Person
from helpers.sync_client import person
from test_sync_client import ANNA, Device

ZOE = "zoe@example.org"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An instance with three officers, any two of whom recover; recovery is off at first."""
    files = tmp_path_factory.mktemp("recovery")
    made = instances.Instance(files)
    try:
        made.init({"sync": {"enabled": "yes", "may_share": "no"}}).start()
        made.officers = [Officer(made, files, name) for name in ("olga", "otto", "ove")]
        made.admin = Person(made, files, "dora", "admin")
        made.coffer("officer", "activate", "--threshold", "2")
        made.coffer("user", "add", "recovery@example.org")
        made.anna = Device(made, files, "laptop", ANNA, person(made, ANNA)).init()
        yield made
        made.stop()
    finally:
        made.abandon()


@pytest.fixture(scope="module")
def key(world):
    card = world.files / "sync-recovery.card"
    return world.coffer_json("sync", "recovery-key", "recovery@example.org", "--out", str(card))


def roles(device):
    return {(d["name"], d["role"], d["state"]) for d in device.call("devices")["devices"]}


def roles_of(world, region):
    """As the service has the region's devices."""
    return sorted((d["name"], d["state"], d["roles"]) for d in
                  world.api("GET", f"/sync/regions/{region}/devices").json()["devices"])


def test_recovery_is_off_until_the_organisation_and_the_region_say_so(world, key):
    anna, card = world.anna, key["card"]
    anna.write("plan", "the plan"), anna.sync()
    assert roles(anna) == {("laptop", "manage", "active")}
    # The organisation has a key, but has not turned it on; the service would take no such entry, either.
    assert "recovery is off" in anna.run("recovery", card, "--digits", key["digits"], status=4).stderr
    assert ("organisation's recovery", "recover", "active") not in roles(anna)
    world.configure({"sync": {"enabled": "yes", "may_share": "no", "recovery": key["device"]}})
    world.stop()
    world.start()
    # It is the region's own device that lets it in, once the digits are compared.
    wrong = ("0" if key["digits"][0] != "0" else "1") + key["digits"][1:]
    assert "another key" in anna.run("recovery", card, "--digits", wrong, status=5).stderr
    anna.run("recovery", card, status=4)  # nobody is there to compare
    anna.run("recovery", card, "--digits", key["digits"])
    anna.run("recovery", card)  # is there already: no question
    # Everybody in the region sees it, and it is in the log.
    assert ("organisation's recovery", "recover", "active") in roles(anna)
    assert ("organisation's recovery", "recovery") in {
        (d["name"], d["state"]) for d in anna.call("who")["devices"]}
    assert anna.call("audit")["entries"] == 3
    told = [instances.program("coffer"), "sync", "init", ANNA, "--home", str(world.files / "second"),
            *anna.person_options()]
    said = subprocess.run(told, capture_output=True, text=True, check=True).stdout
    assert "recovery officers can't read this region" in said


def test_officers_together_take_a_region_over(world, key, tmp_path):
    anna = world.anna
    zoe = Device(world, tmp_path, "zoe", ZOE, person(world, ZOE))
    request = world.admin.request(key["object"], whom=ZOE)
    out = world.admin.home / "officers.key"
    world.officers[0].approve(request)
    assert world.admin.coffer("recover", "open", request["path"], "--out", out, expect=None).returncode != 0
    world.officers[2].approve(request)
    world.admin.coffer("recover", "open", request["path"], "--out", out)
    anna.write("last", "written at the end"), anna.sync()
    zoe.run("recover", anna.region, ZOE, "--key", str(out), "--name", "zoe", *zoe.person_options(), status=4)
    zoe.home = tmp_path / "taken"
    zoe.run("recover", anna.region, ZOE, "--key", str(out), "--yes", "--name", "zoe", *zoe.person_options())
    zoe.sync()
    assert zoe.tree() == {"plan": b"the plan", "last": b"written at the end"}
    # It is no secret: the chain has it, her device is out and is told, the audit and the log have it.
    assert roles(zoe) == {("laptop", "manage", "ended"), ("zoe", "manage", "active"),
                          ("organisation's recovery", "recover", "active")}
    assert "revoked" in anna.run("run", str(anna.folder), "--once", status=4).stderr
    assert zoe.call("audit")["entries"] == 4
    noted = [e for e in world.api("GET", "/audit").json()["entries"] if e["action"] == "sync.chain"]
    assert any("recover" in json.dumps(e) for e in noted)
    # A managing device can end it.
    zoe.run("revoke", "organisation's recovery")
    assert ("organisation's recovery", "recover", "ended") in roles(zoe)
    assert "can't come back" in zoe.run("recovery", key["card"], "--digits", key["digits"], status=4).stderr


def test_another_key_opens_nothing(world, key, tmp_path):
    region = world.anna.region
    zoe = Device(world, tmp_path, "other", ZOE, world.admin.token.read_text())
    Device(world, tmp_path, "maker", ANNA, world.anna.token.read_text()).init()
    stranger = tmp_path / "maker-home" / "device.key"
    before = roles_of(world, region)
    zoe.run("recover", region, ZOE, "--key", str(stranger), "--yes", *zoe.person_options(), status=5)
    assert roles_of(world, region) == before
