"""Enrolment and management with a device written from Apple's documents, and attacks on both."""

import base64
import concurrent.futures
import json
import plistlib
import uuid

import pytest

from helpers import cms, scep
from helpers.device import Device, FactoryCa, Refused, acknowledge
from helpers.instance import TOPIC


def new_device(instance, factory, **options):
    return Device(instance, factory, **options)


def row(instance, device):
    return instance.api("GET", f"/devices/{device.udid}", expect=200).json()


def unrecognised(response):
    """403 with the error code that makes a device un-enrol; never 401."""
    assert response.status == 403, response
    assert json.loads(response.body)["ErrorCode"] == "com.apple.unrecognized.device"


def expect_refused(step, call, *args, **options):
    with pytest.raises(Refused) as caught:
        call(*args, **options)
    assert caught.value.step == step
    response = caught.value.response
    if not isinstance(response, scep.Reply):
        assert 400 <= response.status < 500 and response.status != 401, response
    return response


# ---- the way it should go ----

@pytest.mark.parametrize("mtls", [False, True])
def test_enrol_and_obey(instance, factory, person, mtls):
    device = new_device(instance, factory, mtls=mtls)
    device.enrol_identity(*person)
    device.install_management()
    if mtls:
        device.mdm = {**device.mdm, "ServerURL": f"{instance.mtls_url}/mdm/command"}
    assert device.profile_cipher == "aes256"
    assert device.authenticate().status == 200
    assert row(instance, device)["state"] == "authenticated", "enrolled before the first token"
    assert device.token_update().status == 200
    shown = row(instance, device)
    assert shown["state"] == "enrolled" and shown["person"] == person[0]
    assert shown["serial_number"] == device.serial
    device.session()
    assert row(instance, device)["os_version"] == "17.0.1", "from DeviceInformation"
    uuids = [instance.queue(device.udid, kind) for kind in ("SecurityInfo", "CertificateList")]
    commands = device.session()
    assert [c["CommandUUID"] for c in commands] == uuids, "first in, first out"
    assert [instance.command(device.udid, u)["state"] for u in uuids] == ["acknowledged"] * 2
    assert instance.command(device.udid, uuids[0])["result"]["SecurityInfo"]["PasscodePresent"]


def test_profiles_are_signed_and_complete(instance, factory, person):
    device = new_device(instance, factory)
    device.enrol_identity(*person)
    content = device.offer["PayloadContent"]
    assert {"UDID", "SERIAL", "PRODUCT", "VERSION"} <= set(content["DeviceAttributes"])
    assert content["URL"] == f"{instance.url}/enrol/ota"
    device.install_management()
    mdm = device.mdm
    assert mdm["SignMessage"] is True and mdm["AccessRights"] == 8191
    assert mdm["Topic"].startswith("com.apple.mgmt.")
    assert mdm["ServerURL"] == f"{instance.url}/mdm/command"
    first, second = device.identity_profile["PayloadContent"][0], \
        next(p for p in device.payloads if p["PayloadType"] == "com.apple.security.scep")
    assert first["PayloadContent"]["Challenge"] != second["PayloadContent"]["Challenge"]
    identifiers = [p["PayloadIdentifier"] for p in device.payloads]
    assert len(set(identifiers)) == len(identifiers)


def test_openssl_reads_what_we_emit(instance, factory, person, openssl, tmp_path):
    """A second opinion on the CMS, and a signature made by openssl on ours."""
    device = new_device(instance, factory)
    device.fetch_offer(*person)
    login = instance.http("GET", "/enrol/profile", headers={
        "Authorization": "Basic " + base64.b64encode(
            ":".join(person).encode()).decode()})
    profile = tmp_path / "offer.der"
    profile.write_bytes(login.body)
    out = openssl("cms", "-verify", "-inform", "DER", "-in", profile, "-CAfile", instance.root,
                  "-purpose", "any")
    assert plistlib.loads(out)["PayloadType"] == "Profile Service"
    device.enrol(*person)
    device.session()
    certificate, key = device.identity_files()
    body = tmp_path / "body"
    body.write_bytes(plistlib.dumps({"UDID": device.udid, "Status": "Idle"}))
    signature = openssl("cms", "-sign", "-binary", "-outform", "DER", "-signer", certificate,
                        "-inkey", key, "-in", body)
    response = device.put(body.read_bytes(), checkin=False, sign=False, headers={
        "Mdm-Signature": base64.b64encode(signature).decode()})
    assert response.status == 200 and not response.body


