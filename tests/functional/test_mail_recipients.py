"""Who can read a message: own certificates, learned ones, trust, revocation, groups."""

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from helpers import instance as instances
from test_directory import slapd  # noqa: F401
from test_mail import EC, People, coffer, openssl

READY, NOT_ALL, LATER = 0, 6, 7
PLAIN = b"From: bob@example.org\r\nTo: alice@example.org\r\nSubject: s\r\n\r\nhello\r\n"


class World:
    def __init__(self, folder):
        self.folder = folder
        self.anchored = self.people("anchored")
        self.lists = folder / "lists"
        self.lists.mkdir()
        self.instance = instances.Instance(folder)
        self.instance.init({"enrol": {"mail_key_profile": "mail-encrypt-p256"},
                            "mail": {"trust_anchors": str(self.anchored.root),
                                     "revocation_lists": str(self.lists)}})
        self.instance.start()

    def people(self, name):
        folder = self.folder / name
        folder.mkdir()
        return People(folder)

    def coffer(self, *args, **options):
        return self.instance.coffer(*map(str, args), **options).stdout

    def ask(self, *args, expect=READY):
        """{address: answer} and the whole."""
        whole = self.instance.coffer_json("mail", "recipients", *args, expect=expect)
        assert whole["encrypted"] == (expect == READY)
        return {r["address"]: r for r in whole["recipients"]}, whole

    def sign(self, person, message=PLAIN, name="signed.eml"):
        path = self.folder / name
        path.write_bytes(coffer("mail", "sign", "--key", person, stdin=message))
        return path

    def own(self, address):
        self.instance.person(address)
        self.coffer("key", "new", address)
        return address

    def audit(self, action):
        return [e for e in self.instance.coffer_json("audit", "list")["entries"] if e["action"] == action]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("recipients"))
    yield made
    made.instance.stop()


def fingerprint(pem):
    return x509.load_pem_x509_certificate(pem.read_bytes()).fingerprint(hashes.SHA256()).hex()


def test_recipients__says_who_can_and_why_not(world):
    alice = world.own("alice@example.org")
    answers, whole = world.ask("Alice@Example.org")
    one = answers["Alice@Example.org"]
    assert (one["lock"], one["source"], one["revocation"]) == ("ready", "own", "good")
    assert whole["cipher"] == "AES-256-CBC" and whole["key_transport"] == "ECDH"
    answers, _ = world.ask(alice, "nobody@example.net", "--sender", "me@example.org", expect=NOT_ALL)
    assert answers["nobody@example.net"]["lock"] == "no-certificate"
    assert answers["me@example.org"]["sender"] and answers["me@example.org"]["lock"] == "no-certificate"
    assert world.ask("not an address", expect=NOT_ALL)[0]["not an address"]["lock"] == "bad-address"
    table = world.coffer("mail", "recipients", alice, "nobody@example.net", expect=NOT_ALL)
    rows = [line.split("\t") for line in table.split("\n")]
    assert rows[0][:3] == ["ADDRESS", "CAN READ", "LOCK"]
    assert rows[1][:3] == [alice, "yes", "ready"]
    assert rows[2][:3] == ["nobody@example.net", "no", "no-certificate"]
    assert "would not be encrypted" in table
    query = "/mail/recipients?address=alice%40example.org&address=x%40example.net"
    over_http = world.instance.api("GET", query, expect=200).json()
    assert [r["can_read"] for r in over_http["recipients"]] == [True, False]
    world.instance.api("GET", "/mail/recipients", expect=400)


def test_recipients__takes_a_message_and_writes_to_whom_it_says(world):
    alice = world.own("anna@example.org")
    ben = world.own("ben@example.org")
    draft = world.folder / "draft.eml"
    draft.write_bytes(b"From: Anna <anna@example.org>\r\nTo: \"B, B\" <ben@example.org>,\r\n"
                      b" anna@example.org\r\nSubject: s\r\n\r\nTo: nobody@example.net\r\n")
    answers, whole = world.ask("--message", draft)
    assert set(answers) == {alice, ben} and len(whole["recipients"]) == 3
    draft.write_bytes(b"From: anna@example.org\r\nCc: who@example.net\r\nTo: ben@example.org\r\n\r\n")
    assert world.ask("--message", draft, expect=NOT_ALL)[0]["who@example.net"]["lock"] == "no-certificate"
    draft.write_bytes(b"From: anna@example.org\r\nSubject: s\r\n\r\n")
    world.coffer("mail", "recipients", "--message", draft, expect=2)


