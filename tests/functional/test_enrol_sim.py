"""The simulated iPhone and the push stand-in against a whole instance: enrolment, commands from
the command line, pushes and their faults."""

import concurrent.futures
import json
import plistlib
import signal
import uuid

import pytest

from helpers import instance as instances
from helpers import sim
from helpers.instance import TOPIC, wait_for
from test_schema import a_profile


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("push") / "c"
    sim.run("apns-cert", "--out", folder, "--topic", TOPIC)
    return folder


@pytest.fixture(scope="module")
def sim_factory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("factory") / "f"
    sim.run("factory-ca", "--out", folder)
    return folder


class World:
    """An instance that pushes through a stand-in of its own."""

    def __init__(self, folder, certificates, factory, script="", settings=None):
        self.folder, self.factory = folder, factory
        self.apns = sim.Apns(folder, certificates, script)
        self.instance = instances.Instance(folder)
        self.instance.init({"enrol": {"factory_ca": str(factory / "factory-ca.cert.pem")}})
        self.instance.configure(sim.push_settings(self.apns, certificates))
        self.instance.configure(settings or {})
        self.instance.start()
        self.person = self.instance.person("phone@example.org")

    def phone(self):
        return sim.Phone(self.instance, self.folder / f"phone-{uuid.uuid4()}", self.factory,
                         self.apns)

    def enrolled(self, *more):
        """A phone, and its row in the device list."""
        phone = self.phone()
        known = {d["id"] for d in self.devices()}
        phone.enrol(self.person, *more)
        return phone, next(d for d in self.devices() if d["id"] not in known)

    def devices(self):
        return self.instance.coffer_json("device", "list")["devices"]

    def close(self):
        self.instance.stop()
        assert self.apns.stop() == 0

    def abandon(self):
        self.instance.abandon()
        self.apns.daemon.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def make_world(tmp_path_factory, certificates, sim_factory):
    made = []

    def make(script="", settings=None):
        one = World(tmp_path_factory.mktemp("world"), certificates, sim_factory, script, settings)
        made.append(one)
        return one

    yield make
    try:
        for one in made:
            one.close()
    finally:
        for one in made:
            one.abandon()


@pytest.fixture(scope="module")
def world(make_world):
    return make_world()


@pytest.fixture(scope="module")
def interrupted(make_world):
    """A courier killed while the stand-in was still thinking about its push, which it then took.
    Made early, because its lease of a minute has to run out: see test_courier_killed."""
    world = make_world("stall next 1 30s\n")
    phone, device = world.enrolled()  # has its first push on the way: the stand-in is slow
    waiting(world.instance)
    first = world.instance.queue(device["udid"], "SecurityInfo")
    world.instance.kill("coffer-courier", wait=False)
    return world, phone, device, first


def waiting(instance):
    """Until the job was taken: attempts is counted when it is."""
    return wait_for(lambda: instance.api("GET", "/jobs").json()["jobs"],
                    lambda jobs: jobs and jobs[0]["attempts"] > 0, "a push in flight")


def states(world, device):
    listed = world.instance.api("GET", f"/devices/{device['udid']}/commands").json()["commands"]
    return {c["uuid"]: c["state"] for c in listed}


def wait_state(world, device, uuid_, state):
    return wait_for(lambda: world.instance.command(device["udid"], uuid_),
                    lambda c: c["state"] == state, f"{uuid_} to be {state}")


# ---- enrolment ----

def test_every_step_is_verified(interrupted, world):
    phone = world.phone()
    seen = [e["event"] for e in phone.enrol(world.person)]
    wanted = ["device.new", "portal.login", "profile.offer", "phase2", "scep.certificate", "phase3",
              "mdm.authenticate", "mdm.enrolled", "mdm.idle"]
    assert [e for e in seen if e in wanted and seen.count(e) == 1] or seen
    for step in wanted:
        assert any(e.startswith(step) for e in seen), (step, seen)
    assert seen.index("phase2") < seen.index("scep.certificate") < seen.index("mdm.enrolled")


@pytest.mark.parametrize("more", [[], ["--basic"], ["--old-factory"], ["--mtls"]])
def test_ways_to_enrol(world, more):
    _, device = world.enrolled(*more)
    assert device["state"] == "enrolled" and device["push_state"] == "ok"


def test_client_certificate_instead_of_signatures(make_world):
    world = make_world(settings={"mdm": {"sign_message": "no"}})
    phone, device = world.enrolled("--mtls")
    assert device["state"] == "enrolled"
    queued = world.instance.queue(device["udid"], "SecurityInfo")
    assert "mdm.idle" in [e["event"] for e in phone.session()]
    assert wait_state(world, device, queued, "acknowledged")


def test_tables_for_people(world):
    _, device = world.enrolled()
    table = world.instance.coffer("device", "list").stdout
    assert device["serial_number"] in table and "SERIAL" in table.splitlines()[0]
    assert device["udid"] in world.instance.coffer("device", "show", device["udid"]).stdout


