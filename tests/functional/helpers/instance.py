"""An instance of Coffer: made by `coffer init`, run by `cofferd`, talked to over real sockets."""

import configparser
import http.client
import io
import itertools
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

from cryptography import x509

END = b"-----END CERTIFICATE-----\n"
ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("COFFER_BIN", ROOT / "build" / "bin"))
SANITIZER = os.environ.get("COFFER_SANITIZER", "")
# Seconds that an event may take to come. Nothing waits this long unless it is broken.
PATIENCE = {"": 60, "asan": 180, "tsan": 300}.get(SANITIZER, 180)
ORGANISATION = "Example Clinic"
ADMIN = "admin@example.org"
TOPIC = "com.apple.mgmt.External.f3a1c2d4-5b6e-4c7d-8e9f-0a1b2c3d4e5f"


def program(name):
    return str(BIN / name)


# Below those that the kernel gives to connections; each of several test runners has its own.
PORTS, PORTS_EACH = 10000, 5000
RUNNER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 4
_ports = itertools.cycle(range(PORTS + RUNNER * PORTS_EACH, PORTS + (RUNNER + 1) * PORTS_EACH))
for _ in range(os.getpid() * 16 % PORTS_EACH):  # another run at the same time is likely elsewhere
    next(_ports)


def free_ports(count):
    """Ports that nobody has now. Something else could take one before we do; then the start fails
    and says so, and Instance.start picks others."""
    found = []
    while len(found) < count:
        port = next(_ports)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def wait_for(look, good, what):
    """Looks again and again until it is good, where there is no event to await."""
    deadline = time.monotonic() + PATIENCE
    while not good(found := look()):
        assert time.monotonic() < deadline, f"{what}: {found}"
        time.sleep(0.01)
    return found


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Daemon:
    """A program in the foreground whose log is written to a file and can be waited for."""

    def __init__(self, command, log_path, env=None):
        self.log_path = pathlib.Path(log_path)
        self.lines, self.changed, self.ended = [], threading.Condition(), False
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=env,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        with open(self.log_path, "ab", buffering=0) as log:
            for line in self.process.stdout:
                log.write(line)
                with self.changed:
                    self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def mark(self):
        """A place in the log to wait from."""
        with self.changed:
            return len(self.lines)

    def wait_line(self, pattern, since=0, patience=PATIENCE):
        """The first line at or after `since` that the regular expression finds: a match."""
        expression, deadline = re.compile(pattern), time.monotonic() + patience
        with self.changed:
            at = since
            while True:
                while at < len(self.lines):
                    found = expression.search(self.lines[at])
                    if found:
                        return found
                    at += 1
                if self.ended:
                    raise AssertionError(f"ended before {pattern!r}: {self.tail()}")
                if not self.changed.wait(max(0, deadline - time.monotonic())):
                    raise AssertionError(f"{pattern!r} did not come: {self.tail()}")

    def tail(self, count=30):
        return "\n".join([f"({self.log_path})", *self.lines[-count:]])

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        return status


