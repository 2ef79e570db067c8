"""An instance whose clock the test sets, and a thief who has a copy of it, master key and all."""

import base64
import os
import shutil
import signal
import sqlite3
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_private_key

from helpers import instance as instances
from helpers import proc
from helpers.clock import HOUR, Clock
from helpers.device import Device
from helpers.lease import lease_open

import keybag_open  # noqa: E402


class ClockedServer:
    def __init__(self, files, factory):
        self.clock, self.factory = Clock(files / "server-clock"), factory
        self.instance = instances.Instance(files)
        self.instance.env = self.clock.env
        self.instance.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem"))}})

    def device(self, address):
        device = Device(self.instance, self.factory).enrol(*self.instance.person(address))
        device.session()
        return device

    def vault(self):
        return self.instance.directory / "vault"

    def copy(self, to):
        """What a thief of the whole server has: store, vault, master key."""
        running = instances.processes_of(self.instance.directory)
        for pid in running:
            os.kill(pid, signal.SIGSTOP)  # one moment
        try:
            shutil.copytree(self.instance.directory, to, ignore=shutil.ignore_patterns("*.sock"))
        finally:
            for pid in running:
                os.kill(pid, signal.SIGCONT)
        return to


def vault_wrap_key(directory):
    master = bytes.fromhex((directory / "vault" / "master.key").read_text().strip())
    return keybag_open.hkdf(b"", master, b"coffer/v1/vault/key-wrap")


def text(data):
    return struct.pack(">I", len(data)) + data


def lease_key(directory, connection):
    """The keeper's lease key, opened as the keeper does."""
    kind, name = b"pkcs8", b"lease"
    wrapped, public, certificate = connection.execute(
        "SELECT wrapped, public_der, certificate FROM key WHERE name = ?", (name.decode(),)).fetchone()
    aad = text(b"coffer/v1/vault/key") + text(kind) + text(name) + struct.pack(">I", 1) + \
        text(public or b"") + text(certificate or b"")
    der = AESGCM(vault_wrap_key(directory)).decrypt(wrapped[:12], wrapped[12:], aad)
    return load_der_private_key(der, None)


def stolen_keys(directory):
    """account -> what the thief opens of the leases in this copy."""
    connection = sqlite3.connect(directory / "vault" / "vault.db")
    key, found = lease_key(directory, connection), {}
    rows = connection.execute("SELECT device, account, epoch, expires, push_key, sealed FROM lease")
    for device, account, epoch, expires, push_key, sealed in rows:
        if sealed:
            of = device, account, epoch, expires, push_key
            found[account] = lease_open.unseal(key, sealed, lease_open.put_info(*of))
    connection.close()
    return found


def wait_erased(server, sealed):
    """Database and journal: the keeper's sweep and its scrubbing."""
    def look():
        return [path for path in server.vault().rglob("*") if path.is_file()
                and sealed[32:] in (proc.bytes_of(path) or b"")]
    instances.wait_for(look, lambda left: not left, "erased")


def put(app, clock, hours):
    """Leaves a lease for so long by the server's clock: the key, and as what it lies in the vault."""
    kek = os.urandom(32)
    body = app.sealed_put(kek, life=hours * HOUR + clock.wall)
    assert app.send_put(body).status == 204
    return kek, base64.b64decode(body["sealed"])


def right_again(clock):
    clock.wall = 0
    clock.set(0)
