"""The server ends between the keeper's taking an officers' set and its own note of it."""

import json
import os
import signal
import sqlite3
import threading

import pytest

from helpers import instance as instances
from helpers.officers import Officer


@pytest.fixture
def people(tmp_path, factory):
    instance = instances.Instance(tmp_path)
    try:
        instance.init({"enrol": {"factory_ca": str(factory.write(tmp_path / "factory-ca.pem"))}})
        instance.start()
        yield [Officer(instance, tmp_path, name) for name in ("anna", "ben", "cleo")]
        instance.stop()
    finally:
        instance.abandon()


class Locked:
    """Nobody writes to the store meanwhile."""

    def __init__(self, instance):
        self.db = sqlite3.connect(instance.directory / "store" / "store.db", timeout=60,
                                  isolation_level=None)

    def __enter__(self):
        self.db.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, *_):
        self.db.execute("ROLLBACK")
        self.db.close()


def keeper_activated(instance, epoch):
    def look():
        log = instance.api("GET", "/keeper/log?after=0").text()
        return [e for e in map(json.loads, log.splitlines())
                if e["intent"] == "officers-activate" and e["object"].startswith(f"epoch={epoch} ")
                and e["outcome"] == "ok"]
    instances.wait_for(look, bool, f"set {epoch} in the keeper")


def kill_web_while(instance, epoch, call, between=None):
    """Runs `call`, and kills coffer-web when the keeper has the set and the store has not."""
    thread = threading.Thread(target=call)
    if between:
        between(thread)
    else:
        with Locked(instance):
            thread.start()
            keeper_activated(instance, epoch)
            instance.kill("coffer-web", wait=False)
    thread.join()
    instance.wait_healthy()


def sets(instance):
    return instance.coffer_json("officer", "list")


def test_first_set_proposed_again_with_others(people):
    anna, ben, cleo = people
    instance = anna.instance
    kill_web_while(instance, 1, lambda: instance.coffer(
        "officer", "activate", "--threshold", 2, anna.id, ben.id, expect=None))
    # the keeper's set counts: what comes next follows it and needs its signatures
    made = instance.coffer_json("officer", "activate", "--threshold", 2, ben.id, cleo.id)
    assert made == {"epoch": 2, "active": False}
    assert sets(instance)["set"]["epoch"] == 1
    assert [e for e in instance.coffer_json("audit", "list", "--limit", 500)["entries"]
            if e["action"] == "officers.activate" and e["actor"] == "system"]
    anna.sign(2)
    ben.sign(2)
    assert sets(instance)["set"]["epoch"] == 2
    kept = instance.coffer_json("escrow", "put", people[0].secret, "--kind", "file")
    assert kept["set"] == 2 if "set" in kept else True
    drill = instance.coffer_json("escrow", "drill")
    assert drill["failed"] == 0


def test_next_set_withdrawn_over_a_crash(people):
    anna, ben, cleo = people
    instance = anna.instance
    instance.coffer("officer", "activate", "--threshold", 2, anna.id, ben.id)
    secret = anna.home / "secret"
    secret.write_text("what officers alone open")
    kept = instance.coffer_json("escrow", "put", secret, "--kind", "file", "--officers-only")
    instance.coffer("officer", "activate", "--threshold", 2, anna.id, cleo.id)
    anna.sign(2)
    keeper = instance.pid_of("coffer-keeper")

    def between(thread):
        """The signature is in the store; then the keeper takes the set, and the store nothing."""
        os.kill(keeper, signal.SIGSTOP)
        thread.start()
        database = sqlite3.connect(instance.directory / "store" / "store.db", timeout=60)
        instances.wait_for(lambda: database.execute(
            "SELECT COUNT(*) FROM officer_set_signature").fetchone()[0], lambda n: n == 2, "signed")
        database.close()
        with Locked(instance):
            os.kill(keeper, signal.SIGCONT)
            keeper_activated(instance, 2)
            instance.kill("coffer-web", wait=False)

    kill_web_while(instance, 2, lambda: ben.sign(2, expect=None), between)
    instance.coffer("officer", "withdraw", "2", expect=3)  # it counts already
    listed = sets(instance)
    assert listed["set"]["epoch"] == 2 and listed["redeal"]["left"] == 1
    anna.redeal()
    ben.redeal()
    assert instance.coffer_json("escrow", "show", kept["id"])["set"] == 2
    assert sets(instance)["redeal"] is None
