"""People from a directory: a real slapd, log-in by bind, syncs, and what happens when it is away."""

import json
import re

import pytest

from helpers.device import Device, Refused
from helpers.slapd import BASE, SERVICE, Slapd, ldif
from test_portal import Browser, basic

PASSWORD = "correct horse battery"


@pytest.fixture
def slapd(tmp_path_factory):
    made = []

    def make(**options):
        made.append(Slapd(tmp_path_factory.mktemp("slapd"), **options))
        return made[-1].start()

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def directory(slapd):
    """A directory with a nurse, a doctor, and a chief who is an admin."""
    made = slapd()
    made.dns = {uid: made.person(uid) for uid in ("nurse", "doctor", "chief")}
    made.admins = made.group("coffer admins", [made.dns["chief"]])
    return made


@pytest.fixture
def joined(make_instance, directory):
    made = make_instance(directory.settings(admin_groups=directory.admins))
    made.slapd = directory
    return made


def people(instance):
    found = instance.api("GET", "/people", expect=200).json()["people"]
    return {p["email"]: p for p in found}


def audit(instance, action):
    entries = instance.api("GET", "/audit?limit=500", expect=200).json()["entries"]
    return [e for e in entries if e["action"] == action]


# ---- asking ----

def test_test_counts_people_and_roles(joined):
    report = joined.coffer_json("directory", "test")
    assert report["tls"] is True and report["people"] == 3
    assert (report["members"], report["admins"], report["passed_over"]) == (2, 1, 0)
    assert "people" in joined.coffer("directory", "test").stdout


def test_show_says_entry_role_and_groups(joined):
    shown = joined.coffer_json("directory", "show", "chief@example.org")
    assert shown["entry"] == joined.slapd.dns["chief"] and shown["role"] == "admin"
    assert shown["groups"] == [joined.slapd.admins] and shown["login"] == "chief"
    assert joined.coffer_json("directory", "show", "NURSE")["email"] == "nurse@example.org"
    assert "nobody" in joined.coffer("directory", "show", "n*", expect=3).stderr


def test_without_a_directory_it_says_so(instance):
    for command in (["test"], ["sync"], ["show", "x"], ["certificates", "x@example.org"]):
        assert "[ldap] url" in instance.coffer("directory", *command, expect=3).stderr
    assert instance.coffer_json("status")["directory"] is None


# ---- log-in ----

def test_first_login_makes_the_person(joined, factory):
    browser = Browser(joined)
    assert browser.login("Nurse@Example.org", "secret of nurse").status == 303
    assert "nurse@example.org" in browser.go("GET", "/enrol").text()
    made = people(joined)["nurse@example.org"]
    assert (made["source"], made["role"], made["name"]) == ("ldap", "member", "Nurse")
    added = audit(joined, "person.add")[0]
    assert added["object"] == "nurse@example.org" and added["detail"]["source"] == "ldap"
    assert Device(joined, factory).enrol("doctor@example.org", "secret of doctor")
    assert Browser(joined).login("chief@example.org", "secret of chief").status == 303
    assert people(joined)["chief@example.org"]["role"] == "admin"


def test_local_people_still_log_in(joined):
    joined.person("local@example.org")
    assert Browser(joined).login("local@example.org", PASSWORD).status == 303
    assert people(joined)["local@example.org"]["source"] == "local"


def test_wrong_unknown_empty_and_odd_are_refused_alike(joined):
    texts = set()
    for email, password in (("nurse@example.org", "wrong"), ("nobody@example.org", "wrong"),
                            ("nurse@example.org", " "), ("*@example.org", "secret of nurse"),
                            ("nurse)(uid=*@example.org", "secret of nurse"),
                            ("nurse@example.org", "secret of doctor")):
        answer = Browser(joined).login(email, password)
        assert answer.status == 401, (email, password)
        texts.add(re.search(r'role="alert">([^<]*)', answer.text())[1])
    assert len(texts) == 1
    # RFC 4513 section 5.1.2: slapd lets a name without a password in, as nobody
    answer = Browser(joined).login("nurse@example.org", "")
    assert answer.status in (400, 401) and "nurse@example.org" not in people(joined)
    log = (joined.slapd.dir / "slapd.log").read_text()
    assert 'BIND dn="uid=nurse' in log and 'mech=SIMPLE ssf=0\n' not in log


