"""Certificates in pieces, so that a test can spoil any of them. Their signatures are nonsense: the
linter looks at none."""

import os

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

from helpers import der, scep

MAILBOX = "erika@example.org"
CN, SURNAME, SERIAL, C, L, ST, STREET, O, OU, TITLE, POSTAL, GIVEN, PSEUDONYM, ORG_ID = (
    f"2.5.4.{n}" for n in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 42, 65, 97))
EMAIL = "1.2.840.113549.1.9.1"
SKI, KEY_USAGE, SAN, BASIC, CONSTRAINTS, CRL, POLICIES, AKI, POLICY_CONSTRAINTS, EKU = (
    f"2.5.29.{n}" for n in (14, 15, 17, 19, 30, 31, 32, 35, 36, 37))
AIA = "1.3.6.1.5.5.7.1.1"
EMAIL_PROTECTION, CLIENT_AUTH, SERVER_AUTH = (f"1.3.6.1.5.5.7.3.{n}" for n in (4, 2, 1))
SHA256_RSA = der.sequence(der.oid("1.2.840.113549.1.1.11"), der.null())
STRICT, MULTI, LEGACY = 3, 2, 1


def rdn(oid, value, tag=0x0C):
    data = value if isinstance(value, bytes) else value.encode()
    return der.set_of(der.sequence(der.oid(oid), der.element(tag, data)))


def name(*rdns):
    return der.sequence(*rdns)


def extension(oid, value, critical=False, raw_critical=b""):
    flag = der.element(1, b"\xff") if critical else raw_critical
    return der.sequence(der.oid(oid), flag, der.octet_string(value))


def utc(text):
    return der.element(0x17, text.encode())


def generalized(text):
    return der.element(0x18, text.encode())


def general(number, text):
    """[n] IA5String: 1 mailbox, 2 DNS, 6 URI."""
    return der.context(number, text if isinstance(text, bytes) else text.encode(), constructed=False)


def other_name(oid, value):
    return der.context(0, der.oid(oid), der.context(0, value))


def sans(*names):
    return der.sequence(*names)


def usage(*bits, size=None):
    """A BIT STRING of named bits, as short as DER has it; `size` octets if given."""
    number = bytearray(2)
    for bit in bits:
        number[bit // 8] |= 0x80 >> bit % 8
    while size is None and number and number[-1] == 0:
        number.pop()
    data = bytes(number[:size])
    unused = 0 if not data or size else (data[-1] & -data[-1]).bit_length() - 1
    return der.element(3, bytes([unused]), data)


def ekus(*oids):
    return der.sequence(*[der.oid(oid) for oid in oids])


def policies(*oids):
    return der.sequence(*[der.sequence(der.oid(oid)) for oid in oids])


def reserved(kind, generation):
    return policies(f"2.23.140.1.5.{kind}.{generation}")


def crl(*uris):
    return der.sequence(*[der.sequence(der.context(0, der.context(0, general(6, uri))))
                          for uri in uris])


def aia(*pairs):
    return der.sequence(*[der.sequence(der.oid(f"1.3.6.1.5.5.7.48.{kind}"), general(6, uri))
                          for kind, uri in pairs])


def spki(key):
    return key.public_key().public_bytes(serialization.Encoding.DER,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def rsa_spki(modulus, exponent=65537, parameters=None):
    return der.sequence(der.sequence(der.oid("1.2.840.113549.1.1.1"),
                                     der.null() if parameters is None else parameters),
                        der.bit_string(der.sequence(der.integer(modulus), der.integer(exponent))))


RSA = spki(scep.rsa_key("lint"))
P256 = spki(ec.generate_private_key(ec.SECP256R1()))
ED25519 = spki(ed25519.Ed25519PrivateKey.generate())
X25519 = spki(x25519.X25519PrivateKey.generate())


class Parts:
    """A subscriber's certificate that breaks no rule; change what you like."""

    def __init__(self, generation=STRICT):
        self.version = der.context(0, der.integer(2))
        self.serial = der.integer(int.from_bytes(b"\x41" + os.urandom(15), "big"))
        self.algorithm = self.outer = SHA256_RSA
        self.issuer = name(rdn(O, "Example"), rdn(CN, "Mail CA"))
        self.validity = der.sequence(utc("250101000000Z"), utc("260101000000Z"))
        self.subject = name(rdn(CN, MAILBOX))
        self.spki = RSA
        self.unique = b""
        self.exts = {
            BASIC: (der.sequence(), True),
            KEY_USAGE: (usage(0), True),
            EKU: (ekus(EMAIL_PROTECTION), False),
            SKI: (der.octet_string(b"s" * 20), False),
            AKI: (der.sequence(general(0, b"a" * 20)), False),
            SAN: (sans(general(1, MAILBOX)), False),
            POLICIES: (reserved(1, generation), False),
            CRL: (crl("http://example.org/ca.crl"), False),
            AIA: (aia((2, "http://example.org/ca.cer")), False),
        }
        self.more = []  # extensions as they are
        self.raw_extensions = None
        self.signature = der.bit_string(b"\0" * 256)

    def put(self, oid, value, critical=False):
        self.exts[oid] = (value, critical)

    def drop(self, *oids):
        for oid in oids:
            del self.exts[oid]

    def ca(self):
        self.put(BASIC, der.sequence(der.element(1, b"\xff")), True)
        self.put(KEY_USAGE, usage(5, 6), True)
        self.drop(EKU, SAN)

    def tbs(self):
        listed = [extension(oid, value, critical) for oid, (value, critical) in self.exts.items()]
        extensions = der.context(3, der.sequence(*listed, *self.more))
        if self.raw_extensions is not None:
            extensions = self.raw_extensions
        return der.sequence(self.version, self.serial, self.algorithm, self.issuer, self.validity,
                            self.subject, self.spki, self.unique, extensions)

    def der(self):
        return der.sequence(self.tbs(), self.outer, self.signature)
