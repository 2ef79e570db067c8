"""Synced files: one large and many small ones to a service on this machine and back, in turns with
restic, rclone crypt and gocryptfs; a run with nothing to do; a renamed folder; large trees.

restic talks HTTPS to `rclone serve restic`, rclone's crypt HTTPS to `rclone serve webdav`; both
servers write without fsync, while what Coffer's service has answered is on disk. gocryptfs is a
local file system with no service at all. Each round begins with an empty region, repository and
directory. CPU time and memory are of the client and of the service, each by itself.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import time

import meter
from helpers import instance as instances
from helpers.sync_client import person

ANNA = "anna@example.org"
MIB = 1024 * 1024
PASSWORD = "a passphrase for the bench"
RCLONE = "rclone crypt"
PEERS = ("restic", RCLONE, "gocryptfs")


def run(*args, env=None):
    return subprocess.run([str(a) for a in args], check=True, capture_output=True, text=True, env=env).stdout


class Run:
    """Wall and CPU seconds and the most memory, in MB, of one program and of its service."""

    def __init__(self, args, service=(), env=None, directory="."):
        os.sync()
        out = pathlib.Path(directory, "out")
        before, start = meter.cpu_us(service), time.monotonic()
        with open(out, "wb") as o, open(out.with_suffix(".err"), "wb") as errors:
            process = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=o, stderr=errors,
                                       env=env)
            self.rss = 0  # ru_maxrss would tell of this interpreter before the exec
            while True:
                self.look(process.pid)
                done, status, used = os.wait4(process.pid, os.WNOHANG)
                if done:
                    break
                time.sleep(0.005)
        self.wall = time.monotonic() - start
        process.returncode = status
        self.out = out.read_text()
        if status:
            raise RuntimeError(f"{args[:4]} failed: {status} {self.out} {out.with_suffix('.err').read_text()[-2000:]}")
        self.cpu = used.ru_utime + used.ru_stime
        self.service = (meter.cpu_us(service) - before) / 1e6

    def look(self, pid):
        try:
            text = pathlib.Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return
        found = re.search(r"VmHWM:\s+(\d+) kB", text)
        if found and not re.search(r"Name:\s+python", text):
            self.rss = max(self.rss, int(found.group(1)) / 1024)


def both(first, then):
    """Of a job that is two programs."""
    first.wall += then.wall
    first.cpu += then.cpu
    first.service += then.service
    first.rss = max(first.rss, then.rss)
    return first


def high_water(pid):
    """The most memory that a process has had, in MB."""
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


# ---- Coffer ----

class Coffer:
    def __init__(self, directory, coffer):
        self.dir, self.coffer, self.n = directory, coffer, 0
        directory.mkdir()
        self.instance = instances.Instance(directory)
        self.instance.init({"sync": {"enabled": "yes"}}).start()
        self.token = directory / "token"
        self.token.write_text(person(self.instance, ANNA))
        self.token.chmod(0o600)

    def fresh(self):
        """A new region; the home that was made with it and a copy of it, for the way down."""
        self.n += 1
        home, other = self.dir / f"home-{self.n}", self.dir / f"other-{self.n}"
        run(self.coffer, "sync", "init", ANNA, "--name", f"d{self.n}", "--home", home, "--server", self.instance.url,
            "--token-file", self.token, "--ca", self.instance.root)
        shutil.copytree(home, other)
        return home, other

    def sync(self, home, folder):
        return Run([self.coffer, "sync", "run", folder, "--once", "--home", home, "--json"],
                   meter.coffer(self.instance), directory=self.dir)

    def up(self, source):
        shutil.rmtree(source / ".coffer-sync", ignore_errors=True)
        self.home, self.other = self.fresh()
        return self.sync(self.home, source)

    def again(self, source):
        return self.sync(self.home, source)

    def down(self, target):
        return self.sync(self.other, target)

    def stop(self):
        self.instance.stop()
        self.instance.abandon()


# ---- peers ----

class Served:
    """An `rclone serve` over HTTPS."""

    def __init__(self, directory, kind):
        self.dir, self.port, self.n = directory, instances.free_ports(1)[0], 0
        directory.mkdir()
        self.data = directory / "data"
        self.data.mkdir()
        key, self.crt = directory / "key.pem", directory / "crt.pem"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
            "-out", self.crt, "-subj", "/CN=localhost", "-days", "30", "-addext", "subjectAltName=DNS:localhost")
        with open(directory / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["rclone", "serve", kind, "--config", "/dev/null", "--addr", f"localhost:{self.port}", "--cert", self.crt,
                 "--key", key, str(self.data)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.env = dict(os.environ, HOME=str(directory), RESTIC_PASSWORD=PASSWORD, XDG_CACHE_HOME=str(directory / "c"))
        deadline = time.monotonic() + 20
        while subprocess.run(["curl", "-sk", "-o", "/dev/null", f"https://localhost:{self.port}/"],
                             check=False).returncode:
            if time.monotonic() > deadline:
                raise RuntimeError("rclone serve does not listen")
            time.sleep(0.05)

    def run(self, *args):
        return Run(args, [self.process.pid], self.env, self.dir)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Restic(Served):
    def __init__(self, directory):
        super().__init__(directory, "restic")

    def restic(self, *args):
        return self.run("restic", "--cacert", self.crt, "-q", "-r", f"rest:https://localhost:{self.port}/{self.n}/", *args)

    def up(self, source):
        shutil.rmtree(self.data / str(self.n), ignore_errors=True)
        self.n += 1
        self.restic("init")
        return self.again(source)

    def again(self, source):
        return self.restic("backup", "--exclude", ".coffer-sync", source)

    def down(self, target):
        return self.restic("restore", "latest", "--target", target)


class RcloneCrypt(Served):
    def __init__(self, directory):
        super().__init__(directory, "webdav")
        obscured = run("rclone", "obscure", PASSWORD).strip()
        self.env |= {"RCLONE_CONFIG_S_TYPE": "webdav", "RCLONE_CONFIG_S_URL": f"https://localhost:{self.port}/",
                     "RCLONE_CONFIG_S_VENDOR": "other", "RCLONE_CONFIG_C_TYPE": "crypt",
                     "RCLONE_CONFIG_C_PASSWORD": obscured}

    def copy(self, source, target):
        self.env["RCLONE_CONFIG_C_REMOTE"] = f"s:{self.n}"
        return self.run("rclone", "--config", "/dev/null", "--ca-cert", self.crt, "--transfers", "16", "--exclude",
                        ".coffer-sync/**", "copy", source, target)

    def up(self, source):
        shutil.rmtree(self.data / str(self.n), ignore_errors=True)
        self.n += 1
        (self.data / str(self.n)).mkdir()
        return self.copy(source, "c:")

    def again(self, source):
        return self.copy(source, "c:")

    def down(self, target):
        return self.copy("c:", target)


class Gocryptfs:
    """A local mount; `cp` is the client, the mount's process the service. sync(1) is in its time."""

    def __init__(self, directory):
        self.dir, self.n, self.process, self.place = directory, 0, None, directory / "plain"
        self.place.mkdir(parents=True)
        self.password = directory / "password"
        self.password.write_text(PASSWORD)

    def up(self, source):
        self.stop()
        shutil.rmtree(self.dir / str(self.n), ignore_errors=True)
        self.n += 1
        cipher = self.dir / str(self.n)
        cipher.mkdir()
        run("gocryptfs", "-init", "-q", "-passfile", self.password, "-scryptn", "10", cipher)
        self.process = subprocess.Popen(["gocryptfs", "-fg", "-q", "-passfile", self.password, cipher, self.place],
                                        stdin=subprocess.DEVNULL)
        while not os.path.ismount(self.place):
            time.sleep(0.02)
        pids = [self.process.pid]
        return both(Run(["cp", "-r", source, self.place], pids, directory=self.dir),
                    Run(["sync", "-f", cipher], pids, directory=self.dir))

    def down(self, target):
        return Run(["cp", "-r", f"{self.place}/.", target], [self.process.pid], directory=self.dir)

    def stop(self):
        if self.process:
            run("fusermount", "-u", self.place)
            self.process.wait(20)
            self.process = None


