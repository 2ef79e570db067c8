"""Opening a recovery: the machine dies between answer and disk, shares are wrong, others try too."""
import base64
import fcntl
import os
import pathlib
import signal
import subprocess

import pytest

from helpers import instance as instances
from helpers.officers import private
from test_escrow import DONE, FAILED, REFUSED, SECRET, VERIFY, World, opened


@pytest.fixture(scope="module")
def world(tmp_path_factory, factory):
    one = World(tmp_path_factory.mktemp("open"), factory)
    try:
        yield one
        one.instance.stop()
    finally:
        one.instance.abandon()


def approved(world, officers):
    request = world.admin.request(world.put()["id"])
    for officer in officers:
        officer.approve(request)
    return request


def spoil(world, request, officer):
    """What arrives as this officer's approval is not what he sent."""
    with world.database() as db:
        record, = db.execute("SELECT record FROM recovery_answer WHERE recovery_id = ? AND"
                             " officer_id = ?", (request["id"], officer.id)).fetchone()
        changed = bytearray(record)
        changed[-100] ^= 1
        db.execute("UPDATE recovery_answer SET record = ? WHERE recovery_id = ? AND officer_id = ?",
                   (bytes(changed), request["id"], officer.id))


def state(world, request):
    return world.instance.coffer_json("recover", "show", request["id"])


def audited(world, request, action):
    return [e for e in world.audit(action) if e["object"] == request["id"]]


def opening(path):
    return pathlib.Path(f"{path}.opening")


