"""Leases over HTTP: a device leaves a key, gets it back for an event, and nobody else does."""

import pathlib
import subprocess
import sys

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from helpers import instance as instances
from helpers.device import Device
from helpers.lease import LeaseApp, b64, lease_open

HERE = pathlib.Path(__file__).parent
VECTORS = HERE.parents[1] / "docs/formats/lease-vectors.txt"
WHO = "a device shows its identity certificate or its token"


# One device has one push key for all its accounts.
PUSH_KEYS = X25519PrivateKey.generate(), X25519PrivateKey.generate()


@pytest.fixture(scope="module")
def phones(instance, factory):
    """Two enrolled devices, for tests that lose none of them."""
    made = []
    for name in ("lease-a@example.org", "lease-b@example.org"):
        made.append(Device(instance, factory).enrol(*instance.person(name)))
        made[-1].session()
    return made


@pytest.fixture(autouse=True)
def same_push_key(monkeypatch, phones):
    """Apps on the shared devices have the device's key."""
    made = LeaseApp.__init__

    def init(self, device, *args, **options):
        made(self, device, *args, **options)
        if device in phones:
            self.push = PUSH_KEYS[phones.index(device)]

    monkeypatch.setattr(LeaseApp, "__init__", init)


def audit(instance, device_id, action):
    entries = instance.coffer_json("audit", "list", "--limit", 500)["entries"]
    return [e["detail"] for e in entries if e["action"] == action and e["object"] == device_id]


# ---- the format ----

def test_lease_format__the_vectors_are_what_the_script_makes(tmp_path):
    lease_open.write(tmp_path / "again", lease_open.make())
    assert (tmp_path / "again").read_text() == VECTORS.read_text()


def test_lease_format__opens_and_can_fail(tmp_path):
    script = [sys.executable, HERE / "lease_open.py", "open"]
    values = lease_open.escrow.read(VECTORS)
    done = subprocess.run([*script, VECTORS], capture_output=True)
    assert done.stdout == values["kek"]
    lease_open.write(tmp_path / "other", {**values, "event": b"INBOX/1420070400/4712"})
    done = subprocess.run([*script, tmp_path / "other"], capture_output=True)
    assert done.returncode == 1 and b"not for this push key, lease and event" in done.stderr


# ---- the use of it ----

def test_a_key_comes_back_for_an_event(instance, phones):
    app = LeaseApp(phones[0], account="mail-a")
    kek = app.put()
    state = app.state()["mail-a"]
    assert (state["state"], state["epoch"], state["releases"], state["events"]) == ("active", 1, 0, [])
    assert app.release("INBOX/1/7").status == 404  # nothing happened
    app.happen("INBOX/1/7")
    assert app.state()["mail-a"]["events"] == ["INBOX/1/7"]
    answer = app.release("INBOX/1/7")
    assert app.opened(answer, "INBOX/1/7") == kek
    with pytest.raises(InvalidTag):
        app.opened(answer, "INBOX/1/8")
    assert app.opened(app.release("INBOX/1/7"), "INBOX/1/7") == kek  # the answer was lost
    state = app.state()["mail-a"]
    assert (state["releases"], state["events"]) == (2, [])
    assert state["released"] is not None
    kek = app.put()  # unlocked: a new key and epoch, counted anew
    assert app.state()["mail-a"]["releases"] == 0
    app.happen("INBOX/1/8")
    assert app.opened(app.release("INBOX/1/8"), "INBOX/1/8") == kek
    assert {"account": "mail-a", "event": "INBOX/1/8"} in audit(instance, app.id, "lease.release")


def test_leases_survive_the_death_of_both_processes(instance, phones):
    app = LeaseApp(phones[0], account="mail-crash")
    kek = app.put()
    app.happen("one")
    instance.kill("coffer-keeper")
    instance.kill("coffer-web")
    instance.wait_healthy()
    assert app.opened(app.release("one"), "one") == kek


def test_old_puts_are_refused_and_audited(instance, phones):
    app = LeaseApp(phones[1], account="mail-old")
    body = app.sealed_put(b"first")
    assert app.send_put(body).status == 204
    again = app.send_put(body)
    assert again.status == 403 and "has epoch 1 already" in again.text()
    kek = app.put()
    assert app.send_put(body).status == 403
    assert app.http("DELETE", "/leases/mail-old").status == 204
    assert app.send_put({**body, "epoch": 2}).status == 403  # revoked: its epoch is used up
    app.happen("late")
    assert app.release("late").status == 404
    assert app.state()["mail-old"]["state"] == "revoked"
    assert "the lease has epoch 2 already" in str(audit(instance, app.id, "lease.refuse"))
    app.epoch = 2
    kek = app.put()
    app.happen("anew")
    assert app.opened(app.release("anew"), "anew") == kek


