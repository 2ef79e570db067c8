"""Backups: made while the instance runs, opened by two of three officers, restored elsewhere."""

import json
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import time

import backup_restore
import pytest
from escrow_recover import Wrong

from helpers import instance as instances
from helpers.instance import Instance
from helpers.officers import PASSPHRASE, Officer, Person, private

DONE, FAILED, USAGE, NOT_FOUND, REFUSED, VERIFY = range(6)
SECRET = b"the combination is 12-34-56\nand nothing else"


def coffer(*args, expect=DONE, cwd=None):
    done = subprocess.run([instances.program("coffer"), "--json", *[str(a) for a in args]],
                          capture_output=True, text=True, timeout=instances.PATIENCE, cwd=cwd)
    assert done.returncode == expect, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout) if expect == DONE else done.stderr


class World:
    """An instance with officers 2 of 3, a person, an archived secret; backups go to `store`."""

    def __init__(self, files, factory):
        self.files = files
        self.instance = Instance(files)
        self.instance.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem"))}})
        self.instance.start()
        self.store = files / "backups"

    def appoint(self):
        self.officers = [Officer(self.instance, self.files, name)
                         for name in ("anna", "ben", "cleo")]
        self.admin = Person(self.instance, self.files, "dora", "admin")
        self.instance.coffer_json("officer", "activate", "--threshold", "2")

    def put(self, data=SECRET):
        path = private(self.files / "secret", data)
        return self.instance.coffer_json("escrow", "put", path, "--kind", "file")

    def backup(self, *more):
        return self.instance.coffer_json("backup", "make", self.store, *more)

    def request(self, name, *more):
        return coffer("restore", "request", self.store, *more, "--by", "dora@example.org", "--for",
                      "dora@example.org", "--reason", "the host burnt down", "--out",
                      self.files / name)

    def approve(self, officer, request, expect=DONE):
        answer = coffer("restore", "approve", request["request"], "--key", officer.key,
                        "--passphrase-file", officer.secret, "--yes", "--code", request["code"],
                        expect=expect)
        return answer["approval"] if expect == DONE else answer

    def open(self, request, approvals, *more, store=None, expect=DONE):
        given = [word for path in approvals for word in ("--approval", path)]
        return coffer("restore", "open", request["key"], store or self.store, *given, *more,
                      expect=expect)


@pytest.fixture(scope="module")
def world(tmp_path_factory, factory):
    one = World(tmp_path_factory.mktemp("backup"), factory)
    try:
        refused = one.instance.coffer("backup", "make", one.store, expect=REFUSED).stderr
        assert "no officers' set" in refused
        assert not list((one.store / "backups").iterdir())
        one.appoint()
        one.object = one.put()
        private(one.instance.directory / "push" / "large", random.Random(1).randbytes(500000))
        one.first = one.backup()
        yield one
        one.instance.stop()
    finally:
        one.instance.abandon()


def chunk_files(store):
    return sorted(p for p in (store / "chunks").rglob("*") if p.is_file())


def test_second_backup_is_small(world):
    again = world.backup()
    assert again["chunks"] >= world.first["chunks"] > again["new_chunks"]
    assert again["written"] < world.first["written"] / 4
    listed = coffer("backup", "list", world.store)["backups"]
    assert [b["name"] for b in listed][-1] == again["name"]
    assert all(b["officers_needed"] == 2 and "error" not in b for b in listed)
    full = world.backup("--full")
    assert full["new_chunks"] > full["chunks"] / 2


def test_nothing_readable_lies_there(world):
    master = (world.instance.directory / "vault" / "master.key").read_bytes().strip()
    words = [SECRET[:20], master, bytes.fromhex(master.decode()), b"SQLite format 3", b"PRIVATE KEY",
             b"anna@example.org", b"store.db", b"coffer.conf"]
    for path in [p for p in world.store.rglob("*") if p.is_file()]:
        data = path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        for word in words:
            assert word not in data, (path, word)
    assert not list(world.instance.directory.rglob("backup.tmp"))


