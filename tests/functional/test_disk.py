"""Recovery keys of LUKS volumes in escrow: a container file, the real cryptsetup, no root."""

import json
import re
import select
import shutil
import socket
import subprocess
import threading

import pytest

from helpers import instance as instances
from helpers.instance import Instance
from helpers.officers import Officer, Person, private
from helpers.proc import disk_of

DONE, FAILED, USAGE, NOT_FOUND, REFUSED, VERIFY = range(6)
CRYPTSETUP = shutil.which("cryptsetup", path="/usr/sbin:/sbin:/usr/bin")
PASSPHRASE = b"what the owner types"

pytestmark = pytest.mark.skipif(not CRYPTSETUP, reason="cryptsetup-bin is not installed")


def cryptsetup(*args, key=None, expect=0):
    done = subprocess.run([CRYPTSETUP, *[str(a) for a in args]], input=key, capture_output=True,
                          timeout=instances.PATIENCE)
    if expect is not None:
        assert done.returncode == expect, done.stderr
    return done


def opens(volume, key, slot=None):
    more = ["--key-slot", slot] if slot is not None else []
    return cryptsetup("open", "--test-passphrase", "--key-file", "-", *more, volume, key=key,
                      expect=None).returncode == 0


class World:
    def __init__(self, files, factory):
        self.files = files
        self.instance = Instance(files)
        self.instance.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem"))}})
        self.instance.start()
        self.officers = [Officer(self.instance, files, name) for name in ("anna", "ben")]
        self.admin = Person(self.instance, files, "dora", "admin")
        self.instance.coffer_json("officer", "activate", "--threshold", "2")
        self.passphrase = private(files / "passphrase", PASSPHRASE + b"\n")

    def volume(self, name, luks="luks2"):
        path = self.files / name
        path.write_bytes(b"")
        with open(path, "r+b") as f:
            f.truncate(20 << 20)
        cryptsetup("luksFormat", "-q", "--type", luks, "--pbkdf", "pbkdf2",
                   "--pbkdf-force-iterations", "1000", "--key-file", "-", path, key=PASSPHRASE)
        return path

    def protect(self, volume, *more, expect=0):
        return self.admin.coffer_json("disk", "protect", volume, "--passphrase-file",
                                      self.passphrase, *more, expect=expect)

    def recover(self, object_id, *more):
        request = self.admin.request(object_id, *more)
        for officer in self.officers:
            officer.approve(request)
        out = self.admin.home / "recovered"
        out.unlink(missing_ok=True)
        self.admin.coffer("recover", "open", request["path"], "--out", out)
        return out.read_bytes(), request


@pytest.fixture(scope="module")
def world(tmp_path_factory, factory):
    one = World(tmp_path_factory.mktemp("disk"), factory)
    try:
        yield one
        one.instance.stop()
    finally:
        one.instance.abandon()


def test_protect_recover_rotate(world):
    volume = world.volume("laptop")
    assert world.admin.coffer_json("disk", "status", volume)["keys"] == []
    done = world.protect(volume, "--person", world.officers[0].email)
    assert done["verified"] and done["slot"] == 1
    line, = world.admin.coffer_json("disk", "status", volume)["keys"]
    assert (line["object"], line["state"]) == (done["object"], "in escrow") and line["verified"]
    shown = world.instance.coffer_json("escrow", "show", done["object"])
    assert shown["kind"] == "luks-key" and shown["owner"] == world.officers[0].email
    assert str(volume) in shown["label"] or done["uuid"] in shown["label"]
    # the officers' copy really opens that slot
    key, request = world.recover(done["object"])
    assert re.fullmatch(rb"([cbdefghijklnrtuv]{8}-){7}[cbdefghijklnrtuv]{8}", key)
    assert opens(volume, key, slot=1) and opens(volume, PASSPHRASE, slot=0)
    # somebody saw it: it is to be replaced, and that is proved
    line, = world.admin.coffer_json("disk", "status", volume)["keys"]
    assert line["state"] == "revealed: rotate"
    shown = world.instance.coffer_json("recover", "show", request["id"])
    assert "coffer disk rotate" in shown["rotation"] and shown["replaced"] is None
    again = world.admin.coffer_json("disk", "rotate", volume, "--passphrase-file", world.passphrase)
    assert (again["object"], again["version"]) == (done["object"], 2)
    assert not opens(volume, key) and opens(volume, PASSPHRASE)
    line, = world.admin.coffer_json("disk", "status", volume)["keys"]
    assert line["state"] == "in escrow" and line["version"] == 2
    shown = world.instance.coffer_json("recover", "show", request["id"])
    assert shown["replaced_by_version"] == 2
    fresh, _ = world.recover(done["object"])
    assert fresh != key and opens(volume, fresh, slot=again["slot"])


def test_protected_once(world):
    volume = world.volume("once")
    world.protect(volume)
    before = volume.read_bytes()
    done = world.admin.coffer("disk", "protect", volume, "--passphrase-file", world.passphrase,
                              expect=FAILED)
    assert "disk rotate" in done.stderr and volume.read_bytes() == before


def test_a_wrong_passphrase_changes_nothing(world):
    volume = world.volume("wrong")
    wrong = private(world.files / "wrong-passphrase", b"not it\n")
    before = volume.read_bytes()
    done = world.admin.coffer("disk", "protect", volume, "--passphrase-file", wrong, expect=REFUSED)
    assert "no slot was added" in done.stderr
    assert volume.read_bytes() == before