def test_recipients__revoked_from_that_moment_on(world):
    rita = world.own("rita@example.org")
    earlier = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=10)
    before = earlier.strftime("%Y-%m-%dT%H:%M:%SZ")
    certificate = world.ask(rita)[0][rita]["certificate"]
    world.coffer("cert", "revoke", certificate["sha256"], "--reason", "keyCompromise")
    one = world.ask(rita, expect=NOT_ALL)[0][rita]
    assert (one["lock"], one["revocation"]) == ("revoked", "revoked")
    world.ask(rita, "--at", before)  # it was good then
    world.coffer("key", "new", rita)  # the next key counts at once
    now = world.ask(rita)[0][rita]
    assert now["lock"] == "ready" and now["certificate"]["sha256"] != certificate["sha256"]
    assert world.ask(rita, "--at", "2020-01-01T00:00:00Z", expect=NOT_ALL)[0][rita]["lock"] == "expired"


def test_harvest__learns_from_whom_signed(world):
    people = world.anchored
    bob = people.add("bob")
    out = world.coffer("mail", "harvest", world.sign(bob))
    assert out.split("\t")[1:] == ["bob@example.org", "1 new", "trusted\n"]
    one = world.ask("bob@example.org")[0]["bob@example.org"]
    assert (one["lock"], one["source"], one["revocation"]) == ("ready", "harvested", "unknown")
    assert "revocation unknown" in one["reason"]
    assert "AES-256-GCM" in one["capabilities"]  # ours say so
    assert world.ask("bob@example.org")[1]["cipher"] == "AES-256-GCM"
    assert world.ask("bob@example.org")[1]["key_transport"] == "RSAES-OAEP"
    # What is answered can be written to, and read by who it says.
    lock = world.folder / "lock.pem"
    lock.write_text(one["certificate"]["pem"])
    secret = coffer("mail", "encrypt", "--to", lock, stdin=PLAIN)
    assert b"hello" in coffer("mail", "decrypt", "--key", bob, stdin=secret)
    again = world.coffer("mail", "harvest", world.sign(bob))
    assert "0 new" in again
    assert len([e for e in world.audit("mail.harvest") if e["object"] == "bob@example.org"]) == 1
    known = world.instance.coffer_json("mail", "certificates")["certificates"]
    assert [k["trusted"] for k in known if k["address"] == "bob@example.org"] == [True]


def test_harvest__learns_an_encryption_certificate_beside_the_signers(world):
    people = world.anchored
    signer = people.add("two-sign", address="two@example.org", usage="digitalSignature")
    people.add("two-crypt", kind=EC, address="two@example.org", usage="keyAgreement")
    people.add("other", address="other@example.org")
    bundle = world.folder / "extra.pem"
    bundle.write_bytes(people.crt("two-crypt").read_bytes() + people.crt("other").read_bytes())
    signed = openssl("cms", "-sign", "-signer", people.crt("two-sign"), "-inkey", people.dir / "two-sign.key",
                     "-certfile", bundle, "-from", "two@example.org", "-to", "a@example.org",
                     stdin=b"Content-Type: text/plain\r\n\r\nhello\r\n")
    path = world.folder / "two.eml"
    path.write_bytes(signed)
    assert "two@example.org\t1 new\ttrusted" in world.coffer("mail", "harvest", path)
    one = world.ask("two@example.org")[0]["two@example.org"]
    assert one["certificate"]["sha256"] == fingerprint(people.crt("two-crypt"))
    world.ask("other@example.org", expect=NOT_ALL)  # came along, proved nothing
    assert signer.exists()


