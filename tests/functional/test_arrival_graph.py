"""Microsoft Graph tells of mail: change notifications, as its documentation shows them, on the way to a
device that is locked; strangers, doubles, nonsense; what becomes of a subscription."""

import json
import subprocess
import urllib.parse

import pytest

from helpers.arrival import Graph, Stream
from helpers.clear import search
from helpers.device import Device
from helpers.lease import LeaseApp

EVE = "graph-eve@example.org"
FIRST, SECOND = "7F105C7D-2dc5-4530-97cd-4e7ae6534c07", "0fc0d6db-0073-42e5-a186-853da75fb308"
LATER, PATH = "2026-12-06T11:00:00.0000000Z", "/push/v1/graph/m365"


@pytest.fixture(scope="module")
def graph(instance):
    return Graph(instance, "m365", FIRST)


class Phone:
    def __init__(self, instance, factory, graph):
        self.instance = instance
        self.device = Device(instance, factory).enrol(*instance.person(EVE))
        self.device.session()
        self.token = instance.api("POST", f"/devices/{self.device.udid}/token", expect=201).json()["token"]
        self.app = LeaseApp(self.device, token=self.token, account=EVE)
        instance.coffer("mailbox", "add", EVE, "--graph", "m365", "--subscription", FIRST)

    def stream(self):
        return Stream(self.instance, token=self.token)


@pytest.fixture(scope="module")
def phone(instance, factory, graph):
    return Phone(instance, factory, graph)


def box(instance):
    return [b for b in instance.coffer_json("mailbox", "list")["mailboxes"] if b["address"] == EVE][0]


def test_the_url_is_validated(instance, graph):
    assert graph.made["graph_url"].endswith(PATH)
    token = "Validation: Testing client application reachability for subscription Request-Id: 522a8e7e-096a"
    answer = instance.http("POST", PATH + "?validationToken=" + urllib.parse.quote_plus(token), b"",
                           {"Content-Type": "text/plain; charset=utf-8"})
    assert (answer.status, answer.body) == (200, token.encode())
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    script = instance.http("POST", PATH + "?validationToken=" + urllib.parse.quote("<script>x</script>&"), b"")
    assert (script.status, script.body) == (200, b"&lt;script&gt;x&lt;/script&gt;&amp;")
    for wrong, status in (("", 400), ("a%0d%0ab", 400), ("%00", 400), ("%ff", 400), ("x" * 1025, 413)):
        assert instance.http("POST", PATH + "?validationToken=" + wrong, b"").status == status, wrong
    assert instance.http("POST", "/push/v1/graph/nobody?validationToken=x", b"").status == 404
    assert instance.http("GET", PATH + "?validationToken=x").status == 405


def test_a_locked_phone_hears_of_mail_and_gets_its_key(instance, phone, graph):
    kek = phone.app.put()
    assert (box(instance)["state"], box(instance)["source"]) == ("waiting", "graph:m365")
    with phone.stream() as stream:
        graph.say(graph.message())
        event = stream.next()
        assert {k: event[k] for k in ("account", "folder", "uidvalidity", "uid", "modseq")} == {
            "account": EVE, "folder": "", "uidvalidity": 0, "uid": 0, "modseq": 0}
        assert phone.app.opened(phone.app.release(event["event"]), event["event"]) == kek
        graph.say(graph.message(), graph.message())  # gathered
        second = stream.next()
        assert second["event"] != event["event"]
        assert phone.app.opened(phone.app.release(second["event"]), second["event"]) == kek
    assert (box(instance)["state"], box(instance)["problem"]) == ("watched", None)


def test_doubles_strangers_and_other_changes_are_none(instance, phone, graph):
    with phone.stream() as stream:
        first = graph.message()
        graph.say(first)
        stream.next()
        for other in (first, graph.message(changeType="updated"), graph.message(changeType="deleted"),
                      graph.message(clientState="cfh_guess"), graph.message(clientState=None),
                      graph.message(subscriptionId=SECOND), graph.message(resourceData={}),
                      graph.lifecycle("somethingNew")):
            graph.say(other)
        graph.say()
        # a stranger's in one request with one that is good
        last = graph.message()
        graph.say(graph.message(clientState="cfh_guess"), last)
        stream.next()
        seen = stream.id
    with phone.stream() as stream:
        assert int(stream.id) == seen  # those were all
        graph.say(last, first)
        graph.say(graph.message())
        assert stream.next() and stream.id == seen + 1


@pytest.mark.parametrize("body, status", [
    (b"", 400), (b"[]", 400), (b'{"value":{}}', 400), (b"\xff" * 100, 400), (b"[" * 100000, 413),
    (b" " * (256 * 1024 + 1), 413), (b'{"value":[' + b"{}," * 1000 + b"{}]}", 413)],
    ids=["empty", "array", "object", "bytes", "deep", "large", "many"])
