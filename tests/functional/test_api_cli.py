"""The JSON API and the command line over it: roles, errors, exit statuses, the audit offline."""

import base64
import datetime
import json
import os
import re
import subprocess
import uuid

import pytest

from helpers import instance as instances
from helpers.device import Device

DONE, FAILED, USAGE, NOT_FOUND, REFUSED, VERIFY = range(6)


@pytest.fixture(scope="module")
def auditor(instance):
    body = {"name": f"auditor {uuid.uuid4()}", "role": "auditor"}
    return instance.api("POST", "/tokens", body, expect=201).json()["token"]


# ---- the API ----

READS = ["/status", "/jobs", "/people", "/devices", "/profiles", "/audit", "/audit/export",
         "/keeper/log"]
WRITES = [("POST", "/people", {"email": "x@example.org"}), ("POST", "/tokens", {"name": "x",
          "role": "admin"}), ("DELETE", "/tokens/x", None), ("POST", "/scep/challenges", {}),
          ("POST", "/devices/x/commands", {"request_type": "DeviceLock"}),
          ("POST", "/devices/x/push", None), ("DELETE", "/devices/x/commands/y", None),
          ("POST", "/profiles", {}), ("DELETE", "/profiles/x", None),
          ("POST", "/profiles/x/assignments", {"device": "x"}),
          ("POST", "/people/a@example.org/disable", None),
          ("POST", "/people/a@example.org/password", {}), ("GET", "/tokens", None)]


def test_auditor_reads(instance, auditor):
    for path in READS:
        instance.api("GET", path, token=auditor, expect=200)
    answer = instance.http("GET", "/metrics", headers={"Authorization": f"Bearer {auditor}"})
    assert answer.status == 200


@pytest.mark.parametrize("method, path, body", WRITES)
def test_auditor_changes_nothing(instance, auditor, method, path, body):
    answer = instance.api(method, path, body, token=auditor, expect=403).json()
    assert answer["error"]["code"] and "admin" in answer["error"]["message"]


def test_every_route_demands_a_token(instance):
    for method, path, _ in [*[("GET", p, None) for p in READS], *WRITES]:
        answer = instance.http(method, "/api/v1" + path)
        assert answer.status == 401 and answer.json()["error"]["message"], path
        answer = instance.api(method, path, token="cft_" + "A" * 43)
        assert answer.status == 401, path


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic x", "Bearer " + "x" * 5000,
                                   "Bearer a b", "bearer"])
def test_malformed_tokens(instance, value):
    answer = instance.http("GET", "/api/v1/status", headers={"Authorization": value})
    assert answer.status in (400, 401, 431), answer


