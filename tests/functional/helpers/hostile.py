"""A service that lies: between devices and a real instance, with its name and a certificate that devices trust. What
is not twisted goes through as it is."""

import datetime
import http.client
import http.server
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from helpers import instance as instances

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server"}


def certificate(place):
    """A certificate of its own for localhost; (its file, for devices too; its key's)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()))
    paths = place / "hostile.pem", place / "hostile.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
    return paths


class Hostile(http.server.ThreadingHTTPServer):
    """`twist`: f(ask, answer) -> answer, or None; `ask` has method, path and body, `answer` status, headers and body.
    `swallow`: f(ask) -> an answer instead of the service's, or None."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, instance, port, place):
        self.instance, self.twist, self.swallow, self.twisted = instance, None, None, 0
        self.ca, key = certificate(place)
        super().__init__(("127.0.0.1", port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self.ca), str(key))
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a device that hung up

    def honest(self):
        self.twist = self.swallow = None
        self.twisted = 0

    def close(self):
        self.shutdown()
        self.server_close()


class Message:
    def __init__(self, **fields):
        self.__dict__.update(fields)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        ask = Message(method=self.command, path=self.path, body=body)
        answer = self.server.swallow(ask) if self.server.swallow else None
        if answer:
            self.server.twisted += 1
        else:
            answer = self.forward(ask)
            twisted = self.server.twist(ask, answer) if self.server.twist else None
            if twisted:
                self.server.twisted += 1
                answer = twisted
        self.send_response(answer.status)
        for name, value in answer.headers:
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def forward(self, ask):
        connection = self.server.instance.connect()
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
            connection.request(ask.method, ask.path, body=ask.body or None, headers=headers)
            reply = connection.getresponse()
            return Message(status=reply.status, headers=reply.getheaders(), body=reply.read())
        except (OSError, http.client.HTTPException) as e:
            return Message(status=503, headers=[], body=str(e).encode())
        finally:
            connection.close()

    do_GET = do_POST = do_PUT = do_DELETE = answer


def begin(place, settings):
    """An instance whose name is the liar's."""
    made = instances.Instance(place)
    made.init(settings)
    named = made.port
    made.port, = instances.free_ports(1)
    made.configure({"web": {"listen": f"127.0.0.1:{made.port}"}})
    made.start()
    return made, Hostile(made, named, made.files), f"https://localhost:{named}"
