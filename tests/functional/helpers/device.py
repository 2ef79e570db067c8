"""An Apple device as a strict implementer would write it from Apple's documents alone; it shares
no code with the server. It can be told to misbehave."""

import base64
import datetime
import os
import plistlib
import tempfile
import uuid
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from helpers import cms, scep

CHECKIN_TYPE = "application/x-apple-aspen-mdm-checkin"
COMMAND_TYPE = "application/x-apple-aspen-mdm"


class FactoryCa:
    """What "Apple iPhone Device CA" is to real phones: RSA-1024, SHA-1, long expired."""

    def __init__(self, bits=1024, digest=hashes.SHA1):
        self.digest = digest
        self.key = rsa.generate_private_key(65537, bits)
        self.subject = scep.name(("O", "Factory"), ("CN", "Test Device CA"))
        self.certificate = self._issue(self.subject, self.key.public_key(), True)

    def _issue(self, subject, key, is_ca):
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self.subject)
                .public_key(key).serial_number(x509.random_serial_number())
                .not_valid_before(datetime.datetime(2007, 4, 16))
                .not_valid_after(datetime.datetime(2014, 4, 16))
                .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
                .sign(self.key, self.digest()))

    def issue(self, udid):
        key = scep.rsa_key("factory device", 1024)
        return key, self._issue(scep.name(("CN", udid)), key.public_key(), False)

    def write(self, path):
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path


class Refused(Exception):
    """The server said no; `response` is what it said."""

    def __init__(self, step, response):
        super().__init__(f"{step}: {response}")
        self.step, self.response = step, response


