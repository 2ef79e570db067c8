"""A SCEP client (RFC 8894), independent of the code under test, that can also misbehave."""

import base64
import datetime
import hashlib
import os
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from helpers import cms, der

OID_MESSAGE_TYPE = "2.16.840.1.113733.1.9.2"
OID_PKI_STATUS = "2.16.840.1.113733.1.9.3"
OID_FAIL_INFO = "2.16.840.1.113733.1.9.4"
OID_SENDER_NONCE = "2.16.840.1.113733.1.9.5"
OID_RECIPIENT_NONCE = "2.16.840.1.113733.1.9.6"
OID_TRANSACTION_ID = "2.16.840.1.113733.1.9.7"
OID_FAIL_INFO_TEXT = "1.3.6.1.5.5.7.24.1"
OID_CHALLENGE = "1.2.840.113549.1.9.7"
OID_EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
OID_SHA256_RSA = "1.2.840.113549.1.1.11"

SUCCESS, FAILURE, PENDING = "0", "2", "3"

_keys = {}
_keys_lock = threading.Lock()


def rsa_key(name, bits=2048):
    """A key of this name, made once per run: making RSA keys is most of a test's time."""
    with _keys_lock:
        if (name, bits) not in _keys:
            _keys[name, bits] = rsa.generate_private_key(65537, bits)
        return _keys[name, bits]


def name(*pairs):
    oids = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME,
            "OU": NameOID.ORGANIZATIONAL_UNIT_NAME, "UID": NameOID.USER_ID,
            "C": NameOID.COUNTRY_NAME, "serialNumber": NameOID.SERIAL_NUMBER}
    return x509.Name([x509.NameAttribute(oids[kind], value) for kind, value in pairs])


def csr(key, subject, challenge=None, sans=None, signing_key=None, extensions=()):
    """PKCS#10 by hand: cryptography of Debian 12 writes no challenge password as devices do.
    `signing_key`: another key than the one in the request (no proof of possession)."""
    spki = key.public_key().public_bytes(serialization.Encoding.DER,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)
    attributes = []
    if challenge is not None:
        attributes.append(cms.attribute(OID_CHALLENGE, der.printable(challenge)))
    wanted = list(extensions)
    if sans:
        extension = x509.SubjectAlternativeName(sans)
        wanted.append(der.sequence(der.oid("2.5.29.17"), der.octet_string(extension.public_bytes())))
    if wanted:
        attributes.append(cms.attribute(OID_EXTENSION_REQUEST, der.sequence(*wanted)))
    info = der.sequence(der.integer(0), subject.public_bytes(), spki,
                        der.context(0, *sorted(attributes)))
    signature = (signing_key or key).sign(info, padding.PKCS1v15(), hashes.SHA256())
    return der.sequence(info, der.sequence(der.oid(OID_SHA256_RSA), der.null()),
                        der.bit_string(signature))


def self_signed(key, subject):
    """The throw-away certificate that a client without one signs with (section 2.3)."""
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .sign(key, hashes.SHA256()))


class Reply:
    """A CertRep whose signature was verified."""

    def __init__(self, status, fail_info, text, certificate, certificates, cipher):
        self.status, self.fail_info, self.text = status, fail_info, text
        self.certificate, self.certificates, self.cipher = certificate, certificates, cipher


