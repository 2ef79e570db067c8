#!/usr/bin/env python3
"""Checks a copy of the log of device chains without Coffer: C2SP tlog-tiles, tlog-checkpoint, signed-note.

    sync_audit.py DIR [OLDER...]   DIR and OLDER are what `coffer sync audit --export` wrote; prints what it found

The key, the checkpoint's signature, every entry, every tile, the region's chain, and that DIR goes on from OLDER.
"""
import base64
import hashlib
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TILE = 256
LEAF = b"cofferYH\x01"


class Wrong(Exception):
    """What does not hold."""


def sha(data):
    return hashlib.sha256(data).digest()


def root_of(hashes):
    """MTH of RFC 6962 section 2.1, over leaf hashes."""
    if not hashes:
        return sha(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return sha(b"\1" + root_of(hashes[:k]) + root_of(hashes[k:]))


def key_of(text):
    """"name+hash+base64": its name, the hash, the key."""
    name, ident, rest = text.strip().split("+", 2)
    raw = base64.b64decode(rest, validate=True)
    if raw[0] != 1 or len(raw) != 33 or sha(name.encode() + b"\n" + raw)[:4].hex() != ident:
        raise Wrong("the key")
    return name, bytes.fromhex(ident), Ed25519PublicKey.from_public_bytes(raw[1:])


def checkpoint(note, key):
    """Size and root of a checkpoint that this key signed."""
    name, ident, public = key_of(key)
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    for line in lines.splitlines():
        dash, who, blob = line.split(" ")
        raw = base64.b64decode(blob, validate=True)
        if (dash, who, raw[:4]) == ("\u2014", name, ident):
            try:
                public.verify(raw[4:], text.encode())
            except InvalidSignature as e:
                raise Wrong("the signature of the checkpoint") from e
            break
    else:
        raise Wrong("no signature by this key")
    origin, size, root = text.split("\n")[:3]
    if origin != name:
        raise Wrong("a checkpoint of another log")
    return int(size), base64.b64decode(root, validate=True)


def tile_name(level, index, width):
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03}")
    return f"tile/{level}/{'/'.join(groups)}" + ("" if width == TILE else f".p/{width}")


class Log:
    """A copy, checked."""

    def __init__(self, place):
        self.place = pathlib.Path(place)
        self.key = (self.place / "key").read_text()
        self.size, self.root = checkpoint((self.place / "checkpoint").read_text(), self.key)
        self.entries, self.hashes = [], []
        for at in range(0, self.size, TILE):
            self.read_bundle(at // TILE, min(TILE, self.size - at))
        if root_of(self.hashes) != self.root:
            raise Wrong("the entries are not those of the signed tree")
        self.check_tiles()
        self.check_chain()

    def read_bundle(self, index, width):
        data = (self.place / tile_name("entries", index, width)).read_bytes()
        for _ in range(width):
            n = int.from_bytes(data[:2], "big")
            entry, data = data[2:2 + n], data[2 + n:]
            if len(entry) != len(LEAF) + 72 or not entry.startswith(LEAF):
                raise Wrong("an entry of another form")
            self.entries.append(entry)
            self.hashes.append(sha(b"\0" + entry))
        if data:
            raise Wrong("a bundle that is too long")

    def check_tiles(self):
        level, hashes = 0, self.hashes
        while hashes:
            for at in range(0, len(hashes), TILE):
                part = hashes[at:at + TILE]
                if (self.place / tile_name(level, at // TILE, len(part))).read_bytes() != b"".join(part):
                    raise Wrong(f"a tile of level {level}")
            hashes = [root_of(hashes[i:i + TILE]) for i in range(0, len(hashes) - TILE + 1, TILE)]
            level += 1

    def check_chain(self):
        """The region's chain is in the log, entry by entry, in order, and nothing else of that region is."""
        data, self.chain = (self.place / "chain").read_bytes(), []
        while data:
            n = int.from_bytes(data[:4], "big")
            self.chain.append(data[4:4 + n])
            data = data[4 + n:]
        self.region = sha(self.chain[0])
        wanted = [LEAF + self.region + i.to_bytes(8, "big") + sha(e) for i, e in enumerate(self.chain)]
        if [e for e in self.entries if e[9:41] == self.region] != wanted:
            raise Wrong("the region's chain is not the one of the log")

    def follows(self, older):
        size, root = checkpoint((pathlib.Path(older) / "checkpoint").read_text(), self.key)
        if size > self.size:
            raise Wrong("the log was longer before")
        if root_of(self.hashes[:size]) != root:
            raise Wrong("the log does not go on from the older one")


def main(place, *older):
    log = Log(place)
    for other in older:
        log.follows(other)
    regions = len({e[9:41] for e in log.entries})
    print(f"{log.size} entries of {regions} regions, root {log.root.hex()}; "
          f"region {log.region.hex()} with {len(log.chain)} entries")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Wrong as wrong:
        sys.exit(f"WRONG: {wrong}")
