"""The sync service through a real coffer-web, spoken to by devices that share no code with it."""

import base64
import os
import threading
import time

import pytest

import sync_unseal as su
from helpers import instance as instances
from helpers.sync_client import (Client, Refused, Region, add_device, begin, new_device, parts, person, runs)
from sync_unseal import Ed25519PublicKey, i64, label, run, sha, u64

ANNA, BERT = "anna@example.org", "bert@example.org"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = instances.Instance(tmp_path_factory.mktemp("sync"))
    try:
        made.init({"sync": {"enabled": "yes"},
                   "sync_policy group:small@example.org": {"quota": "20K"},
                   "sync_policy nosync.example.org": {"may_sync": "no"}}).start()
        yield made
        made.stop()
    finally:
        made.abandon()


@pytest.fixture(scope="module")
def anna(service):
    return person(service, ANNA)


@pytest.fixture(scope="module")
def bert(service):
    return person(service, BERT)


def refused(status, reason, call, *args, **kwargs):
    with pytest.raises(Refused) as caught:
        call(*args, **kwargs)
    assert (caught.value.status, caught.value.reason) == (status, reason), caught.value
    return caught.value


# ---- regions and log-in ----

def test_a_region_is_made_once_by_whom_its_card_names(service, anna, bert):
    device = new_device(ANNA)
    client = Client(service, Region(device), device, anna)
    refused(403, "person", client.good, "POST", "/regions", client.region.entries[0], token=bert)
    assert client.create().status == 201
    again = client.create()
    assert again.status == 200 and again.json()["region"] == client.region.id.hex()
    listed = client.good("GET", "/regions", token=anna).json()["regions"]
    assert client.region.id.hex() in [r["region"] for r in listed]
    assert client.region.id.hex() not in [
        r["region"] for r in client.good("GET", "/regions", token=bert).json()["regions"]]
    broken = bytearray(client.region.entries[0])
    broken[-1] ^= 1
    refused(422, "signature", client.good, "POST", "/regions", bytes(broken), token=anna)
    refused(422, "malformed", client.good, "POST", "/regions", b"nonsense", token=anna)


def test_log_in_wants_this_devices_signature_for_this_host(service, anna):
    client = begin(service, ANNA, anna)
    assert client.good("GET", client.r("/policy")).json() == {
        "may_sync": True, "may_share": True, "may_share_outside": False, "folders": None, "quota": 0, "used": 0,
        "recovery": None}
    refused(422, "signature", client.log_in, host="sync.example.com:443")
    refused(422, "signature", client.log_in, key=client.device.content)
    other = begin(service, ANNA, anna)
    stranger = Client(service, client.region, other.device, anna)
    refused(422, "signature", stranger.log_in)  # not of this region: the same answer
    refused(401, "session", client.good, "GET", client.r("/policy"), token=other.token)
    refused(401, "session", client.good, "GET", client.r("/policy"), token=client.token[:-2] + "AA")
    refused(401, "session", client.good, "GET", client.r("/policy"), token=anna)
    who = {"region": client.region.id.hex(), "device": client.device.id.hex()}
    refused(401, "session", client.good, "POST", "/session/proof",
            {**who, "nonce": "00" * 32, "signature": "00" * 64})


# ---- data, packages, roots ----