def test_only_the_registered_push_key(instance, factory):
    device = Device(instance, factory).enrol(*instance.person("lease-push@example.org"))
    app, thief = LeaseApp(device), LeaseApp(device)
    kek = app.put()
    thief.epoch = 1
    refused = thief.send_put(thief.sealed_put(b"mine"))
    assert refused.status == 403 and "another push key" in refused.text()
    # what the device sealed, with another's push key beside it: its first put, so it is taken
    app.account, thief.account = "b", "b"
    app.http("DELETE", "/leases/mail")
    body = {**app.sealed_put(kek), "push_key": b64(lease_open.escrow.public(thief.push))}
    assert app.send_put(body).status == 204
    app.happen("x")
    assert app.release("x").status == 403  # and opens for nobody


def test_other_devices_and_strangers_get_nothing(instance, phones, openssl, tmp_path):
    mine, other = LeaseApp(phones[1], account="mail-mine"), LeaseApp(phones[0], account="mail-mine")
    mine.put()
    mine.happen("x")
    assert other.release("x").status == 404  # its own of that name, which is not there
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=stranger", "-days", "2",
            "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem")
    files = (tmp_path / "cert.pem", tmp_path / "key.pem")
    answers = [mine.release("x", certificate=files), mine.send_put({}, certificate=files),
               instance.http("GET", "/push/v1/leases", listener="mtls"),
               instance.http("GET", "/push/v1/leases"),
               instance.http("GET", "/push/v1/leases", headers={"Authorization": "Bearer nonsense"}),
               instance.http("GET", "/push/v1/leases",  # an admin is no device
                             headers={"Authorization": f"Bearer {instance.api_token()}"})]
    for answer in answers:
        assert answer.status == 401 and answer.json()["error"]["message"] == WHO


def test_bad_bodies(phones):
    app = LeaseApp(phones[0], account="mail-bad")
    good = app.sealed_put(b"k")
    for change in ({"epoch": 0}, {"epoch": -1}, {"epoch": "1"}, {"epoch": None}, {"expires": "soon"},
                   {"expires": "2020-01-01T00:00:00Z"}, {"expires": "2099-01-01T00:00:00Z"},
                   {"push_key": "AAAA"}, {"push_key": "!"}, {"sealed": ""}, {"more": 1},
                   {"sealed": b64(b"x" * 48)}):
        assert app.send_put({**good, **change}).status == 400, change
    assert app.send_put({**good, "sealed": b64(b"x" * 600)}).status in (400, 413)
    assert app.send_put(b"[]").status == 400
    assert app.http("PUT", "/leases/" + "a" * 129, good).status in (400, 413)
    assert app.http("POST", "/leases/mail-bad/release", {"event": "e" * 65}).status in (400, 413)
    assert app.http("POST", "/leases/mail-bad/release", {"event": ""}).status == 400
    assert "mail-bad" not in app.state()


def test_requests_of_a_device_are_capped(instance, factory):
    device = Device(instance, factory).enrol(*instance.person("lease-cap@example.org"))
    app = LeaseApp(device)
    connection = instance.connect("mtls", device.identity_files())
    seen = set()
    for _ in range(200):
        connection.request("GET", "/push/v1/leases")
        answer = connection.getresponse()
        answer.read()
        seen.add(answer.status)
        if answer.status == 429:
            break
    connection.close()
    assert seen == {200, 429}
    assert LeaseApp(device).http("GET", "/lease-key").status == 429  # the device, not the connection
    instances.wait_for(lambda: app.http("GET", "/leases").status, lambda s: s == 200, "a while later")


def test_a_token_speaks_for_its_device(instance, factory, tmp_path):
    device = Device(instance, factory).enrol(*instance.person("lease-token@example.org"))
    path = tmp_path / "token"
    instance.coffer("device", "token", device.udid, "--output", path)
    app = LeaseApp(device, token=path.read_text().strip())
    kek = app.put()
    app.happen("x")
    assert app.opened(app.release("x"), "x") == kek
    api = instance.http("GET", "/api/v1/devices", headers={"Authorization": f"Bearer {app.token}"})
    assert api.status == 401  # and for nothing else
    instance.coffer("device", "token", device.udid, "--output", tmp_path / "second")
    assert app.http("GET", "/leases").status == 401  # the second took its place
    app.token = (tmp_path / "second").read_text().strip()
    assert device.check_out().status == 200
    assert app.http("GET", "/leases").status == 401


