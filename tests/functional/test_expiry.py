"""The expiry watch: what is seen, who is told, once each; through real mail servers, webhooks, TLS
servers and programs."""

import csv
import email
import email.policy
import io
import json
import os
import re
import signal
import sqlite3
import stat
import threading
import time

import pytest

from helpers import notices
from helpers.device import Device
from helpers.instance import ADMIN, ORGANISATION, PATIENCE, wait_for

DAY = 86400
SECRET = b"a secret of webhooks"


def change(instance, sql, *values):
    with sqlite3.connect(instance.directory / "store" / "store.db", timeout=PATIENCE) as db:
        return db.execute(sql, values).rowcount


def rows(instance, sql, *values):
    with sqlite3.connect(instance.directory / "store" / "store.db", timeout=PATIENCE) as db:
        return db.execute(sql, values).fetchall()


def end_in(instance, days, where="profile = 'device-identity'"):
    """Has certificates of our records end in so many days; they began a year before."""
    end = int(time.time() + days * DAY) - 60
    assert change(instance, f"UPDATE certificate SET not_before = ?, not_after = ? WHERE {where}",
                  end - 365 * DAY, end)


def parse(mail):
    return email.message_from_bytes(mail[2], policy=email.policy.default)


@pytest.fixture
def mails():
    server = notices.Mails()
    yield server
    server.stop()


@pytest.fixture
def hook():
    server = notices.Webhook(SECRET)
    yield server
    server.stop()


def smtp(mails, **more):
    return {"smtp": {"url": f"smtp://127.0.0.1:{mails.port}", "from": "coffer@example.org",
                     "tls": "none", **more}}


def webhook(directory, hook):
    path = directory / "secret"
    path.write_bytes(SECRET + b"\n")
    path.chmod(0o600)
    return {"webhook chat": {"url": hook.url, "secret_file": str(path)}}


def enrolled(instance, factory, address="holder@example.org"):
    instance.person(address)
    device = Device(instance, factory).enrol(address, "correct horse battery")
    device.session()
    return device


def test_expiry__admin_and_holder_are_told_once_each(make_instance, factory, mails, hook, tmp_path):
    instance = make_instance({**smtp(mails), **webhook(tmp_path, hook)})
    enrolled(instance, factory)
    instance.coffer("watch", "check")
    assert not mails.mails  # nothing ends yet
    end_in(instance, 20)
    instance.coffer("watch", "check")
    got = {m[1][0]: parse(m) for m in mails.wait(2)}
    assert set(got) == {ADMIN, "holder@example.org"}
    digest = got[ADMIN]
    assert digest["Subject"] == f"{ORGANISATION}: 1 certificate ends soon"
    assert digest["From"].addresses[0].display_name == ORGANISATION
    assert digest["From"].addresses[0].addr_spec == "coffer@example.org"
    assert abs(digest["Date"].datetime.timestamp() - time.time()) < 600
    assert digest["Auto-Submitted"] == "auto-generated"
    assert digest["Message-ID"]
    assert digest.get_content_type() == "text/plain"
    text = digest.get_content()
    assert "(in 20 days)" in text and "of holder@example.org" in text
    assert "nobody asked for a renewal" in text
    assert "Hello A Person" in got["holder@example.org"].get_content()
    headers, body = hook.wait(1)[0]
    told = hook.check(headers, body)
    assert told["event"] == "certificate.expiring" and told["key"] == headers["Idempotency-Key"]
    only, = told["data"]["certificates"]
    assert only["threshold"] == 30 and only["holder"] == "holder@example.org"
    assert only["cause"]["code"] == "not-asked" and only["days_left"] == 20

    instance.coffer("watch", "check")  # nothing new
    end_in(instance, 10)
    instance.coffer("watch", "check")
    assert len(mails.wait(4)) == 4
    assert hook.check(*hook.wait(2)[1])["data"]["certificates"][0]["threshold"] == 14
    assert [r for r in rows(instance, "SELECT threshold FROM expiry_notice")] == [(14,)]
    wait_for(lambda: rows(instance, "SELECT COUNT(*) FROM audit_entry WHERE action = 'mail.sent'"),
             lambda found: found == [(4,)], "the audit of four mails")


