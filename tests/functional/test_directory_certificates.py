"""Certificates in the directory: published, taken out, looked up; checked with OpenLDAP's own tools."""

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from helpers.device import Device
from helpers.instance import wait_for
from helpers.slapd import BASE, Slapd
from test_directory import audit, slapd  # noqa: F401

DER = serialization.Encoding.DER


@pytest.fixture
def publishing(make_instance, slapd):  # noqa: F811
    directory = slapd()
    directory.nurse = directory.person("nurse")
    made = make_instance(directory.settings(publish="device-identity"))
    made.slapd = directory
    return made


def foreign():
    """Somebody else's certificate, and a bundle of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "foreign")])
    start = datetime.datetime.utcnow()
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                   .public_key(key.public_key()).serial_number(1).not_valid_before(start)
                   .not_valid_after(start + datetime.timedelta(days=1)).sign(key, hashes.SHA256()))
    return certificate.public_bytes(DER), pkcs7.serialize_certificates([certificate], DER)


def certificates(directory):
    return directory.values(directory.nurse, "userCertificate;binary")


def bundles(directory):
    return directory.values(directory.nurse, "userSMIMECertificate")


def identity(device):
    return device.certificate.public_bytes(DER)


def holds(certificate):
    """What a bundle has beside a CA's: whether one of these bundles is this certificate's."""
    return lambda values: any(certificate in [c.public_bytes(DER) for c in
                                              pkcs7.load_der_pkcs7_certificates(v)] for v in values)


def give(directory, attribute, value):
    directory.modify(directory.nurse,
                     f"add: {attribute}\n{attribute}:: {base64.b64encode(value).decode()}")


def directory_jobs(instance):
    return [j for j in instance.coffer_json("jobs")["jobs"] if j["kind"] == "directory"]


def wait_published(directory, *expected):
    """An enrolment brings two identities, of which the first is soon of no use."""
    wait_for(lambda: certificates(directory), lambda v: set(expected) <= set(v), "published")
    wait_for(lambda: bundles(directory), holds(expected[-1]), "published")


def test_published_on_issue_taken_out_on_revocation(publishing, factory, openssl):
    directory = publishing.slapd
    theirs, their_bundle = foreign()
    give(directory, "userCertificate;binary", theirs)
    give(directory, "userSMIMECertificate", their_bundle)
    device = Device(publishing, factory).enrol("nurse@example.org", "secret of nurse")
    mine = identity(device)
    wait_published(directory, theirs, mine)
    bundle = [b for b in bundles(directory) if holds(mine)([b])][0]
    assert len(pkcs7.load_der_pkcs7_certificates(bundle)) == 2  # with the device CA
    assert b"subject" in openssl("pkcs7", "-inform", "DER", "-print_certs", stdin=bundle)
    entry = wait_for(lambda: audit(publishing, "certificate.publish"), len, "audited")[0]
    assert entry["actor"] == "directory"
    # found again by address, beside the other
    wait_for(lambda: directory_jobs(publishing), lambda j: not j, "done")
    now = certificates(directory)
    found = publishing.coffer_json("directory", "certificates", "Nurse@example.org")["certificates"]
    assert {x509.load_pem_x509_certificate(c["pem"].encode()).public_bytes(DER)
            for c in found} == set(now) >= {theirs, mine}
    pem = publishing.coffer("directory", "certificates", "nurse@example.org", "--pem").stdout
    assert pem.count("BEGIN CERTIFICATE") == len(now)
    assert publishing.coffer_json("directory", "certificates", "no@example.org")["certificates"] == []
    # once only
    publishing.coffer("directory", "sync")
    wait_for(lambda: directory_jobs(publishing), lambda j: not j, "done")
    assert sorted(certificates(directory)) == sorted(now) and len(bundles(directory)) == len(now)
    # on hold it is out, afterwards in again, in the end out for good; others' values stay
    name = device.certificate.fingerprint(hashes.SHA256()).hex()
    for reason, there in (("certificateHold", False), ("removeFromCRL", True), ("keyCompromise", False)):
        publishing.coffer("cert", "revoke", name, "--reason", reason)
        wait_for(lambda: certificates(directory), lambda v, t=there: (mine in v) == t, reason)
        wait_for(lambda: bundles(directory), lambda v, t=there: holds(mine)(v) == t, reason)
    assert theirs in certificates(directory) and their_bundle in bundles(directory)
    wait_for(lambda: audit(publishing, "certificate.unpublish"), lambda e: len(e) >= 2, "audited")


def test_what_should_be_there_comes_when_the_directory_is_back(publishing, factory):
    directory = publishing.slapd
    device = Device(publishing, factory)
    device.enrol_identity("nurse@example.org", "secret of nurse")
    directory.stop()
    since = publishing.daemon.mark()
    device.install_management()
    publishing.daemon.wait_line("directory job .*will try again", since)
    job = directory_jobs(publishing)[0]
    assert "can't be reached" in job["last_error"] and job["given_up"] is False
    directory.start()
    publishing.coffer("directory", "sync")  # asks anew, so nobody waits for the back-off
    wait_published(directory, identity(device))


def test_people_who_move_and_who_leave(publishing, factory):
    directory = publishing.slapd
    device = Device(publishing, factory).enrol("nurse@example.org", "secret of nurse")
    wait_published(directory, identity(device))
    directory.rename(directory.nurse, "uid=sister", f"ou=people,{BASE}")
    directory.nurse = f"uid=sister,ou=people,{BASE}"
    publishing.coffer("user", "disable", "nurse@example.org", "--left")
    wait_for(lambda: certificates(directory), lambda v: v == [], "taken out")
    wait_for(lambda: bundles(directory), lambda v: v == [], "taken out")


def test_a_person_who_is_gone_takes_the_certificates_along(publishing, factory):
    directory = publishing.slapd
    device = Device(publishing, factory).enrol("nurse@example.org", "secret of nurse")
    directory.person("other")
    wait_published(directory, identity(device))
    directory.delete(directory.nurse)
    assert publishing.coffer_json("directory", "sync")["left"] == 1
    wait_for(lambda: audit(publishing, "certificate.unpublish"), len, "noted")
    wait_for(lambda: directory_jobs(publishing), lambda j: not j, "done")


def test_a_directory_that_forbids_it_is_asked_again_later(make_instance, slapd, factory):  # noqa: F811
    directory = slapd(service_right="read")
    directory.nurse = directory.person("nurse")
    made = make_instance(directory.settings(publish="device-identity"))
    since = made.daemon.mark()
    Device(made, factory).enrol("nurse@example.org", "secret of nurse")
    made.daemon.wait_line("directory job .*Insufficient access.*will try again", since)
    assert certificates(directory) == []


def test_profiles_chosen_later_bring_what_is_there(make_instance, slapd, factory):  # noqa: F811
    directory = slapd()
    directory.nurse = directory.person("nurse")
    made = make_instance(directory.settings())
    device = Device(made, factory).enrol("nurse@example.org", "secret of nurse")
    made.coffer("directory", "sync")
    assert not directory_jobs(made) and certificates(directory) == []
    made.stop()
    made.configure({"ldap": {"publish": "device-identity"}})
    made.start()
    made.coffer("directory", "sync")
    wait_published(directory, identity(device))


def test_certificates_of_entries_are_watched(publishing, make_instance):
    directory = publishing.slapd
    give(directory, "userCertificate;binary", foreign()[0])
    publishing.coffer("watch", "add", "nurse", "ldap:Nurse@example.org")
    publishing.coffer("watch", "add", "nobody", "ldap:nobody@example.org")
    publishing.coffer("watch", "add", "odd", "ldap:*@example.org)(uid=nurse", expect=2)

    def sources(instance):
        instance.coffer("watch", "check")
        return {s["name"]: s for s in instance.coffer_json("watch", "list")["sources"]}

    found = sources(publishing)
    assert found["nurse"]["state"] == "ok", found
    assert found["nobody"]["state"] == "unreachable" and "nobody@" in found["nobody"]["problem"]
    report = publishing.coffer_json("cert", "report")["certificates"]
    assert [c["subject"] for c in report if c["source"] == "nurse"] == ["CN=foreign"]
    directory.stop()
    assert sources(publishing)["nurse"]["state"] == "unreachable"
    assert "CN=foreign" in publishing.coffer("cert", "report").stdout  # what it showed last
    plain = make_instance()
    plain.coffer("watch", "add", "nurse", "ldap:nurse@example.org")
    assert "no directory" in sources(plain)["nurse"]["problem"]
