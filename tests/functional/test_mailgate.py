"""coffer-mailgate as a proxy: what senders are told is what became of their mail."""

import re
import smtplib
import socket
import ssl
import threading
import time

import pytest

from helpers import instance as instances
from helpers.mail import NextHop, Raw, message
from helpers.proc import descriptors, statuses_of_threads

PATIENCE = instances.PATIENCE


class Gate:
    """An instance with the gateway on, its next hops, and rules that tests change."""

    def __init__(self, make_instance, settings=None, **hop):
        self.rules = lambda event, argument: None
        self.out = NextHop(lambda e, a: self.rules(e, a), **hop)
        self.inward = NextHop(lambda e, a: self.rules(e, a), lmtp=True)
        self.port, self.port_in = instances.free_ports(2)
        mailgate = {"listen_out": f"127.0.0.1:{self.port}", "next_out": f"smtp:127.0.0.1:{self.out.port}",
                    "listen_in": f"127.0.0.1:{self.port_in}",
                    "next_in": f"lmtp:127.0.0.1:{self.inward.port}", "hostname": "gate.example.org",
                    "next_timeout": "5s", "delivery_timeout": "5s", **(settings or {})}
        self.instance = make_instance({"mailgate": mailgate})

    def send(self, *recipients, text=None, sender="anna@example.org", port=None, **options):
        with smtplib.SMTP("127.0.0.1", port or self.port, timeout=PATIENCE) as client:
            return client.sendmail(sender, recipients, text or message(), **options)

    def refused(self, *recipients, **options):
        """The one reply for all."""
        with pytest.raises(smtplib.SMTPDataError) as told:
            self.send(*recipients, **options)
        return told.value.smtp_code, told.value.smtp_error.decode()

    def metric(self, name):
        text = self.instance.http("GET", "/metrics", headers={
            "Authorization": f"Bearer {self.instance.api_token()}"}).text()
        return int(re.search(rf"^coffer_mailgate_{name} (\d+)$", text, re.M)[1])


@pytest.fixture(scope="module")
def module_instances(tmp_path_factory, factory):
    made = []

    def make(settings):
        one = instances.Instance(tmp_path_factory.mktemp("gate"))
        made.append(one)
        return one.init(settings).start()

    yield make
    try:
        for one in made:
            one.stop()
    finally:
        for one in made:
            one.abandon()


@pytest.fixture(scope="module")
def shared(module_instances):
    return Gate(module_instances)


@pytest.fixture
def gate(shared):
    shared.rules = lambda event, argument: None
    shared.out.taken.clear()
    shared.inward.taken.clear()
    return shared


def test_message_goes_through_unchanged(gate):
    text = message(body="..a dot\r\n.\r\n.. two\r\nlast line without end")
    assert gate.send("ben@example.org", "cleo@example.com", text=text) == {}
    mail, = gate.out.wait(1)
    assert mail.data == text + b"\r\n"
    assert mail.sender == "anna@example.org"
    assert mail.recipients == ["ben@example.org", "cleo@example.com"]


def test_parameters_go_along(gate):
    with Raw(gate.port) as raw:
        raw.reply()
        offered = raw.say("EHLO client.example.org")
        for name in ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 52428800", "DSN", "XFORWARD",
                     "ENHANCEDSTATUSCODES"):
            assert name in offered
        assert raw.say("XFORWARD NAME=mail.example.com ADDR=192.0.2.1 PROTO=ESMTP").startswith("250")
        assert raw.say("XFORWARD HELO=mail.example.com IDENT=4AB12").startswith("250")
        assert raw.say("MAIL FROM:<anna@example.org> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=QQ314159"
                       ).startswith("250")
        assert raw.say("RCPT TO:<ben@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b+2Bx@example.com"
                       ).startswith("250")
        assert raw.say("DATA").startswith("354")
        raw.send("Subject: x\r\n\r\nGr\u00fc\u00dfe\r\n.\r\n")
        assert raw.reply().startswith("250")
        assert raw.say("QUIT").startswith("221")
    mail, = gate.out.wait(1)
    assert mail.mail.endswith(" BODY=8BITMIME RET=HDRS ENVID=QQ314159")
    assert mail.rcpts == ["RCPT TO:<ben@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b+2Bx@example.com"]
    assert mail.forward == {"NAME": "mail.example.com", "ADDR": "192.0.2.1", "PROTO": "ESMTP",
                            "HELO": "mail.example.com", "IDENT": "4AB12"}


