"""Who may do what with files: by domain, group, person and device, each over those before it."""

import pytest

from helpers import instance as instances
from helpers.sync_client import Client, Refused, Region, begin, new_device, person

ANNA, BERT, CARL = "anna@example.org", "bert@example.org", "carl@other.example.org"
KIOSK = new_device(ANNA, b"kiosk")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = instances.Instance(tmp_path_factory.mktemp("policy"))
    try:
        made.init({"sync": {"enabled": "yes", "quota": "1G", "may_share": "no"},
                   "sync_policy example.org": {"may_share": "yes", "folders": "Work, Photos"},
                   "sync_policy group:sales@example.org": {"may_share_outside": "yes", "quota": "2G"},
                   f"sync_policy {BERT}": {"quota": "3G"},
                   f"sync_policy device:{KIOSK.id.hex()[:16]}": {"may_sync": "no"}}).start()
        made.coffer("mail", "group", "set", "sales@example.org", BERT)
        made.anna, made.bert, made.carl = (person(made, e) for e in (ANNA, BERT, CARL))
        yield made
        made.stop()
    finally:
        made.abandon()


def policy(client):
    told = client.good("GET", client.r("/policy")).json()
    return told["may_share"], told["may_share_outside"], told["folders"], told["quota"] >> 30


def test_each_rule_holds_over_those_before_it(service):
    anna, bert, carl = (begin(service, e, t) for e, t in
                        ((ANNA, service.anna), (BERT, service.bert), (CARL, service.carl)))
    assert policy(carl) == (False, False, None, 1)
    assert policy(anna) == (True, False, ["Work", "Photos"], 1)
    assert policy(bert) == (True, True, ["Work", "Photos"], 3)
    # Who leaves the group loses what it gave, at once.
    service.coffer("mail", "group", "remove", "sales@example.org")
    assert policy(bert) == (True, False, ["Work", "Photos"], 3)


def test_one_device_may_not_sync_and_the_persons_others_may(service):
    kiosk = Client(service, Region(KIOSK), KIOSK, service.anna)
    with pytest.raises(Refused) as caught:
        kiosk.create()
    assert (caught.value.status, caught.value.reason) == (403, "policy")
    anna = begin(service, ANNA, service.anna)
    anna.put_files({b"a": b"1"})