def soon(instance):
    """How many end within 30 days, without the OCSP responder's, which replaces itself in time."""
    report = instance.coffer_json("cert", "report", "--within", "30")["certificates"]
    return len([c for c in report if c["source"] != "coffer:ocsp"])


def test_expiry__a_renewed_or_revoked_certificate_is_not_told(make_instance, factory, mails):
    instance = make_instance(smtp(mails))
    enrolled(instance, factory)
    (fingerprint,), = rows(instance, "SELECT fingerprint FROM certificate WHERE"
                           " profile = 'device-identity' AND revoked_ms = 0")
    columns = "issuer, profile, subject, enrolment_id, person_id, spki_sha256, der, created_ms"
    end_in(instance, 5)
    later = int(time.time() + 300 * DAY)
    change(instance, f"INSERT INTO certificate ({columns}, fingerprint, serial, not_before, not_after,"
           f" revoked_ms) SELECT {columns}, x'01', '01', not_before, ?, 0 FROM certificate"
           " WHERE fingerprint = ?", later, fingerprint)
    instance.coffer("watch", "check")
    assert soon(instance) == 0
    change(instance, "UPDATE certificate SET revoked_ms = 1 WHERE serial = '01'")  # no successor now
    assert soon(instance) == 1
    change(instance, "UPDATE certificate SET revoked_ms = 1")
    instance.coffer("watch", "check")
    assert not mails.mails and not rows(instance, "SELECT * FROM expiry_notice")


def test_expiry__one_digest_for_many(make_instance, factory, mails):
    """Also the first run on old certificates: the nearest threshold alone."""
    instance = make_instance(smtp(mails))
    enrolled(instance, factory)
    columns = "issuer, profile, enrolment_id, person_id, spki_sha256, der, created_ms, revoked_ms"
    now = int(time.time())
    with sqlite3.connect(instance.directory / "store" / "store.db", timeout=PATIENCE) as db:
        for i in range(300):
            end = now + (i % 70 - 5) * DAY
            db.execute(f"INSERT INTO certificate ({columns}, fingerprint, serial, subject, not_before,"
                       f" not_after) SELECT issuer, profile, '', person_id, spki_sha256, der,"
                       " created_ms, 0, ?, ?, ?, ?, ? FROM certificate WHERE profile = 'device-identity'"
                       " AND enrolment_id <> '' LIMIT 1",
                       (bytes([1]) + i.to_bytes(31, "big"), f"f{i}", f"CN=laptop {i}",
                        end - 365 * DAY, end))
    instance.coffer("watch", "check")
    first = mails.wait(2)
    assert len(first) == 2  # the admin's digest, the one holder's
    digest = next(parse(m) for m in first if m[1] == [ADMIN])
    told = int(re.match(r".*: (\d+) certificates end soon", digest["Subject"]).group(1))
    assert told > 250 and f"and {told - 200} more" in digest.get_content()
    instance.coffer("watch", "check")
    assert len(mails.mails) == 2


def test_expiry__too_many_at_once_are_held(make_instance, factory, mails):
    instance = make_instance({**smtp(mails), "expiry": {"brake": "1"}})
    enrolled(instance, factory)
    enrolled(instance, factory, "second@example.org")
    end_in(instance, 5)
    shown = instance.coffer("watch", "check").stdout
    assert "held back (many)" in shown
    alarm = parse(mails.wait(1)[0])
    assert "holds back" in alarm["Subject"] and "coffer watch release" in alarm.get_content()
    instance.coffer("watch", "check")
    assert len(mails.mails) == 1  # one alarm a day
    assert not rows(instance, "SELECT * FROM expiry_notice")
    instance.coffer("watch", "release")
    assert len(mails.wait(5)) == 5  # two rounds of one: a digest and a holder's each
    assert len(rows(instance, "SELECT * FROM expiry_notice")) == 2


