#!/usr/bin/env python3
"""Keybags without Coffer: docs/formats/keybag.md in python3-cryptography and argon2 by libsodium.

    keybag_open.py open KEYBAG DEVICE_KEY PASSCODE_FILE   print the class keys
    keybag_open.py make FILE                              write test vectors, always the same

Only keybags whose device's part is a file can be opened; a TPM's lies in the TPM.
"""
import ctypes
import ctypes.util
import hashlib
import hmac
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HEAD = struct.Struct(">8sBB16sQQII16sI32s")
WRAPPED, MAC, CLASSES = 60, 32, "ABCD"


class Wrong(Exception):
    pass


def hkdf(salt, ikm, info):
    return HKDF(hashes.SHA256(), 32, salt or None, info).derive(ikm)


def argon2id(passcode, salt, passes, kib):
    sodium = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
    out = ctypes.create_string_buffer(32)
    done = sodium.crypto_pwhash(out, ctypes.c_ulonglong(32), passcode,
                                ctypes.c_ulonglong(len(passcode)), salt, ctypes.c_ulonglong(passes),
                                ctypes.c_size_t(kib * 1024), ctypes.c_int(2))
    if done != 0:
        raise Wrong("Argon2id")
    return out.raw


def text(t):
    return struct.pack(">I", len(t)) + t.encode()


def purpose(bag, name, generation=0):
    return text(name) + bag["id"] + (struct.pack(">Q", generation) if generation else b"")


def parse(data):
    if len(data) != HEAD.size + 4 * WRAPPED + MAC or data[:8] != b"COFKBAG1":
        raise Wrong("not a keybag")
    names = "magic kind slot id generation base passes kib salt place b_public".split()
    bag = dict(zip(names, HEAD.unpack_from(data)))
    bag["wrapped"] = [data[HEAD.size + i * WRAPPED:][:WRAPPED] for i in range(4)]
    bag["body"], bag["mac"] = data[:-MAC], data[-MAC:]
    return bag


def build(bag):
    body = HEAD.pack(b"COFKBAG1", bag["kind"], bag["slot"], bag["id"], bag["generation"],
                     bag["base"], bag["passes"], bag["kib"], bag["salt"], bag["place"],
                     bag["b_public"]) + b"".join(bag["wrapped"])
    return body + mac(bag["uid"], body)


def mac(uid, body):
    return hmac.new(hkdf(b"", uid, b"coffer/v1/keybag/mac"), body, hashlib.sha256).digest()


def parse_device(data):
    if data[:8] != b"COFUIDK1":
        raise Wrong("not a device's key file")
    uid, (count,), rest, slots = data[8:40], struct.unpack(">Q", data[40:48]), data[48:], []
    for _ in range(2):
        n, = struct.unpack(">I", rest[:4])
        slots.append(rest[4:4 + n])
        rest = rest[4 + n:]
    if rest:
        raise Wrong("something behind the device's key")
    return uid, count, slots


def aad(bag, letter):
    generation = 0 if letter == "D" else bag["generation"]
    return purpose(bag, "coffer/v1/keybag/class", generation) + letter.encode()


def class_keys(bag, uid, slot, passcode):
    argon = argon2id(passcode, bag["salt"], bag["passes"], bag["kib"])
    by = hkdf(uid, argon + slot, purpose(bag, "coffer/v1/keybag/passcode", bag["generation"]))
    device = hkdf(b"", uid, purpose(bag, "coffer/v1/keybag/device"))
    return {letter: (device if letter == "D" else by) for letter in CLASSES}


def open_bag(data, device, passcode):
    bag = parse(data)
    uid, _, slots = parse_device(device)
    if not hmac.compare_digest(mac(uid, bag["body"]), bag["mac"]):
        raise Wrong("changed, or another device's")
    keys = class_keys(bag, uid, slots[bag["slot"]], passcode)
    try:
        return {letter: AESGCM(keys[letter]).decrypt(w[:12], w[12:], aad(bag, letter))
                for letter, w in zip(CLASSES, bag["wrapped"])}
    except InvalidTag:
        raise Wrong("another passcode") from None


def open_item(bag, key, letter, context, data):
    """What was sealed under a class key."""
    item_key = hkdf(bag["id"], key, b"coffer/v1/keybag/items" + letter.encode())
    item_aad = text("coffer/v1/keybag/item") + bag["id"] + letter.encode() + text(context)
    return AESGCM(item_key).decrypt(data[:12], data[12:], item_aad)


def raw_public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(
        Encoding.Raw, PublicFormat.Raw)


def make():
    def seed(name):
        return hashlib.sha256(b"coffer keybag vectors: " + name.encode()).digest()

    passcode = b"correct horse"
    keys = {letter: seed("class " + letter) for letter in CLASSES}
    bag = {"kind": 2, "slot": 1, "id": seed("id")[:16], "generation": 3, "base": 17, "passes": 1,
           "kib": 8, "salt": seed("salt")[:16], "place": 0, "b_public": raw_public(keys["B"]),
           "uid": seed("uid")}
    by = class_keys(bag, bag["uid"], seed("slot"), passcode)
    bag["wrapped"] = []
    for letter in CLASSES:
        nonce = seed("nonce " + letter)[:12]
        bag["wrapped"].append(nonce + AESGCM(by[letter]).encrypt(nonce, keys[letter],
                                                                 aad(bag, letter)))
    argon = argon2id(passcode, bag["salt"], bag["passes"], bag["kib"])
    device = (b"COFUIDK1" + bag["uid"] + struct.pack(">Q", 17) + struct.pack(">I", 0) +
              struct.pack(">I", 32) + seed("slot"))
    item_key = hkdf(bag["id"], keys["A"], b"coffer/v1/keybag/items" + b"A")
    item_aad = text("coffer/v1/keybag/item") + bag["id"] + b"A" + text("example")
    nonce = seed("item")[:12]
    return {"keybag": build(bag), "device": device, "passcode": passcode,
            "auth": hkdf(bag["uid"], argon,
                         purpose(bag, "coffer/v1/keybag/auth", bag["generation"])),
            "item_a": nonce + AESGCM(item_key).encrypt(nonce, b"item", item_aad),
            **{"class_" + letter.lower(): key for letter, key in keys.items()}}


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "make":
        with open(sys.argv[2], "w", encoding="ascii") as f:
            f.write("# Made by tests/functional/keybag_open.py; see docs/formats/keybag.md.\n")
            for name, value in sorted(make().items()):
                f.write(f"{name} {value.hex()}\n")
        return
    if len(sys.argv) != 5 or sys.argv[1] != "open":
        sys.exit(__doc__)
    try:
        data, device, passcode = (open(path, "rb").read() for path in sys.argv[2:])
        for letter, key in open_bag(data, device, passcode.rstrip(b"\n")).items():
            print(letter, key.hex())
    except Wrong as e:
        sys.exit(f"keybag_open: {e}")


if __name__ == "__main__":
    main()
