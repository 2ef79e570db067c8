"""SCEP beyond the first request (RFC 8894): renewal, approval, looking up, and what is refused."""

import datetime
import os
import subprocess
import uuid

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from helpers import cms, der, scep
from helpers.device import Device, Refused
from helpers.instance import PATIENCE

TYPE = {"Content-Type": "application/x-pki-message"}
OID_SIGNING_TIME = "1.2.840.113549.1.9.5"
BAD_ALG, BAD_CHECK, BAD_REQUEST, BAD_TIME, BAD_ID = "01234"


@pytest.fixture(scope="module")
def running(tmp_path_factory, factory):
    """Renewal at any time; profiles with approval and without old ciphers."""
    from helpers.instance import Instance
    files = tmp_path_factory.mktemp("lifecycle")
    one = Instance(files)
    try:
        one.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem"))},
                  "scep": {"renewal_window": "0d"},
                  "certificate-profile router": {"approval": "manual"},
                  "certificate-profile modern": {"old_ciphers": "no"}}).start()
        yield one
        one.stop()
    finally:
        one.abandon()


@pytest.fixture(scope="module")
def ca(running):
    return x509.load_pem_x509_certificate(running.device_ca.read_bytes())


def client(ca, common_name=None, key="lifecycle"):
    return scep.Client(scep.rsa_key(key), scep.name(("CN", common_name or f"c {uuid.uuid4()}")), ca)


def send(running, one, message):
    response = running.http("POST", "/scep?operation=PKIOperation", message, TYPE)
    assert response.status == 200, response
    return one.read(response.body)


def ask(running, one, challenge=None, **options):
    return send(running, one, one.request(challenge, **options))


def certified(running, ca, key="lifecycle", sans=None, **challenge):
    """A client that has its certificate."""
    one = client(ca, key=key)
    reply = ask(running, one, running.challenge(**challenge), sans=sans)
    assert reply.status == scep.SUCCESS, reply.text
    return one, reply.certificate


def refused(reply, fail_info, *words):
    assert reply.status == scep.FAILURE
    assert reply.fail_info == fail_info, reply.text
    for word in words:
        assert word in reply.text, reply.text
    return reply


def same(a, b):
    return cms.certificate_der(a) == cms.certificate_der(b)


def trace(running, about="", last=20):
    return running.coffer_json("scep", "trace", *([about] if about else []), "--last",
                               last)["requests"]


# ---- renewal ----

@pytest.mark.parametrize("message_type", ["17", "19"])
@pytest.mark.parametrize("key", ["lifecycle", "lifecycle new"])
def test_renewal(running, ca, message_type, key):
    """By RenewalReq and by PKCSReq (Cisco, macOS), with a new key and with the old one."""
    name = x509.RFC822Name("a@example.org")
    one, old = certified(running, ca, sans=[name], names="email:a@example.org dns:b.example.org")
    next_one = one.renewed(old, scep.rsa_key(key))
    reply = ask(running, next_one, message_type=message_type)
    assert reply.status == scep.SUCCESS, reply.text
    new = reply.certificate
    assert not same(new, old) and new.subject == old.subject
    oid = x509.oid.ExtensionOID.SUBJECT_ALTERNATIVE_NAME
    assert new.extensions.get_extension_for_oid(oid).value == \
        old.extensions.get_extension_for_oid(oid).value, "the names are the old one's"
    entry = trace(running, next_one.transaction)[0]
    assert entry["outcome"] == "renewed" and entry["does_next"] == "installs the certificate"


def test_macos_renews_with_its_used_challenge(running, ca):
    one, challenge = client(ca), running.challenge()
    old = ask(running, one, challenge).certificate
    reply = ask(running, one.renewed(old, scep.rsa_key("lifecycle new")), challenge)
    assert reply.status == scep.SUCCESS and not same(reply.certificate, old)
    # the challenge alone, by somebody else, does nothing
    refused(ask(running, client(ca, key="lifecycle foreign"), challenge), BAD_REQUEST, "used")


