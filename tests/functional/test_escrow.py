"""Escrow and recovery between people: officers, requests, approvals, one opening; officers change."""

import base64
import concurrent.futures
import json
import os
import pathlib
import sqlite3
import stat
import subprocess

import pytest

from helpers import instance as instances
from helpers.instance import Instance
from helpers.officers import PASSPHRASE, Officer, Person, private, spoken_code

DONE, FAILED, USAGE, NOT_FOUND, REFUSED, VERIFY = range(6)
SECRET = b"the combination is 12-34-56\nand nothing else"


class World:
    """An instance with three officers, any two of whom recover, and an admin who asks."""

    def __init__(self, files, factory):
        self.files = files
        self.instance = Instance(files)
        self.instance.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem"))}})
        self.instance.start()
        self.officers = [Officer(self.instance, files, name) for name in ("anna", "ben", "cleo")]
        self.admin = Person(self.instance, files, "dora", "admin")
        made = self.instance.coffer_json("officer", "activate", "--threshold", "2")
        assert made == {"epoch": 1, "active": True}

    def put(self, *more, data=SECRET, kind="file"):
        path = private(self.files / "secret", data)
        return self.instance.coffer_json("escrow", "put", path, "--kind", kind, *more)

    def audit(self, action):
        entries = self.instance.coffer_json("audit", "list", "--limit", 500)["entries"]
        return [e for e in entries if e["action"] == action]

    def database(self):
        return sqlite3.connect(self.instance.directory / "store" / "store.db", timeout=20)


@pytest.fixture(scope="module")
def world(tmp_path_factory, factory):
    files = tmp_path_factory.mktemp("escrow")
    one = World(files, factory)
    try:
        yield one
        one.instance.stop()
    finally:
        one.instance.abandon()


@pytest.fixture
def own_world(tmp_path, factory):
    one = World(tmp_path, factory)
    try:
        yield one
        one.instance.stop()
    finally:
        one.instance.abandon()


def opened(world, request, out="recovered", expect=0, person=None):
    """What `recover open` wrote."""
    person = person or world.admin
    path = person.home / out
    path.unlink(missing_ok=True)
    done = person.coffer("recover", "open", request["path"], "--out", path, expect=expect)
    return path.read_bytes() if done.returncode == 0 else done


# ---- the story ----

@pytest.mark.parametrize("options", [(), ("--officers-only",)])
def test_two_officers_recover(world, options):
    anna, ben, cleo = world.officers
    kept = world.put("--owner", ben.email, "--label", "the safe", *options)
    assert kept["owner"] == ben.email and kept["set"] == 1
    assert kept["officers_only"] is bool(options)
    request = world.admin.request(kept["id"], "--ticket", "IT-7", whom="zoe@example.org")
    assert stat.S_IMODE(os.stat(request["path"]).st_mode) == 0o600
    anna.approve(request, "--code", request["code"])
    shown = world.instance.coffer_json("recover", "show", request["id"])
    assert (shown["state"], shown["approvals"], shown["needed"]) == ("waiting", 1, 2)
    assert "code" not in shown and shown["ticket"] == "IT-7"
    done = cleo.coffer("recover", "approve", request["id"], *anna.unlock, "--code", request["code"],
                       expect=REFUSED)
    assert "the token is officer " + cleo.id in done.stderr
    cleo.approve(request)
    by_id = {**request, "path": request["id"]} if options else request  # where it was asked for
    assert opened(world, by_id) == SECRET
    assert not request["path"].exists(), "the one-time key is gone"
    shown = world.instance.coffer_json("recover", "show", request["id"])
    assert shown["state"] == "opened" and shown["rotation"]
    assert [a["person"] for a in shown["answers"]] == [anna.email, cleo.email]
    history = world.instance.coffer_json("escrow", "history", kept["id"])
    assert history["recoveries"][0]["for"] == "zoe@example.org"
    assert history["versions"][0]["revealed"]


def test_audit_tells_and_verifies(world, tmp_path):
    kept = world.put()
    request = world.admin.request(kept["id"], reason="audit story")
    for officer in world.officers[:2]:
        officer.approve(request)
    opened(world, request)
    asked = [e for e in world.audit("recovery.request") if e["object"] == request["id"]]
    assert asked[0]["detail"]["reason"] == "audit story"
    assert len([e for e in world.audit("recovery.approve") if e["object"] == request["id"]]) == 2
    assert [e for e in world.audit("recovery.open") if e["object"] == request["id"]]
    world.instance.coffer("audit", "export", "--output", tmp_path / "audit.jsonl")
    done = subprocess.run([instances.program("coffer"), "audit", "verify", tmp_path / "audit.jsonl"],
                          capture_output=True, text=True, timeout=instances.PATIENCE)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "audit.jsonl").read_bytes()
    assert SECRET not in text and b"combination" not in text