def test_whole_dialogue_at_once(gate):
    with Raw(gate.port) as raw:
        raw.send("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<ben@example.org>\r\nDATA\r\n")
        replies = [raw.reply() for _ in range(5)]
        assert [r[:3] for r in replies] == ["220", "250", "250", "250", "354"]
        raw.send("Subject: a\r\n\r\n1\r\n.\r\nMAIL FROM:<b@example.org>\r\nRCPT TO:<c@example.org>\r\n"
                 "DATA\r\n")
        assert [raw.reply()[:3] for _ in range(4)] == ["250", "250", "250", "354"]
        raw.send("Subject: b\r\n\r\n2\r\n.\r\nQUIT\r\n")
        assert [raw.reply()[:3] for _ in range(3)] == ["250", "221", ""]
    assert [m.sender for m in gate.out.wait(2)] == ["", "b@example.org"]


@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n"])
def test_smuggled_end_is_none(gate, end):
    """Only CR LF . CR LF ends a message; what others might take for an end makes it refused."""
    with Raw(gate.port) as raw:
        raw.begin()
        raw.send(b"Subject: a\r\n\r\none" + end + b"MAIL FROM:<evil@example.com>\r\n"
                 b"RCPT TO:<ben@example.org>\r\nDATA\r\nforged\r\n.\r\n")
        assert raw.reply().startswith("554 5.5.2")
        assert raw.say("NOOP").startswith("250")
    assert gate.out.taken == []


def test_bare_line_ends_in_commands_close(gate):
    for bad in (b"NOOP\n", b"NO\rOP\r\n"):
        with Raw(gate.port) as raw:
            raw.reply()
            raw.send(bad)
            assert raw.reply().startswith("500 5.5.2") and raw.reply() == ""


@pytest.mark.parametrize("code,text", [("451", "4.2.0 wait"), ("452", "4.2.2 full"),
                                       ("554", "5.6.0 not this")])
@pytest.mark.parametrize("place", ["mail", "rcpt", "data", "dot"])
def test_next_hops_refusal_is_told(gate, place, code, text):
    gate.rules = lambda event, argument: f"{code} {text}" if event == place else None
    assert gate.refused("ben@example.org") == (int(code), text)
    assert gate.out.taken == []
    gate.rules = lambda event, argument: None
    assert gate.send("ben@example.org") == {}
    assert len(gate.out.wait(1)) == 1


@pytest.mark.parametrize("place", ["mail", "rcpt", "data", "middle", "dot"])
def test_next_hop_dies(gate, place):
    gate.rules = lambda event, argument: "drop" if event == place else None
    code, text = gate.refused("ben@example.org", text=message(body="x\r\n" * 50000))
    assert code == 451 and text.startswith("4.4.2")
    gate.rules = lambda event, argument: None
    assert gate.send("ben@example.org") == {}
    assert len(gate.out.wait(1)) == 1


def test_next_hop_is_silent(make_instance):
    never = threading.Event()
    gate = Gate(make_instance, {"delivery_timeout": "1s"})
    gate.rules = lambda event, argument: never if event == "dot" else None
    code, text = gate.refused("ben@example.org")
    never.set()
    assert code == 451 and text.startswith("4.4.2")


def test_next_hop_is_away(gate):
    gate.out.drop_all()
    port = gate.out.port
    gate.out.close()
    try:
        code, text = gate.refused("ben@example.org")
        assert code == 451 and text.startswith("4.4.2")
    finally:
        gate.out = NextHop(lambda e, a: gate.rules(e, a), port=port)
    assert gate.send("ben@example.org") == {}


def test_kept_connection_that_died_costs_nothing(gate):
    gate.send("ben@example.org")
    gate.out.drop_all()
    assert gate.send("ben@example.org", text=message("again")) == {}
    assert len(gate.out.wait(2)) == 2


def test_connections_are_used_again(gate):
    gate.out.drop_all()
    before = gate.out.connections
    for i in range(5):
        gate.send("ben@example.org", text=message(str(i)))
    assert gate.out.connections - before == 1


