"""An independent device of the sync service: formats by sync_unseal.py, HTTP as docs/formats/sync-api.md has it."""

import base64
import http.client
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import sync_unseal as su  # noqa: E402
from sync_unseal import Maker, i64, label, run, sha, u32, u64  # noqa: E402

API = "/api/v1/sync"
PART_CHUNKS = 8
SEALED_CHUNK = 1024 * 1024 + 16
HEADER = 234


def parts(blob):
    """How a data package is cut."""
    out, at, first = [], 0, HEADER + PART_CHUNKS * SEALED_CHUNK
    while at < len(blob):
        end = min(len(blob), first + len(out) * PART_CHUNKS * SEALED_CHUNK)
        out.append(blob[at:end])
        at = end
    return out


def runs(data):
    out, at = [], 0
    while at < len(data):
        n = int.from_bytes(data[at:at + 4], "big")
        out.append(data[at + 4:at + 4 + n])
        assert len(out[-1]) == n
        at += 4 + n
    return out


class Refused(Exception):
    def __init__(self, response):
        self.status, self.body = response.status, response.body
        self.reason = None
        if "json" in (response.headers.get("Content-Type") or ""):
            self.reason = response.json()["error"].get("reason")
        super().__init__(f"{self.status} {self.reason} {self.body[:200]!r}")


def person(instance, email):
    """Somebody and his API token."""
    instance.api("POST", "/people", {"email": email, "name": email.split("@")[0]}, expect=201)
    made = instance.api("POST", "/tokens", {"name": f"sync {email}", "role": "member", "person": email}, expect=201)
    return made.json()["token"]


def new_device(email, name=b"laptop"):
    return su.Device(os.urandom(96), name, email.encode())


class Region(Maker):
    """What all devices of a region know, and helps to make what they write."""

    def __init__(self, device):
        super().__init__(os.urandom, device)
        self.live, self.counter, self.head_hash = set(), 0, su.ZERO
        self.node = os.urandom(16)

    @property
    def id(self):
        return self.chain.region

    def as_device(self, device):
        self.device = device
        return self

    def file(self, content, name=b"f"):
        """A version of a file: its package id."""
        return self.version(os.urandom(16), self.node, 1, content, name)[1]

    def listing_of(self, files):
        """A root folder that names these packages: its package id."""
        entries = [(n, su.u8(su.FILE) + run(n) + run(n) + os.urandom(16) + u32(0o644) + i64(1) + u32(0) +
                    os.urandom(16) + ident + u64(size) + su.u8(0)) for n, ident, size in sorted(files)]
        return self.version(self.node, self.node, 2, self.listing(entries, None))[1]

    def root(self, folder, added, dropped=(), counter=None, before=None, device=None, change=None, place=None):
        """A signed root and its change."""
        device = device or self.device
        place = len(self.chain.heads) - 1 if place is None else place
        counter = self.counter + 1 if counter is None else counter
        before = self.head_hash if before is None else before
        change = change or (su.head(b"YG") + run(b"".join(sorted(added))) + run(b"".join(sorted(dropped))))
        message = (su.suited(b"YR") + self.id + u64(counter) + before + folder + sha(change) + i64(1700000000) +
                   device.id + u64(place) + self.chain.heads[place])
        return device.sign(b"root", message), change

    def took(self, root, added, dropped=()):
        self.counter += 1
        self.head_hash = sha(root)
        self.live = (self.live | set(added)) - set(dropped)