def test_expiry__a_clock_that_ran_ahead_holds(make_instance, factory, mails):
    """As after a reboot: the last run lies far back by the wall clock."""
    instance = make_instance(smtp(mails))
    enrolled(instance, factory)
    instance.coffer("watch", "check")
    instance.stop()
    long_ago = str(int((time.time() - 400 * DAY) * 1000))
    assert change(instance, "UPDATE meta SET value = ? WHERE name = 'expiry.last_run_ms'", long_ago)
    end_in(instance, 5)
    instance.start()
    assert "held back (clock)" in instance.coffer("watch", "check").stdout
    assert "clock ran ahead" in parse(mails.wait(1)[0]).get_content()
    change(instance, "UPDATE meta SET value = ? WHERE name = 'expiry.last_run_ms'",
           str(int(time.time() * 1000)))  # the clock is right again
    assert "held back" not in instance.coffer("watch", "check").stdout
    mails.wait(3)


def test_expiry__the_cause_is_told(make_instance, factory):
    instance = make_instance({"certificate-profile device-identity": {"approval": "automatic"}})
    enrolled(instance, factory)
    end_in(instance, 5)

    def cause():
        only, = instance.coffer_json("cert", "report")["certificates"]
        return only["cause"], only["cause_text"]

    assert cause()[0] == "not-asked"
    change(instance, "UPDATE device SET last_seen_ms = ?", int((time.time() - 40 * DAY) * 1000))
    code, text = cause()
    assert code == "device-away"
    assert time.strftime("%Y-%m-%d", time.gmtime(time.time() - 40 * DAY)) in text
    change(instance, "UPDATE device SET last_seen_ms = ?, push_state = 'unregistered'",
           int(time.time() * 1000))
    assert cause()[0] == "push-fails"
    change(instance, "UPDATE scep_trace SET outcome = 'refused', fail_info = 'badRequest',"
           " problem = 'the key is too weak' WHERE about = (SELECT enrolment_id FROM certificate"
           " WHERE profile = 'device-identity')")
    code, text = cause()
    assert code == "refused" and "badRequest: the key is too weak" in text
    (fingerprint,), = rows(instance, "SELECT fingerprint FROM certificate WHERE"
                           " profile = 'device-identity' AND revoked_ms = 0")
    change(instance, "INSERT INTO scep_pending VALUES ('AB12', x'00', x'00', 'waiting', '', '', '', '',"
           " '', '', '', '', ?, x'00', '', ?, ?, 0, '')", fingerprint, int(time.time() * 1000),
           int((time.time() + DAY) * 1000))
    code, text = cause()
    assert code == "pending-approval" and "coffer cert approve AB12" in text
    change(instance, "UPDATE scep_pending SET state = 'denied', reason = 'not this one'")
    assert cause() == ("denied", f"the request of {time.strftime('%Y-%m-%d', time.gmtime())} was"
                       " denied: not this one")


def test_expiry__mail_over_starttls_with_a_login(make_instance, factory, tmp_path):
    pair = notices.certificate(tmp_path, "mail", 100)
    password = tmp_path / "password"
    password.write_text("hunter22\n")
    password.chmod(0o600)
    mails = notices.Mails(notices.server_context(pair), "coffer", "hunter22")
    try:
        instance = make_instance({
            "smtp": {"url": f"smtp://localhost:{mails.port}", "from": "coffer@example.org",
                     "user": "coffer", "password_file": str(password), "ca": str(pair[0])},
            "notify": {"admins": "it@example.org, second@example.org"},
            "expiry": {"holders": "no"}})
        enrolled(instance, factory)
        end_in(instance, 5)
        instance.coffer("watch", "check")
        assert {m[1][0] for m in mails.wait(2)} == {"it@example.org", "second@example.org"}
    finally:
        mails.stop()


def test_expiry__no_tls_no_mail(make_instance, factory, mails):
    """tls = required, and the server has none: nothing goes in clear."""
    instance = make_instance(smtp(mails, tls="required"))
    enrolled(instance, factory)
    end_in(instance, 5)
    instance.coffer("watch", "check")
    wait_for(lambda: rows(instance, "SELECT last_error FROM job WHERE kind = 'mail'"),
             lambda found: found and all(e for e, in found), "the mail jobs' error")
    assert not mails.mails


