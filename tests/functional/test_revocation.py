"""Revocation by hand and by policy, told by lists and OCSP, as Debian's clients hear it."""

import base64
import sqlite3
import subprocess
import time
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from helpers import instance as instances
from helpers.device import Device

MALFORMED = ocsp.OCSPResponseStatus.MALFORMED_REQUEST
UNAUTHORIZED = ocsp.OCSPResponseStatus.UNAUTHORIZED


@pytest.fixture(scope="module")
def place(instance, tmp_path_factory):
    """Files of the CA for programs: root.pem, ca.pem (device CA), chain.pem."""
    files = tmp_path_factory.mktemp("revocation")
    root = (instance.directory / "public" / "root.pem").read_bytes()
    ca = (instance.directory / "public" / "device-ca.pem").read_bytes()
    (files / "root.pem").write_bytes(root)
    (files / "ca.pem").write_bytes(ca)
    (files / "chain.pem").write_bytes(ca + root)
    return files


def serial_of(device):
    return f"{device.certificate.serial_number:x}"


def write_cert(place, device):
    path = place / f"{serial_of(device)}.pem"
    path.write_bytes(device.certificate.public_bytes(serialization.Encoding.PEM))
    return path


def get(instance, target, headers=None):
    return instance.http("GET", target, headers=headers, listener="http")


def post(instance, der):
    return instance.http("POST", "/ocsp", der, {"Content-Type": "application/ocsp-request"}, "http")


