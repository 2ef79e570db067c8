"""The enrolment portal, as a browser without JavaScript and as curl use it."""

import json
import base64
import concurrent.futures
import html
import http.cookies
import re
import urllib.parse

import pytest

from helpers import cms
from helpers.device import Device

PASSWORD = "correct horse battery"


class Browser:
    """Follows forms and keeps cookies, nothing more."""

    def __init__(self, instance):
        self.instance, self.cookies = instance, {}

    def go(self, method, path, fields=None, headers=None):
        sent = dict(headers or {})
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        body = None
        if isinstance(fields, bytes):
            body = fields
        elif fields is not None:
            body = urllib.parse.urlencode(fields)
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        response = self.instance.http(method, path, body, sent)
        for line in response.headers.get_all("Set-Cookie") or []:
            jar = http.cookies.SimpleCookie(line)
            for name, morsel in jar.items():
                self.last_cookie = line
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0" or not morsel.value:
                    del self.cookies[name]
        return response

    def login(self, email, password=PASSWORD):
        return self.go("POST", "/enrol", {"email": email, "password": password})


def basic(email, password=PASSWORD):
    return {"Authorization": "Basic " + base64.b64encode(f"{email}:{password}".encode()).decode()}


def check_headers(response, page=True):
    h = response.headers
    assert h["X-Content-Type-Options"] == "nosniff"
    assert "max-age" in h["Strict-Transport-Security"]
    assert h["Referrer-Policy"]
    if page:
        assert "default-src 'none'" in h["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in h["Content-Security-Policy"]
        assert "no-store" in h["Cache-Control"]


def test_forms_lead_to_the_profile(instance, factory, person):
    browser = Browser(instance)
    start = browser.go("GET", "/")
    assert start.status in (302, 303) and start.headers["Location"] == "/enrol"
    page = browser.go("GET", "/enrol")
    assert page.status == 200 and "<script" not in page.text().lower()
    check_headers(page)
    form = re.search(r'<form method="post" action="([^"]+)">', page.text())
    names = re.findall(r'<input[^>]* name="([^"]+)"', page.text())
    assert form[1] == "/enrol" and names == ["email", "password"]
    answer = browser.login(person[0])
    assert answer.status == 303 and answer.headers["Location"] == "/enrol"
    for flag in ("HttpOnly", "Secure", "SameSite"):
        assert flag in browser.last_cookie
    page = browser.go("GET", "/enrol")
    assert person[0] in page.text()
    link = html.unescape(re.search(r'class="button" href="([^"]+)"', page.text())[1])
    device = Device(instance, factory)
    profile = browser.go("GET", link)
    check_headers(profile, page=False)
    assert "attachment" in profile.headers["Content-Disposition"]
    device.take_offer(profile)
    device.phase2()
    assert browser.go("POST", "/enrol/logout", {}).status == 303
    assert browser.go("GET", "/enrol/profile").status == 401


def test_stylesheet_and_links_exist(instance):
    page = Browser(instance).go("GET", "/enrol")
    for path in re.findall(r'(?:href|src)="(/[^"]+)"', page.text()):
        answer = instance.http("GET", path)
        assert answer.status == 200, path
        assert answer.headers["Content-Type"].startswith("text/css")


def test_wrong_password(instance, person):
    browser = Browser(instance)
    page = browser.login(person[0], "wrong password")
    assert page.status == 401 and not browser.cookies
    check_headers(page)
    assert 'role="alert"' in page.text()
    unknown = browser.login("nobody@example.org", "wrong password")
    assert unknown.status == 401
    assert unknown.text().replace("nobody@example.org", "") == page.text().replace(person[0], ""), \
        "the page tells who exists"
    assert browser.login(person[0]).status == 303


def test_throttle(instance, person):
    browser = Browser(instance)
    statuses = [browser.login(person[0], "wrong password").status for _ in range(8)]
    assert statuses[0] == 401 and 429 in statuses
    assert browser.login(person[0]).status == 429, "the right password does not help while waiting"
    instance.api("POST", f"/people/{person[0]}/password", {"password": PASSWORD}, expect=200)
    assert browser.login(person[0]).status == 303, "a new password ends the wait"


def test_basic_authentication(instance, factory, person):
    assert instance.http("GET", "/enrol/profile").headers["WWW-Authenticate"].startswith("Basic")
    assert instance.http("GET", "/enrol/profile", headers=basic(person[0], "no")).status == 401
    device = Device(instance, factory)
    assert device.fetch_offer(*person)["PayloadType"] == "Profile Service"


@pytest.mark.parametrize("value", ["Basic", "Basic ", "Basic %%%", "Basic " + "A" * 9000,
                                   "Bearer x", "basic Og==", "Basic Zm9v"])
def test_malformed_authorization(instance, value):
    answer = instance.http("GET", "/enrol/profile", headers={"Authorization": value})
    assert answer.status in (400, 401, 413, 431), answer


def test_markup_is_escaped(instance, person):
    evil = '"><script>alert(1)</script>\'&@example.org'
    page = Browser(instance).login(evil, "wrong password")
    assert page.status == 401
    assert "<script" not in page.text() and html.escape('"><script>')[:4] in page.text()


def test_organisation_is_escaped(make_instance):
    one = make_instance({"instance": {"organisation": "A & B <i>"}})
    page = one.http("GET", "/enrol").text()
    assert "A &amp; B &lt;i&gt;" in page and "<i>" not in page


def test_malformed_forms(instance, person):
    for body in (b"", b"email", b"email=%zz&password=x", b"email=a&email=b&password=x",
                 b"\xff\xfe=1", b"email=a%00b&password=x"):
        answer = instance.http("POST", "/enrol", body,
                               {"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status in (400, 401), (body, answer)
    big = b"email=a&password=" + b"x" * 20000
    assert instance.http("POST", "/enrol", big).status == 413


def test_member_has_no_api(instance, person):
    browser = Browser(instance)
    browser.login(person[0])
    for path in ("/api/v1/status", "/api/v1/devices", "/api/v1/people", "/api/v1/audit"):
        assert browser.go("GET", path).status == 403, path
    assert browser.go("POST", "/api/v1/people", {}).status == 403


def test_admin_session_needs_the_csrf_token(instance):
    email, _ = instance.person("second.admin@example.org", PASSWORD, role="admin")
    browser = Browser(instance)
    browser.login(email)
    assert browser.go("GET", "/api/v1/status").status == 200
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x" * 43}):
        answer = browser.go("POST", "/api/v1/tokens", None, headers)
        assert answer.status == 403, answer
        assert "CSRF" in answer.text()
    token = json.loads(browser.go("GET", "/api/v1/session").text())["csrf"]
    body = b'{"name": "from the console", "role": "auditor"}'
    assert browser.go("POST", "/api/v1/tokens", body, {"X-CSRF-Token": token}).status == 201


def test_disabled_person(instance, factory):
    email, _ = instance.person("leaving@example.org")
    browser = Browser(instance)
    assert browser.login(email).status == 303
    instance.api("POST", f"/people/{email}/disable", expect=204)
    assert browser.go("GET", "/enrol/profile").status in (401, 403), "the session must end"
    assert browser.login(email).status == 401
    assert instance.http("GET", "/enrol/profile", headers=basic(email)).status == 401
    instance.api("POST", f"/people/{email}/enable", expect=204)
    assert browser.login(email).status == 303


def test_foreign_session_cookies(instance):
    for value in ("", "x", "A" * 64, "A" * 4000, "../../etc", "a;b"):
        answer = instance.http("GET", "/api/v1/status",
                               headers={"Cookie": f"coffer_session={value}"})
        assert answer.status in (400, 401, 431), (value, answer)


@pytest.mark.threads
def test_logins_at_once(instance):
    people = [instance.person(f"crowd{i}@example.org")[0] for i in range(6)]

    def go(number):
        browser = Browser(instance)
        status = browser.login(people[number % 6],
                               PASSWORD if number % 2 == 0 else "wrong password").status
        return number, status

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        for number, status in pool.map(go, range(24)):
            assert status in ((303, 429) if number % 2 == 0 else (401, 429)), (number, status)


def test_profile_signer_is_ours(instance, person):
    answer = instance.http("GET", "/enrol/profile", headers=basic(person[0]))
    signed = cms.verify(answer.body)
    names = [c.subject.rfc4514_string() for c in signed.certificates]
    assert any("Profile Signer" in n for n in names)