class Client:
    """One key, one subject, against one SCEP URL. `post(body)` returns (status, type, body)."""

    def __init__(self, key, subject, ca):
        self.key, self.subject, self.ca = key, subject, ca
        # of a registration authority, or of several generations
        self.signer = self.recipient = ca
        self.issuers = [ca]
        self.certificate = self_signed(key, subject)
        self.signing_key = key  # of `certificate`: another one than `key` in a renewal
        self.nonce = os.urandom(16)
        spki = key.public_key().public_bytes(serialization.Encoding.DER,
                                             serialization.PublicFormat.SubjectPublicKeyInfo)
        self.transaction = hashlib.sha256(spki + os.urandom(8)).hexdigest()

    def request(self, challenge, *, message_type="19", sans=None, cipher="aes256",
                digest="sha256", indefinite=False, envelope_key=None, csr_der=None, tamper=False,
                nonce=None, transaction=None, attributes=None):
        body = csr_der or csr(self.key, self.subject, challenge, sans)
        sealed = cms.envelope(body, self.recipient, cipher=cipher, indefinite=indefinite,
                              key=envelope_key)
        if attributes is None:
            attributes = [
                cms.attribute(OID_MESSAGE_TYPE, der.printable(message_type)),
                cms.attribute(OID_TRANSACTION_ID, der.printable(transaction or self.transaction)),
                cms.attribute(OID_SENDER_NONCE, der.octet_string(nonce or self.nonce)),
            ]
        return cms.sign(sealed, self.signing_key, self.certificate, digest=digest, attributes=attributes,
                        indefinite=indefinite, tamper=tamper)

    def issuer_and_subject(self, subject=None, issuer=None):
        """What CertPoll carries (section 3.3.3)."""
        return der.sequence((issuer or self.ca.subject).public_bytes(),
                            (subject or self.subject).public_bytes())

    def issuer_and_serial(self, serial, issuer=None):
        """What GetCert and GetCRL carry (sections 3.3.4, 3.3.5)."""
        return der.sequence((issuer or self.ca.subject).public_bytes(), der.integer(serial))

    def poll(self, **options):
        return self.request(None, message_type="20", **{"csr_der": self.issuer_and_subject(),
                                                        **options})

    def renewed(self, certificate, key=None):
        """The client that renews this certificate: its messages are signed by certificate and
        old key, its request and what it reads is for the new key."""
        one = Client(key or self.key, self.subject, self.ca)
        one.meets((self.ca, self.signer, self.recipient), self.issuers)
        one.certificate, one.signing_key = certificate, self.key
        return one

    def meets(self, peer, issuers=None):
        """Talks to this peer: (CA, signer, recipient) of get_ca."""
        self.ca, self.signer, self.recipient = peer
        self.issuers = list(issuers or [self.ca])
        return self

    def read(self, body):
        """Checks a CertRep as a strict client does."""
        reply, inner = self._open(body)
        if not inner:
            return reply
        certificates = cms.certificates_of(inner)
        if len(certificates) != 1:
            raise cms.CmsError("more than the leaf was returned")
        leaf = certificates[0]
        issuers = [ca for ca in self.issuers if ca.subject == leaf.issuer]
        if len(issuers) != 1:
            raise cms.CmsError(f"issued by {leaf.issuer}")
        cms.check_issued(leaf, issuers[0])
        if leaf.public_key().public_numbers() != self.key.public_key().public_numbers():
            raise cms.CmsError("the certificate is for another key")
        reply.certificate, reply.certificates = leaf, certificates
        return reply

    def read_crl(self, body):
        """GetCRL's answer: the reply, and the list."""
        reply, inner = self._open(body)
        if not inner:
            return reply, None
        assert cms.certificates_of(inner) == []
        lists = cms.crls_of(inner)
        assert len(lists) == 1
        return reply, lists[0]

    def _open(self, body):
        signed = cms.verify(body)
        if cms.certificate_der(signed.signer) != cms.certificate_der(self.signer):
            raise cms.CmsError("the CertRep is not signed by the CA or its RA")
        text = {oid: node for oid, node in signed.attributes.items()}

        def value(oid):
            return text[oid].content.decode() if oid in text else None

        if value(OID_MESSAGE_TYPE) != "3":
            raise cms.CmsError("no CertRep")
        if value(OID_TRANSACTION_ID) != self.transaction:
            raise cms.CmsError("another transactionID")
        if text[OID_RECIPIENT_NONCE].octets() != self.nonce:
            raise cms.CmsError("recipientNonce is not our senderNonce")
        if len(text[OID_SENDER_NONCE].octets()) != 16:
            raise cms.CmsError("senderNonce is not 16 bytes")
        status = value(OID_PKI_STATUS)
        if status != SUCCESS:
            if signed.content:
                raise cms.CmsError("a FAILURE carries no envelope")
            return (Reply(status, value(OID_FAIL_INFO), value(OID_FAIL_INFO_TEXT), None, [], None),
                    None)
        inner, cipher = cms.decrypt(signed.content, self.signing_key)
        return Reply(status, None, None, None, [], cipher), inner


def get_ca(instance, name=None, listener="https"):
    """GetCACert as a strict client takes it: (CA, signer of replies, recipient of envelopes)."""
    response = instance.http("GET", "/scep?operation=GetCACert" + (f"&message={name}" if name else
                                                                    ""), listener=listener)
    assert response.status == 200, response
    kind = response.headers["Content-Type"]
    if kind == "application/x-x509-ca-cert":
        return (x509.load_der_x509_certificate(response.body),) * 3
    assert kind == "application/x-x509-ca-ra-cert", kind
    return peer_of(cms.certificates_of(response.body))


def peer_of(certificates):
    """The roles of certificates: (CA, signer, recipient)."""
    def usage(one):
        return one.extensions.get_extension_for_class(x509.KeyUsage).value

    authorities = [c for c in certificates if usage(c).key_cert_sign and c.issuer != c.subject]
    assert len(authorities) == 1
    others = [c for c in certificates if not usage(c).key_cert_sign]
    if not others:
        return (authorities[0],) * 3
    signers = [c for c in others if usage(c).digital_signature]
    recipients = [c for c in others if usage(c).key_encipherment]
    assert len(signers) == 1 and len(recipients) == 1
    for one in others:
        cms.check_issued(one, authorities[0])
    return authorities[0], signers[0], recipients[0]


def get_query(message, escape_all=False):
    """The query of a GET PKIOperation; without escape_all as macOS sends it: + and / bare."""
    text = base64.b64encode(message).decode().replace("=", "%3D")
    if escape_all:
        text = text.replace("+", "%2B").replace("/", "%2F")
    return f"operation=PKIOperation&message={text}"
