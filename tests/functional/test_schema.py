"""Every profile and command that goes to a device fits Apple's published schema."""

import plistlib
import uuid

import pytest

from helpers import schema
from helpers.device import Device


def a_profile():
    return {"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier":
            f"org.example.{uuid.uuid4()}", "PayloadUUID": str(uuid.uuid4()).upper(),
            "PayloadDisplayName": "Web clip", "PayloadContent": [
                {"PayloadType": "com.apple.webClip.managed", "PayloadVersion": 1,
                 "PayloadIdentifier": "org.example.clip", "Label": "Help",
                 "URL": "https://example.org", "IsRemovable": True,
                 "PayloadUUID": str(uuid.uuid4()).upper()}]}


def test_the_validator_can_fail():
    good = {"CommandUUID": "x", "Command": {"RequestType": "DeviceLock", "Message": "Lost"}}
    assert schema.check_command(good) == []
    for change in ({"Message": 1}, {"Mesage": "x"}, {"PIN": "123456"}):  # a PIN is for the Mac
        bad = {"CommandUUID": "x", "Command": {**good["Command"], **change}}
        assert schema.check_command(bad), change
    assert schema.check_command({"CommandUUID": "x", "Command": {"RequestType": "ClearPasscode"}})
    profile = a_profile()
    assert schema.check_configuration(profile) == []
    del profile["PayloadContent"][0]["URL"]
    assert schema.check_configuration(profile)


def test_enrolment_profiles(instance, factory, person):
    device = Device(instance, factory)
    device.enrol_identity(*person)
    assert schema.check_configuration(device.identity_profile) == []
    device.install_management()
    assert schema.check_configuration(device.management_profile, device.payloads) == []
    kinds = [p["PayloadType"] for p in device.payloads]
    assert sorted(kinds) == ["com.apple.mdm", "com.apple.security.pkcs1",
                             "com.apple.security.root", "com.apple.security.scep"]


COMMANDS = [
    ("DeviceInformation", {}),
    ("DeviceInformation", {"Queries": ["DeviceName", "OSVersion"]}),
    ("SecurityInfo", {}),
    ("ProfileList", {}),
    ("CertificateList", {}),
    ("InstalledApplicationList", {}),
    ("InstalledApplicationList", {"ManagedAppsOnly": True, "Items": ["Identifier", "Name"]}),
    ("DeviceLock", {"Message": "Lost", "PhoneNumber": "+49 30 123456"}),
    ("ClearPasscode", {}),
    ("RestartDevice", {}),
    ("RemoveProfile", {"Identifier": "org.example.gone"}),
    ("Settings", {"Settings": [{"Item": "DeviceName", "DeviceName": "Ward 3"}]}),
]
ERASE = ("EraseDevice", {"PreserveDataPlan": True})  # the last: the device forgets us


def test_what_a_new_device_is_asked(instance, factory, person):
    device = Device(instance, factory).enrol(*person)
    first = device.session()
    assert "DeviceInformation" in [c["Command"]["RequestType"] for c in first]
    for command in first:
        assert schema.check_command(command) == [], command


def test_all_commands(instance, device):
    uuids = [instance.queue(device.udid, kind, **parameters) for kind, parameters in COMMANDS]
    profile = a_profile()
    answer = instance.api("POST", "/profiles", plistlib.dumps(profile), expect=201)
    identifier = answer.json()["identifier"]
    assert identifier == profile["PayloadIdentifier"]
    instance.api("POST", f"/profiles/{identifier}/assignments", {"device": device.udid}, expect=202)
    delivered = device.session()
    assert [c["CommandUUID"] for c in delivered[:len(uuids)]] == uuids
    for command in delivered:
        assert schema.check_command(command) == [], command
    kinds = {c["Command"]["RequestType"] for c in delivered}
    assert kinds == {kind for kind, _ in COMMANDS} | {"InstallProfile"}
    installed = plistlib.loads(next(c["Command"]["Payload"] for c in delivered
                                    if c["Command"]["RequestType"] == "InstallProfile"))
    assert schema.check_configuration(installed) == []
    assert installed["PayloadContent"] == profile["PayloadContent"]
    instance.api("DELETE", f"/profiles/{identifier}/assignments/{device.udid}", expect=202)
    removed = device.session()
    assert [c["Command"] for c in removed] == [
        {"RequestType": "RemoveProfile", "Identifier": identifier}]
    instance.api("DELETE", f"/profiles/{identifier}", expect=204)
    instance.queue(device.udid, ERASE[0], **ERASE[1])
    instance.queue(device.udid, "DeviceInformation", expect=202)
    erased = device.session()
    assert [c["Command"]["RequestType"] for c in erased] == ["EraseDevice"]
    assert schema.check_command(erased[0]) == []
    assert instance.api("GET", f"/devices/{device.udid}").json()["state"] == "removed"


@pytest.mark.parametrize("kind, parameters", [
    ("NoSuchCommand", {}),
    ("DeviceLock", {"Mesage": "x"}),
    ("DeviceLock", {"Message": 5}),
    ("DeviceLock", {"Message": "x" * 5000}),
    ("RemoveProfile", {}),
    ("Settings", {"Settings": "x"}),
    ("Settings", {}),
    ("InstalledApplicationList", {"Items": "Name"}),
    ("EraseDevice", {"PIN": "abc"}),
    ("InstallProfile", {}),
])
def test_commands_that_do_not_fit_are_refused(instance, device, kind, parameters):
    """At once and with a reason, not by the device later."""
    body = {"request_type": kind, "parameters": parameters}
    answer = instance.api("POST", f"/devices/{device.udid}/commands", body)
    assert answer.status in (400, 403, 413), answer
    assert answer.json()["error"]["message"]
    assert device.session() == []


def test_dry_run_queues_nothing(instance, device):
    body = {"request_type": "EraseDevice", "dry_run": True}
    answer = instance.api("POST", f"/devices/{device.udid}/commands", body, expect=200).json()
    assert answer == {"uuid": None, "queued": False}
    assert device.session() == []


@pytest.mark.parametrize("content", [
    b"", b"nothing", plistlib.dumps({}), plistlib.dumps([]),
    plistlib.dumps({**a_profile(), "PayloadType": "com.apple.mdm"}),
    plistlib.dumps({k: v for k, v in a_profile().items() if k != "PayloadIdentifier"}),
    plistlib.dumps({**a_profile(), "PayloadContent": "x"}),
    plistlib.dumps({**a_profile(), "PayloadContent": [{"PayloadType": 5}]}),
    plistlib.dumps({**a_profile(), "PayloadIdentifier": "x" * 1000}),
], ids=["empty", "text", "dict", "array", "mdm", "no-identifier", "content-string", "type-integer",
        "long-identifier"])
def test_profiles_that_are_none_are_refused(instance, content):
    answer = instance.api("POST", "/profiles", content)
    assert answer.status in (400, 403, 413), answer


def test_the_test_device_speaks_the_schema(instance, factory):
    """So that device and server don't agree on a mistake."""
    device = Device(instance, factory)
    sent = []
    device.mdm = {"Topic": "com.apple.mgmt.x", "CheckInURL": "x", "ServerURL": "x"}
    device.put = lambda message, checkin: sent.append(message)
    device.authenticate(), device.token_update(), device.check_out()
    # the schema says that iOS sends no name and model; phones do send them
    sent[0] = {k: v for k, v in sent[0].items() if k not in ("Model", "ModelName", "DeviceName")}
    for message in sent:
        assert schema.check_checkin(message) == []
