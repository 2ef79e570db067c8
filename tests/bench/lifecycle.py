"""What a large number of certificates costs: their statuses by OCSP, their revocation list.

wrk puts the load on, for a generator in Python would be slower than what it measures; it asks for
a list of paths that lies in a file. The peer is `openssl ocsp` over an index of the same
certificates.
"""

import base64
import datetime
import hashlib
import os
import random
import re
import subprocess
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from helpers import instance as instances

import load
import meter
import rows

YEAR_S = 365 * 86400
PROFILE = "device-identity"
# wrk's first connection, only to see whether somebody listens, is more than `openssl ocsp` bears.
WRK_SCRIPT = """
wrk.connect = function() return true end
local paths, at = {}, 0
for line in io.lines("%s") do paths[#paths + 1] = line end
request = function()
    at = at %% #paths + 1
    return wrk.format("GET", paths[at])
end
"""


def serial_of(number):
    """20 bytes that begin like those of the keeper; hex."""
    raw = bytearray(hashlib.sha256(b"bench serial %d" % number).digest()[:20])
    raw[0] = raw[0] & 0x7f | 0x40
    return raw.hex()


def add_certificates(instance, count):
    """Records of so many certificates: each as large as a real one, none of them parsed."""
    der = next(iter(rows.certificates(instance).values()))[1]
    now = int(time.time())
    with rows.opened(instance) as db:
        db.executemany(
            "INSERT INTO certificate (fingerprint, issuer, serial, profile, subject, enrolment_id,"
            " person_id, spki_sha256, not_before, not_after, revoked_ms, der, created_ms)"
            " VALUES (?, 'device-ca', ?, ?, ?, '', '', ?, ?, ?, 0, ?, ?)",
            ((hashlib.sha256(b"%d" % i).digest(), serial_of(i), PROFILE, f"CN=phone {i}",
              hashlib.sha256(b"key %d" % i).digest(), now - 3600, now + YEAR_S, der, now * 1000)
             for i in range(count)))


def revoke_all(instance):
    """Everything is revoked, and no list was made yet."""
    now = rows.now_ms() - 3600 * 1000
    with rows.opened(instance) as db:
        db.create_function("unhex_", 1, bytes.fromhex)
        db.execute("INSERT INTO revocation (fingerprint, issuer, serial, profile, reason,"
                   " revoked_ms, changed_ms, not_after, actor, why)"
                   " SELECT fingerprint, issuer, unhex_(serial), profile, 4, ?, ?, not_after,"
                   " 'bench', 'bench' FROM certificate WHERE issuer = 'device-ca'", (now, now))
        db.execute("UPDATE certificate SET revoked_ms = ?", (now,))
        db.execute("DELETE FROM crl")
    for path in (instance.directory / "store" / "crl").iterdir():
        path.unlink()


def await_count(instance, sql, wanted, patience=1200):
    deadline = time.monotonic() + patience
    while rows.count(instance, sql) < wanted:
        if time.monotonic() > deadline:
            raise load.Failed(f"not {wanted} in time: {sql}")
        time.sleep(1)


# ---- OCSP ----

def requests_for(ca, numbers):
    """A request for each, as a client without nonce puts it into a path (RFC 5019 section 5): five
    SEQUENCEs, the last a CertID of SHA-1, two hashes and a serial number of 20 bytes."""
    made = []
    name = hashlib.sha1(ca.subject.public_bytes()).digest()
    key = x509.SubjectKeyIdentifier.from_public_key(ca.public_key()).digest
    head = bytes.fromhex("30553053 3051304f 304d 300906052b0e03021a0500")
    for n in numbers:
        der = (head + b"\x04\x14" + name + b"\x04\x14" + key + b"\x02\x14"
               + bytes.fromhex(serial_of(n)))
        made.append(urllib.parse.quote(base64.b64encode(der).decode(), safe=""))
    return made


def check_good(instance, request):
    """That what is measured is the real thing; the size of a reply."""
    body = instance.http("GET", "/ocsp/" + request, listener="http").body
    if ocsp.load_der_ocsp_response(body).certificate_status != ocsp.OCSPCertStatus.GOOD:
        raise load.Failed("the status is not good")
    return len(body)


class Wrk:
    """One thread, so many connections at once; each path in its turn."""

    def __init__(self, directory, name, paths, connections=16):
        self.script = directory / f"{name}.lua"
        listed = directory / f"{name}.paths"
        listed.write_text("".join(path + "\n" for path in paths))
        self.script.write_text(WRK_SCRIPT % listed)
        self.connections = str(connections)

    def rate(self, port, seconds):
        done = subprocess.run(
            ["wrk", "-t1", "-c" + self.connections, f"-d{seconds}s", "-s", self.script,
             f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in done:
            raise load.Failed(done)
        return float(re.search(r"Requests/sec: +([\d.]+)", done).group(1))


class OpensslOcsp:
    """`openssl ocsp`, whose responder has a P-256 key as ours has. It serves one connection at a
    time and does not survive one that ends early, so each round has a process of its own."""

    def __init__(self, directory, ca, count):
        directory.mkdir()
        self.directory = directory
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "responder")])
        now = datetime.datetime.utcnow()
        cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                .public_key(key.public_key()).serial_number(1).not_valid_before(now)
                .not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256()))
        pem = serialization.Encoding.PEM
        (directory / "key.pem").write_bytes(key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        (directory / "cert.pem").write_bytes(cert.public_bytes(pem))
        (directory / "ca.pem").write_bytes(ca.public_bytes(pem))
        with open(directory / "index.txt", "w", encoding="ascii") as index:
            index.writelines(f"V\t491231235959Z\t\t{serial_of(i).upper()}\tunknown\t/CN=phone {i}\n"
                             for i in range(count))

    def rate(self, wrk, seconds):
        port = instances.free_ports(1)[0]
        with subprocess.Popen(
                ["openssl", "ocsp", "-index", "index.txt", "-port", str(port), "-rsigner",
                 "cert.pem", "-rkey", "key.pem", "-CA", "ca.pem", "-ndays", "7"],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, text=True) as process:
            try:
                for line in process.stderr:
                    if "waiting for OCSP client" in line:
                        break
                with open(self.directory / "log", "ab") as log, subprocess.Popen(
                        ["cat"], stdin=process.stderr, stdout=log):  # it tells every request
                    rate = wrk.rate(port, seconds)
                    process.kill()
            finally:
                process.kill()
        return rate


def sample(count, wanted):
    return random.Random(1).sample(range(count), min(count, wanted))


# ---- the list ----

def peak_kib(pid):
    """The most memory that a process ever had."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"^VmHWM:\s+(\d+) kB", status.read(), re.MULTILINE).group(1))


def build_lists(instance):
    """(seconds for one list, and of CPU, its bytes, {program: peak KiB}). Two lists of everything are made after
    a start, all certificates being of one profile; the second is timed, from the moment the first
    was written."""
    instance.start()
    await_count(instance, "SELECT COUNT(*) FROM crl WHERE issuer = 'device-ca' AND delta = 0"
                          " AND entries > 0", 2, 300)
    folder = instance.directory / "store" / "crl"
    first, second = (os.stat(folder / name) for name in
                     ("device-ca..crl", f"device-ca.{PROFILE}.crl"))
    peaks = {name: peak_kib(pid) for pid, name in meter.coffer(instance).items()
             if name in ("coffer-web", "coffer-keeper")}
    cpu = meter.cpu_us(meter.coffer(instance)) / 2e6
    return abs(second.st_mtime - first.st_mtime), cpu, second.st_size, peaks
