"""Pushes to a device's mail program: that there is mail, and its key for that event, sealed to the
device; nothing else, to nobody else."""

import base64
import hashlib
import hmac
import json
import os
import sqlite3

import pytest
from cryptography.exceptions import InvalidTag

from helpers import instance as instances, sim
from helpers.arrival import Hook
from helpers.device import Device
from helpers.instance import TOPIC, Instance
from helpers.lease import LeaseApp

APP = "org.example.mail"
BAD = "bad0" * 16  # the push service does not know this one
UIDS = iter(range(1, 10**6))


@pytest.fixture(scope="module")
def world(tmp_path_factory, factory):
    files = tmp_path_factory.mktemp("app-push")
    certificates = files / "c"
    sim.run("apns-cert", "--out", certificates, "--topic", TOPIC, "--app", APP)
    apns = sim.Apns(files, certificates, f"badtoken {BAD}\n")
    instance = Instance(files)
    instance.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem"))},
                   "mailbox": {"app": APP, "push_certificate": str(certificates / "app-push-cert.pem"),
                               "push_key": str(certificates / "app-push-key.pem")},
                   **sim.push_settings(apns, certificates)})
    try:
        instance.start()
        instance.apns, instance.factory = apns, factory
        instance.hook = Hook(instance, "imap1")
        yield instance
        instance.stop()
    finally:
        instance.abandon()
        apns.stop()


class Phone:
    """With a lease, and a token of the push service for its mail program."""

    def __init__(self, world, name, token=None):
        self.world, self.address = world, f"{name}@example.org"
        self.device = Device(world, world.factory).enrol(*world.person(self.address))
        self.device.session()
        self.app = LeaseApp(self.device, account=self.address)
        self.token = token or os.urandom(32).hex()
        world.api("POST", "/mailboxes", {"address": self.address, "hook": "imap1"}, expect=201)

    def register(self, expect=204, **more):
        body = {"token": base64.b64encode(bytes.fromhex(self.token)).decode(), **more}
        answer = self.app.http("PUT", "/app", body)
        assert answer.status == expect, answer
        return self

    def mail(self):
        self.world.hook.mail(self.address, next(UIDS), folder="Canary of a folder")

    def pushes(self, count=1):
        return self.world.apns.wait_requests(count, self.token)

    def payload(self, push):
        assert push["status"] == 200 and len(push["payload"]) <= 4096, push
        return json.loads(push["payload"])


def test_a_push_brings_the_key_for_its_event(world):
    phone = Phone(world, "alice").register(release=True)
    kek = phone.app.put()
    phone.mail()
    push = phone.pushes()[0]
    said = phone.payload(push)
    assert set(said) == {"aps", "coffer"} and said["aps"]["mutable-content"] == 1
    event, release = said["coffer"]["event"], said["coffer"]["release"]
    assert event == release["event"]

    class Answer:
        status = 200

        @staticmethod
        def json():
            return release

    assert phone.app.opened(Answer, event) == kek
    for word in (phone.address, "alice", "Canary", "carol", "imap1"):
        assert word.lower() not in push["payload"].lower()
    assert kek not in base64.b64decode(release["sealed"])
    assert phone.app.state()[phone.address]["releases"] == 1
    shown = world.coffer_json("mailbox", "releases", phone.address)
    assert event in json.dumps(shown)


def test_a_push_can_not_be_tried_out(world):
    """Whoever carries it and guesses address, folder and numbers finds nothing to compare them with."""
    phone = Phone(world, "guess").register()
    uid, folder = next(UIDS), "INBOX"
    world.hook.mail(phone.address, uid, folder=folder)
    event = phone.payload(phone.pushes()[0])["coffer"]["event"]
    assert len(event) == 37 and event.startswith("mail-")
    what = (f"{len(phone.address)}:{phone.address}{len(folder)}:{folder}"
            f"{1700000000}/{uid}/0").encode()
    assert event != "mail-" + hashlib.sha256(what).hexdigest()[:32]
    with sqlite3.connect(world.directory / "store" / "store.db", timeout=20) as db:
        (key,), = db.execute("SELECT value FROM meta WHERE name = 'arrival.event_key'")
    assert event == "mail-" + hmac.digest(bytes.fromhex(key), what, "sha256").hex()[:32]


def rows(world, sql):
    with sqlite3.connect(world.directory / "store" / "store.db", timeout=instances.PATIENCE) as db:
        return db.execute(sql).fetchall()


def test_a_token_leads_to_one_device(world):
    """A program that moved, or a device that was enrolled under another name: the later word counts."""
    first = Phone(world, "first-owner").register()
    second = Phone(world, "second-owner", token=first.token).register()
    first.mail()
    second.mail()
    second.pushes()
    second.app.learn()
    owners = rows(world, f"SELECT device_id FROM app_push WHERE token = x'{first.token}'")
    assert owners == [(second.app.id,)]