def test_expiry__a_password_others_may_read_is_refused(make_instance, tmp_path):
    password = tmp_path / "password"
    password.write_text("hunter22\n")
    password.chmod(0o644)
    instance = make_instance({"smtp": {
        "url": "smtp://localhost:1", "from": "coffer@example.org", "user": "coffer",
        "password_file": str(password)}}, start=False)
    with pytest.raises(AssertionError, match=r"password_file"):
        instance.start()
    instance.abandon()


def test_expiry__an_unknown_recipient_is_given_up(make_instance, factory):
    mails = notices.Mails(refuse=("holder@example.org",))
    try:
        instance = make_instance(smtp(mails))
        enrolled(instance, factory)
        end_in(instance, 5)
        instance.coffer("watch", "check")
        mails.wait(1)
        wait_for(lambda: rows(instance, "SELECT dead, last_error FROM job WHERE kind = 'mail'"),
                 lambda found: len(found) == 1 and found[0][0] == 1 and "550" in found[0][1],
                 "the refused mail")
    finally:
        mails.stop()


def test_expiry__killed_between_sending_and_noting(make_instance, factory, tmp_path):
    """At least once, and the repetition says that it is one."""
    killed = threading.Event()
    instance = None

    def kill_first(number):
        if number == 1:
            os.kill(instance.pid_of("coffer-courier"), signal.SIGKILL)
            killed.set()

    hook = notices.Webhook(SECRET, before=kill_first)
    try:
        instance = make_instance(webhook(tmp_path, hook))
        enrolled(instance, factory)
        end_in(instance, 5)
        instance.coffer("watch", "check")
        first, second = hook.wait(2)
        assert killed.is_set()
        assert first[0]["Idempotency-Key"] == second[0]["Idempotency-Key"]
        assert first[1] == second[1]
        hook.check(*second)
        wait_for(lambda: rows(instance, "SELECT * FROM job WHERE kind = 'webhook'"),
                 lambda found: not found, "the webhook job's end")
        assert len(hook.requests) == 2
    finally:
        hook.stop()


def test_expiry__a_webhook_that_refuses_is_given_up(make_instance, factory, tmp_path):
    hook = notices.Webhook(SECRET, status=403)
    try:
        instance = make_instance(webhook(tmp_path, hook))
        enrolled(instance, factory)
        end_in(instance, 5)
        instance.coffer("watch", "check")
        hook.wait(1)
        wait_for(lambda: rows(instance, "SELECT dead, last_error FROM job WHERE kind = 'webhook'"),
                 lambda found: found and found[0][0] == 1 and "403" in found[0][1], "its end")
    finally:
        hook.stop()
    # a URL may be a secret, and everybody who audits reads what went wrong
    told = instance.coffer("jobs").stdout + instance.coffer("audit", "list", "--json").stdout
    assert "[webhook " in told and hook.url not in told


def test_expiry__an_unreachable_webhook_is_named_not_shown(make_instance, factory, tmp_path):
    hook = notices.Webhook(SECRET)
    hook.stop()
    instance = make_instance(webhook(tmp_path, hook))
    enrolled(instance, factory)
    end_in(instance, 5)
    instance.coffer("watch", "check")
    wait_for(lambda: rows(instance, "SELECT last_error FROM job WHERE kind = 'webhook'"),
             lambda found: found and found[0][0], "its failure")
    text = rows(instance, "SELECT last_error FROM job WHERE kind = 'webhook'")[0][0]
    assert text.startswith("[webhook ") and hook.url not in text, text


# ---- foreign ones ----

