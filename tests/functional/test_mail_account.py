"""The mail account that comes with the mail keys names the current one, and fits Apple's schema."""
import pytest

from helpers import schema
from helpers.device import Device
from helpers.instance import Instance


@pytest.fixture(scope="module")
def world(tmp_path_factory, factory):
    files = tmp_path_factory.mktemp("mail-account")
    instance = Instance(files)
    instance.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem")),
                             "signing_profile": "mail-signing", "mail_key_profile": "mail-encrypt-p256"},
                   "mail_account": {"imap_host": "imap.example.org", "smtp_host": "smtp.example.org",
                                    "smtp_port": "465", "username": "local-part",
                                    "encrypt": "always"}})
    try:
        instance.start()
        instance.factory = factory
        yield instance
        instance.stop()
    finally:
        instance.abandon()


def opened(device):
    """The profile and payloads that a session brings."""
    [command] = [c for c in device.session() if c["Command"]["RequestType"] == "InstallProfile"]
    return device.open_encrypted(command["Command"])


def account_of(payloads):
    [account] = [p for p in payloads if p["PayloadType"] == "com.apple.mail.managed"]
    return account


def test_mail_account__names_the_current_key(world):
    person = world.person("ward.nurse@example.org")
    device = Device(world, world.factory).enrol(*person)
    profile, payloads = opened(device)
    assert schema.check_configuration(profile, payloads) == []
    account = account_of(payloads)
    keys = [p["PayloadUUID"] for p in payloads if p["PayloadType"] == "com.apple.security.pkcs12"]
    assert account["SMIMEEncryptionCertificateUUID"] == keys[0] and len(keys) == 1
    assert account["EmailAddress"] == person[0]
    assert account["IncomingMailServerUsername"] == account["OutgoingMailServerUsername"] == "ward.nurse"
    assert (account["IncomingMailServerHostName"], account["IncomingMailServerPortNumber"]) == \
        ("imap.example.org", 993)
    assert (account["OutgoingMailServerHostName"], account["OutgoingMailServerPortNumber"]) == \
        ("smtp.example.org", 465)
    assert account["IncomingMailServerUseSSL"] and account["OutgoingMailServerUseSSL"]
    assert account["SMIMEEncryptByDefault"] and not account["SMIMEEnableEncryptionPerMessageSwitch"]
    assert account["SMIMESigningEnabled"] and "SMIMESigningCertificateUUID" not in account
    assert not [k for k in account if "Password" in k and k != "OutgoingPasswordSameAsIncomingPassword"]
    # a new key: the same account, which names it
    world.coffer("key", "new", person[0])
    later, more = opened(device)
    assert schema.check_configuration(later, more) == []
    assert (later["PayloadIdentifier"], later["PayloadUUID"]) == \
        (profile["PayloadIdentifier"], profile["PayloadUUID"])
    renewed = account_of(more)
    uuids = [p["PayloadUUID"] for p in more if p["PayloadType"] == "com.apple.security.pkcs12"]
    assert renewed["PayloadUUID"] == account["PayloadUUID"]
    assert renewed["SMIMEEncryptionCertificateUUID"] == uuids[0] != keys[0] and uuids[1] == keys[0]
