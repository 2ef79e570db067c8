"""Blobs on directories and S3 buckets: a real S3 server (OpenStack Swift), and one that cheats."""

import http.server
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

import pytest

from helpers import instance as instances
from helpers.swift_s3 import ACCESS, SECRET, Swift

DRIVER = pathlib.Path(instances.BIN).parent / "tests" / "driver" / "blob-driver"


@pytest.fixture(scope="module")
def swift(tmp_path_factory):
    server = Swift(tmp_path_factory.mktemp("swift") / "s")
    yield server
    server.stop()


class Blobs:
    """A directory with a configuration and the driver over it."""

    def __init__(self, directory):
        self.dir = directory
        self.text = ""

    def storage(self, **settings):
        self.text += "[sync_storage]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items())
        self.write()

    def disk(self, name):
        self.text += f"[sync_store {name}]\nkind = disk\npath = {name}\n"
        self.write()

    def s3(self, name, endpoint, bucket, secret=SECRET, **settings):
        credentials = self.dir / f"{name}.secret"
        credentials.write_text(f"access_key = {ACCESS}\nsecret_key = {secret}\n")
        credentials.chmod(0o600)
        self.text += (f"[sync_store {name}]\nkind = s3\nendpoint = {endpoint}\nbucket = {bucket}\n"
                      f"credentials_file = {name}.secret\n")
        self.text += "".join(f"{k} = {v}\n" for k, v in settings.items())
        self.write()

    def write(self):
        (self.dir / "blobs.conf").write_text(self.text)

    def run(self, *args, later=0):
        done = subprocess.run([DRIVER, self.dir, "--later", str(later), *args],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout if done.returncode == 0 else done.stderr

    def do(self, *args, later=0):
        status, text = self.run(*args, later=later)
        assert status == 0, text
        return text.strip()

    def file(self, size):
        path = self.dir / f"file-{size}"
        path.write_bytes(os.urandom(size))
        return path

    def check(self, blob, path, later=0):
        self.do("get", blob, self.dir / "out", later=later)
        assert (self.dir / "out").read_bytes() == path.read_bytes()


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path)


def work(text):
    return {k: int(v) for k, v in (item.split("=") for item in text.split())}


def test_four_replicas_one_of_which_is_destroyed_and_repaired(swift, blobs):
    for bucket in ("near", "far"):
        swift.make_bucket(bucket)
    blobs.storage(quorum=2)
    blobs.disk("a")
    blobs.disk("b")
    blobs.s3("c", swift.endpoint, "near", prefix="coffer/x/")
    blobs.s3("d", swift.endpoint, "far")
    files = [blobs.file(size) for size in (0, 1, 70_000, 1_048_592, 3_000_000)]
    ids = [blobs.do("put", f) for f in files]
    assert blobs.do("status", ids[0]).startswith("2 of 4")
    assert work(blobs.do("repair"))["repaired"] == 10
    assert len(swift.keys("near")) == len(swift.keys("far")) == 5
    assert all(key.startswith("coffer/x/") for key in swift.keys("near"))
    # One directory burns, a bucket loses an object and has another one damaged.
    for part in (blobs.dir / "a").glob("??"):
        shutil.rmtree(part)
    near = swift.keys("near")
    assert swift.ask("DELETE", "/near/" + near[0])[0] == 204
    status, content = swift.ask("GET", "/near/" + near[1])
    assert status == 200
    swift.ask("PUT", "/near/" + near[1], body=content[:-1] + bytes([content[-1] ^ 1]))
    done = work(blobs.do("scrub"))
    assert done == {"checked": 20, "bad": 7, "repaired": 7, "lost": 0, "removed": 0}
    assert work(blobs.do("scrub"))["bad"] == 0
    assert blobs.do("status", ids[4]).startswith("4 of 4 replicas, verified 1")
    for blob, path in zip(ids, files):
        blobs.check(blob, path)
    # What lies in the bucket is not even the ciphertext that the client made.
    assert files[2].read_bytes()[:64] not in b"".join(
        swift.ask("GET", "/far/" + key)[1] for key in swift.keys("far"))


def test_a_bucket_alone_and_its_collection(swift, blobs):
    swift.make_bucket("alone")
    blobs.s3("s3", swift.endpoint, "alone")
    one, two = blobs.file(100_000), blobs.file(5_000)
    first, second = blobs.do("put", one), blobs.do("put", two)
    blobs.do("own", second, "version:1")
    blobs.check(first, one)
    week = 8 * 86400
    blobs.do("collect", later=week)
    blobs.check(first, one, later=week)
    assert work(blobs.do("collect", later=week + 7200))["removed"] == 1
    status, text = blobs.run("get", first, blobs.dir / "out")
    assert status == 1 and "no such blob" in text
    blobs.check(second, two)
    assert len(swift.keys("alone")) == 1
    # An object that belongs to no blob goes as well, when it is old.
    swift.ask("PUT", "/alone/" + "ab" * 32 + "-0123456789abcdef", body=b"stray")
    swift.ask("PUT", "/alone/not-ours", body=b"somebody else's")
    assert work(blobs.do("sweep"))["removed"] == 0
    assert work(blobs.do("sweep", later=31 * 86400))["removed"] == 1
    assert sorted(swift.keys("alone"))[-1] == "not-ours"


