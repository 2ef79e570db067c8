"""What processes cost: CPU time and memory, read from /proc."""

import os
import pathlib
import re
import subprocess
import time

from helpers import instance

TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


def cpu_us(pids):
    """User and system time of these processes so far, all their threads, in microseconds."""
    total = 0
    for pid in pids:
        # the second field is the program's name in brackets and may hold blanks
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total * TICK_US


def pss_kib(pid):
    """Proportional set size: shared pages are divided among those who share them."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE).group(1))


def pss_of(processes):
    """name -> KiB for {pid: name}."""
    return {name: pss_kib(pid) for pid, name in processes.items()}


class Meter:
    """CPU of a group of processes and wall time between `with` and its end."""

    def __init__(self, pids):
        self.pids = list(pids)

    def __enter__(self):
        self.cpu_before, self.start = cpu_us(self.pids), time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.start
        self.cpu = cpu_us(self.pids) - self.cpu_before


def coffer(instance_):
    return instance.processes_of(instance_.directory)


def rsa_private_us(seconds=1, at_once=1):
    """One RSA-2048 private operation by `openssl speed`, one thread: microseconds of CPU. With
    several at once, each a process: their mean. (Its -multi goes by the clock on the wall, which
    says nothing on a machine that others use.)"""
    running = [subprocess.Popen(["openssl", "speed", "-seconds", str(seconds), "rsa2048"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
               for _ in range(at_once)]
    each = []
    for process in running:
        with process:
            out = process.communicate()[0]
        found = re.search(r"^rsa 2048 bits +\S+s +\S+s +([\d.]+)", out, re.MULTILINE)
        each.append(1e6 / float(found.group(1)))
    return sum(each) / len(each)


def busy_share(seconds=1.0):
    """How much of the machine others use while we do nothing: 0 to 1."""
    def idle_and_all():
        fields = [int(f) for f in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return fields[3] + fields[4], sum(fields)
    idle, everything = idle_and_all()
    time.sleep(seconds)
    idle_after, everything_after = idle_and_all()
    return 1 - (idle_after - idle) / max(1, everything_after - everything)
