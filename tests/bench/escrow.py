"""Escrow: leases put and renewed, releases while as many expired ones are swept, objects dealt and
re-dealt; in the key process's code alone, and re-dealing by whole officers' programs."""

import os
import re
import subprocess
import sys
import pathlib

# A million take a quarter of an hour to archive, each durably: BENCH_OBJECTS=1000000 for the limit's own.
OBJECTS = os.environ.get("BENCH_OBJECTS", "20000")
HERE = pathlib.Path(__file__).resolve().parent
TARGETS = {"leases put": 10000, "leases renewed": 10000}


def keeper_rows(bench):
    """The lines of bench_escrow, each with its limit."""
    leases, objects = ("100000", "2000") if bench.QUICK else ("1000000", OBJECTS)
    for line in bench.run_lines(bench.BUILD / "tests/unit/keeper/bench_escrow", leases, objects):
        what, figure = re.match(r"(.*?\S) {2,}(\S.*)", line).groups()
        rate = re.match(r"(\d+)/s", figure)
        p99 = re.search(r"p99 ([\d.]+) ms", figure)
        if what in TARGETS:
            bench.row(f"keeper alone: {what}", figure, f">= {TARGETS[what]} /s",
                      int(rate.group(1)) >= TARGETS[what])
        elif what.startswith("releases of "):
            count = int(what.rsplit(" ", 1)[1])
            bench.row(f"keeper alone: look-up and release for delivery beside {count:,} objects",
                      figure, "p99 <= 5 ms", float(p99.group(1)) <= 5)
        elif what == "releases meanwhile":
            bench.row("keeper alone: releases during that sweep", figure, "p99 <= 20 ms",
                      float(p99.group(1)) <= 20)
        else:
            bench.row(f"keeper alone: {what}", figure)


def redeal_rows(bench):
    done = subprocess.run([sys.executable, HERE / "redeal.py", bench.BUILD / "bin",
                           "2000" if bench.QUICK else "10000", "--parallel"],
                          capture_output=True, text=True, check=True)
    everything = re.search(r"all: .*, (\d+) a second", done.stdout).group(1)
    used = re.search(r"processor time of 1,000 objects: (.*)", done.stdout).group(1)
    bench.row("objects re-dealt by two officers' programs, all on this machine",
              f"{everything} /s; CPU of 1,000: {used}", ">= 2000 /s", int(everything) >= 2000)


def bench_all(bench):
    bench.say("escrow")
    keeper_rows(bench)
    redeal_rows(bench)