def test_failures_are_throttled(joined):
    assert Browser(joined).login("nurse@example.org", "secret of nurse").status == 303
    statuses = [Browser(joined).login("nurse@example.org", "wrong").status for _ in range(7)]
    assert statuses[:5] == [401] * 5 and 429 in statuses
    strangers = [Browser(joined).login("doctor@example.org", "wrong").status for _ in range(7)]
    assert strangers[:5] == [401] * 5 and 429 in strangers


def test_disabled_here_stays_disabled(joined):
    assert Browser(joined).login("nurse@example.org", "secret of nurse").status == 303
    joined.coffer("user", "disable", "nurse@example.org")
    assert Browser(joined).login("nurse@example.org", "secret of nurse").status == 401
    joined.coffer("directory", "sync")
    assert people(joined)["nurse@example.org"]["disabled"] is True


def test_a_local_address_is_never_taken_over(joined):
    joined.person("nurse@example.org")
    assert Browser(joined).login("nurse@example.org", "secret of nurse").status == 401
    assert Browser(joined).login("nurse@example.org", PASSWORD).status == 303
    report = joined.coffer_json("directory", "sync")
    assert (report["conflicts"], report["first_conflict"]) == (1, "nurse@example.org")
    assert people(joined)["nurse@example.org"]["source"] == "local"


def test_the_directorys_password_is_not_ours_to_change(joined):
    joined.coffer("directory", "sync")
    done = joined.coffer("user", "password", "nurse@example.org", expect=4)
    assert "directory" in done.stderr


def test_only_people_of_the_group_may_come(make_instance, directory):
    members = directory.group("staff", [directory.dns["doctor"].upper()])
    made = make_instance({**directory.settings(admin_groups=directory.admins),
                          "ldap-group staff": {"dn": members, "role": "member"}})
    assert Browser(made).login("doctor@example.org", "secret of doctor").status == 303
    assert Browser(made).login("chief@example.org", "secret of chief").status == 303
    assert Browser(made).login("nurse@example.org", "secret of nurse").status == 401
    report = made.coffer_json("directory", "sync")
    assert report["people"] == 2
    assert {e for e, p in people(made).items() if p["source"] == "ldap"} == {
        "doctor@example.org", "chief@example.org"}


# ---- TLS ----

def test_starttls(make_instance, directory):
    made = make_instance(directory.settings(
        url=f"ldap://127.0.0.1:{directory.plain_port}", starttls="yes"))
    assert made.coffer_json("directory", "test")["tls"] is True
    assert Browser(made).login("nurse@example.org", "secret of nurse").status == 303


def test_a_wrong_name_and_an_unknown_ca_are_refused(make_instance, slapd, tmp_path):
    other = slapd(names=["ldap.example.org"], addresses=["127.0.0.9"])
    other.person("nurse")
    made = make_instance(other.settings())
    assert made.coffer("directory", "test", expect=None).returncode != 0
    assert Browser(made).login("nurse@example.org", "secret of nurse").status == 503
    from helpers.slapd import make_tls
    make_tls(tmp_path)
    good = slapd()
    good.person("nurse")
    made = make_instance(good.settings(ca=str(tmp_path / "ca.pem")))
    assert made.coffer("directory", "test", expect=None).returncode != 0
    # slapd saw no password in either case
    for server in (other, good):
        assert f'BIND dn="{SERVICE}"' not in (server.dir / "slapd.log").read_text()


def test_plain_text_must_be_asked_for(make_instance, directory):
    url = f"ldap://127.0.0.1:{directory.plain_port}"
    made = make_instance(directory.settings(url=url), start=False)
    with pytest.raises(AssertionError):
        made.start()
    assert "insecure" in made.daemon.tail()
    made.abandon()
    made.configure(directory.settings(url=url, insecure="yes"))
    made.start()
    assert made.coffer_json("directory", "test")["tls"] is False


