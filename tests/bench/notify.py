"""Mail for locked devices: from a mail server's hook to the devices' streams, and what mailboxes cost
that are watched at an IMAP server.

Senders are processes of their own with kept connections. Each event's folder is the moment at which it
was sent, so that who hears it knows how long that took.
"""

import asyncio
import hashlib
import json
import multiprocessing
import os
import selectors
import ssl
import subprocess
import sys
import time

import meter
import rows
from helpers import instance as instances
from helpers.arrival import Hook

DEVICES, SENDERS, CONNECTIONS = 500, 2, 8


def token(n):
    return f"cfd_bench_{n}"


def address(n):
    return f"box{n}@example.org"


def fill(instance, mailboxes):
    now = rows.now_ms()
    with rows.opened(instance) as db:
        db.executemany("INSERT INTO person (id, email, name, role, password_hash, disabled, failures,"
                       " retry_after_ms, created_ms) VALUES (?, ?, '', 'member', '', 0, 0, 0, 0)",
                       [(f"p{n}", f"p{n}@example.org") for n in range(DEVICES)])
        db.executemany("INSERT INTO device (id, enrolment_key, udid, serial_number, product, os_version, build,"
                       " name, person_id, state, identity, topic, push_token, push_magic, push_state, token_ms,"
                       " info, enrolled_ms, last_seen_ms, created_ms) VALUES (?, ?, '', '', '', '', '', '', ?,"
                       " 'enrolled', ?, '', x'', '', '', 0, '', ?, ?, ?)",
                       [(f"d{n}", f"k{n}", f"p{n}", os.urandom(32), now, now, now) for n in range(DEVICES)])
        db.executemany("INSERT INTO device_token (device_id, hash, created_ms) VALUES (?, ?, ?)",
                       [(f"d{n}", hashlib.sha256(token(n).encode()).digest(), now) for n in range(DEVICES)])
        db.executemany("INSERT INTO mailbox (account, person_id, source, login, server, sealed, state, problem,"
                       " event_ms, heard_ms, created_by, created_ms) VALUES (?, ?, 'hook:bench', ?, '', x'',"
                       " 'waiting', '', 0, 0, 'bench', ?)",
                       [(address(n), f"p{n % DEVICES}", address(n), now) for n in range(mailboxes)])


