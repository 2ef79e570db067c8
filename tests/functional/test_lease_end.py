"""Leases end when their device is lost, erased or not managed any more: the keeper is told."""

import json
import os
import signal

from helpers import instance as instances
from helpers.device import Device


def device_id(instance, device):
    return instance.api("GET", f"/devices/{device.udid}", expect=200).json()["id"]


def keeper_log(instance):
    """All of it: an answer holds a page."""
    log, after = "", 0
    while page := instance.api_patient("GET", f"/keeper/log?after={after}").text():
        log += page
        after = json.loads(page.splitlines()[-1])["seq"]
    return log


def told(instance, one, reason):
    """The keeper's own log has it, and so does the audit, once it was done."""
    def look():
        log = keeper_log(instance)
        entries = instance.coffer_json("audit", "list", "--limit", 500)["entries"]
        return (f"device={one} account=* reason={reason}" in log,
                [e["detail"]["reason"] for e in entries
                 if e["action"] == "lease.revoke" and e["object"] == one])
    instances.wait_for(look, lambda found: found[0] and reason in found[1], reason)


def test_loss_ends_leases(instance, device):
    one = device_id(instance, device)
    instance.coffer("device", "lost", device.udid, "--yes")
    told(instance, one, "lost")


def test_check_out_ends_leases(instance, device):
    one = device_id(instance, device)
    assert device.check_out().status == 200
    told(instance, one, "left management")


def test_an_erased_device_has_no_leases(instance, device):
    one = device_id(instance, device)
    instance.api("POST", f"/devices/{device.udid}/commands", {"request_type": "EraseDevice"},
                 expect=202)
    device.session()
    told(instance, one, "erased")


def test_released_by_an_admin(instance, device):
    one = device_id(instance, device)
    instance.coffer("device", "release", device.udid)
    told(instance, one, "left management")


def test_a_keeper_that_is_away_hears_of_it_later(instance, factory):
    email, password = instance.person("lease-later@example.org")
    device = Device(instance, factory).enrol(email, password)
    one = device_id(instance, device)
    keeper = instance.pid_of("coffer-keeper")
    os.kill(keeper, signal.SIGSTOP)
    try:
        instance.coffer("device", "lost", device.udid, "--yes")
        instance.kill("coffer-web", wait=False)
    finally:
        os.kill(keeper, signal.SIGCONT)
    instance.wait_healthy()
    told(instance, one, "lost")
