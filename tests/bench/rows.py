"""Rows that a benchmark wants to find in an instance's database: written from outside, with the
servers stopped or idle, in a few large transactions."""

import contextlib
import hashlib
import os
import plistlib
import sqlite3
import time
import uuid

import prepare

TOPIC = "com.apple.mgmt.External.bench"
# Not supervised: a supervised one is asked for its bypass code next, which would be another cycle.
INFORMATION = {"QueryResponses": {
    "DeviceName": "A phone", "OSVersion": "17.0.1", "BuildVersion": "21A340",
    "ModelName": "iPhone", "ProductName": "iPhone14,5", "SerialNumber": "C0FFEE000001",
    "BatteryLevel": 0.5, "DeviceCapacity": 64.0, "AvailableDeviceCapacity": 31.5,
    "IsSupervised": False, "WiFiMAC": "02:00:00:00:00:01", "BluetoothMAC": "02:00:00:00:00:02"}}
QUERIES = sorted(INFORMATION["QueryResponses"])


def now_ms():
    return int(time.time() * 1000)


@contextlib.contextmanager
def opened(instance):
    db = sqlite3.connect(instance.directory / "store" / "store.db", timeout=60,
                         isolation_level=None)
    try:
        db.execute("PRAGMA cache_size = -262144")
        db.execute("BEGIN IMMEDIATE")
        yield db
        db.execute("COMMIT")
    finally:
        db.close()


def challenge(number):
    return f"bench-{number}-" + hashlib.sha256(str(number).encode()).hexdigest()[:32]


def add_challenges(instance, numbers):
    """Challenges for device identities, as over-the-air enrolment makes them."""
    now = now_ms()
    with opened(instance) as db:
        db.executemany(
            "INSERT INTO scep_challenge (hash, profile, subject, sans, enrolment_id, device_udid,"
            " created_by, created_ms, expires_ms, used_ms)"
            " VALUES (?, 'device-identity', '', '', '', '', 'bench', ?, ?, 0)",
            [(hashlib.sha256(challenge(n).encode()).digest(), now, now + 3600000)
             for n in numbers])


def certificates(instance):
    """UDID -> (SHA-256, DER) of the certificates issued to phones."""
    with opened(instance) as db:
        rows = db.execute("SELECT subject, fingerprint, der FROM certificate"
                          " WHERE profile = 'device-identity'").fetchall()
    return {subject.split("=", 1)[1]: (fingerprint, der) for subject, fingerprint, der in rows}


def add_devices(instance, numbers):
    """Enrols the holders of those certificates, and queues one command for each.
    number -> (certificate DER, command UUID)."""
    known, now, made, devices, commands = certificates(instance), now_ms(), {}, [], []
    payload = plistlib.dumps({"RequestType": "DeviceInformation", "Queries": QUERIES})
    for n in numbers:
        udid = prepare.udid(n)
        fingerprint, der = known[udid]
        device, command = str(uuid.uuid4()), str(uuid.uuid4())
        made[n] = (der, command)
        devices.append((device, udid, udid, f"C{n:011d}", fingerprint, TOPIC, os.urandom(32),
                        str(uuid.uuid4()), now, now, now, now))
        commands.append((command, device, payload, now))
    with opened(instance) as db:
        db.executemany(
            "INSERT INTO device (id, enrolment_key, udid, serial_number, product, os_version,"
            " build, name, person_id, state, identity, topic, push_token, push_magic, push_state,"
            " token_ms, info, enrolled_ms, last_seen_ms, created_ms)"
            " VALUES (?, ?, ?, ?, 'iPhone14,5', '17.0', '21A329', 'A phone', '', 'enrolled', ?, ?,"
            " ?, ?, 'ok', ?, '', ?, ?, ?)", devices)
        db.executemany(
            "INSERT INTO command (uuid, device_id, request_type, state, open, payload, secret_kind,"
            " secret_version, created_by, created_ms, sent_ms, done_ms, deliveries, error)"
            " VALUES (?, ?, 'DeviceInformation', 'queued', 1, ?, '', 0, 'bench', ?, 0, 0, 0, '')",
            commands)
    return made


def add_results(instance, count):
    """Old commands with their results, spread over all devices."""
    now, payload = now_ms(), plistlib.dumps({"RequestType": "DeviceInformation"})
    body = plistlib.dumps({"Status": "Acknowledged", **INFORMATION})
    with opened(instance) as db:
        ids = [row[0] for row in db.execute("SELECT id FROM device")]
        uuids = [str(uuid.uuid4()) for _ in range(count)]
        db.executemany(
            "INSERT INTO command (uuid, device_id, request_type, state, open, payload, secret_kind,"
            " secret_version, created_by, created_ms, sent_ms, done_ms, deliveries, error)"
            " VALUES (?, ?, 'DeviceInformation', 'acknowledged', 0, ?, '', 0, 'bench', ?, ?, ?, 1,"
            " '')", ((u, ids[i % len(ids)], payload, now, now, now) for i, u in enumerate(uuids)))
        db.executemany("INSERT INTO command_result (uuid, received_ms, body) VALUES (?, ?, ?)",
                       ((u, now, body) for u in uuids))


def count(instance, sql):
    with opened(instance) as db:
        return db.execute(sql).fetchone()[0]
