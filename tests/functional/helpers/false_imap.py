"""An IMAP server for tests: mailboxes in memory, IDLE, CONDSTORE; and it can be told to lie."""

import base64
import socket
import ssl
import threading


class FalseImap:
    """Over TLS with `files` (certificate, key). Users: name -> password."""

    def __init__(self, files, users):
        self.users, self.uidvalidity = users, 7
        self.uidnext = {user: 1 for user in users}
        self.changed = threading.Condition()
        self.idling, self.logins, self.commands = {}, [], []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*map(str, files))
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.url = f"imaps://localhost:{self.port}"
        self.gone = {}  # user -> UIDs that are there no more
        self.greeting, self.floods, self.sockets = b"* OK ready\r\n", {}, []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        try:
            link = self.context.wrap_socket(plain, server_side=True)
            self.sockets.append(link)
            self._talk(link)
        except (OSError, ValueError):
            pass
        finally:
            plain.close()

    def _talk(self, link):
        user, lines = None, link.makefile("rb")
        link.sendall(self.greeting)
        for line in lines:
            tag, _, rest = line.decode().strip().partition(" ")
            self.commands.append(rest.split(" ")[0])
            if rest == "CAPABILITY":
                link.sendall(b"* CAPABILITY IMAP4rev1 IDLE CONDSTORE ENABLE QRESYNC SASL-IR AUTH=PLAIN\r\n")
            elif rest.startswith("AUTHENTICATE PLAIN "):
                _, name, password = base64.b64decode(rest.split(" ")[2]).decode().split("\0")
                self.logins.append(name)
                if self.users.get(name) != password:
                    link.sendall(f"{tag} NO wrong\r\n".encode())
                    continue
                user = name
            elif rest.startswith("EXAMINE"):
                self.resync(link, user, rest)
                link.sendall(f"* {self.uidnext[user] - 1} EXISTS\r\n* OK [UIDVALIDITY {self.uidvalidity}] x\r\n"
                             f"* OK [UIDNEXT {self.uidnext[user]}] x\r\n"
                             f"* OK [HIGHESTMODSEQ {100 + self.uidnext[user]}] x\r\n".encode())
            elif rest == "ENABLE QRESYNC":
                link.sendall(b"* ENABLED QRESYNC\r\n")
            elif rest.startswith("UID FETCH"):
                low, last = int(rest.split(" ")[2].split(":")[0]), self.uidnext[user] - 1
                for uid in self.there(user, range(min(low, last), last + 1)) if last else ():
                    link.sendall(f"* {uid} FETCH (UID {uid} MODSEQ ({100 + uid}))\r\n".encode())
            elif rest == "IDLE":
                self._idle(link, lines, user)
            link.sendall(f"{tag} OK done\r\n".encode())

    def there(self, user, uids):
        return [uid for uid in uids if uid not in self.gone.get(user, ())]

    def resync(self, link, user, command):
        """EXAMINE INBOX (QRESYNC (uidvalidity modseq uids)): what is new, and what has gone (RFC 7162)."""
        if "QRESYNC" not in command:
            return
        validity, since, uids = command.replace("(", "").replace(")", "").split(" ")[3:]
        low, high = map(int, uids.split(":"))
        assert int(validity) == self.uidvalidity and 0 < int(since) <= 100 + self.uidnext[user] and high == 2**32 - 1
        for uid in self.there(user, range(low, self.uidnext[user])):
            link.sendall(f"* {uid} FETCH (UID {uid} FLAGS () MODSEQ ({100 + uid}))\r\n".encode())

    def _idle(self, link, lines, user):
        link.sendall(b"+ idling\r\n")
        with self.changed:
            self.idling[user] = link
            self.changed.notify_all()
        try:
            link.sendall(self.floods.get(user, b""))
            if lines.readline() != b"DONE\r\n":
                raise OSError("it ended")
        finally:
            with self.changed:
                self.idling.pop(user, None)

    def await_idle(self, user):
        with self.changed:
            assert self.changed.wait_for(lambda: user in self.idling, 60), self.commands[-20:]

    def deliver(self, user, count=1, quiet=False):
        """`quiet`: the server says nothing of it by itself."""
        with self.changed:
            self.uidnext[user] += count
            if not quiet and user in self.idling:
                self.idling[user].sendall(f"* {self.uidnext[user] - 1} EXISTS\r\n".encode())
        return self.uidnext[user] - 1

    def cut(self):
        """Ends all connections."""
        with self.changed:
            self.idling.clear()
        for link in self.sockets:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.sockets.clear()

    def stop(self):
        self.listener.close()
        self.cut()
