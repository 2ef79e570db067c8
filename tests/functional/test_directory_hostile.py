"""Directories that hang, drop and lie: bounded waits, nobody let in, nobody sent away, devices go on."""

import concurrent.futures
import socket
import time

import pytest

from helpers.device import Device
from helpers.false_ldap import (BIND, SEARCH, FalseLdap, Raw, ber, entry, page_control, person, result,
                                searching)
from test_portal import Browser

ANYTHING = "whatever it is"


@pytest.fixture
def false_ldap():
    made = []

    def make(answer):
        made.append(FalseLdap(answer))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(scope="module")
def liar(tmp_path_factory, factory):
    """One instance whose false directory is told anew by each test: (instance, server)."""
    from conftest import _settings
    from helpers.instance import Instance
    server = FalseLdap(searching())
    files = tmp_path_factory.mktemp("liar")
    made = Instance(files)
    try:
        made.init(_settings(files, factory))
        made.configure(server.settings())
        made.start()
        yield made, server
        made.stop()
    finally:
        made.abandon()
        server.stop()


def login(instance, uid="nurse"):
    return Browser(instance).login(f"{uid}@example.org", ANYTHING)


def test_the_false_server_is_believed_when_it_is_sane(liar):
    instance, server = liar
    server.answer = searching(person("sane"))
    assert login(instance, "sane").status == 303
    assert instance.coffer_json("directory", "test")["people"] == 1


