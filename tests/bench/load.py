"""A closed-loop HTTP/1.1 load generator for requests that were made beforehand.

One thread, non-blocking sockets, keep-alive. A job is a list of requests (bytes) that one
connection sends one after the other; each reply must be as `check` wants it. Every connection
takes the next job when its last one is done, so there are never more jobs open than connections.
"""

import re
import selectors
import socket
import ssl
import time

REPLY_MAX = 1 << 20
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)


class Failed(Exception):
    """The server answered something else than the benchmark expects: its figures are worthless."""


def request(method, target, body, headers):
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def _body(reply, head):
    """The body of a reply whose head ends at `head`, or None while some is missing."""
    if _CHUNKED.search(reply, 0, head + 2):
        return bytes(reply[head + 4:]) if reply.endswith(b"\r\n0\r\n\r\n") else None
    found = _LENGTH.search(reply, 0, head + 2)
    end = head + 4 + (int(found.group(1)) if found else 0)
    return bytes(reply[head + 4:end]) if len(reply) >= end else None


class _Connection:
    def __init__(self, port, tls):
        plain = socket.create_connection(("127.0.0.1", port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        self.socket.setblocking(False)
        self.job, self.step, self.started = None, 0, 0.0
        self.out, self.reply = b"", bytearray()

    def begin(self, job):
        self.job, self.step, self.started = job, 0, time.monotonic()
        self.send(job[0])

    def send(self, data):
        self.reply.clear()
        self.out = data
        self.flush()

    def flush(self):
        """Sends what it can; True when nothing is left."""
        while self.out:
            try:
                self.out = self.out[self.socket.send(self.out):]
            except (BlockingIOError, ssl.SSLWantWriteError):
                return False
        return True

    def read(self):
        """Takes what came; (status, body) when the reply is complete, else None."""
        while True:
            try:
                data = self.socket.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError):
                return None
            if not data:
                raise Failed(f"the server closed a connection after {bytes(self.reply[:300])!r}")
            self.reply += data
            if len(self.reply) > REPLY_MAX:
                raise Failed("the reply does not end")
            head = self.reply.find(b"\r\n\r\n")
            if head < 0:
                continue
            body = _body(self.reply, head)
            if body is not None:
                return int(self.reply[9:12]), body


class Load:
    """Connections that are open before anything is measured."""

    def __init__(self, port, connections, cafile=None):
        tls = ssl.create_default_context(cafile=str(cafile)) if cafile else None
        self.selector = selectors.DefaultSelector()
        self.connections = [_Connection(port, tls) for _ in range(connections)]
        for c in self.connections:
            self.selector.register(c.socket, selectors.EVENT_READ, c)

    def close(self):
        self.selector.close()
        for c in self.connections:
            c.socket.close()

    def _watch(self, c):
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if c.out else 0)
        self.selector.modify(c.socket, events, c)

    def run(self, jobs, check):
        """Runs all jobs; seconds that each took. check(job, step, status, body) raises."""
        waiting, latencies, total = iter(jobs), [], len(jobs)
        for c in self.connections:
            job = next(waiting, None)
            if job is not None:
                c.begin(job)
                if c.out:
                    self._watch(c)
        while len(latencies) < total:
            ready = self.selector.select(60)
            if not ready:
                raise Failed("no reply for a minute")
            for key, events in ready:
                c = key.data
                if events & selectors.EVENT_WRITE and c.flush():
                    self._watch(c)
                if events & selectors.EVENT_READ:
                    self._advance(c, waiting, latencies, check)
        return latencies

    def _advance(self, c, waiting, latencies, check):
        answer = c.read()
        if answer is None:
            return
        check(c.job, c.step, *answer)
        c.step += 1
        if c.step < len(c.job):
            c.send(c.job[c.step])
        else:
            latencies.append(time.monotonic() - c.started)
            job = next(waiting, None)
            if job is None:
                return
            c.begin(job)
        if c.out:
            self._watch(c)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
