"""`coffer cert lint`: every rule can be broken, what is right is left alone, and what Coffer issues
is right in its eyes and in those of OpenSSL and GnuTLS."""

import base64
import datetime
import json
import os
import subprocess
import uuid

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from helpers import cms, der, scep
from helpers.device import Device, Refused
from helpers.instance import PATIENCE, Instance, program
from helpers.lint import (
    AIA, AKI, BASIC, C, CLIENT_AUTH, CN, CONSTRAINTS, CRL, ED25519, EKU, EMAIL, EMAIL_PROTECTION,
    GIVEN, KEY_USAGE, L, LEGACY, MAILBOX, MULTI, O, ORG_ID, P256, POLICIES, POLICY_CONSTRAINTS,
    POSTAL, PSEUDONYM, Parts, SAN, SERIAL, SERVER_AUTH, SHA256_RSA, SKI, ST, STREET, STRICT, SURNAME,
    X25519, aia, crl, ekus, extension, general, generalized, name, other_name, policies, rdn,
    reserved, rsa_spki, sans, usage, utc)

RFC, S, M, OLD = "rfc5280", "smime-strict", "smime-multipurpose", "smime-legacy"
UTF8_MAILBOX, UPN = "1.3.6.1.5.5.7.8.9", "1.3.6.1.4.1.311.20.2.3"
ML_KEM = "2.16.840.1.101.3.4.4.2"
PSS = der.sequence(der.oid("1.2.840.113549.1.1.10"))
BIG = 2 ** 2047 + 1


def put(oid, value, critical=False):
    return lambda p: p.put(oid, value, critical)


def drop(*oids):
    return lambda p: p.drop(*oids)


def let(**fields):
    def change(p):
        for field, value in fields.items():
            setattr(p, field, value)
    return change


def more(*extensions):
    return lambda p: p.more.extend(extensions)


def also(*changes):
    def change(p):
        for one in changes:
            one(p)
    return change


def ca(p):
    p.ca()


def subject(*rdns):
    return let(subject=name(*rdns))


def typed(kind, *rdns):
    """A certificate of type 2 (organization), 3 (sponsor), 4 (individual), strict."""
    return also(put(POLICIES, reserved(kind, STRICT)), subject(*rdns))


def validity(start, end):
    return let(validity=der.sequence(start, end))


def algorithm(value):
    return let(algorithm=value, outer=value)


ORG = (rdn(O, "Example"), rdn(ORG_ID, "VATDE-123456789"))
PERSON = (rdn(GIVEN, "Erika"), rdn(SURNAME, "Muster"))
CPS = der.oid("1.3.6.1.5.5.7.2.1")
NOTICE = der.oid("1.3.6.1.5.5.7.2.2")


def qualified(*qualifier):
    return der.sequence(der.sequence(der.oid("2.23.140.1.5.1.3"),
                                     der.sequence(der.sequence(*qualifier))))


