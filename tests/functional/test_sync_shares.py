"""Shares with people, through the real programs: let in after the digits, named with proof, ended with a new key; what
the service could slip in is seen."""

import json
import os
import re
import subprocess

import pytest

import sync_unseal as su
from helpers import instance as instances
from helpers.sync_client import Refused, begin, new_device, person

ANNA, BERT, CARL = "anna@example.org", "bert@example.org", "carl@example.org"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = instances.Instance(tmp_path_factory.mktemp("shares"))
    try:
        made.init({"sync": {"enabled": "yes", "may_share_outside": "yes"}, f"sync_policy {CARL}": {"may_share": "no"}}).start()
        yield made
        made.stop()
    finally:
        made.abandon()


class Somebody:
    """A person with a device: its home, and what runs there."""

    def __init__(self, service, email, place, before=None):
        self.service, self.email, self.place = service, email, place
        self.token = person(service, email)
        self.token_file = place / "token"
        self.token_file.write_text(self.token)
        self.token_file.chmod(0o600)
        self.home = place / "home"
        if before:
            before(self.token)
        self.sync("init", email, *self.access())

    def access(self):
        return ("--server", self.service.url, "--token-file", self.token_file, "--ca", self.service.root)

    def sync(self, *arguments, home=None, status=0):
        command = [instances.program("coffer"), "sync", *map(str, arguments), "--home", str(home or self.home)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=instances.PATIENCE, check=False,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def who(self, home, status=0):
        rows = json.loads(self.sync("who", "--json", home=home, status=status))["devices"]
        return {(r["person"], r["state"], r["can"]) for r in rows}


@pytest.fixture(scope="module")
def people(service, tmp_path_factory):
    return {e: Somebody(service, e, tmp_path_factory.mktemp(e.split("@")[0])) for e in (ANNA, BERT)}


@pytest.fixture(scope="module")
def share(people):
    """Anna's share: its region and her home of it."""
    anna = people[ANNA]
    home = anna.place / "team"
    # The server and whom it trusts are those of her own region; the token is asked for.
    assert "--token-file" in anna.sync("make-share", anna.place / "no", status=2)
    assert not (anna.place / "no").exists()
    made = json.loads(anna.sync("make-share", home, "--json", "--token-file", anna.token_file))
    assert re.fullmatch("[0-9a-f]{64}", made["region"])
    return made["region"], home


def digits(people, one, other):
    return people[one].sync("digits", other).strip()


def test_a_share_is_let_in_to_seen_and_ended(service, people, share, tmp_path):
    anna, bert = people[ANNA], people[BERT]
    region, home = share
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a/plan.txt").write_text("the plan")
    anna.sync("run", "--once", tmp_path / "a", home=home)
    # The digits are the same for both; without them nobody is let in.
    seen = digits(people, BERT, ANNA)
    assert re.fullmatch(r"(\d{5} ){7}\d{5}", seen) and digits(people, ANNA, BERT) == seen
    anna.sync("share", BERT, home=home, status=4)
    wrong = ("0" if seen[0] != "0" else "1") + seen[1:]
    assert "another region" in anna.sync("share", BERT, "--digits", wrong, home=home, status=5)
    assert anna.who(home) == {(ANNA, "active", "manage")}  # no members yet: her device alone
    out = anna.sync("share", BERT, "--write", "--digits", seen, home=home)
    assert "bert@example.org can write now, on 1 device." in out
    assert anna.who(home) == {(ANNA, "fine", "manage"), (BERT, "fine", "write")}
    # Who has made a share says which region another device joins: status has it.
    second = ("join", ANNA, *anna.access())
    assert "there are 2 regions: name one, as coffer sync status shows it" in anna.sync(*second, home=tmp_path / "2", status=2)
    assert region in anna.sync("status", home=home)
    # He opens it and writes; both see the same proof.
    team = bert.place / "team"
    bert.sync("open-share", region, team)
    bert.sync("run", "--once", tmp_path / "b", home=team)
    assert (tmp_path / "b/plan.txt").read_text() == "the plan"
    (tmp_path / "b/answer.txt").write_text("yes")
    bert.sync("run", "--once", tmp_path / "b", home=team)
    anna.sync("run", "--once", tmp_path / "a", home=home)
    assert (tmp_path / "a/answer.txt").read_text() == "yes"
    proofs = [json.loads(p.sync("who", "--json", home=h)) for p, h in ((anna, home), (bert, team))]
    assert proofs[0]["head"] == proofs[1]["head"] and proofs[0]["epoch"] == 1
    # He ends it for himself; he may not, nor let others in: he only writes.
    bert.sync("unshare", ANNA, home=team, status=4)
    # Out: a new key, and nothing that comes is his.
    assert "out with 1 device" in anna.sync("unshare", BERT, home=home)
    assert anna.who(home) == {(ANNA, "fine", "manage")}
    assert json.loads(anna.sync("who", "--json", home=home))["epoch"] == 2
    (tmp_path / "a/later.txt").write_text("not for him")
    anna.sync("run", "--once", tmp_path / "a", home=home)
    assert subprocess.run([instances.program("coffer"), "sync", "run", "--once", "--home", str(team),
                           str(tmp_path / "b")], capture_output=True, check=False).returncode != 0
    assert not (tmp_path / "b/later.txt").exists()
    # What was ended stays ended.
    anna.sync("share", BERT, "--digits", seen, home=home)
    assert (BERT, "needs new keys", "-") in anna.who(home)
    noted = [e["action"] for e in service.api("GET", "/audit").json()["entries"]]
    assert noted.count("sync.members") >= 4


def test_a_device_that_is_slipped_in_is_named_and_ended(service, people, tmp_path):
    """Somebody with Anna's keys, or a server with a device of hers, puts in a device that says it is Bert's."""
    anna = people[ANNA]
    home = anna.place / "slipped"
    anna.sync("make-share", home, *anna.access())
    anna.sync("share", BERT, "--digits", digits(people, BERT, ANNA), home=home)
    assert (BERT, "fine", "read") in anna.who(home)
    # An entry that her device signs for a card of a device that Bert never saw.
    device = su.key_file((home / "device.key").read_bytes())
    from helpers.sync_client import Client, Region
    client = Client(service, None, device, anna.token)
    chain = su.Chain()
    client.region = type("R", (), {"id": bytes.fromhex(json.loads(anna.sync("who", "--json", home=home))["region"])})()
    client.log_in()
    for entry in client.chain():
        chain.append(entry)
    region = Region.__new__(Region)
    region.random, region.device, region.chain = os.urandom, device, chain
    region.entries, region.deliveries = [], []
    evil = new_device(BERT, b"evil")
    epoch, commit = len(chain.commits), chain.commits[-1]
    for kind, roles, card in ((su.ADD, 0, evil.card), (su.APPROVE, su.READ, b"")):
        message = (su.suited(b"YC") + chain.region + su.u64(len(chain.heads)) + chain.heads[-1] + su.u8(kind) +
                   su.i64(1700000000) + device.id + evil.id + su.u8(roles) + su.run(card) + su.u64(epoch) + commit +
                   su.run(b""))
        record = device.sign(b"chain", message)
        chain.append(record)
        client.good("POST", client.r("/chain"), record)
    assert (None, "to revoke", "read") in anna.who(home, status=5)
    assert "1 went out" in anna.sync("follow", home=home)
    assert anna.who(home) == {(ANNA, "fine", "manage"), (BERT, "fine", "read")}


def test_links_are_made_from_a_home(service, people, tmp_path):
    anna = people[ANNA]
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("for outsiders")
    anna.sync("run", "--once", tmp_path / "in")
    url = anna.sync("link", "a.txt").strip()
    command = [instances.program("coffer"), "sync", "fetch", url, "--to", str(tmp_path), "--ca", str(service.root)]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "a.txt").read_text() == "for outsiders"
    assert [x["path"] for x in json.loads(anna.sync("links", "--json"))["links"]] == ["a.txt"]


