#!/usr/bin/env python3
"""Recovers escrowed secrets without Coffer: docs/formats/escrow.md in python3-cryptography alone.

    escrow_recover.py open FILE      recover the secret in FILE (an export, or the vectors)
    escrow_recover.py make FILE      write test vectors, always the same

FILE has a line "name hex" for each value: object (record cofferOB), blob, set, share.N (records),
hpke.N (an officer's private X25519 key), and for a recovery request, recipient (its private key) and
approval.N. N is the officer's index. With approvals these are used, otherwise the shares.
"""
import hashlib
import hmac
import struct
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


class Wrong(Exception):
    """What does not hold, and whose."""


# ---- numbers and runs ----

def run(b):
    return struct.pack(">I", len(b)) + b


def text(s):
    return run(s.encode())


def head(letters):
    return b"coffer" + letters + b"\x01"


class Reader:
    def __init__(self, data, letters):
        self.data, self.at = data, 0
        if self.raw(9) != head(letters):
            raise Wrong("not a record coffer%s of version 1" % letters.decode())

    def raw(self, n):
        if self.at + n > len(self.data):
            raise Wrong("a record is too short")
        self.at += n
        return self.data[self.at - n:self.at]

    def num(self, n):
        return int.from_bytes(self.raw(n), "big")

    def text(self):
        return self.raw(self.num(4)).decode()

    def done(self):
        if self.at != len(self.data):
            raise Wrong("a record is too long")


# ---- GF(256), Shamir ----

def times(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11b if a & 0x80 else 0)
        b >>= 1
    return product


def inverse(a):
    power = 1
    for _ in range(254):
        power = times(power, a)
    return power


def weight(x, xs):
    """Lagrange's coefficient of x at 0."""
    value = 1
    for other in xs:
        if other != x:
            value = times(value, times(other, inverse(other ^ x)))
    return value


def combine(shares):
    secret = bytes(32)
    for x, y in shares.items():
        w = weight(x, shares)
        secret = bytes(s ^ times(w, b) for s, b in zip(secret, y))
    return secret


def split(secret, threshold, xs, random):
    coefficients = [secret] + [random(32) for _ in range(threshold - 1)]
    ys = {}
    for x in xs:
        y = bytes(32)
        for c in reversed(coefficients):
            y = bytes(times(v, x) ^ k for v, k in zip(y, c))
        ys[x] = y
    return ys


def check_value(object_hash, x, y):
    return hashlib.sha256(b"coffer/v1/share-check\0" + run(object_hash) + bytes([x]) + y).digest()[:16]


# ---- HKDF (RFC 5869) and HPKE (RFC 9180), DHKEM(X25519, HKDF-SHA256) ----

def extract(salt, ikm):
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def expand(prk, info, n):
    out, block, i = b"", b"", 1
    while len(out) < n:
        block = hmac.new(prk, block + info + bytes([i]), hashlib.sha256).digest()
        out, i = out + block, i + 1
    return out[:n]


def labeled_extract(suite, salt, label, ikm):
    return extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite, prk, label, info, n):
    return expand(prk, struct.pack(">H", n) + b"HPKE-v1" + suite + label + info, n)


KEM = b"KEM\x00\x20"
AES256, EXPORT = 2, 0xFFFF


def key_schedule(dh, enc, recipient, aead, info):
    prk = labeled_extract(KEM, b"", b"eae_prk", dh)
    shared = labeled_expand(KEM, prk, b"shared_secret", enc + recipient, 32)
    suite = b"HPKE" + struct.pack(">HHH", 0x20, 1, aead)
    context = (b"\0" + labeled_extract(suite, b"", b"psk_id_hash", b"") +
               labeled_extract(suite, b"", b"info_hash", info))
    secret = labeled_extract(suite, shared, b"secret", b"")
    if aead == EXPORT:
        exporter = labeled_expand(suite, secret, b"exp", context, 32)
        return labeled_expand(suite, exporter, b"sec", b"share-key", 32), None
    return (labeled_expand(suite, secret, b"key", context, 32),
            labeled_expand(suite, secret, b"base_nonce", context, 12))