class Stuck:
    """A `recover open` that has its answer and can't go on: what it says about a wrong share fills a pipe."""

    def __init__(self, world, request, out):
        self.reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
        for size in (4096, 1):
            try:
                while True:
                    os.write(writer, b"." * size)
            except BlockingIOError:
                pass
        fcntl.fcntl(writer, fcntl.F_SETFL, 0)
        admin = world.admin
        self.process = subprocess.Popen(
            [instances.program("coffer"), "--server", admin.instance.url, "--token-file",
             str(admin.token), "--ca", str(admin.instance.root), "recover", "open",
             str(request["path"]), "--out", str(out)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=writer)
        os.close(writer)
        instances.wait_for(lambda: audited(world, request, "recovery.open"), bool, "the answer")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait(instances.PATIENCE) == -signal.SIGKILL
        os.close(self.reader)


def test_open__a_machine_that_died_before_it_wrote_goes_on(world):
    request = approved(world, world.officers)
    spoil(world, request, world.officers[1])
    out = world.admin.home / "after-death"
    stuck = Stuck(world, request, out)
    try:
        busy = world.admin.coffer("recover", "open", request["path"], "--out", f"{out}2", expect=None)
        assert busy.returncode == REFUSED and "another program" in busy.stderr
    finally:
        stuck.kill()
    assert out.read_bytes() == b"" and request["path"].exists() and opening(request["path"]).exists()
    assert state(world, request)["state"] == "opened" and not state(world, request)["received"]
    # a copy of the key alone, with the same token, gets nothing
    copy = private(world.admin.home / "copy.key", request["path"].read_bytes())
    done = world.admin.coffer("recover", "open", copy, "--out", f"{out}3", expect=REFUSED)
    assert "opened already, elsewhere" in done.stderr
    kept = opening(request["path"]).read_bytes()
    world.admin.coffer("recover", "open", request["path"], "--out", out)
    assert out.read_bytes() == SECRET
    assert not request["path"].exists() and not opening(request["path"]).exists()
    assert state(world, request)["received"]
    assert len(audited(world, request, "recovery.open")) == 1
    assert len(audited(world, request, "recovery.open-again")) == 1
    assert audited(world, request, "recovery.received")
    # what has arrived is not handed out any more, not even to the same
    private(opening(copy), kept)
    done = world.admin.coffer("recover", "open", copy, "--out", f"{out}3", expect=REFUSED)
    assert "and arrived" in done.stderr


def test_open__another_file_is_never_written_over(world):
    request = approved(world, world.officers[:2])
    out = private(world.admin.home / "precious", b"")
    done = world.admin.coffer("recover", "open", request["path"], "--out", out, expect=None)
    assert done.returncode == FAILED and "exists already" in done.stderr
    out.write_bytes(b"more")
    done = world.admin.coffer("recover", "open", request["path"], "--out", out, expect=None)
    assert done.returncode == FAILED and out.read_bytes() == b"more"
    assert opened(world, request) == SECRET


def test_open__another_officer_completes_where_a_share_was_wrong(world):
    anna, ben, cleo = world.officers
    request = approved(world, (anna, ben))
    spoil(world, request, ben)
    done = opened(world, request, expect=VERIFY)
    assert f"officer {ben.id}" in done.stderr and anna.id not in done.stderr
    assert "let another officer approve" in done.stderr
    shown = state(world, request)
    assert (shown["state"], shown["approvals"], shown["needed"]) == ("waiting", 1, 2)
    assert [a["wrong"] for a in shown["answers"]] == [False, True]
    assert audited(world, request, "recovery.wrong-share")[0]["detail"]["officer"] == ben.id
    done = opened(world, request, expect=REFUSED)
    assert "1 of 2 approvals" in done.stderr
    ben.approve(request, expect=FAILED)  # he counts once
    cleo.approve(request)
    assert opened(world, request) == SECRET
    assert len(audited(world, request, "recovery.open")) == 2


def test_open__more_officers_where_nobody_can_be_named(world):
    request = approved(world, world.officers[:2])
    secret = b"k" * 32
    body = {"opening": base64.b64encode(secret).decode()}
    path = f"/recoveries/{request['id']}"
    world.admin.api("POST", f"{path}/wrong", {**body, "officers": []}, expect=403)  # not opened yet
    world.admin.api("POST", f"{path}/received", body, expect=403)
    world.admin.api("POST", f"{path}/open", body, expect=200)
    other = {"opening": base64.b64encode(b"x" * 32).decode()}
    for what in ("open", "received"):
        world.admin.api("POST", f"{path}/{what}", other, expect=403)
    world.admin.api("POST", f"{path}/wrong", {**other, "officers": []}, expect=403)
    world.admin.api("POST", f"{path}/wrong", {**body, "officers": ["nobody"]}, expect=404)
    answer = world.admin.api("POST", f"{path}/wrong", {**body, "officers": []}, expect=200).json()
    assert (answer["state"], answer["approvals"], answer["needed"]) == ("waiting", 2, 3)
    private(opening(request["path"]), secret)
    assert opened(world, request, expect=REFUSED).returncode == REFUSED
    world.officers[2].approve(request)
    assert opened(world, request) == SECRET


def test_open__nobody_is_left_to_ask(world):
    request = approved(world, world.officers)
    body = {"opening": base64.b64encode(b"k" * 32).decode()}
    path = f"/recoveries/{request['id']}"
    world.admin.api("POST", f"{path}/open", body, expect=200)
    world.admin.api("POST", f"{path}/wrong", {**body, "officers": []}, expect=200)
    world.admin.api("POST", f"{path}/open", body, expect=200)
    answer = world.admin.api("POST", f"{path}/wrong", {**body, "officers": []}, expect=403)
    assert "nobody to ask" in answer.text()


def test_open__what_expired_is_not_fetched_again(world):
    request = approved(world, world.officers[:2])
    body = {"opening": base64.b64encode(b"k" * 32).decode()}
    world.admin.api("POST", f"/recoveries/{request['id']}/open", body, expect=200)
    world.admin.api("POST", f"/recoveries/{request['id']}/open", body, expect=200)
    with world.database() as db:
        db.execute("UPDATE recovery SET expires_ms = created_ms WHERE id = ?", (request["id"],))
    answer = world.admin.api("POST", f"/recoveries/{request['id']}/open", body, expect=403)
    assert "expired" in answer.text()


def test_open__without_an_opening_it_is_handed_out_once(world):
    request = approved(world, world.officers[:2])
    path = f"/recoveries/{request['id']}/open"
    world.admin.api("POST", path, expect=200)
    world.admin.api("POST", path, expect=403)
    world.admin.api("POST", path, {"opening": base64.b64encode(b"k" * 32).decode()}, expect=403)
    for bad in (base64.b64encode(b"k" * 31).decode(), 7):
        assert world.admin.api("POST", path, {"opening": bad}).status == 400
