"""Devices' secrets in escrow: what they send is archived, officers recover it, it changes after."""

import hashlib
import plistlib
import re
import os
import sqlite3
import stat
import subprocess

import pytest

from helpers import schema, sim
from helpers.device import Device, acknowledge
from helpers.instance import Instance
from helpers.officers import Officer, Person
from helpers.proc import disk_of

NOT_FOUND, REFUSED = 3, 4
ALPHABET = "0123456789ACDEFGHJKLMNPQRTUVWXYZ"


class World:
    def __init__(self, files, factory, factory_folder):
        self.files, self.factory_folder = files, factory_folder
        self.instance = Instance(files)
        cas = factory.write(files / "factory-ca.pem")
        simulated = factory_folder / "factory-ca.cert.pem"
        both = files / "factories.pem"
        both.write_bytes(cas.read_bytes() + simulated.read_bytes())
        self.instance.init({"enrol": {"factory_ca": str(both)}})
        self.instance.start()
        self.officers = [Officer(self.instance, files, name) for name in ("anna", "ben", "cleo")]
        self.admin = Person(self.instance, files, "dora", "admin")
        self.instance.coffer_json("officer", "activate", "--threshold", "2")

    def simulated(self, name, *more):
        person = self.instance.person(f"{name}@example.org")
        phone = sim.Phone(self.instance, self.files / name, self.factory_folder)
        phone.enrol(person, *more)
        phone.session()
        phone.session()
        return phone, phone_state(phone)

    def secrets(self, device):
        listed = self.instance.coffer_json("device", "secrets", device)["secrets"]
        return {s["secret"]: s for s in listed}

    def recover(self, request):
        for officer in self.officers[:2]:
            officer.approve(request)
        out = self.admin.home / "recovered"
        out.unlink(missing_ok=True)
        self.admin.coffer("recover", "open", request["path"], "--out", out)
        assert stat.S_IMODE(os.stat(out).st_mode) == 0o600
        return out.read_bytes()

    def everything_stored(self):
        return disk_of(self.instance.directory / "store")


def cms_content(signed):
    return subprocess.run(["openssl", "cms", "-verify", "-noverify", "-inform", "DER"], input=signed,
                          capture_output=True, check=True).stdout


def phone_state(phone):
    return plistlib.loads((phone.state / "state.plist").read_bytes())


@pytest.fixture(scope="module")
def world(tmp_path_factory, factory):
    files = tmp_path_factory.mktemp("device-secrets")
    folder = files / "factory"
    sim.run("factory-ca", "--out", folder)
    one = World(files, factory, folder)
    try:
        yield one
        one.instance.stop()
    finally:
        one.instance.abandon()


# ---- tokens and PINs ----

def test_tokens_and_pins_are_recoverable(world, factory):
    email, password = world.instance.person("mac@example.org")
    device = Device(world.instance, factory, product="MacBookPro18,3").enrol(email, password)
    device.session()
    device.put({"MessageType": "SetBootstrapToken", "UDID": device.udid,
                "BootstrapToken": b"the bootstrap token"}, checkin=True)
    world.instance.queue(device.udid, "DeviceLock", PIN="493817")
    secrets = world.secrets(device.udid)
    assert {"unlock-token", "bootstrap-token", "lock-pin"} <= set(secrets)
    assert secrets["lock-pin"]["kind"] == "pin"
    request = world.admin.request(secrets["unlock-token"]["id"])
    assert world.recover(request) == device.unlock_token
    request = world.admin.request(secrets["lock-pin"]["id"])
    assert world.recover(request) == b"493817"
    # and the server still uses them
    sent = device.session()
    assert sent[0]["Command"]["PIN"] == "493817"
    world.instance.queue(device.udid, "ClearPasscode")
    assert device.session()[0]["Command"]["UnlockToken"] == device.unlock_token
    assert world.instance.coffer_json("escrow", "verify", secrets["bootstrap-token"]["id"])["opens"]


def test_a_new_token_is_a_new_version(world, factory):
    device = Device(world.instance, factory).enrol(*world.instance.person("two@example.org"))
    device.session()
    before = world.secrets(device.udid)["unlock-token"]
    device.unlock_token = b"another unlock token"
    device.token_update()
    after = world.secrets(device.udid)["unlock-token"]
    assert (after["id"], after["version"]) == (before["id"], before["version"] + 1)
    world.instance.queue(device.udid, "ClearPasscode")
    assert device.session()[0]["Command"]["UnlockToken"] == b"another unlock token"


