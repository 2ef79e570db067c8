"""SCEP (RFC 8894) with foreign clients and with a hostile one."""

import base64
import concurrent.futures
import os
import subprocess
import threading
import uuid

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from helpers import cms, der, scep
from helpers.instance import PATIENCE, Instance

TYPE = {"Content-Type": "application/x-pki-message"}


@pytest.fixture(scope="module")
def ca(instance):
    return x509.load_pem_x509_certificate(instance.device_ca.read_bytes())


def client(ca, common_name=None, key="scep"):
    subject = scep.name(("CN", common_name or f"client {uuid.uuid4()}"))
    return scep.Client(scep.rsa_key(key), subject, ca)


def post(instance, message, listener="https"):
    return instance.http("POST", "/scep?operation=PKIOperation", message, TYPE, listener)


def enrol(instance, one, challenge, listener="https", **options):
    response = post(instance, one.request(challenge, **options), listener)
    assert response.status == 200, response
    assert response.headers["Content-Type"] == "application/x-pki-message"
    return one.read(response.body)


def refused(reply, fail_info="2"):
    assert reply.status == scep.FAILURE
    assert reply.fail_info == fail_info, reply.text
    return reply


def check_with_openssl(openssl, instance, certificate, folder):
    """As a strict relying party sees it."""
    path = folder / "issued.pem"
    path.write_bytes(certificate)
    openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", instance.root,
            "-untrusted", instance.device_ca, path)


# ---- Debian's scepclient, strongSwan's pki, curl ----

@pytest.fixture(scope="module")
def old_clients(tmp_path_factory):
    """An instance for clients that know only SHA-1 and single DES, as Debian's scepclient does."""
    one = Instance(tmp_path_factory.mktemp("old"))
    try:
        one.init({"scep": {"allow_sha1": "yes", "allow_des": "yes"}}).start()
        yield one
        one.stop()
    finally:
        one.abandon()


@pytest.mark.parametrize("listener", ["http", "https"])
def test_scepclient(old_clients, openssl, tmp_path, listener):
    instance = old_clients
    name = f"scepclient {listener} {uuid.uuid4()}"
    challenge = instance.coffer("scep", "challenge", "--profile", "scep-client").stdout.split()[-1]
    url = instance.http_url if listener == "http" else instance.url
    env = dict(os.environ, SSL_CERT_FILE=str(instance.root))
    done = subprocess.run(
        ["scepclient", "-server-url", f"{url}/scep", "-challenge", challenge, "-cn", name,
         "-private-key", "key.pem", "-certificate", "cert.pem", "-keySize", "2048"],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    pem = (tmp_path / "cert.pem").read_bytes()
    check_with_openssl(openssl, instance, pem, tmp_path)
    certificate = x509.load_pem_x509_certificate(pem)
    assert name in certificate.subject.rfc4514_string()
    key = openssl("pkey", "-in", tmp_path / "key.pem", "-pubout")
    assert certificate.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo) == key
    words = instance.http("GET", "/scep?operation=GetCACaps").text().split()
    assert "SHA-1" in words


def test_single_des_is_off_by_default(instance, old_clients, ca):
    challenge, one = instance.challenge(), client(ca)
    reply = refused(enrol(instance, one, challenge, cipher="des"), "0")
    assert "DES" in reply.text
    assert enrol(instance, one, challenge).status == scep.SUCCESS
    old_ca = x509.load_pem_x509_certificate(old_clients.device_ca.read_bytes())
    reply = enrol(old_clients, client(old_ca), old_clients.challenge(), cipher="des")
    assert reply.status == scep.SUCCESS and reply.cipher == "des3"