def test_expired_and_removed_tokens(instance):
    def make(**more):
        name = str(uuid.uuid4())
        answer = instance.api("POST", "/tokens", {"name": name, "role": "admin", **more}, expect=201)
        return name, answer.json()["token"]

    now = datetime.datetime.now(datetime.timezone.utc)
    name, token = make(expires=(now + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"))
    instance.api("GET", "/status", token=token, expect=200)
    _, old = make(expires="2020-01-01T00:00:00Z")
    instance.api("GET", "/status", token=old, expect=401)
    instance.api("DELETE", f"/tokens/{name}", expect=204)
    instance.api("GET", "/status", token=token, expect=401)
    instance.api("DELETE", f"/tokens/{name}", expect=404)
    listed = instance.api("GET", "/tokens", expect=200).text()
    assert token not in listed and name not in listed


def test_unknown_paths_and_methods(instance):
    for path in ("/api/v1/nothing", "/api/v1", "/api/v2/status", "/nothing", "/scepter",
                 "/enrol/../api/v1/status", "/%2e%2e/etc/passwd", "//", "/api/v1/status/"):
        assert instance.http("GET", path).status in (400, 404), path
    answer = instance.api("DELETE", "/status")
    assert answer.status == 405 and "GET" in answer.headers["Allow"]
    assert answer.json()["error"]["message"]


MALFORMED = [b"{", b"[]", b'"x"', b'{"email":}', b'{"email":1}', b"\xff", b"[" * 5000,
             b'{"email":"a@b.c","email":"d@e.f"}', b'{"unknown":1}', b"{}",
             b'{"email":"a\\u0000@example.org"}']


@pytest.mark.parametrize("number", range(len(MALFORMED)))
def test_malformed_bodies(instance, number):
    answer = instance.api("POST", "/people", MALFORMED[number])
    assert answer.status in (400, 413), answer
    error = answer.json()["error"]
    assert error["code"] and error["message"]


def test_body_limits(instance):
    assert instance.api("POST", "/people", b" " * 20000).status == 413
    assert instance.api("POST", "/profiles", b" " * (1024 * 1024 + 1)).status == 413


@pytest.mark.parametrize("fields", [
    {"email": "no address"}, {"email": "x" * 300 + "@example.org"}, {"email": "a b@example.org"},
    {"email": "ok@example.org", "password": "short"}, {"email": "ok@example.org", "role": "king"},
    {"email": "ok@example.org", "password": "x" * 2000}, {"email": "ok@example.org", "name": "x" * 999},
])
def test_people_are_checked(instance, fields):
    assert instance.api("POST", "/people", fields).status in (400, 413)


def test_people_exist_once(instance):
    email, _ = instance.person("once@example.org")
    assert instance.api("POST", "/people", {"email": email.upper()}).status == 409


def test_pages(instance):
    for i in range(5):
        instance.person(f"page{i}.{uuid.uuid4()}@example.org")
    whole = [p["email"] for p in instance.api("GET", "/people", expect=200).json()["people"]]
    seen, after = [], ""
    while page := instance.api("GET", f"/people?limit=2&after={after}").json()["people"]:
        seen += [p["email"] for p in page]
        after = page[-1]["email"]
    assert seen == whole == sorted(whole)


def test_healthz_and_metrics(instance):
    assert instance.http("GET", "/healthz").text().strip() == "ok"
    assert instance.http("GET", "/metrics").status == 401
    token = {"Authorization": f"Bearer {instance.api_token()}"}
    text = instance.http("GET", "/metrics", headers=token).text()
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) \S+ .+|[a-z_]+(\{[^}]*\})? \d+(\.\d+)?", line), line
    assert "coffer_devices_enrolled" in text and 'class="2xx"' in text


def test_ca_certificates(instance, openssl, tmp_path):
    for name, path in (("root", instance.root), ("device-ca", instance.device_ca)):
        for listener in ("https", "http"):
            der = instance.http("GET", f"/ca/{name}.der", listener=listener).body
            file = tmp_path / "c.der"
            file.write_bytes(der)
            assert openssl("x509", "-inform", "DER", "-in", file) == \
                openssl("x509", "-in", path)


def test_keeper_log_tells_every_use(instance):
    before = instance.api("GET", "/keeper/log?after=0", expect=200).text().splitlines()
    challenge = instance.challenge(subject="CN=never used")
    assert challenge and all(isinstance(json.loads(line), dict) for line in before)
    assert before, "issuing certificates is in the keeper's own log"


# ---- the command line ----

def commands():
    """Every command there is, from the program's own help."""
    done = subprocess.run([instances.program("coffer"), "--help"], capture_output=True, text=True,
                          timeout=instances.PATIENCE, check=True)
    part = done.stdout.split("Commands")[1].split("Options")[0]
    return [re.split(r"\s{2,}", line.strip())[0].split() for line in part.splitlines()[1:]
            if line.strip()]


@pytest.fixture(scope="module")
def run(instance):
    def go(*args, expect=DONE, stdin=None):
        return instance.coffer(*args, expect=expect, stdin=stdin)
    go.directory = instance.directory
    return go


def test_help_of_every_command():
    listed = commands()
    for wanted in ("init", "user add", "user list", "user disable", "device list", "device show",
                   "device lock", "device erase", "device clear-passcode", "device command",
                   "device push", "device queue", "device cancel", "profile add", "profile list",
                   "profile assign", "scep challenge", "audit list", "audit verify", "status"):
        assert wanted.split() in listed, wanted
    for words in listed:
        done = subprocess.run([instances.program("coffer"), *words, "--help"], text=True,
                              capture_output=True, timeout=instances.PATIENCE)
        assert done.returncode == 0 and done.stdout.startswith(f"usage: coffer {' '.join(words)}")
        assert not done.stderr


def test_programs_say_their_usage():
    for name in ("cofferd", "coffer-keeper", "coffer-web", "coffer-courier", "coffer"):
        for arguments, status in ((["--help"], 0), (["--no-such-option"], 2)):
            done = subprocess.run([instances.program(name), *arguments], capture_output=True,
                                  text=True, timeout=instances.PATIENCE)
            assert done.returncode == status, (name, arguments, done)
            assert "usage" in (done.stdout + done.stderr).lower() or status == 2