class Client:
    """One device that talks to the service."""

    def __init__(self, instance, region, device, person_token):
        self.instance, self.region, self.device, self.person_token = instance, region, device, person_token
        self.token, self.connection = None, None

    # ---- HTTP ----

    def ask(self, method, path, body=None, headers=None, token=None):
        sent = dict(headers or {})
        token = token or self.token
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if isinstance(body, (dict, list)):
            body, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        for last in (False, True):
            self.connection = self.connection or self.instance.connect()
            try:
                self.connection.request(method, API + path, body, sent)
                answer = self.connection.getresponse()
                return Answer(answer.status, answer.headers, answer.read())
            except (OSError, http.client.HTTPException):
                self.connection.close()
                self.connection = None
                if last:
                    raise

    def good(self, method, path, body=None, headers=None, token=None):
        answer = self.ask(method, path, body, headers, token)
        if answer.status >= 300:
            raise Refused(answer)
        return answer

    def r(self, path):
        return f"/r/{self.region.id.hex()}{path}"

    # ---- log-in ----

    def create(self):
        return self.good("POST", "/regions", self.region.entries[0], token=self.person_token)

    def host(self):
        return self.instance.url.split("://")[1]

    def log_in(self, host=None, key=None):
        who = {"region": self.region.id.hex(), "device": self.device.id.hex()}
        nonce = self.good("POST", "/session", who, token="none").json()["nonce"]
        message = run((host or self.host()).encode()) + self.region.id + self.device.id + bytes.fromhex(nonce)
        signature = (key or self.device.login).sign(label(b"login") + message)
        answer = self.good("POST", "/session/proof", {**who, "nonce": nonce, "signature": signature.hex()},
                           token="none")
        self.token = answer.json()["token"]
        return self

    # ---- chain ----

    def send_entry(self):
        """The newest entry of the region, which this device wrote."""
        return self.good("POST", self.r("/chain"), self.region.entries[-1])

    def chain(self, after=0, token=None):
        return runs(self.good("GET", self.r(f"/chain?after={after}"), token=token).body)

    # ---- data ----

    def put_part(self, root, part, content, size):
        return self.good("PUT", self.r(f"/data/{root.hex()}/{part}?size={size}"), content)

    def put_blob(self, root):
        blob = self.region.blobs[root]
        for i, part in enumerate(parts(blob)):
            self.put_part(root, i, part, len(blob))

    def root_of(self, ident):
        record = self.region.packages[ident]
        r = su.Reader(record, b"YS")
        r.raw(32 + 32)
        r.raw(16 * r.num(1))
        r.num(8)
        return r.raw(32)

    def put_package(self, ident):
        return self.good("POST", self.r("/packages"), self.region.packages[ident])

    def upload(self, ident):
        self.put_blob(self.root_of(ident))
        return self.put_package(ident)

    def commit(self, folder, added, dropped=()):
        root, change = self.region.root(folder, added, dropped, device=self.device)
        answer = self.good("POST", self.r("/root"), run(root) + run(change))
        self.region.took(root, added, dropped)
        return answer

    def put_files(self, contents):
        """Files of these names and contents become the whole tree; what was there is dropped."""
        self.region.as_device(self.device)
        files = [(n, self.region.file(c, n), len(c)) for n, c in contents.items()]
        folder = self.region.listing_of(files)
        added = [i for _, i, _ in files] + [folder]
        for ident in added:
            self.upload(ident)
        self.commit(folder, added, set(self.region.live))
        return dict((n, i) for n, i, _ in files), folder

    def get(self, root, size):
        out = b""
        while len(out) < size:
            answer = self.good("GET", self.r(f"/data/{root.hex()}"), headers={"Range": f"bytes={len(out)}-"})
            assert answer.status == 206
            assert answer.headers["Content-Range"] == f"bytes {len(out)}-{len(out) + len(answer.body) - 1}/{size}"
            out += answer.body
        return out


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def begin(instance, email, token, name=b"laptop"):
    """A new region with its first device, logged in."""
    device = new_device(email, name)
    client = Client(instance, Region(device), device, token)
    client.create()
    return client.log_in()


def add_device(client, email, token, roles, name=b"phone"):
    """A further device, added and approved by `client`, which manages; logged in."""
    device = new_device(email, name)
    region = client.region.as_device(client.device)
    epoch = len(region.chain.commits)
    region.entry(client.device, su.ADD, device.id, 0, device.card, epoch, b"")
    client.send_entry()
    region.entry(client.device, su.APPROVE, device.id, roles, b"", epoch, b"")
    client.send_entry()
    return Client(client.instance, region, device, token).log_in()


def b64(data):
    return base64.b64encode(data).decode()
