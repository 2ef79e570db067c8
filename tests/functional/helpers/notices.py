"""Peers of the notices: a mail server, a webhook's receiver, TLS servers to be watched."""

import contextlib
import hashlib
import hmac
import http.server
import json
import pathlib
import socket
import ssl
import subprocess
import threading
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, SMTP

from .instance import PATIENCE


class Mails:
    """A mail server (Debian's aiosmtpd) that keeps what it takes."""

    def __init__(self, tls=None, user=None, password=None, refuse=()):
        self.mails, self.changed = [], threading.Condition()
        self.user, self.password, self.refuse = user, password, refuse
        self.controller = _OnAnyPort(
            self, hostname="127.0.0.1", port=0, tls_context=tls, require_starttls=bool(tls),
            auth_required=bool(user), authenticator=self._check, auth_require_tls=bool(tls))
        self.controller.start()
        self.port = self.controller.server.sockets[0].getsockname()[1]

    def _check(self, server, session, envelope, mechanism, data):
        good = (data.login, data.password) == (self.user.encode(), self.password.encode())
        return AuthResult(success=good, handled=True)

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuse:
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        with self.changed:
            self.mails.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
            self.changed.notify_all()
        return "250 taken"

    def wait(self, count):
        deadline = time.monotonic() + PATIENCE
        with self.changed:
            while len(self.mails) < count:
                assert self.changed.wait(deadline - time.monotonic()), \
                    f"{len(self.mails)} of {count} mails came"
            return list(self.mails)

    def stop(self):
        self.controller.stop()


class _OnAnyPort(Controller):
    def _trigger_server(self):  # the port is the kernel's
        port = self.server.sockets[0].getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=10).close()

    def factory(self):
        return SMTP(self.handler, **self.SMTP_kwargs)


class Webhook:
    """Receives POSTs; `before` is called with each request before it is answered."""

    def __init__(self, secret, status=200, before=None):
        self.secret, self.status, self.before = secret, status, before
        self.requests, self.changed = [], threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.changed:
                    outer.requests.append((dict(self.headers), body))
                    number = len(outer.requests)
                    outer.changed.notify_all()
                if outer.before:
                    outer.before(number)
                status = outer.status(number) if callable(outer.status) else outer.status
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count):
        deadline = time.monotonic() + PATIENCE
        with self.changed:
            while len(self.requests) < count:
                assert self.changed.wait(deadline - time.monotonic()), \
                    f"{len(self.requests)} of {count} requests came"
            return list(self.requests)

    def check(self, headers, body):
        """Verifies as docs/guides/expiry.md tells receivers to; the body."""
        parts = dict(p.split("=", 1) for p in headers["Coffer-Signature"].split(","))
        want = hmac.new(self.secret, parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
        assert hmac.compare_digest(want, parts["v1"])
        return json.loads(body)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def certificate(directory, name, days, not_before_days=0):
    """A self-signed certificate that ends in `days`, and began long ago: (PEM, key)."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=not_before_days or 700))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .sign(key, hashes.SHA256()))
    cert_path, key_path = (pathlib.Path(directory) / f"{name}.{e}" for e in ("pem", "key"))
    cert_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    return cert_path, key_path


def server_context(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*[str(p) for p in pair])
    return context


@contextlib.contextmanager
def s_server(pair, *options):
    """openssl s_server on a port of the kernel's: the port."""
    with subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", pair[0], "-key", pair[1],
             *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT) as process:
        try:
            for line in process.stdout:
                if line.startswith(b"ACCEPT "):
                    yield int(line.rsplit(b":", 1)[1])
                    break
        finally:
            process.kill()


@contextlib.contextmanager
def plain_server(answer):
    """A TCP server; `answer(connection)` is called on a thread for each: the port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_serve, args=(answer, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _serve(answer, connection):
    with connection, contextlib.suppress(OSError, ssl.SSLError):
        answer(connection)
