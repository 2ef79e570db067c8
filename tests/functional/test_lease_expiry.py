"""Leases that really end: the server's clock is the test's. What is in a copy of the whole server before and
after; late, doubled and replayed asking; a clock that is set back."""

import os

import pytest
from cryptography.exceptions import InvalidTag

from helpers import instance as instances
from helpers.clock import DAY, HOUR
from helpers.lease import LeaseApp, lease_open
from helpers.lease_thief import ClockedServer, put, right_again, stolen_keys, wait_erased
from test_escrow_thieves import assert_nowhere, contents
from test_lease_end import keeper_log


@pytest.fixture(scope="module")
def server(tmp_path_factory, factory):
    made = ClockedServer(tmp_path_factory.mktemp("ends"), factory)
    try:
        made.instance.start()
        yield made
        made.instance.stop()
    finally:
        made.instance.abandon()


@pytest.fixture(autouse=True)
def right_clock(request):
    """Each test begins with a clock that is right, whatever the one before did to it."""
    yield
    if "server" in request.fixturenames:
        right_again(request.getfixturevalue("server").clock)


def wait_log(server, text):
    instances.wait_for(lambda: keeper_log(server.instance),
                       lambda log: text in log, text)


def test_a_copy_of_the_whole_server_opens_nothing_after_the_expiry(server, tmp_path):
    device = server.device("expiry@example.org")
    short, long = LeaseApp(device, account="short"), LeaseApp(device, account="long")
    long.push = short.push
    kek, sealed = put(short, server.clock, 2)
    longer, _ = put(long, server.clock, 48)
    for app in (short, long):
        app.happen("one")
    assert short.opened(short.release("one"), "one") == kek
    before = server.copy(tmp_path / "before")
    assert stolen_keys(before) == {"short": kek, "long": longer}  # this thief can: he comes in time
    server.clock.set(2 * HOUR + 1)
    assert short.release("one").status == 404  # in that moment, before anything is erased
    wait_erased(server, sealed)
    after = server.copy(tmp_path / "after")
    assert stolen_keys(after) == {"long": longer}
    assert_nowhere(contents(after), {"the key": kek})
    assert sealed[32:] not in b"".join(contents(after).values())  # no free page, no journal
    wait_log(server, f"first={short.id}/short/1")
    assert long.opened(long.release("one"), "one") == longer
    with pytest.raises(InvalidTag):  # what was in the other's place does not help
        lease_open.unseal(short.push, sealed, lease_open.put_info(*short.of()))


def test_a_push_that_is_late_by_a_day(server):
    """The device asks a day after its mail came: for the longer lease it gets the key, else not."""
    device = server.device("late@example.org")
    short, long = LeaseApp(device, account="short"), LeaseApp(device, account="long")
    long.push = short.push
    put(short, server.clock, 12)
    kek, _ = put(long, server.clock, 48)
    for app in (short, long):
        app.happen("late")
    server.clock.set(DAY)
    assert short.release("late").status == 404
    assert "short" not in short.state()
    assert long.opened(long.release("late"), "late") == kek
    assert long.opened(long.release("late"), "late") == kek  # doubled: the answer was lost
    server.clock.set(DAY)
    assert long.release("late").status == 404


def test_an_ended_lease_is_not_put_again(server):
    """Replayed after its end, and an epoch that went back while another lease lived on."""
    device = server.device("replay@example.org")
    app = LeaseApp(device)
    old = app.sealed_put(os.urandom(32), life=2 * HOUR)
    assert app.send_put(old).status == 204
    put(app, server.clock, 48)
    assert app.send_put(old).status == 403  # rolled back
    server.clock.set(2 * HOUR + 1)
    assert app.send_put(old).status in (400, 403)
    server.clock.set(2 * DAY)
    assert app.send_put(old).status == 400  # over, whatever the keeper still knows of it
    assert app.send_put({**old, "expires": "2039-01-01T00:00:00Z"}).status == 400


def test_the_servers_clock_is_set_back(server):
    """The keeper sees it; nothing that has ended comes back."""
    device = server.device("back@example.org")
    ended, lives = LeaseApp(device, account="ended"), LeaseApp(device, account="lives")
    lives.push = ended.push
    put(ended, server.clock, 1)
    kek, _ = put(lives, server.clock, 48)
    for app in (ended, lives):
        app.happen("x")
    server.clock.set(HOUR + 1)
    wait_log(server, f"first={ended.id}/ended/1")
    server.clock.set(-HOUR - HOUR // 2)  # before its end again
    assert ended.release("x").status == 404
    wait_log(server, "clock=back seconds=")
    assert lives.opened(lives.release("x"), "x") == kek


def test_sixty_releases_an_hour(server):
    """Then none until the hour is over, though the device and its token are in order; the log has each."""
    device = server.device("cap@example.org")
    app = LeaseApp(device)
    kek, _ = put(app, server.clock, 48)
    app.happen("x")
    given = 0

    def ask():
        nonlocal given
        answer = app.release("x")
        given += answer.status == 200
        return answer  # 429: asked too fast, and again after a moment
    refused = instances.wait_for(ask, lambda a: "within an hour" in a.text(), "the cap")
    assert refused.status != 200 and given == 60
    app.happen("y")
    instances.wait_for(lambda: app.release("y").text(), lambda t: "within an hour" in t, "the cap")
    server.clock.set(HOUR)
    assert app.opened(instances.wait_for(lambda: app.release("y"), lambda a: a.status != 429, "asked"),
                      "y") == kek
    log = keeper_log(server.instance)
    released = [line for line in log.splitlines() if "lease-release" in line and app.id in line]
    assert len([line for line in released if '"outcome":"ok"' in line.replace(" ", "")]) == 61


def test_another_device_gets_nothing_before_or_after(server):
    mine, other = (LeaseApp(server.device(f"{name}@example.org")) for name in ("mine", "other"))
    kek, _ = put(mine, server.clock, 1)
    mine.happen("x")
    assert other.release("x").status == 404
    other.push = mine.push
    _, _ = put(other, server.clock, 2)
    server.clock.set(HOUR + 1)
    other.happen("x")
    answer = other.release("x")
    with pytest.raises(InvalidTag):
        mine.opened(answer, "x")
    assert other.opened(answer, "x") != kek
