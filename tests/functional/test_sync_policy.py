"""Who may do what with files: by domain, group, person and device, each over those before it."""

import json
import shutil
import subprocess

import pytest

from helpers import instance as instances
from helpers.instance import PATIENCE
from helpers.sync_client import Client, Refused, Region, begin, new_device, person
from test_sync_client import Device

ANNA, BERT, CARL = "anna@example.org", "bert@example.org", "carl@other.example.org"
KIOSK = new_device(ANNA, b"kiosk")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = instances.Instance(tmp_path_factory.mktemp("policy"))
    try:
        made.init({"sync": {"enabled": "yes", "quota": "1G", "may_share": "no"},
                   "sync_policy example.org": {"may_share": "yes", "folders": "Work, Photos"},
                   "sync_policy group:sales@example.org": {"may_share_outside": "yes", "quota": "2G"},
                   f"sync_policy {BERT}": {"quota": "3G"},
                   f"sync_policy device:{KIOSK.id.hex()[:16]}": {"may_sync": "no"}}).start()
        made.coffer("mail", "group", "set", "sales@example.org", BERT)
        made.anna, made.bert, made.carl = (person(made, e) for e in (ANNA, BERT, CARL))
        yield made
        made.stop()
    finally:
        made.abandon()


def policy(client):
    told = client.good("GET", client.r("/policy")).json()
    return told["may_share"], told["may_share_outside"], told["folders"], told["quota"] >> 30


def test_each_rule_holds_over_those_before_it(service):
    anna, bert, carl = (begin(service, e, t) for e, t in
                        ((ANNA, service.anna), (BERT, service.bert), (CARL, service.carl)))
    assert policy(carl) == (False, False, None, 1)
    assert policy(anna) == (True, False, ["Work", "Photos"], 1)
    assert policy(bert) == (True, True, ["Work", "Photos"], 3)
    # Who leaves the group loses what it gave, at once.
    service.coffer("mail", "group", "remove", "sales@example.org")
    assert policy(bert) == (True, False, ["Work", "Photos"], 3)


def test_one_device_may_not_sync_and_the_persons_others_may(service):
    kiosk = Client(service, Region(KIOSK), KIOSK, service.anna)
    with pytest.raises(Refused) as caught:
        kiosk.create()
    assert (caught.value.status, caught.value.reason) == (403, "policy")
    anna = begin(service, ANNA, service.anna)
    anna.put_files({b"a": b"1"})


# ---- which folders: what the programs on a device make of it ----

@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """Anna's region, which Bert is in; the rules leave him Work and Photos."""
    place = tmp_path_factory.mktemp("office")
    made = instances.Instance(tmp_path_factory.mktemp("instance"))
    try:
        made.init({"sync": {"enabled": "yes"}, f"sync_policy {BERT}": {"folders": "Work, Photos"}}).start()
        made.laptop = Device(made, place, "laptop", ANNA, person(made, ANNA)).init()
        made.desktop = Device(made, place, "desktop", BERT, person(made, BERT)).join(made.laptop)
        yield made
        made.stop()
    finally:
        made.abandon()


@pytest.fixture
def pair(office):
    """Both in step, with the same again in each test."""
    laptop, desktop = office.laptop, office.desktop
    laptop.sync(), desktop.sync()
    for device in (laptop, desktop):
        for path in device.folder.iterdir():
            if path.name != ".coffer-sync":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    laptop.sync("--release-brake"), desktop.sync("--release-brake"), laptop.sync()
    for path in ("Work/a", "Work/deep/b", "Photos/c", "Private/d", "top"):
        laptop.write(path, path)
    laptop.sync(), desktop.sync()
    return laptop, desktop


def rule(office, folders):
    """Another rule for Bert."""
    office.stop()
    office.configure({f"sync_policy {BERT}": {"folders": folders}})
    office.start()


def files(device):
    return {k: v for k, v in device.tree().items() if v != "folder"}


MINE = {p: p.encode() for p in ("Work/a", "Work/deep/b", "Photos/c")}
ALL = {**MINE, "Private/d": b"Private/d", "top": b"top"}


