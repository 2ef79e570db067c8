#!/usr/bin/env python3
"""Restores a backup without Coffer: docs/formats/backup.md in python3-cryptography, with libsodium
for Argon2id and the program zstd.

    backup_restore.py BACKUP.coffer CHUNKS TO OFFICER-FILE PASSPHRASE-FILE ...

As many pairs of an officer's private file and its passphrase as the set's threshold.
"""
import ctypes
import ctypes.util
import hashlib
import hmac
import pathlib
import subprocess
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_public_key

import escrow_recover as escrow
from escrow_recover import Reader, Wrong, expand, extract, head, text

CHUNK, SEGMENT = 64 * 1024, 1024 * 1024


def bytes_run(r):
    return r.raw(r.num(4))


# ---- an officer's private file: docs/formats/officer-files.md ----

def officer_open(record, passphrase):
    r = Reader(record, b"OK")
    passes, memory, salt, public = r.num(4), r.num(4), r.raw(16), bytes_run(r)
    aad, sealed = record[:r.at], bytes_run(r)
    r.done()
    sodium = ctypes.CDLL(ctypes.util.find_library("sodium"))
    key = ctypes.create_string_buffer(32)
    if sodium.crypto_pwhash(key, ctypes.c_ulonglong(32), passphrase,
                            ctypes.c_ulonglong(len(passphrase)), salt, ctypes.c_ulonglong(passes),
                            ctypes.c_size_t(memory * 1024), ctypes.c_int(2)) != 0:
        raise Wrong("not enough memory for Argon2id")
    try:
        plain = AESGCM(key.raw).decrypt(sealed[:12], sealed[12:], aad)
    except InvalidTag:
        raise Wrong("the passphrase is wrong, or the officer's file was changed") from None
    return X25519PrivateKey.from_private_bytes(plain[:32])


# ---- the backup's file ----

def manifest_parse(data):
    outer = int.from_bytes(data[:4], "big")
    record = data[4:4 + outer]
    r = Reader(record, b"BK")
    m = {"id": r.raw(16), "generation": r.raw(16), "created": r.num(8), "label": r.text(),
         "set": bytes_run(r), "blob": bytes_run(r), "shares": bytes_run(r), "vault": r.num(4),
         "files": r.num(4), "table_hash": r.raw(32), "index_size": r.num(8),
         "index_hash": r.raw(32), "audit_key": bytes_run(r)}
    message, signature = record[:r.at], r.raw(64)
    r.done()
    table_size = 68 * (m["vault"] + m["files"])
    m["table"], m["index"] = data[4 + outer:][:table_size], data[4 + outer + table_size:]
    try:
        load_der_public_key(m["audit_key"]).verify(signature, b"coffer/v1/backup\0" + message)
    except InvalidSignature:
        raise Wrong("the backup's head was changed") from None
    if hashlib.sha256(m["table"]).digest() != m["table_hash"]:
        raise Wrong("the backup's list of chunks was changed")
    if hashlib.sha256(m["index"]).digest() != m["index_hash"]:
        raise Wrong("the backup's list of files was changed")
    return m


def object_record(backup_id):
    """cofferOB of kind "backup", without owner, device and public key, version 1."""
    return (head(b"OB") + backup_id + text("backup") + text("") + text("") + b"\0" +
            (1).to_bytes(8, "big"))


def open_secret(m, keys):
    officers, obj = escrow.set_parse(m["set"]), object_record(m["id"])
    known = {o["hpke"]: (index, o) for index, o in officers["officers"].items()}
    shares, at = {}, 0
    records = {}
    while at < len(m["shares"]):
        n = int.from_bytes(m["shares"][at:at + 4], "big")
        record = m["shares"][at + 4:at + 4 + n]
        records[escrow.share_parse(record)["officer"]] = record
        at += 4 + n
    for key in keys:
        index, officer = known[escrow.public(key)]
        _, shares[index] = escrow.share_open(records[officer["id"]], key, officers["hash"],
                                             escrow.object_hash(obj))
    if len(shares) < officers["threshold"]:
        raise Wrong("%d officers, it takes %d" % (len(shares), officers["threshold"]))
    r = Reader(escrow.blob_open(escrow.combine(shares), obj, m["blob"]), b"BS")
    secret = {name: r.raw(32) for name in ("master", "vault", "files", "index")}
    secret["size"], secret["sha256"] = r.num(8), r.raw(32)
    r.done()
    return secret


