"""An LDAP server that lies: BER by hand (RFC 4511), one script of answers for each connection."""

import socket
import threading


def ber(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    if n < 128:
        return bytes([tag, n]) + body
    size = (n.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + n.to_bytes(size, "big") + body


def integer(n):
    return ber(0x02, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def text(value):
    return ber(0x04, value if isinstance(value, bytes) else value.encode())


def result(tag, code=0, words="", more=b""):
    return ber(tag, ber(0x0A, bytes([code])), text(""), text(words), more)


def entry(dn, **attributes):
    listed = b"".join(ber(0x30, text(name), ber(0x31, *[text(v) for v in values]))
                      for name, values in attributes.items())
    return ber(0x64, text(dn), ber(0x30, listed))


def person(uid="nurse", dn=None, mail=None, ident=None, **more):
    return entry(dn or f"uid={uid},ou=people,dc=example,dc=org", mail=[mail or f"{uid}@example.org"],
                 uid=[uid], cn=[uid], entryUUID=[ident or f"id-{uid}"], **more)


def page_control(cookie):
    value = ber(0x30, integer(0), text(cookie))
    return ber(0xA0, ber(0x30, text("1.2.840.113556.1.4.319"), text(value)))


BIND, SEARCH, UNBIND = 0x60, 0x63, 0x42


class FalseLdap:
    """`answer(server, tag, number, body)` gives the protocol operations to send for a request, as
    bytes or (operation, controls); None: no answer, ever; an Exception: the connection is cut."""

    def __init__(self, answer):
        self.answer, self.seen, self.lock = answer, [], threading.Lock()
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(50)
        self.port = self.socket.getsockname()[1]
        self.open, self.stopped = [], False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with self.lock:
                self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @staticmethod
    def _read(connection):
        head = connection.recv(2, socket.MSG_WAITALL)
        if len(head) < 2:
            return None
        n = head[1]
        if n & 0x80:
            n = int.from_bytes(connection.recv(n & 0x7F, socket.MSG_WAITALL), "big")
        return connection.recv(n, socket.MSG_WAITALL)

    def _serve(self, connection):
        try:
            while (message := self._read(connection)) is not None:
                size = message[1]
                number = int.from_bytes(message[2:2 + size], "big")
                tag = message[2 + size]
                with self.lock:
                    self.seen.append((tag, message))
                if tag == UNBIND:
                    return
                answers = self.answer(self, tag, number, message)
                for one in answers if answers is not None else []:
                    if isinstance(one, Exception):
                        return
                    if isinstance(one, Raw):
                        connection.sendall(one.bytes)
                        continue
                    operation, controls = one if isinstance(one, tuple) else (one, b"")
                    number_again = ber(0x02, message[2:2 + size])
                    connection.sendall(ber(0x30, number_again, operation, controls))
        except OSError:
            pass
        finally:
            connection.close()

    def stop(self):
        self.socket.close()
        with self.lock:
            for connection in self.open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def settings(self, **more):
        return {"ldap": {"url": f"ldap://127.0.0.1:{self.port}", "insecure": "yes",
                         "base": "dc=example,dc=org", "user_base": "ou=people,dc=example,dc=org",
                         "timeout": "1s", "sync_interval": "0s", **more}}


class Raw:
    """Bytes that are no whole message."""

    def __init__(self, data):
        self.bytes = data


def searching(*entries, code=0, more=b""):
    """Lets everybody in; every search finds these."""
    def answer(server, tag, number, message):
        if tag == BIND:
            return [result(0x61)]
        return [*entries, result(0x65, code, more=more)]
    return answer