def test_new_version_and_old_one(world):
    kept = world.put(data=b"first")
    path = private(world.files / "second", b"second")
    again = world.instance.coffer_json("escrow", "put", path, "--replace", kept["id"])
    assert again["id"] == kept["id"] and again["version"] == 2
    for version, expected in ((1, b"first"), (2, b"second")):
        request = world.admin.request(kept["id"], "--revision", version)
        for officer in world.officers[1:]:
            officer.approve(request)
        assert opened(world, request) == expected
    listed = world.instance.coffer_json("escrow", "list", "--kind", "file", "--former")["objects"]
    states = {(o["id"], o["version"]): o["state"] for o in listed}
    assert states[kept["id"], 1] == "former" and states[kept["id"], 2] == "current"


# ---- the officer's file ----

def test_officer_file_is_private_and_encrypted(world):
    anna = world.officers[0]
    assert stat.S_IMODE(os.stat(anna.key).st_mode) == 0o600
    shown = anna.coffer_json("officer", "fingerprint", anna.key)
    assert shown["fingerprint"] == anna.coffer_json("officer", "fingerprint",
                                                    f"{anna.key}.pub")["fingerprint"]
    listed = world.instance.coffer_json("officer", "list")["officers"]
    mine = [o for o in listed if o["id"] == anna.id][0]
    assert mine["fingerprint"] == shown["fingerprint"].replace("-", "")
    anna.coffer("officer", "keygen", "--out", anna.key, "--passphrase-file", anna.secret,
                expect=FAILED)  # never over an existing one


def test_wrong_passphrase_and_damage_say_the_same(world):
    anna = world.officers[0]
    request = world.admin.request(world.put()["id"])
    wrong = private(anna.home / "wrong", b"another passphrase\n")
    said = set()
    done = anna.coffer("recover", "approve", request["id"], "--key", anna.key, "--passphrase-file",
                       wrong, "--yes", expect=VERIFY)
    said.add(done.stderr)
    whole = anna.key.read_bytes()
    for at in (len(whole) - 1, len(whole) - 40, 20, 40):  # tag, ciphertext, salt, public record
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path = private(anna.home / "damaged", bytes(damaged))
        done = anna.coffer("recover", "approve", request["id"], "--key", path, "--passphrase-file",
                           anna.secret, "--yes", expect=VERIFY)
        said.add(done.stderr)
    assert len(said) == 1, said
    os.chmod(path, 0o644)
    done = anna.coffer("recover", "approve", request["id"], "--key", path, "--passphrase-file",
                       anna.secret, "--yes", expect=REFUSED)
    assert "chmod 600" in done.stderr


def test_short_passphrase_is_refused(world):
    anna = world.officers[0]
    short = private(anna.home / "short", b"short\n")
    anna.coffer("officer", "keygen", "--out", anna.home / "other", "--passphrase-file", short,
                expect=USAGE)
    assert not (anna.home / "other").exists()


def test_the_private_file_is_not_handed_in(world):
    anna = world.officers[0]
    done = world.instance.coffer("officer", "add", anna.email, anna.key, expect=USAGE)
    assert "private" in done.stderr and ".pub" in done.stderr