def test_sha1_is_off_by_default(instance, ca):
    assert "SHA-1" not in instance.http("GET", "/scep?operation=GetCACaps").text().split()
    challenge, one = instance.challenge(), client(ca)
    refused(enrol(instance, one, challenge, digest="sha1"), "0")
    assert enrol(instance, one, challenge).status == scep.SUCCESS


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_strongswan_pki(instance, openssl, tmp_path, digest):
    """Over plain HTTP alone: the fetcher of Debian's strongSwan has no TLS."""
    challenge = instance.challenge()
    key, ca_file = tmp_path / "key.der", tmp_path / "ca.der"
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER",
            "-out", key)
    openssl("x509", "-in", instance.device_ca, "-outform", "DER", "-out", ca_file)
    done = subprocess.run(
        ["pki", "--scep", "--url", f"{instance.http_url}/scep", "--in", key, "--dn",
         f"CN=swan {uuid.uuid4()}", "--password", challenge, "--cacert-enc", ca_file,
         "--cacert-sig", ca_file, "--digest", digest, "--outform", "pem"],
        capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    check_with_openssl(openssl, instance, done.stdout, tmp_path)


@pytest.mark.parametrize("listener", ["http", "https"])
def test_curl_reads_capabilities_and_ca(instance, tmp_path, listener):
    url = f"{instance.http_url if listener == 'http' else instance.url}/scep"

    def curl(query, *more):
        return subprocess.run(["curl", "-sS", "--fail", "--cacert", instance.root, *more,
                               f"{url}?{query}"], capture_output=True, check=True,
                              timeout=PATIENCE).stdout

    words = curl("operation=GetCACaps").decode().split()
    assert {"AES", "POSTPKIOperation", "Renewal", "SCEPStandard", "SHA-256", "SHA-512"} <= set(words)
    assert "Update" not in words
    head = tmp_path / "head"
    certificate = curl("operation=GetCACert&message=", "-D", head)
    assert "application/x-x509-ca-cert" in head.read_text()
    ours = x509.load_pem_x509_certificate(instance.device_ca.read_bytes())
    assert certificate == cms.certificate_der(ours)
    usage = ours.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.key_encipherment and usage.key_cert_sign


# ---- the independent client ----

@pytest.mark.parametrize("cipher", ["aes256", "aes128", "des3"])
def test_reply_uses_the_request_cipher(instance, ca, cipher):
    reply = enrol(instance, client(ca), instance.challenge(), cipher=cipher)
    assert reply.status == scep.SUCCESS and reply.cipher == cipher


@pytest.mark.parametrize("options", [{"indefinite": True}, {"digest": "sha384"},
                                     {"indefinite": True, "digest": "sha512"}])
def test_ber_and_digests(instance, ca, options):
    assert enrol(instance, client(ca), instance.challenge(), **options).status == scep.SUCCESS


@pytest.mark.parametrize("escape", [False, True])
def test_get_with_bare_plus_and_slash(instance, ca, escape):
    one, challenge = client(ca), instance.challenge()
    while True:  # a message whose base64 has both
        message = one.request(challenge)
        text = base64.b64encode(message)
        if b"+" in text and b"/" in text:
            break
    response = instance.http("GET", f"/scep?{scep.get_query(message, escape)}", listener="http")
    assert response.status == 200, response
    assert one.read(response.body).status == scep.SUCCESS


def test_challenge_is_for_one_use(instance, ca):
    challenge = instance.challenge()
    assert enrol(instance, client(ca), challenge).status == scep.SUCCESS
    reply = refused(enrol(instance, client(ca, key="scep other"), challenge))
    assert "used" in reply.text


@pytest.mark.threads
def test_challenge_used_at_the_same_moment_wins_once(instance, ca):
    """From several connections at once: exactly one gets a certificate."""
    for _ in range(5):
        challenge, count = instance.challenge(), 4
        clients = [client(ca, key=f"scep race {i}") for i in range(count)]
        messages = [one.request(challenge) for one in clients]
        barrier = threading.Barrier(count)

        def go(i):
            connection = instance.connect("http")
            connection.connect()
            barrier.wait(PATIENCE)
            connection.request("POST", "/scep?operation=PKIOperation", messages[i], TYPE)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            assert answer.status == 200
            return clients[i].read(body).status

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            statuses = sorted(pool.map(go, range(count)))
        assert statuses == [scep.SUCCESS] + [scep.FAILURE] * (count - 1)


@pytest.mark.threads
def test_sixteen_enrolments_at_once(instance, ca):
    clients = [client(ca, key=f"scep parallel {i % 4}") for i in range(16)]
    challenges = [instance.challenge() for _ in clients]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda pair: enrol(instance, *pair), zip(clients, challenges)))
    assert all(r.status == scep.SUCCESS for r in replies)
    assert len({r.certificate.serial_number for r in replies}) == 16


def test_replayed_message_gets_the_same_certificate(instance, ca):
    one = client(ca)
    message = one.request(instance.challenge())
    first = one.read(post(instance, message).body)
    again = one.read(post(instance, message).body)
    assert cms.certificate_der(first.certificate) == cms.certificate_der(again.certificate)


def test_unknown_and_missing_challenges(instance, ca):
    refused(enrol(instance, client(ca), "no-such-challenge"))
    refused(enrol(instance, client(ca), None))
    refused(enrol(instance, client(ca), ""))


def test_challenge_binds_the_subject(instance, ca):
    challenge = instance.challenge(subject="CN=expected")
    reply = refused(enrol(instance, client(ca, "another"), challenge))
    assert "subject" in reply.text
    assert enrol(instance, client(ca, "expected"), challenge).status == scep.SUCCESS


def test_challenge_binds_the_names(instance, ca):
    challenge = instance.challenge(names="email:a@example.org")
    foreign = [x509.RFC822Name("b@example.org")]
    refused(enrol(instance, client(ca), challenge, sans=foreign))
    reply = enrol(instance, client(ca), challenge, sans=[x509.RFC822Name("a@example.org")])
    names = reply.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.RFC822Name) == ["a@example.org"]


def test_names_without_permission_are_refused(instance, ca):
    refused(enrol(instance, client(ca), instance.challenge(), sans=[x509.DNSName("evil.test")]))


def test_lifetime_has_bounds(instance):
    instance.api("POST", "/scep/challenges", {"lifetime_s": 60}, expect=201)
    instance.api("POST", "/scep/challenges", {"lifetime_s": 1}, expect=400)
    instance.api("POST", "/scep/challenges", {"profile": "no-such-profile"}, expect=400)