def test_files_come_up_are_committed_and_come_down_again(service, anna):
    client = begin(service, ANNA, anna)
    big = os.urandom(17 * MIB + 5)
    idents, folder = client.put_files({b"big": big, b"small": b"hello", b"empty": b""})
    for ident in list(idents.values()) + [folder]:
        root = client.root_of(ident)
        blob = client.region.blobs[root]
        assert client.get(root, len(blob)) == blob
        assert client.good("GET", client.r(f"/packages/{ident.hex()}")).body == client.region.packages[ident]
    root, change = runs(client.good("GET", client.r("/root")).body)
    assert sha(root) == client.region.head_hash
    answer = client.good("GET", client.r("/root"))
    assert client.ask("GET", client.r("/root"), headers={"If-None-Match": answer.headers["ETag"]}).status == 304
    assert runs(client.good("GET", client.r("/roots?after=0")).body) == [root, change]
    asked = list(idents.values()) + [os.urandom(32)]
    got = runs(client.good("POST", client.r("/packages/get"), b"".join(asked)).body)
    assert got == [client.region.packages[i] for i in idents.values()] + [b""]
    small = client.root_of(idents[b"small"])
    whole = client.good("GET", client.r(f"/data/{small.hex()}"))
    assert whole.status == 200 and whole.body == client.region.blobs[small]
    refused(422, "range", client.good, "GET", client.r(f"/data/{client.root_of(idents[b'big']).hex()}"))
    piece = client.good("GET", client.r(f"/data/{small.hex()}"), headers={"Range": "bytes=10-19"})
    assert piece.body == whole.body[10:20]
    state = client.good("POST", client.r("/status"), small + os.urandom(32)).json()
    assert state["wanted"] == 1
    assert state["data"][0]["held"] and state["data"][0]["replicas"] == 1
    assert not state["data"][1]["held"]
    used = client.good("GET", client.r("/policy")).json()["used"]
    assert used >= sum(len(client.region.blobs[client.root_of(i)]) for i in list(idents.values()) + [folder])


def test_an_upload_goes_on_where_it_ended(service, anna):
    client = begin(service, ANNA, anna)
    ident = client.region.file(os.urandom(20 * MIB))
    root = client.root_of(ident)
    blob = client.region.blobs[root]
    cut = parts(blob)
    assert len(cut) == 3
    assert client.good("POST", client.r("/missing"), root).body == root
    refused(404, "none", client.good, "GET", client.r(f"/data/{root.hex()}/parts"))
    assert client.put_part(root, 2, cut[2], len(blob)).status == 201
    assert client.put_part(root, 2, cut[2], len(blob)).status == 200
    refused(422, "data", client.put_package, ident)
    client.put_part(root, 0, cut[0], len(blob))
    state = client.good("GET", client.r(f"/data/{root.hex()}/parts")).json()
    assert state == {"size": len(blob), "parts": [0, 2]}
    assert client.good("POST", client.r("/missing"), root).body == root
    client.put_part(root, 1, os.urandom(len(cut[1])), len(blob))  # somebody's nonsense
    refused(422, "data", client.put_package, ident)
    client.put_part(root, 1, cut[1], len(blob))
    assert client.good("POST", client.r("/missing"), root).body == b""
    assert client.put_package(ident).status == 201
    assert client.put_package(ident).status == 200


