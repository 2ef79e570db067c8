"""Managed app configuration: what device management tells a mail program about leases, and its token,
which is nowhere but on its way to the device."""

import hashlib
import json
import os
import plistlib

import pytest

from helpers import schema, sim
from helpers.device import Device
from helpers.dovecot import Mailbox
from helpers.instance import ROOT, Instance
from helpers.proc import disk_of

APP = "org.example.mail"


@pytest.fixture(scope="module")
def coffer(tmp_path_factory, factory):
    """An instance that names a mail program: each new device is told."""
    files = tmp_path_factory.mktemp("managed")
    simulated = files / "simulated"
    sim.run("factory-ca", "--out", simulated)
    makers = factory.write(files / "factory-ca.pem")
    makers.write_bytes(makers.read_bytes() + (simulated / "factory-ca.cert.pem").read_bytes())
    instance = Instance(files)
    instance.simulated = simulated
    instance.init({"enrol": {"factory_ca": str(makers)},
                   "mailbox": {"app": APP, "lease_hours": "24"}})
    try:
        instance.start()
        yield instance
        instance.stop()
    finally:
        instance.abandon()


def configurations(commands):
    found = []
    for command in commands:
        for item in command["Command"].get("Settings", []):
            if item["Item"] == "ApplicationConfiguration":
                assert schema.check_command(command) == [], command
                assert item["Identifier"] == APP
                found.append(item["Configuration"])
    return found


def opens(instance, token):
    answer = instance.http("GET", "/push/v1/leases", headers={"Authorization": f"Bearer {token}"})
    assert answer.status in (200, 401), answer
    return answer.status == 200


def new_device(coffer, factory, address):
    """Enrolled, with the token that it was told."""
    device = Device(coffer, factory).enrol(*coffer.person(address))
    told = configurations(device.session())
    assert len(told) == 1
    return device, told[0]


def test_a_new_device_is_told_of_leases_and_gets_a_token(coffer, factory):
    device, told = new_device(coffer, factory, "new@example.org")
    token = told["CofferToken"]
    assert told == {"CofferLease": True, "CofferLeaseHours": 24, "CofferServer": coffer.url,
                    "CofferToken": token, "ENSEnableKeyEscrow": 1, "ENSKeyEscrowExpiry": 24,
                    "ENSLinkAddress": coffer.url, "ENSAPIToken": token}
    assert opens(coffer, token)
    assert opens(coffer, told["ENSAPIToken"])


def test_the_token_is_nowhere_at_rest(coffer, factory):
    device, told = new_device(coffer, factory, "rest@example.org")
    token = told["CofferToken"].encode()
    stored = disk_of(coffer.directory)
    assert hashlib.sha256(token).digest() in stored
    assert token not in stored and b"CofferToken" in stored
    shown = json.dumps(coffer.api("GET", f"/devices/{device.udid}/commands").json())
    assert token.decode() not in shown


def test_each_device_has_its_own_token_and_another_takes_its_place(coffer, factory):
    one, first = new_device(coffer, factory, "one@example.org")
    _, other = new_device(coffer, factory, "other@example.org")
    assert first["CofferToken"] != other["CofferToken"]
    said = coffer.coffer_json("device", "mail-app", one.udid, "--hours", "12")
    assert opens(coffer, first["CofferToken"])  # until the device has the next one
    commands = one.session()
    assert [c["CommandUUID"] for c in commands] == [said["uuid"]]
    second = configurations(commands)[0]
    assert second["CofferLeaseHours"] == second["ENSKeyEscrowExpiry"] == 12
    assert opens(coffer, second["CofferToken"]) and not opens(coffer, first["CofferToken"])
    assert opens(coffer, other["CofferToken"])


