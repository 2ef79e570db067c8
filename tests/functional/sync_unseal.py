#!/usr/bin/env python3
"""Restores synced files without Coffer: docs/formats/sync.md in python3-cryptography alone.

    sync_unseal.py open DUMP KEYFILE DIRECTORY [PASSPHRASE]   restore everything
    sync_unseal.py pack DIRECTORY DUMP KEYFILE                the other way: makes a dump and keys
    sync_unseal.py vectors FILE                               write test vectors, always the same
"""
import hashlib
import hmac
import os
import stat
import struct
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

CHUNK, HEADER, ZERO = 1 << 20, 234, bytes(32)
READ, WRITE, MANAGE, RECOVER, ALL = 1, 2, 4, 8, 7
ADD, APPROVE, REVOKE, ROTATE, RECOVERY = 1, 2, 3, 4, 5
FOLDER, FILE, LINK, PAGE = 1, 2, 3, 4
NAME = b"coffer/v1/sync/"


class Wrong(Exception):
    """What does not hold."""


# ---- numbers, runs, hashes ----

def u8(n):
    return struct.pack(">B", n)


def u16(n):
    return struct.pack(">H", n)


def u32(n):
    return struct.pack(">I", n)


def u64(n):
    return struct.pack(">Q", n)


def i64(n):
    return struct.pack(">q", n)


def run(b):
    return u32(len(b)) + b


def sha(b):
    return hashlib.sha256(b).digest()


def label(name):
    return NAME + name + b"\0"


def head(letters):
    return b"coffer" + letters + b"\x01"


def suited(letters):
    return head(letters) + u16(1)


class Reader:
    def __init__(self, data, letters, suite=True):
        self.data, self.at = data, 0
        if self.raw(9) != head(letters):
            raise Wrong("not a record coffer%s of version 1" % letters.decode())
        if suite and self.num(2) != 1:
            raise Wrong("a suite that is not known here")

    def raw(self, n):
        if self.at + n > len(self.data):
            raise Wrong("a record is too short")
        self.at += n
        return self.data[self.at - n:self.at]

    def num(self, n):
        return int.from_bytes(self.raw(n), "big")

    def signed(self):
        return struct.unpack(">q", self.raw(8))[0]

    def run(self):
        return self.raw(self.num(4))

    def done(self):
        if self.at != len(self.data):
            raise Wrong("a record is too long")


def extract(salt, ikm):
    return hmac.new(salt or ZERO, ikm, hashlib.sha256).digest()


def expand(prk, info, n=32):
    out, block, i = b"", b"", 1
    while len(out) < n:
        block = hmac.new(prk, block + info + bytes([i]), hashlib.sha256).digest()
        out, i = out + block, i + 1
    return out[:n]


def gcm_open(key, sealed, aad):
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], aad)
    except InvalidTag:
        raise Wrong("the sealed data does not open") from None


def gcm_seal(key, nonce, plain, aad):
    return nonce + AESGCM(key).encrypt(nonce, plain, aad)