def test_partly_deferred_is_not_sent_twice(gate):
    """One of two recipients waits: 4xx for the message; the sender's next try goes to him alone."""
    text = message("partly")
    gate.rules = lambda e, a: "450 4.2.1 greylisted" if e == "rcpt" and "ben@" in a else None
    assert gate.refused("cleo@example.com", "ben@example.org", text=text) == (
        450, "4.2.1 <ben@example.org>: greylisted")
    assert gate.refused("cleo@example.com", "ben@example.org", text=text)[0] == 450
    gate.rules = lambda e, a: None
    assert gate.send("cleo@example.com", "ben@example.org", text=text) == {}
    first, second = gate.out.wait(2)
    assert first.recipients == ["cleo@example.com"] and second.recipients == ["ben@example.org"]
    # now that the sender knows, the same message is a new one
    assert gate.send("cleo@example.com", text=text) == {}
    assert gate.out.wait(3)[2].recipients == ["cleo@example.com"]
    assert len(gate.out.taken) == 3


def test_ledger_survives_a_crash(make_instance):
    gate = Gate(make_instance)
    text = message("crash")
    gate.rules = lambda e, a: "450 4.2.1 later" if e == "rcpt" and "ben@" in a else None
    gate.refused("cleo@example.com", "ben@example.org", text=text)
    gate.instance.kill("coffer-mailgate")
    gate.rules = lambda e, a: None
    assert gate.send("cleo@example.com", "ben@example.org", text=text) == {}
    assert [m.recipients for m in gate.out.wait(2)] == [["cleo@example.com"], ["ben@example.org"]]


def test_partly_refused_brings_a_report(gate):
    gate.rules = lambda e, a: "550 5.1.1 no such user" if e == "rcpt" and "ben@" in a else None
    assert gate.send("cleo@example.com", "ben@example.org", text=message("partly refused")) == {}
    mail, report = gate.out.wait(2)
    assert mail.recipients == ["cleo@example.com"]
    assert report.sender == "" and report.recipients == ["anna@example.org"]
    parsed = report.message()
    assert parsed.get_content_type() == "multipart/report"
    assert parsed.get_param("report-type") == "delivery-status"
    status = parsed.get_payload()[1].get_payload()[1]
    assert status["Final-Recipient"] == "rfc822;ben@example.org"
    assert status["Status"] == "5.1.1" and status["Action"] == "failed"
    assert "Subject: partly refused" in parsed.get_payload()[2].get_content()


def test_partly_refused_without_a_sender_or_wish_brings_none(gate):
    gate.rules = lambda e, a: "550 5.1.1 no such user" if e == "rcpt" and "ben@" in a else None
    gate.send("cleo@example.com", "ben@example.org", sender="", text=message("no sender"))
    gate.send("cleo@example.com", "ben@example.org", rcpt_options=["NOTIFY=NEVER"],
              text=message("never"))
    assert [m.recipients for m in gate.out.taken] == [["cleo@example.com"]] * 2


def test_report_that_cannot_go_defers(gate):
    def rules(event, argument):
        if event == "rcpt" and "ben@" in argument:
            return "550 5.1.1 no such user"
        return "451 4.3.0 not now" if event == "rcpt" and "anna@" in argument else None

    gate.rules = rules
    text = message("report waits")
    assert gate.refused("cleo@example.com", "ben@example.org", text=text)[0] == 451
    gate.rules = lambda e, a: None if "anna@" in a else rules(e, a)
    assert gate.send("cleo@example.com", "ben@example.org", text=text) == {}
    assert [m.recipients for m in gate.out.wait(2)] == [["cleo@example.com"], ["anna@example.org"]]


def test_all_refused_is_refused(gate):
    gate.rules = lambda e, a: "550 5.1.1 no such user" if e == "rcpt" else None
    assert gate.refused("cleo@example.com", "ben@example.org") == (
        550, "5.1.1 <cleo@example.com>: no such user")


def test_sender_that_left_before_the_answer(gate):
    """The next hop has it, the sender doesn't know: its next try is answered, not delivered."""
    done, text = threading.Event(), message("left")
    gate.rules = lambda event, argument: done if event == "dot" else None
    before = gate.metric("repeats_total")
    raw = Raw(gate.port)
    raw.begin()
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    raw.send(text + b".\r\n")
    instances.wait_for(lambda: gate.metric("messages_total"), lambda n: n > 0, "the message")
    raw.close()  # a reset
    code, told = gate.refused("ben@example.org", text=text)
    assert code == 451 and "at this moment" in told
    done.set()
    gate.out.wait(1)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            assert gate.send("ben@example.org", text=text) == {}
            break
        except smtplib.SMTPDataError as e:
            assert e.smtp_code == 451 and time.monotonic() < deadline
    assert len(gate.out.taken) == 1
    assert gate.metric("repeats_total") == before + 1


