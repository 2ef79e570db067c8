"""Debian's scepserver (package scep), the peer that SCEP is measured against."""

import socket
import subprocess
import time

from cryptography import x509

from helpers import instance

SECRET = "a static challenge"


class ScepServer:
    """An RSA-2048 CA like Coffer's, its depot on the same file system."""

    def __init__(self, directory):
        self.depot = directory / "depot"
        directory.mkdir()
        subprocess.run(["scepserver", "ca", "-init", "-depot", self.depot, "-keySize", "2048"],
                       check=True, capture_output=True)
        self.ca = x509.load_pem_x509_certificate((self.depot / "ca.pem").read_bytes())
        self.port = instance.free_ports(1)[0]
        self.log = open(directory / "log", "wb")
        self.process = subprocess.Popen(
            ["scepserver", "-depot", self.depot, "-port", str(self.port), "-challenge", SECRET,
             "-allowrenew", "0"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self._await_listening()

    def _await_listening(self):
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