@contextlib.contextmanager
def everybody(bench, directory):
    made = {"coffer": Coffer(directory / "coffer", bench.BUILD / "bin" / "coffer")}
    try:
        for name, of in zip(PEERS, (Restic, RcloneCrypt, Gocryptfs)):
            if shutil.which(name.split(" ", 1)[0]):
                made[name] = of(directory / name.split(" ", 1)[0])
        yield made
    finally:
        for each in made.values():
            each.stop()


# ---- what is measured ----

def random_file(path, size):
    with open(path, "wb") as f:
        while f.tell() < size:
            f.write(os.urandom(min(4 * MIB, size - f.tell())))


def many_files(folder, n, size, each=100):
    """So many files in folders of a hundred."""
    for i in range(n):
        if i % each == 0:
            at = folder / f"folder {i // each}"
            at.mkdir(parents=True)
        (at / f"file {i}.txt").write_bytes(os.urandom(size))


def rounds(bench, directory, what, made, source, only=("up", "down"), n=None):
    """{direction: {name: [Run]}}; who begins changes from round to round."""
    found = {way: {name: [] for name in made} for way in only}
    target = directory / "target"
    for i in range(n or bench.ROUNDS):
        bench.say(f"sync: {what}, round {i + 1} of {n or bench.ROUNDS}")
        order = sorted(made)
        for name in order[i % len(order):] + order[:i % len(order)]:
            for way in only:
                if way != "down":
                    if hasattr(made[name], way):
                        found[way][name].append(getattr(made[name], way)(source))
                    continue
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir()
                found[way][name].append(made[name].down(target))
        shutil.rmtree(target, ignore_errors=True)
    return found


