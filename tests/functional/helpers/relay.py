"""A relay between a client and a service that counts bytes, and can hold them back at a certain number."""

import select
import socket
import threading


class Relay:
    """Listens at `address`, the service's own port; up: bytes to the service, down: from it."""

    def __init__(self, port, address="127.0.0.2"):
        self.target = ("127.0.0.1", port)
        self.listener = socket.create_server((address, port))
        self.up = self.down = 0
        self.hold_up = self.hold_down = None
        self.held = threading.Event()
        self.sockets, self.ended = [], False
        threading.Thread(target=self._serve, daemon=True).start()

    def hold(self, up=None, down=None):
        """From so many more bytes on nothing passes."""
        self.held.clear()
        self.hold_up = None if up is None else self.up + up
        self.hold_down = None if down is None else self.down + down

    def cut(self):
        """Ends all connections; new ones pass."""
        self.hold_up = self.hold_down = None
        for one in self.sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.sockets = []

    def count(self):
        """(up, down) since the last call."""
        counted, self.up, self.down = (self.up, self.down), 0, 0
        return counted

    def close(self):
        self.ended = True
        self.cut()
        self.listener.close()

    def _serve(self):
        while not self.ended:
            try:
                client, _ = self.listener.accept()
                service = socket.create_connection(self.target)
            except OSError:
                return
            self.sockets += [client, service]
            threading.Thread(target=self._pump, args=(client, service), daemon=True).start()

    def _may_pass(self):
        full = (self.hold_up is not None and self.up >= self.hold_up) or \
               (self.hold_down is not None and self.down >= self.hold_down)
        if full:
            self.held.set()
        return not full

    def _pump(self, client, service):
        try:
            while not self.ended:
                ready, _, _ = select.select([client, service], [], [], 0.1)
                if not self._may_pass():
                    threading.Event().wait(0.05)
                    if client.fileno() < 0 or client not in self.sockets:
                        break
                    continue
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    if one is client:
                        self.up += len(data)
                        service.sendall(data)
                    else:
                        self.down += len(data)
                        client.sendall(data)
        except (OSError, ValueError):
            pass
        finally:
            for one in (client, service):
                one.close()
