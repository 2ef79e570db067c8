"""Rules of the mail gateway: levels, the store over the file, and what the keeper is told."""

import time

import pytest

from helpers import instance as instances

FILE = {"mail_policy": {"encrypt": "all-or-plain", "domains": "example.org"},
        "mail_policy example.org": {"tags": "no"}}


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    made = instances.Instance(tmp_path_factory.mktemp("policy"))
    try:
        yield made.init(FILE).start()
        made.stop()
    finally:
        made.abandon()


def effective(instance, name):
    shown = instance.coffer_json("mail", "policy", "show", name)
    return dict(item.split("=") for item in shown["effective"].split())


def test_levels_override_each_other(instance):
    assert effective(instance, "nobody@elsewhere.example")["tags"] == "yes"
    rules = effective(instance, "new@example.org")
    assert rules["tags"] == "no" and rules["encrypt"] == "all-or-plain"
    instance.coffer("mail", "policy", "set", "*", "encrypt=require", "harvest=no")
    assert effective(instance, "new@example.org")["encrypt"] == "require"
    instance.coffer("mail", "policy", "set", "new@example.org", "encrypt=split")
    assert effective(instance, "New@Example.org")["encrypt"] == "split"
    assert effective(instance, "example.org")["encrypt"] == "require"
    instance.coffer("mail", "policy", "set", "to:partner.example", "encrypt=require")
    assert effective(instance, "to:bob@partner.example") == {"encrypt": "require"}
    listed = {(r["name"], r["source"] == "coffer.conf"): r["settings"]
              for r in instance.coffer_json("mail", "policy")["policy"]}
    assert listed[("*", True)] == "encrypt=all-or-plain"
    assert listed[("*", False)] == "encrypt=require harvest=no"
    instance.coffer("mail", "policy", "set", "*", "harvest=inherit", "encrypt=inherit")
    instance.coffer("mail", "policy", "remove", "new@example.org")
    assert effective(instance, "new@example.org")["encrypt"] == "all-or-plain"
    instance.coffer("mail", "policy", "remove", "new@example.org", expect=3)


def test_nonsense_is_refused(instance):
    for words in (["set", "*", "encrypt=sometimes"], ["set", "*", "colour=blue"], ["set", "a b", "sign=yes"]):
        instance.coffer("mail", "policy", *words, expect=2)
    instance.coffer("mail", "policy", "frobnicate", expect=2)


def test_the_keeper_is_told_who_may_be_signed_for(instance):
    for name in ("anna", "bert"):
        instance.coffer("user", "add", f"{name}@example.org", "--name", name.title())
    instance.coffer("mail", "policy", "set", "anna@example.org", "sign=yes")
    first = instance.coffer_json("mail", "policy", "show", "anna@example.org")["gateway"]
    assert first["signs"] and not first["decrypts"] and first["certificate"]
    certificate = instance.coffer_json("cert", "show", first["certificate"])
    assert certificate["profile"] == "mail-gateway"
    # everybody of a domain at once; nothing new for whom it is said already
    instance.coffer("mail", "policy", "set", "example.org", "sign=yes", "decrypt=yes")
    assert instance.coffer_json("mail", "policy", "show", "bert@example.org")["gateway"]["decrypts"]
    again = instance.coffer_json("mail", "policy", "show", "anna@example.org")["gateway"]
    assert again["certificate"] == first["certificate"] and again["decrypts"]
    assert instance.coffer_json("mail", "policy", "apply")["changed"] == 0
    instance.coffer("mail", "policy", "remove", "anna@example.org")
    instance.coffer("mail", "policy", "remove", "example.org")
    gone = instance.coffer_json("mail", "policy", "show", "anna@example.org")["gateway"]
    assert not gone["signs"] and not gone["decrypts"] and gone["certificate"] is None
    log = instance.coffer("audit", "list").stdout
    assert "mail.allow" in log and "mail.policy" in log


def test_people_who_came_later_are_told_of_by_itself(tmp_path_factory):
    made = instances.Instance(tmp_path_factory.mktemp("later"))
    try:
        made.init({"mail_policy": {"sign": "yes"}}).start()
        made.coffer("user", "add", "late@example.org")
        told = instances.wait_for(
            lambda: time.sleep(1) or made.coffer_json("mail", "policy", "show", "late@example.org")["gateway"],
            lambda gateway: gateway is not None, "the keeper was told, soon after the start")
        assert told["signs"] and told["certificate"]
        made.stop()
    finally:
        made.abandon()