def test_lmtp_sender_hears_of_each_recipient(gate):
    def rules(event, argument):
        return "450 4.2.1 later" if event == "rcpt" and "ben@" in argument else None

    gate.rules = rules
    with Raw(gate.port_in) as raw:
        raw.begin("x@example.com", ["anna@example.org", "ben@example.org", "cleo@example.org"],
                  hello="LHLO c")
        raw.send(b"Subject: l\r\n\r\nx\r\n.\r\n")
        assert [raw.reply()[:3] for _ in range(3)] == ["250", "450", "250"]
        assert raw.say("QUIT").startswith("221")
    mail, = gate.inward.wait(1)
    assert mail.recipients == ["anna@example.org", "cleo@example.org"]


def test_lmtp_next_hop_answers_each_after_the_message(gate):
    gate.rules = lambda e, a: "452 4.2.2 mailbox full" if e == "dot" and "ben@" in a else None
    text = message("quota")
    assert gate.refused("anna@example.org", "ben@example.org", text=text, port=gate.port_in) == (
        452, "4.2.2 <ben@example.org>: mailbox full")
    gate.rules = lambda e, a: None
    assert gate.send("anna@example.org", "ben@example.org", text=text, port=gate.port_in) == {}
    assert [m.recipients for m in gate.inward.wait(2)] == [["anna@example.org"], ["ben@example.org"]]


def test_internationalized(gate):
    with Raw(gate.port) as raw:
        raw.reply()
        raw.say("EHLO c")
        assert raw.say("MAIL FROM:<ann\u00e4@example.org>").startswith("553 5.6.7")
        assert raw.say("MAIL FROM:<ann\u00e4@example.org> SMTPUTF8").startswith("250")
        assert raw.say("RCPT TO:<b\u00e9n@example.org>").startswith("250")
        raw.say("DATA")
        assert raw.say("Subject: \u00e4\r\n\r\nx\r\n.").startswith("250")
    mail, = gate.out.wait(1)
    assert "SMTPUTF8" in mail.mail and mail.recipients == ["b\u00e9n@example.org"]


def test_poor_next_hop(make_instance):
    """A next hop without extensions: what it can't take is refused with the reason."""
    gate = Gate(make_instance, extensions=())
    assert gate.send("ben@example.org", text=message()) == {}
    assert gate.refused("ben@example.org", text=message(body="\u00e4\r\n"))[1].startswith("5.6.3")
    with Raw(gate.port) as raw:
        raw.reply()
        raw.say("EHLO c")
        raw.say("MAIL FROM:<ann\u00e4@example.org> SMTPUTF8")
        raw.say("RCPT TO:<ben@example.org>")
        raw.say("DATA")
        assert raw.say("Subject: x\r\n\r\nx\r\n.").startswith("553 5.6.7")


def test_success_that_nobody_will_tell_of_is_told_as_relayed(make_instance):
    """RFC 3461 section 5.2.2: the next hop knows no DSN."""
    gate = Gate(make_instance, extensions=("PIPELINING", "SIZE 20000000"))
    assert gate.send("ben@example.org", text=message("one"), rcpt_options=["NOTIFY=FAILURE"]) == {}
    assert gate.send("ben@example.org", text=message("two"),
                     rcpt_options=["NOTIFY=SUCCESS,FAILURE"]) == {}
    _, mail, report = gate.out.wait(3)
    assert mail.rcpts == ["RCPT TO:<ben@example.org>"]
    assert report.sender == "" and report.recipients == ["anna@example.org"]
    status = report.message().get_payload()[1].get_payload()[1]
    assert status["Action"] == "relayed" and status["Final-Recipient"] == "rfc822;ben@example.org"
    assert gate.send("ben@example.org", text=message("three"), sender="",
                     rcpt_options=["NOTIFY=SUCCESS"]) == {}
    assert len(gate.out.wait(4)) == 4 and len(gate.out.taken) == 4


def test_spool_is_bounded(make_instance):
    gate = Gate(make_instance, {"spool_max": "100000", "max_message": "500000"})
    with pytest.raises(smtplib.SMTPException) as told:  # more than there ever is room for
        gate.send("ben@example.org", text=message(body=("x" * 70 + "\r\n") * 3000))
    assert "552" in str(told.value) and "5.3.4" in str(told.value)
    with Raw(gate.port) as one, Raw(gate.port) as other:
        one.begin()
        one.send("x" * 70 + "\r\n")
        one.send(("x" * 70 + "\r\n") * 1200)
        instances.wait_for(lambda: gate.metric("spool_bytes"), lambda n: n > 60000, "the message")
        other.begin()
        other.send(("x" * 70 + "\r\n") * 1200 + ".\r\n")
        assert other.reply().startswith("452")  # until the first is gone
    assert gate.send("ben@example.org") == {}
    assert gate.metric("spool_bytes") == 0


