"""What is lost when processes are killed and disks fill up: nothing that was acknowledged."""

import concurrent.futures
import http.client
import itertools
import os
import pathlib
import plistlib
import signal
import subprocess
import threading
import time
import uuid

import pytest
from cryptography import x509

from helpers import instance as instances
from helpers import scep
from helpers.device import Device, Refused, acknowledge

ROUNDS = int(os.environ.get("COFFER_CRASH_ROUNDS", "100" if not instances.SANITIZER else "20"))
DEVICES = 3
TRANSIENT = (OSError, http.client.HTTPException)


class Load(threading.Thread):
    """Does something again and again, and remembers what it was told was done."""

    def __init__(self, step):
        super().__init__(daemon=True)
        self.step, self.stop, self.done, self.problem = step, threading.Event(), [], None
        self.progress = threading.Condition()

    def run(self):
        while not self.stop.is_set():
            try:
                result = self.step()
            except TRANSIENT:
                continue
            except Exception as e:  # noqa: BLE001 - shown by check()
                self.problem = e
                return
            if result is not None:
                with self.progress:
                    self.done.append(result)
                    self.progress.notify_all()

    def await_progress(self, count):
        with self.progress:
            self.progress.wait_for(lambda: len(self.done) >= count or self.problem,
                                   instances.PATIENCE)

    def check(self):
        if self.problem:
            raise self.problem


def enrol_step(instance, ca):
    """One SCEP enrolment; what it gives is the certificate that was answered."""
    def step():
        response = instance.api("POST", "/scep/challenges", {})
        if response.status != 201:
            assert response.status in (500, 503, 504), response
            return None
        client = scep.Client(scep.rsa_key("crash"), scep.name(("CN", str(uuid.uuid4()))), ca)
        answer = instance.http("POST", "/scep?operation=PKIOperation",
                               client.request(response.json()["challenge"]))
        if answer.status != 200:
            assert answer.status in (500, 503, 504), answer
            return None
        reply = client.read(answer.body)
        assert reply.status == scep.SUCCESS, reply.text
        return format(reply.certificate.serial_number, "x")
    return step


def queue_step(instance, device):
    """Queues a command; what it gives is the UUID that was accepted."""
    def step():
        response = instance.api("POST", f"/devices/{device.udid}/commands",
                                {"request_type": "SecurityInfo"})
        if response.status == 202:
            return response.json()["uuid"]
        assert response.status in (429, 500, 503, 504), response
        return None
    return step


def session_step(device):
    """A whole session; what it gives are the commands whose results were acknowledged."""
    def step():
        taken, response = [], device.report()
        while response.status == 200 and response.body:
            command = plistlib.loads(response.body)
            response = device.report("Acknowledged", command["CommandUUID"],
                                     **acknowledge(command))
            if response.status == 200:
                taken.append(command["CommandUUID"])
        assert response.status in (200, 500, 503, 504), response
        return taken or None
    return step


def serials_in_audit(instance):
    lines = instance.api_patient("GET", "/audit/export").text().splitlines()
    return {line.split('"object":"')[1].split('"')[0].lower().lstrip("0")
            for line in lines if '"certificate.issue"' in line}


def all_commands(instance, device):
    response = instance.api_patient("GET", f"/devices/{device.udid}/commands?limit=1000")
    return {c["uuid"]: c for c in response.json()["commands"]}


def restart_everything(instance):
    """kill -9 of cofferd itself; its children end by themselves."""
    instance.daemon.stop(signal.SIGKILL)
    deadline = time.monotonic() + instances.PATIENCE
    while instances.processes_of(instance.directory):
        assert time.monotonic() < deadline, instances.processes_of(instance.directory)
        instance._pause()
    instance.start()


def test_kill_in_a_loop(make_instance, factory):
    """Any process, at any moment, ROUNDS times, under load; then everything acknowledged is there.
    cofferd waits longer before each restart of the same program, so it is killed too, in time."""
    instance = make_instance()
    ca = x509.load_pem_x509_certificate(instance.device_ca.read_bytes())
    person = instance.person("crash@example.org")
    devices = [Device(instance, factory).enrol(*person) for _ in range(DEVICES)]
    for device in devices:
        device.session()
    loads = [Load(enrol_step(instance, ca))]
    for device in devices:
        loads += [Load(queue_step(instance, device)), Load(session_step(device))]
    victims = itertools.cycle(["coffer-keeper", "coffer-web", "coffer-courier", "coffer-web",
                               "coffer-keeper", "coffer-courier", "cofferd"])
    for load in loads:
        load.start()
    try:
        for number, victim in zip(range(ROUNDS), victims):
            if victim == "cofferd":
                restart_everything(instance)
            else:
                instance.kill(victim)
            if number % 7 == 6:  # work gets done in between, too
                loads[0].await_progress(len(loads[0].done) + 1)
    finally:
        for load in loads:
            load.stop.set()
        for load in loads:
            load.join(instances.PATIENCE)
    for load in loads:
        load.check()
    instance.wait_healthy()
    enrolled = set(loads[0].done)
    assert len(enrolled) >= ROUNDS // 10
    missing = {s.lower().lstrip("0") for s in enrolled} - serials_in_audit(instance)
    assert not missing, f"{len(missing)} of {len(enrolled)} certificates were lost"
    for device, queued, sessions in zip(devices, loads[1::2], loads[2::2]):
        drain(device)
        shown = all_commands(instance, device)
        accepted, answered = set(queued.done), set(itertools.chain(*sessions.done))
        if len(shown) < 1000:
            assert accepted <= set(shown), "an accepted command was lost"
        for one in itertools.islice(answered | accepted, 300):
            state = instance.command(device.udid, one)["state"]
            assert state == "acknowledged", (one, state)
    verify_audit(instance)
    instance.daemon.wait_line("ready")