def test_expiry__foreign_files_and_servers_are_watched(make_instance, mails, tmp_path):
    soon = notices.certificate(tmp_path, "soon.example.org", 6)
    later = notices.certificate(tmp_path, "later.example.org", 200)
    both = tmp_path / "both.pem"
    both.write_bytes(soon[0].read_bytes() + later[0].read_bytes())
    der = tmp_path / "one.der"
    import subprocess
    subprocess.run(["openssl", "x509", "-in", later[0], "-outform", "DER", "-out", der], check=True)
    pair = notices.certificate(tmp_path, "server.example.org", 20)
    starttls = notices.Mails(notices.server_context(pair))
    with notices.s_server(pair) as port, notices.s_server(pair, "-tls1_2", "-Verify", "1") as old:
        instance = make_instance({
            **smtp(mails), "watch files": {"target": f"file:{both}"},
            "watch der": {"target": f"file:{der}"},
            "watch gone": {"target": f"file:{tmp_path}/none.pem"},
            "watch demanding": {"target": f"tls:127.0.0.1:{old}"},
            "watch smtp": {"target": f"tls:localhost:{starttls.port},starttls=smtp"}})
        # asks for a round at once, so it comes last: what that round sees is told
        instance.coffer("watch", "add", "server", f"tls:localhost:{port}")
        instance.coffer("watch", "check")
        found = {s["name"]: s for s in instance.coffer_json("watch", "list")["sources"]}
    starttls.stop()
    for name in ("files", "der", "server", "demanding", "smtp", "coffer:root", "coffer:device-ca",
                 "coffer:mail-ca", "coffer:profile-signer", "coffer:tls"):
        assert found[name]["state"] == "ok", found[name]
    assert found["gone"]["state"] == "unreachable" and "none.pem" in found["gone"]["problem"]
    text = next(parse(m) for m in mails.wait(1) if m[1] == [ADMIN]).get_content()
    assert "CN=soon.example.org" in text and "CN=server.example.org" in text
    assert "CN=later.example.org" not in text
    assert "and 2 more" in text  # one certificate at three servers is told once
    report = instance.coffer_json("cert", "report", "--within", "365")["certificates"]
    names = [c["subject"] for c in report if c["source"] and not c["source"].startswith("coffer:")]
    assert sorted(names) == ["CN=later.example.org", "CN=server.example.org", "CN=soon.example.org"]
    instance.coffer("watch", "remove", "server")
    instance.coffer("watch", "remove", "server", expect=3)
    instance.coffer("watch", "remove", "files", expect=3)


def test_expiry__hostile_servers_are_unreachable(make_instance, tmp_path):
    release = threading.Event()

    def silent(connection):
        release.wait(PATIENCE)

    def endless(connection):
        while True:
            connection.sendall(b"220-" + b"x" * 500 + b"\r\n")

    def garbage(connection):
        connection.recv(100)
        connection.sendall(os.urandom(4000))

    pair = notices.certificate(tmp_path, "big", 20)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(b"".join(
        notices.certificate(tmp_path, f"c{i}-" + "x" * 50, 20)[0].read_bytes() for i in range(400)))
    instance = make_instance()
    with notices.plain_server(silent) as mute, notices.plain_server(endless) as flood, \
            notices.plain_server(garbage) as noise, \
            notices.s_server(pair, "-cert_chain", chain) as large:
        for name, target in (("mute", f"tls:127.0.0.1:{mute}"), ("noise", f"tls:127.0.0.1:{noise}"),
                             ("flood", f"tls:127.0.0.1:{flood},starttls=smtp"),
                             ("large", f"tls:127.0.0.1:{large}"), ("closed", "tls:127.0.0.1:1"),
                             ("nowhere", "tls:nowhere.invalid:443")):
            instance.coffer("watch", "add", name, target)
        before = time.monotonic()
        instance.coffer("watch", "check")
        assert time.monotonic() - before < PATIENCE
        found = {s["name"]: s for s in instance.coffer_json("watch", "list")["sources"]}
        release.set()
    for name in ("mute", "noise", "flood", "large", "closed", "nowhere"):
        assert found[name]["state"] == "unreachable" and found[name]["problem"], found[name]
        assert found[name]["since"]
    assert "in time" in found["mute"]["problem"]


@pytest.mark.parametrize("target", [
    "file:/etc/passwd", "tls:host", "tls:host:0", "tls:host:70000", "tls::443", "tls:[::1:443",
    "tls:h:443,starttls=ftp", "http://x", "", "tls:a b:443", "tls:h:443,"])