# ---- activation lock ----

def test_bypass_codes(world):
    phone, state = world.simulated("supervised", "--supervised")
    udid, code = state["UDID"], state["BypassCode"]
    secrets = world.secrets(udid)
    assert secrets["bypass-device"]["try"] == 1, "asked by itself, for it is told for 15 days only"
    assert code.encode() not in world.everything_stored()
    made = world.instance.coffer_json("device", "activation-lock", udid)
    secrets = world.secrets(udid)
    assert (secrets["bypass-server"]["try"], secrets["bypass-device"]["try"]) == (1, 2)
    assert secrets["bypass-server"]["id"] == made["object"]
    # the same code again is no new version, an empty one replaces nothing
    world.instance.queue(udid, "ActivationLockBypassCode")
    phone.session()
    assert world.secrets(udid)["bypass-device"]["version"] == 1
    assert world.secrets(udid)["bypass-device"]["verified"]
    # ours: its form and its hash
    request = world.admin.coffer_json("device", "bypass-code", udid, "--for", "zoe@example.org",
                                      "--reason", "left locked")
    request["path"] = world.admin.home / request["file"]
    ours = world.recover(request).decode()
    assert re.fullmatch(r"\w{5}-\w{5}-\w{4}-\w{4}-\w{4}-\w{4}", ours), ours
    bits = "".join(f"{ALPHABET.index(c):05b}" for c in ours.replace("-", "")[:25])
    bits += f"{ALPHABET.index(ours[-1]):03b}"
    raw = int(bits, 2).to_bytes(16, "big")
    assert hashlib.pbkdf2_hmac("sha256", raw, bytes(4), 50000, 32).hex() == made["hash"]
    # the device's: cleared after people saw it
    request = world.admin.coffer_json("device", "bypass-code", udid, "--second", "--for",
                                      "zoe@example.org", "--reason", "left locked")
    request["path"] = world.admin.home / request["file"]
    assert world.recover(request).decode() == code
    shown = world.instance.coffer_json("recover", "show", request["id"])
    assert "ClearActivationLockBypassCode" in shown["rotation"]
    phone.session()
    assert phone_state(phone)["BypassCode"] == ""
    world.instance.queue(udid, "ActivationLockBypassCode")
    phone.session()
    assert world.secrets(udid)["bypass-device"]["version"] == 1, "nothing is lost to an empty one"


def test_no_code_without_supervision(world):
    phone, state = world.simulated("plain")
    assert "bypass-device" not in world.secrets(state["UDID"])
    done = world.admin.coffer("device", "bypass-code", state["UDID"], "--for", "x", "--reason", "y",
                              expect=NOT_FOUND)
    assert "no activation-lock code" in done.stderr


# ---- FileVault ----

def test_filevault_key_comes_goes_and_changes(world):
    phone, state = world.simulated("filevault", "--product", "MacBookPro18,3")
    udid, key = state["UDID"], state["FileVaultKey"]
    done = world.instance.coffer("device", "command", udid, "RotateFileVaultKey", expect=REFUSED)
    world.instance.coffer("device", "filevault", udid)
    phone.session()
    secrets = world.secrets(udid)
    first = secrets["filevault-key"]
    assert first["version"] == 1 and secrets["filevault-receiver"]["version"] == 1
    assert key.encode() not in world.everything_stored()
    # told again: the same key, and so proved
    world.instance.queue(udid, "SecurityInfo")
    phone.session()
    again = world.secrets(udid)["filevault-key"]
    assert again["version"] == 1 and again["verified"]
    request = world.admin.request(first["id"])
    assert world.recover(request).decode() == key
    shown = world.instance.coffer_json("recover", "show", request["id"])
    assert "RotateFileVaultKey" in shown["rotation"] and shown["replaced"] is None
    phone.session()
    fresh = phone_state(phone)["FileVaultKey"]
    assert fresh != key, "the Mac made another one"
    shown = world.instance.coffer_json("recover", "show", request["id"])
    assert shown["replaced"] and shown["replaced_by_version"] == 2
    assert fresh.encode() not in world.everything_stored()
    request = world.admin.request(first["id"])
    assert world.recover(request).decode() == fresh


