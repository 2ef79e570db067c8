"""Attack games (rule R12) on the real client: a service that swaps, replays, rolls back, forks, withholds, truncates,
and puts in devices and keys. Each is refused with its name, nothing is changed in the folder, and when it is over and
somebody has looked, all goes on."""

import json
import os
import time

import pytest

import sync_unseal as su
from helpers import hostile
from helpers.sync_client import person, runs
from sync_unseal import i64, run, suited, u8, u64
from test_sync_client import ANNA, Device


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made, liar, url = hostile.begin(tmp_path_factory.mktemp("hostile"), {"sync": {"enabled": "yes"}})
    try:
        yield made, liar, url, person(made, ANNA)
        made.stop()
    finally:
        liar.close()
        made.abandon()


class Victim(Device):
    """A device that is told the liar's address, and trusts its certificate."""

    even = False  # both devices have the same, and it is known

    def __init__(self, world, place, name):
        made, self.liar, self.url, token = world
        super().__init__(made, place, name, ANNA, token)

    def person_options(self):
        return ["--server", self.url, "--token-file", str(self.token), "--ca", str(self.liar.ca)]

    def attacked(self, *words):
        """A step under attack: its alarm. It changes nothing, nor do those after it."""
        before = self.tree()
        done = self.run("run", str(self.folder), "--once", status=5)
        said = json.loads(done.stdout)
        assert self.liar.twisted, "the attack did not take place"
        assert said["alarm"] and said["alarm"] in done.stderr, done
        assert self.tree() == before
        self.liar.honest()
        again = self.run("run", str(self.folder), "--once", status=5)
        assert json.loads(again.stdout)["alarm"] == said["alarm"] and self.tree() == before
        return said["alarm"]


@pytest.fixture(scope="module")
def pair(world, tmp_path_factory):
    place = tmp_path_factory.mktemp("pair")
    writer = Victim(world, place, "writer").init()
    return writer, Victim(world, place, "victim").join(writer)


@pytest.fixture
def devices(world, pair):
    """One that writes, and the victim, which has seen its roots. A game that ended well leaves them so."""
    writer, victim = pair
    world[1].honest()
    if not writer.even:
        writer.write("seen", "before")
        writer.sync(), victim.sync("--pardon")
    writer.even = False
    assert victim.tree() == writer.tree()
    yield pair
    world[1].honest()


def make_up(writer, victim):
    """Somebody has looked: all goes on."""
    if victim.sync("--pardon")["commits"]:
        writer.sync(), victim.sync()
    assert victim.tree() == writer.tree()
    writer.even = True


def changed(answer, body, status=None):
    return hostile.Message(status=status or answer.status, headers=answer.headers, body=body)


def runs_of(parts):
    return b"".join(run(part) for part in parts)


# ---- what is done to answers; each takes (region, ask, answer) ----

def is_for(ask, method, end):
    return ask.method == method and ask.path.split("?")[0].endswith(end)


def roll_back(state, ask, answer):
    if is_for(ask, "GET", "/events"):
        return changed(answer, json.dumps({**json.loads(answer.body), "root": 0}).encode())
    return None


def replay_roots(state, ask, answer):
    if not is_for(ask, "GET", "/roots"):
        return None
    state.setdefault("roots", state["old_roots"])
    return changed(answer, state["roots"])


def reorder_roots(state, ask, answer):
    if not is_for(ask, "GET", "/roots"):
        return None
    parts = runs(answer.body)
    assert len(parts) >= 4
    return changed(answer, runs_of(parts[2:4] + parts[:2] + parts[4:]))


def withhold_roots(state, ask, answer):
    return changed(answer, b"") if is_for(ask, "GET", "/roots") else None


def withhold_entry(state, ask, answer):
    return changed(answer, b"") if is_for(ask, "GET", "/chain") else None


def cut_chain(state, ask, answer):
    return changed(answer, answer.body[:-10]) if is_for(ask, "GET", "/chain") and answer.body else None


def reorder_chain(state, ask, answer):
    if not is_for(ask, "GET", "/chain"):
        return None
    parts = runs(answer.body)
    assert len(parts) >= 2
    return changed(answer, runs_of(parts[::-1]))


def insert_device(state, ask, answer):
    """An entry at the chain's end by which a stranger adds himself."""
    if is_for(ask, "GET", "/events"):
        said = json.loads(answer.body)
        return changed(answer, json.dumps({**said, "chain": said["chain"] + 1}).encode())
    if not is_for(ask, "GET", "/chain"):
        return None
    chain, stranger = su.Chain(), su.Device(os.urandom(96), b"stranger", ANNA.encode())
    for entry in state["chain"]():
        chain.append(entry)
    message = (suited(b"YC") + chain.region + u64(len(chain.heads)) + chain.heads[-1] + u8(su.ADD) +
               i64(int(time.time())) + stranger.id + stranger.id + u8(0) + run(stranger.card) +
               u64(len(chain.commits)) + chain.commits[-1] + run(b""))
    return changed(answer, answer.body + run(stranger.sign(b"chain", message)))