def test_the_bind_password_must_be_private(make_instance, directory):
    (directory.dir / "bind-password").chmod(0o644)
    made = make_instance(directory.settings(), start=False)
    with pytest.raises(AssertionError):
        made.start()
    assert "bind_password_file" in made.daemon.tail()
    made.abandon()


# ---- syncs ----

def test_sync_adds_changes_and_sends_away(joined, factory):
    report = joined.coffer_json("directory", "sync")
    assert (report["people"], report["added"]) == (3, 3)
    assert joined.coffer_json("directory", "sync")["added"] == 0
    device = Device(joined, factory).enrol("nurse@example.org", "secret of nurse")
    device.session()
    slapd = joined.slapd
    slapd.modify(slapd.dns["doctor"], "replace: cn\ncn: Dr. Who\n-\nreplace: mail\nmail: who@example.org")
    slapd.rename(slapd.dns["chief"], "uid=boss", f"ou=people,{BASE}")
    slapd.delete(slapd.dns["nurse"])
    report = joined.coffer_json("directory", "sync")
    assert (report["changed"], report["left"], report["revoked"]) == (2, 1, 1), report
    now = people(joined)
    assert now["who@example.org"]["name"] == "Dr. Who" and "doctor@example.org" not in now
    assert now["chief@example.org"]["role"] == "member"  # the group names the old entry
    assert now["nurse@example.org"]["disabled"] is True
    assert audit(joined, "person.left")[0]["object"] == "nurse@example.org"
    assert Browser(joined).login("nurse@example.org", "secret of nurse").status == 401
    with pytest.raises((Refused, AssertionError)):
        device.session()
    status = joined.coffer_json("status")["directory"]["last_sync"]
    assert status["good"] is True and status["left"] == 1
    # made anew: another id, the same address
    slapd.person("nurse")
    report = joined.coffer_json("directory", "sync")
    assert report["back"] == 1
    assert Browser(joined).login("nurse@example.org", "secret of nurse").status == 303


def test_the_brake_holds_until_it_is_forced(joined):
    slapd = joined.slapd
    for n in range(20):
        slapd.person(f"person{n}")
    assert joined.coffer_json("directory", "sync")["added"] == 23
    for n in range(10):
        slapd.delete(f"uid=person{n},ou=people,{BASE}")
    done = joined.coffer("directory", "sync", expect=4)
    assert "10 of 23" in done.stderr and "--force" in done.stderr
    assert not any(p["disabled"] for p in people(joined).values())
    last = joined.coffer_json("status")["directory"]["last_sync"]
    assert last["good"] is False and "--force" in last["problem"]
    assert joined.coffer_json("directory", "sync", "--force")["left"] == 10
    assert sum(p["disabled"] for p in people(joined).values()) == 10


def test_an_empty_directory_sends_nobody_away(make_instance, slapd):
    one = slapd()
    dn = one.person("only")
    made = make_instance(one.settings())
    made.coffer("directory", "sync")
    one.delete(dn)
    made.coffer("directory", "sync", expect=4)
    assert people(made)["only@example.org"]["disabled"] is False


def test_paging_gets_past_the_servers_size_limit(make_instance, slapd):
    many = slapd(extra="")
    many.stop()
    many.load("".join(many.person_ldif(f"p{n}")[1] for n in range(1203)))
    many.start()
    made = make_instance(many.settings(page_size="100"))
    report = made.coffer_json("directory", "sync")
    assert (report["people"], report["added"]) == (1203, 1203)
    listed = made.coffer_json("user", "list")["people"]
    assert sum(p["source"] == "ldap" for p in listed) == 1203


