"""The device CA's rollover and RA mode (RFC 8894 sections 2.1.2 and 4.7), as clients see them."""

import sqlite3
import subprocess
import uuid

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from helpers import cms, scep, sim
from helpers.device import Device
from helpers.instance import PATIENCE, Instance, program, wait_for

TYPE = {"Content-Type": "application/x-pki-message"}
BAD_ALG, BAD_CHECK, BAD_REQUEST, BAD_TIME, BAD_ID = "01234"
AIA = x509.oid.AuthorityInformationAccessOID


def post(instance, message):
    response = instance.http("POST", "/scep?operation=PKIOperation", message, TYPE)
    assert response.status == 200, response
    return response.body


def client(instance, name=None, key="rollover"):
    one = scep.Client(scep.rsa_key(key), scep.name(("CN", f"c {uuid.uuid4()}")), None)
    return one.meets(scep.get_ca(instance, name), instance.device_cas())


def ask(instance, one, challenge=None, **options):
    return one.read(post(instance, one.request(challenge, **options)))


def certified(instance, key="rollover"):
    one = client(instance, key=key)
    reply = ask(instance, one, instance.challenge())
    assert reply.status == scep.SUCCESS, reply.text
    return one, reply.certificate


def same(a, b):
    return cms.certificate_der(a) == cms.certificate_der(b)


def caps(instance):
    return instance.http("GET", "/scep?operation=GetCACaps").text().split()


def roll(instance, *flags):
    """A step while the server stands still."""
    instance.stop()
    done = instance.coffer("ca", "rollover", *flags)
    instance.start()
    return done.stdout


def check_chain(openssl, instance, certificate, folder):
    """As a strict relying party that has the instance's public files."""
    path = folder / f"{uuid.uuid4()}.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", instance.root,
            "-untrusted", instance.device_ca, path)


def urls_of(certificate):
    """(list, OCSP, issuer's certificate) that a certificate names, as paths."""
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    where = {a.access_method: a.access_location.value for a in access}
    found = (points[0].full_name[0].value, where[AIA.OCSP], where[AIA.CA_ISSUERS])
    return tuple("/" + url.split("/", 3)[3] for url in found)


def check_revocation(instance, certificate, ca, revoke=True):
    """Its own addresses tell of it, signed by its own CA."""
    list_path, ocsp_path, ca_path = urls_of(certificate)
    assert x509.load_der_x509_certificate(instance.http("GET", ca_path).body) == ca
    serial = certificate.serial_number
    if revoke:
        instance.coffer("cert", "revoke", f"{serial:x}", "--reason", "superseded")

    def look():
        answer = instance.http("GET", list_path)
        if answer.status != 200:
            return None
        crl = x509.load_der_x509_crl(answer.body)
        assert crl.issuer == ca.subject and crl.is_signature_valid(ca.public_key())
        return crl.get_revoked_certificate_by_serial_number(serial) is not None

    wait_for(look, lambda found: found is revoke, list_path)
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate, ca, hashes.SHA256()).build()
    answer = instance.http("POST", ocsp_path, request.public_bytes(serialization.Encoding.DER),
                           {"Content-Type": "application/ocsp-request"})
    status = ocsp.load_der_ocsp_response(answer.body)
    assert status.certificate_status == (ocsp.OCSPCertStatus.REVOKED if revoke
                                         else ocsp.OCSPCertStatus.GOOD)
    cms.check_issued(status.certificates[0], ca)