def test_one_officer_is_not_enough_and_requester_does_not_count(world):
    request = world.request("alone")
    approval = world.approve(world.officers[0], request)
    refused = world.open(request, [approval], "--check", expect=REFUSED)
    assert "1" in refused and "2" in refused
    twice = subprocess.run(
        [instances.program("coffer"), "restore", "open", request["key"], str(world.store),
         "--approval", approval, "--approval", approval, "--check"],
        capture_output=True, text=True, timeout=instances.PATIENCE)
    assert twice.returncode in (REFUSED, VERIFY)
    other = world.request("other")
    foreign = world.approve(world.officers[1], other)
    assert world.officers[1].id in world.open(request, [approval, foreign], "--check",
                                              expect=VERIFY)
    wrong = coffer("restore", "approve", request["request"], "--key", world.officers[1].key,
                   "--passphrase-file", world.officers[1].secret, "--yes", "--code",
                   "aaaa-bbbb-cccc", expect=VERIFY)
    assert "code" in wrong


def test_restored_elsewhere_everything_works(world, tmp_path):
    made = world.backup()
    coffer("backup", "verify", world.store, "--key",
           world.instance.directory / "public" / "audit-key.pem")
    request = world.request("burnt", made["name"])
    approvals = [world.approve(o, request) for o in world.officers[1:]]
    assert world.open(request, approvals, "--check")["files"] >= 5
    assert os.path.exists(request["key"])
    to = tmp_path / "restored"
    to.mkdir()
    assert "exists" in world.open(request, approvals, "--to", to, expect=FAILED)
    to.rmdir()
    world.open(request, approvals, "--to", to)
    assert not os.path.exists(request["key"])
    check_restored(world, to)
    world.instance.stop()
    again = Instance(tmp_path, to)
    try:
        run_restored(world, again)
    finally:
        again.abandon()
        world.instance.start()


def check_restored(world, to):
    for name in ("vault/master.key", "tls/key.pem", "tls/cert.pem", "coffer.conf", "api-token",
                 "public/audit-key.pem"):
        assert (to / name).read_bytes() == (world.instance.directory / name).read_bytes(), name
    for name, mode in (("vault", 0o700), ("vault/vault.db", 0o600), ("vault/master.key", 0o600),
                       ("store/store.db", 0o600), ("public", 0o755), (".", 0o700)):
        assert stat.S_IMODE((to / name).stat().st_mode) == mode, name
    done = subprocess.run([instances.program("coffer-keeper"), "--dir", str(to), "--verify-log"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(f"file:{to}/store/store.db?mode=ro", uri=True) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def run_restored(world, again):
    """Started in the old one's place (same ports, same configuration)."""
    for name in ("port", "http_port", "mtls_port", "url", "http_url", "token", "root"):
        if hasattr(world.instance, name):
            try:
                setattr(again, name, getattr(world.instance, name))
            except AttributeError:
                pass
    again.start()
    listed = again.coffer_json("escrow", "list")["objects"]
    assert world.object["id"] in [o["id"] for o in listed]
    export = again.files / "audit.jsonl"
    again.coffer("audit", "export", "--output", export)
    again.coffer("audit", "verify", export, "--key", again.directory / "public" / "audit-key.pem")
    request = world.admin.request(world.object["id"])
    for officer in world.officers[:2]:
        officer.approve(request)
    out = again.files / "recovered"
    world.admin.coffer("recover", "open", request["path"], "--out", out)
    assert out.read_bytes() == SECRET
    again.stop()


def test_independent_script_restores_with_two_keys(world):
    made = world.backup()
    path = world.store / "backups" / f"{made['name']}.coffer"
    keys = [backup_restore.officer_open(o.key.read_bytes(), PASSPHRASE.encode())
            for o in world.officers[:2]]
    found = backup_restore.restore(path, world.store / "chunks", keys)
    directory = world.instance.directory
    assert found["tls/key.pem"] == (directory / "tls" / "key.pem").read_bytes()
    assert found["vault/master.key"] == (directory / "vault" / "master.key").read_bytes()
    assert found["vault/vault.db"][:15] == found["store/store.db"][:15] == b"SQLite format 3"
    with pytest.raises(Wrong):
        backup_restore.restore(path, world.store / "chunks", keys[:1])


def test_flipped_bytes_are_named(world, tmp_path):
    made = world.backup()
    store = tmp_path / "copy"
    shutil.copytree(world.store, store)
    request = world.request("flipped", made["name"])
    approvals = [world.approve(o, request) for o in world.officers[:2]]
    rng = random.Random(7)
    path = store / "backups" / f"{made['name']}.coffer"
    whole = path.read_bytes()
    head = int.from_bytes(whole[:4], "big")
    for at in [2, 4, 12, 20, 4 + head - 1, 4 + head + 3, len(whole) - 1,
               *rng.sample(range(len(whole)), 20)]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1:])
        done = subprocess.run([instances.program("coffer"), "backup", "verify", str(store)],
                              capture_output=True, text=True, timeout=instances.PATIENCE)
        assert done.returncode == VERIFY and made["name"] in done.stderr, (at, done)
        done = subprocess.run([instances.program("coffer"), "restore", "open", request["key"],
                               str(store), "--check", "--approval", approvals[0], "--approval",
                               approvals[1]], capture_output=True, text=True)
        assert done.returncode != DONE, at
    path.write_bytes(whole)
    table = whole[4 + head:]
    chunk = store / "chunks" / table[:1].hex() / table[:32].hex()
    data = chunk.read_bytes()
    for at in (0, 8, 9, len(data) // 2, len(data) - 1):
        chunk.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
        assert chunk.name in coffer("backup", "verify", store, made["name"], expect=VERIFY)
        assert chunk.name in world.open(request, approvals, "--check", store=store, expect=VERIFY)
    chunk.unlink()
    assert chunk.name in coffer("backup", "verify", store, made["name"], expect=VERIFY)
    to = tmp_path / "never"
    world.open(request, approvals, "--to", to, store=store, expect=NOT_FOUND)
    assert not to.exists() and not to.with_name("never.new").exists()


def test_killed_while_writing_leaves_earlier_backups(world):
    command = [instances.program("coffer"), "--dir", str(world.instance.directory), "backup",
               "make", str(world.store), "--full"]
    before = {p: p.read_bytes() for p in (world.store / "backups").iterdir()}
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, timeout=instances.PATIENCE)
    took = time.monotonic() - start
    before |= {p: p.read_bytes() for p in (world.store / "backups").iterdir()}
    killed = 0
    for part in range(12):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(took * (part + 0.5) / 12)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        for path, data in before.items():
            assert path.read_bytes() == data
        coffer("backup", "verify", world.store)
    assert killed > 3
    world.backup()
    coffer("backup", "verify", world.store)


