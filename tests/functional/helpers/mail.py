"""Mail servers and clients for the tests of the gateway: next hops that behave as told, and raw
SMTP."""

import email.policy
import socket
import threading

from helpers import instance as instances


class Transaction:
    """What a next hop was given."""

    def __init__(self, mail, rcpts, forward):
        self.mail, self.rcpts, self.forward, self.data = mail, rcpts, forward, b""

    @property
    def sender(self):
        return self.mail[self.mail.index("<") + 1:self.mail.index(">")]

    @property
    def recipients(self):
        return [r[r.index("<") + 1:r.index(">")] for r in self.rcpts]

    def message(self):
        return email.message_from_bytes(self.data, policy=email.policy.default)


class NextHop:
    """An SMTP or LMTP server that takes what it is given, unless a rule says otherwise.

    rules: a function (event, argument) -> None, a reply line, "drop" (the connection ends) or
    an Event to be waited for first. Events: greet, ehlo, mail, rcpt, data, middle, dot (with LMTP
    once a recipient), forward.
    """

    EXTENSIONS = ("PIPELINING", "SIZE 20000000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES",
                  "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE")

    def __init__(self, rules=None, lmtp=False, extensions=EXTENSIONS, tls=None, implicit=None,
                 port=0):
        self.rules = rules or (lambda event, argument: None)
        self.lmtp, self.extensions, self.tls, self.implicit = lmtp, list(extensions), tls, implicit
        self.taken, self.changed = [], threading.Condition()
        self.connections, self.live = 0, []
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        self.drop_all()

    def drop_all(self):
        for one in self.live:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def wait(self, count):
        """The first `count` mails."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.taken) >= count, instances.PATIENCE), \
                f"{len(self.taken)} of {count} mails came"
            return self.taken[:count]

    def _accept(self):
        while True:
            try:
                one, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            self.live.append(one)
            threading.Thread(target=self._serve_quietly, args=(one,), daemon=True).start()

    def _serve_quietly(self, one):
        try:
            if self.implicit:
                one = self.implicit.wrap_socket(one, server_side=True)
            self._serve(one)
        except (OSError, ValueError):
            pass
        finally:
            one.close()

    def _rule(self, event, argument=""):
        told = self.rules(event, argument)
        if isinstance(told, threading.Event):
            told.wait(instances.PATIENCE)
            return None
        if told == "drop":
            raise OSError("told to drop")
        return told

    def _serve(self, one):
        stream = one.makefile("rwb")

        def say(*lines):
            for line in lines:
                stream.write(line.encode() + b"\r\n")
            stream.flush()

        say(self._rule("greet") or "220 next.example.org ESMTP")
        now, forward, encrypted = None, {}, self.implicit is not None
        while line := stream.readline():
            assert line.endswith(b"\r\n"), line
            text = line[:-2].decode()
            verb = text.split(" ")[0].upper()
            if verb in ("EHLO", "HELO", "LHLO"):
                assert (verb == "LHLO") == self.lmtp, verb
                told = self._rule("ehlo", text)
                names = self.extensions + (["STARTTLS"] if self.tls and not encrypted else [])
                if verb == "HELO" or not names:
                    say(told or "250 next.example.org")
                else:
                    say(told) if told else say(
                        "250-next.example.org", *[f"250-{n}" for n in names[:-1]],
                        f"250 {names[-1]}")
            elif verb == "STARTTLS":
                say("220 2.0.0 go")
                one = self.tls.wrap_socket(one, server_side=True)
                self.live.append(one)
                stream, encrypted = one.makefile("rwb"), True
            elif verb == "XFORWARD":
                forward.update(part.split("=", 1) for part in text.split(" ")[1:])
                say(self._rule("forward", text) or "250 2.0.0 Ok")
            elif verb == "MAIL":
                told = self._rule("mail", text)
                if not told:
                    now = Transaction(text, [], dict(forward))
                say(told or "250 2.1.0 Ok")
            elif verb == "RCPT":
                told = "503 5.5.1 MAIL first" if not now else self._rule("rcpt", text)
                if not told:
                    now.rcpts.append(text)
                say(told or "250 2.1.5 Ok")
            elif verb == "DATA":
                told = self._rule("data") if now and now.rcpts else "554 5.5.1 no recipients"
                say(told or "354 go")
                if told:
                    continue
                self._content(stream, now)
                self._verdict(say, now)
                now, forward = None, {}
            elif verb == "RSET":
                now = None
                say("250 2.0.0 Ok")
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("502 5.5.1 unknown")

    def _content(self, stream, now):
        lines = []
        while (line := stream.readline()) != b".\r\n":
            assert line, "the end of the connection in DATA"
            lines.append(line[1:] if line.startswith(b".") else line)
            self._rule("middle")
        now.data += b"".join(lines)

    def _verdict(self, say, now):
        replies = []
        for rcpt in now.rcpts if self.lmtp else [""]:
            replies.append(self._rule("dot", rcpt) or "250 2.0.0 taken")
        good = [r for r, reply in zip(now.rcpts, replies) if reply.startswith("2")] \
            if self.lmtp else now.rcpts if replies[0].startswith("2") else []
        if good:
            now.rcpts = good
            with self.changed:
                self.taken.append(now)
                self.changed.notify_all()
        say(*replies)


class Raw:
    """A client that says exactly what the test wants."""

    def __init__(self, port, source=None):
        self.socket = socket.create_connection(("127.0.0.1", port), instances.PATIENCE,
                                               (source, 0) if source else None)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()
        self.socket.close()

    def reply(self):
        """One reply, its lines joined; "" at the end of the connection."""
        lines = []
        while line := self.stream.readline():
            lines.append(line.decode().rstrip("\r\n"))
            if line[3:4] != b"-":
                break
        return "\n".join(lines)

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def say(self, line):
        self.send(line + "\r\n")
        return self.reply()

    def begin(self, sender="anna@example.org", recipients=("ben@example.org",), hello="EHLO client"):
        """Up to the 354."""
        assert self.reply().startswith("220")
        assert self.say(hello).startswith("250")
        assert self.say(f"MAIL FROM:<{sender}>").startswith("250")
        for recipient in recipients:
            assert self.say(f"RCPT TO:<{recipient}>").startswith("250")
        assert self.say("DATA").startswith("354")


def message(subject="Hello", body="A line.\r\n", **headers):
    lines = [f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items()]
    return ("From: anna@example.org\r\nTo: ben@example.org\r\nMessage-ID: <1@example.org>\r\n"
            f"Subject: {subject}\r\n{''.join(lines)}\r\n{body}").encode()
