"""What the service forgets and what it may not: retention, legal holds, a clock that is wrong, a store that is slow."""

import contextlib
import os
import socket
import sqlite3
import threading

import pytest

from helpers import instance as instances
from helpers.sync_client import begin, person

ANNA, BERT = "anna@example.org", "bert@example.org"
DAY_MS = 24 * 3600 * 1000
# Every column that says since when something is there.
STAMPS = [("sync_package", "since_ms"), ("sync_data", "since_ms"), ("stored_blob", "since_ms")]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = instances.Instance(tmp_path_factory.mktemp("retention"))
    try:
        made.init({"sync": {"enabled": "yes"}}).start()  # keep_versions = 90d
        made.anna, made.bert = (person(made, e) for e in (ANNA, BERT))
        yield made
        made.stop()
    finally:
        made.abandon()


@contextlib.contextmanager
def stopped(instance):
    """Its database, while nobody else has it."""
    instance.stop()
    with contextlib.closing(sqlite3.connect(instance.directory / "store" / "store.db")) as db:
        yield db
        db.commit()
    instance.start()


def older(db, days, where="1", tables=STAMPS):
    for table, column in tables:
        db.execute(f"UPDATE {table} SET {column} = {column} - ? WHERE {where}", (days * DAY_MS,))


def dropped(client, content):
    """A version that the tree had, and what replaced it: its package's id."""
    idents, folder = client.put_files({b"a": content})
    live = set(client.region.live)
    new = client.region.listing_of([])
    client.upload(new)
    client.commit(new, [new], live)
    return idents[b"a"], folder


def is_there(client, ident):
    return client.ask("GET", client.r(f"/packages/{ident.hex()}")).status == 200


def collected(instance):
    """How often collection removed something, by the audit log."""
    entries = instance.api("GET", "/audit?limit=1000", expect=200).json()["entries"]
    return sum(e["action"] == "sync.collect" for e in entries)


def test_what_is_due_goes_and_what_is_held_stays(service):
    clients = {name: begin(service, email, token) for name, email, token in
               (("free", ANNA, service.anna), ("region", ANNA, service.anna), ("person", BERT, service.bert))}
    old = {name: dropped(client, os.urandom(3000))[0] for name, client in clients.items()}
    alive, _ = clients["free"].put_files({b"kept": b"in the tree"})
    holds = [service.api("POST", "/sync/holds", body, expect=201).json()["hold"] for body in
             ({"region": clients["region"].region.id.hex(), "reason": "case 7"}, {"person": BERT, "reason": "case 8"})]
    with stopped(service) as db:
        older(db, 89)
    for client in clients.values():
        client.log_in()
    before = collected(service)
    assert all(is_there(clients[n], old[n]) for n in old)  # not due yet
    with stopped(service) as db:
        older(db, 2)
    clients["free"].log_in()
    instances.wait_for(lambda: is_there(clients["free"], old["free"]), lambda there: not there, "what is due to go")
    assert collected(service) > before
    for name in ("region", "person"):
        clients[name].log_in()
        assert is_there(clients[name], old[name])
        root = clients[name].root_of(old[name])
        blob = clients[name].region.blobs[root]
        assert clients[name].get(root, len(blob)) == blob
    root = clients["free"].root_of(alive[b"kept"])
    assert clients["free"].get(root, len(clients["free"].region.blobs[root])) == clients["free"].region.blobs[root]
    # A hold that ends lets go of what is due, and of nothing else.
    service.api("DELETE", f"/sync/holds/{holds[0]}", expect=204)
    with stopped(service):
        pass  # collection runs at the start, and every five minutes
    for client in clients.values():
        client.log_in()
    instances.wait_for(lambda: is_there(clients["region"], old["region"]), lambda there: not there, "the held one to go")
    assert is_there(clients["person"], old["person"])
    actions = [e["action"] for e in service.api("GET", "/audit?limit=1000", expect=200).json()["entries"]]
    assert {"sync.hold", "sync.hold.end", "sync.collect"} <= set(actions)


@pytest.mark.parametrize("days", [365, -365], ids=["ahead", "back"])
def test_a_clock_that_is_a_year_off_deletes_nothing_early(service, days):
    """All that the store says of times is moved the other way: to the programs the clock is wrong by a year."""
    client = begin(service, ANNA, service.anna)
    everything = [*STAMPS, ("sync_clock", "now_ms")]
    fresh, due, last = (dropped(client, os.urandom(3000))[0] for _ in range(3))

    def restarted(move, gone):
        """With the clock so many days off, and one version that is due by any: when it is gone, collection ran."""
        with stopped(service) as db:
            older(db, move, tables=everything)
            older(db, 91, f"package = x'{gone.hex()}'", STAMPS[:1])
        client.log_in()

    restarted(days, due)
    service.daemon.wait_line("sync: the time of day is [0-9]+ hours " + ("ahead" if days > 0 else "behind"))
    instances.wait_for(lambda: is_there(client, due), lambda there: not there, "what is due by any clock to go")
    assert is_there(client, fresh)
    meanwhile, _ = dropped(client, os.urandom(3000))
    restarted(-days, last)  # right again
    instances.wait_for(lambda: is_there(client, last), lambda there: not there, "what is due to go")
    assert is_there(client, fresh) and is_there(client, meanwhile)
    client.put_files({b"b": b"goes on"})


class SlowStore:
    """A bucket that takes a connection and says nothing."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port, self.held = self.socket.getsockname()[1], []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                self.held.append(self.socket.accept()[0])
            except OSError:
                return

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(instances.PATIENCE)
        for each in self.held:
            each.close()


def test_a_store_that_says_nothing_keeps_no_write_from_its_quorum(tmp_path_factory):
    slow = SlowStore()
    made = instances.Instance(tmp_path_factory.mktemp("slow"))
    try:
        made.init()
        secret = made.directory / "s3.secret"
        secret.write_text("access_key = a\nsecret_key = b\n")
        secret.chmod(0o600)
        made.configure({"sync": {"enabled": "yes"}, "sync_storage": {"quorum": "2"},
                        "sync_store asked-first": {"kind": "s3", "endpoint": f"http://127.0.0.1:{slow.port}",
                                                   "bucket": "b", "credentials_file": "s3.secret", "timeout": "3s"},
                        "sync_store one": {"kind": "disk", "path": "one"},
                        "sync_store two": {"kind": "disk", "path": "two"}})
        made.start()
        client = begin(made, ANNA, person(made, ANNA))
        idents, _ = client.put_files({b"a": b"1", b"b": b"2", b"c": b"3"})
        assert slow.held  # it was asked
        for ident in idents.values():
            root = client.root_of(ident)
            assert client.get(root, len(client.region.blobs[root])) == client.region.blobs[root]
        state = client.good("POST", client.r("/status"), client.root_of(idents[b"a"])).json()
        assert state["wanted"] == 3 and state["data"][0]["replicas"] == 2
        told = {s["name"]: s for s in made.api("GET", "/sync/store", expect=200).json()["stores"]}
        assert told["one"]["good"] == told["two"]["good"] >= 4 and told["asked-first"]["good"] == 0
        made.stop()
    finally:
        made.abandon()
        slow.stop()
