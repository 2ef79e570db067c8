"""What people are told of their leases: one mail a day, after releases alone, and a line of the audit."""

import email
import email.policy
import sqlite3
import time

import pytest

from helpers import instance as instances
from helpers import notices
from helpers.clock import DAY
from helpers.lease import LeaseApp
from helpers.lease_thief import ClockedServer, put


@pytest.fixture(scope="module")
def mails():
    server = notices.Mails()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory, factory, mails):
    made = ClockedServer(tmp_path_factory.mktemp("digest"), factory)
    made.instance.configure({"smtp": {"url": f"smtp://127.0.0.1:{mails.port}", "tls": "none",
                                      "from": "coffer@example.org"}})
    made.clock.set((DAY // 2 - int(time.time())) % DAY)  # noon: no other day begins meanwhile
    try:
        made.instance.start()
        yield made
        made.instance.stop()
    finally:
        made.instance.abandon()


def rows(server, sql):
    with sqlite3.connect(server.instance.directory / "store" / "store.db", timeout=instances.PATIENCE) as db:
        return db.execute(sql).fetchall()


def told_day(server):
    """The day whose work is done."""
    found = rows(server, "SELECT value FROM meta WHERE name = 'lease_digest'")
    return int(found[0][0]) if found else 0


def unsigned(server):
    return rows(server, "SELECT seq FROM audit_entry e WHERE NOT EXISTS"
                        " (SELECT 1 FROM audit_head h WHERE h.node = e.node AND h.seq >= e.seq)")


def next_day(server):
    server.clock.set(DAY)
    instances.wait_for(lambda: told_day(server), lambda day: day == server.clock.now() // DAY, "a new day")


def opened(app, *events):
    for event in events:
        app.happen(event)
        assert app.release(event).status == 200


def audited(server):
    entries = server.instance.coffer_json("audit", "list", "--limit", 500)["entries"]
    return [(e["object"], e["detail"]["releases"]) for e in entries if e["action"] == "lease.digest"]


def test_a_mail_a_day_after_releases_alone(server, mails):
    instances.wait_for(lambda: told_day(server), bool, "the first look")
    apps = {}
    for name in ("anna", "ben", "carl"):
        address = f"{name}@example.org"
        apps[name] = LeaseApp(server.device(address), account=address)
        put(apps[name], server.clock, 150)
    opened(apps["anna"], "one", "two", "three")
    assert apps["anna"].release("three").status == 200  # the same once more
    opened(apps["carl"], "one")
    apps["ben"].happen("nobody asks")
    assert not mails.mails
    next_day(server)
    (_, to, content), = mails.wait(1)
    assert to == ["anna@example.org"]
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert mail["Subject"] == "Your mailbox was opened 3 times while locked"
    text = mail.get_content()
    assert "anna@example.org on " in text and "3 times" in text and "coffer device lost" in text
    assert audited(server) == [("anna@example.org", "3")]
    opened(apps["carl"], "two")
    next_day(server)  # nothing since for Anna: she hears nothing
    assert [m[1] for m in mails.wait(2)] == [["anna@example.org"], ["carl@example.org"]]
    assert audited(server)[0] == ("carl@example.org", "2")


def test_it_can_be_turned_off(server, mails):
    server.instance.stop()
    server.instance.configure({"mailbox": {"digest": "no"}})
    server.instance.start()
    before = told_day(server)
    app = LeaseApp(server.device("dora@example.org"), account="dora@example.org")
    put(app, server.clock, 48)
    opened(app, "one", "two")
    count = len(mails.mails)
    server.clock.set(DAY)
    app.happen("three")  # its entry is signed at the beginning of a round of the same work
    instances.wait_for(lambda: unsigned(server), lambda entries: not entries, "a round")
    server.instance.stop()
    assert told_day(server) == before and len(mails.mails) == count