def swan_files(instance, folder, openssl):
    """What pki --scepca gives: (CA, encryption, signature) as files."""
    out = folder / f"swan-{uuid.uuid4()}"
    out.mkdir()
    done = subprocess.run(
        ["pki", "--scepca", "--url", f"{instance.http_url}/scep", "--caout", out / "ca.crt",
         "--raout", out / "ra.crt", "--outform", "der"], capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    files = [x509.load_der_x509_certificate(p.read_bytes()) for p in sorted(out.iterdir())]
    ca, signer, recipient = scep.peer_of(files)
    paths = {"root": out / "root.der"}
    openssl("x509", "-in", instance.root, "-outform", "DER", "-out", paths["root"])
    for role, one in (("ca", ca), ("sig", signer), ("enc", recipient)):
        paths[role] = out / f"{role}.der"
        paths[role].write_bytes(cms.certificate_der(one))
    return paths


def swan(instance, folder, openssl, files, name, *more):
    key = folder / f"{uuid.uuid4()}.key"
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER",
            "-out", key)
    done = subprocess.run(
        ["pki", "--scep", "--url", f"{instance.http_url}/scep", "--in", key, "--dn", f"CN={name}",
         "--cacert-enc", files["enc"], "--cacert-sig", files["sig"], "--cacert", files["ca"],
         "--cacert", files["root"], "--digest", "sha256", *more], capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return key, x509.load_der_x509_certificate(done.stdout)


@pytest.fixture
def sim_factory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("factory") / "f"
    sim.run("factory-ca", "--out", folder)
    return folder


@pytest.fixture
def make(tmp_path_factory, factory, sim_factory):
    """Instances that also simulated iPhones may enrol to: make(settings={}, *init_flags)."""
    made = []

    def one(settings=None, *flags):
        files = tmp_path_factory.mktemp("rollover")
        instance = Instance(files)
        made.append(instance)
        both = files / "factories.pem"
        both.write_bytes((sim_factory / "factory-ca.cert.pem").read_bytes() +
                         factory.write(files / "factory-ca.pem").read_bytes())
        instance.init({"enrol": {"factory_ca": str(both)}, "scep": {"renewal_window": "0d"}},
                      *flags)
        instance.configure(settings or {})
        return instance.start()

    yield one
    try:
        for instance in made:
            instance.stop()
    finally:
        for instance in made:
            instance.abandon()


# ---- the rollover, from one end to the other ----

def test_rollover(make, openssl, tmp_path, factory, sim_factory):
    instance = make()
    first = instance.device_cas()[0]
    person = instance.person("rolling@example.org")

    # before
    one, old = certified(instance)
    other = client(instance, key="rollover replay")
    first_message = other.request(instance.challenge())
    first_reply = other.read(post(instance, first_message))
    assert first_reply.status == scep.SUCCESS
    before = Device(instance, factory).enrol(*person)
    phone = sim.Phone(instance, tmp_path / "before", sim_factory)
    phone.enrol(person)
    swan_before = swan_files(instance, tmp_path, openssl)
    swan_key, swan_old = swan(instance, tmp_path, openssl, swan_before, "gateway", "--password",
                              instance.challenge())
    assert "GetNextCACert" not in caps(instance)
    response = instance.http("GET", "/scep?operation=GetNextCACert")
    assert response.status == 404 and "no next CA" in response.text(), response
    said = instance.coffer("ca", "rollover", "--dry-run", "--device-ca-key", "rsa3072").stdout
    assert "device-ca-2" in said and "rsa3072" in said and "Nothing was changed" in said
    assert "device-identity" in said and len(instance.device_cas()) == 1
    said = instance.coffer("ca", "rollover", "--activate", "--dry-run").stdout
    assert "no next device CA" in said

    # the next one is made
    instance.coffer("ca", "rollover", expect=4)  # the server runs
    assert "Device CA 2" in roll(instance)
    now_first, second = instance.device_cas()
    assert same(now_first, first) and not same(second, first)
    shown = {c["name"]: c for c in instance.coffer_json("ca", "show")["device_cas"]}
    assert shown["device-ca"]["state"] == "current" and shown["device-ca-2"]["state"] == "next"
    assert shown["device-ca"]["devices"] == 2 and shown["device-ca-2"]["certificates"] == 0
    assert "GetNextCACert" in caps(instance)
    response = instance.http("GET", "/scep?operation=GetNextCACert&message=")
    assert response.headers["Content-Type"] == "application/x-x509-next-ca-cert"
    signed = cms.verify(response.body)
    assert same(signed.signer, first)
    assert [cms.certificate_der(c) for c in cms.certificates_of(signed.content)] == \
        [cms.certificate_der(second)]
    (tmp_path / "next.p7").write_bytes(response.body)
    openssl("cms", "-verify", "-inform", "DER", "-in", tmp_path / "next.p7", "-purpose", "any",
            "-CAfile", instance.root, "-out", tmp_path / "next.out")
    instance.coffer("ca", "rollover", expect=4)
    during = Device(instance, factory).enrol(*person)
    authorities = [p["PayloadContent"] for p in during.payloads
                   if p["PayloadType"] == "com.apple.security.pkcs1"]
    assert authorities == [cms.certificate_der(first), cms.certificate_der(second)]
    cms.check_issued(during.certificate, first)
    sim.Phone(instance, tmp_path / "during", sim_factory).enrol(person)
    early = client(instance)
    early.recipient = second
    reply = ask(instance, early, instance.challenge())
    assert reply.fail_info == BAD_CHECK and "not in use yet" in reply.text
    said = instance.coffer("ca", "rollover", "--activate", "--dry-run").stdout
    assert "2 of 4 devices" in said and "no way back" in said
    flying = Device(instance, factory)  # has its profile, and not yet its certificate
    flying.fetch_offer(*person)
    profile = flying.phase2()
    for device in (before, during):
        device.session()

    # it takes over
    instance.stop()
    instance.coffer("ca", "rollover", "--activate", expect=4)  # nobody confirms
    instance.coffer("ca", "rollover", "--activate", "--yes")
    instance.coffer("ca", "rollover", "--activate", "--yes", expect=4)
    instance.start()
    assert [same(a, b) for a, b in zip(instance.device_cas(), [second, first])] == [True, True]
    assert "GetNextCACert" not in caps(instance)
    shown = {c["name"]: c for c in instance.coffer_json("ca", "show")["device_cas"]}
    assert shown["device-ca"]["state"] == "former" and shown["device-ca-2"]["state"] == "current"

    # new ones are the second's
    new, fresh = certified(instance)
    cms.check_issued(fresh, second)
    check_chain(openssl, instance, fresh, tmp_path)
    check_chain(openssl, instance, old, tmp_path)
    after = Device(instance, factory).enrol(*person)
    cms.check_issued(after.certificate, second)
    assert after.mdm and after.session() is not None
    sim.Phone(instance, tmp_path / "after", sim_factory).enrol(person)
    cms.check_issued(swan(instance, tmp_path, openssl, swan_files(instance, tmp_path, openssl),
                          "gateway 2", "--password", instance.challenge())[1], second)

    # what was begun before goes on: with the former's key and signature
    flying.first_key = scep.rsa_key("device first")
    flying.first_certificate = flying.scep(profile["PayloadContent"][0], flying.first_key)
    assert same(flying.device_ca, first)
    cms.check_issued(flying.first_certificate, second)
    flying.install_management()
    assert flying.authenticate().status == 200 and flying.token_update().status == 200

    # clients that know the former only
    again = other.read(post(instance, first_message))
    assert same(again.certificate, first_reply.certificate), "replay over the rollover"
    late = client(instance, "device-ca")
    assert same(late.ca, first)
    late.issuers = [second]
    assert ask(instance, late, instance.challenge()).status == scep.SUCCESS
    reply = ask(instance, client(instance, "device-ca"), "no such challenge")
    assert reply.status == scep.FAILURE, "and refusals are signed by the former"

    # renewal across it
    for device in (before, during):
        assert device.report().status == 200
        renewed = scep.Client(device.key, device.certificate.subject, first).meets(
            scep.get_ca(instance)).renewed(device.certificate, scep.rsa_key("rolled over"))
        got = ask(instance, renewed, message_type="17").certificate
        cms.check_issued(got, second)
        device.key, device.certificate = renewed.key, got
        assert device.report().status == 200, "the renewed identity speaks for the device"
    (tmp_path / "swan.crt").write_bytes(cms.certificate_der(swan_old))
    _, renewed = swan(instance, tmp_path, openssl, swan_files(instance, tmp_path, openssl),
                      "gateway", "--cert", tmp_path / "swan.crt", "--key", swan_key)
    cms.check_issued(renewed, second)
    phone.session()

    # GetCert and GetCRL of both; each one's own lists and OCSP
    for who, certificate, ca in ((one, old, first), (new, fresh, second)):
        body = who.issuer_and_serial(certificate.serial_number, ca.subject)
        asker = client(instance)
        asker.key, asker.signing_key, asker.certificate = who.key, who.key, certificate
        got = ask(instance, asker, message_type="21", csr_der=body)
        assert same(got.certificate, certificate)
        check_revocation(instance, certificate, ca)
        wanted = asker.request(None, message_type="22", csr_der=body)
        _, crl = wait_for(  # the complete list may follow that of the profile
            lambda: asker.read_crl(post(instance, wanted)),
            lambda found: found[1].get_revoked_certificate_by_serial_number(
                certificate.serial_number), "the complete list")
        assert crl.is_signature_valid(ca.public_key())
    log = instance.api("GET", "/keeper/log").text()
    assert "ca-rollover" in log and "ca-activate" in log
    instance.stop()
    done = subprocess.run([program("coffer-keeper"), "--dir", str(instance.directory),
                           "--verify-log"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    instance.start()


def test_mutual_tls_over_a_rollover(make, factory):
    """Identities of both generations are asked for, and taken, by the listener for devices."""
    instance = make({"mdm": {"sign_message": "no"}})
    person = instance.person("tls@example.org")
    old = Device(instance, factory, mtls=True).enrol(*person)
    roll(instance)
    roll(instance, "--activate", "--yes")
    new = Device(instance, factory, mtls=True).enrol(*person)
    for device in (old, new):
        assert device.session() is not None


# ---- RA mode ----

@pytest.mark.parametrize("key", ["p256", "rsa3072"])
def test_ra_mode(make, openssl, tmp_path, factory, sim_factory, key):
    instance = make(None, "--device-ca-key", key, "--scep-mode", "ra")
    ca, signer, recipient = scep.get_ca(instance)
    assert len({c.fingerprint(hashes.SHA256()) for c in (ca, signer, recipient)}) == 3
    shown = instance.coffer_json("ca", "show")["device_cas"][0]
    assert shown["mode"] == "ra" and shown["key"] == key
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage).value
    assert not usage.key_encipherment
    one, certificate = certified(instance)
    cms.check_issued(certificate, ca)
    check_chain(openssl, instance, certificate, tmp_path)
    check_chain(openssl, instance, ask(instance, one.renewed(certificate),
                                       message_type="17").certificate, tmp_path)
    _, got = swan(instance, tmp_path, openssl, swan_files(instance, tmp_path, openssl), "gateway",
                  "--password", instance.challenge())
    check_chain(openssl, instance, got, tmp_path)
    person = instance.person("ra@example.org")
    device = Device(instance, factory).enrol(*person)
    cms.check_issued(device.certificate, ca)
    assert device.session() is not None
    sim.Phone(instance, tmp_path / "phone", sim_factory).enrol(person)
    check_revocation(instance, certificate, ca)

    # to the wrong recipient: the CA's own certificate opens nothing, nor does the RA's other one
    for wrong in (signer, *([ca] if key.startswith("rsa") else [])):
        lost = client(instance)
        lost.recipient = wrong
        challenge = instance.challenge()
        assert ask(instance, lost, challenge).fail_info == BAD_CHECK
        assert ask(instance, client(instance), challenge).status == scep.SUCCESS

    # the RA's certificates are no identities: who shows one as his own has not its key
    for stolen in (signer, recipient):
        thief = client(instance)
        thief.certificate = stolen
        response = instance.http("POST", "/scep?operation=PKIOperation",
                                 thief.request(None, message_type="17"), TYPE)
        assert 400 <= response.status < 500, response


def test_scepclient_in_ra_mode(make, openssl, tmp_path):
    """With an RSA device CA alone: it knows no elliptic keys."""
    instance = make({"scep": {"allow_sha1": "yes", "allow_des": "yes", "renewal_window": "0d"}},
                    "--scep-mode", "ra")
    challenge = instance.challenge()
    # It encrypts to every certificate that it gets: by its name the CA comes without the root.
    done = subprocess.run(
        ["scepclient", "-cacert-message", "device-ca", "-server-url",
         f"{instance.http_url}/scep", "-challenge", challenge, "-cn",
         "old one", "-private-key", "key.pem", "-certificate", "cert.pem", "-keySize", "2048"],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    got = x509.load_pem_x509_certificate((tmp_path / "cert.pem").read_bytes())
    check_chain(openssl, instance, got, tmp_path)


def test_from_ca_mode_to_ra_mode(make, openssl, tmp_path, factory):
    """Another kind of key comes by a rollover; the old clients go on."""
    instance = make()
    one, old = certified(instance)
    first = one.ca
    said = roll(instance, "--device-ca-key", "p256")
    assert "Device CA 2" in said
    signed = cms.verify(instance.http("GET", "/scep?operation=GetNextCACert").body)
    ca, signer, recipient = scep.peer_of(cms.certificates_of(signed.content))
    roll(instance, "--activate", "--yes")
    assert [same(a, b) for a, b in zip(scep.get_ca(instance), (ca, signer, recipient))] == \
        [True] * 3
    next_one = one.renewed(old)
    next_one.issuers = [ca]
    assert same(next_one.recipient, first)
    got = ask(instance, next_one, message_type="17").certificate
    cms.check_issued(got, ca)
    check_chain(openssl, instance, got, tmp_path)


def test_init_refuses_what_cannot_be(tmp_path):
    instance = Instance(tmp_path)
    with pytest.raises(AssertionError, match="kind of key"):
        instance.init(None, "--device-ca-key", "p256", "--scep-mode", "ca")
    with pytest.raises(AssertionError, match="kind of key"):
        instance.init(None, "--device-ca-key", "rsa1024")
    assert not instance.directory.exists()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """For tests that leave it as it was."""
    one = Instance(tmp_path_factory.mktemp("shared"))
    try:
        one.init({"scep": {"allow_sha1": "yes"}}).start()
        yield one
        one.stop()
    finally:
        one.abandon()


def test_rollover_arguments(shared):
    instance = shared
    for flags in (["--device-ca-key", "rsa1024"], ["--scep-mode", "both"],
                  ["--device-ca-key", "p384", "--scep-mode", "ca"],
                  ["--activate", "--device-ca-key", "p256"]):
        instance.coffer("ca", "rollover", *flags, expect=2)
        instance.coffer("ca", "rollover", "--dry-run", *flags, expect=2)


# ---- GetCRL and digests ----

def test_get_crl(make):
    instance = make()
    one, certificate = certified(instance)
    stranger = client(instance, key="rollover stranger")

    def get(issuer=None):
        body = stranger.issuer_and_serial(certificate.serial_number, issuer)
        return stranger.read_crl(post(instance, stranger.request(None, message_type="22",
                                                                  csr_der=body)))

    reply, crl = wait_for(get, lambda found: found[1] is not None, "the list")
    assert crl.is_signature_valid(one.ca.public_key()) and crl.issuer == one.ca.subject
    assert crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is None
    assert reply.cipher == "aes256"
    reply, crl = get(scep.name(("CN", "somebody else")))
    assert reply.fail_info == BAD_ID and not crl
    instance.coffer("cert", "revoke", f"{certificate.serial_number:x}")
    wait_for(get, lambda found: found[1].get_revoked_certificate_by_serial_number(
        certificate.serial_number), "the revocation")
    # one that is too long for SCEP: the answer says where it is

    def get_long():
        with sqlite3.connect(instance.directory / "store" / "store.db") as store:
            store.execute("UPDATE crl SET size = 300000 WHERE profile = '' AND issuer = 'device-ca'"
                          " AND delta = 0")
        store.close()
        return get()
    # Lists are issued again for each revocation, some of them only now.
    reply, crl = wait_for(get_long, lambda found: found[1] is None, "a long list")
    assert reply.fail_info == BAD_REQUEST
    assert "300000 bytes" in reply.text and "/ca/crl/device-ca.crl" in reply.text


@pytest.mark.parametrize("digest", ["md5", "sha224"])
def test_unacceptable_digests_are_bad_alg(shared, digest):
    instance = shared
    challenge, one = instance.challenge(), client(instance)
    reply = ask(instance, one, challenge, digest=digest)
    assert reply.status == scep.FAILURE and reply.fail_info == BAD_ALG
    assert ("MD5" if digest == "md5" else "digest") in reply.text
    entry = instance.coffer_json("scep", "trace", one.transaction)["requests"][0]
    assert entry["fail_info"] == "badAlg" and entry["outcome"] == "refused"
    broken = one.request(challenge, digest=digest, tamper=True)
    response = instance.http("POST", "/scep?operation=PKIOperation", broken, TYPE)
    assert 400 <= response.status < 500, "what is not signed at all is no request"
    assert ask(instance, one, challenge).status == scep.SUCCESS, "the challenge was used"