def test_harvest__learns_nothing_from_others(world):
    people = world.anchored
    eve = people.add("eve")
    nothing = {
        "another's name": world.sign(eve, PLAIN.replace(b"bob@", b"victim@"), "spoof.eml"),
        "two From": world.sign(eve, b"From: eve@example.org, bob@example.org\r\nTo: a@example.org\r\n\r\nx\r\n",
                               "two-from.eml"),
        "no From": world.sign(eve, b"To: a@example.org\r\n\r\nx\r\n", "no-from.eml"),
    }
    good = world.sign(eve, PLAIN.replace(b"bob@", b"eve@"), "good.eml")
    altered = world.folder / "altered.eml"
    altered.write_bytes(good.read_bytes().replace(b"hello", b"hullo"))
    plain = world.folder / "plain.eml"
    plain.write_bytes(PLAIN)
    inner = good.read_bytes().split(b"\r\n\r\n", 1)
    partly = world.folder / "partly.eml"  # the signed part is one of several
    content_type = next(line for line in inner[0].replace(b"\r\n\t", b" ").replace(b"\r\n ", b" ").split(b"\r\n")
                        if line.lower().startswith(b"content-type"))
    partly.write_bytes(b"From: eve@example.org\r\nContent-Type: multipart/mixed; boundary=zz\r\n\r\n--zz\r\n\r\nread"
                       b" me\r\n--zz\r\n" + content_type + b"\r\n\r\n" + inner[1] + b"\r\n--zz--\r\n")
    nothing.update({"altered": altered, "plain": plain, "partly": partly})
    for why, path in nothing.items():
        assert "nothing: not signed by its sender" in world.coffer("mail", "harvest", path), why
    world.ask("eve@example.org", "victim@example.org", expect=NOT_ALL)
    # An envelope is opened here, and what is inside sent.
    sealed = world.folder / "sealed.eml"
    sealed.write_bytes(coffer("mail", "encrypt", "--to", people.crt("eve"), stdin=good.read_bytes()))
    assert "inside the envelope" in world.instance.coffer("mail", "harvest", str(sealed), expect=2).stderr
    assert "eve@example.org\t1 new" in world.coffer("mail", "harvest", "--key", eve, sealed)


def test_trust__is_given_by_admins_and_taken(world):
    people = world.people("partner")
    carol = people.add("carol", kind=EC, address="carol@partner.example")
    path = world.sign(carol, PLAIN.replace(b"bob@example.org", b"carol@partner.example"), "carol.eml")
    assert "1 new\tnot trusted" in world.coffer("mail", "harvest", path)
    assert not [e for e in world.audit("mail.harvest") if "carol" in e["object"]]

    def lock(expect=NOT_ALL):
        return world.ask("carol@partner.example", expect=expect)[0]["carol@partner.example"]["lock"]

    assert lock() == "not-trusted"
    world.coffer("mail", "trust", "add", people.root, "--domain", "other.example")
    assert lock() == "not-trusted"
    world.coffer("mail", "trust", "add", people.root, "--domain", "Partner.example", "--why", "contract")
    assert lock(READY) == "ready"
    listed = world.instance.coffer_json("mail", "trust")["trusted"]
    assert [(t["kind"], t["domain"], t["why"]) for t in listed] == [("ca", "partner.example", "contract")]
    assert "trusted\n" in world.coffer("mail", "harvest", path) and lock(READY) == "ready"
    world.coffer("mail", "trust", "remove", listed[0]["sha256"])
    assert lock() == "not-trusted"
    world.coffer("mail", "trust", "remove", listed[0]["sha256"], expect=3)
    assert [e["object"] for e in world.audit("mail.distrust")] == [listed[0]["sha256"]]


def test_trust__pins_one_certificate(world):
    people = world.people("private")
    people.add("dave", address="dave@private.example", kind=EC)
    world.ask("dave@private.example", expect=NOT_ALL)
    world.coffer("mail", "trust", "add", people.crt("dave"))  # nobody knows its issuer
    one = world.ask("dave@private.example")[0]["dave@private.example"]
    assert one["approved"] and "approved by an admin" in one["reason"]
    world.ask("mallory@private.example", expect=NOT_ALL)
    world.coffer("mail", "trust", "add", people.crt("dave"), "--domain", "private.example", expect=2)
    world.coffer("mail", "trust", "add", expect=2)
    assert world.instance.api("POST", "/mail/trust", {"pem": "nonsense"}).status == 400


def revocation_list(people, revoked=(), next_update=1):
    key = load_pem_private_key((people.dir / "root.key").read_bytes(), None)
    root = x509.load_pem_x509_certificate(people.root.read_bytes())
    now = datetime.datetime.utcnow() - datetime.timedelta(hours=2)
    builder = (x509.CertificateRevocationListBuilder().issuer_name(root.subject).last_update(now)
               .next_update(now + datetime.timedelta(days=next_update)))
    for name in revoked:
        serial = x509.load_pem_x509_certificate(people.crt(name).read_bytes()).serial_number
        builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(serial)
                                                  .revocation_date(now).build())
    return builder.sign(key, hashes.SHA256())