def ratio(runs, name):
    """How many times as fast as a peer, round by round."""
    return statistics.median([theirs.wall / ours.wall for ours, theirs in zip(runs["coffer"], runs[name])])


def report(bench, what, unit, amount, runs):
    for name, all_ in runs.items():
        rates = [amount / r.wall for r in all_]
        bench.row(f"sync: {what}, {name}",
                  f"{bench.spread(rates)} {unit}; CPU {bench.median([r.cpu for r in all_]):.1f} s, of the service "
                  f"{bench.median([r.service for r in all_]):.1f} s; {max(r.rss for r in all_):.0f} MB")


def bench_large(bench, directory, made):
    source = directory / "large"
    source.mkdir()
    mib = 256 if bench.QUICK else 2048
    random_file(source / "large.bin", mib * MIB)
    found = rounds(bench, directory, f"{mib} MiB", made, source)
    size = mib * MIB / 1e6
    report(bench, f"{mib} MiB up", "MB/s", size, found["up"])
    report(bench, f"{mib} MiB down", "MB/s", size, found["down"])
    ours, down = found["up"]["coffer"], found["down"]["coffer"]
    if "restic" in made:
        times = ratio(found["up"], "restic")
        bench.row(f"sync: {mib} MiB up, of restic's rate", f"{times:.2f} x", ">= 1.5 x", times >= 1.5)
    cpu = bench.median([r.cpu for r in ours]) * 2048 / mib
    bench.row("sync: CPU of the client for 2 GiB up", f"{cpu:.1f} s", "<= 4 s", cpu <= 4)
    rss = max(r.rss for r in ours + down)
    bench.row("sync: most memory of the client", f"{rss:.1f} MB", "<= 32 MB", rss <= 32)
    bench.row("sync: most memory of the service", f"{high_water(made['coffer'].instance.pid_of('coffer-web')):.1f} MB")
    back = statistics.median([u.wall / d.wall for u, d in zip(ours, down)])
    bench.row("sync: down, of the rate up", f"{back:.2f} x", ">= 1 x", back >= 1)
    shutil.rmtree(source)