def test_officers_memory_is_never_dumped(world):
    anna = world.officers[0]
    with subprocess.Popen([instances.program("coffer"), "officer", "keygen", "--out",
                           anna.home / "slow", "--passphrase-file", "-"], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as waiting:
        try:
            limits = pathlib.Path(f"/proc/{waiting.pid}/limits")
            instances.wait_for(limits.read_text, lambda text: [
                line.split()[4:6] for line in text.splitlines() if line.startswith("Max core")
            ] == [["0", "0"]], "no core dumps")
        finally:
            waiting.kill()


def test_without_a_terminal_the_option_is_named(world):
    anna = world.officers[0]
    for args in (("officer", "keygen", "--out", anna.home / "unmade"),
                 ("recover", "approve", "0" * 32, "--key", anna.key)):
        assert "--passphrase-file" in anna.coffer(*args, expect=REFUSED).stderr


# ---- what is refused ----

def test_who_asks_or_gets_it_may_not_approve(world):
    ben = world.officers[1]
    admin_token = ben.home / "admin-token"
    world.admin.coffer("token", "add", "ben-as-admin", "--role", "admin", "--person", ben.email,
                       "--output", admin_token)
    mine, ben.token = ben.token, admin_token
    try:
        request = ben.request(world.put()["id"], whom="zoe@example.org")
        done = ben.approve(request, expect=REFUSED)
        assert "asked for it" in done.stderr
    finally:
        ben.token = mine
    done = ben.approve(request, expect=REFUSED)
    assert "asked for it" in done.stderr
    for whom in (ben.email, f"Ben ({ben.email.upper()})"):
        for_ben = world.admin.request(world.put()["id"], whom=whom)
        done = ben.approve(for_ben, expect=REFUSED)
        assert "to get it" in done.stderr  # his own machine says so
        answer = ben.api("GET", f"/recoveries/{for_ben['id']}/share")
        assert answer.status == 403, answer  # and so does the server
        assert [e for e in world.audit("recovery.refuse-share") if e["object"] == for_ben["id"]]


def test_an_officer_counts_once_and_one_is_not_enough(world):
    anna = world.officers[0]
    request = world.admin.request(world.put()["id"])
    anna.approve(request)
    done = anna.approve(request, expect=FAILED)
    assert "counts once" in done.stderr
    done = opened(world, request, expect=REFUSED)
    assert "1 of 2 approvals" in done.stderr
    assert request["path"].exists(), "the key is still there for later"
    assert [e for e in world.audit("recovery.refuse-open") if e["object"] == request["id"]]


def test_nobody_asks_namelessly(world):
    kept = world.put()
    done = world.instance.coffer("recover", "request", kept["id"], "--for", "x", "--reason", "y",
                                 expect=REFUSED)
    assert "coffer login" in done.stderr
    world.officers[0].coffer("recover", "request", kept["id"], "--for", "x", "--reason", "y",
                             expect=REFUSED)


def test_officers_token_sees_requests_and_nothing_else(world):
    anna = world.officers[0]
    for path in ("/recoveries", "/officers", "/officers/sets/1"):
        anna.api("GET", path, expect=200)
    for path in ("/escrow", "/devices", "/people", "/audit", "/tokens", "/escrow/report"):
        anna.api("GET", path, expect=403)
    anna.api("POST", "/officers/sets", {"threshold": 2, "officers": []}, expect=403)
    world.admin.api("GET", f"/recoveries/{'0' * 32}/share", expect=404)


def test_approval_replayed_for_another_request(world):
    anna, ben, _ = world.officers
    kept = world.put()
    first = world.admin.request(kept["id"], reason="the good reason")
    second = world.admin.request(kept["id"], reason="another reason")
    anna.approve(first)
    with world.database() as db:
        record, = db.execute("SELECT record FROM recovery_answer WHERE recovery_id = ?",
                             (first["id"],)).fetchone()
    body = {"record": base64.b64encode(record).decode()}
    answer = anna.api("POST", f"/recoveries/{second['id']}/approvals", body, expect=None)
    assert answer.status >= 400 and "another request" in answer.text(), answer
    # and by somebody else than its officer
    answer = ben.api("POST", f"/recoveries/{first['id']}/approvals", body, expect=403)
    assert [e for e in world.audit("recovery.refuse-approval") if e["object"] == second["id"]]
    # put into the database by force, it is set aside at the recipient
    ben.approve(second)
    with world.database() as db:
        db.execute("INSERT INTO recovery_answer SELECT ?, officer_id, person_id, approved, record,"
                   " reason, created_ms, 0 FROM recovery_answer WHERE recovery_id = ?",
                   (second["id"], first["id"]))
        db.execute("UPDATE recovery SET approvals = 2 WHERE id = ?", (second["id"],))
    done = opened(world, second, expect=VERIFY)
    assert anna.id in done.stderr and "another request" in done.stderr


def test_altered_reason(world):
    anna, ben, _ = world.officers
    request = world.admin.request(world.put()["id"], reason="harmless")
    with world.database() as db:
        record, = db.execute("SELECT record FROM recovery WHERE id = ?", (request["id"],)).fetchone()
        other = record.replace(b"harmless", b"harmfull")
        assert other != record
        db.execute("UPDATE recovery SET record = ? WHERE id = ?", (other, request["id"]))
    done = anna.approve(request, "--code", spoken_code(other), expect=VERIFY)
    assert "changed after it was made" in done.stderr
    # with the stored hash changed too the officer sees another code
    with world.database() as db:
        import hashlib
        db.execute("UPDATE recovery SET hash = ? WHERE id = ?",
                   (hashlib.sha256(other).digest(), request["id"]))
    done = anna.approve(request, "--code", request["code"], expect=VERIFY)
    assert "code" in done.stderr
    done = anna.coffer("recover", "approve", request["id"], *anna.unlock, expect=USAGE)
    assert "--code" in done.stderr  # never without
    # and the recipient refuses approvals of what he did not ask for, even from who did not compare
    request["code"] = spoken_code(other)
    anna.approve(request)
    ben.approve(request)
    done = opened(world, request, expect=VERIFY)
    assert "another request" in done.stderr


def test_expired_request(world):
    anna, ben, _ = world.officers
    request = world.admin.request(world.put()["id"])
    anna.approve(request)
    with world.database() as db:
        db.execute("UPDATE recovery SET expires_ms = created_ms WHERE id = ?", (request["id"],))
    done = ben.approve(request, expect=REFUSED)
    assert "expired" in done.stderr
    done = opened(world, request, expect=REFUSED)
    assert "expired" in done.stderr
    assert world.instance.coffer_json("recover", "show", request["id"])["state"] == "expired"


def test_denied_request(world):
    anna, ben, cleo = world.officers
    request = world.admin.request(world.put()["id"])
    ben.approve(request)
    anna.coffer("recover", "deny", request["id"], "--reason", "ask her first")
    for officer in (anna, cleo):
        done = officer.approve(request, expect=REFUSED)
        assert "denied already" in done.stderr
    done = opened(world, request, expect=REFUSED)
    shown = world.instance.coffer_json("recover", "show", request["id"])
    assert shown["state"] == "denied" and shown["answers"][1]["reason"] == "ask her first"


def test_two_opens_at_once_give_one(world):
    anna, ben, _ = world.officers
    request = world.admin.request(world.put()["id"])
    anna.approve(request)
    ben.approve(request)
    copies = []
    for i in range(6):
        copies.append(private(world.admin.home / f"copy{i}", request["path"].read_bytes()))

    def open_one(i):
        return world.admin.coffer("recover", "open", copies[i], "--out",
                                  world.admin.home / f"won{i}", expect=None)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        done = list(pool.map(open_one, range(6)))
    won = [i for i, d in enumerate(done) if d.returncode == DONE]
    assert len(won) == 1, [d.stderr for d in done]
    assert (world.admin.home / f"won{won[0]}").read_bytes() == SECRET
    for i, d in enumerate(done):
        if i not in won:
            assert d.returncode == REFUSED and "opened" in d.stderr, d.stderr
            assert not (world.admin.home / f"won{i}").exists()


def test_only_who_asked_opens(world):
    request = world.admin.request(world.put()["id"])
    for officer in world.officers[:2]:
        officer.approve(request)
    eve = Person(world.instance, world.files, "eve", "admin")
    copy = private(eve.home / "stolen.key", request["path"].read_bytes())
    done = eve.coffer("recover", "open", copy, "--out", eve.home / "out", expect=REFUSED)
    assert "alone opens it" in done.stderr
    assert opened(world, request) == SECRET


def test_corrupt_share_names_its_officer(world):
    """More approvals than needed: the wrong one is set aside, named, and the rest recover."""
    anna, ben, cleo = world.officers
    request = world.admin.request(world.put()["id"])
    for officer in world.officers:
        officer.approve(request)
    with world.database() as db:
        record, = db.execute("SELECT record FROM recovery_answer WHERE recovery_id = ? AND"
                             " officer_id = ?", (request["id"], ben.id)).fetchone()
        changed = bytearray(record)
        changed[-100] ^= 1
        db.execute("UPDATE recovery_answer SET record = ? WHERE recovery_id = ? AND officer_id = ?",
                   (bytes(changed), request["id"], ben.id))
    path = world.admin.home / "named"
    done = world.admin.coffer("recover", "open", request["path"], "--out", path)
    assert path.read_bytes() == SECRET
    assert f"officer {ben.id}" in done.stderr
    assert anna.id not in done.stderr and cleo.id not in done.stderr


def test_corrupt_stored_share_names_its_officer(world):
    ben = world.officers[1]
    kept = world.put()
    with world.database() as db:
        row = db.execute("SELECT s.rowid, s.record FROM escrow_share s JOIN escrow_object o ON"
                         " o.seq = s.object_seq WHERE o.id = ? AND instr(s.record, ?) > 0",
                         (kept["id"], ben.id.encode())).fetchone()
        changed = bytearray(row[1])
        changed[-5] ^= 1
        db.execute("UPDATE escrow_share SET record = ? WHERE rowid = ?", (bytes(changed), row[0]))
    request = world.admin.request(kept["id"])
    done = ben.approve(request, expect=VERIFY)
    assert ben.id in done.stderr
    for officer in (world.officers[0], world.officers[2]):
        officer.approve(request)
    assert opened(world, request) == SECRET


def test_swapped_rows_are_refused(world):
    """Another object's blob, owner or version under this object's name opens nothing."""
    one, other = world.put(data=b"mine"), world.put(data=b"yours")
    for change in ("blob = (SELECT blob FROM escrow_object WHERE id = :other)",
                   "wrap = (SELECT wrap FROM escrow_object WHERE id = :other)",
                   "owner = 'somebody'", "version = 7"):
        with world.database() as db:
            before = db.execute("SELECT blob, wrap, owner, version FROM escrow_object WHERE id = ?",
                                (one["id"],)).fetchone()
            db.execute(f"UPDATE escrow_object SET {change} WHERE id = :id",
                       {"id": one["id"], "other": other["id"]})
        done = world.instance.coffer("escrow", "verify", one["id"], expect=VERIFY)
        assert one["id"] in done.stderr, change
        with world.database() as db:
            db.execute("UPDATE escrow_object SET blob = ?, wrap = ?, owner = ?, version = ?"
                       " WHERE id = ?", (*before, one["id"]))
    world.instance.coffer("escrow", "verify", one["id"])
    # swapped after the approvals
    request = world.admin.request(one["id"])
    for officer in world.officers[:2]:
        officer.approve(request)
    with world.database() as db:
        db.execute("UPDATE escrow_object SET blob = (SELECT blob FROM escrow_object WHERE id = ?)"
                   " WHERE id = ?", (other["id"], one["id"]))
    done = opened(world, request, expect=VERIFY)
    assert "changed after" in done.stderr
    with world.database() as db:
        db.execute("UPDATE escrow_object SET blob = ? WHERE id = ?", (before[0], one["id"]))


def test_the_database_holds_no_secret(world):
    world.put(data=b"unmistakable-needle-4711")
    request = world.admin.request(world.put(data=b"unmistakable-needle-4712")["id"])
    for officer in world.officers[:2]:
        officer.approve(request)
    opened(world, request)
    with world.database() as db:
        assert "needle" not in "\n".join(db.iterdump())
        dump = b"".join(bytes(v) for table in ("escrow_object", "escrow_share", "recovery_answer")
                        for row in db.execute(f"SELECT * FROM {table}") for v in row
                        if isinstance(v, bytes))
    assert b"needle" not in dump


# ---- kinds ----

def test_bitlocker_passwords_are_checked(world):
    good = "-".join(["720885", "000000", "000011", "111111", "222222", "333333", "444444", "555555"])
    kept = world.put(kind="bitlocker-key", data=good.encode() + b"\n")
    request = world.admin.request(kept["id"])
    for officer in world.officers[:2]:
        officer.approve(request)
    assert opened(world, request) == good.encode()
    for bad in (good.replace("000011", "000012"), good.replace("720885", "720896"), good[:-7],
                good + "-000000", good.replace("-", ""), good.replace("111111", "11111a")):
        path = private(world.files / "bad", bad.encode())
        world.instance.coffer("escrow", "put", path, "--kind", "bitlocker-key", expect=USAGE)


@pytest.mark.parametrize("kind, data, status", [
    ("pin", b"12a4", USAGE), ("my-signing-key", b"x", REFUSED), ("smime-key", b"x", REFUSED),
    ("Upper", b"x", USAGE), ("file", b"", FAILED), ("file", b"x" * 40000, FAILED)])
def test_what_is_not_taken(world, kind, data, status):
    path = private(world.files / "bad", data)
    world.instance.coffer("escrow", "put", path, "--kind", kind, expect=status)


# ---- proof ----

def test_drill_and_report(own_world, tmp_path):
    world = own_world
    world.put("--label", "one")
    world.put("--officers-only")
    bad = world.put(kind="pin", data=b"123456")
    drill = world.instance.coffer_json("escrow", "drill", "--sample", 5)
    assert drill["failed"] == 0
    assert {k["kind"]: (k["sampled"], k["opened"]) for k in drill["kinds"]} == \
        {"file": (2, 2), "pin": (1, 1)}
    with world.database() as db:
        db.execute("UPDATE escrow_object SET wrap = zeroblob(length(wrap)) WHERE id = ?",
                   (bad["id"],))
    done = world.instance.coffer("escrow", "drill", expect=VERIFY)
    assert bad["id"] in done.stdout
    report = world.instance.coffer_json("escrow", "report")
    assert report["officers_needed"] == 2 and len(report["officers"]) == 3
    kinds = {k["kind"]: k for k in report["kinds"]}
    assert kinds["pin"]["last_drill_failed"] == 1 and kinds["file"]["officers_only"] == 1
    page = tmp_path / "report.html"
    world.instance.coffer("escrow", "report", "--html", page)
    text = page.read_text()
    assert "<table>" in text and world.officers[0].email in text
    assert "http" not in text and "<script" not in text, "it needs nothing else"
    assert [e for e in world.audit("escrow.drill") if e["object"] == "pin"]
    # without a mail server set up nobody is told; the next test has one


def test_alarm_and_officers_are_told(tmp_path, factory):
    """Notices are jobs in the transaction of what they tell; that they arrive is tested elsewhere."""
    world = World(tmp_path, factory)
    instance = world.instance
    try:
        instance.stop()
        instance.configure({"smtp": {"url": "smtp://127.0.0.1:9", "from": "coffer@example.org",
                                     "tls": "none"}})
        instance.start()
        kept = world.put(kind="pin", data=b"123456")
        request = world.admin.request(kept["id"], reason="tell them")
        with world.database() as db:
            db.execute("UPDATE escrow_object SET wrap = zeroblob(length(wrap))")
        instance.coffer("escrow", "drill", expect=VERIFY)
        with world.database() as db:
            mails = [row[0] for row in db.execute("SELECT payload FROM job WHERE kind = 'mail'")]
        for officer in world.officers:
            assert [m for m in mails if officer.email in m and "tell them" in m
                    and request["id"] in m], officer.email
        assert [m for m in mails if instances.ADMIN in m and kept["id"] in m and "drill" in m]
        instance.stop()
    finally:
        instance.abandon()


# ---- officers change ----

def test_officer_leaves_and_shares_go_to_the_others(own_world):
    world = own_world
    anna, ben, cleo = world.officers
    wrapped, alone = world.put(), world.put("--officers-only", data=b"officers alone")
    with world.database() as db:
        old = db.execute("SELECT s.record FROM escrow_share s JOIN escrow_object o ON o.seq ="
                         " s.object_seq WHERE o.id = ?", (alone["id"],)).fetchall()
    waiting = world.admin.request(alone["id"], reason="before the change")
    anna.approve(waiting)
    dan = Officer(world.instance, world.files, "dan")
    eli = Officer(world.instance, world.files, "eli")
    # cleo leaves; dan and eli join; three are needed from now on
    made = world.instance.coffer_json("officer", "activate", "--threshold", 3, anna.id, ben.id,
                                      dan.id, eli.id)
    assert made == {"epoch": 2, "active": False}
    dan.sign(2, expect=REFUSED)
    anna.sign(2)
    done = anna.sign(2, expect=FAILED)
    assert "counts once" in done.stderr
    assert world.instance.coffer_json("officer", "list")["set"]["epoch"] == 1
    ben.sign(2)
    listed = world.instance.coffer_json("officer", "list")
    assert listed["set"]["epoch"] == 2 and listed["redeal"]["left"] == 1
    # not another change before this one is through
    done = world.instance.coffer("officer", "activate", "--threshold", 2, expect=REFUSED)
    assert "redeal" in done.stderr
    cleo.redeal(expect=REFUSED)
    anna.redeal()
    with world.database() as db:
        assert db.execute("SELECT COUNT(*) FROM escrow_share WHERE epoch = 1 AND object_seq ="
                          " (SELECT seq FROM escrow_object WHERE id = ?)",
                          (alone["id"],)).fetchone()[0] == 3, "old shares stay until all dealt"
    ben.redeal()
    anna.redeal()  # once more does no harm
    shown = world.instance.coffer_json("escrow", "show", alone["id"])
    assert shown["set"] == 2
    # the key process dealt what it can open
    instances.wait_for(lambda: world.instance.coffer_json("escrow", "show", wrapped["id"]),
                       lambda o: o["set"] == 2, "dealt by the key process")
    with world.database() as db:
        assert db.execute("SELECT COUNT(*) FROM escrow_share WHERE epoch = 1").fetchone()[0] == 3, \
            "of what officers alone can open the old shares stay"
    # the request of before is of no use, nor is cleo
    done = ben.approve(waiting, expect=REFUSED)
    assert "officers changed" in done.stderr
    for kept, expected in ((wrapped, SECRET), (alone, b"officers alone")):
        request = world.admin.request(kept["id"])
        done = cleo.approve(request, expect=None)
        assert done.returncode == REFUSED, done.stderr
        anna.approve(request)
        dan.approve(request)
        opened(world, request, expect=REFUSED)  # two are not enough any more
        eli.approve(request)
        assert opened(world, request) == expected
    # old share rows put back by force are refused
    assert old
    with world.database() as db:
        seq, = db.execute("SELECT seq FROM escrow_object WHERE id = ?", (alone["id"],)).fetchone()
        db.execute("DELETE FROM escrow_share WHERE object_seq = ?", (seq,))
        for (record,), index in zip(old, (1, 2, 3)):
            db.execute("INSERT INTO escrow_share (object_seq, epoch, officer, dealer, record) VALUES"
                       " (?, 2, ?, 0, ?)", (seq, index, record))
    request = world.admin.request(alone["id"])
    for officer in (anna, ben):
        officer.approve(request, expect=VERIFY)


def test_redeal_goes_on_where_it_stopped_and_other_dealers_can_take_over(own_world):
    world = own_world
    anna, ben, cleo = world.officers
    ids = []
    for i in range(5):
        path = private(world.files / "s", b"secret %d" % i)
        ids.append(world.instance.coffer_json("escrow", "put", path, "--officers-only")["id"])
    world.instance.coffer("officer", "activate", "--threshold", "2", anna.id, cleo.id)
    anna.sign(2)
    ben.sign(2)
    anna.redeal("--batches", 1)
    # ben lost his key after he signed: cleo deals instead, from the beginning
    done = ben.coffer("officer", "redeal", "--dealers", f"{anna.id},{cleo.id}", expect=REFUSED)
    world.instance.coffer("officer", "redeal", "--dealers", f"{anna.id}", expect=USAGE)
    world.instance.coffer("officer", "redeal", "--dealers", f"{anna.id},{cleo.id}")
    ben.redeal(expect=REFUSED)
    world.instance.kill("coffer-web")
    world.instance.wait_healthy()
    anna.redeal()
    cleo.redeal()
    assert world.instance.coffer_json("officer", "list")["redeal"] is None
    for i, kept in enumerate(ids):
        request = world.admin.request(kept)
        anna.approve(request)
        cleo.approve(request)
        assert opened(world, request) == b"secret %d" % i


def test_server_cannot_show_officers_another_set(own_world):
    """An officer's machine remembers the set it saw; a false next set is not signed by anybody."""
    world = own_world
    anna, ben, cleo = world.officers
    kept = world.put()
    request = world.admin.request(kept["id"])
    anna.approve(request)  # sees and remembers set 1
    eve = Officer(world.instance, world.files, "eve")
    world.instance.coffer("officer", "activate", "--threshold", "2", anna.id, eve.id)
    # the server claims that set 2 is active, without signatures
    with world.database() as db:
        db.execute("UPDATE officer_set SET state = 'former' WHERE epoch = 1")
        db.execute("UPDATE officer_set SET state = 'active' WHERE epoch = 2")
        db.execute("UPDATE escrow_object SET epoch = 2")
        db.execute("UPDATE escrow_share SET epoch = 2")
    forged = world.admin.request(kept["id"])
    done = anna.approve(forged, expect=REFUSED)
    assert "officers signed" in done.stderr, done.stderr
    done = anna.redeal(expect=None)
    assert done.returncode != DONE


def test_recovered_mail_key_is_a_pkcs12(world):
    """A key pair comes with its certificate, under a password, and fits it."""
    from cryptography.hazmat.primitives.serialization import PublicFormat, Encoding, pkcs12
    owner = world.officers[0].email
    world.instance.coffer("key", "new", owner)
    kept = [o for o in world.instance.coffer_json("escrow", "list", "--person", owner)["objects"]
            if o["kind"] == "smime-key"][0]
    instances.wait_for(lambda: world.instance.coffer_json("escrow", "show", kept["id"]),
                       lambda o: o["set"] == 1, "dealt")
    request = world.admin.request(kept["id"])
    for officer in world.officers[1:]:
        officer.approve(request)
    out = world.admin.home / "key.p12"
    world.admin.coffer("recover", "open", request["path"], "--out", out, "--password-file", "-",
                       stdin=PASSPHRASE + "\n")
    key, certificate, _ = pkcs12.load_key_and_certificates(out.read_bytes(), PASSPHRASE.encode())
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key.public_key().public_bytes(*spki) == certificate.public_key().public_bytes(*spki)


# ---- officers' own drills ----

def test_an_officer_drills_his_own_share(own_world, tmp_path):
    world = own_world
    anna, ben, cleo = world.officers
    for i in range(3):
        world.put(data=b"%d" % i)
        world.put("--officers-only", data=b"alone %d" % i)
    instances.wait_for(lambda: world.instance.coffer_json("escrow", "report")["kinds"],
                       lambda kinds: all(k["undealt"] == 0 for k in kinds), "dealt")
    done = anna.coffer_json("officer", "drill", *anna.unlock, "--sample", 50)
    assert (done["officer"], done["set"], done["failed"]) == (anna.id, 1, 0)
    assert 1 <= done["sampled"] <= 6

    def reported():
        report = world.instance.coffer_json("escrow", "report")
        return {o["id"]: (o["last_drill"], o["last_drill_sampled"], o["last_drill_failed"])
                for o in report["officers"]}
    lines = reported()
    assert lines[anna.id][0] and lines[anna.id][1:] == (done["sampled"], 0)
    assert lines[ben.id] == (None, 0, 0)
    # the same machine, another officer's shares under his name: named, counted, exit status 5
    with world.database() as db:
        for rowid, record in db.execute("SELECT rowid, record FROM escrow_share WHERE"
                                        " instr(record, ?) > 0", (ben.id.encode(),)).fetchall():
            changed = bytearray(record)
            changed[-5] ^= 1
            db.execute("UPDATE escrow_share SET record = ? WHERE rowid = ?", (bytes(changed), rowid))
    failed = ben.coffer("officer", "drill", *ben.unlock, "--sample", 50, expect=VERIFY)
    assert "your share does not open" in failed.stderr
    assert reported()[ben.id][2] == reported()[ben.id][1] > 0
    # the signed record is in the audit; nobody hands in another's, or an old one
    entry = [e for e in world.audit("officer.drill") if e["object"] == anna.id][0]
    record = base64.b64decode(entry["detail"]["record"])
    assert record.startswith(b"cofferPD\x01")
    body = {"record": base64.b64encode(record).decode()}
    assert "not yours" in cleo.api("POST", "/officers/drill", body, expect=403).text()
    changed = bytearray(record)
    changed[-70] ^= 1
    anna.api("POST", "/officers/drill", {"record": base64.b64encode(changed).decode()}, expect=403)
    world.admin.api("GET", "/officers/drill", expect=403)
    # an officer's drill is none of the monthly ones
    assert world.instance.coffer_json("escrow", "report")["last_drill"] is None
    page = tmp_path / "report.html"
    world.instance.coffer("escrow", "report", "--html", page)
    assert "Proved last that it opens" in page.read_text()


def test_time_alone_starts_the_monthly_drill(own_world):
    """A month after the last one, by the server itself, with an alarm."""
    world = own_world
    instance = world.instance
    kept = world.put(kind="pin", data=b"123456")
    assert instance.coffer_json("escrow", "drill")["failed"] == 0

    def by_itself():
        with world.database() as db:
            return db.execute("SELECT sampled, failed, failures FROM escrow_drill WHERE actor ="
                              " 'system'").fetchall()
    assert not by_itself()
    instance.stop()
    instance.configure({"smtp": {"url": "smtp://127.0.0.1:9", "from": "coffer@example.org",
                                 "tls": "none"}})
    month = 30 * 86400 * 1000
    for age, due in ((month - 600 * 1000, False), (month, True)):
        with world.database() as db:
            db.execute("UPDATE escrow_drill SET created_ms = unixepoch() * 1000 - ?", (age,))
            db.execute("UPDATE escrow_object SET wrap = zeroblob(length(wrap))")
        instance.start()
        if due:
            instances.wait_for(by_itself, bool, "the drill")
        else:
            instance.coffer("escrow", "put", private(world.files / "more", b"more"))
            instances.wait_for(lambda: instance.coffer_json("escrow", "list")["objects"],
                               lambda objects: len(objects) == 2, "a round of the background")
            assert not by_itself()
        instance.stop()
    (sampled, failed), = [(r[0], r[1]) for r in by_itself() if kept["id"] in r[2]]
    assert sampled == failed == 1
    with world.database() as db:
        mails = [row[0] for row in db.execute("SELECT payload FROM job WHERE kind = 'mail'")]
    assert [m for m in mails if instances.ADMIN in m and kept["id"] in m and "drill" in m]
    log = "".join(p.read_text() for p in world.files.glob("cofferd-*.log"))
    assert "escrow drill kind=pin sampled=1 failed=1" in log
    instance.start()
