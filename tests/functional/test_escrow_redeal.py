"""Officers change, and one who deals is dishonest: nothing is lost while the old shares are kept."""

import base64
import hashlib
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import escrow_recover as er
from test_escrow import FAILED, NOT_FOUND, REFUSED, VERIFY, World, opened

ALONE = b"officers alone"


@pytest.fixture
def world(tmp_path, factory):
    one = World(tmp_path, factory)
    try:
        yield one
        one.instance.stop()
    finally:
        one.instance.abandon()


def seal(share, obj, officers, y):
    """A part as its dealer's machine would have made it: well sealed, with the check value of y."""
    officer = officers["officers"][share["index"]]
    ephemeral, nonce = X25519PrivateKey.generate(), os.urandom(12)
    share = dict(share, check=er.check_value(obj, share["index"], y))
    key, _ = er.send(ephemeral, officer["hpke"], er.EXPORT,
                     er.share_info(officers["hash"], officer["id"]))
    fields = er.share_aad(share, obj)[len(er.text("coffer/v1/escrow/share")) + len(obj):]
    return (er.head(b"SH") + fields[:8] + er.text(share["officer"]) + fields[8:] +
            er.public(ephemeral) + nonce + AESGCM(key).encrypt(nonce, y, er.share_aad(share, obj)))


def deal_wrongly(world, object_id, epoch, dealer_id):
    """What this dealer dealt shares something else than he had."""
    with world.database() as db:
        seq, version = db.execute("SELECT seq, version FROM escrow_object WHERE id = ?",
                                  (object_id,)).fetchone()
        dealer, = db.execute("SELECT dealer FROM redeal WHERE to_epoch = ? AND officer_id = ?",
                             (epoch, dealer_id)).fetchone()
        officers = er.set_parse(db.execute("SELECT record FROM officer_set WHERE epoch = ?",
                                           (epoch,)).fetchone()[0])
        obj = hashlib.sha256(er.head(b"OB") + bytes.fromhex(object_id) + er.text("file") + er.text("") +
                             er.text("") + b"\0" + version.to_bytes(8, "big")).digest()
        ys = er.split(os.urandom(32), officers["threshold"], list(officers["officers"]), os.urandom)
        for rowid, record in db.execute(
                "SELECT rowid, record FROM escrow_share WHERE object_seq = ? AND epoch = ? AND"
                " dealer = ?", (seq, epoch, dealer)).fetchall():
            share = er.share_parse(record)
            db.execute("UPDATE escrow_share SET record = ? WHERE rowid = ?",
                       (seal(share, obj, officers, ys[share["index"]]), rowid))


def change(world, dealers):
    world.instance.coffer("officer", "activate", "--threshold", "2",
                          *[o.id for o in world.officers])
    for officer in dealers:
        officer.sign(2)
    for officer in dealers:
        officer.redeal()


def recover(world, object_id, approvers):
    request = world.admin.request(object_id)
    for officer in approvers:
        officer.approve(request)
    return opened(world, request, expect=None)


def unproved(world):
    return world.instance.coffer_json("officer", "list")["unproved"]


def old_shares(world):
    with world.database() as db:
        return db.execute("SELECT COUNT(*) FROM escrow_share WHERE epoch = 1").fetchone()[0]


