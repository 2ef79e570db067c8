#!/usr/bin/env python3
"""Leases without Coffer: docs/formats/lease.md in python3-cryptography alone.

    lease_open.py open FILE      open the release in FILE with the device's push key
    lease_open.py make FILE      write test vectors, always the same

FILE has a line "name hex" for each value: device, account, event (texts), epoch, expires (8 bytes),
push (the push key's private part) and release.
"""
import hashlib
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import escrow_recover as escrow  # noqa: E402

from cryptography.exceptions import InvalidTag  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: E402
from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: E402


def fields(device, account, epoch, expires, push_key):
    return escrow.text(device) + escrow.text(account) + struct.pack(">Qq", epoch, expires) + push_key


def put_info(*of):
    return escrow.text("coffer/v1/lease/put") + fields(*of)


def release_info(*of, event):
    return escrow.text("coffer/v2/lease/release") + fields(*of) + escrow.text(event)


def seal(ephemeral, recipient, info, plain):
    """HPKE in one shot: enc, then the ciphertext with its tag."""
    key, nonce = escrow.send(ephemeral, recipient, escrow.AES256, info)
    return escrow.public(ephemeral) + AESGCM(key).encrypt(nonce, plain, b"")


def unseal(private, sealed, info):
    key, nonce = escrow.receive(private, sealed[:32], escrow.AES256, info)
    return AESGCM(key).decrypt(nonce, sealed[32:], b"")


def lease_of(values):
    return (values["device"].decode(), values["account"].decode(),
            *(int.from_bytes(values[name], "big") for name in ("epoch", "expires")),
            escrow.public(X25519PrivateKey.from_private_bytes(values["push"])))


def open_release(values):
    push = X25519PrivateKey.from_private_bytes(values["push"])
    info = release_info(*lease_of(values), event=values["event"].decode())
    try:
        return unseal(push, values["release"], info)
    except InvalidTag:
        raise escrow.Wrong("the release is not for this push key, lease and event") from None


def make():
    count = 0

    def private():
        nonlocal count
        count += 1
        seed = hashlib.sha256(b"coffer lease vectors" + bytes([count])).digest()
        return X25519PrivateKey.from_private_bytes(seed)

    keeper, push, to_keeper, to_push = private(), private(), private(), private()
    kek = hashlib.sha256(b"coffer lease vectors: the key").digest()
    of = ("5f0c2a90-3f3e-4d0c-9b7a-111213141516", "mail", 7, 1800000000, escrow.public(push))
    event = "INBOX/1420070400/4711"
    return {"account": of[1].encode(), "device": of[0].encode(), "epoch": struct.pack(">Q", of[2]),
            "event": event.encode(), "expires": struct.pack(">q", of[3]), "kek": kek,
            "keeper": escrow.private(keeper), "push": escrow.private(push),
            "put": seal(to_keeper, escrow.public(keeper), put_info(*of), kek),
            "put_info": put_info(*of),
            "release": seal(to_push, of[4], release_info(*of, event=event), kek),
            "release_info": release_info(*of, event=event)}


def write(path, values):
    with open(path, "w", encoding="ascii") as f:
        f.write("# Made by tests/functional/lease_open.py; see docs/formats/lease.md.\n")
        for name in sorted(values):
            f.write("%s %s\n" % (name, values[name].hex()))


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("open", "make"):
        sys.exit(__doc__)
    if sys.argv[1] == "make":
        write(sys.argv[2], make())
        return
    try:
        sys.stdout.buffer.write(open_release(escrow.read(sys.argv[2])))
    except escrow.Wrong as e:
        sys.exit("lease_open: %s" % e)


if __name__ == "__main__":
    main()
