"""What the mail gateway does by policy: who can read decides, and nobody notices."""

import email
import email.policy
import os
import signal
import smtplib

import pytest

from helpers import instance as instances
from helpers.mail import NextHop

PATIENCE = instances.PATIENCE
ANNA, BERT, CARL = (f"{name}@example.org" for name in ("anna", "bert", "carl"))
OSCAR = "oscar@outside.example"
SECRET = "The vault opens at nine."


class Gate:
    def __init__(self, files):
        self.out, self.inward = NextHop(), NextHop(lmtp=True)
        self.port, self.port_in = instances.free_ports(2)
        self.instance = instances.Instance(files)
        self.instance.init({
            "mailgate": {"listen_out": f"127.0.0.1:{self.port}", "next_out": f"smtp:127.0.0.1:{self.out.port}",
                         "listen_in": f"127.0.0.1:{self.port_in}",
                         "next_in": f"lmtp:127.0.0.1:{self.inward.port}", "hostname": "gate.example.org"},
            "mail_policy": {"domains": "example.org", "report_address": "report@example.org",
                            "report_mailbox": "spam@example.org"}}).start()
        for person in (ANNA, BERT, CARL):
            self.coffer("user", "add", person, "--name", person.split("@")[0].title())
            if person != CARL:
                self.coffer("key", "new", person)

    def coffer(self, *args, **options):
        return self.instance.coffer(*args, **options)

    def policy(self, name, *settings):
        self.coffer("mail", "policy", "set", name, *settings)

    def send(self, sender, recipients, text, inward=False):
        """The mails that went on."""
        hop = self.inward if inward else self.out
        before = len(hop.taken)
        with smtplib.SMTP("127.0.0.1", self.port_in if inward else self.port, timeout=PATIENCE) as client:
            client.sendmail(sender, recipients, text)
        return hop.taken[before:]

    def close(self):
        self.out.close()
        self.inward.close()


def message(sender=ANNA, to=BERT, subject="Plans", extra=""):
    return (f"From: Somebody <{sender}>\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <1@example.org>\r\n"
            f"{extra}\r\n{SECRET}\r\n").encode()


def parsed(mail):
    return email.message_from_bytes(mail.data, policy=email.policy.default)


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    made = Gate(tmp_path_factory.mktemp("policy-gate"))
    try:
        yield made
        made.instance.stop()
    finally:
        made.instance.abandon()
        made.close()


@pytest.fixture(autouse=True)
def no_rules(gate):
    yield
    for rule in gate.instance.coffer_json("mail", "policy")["policy"]:
        if rule["source"] != "coffer.conf":
            gate.coffer("mail", "policy", "remove", rule["name"])


def test_without_rules_mail_passes_as_it_is(gate):
    (mail,) = gate.send(ANNA, [BERT], message())
    assert mail.data == message()


def test_there_and_back_again(gate):
    gate.policy("example.org", "encrypt=all-or-plain", "sign=yes")
    gate.policy(BERT, "decrypt=yes")
    (sealed,) = gate.send(ANNA, [BERT], message())
    assert SECRET.encode() not in sealed.data and b"Plans" not in sealed.data
    assert parsed(sealed)["Content-Type"].startswith("application/pkcs7-mime")
    assert parsed(sealed)["Subject"] == "[...]"
    # what anna's server sends comes to bert's: opened for him by the keeper, its signature verified
    (opened,) = gate.send(ANNA, [BERT], sealed.data, inward=True)
    assert SECRET.encode() in opened.data
    results = parsed(opened)["Authentication-Results"]
    assert results.startswith("gate.example.org") and "smime=pass" in results and ANNA in results
    assert "mail-open" in gate.coffer("audit", "keeper-log").stdout
    # carl has no such rule: what comes to him stays closed
    (closed,) = gate.send(ANNA, [CARL], sealed.data, inward=True)
    assert SECRET.encode() not in closed.data