def test_a_dishonest_dealer_destroys_nothing(world):
    anna, ben, cleo = world.officers
    kept = world.put("--officers-only", data=ALONE)
    assert unproved(world) is None
    change(world, (anna, ben))
    deal_wrongly(world, kept["id"], 2, ben.id)
    assert unproved(world) == {"set": 2, "objects": 1, "officers": 0}
    # his parts are well sealed: everybody's share opens, and that is no proof
    for officer in (anna, cleo):
        officer.coffer("officer", "drill", *officer.unlock)
    shown = world.instance.coffer_json("escrow", "verify", kept["id"])
    assert shown["opens"] is None and shown["proved_by"].startswith("nobody")
    # nobody gives up the old shares before something was opened
    done = anna.finish(2, expect=REFUSED)
    assert "was opened" in done.stderr
    failed = recover(world, kept["id"], (anna, cleo))
    assert failed.returncode == VERIFY and "officer redeal --dealers" in failed.stderr, failed.stderr
    # one alone does not end it, even if he says it twice; nor does a change of officers
    ben.finish(2)
    assert "count once" in ben.finish(2, expect=FAILED).stderr
    assert unproved(world)["officers"] == 1 and old_shares(world) == 3
    done = world.instance.coffer("officer", "activate", "--threshold", "2", expect=REFUSED)
    assert "officer finish" in done.stderr
    # others deal anew from the old shares; what was said before counts no more
    world.instance.coffer("officer", "redeal", "--dealers", f"{anna.id},{cleo.id}")
    assert unproved(world) is None
    assert "not dealt" in anna.finish(2, expect=REFUSED).stderr
    anna.redeal()
    cleo.redeal()
    assert unproved(world) == {"set": 2, "objects": 1, "officers": 0}
    assert recover(world, kept["id"], (ben, cleo)) == ALONE
    anna.finish(3, expect=NOT_FOUND)
    world.admin.coffer("officer", "finish", 2, *anna.unlock, expect=REFUSED)
    # a token alone does not say it, nor another's key, nor a signature on something else
    assert cleo.api("POST", "/officers/redeal/finish", {"set": 2}).status == 400
    cleo.coffer("officer", "finish", 2, *anna.unlock, expect=REFUSED)
    with world.database() as db:
        record, = db.execute("SELECT record FROM officer_set_signature WHERE epoch = 2 AND"
                             " officer_id = ?", (anna.id,)).fetchone()
    answer = anna.api("POST", "/officers/redeal/finish",
                      {"set": 2, "record": base64.b64encode(record).decode()})
    assert answer.status >= 400 and old_shares(world) == 3, answer
    anna.finish(2)
    assert old_shares(world) == 3
    assert "are deleted" in cleo.finish(2).stdout
    assert old_shares(world) == 0 and unproved(world) is None
    assert recover(world, kept["id"], (anna, ben)) == ALONE
    shown = world.instance.coffer_json("escrow", "list")["objects"]
    assert [o["former_officers"] for o in shown] == [True]
    path = world.files / "newer"
    path.write_bytes(b"a new one")
    world.instance.coffer("escrow", "put", path, "--replace", kept["id"])
    shown = world.instance.coffer_json("escrow", "history", kept["id"])["versions"]
    assert sorted((o["version"], o["former_officers"]) for o in shown) == [(1, True), (2, False)]
    # it is over: no way back, and nothing left to say
    ben.finish(2, expect=NOT_FOUND)
    world.instance.coffer("officer", "redeal", "--dealers", f"{anna.id},{ben.id}", expect=NOT_FOUND)
    said = [(e["detail"]["officer"], e["detail"]["old_shares"]) for e in world.audit("officers.finish")]
    assert sorted(said) == sorted([(ben.id, "kept"), (anna.id, "kept"), (cleo.id, "deleted")])
    # and the next change goes through
    made = world.instance.coffer_json("officer", "activate", "--threshold", "2", anna.id, cleo.id)
    assert made == {"epoch": 3, "active": False}


def test_an_officer_does_not_crowd_the_report_and_is_handed_so_many_shares(world):
    anna, ben, cleo = world.officers
    world.put("--officers-only", data=ALONE)
    assert world.instance.coffer_json("escrow", "drill")["failed"] == 0
    ben.coffer("officer", "drill", *ben.unlock)
    anna.coffer("officer", "drill", *anna.unlock)
    record = [e["detail"]["record"] for e in world.audit("officer.drill") if e["object"] == anna.id][0]
    assert base64.b64decode(record).startswith(b"cofferPD")
    for _ in range(3):
        anna.api("POST", "/officers/drill", {"record": record}, expect=204)
    with world.database() as db:
        assert db.execute("SELECT COUNT(*) FROM escrow_drill WHERE kind = ?",
                          (f"officer:{anna.id}",)).fetchone()[0] == 1
        # as many as one likes of others (former officers' too) hide nothing
        db.executemany("INSERT INTO escrow_drill (kind, sampled, opened, failed, failures, actor,"
                       " created_ms) VALUES (?, 1, 1, 0, '', 'x', 1)",
                       [(f"officer:{i}",) for i in range(300)])
    report = world.instance.coffer_json("escrow", "report")
    assert [k["last_drill"] is not None for k in report["kinds"]] == [True]
    drilled = {o["id"]: o["last_drill_sampled"] for o in report["officers"]}
    assert drilled == {anna.id: 1, ben.id: 1, cleo.id: 0}
    # what he is handed is told and counted
    assert [e["detail"]["objects"] for e in world.audit("officer.sample")
            if e["object"] == anna.id] == ["1"]
    anna.api("GET", "/officers/drill?sample=100", expect=200)
    assert len([e for e in world.audit("officer.sample") if e["object"] == anna.id]) == 2
    with world.database() as db:
        assert db.execute("SELECT objects FROM officer_sample WHERE officer_id = ?",
                          (anna.id,)).fetchone() == (2,)
        db.execute("UPDATE officer_sample SET objects = 200 WHERE officer_id = ?", (anna.id,))
    answer = anna.api("GET", "/officers/drill?sample=1", expect=None)
    assert "tomorrow" in answer.text(), answer.text()
    ben.api("GET", "/officers/drill?sample=1", expect=200)
    with world.database() as db:
        db.execute("UPDATE officer_sample SET day = day - 1 WHERE officer_id = ?", (anna.id,))
    anna.api("GET", "/officers/drill?sample=1", expect=200)