@pytest.mark.threads
def test_eight_devices_at_once(instance, factory, person):
    def life(number):
        device = new_device(instance, factory)
        device.enrol(*person)
        uuids = [instance.queue(device.udid, "SecurityInfo") for _ in range(3)]
        seen = [c["CommandUUID"] for c in device.session()]
        assert seen[-3:] == uuids
        return [instance.command(device.udid, u)["state"] for u in uuids]

    scep.rsa_key("device first"), scep.rsa_key("device management")
    scep.rsa_key("factory device", 1024)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for states in pool.map(life, range(8)):
            assert states == ["acknowledged"] * 3


# ---- statuses ----

def test_not_now_waits_for_the_next_session(instance, device):
    first = instance.queue(device.udid, "SecurityInfo")
    second = instance.queue(device.udid, "CertificateList")

    def not_now_once(command):
        if command["CommandUUID"] == first:
            return "NotNow", {}
        return "Acknowledged", acknowledge(command)

    seen = [c["CommandUUID"] for c in device.session(not_now_once)]
    assert seen == [first, second], "not repeated in this session, others go on"
    assert instance.command(device.udid, first)["state"] == "not-now"
    assert [c["CommandUUID"] for c in device.session()] == [first]
    assert instance.command(device.udid, first)["state"] == "acknowledged"


def test_error_and_format_error(instance, device):
    first = instance.queue(device.udid, "SecurityInfo")
    second = instance.queue(device.udid, "ProfileList")
    chain = [{"ErrorCode": 12021, "ErrorDomain": "MCMDMErrorDomain",
              "LocalizedDescription": "Unbekannt", "USEnglishDescription": "Unknown command"}]
    answers = {first: ("Error", {"ErrorChain": chain}), second: ("CommandFormatError", {})}
    device.session(lambda c: answers[c["CommandUUID"]])
    shown = instance.command(device.udid, first)
    assert shown["state"] == "error" and shown["error"][0]["code"] == 12021
    assert shown["error"][0]["description"] == "Unknown command"
    assert instance.command(device.udid, second)["state"] == "format-error"


def test_lost_answers_are_asked_again(instance, device):
    """A command whose reply was lost is delivered again; a result that comes twice counts once."""
    uuid_ = instance.queue(device.udid, "SecurityInfo")
    assert device.next_command(device.report())["CommandUUID"] == uuid_
    again = device.next_command(device.report())
    assert again["CommandUUID"] == uuid_
    for _ in range(2):
        assert device.report("Acknowledged", uuid_, **acknowledge(again)).status == 200
    shown = instance.command(device.udid, uuid_)
    assert shown["state"] == "acknowledged" and shown["deliveries"] == 2
    assert device.report("Error", uuid_).status == 200
    assert instance.command(device.udid, uuid_)["state"] == "acknowledged"


def test_unlock_token_is_filled_in(instance, device):
    uuid_ = instance.queue(device.udid, "ClearPasscode")
    command = device.session()[0]
    assert command["CommandUUID"] == uuid_
    assert command["Command"] == {"RequestType": "ClearPasscode",
                                  "UnlockToken": device.unlock_token}
    assert "UnlockToken" not in json.dumps(instance.command(device.udid, uuid_))


def test_token_without_unlock_token_keeps_the_stored_one(instance, device):
    assert device.token_update(UnlockToken=None, Token=b"\x07" * 32).status == 200
    instance.queue(device.udid, "ClearPasscode")
    assert device.session()[0]["Command"]["UnlockToken"] == device.unlock_token


def test_clear_passcode_without_a_token_is_refused(instance, factory, person):
    device = new_device(instance, factory)
    device.enrol_identity(*person)
    device.install_management()
    device.authenticate(), device.token_update(UnlockToken=None)
    assert instance.queue(device.udid, "ClearPasscode", expect=403).json()["error"]["message"]