def test_without_the_server_no_slot_is_added(world):
    volume = world.volume("offline")
    before = volume.read_bytes()
    done = subprocess.run([instances.program("coffer"), "--server", "https://localhost:1",
                           "--token-file", world.admin.token, "--ca", world.instance.root, "disk",
                           "protect", volume, "--passphrase-file", world.passphrase],
                          capture_output=True, text=True, timeout=instances.PATIENCE)
    assert done.returncode != 0 and "nothing was changed on the disk" in done.stderr
    assert volume.read_bytes() == before


def slots(volume):
    """What a volume opens with: its key slots and tokens, and the bytes of the first slot."""
    dump = json.loads(cryptsetup("luksDump", "--dump-json-metadata", volume).stdout)
    return sorted(dump["keyslots"]), dump["tokens"], dump["keyslots"]["0"]


def test_a_volume_without_a_free_slot_stays_as_it_was(world):
    volume = world.volume("full")
    more, key = private(world.files / "more", b"more"), private(world.files / "key", PASSPHRASE)
    while cryptsetup("luksAddKey", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
                     "--key-file", key, volume, more, expect=None).returncode == 0:
        pass
    before = volume.read_bytes()
    done = world.admin.coffer("disk", "protect", volume, "--passphrase-file", world.passphrase,
                              expect=None)
    assert done.returncode != 0 and "slot" in done.stderr
    assert volume.read_bytes() == before


class Proxy:
    """Carries connections to the server until `cut` says that it is enough."""

    def __init__(self, port, cut):
        self.port, self.cut, self.done = port, cut, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client):
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    if ready is client and self.cut():
                        self.done = True
                        self.listener.close()
                        return
                    data = ready.recv(65536)
                    if not data:
                        return
                    (server if ready is client else client).sendall(data)


def test_a_network_lost_before_the_proof_takes_the_slot_back(world):
    volume = world.volume("cut")
    before = slots(volume)
    assert before[0] == ["0"] and before[1] == {}
    proxy = Proxy(world.instance.port, lambda: slots(volume)[0] != ["0"])
    done = subprocess.run([instances.program("coffer"), "--server", proxy.url, "--token-file",
                           world.admin.token, "--ca", world.instance.root, "disk", "protect", volume,
                           "--passphrase-file", world.passphrase],
                          capture_output=True, text=True, timeout=instances.PATIENCE)
    assert proxy.done, "the slot was there when the network went"
    assert done.returncode != 0, done.stdout
    assert slots(volume) == before and opens(volume, PASSPHRASE)
    world.protect(volume)  # and it goes on from there


def test_what_is_no_luks2_volume(world):
    plain = world.files / "plain"
    plain.write_bytes(bytes(1 << 20))
    old = world.volume("old", "luks1")
    for volume in (plain, old, world.files / "missing"):
        done = world.admin.coffer("disk", "protect", volume, "--passphrase-file", world.passphrase,
                                  expect=None)
        assert done.returncode not in (0, None) and "Traceback" not in done.stderr, done.stderr
    done = world.admin.coffer("disk", "status", "--", "--version", expect=None)
    assert done.returncode not in (0, None), "a volume's name is no option of cryptsetup"
    done = world.admin.coffer("disk", "rotate", world.volume("bare"), "--passphrase-file",
                              world.passphrase, expect=NOT_FOUND)
    assert "disk protect" in done.stderr


def test_the_key_is_in_no_row_and_not_on_the_disk(world):
    volume = world.volume("quiet")
    made = world.protect(volume)
    key, _ = world.recover(made["object"])
    stored = disk_of(world.instance.directory / "store")
    assert key not in stored and key not in volume.read_bytes()


def test_a_proof_is_of_disk_keys_alone(world):
    path = private(world.files / "pin", b"123456\n")
    kept = world.admin.coffer_json("escrow", "put", path, "--kind", "pin")
    body = {"nonce": "A" * 43 + "="}
    world.admin.api("POST", f"/escrow/{kept['id']}/prove", body, expect=403)
    world.admin.api("POST", f"/escrow/{kept['id']}/prove", {"nonce": "AAAA"}, expect=400)
    anna = world.officers[0]
    anna.api("POST", f"/escrow/{kept['id']}/prove", body, expect=403)


# ---- BitLocker, files ----

GOOD = "-".join(f"{11 * n:06d}" for n in (1, 65535, 20000, 30000, 40000, 50000, 60000, 12345))


def test_bitlocker_passwords(world):
    path = private(world.files / "bitlocker", (GOOD + "\n").encode())
    kept = world.admin.coffer_json("escrow", "put", path, "--kind", "bitlocker-key")
    assert world.recover(kept["id"])[0].decode() == GOOD
    groups = GOOD.split("-")
    for at, wrong in ((2, "720896"), (5, "000001"), (7, "12345"), (0, "12a456")):
        bad = "-".join([*groups[:at], wrong, *groups[at + 1:]])
        private(path, bad.encode() + b"\n")
        done = world.admin.coffer("escrow", "put", path, "--kind", "bitlocker-key", expect=None)
        assert done.returncode and f"group {at + 1} " in done.stderr, done.stderr
    private(path, "-".join(groups[:7]).encode() + b"\n")
    done = world.admin.coffer("escrow", "put", path, "--kind", "bitlocker-key", expect=None)
    assert done.returncode and "8 groups" in done.stderr


def test_files_and_signing_keys(world):
    path = private(world.files / "vpn", bytes(range(256)))
    kept = world.admin.coffer_json("escrow", "put", path, "--label", "VPN concentrator")
    assert world.recover(kept["id"])[0] == bytes(range(256))
    private(path, bytes(32 * 1024 + 1))
    assert world.admin.coffer("escrow", "put", path, expect=None).returncode
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption())
    private(path, pem)
    done = world.admin.coffer("escrow", "put", path, expect=REFUSED)
    assert "signing keys" in done.stderr
    assert json.dumps(world.instance.coffer_json("escrow", "list")).count("VPN") == 1