@pytest.mark.parametrize("kilobytes", [300, 3000])
def test_large_mail_is_sealed_and_opened_inside_the_sandbox(gate, kilobytes):
    """What no longer fits into memory lies in the gateway's own spool, and nothing of it stays counted."""
    gate.policy("example.org", "encrypt=all-or-plain", "sign=yes")
    gate.policy(BERT, "decrypt=yes")
    text = message() + b"All work and no play makes mail a dull thing.\r\n" * (kilobytes * 1000 // 47)
    (sealed,) = gate.send(ANNA, [BERT], text)
    assert parsed(sealed)["Content-Type"].startswith("application/pkcs7-mime")
    (opened,) = gate.send(ANNA, [BERT], sealed.data, inward=True)
    assert opened.data.count(b"a dull thing.\r\n") == kilobytes * 1000 // 47
    assert "smime=pass" in parsed(opened)["Authentication-Results"]
    report = (f"From: {ANNA}\r\nTo: report@example.org\r\nContent-Type: multipart/mixed; boundary=r\r\n\r\n"
              f"--r\r\nContent-Type: message/rfc822\r\n\r\n").encode() + text + b"\r\n--r--\r\n"
    (signed,) = gate.send(ANNA, [OSCAR], report)
    (unpacked,) = gate.send(ANNA, ["report@example.org"], signed.data)
    assert unpacked.data == text


def test_reply_all_with_an_outsider_is_plain_to_all_and_signed(gate):
    gate.policy("*", "encrypt=all-or-plain", "sign=yes")
    (mail,) = gate.send(ANNA, [BERT, OSCAR], message(to=f"{BERT}, {OSCAR}"))
    assert sorted(mail.recipients) == [BERT, OSCAR]
    assert SECRET.encode() in mail.data
    assert parsed(mail).get_content_type() == "multipart/signed"
    (judged,) = gate.send(ANNA, [BERT], mail.data, inward=True)
    assert "smime=pass" in parsed(judged)["Authentication-Results"]


def test_require_says_who_lacks_what(gate):
    gate.policy("example.org", "encrypt=require")
    with pytest.raises(smtplib.SMTPDataError) as told:
        gate.send(ANNA, [BERT, CARL, OSCAR], message(to=f"{BERT}, {CARL}, {OSCAR}"))
    text = told.value.smtp_error.decode()
    assert told.value.smtp_code == 550 and text.startswith("5.7.1")
    assert CARL in text and OSCAR in text and BERT not in text


def test_a_partners_rule_and_a_tag_ask_for_more(gate):
    gate.policy("to:outside.example", "encrypt=require")
    with pytest.raises(smtplib.SMTPDataError):
        gate.send(ANNA, [OSCAR], message(to=OSCAR))
    (mail,) = gate.send(ANNA, [BERT], message(subject="[encrypt] Plans"))
    assert SECRET.encode() not in mail.data


def test_bcc_has_an_envelope_of_its_own(gate):
    gate.policy("*", "encrypt=require")
    mails = gate.send(CARL, [ANNA, BERT], message(sender=CARL, to=ANNA))
    assert sorted(m.recipients for m in mails) == [[ANNA], [BERT]]
    assert mails[0].data != mails[1].data
    for mail in mails:
        assert BERT.encode() not in mail.data
    # bert's keys open bert's copy alone
    gate.policy(BERT, "decrypt=yes", "decrypt_unprotected=yes")  # CBC, not signed
    for mail in mails:
        (opened,) = gate.send(CARL, [BERT], mail.data, inward=True)
        assert (SECRET.encode() in opened.data) == (mail.recipients == [BERT])


def test_results_forged_in_our_name_are_taken_out(gate):
    extra = ("Authentication-Results: gate.example.org; smime=pass\r\n"
             "Authentication-Results: mx.example.org; spf=pass\r\n")
    (mail,) = gate.send(OSCAR, [BERT], message(sender=OSCAR, extra=extra), inward=True)
    assert parsed(mail).get_all("Authentication-Results") == ["mx.example.org; spf=pass"]


def test_gadgets_are_not_opened(gate):
    """EFAIL: an envelope among other parts stays closed, whatever policy says."""
    gate.policy("*", "encrypt=all-or-plain")
    (sealed,) = gate.send(ANNA, [BERT], message())
    gate.policy(BERT, "decrypt=yes", "decrypt_unprotected=yes")
    part = sealed.data[sealed.data.index(b"Content-Type: application/pkcs7-mime"):]
    text = (b"From: " + OSCAR.encode() + b"\r\nContent-Type: multipart/mixed; boundary=g\r\n\r\n--g\r\n"
            b"Content-Type: text/html\r\n\r\n<img src=\"http://x/\r\n--g\r\n" + part +
            b"\r\n--g\r\nContent-Type: text/html\r\n\r\n\">\r\n--g--\r\n")
    (mail,) = gate.send(OSCAR, [BERT], text, inward=True)
    assert mail.data == text


def test_bounces_and_auto_replies_are_left_alone(gate):
    gate.policy("*", "encrypt=all-or-plain", "sign=yes")
    text = message(extra="Auto-Submitted: auto-replied\r\n", to=OSCAR)
    (mail,) = gate.send(ANNA, [OSCAR], text)
    assert mail.data == text
    (mail,) = gate.send("", [BERT], message(sender="mailer-daemon@example.org"))
    assert SECRET.encode() in mail.data


def test_spam_reports_land_as_they_were(gate):
    spam = "Received: from evil by mx\r\nX-Odd:  two  blanks\r\nFrom: x@spam.example\r\n\r\nBuy!\r\n"
    report = (f"From: {ANNA}\r\nTo: report@example.org\r\nContent-Type: multipart/mixed; boundary=r\r\n\r\n"
              f"--r\r\n\r\nSpam.\r\n--r\r\nContent-Type: message/rfc822\r\n\r\n{spam}\r\n--r--\r\n").encode()
    (mail,) = gate.send(ANNA, ["report@example.org"], report)
    assert mail.recipients == ["spam@example.org"] and mail.data == spam.encode()
    with pytest.raises(smtplib.SMTPDataError) as told:
        gate.send(ANNA, ["report@example.org"], message(to="report@example.org"))
    assert told.value.smtp_code == 550


def test_what_a_signed_message_teaches_is_kept(gate):
    gate.policy("*", "sign=yes")
    (mail,) = gate.send(ANNA, [OSCAR], message(to=OSCAR))
    gate.send(ANNA, [BERT], mail.data, inward=True)
    gate.policy("*", "sign=no")
    assert not gate.instance.coffer_json("mail", "policy", "show", ANNA)["gateway"]["signs"]
    (mail,) = gate.send(ANNA, [OSCAR], message(to=OSCAR))
    assert mail.data == message(to=OSCAR)


def test_many_bcc_need_the_room_of_one(gate):
    """Each has an envelope of its own, made when the one before it is away."""
    gate.policy("*", "encrypt=split")
    people = [f"p{n}@example.org" for n in range(40)]
    mails = gate.send(ANNA, [BERT, *people], message())
    assert len(mails) == 2  # nobody of them has a key: one closed, one plain
    gate.policy("*", "encrypt=all-or-plain")
    mails = gate.send(ANNA, [BERT, ANNA], message(to=OSCAR, subject="Outsider"))
    assert len(mails) == 1
    mails = gate.send(ANNA, [BERT, ANNA], message())
    assert [m.recipients for m in mails] == [[BERT], [ANNA]]
    assert all(SECRET.encode() not in m.data for m in mails)


def test_keeper_that_dies_loses_nothing_and_repeats_nothing(gate):
    """A message waits for the next keeper; if that takes long its sender is told 451 and comes again
    (test_gate_out__says_4xx_while_the_keeper_or_a_source_is_away)."""
    gate.policy("*", "sign=yes")
    text = message(to=OSCAR, subject="keeper away")
    os.kill(gate.instance.pid_of("coffer-keeper"), signal.SIGKILL)

    def come():
        try:
            return gate.send(ANNA, [OSCAR], text)
        except smtplib.SMTPDataError as e:
            assert e.smtp_code == 451
            return None

    mails = instances.wait_for(come, lambda sent: sent is not None, "the keeper")
    assert len(mails) == 1 and b"multipart/signed" in mails[0].data