def test_exit_statuses(run, instance, device, tmp_path):
    run("status")
    run("no-such-command", expect=USAGE)
    run("device", "lock", expect=USAGE)
    run("device", "list", "--no-such-option", expect=USAGE)
    run("device", "show", "no-such-device", expect=NOT_FOUND)
    for words in (["erase", device.udid], ["command", device.udid, "EraseDevice"]):
        done = run("device", *words, expect=REFUSED)  # nobody there to confirm
        assert "--yes" in done.stderr
    assert instance.api("GET", f"/devices/{device.udid}/commands?open=1").json()["commands"] == []
    run("device", "command", device.udid, "NoSuchCommand", expect=USAGE)
    done = subprocess.run([instances.program("coffer"), "--dir", tmp_path / "none", "status"],
                          capture_output=True, text=True, timeout=instances.PATIENCE)
    assert done.returncode == NOT_FOUND and "coffer init" in done.stderr


def test_messages_help(run):
    done = run("devise", "list", expect=USAGE)
    assert "device" in done.stderr
    done = run("device", "lst", expect=USAGE)
    assert "list" in done.stderr


def test_errors_are_json_where_asked_for(run):
    for words in (["nope"], ["device", "lock"], ["device", "list", "--nope"]):
        done = run(*words, "--json", expect=USAGE)
        assert json.loads(done.stderr)["error"]["code"] == "usage", words
        assert not done.stdout