def test_wrong_password_and_foreign_factory(world, tmp_path):
    world.phone().enrol((world.person[0], "a wrong password"), expect=4)
    foreign = sim.Phone(world.instance, tmp_path / "phone", tmp_path / "factory")
    foreign.enrol(world.person, expect=4)
    stranger = sim.Phone(world.instance, tmp_path / "stranger", world.factory)
    stranger.instance = type("", (), {"url": world.instance.url, "root": tmp_path / "other.pem"})
    sim.run("apns-cert", "--out", tmp_path / "o", "--topic", TOPIC)
    (tmp_path / "other.pem").write_bytes((tmp_path / "o" / "ca.pem").read_bytes())
    assert stranger.enrol(world.person, expect=None) is not None
    assert not any(e["event"] == "portal.login" for e in stranger.enrol(world.person, expect=None))


def test_check_out_and_re_enrolment(world):
    phone, device = world.enrolled()
    phone.check_out()
    assert [d["state"] for d in world.devices() if d["id"] == device["id"]] == ["removed"]
    phone.enrol(world.person)
    again = [d for d in world.devices() if d["udid"] == device["udid"]]
    assert [d["state"] for d in again] == ["enrolled"] and again[0]["id"] == device["id"]


# ---- commands ----

def test_obeys_from_the_command_line(world):
    """Queued by an admin, pushed, obeyed, shown: without anybody calling by himself."""
    phone, device = world.enrolled()
    live = phone.live()
    coffer, udid = world.instance.coffer, device["udid"]
    coffer("device", "info", udid, "--wait", instances.PATIENCE)
    shown = coffer("device", "lock", udid, "--yes", "--message", "Lost", "--wait",
                   instances.PATIENCE).stdout
    assert "acknowledged" in shown.lower()
    coffer("device", "clear-passcode", udid, "--wait", instances.PATIENCE)
    for kind in ("SecurityInfo", "ProfileList", "CertificateList", "InstalledApplicationList"):
        answer = world.instance.coffer_json("device", "command", udid, kind, "--wait",
                                            instances.PATIENCE)
        assert answer["state"] == "acknowledged", answer
    live.stop(signal.SIGTERM)
    listed = world.instance.coffer_json("device", "queue", udid)["commands"]
    assert listed == []
    info = world.instance.coffer_json("device", "show", udid)["info"]
    assert info["DeviceInformation"]["OSVersion"]


def test_profiles_come_and_go(world, tmp_path):
    phone, device = world.enrolled()
    profile = a_profile()
    path = tmp_path / "p.mobileconfig"
    path.write_bytes(plistlib.dumps(profile))
    identifier, udid = profile["PayloadIdentifier"], device["udid"]
    world.instance.coffer("profile", "add", path)
    world.instance.coffer("profile", "assign", identifier, udid)
    phone.session()
    listed = world.instance.queue(udid, "ProfileList")
    phone.session()
    assert identifier in json.dumps(world.instance.command(udid, listed)["result"])
    world.instance.coffer("profile", "unassign", identifier, udid)
    listed = world.instance.queue(udid, "ProfileList")
    phone.session()
    assert identifier not in json.dumps(world.instance.command(udid, listed)["result"])


def test_not_now_error_malformed(world):
    phone, device = world.enrolled()
    udid = device["udid"]
    first, second = world.instance.queue(udid, "SecurityInfo"), \
        world.instance.queue(udid, "CertificateList")
    phone.session("--not-now", "1")
    assert states(world, device)[first] == "not-now"
    assert states(world, device)[second] == "acknowledged"
    phone.session()
    assert states(world, device)[first] == "acknowledged"
    failing = world.instance.queue(udid, "SecurityInfo")
    phone.session("--error", "SecurityInfo")
    shown = world.instance.command(udid, failing)
    assert shown["state"] == "error" and shown["error"][0]["domain"]
    cut = world.instance.queue(udid, "SecurityInfo")
    phone.session("--malformed", expect=None)
    assert states(world, device)[cut] == "sent"
    phone.session()
    assert states(world, device)[cut] == "acknowledged"


def test_lock_twice_cancel_and_erase(world):
    phone, device = world.enrolled()
    udid, coffer = device["udid"], world.instance.coffer
    coffer("device", "lock", udid, "--yes")
    refused = coffer("device", "lock", udid, "--yes", expect=4)
    assert "lock" in refused.stderr.lower() and "cancel" in refused.stderr.lower() \
        or "flight" in refused.stderr.lower() or "way" in refused.stderr.lower()
    phone.session()
    erase = world.instance.coffer_json("device", "erase", udid, "--yes")["uuid"]
    assert coffer("device", "erase", udid, "--yes", expect=4).stderr
    coffer("device", "cancel", udid, erase)
    coffer("device", "erase", udid, "--yes")
    assert any(e["event"] == "device.erased" for e in phone.session())
    assert phone.session(expect=3) == []
    phone.enrol(world.person)
    assert phone.session() is not None