class Device:
    def __init__(self, instance, factory, udid=None, product="iPhone14,5", mtls=False):
        self.instance, self.factory = instance, factory
        self.udid = udid or f"00008110-{uuid.uuid4().hex[:16].upper()}"
        self.serial = "C" + uuid.uuid4().hex[:11].upper()
        self.product, self.mtls = product, mtls
        self.factory_key, self.factory_certificate = factory.issue(self.udid)
        self.token, self.push_magic = os.urandom(32), str(uuid.uuid4()).upper()
        self.unlock_token = os.urandom(600)
        self.root = x509.load_pem_x509_certificate(instance.root.read_bytes())
        self.device_ca = x509.load_pem_x509_certificate(instance.device_ca.read_bytes())
        self.offer = self.identity_profile = self.management_profile = self.payloads = None
        self.first_key = self.first_certificate = None  # signs phase 3
        self.key = self.certificate = None              # signs management messages
        self.mdm = None
        self.files = None
        self.profiles = {}  # payloads of encrypted profiles that commands brought, by identifier

    # ---- profiles ----

    def _open_profile(self, body):
        signed = cms.verify(body)
        cms.check_issued(signed.signer, self.root)
        now = datetime.datetime.utcnow()
        if not signed.signer.not_valid_before <= now <= signed.signer.not_valid_after:
            raise cms.CmsError("the profile's signer is out of date")
        return plistlib.loads(signed.content)

    def fetch_offer(self, email, password):
        """Phase 1, with HTTP Basic."""
        login = base64.b64encode(f"{email}:{password}".encode()).decode()
        response = self.instance.http("GET", "/enrol/profile",
                                      headers={"Authorization": f"Basic {login}"})
        return self.take_offer(response)

    def take_offer(self, response):
        if response.status != 200:
            raise Refused("phase 1", response)
        assert response.headers["Content-Type"] == "application/x-apple-aspen-config"
        self.offer = self._open_profile(response.body)
        assert self.offer["PayloadType"] == "Profile Service"
        return self.offer

    def attributes(self, **changes):
        content = self.offer["PayloadContent"]
        values = {"UDID": self.udid, "SERIAL": self.serial, "PRODUCT": self.product,
                  "VERSION": "21A329", "IMEI": "35 445612 345678 9", "MEID": "35445612345678"}
        out = {k: values[k] for k in content["DeviceAttributes"] if k in values}
        out["CHALLENGE"] = content["Challenge"]
        out.update(changes)
        return {k: v for k, v in out.items() if v is not None}

    def _post_ota(self, message, step):
        url = urllib.parse.urlsplit(self.offer["PayloadContent"]["URL"])
        assert url.netloc == f"localhost:{self.instance.port}"
        response = self.instance.http("POST", url.path, message,
                                      {"Content-Type": "application/pkcs7-signature"})
        if response.status != 200:
            raise Refused(step, response)
        return response.body

    def phase2(self, attributes=None, key=None, certificate=None, **options):
        """Signed with the factory certificate: SHA-1, BER of indefinite length, as devices do."""
        options = {"digest": "sha1", "indefinite": True, **options}
        body = plistlib.dumps(attributes or self.attributes())
        message = cms.sign(body, key or self.factory_key, certificate or self.factory_certificate,
                           **options)
        self.identity_profile = self._open_profile(self._post_ota(message, "phase 2"))
        return self.identity_profile

    def phase3(self, attributes=None, key=None, certificate=None, **options):
        body = plistlib.dumps(attributes or self.attributes(CHALLENGE=None))
        message = cms.sign(body, key or self.first_key, certificate or self.first_certificate,
                           **options)
        self.management_profile = self._open_profile(self._post_ota(message, "phase 3"))
        assert self.management_profile["IsEncrypted"] is True
        clear, self.profile_cipher = cms.decrypt(
            self.management_profile["EncryptedPayloadContent"], key or self.first_key)
        self.payloads = plistlib.loads(clear)
        return self.payloads

    def scep(self, payload, key, challenge=None):
        """Does what a com.apple.security.scep payload says."""
        content = payload["PayloadContent"]
        assert content["Keysize"] >= 2048 and content["Key Type"] == "RSA"
        peer = scep.get_ca(self.instance, content["Name"])
        self.device_ca = peer[0]
        fingerprint = self.device_ca.fingerprint(hashes.SHA1())
        assert content["CAFingerprint"] in (fingerprint, self.device_ca.fingerprint(hashes.SHA256()))
        subject = scep.name(*[tuple(pair) for group in content["Subject"] for pair in group])
        client = scep.Client(key, subject, self.device_ca).meets(peer, self.instance.device_cas())
        mailbox = content.get("SubjectAltName", {}).get("rfc822Name")
        sans = [x509.RFC822Name(mailbox)] if mailbox else None
        url = urllib.parse.urlsplit(content["URL"])
        listener = "http" if url.scheme == "http" else "https"
        message = client.request(challenge or content["Challenge"], sans=sans,
                                 indefinite=True)
        response = self.instance.http("POST", f"{url.path}?operation=PKIOperation", message,
                                      {"Content-Type": "application/x-pki-message"}, listener)
        if response.status != 200:
            raise Refused("SCEP", response)
        reply = client.read(response.body)
        if reply.status != scep.SUCCESS:
            raise Refused("SCEP", reply)
        return reply.certificate

    # ---- enrolment, whole ----

    def enrol_identity(self, email, password):
        """Phases 1 and 2 and the first SCEP."""
        self.fetch_offer(email, password)
        profile = self.phase2()
        self.first_key = scep.rsa_key("device first")
        self.first_certificate = self.scep(profile["PayloadContent"][0], self.first_key)

    def install_management(self):
        """Phase 3 and the second SCEP."""
        payloads = {p["PayloadType"]: p for p in self.phase3()}
        self.mdm = payloads["com.apple.mdm"]
        [identity] = [p for p in self.payloads if p["PayloadType"] == "com.apple.security.scep"
                      and p["PayloadUUID"] == self.mdm["IdentityCertificateUUID"]]
        assert payloads["com.apple.security.root"]["PayloadContent"] == \
            cms.certificate_der(self.root)
        self.key = scep.rsa_key("device management")
        self.certificate = self.scep(identity, self.key)

    def enrol(self, email, password):
        self.enrol_identity(email, password)
        self.install_management()
        assert self.authenticate().status == 200
        assert self.token_update().status == 200
        return self

    # ---- management ----

    def signature(self, body, key=None, certificate=None):
        message = cms.sign(body, key or self.key, certificate or self.certificate, detached=True)
        return base64.b64encode(message).decode()

    def identity_files(self):
        """PEM files for a TLS client certificate."""
        if not self.files:
            folder = tempfile.mkdtemp(prefix="identity-", dir=self.instance.files)
            cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
            with open(cert, "wb") as out:
                out.write(self.certificate.public_bytes(serialization.Encoding.PEM))
            with open(key, "wb") as out:
                out.write(self.key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption()))
            self.files = (cert, key)
        return self.files

    def put(self, message, *, checkin, body=None, headers=None, sign=True, certificate=None):
        """One PUT. `body` replaces the message's bytes after signing."""
        data = plistlib.dumps(message) if isinstance(message, dict) else message
        sent = {"Content-Type": CHECKIN_TYPE if checkin else COMMAND_TYPE}
        if sign and not self.mtls:
            sent["Mdm-Signature"] = self.signature(data)
        sent.update(headers or {})
        url = urllib.parse.urlsplit(self.mdm["CheckInURL" if checkin else "ServerURL"])
        path = url.path
        data = data if body is None else body
        if self.mtls:
            return self.instance.http("PUT", path, data, sent, "mtls",
                                      certificate or self.identity_files())
        return self.instance.http("PUT", path, data, sent)

    def authenticate(self, **changes):
        return self.put({"MessageType": "Authenticate", "UDID": self.udid,
                         "Topic": self.mdm["Topic"], "SerialNumber": self.serial,
                         "ProductName": self.product, "Model": "MLPG3", "ModelName": "iPhone",
                         "OSVersion": "17.0", "BuildVersion": "21A329",
                         "DeviceName": "A phone", **changes}, checkin=True)

    def token_update(self, **changes):
        message = {"MessageType": "TokenUpdate", "UDID": self.udid, "Topic": self.mdm["Topic"],
                   "Token": self.token, "PushMagic": self.push_magic,
                   "UnlockToken": self.unlock_token, "AwaitingConfiguration": False}
        message.update(changes)
        return self.put({k: v for k, v in message.items() if v is not None}, checkin=True)

    def check_out(self):
        return self.put({"MessageType": "CheckOut", "UDID": self.udid,
                         "Topic": self.mdm["Topic"]}, checkin=True)

    def report(self, status="Idle", command_uuid=None, **more):
        message = {"UDID": self.udid, "Status": status, **more}
        if command_uuid:
            message["CommandUUID"] = command_uuid
        return self.put(message, checkin=False)

    def next_command(self, response):
        """The command in an answer, or None at the end of the session."""
        if response.status != 200:
            raise Refused("command channel", response)
        return plistlib.loads(response.body) if response.body else None

    def open_encrypted(self, command):
        """The profile of an InstallProfile command and the payloads that are for this device alone."""
        profile = self._open_profile(command["Payload"])
        assert profile["IsEncrypted"] is True and "PayloadContent" not in profile
        clear, cipher = cms.decrypt(profile["EncryptedPayloadContent"], self.key)
        assert cipher == "aes256"
        return profile, plistlib.loads(clear)

    def obey(self, command):
        """Encrypted profiles are opened and kept; a new one takes the place of the one before."""
        if command["RequestType"] == "InstallProfile" and b"EncryptedPayloadContent" in command["Payload"]:
            profile, payloads = self.open_encrypted(command)
            self.profiles[profile["PayloadIdentifier"]] = payloads

    def mail_keys(self):
        """The PKCS#12 payloads that it has, the current key's first."""
        return [p for payloads in self.profiles.values() for p in payloads
                if p["PayloadType"] == "com.apple.security.pkcs12"]

    def session(self, answer=None):
        """From Idle until the server has nothing more. `answer(command)` gives the status and
        the result's keys; default: Acknowledged. Returns the commands in their order."""
        commands, response = [], self.report()
        while (command := self.next_command(response)) is not None:
            commands.append(command)
            status, more = answer(command) if answer else ("Acknowledged", acknowledge(command, self.product))
            if status == "Acknowledged":
                self.obey(command["Command"])
            response = self.report(status, command["CommandUUID"], **more)
        return commands


def acknowledge(command, product="iPhone14,5"):
    """Result keys for a command done well."""
    kind = command["Command"]["RequestType"]
    return {
        "DeviceInformation": {"QueryResponses": {
            "DeviceName": "A phone", "OSVersion": "17.0.1", "BuildVersion": "21A340",
            "ModelName": "iPhone", "ProductName": product, "SerialNumber": "C0FFEE000001",
            "BatteryLevel": 0.5, "DeviceCapacity": 64.0}},
        "SecurityInfo": {"SecurityInfo": {"PasscodePresent": True, "PasscodeCompliant": True,
                                          "HardwareEncryptionCaps": 3}},
        "ProfileList": {"ProfileList": []},
        "CertificateList": {"CertificateList": []},
        "InstalledApplicationList": {"InstalledApplicationList": [
            {"Identifier": "org.example.app", "Name": "App", "Version": "1"}]},
        "Settings": {"Settings": []},
    }.get(kind, {})