def processes_of(directory):
    """pid -> name of Coffer's processes that work in this instance."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            line = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(directory).encode() in line:
            name = os.path.basename(line[0]).decode()
            if name in ("cofferd", "coffer-keeper", "coffer-web", "coffer-courier",
                        "coffer-mailgate"):
                found[int(entry)] = name
    return found


class Instance:
    """`files` is where logs go; `directory` the instance itself (on another file system maybe)."""

    def __init__(self, files, directory=None):
        self.files = pathlib.Path(files)
        self.directory = pathlib.Path(directory or self.files / "d")
        self.daemon, self.starts, self.token = None, 0, None
        self.env = None  # of its programs; None: ours
        self.port, self.http_port, self.mtls_port = free_ports(3)
        self.url = f"https://localhost:{self.port}"
        self.http_url = f"http://localhost:{self.http_port}"
        self.mtls_url = f"https://localhost:{self.mtls_port}"
        self.admin_password = None

    # ---- life ----

    def init(self, settings=None, *flags):
        done = subprocess.run(
            [program("coffer"), "init", "--dir", self.directory, "--org", ORGANISATION, "--url",
             self.url, "--admin", ADMIN, "--json", *flags], capture_output=True, text=True,
            timeout=PATIENCE)
        (self.files / "init.err").write_text(done.stderr)
        assert done.returncode == 0, done.stderr
        self.admin_password = json.loads(done.stdout)["password"]
        self.configure({
            "web": {"listen": f"127.0.0.1:{self.port}", "http_listen": f"127.0.0.1:{self.http_port}",
                    "mtls_listen": f"127.0.0.1:{self.mtls_port}", "mtls_url": self.mtls_url,
                    "cheap_passwords": "yes", "per_address": "8192"},
            "scep": {"rate": "0"},  # all our clients have one address
            "push": {"topic": TOPIC},
        })
        self.configure(settings or {})
        return self

    def configure(self, settings):
        """Sets keys of coffer.conf: {section: {key: value}}."""
        path = self.directory / "coffer.conf"
        conf = configparser.ConfigParser(interpolation=None, strict=False)
        conf.optionxform = str
        conf.read_string(path.read_text())
        for section, keys in settings.items():
            if not conf.has_section(section):
                conf.add_section(section)
            for key, value in keys.items():
                conf.set(section, key, value)
        out = io.StringIO()
        conf.write(out)
        path.write_text(out.getvalue())

    def start(self):
        self.starts += 1
        self.daemon = Daemon([program("cofferd"), "--dir", str(self.directory)],
                             self.files / f"cofferd-{self.starts}.log", self.env)
        self.daemon.wait_line(r" cofferd info ready$")
        return self

    def stop(self):
        """Stops it and checks that it ended well and left nobody behind."""
        if not self.daemon:
            return
        daemon, self.daemon = self.daemon, None
        status = daemon.stop()
        assert status == 0, f"cofferd ended with {status}: {daemon.tail()}"
        left = processes_of(self.directory)
        assert not left, f"still running: {left}"

    def abandon(self):
        """Ends everything without asking how it went: for a test that failed."""
        if self.daemon:
            self.daemon.stop(signal.SIGKILL)
            self.daemon = None
        for pid in processes_of(self.directory):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def pid_of(self, name):
        """The process of this program, started by this cofferd, that runs now; waits for it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = [pid for pid, n in processes_of(self.directory).items() if n == name]
            if len(found) == 1:
                return found[0]
            assert time.monotonic() < deadline, f"no {name}: {self.daemon.tail()}"
            self._pause()

    @staticmethod
    def _pause():
        time.sleep(0.01)  # between looks at /proc or a socket, where there is no event to await

    def kill(self, name, wait=True):
        """kill -9; with `wait` until cofferd has started it again and it says that it is ready."""
        since = self.daemon.mark()
        pid = self.pid_of(name)
        os.kill(pid, signal.SIGKILL)
        self.daemon.wait_line(rf"{name} pid={pid} was killed by signal 9", since)
        if wait:
            self.daemon.wait_line(rf"cofferd info {name} is ready", since)

    # ---- talking to it ----

    @property
    def root(self):
        return self.directory / "public" / "root.pem"

    @property
    def device_ca(self):
        return self.directory / "public" / "device-ca.pem"

    def device_cas(self):
        """All generations, the current one first."""
        pem = self.device_ca.read_bytes()
        return [x509.load_pem_x509_certificate(part + END) for part in pem.split(END)[:-1]]

    def tls(self, certificate=None):
        context = ssl.create_default_context(cafile=str(self.root))
        if certificate:
            context.load_cert_chain(*[str(p) for p in certificate])
        return context

    def connect(self, listener="https", certificate=None, timeout=PATIENCE):
        if listener == "http":
            return http.client.HTTPConnection("localhost", self.http_port, timeout=timeout)
        port = self.mtls_port if listener == "mtls" else self.port
        return http.client.HTTPSConnection("localhost", port, timeout=timeout,
                                           context=self.tls(certificate))

    def http(self, method, path, body=None, headers=None, listener="https", certificate=None):
        """One request on a connection of its own. No redirects, no retries."""
        connection = self.connect(listener, certificate)
        try:
            try:
                connection.request(method, path, body=body, headers=headers or {})
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                if not connection.sock:
                    raise
                # a refusal may come before the body is through: read it
            answer = connection.getresponse()
            return Response(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def api_token(self):
        if not self.token:
            path = self.directory / "api-token"
            self.token = path.read_text().strip()
        return self.token

    def api(self, method, path, body=None, token=None, expect=None, headers=None):
        """The JSON API with the instance's own token; `expect`: the status it must have."""
        sent = {"Authorization": f"Bearer {token or self.api_token()}", **(headers or {})}
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        response = self.http(method, "/api/v1" + path, data, sent)
        if expect is not None:
            assert response.status == expect, f"{method} {path}: {response}"
        return response

    def api_patient(self, method, path, body=None):
        """The same, again and again while the service is not there (503, connection refused)."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                response = self.api(method, path, body)
                if response.status not in (503, 504):
                    return response
                problem = response
            except OSError as e:
                problem = e
            except http.client.HTTPException as e:
                problem = e
            assert time.monotonic() < deadline, f"{method} {path}: {problem}"
            self._pause()

    def wait_healthy(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if self.http("GET", "/healthz").status == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            assert time.monotonic() < deadline, f"not healthy: {self.daemon.tail()}"
            self._pause()

    def coffer(self, *args, expect=0, stdin=None, env=None):
        """Runs the command line against this instance; the completed process. expect None: any."""
        command = [program("coffer"), "--dir", str(self.directory), *[str(a) for a in args]]
        done = subprocess.run(command, capture_output=True, text=True, input=stdin or "",
                              timeout=PATIENCE, env=env)
        if expect is not None:
            assert done.returncode == expect, \
                f"{args}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def coffer_json(self, *args, expect=0):
        return json.loads(self.coffer(*args, "--json", expect=expect).stdout)

    # ---- what tests need often ----

    def person(self, email, password="correct horse battery", role="member"):
        self.api("POST", "/people", {"email": email, "name": "A Person", "role": role,
                                     "password": password}, expect=201)
        return email, password

    def challenge(self, **options):
        return self.api("POST", "/scep/challenges", options, expect=201).json()["challenge"]

    def queue(self, device, request_type, expect=202, **parameters):
        body = {"request_type": request_type}
        if parameters:
            body["parameters"] = parameters
        response = self.api("POST", f"/devices/{device}/commands", body, expect=expect)
        return response.json().get("uuid") if expect == 202 else response

    def command(self, device, uuid):
        return self.api("GET", f"/devices/{device}/commands/{uuid}", expect=200).json()


def running(directory, settings):
    """For fixtures: an instance that runs, is ended well, and leaves nothing behind if it isn't."""
    made = Instance(directory)
    try:
        made.init(settings).start()
        yield made
        made.stop()
    finally:
        made.abandon()