def test_clients_are_listed(make_instance):
    gate = Gate(make_instance, {"clients_out": "127.0.0.2", "xforward_clients": "192.0.2.1",
                                "domains": "example.org", "per_client": "2"})
    with Raw(gate.port) as raw:
        assert raw.reply().startswith("554 5.7.1") and raw.reply() == ""
    with Raw(gate.port, "127.0.0.2") as raw:
        raw.reply()
        assert "XFORWARD" not in raw.say("EHLO c")
        assert raw.say("XFORWARD NAME=x").startswith("550 5.7.1")
        with Raw(gate.port, "127.0.0.2") as second, Raw(gate.port, "127.0.0.2") as third:
            assert second.reply().startswith("220")
            assert third.reply().startswith("421 4.7.0")
    with Raw(gate.port_in) as raw:
        raw.reply()
        raw.say("EHLO c")
        raw.say("MAIL FROM:<x@example.com>")
        assert raw.say("RCPT TO:<y@example.com>").startswith("550 5.7.1")
        assert raw.say("RCPT TO:<y@EXAMPLE.ORG>").startswith("250")
    # A stranger's sender may be forged: no report, his own server is told and tells him.
    gate.rules = lambda e, a: "550 5.1.1 no such user" if e == "rcpt" and "ben@" in a else None
    text = message("to one who is there and one who is not")
    assert gate.refused("cleo@example.org", "ben@example.org", text=text, sender="victim@example.com",
                        port=gate.port_in) == (550, "5.1.1 <ben@example.org>: no such user")
    assert [m.recipients for m in gate.inward.wait(1)] == [["cleo@example.org"]]
    gate.rules = lambda e, a: None
    assert gate.send("cleo@example.org", "ben@example.org", text=text, sender="victim@example.com",
                     port=gate.port_in) == {}
    assert [m.recipients for m in gate.inward.wait(2)] == [["cleo@example.org"], ["ben@example.org"]]
    assert gate.out.wait(0) == []


def test_silent_client_is_sent_away(make_instance):
    gate = Gate(make_instance, {"timeout": "1s"})
    with Raw(gate.port) as raw:
        assert raw.reply().startswith("220")
        assert raw.reply().startswith("421 4.4.2") and raw.reply() == ""