BROKEN = [
    ("rfc5280_structure", RFC, let(subject=der.sequence(der.null()))),
    ("rfc5280_structure", RFC, let(validity=der.sequence(der.null(), der.null()))),
    ("rfc5280_structure", RFC, let(unique=der.null())),
    ("rfc5280_version", RFC, let(version=der.context(0, der.integer(1)))),
    ("rfc5280_der_default", RFC, let(version=der.context(0, der.integer(0)))),
    ("rfc5280_der_default", RFC, put(BASIC, der.sequence(der.element(1, b"\0")))),
    ("rfc5280_der_default", RFC, more(extension("1.2.3.4", der.null(), raw_critical=b"\1\1\0"))),
    ("rfc5280_der_set_order", RFC, subject(der.element(
        0x31, *sorted((der.sequence(der.oid(CN), der.utf8("a")),
                       der.sequence(der.oid(O), der.utf8("b"))), reverse=True)))),
    ("rfc5280_serial_positive", RFC, let(serial=der.integer(0))),
    ("rfc5280_serial_positive", RFC, let(serial=der.element(2, b"\x80" + b"1" * 12))),
    ("rfc5280_serial_length", RFC, let(serial=der.integer(2 ** 160))),
    ("rfc5280_signature_match", RFC, let(outer=der.sequence(der.oid("1.2.840.113549.1.1.12"),
                                                            der.null()))),
    ("rfc5280_signature_parameters", RFC, algorithm(der.sequence(der.oid("1.2.840.113549.1.1.11")))),
    ("rfc5280_signature_parameters", RFC, algorithm(der.sequence(der.oid("1.2.840.10045.4.3.2"),
                                                                 der.null()))),
    ("rfc5280_signature_weak", RFC, algorithm(der.sequence(der.oid("1.2.840.113549.1.1.5"),
                                                           der.null()))),
    ("rfc5280_issuer_empty", RFC, let(issuer=name())),
    ("rfc5280_validity_order", RFC, validity(utc("260101000000Z"), utc("250101000000Z"))),
    ("rfc5280_time_form", RFC, validity(utc("2501010000Z"), utc("260101000000Z"))),
    ("rfc5280_time_form", RFC, validity(utc("250101000000Z"), utc("260231000000Z"))),
    ("rfc5280_time_form", RFC, validity(utc("250101000000Z"), utc("260101000000+0100"))),
    ("rfc5280_time_choice", RFC, validity(utc("250101000000Z"), generalized("20260101000000Z"))),
    ("rfc5280_unique_id", RFC, let(unique=der.context(2, b"\0\1", constructed=False))),
    ("rfc5280_subject_empty_ca", RFC, also(ca, subject())),
    ("rfc5280_subject_empty", RFC, subject()),
    ("rfc5280_name_string", RFC, subject(rdn(O, "Example", 0x14))),
    ("rfc5280_name_string", RFC, subject(rdn(O, "\0E", 0x1E))),
    ("rfc5280_name_type", RFC, subject(rdn(C, "DE", 0x0C))),
    ("rfc5280_name_type", RFC, subject(rdn(O, "Example", 0x16))),
    ("rfc5280_name_type", RFC, subject(rdn(EMAIL, MAILBOX, 0x0C))),
    ("rfc5280_name_characters", RFC, subject(rdn(CN, "a@b", 0x13))),
    ("rfc5280_name_characters", RFC, subject(rdn(CN, b"\xff\xfe"))),
    ("rfc5280_name_characters", RFC, subject(rdn(EMAIL, b"\xe4@example.org", 0x16))),
    ("rfc5280_name_empty", RFC, subject(rdn(CN, ""))),
    ("rfc5280_name_length", RFC, subject(rdn(CN, "a" * 65))),
    ("rfc5280_name_length", RFC, subject(rdn(EMAIL, "a" * 256, 0x16))),
    ("rfc5280_country_length", RFC, subject(rdn(C, "DEU", 0x13))),
    ("rfc5280_key_parameters", RFC, let(spki=rsa_spki(BIG, parameters=b""))),
    ("rfc5280_key_parameters", RFC, let(spki=der.sequence(
        der.sequence(der.oid("1.3.101.112"), der.null()), der.bit_string(b"k" * 32)))),
    ("rfc5280_key_parameters", RFC, let(spki=der.sequence(
        der.sequence(der.oid("1.2.840.10045.2.1"), der.null()), der.bit_string(b"\4" * 65)))),
    ("rfc5280_key_malformed", RFC, let(spki=der.sequence(der.sequence(
        der.oid("1.2.840.113549.1.1.1"), der.null()), der.bit_string(b"\x30\x80")))),
    ("rfc5280_key_malformed", RFC, let(spki=P256.replace(b"\0\4", b"\0\5", 1))),
    ("rfc5280_key_malformed", RFC, let(spki=der.sequence(der.sequence(der.oid("1.3.101.112")),
                                                         der.bit_string(b"k" * 31)))),
    ("rfc5280_key_exponent", RFC, let(spki=rsa_spki(BIG, 1))),
    ("rfc5280_key_exponent", RFC, let(spki=rsa_spki(BIG, 65536))),
    ("rfc5280_key_weak", RFC, let(spki=rsa_spki(2 ** 1023 + 1))),
    ("rfc5280_key_unknown", RFC, let(spki=der.sequence(der.sequence(der.oid("1.2.3.4")),
                                                       der.bit_string(b"k")))),
    ("rfc5280_extensions_empty", RFC, let(raw_extensions=der.context(3, der.sequence()))),
    ("rfc5280_extension_twice", RFC, more(extension(SKI, der.octet_string(b"x")))),
    ("rfc5280_extension_malformed", RFC, put(EKU, der.sequence())),
    ("rfc5280_extension_malformed", RFC, put(SAN, b"\x30\x80")),
    ("rfc5280_extension_malformed", RFC, put(SAN, der.null())),
    ("rfc5280_extension_malformed", RFC, put(BASIC, der.null())),
    ("rfc5280_extension_malformed", RFC, put(KEY_USAGE, der.null())),
    ("rfc5280_extension_malformed", RFC, put(SKI, der.null())),
    ("rfc5280_extension_malformed", RFC, put(POLICIES, der.sequence(der.null()))),
    ("rfc5280_extension_malformed", RFC, put(EKU, der.sequence(der.null()))),
    ("rfc5280_extension_malformed", RFC, put(AIA, der.sequence(der.sequence(der.oid("1.2"))))),
    ("rfc5280_extension_unknown", RFC, more(extension("1.2.3.4", der.null(), True))),
    ("rfc5280_extension_critical", RFC, put(AKI, der.sequence(general(0, b"a" * 20)), True)),
    ("rfc5280_extension_critical", RFC, put(SKI, der.octet_string(b"a" * 20), True)),
    ("rfc5280_extension_critical", RFC, put(AIA, aia((2, "http://example.org/")), True)),
    ("rfc5280_extension_not_critical", RFC,
     also(ca, put(BASIC, der.sequence(der.element(1, b"\xff"))))),
    ("rfc5280_extension_not_critical", RFC,
     also(ca, put(CONSTRAINTS, der.sequence(der.context(0, der.sequence(general(1, "a"))))))),
    ("rfc5280_aki_missing", RFC, drop(AKI)),
    ("rfc5280_aki_missing", RFC, put(AKI, der.sequence(general(2, b"\1")))),
    ("rfc5280_ski_missing_ca", RFC, also(ca, drop(SKI))),
    ("rfc5280_ski_missing", RFC, drop(SKI)),
    ("rfc5280_key_usage_missing", RFC, also(ca, drop(KEY_USAGE))),
    ("rfc5280_key_usage_critical", RFC, put(KEY_USAGE, usage(0))),
    ("rfc5280_key_usage_empty", RFC, put(KEY_USAGE, usage(), True)),
    ("rfc5280_key_usage_der", RFC, put(KEY_USAGE, usage(0, size=1), True)),
    ("rfc5280_key_usage_ca", RFC, put(KEY_USAGE, usage(5), True)),
    ("rfc5280_key_usage_key", RFC, put(KEY_USAGE, usage(4), True)),
    ("rfc5280_key_usage_key", RFC, also(let(spki=P256), put(KEY_USAGE, usage(0, 2), True))),
    ("rfc5280_key_usage_key", RFC, also(let(spki=ED25519), put(KEY_USAGE, usage(0, 4), True))),
    ("rfc5280_key_usage_key", RFC, also(let(spki=X25519), put(KEY_USAGE, usage(0), True))),
    ("rfc5280_key_usage_only", RFC, also(let(spki=P256), put(KEY_USAGE, usage(0, 7), True))),
    ("rfc5280_policy_twice", RFC, put(POLICIES, policies("1.2.3", "1.2.3"))),
    ("rfc5280_san_empty", RFC, put(SAN, sans())),
    ("rfc5280_san_critical", RFC, put(SAN, sans(general(1, MAILBOX)), True)),
    ("rfc5280_san_twice", RFC, put(SAN, sans(general(1, MAILBOX), general(1, MAILBOX)))),
    ("rfc5280_path_length", RFC, put(BASIC, der.sequence(der.integer(0)), True)),
    ("rfc5280_path_length", RFC,
     also(ca, put(BASIC, der.sequence(der.element(1, b"\xff"), der.element(2, b"\xff")), True))),
    ("rfc5280_name_constraints", RFC, put(CONSTRAINTS, der.sequence(der.context(
        0, der.sequence(general(1, "a")))), True)),
    ("rfc5280_name_constraints", RFC, also(ca, put(CONSTRAINTS, der.sequence(), True))),
    ("rfc5280_policy_constraints", RFC, put(POLICY_CONSTRAINTS, der.sequence(), True)),
    ("rfc5280_eku_twice", RFC, put(EKU, ekus(CLIENT_AUTH, CLIENT_AUTH))),
    ("rfc5280_eku_any_critical", RFC, put(EKU, ekus("2.5.29.37.0"), True)),
    ("rfc5280_eku_key_usage", RFC,
     also(put(KEY_USAGE, usage(2), True), put(EKU, ekus(CLIENT_AUTH)))),
    ("rfc5280_crl_point", RFC, put(CRL, der.sequence(der.sequence(der.context(
        1, b"\1\x02", constructed=False))))),
    ("rfc5280_crl_critical", RFC, put(CRL, crl("http://example.org/"), True)),
    ("smbr_subscriber", S, ca),
    ("smbr_path_length", S, put(BASIC, der.sequence(der.integer(0)), True)),
    ("smbr_version", S, let(version=der.context(0, der.integer(1)))),
    ("smbr_serial", S, let(serial=der.integer(2 ** 54))),
    ("smbr_validity", S, validity(utc("250101000000Z"), utc("270406000000Z"))),
    ("smbr_validity", M, validity(utc("250101000000Z"), utc("270406000000Z"))),
    ("smbr_validity", OLD, validity(utc("250101000000Z"), utc("280331000000Z"))),
    ("smbr_legacy", OLD, validity(utc("250715000000Z"), utc("260101000000Z"))),
    ("smbr_signature", S, algorithm(der.sequence(der.oid("1.2.840.113549.1.1.5"), der.null()))),
    ("smbr_signature", S, algorithm(PSS)),
    ("smbr_key_algorithm", S, let(spki=X25519)),
    ("smbr_key_algorithm", S, let(spki=der.sequence(PSS, der.bit_string(der.sequence(
        der.integer(BIG), der.integer(65537)))))),
    ("smbr_key_size", S, let(spki=rsa_spki(2 ** 1023 + 1))),
    ("smbr_key_size", S, let(spki=rsa_spki(2 ** 2049 + 1))),
    ("smbr_key_exponent", S, let(spki=rsa_spki(BIG, 3))),
    ("smbr_policy_missing", S, drop(POLICIES)),
    ("smbr_policy_missing", S, put(POLICIES, policies("2.23.140.1.5.5.1", "2.23.140.1.5.1.4"))),
    ("smbr_policy_many", S, put(POLICIES, policies("2.23.140.1.5.1.3", "2.23.140.1.5.1.2"))),
    ("smbr_policy_generation", S, put(POLICIES, reserved(1, MULTI))),
    ("smbr_policy_critical", S, put(POLICIES, reserved(1, STRICT), True)),
    ("smbr_policy_cps", S, put(POLICIES, qualified(CPS, der.element(0x16, b"ftp://example.org")))),
    ("smbr_policy_notice", S, put(POLICIES, qualified(NOTICE, der.sequence()))),
    ("smbr_policy_notice", S, put(POLICIES, qualified(NOTICE, der.sequence(
        der.sequence(der.utf8("Org"), der.sequence(der.integer(1))), der.utf8("text"))))),
    ("smbr_crl_missing", S, drop(CRL)),
    ("smbr_crl_scheme", S, put(CRL, crl("https://example.org/a.crl"))),
    ("smbr_crl_scheme", M, put(CRL, crl("http://example.org/a.crl", "ldap://example.org/"))),
    ("smbr_crl_scheme", OLD, put(CRL, crl("ldap://example.org/"))),
    ("smbr_aia_missing", S, drop(AIA)),
    ("smbr_aia_scheme", S, put(AIA, aia((1, "https://example.org/"), (2, "http://example.org/")))),
    ("smbr_aia_scheme", OLD, put(AIA, aia((2, "ldap://example.org/")))),
    ("smbr_key_usage_missing", S, drop(KEY_USAGE)),
    ("smbr_key_usage", S, put(KEY_USAGE, usage(1), True)),
    ("smbr_key_usage", S, put(KEY_USAGE, usage(2, 3), True)),
    ("smbr_key_usage", M, put(KEY_USAGE, usage(0, 3), True)),
    ("smbr_key_usage", S, also(let(spki=P256), put(KEY_USAGE, usage(0, 2), True))),
    ("smbr_key_usage", S, also(let(spki=ED25519), put(KEY_USAGE, usage(0, 2), True))),
    ("smbr_eku_missing", S, drop(EKU)),
    ("smbr_eku_missing", M, put(EKU, ekus(CLIENT_AUTH))),
    ("smbr_eku_forbidden", M, put(EKU, ekus(EMAIL_PROTECTION, SERVER_AUTH))),
    ("smbr_eku_forbidden", M, put(EKU, ekus(EMAIL_PROTECTION, "2.5.29.37.0"))),
    ("smbr_eku_other", S, put(EKU, ekus(EMAIL_PROTECTION, CLIENT_AUTH))),
    ("smbr_eku_other", M, also(put(EKU, ekus(EMAIL_PROTECTION, "1.2.3.4")),
                               validity(utc("270701000000Z"), utc("280101000000Z")))),
    ("smbr_aki_issuer", S, put(AKI, der.sequence(general(0, b"a" * 20), general(2, b"\1")))),
    ("smbr_extension_critical", M,
     more(extension("1.2.840.113549.1.9.15", der.sequence(), True))),
    ("smbr_extension_prohibited", S, more(extension("2.5.29.9", der.sequence()))),
    ("smbr_extension_prohibited", S,
     more(extension("1.2.840.113583.1.1.9.1", der.sequence()))),
    ("smbr_extension_prohibited", S,
     more(extension("1.3.6.1.4.1.52266.1", der.printable("X" * 20)))),
    ("smbr_san_missing", S, drop(SAN)),
    ("smbr_san_mailbox", S, put(SAN, sans(general(2, "example.org")))),
    ("smbr_san_kind", S, put(SAN, sans(general(1, MAILBOX), general(2, "example.org")))),
    ("smbr_san_kind", S, put(SAN, sans(general(1, MAILBOX), other_name(UPN, der.utf8("a@b.c"))))),
    ("smbr_utf8_mailbox", S, put(SAN, sans(general(1, MAILBOX),
                                           other_name(UTF8_MAILBOX, der.utf8(MAILBOX))))),
    ("smbr_utf8_mailbox", S, put(SAN, sans(general(1, MAILBOX), other_name(
        UTF8_MAILBOX, der.element(0x16, "\xe4@example.org".encode()))))),
    ("smbr_mailbox_repeated", S, subject(rdn(CN, MAILBOX), rdn(EMAIL, "x@example.org", 0x16))),
    ("smbr_common_name", S, subject(rdn(CN, "Erika Muster"))),
    ("smbr_common_name", S, typed(2, *ORG, rdn(CN, "Another"))),
    ("smbr_common_name", S, typed(4, rdn(PSEUDONYM, "Fox"), rdn(CN, "Hare"))),
    ("smbr_email_address", S, subject(rdn(EMAIL, MAILBOX, 0x16), rdn(EMAIL, MAILBOX, 0x16))),
    ("smbr_organization_id", S, typed(2, rdn(O, "Example"), rdn(ORG_ID, "VAT-1"))),
    ("smbr_organization_id", S, typed(2, rdn(O, "Example"), rdn(ORG_ID, "GOVUS-1"))),
    ("smbr_pseudonym", S, typed(4, rdn(PSEUDONYM, "Fox"), rdn(GIVEN, "Erika"))),
    ("smbr_location", M, also(typed(4, *PERSON, rdn(STREET, "1 Road"), rdn(POSTAL, "1")),
                              put(POLICIES, reserved(4, MULTI)))),
    ("smbr_location", S, typed(4, *PERSON, rdn(L, "Town"))),
    ("smbr_country", S, typed(4, *PERSON, rdn(C, "de", 0x13))),
    ("smbr_metadata", S, typed(4, *PERSON, rdn(C, "DE", 0x13), rdn(ST, "-"))),
    ("smbr_attribute", S, subject(rdn(O, "Example"))),
    ("smbr_attribute", S, typed(4, *PERSON, rdn(STREET, "1 Road"))),
    ("smbr_attribute", M, subject(rdn("1.2.3.4", "x"))),
    ("smbr_attribute_missing", S, typed(2, rdn(O, "Example"))),
    ("smbr_attribute_missing", S, typed(3, *ORG)),
    ("smbr_attribute_missing", S, typed(4, rdn(CN, MAILBOX))),
] + [("rfc5280_san_name", RFC, put(SAN, sans(bad))) for bad in (
    general(1, "erika"), general(1, "Erika <e@example.org>"), general(1, "e@example.org."),
    general(1, ".e@example.org"), general(1, "e@ex_ample.org"), general(1, "e@[192.0.2.1]"),
    general(1, "@example.org"), general(1, "a" * 65 + "@example.org"), general(2, ""),
    general(2, " "), general(2, "a..b"), general(2, "-a.example.org"), general(2, "a" * 64),
    general(2, "*"), general(2, "a.*.b"), general(6, "/relative"), general(6, "http:"),
    general(6, "http://a b"), general(7, b"\1\2\3"), general(8, b"\x80"),
    der.context(4, der.null()), der.context(0, der.null()), general(9, "x"))]