def test_bootstrap_token(instance, device):
    def send(**message):
        return device.put({"UDID": device.udid, **message}, checkin=True)

    got = send(MessageType="GetBootstrapToken")
    assert got.status == 200 and "BootstrapToken" not in (plistlib.loads(got.body) if got.body else {})
    assert send(MessageType="SetBootstrapToken", BootstrapToken=b"boot" * 8).status == 200
    got = send(MessageType="GetBootstrapToken")
    assert plistlib.loads(got.body)["BootstrapToken"] == b"boot" * 8
    assert send(MessageType="SetBootstrapToken").status == 200
    got = send(MessageType="GetBootstrapToken")
    assert "BootstrapToken" not in (plistlib.loads(got.body) if got.body else {})


def test_user_channel_and_unknown_messages(instance, device):
    answer = device.put({"MessageType": "UserAuthenticate", "UDID": device.udid,
                         "UserID": str(uuid.uuid4())}, checkin=True)
    assert answer.status == 410
    answer = device.put({"MessageType": "NoSuchMessage", "UDID": device.udid}, checkin=True)
    assert answer.status == 400


# ---- life ----

def test_check_out_and_back(instance, factory, person, device):
    uuid_ = instance.queue(device.udid, "SecurityInfo")
    assert device.check_out().status == 200
    assert row(instance, device)["state"] == "removed"
    assert instance.command(device.udid, uuid_)["state"] == "cancelled"
    unrecognised(device.report())
    instance.queue(device.udid, "SecurityInfo", expect=403)
    old_id = row(instance, device)["id"]
    device.enrol(*person)
    shown = row(instance, device)
    assert shown["state"] == "enrolled" and shown["id"] == old_id


def test_authenticate_again_empties_the_queue(instance, device):
    uuid_ = instance.queue(device.udid, "SecurityInfo")
    assert device.authenticate().status == 200
    assert row(instance, device)["state"] == "authenticated"
    assert instance.command(device.udid, uuid_)["state"] == "cancelled"
    assert device.token_update().status == 200
    assert row(instance, device)["state"] == "enrolled"


def test_second_lock_is_refused(instance, device):
    instance.queue(device.udid, "DeviceLock", Message="Lost")
    answer = instance.queue(device.udid, "DeviceLock", expect=429)
    assert "lock" in answer.text().lower()
    assert [c["Command"]["RequestType"] for c in device.session()] == ["DeviceLock"]
    instance.queue(device.udid, "DeviceLock")
    device.session()


def test_mac_lock_needs_a_pin(instance, factory, person):
    device = new_device(instance, factory, product="MacBookPro18,3").enrol(*person)
    device.session()
    answer = instance.queue(device.udid, "DeviceLock", expect=403)
    assert "PIN" in answer.text()
    instance.queue(device.udid, "DeviceLock", PIN="123456")
    assert device.session()[0]["Command"]["PIN"] == "123456"


# ---- attacks on the enrolment ----

def test_phase2_by_a_foreign_factory(instance, factory, person):
    device = new_device(instance, factory)
    device.fetch_offer(*person)
    evil = FactoryCa()
    key, certificate = evil.issue(device.udid)
    expect_refused("phase 2", device.phase2, key=key, certificate=certificate)
    expect_refused("phase 2", device.phase2, key=evil.key, certificate=evil.certificate)
    # the right name is not enough: Apple's sample compared that alone
    expect_refused("phase 2", device.phase2, key=evil.key, certificate=device.factory_certificate)
    device.phase2()


def test_factory_ca_is_no_device(instance, factory, person):
    device = new_device(instance, factory)
    device.fetch_offer(*person)
    expect_refused("phase 2", device.phase2, key=factory.key, certificate=factory.certificate)


def test_foreign_or_missing_challenge(instance, factory, person):
    device = new_device(instance, factory)
    device.fetch_offer(*person)
    for challenge in (None, "", "x", "x" * 5000):
        expect_refused("phase 2", device.phase2, device.attributes(CHALLENGE=challenge))


def test_challenge_replayed_by_another_device(instance, factory, person):
    mine, other = new_device(instance, factory), new_device(instance, factory)
    offer = mine.fetch_offer(*person)
    mine.phase2()
    other.offer = offer
    expect_refused("phase 2", other.phase2)


def test_attributes_tampered_under_a_valid_signature(instance, factory, person):
    device = new_device(instance, factory)
    device.fetch_offer(*person)
    expect_refused("phase 2", device.phase2, tamper=True)


