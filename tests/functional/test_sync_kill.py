"""`coffer sync` and the service killed at each change of the disk, with full disks and wrong clocks: nothing that
was there before is lost, what comes after goes its way, and nothing is left lying about."""

import json
import os
import pathlib
import re
import subprocess

import pytest

from helpers import instance as instances
from helpers.instance import PATIENCE
from helpers.kill import KILL_AT, NO_LEAKS, STRIDE, KillAt
from test_crash import fill, small_disk  # noqa: F401 - a fixture
from test_sync_client import ANNA, MIB, Device, devices, people, service  # noqa: F401 - fixtures

CLOCK_OFF = pathlib.Path(instances.BIN).parent / "tests" / "kill" / "libclock_off.so"
YEAR_S = 366 * 86400


def run_killed(device, number, *words):
    """A step that is killed at the numberth change of the disk; whether it was, and its last line."""
    done = subprocess.run([KILL_AT, str(number), *device.arguments("run", str(device.folder), "--once", *words)],
                          capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **NO_LEAKS})
    last = done.stdout.splitlines()[-1]
    assert last.startswith(("killed ", "ended ")), done
    return last.startswith("killed "), last


def leftovers(device):
    return sorted(p.name for p in (device.folder / ".coffer-sync").iterdir() if p.name != "folder")


def bring_together(*devices):
    """Steps until nobody has anything to do; what each said."""
    for _ in range(10):
        said = [device.sync() for device in devices]
        if not any(s["commits"] or s["downloaded"] or s["removed_here"] or s["moved"] or s["again"] for s in said):
            return said
    raise AssertionError(said)


class Story:
    """Changes of all kinds, another set each time; `tree` is what has to be there in the end."""

    def __init__(self):
        self.tree, self.number = {}, 0

    def change(self, device):
        self.number += 1
        n = self.number
        device.write("edited", f"edit {n}")
        device.write(f"new/{n % 5}", f"new {n}")
        device.write("large", os.urandom(200_000))
        if n > 1:
            os.rename(device.folder / f"moved {n - 1}", device.folder / f"moved {n}")
            os.remove(device.folder / f"gone {n - 1}")
        else:
            device.write("moved 1", "moved about")
        device.write(f"gone {n}", "to be removed")
        os.chmod(device.folder / f"moved {n}", (0o600, 0o640, 0o644)[n % 3])
        link = device.folder / "link"
        if link.is_symlink():
            link.unlink()
        link.symlink_to(f"target {n}")
        self.tree = device.tree()


def kill_each(story, writer, victim, at_least):
    """Kills the victim's step at each change of the disk in turn, until one comes to its end."""
    killed, number = 0, 1
    while True:
        story.change(writer)
        if writer is not victim:
            writer.sync()
        was, last = run_killed(victim, number)
        if not was:
            break
        killed += 1
        number += STRIDE
        victim.sync()
        if number % 5 == 0 or victim is not writer:
            assert victim.tree() == story.tree, last
            assert leftovers(victim) == [], last
    assert number > at_least, (number, last)
    return killed


def test_a_device_that_sends_is_killed_at_each_change_of_the_disk(devices):  # noqa: F811
    laptop, desktop = devices
    story = Story()
    kill_each(story, laptop, laptop, 20)
    bring_together(laptop, desktop)
    assert laptop.tree() == desktop.tree() == story.tree  # and no conflict copies
    assert leftovers(laptop) == leftovers(desktop) == []


def test_a_device_that_receives_is_killed_at_each_change_of_the_disk(devices):  # noqa: F811
    laptop, desktop = devices
    story = Story()
    story.change(laptop)
    laptop.sync(), desktop.sync()
    kill_each(story, laptop, desktop, 20)
    bring_together(laptop, desktop)
    assert laptop.tree() == desktop.tree() == story.tree
    assert leftovers(laptop) == leftovers(desktop) == []