def test_who_may_not_share_lets_nobody_in(service, people):
    carl = begin(service, CARL, person(service, CARL))
    other = new_device(BERT)
    region = carl.region.as_device(carl.device)
    region.entry(carl.device, su.ADD, other.id, 0, other.card, 1, b"")
    with pytest.raises(Refused) as caught:
        carl.send_entry()
    assert (caught.value.status, caught.value.reason) == (403, "policy")
    with pytest.raises(Refused) as caught:
        carl.good("POST", carl.r("/members"), b"whatever")
    assert (caught.value.status, caught.value.reason) == (403, "policy")


def test_the_server_has_no_say_in_whose_share_it_is(service, people, tmp_path):
    """A region of its own, into which it put Dora's device, and which it shows to everybody as hers."""
    dora, made = "dora@example.org", []
    true = Somebody(service, dora, tmp_path, before=lambda token: made.append(begin(service, dora, token, b"evil")))
    false = made[0]
    record = (true.home / "device.key").read_bytes()
    reader = su.Reader(record, b"YK")
    reader.num(1)
    card, device = reader.run(), su.key_file(record)
    region = false.region.as_device(false.device)
    for kind, roles, of in ((su.ADD, 0, card), (su.APPROVE, su.READ, b"")):
        region.entry(false.device, kind, device.id, roles, of, 1, b"")
        false.send_entry()
    # The first of her regions is the false one: so say the digits that others see.
    shown = people[BERT].sync("digits", dora).strip()
    assert shown != true.sync("digits", BERT).strip()
    home = tmp_path / "team"
    true.sync("make-share", home, *true.access())
    assert "another region" in true.sync("share", BERT, "--digits", shown, home=home, status=5)
    assert true.sync("digits", BERT, home=home) == true.sync("digits", BERT)
    # Whom she lets in is let in by her, and nobody with her.
    true.sync("share", BERT, "--digits", true.sync("digits", BERT).strip(), home=home)
    assert true.who(home) == {(dora, "fine", "manage"), (BERT, "fine", "read")}