def test_phase3_with_another_devices_identity(instance, factory, person):
    mine, other = new_device(instance, factory), new_device(instance, factory)
    mine.enrol_identity(*person)
    other.enrol_identity(*person)
    expect_refused("phase 3", mine.phase3, key=other.first_key,
                   certificate=other.first_certificate)
    lie = mine.attributes(CHALLENGE=None, UDID=other.udid)
    expect_refused("phase 3", mine.phase3, lie)
    mine.phase3()


def test_identity_of_phase2_does_not_manage(instance, factory, person):
    """Its only use is phase 3, which brings the identity for management."""
    device = new_device(instance, factory)
    device.enrol_identity(*person)
    device.key, device.certificate = device.first_key, device.first_certificate
    device.mdm = {"CheckInURL": f"{instance.url}/mdm/checkin", "Topic": TOPIC}
    unrecognised(device.authenticate())
    device.install_management()
    assert device.authenticate().status == 200


def test_phase3_with_a_plain_scep_certificate(instance, factory, person):
    """A certificate of our own CA that no enrolment made enrols nothing."""
    device = new_device(instance, factory)
    device.enrol_identity(*person)
    client = scep.Client(scep.rsa_key("scep"), scep.name(("CN", device.udid)), device.device_ca)
    response = instance.http("POST", "/scep?operation=PKIOperation",
                             client.request(instance.challenge()))
    certificate = client.read(response.body).certificate
    expect_refused("phase 3", device.phase3, key=client.key, certificate=certificate)


def test_phase3_self_signed(instance, factory, person):
    device = new_device(instance, factory)
    device.enrol_identity(*person)
    key = scep.rsa_key("scep")
    evil = scep.self_signed(key, device.first_certificate.subject)
    expect_refused("phase 3", device.phase3, key=key, certificate=evil)


def test_scep_challenge_of_a_profile_is_bound(instance, factory, person):
    """To the subject, and to one use."""
    device = new_device(instance, factory)
    device.fetch_offer(*person)
    payload = device.phase2()["PayloadContent"][0]
    content = payload["PayloadContent"]
    other = {**payload, "PayloadContent": {**content, "Subject": [[["CN", "somebody"]]]}}
    reply = expect_refused("SCEP", device.scep, other, scep.rsa_key("scep"))
    assert reply.fail_info == "2"
    device.scep(payload, scep.rsa_key("scep"))
    expect_refused("SCEP", device.scep, payload, scep.rsa_key("scep other"))


# ---- attacks on management ----

def test_unknown_device(instance, factory, person, device):
    """Not a row, not a certificate of ours, not signed at all: 403, never 401."""
    stranger = new_device(instance, factory)
    stranger.mdm = device.mdm
    stranger.key = scep.rsa_key("scep")
    stranger.certificate = scep.self_signed(stranger.key, scep.name(("CN", stranger.udid)))
    for response in (stranger.report(), stranger.authenticate(), stranger.token_update(),
                     stranger.check_out()):
        unrecognised(response)
    assert instance.http("GET", f"/api/v1/devices/{stranger.udid}", headers={
        "Authorization": f"Bearer {instance.api_token()}"}).status == 404
    response = stranger.put({"UDID": stranger.udid, "Status": "Idle"}, checkin=False, sign=False)
    assert response.status == 403


@pytest.mark.parametrize("mtls", [False, True])
def test_certificate_of_another_device(instance, factory, person, mtls):
    mine = new_device(instance, factory, mtls=mtls).enrol(*person)
    victim = new_device(instance, factory).enrol(*person)
    mine.session(), victim.session()
    if mtls:
        mine.mdm = {**mine.mdm, "ServerURL": f"{instance.mtls_url}/mdm/command"}
    uuid_ = instance.queue(victim.udid, "SecurityInfo")
    mine.udid, own = victim.udid, mine.udid
    unrecognised(mine.report())
    unrecognised(mine.report("Acknowledged", uuid_))
    unrecognised(mine.token_update(Token=b"\1" * 32))
    unrecognised(mine.check_out())
    unrecognised(mine.authenticate())
    assert instance.command(victim.udid, uuid_)["state"] == "queued"
    mine.udid = own
    # its own channel, another's command: accepted and ignored
    assert mine.report("Acknowledged", uuid_).status == 200
    assert instance.command(victim.udid, uuid_)["state"] == "queued"
    assert [c["CommandUUID"] for c in victim.session()] == [uuid_]