def test_idle_clients_are_cheap(gate):
    pid = gate.instance.pid_of("coffer-mailgate")

    def resident():
        with open(f"/proc/{pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    held = [Raw(gate.port) for _ in range(50)]
    for raw in held:
        raw.reply()
        raw.say("EHLO c")
    before = resident()
    more = [Raw(gate.port) for _ in range(400)]
    for raw in more:
        raw.reply()
        raw.say("EHLO c")
    grown = resident() - before
    for raw in held + more:
        raw.close()
    if not instances.SANITIZER:
        assert grown < 400 * 8, f"{grown} KiB for 400 clients"
    assert gate.send("ben@example.org") == {}


def test_is_confined(gate):
    pid = gate.instance.pid_of("coffer-mailgate")
    for shown in statuses_of_threads(pid):
        assert re.search(r"^Seccomp:\s+2$", shown, re.M), shown
    gate.instance.daemon.wait_line(r" coffer-mailgate info sandbox landlock=[1-9]\d* seccomp=(on|relaxed)$")
    opened = descriptors(pid).values()
    assert not [path for path in opened if "/vault" in path or "/tls/" in path]


def test_log_tells_no_subjects(gate):
    since = gate.instance.daemon.mark()
    gate.send("ben@example.org", text=message("A telling subject", body="A telling body\r\n"))
    gate.instance.daemon.wait_line(r"coffer-mailgate info message side=out .* reply=250", since)
    assert "telling" not in "\n".join(gate.instance.daemon.lines)


def test_stop_lets_deliveries_end(make_instance):
    gate = Gate(make_instance)
    done, answer = threading.Event(), []
    gate.rules = lambda event, argument: done if event == "dot" else None
    raw = Raw(gate.port)
    raw.begin()
    raw.send(message() + b".\r\n")
    instances.wait_for(lambda: gate.metric("messages_total"), lambda n: n == 1, "the message")
    idle = Raw(gate.port)
    idle.reply()
    stopping = threading.Thread(target=gate.instance.stop)
    stopping.start()
    assert idle.reply().startswith("421 4.3.2")
    done.set()
    assert raw.reply().startswith("250")
    stopping.join(PATIENCE)
    assert len(gate.out.taken) == 1


# ---- TLS ----

def server_context(instance):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(instance.directory / "tls/cert.pem", instance.directory / "tls/key.pem")
    return context


@pytest.fixture(scope="module")
def secured(module_instances):
    """Both listeners with TLS, next hop out over verified STARTTLS."""
    return Gate(lambda s: make_secured(module_instances, s))


def make_secured(make, settings):
    settings["mailgate"].update({
        "certificate": "tls/cert.pem", "key": "tls/key.pem", "listen_out_tls": "required",
        "listen_in_tls": "implicit", "next_out_tls": "verify", "next_out_name": "localhost",
        "next_out_ca": "public/root.pem"})
    return make(settings)


def test_tls_both_ways(secured):
    secured.out.tls = server_context(secured.instance)
    context = secured.instance.tls()
    with Raw(secured.port) as raw:
        raw.reply()
        assert "STARTTLS" in raw.say("EHLO c")
        assert raw.say("MAIL FROM:<a@example.org>").startswith("530 5.7.0")
    with smtplib.SMTP("localhost", secured.port, timeout=PATIENCE) as client:
        client.starttls(context=context)
        client.ehlo()
        assert not client.has_extn("starttls")
        assert client.sendmail("anna@example.org", ["ben@example.org"], message()) == {}
    assert len(secured.out.wait(1)) == 1
    with smtplib.SMTP_SSL("localhost", secured.port_in, timeout=PATIENCE, context=context) as client:
        assert client.sendmail("x@example.com", ["anna@example.org"], message()) == {}


def test_nothing_follows_starttls(secured):
    with Raw(secured.port) as raw:
        raw.reply()
        raw.say("EHLO c")
        raw.send("STARTTLS\r\nRSET\r\n")
        assert raw.reply().startswith("554 5.5.1") and raw.reply() == ""


def test_next_hop_that_is_not_verified(secured, tmp_path, openssl):
    context = secured.instance.tls()

    def refusal():
        secured.out.drop_all()
        with smtplib.SMTP("localhost", secured.port, timeout=PATIENCE) as client:
            client.starttls(context=context)
            with pytest.raises(smtplib.SMTPDataError) as told:
                client.sendmail("anna@example.org", ["ben@example.org"], message("tls"))
            return told.value.smtp_code, told.value.smtp_error[:5]

    good = secured.out.tls
    secured.out.tls = None
    assert refusal() == (454, b"4.7.5"), "no STARTTLS is offered"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost", "-keyout", tmp_path / "key", "-out", tmp_path / "cert")
    secured.out.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secured.out.tls.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    assert refusal() == (454, b"4.7.5"), "nobody we trust signed it"
    secured.out.tls = good


def test_wrong_settings_are_named(make_instance):
    one = make_instance(start=False)
    for settings, words in (
            ({"listen_out": "127.0.0.1:0", "next_out": "smtp:192.0.2.1:25", "next_out_tls": "none"},
             "clear"),
            ({"listen_out": "127.0.0.1:0"}, "next_out"),
            ({"listen_out": "127.0.0.1:0", "next_out": "smtp:127.0.0.1:25",
              "clients_out": "0.0.0.0/0"}, "open relay"),
            ({"listen_in": "127.0.0.1:0", "next_in": "lmtp:127.0.0.1:25",
              "clients_in": "::/0"}, "domains")):
        conf = one.directory / "coffer.conf"
        before = conf.read_text()
        one.configure({"mailgate": settings})
        with pytest.raises(AssertionError):
            one.start()
        one.daemon.process.wait(PATIENCE)
        one.daemon.reader.join(PATIENCE)
        assert any(words in line for line in one.daemon.lines), one.daemon.tail()
        one.daemon = None
        conf.write_text(before)


def test_off_by_default(instance):
    instance.daemon.wait_line(r"coffer-mailgate is off$")
    instance.daemon.wait_line(r"coffer-mailgate pid=\d+ ended with status 0$")
    assert "coffer-mailgate" not in instances.processes_of(instance.directory).values()