def names(rows):
    return sorted(r["person"] for r in rows)


def test_a_group_comes_in_as_far_as_people_have_compared(service, people, tmp_path_factory):
    """The service says who is in a group; that brings in only those whose digits were compared."""
    anna, group = people[ANNA], "sales@example.org"
    emil, fay, gus = (Somebody(service, f"{n}@example.org", tmp_path_factory.mktemp(n)) for n in ("emil", "fay", "gus"))
    home = anna.place / "sales"
    anna.sync("make-share", home, *anna.access())
    anna.sync("share", "--group", group, home=home, status=3)  # nobody is in it
    service.coffer("mail", "group", "set", group, BERT, emil.email, "nobody-yet@example.org")
    anna.sync("share", BERT, "--digits", digits(people, BERT, ANNA), home=anna.place / "team")  # compared once, elsewhere
    out = json.loads(anna.sync("share", "--group", group, "--write", "--json", home=home, status=4))
    assert names(out["joined"]) == [BERT] and out["devices"] == 1
    waits = {r["person"]: r for r in out["waiting"]}
    assert waits["nobody-yet@example.org"]["why"] == "no device yet"
    assert waits[emil.email]["digits"] == emil.sync("digits", ANNA).strip()
    assert anna.who(home) == {(ANNA, "fine", "manage"), (BERT, "fine", "write")}
    # He is compared and comes in with the group; who is not in it can't be brought in with it.
    anna.sync("share", emil.email, "--group", group, "--write", "--digits", waits[emil.email]["digits"], home=home)
    anna.sync("share", gus.email, "--group", group, "--digits", gus.sync("digits", ANNA).strip(), home=home, status=3)
    # One is new: she waits, is compared for another share, and comes in. One has left: out, with a new key.
    service.coffer("mail", "group", "set", group, emil.email, fay.email)
    before = json.loads(anna.sync("who", "--json", home=home))["epoch"]
    out = json.loads(anna.sync("follow", "--json", home=home, status=4))
    assert names(out["left"]) == [BERT] and names(out["waiting"]) == [fay.email] and "joined" not in out
    assert json.loads(anna.sync("who", "--json", home=home))["epoch"] == before + 1
    anna.sync("share", fay.email, "--digits", fay.sync("digits", ANNA).strip(), home=anna.place / "team")
    assert names(json.loads(anna.sync("follow", "--json", home=home))["joined"]) == [fay.email]
    assert anna.who(home) == {(ANNA, "fine", "manage"), (emil.email, "fine", "write"), (fay.email, "fine", "write")}
    # On the service's word: he comes in, and is shown as one whom nobody compared.
    service.coffer("mail", "group", "set", group, emil.email, fay.email, gus.email)
    anna.sync("follow", "--on-trust", home=home)
    rows = {r["person"]: r["compared"] for r in json.loads(anna.sync("who", "--json", home=home))["devices"]}
    assert rows == {ANNA: True, emil.email: True, fay.email: True, gus.email: False}
    # A group that is gone takes nobody along by itself.
    service.coffer("mail", "group", "remove", group)
    assert "empty or gone" in anna.sync("follow", home=home, status=4)
    assert "is out with 3 devices" in anna.sync("unshare", "--group", group, home=home)
    assert anna.who(home) == {(ANNA, "fine", "manage")}