class Watch:
    """Kills a program of the service at its numberth change of the disk from now on."""

    def __init__(self, instance, name, number):
        self.instance, self.since = instance, instance.daemon.mark()
        self.pid, self.name = instance.pid_of(name), name
        self.killer = KillAt(self.pid, number)

    def end(self):
        """Whether it was killed, and at what; it is started again by then."""
        if self.instance.pid_of(self.name) == self.pid and not self.killer.ended():
            self.killer.let_go()
            return None
        last = self.killer.last()
        assert last.startswith("killed "), last
        self.instance.daemon.wait_line(rf"{self.name} pid={self.pid} was killed by signal 9", self.since)
        self.instance.daemon.wait_line(rf"cofferd info {self.name} is ready", self.since)
        return last


def test_the_service_is_killed_at_each_change_of_the_disk(service, devices):  # noqa: F811
    laptop, desktop = devices
    story, seen, number = Story(), [], 1
    for _ in range(6 if not instances.SANITIZER else 3):
        story.change(laptop)
        watch = Watch(service, "coffer-web", number)
        # It was not heard of again, or it was; what the device was told is so.
        done = subprocess.run(laptop.arguments("run", str(laptop.folder), "--once"), capture_output=True, text=True,
                              timeout=PATIENCE)
        seen.append(watch.end())
        if seen[-1] is None:
            break
        number = number * 2 + 1
        laptop.sync()
        assert laptop.tree() == story.tree, (done, seen)
        desktop.sync()
        assert desktop.tree() == story.tree, (done, seen)
    assert len(seen) > 2 and seen[0], seen
    bring_together(laptop, desktop)
    assert laptop.tree() == desktop.tree() == story.tree
    assert laptop.call("status")["region"] == laptop.region


def failed_well(device, *words):
    """A step that can't go its way says so, and leaves the files as they are."""
    before = device.tree()
    done = subprocess.run(device.arguments("run", str(device.folder), "--once", *words), capture_output=True, text=True,
                          timeout=PATIENCE)
    assert done.returncode not in (0, 5) and done.returncode > 0, done
    assert json.loads(done.stderr.splitlines()[-1])["error"]["message"], done
    assert device.tree() == before
    return done


def test_a_device_whose_disk_is_full(service, people, small_disk, tmp_path):  # noqa: F811
    laptop = Device(service, tmp_path, "laptop", ANNA, people[ANNA]).init()
    small = Device(service, small_disk, "small", ANNA, people[ANNA]).join(laptop)
    laptop.write("there", "before")
    laptop.sync(), small.sync()
    # What comes does not fit.
    laptop.write("there", "after")
    laptop.write("large", os.urandom(3 * MIB))
    laptop.sync()
    filler = fill(small_disk)
    failed_well(small)
    assert small.tree() == {"there": b"before"}
    filler.unlink()
    small.sync()
    assert small.tree() == laptop.tree() and leftovers(small) == []
    # What goes can't be noted.
    small.write("mine", os.urandom(300_000))
    filler = fill(small_disk)
    failed_well(small)
    filler.unlink()
    bring_together(small, laptop)
    assert small.tree() == laptop.tree() and len(laptop.tree()) == 3 and leftovers(small) == []


@pytest.mark.parametrize("off_s", [YEAR_S, -YEAR_S], ids=["ahead", "behind"])
def test_a_device_whose_clock_is_wrong_by_a_year(devices, off_s):  # noqa: F811
    """It may find that no certificate is good today; it loses nothing, and others lose nothing by it."""
    laptop, desktop = devices
    wrong = {**os.environ, "LD_PRELOAD": str(CLOCK_OFF), "COFFER_TEST_CLOCK_S": str(off_s),
             "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"}
    for name in ("one", "two"):
        laptop.write(name, name)
        desktop.write("both", f"{name} of the desktop")
        laptop.write("both", f"{name} of the laptop!")
        before = desktop.tree()
        laptop.sync()
        done = subprocess.run(desktop.arguments("run", str(desktop.folder), "--once"), capture_output=True, text=True,
                              timeout=PATIENCE, env=wrong)
        if done.returncode:
            assert re.search("certificate|expired|not yet valid", done.stderr), done
            assert desktop.tree() == before
        bring_together(desktop, laptop)
        assert desktop.tree() == laptop.tree()
        contents = set(laptop.tree().values())
        assert {b"one", f"{name} of the laptop!".encode(), f"{name} of the desktop".encode()} <= contents
    assert leftovers(desktop) == []
