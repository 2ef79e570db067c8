"""What copies of the store, of the vault and of both give away without the master key: nothing."""

import base64
import os
import shutil
import subprocess
import time

from helpers import instance as instances
from helpers.device import Device
from helpers.lease import LeaseApp
from helpers.officers import Officer, private
from helpers.proc import files_below


def spellings(secret):
    """How it might lie there."""
    encoded = base64.b64encode(secret)
    return {secret, secret.hex().encode(), secret.hex().upper().encode(), encoded.rstrip(b"="),
            base64.urlsafe_b64encode(secret).rstrip(b"="), secret.decode("latin-1").encode("utf-16-le")}


def contents(*folders):
    return {str(path): data for path, data in files_below(*folders).items() if path.name != "master.key"}


def assert_nowhere(files, secrets):
    for path, data in files.items():
        for name, secret in secrets.items():
            for spelling in spellings(secret):
                assert spelling not in data, f"{name} lies in {path}"


def test_stolen_store_and_vault(tmp_path, make_instance, factory, openssl):
    instance = make_instance()
    for name in ("anna", "ben"):
        Officer(instance, tmp_path, name)
    instance.coffer("officer", "activate", "--threshold", 2)
    secrets = {"file": os.urandom(40), "officers only": os.urandom(40), "pin": b"73914682",
               "kek": os.urandom(32), "revoked kek": os.urandom(32)}
    for name, more in (("file", ()), ("officers only", ("--officers-only",)),
                       ("pin", ("--kind", "pin"))):
        instance.coffer("escrow", "put", private(tmp_path / "secret", secrets[name]), *more)
    device = Device(instance, factory).enrol(*instance.person("thief@example.org"))
    secrets["unlock token"] = device.unlock_token
    app, other = LeaseApp(device), LeaseApp(device, account="other")
    other.push = app.push
    app.put(secrets["kek"])
    revoked = other.sealed_put(secrets["revoked kek"])
    assert other.send_put(revoked).status == 204
    assert other.http("DELETE", "/leases/other").status == 204
    app.happen("x")
    assert app.release("x").status == 200
    store, vault = instance.directory / "store", instance.directory / "vault"
    assert_nowhere(contents(store, vault), secrets)  # while it runs: journals too
    instance.stop()
    assert_nowhere(contents(store, vault), secrets)
    # the sealed key of a lease that ended is gone from the vault, journal and all
    gone = base64.b64decode(revoked["sealed"])
    assert not [path for path, data in contents(vault).items() if gone[:64] in data]
    # both copies, without the master key and with a thief's own: nothing starts
    copy = tmp_path / "copy"
    shutil.copytree(instance.directory, copy)
    master = copy / "vault" / "master.key"
    size = master.stat().st_size
    for key in (None, os.urandom(size)):
        master.unlink(missing_ok=True)
        if key:
            private(master, key)
        done = subprocess.run([instances.program("cofferd"), "--dir", copy], capture_output=True,
                              timeout=instances.PATIENCE)
        assert done.returncode != 0 and b"cofferd info ready" not in done.stdout + done.stderr


def test_an_expired_lease_is_gone_from_the_vault(make_instance, factory):
    """Within a minute of its expiry, from the journal too, and the log says so."""
    instance = make_instance()
    device = Device(instance, factory).enrol(*instance.person("expired@example.org"))
    app = LeaseApp(device)
    body = app.sealed_put(b"k" * 32, life=3)
    assert app.send_put(body).status == 204
    sealed = base64.b64decode(body["sealed"])
    vault = instance.directory / "vault"
    assert [1 for data in contents(vault).values() if sealed[:64] in data], "it can be seen there"
    instances.wait_for(lambda: [path for path, data in contents(vault).items() if sealed[:64] in data],
                       lambda left: not left, "gone")
    assert time.time() < app.expires + 60
    log = instance.api("GET", "/keeper/log?after=0").text()
    assert f"first={app.id}/mail/1" in log