def test_a_wrong_secret_is_refused_by_the_store_and_said(swift, blobs):
    swift.make_bucket("locked")
    blobs.s3("s3", swift.endpoint, "locked", secret="wrong")
    status, text = blobs.run("put", blobs.file(1000))
    assert status == 1
    assert "403" in text and "SignatureDoesNotMatch" in text
    assert swift.keys("locked") == []
    assert "wrong" not in text


def test_a_missing_bucket_and_a_readable_secret_are_said(swift, blobs):
    blobs.s3("s3", swift.endpoint, "nowhere")
    status, text = blobs.run("put", blobs.file(1000))
    assert status == 1 and "NoSuchBucket" in text
    (blobs.dir / "s3.secret").chmod(0o644)
    status, text = blobs.run("stores")
    assert status == 1 and "chmod 600" in text


def test_a_store_that_is_not_mounted_is_not_taken_for_an_empty_one(blobs):
    blobs.disk("a")
    blobs.do("put", blobs.file(1000))
    os.rename(blobs.dir / "a", blobs.dir / "elsewhere")
    (blobs.dir / "a").mkdir()
    status, text = blobs.run("stores")
    assert status == 1 and "is it mounted?" in text


class Cheat(http.server.BaseHTTPRequestHandler):
    """Takes everything without looking, and misbehaves as the server is told."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", length=None, headers=()):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.puts += 1
        if self.server.mood == "flaky" and self.server.puts % 3:
            return self.answer(503, b"<Error><Code>SlowDown</Code></Error>")
        if self.server.mood == "forgets":
            body = body[:-1]
        if self.server.mood != "drops":
            self.server.objects[self.path] = body
        return self.answer(200, headers=[("ETag", '"1"')])

    def do_HEAD(self):
        if self.path not in self.server.objects:
            return self.answer(404)
        return self.answer(200, length=len(self.server.objects[self.path]),
                           headers=[("ETag", '"1"')])

    def do_GET(self):
        if self.server.mood == "stalls":
            self.server.stalled.wait(30)
            self.close_connection = True
            return None
        body = self.server.objects.get(self.path)
        if body is None:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        body = body[int(first):int(last) + 1]
        if self.server.mood == "truncates":
            self.answer(206, body[:-10], length=len(body))
            self.close_connection = True
            return None
        if self.server.mood == "shortens":
            body = body[:-10]
        if self.server.mood == "lies":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if self.server.mood == "floods":
            body = body + bytes(1_000_000)
        return self.answer(206, body)


@pytest.fixture
def cheat():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cheat)
    server.mood, server.objects, server.puts = "", {}, 0
    server.stalled = threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.stalled.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("mood", ["truncates", "shortens", "lies", "floods", "stalls"])
def test_a_store_that_cheats_in_reading_is_read_past(cheat, blobs, mood):
    blobs.storage(quorum=2)
    blobs.s3("cheat", f"http://127.0.0.1:{cheat.server_port}", "bucket", timeout="1s")
    blobs.disk("honest")
    path = blobs.file(200_000)
    blob = blobs.do("put", path)
    cheat.mood = mood
    blobs.check(blob, path)
    shutil.rmtree(next((blobs.dir / "honest").glob(blob[:2])))
    status, text = blobs.run("get", blob, blobs.dir / "out")
    assert status == 1 and "no replica of the blob can be read" in text
    cheat.mood = ""
    blobs.check(blob, path)
    assert work(blobs.do("scrub", later=3600))["repaired"] >= 1
    assert blobs.do("status", blob).startswith("2 of 2")


@pytest.mark.parametrize("mood", ["forgets", "drops"])
def test_a_store_that_cheats_in_writing_is_found_out_at_once(cheat, blobs, mood):
    blobs.s3("cheat", f"http://127.0.0.1:{cheat.server_port}", "bucket")
    cheat.mood = mood
    status, text = blobs.run("put", blobs.file(1000))
    assert status == 1
    assert "not there" in text or "bytes were stored of" in text


def test_a_store_that_is_slow_for_a_while_is_asked_again(cheat, blobs):
    blobs.s3("slow", f"http://127.0.0.1:{cheat.server_port}", "bucket")
    cheat.mood = "flaky"
    path = blobs.file(1000)
    blobs.check(blobs.do("put", path), path)
    assert cheat.puts == 3


def test_kill_in_the_middle_of_puts_leaves_what_was_acknowledged(blobs):
    blobs.storage(quorum=2)
    blobs.disk("a")
    blobs.disk("b")
    many = [blobs.dir / f"f{i}" for i in range(200)]
    for path in many:
        path.write_bytes(os.urandom(20_000))
    process = subprocess.Popen([DRIVER, blobs.dir, "put", *many], stdout=subprocess.PIPE, text=True,
                               bufsize=1)
    deadline = time.monotonic() + 30
    while not list((blobs.dir / "a").glob("??/*")) and time.monotonic() < deadline:
        time.sleep(0.01)  # awaits a file, not a moment
    os.kill(process.pid, signal.SIGKILL)
    acknowledged = process.stdout.read().split()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    ids = [blobs.do("put", path) for path in many[:5]]
    for blob, path in zip(ids, many):
        blobs.check(blob, path)
    assert acknowledged == ids[:len(acknowledged)][:5] + acknowledged[5:]
    assert work(blobs.do("scrub"))["lost"] == 0
    assert not list((blobs.dir / "a" / "tmp").iterdir())
