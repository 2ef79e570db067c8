"""Links to shared files without Coffer: docs/formats/sync-shares.md in python3-cryptography alone."""
import base64
import struct
import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sync_unseal import (CHUNK, HEADER, Reader, Wrong, argon2id, expand, extract, file_keys, folder_key, gcm_open,
                         gcm_seal, head, i64, label, leaf, padded, run, sha, suited, tree, u8, u16, u32, u64)


def hkdf(key, info, n=32):
    return expand(extract(b"", key), info, n)


class Link:
    """What follows from a link's secret, and the password if there is one."""

    def __init__(self, secret, password=None):
        self.secret, self.password = secret, password
        self.id = hkdf(secret, b"coffer/v1/sync/link-id", 16)
        t = secret + argon2id(password, self.id, 3, 64 * 1024) if password else secret
        self.token = hkdf(t, b"coffer/v1/sync/link-token")
        self.key = hkdf(t, b"coffer/v1/sync/link-key")

    def url(self, origin):
        secret = base64.urlsafe_b64encode(self.secret).rstrip(b"=").decode()
        return f"{origin}/share/{self.id.hex()}#{secret}{'.p' if self.password else ''}"

    def list(self, random, files):
        """The record cofferYL; files are dicts."""
        plain = head(b"YQ") + u32(len(files))
        for f in sorted(files, key=lambda f: f["path"]):
            plain += (run(f["path"]) + u64(f["size"]) + i64(f["mtime"]) + f["package"] + f["root"] +
                      u64(f["package_size"]) + f["key"])
        aad = suited(b"YL") + self.id
        return aad + run(gcm_seal(self.key, random(12), plain, aad))

    def terms(self, random, files, lives=3600, count=0, sealed_label=b"", **changed):
        """The record cofferYT. `changed` puts other values in the place of the right ones."""
        v = {"id": self.id, "hash": sha(self.token), "expires": int(time.time()) + lives,
             "roots": b"".join(sorted({f["root"] for f in files})), "list": self.list(random, files), **changed}
        return (head(b"YT") + v["id"] + v["hash"] + i64(v["expires"]) + u32(count) + u8(bool(self.password)) +
                run(sealed_label) + run(v["roots"]) + run(v["list"]))

    def open(self, record):
        r = Reader(record, b"YL")
        if r.raw(16) != self.id:
            raise Wrong("another link's list")
        aad = record[:r.at]
        plain = gcm_open(self.key, r.run(), aad)
        r.done()
        r = Reader(plain, b"YQ", suite=False)
        files = []
        for _ in range(r.num(4)):
            files.append({"path": r.run(), "size": r.num(8), "mtime": r.signed(), "package": r.raw(32),
                          "root": r.raw(32), "package_size": r.num(8), "key": r.raw(32)})
        r.done()
        return files


def seal_label(region, key, epoch, ident, text, random):
    info = label(b"link-label") + u16(1) + region + u64(epoch) + ident
    return u64(epoch) + gcm_seal(expand(key, info), random(12), text, info)


def open_label(region, key, ident, sealed):
    epoch = struct.unpack(">Q", sealed[:8])[0]
    info = label(b"link-label") + u16(1) + region + u64(epoch) + ident
    return gcm_open(expand(key, info), sealed[8:], info)


def file_of(maker, path, content, folder=bytes(16)):
    """Seals a file in a region that sync_unseal.Maker made: its entry in a link."""
    ident = maker.version(maker.random(16), folder, 1, content, path.split(b"/")[-1])[1]
    package = maker.packages[ident]
    root = package[9 + 2 + 32 + 16 + 16 + 1 + 8:][:32]
    blob = maker.blobs[root]
    r = Reader(blob[:HEADER], b"YD")
    b = u16(1) + r.raw(64)
    epoch, place = r.num(8), r.raw(16)
    r.raw(39)
    key = gcm_open(folder_key(maker.chain.region, maker.key, epoch, place), r.run(),
                   label(b"file-key") + b + u64(epoch) + place)
    return {"path": path, "size": len(content), "mtime": 1700000000, "package": ident, "root": root,
            "package_size": len(blob), "key": key}


def content_of(entry, blob):
    """Checks and opens a data package as whoever opens a link does."""
    header = blob[:HEADER]
    leaves = [leaf(header)] + [leaf(blob[at:at + CHUNK + 16]) for at in range(HEADER, len(blob), CHUNK + 16)]
    keys = file_keys(header, entry["key"])
    if len(blob) != entry["package_size"] or tree(leaves) != entry["root"] or keys["commit"] != header[202:234]:
        raise Wrong("not the data that was shared")
    out, n = b"", len(leaves) - 1
    for i in range(n):
        last = u8(1 if i == n - 1 else 0)
        at = HEADER + i * (CHUNK + 16)
        nonce = header[131:138] + u32(i) + last
        out += AESGCM(keys["chunk"]).decrypt(nonce, blob[at:at + CHUNK + 16], sha(header) + u32(i) + last)
    if len(out) != padded(entry["size"]) or out[entry["size"]:].strip(b"\0"):
        raise Wrong("the padding is not what it should be")
    return out[:entry["size"]]