def test_of_two_commits_at_once_one_is_taken(service, anna):
    client = begin(service, ANNA, anna)
    client.put_files({b"a": b"1"})
    phone = add_device(client, ANNA, anna, su.ALL)
    made = []
    for who in (client, phone):
        folder = client.region.as_device(who.device).listing_of([])
        who.upload(folder)
        made.append(client.region.root(folder, [folder], device=who.device))
    answers = [None, None]

    def post(i, who):
        answers[i] = who.ask("POST", who.r("/root"), run(made[i][0]) + run(made[i][1]))

    threads = [threading.Thread(target=post, args=(i, who)) for i, who in enumerate((client, phone))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(a.status for a in answers) == [201, 409]
    won = 0 if answers[0].status == 201 else 1
    assert runs(answers[1 - won].body) == list(made[won])
    assert (client, phone)[won].ask("POST", client.r("/root"), run(made[won][0]) + run(made[won][1])).status == 200


def test_bad_packages_are_refused_each_with_its_reason(service, anna):
    client = begin(service, ANNA, anna)
    reader = add_device(client, ANNA, anna, su.READ, b"reader")
    other = begin(service, ANNA, anna)
    region = client.region.as_device(client.device)
    ident = region.file(b"content")
    root, record = client.root_of(ident), region.packages[ident]
    refused(422, "data", client.put_package, ident)
    client.put_blob(root)

    def resigned(change):
        """The record with its message changed and signed again; its metadata stays."""
        meta = record[-4 - int.from_bytes(meta_length(record), "big"):]
        message = record[:len(record) - len(meta) - 64]
        return client.device.sign(b"package", change(message)) + meta

    def meta_length(data):
        for at in range(len(data) - 4, 0, -1):
            if int.from_bytes(data[at:at + 4], "big") == len(data) - at - 4:
                return data[at:at + 4]
        raise AssertionError("no metadata")

    def put(data, who=client):
        return who.good("POST", who.r("/packages"), data)

    flipped = bytearray(record)
    flipped[-300] ^= 1
    refused(422, "signature", put, bytes(flipped))
    refused(422, "malformed", put, b"coffer")
    refused(422, "author", put, record, reader)
    # head 9, suite 2, region 32, node 16, version 16, none replaced 1, epoch 8, root 32
    refused(422, "region", put, resigned(lambda m: m[:11] + other.region.id + m[43:]))
    refused(422, "suite", put, resigned(lambda m: m[:9] + b"\0\2" + m[11:]))
    refused(422, "epoch", put, resigned(lambda m: m[:76] + u64(7) + m[84:]))
    refused(422, "position", put, resigned(lambda m: m[:-40] + u64(99) + m[-32:]))
    refused(422, "fork", put, resigned(lambda m: m[:-32] + os.urandom(32)))
    refused(422, "header", put, resigned(lambda m: m[:59] + os.urandom(16) + m[75:]))
    refused(422, "data", put, resigned(lambda m: m[:84] + os.urandom(32) + m[116:]))
    region.as_device(reader.device)
    by_reader = region.file(b"of a reader")
    refused(422, "role", reader.put_part, client.root_of(by_reader), 0,
            region.blobs[client.root_of(by_reader)], len(region.blobs[client.root_of(by_reader)]))
    refused(422, "role", put, region.packages[by_reader], reader)
    region.as_device(client.device)
    foreign = other.region.file(b"of another region")
    data = other.region.blobs[other.root_of(foreign)]
    refused(422, "region", client.put_part, other.root_of(foreign), 0, data, len(data))
    refused(422, "size", client.put_part, root, 0, region.blobs[root][:-1], len(region.blobs[root]))
    refused(422, "size", client.put_part, root, 5, region.blobs[root], len(region.blobs[root]))
    refused(422, "size", client.put_part, root, 0, b"x" * 99, 99)
    # All or none.
    more = region.file(b"more")
    client.put_blob(client.root_of(more))
    refused(422, "signature", client.good, "POST", client.r("/packages?many=1"),
            run(region.packages[more]) + run(bytes(flipped)))
    refused(404, "none", client.good, "GET", client.r(f"/packages/{more.hex()}"))
    many = client.good("POST", client.r("/packages?many=1"), run(region.packages[more]) + run(record))
    assert many.json()["packages"] == [more.hex(), ident.hex()]
    refused(404, "none", client.good, "GET", client.r(f"/packages/{os.urandom(32).hex()}"))
    refused(404, "none", client.good, "GET", client.r("/packages/xyz"))


def test_bad_roots_are_refused_each_with_its_reason(service, anna):
    client = begin(service, ANNA, anna)
    reader = add_device(client, ANNA, anna, su.READ, b"reader")
    idents, folder = client.put_files({b"a": b"1"})
    region = client.region
    new = region.listing_of([])

    def post(root, change, who=client):
        return who.good("POST", who.r("/root"), run(root) + run(change))

    lacking = refused(422, "missing", post, *region.root(new, [new]))
    assert new.hex() in lacking.body.decode()
    client.upload(new)
    refused(422, "missing", post, *region.root(os.urandom(32), [new]))
    refused(422, "change", post, *region.root(folder, [folder]))  # is in the tree
    refused(422, "change", post, *region.root(new, [new], [os.urandom(32)]))
    root, change = region.root(new, [new])
    refused(422, "change", post, root, change[:-1])
    refused(422, "change", post, root, region.root(new, [new], [folder])[1])
    refused(422, "malformed", client.good, "POST", client.r("/root"), b"nonsense")
    refused(422, "signature", post, root[:-1] + bytes([root[-1] ^ 1]), change)
    refused(422, "author", post, *region.root(new, [new], device=reader.device))
    refused(422, "role", post, *region.root(new, [new], device=reader.device), reader)
    refused(422, "fork", post, *region.root(new, [new], before=os.urandom(32)))
    refused(422, "fork", post, *region.root(new, [new], counter=7))
    behind = region.root(new, [new], counter=1, before=su.ZERO)
    with pytest.raises(Refused) as lost:
        post(*behind)
    assert lost.value.status == 409 and sha(runs(lost.value.body)[0]) == region.head_hash
    other = begin(service, ANNA, anna)
    refused(422, "region", post, *other.region.root(new, [new], device=client.device, counter=2,
                                                    before=region.head_hash))
    client.commit(new, [new], [folder, *idents.values()])
    # Dropped and kept: it may come back.
    client.commit(folder, [folder], [new])


# ---- the chain ----

def test_a_device_joins_reads_its_key_and_hears_of_commits(service, anna):
    client = begin(service, ANNA, anna)
    region = client.region
    phone, nonce = new_device(ANNA, b"phone"), os.urandom(32)
    joiner = Client(service, region, phone, anna)
    commitment = sha(label(b"sas-commit") + phone.id + nonce)
    ask = run(phone.card) + commitment
    join = joiner.good("POST", joiner.r("/joins"), ask, token=anna).json()["join"]
    assert joiner.good("POST", joiner.r("/joins"), ask, token=anna).json()["join"] == join
    refused(422, "signature", joiner.good, "POST", joiner.r("/joins"), run(phone.card[:-1] + b"x") + commitment,
            token=anna)
    seen = client.good("GET", client.r("/joins")).json()["joins"]
    assert [j["join"] for j in seen] == [join] and seen[0]["state"] == "asked"
    assert base64.b64decode(seen[0]["card"]) == phone.card
    m = os.urandom(32)
    refused(422, "author", client.good, "POST", client.r(f"/joins/{join}/answer"),
            {"approver": phone.id.hex(), "m": m.hex()})
    refused(409, "newer", joiner.good, "POST", joiner.r(f"/joins/{join}/open"), {"n": nonce.hex()}, token=anna)
    answer = client.good("POST", client.r(f"/joins/{join}/answer"), {"approver": client.device.id.hex(), "m": m.hex()})
    assert answer.json()["position"] == 0
    refused(409, "newer", client.good, "POST", client.r(f"/joins/{join}/answer"),
            {"approver": client.device.id.hex(), "m": os.urandom(32).hex()})
    refused(422, "signature", joiner.good, "POST", joiner.r(f"/joins/{join}/open"), {"n": os.urandom(32).hex()},
            token=anna)
    opened = joiner.good("POST", joiner.r(f"/joins/{join}/open"), {"n": nonce.hex()}, token=anna).json()
    assert opened["state"] == "opened" and opened["m"] == m.hex()
    assert joiner.chain(token=anna) == region.entries
    refused(422, "signature", joiner.log_in)
    region.entry(client.device, su.ADD, phone.id, 0, phone.card, 1, b"")
    client.send_entry()
    refused(403, "revoked", joiner.log_in)  # added, without any rights
    region.entry(client.device, su.APPROVE, phone.id, su.READ | su.WRITE, b"", 1, b"")
    client.send_entry()
    assert joiner.good("GET", joiner.r(f"/joins/{join}"), token=anna).json()["state"] == "approved"
    region.deliver(phone)
    region.deliver(client.device)
    client.good("PUT", client.r("/deliveries"), b"".join(map(run, region.deliveries)))
    joiner.log_in()
    assert runs(joiner.good("GET", joiner.r("/deliveries")).body) == [region.deliveries[0]]
    refused(422, "author", joiner.good, "PUT", joiner.r("/deliveries"), run(region.deliveries[0]))
    # A long poll ends as soon as there is something.
    now = joiner.good("GET", joiner.r("/events")).json()
    assert now["root"] == 0 and now["chain"] == 3
    heard, waiting = [], Client(service, region, phone, anna)
    waiting.token = joiner.token

    def wait():
        heard.append(waiting.good("GET", waiting.r("/events?root=0&chain=3")).json())

    thread = threading.Thread(target=wait)
    begun = time.monotonic()
    thread.start()
    client.put_files({b"a": b"1"})
    thread.join(30)
    assert heard and heard[0]["root"] == 1 and time.monotonic() - begun < 30


def test_bad_entries_are_refused_and_races_on_the_chain_have_one_winner(service, anna, bert):
    client = begin(service, ANNA, anna)
    phone = add_device(client, ANNA, anna, su.READ | su.WRITE)
    region = client.region

    def entry(who, author, kind, subject, roles, card, epoch, position=None, before=None, history=b""):
        heads = region.chain.heads
        position = len(heads) if position is None else position
        message = (su.suited(b"YC") + region.id + u64(position) + (before or heads[-1]) + su.u8(kind) + i64(5) +
                   author.id + subject + su.u8(roles) + run(card) + u64(epoch) +
                   su.commitment(region.key, epoch) + run(history))
        return who.good("POST", who.r("/chain"), author.sign(b"chain", message))

    new = new_device(ANNA, b"third")
    refused(422, "role", entry, phone, phone.device, su.ADD, new.id, 0, new.card, 1)
    refused(422, "author", entry, client, phone.device, su.ADD, new.id, 0, new.card, 1)
    refused(422, "position", entry, client, client.device, su.ADD, new.id, 0, new.card, 1, position=9)
    refused(422, "fork", entry, client, client.device, su.ADD, new.id, 0, new.card, 1, before=os.urandom(32))
    refused(422, "malformed", client.good, "POST", client.r("/chain"), b"x")
    stranger = new_device("nobody@example.org")
    refused(403, "person", entry, client, client.device, su.ADD, stranger.id, 0, stranger.card, 1)
    with pytest.raises(Refused) as lost:
        entry(client, client.device, su.ADD, new.id, 0, new.card, 1, position=1, before=region.chain.heads[0])
    assert lost.value.status == 409 and lost.value.body == region.entries[-1]
    # What was refused left nothing behind: the chain goes on.
    friend = new_device(BERT)
    region.entry(client.device, su.ADD, friend.id, 0, friend.card, 1, b"")
    assert client.send_entry().status == 201
    assert client.send_entry().status == 200
    assert client.chain() == region.entries
    assert client.chain(after=2) == region.entries[2:]
    refused(403, "person", client.good, "GET", client.r("/chain"), token=person(service, "eve@example.org"))
    assert client.chain(token=bert) == region.entries


def test_a_revoked_device_is_out_at_once_and_old_epochs_are_not_written(service, anna):
    client = begin(service, ANNA, anna)
    phone = add_device(client, ANNA, anna, su.ALL)
    region = client.region.as_device(client.device)
    before = region.file(b"sealed before")
    client.put_blob(client.root_of(before))
    region.new_epoch(client.device, su.REVOKE, phone.device.id)
    client.send_entry()
    refused(403, "revoked", phone.good, "GET", phone.r("/root"))
    refused(403, "revoked", phone.log_in)
    refused(422, "epoch", client.put_package, before)
    client.put_files({b"after": b"in the new epoch"})


def test_people_who_are_disabled_or_may_not_sync_are_out(service, bert):
    client = begin(service, BERT, bert)
    client.put_files({b"a": b"1"})
    service.api("POST", f"/people/{BERT}/disable", expect=204)
    refused(403, "disabled", client.good, "GET", client.r("/root"))
    refused(403, "disabled", client.log_in)
    service.api("POST", f"/people/{BERT}/enable", expect=204)
    client.log_in().good("GET", client.r("/root"))
    mail = "karl@nosync.example.org"
    token = person(service, mail)
    device = new_device(mail)
    refused(403, "policy", Client(service, Region(device), device, token).create)


# ---- control ----

def test_quotas_hold_for_a_person(service):
    mail = "small@example.org"
    token = person(service, mail)
    client = begin(service, mail, token)
    client.put_files({b"a": b"1"})
    used = client.good("GET", client.r("/policy")).json()["used"]
    service.api("PUT", f"/sync/quotas/{mail}", {"bytes": used + 5000}, expect=204)
    big = client.region.file(b"x" * 10000)
    refused(507, "quota", client.upload, big)
    assert client.good("GET", client.r("/policy")).json()["quota"] == used + 5000
    service.api("PUT", f"/sync/quotas/{mail}", {"bytes": None}, expect=204)
    client.upload(big)


def test_a_wipe_is_asked_for_told_and_receipted(service, anna):
    client = begin(service, ANNA, anna)
    phone = add_device(client, ANNA, anna, su.ALL)
    at = f"/sync/regions/{client.region.id.hex()}/devices"
    asked = service.api("POST", f"{at}/{phone.device.id.hex()}/wipe", expect=202).json()["wipe"]
    assert service.api("POST", f"{at}/{phone.device.id.hex()}/wipe", expect=202).json()["wipe"] == asked
    refused(403, "wipe", phone.good, "GET", phone.r("/root"))
    told = refused(403, "wipe", phone.log_in)
    assert asked in told.body.decode()
    message = client.region.id + phone.device.id + bytes.fromhex(asked) + i64(1700000000) + u64(42)
    receipt = {"device": phone.device.id.hex(), "wipe": asked, "time": 1700000000, "files": 42}
    wrong = phone.device.content.sign(label(b"wipe") + message).hex()
    refused(422, "signature", phone.good, "POST", phone.r("/wipe-receipt"), {**receipt, "signature": wrong})
    right = phone.device.login.sign(label(b"wipe") + message).hex()
    phone.token = None
    assert phone.good("POST", phone.r("/wipe-receipt"), {**receipt, "signature": right}).status == 204
    devices = service.api("GET", at, expect=200).json()["devices"]
    state = {d["device"]: d for d in devices}[phone.device.id.hex()]
    assert state["wipe"] == "done" and state["wiped"] and state["person"] == ANNA
    noted = [e["action"] for e in service.api("GET", "/audit?limit=1000", expect=200).json()["entries"]]
    assert {"sync.wipe", "sync.wipe.receipt", "sync.commit", "sync.chain", "sync.login"} <= set(noted)
    client.good("GET", client.r("/policy"))


def test_holds_and_usage_are_for_administrators(service, anna):
    client = begin(service, ANNA, anna)
    region = client.region.id.hex()
    service.api("GET", "/sync/usage", token=anna, expect=403)
    assert service.api("GET", "/sync/usage", expect=200).json()["regions"] >= 1
    assert region in [r["region"] for r in service.api("GET", "/sync/regions?all=1", expect=200).json()["regions"]]
    made = service.api("POST", "/sync/holds", {"region": region, "reason": "case 7"}, expect=201).json()["hold"]
    service.api("POST", "/sync/holds", {"person": ANNA, "reason": "case 7"}, expect=201)
    service.api("POST", "/sync/holds", {"reason": "neither"}, expect=422)
    listed = service.api("GET", "/sync/holds", expect=200).json()["holds"]
    assert [h["region"] for h in listed if h["hold"] == made] == [region]
    service.api("DELETE", f"/sync/holds/{made}", expect=204)
    service.api("DELETE", f"/sync/holds/{made}", expect=404)


# ---- the log of chain heads ----

def test_the_log_holds_every_entry_under_a_signed_checkpoint(service, anna):
    client = begin(service, ANNA, anna)
    add_device(client, ANNA, anna, su.READ)
    name, _, key = client.ask("GET", "/log/key").body.decode().strip().split("+", 2)
    assert name == "localhost/sync"
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:])
    mine = [su.head(b"YH") + client.region.id + u64(i) + h for i, h in enumerate(client.region.chain.heads)]

    def leaves():
        note = client.ask("GET", "/log/checkpoint")
        if note.status != 200:
            return []
        text, _, signature = note.body.decode().partition("\n\n")
        origin, size, root = (text + "\n").splitlines()
        public.verify(base64.b64decode(signature.split()[2])[4:], (text + "\n").encode())
        found, size = [], int(size)
        for at in range(0, size, 256):
            width = min(256, size - at)
            partial = "" if width == 256 else f".p/{width}"
            bundle = client.good("GET", f"/log/tile/entries/{at // 256:03}{partial}").body
            hashes = client.good("GET", f"/log/tile/0/{at // 256:03}{partial}").body
            new = []
            while bundle:
                n = int.from_bytes(bundle[:2], "big")
                new.append(bundle[2:2 + n])
                bundle = bundle[2 + n:]
            assert hashes == b"".join(su.leaf(e) for e in new)
            found += new
        assert len(found) == size and origin == name
        assert su.tree([su.leaf(e) for e in found]) == base64.b64decode(root)
        return found

    instances.wait_for(leaves, lambda found: set(mine) <= set(found), "the entries in the log")
    assert client.ask("GET", "/log/tile/0/999").status == 404
    assert client.ask("GET", "/log/tile/../x").status in (400, 404)
