"""What strangers and leavers must not get: crowding out, foreign forms, names of other devices."""

import socket
import urllib.parse

import pytest
from cryptography import x509

from helpers import scep
from helpers.device import Device, Refused

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TYPE = {"Content-Type": "application/x-pki-message"}


def client(instance, name="client"):
    ca = x509.load_pem_x509_certificate(instance.device_ca.read_bytes())
    return scep.Client(scep.rsa_key("scep"), scep.name(("CN", name)), ca)


def log_in(instance, email, password, headers=None):
    body = urllib.parse.urlencode({"email": email, "password": password})
    return instance.http("POST", "/enrol", body, {**FORM, **(headers or {})})


# ---- why a SCEP request is refused ----

def test_a_client_with_sha1_is_told_so(instance):
    asking = client(instance)
    message = asking.request("none", digest="sha1")
    answer = instance.http("POST", "/scep?operation=PKIOperation", message, TYPE)
    assert answer.status == 200
    reply = asking.read(answer.body)
    assert (reply.status, reply.fail_info) == (scep.FAILURE, "0")  # badAlg
    assert "SHA-1" in reply.text and "[scep] allow_sha1" in reply.text


def test_a_malformed_request_is_told_what_is_wrong(instance):
    answer = instance.http("POST", "/scep?operation=PKIOperation", b"junk", TYPE)
    assert answer.status == 400 and "SCEP message" in answer.text()
    tampered = client(instance).request("none", tamper=True)
    answer = instance.http("POST", "/scep?operation=PKIOperation", tampered, TYPE)
    assert answer.status == 403
    assert len(answer.text().split(":")) > 2, answer.text()  # more than who it came from


def test_help_tells_old_clients_what_they_need(instance):
    text = instance.coffer("scep", "challenge", "--help").stdout
    assert "allow_sha1" in text and "allow_des" in text


# ---- challenges that nobody could use ----

@pytest.mark.parametrize("options", [
    {"names": "junk"}, {"names": "dns:a b"}, {"subject": "not a dn"}, {"subject": "CN=a, O=b"},
    {"profile": "tls-server"}, {"profile": "nosuch"}], ids=str)
def test_a_useless_challenge_is_not_made(instance, options):
    answer = instance.api("POST", "/scep/challenges", options, expect=400)
    assert answer.json()["error"]["message"]


def test_a_useful_challenge_is_made(instance):
    instance.challenge(subject="CN=router1,O=Example Clinic",
                       names="dns:router1.example.org email:a@example.org")


# ---- crowding out ----

def test_an_address_has_so_many_requests_a_second(make_instance):
    own = make_instance({"scep": {"rate": "1", "burst": "20"}})
    message = client(own).request("wrong challenge")
    connection, statuses = own.connect("http"), []
    before = own.api("GET", "/status").json()["keeper"]["log_entries"]
    for _ in range(100):
        connection.request("POST", "/scep?operation=PKIOperation", message)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    assert statuses[:20] == [200] * 20
    assert statuses.count(429) > 60
    assert answer.status == 429 and int(answer.headers["Retry-After"]) > 0
    # the log does not grow by each refusal
    opened = statuses.count(200)
    assert own.api("GET", "/status").json()["keeper"]["log_entries"] - before < opened + 15
    # what else costs something counts as well, and what costs nothing goes on
    assert log_in(own, "nobody@example.org", "wrong").status == 429
    assert own.http("POST", "/enrol/ota", b"junk").status == 429
    assert own.http("GET", "/enrol").status == 200
    assert own.http("GET", "/scep?operation=GetCACaps").status == 200


def test_one_address_does_not_take_all_connections(make_instance):
    own = make_instance({"web": {"per_address": "50"}})
    held = []
    try:
        for _ in range(60):
            s = socket.create_connection(("127.0.0.1", own.http_port), timeout=20)
            s.sendall(b"G")
            held.append(s)
        assert held[-1].recv(1) == b"", "the last one is not closed"
    except ConnectionResetError:
        pass
    finally:
        for s in held:
            s.close()
    own.wait_healthy()