def test_a_full_disk_is_said_once(run):
    for words in (["version"], ["help"], ["user", "list"], ["status"], ["user", "list", "--json"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([instances.program("coffer"), "--dir", run.directory, *words],
                                  stdout=full, stderr=subprocess.PIPE, text=True,
                                  timeout=instances.PATIENCE)
        assert done.returncode == FAILED, words
        assert done.stderr.count("cannot write to standard output") == 1, words


def test_server_and_token_file(instance, auditor, tmp_path):
    token = tmp_path / "token"
    token.write_text(auditor + "\n")
    token.chmod(0o600)

    def remote(*args):
        return subprocess.run([instances.program("coffer"), "--server", instance.url,
                               "--token-file", token, "--ca", instance.root, *args],
                              capture_output=True, text=True, timeout=instances.PATIENCE)

    assert remote("status").returncode == DONE
    done = remote("user", "add", "x@example.org")
    assert done.returncode == REFUSED and "admin" in done.stderr
    token.write_text("cft_wrong")
    assert remote("status").returncode == REFUSED
    token.chmod(0o644)
    done = remote("status")
    assert done.returncode != DONE and "token" in done.stderr, "readable by others"


def test_wrong_root_is_not_trusted(instance, factory, tmp_path):
    other = factory.write(tmp_path / "other.pem")
    done = instance.coffer("status", "--ca", other, expect=None)
    assert done.returncode not in (DONE, USAGE)


def test_user_commands(run, instance, tmp_path):
    email = f"cli.{uuid.uuid4()}@example.org"
    shown = json.loads(run("user", "add", email, "--name", "By Hand", "--json").stdout)
    assert shown["email"] == email and len(shown["password"]) >= 12
    assert email in run("user", "list").stdout
    again = run("user", "add", email, expect=FAILED)
    assert again.stderr == f"coffer: {email} is in the directory already\n"
    secret = tmp_path / "password"
    secret.write_text("another good password\n")
    secret.chmod(0o600)
    run("user", "password", email, "--password-file", secret)
    login = base64.b64encode(f"{email}:another good password".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    assert instance.http("GET", "/enrol/profile", headers=headers).status == 200
    run("user", "disable", email)
    assert instance.http("GET", "/enrol/profile", headers=headers).status == 401
    run("user", "enable", email)
    listed = json.loads(run("user", "list", "--json").stdout)["people"]
    assert [p["disabled"] for p in listed if p["email"] == email] == [False]
    run("user", "disable", "nobody@example.org", expect=NOT_FOUND)
    run("user", "add", f"from.stdin.{uuid.uuid4()}@example.org", "--password-file", "-",
        stdin="given on standard input\n")


def test_device_commands(run, instance, device):
    listed = json.loads(run("device", "list", "--json").stdout)["devices"]
    assert device.udid in [d["udid"] for d in listed]
    assert device.serial in run("device", "list").stdout
    done = run("device", "list", "--state", "nonsense", expect=USAGE)
    assert all(s in done.stderr for s in ("authenticated", "enrolled", "removed"))
    for name in (device.udid, device.serial):
        assert device.serial in run("device", "show", name).stdout
    first = json.loads(run("device", "lock", device.udid, "--yes", "--message", "Lost",
                           "--json").stdout)["uuid"]
    done = run("device", "lock", device.udid, "--yes", expect=REFUSED)
    assert "lock" in done.stderr.lower()
    assert first in run("device", "queue", device.udid).stdout
    run("device", "cancel", device.udid, first)
    run("device", "cancel", device.udid, first, expect=None)
    assert first not in run("device", "queue", device.udid).stdout
    assert first in run("device", "queue", device.udid, "--all").stdout
    second = json.loads(run("device", "command", device.udid, "DeviceInformation", "--param",
                            'Queries=["OSVersion"]', "--json").stdout)["uuid"]
    assert device.next_command(device.report())["CommandUUID"] == second
    done = run("device", "cancel", device.udid, second, expect=REFUSED)
    assert "force" in done.stderr or "sent" in done.stderr
    run("device", "cancel", device.udid, second, "--force")
    run("device", "clear-passcode", device.udid), run("device", "info", device.udid)
    assert [c["Command"]["RequestType"] for c in device.session()] == \
        ["ClearPasscode", "DeviceInformation"]
    assert "OSVersion" in run("device", "show", device.udid).stdout
    run("device", "push", device.udid)
    run("device", "command", device.udid, "EraseDevice", "--dry-run")
    assert device.session() == []
    run("device", "cancel", device.udid, str(uuid.uuid4()), expect=NOT_FOUND)


def test_profile_commands(run, device, tmp_path):
    import plistlib

    from test_schema import a_profile
    profile = a_profile()
    path = tmp_path / "clip.mobileconfig"
    path.write_bytes(plistlib.dumps(profile))
    run("profile", "add", path)
    identifier = profile["PayloadIdentifier"]
    assert identifier in run("profile", "list").stdout
    run("profile", "assign", identifier, device.udid)
    assert [c["Command"]["RequestType"] for c in device.session()] == ["InstallProfile"]
    run("profile", "unassign", identifier, device.udid)
    assert [c["Command"]["RequestType"] for c in device.session()] == ["RemoveProfile"]
    run("profile", "assign", identifier, "no-such-device", expect=NOT_FOUND)
    assert "unassigned" in run("profile", "remove", identifier).stdout
    run("profile", "show", identifier, expect=NOT_FOUND)


def test_token_commands(run, instance):
    name = str(uuid.uuid4())
    token = json.loads(run("token", "add", name, "--role", "auditor", "--json").stdout)["token"]
    instance.api("GET", "/status", token=token, expect=200)
    assert name in run("token", "list").stdout
    again = run("token", "add", name, "--role", "auditor", expect=FAILED)
    assert again.stderr == f"coffer: there is a token called {name} already\n"
    run("token", "remove", name)
    instance.api("GET", "/status", token=token, expect=401)


def test_status_and_jobs(run):
    shown = json.loads(run("status", "--json").stdout)
    assert shown["organisation"] == instances.ORGANISATION
    assert instances.ORGANISATION in run("status").stdout
    run("jobs"), run("completion", expect=None)


def test_init_refuses_an_instance_and_cleans_up(instance, tmp_path):
    def init(folder, **changes):
        options = {"--dir": folder, "--org": "X", "--url": "https://localhost:1",
                   "--admin": "a@example.org", **changes}
        return subprocess.run([instances.program("coffer"), "init",
                               *[str(x) for pair in options.items() for x in pair]],
                              capture_output=True, text=True, timeout=instances.PATIENCE)

    assert init(instance.directory).returncode in (FAILED, REFUSED)
    (tmp_path / "other.new").mkdir()
    (tmp_path / "other.new" / "begun").write_text("by another init")
    done = init(tmp_path / "other")
    assert done.returncode == FAILED and "another init" in done.stderr
    assert (tmp_path / "other.new" / "begun").exists(), "another's work stays"
    instance.wait_healthy()
    for changes in ({"--url": "http://localhost:1"}, {"--admin": "nobody"}, {"--org": ""},
                    {"--org": "x" * 500}):
        done = init(tmp_path / "bad", **changes)
        assert done.returncode in (FAILED, USAGE) and done.stderr, changes
        left = [p for p in (tmp_path / "bad").rglob("*") if p.is_file()] \
            if (tmp_path / "bad").exists() else []
        assert not left, (changes, left)
    assert init(tmp_path / "bad").returncode == DONE, "a failed init leaves nothing in the way"


# ---- the audit, offline ----

@pytest.fixture(scope="module")
def export(instance, factory, tmp_path_factory):
    """An export that holds an enrolment and signed heads."""
    person = instance.person(f"audit.{uuid.uuid4()}@example.org")
    Device(instance, factory).enrol(*person).session()
    path = tmp_path_factory.mktemp("audit") / "export.jsonl"
    deadline = instances.PATIENCE * 10
    for _ in range(deadline):  # heads are signed every few seconds
        instance.coffer("audit", "export", "--output", path)
        if '"type":"head"' in path.read_text():
            return path
        instance._pause()
    raise AssertionError("no signed head came")


def verify(path, *more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("COFFER")}
    return subprocess.run([instances.program("coffer"), "audit", "verify", path, *more], env=env,
                          capture_output=True, text=True, timeout=instances.PATIENCE)


def test_audit_list(run, device):
    entries = json.loads(run("audit", "list", "--limit", "200", "--json").stdout)["entries"]
    actions = {e["action"] for e in entries}
    assert {"enrol.offer", "enrol.identify", "certificate.issue", "enrol.deliver",
            "device.authenticate"} <= actions
    assert all("@" in e["detail"]["person"] for e in entries if e["action"] == "enrol.identify")
    assert any(device.udid in e["object"] or device.udid in e["actor"] for e in entries)
    assert all(e["actor"].startswith("person:") for e in entries if e["action"] == "person.login")
    short = run("audit", "list").stdout.splitlines()
    assert short[0].split("\t") == ["TIME", "WHO", "WHAT", "TO", "DETAIL"]
    assert not any("{" in line for line in short)
    assert run("audit", "list", "--wide").stdout.split("\n")[0].endswith("\tDETAIL\tCHAIN\tSEQ")


def test_audit_verifies_offline(export, instance):
    done = verify(export)
    assert done.returncode == DONE, done.stdout + done.stderr
    key = instance.directory / "public" / "audit-key.pem"
    done = verify(export, "--key", key)
    assert done.returncode == DONE, done.stdout + done.stderr


def tamper(lines, how):
    entries = [i for i, line in enumerate(lines) if '"type":"entry"' in line]
    heads = [i for i, line in enumerate(lines) if '"type":"head"' in line]
    at = entries[len(entries) // 2]
    if how == "actor":
        lines[at] = re.sub(r'"actor":"[^"]*"', '"actor":"somebody"', lines[at])
    elif how == "time":
        lines[at] = re.sub(r'"unix_ms":\d', '"unix_ms":9', lines[at])
    elif how == "left out":
        del lines[at]
    elif how == "twice":
        lines.insert(at, lines[at])
    elif how == "swapped":
        lines[entries[0]], lines[entries[1]] = lines[entries[1]], lines[entries[0]]
    elif how == "signature":
        lines[heads[0]] = re.sub(r'"signature":".', lambda m: m[0][:-1]
                                 + ("A" if m[0][-1] != "A" else "B"), lines[heads[0]])
    elif how == "cut":
        del lines[at:]
    elif how == "no end":
        lines.pop()
    elif how == "hash":
        lines[at] = re.sub(r'"hash":"..', lambda m: m[0][:-2]
                           + ("00" if m[0][-2:] != "00" else "11"), lines[at])
    elif how == "garbage":
        lines.insert(at, "garbage")
    return lines


@pytest.mark.parametrize("how", ["actor", "time", "left out", "twice", "swapped", "signature",
                                 "cut", "no end", "hash", "garbage"])
def test_tampering_is_found(export, tmp_path, how):
    lines = tamper(export.read_text().splitlines(), how)
    copy = tmp_path / "copy.jsonl"
    copy.write_text("\n".join(lines) + "\n")
    done = verify(copy)
    assert done.returncode == VERIFY, (how, done.stdout, done.stderr)


def test_foreign_key_is_found(export, openssl, tmp_path):
    key = tmp_path / "key.pem"
    secret = tmp_path / "secret.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", secret)
    openssl("pkey", "-in", secret, "-pubout", "-out", key)
    assert verify(export, "--key", key).returncode == VERIFY
