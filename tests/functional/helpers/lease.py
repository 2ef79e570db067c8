"""The part of a device's mail program that leaves keys with the keeper: docs/formats/lease.md."""

import base64
import datetime
import json
import os
import pathlib
import sys
import time

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import escrow_recover  # noqa: E402
import lease_open  # noqa: E402


def b64(data):
    return base64.b64encode(data).decode()


def rfc3339(seconds):
    return datetime.datetime.utcfromtimestamp(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


class LeaseApp:
    """By the device's identity certificate, or with `token` by that."""

    def __init__(self, device, token=None, account="mail"):
        self.device, self.token, self.account = device, token, account
        self.push, self.epoch, self.id = X25519PrivateKey.generate(), 0, None

    def http(self, method, path, body=None, certificate=None):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        instance = self.device.instance
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
            return instance.http(method, "/push/v1" + path, data, headers)
        return instance.http(method, "/push/v1" + path, data, headers, "mtls",
                             certificate or self.device.identity_files())

    def learn(self):
        """The device's id, and the keeper's key."""
        answer = self.http("GET", "/lease-key").json()
        self.id = answer["device"]
        key = load_der_public_key(base64.b64decode(answer["key"]))
        return key.public_bytes(Encoding.Raw, PublicFormat.Raw)

    def of(self):
        return self.id, self.account, self.epoch, self.expires, escrow_recover.public(self.push)

    def sealed_put(self, kek, epoch=None, life=3600):
        """The body of a put."""
        keeper = self.learn()
        self.epoch = epoch or self.epoch + 1
        self.expires = int(time.time()) + life
        sealed = lease_open.seal(X25519PrivateKey.generate(), keeper,
                                 lease_open.put_info(*self.of()), kek)
        return {"epoch": self.epoch, "expires": rfc3339(self.expires),
                "push_key": b64(escrow_recover.public(self.push)), "sealed": b64(sealed)}

    def send_put(self, body, certificate=None):
        return self.http("PUT", f"/leases/{self.account}", body, certificate)

    def put(self, kek=None, **options):
        kek = kek or os.urandom(32)
        answer = self.send_put(self.sealed_put(kek, **options))
        assert answer.status == 204, answer
        return kek

    def release(self, event, certificate=None):
        return self.http("POST", f"/leases/{self.account}/release", {"event": event}, certificate)

    def opened(self, answer, event):
        """The key in a release for this event."""
        assert answer.status == 200, answer
        return lease_open.unseal(self.push, base64.b64decode(answer.json()["sealed"]),
                                 lease_open.release_info(*self.of(), event=event))

    def state(self):
        answer = self.http("GET", "/leases")
        assert answer.status == 200, answer
        return {lease["account"]: lease for lease in answer.json()["leases"]}

    def happen(self, event, expect=202):
        """Says as an admin that something happened for the lease."""
        return self.device.instance.api(
            "POST", f"/devices/{self.device.udid}/leases/{self.account}/events", {"event": event},
            expect=expect)

