"""The mapped drive (`coffer sync mount`): POSIX, files on demand, load by fio, a crash.

A driver stands for the service and for another device, whose folder is `peer`; the drive is the real
one, through the kernel's FUSE."""

import ctypes
import errno
import fcntl
import hashlib
import json
import mmap
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from helpers import instance as instances
from helpers.sync_client import person

DRIVER = pathlib.Path(instances.BIN).parent / "tests" / "sim" / "sync_mount_driver"
SECONDS = 30  # to wait for what must come


def no_fuse():
    """Why a FUSE file system can't be mounted here; None: it can."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse is not usable here"
    if shutil.which("fusermount3") is None:
        return "fusermount3 is not installed"
    if os.geteuid() == 0:
        effective = next(line for line in open("/proc/self/status", encoding="ascii")
                         if line.startswith("CapEff"))
        if not int(effective.split()[1], 16) >> 21 & 1:
            return "mounting is forbidden here (no CAP_SYS_ADMIN)"
    return None


pytestmark = pytest.mark.skipif(no_fuse() is not None, reason=str(no_fuse()))


def wait_for(condition, what):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.05)


class Drive:
    """A driver with its folders."""

    def __init__(self, folder):
        self.peer, self.cache, self.mount = (folder / n for n in ("peer", "cache", "mount"))
        for path in (self.peer, self.cache, self.mount):
            path.mkdir(parents=True)
        self.log = open(folder / "log", "wb")
        self.process = None

    def start(self, **user):
        self.process = subprocess.Popen([DRIVER, self.peer, self.cache, self.mount],
                                        stderr=self.log, stdout=self.log, **user)
        wait_for(lambda: self.process.poll() is not None or self.mounted(), "the mount")
        assert self.process.poll() is None, pathlib.Path(self.log.name).read_text("utf-8")

    def mounted(self):
        """Also of somebody else, whose drive root may not look at."""
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            return any(line.split()[1] == str(self.mount) for line in mounts)

    def unmount(self):
        subprocess.run(["fusermount3", "-u", "-z", self.mount], check=False, capture_output=True)

    def stop(self):
        """Returns the driver's exit status."""
        self.unmount()
        return self.process.wait(SECONDS)

    def done(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.unmount()
        self.log.close()

    def give(self, name, data, mode=0o644, owner=None):
        """A file of the peer's, whole at once."""
        aside = self.peer.parent / "aside"
        aside.write_bytes(data)
        aside.chmod(mode)
        if owner:
            shutil.chown(aside, owner)
        aside.rename(self.peer / name)

    def hollow(self, name):
        try:
            return os.getxattr(self.cache / name, "user.coffer.hollow") == b"1"
        except OSError:
            return False


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    it = Drive(tmp_path_factory.mktemp("drive"))
    it.start()
    yield it
    it.done()


def xattrs_work(folder):
    probe = folder / "probe"
    probe.write_bytes(b"")
    try:
        os.setxattr(probe, "user.coffer.probe", b"1")
    except OSError:
        return False
    finally:
        probe.unlink()
    return True


def test_what_the_peer_has_is_shown_and_fetched_when_it_is_opened(drive):
    data = os.urandom(3_000_000)
    (drive.peer / "reports").mkdir()
    drive.give("reports/big", data, 0o640)
    there = drive.mount / "reports" / "big"
    wait_for(there.exists, "the peer's file")
    state = there.stat()
    assert state.st_size == len(data)
    assert state.st_mode & 0o777 == 0o640
    assert state.st_mtime_ns == (drive.peer / "reports" / "big").stat().st_mtime_ns
    on_demand = xattrs_work(drive.cache.parent)
    assert drive.hollow("reports/big") == on_demand
    if on_demand:
        assert (drive.cache / "reports" / "big").stat().st_blocks * 512 < len(data) // 2
    assert there.read_bytes() == data
    assert not drive.hollow("reports/big")
    assert there.stat().st_mtime_ns == state.st_mtime_ns


def test_what_is_written_comes_to_the_peer(drive):
    data = os.urandom(1_500_000)
    with open(drive.mount / "mine", "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    there = drive.peer / "mine"
    wait_for(lambda: there.exists() and there.read_bytes() == data, "the drive's file")


def test_a_hollow_file_can_be_renamed_cut_off_and_appended_to(drive):
    for name in ("h1", "h2", "h3"):
        drive.give(name, name.encode() * 1000)
    wait_for(lambda: all((drive.mount / n).exists() for n in ("h1", "h2", "h3")), "three files")
    os.rename(drive.mount / "h1", drive.mount / "h1 renamed")
    assert (drive.mount / "h1 renamed").read_bytes() == b"h1" * 1000
    (drive.mount / "h2").write_bytes(b"new")
    with open(drive.mount / "h3", "ab") as out:
        out.write(b"more")
    assert (drive.mount / "h3").read_bytes() == b"h3" * 1000 + b"more"
    expected = {"h1 renamed": b"h1" * 1000, "h2": b"new", "h3": b"h3" * 1000 + b"more"}
    wait_for(lambda: all((drive.peer / n).exists() and (drive.peer / n).read_bytes() == data
                         for n, data in expected.items()), "the changes")
    assert not (drive.peer / "h1").exists()


def test_a_hollow_file_with_another_time_and_name_is_not_lost(drive):
    data = os.urandom(200_000)
    drive.give("dated", data)
    wait_for((drive.mount / "dated").exists, "the peer's file")
    (drive.mount / "link").symlink_to("dated")
    os.utime(drive.mount / "link", (5, 5), follow_symlinks=False)
    os.utime(drive.mount / "dated", (1_000_000_000, 1_000_000_000))
    (drive.mount / "dated").rename(drive.mount / "dated again")
    wait_for((drive.peer / "dated again").exists, "the renamed file")
    wait_for(lambda: not (drive.peer / "dated").exists(), "the end of the old name")
    assert (drive.peer / "dated again").read_bytes() == data
    assert (drive.mount / "dated again").read_bytes() == data
    assert (drive.mount / "dated again").stat().st_mtime == 1_000_000_000


def test_renames_are_those_of_posix(drive):
    m = drive.mount / "posix"
    m.mkdir()
    (m / "a").write_bytes(b"a")
    (m / "b").write_bytes(b"b")
    held = open(m / "b", "rb")
    os.rename(m / "a", m / "b")
    assert (m / "b").read_bytes() == b"a" and held.read() == b"b" and not (m / "a").exists()
    held.close()
    (m / "full").mkdir()
    (m / "full" / "x").write_bytes(b"")
    (m / "empty").mkdir()
    for source, target, number in ((m / "empty", m / "full", errno.ENOTEMPTY),
                                   (m / "b", m / "empty", errno.EISDIR),
                                   (m / "full", m / "b", errno.ENOTDIR),
                                   (m / "full", m / "full" / "below", errno.EINVAL),
                                   (m / "none", m / "other", errno.ENOENT)):
        with pytest.raises(OSError) as failure:
            os.rename(source, target)
        assert failure.value.errno in (number, errno.EEXIST), (source, target)
    os.rename(m / "full", m / "empty")
    assert (m / "empty" / "x").exists()
    libc = ctypes.CDLL(None, use_errno=True)
    (m / "c").write_bytes(b"c")
    paths = os.fsencode(m / "b"), os.fsencode(m / "c")
    assert libc.renameat2(-100, paths[0], -100, paths[1], 1) == -1  # RENAME_NOREPLACE
    assert ctypes.get_errno() == errno.EEXIST
    assert libc.renameat2(-100, paths[0], -100, paths[1], 2) == 0  # RENAME_EXCHANGE
    assert (m / "b").read_bytes() == b"c" and (m / "c").read_bytes() == b"a"


def test_files_are_those_of_posix(drive):
    m = drive.mount / "files"
    m.mkdir()
    fd = os.open(m / "f", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with pytest.raises(FileExistsError):
        os.open(m / "f", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    os.pwrite(fd, b"end", 100_000)
    os.fsync(fd)
    os.fdatasync(fd)
    assert os.fstat(fd).st_size == 100_003 and os.pread(fd, 4, 0) == b"\0\0\0\0"
    os.ftruncate(fd, 10)
    assert os.fstat(fd).st_size == 10
    with mmap.mmap(fd, 10) as mapped:
        mapped[0:5] = b"mmap!"
        mapped.flush()
    assert os.pread(fd, 5, 0) == b"mmap!"
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.unlink(m / "f")
    assert os.pread(fd, 5, 0) == b"mmap!"
    os.close(fd)
    (m / "f").write_bytes(b"1")
    with open(m / "f", "ab") as one, open(m / "f", "ab") as two:
        one.write(b"2")
        one.flush()
        two.write(b"3")
    assert (m / "f").read_bytes() == b"123"
    os.chmod(m / "f", 0o751)
    os.utime(m / "f", ns=(1, 1_600_000_000_123_456_789))
    state = (m / "f").stat()
    assert state.st_mode & 0o777 == 0o751 and state.st_mtime_ns == 1_600_000_000_123_456_789
    os.symlink("f", m / "l")
    assert os.readlink(m / "l") == "f" and (m / "l").read_bytes() == b"123"
    with pytest.raises(OSError):
        os.link(m / "f", m / "hard")
    with pytest.raises(OSError) as failure:
        os.rmdir(m)
    assert failure.value.errno == errno.ENOTEMPTY
    directory = os.open(m, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)
    names = {f"n{i}" for i in range(300)}
    (m / "many").mkdir()
    for name in names:
        (m / "many" / name).write_bytes(b"")
    assert set(os.listdir(m / "many")) == names
    shutil.rmtree(m / "many")


def test_the_engines_own_folder_is_not_shown(drive):
    assert (drive.cache / ".coffer-sync").is_dir()
    assert ".coffer-sync" not in os.listdir(drive.mount)
    assert not (drive.mount / ".coffer-sync").exists()
    with pytest.raises(OSError):
        (drive.mount / ".coffer-sync" / "x").write_bytes(b"")


def test_fio_reads_what_it_wrote(drive):
    if shutil.which("fio") is None:
        pytest.skip("fio is not installed")
    folder = drive.mount / "fio"
    folder.mkdir()
    done = subprocess.run(
        ["fio", "--name=load", f"--directory={folder}", "--rw=randrw", "--bs=16k", "--size=8m",
         "--numjobs=2", "--fsync=64", "--verify=crc32c", "--verify_fatal=1", "--do_verify=1",
         "--ioengine=psync", "--verify_state_save=0", "--fallocate=none", "--randseed=7", "--minimal"],
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    files = sorted(folder.iterdir())
    sums = {p.name: hashlib.sha256(p.read_bytes()).digest() for p in files}
    assert len(sums) == 2

    def arrived():
        there = drive.peer / "fio"
        return all((there / n).exists() and hashlib.sha256((there / n).read_bytes()).digest() == s
                   for n, s in sums.items())

    wait_for(arrived, "what fio wrote")


def test_unmounting_sends_what_is_left(tmp_path):
    it = Drive(tmp_path)
    try:
        it.start()
        (it.mount / "last").write_bytes(b"at the last moment")
        assert it.stop() == 0
        # The drive has told the service; its log says nothing went wrong.
        assert pathlib.Path(it.log.name).read_bytes() == b""
        assert (it.cache / "last").read_bytes() == b"at the last moment"
    finally:
        it.done()


def test_a_crash_leaves_what_was_synced(tmp_path):
    it = Drive(tmp_path)
    try:
        it.start()
        with open(it.mount / "safe", "wb") as out:
            out.write(b"x" * 100_000)
            out.flush()
            os.fsync(out.fileno())
        it.give("other", b"y" * 100_000)
        wait_for((it.mount / "other").exists, "the peer's file")
        it.process.send_signal(signal.SIGKILL)
        it.process.wait()
        it.unmount()
        assert (it.cache / "safe").read_bytes() == b"x" * 100_000
        # What was not fetched is marked, and so nobody takes its zeros for content.
        whole = (it.cache / "other").read_bytes() == b"y" * 100_000
        assert whole or it.hollow("other")
    finally:
        it.done()


def coffer_sync(home, *words):
    done = subprocess.run([instances.program("coffer"), "sync", *words, "--home", str(home), "--json"],
                          capture_output=True, text=True, timeout=instances.PATIENCE)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else {}


def test_the_command_shows_a_region_of_a_real_service(tmp_path):
    service = instances.Instance(tmp_path / "service")
    home, mount, token = tmp_path / "home", tmp_path / "mount", tmp_path / "token"
    mount.mkdir()
    (tmp_path / "service").mkdir()
    try:
        service.init({"sync": {"enabled": "yes"}}).start()
        token.write_text(person(service, "anna@example.org"))
        token.chmod(0o600)
        coffer_sync(home, "init", "anna@example.org", "--name", "laptop", "--server", service.url,
                    "--token-file", str(token), "--ca", str(service.directory) + "/public/root.pem")
        drive = subprocess.Popen([instances.program("coffer"), "sync", "mount", str(mount), "--home",
                                  str(home), "--poll", "1"], stderr=subprocess.PIPE, text=True)
        try:
            wait_for(lambda: drive.poll() is not None or os.path.ismount(mount), "the mount")
            (mount / "Work").mkdir()
            (mount / "Work" / "report").write_bytes(b"x" * 300_000)
            os.rename(mount / "Work", mount / "Play")
            drive.send_signal(signal.SIGTERM)
            _, told = drive.communicate(timeout=SECONDS)
            assert drive.returncode == 0, told
        finally:
            subprocess.run(["fusermount3", "-u", "-z", mount], check=False, capture_output=True)
            drive.kill()
            drive.wait()
        assert not os.path.ismount(mount)
        listed = coffer_sync(home, "status", "Play")["files"]
        assert [(f["path"], f["size"], f["here"]) for f in listed] == [("Play/report", 300_000, True)]
        refused = subprocess.run([instances.program("coffer"), "sync", "run", str(tmp_path / "service"),
                                  "--once", "--home", str(home)], capture_output=True, text=True,
                                 timeout=instances.PATIENCE)
        assert refused.returncode != 0 and "another --home" in refused.stderr
        service.stop()
    finally:
        service.abandon()


def as_nobody():
    """Why the driver can't be started as another user; None: it can."""
    if os.geteuid() != 0:
        return "only root can be somebody else"
    if no_fuse() or os.stat("/dev/fuse").st_mode & 0o006 != 0o006:
        return "/dev/fuse is root's alone"
    try:
        pwd.getpwnam("nobody")
        done = subprocess.run([DRIVER], user="nobody", group="nogroup", capture_output=True, check=False)
    except (KeyError, OSError) as why:
        return str(why)
    return None if b"PEER" in done.stderr or done.returncode else "the driver does not run"


@pytest.mark.skipif(as_nobody() is not None, reason=str(as_nobody()))
def test_files_that_their_owner_may_only_read_are_fetched():
    """For root all files are writable: as somebody else."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="coffer-drive-"))
    place.chmod(0o755)
    it = Drive(place)
    try:
        for path in (place, it.peer, it.cache, it.mount):
            shutil.chown(path, "nobody", "nogroup")
        if not xattrs_work(it.cache):
            pytest.skip("no extended attributes here: nothing is on demand")
        it.start(user="nobody", group="nogroup")
        data = os.urandom(300_000)
        it.give("object", data, 0o444, owner="nobody")
        it.give("open", b"x", 0o644, owner="nobody")

        def cat(name):
            return subprocess.run(["cat", str(it.mount / name)], user="nobody", group="nogroup", capture_output=True,
                                  check=False)

        wait_for(lambda: (it.cache / "object").exists(), "the file")
        assert it.hollow("object")
        done = cat("object")
        assert done.stdout == data, done.stderr
        assert not it.hollow("object") and (it.cache / "object").stat().st_mode & 0o777 == 0o444
        wait_for(lambda: (it.cache / "open").exists(), "the other file")
        assert cat("open").stdout == b"x"
        assert (it.peer / "object").stat().st_mode & 0o777 == 0o444
    finally:
        it.done()
        shutil.rmtree(place, ignore_errors=True)
