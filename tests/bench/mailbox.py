"""The mailbox of a device: first sync of a large mailbox from a Dovecot on the same machine, memory,
search, and one message written while locked."""

import json
import os
import pathlib
import random
import subprocess
import time

from helpers import instance as instances
from helpers.arrival import Hook
from helpers.device import Device, FactoryCa
from helpers.dovecot import Dovecot, Mailbox

WORDS, TEXT = 20000, 150
ADDRESS = "bench@example.org"


def fill(dovecot, count):
    """As many messages of natural size, straight into the Maildir."""
    rnd = random.Random(1)
    home = dovecot.dir / "mail" / ADDRESS / "Maildir"
    for name in ("cur", "new", "tmp"):
        (home / name).mkdir(parents=True, exist_ok=True)
    # Words as frequent as in texts (Zipf), none the beginning of many others.
    words = [f"{rnd.getrandbits(32):08x}" for _ in range(WORDS)]
    weights = [1 / (n + 10) for n in range(WORDS)]
    for n in range(count):
        text = " ".join(rnd.choices(words, weights, k=TEXT))
        (home / "cur" / f"{1700000000 + n}.M{n}P1.bench:2,").write_text(
            f"From: Person {n % 500} <p{n % 500}@example.com>\r\nTo: {ADDRESS}\r\nSubject: Number {n}"
            f" {rnd.choice(words)}\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{n}@example.com>"
            f"\r\n\r\n{text}\r\n")
    subprocess.run(["chown", "-R", "nobody:nogroup", dovecot.dir / "mail"], check=True)
    return words


def memory(box, name):
    text = pathlib.Path(f"/proc/{box.agent.pid}/status").read_text()
    return int([line for line in text.splitlines() if line.startswith(name)][0].split()[1]) / 1024


def cpu_s(box):
    fields = pathlib.Path(f"/proc/{box.agent.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sync(bench, box, count):
    box.unlock()
    pathlib.Path(f"/proc/{box.agent.pid}/clear_refs").write_text("5")  # Argon2id's 64 MiB are over
    begin, cpu = time.monotonic(), cpu_s(box)

    def got():
        return sum(f["messages"] for f in box.json("folders")["folders"])
    while got() < count:
        assert time.monotonic() - begin < 1200, box.log()
        time.sleep(0.5)
    took = time.monotonic() - begin
    bench.row(f"mailbox: first sync of {count:,} messages", f"{count / took:,.0f}/s"
              f" ({(cpu_s(box) - cpu) / count * 1e6:,.0f} us CPU each)", ">= 2,000/s")
    bench.row("mailbox: the agent's memory in it, at most", f"{memory(box, 'VmHWM'):.0f} MB", "<= 40 MB")


def search(bench, box, words):
    """Over the agent's socket and back, without the start of a program."""
    import socket
    import struct

    def ask(text):
        link = socket.socket(socket.AF_UNIX)
        link.connect(str(box.dir / "agent.sock"))
        data = json.dumps({"do": "search", "words": text}).encode()
        begin = time.monotonic()
        link.sendall(struct.pack(">I", len(data)) + data)
        size = struct.unpack(">I", link.recv(4, socket.MSG_WAITALL))[0]
        link.recv(size, socket.MSG_WAITALL)
        return time.monotonic() - begin
    times = {"the most frequent word": words[0], "a usual word": words[1000],
             "two words": f"{words[50]} {words[60]}", "a person": "person 17"}
    for what, text in times.items():
        took = sorted(ask(text) for _ in range(5))[2]
        bench.row(f"mailbox: search for {what}", f"{took * 1000:.0f} ms", "<= 100 ms")


def locked_write(bench, directory, dovecot):
    """By a lease: from the key to the closed database, as the agent says it."""
    files = directory / "lease-box"
    files.mkdir()
    factory = FactoryCa()
    instance = instances.Instance(files)
    instance.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem"))}}).start()
    try:
        address = "lease@example.org"
        device = Device(instance, factory).enrol(*instance.person(address))
        device.session()
        token = instance.api("POST", f"/devices/{device.udid}/token", expect=201).json()["token"]
        hook = Hook(instance, "bench-imap")
        instance.api("POST", "/mailboxes", {"address": address, "hook": "bench-imap", "login": address},
                     expect=201)
        box = Mailbox(files, dovecot, address)
        box.init("--server", instance.url, "--server-ca", instance.root, "--device-token-file",
                 box.secret(token, "token")).start()
        box.unlock()
        instances.wait_for(lambda: box.status().get("lease_until"), bool, box.log())
        box.run("lock", "--now")
        instances.wait_for(lambda: box.status()["listening"], bool, box.log())
        times = []
        for uid in range(1, 12):
            dovecot.deliver(address, f"Subject: {uid}\r\n\r\n{'text ' * 500}\r\n".encode())
            hook.mail(address, uid)
            times.append(instances.wait_for(
                box.status, lambda s, uid=uid: s["lease_used"] == uid, box.log())["lease_ms"])
        bench.row("mailbox: one message written while locked", f"{sorted(times)[5]} ms", "<= 50 ms")
        box.stop()
    finally:
        instance.stop()


def bench(bench, directory):
    count = int(os.environ.get("BENCH_MESSAGES", "5000" if bench.QUICK else "100000"))
    dovecot = Dovecot()
    try:
        words = fill(dovecot, count)
        files = directory / "mailbox"
        files.mkdir()
        box = Mailbox(files, dovecot, ADDRESS).init().start()
        sync(bench, box, count)
        search(bench, box, words)
        box.stop()
        locked_write(bench, directory, dovecot)
    finally:
        dovecot.close()