def request_for(instance, certificate, algorithm=None, nonce=None):
    ca = x509.load_pem_x509_certificate(instance.device_ca.read_bytes())
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, ca, algorithm or hashes.SHA1())
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def ask_openssl(place, instance, device, *more):
    done = subprocess.run(
        ["openssl", "ocsp", "-issuer", place / "ca.pem", "-cert", write_cert(place, device), "-url",
         instance.http_url + "/ocsp", "-CAfile", place / "chain.pem", *more],
        capture_output=True, text=True, timeout=instances.PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def ask_gnutls(place, instance, device):
    return subprocess.run(
        ["ocsptool", f"--ask={instance.http_url}/ocsp", "--load-cert", write_cert(place, device),
         "--load-issuer", place / "ca.pem", "--load-trust", place / "chain.pem"],
        capture_output=True, text=True, timeout=instances.PATIENCE)


def fetch_crl(instance, name, wanted=None):
    """The list, once it is there and (with `wanted`) has a serial, or hasn't: (serial, bool)."""
    deadline = time.monotonic() + instances.PATIENCE
    while True:
        answer = get(instance, f"/ca/crl/{name}")
        if answer.status == 200:
            crl = x509.load_der_x509_crl(answer.body)
            found = wanted and crl.get_revoked_certificate_by_serial_number(wanted[0]) is not None
            if wanted is None or found == wanted[1]:
                return crl, answer
        assert time.monotonic() < deadline, (name, answer.status)
        time.sleep(0.2)  # lists follow within seconds: nothing tells when


# ---- OCSP ----


def test_certificates_say_where(instance, device):
    points = device.certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    access = device.certificate.extensions.get_extension_for_class(
        x509.AuthorityInformationAccess).value
    urls = {d.access_method._name: d.access_location.value for d in access}
    assert points[0].full_name[0].value.endswith("/ca/crl/device-ca/device-identity.crl")
    assert urls["OCSP"].endswith("/ocsp") and urls["caIssuers"].endswith("/ca/device-ca.der")


def test_openssl_and_ocsptool_hear_good_and_revoked(instance, place, device):
    assert ": good" in ask_openssl(place, instance, device)
    assert ": good" in ask_openssl(place, instance, device, "-no_nonce")
    done = ask_gnutls(place, instance, device)
    assert "Certificate Status: good" in done.stdout and "Success" in done.stdout, done
    said = instance.coffer("cert", "revoke", serial_of(device), "--reason", "keyCompromise")
    assert "Revoked" in said.stdout
    for more in ([], ["-no_nonce"]):  # at once, from memory as well
        text = ask_openssl(place, instance, device, *more)
        assert ": revoked" in text and "keyCompromise" in text
        assert "Response verify OK" in text
    done = ask_gnutls(place, instance, device)
    assert "Certificate Status: revoked" in done.stdout, done
    assert device.put({"MessageType": "CheckOut", "UDID": device.udid},
                      checkin=True).status != 200


def test_get_is_cacheable(instance, device):
    der = request_for(instance, device.certificate)
    target = "/ocsp/" + urllib.parse.quote(base64.b64encode(der).decode(), safe="")
    first = get(instance, target)
    assert first.status == 200
    assert first.headers["Content-Type"] == "application/ocsp-response"
    response = ocsp.load_der_ocsp_response(first.body)
    assert response.certificate_status == ocsp.OCSPCertStatus.GOOD
    assert response.serial_number == device.certificate.serial_number
    control = first.headers["Cache-Control"]
    assert "public" in control and "max-age=" in control and "no-store" not in control
    assert int(control.split("max-age=")[1].split(",")[0]) > 3600
    again = get(instance, target, {"If-None-Match": first.headers["ETag"]})
    assert again.status == 304 and again.body == b""
    # The same bytes, with the slashes of base64 as they are, and by POST.
    assert get(instance, "/ocsp/" + base64.b64encode(der).decode()).body == first.body
    assert post(instance, der).body == first.body
    responder = response.certificates[0]
    assert responder.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert (responder.not_valid_after - responder.not_valid_before).days < 60


def test_nonce_is_echoed_and_sha256_is_known(instance, device):
    nonce = b"0123456789abcdef"
    answer = ocsp.load_der_ocsp_response(
        post(instance, request_for(instance, device.certificate, hashes.SHA256(), nonce=nonce)).body)
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
    assert isinstance(answer.hash_algorithm, hashes.SHA256)


def status_of(instance, der):
    answer = post(instance, der)
    assert answer.status == 200, answer
    return ocsp.load_der_ocsp_response(answer.body).response_status


def test_bad_requests(instance, device, place):
    assert status_of(instance, b"nonsense") == MALFORMED
    assert status_of(instance, b"") == MALFORMED
    assert get(instance, "/ocsp/!!!!").body == post(instance, b"nonsense").body
    good = request_for(instance, device.certificate)
    assert status_of(instance, good + b"\0") == MALFORMED
    assert status_of(instance, good[:-1]) == MALFORMED
    # An issuer that is not ours, and a serial number that we never gave.
    foreign = bytearray(good)
    at = good.index(b"\x04\x14") + 2
    foreign[at] ^= 1
    assert status_of(instance, bytes(foreign)) == UNAUTHORIZED
    unknown = bytearray(good)
    unknown[-1] ^= 1
    assert status_of(instance, bytes(unknown)) == UNAUTHORIZED
    # Ten thousand certificates in one, a thousand, one too many, and as many as we take.
    for count, expected in ((10000, None), (1000, MALFORMED), (65, MALFORMED),
                            (64, ocsp.OCSPResponseStatus.SUCCESSFUL)):
        ids = sum([["-serial", "0x" + serial_of(device)] for _ in range(count)], [])
        path = place / f"{count}.der"
        subprocess.run(["openssl", "ocsp", "-issuer", place / "ca.pem", *ids, "-no_nonce", "-reqout",
                        path], check=True, capture_output=True)
        der = path.read_bytes()
        if expected is None:
            assert post(instance, der).status == 413
        else:
            assert status_of(instance, der) == expected


def test_live_signing_has_an_end(instance, device):
    """The keeper signs for so many nonces and no more; whoever asks with nonces all day is answered without them."""
    with_nonce = without = 0
    for i in range(400):
        der = request_for(instance, device.certificate, nonce=i.to_bytes(16, "big"))
        answer = ocsp.load_der_ocsp_response(post(instance, der).body)
        assert answer.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL
        if len(list(answer.extensions)):
            with_nonce += 1
        else:
            without += 1
    assert with_nonce >= 50 and with_nonce + without == 400


# ---- lists ----


def check_by_openssl(place, device, crl):
    path = place / "list.pem"
    path.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
    done = subprocess.run(["openssl", "verify", "-crl_check", "-CRLfile", path, "-CAfile",
                           place / "chain.pem", write_cert(place, device)],
                          capture_output=True, text=True, timeout=instances.PATIENCE)
    return done.stdout + done.stderr


def test_lists_follow(instance, place, device):
    serial = device.certificate.serial_number
    shard = "device-ca/device-identity.crl"
    crl, answer = fetch_crl(instance, shard)
    assert answer.headers["Content-Type"] == "application/pkix-crl"
    assert "public" in answer.headers["Cache-Control"]
    assert "OK" in check_by_openssl(place, device, crl)
    point = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    in_cert = device.certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    assert point.critical and point.value.full_name == in_cert.value[0].full_name
    instance.coffer("cert", "revoke", serial_of(device), "--reason", "superseded")
    later, _ = fetch_crl(instance, shard, (serial, True))
    assert "certificate revoked" in check_by_openssl(place, device, later)
    entry = later.get_revoked_certificate_by_serial_number(serial)
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason == x509.ReasonFlags.superseded
    numbers = [c.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
               for c in (crl, later)]
    assert numbers[0] < numbers[1]
    whole, _ = fetch_crl(instance, "device-ca.crl", (serial, True))
    with pytest.raises(x509.ExtensionNotFound):
        whole.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    delta, _ = fetch_crl(instance, "device-ca/device-identity.delta.crl", (serial, True))
    base = delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert base.critical and base.value.crl_number > 0
    assert get(instance, "/ca/crl/nobody.crl").status == 404
    assert get(instance, "/ca/crl/device-ca/..%2f.crl").status == 400
    listed = instance.coffer("cert", "lists").stdout
    assert "device-identity" in listed


def test_full_and_delta_of_one_moment_have_one_number(instance, device):
    """RFC 5280 section 5.2.3: as they are listed, whenever that is."""
    instance.coffer("cert", "revoke", serial_of(device))
    fetch_crl(instance, "device-ca.crl", (device.certificate.serial_number, True))
    full, delta = {}, {}
    for row in instance.coffer_json("cert", "lists")["lists"]:
        (delta if row["delta"] else full)[row["issuer"], row["profile"]] = row
    assert len(full) >= 4 and full.keys() >= delta.keys() != set()
    for which, row in delta.items():
        one = full[which]
        assert (one["this_update"] == row["this_update"]) == (one["number"] == row["number"]), \
            (one, row)


def test_what_was_revoked_at_the_last_moment_is_listed_after_a_start(make_instance, factory):
    """The server stops between the revocation and its lists."""
    instance = make_instance()
    device = Device(instance, factory).enrol(*instance.person("late@example.org"))
    serial = device.certificate.serial_number
    lists = ("device-ca.crl", "device-ca/device-identity.crl", "device-ca/device-identity.delta.crl")
    for name in lists:
        fetch_crl(instance, name)
    instance.stop()
    now = int(time.time() * 1000)
    with sqlite3.connect(instance.directory / "store" / "store.db") as db:
        db.execute("INSERT INTO revocation (fingerprint, issuer, serial, profile, reason, revoked_ms,"
                   " changed_ms, not_after, actor, why) SELECT fingerprint, issuer, ?, profile, 1, ?,"
                   " ?, not_after, 'admin', 'by hand' FROM certificate WHERE serial = ?",
                   (bytes.fromhex(serial_of(device)), now, now, serial_of(device)))
    instance.start()
    for name in lists:
        fetch_crl(instance, name, (serial, True))


def test_a_hold_ends(instance, place, device):
    serial = device.certificate.serial_number
    shard = "device-ca/device-identity.crl"
    instance.coffer("cert", "revoke", serial_of(device), "--reason", "certificateHold")
    assert ": revoked" in ask_openssl(place, instance, device)
    fetch_crl(instance, shard, (serial, True))
    instance.coffer("cert", "revoke", serial_of(device), "--reason", "removeFromCRL")
    assert ": good" in ask_openssl(place, instance, device)
    fetch_crl(instance, shard, (serial, False))
    assert device.session() is not None  # managed again
    refused = instance.coffer("cert", "revoke", serial_of(device), "--reason", "removeFromCRL",
                           expect=4)
    assert "not on hold" in refused.stderr
    instance.coffer("cert", "revoke", serial_of(device), "--reason", "cACompromise", expect=4)
    instance.coffer("cert", "revoke", "00ff00", expect=3)


# ---- policy ----


def revoked(instance, device):
    shown = instance.api("GET", f"/certificates/{serial_of(device)}").json()
    return shown["reason"]


def test_leaving_management_revokes(instance, device):
    assert revoked(instance, device) is None
    assert device.check_out().status == 200
    assert revoked(instance, device) == "cessationOfOperation"


def test_an_erased_device_is_revoked(instance, device):
    instance.api("POST", f"/devices/{device.udid}/commands", {"request_type": "EraseDevice"},
                 expect=None)
    device.session()
    assert revoked(instance, device) == "cessationOfOperation"
    entries = instance.coffer_json("audit", "list", "--limit", 1000)["entries"]
    [erased] = [e for e in entries if e["action"] == "device.erased"
                and e["object"] == f"device:{device.udid}"]
    assert erased["detail"]["revoked"] == "1" and erased["detail"]["command"]


def test_loss_and_leaving(instance, factory):
    email, password = instance.person("leaver@example.org")
    lost = Device(instance, factory).enrol(email, password)
    kept = Device(instance, factory).enrol(email, password)
    said = instance.coffer("device", "lost", lost.udid, "--yes")
    assert "Revoked 1 certificate of" in said.stdout
    assert revoked(instance, lost) == "keyCompromise" and revoked(instance, kept) is None
    shown = [instance.coffer_json("device", "show", d.udid)["identity"] for d in (lost, kept)]
    assert [s["serial"] for s in shown] == [serial_of(lost), serial_of(kept)]
    assert shown[0]["revoked"] and shown[1]["revoked"] is None
    said = instance.coffer("user", "disable", email, "--left")
    assert "revoked 1 certificate\n" in said.stdout
    assert revoked(instance, kept) == "affiliationChanged"
    mine = instance.coffer("cert", "list", "--person", email, "--json")
    assert lost.certificate.serial_number and serial_of(lost) in mine.stdout
    only = instance.coffer("cert", "list", "--device", kept.udid)
    assert serial_of(kept) in only.stdout and serial_of(lost) not in only.stdout