def public(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def private(key):
    return key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def receive(key, enc, aead, info):
    dh = key.exchange(X25519PublicKey.from_public_bytes(enc))
    return key_schedule(dh, enc, public(key), aead, info)


def send(ephemeral, recipient, aead, info):
    dh = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    return key_schedule(dh, public(ephemeral), recipient, aead, info)


# ---- objects and blobs ----

def object_hash(record):
    return hashlib.sha256(record).digest()


def blob_keys(dek):
    prk = extract(b"", dek)
    return (expand(prk, b"coffer/v1/escrow/blob-key", 32),
            expand(prk, b"coffer/v1/escrow/blob-commit", 32))


def blob_open(dek, record, blob):
    r = Reader(blob, b"BL")
    commit, nonce = r.raw(32), r.raw(12)
    key, wanted = blob_keys(dek)
    if not hmac.compare_digest(commit, wanted):
        raise Wrong("the shares do not give the blob's key")
    try:
        return AESGCM(key).decrypt(nonce, blob[r.at:],
                                   text("coffer/v1/escrow/blob") + object_hash(record))
    except InvalidTag:
        raise Wrong("the blob was changed or is another object's") from None


# ---- officers ----

def set_parse(record):
    r = Reader(record, b"ST")
    s = {"epoch": r.num(8), "previous": r.raw(32), "threshold": r.num(1), "officers": {},
         "hash": hashlib.sha256(record).digest()}
    for _ in range(r.num(1)):
        officer = {"id": r.text(), "person": r.text()}
        index = r.num(1)
        officer["hpke"], officer["sign"] = r.raw(32), r.raw(32)
        s["officers"][index] = officer
    r.done()
    return s


def share_info(set_hash, officer):
    return text("coffer/v1/escrow/share") + set_hash + text(officer)


def share_parse(record):
    r = Reader(record, b"SH")
    s = {"epoch": r.num(8), "officer": r.text(), "index": r.num(1), "threshold": r.num(1),
         "from": r.num(8), "dealer": r.num(1)}
    n = r.num(1)
    s["dealers"] = r.raw(n)
    s["check"], s["enc"], s["sealed"] = r.raw(16), r.raw(32), r.raw(60)
    r.done()
    return s


def share_aad(s, obj):
    return (text("coffer/v1/escrow/share") + obj + struct.pack(">QBBQB", s["epoch"], s["index"],
                                                               s["threshold"], s["from"], s["dealer"]) +
            bytes([len(s["dealers"])]) + s["dealers"] + s["check"])


def share_open(record, key, set_hash, obj):
    s = share_parse(record)
    k, _ = receive(key, s["enc"], EXPORT, share_info(set_hash, s["officer"]))
    try:
        y = AESGCM(k).decrypt(s["sealed"][:12], s["sealed"][12:], share_aad(s, obj))
    except InvalidTag:
        raise Wrong("the share of officer %s was changed" % s["officer"]) from None
    if check_value(obj, s["index"], y) != s["check"]:
        raise Wrong("the share of officer %s is not what its check value says" % s["officer"])
    return s, y


# ---- requests and approvals ----

def approval_open(record, request, key, officers):
    r = Reader(record, b"AP")
    request_hash, officer, index = r.raw(32), r.text(), r.num(1)
    check, sealed, _ = r.raw(16), r.raw(80), r.num(8)
    message, signature = record[:r.at], r.raw(64)
    r.done()
    if request_hash != hashlib.sha256(request).digest():
        raise Wrong("officer %s approved another request" % officer)
    known = officers["officers"].get(index)
    if not known or known["id"] != officer:
        raise Wrong("%s is no officer" % officer)
    try:
        Ed25519PublicKey.from_public_bytes(known["sign"]).verify(
            signature, b"coffer/v1/escrow/approval\0" + message)
    except InvalidSignature:
        raise Wrong("the approval of officer %s is not his" % officer) from None
    info = text("coffer/v1/escrow/approval") + request_hash + text(officer) + bytes([index])
    k, nonce = receive(key, sealed[:32], AES256, info)
    return index, check, AESGCM(k).decrypt(nonce, sealed[32:], b"")


def recover(values):
    """The secret, from officers' shares or from approvals."""
    officers = set_parse(values["set"])
    record = values["object"]
    obj, ys = object_hash(record), {}
    if "request" in values:
        key = X25519PrivateKey.from_private_bytes(values["recipient"])
        for name in sorted(values):
            if not name.startswith("approval."):
                continue
            index, check, y = approval_open(values[name], values["request"], key, officers)
            if check != check_value(obj, index, y):
                raise Wrong("the share of officer %s is wrong" % officers["officers"][index]["id"])
            ys[index] = y
    else:
        for name in sorted(values):
            if not name.startswith("share."):
                continue
            index = int(name.split(".")[1])  # share.INDEX, or share.INDEX.DEALER after a re-dealing
            if "hpke.%d" % index not in values:
                continue
            key = X25519PrivateKey.from_private_bytes(values["hpke.%d" % index])
            _, y = share_open(values[name], key, officers["hash"], obj)
            ys[index] = bytes(a ^ b for a, b in zip(ys.get(index, bytes(32)), y))
    if len(ys) < officers["threshold"]:
        raise Wrong("%d shares, %d are needed" % (len(ys), officers["threshold"]))
    return blob_open(combine(dict(list(ys.items())[:officers["threshold"]])), record, values["blob"])


# ---- vectors ----

def make():
    """The same values each time: every random byte comes from a counter."""
    count = [0]

    def random(n):
        out = b""
        while len(out) < n:
            count[0] += 1
            out += hashlib.sha256(b"coffer escrow vectors %d" % count[0]).digest()
        return out[:n]

    v = {}
    people = []
    for i in (2, 5, 9):
        hpke, sign = X25519PrivateKey.from_private_bytes(random(32)), Ed25519PrivateKey.from_private_bytes(random(32))
        people.append((i, "officer-%d" % i, hpke, sign))
        v["hpke.%d" % i] = private(hpke)
    v["set"] = (head(b"ST") + struct.pack(">Q", 1) + bytes(32) + bytes([2, len(people)]) +
                b"".join(text(name) + text("person-%d" % i) + bytes([i]) + public(hpke) + public(sign)
                         for i, name, hpke, sign in people))
    set_hash = hashlib.sha256(v["set"]).digest()
    ident = random(16)
    fields = (ident + text("file") + text("person-1") + text("") + b"\0" + struct.pack(">Q", 1))
    v["object"] = head(b"OB") + fields
    obj = object_hash(v["object"])
    v["secret"] = b"the quick brown fox jumps over the lazy dog"
    v["dek"] = random(32)
    key, commit = blob_keys(v["dek"])
    nonce = random(12)
    v["blob"] = head(b"BL") + commit + nonce + AESGCM(key).encrypt(
        nonce, v["secret"], text("coffer/v1/escrow/blob") + obj)
    v["storage"] = random(32)
    nonce = random(12)
    v["wrap"] = head(b"WR") + struct.pack(">I", 1) + nonce + AESGCM(v["storage"]).encrypt(
        nonce, v["dek"], text("coffer/v1/escrow/wrap") + obj + struct.pack(">I", 1))
    ys = split(v["dek"], 2, [p[0] for p in people], random)
    for i, name, hpke, _ in people:
        ephemeral = X25519PrivateKey.from_private_bytes(random(32))
        k, _ = send(ephemeral, public(hpke), EXPORT, share_info(set_hash, name))
        s = {"epoch": 1, "index": i, "threshold": 2, "from": 0, "dealer": 0, "dealers": b"",
             "check": check_value(obj, i, ys[i])}
        nonce = random(12)
        v["share.%d" % i] = (head(b"SH") + struct.pack(">Q", 1) + text(name) + bytes([i, 2]) +
                             struct.pack(">QBB", 0, 0, 0) + s["check"] + public(ephemeral) + nonce +
                             AESGCM(k).encrypt(nonce, ys[i], share_aad(s, obj)))
    recipient = X25519PrivateKey.from_private_bytes(random(32))
    v["recipient"] = private(recipient)
    v["request"] = (head(b"RQ") + random(16) + fields + hashlib.sha256(v["blob"]).digest() +
                    struct.pack(">Q", 1) + set_hash + bytes([2]) + text("person-7") +
                    text("heir@example.org") + text("left the company") + text("T-1") +
                    public(recipient) + struct.pack(">qq", 1700000000, 1700086400))
    request_hash = hashlib.sha256(v["request"]).digest()
    for i, name, _, sign in people[:2]:
        ephemeral = X25519PrivateKey.from_private_bytes(random(32))
        info = text("coffer/v1/escrow/approval") + request_hash + text(name) + bytes([i])
        k, base = send(ephemeral, public(recipient), AES256, info)
        message = (head(b"AP") + request_hash + text(name) + bytes([i]) + check_value(obj, i, ys[i]) +
                   public(ephemeral) + AESGCM(k).encrypt(base, ys[i], b"") +
                   struct.pack(">q", 1700000100))
        v["approval.%d" % i] = message + sign.sign(b"coffer/v1/escrow/approval\0" + message)
    return v


def read(path):
    values = {}
    with open(path, encoding="ascii") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                name, value = line.split()
                values[name] = bytes.fromhex(value)
    return values


def write(path, values):
    with open(path, "w", encoding="ascii") as f:
        f.write("# Made by tests/functional/escrow_recover.py; see docs/formats/escrow.md.\n")
        for name in sorted(values):
            f.write("%s %s\n" % (name, values[name].hex()))


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("open", "make"):
        sys.exit(__doc__)
    if sys.argv[1] == "make":
        write(sys.argv[2], make())
        return
    try:
        sys.stdout.buffer.write(recover(read(sys.argv[2])))
    except Wrong as e:
        sys.exit("escrow_recover: %s" % e)


if __name__ == "__main__":
    main()
