"""Synced files come back without any server: from dumps that Coffer's own writers and an independent
script made, by coffer-unseal and by that script; and what was tampered with is named."""
import filecmp
import os
import pathlib
import random
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
import sync_unseal  # noqa: E402

ROOT = HERE.parent.parent
VECTORS = ROOT / "docs/formats/sync-vectors.txt"
BIN = pathlib.Path(os.environ.get("COFFER_BIN", ROOT / "build/bin"))
UNSEAL = BIN / "coffer-unseal"
MAKE = BIN.parent / "tests/unit/sync/sync_make_dump"
SCRIPT = HERE / "sync_unseal.py"
PASSPHRASE = "correct horse battery"


def run(*arguments, status=0):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Files of awkward names, sizes, modes and times."""
    top = tmp_path_factory.mktemp("tree")
    rng = random.Random(6)
    (top / "Reports/2026/deep").mkdir(parents=True)
    (top / "empty folder").mkdir()
    sizes = {"empty": 0, "one": 1, "small": 4095, "page": 4096, "chunk": 1 << 20, "chunk and one": (1 << 20) + 1,
             "Reports/big.bin": 3_300_000, "Reports/2026/deep/a": 70_000}
    for name, size in sizes.items():
        (top / name).write_bytes(rng.randbytes(size))
    (top / "zeros").write_bytes(bytes(2 << 20))
    (top / "Straße.txt").write_text("composed and folded")
    pathlib.Path(os.fsdecode(os.fsencode(top) + b"/bytes \xff\xfe")).write_bytes(b"no UTF-8")
    (top / "line\nbreak").write_text("odd")
    for i in range(450):
        (top / "Reports/2026" / f"note {i:04}").write_text(f"note {i}\n" * (i % 7))
    (top / "link").symlink_to("Reports/big.bin")
    (top / "dangling").symlink_to("/nowhere/at all")
    (top / "one").chmod(0o600)
    (top / "small").chmod(0o755)
    os.utime(top / "page", ns=(0, 1234567890123456789))
    os.utime(top / "Reports", ns=(0, 987654321000000000))
    return top


@pytest.fixture(scope="module")
def dumps(tree, tmp_path_factory):
    if not MAKE.exists():
        pytest.skip("the unit tests are not built")
    made = {}
    for who in ("coffer", "script"):
        place = tmp_path_factory.mktemp(who)
        made[who] = place / "dump", place / "key"
    run(MAKE, tree, *made["coffer"], PASSPHRASE)
    run(sys.executable, SCRIPT, "pack", tree, *made["script"])
    (made["coffer"][1].parent / "passphrase").write_text(PASSPHRASE + "\n")
    (made["coffer"][1].parent / "passphrase").chmod(0o600)
    return made


def facts(top):
    """Everything that must be equal: names, kinds, contents, modes, times."""
    out = {}
    for folder, folders, names in os.walk(os.fsencode(top)):
        for name in folders + names:
            path = os.path.join(folder, name)
            state = os.lstat(path)
            link = os.readlink(path) if os.path.islink(path) else None
            mode = None if link else state.st_mode
            content = open(path, "rb").read() if not link and not os.path.isdir(path) else link
            out[os.path.relpath(path, os.fsencode(top))] = (mode, None if link else state.st_mtime_ns, content)
    return out


def key_options(dump_key):
    passphrase = dump_key.parent / "passphrase"
    return ["--key", dump_key] + (["--passphrase-file", passphrase] if passphrase.exists() else [])


@pytest.mark.parametrize("maker", ["coffer", "script"])
def test_sync_unseal__the_program_restores_everything(dumps, tree, tmp_path, maker):
    dump, key = dumps[maker]
    told = run(UNSEAL, *key_options(key), dump, tmp_path / "out")
    assert "root 2: " in told and "all verified" in told
    assert facts(tmp_path / "out") == facts(tree)
    assert "all verified" in run(UNSEAL, "--check", dump)
    listed = run(UNSEAL, *key_options(key), "--list", dump)
    assert "Reports/2026/note 0449" in listed and "line\\x0abreak" in listed
    assert "is not empty" in run(UNSEAL, *key_options(key), dump, tmp_path / "out", status=1)


@pytest.mark.parametrize("maker", ["coffer", "script"])
def test_sync_unseal__the_script_restores_everything(dumps, tree, tmp_path, maker):
    dump, key = dumps[maker]
    run(sys.executable, SCRIPT, "open", dump, key, tmp_path / "out", PASSPHRASE)
    assert facts(tmp_path / "out") == facts(tree)


def test_sync_unseal__the_vectors_are_what_the_script_makes(tmp_path):
    sync_unseal.write_vectors(tmp_path / "again", sync_unseal.vectors())
    assert filecmp.cmp(tmp_path / "again", VECTORS, shallow=False)


def test_sync_unseal__nothing_in_clear_lies_in_the_dump(dumps):
    dump, _ = dumps["coffer"]
    for path in dump.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        for clear in (b"note 44", b"Reports", b"big.bin", b"composed and folded", b"nowhere", b"2026"):
            assert clear not in data, path


def tampered(dumps, tmp_path, change):
    """A copy of Coffer's dump, changed; what the program says of it, what it restored."""
    dump, key = dumps["coffer"]
    copy = tmp_path / "dump"
    shutil.copytree(dump, copy)
    name = change(copy)
    out = tmp_path / "out"
    told = run(UNSEAL, *key_options(key), copy, out, status=5)
    checked = subprocess.run([UNSEAL, "--check", copy], capture_output=True, text=True, check=False)
    assert checked.returncode in (3, 5)
    assert name in told
    return told, out


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def largest(dump):
    """Blob of Reports/big.bin in the newest root; two of them are that large."""
    return sorted((p for p in (dump / "blobs").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)[-2:]


@pytest.mark.parametrize("where", ["header", "middle", "end", "cut", "longer", "swapped", "gone"])
def test_sync_unseal__a_damaged_file_is_named_and_the_others_come(dumps, tree, tmp_path, where):
    def change(dump):
        one, two = largest(dump)
        for blob in (one, two):
            size = blob.stat().st_size
            if where == "cut":
                os.truncate(blob, size - (1 << 20) - 16)
            elif where == "longer":
                blob.write_bytes(blob.read_bytes() + b"\0")
            elif where == "gone":
                blob.unlink()
            elif where != "swapped":
                flip(blob, {"header": 150, "middle": size // 2, "end": size - 1}[where])
        if where == "swapped":
            one.rename(dump / "x")
            two.rename(one)
            (dump / "x").rename(two)
        return "Reports/big.bin"
    told, out = tampered(dumps, tmp_path, change)
    assert told.count("coffer-unseal:") == 1 and "1 PROBLEMS" in told
    left, whole = facts(out), facts(tree)
    assert b"Reports/big.bin" not in left
    assert len(left) == len(whole) - 1


def test_sync_unseal__a_changed_chain_root_or_delivery_is_named(dumps, tmp_path):
    for i, name in enumerate(("chain", "roots", "deliveries")):
        place = tmp_path / str(i)
        place.mkdir()

        def change(dump, name=name):
            # The last byte of the last record: a signature's.
            flip(dump / name, -1)
            return {"deliveries": "a key for this device"}.get(name, name)
        if name == "deliveries":  # the key of the first epoch is left, and opens nothing new
            dump, key = dumps["coffer"]
            shutil.copytree(dump, place / "dump")
            change(place / "dump")
            told = run(UNSEAL, *key_options(key), place / "dump", place / "out", status=5)
            assert "a key for this device" in told
            continue
        tampered(dumps, place, change)


@pytest.mark.parametrize("at", [20, 60, -400, -1])
def test_sync_unseal__a_changed_package_is_named_without_a_key(dumps, tmp_path, at):
    dump, _ = dumps["coffer"]
    shutil.copytree(dump, tmp_path / "dump")
    packages = sorted(p for p in (tmp_path / "dump/packages").rglob("*") if p.is_file())
    flip(packages[0], at)
    flip(packages[-1], at)
    flip(tmp_path / "dump/deliveries", -1)
    told = run(UNSEAL, "--check", tmp_path / "dump", status=5)
    assert packages[0].name in told and packages[-1].name in told
    assert "a delivered key" in told and "3 PROBLEMS" in told


def test_sync_unseal__an_older_root_alone_is_whole_and_a_missing_one_is_noticed(dumps, tree, tmp_path):
    dump, key = dumps["coffer"]
    shutil.copytree(dump, tmp_path / "dump")
    roots = (dump / "roots").read_bytes()
    half = len(roots) // 2
    (tmp_path / "dump/roots").write_bytes(roots[:half])
    assert "root 1: " in run(UNSEAL, *key_options(key), tmp_path / "dump", tmp_path / "out")
    assert facts(tmp_path / "out") == facts(tree)
    (tmp_path / "dump/roots").write_bytes(roots[half:])
    told = run(UNSEAL, *key_options(key), tmp_path / "dump", tmp_path / "out2", status=3)
    assert "missing" in told and not (tmp_path / "out2").exists()


def test_sync_unseal__another_device_gets_nothing(dumps, tmp_path):
    dump, _ = dumps["coffer"]
    _, stranger = dumps["script"]
    told = run(UNSEAL, "--key", stranger, dump, tmp_path / "out", status=5)
    assert "no key for this device" in told and not (tmp_path / "out").exists()


def test_sync_unseal__keys_are_read_with_care(dumps, tmp_path):
    dump, key = dumps["coffer"]
    assert "passphrase" in run(UNSEAL, "--key", key, dump, tmp_path / "out", status=2)
    wrong = tmp_path / "wrong"
    wrong.write_text("something else\n")
    wrong.chmod(0o600)
    told = run(UNSEAL, "--key", key, "--passphrase-file", wrong, dump, tmp_path / "out", status=5)
    assert "the passphrase is wrong, or the key file is damaged" in told
    open_key = tmp_path / "open"
    shutil.copy(dumps["script"][1], open_key)
    open_key.chmod(0o644)
    assert run(UNSEAL, "--key", open_key, dump, tmp_path / "out", status=5)


def test_sync_unseal__says_how_it_is_used(tmp_path):
    assert "examples:" in run(UNSEAL, "--help")
    for wrong in ([], ["--key"], ["--nonsense", "x"], ["dump", "out"], ["--key", "k", "dump"], ["--check", "--list", "d"]):
        assert run(UNSEAL, *wrong, status=2)
    assert run(UNSEAL, "--check", tmp_path / "nothing", status=3)