def test_an_answer_that_is_lost_costs_no_token(coffer, factory):
    """The device fetches the command again: the token that came last is the one."""
    device, told = new_device(coffer, factory, "lost-answer@example.org")
    coffer.coffer("device", "mail-app", device.udid)
    lost = configurations([device.next_command(device.report())])[0]
    came = configurations(device.session())[0]
    assert opens(coffer, came["CofferToken"])
    assert not opens(coffer, lost["CofferToken"]) and not opens(coffer, told["CofferToken"])


@pytest.mark.parametrize("status", ["NotNow", "Error", "CommandFormatError"])
def test_a_device_that_did_not_take_it_keeps_its_token(coffer, factory, status):
    """It has the configuration from before, and goes on with what that says."""
    device, told = new_device(coffer, factory, f"kept-{status.lower()}@example.org")
    coffer.coffer("device", "mail-app", device.udid)
    refused, = configurations(device.session(answer=lambda command: (status, {})))
    assert opens(coffer, told["CofferToken"]) and not opens(coffer, refused["CofferToken"])
    if status != "NotNow":
        assert device.session() == []
        coffer.coffer("device", "mail-app", device.udid)
    taken, = configurations(device.session())
    assert opens(coffer, taken["CofferToken"]) and not opens(coffer, told["CofferToken"])


def test_until_it_answers_both_are_good(coffer, factory):
    device, told = new_device(coffer, factory, "both@example.org")
    coffer.coffer("device", "mail-app", device.udid)
    command = device.next_command(device.report())
    came, = configurations([command])
    assert opens(coffer, told["CofferToken"]) and opens(coffer, came["CofferToken"])
    device.report("Acknowledged", command["CommandUUID"])
    assert opens(coffer, came["CofferToken"]) and not opens(coffer, told["CofferToken"])


def test_no_lease_ends_the_token(coffer, factory):
    device, told = new_device(coffer, factory, "off@example.org")
    coffer.coffer("device", "mail-app", device.udid)  # waits in the queue
    coffer.coffer("device", "mail-app", device.udid, "--no-lease")
    assert not opens(coffer, told["CofferToken"])
    off, = configurations(device.session())  # the last word, and no other
    assert off == {"CofferLease": False, "CofferLeaseHours": 24, "CofferServer": coffer.url,
                   "ENSEnableKeyEscrow": 0, "ENSKeyEscrowExpiry": 24, "ENSLinkAddress": coffer.url}
    assert device.session() == []
    assert not opens(coffer, told["CofferToken"])


@pytest.mark.parametrize("earlier", ["waits", "not-now", "fetched"])
def test_a_later_word_calls_back_the_earlier(coffer, factory, earlier):
    device, told = new_device(coffer, factory, f"later-{earlier}@example.org")
    first = coffer.coffer_json("device", "mail-app", device.udid)["uuid"]
    got = told
    if earlier == "not-now":
        got, = configurations(device.session(answer=lambda command: ("NotNow", {})))
    elif earlier == "fetched":  # and never answered
        got, = configurations([device.next_command(device.report())])
    assert opens(coffer, told["CofferToken"])
    assert opens(coffer, got["CofferToken"]) == (earlier != "not-now")
    coffer.coffer("device", "mail-app", device.udid, "--no-lease")
    states = {c["uuid"]: c["state"] for c in
              coffer.api("GET", f"/devices/{device.udid}/commands").json()["commands"]}
    assert states[first] == "cancelled"
    off, = configurations(device.session())
    assert not off["CofferLease"]
    assert not opens(coffer, got["CofferToken"]) and not opens(coffer, told["CofferToken"])
    coffer.coffer("device", "mail-app", device.udid, "--no-lease")
    coffer.coffer("device", "mail-app", device.udid, "--hours", "3")
    on, = configurations(device.session())
    assert on["CofferLeaseHours"] == 3 and opens(coffer, on["CofferToken"])