def test_a_stolen_token_cannot_lock_the_device_out(instance, factory, tmp_path):
    device = Device(instance, factory).enrol(*instance.person("lease-thief@example.org"))
    instance.coffer("device", "token", device.udid, "--output", tmp_path / "token")
    token = (tmp_path / "token").read_text().strip()
    app, thief = LeaseApp(device), LeaseApp(device, token=token)
    app.put()
    assert thief.http("DELETE", "/leases/mail").status == 204
    for epoch in (2, 2 ** 63 - 1):
        refused = thief.send_put(thief.sealed_put(b"mine", epoch=epoch))
        assert refused.status == 403 and "registered another push key" in refused.text()
    app.put()
    # with the token alone a new push key takes an admin
    renewed = LeaseApp(device, token=token)
    renewed.epoch = app.epoch
    instance.coffer("device", "leases", device.udid, "--reset", "--end", "mail", expect=2)
    instance.coffer("device", "leases", device.udid, "--reset")
    assert app.state()["mail"]["state"] == "revoked"
    renewed.put()
    assert len(audit(instance, app.id, "lease.reset")) == 1
    # with the identity certificate it doesn't
    renewed.http("DELETE", "/leases/mail")
    app.epoch = renewed.epoch
    app.put()


def test_admins_see_and_end_leases(instance, phones):
    app = LeaseApp(phones[0], account="mail-admin")
    app.put()
    listed = instance.coffer("device", "leases", phones[0].udid).stdout
    assert "mail-admin" in listed and "active" in listed
    instance.coffer("device", "leases", phones[0].udid, "--end", "mail-admin")
    assert app.state()["mail-admin"]["state"] == "revoked"
    assert "an admin's wish" in str(audit(instance, app.id, "lease.revoke"))


def test_a_lost_device_has_none_until_it_enrols_anew(make_instance, factory):
    """Loss alone is enough, whatever the policy does with certificates."""
    instance = make_instance({"revocation": {"on_lost": "no"}})
    who = instance.person("lease-lost@example.org")
    device = Device(instance, factory).enrol(*who)
    app = LeaseApp(device)
    app.put()
    app.happen("x")
    instance.coffer("device", "lost", device.udid, "--yes")
    assert app.release("x").status == 403
    later = app.send_put(app.sealed_put(b"later"))
    assert later.status == 403 and "may have no leases" in later.text()
    app.happen("y", expect=403)

    def states():
        leases = instance.api("GET", f"/devices/{device.udid}/leases", expect=200).json()["leases"]
        return [lease["state"] for lease in leases]
    instances.wait_for(states, lambda s: s == ["revoked"], "the key is gone")
    assert "the device may have no leases" in str(audit(instance, app.id, "lease.refuse"))
    found = Device(instance, factory, udid=device.udid)
    found.serial = device.serial
    again = LeaseApp(found.enrol(*who))
    again.epoch = app.epoch
    body = again.sealed_put(b"found")
    instances.wait_for(lambda: str(audit(instance, again.id, "lease.revoke")),
                       lambda found: "enrolled anew" in found, "former leases end")
    assert again.send_put(body).status == 204


def test_a_token_ends_with_the_identity_and_with_the_person(make_instance, factory, tmp_path):
    """Whatever takes the identity from a device, or its person away, takes the token and the leases."""
    instance = make_instance({"revocation": {"on_lost": "no", "on_leave": "no"}})

    def served(name):
        device = Device(instance, factory).enrol(*instance.person(f"lease-{name}@example.org"))
        instance.coffer("device", "token", device.udid, "--output", tmp_path / name)
        app = LeaseApp(device, token=(tmp_path / name).read_text().strip())
        app.put()
        assert app.http("GET", "/leases").status == 200
        return device, app
    device, app = served("revoked")
    serial = instance.coffer_json("device", "show", device.udid)["identity"]["serial"]
    instance.coffer("cert", "revoke", serial, "--reason", "keyCompromise")
    assert app.http("GET", "/leases").status == 401
    device, app = served("held")
    serial = instance.coffer_json("device", "show", device.udid)["identity"]["serial"]
    instance.coffer("cert", "revoke", serial, "--reason", "certificateHold")
    assert app.http("GET", "/leases").status == 401
    device, app = served("lost")
    instance.coffer("device", "lost", device.udid, "--yes")
    instance.coffer("device", "token", device.udid, "--output", tmp_path / "later")
    app.token = (tmp_path / "later").read_text().strip()
    assert app.http("GET", "/leases").status == 401  # one that was made later
    device, app = served("left")
    instance.coffer("user", "disable", "lease-left@example.org", "--left")
    assert app.http("GET", "/leases").status == 401

    def states():
        leases = instance.api("GET", f"/devices/{device.udid}/leases", expect=200).json()["leases"]
        return [lease["state"] for lease in leases]
    instances.wait_for(states, lambda found: found == ["revoked"], "the key is gone")