def send(port, cafile, headers, boxes, begin, each):
    """One process: its share of the mailboxes, one event each `each` seconds."""
    import http.client
    import threading
    context = ssl.create_default_context(cafile=cafile)

    def run(mine):
        link = http.client.HTTPSConnection("localhost", port, context=context)
        for i, box in enumerate(mine):
            wait = begin + i * each * CONNECTIONS - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            body = {"user": address(box), "event": "messageNew", "folder": str(time.monotonic_ns()),
                    "imap-uidvalidity": 1, "imap-uid": 1}
            link.request("PUT", "/push/v1/hook", json.dumps(body), headers)
            answer = link.getresponse()
            answer.read()
            assert answer.status == 204, answer.status

    threads = [threading.Thread(target=run, args=(boxes[c::CONNECTIONS],)) for c in range(CONNECTIONS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


class Listeners:
    """All devices' streams on one thread."""

    def __init__(self, instance):
        self.selector, self.latencies, self.links = selectors.DefaultSelector(), [], []
        for n in range(DEVICES):
            link = instance.connect("https", None)
            link.request("GET", "/push/v1/stream", headers={"Authorization": f"Bearer {token(n)}"})
            socket = link.sock
            self.links.append(link)
            while b"hello" not in socket.recv(4096):
                pass
            socket.setblocking(False)
            self.selector.register(socket, selectors.EVENT_READ)

    def listen(self, count):
        deadline = time.monotonic() + 120
        while len(self.latencies) < count and time.monotonic() < deadline:
            for key, _ in self.selector.select(1):
                self.take(key.fileobj)

    def take(self, socket):
        now = time.monotonic_ns()
        while True:
            try:
                text = socket.recv(65536)
            except (ssl.SSLWantReadError, BlockingIOError):
                return
            assert text, "a stream has ended"
            for part in text.split(b'"folder":"')[1:]:
                self.latencies.append((now - int(part.split(b'"')[0])) / 1e6)

    def close(self):
        for link in self.links:
            link.close()


def hooks(bench, directory):
    mailboxes, rate = (1000, 500) if bench.QUICK else (10000, 2000)
    instance = instances.Instance(directory / "notify")
    instance.files.mkdir()
    instance.init().start()
    try:
        hook = Hook(instance, "bench")
        fill(instance, mailboxes)
        listeners = Listeners(instance)
        cafile, boxes = str(instance.directory / "public/root.pem"), list(range(mailboxes))
        begin, pids = time.monotonic() + 1, list(instances.processes_of(instance.directory))
        senders = [multiprocessing.Process(target=send, args=(
            instance.port, cafile, hook.headers(), boxes[s::SENDERS], begin, SENDERS / rate)) for s in range(SENDERS)]
        with meter.Meter(pids) as used:
            for s in senders:
                s.start()
            listeners.listen(mailboxes)
            for s in senders:
                s.join()
        seconds = used.seconds - 1
        listeners.close()
        found = sorted(listeners.latencies)
        p99 = found[int(len(found) * 0.99) - 1] if found else float("inf")
        bench.row(f"mail events by hook: {mailboxes} mailboxes, {DEVICES} streams",
                  f"{len(found) / seconds:.0f}/s ({used.cpu / mailboxes:.0f} us CPU each)", f">= {rate * 0.9:.0f}/s",
                  len(found) / seconds >= rate * 0.9)
        bench.row("mail events by hook: from hook to stream", f"p99 {p99:.0f} ms, median {found[len(found) // 2]:.0f} ms",
                  "p99 <= 250 ms", len(found) == mailboxes and p99 <= 250)
    finally:
        instance.stop()
        instance.abandon()


# ---- mailboxes that are watched ----

async def _idle(reader, writer):
    """The least IMAP that can be watched."""
    writer.write(b"* OK\r\n")
    while line := await reader.readline():
        tag, _, rest = line.decode().strip().partition(" ")
        if rest == "CAPABILITY":
            writer.write(b"* CAPABILITY IMAP4rev1 IDLE SASL-IR AUTH=PLAIN\r\n")
        if rest.startswith("EXAMINE"):
            writer.write(b"* OK [UIDVALIDITY 1]\r\n* OK [UIDNEXT 1]\r\n")
        if rest == "IDLE":
            writer.write(b"+\r\n")
            continue
        writer.write(f"{tag} OK\r\n".encode())


def serve(files):
    async def main():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        server = await asyncio.start_server(_idle, "127.0.0.1", 0, ssl=context, backlog=4096)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(main())


def watched(bench, directory):
    count = int(os.environ.get("BENCH_IDLE") or (100 if bench.QUICK else 2000))
    files = directory / "imap-cert.pem", directory / "imap-key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2", "-keyout", files[1],
                    "-out", files[0]], check=True, capture_output=True)
    server = subprocess.Popen([sys.executable, __file__, *map(str, files)], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    instance = instances.Instance(directory / "watched")
    instance.files.mkdir()
    try:
        port = int(server.stdout.readline())
        instance.init({"mailbox": {"imap_ca": str(files[0])}}).start()
        instance.person("bench@example.org")
        courier = instance.pid_of("coffer-courier")
        before = meter.pss_kib(courier)
        for n in range(count):
            instance.api("POST", "/mailboxes", {"address": address(n), "person": "bench@example.org", "login": address(n),
                                                "server": f"imaps://localhost:{port}", "password": "x"}, expect=201)
        instances.wait_for(lambda: rows.count(instance, "SELECT COUNT(*) FROM mailbox WHERE state = 'watched'"),
                           lambda n: n == count, "watched")
        each = (meter.pss_kib(courier) - before) / count
        bench.row(f"mailboxes watched with IDLE over TLS, {count}: memory each", f"{each:.1f} KB", "<= 40 KB", each <= 40)
    finally:
        server.kill()
        server.wait()
        instance.stop()
        instance.abandon()


def bench(bench, directory):
    hooks(bench, directory)
    watched(bench, directory)


if __name__ == "__main__":
    serve(sys.argv[1:])