# ---- who left ----

def disable(instance, email):
    instance.api("POST", f"/people/{email}/disable", expect=204)


def test_who_is_disabled_does_not_finish_phase_2(instance, factory):
    person = instance.person("leaver2@example.org")
    device = Device(instance, factory)
    device.fetch_offer(*person)
    disable(instance, person[0])
    with pytest.raises(Refused):
        device.phase2()


def test_who_is_disabled_gets_no_certificate(instance, factory):
    person = instance.person("leaver-scep@example.org")
    device = Device(instance, factory)
    device.fetch_offer(*person)
    profile = device.phase2()
    disable(instance, person[0])
    with pytest.raises((Refused, AssertionError)):
        device.scep(profile["PayloadContent"][0], scep.rsa_key("device first"))


def test_who_is_disabled_gets_no_management_profile(instance, factory):
    person = instance.person("leaver3@example.org")
    device = Device(instance, factory)
    device.enrol_identity(*person)
    disable(instance, person[0])
    with pytest.raises(Refused):
        device.phase3()


# ---- what a device says of itself ----

def managed(instance, factory, person, **said):
    device = Device(instance, factory)
    device.enrol_identity(*person)
    device.install_management()
    assert device.authenticate(**said).status == 200
    assert device.token_update().status == 200
    return device


def test_a_device_does_not_take_anothers_name_or_serial(instance, factory, person):
    first = managed(instance, factory, person, DeviceName="Boss phone")
    liar = managed(instance, factory, person, SerialNumber="Boss phone", ProductName="Mac15,1")
    found = instance.api("GET", "/devices/Boss%20phone", expect=200).json()
    assert found["udid"] == first.udid
    found = instance.api("GET", f"/devices/{liar.udid}", expect=200).json()
    assert found["serial_number"] == liar.serial and found["product"] == liar.product
    entries = instance.api("GET", "/audit", expect=200).json()["entries"]
    said = [e["detail"] for e in entries if e["action"] == "device.authenticate"
            and e["detail"].get("id") == found["id"]]
    assert said and said[0]["said_serial"] == "Boss phone" and said[0]["said_product"] == "Mac15,1"
    # by name it can still be confused: then nobody is hit
    managed(instance, factory, person, DeviceName=first.serial)
    answer = instance.api("GET", f"/devices/{first.serial}")
    assert answer.status == 409
    by_id = instance.api("GET", f"/devices/{first.udid}", expect=200).json()["id"]
    assert instance.api("GET", f"/devices/{by_id}", expect=200).json()["udid"] == first.udid


# ---- forms of other sites ----

FOREIGN = [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
           {"Origin": "https://evil.example"}, {"Origin": "null"},
           {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_foreign_form_signs_nobody_in_or_out(instance, person, headers):
    answer = log_in(instance, *person, headers)
    assert answer.status == 403 and "Set-Cookie" not in answer.headers
    answer = instance.http("POST", "/enrol/logout", "", {**FORM, **headers})
    assert answer.status == 403 and "Set-Cookie" not in answer.headers


def test_our_own_form_signs_in_and_out(instance, person):
    own = [{}, {"Origin": instance.url}, {"Sec-Fetch-Site": "same-origin", "Origin": instance.url},
           {"Origin": f"https://localhost:{instance.port}"}]
    for headers in own:
        answer = log_in(instance, *person, headers)
        assert answer.status == 303, headers
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-coffer_session=") and "; Secure" in cookie
        assert "Path=/;" in cookie and "Domain" not in cookie
        page = instance.http("GET", "/enrol", headers={"Cookie": cookie.split(";")[0]})
        assert "Signed in as" in page.text()
        assert page.headers["Referrer-Policy"] == "same-origin"  # else the Origin is "null"
        out = {**FORM, **headers, "Cookie": cookie.split(";")[0]}
        assert instance.http("POST", "/enrol/logout", "", out).status == 303