@pytest.mark.threads
def test_eight_phones_at_once(world):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        phones = [world.phone() for _ in range(8)]
        list(pool.map(lambda p: p.enrol(world.person), phones))
        devices = [d for d in world.devices() if d["state"] == "enrolled"]
        uuids = {d["udid"]: world.instance.queue(d["udid"], "SecurityInfo") for d in devices}
        list(pool.map(lambda p: p.session(), phones))
    done = [u for u, c in uuids.items() if world.instance.command(u, c)["state"] == "acknowledged"]
    assert len(done) >= 8


def test_load_generator(world, tmp_path):
    challenges = tmp_path / "challenges"
    challenges.write_text("".join(world.instance.challenge(profile="device-identity") + "\n"
                                  for _ in range(20)))
    state, common = tmp_path / "load", ["--ca", world.instance.root, "--devices", "20",
                                        "--concurrency", "4", "--keys", "2", "--json"]
    shown = sim.run("load", "scep", "--url", f"{world.instance.url}/scep", "--state", state,
                    "--challenges", challenges, *common).stdout
    assert json.loads(shown.splitlines()[-1])
    sim.run("load", "checkin", "--url", world.instance.url, "--state", state, "--topic", TOPIC,
            *common)
    sim.run("load", "mdm", "--url", world.instance.url, "--state", state, *common)


# ---- pushes ----

def test_push_is_what_apple_wants(world):
    _, device = world.enrolled()
    before = len(world.apns.requests())
    world.instance.coffer("device", "push", device["udid"])
    found = world.apns.wait_requests(before + 1)[-1]
    assert found["status"] == 200 and found["expiration"] > 0


def test_unregistered_is_marked_and_comes_back(make_world):
    world = make_world("410 next 1\n")
    phone, device = world.enrolled()
    world.instance.coffer("device", "push", device["udid"])
    wait_for(lambda: world.devices()[0], lambda d: d["push_state"] == "unregistered", "the mark")
    # A push asked for meanwhile is a job of its own, which ends without a push.
    wait_for(lambda: world.instance.api("GET", "/jobs").json()["jobs"], lambda jobs: not jobs,
             "the job to be done")
    actions = {e["action"] for e in world.instance.api("GET", "/audit").json()["entries"]}
    assert "push.unregistered" in actions
    phone.check_out()
    phone.enrol(world.person)
    assert world.devices()[0]["push_state"] == "ok"


def test_overload_is_tried_again(make_world):
    world = make_world("429 next 1\n503 next 1\nclose after 3\n")
    phone, device = world.enrolled()
    live = phone.live()
    done = world.instance.queue(device["udid"], "SecurityInfo")
    wait_state(world, device, done, "acknowledged")
    live.stop(signal.SIGTERM)
    statuses = [r["status"] for r in world.apns.requests()]
    assert 429 in statuses and 503 in statuses and 200 in statuses
    wait_for(lambda: world.instance.api("GET", "/jobs").json()["jobs"], lambda jobs: not jobs,
             "the job to be done")


def test_goaway_opens_a_new_connection(make_world):
    world = make_world("goaway after 2\n")
    phone, device = world.enrolled()
    live = phone.live()
    for _ in range(5):
        done = world.instance.queue(device["udid"], "SecurityInfo")
        wait_state(world, device, done, "acknowledged")
    live.stop(signal.SIGTERM)


def test_stand_in_away_for_a_while(make_world, certificates):
    """Nothing is lost while Apple can't be reached."""
    world = make_world()
    phone, device = world.enrolled()
    world.apns.stop()
    done = world.instance.queue(device["udid"], "SecurityInfo")
    waiting(world.instance)
    port, devices = world.apns.port, world.apns.device_port
    world.apns.daemon = instances.Daemon(
        [instances.program("coffer-sim"), "apns", "--listen", f"127.0.0.1:{port}", "--device-port",
         str(devices), "--tls-cert", str(certificates / "server-cert.pem"), "--tls-key",
         str(certificates / "server-key.pem"), "--client-ca", str(certificates / "ca.pem"),
         "--log", str(world.apns.log)], world.folder / "apns-again.log")
    live = phone.live()
    wait_state(world, device, done, "acknowledged")
    live.stop(signal.SIGTERM)


def test_courier_killed_between_push_and_mark(interrupted):
    """It is not known whether the push went out: it goes out again, and the device obeys once."""
    world, phone, device, first = interrupted
    live = phone.live()
    wait_state(world, device, first, "acknowledged")
    wait_for(lambda: world.instance.api("GET", "/jobs").json()["jobs"], lambda jobs: not jobs,
             "the job to be done")
    live.stop(signal.SIGTERM)
    assert len(world.apns.requests()) >= 1
    assert world.instance.command(device["udid"], first)["deliveries"] == 1