def flip_root(state, ask, answer):
    if not is_for(ask, "GET", "/roots"):
        return None
    body = bytearray(answer.body)
    body[60] ^= 1
    return changed(answer, bytes(body))


def swap_change(state, ask, answer):
    if not is_for(ask, "GET", "/roots"):
        return None
    parts = runs(answer.body)
    assert len(parts) >= 4
    parts[1], parts[3] = parts[3], parts[1]
    return changed(answer, runs_of(parts))


def swap_package(state, ask, answer):
    if not is_for(ask, "POST", "/packages/get"):
        return None
    parts = runs(answer.body)
    return changed(answer, runs_of([state["package"]] + parts[1:]))


def withhold_package(state, ask, answer):
    return changed(answer, runs_of([b""])) if is_for(ask, "POST", "/packages/get") else None


def is_data(ask):
    return ask.method == "GET" and "/data/" in ask.path and not ask.path.endswith("/parts")


def cut_data(state, ask, answer):
    return changed(answer, answer.body[:-100]) if is_data(ask) else None


def flip_data(state, ask, answer):
    if not is_data(ask):
        return None
    body = bytearray(answer.body)
    body[len(body) // 2] ^= 0x20
    return changed(answer, bytes(body))


def swap_chunks(state, ask, answer):
    if not is_data(ask):
        return None
    body, half = answer.body, (len(answer.body) - 234) // 2
    return changed(answer, body[:234] + body[234 + half:234 + 2 * half] + body[234:234 + half] + body[234 + 2 * half:])


def withhold_data(state, ask, answer):
    if not is_data(ask):
        return None
    said = {"error": {"code": "not_found", "message": "there is no such data", "reason": "none"}}
    return hostile.Message(status=404, headers=[("Content-Type", "application/json")], body=json.dumps(said).encode())


ROOTS = {"roll-back": (roll_back, "rolled-back"), "replay-roots": (replay_roots, "withheld"),
         "reorder-roots": (reorder_roots, "forked withheld root-invalid rolled-back"),
         "withhold-roots": (withhold_roots, "withheld"), "flip-root": (flip_root, "root-invalid chain-forked"),
         "swap-change": (swap_change, "change-invalid"), "swap-package": (swap_package, "package-invalid"),
         "withhold-package": (withhold_package, "withheld"), "cut-data": (cut_data, "data-invalid"),
         "flip-data": (flip_data, "data-invalid"), "swap-chunks": (swap_chunks, "data-invalid"),
         "withhold-data": (withhold_data, "withheld")}
CHAIN = {"withhold-entry": (withhold_entry, "chain-short"), "cut-chain": (cut_chain, "chain-invalid"),
         "reorder-chain": (reorder_chain, "chain-invalid chain-forked"),
         "insert-device": (insert_device, "chain-invalid")}


def listen(liar, state):
    """Honest, and remembers what an attack can use later."""
    def twist(ask, answer):
        if is_for(ask, "POST", "/packages/get") and answer.status == 200:
            state.setdefault("package", runs(answer.body)[0])
        if is_for(ask, "GET", "/roots") and answer.status == 200 and answer.body:
            state["old_roots"] = answer.body
        if is_for(ask, "GET", "/deliveries") and answer.status == 200:
            state.setdefault("deliveries", []).append(answer.body)
    liar.twist = twist


@pytest.mark.parametrize("name", ROOTS)
def test_what_is_done_to_the_tree_is_named(devices, name):
    writer, victim = devices
    liar, state = writer.liar, {}
    if name in ("replay-roots", "swap-package"):
        listen(liar, state)
        writer.write("seen", "third")
        writer.sync(), victim.sync()
        liar.honest()
    for text in ("fourth", "fifth") if name in ("reorder-roots", "swap-change") else ("fifth",):
        writer.write("seen", text)
        writer.write("many/" + text, os.urandom(200_000))
        writer.sync()
    twist, words = ROOTS[name]
    liar.twist = lambda ask, answer: twist(state, ask, answer)
    assert victim.attacked() in words.split()
    make_up(writer, victim)
    assert victim.tree()["seen"] == b"fifth"


@pytest.mark.parametrize("name", CHAIN)
def test_what_is_done_to_the_chain_is_named(devices, name):
    writer, victim = devices
    for _ in range(2 if name == "reorder-chain" else 1):  # entries
        writer.run("rotate")
    twist, words = CHAIN[name]

    def entries():
        token = writer.token.read_text()
        reply = writer.service.http("GET", f"/api/v1/sync/r/{writer.region}/chain",
                                    headers={"Authorization": f"Bearer {token}"})
        assert reply.status == 200, reply
        return runs(reply.body)

    writer.liar.twist = lambda ask, answer: twist({"chain": entries}, ask, answer)
    assert victim.attacked() in words.split()
    writer.write("seen", name)
    writer.sync()
    make_up(writer, victim)
    assert victim.tree()["seen"] == name.encode()


def test_another_line_of_roots_is_a_fork(devices):
    """The victim's root is taken and shown to nobody; later it is to follow the others' line."""
    writer, victim = devices
    liar = writer.liar

    def swallow(ask):
        if not is_for(ask, "POST", "/root"):
            return None
        return hostile.Message(status=201, headers=[("Content-Type", "application/json")], body=b"{}")

    victim.write("mine", "alone")
    liar.swallow = swallow
    assert victim.sync()["commits"] == 1
    liar.honest()
    for text in ("theirs", "and more"):
        writer.write("other", text)
        writer.sync()
    liar.twisted = 1
    assert victim.attacked() == "forked"
    assert victim.tree()["mine"] == b"alone"
    make_up(writer, victim)
    assert victim.tree()["mine"] == b"alone"


def test_the_chain_of_before_a_device_was_removed_is_too_short(devices):
    writer, victim = devices
    writer.run("rotate")
    victim.sync()

    def shorter(ask, answer):
        if not is_for(ask, "GET", "/events"):
            return None
        said = json.loads(answer.body)
        return changed(answer, json.dumps({**said, "chain": said["chain"] - 1}).encode())

    writer.liar.twist = shorter
    assert victim.attacked() == "chain-short"
    make_up(writer, victim)


@pytest.mark.parametrize("whose", ["an-old-one", "another-device's", "a-stranger's"])
def test_a_key_that_is_not_the_epochs_is_not_taken(world, devices, tmp_path, whose):
    """There is a new key, as after a device was removed. It comes from who may give it, or the victim waits."""
    writer, victim = devices
    liar, seen = writer.liar, []
    if whose == "another-device's":
        third = Victim(world, tmp_path, whose)
        liar.twist = lambda ask, answer: seen.append(answer.body) if is_for(ask, "GET", "/deliveries") else None
        third.join(writer)
        third.sync()
        liar.honest()
        assert seen, "nobody asked for a key"
        writer.run("revoke", whose)
    else:
        writer.run("rotate")
    writer.write("seen", "under the new key")
    writer.sync()
    stranger = su.Device(os.urandom(96), b"stranger", ANNA.encode())

    def twist(ask, answer):
        if not is_for(ask, "GET", "/deliveries"):
            return None
        delivery, *older = runs(answer.body)
        if whose == "an-old-one":
            return changed(answer, runs_of(older))
        if whose == "another-device's":
            return changed(answer, runs_of(runs(seen[0])))
        context = delivery[:-64]
        at = 8 + 2 + 32 + 8 + 8 + 32
        return changed(answer, run(stranger.sign(b"delivery", context[:at] + stranger.id + context[at + 32:])))

    liar.twist = twist
    before = victim.tree()
    if whose == "an-old-one":  # nobody can tell it from a key that is still to come
        done = victim.run("run", str(victim.folder), "--once", status=1)
        assert "has not been delivered" in done.stderr and liar.twisted
        liar.honest()
    else:
        assert victim.attacked() == "key-invalid"
        assert victim.tree() == before
    make_up(writer, victim)
    assert victim.tree()["seen"] == b"under the new key"


def test_rules_that_change_in_every_answer(devices):
    """The names that the rules leave are read anew with each news, also with those in the middle of a step."""
    writer, victim = devices
    told = []

    def name_folders(ask, answer):
        if is_for(ask, "GET", "/events"):
            told.append(None)
            names = ["Work", "Photos"] if len(told) == 1 else [".."]
            return changed(answer, json.dumps({**json.loads(answer.body), "folders": names}).encode())
        if told and is_for(ask, "POST", "/packages/get"):
            return changed(answer, b"", 404)
        return None

    writer.write("Work/new", "text")
    writer.sync()
    before = victim.tree()
    victim.liar.twist = name_folders
    for _ in range(2):
        assert "a folder that there can't be" in victim.run("run", str(victim.folder), "--once", status=2).stderr
        assert victim.tree() == before
    victim.liar.honest()
    victim.sync("--pardon")
    assert len(told) >= 2 and victim.tree() == writer.tree()