def drain(device):
    deadline = time.monotonic() + instances.PATIENCE
    while device.session():
        assert time.monotonic() < deadline


def verify_audit(instance):
    export = instance.files / "audit.jsonl"
    export.write_bytes(instance.api_patient("GET", "/audit/export").body)
    done = subprocess.run([instances.program("coffer"), "audit", "verify", str(export)],
                          capture_output=True, text=True, timeout=instances.PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_keeper_killed_in_mid_request(own_instance):
    """The client gets an answer (503) at worst, and a retry works, also with the same challenge."""
    instance = own_instance
    ca = x509.load_pem_x509_certificate(instance.device_ca.read_bytes())
    for _ in range(4):
        client = scep.Client(scep.rsa_key("crash"), scep.name(("CN", str(uuid.uuid4()))), ca)
        message = client.request(instance.api_patient("POST", "/scep/challenges", {})
                                 .json()["challenge"])
        keeper, since = instance.pid_of("coffer-keeper"), instance.daemon.mark()
        os.kill(keeper, signal.SIGSTOP)  # it has the request now and does not answer
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(instance.http, "POST", "/scep?operation=PKIOperation", message)
            concurrent.futures.wait([waiting], 0.05)
            os.kill(keeper, signal.SIGKILL)
            first = waiting.result(instances.PATIENCE)
        assert first.status in (200, 503), first
        if first.status == 503:
            assert first.headers["Retry-After"]
        instance.daemon.wait_line("coffer-keeper is ready", since)
        deadline = time.monotonic() + instances.PATIENCE
        while True:
            again = instance.http("POST", "/scep?operation=PKIOperation", message)
            if again.status == 200:
                break
            assert again.status == 503 and time.monotonic() < deadline, again
            instance._pause()
        assert client.read(again.body).status == scep.SUCCESS


def test_web_killed_keeps_the_queue(own_instance, factory):
    instance = own_instance
    device = Device(instance, factory).enrol(*instance.person("web@example.org"))
    device.session()
    queued = instance.queue(device.udid, "SecurityInfo")
    delivered = device.next_command(device.report())
    assert delivered["CommandUUID"] == queued
    instance.kill("coffer-web")
    instance.wait_healthy()
    assert instance.command(device.udid, queued)["state"] == "sent"
    assert [c["CommandUUID"] for c in device.session()] == [queued]
    assert instance.command(device.udid, queued)["state"] == "acknowledged"


def test_children_end_with_cofferd(own_instance):
    own_instance.daemon.stop(signal.SIGKILL)
    deadline = time.monotonic() + instances.PATIENCE
    while left := instances.processes_of(own_instance.directory):
        assert time.monotonic() < deadline, left
        own_instance._pause()
    own_instance.start()
    own_instance.wait_healthy()


def test_reload_by_sighup(own_instance):
    since = own_instance.daemon.mark()
    own_instance.daemon.process.send_signal(signal.SIGHUP)
    for name in ("coffer-web", "coffer-courier"):
        own_instance.daemon.wait_line(f"cofferd info {name} is ready", since)
    own_instance.wait_healthy()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs", mount],
                          capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"SKIPPED LOUDLY: no right to mount a small file system: {done.stderr}")
    yield mount
    subprocess.run(["umount", "-l", mount], check=False)


def fill(mount):
    path = mount / "filler"
    with open(path, "ab", buffering=0) as out:
        for size in (1 << 20, 1 << 16, 1 << 12, 1 << 9, 1):
            try:
                while True:
                    out.write(b"\0" * size)
            except OSError:
                pass
    return path


def test_disk_full(small_disk, make_instance, factory):
    instance = make_instance(directory=small_disk / "d")
    device = Device(instance, factory).enrol(*instance.person("full@example.org"))
    device.session()
    accepted = [instance.queue(device.udid, "SecurityInfo")]
    filler = fill(pathlib.Path(small_disk))
    statuses = []
    for _ in range(400):  # what the database had set aside may take a few more
        response = instance.api("POST", f"/devices/{device.udid}/commands",
                                {"request_type": "SecurityInfo"})
        statuses.append(response.status)
        if response.status == 202:
            accepted.append(response.json()["uuid"])
        else:
            assert response.status in (503, 507), response
            assert response.json()["error"]["message"]
            if len(statuses) > 3 and set(statuses[-3:]) == {507}:
                break
    assert statuses[-1] in (503, 507), "the disk did not fill up"
    assert instance.api("GET", f"/devices/{device.udid}").status == 200, "reading goes on"
    with pytest.raises(Refused) as caught:  # a result that can't be kept is not acknowledged
        device.session()
    assert caught.value.response.status in (503, 507)
    ca = x509.load_pem_x509_certificate(instance.device_ca.read_bytes())
    assert instance.api("POST", "/scep/challenges", {}).status in (503, 507)
    filler.unlink()
    deadline = time.monotonic() + instances.PATIENCE
    while (response := instance.api("POST", "/scep/challenges", {})).status != 201:
        assert time.monotonic() < deadline, response
        instance._pause()
    client = scep.Client(scep.rsa_key("crash"), scep.name(("CN", "after")), ca)
    answer = instance.http("POST", "/scep?operation=PKIOperation",
                           client.request(response.json()["challenge"]))
    assert client.read(answer.body).status == scep.SUCCESS
    seen = [c["CommandUUID"] for c in device.session()]
    assert seen == accepted, "an accepted command was lost or changed places"
    assert {all_commands(instance, device)[u]["state"] for u in accepted} == {"acknowledged"}
    verify_audit(instance)
