"""No secret lies in clear in a database, a log or a command line."""

import base64
import json

from helpers.clear import forms, search
from helpers.device import Device


def test_nothing_lies_in_clear(own_instance, factory):
    instance = own_instance
    password, pin = "a password for no one else", "493817"
    email, _ = instance.person("mac@example.org", password)
    device = Device(instance, factory, product="MacBookPro18,3")
    device.fetch_offer(email, password)
    scep_payload = device.phase2()["PayloadContent"][0]
    from helpers import scep
    device.first_key = scep.rsa_key("device first")
    device.first_certificate = device.scep(scep_payload, device.first_key)
    device.install_management()
    device.authenticate(), device.token_update()
    device.put({"MessageType": "SetBootstrapToken", "UDID": device.udid,
                "BootstrapToken": b"bootstrap token in clear"}, checkin=True)
    device.session()
    secrets = {
        "offer challenge": device.offer["PayloadContent"]["Challenge"],
        "SCEP challenge": scep_payload["PayloadContent"]["Challenge"],
        "API challenge": instance.challenge(),
        "unlock token": device.unlock_token,
        "bootstrap token": b"bootstrap token in clear",
        "person's password": password,
        "admin's password": instance.admin_password,
        "instance's API token": instance.api_token(),
        "API token": instance.api("POST", "/tokens", {"name": "t", "role": "auditor"},
                                  expect=201).json()["token"],
        "master key": (instance.directory / "vault" / "master.key").read_bytes().strip(),
        "TLS key": instance_tls_key(instance),
    }
    instance.queue(device.udid, "DeviceLock", PIN=pin, Message="Lost")
    instance.queue(device.udid, "ClearPasscode")
    search(instance, {**secrets, "PIN": f"<string>{pin}</string>", "PIN in JSON": f'"PIN":"{pin}"',
                      "PIN in JSON too": f'"PIN": "{pin}"'})
    kinds = [c["Command"]["RequestType"] for c in device.session()]
    assert kinds == ["DeviceLock", "ClearPasscode"]
    search(instance, {**secrets, "PIN": f"<string>{pin}</string>", "PIN in JSON": f'"PIN":"{pin}"'})
    shown = json.dumps([instance.api("GET", path, expect=200).json() for path in (
        f"/devices/{device.udid}", f"/devices/{device.udid}/commands", "/audit", "/people",
        "/tokens", "/status", "/jobs")])
    shown += instance.api("GET", "/audit/export", expect=200).text()
    shown += instance.api("GET", "/keeper/log", expect=200).text()
    for name, secret in {**secrets, "PIN": pin}.items():
        for form in forms(secret):
            if name != "PIN" or form == secret.encode():
                assert form.decode("latin-1") not in shown, name
    instance.stop()
    search(instance, secrets)


def instance_tls_key(instance):
    lines = (instance.directory / "tls" / "key.pem").read_text().splitlines()
    return base64.b64decode("".join(line for line in lines if "-----" not in line))
