"""A terminal for programs under test: a pty, and what stands on its screen. It knows the sequences
that Coffer's programs write, and nothing else may come."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from helpers import instance as instances

KNOWN = re.compile(rb"\x1b\[(?:(\d+);1H|0?(?:;[17])?m|0m|([JK])|2J|\?1049[hl]|\?25[hl])")


class Screen:
    def __init__(self, command, rows=24, cols=80, env=None):
        self.master, slave = pty.openpty()
        self.rows = {}
        self.row = 1
        self.raw = b""
        self.left = b""
        self._resize(rows, cols)
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, env=env,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def _resize(self, rows, cols):
        self.height, self.width = rows, cols
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def resize(self, rows, cols):
        self.rows = {}
        self._resize(rows, cols)  # the kernel tells the program

    def type(self, text):
        os.write(self.master, text if isinstance(text, bytes) else text.encode())

    def _draw(self, data):
        self.raw += data
        data = self.left + data
        at = 0
        while at < len(data):
            if data[at:at + 1] == b"\x1b":
                found = KNOWN.match(data, at)
                if not found:
                    if len(data) - at < 12:
                        break  # the rest is on its way
                    raise AssertionError(f"an unknown sequence: {data[at:at + 20]!r}")
                if found.group(1):
                    self.row = min(int(found.group(1)), self.height)  # as terminals do
                    self.rows[self.row] = b""
                elif found.group(2) == b"J":
                    self.rows = {n: t for n, t in self.rows.items() if n < self.row}
                elif found.group(0) == b"\x1b[2J":
                    self.rows = {}
                at = found.end()
                continue
            end = data.find(b"\x1b", at)
            text = data[at:end if end >= 0 else len(data)]
            if end < 0 and len(text) > 3:
                end = len(data)
            self.rows[self.row] = self.rows.get(self.row, b"") + text
            at += len(text)
        self.left = data[at:]

    def read(self, seconds=0.1):
        """Takes what comes; False at the end."""
        try:
            while select.select([self.master], [], [], seconds)[0]:
                data = os.read(self.master, 65536)
                if not data:
                    return False
                self._draw(data)
                seconds = 0
        except OSError:  # the program is gone
            return False
        return True

    def text(self):
        return "\n".join(self.rows[n].decode(errors="replace") for n in sorted(self.rows))

    def wait(self, text, absent=False):
        """Until it stands there (or no longer does)."""
        end = time.monotonic() + instances.PATIENCE
        while (text in self.text()) == absent:
            assert self.read() and time.monotonic() < end, (text, self.text())
        return self.text()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