GOOD = [
    (S, lambda p: None),
    (RFC, ca),
    (S, put(SAN, sans(general(1, MAILBOX), general(1, "\"odd one\"@example.org")))),
    (S, put(SAN, sans(general(1, MAILBOX), other_name(UTF8_MAILBOX,
                                                      der.utf8("jörg@example.org"))))),
    (S, also(subject(), put(SAN, sans(general(1, MAILBOX)), True))),
    (S, subject(rdn(CN, "erika@EXAMPLE.org"), rdn(SERIAL, "1", 0x13))),
    (S, also(let(spki=P256), put(KEY_USAGE, usage(4), True))),
    (S, also(let(spki=P256), put(KEY_USAGE, usage(0, 1, 4, 8), True))),
    (S, also(let(spki=ED25519), put(KEY_USAGE, usage(0, 1), True))),
    (S, put(KEY_USAGE, usage(0, 1, 2), True)),
    (S, also(let(spki=der.sequence(der.sequence(der.oid(ML_KEM)), der.bit_string(b"k" * 1184))),
             put(KEY_USAGE, usage(2), True))),
    (S, algorithm(der.sequence(der.oid("1.2.840.10045.4.3.2")))),
    (S, algorithm(der.sequence(der.oid("1.3.101.112")))),
    (S, validity(utc("250101000000Z"), utc("270405235959Z"))),  # 825 days with both ends
    (S, put(POLICIES, qualified(CPS, der.element(0x16, b"https://example.org/cps")))),
    (S, put(POLICIES, qualified(NOTICE, der.sequence(der.utf8("text"))))),
    (S, put(POLICIES, policies("2.23.140.1.5.1.3", "1.2.3.4"))),
    (S, typed(2, *ORG, rdn(CN, "Example"), rdn(C, "DE", 0x13), rdn(L, "Town"))),
    (S, typed(2, rdn(O, "Example"), rdn(ORG_ID, "NTRUS+CA-12345678"))),
    (S, typed(2, rdn(O, "Example"), rdn(ORG_ID, "GOVUS+CA"))),
    (S, typed(3, *ORG, *PERSON, rdn(CN, "Erika Muster"))),
    (S, typed(4, rdn(PSEUDONYM, "Fox"), rdn(CN, "Fox"))),
    (RFC, also(let(issuer=name(rdn(CN, MAILBOX))), drop(AKI))),  # self-signed
    (RFC, put(SAN, sans(general(2, "*.example.org"), general(6, "ldap://[2001:db8::7]/c"),
                        general(7, b"\x7f\0\0\1"), general(8, b"\x2a"),
                        der.context(4, name(rdn(CN, "x"))), other_name(UPN, der.utf8("a@b"))))),
    (RFC, validity(utc("250101000000Z"), generalized("99991231235959Z"))),
]


