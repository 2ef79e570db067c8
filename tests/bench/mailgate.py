"""The mail gateway: messages of 8 KB through an instance whose policy signs each with a P-256 key
in the keeper and encrypts it to two recipients, from 16 senders to one next hop."""

import re
import statistics
import subprocess

import meter
from helpers import instance as instances

SENDERS, SIZE = 16, 8192
ANNA, BEN, CLEO = "anna@example.org", "ben@example.org", "cleo@example.org"


def resident_peak_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) / 1024


def start(directory):
    gate, sink = instances.free_ports(2)
    instance = instances.Instance(directory / "mailgate")
    instance.files.mkdir()
    instance.init({
        "mailgate": {"listen_out": f"127.0.0.1:{gate}", "next_out": f"smtp:127.0.0.1:{sink}",
                     "hostname": "gate.example.org"},
        "mail_policy": {"domains": "example.org"},
        "keeper": {"workers": "0"}}).start()
    for person in (ANNA, BEN, CLEO):
        instance.coffer("user", "add", person, "--name", "A Person")
        instance.coffer("key", "new", person)
    return instance, gate, sink


def load(bench, ports, messages):
    done = subprocess.run([str(bench.BUILD / "tests/unit/mailgate/bench_mailgate"), *map(str, ports),
                           str(SENDERS), str(messages), str(SIZE), ANNA, f"{BEN},{CLEO}"],
                          capture_output=True, text=True, check=True, timeout=600)
    return float(done.stdout)


def measure(bench, instance, ports, messages):
    """Messages a second (median of the rounds) and CPU microseconds a message of all of Coffer."""
    pids = list(instances.processes_of(instance.directory))
    load(bench, ports, messages // 10)
    rates, cpu = [], []
    for _ in range(bench.ROUNDS):
        with meter.Meter(pids) as used:
            rates.append(load(bench, ports, messages))
        cpu.append(used.cpu / messages)
    return statistics.median(rates), statistics.median(cpu)


def bench(bench, directory):
    instance, gate, sink = start(directory)
    try:
        messages = 500 if bench.QUICK else 5000
        plain, plain_cpu = measure(bench, instance, (gate, sink), messages)
        instance.coffer("mail", "policy", "set", "*", "encrypt=require", "sign=yes")
        rate, cpu = measure(bench, instance, (gate, sink), messages)
        peak = resident_peak_mb(instance.pid_of("coffer-mailgate"))
        bench.row("mail gateway: messages of 8 KB a second, as they are",
                  f"{plain:.0f}/s ({plain_cpu:.0f} us CPU each)")
        bench.row("mail gateway: signed with P-256 and encrypted to 2 recipients",
                  f"{rate:.0f}/s ({cpu:.0f} us CPU each)", ">= 1,000/s", rate >= 1000)
        bench.row("mail gateway: most memory", f"{peak:.1f} MB", "<= 100 MB", peak <= 100)
    finally:
        instance.stop()
        instance.abandon()
