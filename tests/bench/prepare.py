"""Requests with their keys and signatures, made before anything is measured, on all cores."""

import base64
import concurrent.futures
import multiprocessing
import os
import plistlib

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from helpers import cms, device, scep

import load

KEYS = 8  # phones have a key each; for the server it makes no difference, and saves minutes here
WORKERS = max(1, min(8, os.cpu_count() or 1))
_keys = []


def udid(number):
    return f"00008110-{number:016X}"


def _make_key(_):
    key = scep.rsa.generate_private_key(65537, 2048)
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def _load_keys(keys):
    _keys[:] = [serialization.load_der_private_key(k, None) for k in keys]


class Workshop:
    """A pool of processes that share the phones' keys."""

    def __init__(self):
        with multiprocessing.Pool(WORKERS) as pool:
            keys = pool.map(_make_key, range(KEYS))
        self.pool = concurrent.futures.ProcessPoolExecutor(WORKERS, initializer=_load_keys,
                                                           initargs=(keys,))

    def close(self):
        self.pool.shutdown()

    def _map(self, function, items):
        return list(self.pool.map(function, items, chunksize=50))

    def enrolments(self, ca, target, numbers, challenge_of):
        """PKCSReq by POST, one job each."""
        data = ca.public_bytes(serialization.Encoding.DER)
        return self._map(_enrolment, [(data, target, n, challenge_of(n)) for n in numbers])

    def cycles(self, items):
        """Idle and Acknowledged; items: (number, certificate DER, command UUID, result)."""
        return self._map(_cycle, items)


def _enrolment(item):
    ca_der, target, number, challenge = item
    ca = x509.load_der_x509_certificate(ca_der)
    client = scep.Client(_keys[number % KEYS], scep.name(("CN", udid(number))), ca)
    return [load.request("POST", target, client.request(challenge),
                         {"Content-Type": "application/x-pki-message"})]


def _cycle(item):
    number, certificate, command, result = item
    key = _keys[number % KEYS]
    certificate = x509.load_der_x509_certificate(certificate)
    messages = [{"UDID": udid(number), "Status": "Idle"},
                {"UDID": udid(number), "Status": "Acknowledged", "CommandUUID": command, **result}]
    job = []
    for message in messages:
        body = plistlib.dumps(message)
        signature = cms.sign(body, key, certificate, detached=True)
        job.append(load.request("PUT", "/mdm/command", body, {
            "Content-Type": device.COMMAND_TYPE,
            "Mdm-Signature": base64.b64encode(signature).decode()}))
    return job
