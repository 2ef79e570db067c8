"""Mail for locked devices with a real Dovecot: it tells by its push notification plugin (driver ox), or
coffer-courier waits there with IDLE and NOTIFY."""

import imaplib
import os
import subprocess

import pytest

from helpers import instance as instances
from helpers.arrival import Hook, Stream
from helpers.device import Device
from helpers.dovecot import PASSWORD, Dovecot
from helpers.lease import LeaseApp

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="Dovecot changes to its own users")
TOLD, WATCHED = "told@example.org", "watched@example.org"
MAIL = "From: oscar@example.com\r\nTo: {to}\r\nSubject: Canary of a subject\r\n\r\nCanary of a text\r\n"
PUSH = """
mail_attribute_dict = file:%h/dovecot-attributes
ssl_client_ca_file = {ca}
protocol imap {{
  imap_metadata = yes
}}
protocol lmtp {{
  mail_plugins = notify push_notification
}}
plugin {{
  push_notification_driver = ox:url=https://dovecot:{secret}@localhost:{port}/push/v1/hook timeout=30s
}}
"""


class Told(Dovecot):
    """Starts the instance, too: each has to know something of the other."""

    def __init__(self, instance):
        self.instance = instance
        super().__init__()

    def start(self):
        self.instance.configure({"mailbox": {"imap_ca": str(self.dir / "tls.pem")}})
        self.instance.start()
        hook, ca = Hook(self.instance, "imap1"), self.dir / "root.pem"
        ca.write_bytes((self.instance.directory / "public/root.pem").read_bytes())
        with open(self.dir / "dovecot.conf", "a") as conf:
            conf.write(PUSH.format(ca=ca, secret=hook.secret, port=self.instance.port))
        super().start()

    def subscribe(self, user):
        """The device's wish to be told, as an app sets it by METADATA."""
        subprocess.run(["doveadm", "-c", self.dir / "dovecot.conf", "mailbox", "metadata", "set", "-u", user, "-s",
                        "", "/private/vendor/vendor.dovecot/http-notify", f"user={user}"], check=True,
                       capture_output=True, timeout=instances.PATIENCE)


class World:
    def __init__(self, files, factory):
        self.instance = instances.Instance(files)
        self.instance.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem"))}})
        self.dovecot = Told(self.instance)
        self.factory = factory

    def app(self, address):
        device = Device(self.instance, self.factory).enrol(*self.instance.person(address))
        device.session()
        token = self.instance.api("POST", f"/devices/{device.udid}/token", expect=201).json()["token"]
        return LeaseApp(device, token=token, account=address)

    def deliver(self, to):
        self.dovecot.deliver(to, MAIL.format(to=to))


@pytest.fixture(scope="module")
def world(tmp_path_factory, factory):
    made = World(tmp_path_factory.mktemp("dovecot"), factory)
    try:
        yield made
        made.instance.stop()
    finally:
        made.dovecot.close()
        made.instance.abandon()


def test_dovecot_tells(world):
    app = world.app(TOLD)
    world.instance.coffer("mailbox", "add", TOLD, "--hook", "imap1")
    world.dovecot.subscribe(TOLD)
    kek = app.put()
    with Stream(world.instance, token=app.token) as stream:
        world.deliver(TOLD)
        event = stream.next()
        assert (event["account"], event["folder"], event["uid"]) == (TOLD, "INBOX", 1)
        assert app.opened(app.release(event["event"]), event["event"]) == kek
        world.deliver(TOLD)
        assert stream.next()["uid"] == 2


def test_dovecot_is_watched(world):
    app = world.app(WATCHED)
    world.deliver(WATCHED)  # from before
    world.instance.coffer("mailbox", "add", WATCHED, "--imap", f"imaps://localhost:{world.dovecot.imaps}",
                          "--password-file", "-", stdin=PASSWORD + "\n")

    def box():
        found = world.instance.coffer_json("mailbox", "list")["mailboxes"]
        return [b for b in found if b["address"] == WATCHED][0]

    instances.wait_for(box, lambda b: b["state"] == "watched", world.dovecot.tail())
    said = world.instance.daemon.log_path.read_text()
    assert f"mailbox {WATCHED}:" not in said  # the first connection did
    kek = app.put()
    with Stream(world.instance, token=app.token) as stream:
        world.deliver(WATCHED)
        event = stream.next()
        assert (event["account"], event["folder"], event["uid"]) == (WATCHED, "INBOX", 2)
        assert event["modseq"] > 0
        assert app.opened(app.release(event["event"]), event["event"]) == kek
        world.instance.kill("coffer-courier")
        world.deliver(WATCHED)  # heard of by QRESYNC (RFC 7162), or by the next look
        later = stream.next()
        assert (later["uid"], later["uidvalidity"]) == (3, event["uidvalidity"])
        assert later["modseq"] > event["modseq"]


def test_the_other_folders_are_watched_by_the_same_connection(world):
    """NOTIFY (RFC 5465): what was there is no news, what comes is, what came meanwhile too."""
    address = "folders@example.org"
    app = world.app(address)
    imap = imaplib.IMAP4("localhost", world.dovecot.imap)
    imap.login(address, PASSWORD)
    imap.create("Lists"), imap.create('"Old lists"')
    mail = MAIL.format(to=address).replace("\n", "\r\n").encode()
    assert imap.append('"Old lists"', None, None, mail)[0] == "OK"
    world.instance.coffer("mailbox", "add", address, "--imap", f"imaps://localhost:{world.dovecot.imaps}",
                          "--password-file", "-", stdin=PASSWORD + "\n")

    def box():
        found = world.instance.coffer_json("mailbox", "list")["mailboxes"]
        return [b for b in found if b["address"] == address][0]

    instances.wait_for(box, lambda b: b["state"] == "watched", world.dovecot.tail())
    with Stream(world.instance, token=app.token) as stream:
        assert imap.append("Lists", None, None, mail)[0] == "OK"
        event = stream.next()
        assert (event["account"], event["folder"], event["uid"]) == (address, "Lists", 1)
        world.deliver(address)
        event = stream.next()
        assert (event["folder"], event["uid"]) == ("INBOX", 1)
        world.instance.kill("coffer-courier")
        assert imap.append('"Old lists"', None, None, mail)[0] == "OK"
        event = stream.next()
        assert (event["folder"], event["uid"]) == ("Old lists", 2)
    imap.logout()


def test_nothing_of_the_mail_is_kept(world):
    found = subprocess.run(["grep", "-rlai", "-e", "canary of a", "-e", "oscar@", str(world.instance.directory),
                            str(world.instance.daemon.log_path)], capture_output=True, text=True)
    assert found.stdout == ""