def test_replayed_renewal_gets_the_same_certificate(running, ca):
    one, old = certified(running, ca)
    next_one = one.renewed(old, scep.rsa_key("lifecycle new"))
    message = next_one.request(None, message_type="17")
    first, again = send(running, next_one, message), send(running, next_one, message)
    assert same(first.certificate, again.certificate)


def test_same_key_and_transaction_renew_again_and_again(running, ca):
    """A client that names its transactions by its key: a renewal is no replay of the first."""
    one = client(ca)
    seen = [ask(running, one, running.challenge()).certificate]
    for _ in range(3):
        following = one.renewed(seen[-1])
        following.transaction = one.transaction
        seen.append(ask(running, following, message_type="17").certificate)
    assert len({c.serial_number for c in seen}) == 4


def test_renewal_by_a_foreign_certificate(running, ca):
    """micromdm/scep issue 117: a certificate that looks like ours but is not."""
    one, old = certified(running, ca)
    fake_ca = scep.rsa_key("lifecycle fake ca")
    fake = (x509.CertificateBuilder().subject_name(old.subject).issuer_name(old.issuer)
            .public_key(one.key.public_key()).serial_number(old.serial_number)
            .not_valid_before(old.not_valid_before).not_valid_after(old.not_valid_after)
            .sign(fake_ca, scep.hashes.SHA256()))
    refused(ask(running, one.renewed(fake), message_type="17"), BAD_REQUEST, "one of this CA")
    refused(ask(running, one.renewed(fake)), BAD_REQUEST)
    refused(ask(running, one.renewed(scep.self_signed(one.key, one.subject)), message_type="17"),
            BAD_REQUEST)


def test_renewal_keeps_subject_and_names(running, ca):
    one, old = certified(running, ca, names="dns:a.example.org")
    foreign = one.renewed(old)
    foreign.subject = scep.name(("CN", "somebody else"))
    refused(ask(running, foreign, message_type="17"), BAD_REQUEST, "subject")
    refused(ask(running, one.renewed(old), message_type="17",
                sans=[x509.DNSName("a.example.org"), x509.DNSName("evil.test")]),
            BAD_REQUEST, "evil.test")
    reply = ask(running, one.renewed(old), message_type="17", sans=[x509.DNSName("a.example.org")])
    assert reply.status == scep.SUCCESS


def test_renewal_proves_possession_of_the_new_key(running, ca):
    one, old = certified(running, ca)
    next_one = one.renewed(old, scep.rsa_key("lifecycle new"))
    forged = scep.csr(next_one.key, one.subject, signing_key=scep.rsa_key("lifecycle foreign"))
    refused(ask(running, next_one, message_type="17", csr_der=forged), BAD_CHECK)


def test_renewals_of_one_certificate_are_bounded(running, ca):
    one, old = certified(running, ca)
    for _ in range(8):
        assert ask(running, one.renewed(old), message_type="17").status == scep.SUCCESS
    refused(ask(running, one.renewed(old), message_type="17"), BAD_REQUEST, "renewed 8 times")


def test_too_early(instance):
    """By default within 90 days of the expiry; the device keeps what it has."""
    ca = x509.load_pem_x509_certificate(instance.device_ca.read_bytes())
    one, old = certified(instance, ca)
    next_one = one.renewed(old)
    refused(ask(instance, next_one, message_type="17"), BAD_REQUEST, "may be renewed in 27")
    assert trace(instance, next_one.transaction)[0]["does_next"] == \
        "keeps its certificate and asks again later"