@pytest.mark.parametrize("answer", [
    pytest.param(lambda *a: None, id="hangs"),
    pytest.param(lambda s, tag, n, m: [result(0x61)] if tag == BIND else None, id="hangs-at-search"),
    pytest.param(lambda *a: [OSError()], id="drops"),
    pytest.param(lambda s, tag, n, m: [person(), OSError()], id="drops-mid-answer"),
    pytest.param(lambda s, tag, n, m: [Raw(b"\x30\x84\x00\x00\x10\x00\x02\x01\x01\x64"), ], id="half-a-message"),
    pytest.param(lambda s, tag, n, m: [Raw(b"\x30\x84\x7f\xff\xff\xff\x02\x01\x01")], id="two-gigabytes"),
    pytest.param(lambda s, tag, n, m: [Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")], id="no-ldap"),
    pytest.param(searching(code=10, more=ber(0xA3, ber(0x04, b"ldap://192.0.2.1/"))), id="referral"),
    pytest.param(searching(person(), code=4), id="not-complete"),
    pytest.param(searching(person("other", mail="nurse@example.com")), id="anothers-entry"),
    pytest.param(searching(entry("", mail=["nurse@example.org"])), id="no-name"),
    pytest.param(searching(person(x=["v"] * 100001)), id="too-many-values"),
    pytest.param(searching(person(x=["v" * 70000])), id="a-huge-value"),
    pytest.param(searching(*[person()] * 20), id="twenty-of-one-name"),
])
def test_a_login_fails_in_time_and_says_so(liar, answer):
    instance, server = liar
    server.answer = answer
    began = time.monotonic()
    refused = login(instance)
    assert refused.status == 503 and "directory" in refused.text()
    assert time.monotonic() - began < 6
    people = instance.api("GET", "/people").json()["people"]
    assert not [p for p in people if p["email"].startswith(("nurse", "other"))]


@pytest.mark.parametrize("answer", [
    pytest.param(lambda *a: None, id="hangs"),
    pytest.param(lambda s, tag, n, m: [result(0x61)] if tag == BIND else [person(), OSError()],
                 id="drops-mid-answer"),
    pytest.param(searching(person("b"), code=4), id="not-complete"),
    pytest.param(searching(code=10), id="referral"),
    pytest.param(searching(*[person("b")] * 2), id="one-id-twice"),
    pytest.param(searching(), id="empty"),
])
def test_a_sync_that_is_not_whole_changes_nothing(liar, answer):
    instance, server = liar
    server.answer = searching(person("sane"), person("other2"))
    instance.coffer("directory", "sync")
    before = instance.api("GET", "/people").json()
    server.answer = answer
    assert instance.coffer("directory", "sync", expect=None).returncode != 0
    assert instance.api("GET", "/people").json() == before


@pytest.mark.parametrize("answer", [
    pytest.param(searching(person(), person("nurse2", mail="nurse@example.org")), id="two-of-one-name"),
    pytest.param(lambda s, tag, n, m: [result(0x61, 49)] if tag == BIND
                 else [person(), result(0x65)], id="wrong-password"),
    pytest.param(lambda s, tag, n, m: [result(0x61, 53)] if tag == BIND
                 else [person(), result(0x65)], id="unwilling"),
    pytest.param(searching(), id="nobody"),
])
def test_who_is_not_one_good_person_is_refused(liar, answer):
    instance, server = liar
    server.answer = answer
    assert login(instance, "nurse").status == 401


def test_an_entry_outside_of_the_base_is_no_person(liar):
    instance, server = liar
    server.answer = searching(person("outside", dn="uid=outside,dc=example,dc=net"))
    assert login(instance, "outside").status == 503
    report = instance.coffer_json("directory", "test")
    assert (report["people"], report["passed_over"]) == (0, 1)
    # the name ends like the base, but is not beneath it
    server.answer = searching(person("outside", dn="uid=x\\2cou=people\\,dc=example\\,dc=org"))
    assert instance.coffer_json("directory", "test")["people"] == 0


def test_one_id_twice_is_not_believed(liar):
    instance, server = liar
    server.answer = searching(person("a1", ident="same"), person("a2", ident="same"))
    assert "twice" in instance.coffer("directory", "sync", expect=None).stderr
    emails = {p["email"] for p in instance.api("GET", "/people").json()["people"]}
    assert not emails & {"a1@example.org", "a2@example.org"}


def test_pages_without_an_end_are_cut_off(liar):
    instance, server = liar

    def endless(server, tag, number, message):
        if tag != SEARCH:
            return [result(0x61)]
        return [person(f"p{number}"), (result(0x65), page_control(b"again"))]

    server.answer = endless
    # a log-in by its time, a sync by the number of its people
    assert login(instance).status == 503
    server.answer = searching()


def test_ten_thousand_groups_are_not_shown(liar):
    instance, server = liar

    def answer(server, tag, number, message):
        if b"member" in message:
            return [*[entry(f"cn=g{n},dc=example,dc=org") for n in range(10000)], result(0x65)]
        return [person("grouped"), result(0x65)]

    server.answer = answer
    done = instance.coffer("directory", "show", "grouped", expect=None)
    assert done.returncode != 0 and "1000" in done.stderr


def test_a_slow_directory_holds_up_nobody_else(make_instance, false_ldap, factory):
    """Log-ins wait for a directory that hangs; few at a time, so devices and others go on."""
    server = false_ldap(searching(person("nurse")))
    instance = make_instance(server.settings(timeout="3s"))
    device = Device(instance, factory).enrol("nurse@example.org", ANYTHING)
    instance.person("local@example.org")
    server.answer = lambda *a: None
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(login, instance, f"someone{n}") for n in range(40)]
        began = time.monotonic()
        device.session()
        assert Browser(instance).login("local@example.org", "correct horse battery").status == 303
        assert time.monotonic() - began < 3
        statuses = sorted(w.result().status for w in waiting)
    assert set(statuses) <= {429, 503} and statuses.count(429) >= 30


def test_a_stop_does_not_wait_for_the_directory(make_instance, false_ldap):
    server = false_ldap(lambda *a: None)
    instance = make_instance(server.settings(timeout="60s"))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(lambda: _quiet(login, instance)) for _ in range(2)]
        while len(server.open) < 2:
            time.sleep(0.01)
        began = time.monotonic()
        instance.stop()
        assert time.monotonic() - began < 12
        for one in waiting:
            one.result()


def _quiet(function, *args):
    try:
        return function(*args)
    except OSError:
        return None
    except Exception as e:  # http.client: the connection ended
        assert "Remote" in type(e).__name__ or "Bad" in type(e).__name__, e


def test_tls_that_never_comes(make_instance):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(10)
        url = f"ldaps://127.0.0.1:{silent.getsockname()[1]}"
        instance = make_instance({"ldap": {"url": url, "base": "dc=example,dc=org", "timeout": "2s",
                                           "sync_interval": "0s"}})
        began = time.monotonic()
        assert login(instance).status == 503
        assert time.monotonic() - began < 8