def test_a_group_is_kept_and_gives_nobody_more_than_all_have(service, people, tmp_path_factory):
    anna, group, home = people[ANNA], "lab@example.org", people[ANNA].place / "lab"
    team = {n: Somebody(service, f"{n}@example.org", tmp_path_factory.mktemp(n)) for n in ("hal", "ida", "jon", "kim")}
    mail = {n: p.email for n, p in team.items()}
    follow = lambda *options, status=0: json.loads(anna.sync("follow", "--json", *options, home=home, status=status))
    anna.sync("make-share", home, "--token-file", anna.token_file)
    # All wait, so nobody came in with it: it is known all the same.
    service.coffer("mail", "group", "set", group, mail["hal"], mail["ida"])
    out = json.loads(anna.sync("share", "--group", group, "--json", home=home, status=4))
    assert names(out["waiting"]) == [mail["hal"], mail["ida"]]
    assert names(follow(status=4)["waiting"]) == [mail["hal"], mail["ida"]]
    # One is let in by herself with all rights; who follows later has what was given to the group.
    anna.sync("share", mail["ida"], "--group", group, "--manage", "--digits", team["ida"].sync("digits", ANNA).strip(), home=home)
    for name in ("hal", "jon", "kim"):
        anna.sync("share", mail[name], "--digits", team[name].sync("digits", ANNA).strip(), home=anna.place / "team")
    service.coffer("mail", "group", "set", group, *mail.values())
    assert names(follow()["joined"]) == [mail["hal"], mail["jon"], mail["kim"]]
    assert anna.who(home) == {(ANNA, "fine", "manage"), (mail["ida"], "fine", "manage")} | {
        (mail[n], "fine", "read") for n in ("hal", "jon", "kim")}
    # Most of them are gone at once: a mistake, until somebody says that it is none.
    service.coffer("mail", "group", "set", group, mail["ida"])
    out = follow(status=4)
    assert out["ended"] == 0 and "left" not in out and "more than half" in out["waiting"][0]["why"]
    out = follow("--release-brake")
    assert names(out["left"]) == [mail["hal"], mail["jon"], mail["kim"]] and out["ended"] == 3
    # The last one leaves, too: others of it are still noticed.
    service.coffer("mail", "group", "set", group, "nobody-yet@example.org")
    out = follow(status=4)
    assert names(out["left"]) == [mail["ida"]] and names(out["waiting"]) == ["nobody-yet@example.org"]
    assert names(follow(status=4)["waiting"]) == ["nobody-yet@example.org"]
    # Whom somebody took out, here or elsewhere, the group does not bring back in unasked.
    service.coffer("mail", "group", "set", group, mail["jon"])
    assert names(follow()["joined"]) == [mail["jon"]]
    anna.sync("unshare", mail["jon"], home=home)
    out = follow(status=4)
    assert "joined" not in out and "were taken out" in out["waiting"][0]["why"]
    # Ended once: forgotten, and nothing is left to follow.
    anna.sync("unshare", "--group", group, home=home)
    assert "waiting" not in follow()
    anna.sync("unshare", "--group", group, home=home, status=3)
    service.coffer("mail", "group", "remove", group)


def test_another_region_than_the_compared_one_is_noticed(people, tmp_path):
    """What was compared is kept for all shares: the server can't show other devices later."""
    anna = people[ANNA]
    known = anna.home / "known.json"
    anna.sync("share", BERT, "--digits", digits(people, BERT, ANNA), home=anna.place / "team")
    true = known.read_text()
    assert json.loads(true)["people"][BERT]
    home = anna.place / "later"
    anna.sync("make-share", home, *anna.access())
    known.write_text(true.replace(json.loads(true)["people"][BERT], "11" * 32))
    assert "another region of bert@example.org" in anna.sync("share", BERT, home=home, status=5)
    assert (BERT, "fine", "read") not in anna.who(home)
    known.write_text(true)
    anna.sync("share", BERT, home=home)  # no question
    assert (BERT, "fine", "read") in anna.who(home)