def generation_of(rules):
    return {S: STRICT, M: MULTI, OLD: LEGACY}.get(rules, STRICT)


def made(rules, change):
    parts = Parts(generation_of(rules))
    if rules == OLD:
        parts.validity = der.sequence(utc("240101000000Z"), utc("250101000000Z"))
    change(parts)
    return parts.der()


def pem(data):
    return (b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(data)
            + b"-----END CERTIFICATE-----\n")


def run(*args, stdin=b""):
    done = subprocess.run([program("coffer"), "cert", "lint", *[str(a) for a in args]],
                          input=stdin, capture_output=True, timeout=PATIENCE)
    return done.returncode, done.stdout, done.stderr


def lint(rules, *certificates):
    """The findings of each: {id: severity}."""
    status, out, err = run("--rules", rules, "--json", "-", stdin=b"".join(map(pem, certificates)))
    assert status in (0, 5), err
    found = json.loads(out)["certificates"]
    assert len(found) == len(certificates)
    assert (status == 5) == any(one["errors"] for one in found)
    return [{f["id"]: f["severity"] for f in one["findings"]} for one in found]


@pytest.fixture(scope="module")
def broken():
    """Each row of BROKEN and what was found in it; one program run for each set of rules."""
    found = [None] * len(BROKEN)
    for rules in (RFC, S, M, OLD):
        rows = [i for i, row in enumerate(BROKEN) if row[1] == rules]
        for i, findings in zip(rows, lint(rules, *[made(rules, BROKEN[i][2]) for i in rows])):
            found[i] = findings
    return found


