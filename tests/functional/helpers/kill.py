"""tests/kill's kill_at: programs are ended at their Nth change of the disk, as by a power cut."""

import os
import pathlib
import subprocess

import pytest

from helpers import instance as instances

KILL_AT = pathlib.Path(instances.BIN).parent / "tests" / "kill" / "kill_at"
# Tests kill at each so many changes of the disk; all of them take minutes.
STRIDE = int(os.environ.get("COFFER_KILL_STRIDE", "7" if not instances.SANITIZER else "29"))
NO_LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}  # they can't be looked for under a tracer


class KillAt:
    """Ends a program that runs at its numberth change of the disk from now on."""

    def __init__(self, pid, number):
        self.process = subprocess.Popen([KILL_AT, str(number), "-p", str(pid)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            pytest.skip(f"SKIPPED LOUDLY: no right to watch a process: {self.process.stderr.read()}")

    def ended(self):
        return self.process.poll() is not None

    def let_go(self):
        self.process.terminate()
        self.process.wait(instances.PATIENCE)

    def last(self):
        """What it says when the program has ended."""
        return self.process.communicate(timeout=instances.PATIENCE)[0].splitlines()[-1]
