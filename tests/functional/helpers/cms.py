"""CMS (RFC 5652): SignedData and EnvelopedData with RSA, independent of the code under test."""

import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from helpers import der

DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
ENVELOPED_DATA = "1.2.840.113549.1.7.3"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
RSA = "1.2.840.113549.1.1.1"
DIGESTS = {
    "1.2.840.113549.2.5": hashes.MD5,
    "1.3.14.3.2.26": hashes.SHA1,
    "2.16.840.1.101.3.4.2.4": hashes.SHA224,
    "2.16.840.1.101.3.4.2.1": hashes.SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384,
    "2.16.840.1.101.3.4.2.3": hashes.SHA512,
}
DIGEST_OIDS = {"sha1": "1.3.14.3.2.26", "sha256": "2.16.840.1.101.3.4.2.1",
               "sha384": "2.16.840.1.101.3.4.2.2", "sha512": "2.16.840.1.101.3.4.2.3",
               "md5": "1.2.840.113549.2.5", "sha224": "2.16.840.1.101.3.4.2.4"}
CIPHERS = {
    "aes128": ("2.16.840.1.101.3.4.1.2", algorithms.AES, 16, 16),
    "aes256": ("2.16.840.1.101.3.4.1.42", algorithms.AES, 32, 16),
    "des": ("1.3.14.3.2.7", algorithms.TripleDES, 8, 8),
    "des3": ("1.2.840.113549.3.7", algorithms.TripleDES, 24, 8),
}


class CmsError(ValueError):
    """A message that a strict peer would refuse."""


def certificate_der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def _digest(kind, data):
    digest = hashes.Hash(kind())
    digest.update(data)
    return digest.finalize()


def _algorithm(oid):
    return der.sequence(der.oid(oid), der.null())


def _issuer_and_serial(certificate):
    return der.sequence(certificate.issuer.public_bytes(), der.integer(certificate.serial_number))


def attribute(oid, *values):
    return der.sequence(der.oid(oid), der.set_of(*values))


def sign(content, key, certificate, *, digest="sha256", attributes=(), detached=False,
         indefinite=False, extra_certificates=(), tamper=False):
    """SignedData of one RSA signer with signed attributes. `tamper` changes the content after."""
    oid = DIGEST_OIDS[digest]
    kind = DIGESTS[oid]
    signed = [attribute(CONTENT_TYPE, der.oid(DATA)),
              attribute(MESSAGE_DIGEST, der.octet_string(_digest(kind, content))), *attributes]
    signature = key.sign(der.set_of(*signed), padding.PKCS1v15(), kind())
    signer = der.sequence(
        der.integer(1), _issuer_and_serial(certificate), _algorithm(oid),
        der.context(0, *sorted(signed)), _algorithm(RSA), der.octet_string(signature))
    if tamper:
        content = content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]
    inner = [der.oid(DATA)]
    if not detached:
        inner.append(der.context(0, der.octet_string(content, indefinite), indefinite=indefinite))
    certificates = [certificate_der(c) for c in [certificate, *extra_certificates]]
    body = der.sequence(
        der.integer(1), der.set_of(_algorithm(oid)), der.sequence(*inner, indefinite=indefinite),
        der.context(0, *certificates), der.set_of(signer), indefinite=indefinite)
    return der.sequence(der.oid(SIGNED_DATA), der.context(0, body, indefinite=indefinite),
                        indefinite=indefinite)


def envelope(content, certificate, *, cipher="aes256", indefinite=False, key=None):
    """EnvelopedData to one RSA certificate (`key`: another key than the certificate's)."""
    oid, algorithm, key_size, block = CIPHERS[cipher]
    secret, iv = os.urandom(key_size), os.urandom(block)
    pad = block - len(content) % block
    encryptor = Cipher(algorithm(secret), modes.CBC(iv)).encryptor()
    sealed = encryptor.update(content + bytes([pad]) * pad) + encryptor.finalize()
    wrapped = (key or certificate.public_key()).encrypt(secret, padding.PKCS1v15())
    recipient = der.sequence(der.integer(0), _issuer_and_serial(certificate), _algorithm(RSA),
                             der.octet_string(wrapped))
    if indefinite:
        chunks = [der.element(0x04, sealed[i:i + 1000]) for i in range(0, len(sealed), 1000)]
        body = der.context(0, *chunks, indefinite=True)
    else:
        body = der.context(0, sealed, constructed=False)
    encrypted = der.sequence(der.oid(DATA), der.sequence(der.oid(oid), der.octet_string(iv)), body,
                             indefinite=indefinite)
    enveloped = der.sequence(der.integer(0), der.set_of(recipient), encrypted,
                             indefinite=indefinite)
    return der.sequence(der.oid(ENVELOPED_DATA), der.context(0, enveloped, indefinite=indefinite),
                        indefinite=indefinite)