@pytest.mark.parametrize("row", range(len(BROKEN)), ids=[f"{i}-{r[0]}" for i, r in enumerate(BROKEN)])
def test_a_broken_rule_is_found(broken, row):
    assert BROKEN[row][0] in broken[row], broken[row]


def test_every_rule_can_be_broken():
    status, out, _ = run("--list", "--json")
    assert status == 0
    listed = [rule["id"] for rule in json.loads(out)["rules"]]
    assert len(listed) == len(set(listed)) > 90
    assert set(listed) == {row[0] for row in BROKEN} | {"rfc5280_der"}


def test_what_is_right_is_left_alone():
    for rules in (RFC, S):
        rows = [made(rules, change) for kind, change in GOOD if kind == rules]
        for i, findings in enumerate(lint(rules, *rows)):
            assert not findings, f"{rules} {i}: {findings}"


def test_multipurpose_and_legacy_allow_more():
    upn = put(SAN, sans(general(1, MAILBOX), other_name(UPN, der.utf8("a@b"))))
    wide = also(upn, put(EKU, ekus(EMAIL_PROTECTION, CLIENT_AUTH)),
                put(KEY_USAGE, usage(0, 2, 3), True))
    assert lint(M, made(M, wide)) == [{}]
    assert lint(OLD, made(OLD, also(wide, put(CRL, crl("http://e.org/", "ldap://e.org/")),
                                    more(extension("2.5.29.9", der.sequence(der.null())))))) == [{}]
    assert {"smbr_san_kind", "smbr_eku_other", "smbr_key_usage"} <= set(lint(S, made(S, wide))[0])