def test_what_goes_to_the_mac_fits_apples_schema(world, factory):
    email, password = world.instance.person("schema@example.org")
    device = Device(world.instance, factory, product="MacBookPro18,3").enrol(email, password)
    device.session()
    world.instance.coffer("device", "filevault", device.udid)
    command = [c for c in device.session() if c["Command"]["RequestType"] == "InstallProfile"][0]
    profile = plistlib.loads(cms_content(command["Command"]["Payload"]))
    assert schema.check_configuration(profile, system="macOS") == []
    certificate, escrow = profile["PayloadContent"]
    assert escrow["PayloadType"] == "com.apple.security.FDERecoveryKeyEscrow"
    assert escrow["EncryptCertPayloadUUID"] == certificate["PayloadUUID"]
    # the Mac tells its key, encrypted by an independent implementation
    path = world.files / "receiver.der"
    path.write_bytes(certificate["PayloadContent"])
    told = subprocess.run(["openssl", "cms", "-encrypt", "-binary", "-des3", "-outform", "DER",
                           "-recip", path], input=b"ABCD-EFGH-1234-5678-IJKL-MNOP",
                          capture_output=True, check=True).stdout
    world.instance.queue(device.udid, "SecurityInfo")

    def answer(command):
        more = acknowledge(command, "MacBookPro18,3")
        if command["Command"]["RequestType"] == "SecurityInfo":
            more["SecurityInfo"]["FDE_PersonalRecoveryKeyCMS"] = told
        return "Acknowledged", more
    device.session(answer)
    world.instance.queue(device.udid, "RotateFileVaultKey")
    sent = device.session()[0]
    assert schema.check_command(sent, system="macOS") == []
    assert sent["Command"]["FileVaultUnlock"]["Password"] == "ABCD-EFGH-1234-5678-IJKL-MNOP"
    for kind in ("ActivationLockBypassCode", "ClearActivationLockBypassCode"):
        world.instance.queue(device.udid, kind)
        assert schema.check_command(device.session()[0], system="macOS") == []


def test_filevault_of_a_phone_and_of_another_mac(world, factory):
    phone, state = world.simulated("nomac")
    done = world.instance.coffer("device", "filevault", state["UDID"], expect=REFUSED)
    assert "FileVault is of Macs" in done.stderr
    # a message that is not for this Mac's key is refused, and said; the queue goes on
    email, password = world.instance.person("evil@example.org")
    device = Device(world.instance, factory, product="MacBookAir10,1").enrol(email, password)
    device.session()
    world.instance.coffer("device", "filevault", device.udid)
    def answer(command):
        more = acknowledge(command, "MacBookAir10,1")
        if command["Command"]["RequestType"] == "SecurityInfo":
            more["SecurityInfo"]["FDE_PersonalRecoveryKeyCMS"] = b"0\x80 no CMS at all"
        return "Acknowledged", more
    kinds = [c["Command"]["RequestType"] for c in device.session(answer)]
    assert kinds == ["InstallProfile", "SecurityInfo"]
    assert "filevault-key" not in world.secrets(device.udid)
    entries = world.instance.coffer_json("audit", "list", "--limit", 500)["entries"]
    assert [e for e in entries if e["action"] == "escrow.refuse" and device.udid in e["actor"]]


def test_a_tampered_row_is_not_filled_in(world, factory):
    device = Device(world.instance, factory).enrol(*world.instance.person("tamper@example.org"))
    device.session()
    object_id = world.secrets(device.udid)["unlock-token"]["id"]
    with sqlite3.connect(world.instance.directory / "store" / "store.db", timeout=20) as db:
        other = db.execute("SELECT blob, wrap FROM escrow_object WHERE kind = 'unlock-token' AND id"
                           " <> ? LIMIT 1", (object_id,)).fetchone()
        db.execute("UPDATE escrow_object SET blob = ?, wrap = ? WHERE id = ?", (*other, object_id))
    uuid = world.instance.queue(device.udid, "ClearPasscode")
    assert device.session() == []
    shown = world.instance.api("GET", f"/devices/{device.udid}/commands/{uuid}", expect=200).json()
    assert shown["state"] == "error"
