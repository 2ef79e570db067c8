"""The key process's own log is checked by who reads it, on his own machine."""
import json
import pathlib
import sqlite3

import pytest

from helpers.instance import Instance

VERIFY = 5


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    files = tmp_path_factory.mktemp("keeper-log")
    made = Instance(files)
    made.init({})
    try:
        made.start()
        made.coffer("user", "add", "nurse@example.org")
        made.coffer("key", "new", "nurse@example.org")
        yield made
        made.stop()
    finally:
        made.abandon()


def lines(instance, *more):
    done = instance.coffer("audit", "keeper-log", *more)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def vault(instance):
    [path] = (pathlib.Path(instance.directory) / "vault").glob("*.db")
    return sqlite3.connect(path)


def test_keeper_log__says_that_its_chain_holds(instance):
    log, said = lines(instance)
    assert [e["seq"] for e in log] == list(range(1, len(log) + 1))
    assert f"The chain holds: entries 1 to {len(log)}," in said and "from the very first" in said
    assert log[-1]["hash"] in said
    rest, said = lines(instance, "--after", log[1]["seq"])
    assert rest[0]["seq"] == log[2]["seq"] and "from the first one shown on" in said
    _, said = lines(instance, "--after", 10 ** 9)
    assert "There is no entry after" in said and "holds" not in said


@pytest.mark.parametrize("change", ["UPDATE log SET object = object || 'x' WHERE seq = 3",
                                    "UPDATE log SET outcome = 'ok?' WHERE seq = 3",
                                    "UPDATE log SET prev_hash = zeroblob(32) WHERE seq = 3",
                                    "DELETE FROM log WHERE seq = 3"])
def test_keeper_log__a_changed_entry_is_named(instance, change):
    instance.stop()
    with vault(instance) as db:
        kept = db.execute("SELECT * FROM log WHERE seq = 3").fetchone()
        assert db.execute(change).rowcount == 1
    instance.start()
    told = instance.coffer("audit", "keeper-log", expect=VERIFY)
    assert "3" in told.stderr and "holds" not in told.stderr and told.stdout
    instance.stop()
    with vault(instance) as db:
        db.execute("REPLACE INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?)", kept)
    instance.start()
    lines(instance)