def test_auto_goes_by_what_the_certificate_says(tmp_path):
    status, out, _ = run("--json", "-", stdin=b"".join(map(pem, [
        made(S, lambda p: None), made(M, lambda p: None), made(OLD, lambda p: None),
        made(S, drop(POLICIES)), made(S, drop(POLICIES, EKU)), made(S, ca)])))
    assert status == 5  # a mail certificate without a reserved policy
    assert [one["rules"] for one in json.loads(out)["certificates"]] == [S, M, OLD, M, RFC, RFC]


@pytest.mark.parametrize("spoil", [
    lambda d: d[:-1], lambda d: d + b"\0", lambda d: b"\x30\x80" + d[4:] + b"\0\0",
    lambda d: b"\x30\x84\0\0" + d[2:], lambda d: b"\x30\0", lambda d: b""],
    ids=["short", "long", "indefinite", "long length", "empty", "nothing"])
def test_no_der(spoil):
    found = lint("auto", spoil(made(S, lambda p: None)))[0]
    assert {"rfc5280_der", "rfc5280_structure"} & set(found)


def test_files_and_forms(tmp_path):
    good, bad = made(S, lambda p: None), made(S, drop(CRL))
    (tmp_path / "a.der").write_bytes(good)
    (tmp_path / "b.pem").write_bytes(b"some text\n" + pem(good) + b"more\n" + pem(bad))
    status, out, err = run(tmp_path / "a.der", tmp_path / "b.pem")
    text = out.decode()
    assert status == 5 and b"1 error in 3 certificates" in err
    assert "smbr_crl_missing: no cRLDistributionPoints with a URI (SMBR 7.1.2.3 b)" in text
    assert text.count("rules smime-strict: 0 errors") == 2
    (tmp_path / "c").write_bytes(b"nothing")
    for arguments, expected in (([], 2), ([tmp_path / "c"], 2), ([tmp_path / "no"], 3),
                                (["--rules", "tls", tmp_path / "a.der"], 2)):
        assert run(*arguments)[0] == expected, arguments
    assert run("-", stdin=good)[0] == 0