def _content_info(data, oid):
    info = der.parse(data)
    if info[0].oid() != oid:
        raise CmsError(f"content type {info[0].oid()}, not {oid}")
    return info[1][0]


def decrypt(data, key):
    """Opens EnvelopedData with exactly one recipient."""
    enveloped = _content_info(data, ENVELOPED_DATA)
    recipients, encrypted = enveloped[1], enveloped[2]
    if len(recipients) != 1:
        raise CmsError(f"{len(recipients)} recipients")
    secret = key.decrypt(recipients[0][3].octets(), padding.PKCS1v15())
    oid, iv = encrypted[1][0].oid(), encrypted[1][1].octets()
    for name, (known, algorithm, _, block) in CIPHERS.items():
        if known != oid:
            continue
        decryptor = Cipher(algorithm(secret), modes.CBC(iv)).decryptor()
        clear = decryptor.update(encrypted[2].octets()) + decryptor.finalize()
        pad = clear[-1]
        if not 1 <= pad <= block or clear[-pad:] != bytes([pad]) * pad:
            raise CmsError("wrong padding")
        return clear[:-pad], name
    raise CmsError(f"cipher {oid}")


class Signed:
    """A verified SignedData: content, signer's certificate, all certificates, attributes."""

    def __init__(self, content, signer, certificates, attributes):
        self.content, self.signer = content, signer
        self.certificates, self.attributes = certificates, attributes


def _verify_signature(key, signature, data, kind):
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, padding.PKCS1v15(), kind())
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, data, ec.ECDSA(kind()))
    else:
        raise CmsError("an unexpected kind of key")


def certificates_of(data):
    """The certificates of a SignedData, in the order they are in."""
    signed = _content_info(data, SIGNED_DATA)
    return [x509.load_der_x509_certificate(node.raw) for part in signed.children
            if part.tag == 0xA0 for node in part.children]


def crls_of(data):
    """The revocation lists of a SignedData."""
    signed = _content_info(data, SIGNED_DATA)
    return [x509.load_der_x509_crl(node.raw) for part in signed.children
            if part.tag == 0xA1 for node in part.children]


def verify(data):
    """Checks one signer's signature over attributes and content; raises if anything is wrong.
    Whether the signer is trusted is for the caller to say."""
    signed = _content_info(data, SIGNED_DATA)
    inner = signed[2]
    content = inner[1][0].octets() if len(inner) > 1 else b""
    certificates = certificates_of(data)
    signers = signed.children[-1]
    if len(signers) != 1:
        raise CmsError(f"{len(signers)} signers")
    signer = signers[0]
    serial = int.from_bytes(signer[1][1].content, "big")
    found = [c for c in certificates if c.serial_number == serial
             and c.issuer.public_bytes() == signer[1][0].raw]
    if len(found) != 1:
        raise CmsError("the signer's certificate is not in the message")
    kind = DIGESTS[signer[2][0].oid()]
    signed_attributes = signer[3]
    if signed_attributes.tag != 0xA0:
        raise CmsError("no signed attributes")
    attributes = {}
    for node in signed_attributes.children:
        if node[0].oid() in attributes or len(node[1]) != 1:
            raise CmsError("RFC 5652 section 5.3: exactly one of each signed attribute")
        attributes[node[0].oid()] = node[1][0]
    if attributes[MESSAGE_DIGEST].octets() != _digest(kind, content):
        raise CmsError("the content's digest is another")
    if attributes[CONTENT_TYPE].oid() != inner[0].oid():
        raise CmsError("the content's type is another")
    covered = der.element(0x31, signed_attributes.content)
    _verify_signature(found[0].public_key(), signer[5].octets(), covered, kind)
    return Signed(content, found[0], certificates, attributes)


def check_issued(certificate, issuer):
    """Whether `issuer`'s key signed the certificate; raises."""
    _verify_signature(issuer.public_key(), certificate.signature,
                      certificate.tbs_certificate_bytes, type(certificate.signature_hash_algorithm))
    if certificate.issuer != issuer.subject:
        raise CmsError("the issuer's name is another")