def test_a_device_goes_on_with_its_renewed_identity(running, factory):
    """Unattended: the pin follows the renewal when the device uses it, and leaves the old one."""
    person = running.person(f"{uuid.uuid4()}@example.org")
    device = Device(running, factory).enrol(*person)
    device.session()
    old_key, old = device.key, device.certificate
    one = scep.Client(old_key, old.subject, device.device_ca)
    renewals = [one.renewed(old, scep.rsa_key(f"device renewed {i}")) for i in range(2)]
    lost, kept = [ask(running, r, message_type="17").certificate for r in renewals]
    assert device.report().status == 200, "until the new one is used, the old one works"
    device.key, device.certificate = renewals[1].key, kept
    running.queue(device.udid, "RestartDevice")
    assert [c["Command"]["RequestType"] for c in device.session()] == ["RestartDevice"]
    assert device.token_update().status == 200
    device.key, device.certificate = old_key, old
    assert device.report().status == 403, "the former identity speaks for it no longer"
    device.key, device.certificate = renewals[0].key, lost
    assert device.report().status == 403, "nor a renewal that it did not go on with"
    # and once more, from the renewed one
    again = renewals[1].renewed(kept, scep.rsa_key("device renewed 2"))
    device.key, device.certificate = again.key, ask(running, again, message_type="17").certificate
    assert device.session() == []
    shown = trace(running, device.udid)
    assert {e["outcome"] for e in shown} == {"issued", "renewed"} and len(shown) == 5
    assert device.check_out().status == 200
    refused(ask(running, again.renewed(device.certificate), message_type="17"), BAD_REQUEST,
            "revoked")


def test_a_disabled_person_renews_nothing(running, factory):
    email, password = running.person(f"{uuid.uuid4()}@example.org")
    device = Device(running, factory).enrol(email, password)
    running.api("POST", f"/people/{email}/disable", expect=204)
    one = scep.Client(device.key, device.certificate.subject, device.device_ca)
    refused(ask(running, one.renewed(device.certificate), message_type="17"), BAD_REQUEST,
            "disabled")