def test_nonsense(graph, body, status):
    assert graph.post(body).status == status


def test_other_doors_stay_shut(instance, phone, graph):
    assert graph.post(graph.message(), path="/push/v1/graph/nobody").status == 404
    # the secret of Graph says nothing of mailboxes of Dovecot, and the other way round
    mail = {"user": FIRST, "event": "messageNew", "folder": "INBOX", "imap-uidvalidity": 1, "imap-uid": 1}
    with phone.stream() as stream:
        assert instance.http("PUT", "/push/v1/hook", json.dumps(mail).encode(),
                             {"Authorization": f"Bearer {graph.secret}"}).status == 204
        other = instance.api("POST", "/mail-hooks", {"name": "other"}, expect=201).json()["secret"]
        graph.say(graph.message(clientState=other))
        before = stream.id
        graph.say(graph.message())
        assert stream.next()["folder"] == "" and stream.id == before + 1
    busy = instance.coffer("mailbox", "hook", "remove", "m365", expect=None)
    assert "remove them first" in busy.stderr


def test_what_becomes_of_a_subscription(instance, phone, graph):
    graph.say(graph.lifecycle("reauthorizationRequired"))
    assert (box(instance)["state"], box(instance)["problem"]) == (
        "watched", "renew the subscription before 2026-11-29T11:00:00Z")
    assert "renew the subscription" in instance.coffer("mailbox", "list").stdout
    graph.say(graph.message())
    assert box(instance)["problem"].startswith("renew")  # still the same
    graph.say(graph.message(subscriptionExpirationDateTime=LATER))
    assert box(instance)["problem"] is None
    with phone.stream() as stream:
        stream_id = stream.id
        graph.say(graph.lifecycle("missed"))
        assert stream.next()["account"] == EVE and stream.id > stream_id
    graph.say(graph.lifecycle("subscriptionRemoved"))
    assert (box(instance)["state"], box(instance)["problem"]) == (
        "failed", "Graph has removed the subscription")
    graph.say(graph.message())  # was under way
    assert box(instance)["state"] == "failed"
    instance.coffer("mailbox", "add", EVE, "--graph", "m365", "--subscription", SECOND)
    assert (box(instance)["state"], box(instance)["problem"], box(instance)["login"]) == (
        "waiting", None, SECOND)
    graph.subscription = SECOND
    with phone.stream() as stream:
        graph.say(graph.message())
        assert stream.next()["account"] == EVE
    assert box(instance)["state"] == "watched"


def test_nobody_keeps_what_graph_says(instance, phone, graph):
    found = subprocess.run(["grep", "-rlai", "-e", "canary of a graph", "-e", Graph.TENANT, "-e", "AAMkAGUwNjQ4", "-e",
                            graph.secret, str(instance.directory), str(instance.daemon.log_path)],
                           capture_output=True, text=True)
    assert found.stdout == ""


def test_the_command_line(instance, phone, graph):
    def refused(*args):
        done = instance.coffer("mailbox", "add", "graph-other@example.org", "--person", EVE, *args, expect=None)
        assert done.returncode != 0
        return done.stderr

    assert "go together" in refused("--graph", "m365")
    assert "go together" in refused("--hook", "m365", "--subscription", FIRST)
    assert refused("--graph", "m365", "--subscription", FIRST, "--login", "x")
    assert "no hook" in refused("--graph", "m366", "--subscription", FIRST)
    assert "watched already" in refused("--graph", "m365", "--subscription", SECOND)
    instance.coffer("mailbox", "add", "graph-other@example.org", "--person", EVE, "--graph", "m365",
                    "--subscription", FIRST)
    theirs = instance.coffer("mailbox", "add", "graph-other@example.org", "--person", EVE, "--graph", "m365",
                             "--subscription", SECOND, expect=None)
    assert "another mailbox" in theirs.stderr
    actions = [e["action"] for e in instance.coffer_json("audit", "list")["entries"]]
    assert "mailbox.renew" in actions


def test_who_guesses_has_to_wait(make_instance):
    graph = Graph(make_instance({"scep": {"rate": "1", "burst": "20"}}), "m365", FIRST)
    answers = [graph.post(graph.message(clientState="cfh_guess")).status for _ in range(30)]
    assert answers[0] == 202 and answers[-1] == 429
    assert graph.instance.http("POST", PATH + "?validationToken=x", b"").status == 429
    for _ in range(3):
        graph.say(graph.message())  # Graph itself does not


def test_the_secret_is_nowhere_in_clear(instance, graph, phone):
    """Not in a file, a log, an argument, an environment; its hash is kept. No URL has it."""
    search(instance, {"clientState": graph.secret})
    assert graph.secret not in graph.made["graph_url"]