def test_names_do_not_reach_the_findings():
    """What a certificate says is quoted nowhere but in its subject, which must be printable."""
    evil = made(RFC, subject(rdn(CN, "\x1b[2J" + "a" * 70)))
    status, out, _ = run("-", stdin=pem(evil))
    assert status == 5 and b"\x1b" not in out


def test_documented():
    """The guide has each rule with its section."""
    guide = open(os.path.join(os.path.dirname(__file__), "../../docs/guides/certificates.md"),
                 encoding="utf-8").read()
    for rule in json.loads(run("--list", "--json")[1])["rules"]:
        row = f"| `{rule['id']}` | {rule['severity']} | {rule['section']} | {rule['text']} |"
        assert row in guide, row


# ---- what Coffer issues ----

@pytest.fixture(scope="module")
def running(tmp_path_factory, factory):
    """Mail certificates need lists by plain HTTP, as the S/MIME requirements say."""
    files = tmp_path_factory.mktemp("lint")
    one = Instance(files)
    try:
        one.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem")),
                            "signing_profile": "mail-signing"},
                  "scep": {"renewal_window": "0d"},
                  "revocation": {"url": one.http_url},
                  "certificate-profile enc": {"purpose": "encrypt", "ca": "device"},
                  "certificate-profile wide": {"purpose": "sign", "rules": "smime-multipurpose",
                                               "eku": "emailProtection, clientAuth",
                                               "key_usage": "digitalSignature, nonRepudiation",
                                               "names": "email, upn",
                                               "mail_domains": "example.org"}}).start()
        yield one
        one.stop()
    finally:
        one.abandon()


def person_of(running):
    return running.person(f"{uuid.uuid4()}@example.org")


def ask(running, ca_cert, challenge, subject_name, key="lint client", names=None):
    one = scep.Client(scep.rsa_key(key), subject_name, ca_cert)
    response = running.http("POST", "/scep?operation=PKIOperation",
                            one.request(challenge, sans=names),
                            {"Content-Type": "application/x-pki-message"})
    return one.read(response.body)


def device_ca(running):
    return x509.load_pem_x509_certificate(running.device_ca.read_bytes())


def signing_payload(device):
    mdm = next(p for p in device.payloads if p["PayloadType"] == "com.apple.mdm")
    return next(p for p in device.payloads if p["PayloadType"] == "com.apple.security.scep"
                and p["PayloadUUID"] != mdm["IdentityCertificateUUID"])


def enrolled_with_signing(running, factory):
    email, password = person_of(running)
    device = Device(running, factory)
    device.enrol_identity(email, password)
    device.install_management()
    payload = signing_payload(device)
    return device, email, payload, device.scep(payload, scep.rsa_key("lint signing"))