def test_weak_key_is_refused(instance, ca):
    key = scep.rsa_key("weak", 1024)
    one = scep.Client(key, scep.name(("CN", "weak")), ca)
    response = post(instance, one.request(instance.challenge()))
    if response.status == 200:
        refused(one.read(response.body), one.read(response.body).fail_info)
    else:
        assert 400 <= response.status < 500, response


def test_proof_of_possession(instance, ca):
    """The CSR's own signature, and that the message is signed by the key to be certified."""
    challenge, one, other = instance.challenge(), client(ca), scep.rsa_key("scep other")
    forged = scep.csr(one.key, one.subject, challenge, signing_key=other)
    refused(enrol(instance, one, challenge, csr_der=forged), "1")
    foreign = scep.csr(other, one.subject, challenge)
    refused(enrol(instance, one, challenge, csr_der=foreign), "1")
    assert enrol(instance, one, challenge).status == scep.SUCCESS


@pytest.mark.parametrize("message_type, fail_info",
                         [("17", "2"), ("20", "1"), ("21", "1"), ("22", "1")])
def test_a_request_under_another_type_is_refused(instance, ca, message_type, fail_info):
    """A first request that says to be a renewal, and envelopes that hold something else."""
    challenge = instance.challenge()
    refused(enrol(instance, client(ca), challenge, message_type=message_type), fail_info)
    assert enrol(instance, client(ca), challenge).status == scep.SUCCESS, "the challenge was used"


@pytest.mark.parametrize("message_type", ["3", "18", "0", "99", "1900", "PKCSReq", "", "19 ", "+19"])
def test_unknown_message_types_never_reach_authorisation(instance, ca, message_type):
    """CVE-2026-30836: a type that is parsed but unknown must be refused."""
    challenge, one = instance.challenge(), client(ca)
    response = post(instance, one.request(challenge, message_type=message_type))
    assert 400 <= response.status < 500 or one.read(response.body).status == scep.FAILURE
    assert enrol(instance, client(ca), challenge).status == scep.SUCCESS, "the challenge was used"


def test_signed_attributes_exactly_once(instance, ca):
    challenge, one = instance.challenge(), client(ca)
    kinds = [cms.attribute(scep.OID_MESSAGE_TYPE, der.printable("19")),
             cms.attribute(scep.OID_TRANSACTION_ID, der.printable(one.transaction)),
             cms.attribute(scep.OID_SENDER_NONCE, der.octet_string(one.nonce))]
    for i in range(3):
        without, twice = kinds[:i] + kinds[i + 1:], kinds + [kinds[i]]
        for attributes in (without, twice):
            response = post(instance, one.request(challenge, attributes=attributes))
            assert 400 <= response.status < 500, (i, response)
    assert enrol(instance, one, challenge).status == scep.SUCCESS


def test_transaction_id_is_bounded(instance, ca):
    one = client(ca)
    one.transaction = "x" * 200
    assert enrol(instance, one, instance.challenge()).status == scep.SUCCESS
    response = post(instance, one.request(instance.challenge(), transaction="x" * 300))
    assert response.status in (400, 413)


def test_tampered_message(instance, ca):
    response = post(instance, client(ca).request(instance.challenge(), tamper=True))
    assert response.status in (400, 403)


def test_envelope_for_another_key_says_nothing(instance, ca):
    """One answer for every envelope failure (Bleichenbacher)."""
    other = scep.rsa_key("scep other")
    seen = set()
    for options in ({"envelope_key": other.public_key()}, {"csr_der": b"no request at all"}):
        one = client(ca)
        reply = enrol(instance, one, instance.challenge(), **options)
        assert reply.status == scep.FAILURE
        if "envelope_key" in options:
            seen.add((reply.fail_info, reply.text))
    one = client(ca)
    message = bytearray(one.request(instance.challenge(), envelope_key=other.public_key()))
    assert len(seen) == 1 and message


def test_garbage(instance, ca):
    for body in (b"", b"\0", b"garbage", b"\x30\x80" * 5000, os.urandom(3000),
                 client(ca).request(instance.challenge())[:-100]):
        response = post(instance, body)
        assert 400 <= response.status < 500, (body[:20], response)
    for query in ("", "operation=", "operation=Nothing", "operation=PKIOperation",
                  "operation=PKIOperation&message=", "operation=PKIOperation&message=%%%",
                  "operation=PKIOperation&message=AAAA", "operation=GetNextCACert"):
        response = instance.http("GET", f"/scep?{query}", listener="http")
        assert 400 <= response.status < 500, (query, response)


def test_body_limit(instance):
    response = post(instance, b"\0" * (256 * 1024 + 1))
    assert response.status == 413, response
    instance.wait_healthy()


def test_plain_http_serves_scep_alone(instance):
    for path in ("/enrol", "/api/v1/status", "/mdm/command", "/metrics"):
        assert instance.http("GET", path, listener="http").status == 404