def test_recipients__foreign_lists_are_believed_when_they_are_there(world):
    people = world.people("listed")
    for name in ("gone", "here"):
        made = people.add(name, kind=EC, address=f"{name}@listed.example")
        message = PLAIN.replace(b"bob@example.org", f"{name}@listed.example".encode())
        world.coffer("mail", "harvest", world.sign(made, message))
    world.coffer("mail", "trust", "add", people.root)

    def put(data):
        (world.folder / "new.crl").write_bytes(data)
        (world.folder / "new.crl").rename(world.lists / "listed.crl")

    def states(expect):
        answers, _ = world.ask("gone@listed.example", "here@listed.example", expect=expect)
        return [answers[f"{n}@listed.example"]["revocation"] for n in ("gone", "here")]

    assert states(READY) == ["unknown", "unknown"]
    (world.lists / "README").write_text("lists are fetched every night\n")
    other = world.people("impostor")  # of the same name, but another key
    put(revocation_list(other, []).public_bytes(serialization.Encoding.DER))
    assert states(READY) == ["unknown", "unknown"]
    put(revocation_list(people, ["gone"]).public_bytes(serialization.Encoding.PEM))
    assert states(NOT_ALL) == ["revoked", "good"]
    old = revocation_list(people, ["gone"], next_update=0.01)  # over: what is on it stays revoked
    put(old.public_bytes(serialization.Encoding.DER))
    assert states(NOT_ALL) == ["revoked", "unknown"]


def test_groups__all_members_must_be_able_to_read(world):
    one, two = world.own("g1@example.org"), world.own("g2@example.org")
    world.coffer("mail", "group", "set", "Team@example.org", one, "inner@example.org")
    world.coffer("mail", "group", "set", "inner@example.org", two)
    answers, _ = world.ask("team@example.org")
    assert set(answers) == {one, two} and answers[two]["asked"] == "team@example.org"
    world.coffer("mail", "group", "set", "inner@example.org", two, "out@example.net")
    assert world.ask("team@example.org", expect=NOT_ALL)[0]["out@example.net"]["lock"] == "no-certificate"
    listed = world.instance.coffer_json("mail", "group")["members"]
    assert ("inner@example.org", "out@example.net") in [(m["group"], m["member"]) for m in listed]
    world.coffer("mail", "group", "remove", "inner@example.org")
    assert set(world.ask("team@example.org", expect=NOT_ALL)[0]) == {one, "inner@example.org"}
    world.coffer("mail", "group", "remove", "inner@example.org", expect=3)
    world.coffer("mail", "group", "set", "x@example.org", expect=2)
    assert {e["object"] for e in world.audit("mail.group")} >= {"team@example.org"}


def test_recipients__members_may_ask_and_change_nothing(world):
    token = world.folder / "auditor"
    token.write_text(world.coffer("token", "add", "auditor", "--role", "auditor").split()[-1])
    value = token.read_text().strip()
    assert world.instance.api("GET", "/mail/recipients?address=a%40b.example", token=value).status == 200
    assert world.instance.api("POST", "/mail/groups", {"address": "a@b.example", "members": ["c@d.example"]},
                              token=value).status == 403
    assert world.instance.api("POST", "/mail/harvest", token=value).status == 403



def test_recipients__the_directory_is_asked_last_and_may_be_away(make_instance, slapd, tmp_path):  # noqa: F811
    directory = slapd()
    people = People(tmp_path)
    people.add("erin", kind=EC)
    instance = make_instance(directory.settings())
    instance.coffer("mail", "trust", "add", str(people.root))
    dn = directory.person("erin")
    der = x509.load_pem_x509_certificate(people.crt("erin").read_bytes()).public_bytes(serialization.Encoding.DER)
    directory.modify(dn, "add: userCertificate;binary\nuserCertificate;binary:: "
                     + base64.b64encode(der).decode())
    ask = ("mail", "recipients", "erin@example.org")
    one = instance.coffer_json(*ask)["recipients"][0]
    assert (one["lock"], one["source"]) == ("ready", "directory")
    directory.stop()
    one = instance.coffer_json(*ask, expect=LATER)["recipients"][0]
    assert one["lock"] == "unavailable" and "can't be looked up now" in one["reason"]
    directory.start()
    assert instance.coffer_json(*ask)["recipients"][0]["can_read"]
