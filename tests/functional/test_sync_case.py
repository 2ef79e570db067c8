"""A folder where names that differ by case or composition alone are one name, as on macOS, Windows and many a NAS."""

import os
import pathlib
import shutil
import subprocess

import pytest

from helpers import instance as instances
from helpers.sync_client import person
from test_sync_client import ANNA, Device
from test_sync_mount import no_fuse, wait_for

DRIVER = pathlib.Path(instances.BIN).parent / "tests" / "sim" / "sync_fold_driver"

pytestmark = pytest.mark.skipif(no_fuse() is not None, reason=str(no_fuse()))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    yield from instances.running(tmp_path_factory.mktemp("service"), {"sync": {"enabled": "yes"}})


@pytest.fixture(scope="module")
def pair(service, tmp_path_factory):
    """One on a disk that tells names apart, one on a disk that does not."""
    place = tmp_path_factory.mktemp("pair")
    token = person(service, ANNA)
    strict = Device(service, place, "strict", ANNA, token).init()
    folding = Device(service, place, "folding", ANNA, token).join(strict)
    backing = place / "backing"
    backing.mkdir()
    with open(place / "log", "wb") as log:
        driver = subprocess.Popen([DRIVER, backing, folding.folder], stdout=log, stderr=log)
    try:
        wait_for(lambda: driver.poll() is not None or os.path.ismount(folding.folder), "the mount")
        assert driver.poll() is None, (place / "log").read_text()
        yield strict, folding
    finally:
        subprocess.run(["fusermount3", "-u", "-z", folding.folder], check=False, capture_output=True)
        driver.kill()
        driver.wait()


def settle(*devices):
    said = {}
    for _ in range(2):
        for device in devices:
            said[device.name] = device.sync()
    assert all(r["left"] == 0 and not r["again"] for r in said.values()), said


def contents(device, folder):
    return sorted(v for k, v in device.tree().items() if k.startswith(folder + "/") and v != "folder")


def test_names_that_are_one_there_never_overwrite_each_other(pair):
    strict, folding = pair
    strict.write("a/Report.txt", "upper")
    strict.write("a/report.txt", "lower")
    strict.write("a/REPORT.TXT", "all upper")
    strict.write("a/caf\u00e9", "composed")
    strict.write("a/cafe\u0301", "decomposed")
    settle(strict, folding)
    assert contents(folding, "a") == contents(strict, "a") == sorted(
        [b"upper", b"lower", b"all upper", b"composed", b"decomposed"])
    assert strict.tree() == folding.tree()
    # One of each keeps its name, the others are told by theirs.
    names = [p.name for p in (folding.folder / "a").iterdir()]
    assert sum("(conflict, folding" in n for n in names) == 3 and len(names) == 5
    assert len({n.casefold() for n in names}) == 5


def test_folders_of_one_name_stay_apart(pair):
    strict, folding = pair
    strict.write("b/Docs/x", "in Docs")
    strict.write("b/docs/x", "in docs")
    settle(strict, folding)
    assert contents(folding, "b") == contents(strict, "b") == [b"in Docs", b"in docs"]
    assert strict.tree() == folding.tree()


def test_what_lies_there_keeps_its_name(pair):
    """A newcomer gives way, whoever made it."""
    strict, folding = pair
    folding.write("c/Name", "first")
    settle(folding, strict)
    strict.write("c/name", "second")
    settle(strict, folding)
    assert (folding.folder / "c" / "Name").read_bytes() == b"first"
    assert strict.tree() == folding.tree() and contents(strict, "c") == [b"first", b"second"]
    # Both sides make one of the name at once.
    folding.write("c/Both", "there")
    strict.write("c/both", "here")
    settle(strict, folding)
    assert strict.tree() == folding.tree()
    assert {b"there", b"here"} <= set(contents(strict, "c"))


def test_another_spelling_is_a_rename_and_no_more(pair):
    strict, folding = pair
    strict.write("d/readme", "text")
    strict.write("d/sub/f", "f")
    settle(strict, folding)
    os.rename(strict.folder / "d/readme", strict.folder / "d/README")
    os.rename(strict.folder / "d/sub", strict.folder / "d/Sub")
    settle(strict, folding)
    assert strict.tree() == folding.tree() and "d/README" in folding.tree() and "d/Sub/f" in folding.tree()
    assert "d/readme" not in folding.tree()


def test_a_strict_disk_has_both(pair, service, tmp_path):
    """Only where names are one do they give way."""
    strict, _ = pair
    other = Device(service, tmp_path, "other", ANNA, strict.token.read_text()).join(strict)
    alone = {"only/Case": "1", "only/case": "2"}
    for name, text in alone.items():
        other.write(name, text)
    other.sync(), strict.sync()
    assert {k: v.decode() for k, v in strict.tree().items() if k.startswith("only/")} == alone


def test_get_overwrites_nothing_that_it_fetched_itself(pair):
    strict, folding = pair
    for top, names in (("gf", ("Name", "name")), ("gd", ("Sub/x", "sub/x"))):
        for name in names:
            strict.write(f"{top}/{name}", name)
    settle(strict)
    for top in ("gf", "gd"):
        out = folding.folder / f"out-{top}"
        said = strict.run("get", top, str(out), "--replace", status=1).stderr
        assert "on this disk" in said
        # What came first is whole, and stays so.
        assert [p.read_text() for p in sorted(out.rglob("*")) if p.is_file()] == [
            {"gf": "Name", "gd": "Sub/x"}[top]]
        assert "on this disk" in strict.run("get", top, str(out), "--replace", status=1).stderr
        shutil.rmtree(out)