def test_a_thief_of_the_token_turns_pushes_and_opens_none(world):
    """He hears when mail comes, until the token is replaced; the key in a push is not for him."""
    phone = Phone(world, "robbed").register(release=True)
    kek = phone.app.put()
    path = f"/devices/{phone.device.udid}/token"
    token = world.api("POST", path, expect=201).json()["token"]
    thief = LeaseApp(phone.device, token=token, account=phone.address)
    thief.learn()
    thief.epoch, thief.expires = phone.app.epoch, phone.app.expires
    his = os.urandom(32)
    assert thief.http("PUT", "/app", {"token": base64.b64encode(his).decode(),
                                      "release": True}).status == 204
    phone.mail()
    said = phone.payload(world.apns.wait_requests(1, his.hex())[0])["coffer"]

    class Answer:
        status = 200

        @staticmethod
        def json():
            return said["release"]

    with pytest.raises(InvalidTag):
        thief.opened(Answer, said["event"])
    assert phone.app.opened(Answer, said["event"]) == kek  # it could, had it come
    world.api("POST", path, expect=201)
    assert thief.http("PUT", "/app", {"token": base64.b64encode(his).decode()}).status == 401
    phone.register()
    phone.mail()
    phone.pushes()


def test_a_hint_alone_and_the_device_asks_itself(world):
    phone = Phone(world, "bob").register()
    kek = phone.app.put()
    phone.mail()
    said = phone.payload(phone.pushes()[0])["coffer"]
    assert set(said) == {"event"}
    assert phone.app.opened(phone.app.release(said["event"]), said["event"]) == kek


def test_without_a_lease_there_is_a_hint(world):
    phone = Phone(world, "carla").register(release=True)
    phone.mail()
    assert set(phone.payload(phone.pushes()[0])["coffer"]) == {"event"}


def test_only_who_said_how_is_pushed(world):
    silent, heard = Phone(world, "silent"), Phone(world, "heard").register()
    silent.mail(), heard.mail()
    heard.pushes()
    assert [r for r in world.apns.requests() if r["token"] == silent.token] == []


@pytest.mark.parametrize("end", ["delete", "lost", "release"])
def test_pushes_end(world, end):
    phone, other = Phone(world, f"end-{end}").register(), Phone(world, f"other-{end}").register()
    phone.mail()
    phone.pushes()
    if end == "delete":
        assert phone.app.http("DELETE", "/app").status == 204
    elif end == "lost":
        world.coffer("device", "lost", phone.device.udid, "--yes")
    else:
        world.coffer("device", "release", phone.device.udid)
    phone.mail(), other.mail()
    other.pushes()
    assert len(phone.pushes()) == 1


def test_a_token_that_the_service_does_not_know_is_forgotten(world):
    phone = Phone(world, "gone", token=BAD).register()
    phone.mail()
    assert phone.pushes()[0]["reason"] == "BadDeviceToken"
    instances.wait_for(lambda: json.dumps(world.coffer_json("audit", "list")),
                       lambda text: "push.unregistered" in text, "the audit")
    other = Phone(world, "after-gone").register()
    phone.mail(), other.mail()
    other.pushes()
    assert len(phone.pushes()) == 1


def test_what_is_no_token_is_refused(world):
    phone = Phone(world, "strange")
    for body in ({}, {"token": ""}, {"token": "not base64!"}, {"token": "A" * 1000},
                 {"token": "AAAA", "release": 1}, {"token": "AAAA", "topic": "org.example.other"}):
        assert phone.app.http("PUT", "/app", body).status in (400, 413), body
    assert world.http("PUT", "/push/v1/app", b"{}").status == 401


def test_an_instance_without_a_certificate_says_so(instance, factory):
    person = instance.person("no-push@example.org")
    device = Device(instance, factory).enrol(*person)
    answer = LeaseApp(device).http("PUT", "/app", {"token": "AAAA"})
    assert answer.status == 403 and "no pushes" in answer.json()["error"]["message"]


def test_without_a_certificate_nothing_is_left_to_push(world):
    """The last test: it takes the certificate away."""
    phone = Phone(world, "no-certificate").register()
    world.stop()
    path = world.directory / "coffer.conf"
    lines = [line for line in path.read_text().splitlines()
             if not line.startswith(("push_certificate", "push_key"))]
    path.write_text("\n".join(lines) + "\n")
    world.start()
    phone.mail()
    phone.register(expect=403)
    assert rows(world, "SELECT COUNT(*) FROM app_push") == [(0,)]
    assert rows(world, "SELECT COUNT(*) FROM job WHERE kind LIKE 'app-%'") == [(0,)]