def test_what_the_rules_keep_out_is_neither_fetched_nor_sent_nor_deleted(pair):
    laptop, desktop = pair
    assert files(desktop) == MINE and files(laptop) == ALL
    assert desktop.call("status")["allowed"] == ["Work", "Photos"] and "allowed" not in laptop.call("status")
    desktop.write("Private/mine", "stays here")
    desktop.write("other", "this too")
    desktop.write("Work/e", "new")
    done = desktop.run("run", str(desktop.folder), "--once")
    said = json.loads(done.stdout)
    assert (said["outside"], said["uploaded"], said["removed_there"]) == (2, 1, 0)
    assert said["first_outside"] in ("Private", "other")
    laptop.sync()
    assert files(laptop) == {**ALL, "Work/e": b"new"}
    assert files(desktop) == {**MINE, "Work/e": b"new", "Private/mine": b"stays here", "other": b"this too"}
    # Without --json a person is told on stderr.
    plain = subprocess.run([w for w in desktop.arguments("run", "--once") if w != "--json"],
                           capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert "organisation's rules keep 2 names" in plain.stderr


def test_without_a_folder_the_rules_hold_too(pair, tmp_path):
    _, desktop = pair
    assert {e["path"].split("/")[0] for e in desktop.call("ls", "--all")["entries"]} == {"Work", "Photos"}
    assert {f["path"] for f in desktop.call("status", "--files")["files"]} == set(MINE)
    assert {c["path"].split("/")[0] for c in desktop.call("history")["changes"]} <= {"Work", "Photos"}
    out, source = tmp_path / "out", tmp_path / "source"
    source.write_text("text")
    for words in (("get", "Private/d", str(out)), ("ls", "Private"), ("put", str(source), "Private/x"),
                  ("put", str(source), "/top"), ("mkdir", "New"), ("rm", "top"), ("history", "Private"),
                  ("restore", "Private", "--version", "1"), ("restore", "top", "--to", str(out))):
        assert "organisation's rules" in desktop.run(*words, status=4).stderr, words
    assert not out.exists()
    desktop.call("get", "Work/a", str(out))
    assert out.read_text() == "Work/a"
    desktop.call("put", str(source), "Work/put")
    # A restore of everything brings back what it may.
    desktop.call("rm", "Work/deep", "--recursive")
    newest = desktop.call("status")["root"]
    done = desktop.call("restore", "/", "--version", str(newest - 1))
    assert done["files"] == 1 and done["left"] >= 1 and "rules" in done["first_left"]


def test_a_folder_that_gets_a_name_outside_of_the_rules_is_not_deleted(pair):
    laptop, desktop = pair
    (desktop.folder / "Work").rename(desktop.folder / "Other")
    said = desktop.sync()
    assert said["left"] and said["first_left"].startswith("Work") and not said["removed_there"], said
    laptop.sync()
    assert files(laptop) == ALL
    (desktop.folder / "Other").rename(desktop.folder / "Work")
    desktop.write("Work/a", "goes on")
    desktop.sync(), laptop.sync()
    assert files(laptop) == {**ALL, "Work/a": b"goes on"} and desktop.sync()["left"] == 0


def test_a_rule_that_changes_deletes_nothing(office, pair):
    laptop, desktop = pair
    rule(office, "Work")
    assert desktop.sync()["outside"] == 1  # Photos lies there still
    laptop.write("Photos/f", "new")
    laptop.sync()
    said = desktop.sync()
    assert files(desktop) == MINE and not said["removed_here"] and not said["removed_there"]
    (desktop.folder / "Photos" / "c").unlink()  # nobody's business by now
    desktop.sync(), laptop.sync()
    assert files(laptop) == {**ALL, "Photos/f": b"new"}
    rule(office, "Work, Photos")
    desktop.sync()
    assert files(desktop) == {**MINE, "Photos/f": b"new"}
    laptop.sync()
    assert files(laptop) == {**ALL, "Photos/f": b"new"}
