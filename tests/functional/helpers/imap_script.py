"""An IMAP server that says what a test wants it to: folders and messages in memory, which tests may add
to at any time, without IDLE, and a hook for answers of its own. And servers that take a connection and say nothing."""

import re
import socket
import threading


class ImapScript:
    """`folders`: name (bytes, as it goes over the wire) -> {uid: message}. `odd(verb, rest)` may answer
    in the place of the server: a list of lines, or None."""

    def __init__(self, folders, odd=None):
        self.folders, self.odd, self.validity = folders, odd, {}
        self.selects = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    def where(self):
        return "--imap", f"localhost:{self.port}", "--tls", "none"

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # who waits in accept() holds it open past close()
        self.accepting.join()
        self.listener.close()

    def _accept(self):
        while True:
            try:
                link = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._talk, args=(link,), daemon=True).start()

    def _talk(self, link):
        try:
            with link, link.makefile("rb") as lines:  # closed when it ends, whoever else knows it
                self._converse(link, lines)
        except OSError:
            pass

    def _converse(self, link, lines):
        link.sendall(b"* OK ready\r\n")
        chosen = {}
        for line in lines:
            tag, _, rest = line.strip().partition(b" ")
            verb, _, rest = rest.partition(b" ")
            if verb == b"LOGIN":
                link.sendall(b"+ go on\r\n")
                lines.readline()
            if verb == b"APPEND":
                link.sendall(b"+ go on\r\n")
                message = lines.read(int(rest.rpartition(b"{")[2].rstrip(b"}")))
                lines.readline()
                folder = self.folders.setdefault(rest.split(b'"')[1], {})
                folder[max(list(folder), default=0) + 1] = message
            answer = self.odd(verb, rest) if self.odd else None
            if answer is None:
                answer, chosen = self._answer(verb, rest, chosen)
            link.sendall(b"".join(a + b"\r\n" for a in answer) + tag + b" OK done\r\n")

    def _answer(self, verb, rest, chosen):
        if verb == b"LIST":
            return [b'* LIST () "/" "' + name + b'"' for name in list(self.folders)], chosen
        if verb == b"SELECT":
            name = rest.split(b'"')[1]
            self.selects += 1
            chosen = self.folders[name]
            said = [b"* %d EXISTS" % len(chosen)]
            validity = self.validity.get(name, 7)
            if validity:
                said.append(b"* OK [UIDVALIDITY %d] is it" % validity)
            return said, chosen
        if verb == b"UID" and rest.startswith(b"SEARCH"):
            first = int(re.search(rb"UID (\d+):", rest).group(1))
            return [b"* SEARCH " + b" ".join(b"%d" % u for u in list(chosen) if u >= first)], chosen
        if verb == b"UID" and rest.startswith(b"FETCH"):
            return self._fetch(rest, chosen), chosen
        return [], chosen

    @staticmethod
    def _fetch(rest, chosen):
        said = []
        wanted = set()
        for part in rest.split(b" ")[1].split(b","):
            first, _, last = part.partition(b":")
            wanted.update(range(int(first), int(last or first) + 1))
        for uid, message in list(chosen.items()):
            if uid not in wanted:
                continue
            if b"BODY" in rest:
                said.append(b"* 1 FETCH (UID %d FLAGS () BODY[] {%d}\r\n%s)" % (uid, len(message),
                                                                              message))
            else:
                said.append(b"* 1 FETCH (UID %d FLAGS () RFC822.SIZE %d)" % (uid, len(message)))
        return said


class Silent:
    """Takes connections and says nothing until it is closed."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.links, self.reached = [], threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        listener = self.listener
        while True:
            try:
                self.links.append(listener.accept()[0])
            except OSError:
                return
            self.reached.set()

    def close(self):
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)  # who waits in accept() holds it open past close()
            self.listener.close()
            self.listener = None
        for link in self.links:
            link.close()
