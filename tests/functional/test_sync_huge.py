"""A sparse file of 5 GiB through the real programs. It takes minutes and 6 GiB of disk: COFFER_HUGE=1 asks for it."""

import os
import subprocess
import time

import pytest

from helpers import instance as instances
from helpers.proc import bytes_of
from helpers.sync_client import person
from test_sync_client import ANNA, Device

SIZE = 5 * 1024**3 + 12345
SPOTS = {0: 300_000, 1_234_567_890: 2_000_000, 2**32 - 5000: 10_000, SIZE - 70_001: 70_001}  # offset: bytes
MEMORY = 33 * 1024  # KiB: two parts of 8 MiB, and libraries

pytestmark = pytest.mark.skipif(not os.environ.get("COFFER_HUGE"), reason="COFFER_HUGE is not set")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    yield from instances.running(tmp_path_factory.mktemp("service"), {"sync": {"enabled": "yes"}})


def peak(pid):
    """Most memory so far, in KiB: wait4() would count that of who started it, too."""
    lines = (bytes_of(f"/proc/{pid}/status") or b"").decode().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def run(device, *words):
    """A run, and the most memory it had."""
    memory, begun = 0, time.monotonic()
    with open(device.home / "said", "w+", encoding="utf-8") as out, subprocess.Popen(
            device.arguments("run", str(device.folder), "--once", *words), stdout=out, stderr=out) as running:
        while running.poll() is None:
            memory = max(memory, peak(running.pid))
            time.sleep(0.02)
        out.seek(0)
        said = out.read()
    assert running.returncode == 0, said
    print(f"{device.name}: {memory} KiB, {time.monotonic() - begun:.1f} s; {said.strip()}")
    return said, memory


def extents(path):
    """Where the file has data: {offset: bytes}, of 64 KiB blocks."""
    found = set()
    with open(path, "rb") as f:
        at = 0
        while True:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                return found
            end = os.lseek(f.fileno(), at, os.SEEK_HOLE)
            found |= set(range(at // 65536, (end + 65535) // 65536))
            at = end


def test_five_gibibytes_of_holes_go_up_and_come_down(service, tmp_path):
    token = person(service, ANNA)
    laptop = Device(service, tmp_path, "laptop", ANNA, token).init()
    desktop = Device(service, tmp_path, "desktop", ANNA, token).join(laptop)
    data = {at: os.urandom(n) for at, n in SPOTS.items()}
    with open(laptop.folder / "disk.img", "wb") as f:
        f.truncate(SIZE)
        for at, piece in data.items():
            f.seek(at)
            f.write(piece)
    said, memory = run(laptop)
    assert '"uploaded":1' in said and memory <= MEMORY, memory
    said, memory = run(laptop)
    assert '"uploaded":0' in said and '"requests":1' in said and memory <= MEMORY, memory
    said, memory = run(desktop)
    assert '"downloaded":1' in said and memory <= MEMORY, memory
    there = desktop.folder / "disk.img"
    assert there.stat().st_size == SIZE
    assert there.stat().st_blocks * 512 < 8 * 1024 * 1024
    wanted = {block for at, n in SPOTS.items() for block in range(at // 65536, (at + n - 1) // 65536 + 1)}
    assert wanted <= extents(there) and len(extents(there)) < 4 * len(wanted)
    with open(there, "rb") as f:
        for at, piece in data.items():
            f.seek(at)
            assert f.read(len(piece)) == piece
            f.seek(max(0, at - 100))
            assert f.read(min(at, 100)) == b"\0" * min(at, 100)