def index_open(key, record):
    r = Reader(record, b"BI")
    commit, prefix, rest = r.raw(32), r.raw(7), record[9 + 32 + 7:]
    prk = extract(b"", key)
    if commit != expand(prk, b"coffer/v1/backup/index-commit", 32):
        raise Wrong("the list of files is under another key")
    seal, plain, number = AESGCM(expand(prk, b"coffer/v1/backup/index-key", 32)), b"", 0
    while True:
        segment, rest = rest[:SEGMENT + 16], rest[SEGMENT + 16:]
        nonce = prefix + number.to_bytes(4, "big") + bytes([not rest])
        plain += seal.decrypt(nonce, segment, b"coffer/v1/backup/index")
        number += 1
        if not rest:
            return plain


# ---- chunks ----

class Chunks:
    def __init__(self, directory, table):
        self.directory, self.table, self.at = pathlib.Path(directory), table, 0

    def next(self, secret, tweak, size):
        entry = self.table[self.at:self.at + 68]
        self.at += 68
        chunk_id, sha256 = entry[:32], entry[32:64]
        path = self.directory / chunk_id[:1].hex() / chunk_id.hex()
        data = path.read_bytes()
        if hashlib.sha256(data).digest() != sha256 or data[:9] != head(b"CK"):
            raise Wrong("%s was changed" % path)
        prk = extract(b"", secret)
        key = hmac.new(expand(prk, b"coffer/v1/backup/chunk-key", 32), tweak or chunk_id,
                       hashlib.sha256).digest()
        plain = AESGCM(key).decrypt(data[9:21], data[21:],
                                    text("coffer/v1/backup/chunk") + chunk_id)
        content = plain[1:] if plain[0] == 0 else subprocess.run(
            ["zstd", "-dcq"], input=plain[1:], stdout=subprocess.PIPE, check=True).stdout
        if len(content) != size:
            raise Wrong("%s has another length" % path)
        return content


def restore(path, chunk_directory, keys):
    """{path in the instance: content}"""
    m = manifest_parse(pathlib.Path(path).read_bytes())
    secret = open_secret(m, keys)
    chunks, found = Chunks(chunk_directory, m["table"]), {}
    sizes = [min(CHUNK, secret["size"] - at) for at in range(0, secret["size"], CHUNK)]
    vault = b"".join(chunks.next(secret["vault"], None, n) for n in sizes)
    if hashlib.sha256(vault).digest() != secret["sha256"]:
        raise Wrong("the vault was changed")
    found["vault/vault.db"] = vault
    found["vault/master.key"] = secret["master"].hex().encode() + b"\n"
    r = Reader(index_open(secret["index"], m["index"]), b"BX")
    for _ in range(r.num(4)):
        name, _mode, _modified, size, sha256 = r.text(), r.num(4), r.num(8), r.num(8), r.raw(32)
        content = b"".join(chunks.next(secret["files"], r.raw(32), min(CHUNK, size - at))
                           for at in range(0, size, CHUNK))
        if hashlib.sha256(content).digest() != sha256:
            raise Wrong("%s was changed" % name)
        found[name] = content
    r.done()
    return found


def main(backup, chunk_directory, to, *pairs):
    keys = [officer_open(pathlib.Path(key).read_bytes(),
                         pathlib.Path(passphrase).read_bytes().splitlines()[0])
            for key, passphrase in zip(pairs[::2], pairs[1::2])]
    for name, content in restore(backup, chunk_directory, keys).items():
        path = pathlib.Path(to) / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