@pytest.mark.parametrize("end", ["lost", "release", "erase", "checkout"])
def test_the_token_ends_with_the_device(coffer, factory, end):
    device, told = new_device(coffer, factory, f"{end}@example.org")
    assert opens(coffer, told["CofferToken"])
    if end == "lost":
        coffer.coffer("device", "lost", device.udid, "--yes")
    elif end == "release":
        coffer.coffer("device", "release", device.udid)
    elif end == "erase":
        coffer.queue(device.udid, "EraseDevice")
        device.session()
    else:
        device.check_out()
    assert not opens(coffer, told["CofferToken"])


@pytest.mark.parametrize("body, status", [
    ({}, 400),  # this instance names no program
    ({"app": "a b"}, 400), ({"app": "x" * 200}, 400), ({"app": APP, "hours": 0}, 400),
    ({"app": APP, "hours": 169}, 400), ({"app": APP, "lease": "yes"}, 400),
    ({"app": APP, "token": "mine"}, 400),
], ids=["no-app", "spaces", "long", "no-hours", "a-week-and-more", "a-word", "own-token"])
def test_what_does_not_fit_is_refused(instance, device, body, status):
    answer = instance.api("POST", f"/devices/{device.udid}/mail-app", body)
    assert answer.status == status and answer.json()["error"]["message"], answer
    assert device.session() == []


def test_without_a_setting_no_device_is_told(instance, factory, person):
    device = Device(instance, factory).enrol(*person)
    assert configurations(device.session()) == []


def test_the_guide_s_commands_for_a_mailbox(coffer, factory, tmp_path):
    """The token that they make is one that coffer-mailbox takes, under the usual umask."""
    device = Device(coffer, factory).enrol(*coffer.person("guide@example.org"))
    guide = (ROOT / "docs/guides/mailbox.md").read_text()
    line, = (at for at in guide.splitlines() if at.startswith("    coffer device token "))
    words = line.split("#")[0].split()[1:]
    assert words[:3] == ["device", "token", "DEVICE"] and words[3:4] == ["--output"]
    token = tmp_path / words[4]
    before = os.umask(0o022)
    try:
        coffer.coffer("device", "token", device.udid, "--output", token)
    finally:
        os.umask(before)
    box = Mailbox(tmp_path, None, "guide@example.org")
    box.init("--server", coffer.url, "--server-ca", coffer.root, "--device-token-file", token,
             where=("--imap", "localhost:1", "--tls", "none"))
    assert json.loads((box.dir / "account.json").read_text())["server"] == coffer.url
    assert opens(coffer, token.read_text().strip())


def test_a_simulated_phone_hands_it_to_the_mail_program(coffer, tmp_path):
    """coffer-sim keeps what it is told; coffer-mailbox takes it as it is."""
    phone = sim.Phone(coffer, tmp_path / "phone", coffer.simulated)
    phone.enrol(coffer.person("sim@example.org"))
    phone.session()
    file = tmp_path / "phone" / f"app-{APP}.plist"
    assert file.stat().st_mode & 0o077 == 0
    told = plistlib.loads(file.read_bytes())
    assert opens(coffer, told["CofferToken"])
    box = Mailbox(tmp_path, None, "sim@example.org")
    box.init("--managed", file, where=("--imap", "localhost:1", "--tls", "none"))
    account = json.loads((box.dir / "account.json").read_text())
    assert account["server"] == coffer.url and account["lease_hours"] == 24
    everything = disk_of(box.dir)
    assert told["CofferToken"].encode() not in everything  # sealed in class C
    other = Mailbox(tmp_path / "phone", None, "sim@example.org")

    def refused(status, *more):
        said = other.run("init", "--address", "sim@example.org", "--imap", "localhost:1", "--managed",
                         file, "--without-tpm", *more, status=status)
        assert not other.dir.exists()
        return said
    file.chmod(0o644)
    assert b"can be read by others" in refused(4)  # the token is in it
    file.chmod(0o600)
    file.write_bytes(plistlib.dumps({"ENSEnableKeyEscrow": 1}))
    assert b"no server" in refused(2)
    file.write_bytes(plistlib.dumps({"CofferLease": False}))
    assert b"allows no leases" in refused(2, "--lease-hours", "24")