def test_expiry__bad_targets_are_refused(instance, target):
    assert instance.api("POST", "/watch", {"name": "x", "target": target}).status in (400, 403, 422)


# ---- programs ----

def program(path, text):
    path.write_text(text)
    path.chmod(0o700)
    return str(path)


def test_expiry__programs_run_with_json_and_nothing_else(make_instance, factory, tmp_path):
    good = program(tmp_path / "good", "#!/usr/bin/python3\nimport json, os, sys\n"
                   "told = json.load(sys.stdin)\n"
                   "print(json.dumps({'certificates': len(told['data']['certificates']), 'argv': sys.argv[1:],"
                   " 'environment': sorted(k for k in os.environ if k != 'LC_CTYPE'), 'cwd': os.getcwd(),"
                   " 'fds': sorted(int(f) for f in os.listdir('/proc/self/fd'))[:-1]}))\n")
    bad = program(tmp_path / "bad", "#!/bin/sh\necho it is broken >&2\nexit 3\n")
    slow = program(tmp_path / "slow", "#!/bin/sh\necho begun\nsleep 600 &\nsleep 600\n")
    loud = program(tmp_path / "loud", "#!/bin/sh\nyes | head -c 1000000\n")
    instance = make_instance({"action good": {"run": good}, "action bad": {"run": bad},
                              "action slow": {"run": slow, "timeout": "1s"},
                              "action loud": {"run": loud},
                              "action none": {"run": str(tmp_path / "none")}})
    enrolled(instance, factory)
    end_in(instance, 5)
    instance.coffer("watch", "check")
    runs = wait_for(lambda: instance.coffer_json("watch", "runs")["runs"], lambda r: len(r) == 5,
                    "the programs' runs")
    runs = {r["action"]: r for r in runs}
    told = json.loads(runs["good"]["output"])
    assert told == {"certificates": 1, "argv": [], "environment": [], "cwd": "/", "fds": [0, 1, 2]}
    assert runs["good"]["outcome"] == "exit 0"
    assert runs["bad"]["outcome"] == "exit 3" and runs["bad"]["output"] == "it is broken\n"
    assert runs["slow"]["outcome"] == "timeout" and runs["slow"]["output"] == "begun\n"
    assert runs["slow"]["milliseconds"] < 30000
    assert runs["loud"]["outcome"] == "exit 0" and len(runs["loud"]["output"]) == 8192
    assert runs["none"]["outcome"].startswith("failed: No such file")
    dead = rows(instance, "SELECT name FROM job WHERE kind = 'action' AND dead = 1")
    assert sorted(n.rsplit(":", 1)[1] for n, in dead) == ["bad", "none", "slow"]


# ---- the report ----

EVIL = '=cmd|"/c calc"!A1, <script>alert(1)</script>'


def test_expiry__the_report_in_every_format(make_instance, factory, tmp_path):
    instance = make_instance()
    enrolled(instance, factory)
    end_in(instance, 5)
    change(instance, "UPDATE certificate SET subject = ? WHERE profile = 'device-identity'", EVIL)
    path = tmp_path / "report.csv"
    said = instance.coffer("cert", "report", "--format", "csv", "--out", path).stdout
    assert said == f"Wrote {path}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    raw = path.read_bytes().decode()
    assert raw.count("\r\n") == raw.count("\n") == 2
    row, = csv.DictReader(io.StringIO(raw, newline=""))
    assert row["subject"] == "'" + EVIL and row["days_left"] == "5"
    assert row["holder"] == "holder@example.org"
    page = instance.coffer("cert", "report", "--format", "html").stdout
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "default-src 'none'" in page and "<svg" in page and "not-asked 1" in page
    assert not re.search(r"(src|href)=\"(?!#)", page)
    assert json.loads(instance.coffer("cert", "report", "--json").stdout)["certificates"]
    assert "days" in instance.coffer("cert", "report").stdout
    instance.coffer("cert", "report", "--format", "pdf", expect=2)
    instance.coffer("cert", "report", "--out", tmp_path / "no" / "where", expect=3)