def test_strongswan_renews(running, openssl, tmp_path):
    """pki --scep with a certificate sends RenewalReq, since GetCACaps says Renewal."""
    ca_file, name = tmp_path / "ca.der", f"swan {uuid.uuid4()}"
    openssl("x509", "-in", running.device_ca, "-outform", "DER", "-out", ca_file)

    def swan(key, *more):
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform",
                "DER", "-out", key)
        done = subprocess.run(
            ["pki", "--scep", "--url", f"{running.http_url}/scep", "--in", key, "--dn",
             f"CN={name}", "--cacert-enc", ca_file, "--cacert-sig", ca_file, "--digest", "sha256",
             *more], capture_output=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        return x509.load_der_x509_certificate(done.stdout)

    first = swan(tmp_path / "old.key", "--password", running.challenge())
    (tmp_path / "old.crt").write_bytes(cms.certificate_der(first))
    second = swan(tmp_path / "new.key", "--cert", tmp_path / "old.crt", "--key",
                  tmp_path / "old.key")
    assert second.subject == first.subject and not same(first, second)
    assert trace(running, last=1)[0]["message"] == "RenewalReq"


# ---- approval ----

def waiting(running, subject):
    found = [r for r in running.coffer_json("cert", "pending")["requests"]
             if r["subject"] == subject]
    assert len(found) == 1
    return found[0]


def test_approval(running, ca):
    one = client(ca)
    message = one.request(running.challenge(profile="router"))
    assert send(running, one, message).status == scep.PENDING
    assert send(running, one, message).status == scep.PENDING, "the same request again"
    assert send(running, one, one.poll()).status == scep.PENDING
    row = waiting(running, one.subject.rfc4514_string())
    assert row["profile"] == "router" and row["state"] == "waiting" and not row["renewal"]
    running.stop()
    running.start()  # PENDING is durable
    assert send(running, one, one.poll()).status == scep.PENDING
    running.coffer("cert", "approve", row["id"])
    reply = send(running, one, one.poll())
    assert reply.status == scep.SUCCESS
    assert same(send(running, one, one.poll()).certificate, reply.certificate)
    assert same(send(running, one, message).certificate, reply.certificate)
    running.coffer("cert", "approve", row["id"], expect=4)
    running.coffer("cert", "deny", row["id"], expect=4)
    audit = running.coffer("audit", "list").stdout
    assert "certificate.pending" in audit and "certificate.approve" in audit
    outcomes = [e["outcome"] for e in trace(running, one.transaction)]
    assert outcomes.count("pending") == 4 and outcomes.count("issued") == 1


def test_denial(running, ca):
    one = client(ca)
    assert ask(running, one, running.challenge(profile="router")).status == scep.PENDING
    row = waiting(running, one.subject.rfc4514_string())
    running.coffer("cert", "deny", row["id"], "--reason", "not one of ours")
    for message in (one.poll(), one.request(None)):
        refused(send(running, one, message), BAD_REQUEST, "not one of ours")
    decided = [r for r in running.coffer_json("cert", "pending", "--all")["requests"]
               if r["id"] == row["id"]][0]
    assert decided["state"] == "denied" and decided["reason"] == "not one of ours"
    running.coffer("cert", "approve", row["id"], expect=4)
    running.coffer("cert", "deny", "nobody", expect=3)
    running.coffer("cert", "deny", row["id"], "--reason", "x" * 300, expect=None)


def test_the_challenge_of_a_waiting_request_is_used(running, ca):
    challenge = running.challenge(profile="router")
    assert ask(running, client(ca), challenge).status == scep.PENDING
    refused(ask(running, client(ca, key="lifecycle foreign"), challenge), BAD_REQUEST, "used")


def test_a_new_challenge_begins_anew(running, ca):
    """Routers name their transactions by their key: what once was must not answer for ever."""
    one, challenge = client(ca), running.challenge()
    first = ask(running, one, challenge).certificate
    one.subject = scep.name(("CN", f"renamed {uuid.uuid4()}"))
    second = ask(running, one, running.challenge(subject=one.subject.rfc4514_string())).certificate
    assert second.subject == one.subject and not same(first, second)
    refused(ask(running, one, running.challenge(subject="CN=another")), BAD_REQUEST, "CN=another")
    # the same once more, and with a challenge that is used up: what the transaction got last
    assert same(send(running, one, one.request(challenge)).certificate, second)


def test_a_denied_client_may_come_again_with_a_new_challenge(running, ca):
    one = client(ca)
    name = one.subject.rfc4514_string()
    seen = []
    for decide in ("deny", "approve", "approve"):
        assert ask(running, one, running.challenge(profile="router")).status == scep.PENDING
        running.coffer("cert", decide, waiting(running, name)["id"])
        reply = send(running, one, one.poll())
        assert reply.status == (scep.FAILURE if decide == "deny" else scep.SUCCESS), reply.text
        seen.append(reply.certificate and reply.certificate.serial_number)
    assert len(set(seen)) == 3, "each its own"
    # a profile without approval is not held up either
    assert ask(running, one, running.challenge()).status == scep.SUCCESS


def test_a_renewal_waits_too(running, ca):
    one = client(ca)
    assert ask(running, one, running.challenge(profile="router")).status == scep.PENDING
    running.coffer("cert", "approve", waiting(running, one.subject.rfc4514_string())["id"])
    old = send(running, one, one.poll()).certificate
    next_one = one.renewed(old, scep.rsa_key("lifecycle new"))
    assert ask(running, next_one, message_type="17").status == scep.PENDING
    row = waiting(running, one.subject.rfc4514_string())
    assert row["renewal"]
    running.coffer("cert", "approve", row["id"])
    reply = send(running, next_one, next_one.poll())
    assert reply.status == scep.SUCCESS and not same(reply.certificate, old)


def test_polls_of_others_find_nothing(running, ca):
    one, other = client(ca), client(ca, key="lifecycle foreign")
    assert ask(running, one, running.challenge(profile="router")).status == scep.PENDING
    other.transaction, other.subject = one.transaction, one.subject
    refused(send(running, other, other.poll()), BAD_ID)
    refused(send(running, one, one.poll(
        csr_der=one.issuer_and_subject(subject=scep.name(("CN", "else"))))), BAD_ID)
    refused(send(running, one, one.poll(
        csr_der=one.issuer_and_subject(issuer=scep.name(("CN", "else"))))), BAD_ID)
    fresh = client(ca)
    refused(send(running, fresh, fresh.poll()), BAD_ID, "no such transaction")
    assert send(running, one, one.poll()).status == scep.PENDING


def test_the_transaction_of_a_waiting_request_is_for_it_alone(running, ca):
    one = client(ca)
    assert ask(running, one, running.challenge(profile="router")).status == scep.PENDING
    one.subject = scep.name(("CN", "changed my mind"))
    refused(ask(running, one, running.challenge()), BAD_REQUEST, "another request")


# ---- GetCert, GetCRL ----

def test_get_cert(running, ca):
    one, certificate = certified(running, ca)
    body = one.issuer_and_serial(certificate.serial_number)
    own = send(running, one, one.request(None, message_type="21", csr_der=body))
    assert own.status == scep.SUCCESS and same(own.certificate, certificate)
    stranger = client(ca, key="lifecycle foreign")
    refused(send(running, stranger, stranger.request(None, message_type="21", csr_der=body)),
            BAD_ID)
    for wrong in (one.issuer_and_serial(4711),
                  one.issuer_and_serial(certificate.serial_number, scep.name(("CN", "else")))):
        refused(send(running, one, one.request(None, message_type="21", csr_der=wrong)), BAD_ID)


@pytest.mark.parametrize("message_type", ["20", "21", "22"])
def test_names_of_certificates_that_are_none(running, ca, message_type):
    one = client(ca)
    for body in (b"", b"\x30\x00", der.sequence(der.integer(1)), os.urandom(40),
                 one.issuer_and_serial(2 ** 400), scep.csr(one.key, one.subject)):
        if body:
            reply = ask(running, one, message_type=message_type, csr_der=body)
            refused(reply, BAD_CHECK)


# ---- what was wrong ----

def timed(one, text, tag=0x17):
    return [cms.attribute(scep.OID_MESSAGE_TYPE, der.printable("19")),
            cms.attribute(scep.OID_TRANSACTION_ID, der.printable(one.transaction)),
            cms.attribute(scep.OID_SENDER_NONCE, der.octet_string(one.nonce)),
            cms.attribute(OID_SIGNING_TIME, der.element(tag, text.encode()))]


def test_bad_time(running, ca):
    """A clock that is days off; one that is hours off is forgiven."""
    now, challenge = datetime.datetime.utcnow(), running.challenge()
    for days in (-30, 30, 9000):
        one = client(ca)
        when = now + datetime.timedelta(days=days)
        text, tag = when.strftime("%y%m%d%H%M%SZ"), 0x17
        if when.year >= 2050:
            text, tag = when.strftime("%Y%m%d%H%M%SZ"), 0x18
        refused(ask(running, one, challenge, attributes=timed(one, text, tag)), BAD_TIME)
        assert "clock" in trace(running, one.transaction)[0]["does_next"]
    one = client(ca)
    text = (now - datetime.timedelta(hours=5)).strftime("%y%m%d%H%M%SZ")
    assert ask(running, one, challenge, attributes=timed(one, text)).status == scep.SUCCESS
    one = client(ca)
    reply = ask(running, one, running.challenge(), attributes=timed(one, "2611220000Z"))
    refused(reply, BAD_REQUEST, "signingTime")


@pytest.mark.parametrize("days", [-400, 400])
def test_bad_time_of_the_signer(running, ca, days):
    one, now = client(ca), datetime.datetime.utcnow() + datetime.timedelta(days=days)
    one.certificate = (x509.CertificateBuilder().subject_name(one.subject)
                       .issuer_name(one.subject).public_key(one.key.public_key())
                       .serial_number(1).not_valid_before(now)
                       .not_valid_after(now + datetime.timedelta(days=2))
                       .sign(one.key, scep.hashes.SHA256()))
    refused(ask(running, one, running.challenge()), BAD_TIME)


def test_old_ciphers_by_profile(running, ca):
    one, challenge = client(ca), running.challenge(profile="modern")
    refused(ask(running, one, challenge, cipher="des3"), BAD_ALG, "3DES")
    assert ask(running, one, challenge).status == scep.SUCCESS
    assert ask(running, client(ca), running.challenge(), cipher="des3").status == scep.SUCCESS


def test_3des_switched_off(make_instance):
    one_instance = make_instance({"scep": {"allow_3des": "no"}})
    own_ca = x509.load_pem_x509_certificate(one_instance.device_ca.read_bytes())
    one, challenge = client(own_ca), one_instance.challenge()
    refused(ask(one_instance, one, challenge, cipher="des3"), BAD_ALG, "3DES")
    assert ask(one_instance, one, challenge).status == scep.SUCCESS


def test_ten_thousand_names(running, ca):
    one = client(ca)
    sans = [x509.DNSName(f"n{i}.test") for i in range(10000)]
    response = running.http("POST", "/scep?operation=PKIOperation",
                            one.request(running.challenge(), sans=sans), TYPE)
    assert response.status in (200, 413), response
    if response.status == 200:
        assert one.read(response.body).status == scep.FAILURE
    hundred = [x509.DNSName(f"n{i}.test") for i in range(101)]
    assert ask(running, one, running.challenge(), sans=hundred).status == scep.FAILURE


def test_forbidden_extension(running, ca):
    one = client(ca)
    constraints = x509.BasicConstraints(True, None)
    extension = der.sequence(der.oid("2.5.29.19"), der.octet_string(constraints.public_bytes()))
    body = scep.csr(one.key, one.subject, running.challenge(), extensions=[extension])
    refused(ask(running, one, csr_der=body), BAD_REQUEST, "CA certificate")
    unknown = der.sequence(der.oid("1.2.3.4.5"), der.octet_string(b"\x05\x00"))
    body = scep.csr(one.key, one.subject, running.challenge(), extensions=[unknown])
    refused(ask(running, one, csr_der=body), BAD_REQUEST, "1.2.3.4.5")


# ---- the trace ----

def test_trace_says_what_was_wrong(running, ca):
    one, secret = client(ca), f"no-such-challenge-{uuid.uuid4()}"
    refused(ask(running, one, secret), BAD_REQUEST)
    entry = trace(running, one.transaction)[0]
    assert entry["message"] == "PKCSReq" and entry["outcome"] == "refused"
    assert entry["fail_info"] == "badRequest" and "not known" in entry["problem"]
    assert "new profile" in entry["does_next"]
    assert entry["subject"] == one.subject.rfc4514_string()
    assert entry["algorithms"] == "AES-256-CBC, SHA-256"
    everything = running.coffer("scep", "trace", "--last", "1000").stdout
    assert secret not in everything
    running.http("POST", "/scep?operation=PKIOperation", b"garbage", TYPE)
    entry = trace(running, "127.0.0.1", last=1)[0]
    assert entry["outcome"] == "malformed" and "CMS" in entry["problem"]


def test_trace_is_a_ring(running, ca):
    one = client(ca)
    for _ in range(55):
        refused(ask(running, one, "wrong"), BAD_REQUEST)
    assert len(trace(running, one.transaction, last=1000)) == 50


def test_trace_arguments(running):
    running.coffer("scep", "trace", "--last", "0", expect=2)
    running.coffer("scep", "trace", "--last", "x", expect=2)
    assert running.coffer_json("scep", "trace", "no such thing")["requests"] == []