def test_tampered_body_and_signature(instance, device):
    body = plistlib.dumps({"UDID": device.udid, "Status": "Idle"})
    other = body.replace(b"Idle", b"idle")
    response = device.put(body, checkin=False, body=other)
    assert 400 <= response.status < 500 and response.status != 401
    for signature in ("", "AAAA", "%%%", "A" * 60000):
        response = device.put(body, checkin=False, headers={"Mdm-Signature": signature})
        assert 400 <= response.status < 500 and response.status != 401, (signature[:9], response)
    attached = base64.b64encode(
        cms.sign(body, device.key, device.certificate)).decode()
    response = device.put(other, checkin=False, headers={"Mdm-Signature": attached})
    assert 400 <= response.status < 500 and response.status != 401
    assert device.report().status == 200


def plist(inner):
    return (b'<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0"><dict>'
            + inner + b"</dict></plist>")


HOSTILE = {
    "deep": plist(b"<key>a</key>" + b"<array>" * 5000 + b"</array>" * 5000),
    "entities": b'<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY a "aaaaaaaaaa">'
                + b"".join(b'<!ENTITY %c "&%c;&%c;&%c;&%c;&%c;&%c;&%c;&%c;">'
                           % ((98 + i,) + (97 + i,) * 8) for i in range(9))
                + b']><plist version="1.0"><dict><key>UDID</key><string>&j;</string></dict></plist>',
    "external": b'<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
                b'<plist version="1.0"><dict><key>UDID</key><string>&a;</string></dict></plist>',
    "many": plist(b"<key>a</key><array>" + b"<true/>" * 250000 + b"</array>"),
    "twice": plist(b"<key>UDID</key><string>a</string><key>UDID</key><string>b</string>"),
    "not-utf8": plist(b"<key>UDID</key><string>\xff\xfe</string>"),
    "cut": plist(b"<key>UDID</key><string>a</string>")[:-10],
    "binary": plistlib.dumps({"UDID": "a"}, fmt=plistlib.FMT_BINARY),
    "empty": b"",
    "array": b'<plist version="1.0"><array/></plist>',
}


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_hostile_plists(instance, factory, person, device, kind):
    for checkin in (False, True):
        response = device.put(HOSTILE[kind], checkin=checkin)
        assert 400 <= response.status < 500 and response.status != 401, (kind, response)
    fresh = new_device(instance, factory)
    fresh.fetch_offer(*person)
    message = cms.sign(HOSTILE[kind], fresh.factory_key, fresh.factory_certificate, digest="sha1")
    if len(message) <= 256 * 1024:
        response = instance.http("POST", "/enrol/ota", message)
        assert 400 <= response.status < 500 and response.status != 401, (kind, response)
    assert device.report().status == 200


def test_oversized_names(instance, factory, person, device):
    for name in ("SerialNumber", "ProductName", "OSVersion", "DeviceName", "Topic"):
        response = device.authenticate(**{name: "x" * 5000})
        assert response.status in (400, 413), (name, response)
    for change in ({"UDID": "u" * 500}, {"PushMagic": "m" * 5000}, {"Token": b"t" * 5000},
                   {"UnlockToken": b"u" * 100000}):
        response = device.token_update(**change)
        assert response.status in (400, 403, 413), (list(change), response)
    fresh = new_device(instance, factory)
    fresh.fetch_offer(*person)
    for change in ({"UDID": "u" * 200}, {"SERIAL": "s" * 5000}, {"PRODUCT": "p\n\0"[:2]},
                   {"UDID": ""}, {"UDID": None}):
        expect_refused("phase 2", fresh.phase2, fresh.attributes(**change))


def test_odd_names_are_stored_as_text(instance, factory, person):
    """A name is data: quotes, markup and SQL in it do nothing."""
    device = new_device(instance, factory)
    device.serial = "<b>'\"; DROP TABLE device;--"
    device.enrol(*person)
    assert row(instance, device)["serial_number"] == device.serial


def test_body_limits(instance, device):
    response = device.put(b"x" * (2 * 1024 * 1024 + 1), checkin=False, sign=False)
    assert response.status == 413
    response = instance.http("POST", "/enrol/ota", b"x" * (256 * 1024 + 1))
    assert response.status == 413
    assert device.report().status == 200