def test_hostile_values_make_nobody(make_instance, slapd):
    odd = slapd()
    odd.person("fine", cn="Jos\u00e9 Mu\u00f1oz")
    odd.person("nul", mail=b"nul\0@example.org".decode())
    odd.person("bidi", cn="\u202egnp.exe")
    odd.person("long", mail="x" * 300 + "@example.org")
    odd.person("space", mail="a b@example.org")
    odd.person("line", cn="two\nlines")
    odd.add(ldif(f'cn=Smith\\, \\"J\\" \\2b \\#1,ou=people,{BASE}', objectClass="inetOrgPerson",
                 cn='Smith, "J" + #1', sn="x", mail="smith@example.org", userPassword="secret of smith"))
    made = make_instance(odd.settings())
    report = made.coffer_json("directory", "test")
    assert report["passed_over"] == 3 and report["first_passed_over"]
    made.coffer("directory", "sync")
    now = {e: p for e, p in people(made).items() if p["source"] == "ldap"}
    assert set(now) == {"fine@example.org", "bidi@example.org", "line@example.org", "smith@example.org"}
    assert now["fine@example.org"]["name"] == "Jos\u00e9 Mu\u00f1oz"
    assert now["bidi@example.org"]["name"] == "" and now["line@example.org"]["name"] == ""
    assert Browser(made).login("smith@example.org", "secret of smith").status == 303


# ---- Active Directory ----

def test_active_directory_flavour(make_instance, slapd):
    ad = slapd(ad=True)
    dns = {uid: ad.person(uid) for uid in ("nurse", "doctor", "chief")}
    admins = ad.group("Coffer Admins", [dns["chief"]])
    staff = ad.group("Staff", [dns["nurse"], dns["chief"]])
    made = make_instance(ad.settings(admin_groups=admins, member_groups=staff))
    report = made.coffer_json("directory", "test")
    assert (report["people"], report["admins"], report["members"]) == (3, 1, 1)
    shown = made.coffer_json("directory", "show", "nurse")
    assert re.fullmatch(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", shown["external_id"])
    assert shown["login"] == "nurse" and staff in shown["groups"]
    # by mail address and by userPrincipalName, to the same person
    assert Browser(made).login("chief@example.org", "secret of chief").status == 303
    assert Browser(made).login("chief@ad.example.org", "secret of chief").status == 303
    assert people(made)["chief@example.org"]["role"] == "admin"
    assert Browser(made).login("doctor@example.org", "secret of doctor").status == 401
    made.coffer("directory", "sync")
    assert set(people(made)) >= {"nurse@example.org", "chief@example.org"}
    ad.modify(dns["nurse"], "replace: userAccountControl\nuserAccountControl: 514")
    assert Browser(made).login("nurse@example.org", "secret of nurse").status == 401
    assert made.coffer_json("directory", "sync")["left"] == 1
    ad.modify(dns["nurse"], "replace: userAccountControl\nuserAccountControl: 512")
    assert made.coffer_json("directory", "sync")["back"] == 1
    assert Browser(made).login("nurse@example.org", "secret of nurse").status == 303


# ---- away ----

def test_while_the_directory_is_down_only_its_people_wait(joined, factory):
    device = Device(joined, factory).enrol("nurse@example.org", "secret of nurse")
    device.session()
    joined.person("local@example.org")
    joined.slapd.stop()
    answer = Browser(joined).login("nurse@example.org", "secret of nurse")
    assert answer.status == 503 and "directory" in answer.text()
    assert "127.0.0.1" not in answer.text()
    answer = joined.http("GET", "/enrol/profile",
                         headers=basic("nurse@example.org", "secret of nurse"))
    assert answer.status == 503 and b"directory" in answer.body
    assert Browser(joined).login("local@example.org", PASSWORD).status == 303
    joined.queue(device.udid, "DeviceInformation")
    device.session()
    assert "can't be reached" in joined.coffer("directory", "sync", expect=1).stderr
    assert people(joined)["nurse@example.org"]["disabled"] is False
    assert joined.coffer_json("status")["directory"]["last_sync"]["good"] is False
    joined.slapd.start()
    assert Browser(joined).login("nurse@example.org", "secret of nurse").status == 303


def test_a_second_server_takes_over(make_instance, directory):
    made = make_instance(directory.settings(
        url=f"ldaps://127.0.0.1:{directory.plain_port}, ldaps://127.0.0.1:1,"
            f" ldaps://127.0.0.1:{directory.tls_port}"))
    assert Browser(made).login("nurse@example.org", "secret of nurse").status == 303