def test_prune_keeps_what_is_in_use(world):
    last = world.backup()
    junk = world.store / "chunks" / "00" / ("00" * 32)
    junk.parent.mkdir(exist_ok=True)
    junk.write_bytes(b"left by a killed run")
    names = [b["name"] for b in coffer("backup", "list", world.store)["backups"]]
    damaged = world.store / "backups" / f"{names[-2]}.coffer"
    data = damaged.read_bytes()
    damaged.write_bytes(data[:-1])
    count = len(chunk_files(world.store))
    coffer("backup", "prune", world.store, "--keep", 3, expect=USAGE)
    assert len(chunk_files(world.store)) == count
    damaged.write_bytes(data)
    pruned = coffer("backup", "prune", world.store, "--keep", 2)
    assert pruned["removed"] == len(names) - 2 and pruned["chunks_removed"] > 0
    assert not junk.exists()
    assert coffer("backup", "verify", world.store)["backups"] == 2
    assert coffer("backup", "list", world.store)["backups"][-1]["name"] == last["name"]
    request = world.request("pruned")
    approvals = [world.approve(o, request) for o in (world.officers[0], world.officers[2])]
    world.open(request, approvals, "--check")


def test_a_new_set_opens_and_the_old_one_does_not(world):
    """After a change of officers nothing new is under keys that the former set opened."""
    before = world.backup()
    one = world.officers
    world.instance.coffer_json("officer", "activate", "--threshold", "2", one[0].id, one[1].id)
    one[0].sign(2)
    one[1].sign(2)
    after = world.backup()
    assert after["new_chunks"] > before["chunks"] / 2
    request = world.request("newset", after["name"])
    assert "not in officers' set" in world.approve(one[2], request, expect=REFUSED)
    world.open(request, [world.approve(o, request) for o in one[:2]], "--check")
