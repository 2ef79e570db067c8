"""A clock that tests set, for programs at work: tests/kill/clock_off.c, loaded before them."""

import os
import pathlib
import struct
import time

from helpers import instance as instances

LIBRARY = pathlib.Path(instances.BIN).parent / "tests" / "kill" / "libclock_off.so"
HOUR, DAY = 3600, 86400


class Clock:
    """As far off as it was last told, for each program started with `env`."""

    def __init__(self, path):
        self.path, self.wall, self.mono = pathlib.Path(path), 0, 0
        self._write()

    @property
    def env(self):
        return {**os.environ, "LD_PRELOAD": str(LIBRARY), "COFFER_TEST_CLOCK_FILE": str(self.path)}

    def _write(self):
        if not self.path.exists():
            self.path.write_bytes(bytes(16))
        with open(self.path, "r+b") as f:  # in place: it is mapped
            f.write(struct.pack("=qq", self.wall, self.mono))

    def now(self):
        return int(time.time()) + self.wall

    def set(self, by):
        """Somebody sets the time of day, back with a negative number."""
        self.wall += by
        self._write()

    def pass_by(self, seconds):
        """Time passes, for both clocks. Not for a program whose threads wait until a moment."""
        self.wall += seconds
        self.mono += seconds
        self._write()