def public(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def private(key):
    return key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def verify(key, domain, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, label(domain) + message)
    except InvalidSignature:
        raise Wrong("a signature of %s does not hold" % domain.decode()) from None


# ---- HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM ----

KEM, HPKE = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"


def labeled_extract(suite, salt, name, ikm):
    return extract(salt, b"HPKE-v1" + suite + name + ikm)


def labeled_expand(suite, prk, name, info, n):
    return expand(prk, u16(n) + b"HPKE-v1" + suite + name + info, n)


def key_schedule(dh, enc, recipient, info):
    prk = labeled_extract(KEM, b"", b"eae_prk", dh)
    shared = labeled_expand(KEM, prk, b"shared_secret", enc + recipient, 32)
    context = (b"\0" + labeled_extract(HPKE, b"", b"psk_id_hash", b"") +
               labeled_extract(HPKE, b"", b"info_hash", info))
    secret = labeled_extract(HPKE, shared, b"secret", b"")
    return (labeled_expand(HPKE, secret, b"key", context, 32),
            labeled_expand(HPKE, secret, b"base_nonce", context, 12))


# ---- Merkle trees (RFC 6962) ----

def leaf(data):
    return sha(b"\0" + data)


def tree(hashes):
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return sha(b"\1" + tree(hashes[:k]) + tree(hashes[k:]))


# ---- devices ----

def device_id(login, content, seal):
    return sha(label(b"device") + u16(1) + login + content + seal + run(b""))


def card_parse(record):
    r = Reader(record, b"YJ")
    c = {"login": r.raw(32), "content": r.raw(32), "seal": r.raw(32)}
    if r.run():
        raise Wrong("a key that suite 1 has not")
    c["name"], c["person"], c["created"] = r.run(), r.run(), r.signed()
    message = record[:r.at]
    verify(c["login"], b"card-login", message, r.raw(64))
    verify(c["content"], b"card", message, r.raw(64))
    r.done()
    c["id"] = device_id(c["login"], c["content"], c["seal"])
    return c


class Device:
    """A device's private keys."""

    def __init__(self, raw, name=b"device", person=b"person-1", created=1700000000):
        self.raw = raw
        self.login = Ed25519PrivateKey.from_private_bytes(raw[:32])
        self.content = Ed25519PrivateKey.from_private_bytes(raw[32:64])
        self.seal = X25519PrivateKey.from_private_bytes(raw[64:])
        keys = public(self.login), public(self.content), public(self.seal)
        self.id = device_id(*keys)
        message = suited(b"YJ") + b"".join(keys) + run(b"") + run(name) + run(person) + i64(created)
        self.card = (message + self.login.sign(label(b"card-login") + message) +
                     self.content.sign(label(b"card") + message))

    def sign(self, domain, message):
        return message + self.content.sign(label(domain) + message)

    def file(self):
        return suited(b"YK") + u8(0) + run(self.card) + run(self.raw)


def key_file(record, passphrase=None):
    r = Reader(record, b"YK")
    protection, derived = r.num(1), None
    if protection == 1:
        passes, memory, salt = r.num(4), r.num(4), r.raw(16)
        derived = argon2id(passphrase, salt, passes, memory)
    card = card_parse(r.run())
    clear = record[:r.at]
    keys = r.run()
    r.done()
    device = Device(gcm_open(derived, keys, clear) if derived else keys)
    if device.id != card["id"]:
        raise Wrong("the keys are not the card's")
    return device


def argon2id(passphrase, salt, passes, memory):
    """Through libsodium, which ctypes can call."""
    import ctypes
    import ctypes.util
    sodium = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
    out = ctypes.create_string_buffer(32)
    text = (passphrase or "").encode()
    if sodium.crypto_pwhash(out, ctypes.c_ulonglong(32), text, ctypes.c_ulonglong(len(text)), salt,
                            ctypes.c_ulonglong(passes), ctypes.c_size_t(memory * 1024), 2) != 0:
        raise Wrong("Argon2id")
    return out.raw


# ---- the device chain ----

class Chain:
    def __init__(self):
        self.heads, self.epochs, self.devices = [], [], {}
        self.commits, self.histories = [], []

    @property
    def region(self):
        return self.heads[0]

    def roles_at(self, ident, position):
        d = self.devices.get(ident)
        return d["roles"] if d and d["from"] <= position < d["to"] else 0

    def author(self, ident, position, hash_, roles):
        if position >= len(self.heads) or self.heads[position] != hash_:
            raise Wrong("a place in another chain")
        if not self.roles_at(ident, position) & roles:
            raise Wrong("the device had no right to this")
        return self.devices[ident]["card"]["content"]

    def append(self, record):
        position, first, far = len(self.heads), not self.heads, float("inf")
        r = Reader(record, b"YC")
        region, at, previous, kind, _ = r.raw(32), r.num(8), r.raw(32), r.num(1), r.signed()
        author, subject, roles, card = r.raw(32), r.raw(32), r.num(1), r.run()
        epoch, commit, history = r.num(8), r.raw(32), r.run()
        message, signature = record[:r.at], r.raw(64)
        r.done()
        if (at != position or previous != (ZERO if first else self.heads[-1]) or
                region != (ZERO if first else self.heads[0])):
            raise Wrong("entry %d does not follow" % position)
        new = first or kind in (REVOKE, ROTATE, RECOVERY)
        if epoch != len(self.commits) + (1 if new else 0) or len(history) != (60 if new and not first else 0):
            raise Wrong("entry %d has the wrong epoch" % position)
        if not new and commit != self.commits[-1]:
            raise Wrong("entry %d changes a key" % position)
        made = card_parse(card) if card else None
        if made and (made["id"] != subject or subject in self.devices):
            raise Wrong("entry %d has another device's card" % position)
        before = position - 1
        if first:
            if kind != ADD or author != subject or not made:
                raise Wrong("the chain does not begin with a device that adds itself")
            key, may = made["content"], ALL
        else:
            may = self.roles_at(author, before)
            if not may:
                raise Wrong("entry %d is of no active device" % position)
            key = self.devices[author]["card"]["content"]
        verify(key, b"chain", message, signature)
        self.check(kind, may, author, subject, roles, made, first, position)
        if made:
            self.devices[subject] = {"card": made, "roles": 0, "from": far, "to": far}
        grant = {ADD: ALL if first else 0, APPROVE: roles, RECOVERY: ALL,
                 ROTATE: may if made else 0}.get(kind, 0)
        if kind == RECOVERY:
            for d in self.devices.values():
                if d["from"] < position < d["to"] and d["roles"] != RECOVER or d["from"] == far:
                    d["to"] = min(d["to"], position)
        if kind == REVOKE:
            self.devices[subject]["to"] = position
        if kind == ROTATE and made:
            self.devices[author]["to"] = position
        if grant:
            self.devices[subject].update({"roles": grant, "from": position, "to": far})
        if new:
            self.commits.append(commit)
            self.histories.append(history)
        self.heads.append(sha(record))
        self.epochs.append(len(self.commits))

    def check(self, kind, may, author, subject, roles, made, first, position):
        right = {
            ADD: made and (first or may & MANAGE) and roles == (ALL if first else 0),
            APPROVE: may & MANAGE and not made and roles and (roles == RECOVER or not roles & ~ALL) and
            subject in self.devices and self.devices[subject]["from"] == self.devices[subject]["to"],
            REVOKE: may & MANAGE and author != subject and not made and roles == 0 and
            subject in self.devices and self.devices[subject]["to"] == float("inf"),
            ROTATE: may & MANAGE and roles == 0 and (made or subject == ZERO),
            RECOVERY: made and may & RECOVER and roles == ALL,
        }.get(kind)
        if not right:
            raise Wrong("entry %d is not allowed" % position)


# ---- keys of a region ----

def commitment(key, epoch):
    return expand(key, label(b"epoch-commit") + u64(epoch))


def history_info(region, epoch):
    return label(b"epoch-history") + u16(1) + region + u64(epoch)


def folder_key(region, key, epoch, folder):
    return expand(key, label(b"folder-key") + u16(1) + region + u64(epoch) + folder)


def delivery_open(record, chain, device):
    """(epoch, key), or None if it is for another device."""
    r = Reader(record, b"YE")
    region, epoch, position, hash_, sender, recipient = (r.raw(32), r.num(8), r.num(8), r.raw(32),
                                                         r.raw(32), r.raw(32))
    context = record[:r.at]
    enc, sealed = r.run(), r.run()
    message, signature = record[:r.at], r.raw(64)
    r.done()
    if recipient != device.id:
        return None
    key = chain.author(sender, position, hash_, ALL | RECOVER)
    if region != chain.region or epoch != chain.epochs[position] or not chain.roles_at(recipient, position):
        raise Wrong("a delivery of another region or epoch")
    verify(key, b"delivery", message, signature)
    dh = device.seal.exchange(X25519PublicKey.from_public_bytes(enc))
    k, nonce = key_schedule(dh, enc, public(device.seal), label(b"delivery") + context)
    opened = gcm_open(k, nonce + sealed, b"")
    if commitment(opened, epoch) != chain.commits[epoch - 1]:
        raise Wrong("a key that the chain does not commit to")
    return epoch, opened


def region_keys(chain, deliveries, device):
    opened = [d for d in (delivery_open(x, chain, device) for x in deliveries) if d]
    if not opened:
        raise Wrong("no key was delivered to this device")
    epoch, key = max(opened)
    keys = {epoch: key}
    while epoch > 1:
        info = history_info(chain.region, epoch)
        key = gcm_open(expand(key, info), chain.histories[epoch - 1], info)
        epoch -= 1
        if commitment(key, epoch) != chain.commits[epoch - 1]:
            raise Wrong("a key that the chain does not commit to")
        keys[epoch] = key
    return keys


# ---- packages ----

def padded(n):
    if n <= 1024:
        return 1024
    e = n.bit_length() - 1
    mask = (1 << (e - e.bit_length())) - 1
    return (n + mask) & ~mask


def file_keys(header, key):
    r = Reader(header, b"YD")
    b = u16(1) + r.raw(64)
    r.raw(24)
    prk = extract(r.raw(32), key)
    return {"b": b, "chunk": expand(prk, label(b"chunk-key") + b), "meta": expand(prk, label(b"meta-key") + b),
            "commit": expand(prk, label(b"file-commit") + b)}


class Package:
    def __init__(self, record, chain):
        r = Reader(record, b"YS")
        self.region, self.node, self.version = r.raw(32), r.raw(16), r.raw(16)
        self.parents = [r.raw(16) for _ in range(r.num(1))]
        self.epoch, self.root, self.size, meta_hash = r.num(8), r.raw(32), r.num(8), r.raw(32)
        self.device, self.position, self.head = r.raw(32), r.num(8), r.raw(32)
        message, signature = record[:r.at], r.raw(64)
        self.id = sha(record[:r.at])
        self.meta = r.run()
        r.done()
        verify(chain.author(self.device, self.position, self.head, WRITE), b"package", message, signature)
        if self.region != chain.region or self.epoch != chain.epochs[self.position] or sha(self.meta) != meta_hash:
            raise Wrong("a signature package that does not fit")


class Dump:
    def __init__(self, path, device=None):
        self.path, self.packs = path, {}
        self.chain = Chain()
        for entry in self.runs("chain"):
            self.chain.append(entry)
        self.root = self.newest_root()
        self.keys = region_keys(self.chain, self.runs("deliveries"), device)

    def read(self, *names):
        try:
            with open(os.path.join(self.path, *names), "rb") as f:
                return f.read()
        except FileNotFoundError:
            raise Wrong("%s is missing" % "/".join(names)) from None

    def runs(self, name):
        data, at, out = self.read(name), 0, []
        while at < len(data):
            n = int.from_bytes(data[at:at + 4], "big")
            if at + 4 + n > len(data):
                raise Wrong("%s is cut off" % name)
            out.append(data[at + 4:at + 4 + n])
            at += 4 + n
        return out

    def newest_root(self):
        counter, hash_, place, folder = 0, ZERO, 0, None
        for record in self.runs("roots"):
            r = Reader(record, b"YR")
            region, number, previous, folder = r.raw(32), r.num(8), r.raw(32), r.raw(32)
            r.raw(32), r.signed()
            device, position, head_ = r.raw(32), r.num(8), r.raw(32)
            message, signature = record[:r.at], r.raw(64)
            r.done()
            verify(self.chain.author(device, position, head_, WRITE), b"root", message, signature)
            if region != self.chain.region or number != counter + 1 or previous != hash_ or position < place:
                raise Wrong("root %d does not follow" % number)
            counter, hash_, place = number, sha(record), position
        if folder is None:
            raise Wrong("there is no root")
        return folder

    def package(self, ident):
        name = ident.hex()
        package = Package(self.read("packages", name[:2], name), self.chain)
        if package.id != ident:
            raise Wrong("packages/%s/%s is another package" % (name[:2], name))
        return package

    def content(self, package):
        """The kind and the content of a version."""
        name = package.root.hex()
        blob = self.read("blobs", name[:2], name)
        leaves = [leaf(blob[:HEADER])] + [leaf(blob[at:at + CHUNK + 16])
                                          for at in range(HEADER, len(blob), CHUNK + 16)]
        if len(blob) != package.size or tree(leaves) != package.root:
            raise Wrong("blobs/%s/%s is not what was signed" % (name[:2], name))
        header = blob[:HEADER]
        r = Reader(header, b"YD")
        if (r.raw(32), r.raw(16), r.raw(16), r.num(8)) != (package.region, package.node, package.version,
                                                          package.epoch):
            raise Wrong("the data is of another version")
        folder = r.raw(16)
        r.raw(39)
        wrap, commit = r.run(), r.raw(32)
        b = u16(1) + header[11:75]
        key = gcm_open(folder_key(package.region, self.keys[package.epoch], package.epoch, folder), wrap,
                       label(b"file-key") + b + u64(package.epoch) + folder)
        keys = file_keys(header, key)
        if keys["commit"] != commit:
            raise Wrong("another key than the one committed to")
        meta = Reader(gcm_open(keys["meta"], package.meta, label(b"meta") + b), b"YM", suite=False)
        kind, size = meta.num(1), meta.num(8)
        out, n = [], len(leaves) - 1
        for i in range(n):
            last = u8(1 if i == n - 1 else 0)
            at = HEADER + i * (CHUNK + 16)
            nonce = header[-103:-96] + u32(i) + last
            out.append(gcm_open(keys["chunk"], nonce + blob[at:at + CHUNK + 16], sha(header) + u32(i) + last))
        plain = b"".join(out)
        if len(plain) != padded(size) or plain[size:].strip(b"\0"):
            raise Wrong("the padding is not what it should be")
        return kind, plain[:size], package.node

    def entries(self, ident, node, depth=0):
        """The entries of a folder, pages put in their place."""
        package = self.package(ident)
        if node is not None and package.node != node:
            raise Wrong("another folder")
        kind, plain, _ = self.content(package)
        if kind != 2 or depth > 4:
            raise Wrong("a folder that is none")
        r = Reader(plain, b"YN", suite=False)
        out, last = [], b""
        for _ in range(r.num(4)):
            e = {"kind": r.num(1), "name": r.run(), "fold": r.run(), "node": r.raw(16), "mode": r.num(4),
                 "mtime": r.signed(), "ns": r.num(4)}
            if e["name"] <= last or b"/" in e["name"] or e["name"] in (b".", b"..") or b"\0" in e["name"]:
                raise Wrong("a folder's names are wrong")
            last = e["name"]
            if e["kind"] == LINK:
                e["target"] = r.run()
            else:
                e["version"], e["package"] = r.raw(16), r.raw(32)
            if e["kind"] == FILE:
                e["size"], e["packed"] = r.num(8), r.num(1)
                e["index"] = r.num(4) if e["packed"] else 0
            out.append(e)
        r.done()
        flat = []
        for i, e in enumerate(out):
            if e["kind"] != PAGE:
                flat.append(e)
                continue
            page = self.entries(e["package"], e["node"], depth + 1)
            until = out[i + 1]["name"] if i + 1 < len(out) else None
            if any(x["name"] < e["name"] or (until is not None and x["name"] >= until) for x in page):
                raise Wrong("a page has names of another")
            flat += page
        return flat

    def packed(self, e):
        if e["package"] not in self.packs:
            kind, plain, _ = self.content(self.package(e["package"]))
            if kind != 3:
                raise Wrong("a pack that is none")
            r = Reader(plain, b"YP", suite=False)
            files = [(r.raw(16), r.raw(16), r.num(4)) for _ in range(r.num(4))]
            self.packs[e["package"]] = [(node, version, r.raw(size)) for node, version, size in files]
            r.done()
        node, version, content = self.packs[e["package"]][e["index"]]
        if (node, version) != (e["node"], e["version"]):
            raise Wrong("another file of the pack")
        return content

    def restore(self, directory, ident=None, node=None):
        os.makedirs(directory, exist_ok=True)
        for e in self.entries(ident or self.root, node):
            path = os.path.join(os.fsencode(directory), e["name"])
            try:
                if e["kind"] == FOLDER:
                    self.restore(path, e["package"], e["node"])
                elif e["kind"] == LINK:
                    os.symlink(e["target"], path)
                    continue
                else:
                    self.restore_file(e, path)
            except Wrong as wrong:
                raise Wrong("%s: %s" % (os.fsdecode(e["name"]), wrong)) from None
            os.chmod(path, e["mode"] & 0o777)
            os.utime(path, ns=(e["mtime"] * 10**9 + e["ns"],) * 2)

    def restore_file(self, e, path):
        if e["packed"]:
            content = self.packed(e)
        else:
            package = self.package(e["package"])
            kind, content, node = self.content(package)
            if kind != 1 or node != e["node"] or package.version != e["version"]:
                raise Wrong("another file or version")
        if len(content) != e["size"]:
            raise Wrong("a file of another size")
        with open(path, "xb") as f:
            f.write(content)


# ---- the other way: making chains and dumps ----

class Random:
    """The same bytes each time: every one comes from a counter."""

    def __init__(self, seed):
        self.seed, self.count = seed, 0

    def __call__(self, n):
        out = b""
        while len(out) < n:
            self.count += 1
            out += sha(self.seed + b" %d" % self.count)
        return out[:n]


class Maker:
    """A region of one's own: entries, deliveries, packages, roots."""

    def __init__(self, random, device):
        self.random, self.device, self.chain = random, device, Chain()
        self.entries, self.deliveries, self.roots, self.packages, self.blobs = [], [], [], {}, {}
        self.key = random(32)
        self.entry(device, ADD, device.id, ALL, device.card, 1, b"")

    def entry(self, author, kind, subject, roles, card, epoch, history):
        c = self.chain
        message = (suited(b"YC") + (c.region if c.heads else ZERO) + u64(len(c.heads)) +
                   (c.heads[-1] if c.heads else ZERO) + u8(kind) + i64(1700000000 + len(c.heads)) + author.id +
                   subject + u8(roles) + run(card) + u64(epoch) + commitment(self.key, epoch) + run(history))
        record = author.sign(b"chain", message)
        c.append(record)
        self.entries.append(record)

    def admit(self, device, roles):
        epoch = len(self.chain.commits)
        self.entry(self.device, ADD, device.id, 0, device.card, epoch, b"")
        self.entry(self.device, APPROVE, device.id, roles, b"", epoch, b"")

    def new_epoch(self, author, kind, subject, card=b"", roles=0):
        before, self.key = self.key, self.random(32)
        epoch = len(self.chain.commits) + 1
        info = history_info(self.chain.region, epoch)
        self.entry(author, kind, subject, roles, card, epoch,
                   gcm_seal(expand(self.key, info), self.random(12), before, info))

    def deliver(self, recipient):
        c = self.chain
        context = (suited(b"YE") + c.region + u64(c.epochs[-1]) + u64(len(c.heads) - 1) + c.heads[-1] +
                   self.device.id + recipient.id)
        ephemeral = X25519PrivateKey.from_private_bytes(self.random(32))
        enc, to = public(ephemeral), public(recipient.seal)
        k, nonce = key_schedule(ephemeral.exchange(X25519PublicKey.from_public_bytes(to)), enc, to,
                                label(b"delivery") + context)
        message = context + run(enc) + run(AESGCM(k).encrypt(nonce, self.key, b""))
        self.deliveries.append(self.device.sign(b"delivery", message))

    def version(self, node, folder, kind, content, name=b"", mode=0o644, mtime=1700000000):
        """Seals a version; its number and package id."""
        c, version, key = self.chain, self.random(16), self.random(32)
        epoch = c.epochs[-1]
        b = u16(1) + c.region + node + version
        salt, prefix = self.random(32), self.random(7)
        start = suited(b"YD") + b[2:] + u64(epoch) + folder + salt + prefix
        wrap = gcm_seal(folder_key(c.region, self.key, epoch, folder), self.random(12), key,
                        label(b"file-key") + b + u64(epoch) + folder)
        keys = file_keys(start, key)
        header = start + run(wrap) + keys["commit"]
        plain = content + bytes(padded(len(content)) - len(content))
        n = (len(plain) + CHUNK - 1) // CHUNK
        leaves, blob = [leaf(header)], [header]
        for i in range(n):
            last = u8(1 if i == n - 1 else 0)
            sealed = AESGCM(keys["chunk"]).encrypt(prefix + u32(i) + last, plain[i * CHUNK:(i + 1) * CHUNK],
                                                   sha(header) + u32(i) + last)
            leaves.append(leaf(sealed))
            blob.append(sealed)
        blob, root = b"".join(blob), tree(leaves)
        meta = head(b"YM") + u8(kind) + u64(len(content)) + i64(mtime) + u32(0) + u32(mode) + run(name)
        meta += bytes(-len(meta) % 256)
        meta = gcm_seal(keys["meta"], self.random(12), meta, label(b"meta") + b)
        message = (suited(b"YS") + b[2:] + u8(0) + u64(epoch) + root + u64(len(blob)) + sha(meta) + self.device.id +
                   u64(len(c.heads) - 1) + c.heads[-1])
        signed = self.device.sign(b"package", message)
        ident = sha(signed)
        self.packages[ident], self.blobs[root] = signed + run(meta), blob
        return version, ident

    def commit(self, folder):
        c, before = self.chain, self.roots[-1] if self.roots else None
        change = head(b"YG") + run(b"".join(sorted(self.packages))) + run(b"")
        message = (suited(b"YR") + c.region + u64(len(self.roots) + 1) + (sha(before) if before else ZERO) + folder +
                   sha(change) + i64(1700000000) + self.device.id + u64(len(c.heads) - 1) + c.heads[-1])
        self.roots.append(self.device.sign(b"root", message))
        return change

    def pack(self, small, folder):
        """Many small files in one package."""
        nodes = [(self.random(16), self.random(16)) for _ in small]
        content = head(b"YP") + u32(len(small)) + b"".join(
            n + v + u32(len(s)) for (n, v), s in zip(nodes, small)) + b"".join(small)
        return nodes, self.version(self.random(16), folder, 3, content)[1]

    def folder(self, path, node):
        """Seals a directory and all beneath; its version and package id."""
        names = sorted(os.listdir(os.fsencode(path)))
        paths = [os.path.join(os.fsencode(path), n) for n in names]
        states = [os.lstat(p) for p in paths]
        small = [i for i, s in enumerate(states) if stat.S_ISREG(s.st_mode) and s.st_size < 4096]
        packed = {}
        if small:
            nodes, ident = self.pack([open(paths[i], "rb").read() for i in small], node)
            packed = {i: (n, v, ident, k) for k, (i, (n, v)) in enumerate(zip(small, nodes))}
        entries = [self.item(names[i], paths[i], states[i], node, packed.get(i)) for i in range(len(names))]
        plain = self.listing(entries, node) if len(entries) <= 300 else self.pages(entries, node)
        return self.version(node, node, 2, plain)

    def item(self, name, path, state, folder, packed):
        fold = b""
        try:
            fold = folded(name.decode())
        except UnicodeDecodeError:
            pass
        node = packed[0] if packed else self.random(16)
        kind = FOLDER if stat.S_ISDIR(state.st_mode) else LINK if stat.S_ISLNK(state.st_mode) else FILE
        out = (u8(kind) + run(name) + run(fold) + node + u32(stat.S_IMODE(state.st_mode)) +
               i64(state.st_mtime_ns // 10**9) + u32(state.st_mtime_ns % 10**9))
        if kind == LINK:
            return name, out + run(os.fsencode(os.readlink(path)))
        if kind == FOLDER:
            version, ident = self.folder(path, node)
            return name, out + version + ident
        if packed:
            return name, out + packed[1] + packed[2] + u64(state.st_size) + u8(1) + u32(packed[3])
        with open(path, "rb") as f:
            version, ident = self.version(node, folder, 1, f.read(), name)
        return name, out + version + ident + u64(state.st_size) + u8(0)

    @staticmethod
    def listing(entries, _):
        return head(b"YN") + u32(len(entries)) + b"".join(e for _, e in entries)

    def pages(self, entries, folder):
        out = []
        for at in range(0, len(entries), 200):
            part, node = entries[at:at + 200], self.random(16)
            version, ident = self.version(node, folder, 2, self.listing(part, node))
            out.append((part[0][0], u8(PAGE) + run(part[0][0]) + run(b"") + node + u32(0) + i64(0) + u32(0) +
                        version + ident))
        return self.listing(out, folder)

    def write(self, path):
        for name, records in (("chain", self.entries), ("deliveries", self.deliveries), ("roots", self.roots)):
            save(b"".join(map(run, records)), path, name)
        for kind, records in (("packages", self.packages), ("blobs", self.blobs)):
            for ident, record in records.items():
                save(record, path, kind, ident.hex()[:2], ident.hex())


def folded(name):
    import unicodedata
    decomposed = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
    return unicodedata.normalize("NFC", decomposed).encode()


def save(data, *names):
    path = os.path.join(*names)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def pack(directory, dump, keys):
    random = Random(b"coffer sync dump")
    laptop, phone = Device(random(96), b"laptop"), Device(random(96), b"phone")
    made = Maker(random, laptop)
    made.admit(phone, READ | WRITE)
    made.commit(made.folder(directory, random(16))[1])
    # A tablet comes and goes: what is written now lies in the second epoch, the old in the first.
    tablet = Device(random(96), b"tablet")
    made.admit(tablet, READ)
    made.new_epoch(laptop, REVOKE, tablet.id)
    made.deliver(phone)
    made.commit(made.folder(directory, random(16))[1])
    made.write(dump)
    save(phone.file(), keys)
    os.chmod(keys, 0o600)


# ---- vectors ----

def vectors():
    random = Random(b"coffer sync vectors")
    laptop, phone, recovery = (Device(random(96), n) for n in (b"laptop", b"phone", b"recovery"))
    made = Maker(random, laptop)
    made.admit(phone, ALL)
    made.admit(recovery, RECOVER)
    v = {"key.1": made.key}
    node, folder = random(16), random(16)
    content = b"the quick brown fox jumps over the lazy dog" * 30
    _, ident = made.version(node, folder, 1, content, b"fox.txt")
    v.update({"package": made.packages[ident], "package.id": ident})
    blob = next(iter(made.blobs.values()))
    v.update({"blob": blob, "content": content, "folder": folder})
    made.deliver(phone)
    made.new_epoch(laptop, ROTATE, ZERO)
    made.deliver(phone)
    v.update({"key.2": made.key, "delivery.1": made.deliveries[0], "delivery.2": made.deliveries[1]})
    change = made.commit(ident)
    v.update({"change": change, "root.1": made.roots[0]})
    made.commit(ident)
    v["root.2"] = made.roots[1]
    replacement = Device(random(96), b"phone again")
    made.new_epoch(phone, ROTATE, replacement.id, replacement.card)
    made.new_epoch(laptop, REVOKE, replacement.id)
    found = Device(random(96), b"found again")
    made.new_epoch(recovery, RECOVERY, found.id, found.card, ALL)
    v["key.5"] = made.key
    for i, entry in enumerate(made.entries):
        v["entry.%d" % i] = entry
    v.update({"device.laptop": laptop.file(), "device.phone": phone.file(), "card": found.card,
              "region": made.chain.region, "head": made.chain.heads[-1]})
    v["folder.list"] = Maker.listing([
        (b"a", u8(FOLDER) + run(b"a") + run(b"a") + random(16) + u32(0o755) + i64(1) + u32(2) + random(48)),
        (b"B", u8(FILE) + run(b"b") + run(b"b") + random(16) + u32(0o644) + i64(-1) + u32(0) + random(48) + u64(7) +
         u8(1) + u32(3)),
        (b"l", u8(LINK) + run(b"l") + run(b"l") + random(16) + u32(0o777) + i64(0) + u32(0) + run(b"../x")),
        (b"p", u8(PAGE) + run(b"p") + run(b"") + random(16) + u32(0) + i64(0) + u32(0) + random(48))], None)
    v["pack.list"] = head(b"YP") + u32(2) + random(32) + u32(3) + random(32) + u32(0) + b"abc"
    card, nonce, other = found.id, random(32), random(32)
    v.update({"sas.card": card, "sas.nonce": nonce, "sas.other": other,
              "sas.commit": sha(label(b"sas-commit") + card + nonce)})
    number = int.from_bytes(sha(label(b"sas") + u16(1) + made.chain.region + u64(len(made.chain.heads) - 1) +
                                made.chain.heads[-1] + card + nonce + laptop.id + other)[:8], "big") % 10**9
    digits = "%09d" % number
    v["sas.text"] = "-".join((digits[:3], digits[3:6], digits[6:])).encode()
    secret = random(32)
    prk = extract(b"", secret)
    v.update({"link.secret": secret, "link.id": expand(prk, b"coffer/v1/sync/link-id", 16),
              "link.token": expand(prk, b"coffer/v1/sync/link-token")})
    listed = (head(b"YQ") + u32(1) + run(b"dir/fox.txt") + u64(len(content)) + i64(1700000000) + ident +
              next(iter(made.blobs)) + u64(len(blob)) + random(32))
    aad = suited(b"YL") + v["link.id"]
    v.update({"link.list": listed, "link": aad + run(gcm_seal(expand(prk, b"coffer/v1/sync/link-key"), random(12),
                                                              listed, aad))})
    v["leaf"] = head(b"YH") + made.chain.region + u64(len(made.chain.heads) - 1) + made.chain.heads[-1]
    return v


def write_vectors(path, values):
    with open(path, "w", encoding="ascii") as f:
        f.write("# Made by tests/functional/sync_unseal.py; see docs/formats/sync.md.\n")
        for name in sorted(values):
            f.write("%s %s\n" % (name, values[name].hex()))


def read_vectors(path):
    with open(path, encoding="ascii") as f:
        lines = [line.split() for line in f if line.strip() and line[0] != "#"]
    return {line[0]: bytes.fromhex(line[1]) for line in lines}


def main(arguments):
    try:
        if arguments[0] == "open":
            with open(arguments[2], "rb") as f:
                device = key_file(f.read(), arguments[4] if len(arguments) > 4 else None)
            Dump(arguments[1], device).restore(arguments[3])
        elif arguments[0] == "pack":
            pack(*arguments[1:4])
        elif arguments[0] == "vectors":
            write_vectors(arguments[1], vectors())
        else:
            raise IndexError
    except IndexError:
        print(__doc__, file=sys.stderr)
        return 2
    except Wrong as wrong:
        print("sync_unseal.py: %s" % wrong, file=sys.stderr)
        return 5
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