def agreed(running, tmp_path, certificate, rules, chain):
    """Our linter, OpenSSL and GnuTLS have nothing against it."""
    leaf, roots, between = tmp_path / "leaf.pem", tmp_path / "root.pem", tmp_path / "between.pem"
    leaf.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    roots.write_bytes(running.root.read_bytes())
    between.write_bytes(b"".join(chain))
    status, out, _ = run("--json", leaf)
    found = json.loads(out)["certificates"][0]
    assert status == 0 and found["rules"] == rules, out
    assert {f["id"] for f in found["findings"] if f["severity"] != "notice"} == set(), out
    openssl = ["openssl", "verify", "-x509_strict", "-CAfile", roots]
    if chain:
        openssl += ["-untrusted", between]
    done = subprocess.run([*openssl, leaf], capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr.decode()
    whole = leaf.read_bytes() + between.read_bytes()
    done = subprocess.run(["certtool", "--verify", "--load-ca-certificate", roots],
                          input=whole, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0 and b"Verified" in done.stdout, done.stdout.decode()


def test_all_that_is_issued_agrees(running, factory, tmp_path):
    chain = [running.device_ca.read_bytes()]
    ca_cert = device_ca(running)
    device, _, _, signing = enrolled_with_signing(running, factory)
    client = ask(running, ca_cert, running.challenge(names="dns:a.example.org"),
                 scep.name(("O", "Example"), ("CN", "client"))).certificate
    wide = ask(running, ca_cert, running.challenge(profile="wide", names="email:b@example.org "
                                                   "upn:b@example.org"),
               scep.name(("CN", "b@example.org"))).certificate
    encryption = ask(running, ca_cert, running.challenge(profile="enc",
                                                         names="email:c@example.org"),
                     scep.name(("CN", "c@example.org"))).certificate
    tls = x509.load_pem_x509_certificate(
        (running.directory / "tls" / "cert.pem").read_bytes())
    signer = cms.verify(running.http("GET", "/enrol/profile", headers={
        "Authorization": "Basic " + base64.b64encode(":".join(person_of(running)).encode()).decode()
    }).body).signer
    for certificate, rules, between in (
            (device.first_certificate, RFC, chain), (device.certificate, RFC, chain),
            (client, RFC, chain), (signing, S, chain), (wide, M, chain), (encryption, S, chain),
            (x509.load_pem_x509_certificate(
                (running.directory / "public" / "mail-ca.pem").read_bytes()), RFC, []),
            (ca_cert, RFC, []), (tls, RFC, []), (signer, RFC, []),
            (x509.load_pem_x509_certificate(running.root.read_bytes()), RFC, [])):
        agreed(running, tmp_path, certificate, rules, between)


def usage_of(certificate):
    value = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    return {n for n in ("digital_signature", "content_commitment", "key_encipherment",
                        "data_encipherment", "key_agreement") if getattr(value, n)}


def test_a_device_gets_a_signing_certificate_as_well(running, factory):
    device, email, payload, signing = enrolled_with_signing(running, factory)
    content = payload["PayloadContent"]
    assert content["Key Usage"] == 1 and content["SubjectAltName"] == {"rfc822Name": email}
    assert usage_of(signing) == {"digital_signature"}
    assert usage_of(device.certificate) == {"digital_signature", "key_encipherment"}
    names = signing.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.RFC822Name(email)]
    purposes = signing.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [p.dotted_string for p in purposes] == [EMAIL_PROTECTION]
    policy = signing.extensions.get_extension_for_class(x509.CertificatePolicies).value
    assert [p.policy_identifier.dotted_string for p in policy] == ["2.23.140.1.5.1.3"]
    # delivered again, a payload is the same one; its challenge is new
    device.phase3()
    again = signing_payload(device)
    assert again["PayloadUUID"] == payload["PayloadUUID"]
    assert again["PayloadContent"]["Challenge"] != content["Challenge"]
    # it is no identity of the device
    assert device.authenticate().status == 200 and device.token_update().status == 200
    own = device.key, device.certificate
    device.key, device.certificate = scep.rsa_key("lint signing"), signing
    assert device.report().status == 403
    device.key, device.certificate = own
    assert device.report().status == 200
    rows = running.coffer_json("cert", "list", "--profile", "mail-signing")["certificates"]
    assert format(signing.serial_number, "x") in [r["serial"].lstrip("0") for r in rows]


def test_the_mailbox_is_the_persons(running, factory):
    """The challenge is for the mailbox alone, by subject and by name."""
    email, password = person_of(running)
    device = Device(running, factory)
    device.enrol_identity(email, password)
    device.install_management()
    payload = signing_payload(device)
    foreign = json.loads(json.dumps(payload, default=lambda b: b.hex()))
    foreign["PayloadContent"]["Subject"] = [[["CN", "boss@example.org"]]]
    foreign["PayloadContent"]["CAFingerprint"] = payload["PayloadContent"]["CAFingerprint"]
    with pytest.raises(Refused, match="SCEP"):
        device.scep(foreign, scep.rsa_key("lint signing"))
    assert device.scep(payload, scep.rsa_key("lint signing"))


def test_a_long_mailbox_is_no_common_name(running, factory):
    email = f"{'a' * 40}.{uuid.uuid4()}@example.org"
    running.person(email)
    device = Device(running, factory)
    device.enrol_identity(email, "correct horse battery")
    device.install_management()
    payload = signing_payload(device)
    assert payload["PayloadContent"]["Subject"] == [[["1.2.840.113549.1.9.1", email]]]


@pytest.mark.parametrize("options,words", [
    ({"profile": "mail-signing"}, "a mailbox must be named"),
    ({"profile": "mail-signing", "names": "dns:example.org email:d@example.org"}, "no dns"),
    ({"profile": "wide", "names": "email:d@evil.test"}, "mail_domains"),
    ({"profile": "mail-signing", "names": "email:d@example.org d:1"}, None),
])
def test_mail_profiles_refuse(running, options, words):
    if words is None:
        running.api("POST", "/scep/challenges", options, expect=400)
        return
    reply = ask(running, device_ca(running), running.challenge(**options),
                scep.name(("CN", "d@example.org")))
    assert reply.status == scep.FAILURE and words in reply.text, reply.text


def test_the_keeper_issues_nothing_that_breaks_a_rule(running, instance):
    """A name that the profile allows but the rules do not; and lists that are not by HTTP."""
    reply = ask(running, device_ca(running),
                running.challenge(profile="mail-signing", names="email:d@example.org"),
                scep.name(("CN", "Somebody")))
    assert reply.status == scep.FAILURE and reply.fail_info == "2"
    assert "smbr_common_name" in reply.text and "SMBR 7.1.4.2.2 a" in reply.text
    own_ca = device_ca(instance)
    reply = ask(instance, own_ca,
                instance.challenge(profile="mail-signing", names="email:d@example.org"),
                scep.name(("CN", "d@example.org")))
    assert reply.status == scep.FAILURE and "smbr_crl_scheme" in reply.text, reply.text