def bench_rclone(bench, directory, made):
    """A few hundred files: rclone's pair waits for each other for tens of milliseconds a file."""
    source = directory / "few"
    many_files(source, 500, 10200)
    found = rounds(bench, directory, "500 small files", {RCLONE: made[RCLONE]}, source, n=1)
    report(bench, "500 files of 10.2 KB up", "/s", 500, found["up"])
    report(bench, "500 files of 10.2 KB down", "/s", 500, found["down"])
    shutil.rmtree(source)


def bench_small(bench, directory, made):
    source = directory / "small"
    n = 2000 if bench.QUICK else 20000
    many_files(source, n, 10200)
    found = rounds(bench, directory, f"{n} small files", {k: v for k, v in made.items() if k != RCLONE}, source,
                   ("up", "again", "down"))
    report(bench, f"{n} files of 10.2 KB up", "/s", n, found["up"])
    report(bench, f"{n} files of 10.2 KB down", "/s", n, found["down"])
    if "restic" in made:
        times = ratio(found["up"], "restic")
        bench.row(f"sync: {n} files up, of restic's rate", f"{times:.2f} x", ">= 1.5 x", times >= 1.5)
    for name, all_ in found["again"].items():
        if all_ and name != "coffer":
            bench.row(f"sync: {n} files, nothing changed, {name}",
                      f"{bench.median([r.wall for r in all_]):.2f} s; CPU {bench.median([r.cpu for r in all_]):.2f} s")
    again = found["again"]["coffer"]
    wall, requests = bench.median([r.wall for r in again]), max(json.loads(r.out)["requests"] for r in again)
    bench.row(f"sync: {n} files, nothing changed, coffer",
              f"{wall:.2f} s; CPU {bench.median([r.cpu for r in again]):.2f} s; {requests} request(s)",
              "<= 0.5 s, 1 request", wall <= 0.5 and requests == 1)
    shutil.rmtree(source)


def bench_rename(bench, directory, made):
    """One folder with so many files, in folders of a hundred, gets another name."""
    source, n = directory / "rename", 10000 if bench.QUICK else 100000
    many_files(source / "before", n, 100)
    bench.say(f"sync: a folder of {n} files gets another name")
    made["coffer"].up(source)
    (source / "before").rename(source / "after")
    done = made["coffer"].again(source)
    said = json.loads(done.out)
    bench.row(f"sync: a folder with {n} files renamed",
              f"{said['sent'] / 1000:.1f} KB in {said['requests']} requests, {done.wall:.2f} s; "
              f"CPU {done.cpu:.2f} s, of the service {done.service:.2f} s", "one small write",
              said["commits"] == 1 and said["bytes_up"] == 0 and said["sent"] < 64 * 1024)
    shutil.rmtree(source)


def bench_trees(bench):
    """Parts of it in one process: sealing, signatures, and a tree of a million files."""
    done = run(bench.BUILD / "tests" / "unit" / "sync" / "bench_sync", 256)
    for line in done.splitlines():
        found = re.match(r"(.*?\S) {2,}(\S.*)", line)
        if found:
            bench.row(f"sync: {found.group(1)}", found.group(2))
    done = run(bench.BUILD / "tests" / "unit" / "sync" / "bench_tree", 100000 if bench.QUICK else 1000000)
    for line in done.splitlines():
        found = re.match(r"(.*?\S) {2,}([\d.]+) s", line)
        last = found and "listed and diffed" in found.group(1)
        bench.row(f"sync: {found.group(1)}", f"{found.group(2)} s", "<= 1 s" if last else "",
                  float(found.group(2)) <= 1 if last else None)


def bench(bench, directory):  # pylint: disable=redefined-outer-name
    directory = directory / "sync"
    directory.mkdir()
    with everybody(bench, directory) as made:
        bench_large(bench, directory, made)
        bench_small(bench, directory, made)
        if RCLONE in made:
            bench_rclone(bench, directory, made)
        bench_rename(bench, directory, made)
    bench_trees(bench)
