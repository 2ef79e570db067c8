"""Looks for secrets that lie in clear where an attacker with a copy of the disk, the logs and /proc would find them."""

import base64

from helpers import instance as instances
from helpers.proc import bytes_of, files_below


def forms(secret):
    """How a secret could be written down."""
    raw = secret if isinstance(secret, bytes) else secret.encode()
    return {raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw)[:-4],
            base64.urlsafe_b64encode(raw)[:-4]}


def everything(instance):
    """(where, bytes) of all that an attacker with a copy of the disk and /proc would have, but
    for the files that are there to hold a secret: master key, TLS key, API token."""
    allowed = {"master.key", "key.pem"}
    for path, data in files_below(instance.directory).items():
        if path.name not in allowed and "token" not in path.name:
            yield str(path), data
    others = [*instance.files.glob("*.log"), *(
        f"/proc/{pid}/{what}" for pid in instances.processes_of(instance.directory)
        for what in ("cmdline", "environ"))]
    for path in others:
        if (data := bytes_of(path)) is not None:
            yield str(path), data


def search(instance, secrets):
    found = [(name, where) for where, data in everything(instance)
             for name, secret in secrets.items() for form in forms(secret) if form in data]
    assert not found, found
