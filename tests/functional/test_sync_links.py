"""Links for outsiders: made by devices and by `coffer sync link`, opened by scripts, by `coffer sync fetch` and in a
real browser; what is not allowed, has ended or was changed is refused."""

import base64
import json
import os
import re
import shutil
import subprocess
import threading

import pytest

import sync_unseal as su
from helpers import instance as instances
from helpers.chromium import PROGRAM, Chromium
from helpers.proc import disk_of
from helpers.sync_client import HEADER, Refused, add_device, begin, person, runs
from sync_links import Link, content_of, file_of, open_label, seal_label

ANNA, BERT, CARL = "anna@example.org", "bert@example.org", "carl@example.org"
MIB = 1 << 20
BIG = os.urandom(9 * MIB + 17)  # more than one part


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = instances.Instance(tmp_path_factory.mktemp("links"))
    try:
        made.init({"sync": {"enabled": "yes", "may_share_outside": "yes"},
                   f"sync_policy {CARL}": {"may_share_outside": "no"}}).start()
        yield made
        made.stop()
    finally:
        made.abandon()


@pytest.fixture(scope="module")
def token(service):
    return person(service, ANNA)


@pytest.fixture(scope="module")
def anna(service, token):
    """A device with three files; client.shared has their entries in a link."""
    client = begin(service, ANNA, token)
    client.region.deliver(client.device)
    client.good("PUT", client.r("/deliveries"), su.run(client.region.deliveries[-1]))
    client.shared = [share(client, path, content) for path, content in
                     ((b"Reports/big.bin", BIG), (b"Reports/note.txt", b"hello, world\n"), (b"empty", b""))]
    return client


def share(client, path, content):
    """Uploads a file; its entry in a link."""
    entry = file_of(client.region.as_device(client.device), path, content, client.region.node)
    client.put_blob(entry["root"])
    client.put_package(entry["package"])
    return entry


def put(client, link, files=None, **terms):
    record = link.terms(os.urandom, client.shared if files is None else files, **terms)
    return client.good("PUT", client.r(f"/links/{link.id.hex()}"), record)


def new_link(client, password=None, **terms):
    link = Link(os.urandom(32), password)
    put(client, link, **terms)
    return link


def open_raw(service, link, token=None):
    body = json.dumps({"token": (token or link.token).hex()})
    return service.http("POST", f"/api/v1/sync/links/{link.id.hex()}/open", body, {"Content-Type": "application/json"})


def open_link(service, link):
    answer = open_raw(service, link)
    assert answer.status == 200, answer
    ticket, record = runs(answer.body)
    return ticket.decode(), link.open(record)


def fetch(service, link, ticket, root, at=0, end=""):
    return service.http("GET", f"/api/v1/sync/links/{link.id.hex()}/data/{root.hex()}",
                        headers={"Authorization": f"Bearer {ticket}", "Range": f"bytes={at}-{end}"})


def refused(status, reason, call, *args, **kwargs):
    with pytest.raises(Refused) as caught:
        call(*args, **kwargs)
    assert (caught.value.status, caught.value.reason) == (status, reason), caught.value


# ---- the service ----

def test_an_outsider_opens_a_link_and_nothing_but_it(service, anna):
    link = new_link(anna)
    ticket, files = open_link(service, link)
    assert [f["path"] for f in files] == [b"Reports/big.bin", b"Reports/note.txt", b"empty"]
    for entry, content in zip(files, (BIG, b"hello, world\n", b"")):
        blob = b""
        while len(blob) < entry["package_size"]:
            answer = fetch(service, link, ticket, entry["root"], len(blob))
            assert answer.status == 206, answer
            blob += answer.body
        assert content_of(entry, blob) == content
    secret = share(anna, b"secret", b"not in the link")
    assert fetch(service, link, ticket, secret["root"]).status == 401
    assert fetch(service, link, "00" * 32, files[0]["root"]).status == 401
    assert fetch(service, new_link(anna, files=[secret]), ticket, secret["root"]).status == 401
    assert service.http("GET", f"/api/v1/sync/links/{link.id.hex()}/data/{files[0]['root'].hex()}").status == 401
    assert open_raw(service, link, os.urandom(32)).status == 403
    assert open_raw(service, Link(os.urandom(32))).status == 404
    # What the service keeps opens nothing: neither token nor key stand in it.
    stored = disk_of(service.directory / "store")
    assert link.token not in stored and link.key not in stored and link.secret not in stored
    assert b"note.txt" not in stored


def test_openings_are_counted_whoever_asks_at_once(service, anna):
    link, states = new_link(anna, count=2), []
    def ask():
        states.append(open_raw(service, link).status)
    threads = [threading.Thread(target=ask) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(states) == [200, 200, 404, 404, 404, 404]
    listed = {x["id"]: x for x in anna.good("GET", anna.r("/links")).json()["links"]}[link.id.hex()]
    assert (listed["opened"], listed["count"], listed["state"]) == (2, 2, "ended")
    noted = [e for e in service.api("GET", "/audit").json()["entries"] if e["object"] == f"link:{link.id.hex()}"]
    assert sorted(e["action"] for e in noted) == ["sync.link.make", "sync.link.open", "sync.link.open"]


def test_wrong_passwords_end_a_link(service, anna):
    link = new_link(anna, "correct horse")
    wrong = Link(link.secret, "wrong")
    for _ in range(20):
        assert open_raw(service, wrong).status == 403
    assert open_raw(service, link).status == 404
    listed = {x["id"]: x for x in anna.good("GET", anna.r("/links")).json()["links"]}[link.id.hex()]
    assert (listed["state"], listed["wrong"], listed["opened"]) == ("locked", 20, 0)


def test_what_is_no_link_is_refused_with_a_reason(service, anna, token):
    link = Link(os.urandom(32))
    stranger = file_of(anna.region, b"x", b"never uploaded", anna.region.node)
    refused(422, "missing", put, anna, link, [stranger])
    refused(413, "limit", put, anna, link, lives=-5)
    refused(413, "limit", put, anna, link, lives=367 * 86400)
    refused(422, "malformed", put, anna, link, id=os.urandom(16))
    refused(422, "malformed", put, anna, link, roots=b"")
    refused(422, "malformed", anna.good, "PUT", anna.r(f"/links/{link.id.hex()}"), b"nonsense")
    record = link.terms(os.urandom, anna.shared)
    path = anna.r(f"/links/{link.id.hex()}")
    assert anna.good("PUT", path, record).status == 201
    assert anna.good("PUT", path, record).status == 200  # an answer that was lost
    assert anna.ask("PUT", path, link.terms(os.urandom, anna.shared)).status == 409
    reader = add_device(anna, ANNA, token, su.READ, b"reader")
    refused(422, "role", put, reader, Link(os.urandom(32)), anna.shared)
    refused(401, "session", anna.good, "PUT", path, record, token="nonsense")
    refused(404, "none", anna.good, "DELETE", anna.r(f"/links/{'00' * 16}"))


def test_who_may_not_share_outside_makes_no_links(service):
    carl = begin(service, CARL, person(service, CARL))
    entry = share(carl, b"a", b"text")
    refused(403, "policy", put, carl, Link(os.urandom(32)), [entry])


def test_links_end_with_the_device_and_the_person_that_made_them(service):
    token = person(service, BERT)
    bert = begin(service, BERT, token)
    phone = add_device(bert, BERT, token, su.READ | su.WRITE)
    entry = share(bert, b"a", b"text")
    stolen, kept = new_link(phone, files=[entry]), new_link(bert, files=[entry])
    ticket, files = open_link(service, stolen)
    bert.region.as_device(bert.device).new_epoch(bert.device, su.REVOKE, phone.device.id)
    bert.send_entry()
    assert open_raw(service, stolen).status == 404
    assert fetch(service, stolen, ticket, files[0]["root"]).status == 401  # also what was open
    ticket, files = open_link(service, kept)
    service.api("POST", f"/people/{BERT}/disable", expect=204)
    assert open_raw(service, kept).status == 404
    assert fetch(service, kept, ticket, files[0]["root"]).status == 401
    service.api("POST", f"/people/{BERT}/enable", expect=204)
    assert open_raw(service, kept).status == 200
    assert bert.good("DELETE", bert.r(f"/links/{kept.id.hex()}")).status == 204
    assert fetch(service, kept, ticket, files[0]["root"]).status == 401


def test_labels_are_for_the_regions_devices(service, anna):
    link = Link(os.urandom(32))
    region = anna.region
    sealed = seal_label(region.id, region.key, len(region.chain.commits), link.id, b"Reports", os.urandom)
    put(anna, link, sealed_label=sealed)
    listed = {x["id"]: x for x in anna.good("GET", anna.r("/links")).json()["links"]}[link.id.hex()]
    assert open_label(region.id, region.key, link.id, base64.b64decode(listed["label"])) == b"Reports"


# ---- the program ----

def coffer(*arguments, status=0, **options):
    done = subprocess.run([instances.program("coffer"), *map(str, arguments)], capture_output=True, text=True,
                          timeout=instances.PATIENCE, check=False, **options)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_sync_fetch_brings_what_was_shared(service, anna, tmp_path):
    link = new_link(anna)
    url = link.url(service.url)
    out = coffer("sync", "fetch", url, "--to", tmp_path, "--ca", service.root)
    assert "complete" in out and url.split("#")[1] not in out
    assert (tmp_path / "Reports/big.bin").read_bytes() == BIG
    assert (tmp_path / "Reports/note.txt").read_text() == "hello, world\n"
    assert (tmp_path / "empty").stat().st_size == 0
    assert int((tmp_path / "empty").stat().st_mtime) == 1700000000
    coffer("sync", "fetch", url, "--to", tmp_path, "--ca", service.root, status=1)  # they are there
    (tmp_path / "Reports/note.txt").write_text("mine")
    listed = json.loads(coffer("sync", "fetch", "--list", "-", "--json", "--ca", service.root, input=url + "\n"))
    assert [f["path"] for f in listed["files"]] == ["Reports/big.bin", "Reports/note.txt", "empty"]
    assert (tmp_path / "Reports/note.txt").read_text() == "mine"
    coffer("sync", "fetch", url, "--to", tmp_path, "--replace", "--ca", service.root)
    assert (tmp_path / "Reports/note.txt").read_text() == "hello, world\n"
    assert not list(tmp_path.rglob(".coffer-*"))
    coffer("sync", "fetch", url[:-1], "--ca", service.root, status=2)
    flipped = url[:-1] + ("A" if url[-1] != "A" else "E")
    assert "copy all of it" in coffer("sync", "fetch", flipped, "--ca", service.root, status=2)


def test_sync_fetch_never_leaves_the_directory(service, anna, tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "Reports").symlink_to(outside)
    coffer("sync", "fetch", new_link(anna).url(service.url), "--to", inside, "--ca", service.root, status=1)
    assert not list(outside.iterdir())
    assert (inside / "empty").exists()  # the others came


def test_sync_fetch_takes_only_what_was_shared(service, anna, tmp_path):
    note = anna.shared[1]
    for wrong in ({"root": anna.shared[2]["root"]}, {"key": os.urandom(32)}, {"size": note["size"] - 1}):
        link = new_link(anna, files=[{**note, **wrong}])
        coffer("sync", "fetch", link.url(service.url), "--to", tmp_path, "--ca", service.root, status=5)
    assert not list(tmp_path.rglob("*.txt")) and not list(tmp_path.rglob(".coffer-*"))


def test_sync_fetch_asks_for_the_password(service, anna, tmp_path):
    link = new_link(anna, "correct horse")
    url, words = link.url(service.url), tmp_path / "p"
    assert url.endswith(".p")
    words.write_text("wrong horse\n")
    words.chmod(0o600)
    coffer("sync", "fetch", url, "--password-file", words, "--to", tmp_path, "--ca", service.root, status=4)
    words.write_text("correct horse\n")
    coffer("sync", "fetch", url, "--password-file", words, "--to", tmp_path, "--ca", service.root)
    assert (tmp_path / "Reports/note.txt").exists()
    coffer("sync", "fetch", url[:-2], "--to", tmp_path, "--ca", service.root, status=4)  # made passwordless


@pytest.fixture(scope="module")
def tree(service, token, tmp_path_factory):
    """A region with folders and a pack, and its device's key in a file: what `coffer sync link` works on."""
    top = tmp_path_factory.mktemp("tree")
    (top / "Reports/deep").mkdir(parents=True)
    (top / "Reports/big.bin").write_bytes(BIG)
    for i in range(5):
        (top / "Reports" / f"small {i}").write_text(f"small {i}\n")
    (top / "Reports/deep/a").write_text("deep")
    (top / "other").write_text("not shared")
    (top / "Reports/link").symlink_to("big.bin")
    client = begin(service, ANNA, token, b"desk")
    region = client.region
    region.deliver(client.device)
    client.good("PUT", client.r("/deliveries"), su.run(region.deliveries[-1]))
    _, folder = region.folder(top, region.node)
    for ident in region.packages:
        client.upload(ident)
    client.commit(folder, set(region.packages))
    key = tmp_path_factory.mktemp("key") / "device"
    key.write_bytes(client.device.file())
    key.chmod(0o600)
    client.top, client.key_file = top, key
    return client


def sync_coffer(service, tree, *arguments, status=0):
    return coffer("sync", *arguments, "--server", service.url, "--ca", service.root, "--device", tree.key_file,
                  "--region", tree.region.id.hex(), status=status)


def test_sync_link_shares_folders_and_files_out_of_packs(service, tree, tmp_path):
    url = sync_coffer(service, tree, "link", "Reports", "--count", "1", "--expires", "1h").strip()
    assert re.fullmatch(re.escape(service.url) + r"/share/[0-9a-f]{32}#[\w-]{43}", url)
    coffer("sync", "fetch", url, "--to", tmp_path, "--ca", service.root)
    got = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert got == ["Reports/big.bin", "Reports/deep/a", *[f"Reports/small {i}" for i in range(5)]]
    for name in got:
        assert (tmp_path / name).read_bytes() == (tree.top / name).read_bytes()
    coffer("sync", "fetch", url, "--to", tmp_path, "--replace", "--ca", service.root, status=3)  # it was for once
    # A key from the list opens that file alone, not its pack.
    listed = json.loads(sync_coffer(service, tree, "links", "--json"))["links"]
    mine = [x for x in listed if x["path"] == "Reports"]
    assert len(mine) == 1 and mine[0]["state"] == "ended" and mine[0]["opened"] == 1
    sync_coffer(service, tree, "link", "Reports/none", status=3)
    sync_coffer(service, tree, "link", "Reports", "--expires", "2y", status=2)


def test_sync_link_with_a_password_and_unlink(service, tree, tmp_path):
    words = tmp_path / "p"
    words.write_text("correct horse\n")
    words.chmod(0o600)
    url = sync_coffer(service, tree, "link", "Reports/deep/a", "--password-file", words).strip()
    coffer("sync", "fetch", url, "--password-file", words, "--to", tmp_path, "--ca", service.root)
    assert (tmp_path / "a").read_text() == "deep"
    ident = re.search(r"/share/(\w+)#", url)[1]
    assert ident in sync_coffer(service, tree, "links")
    sync_coffer(service, tree, "unlink", ident)
    sync_coffer(service, tree, "unlink", ident, status=3)
    coffer("sync", "fetch", url, "--password-file", words, "--to", tmp_path, "--replace", "--ca", service.root,
           status=3)


# ---- the browser ----

@pytest.fixture(scope="module")
def browser(service, tmp_path_factory):
    if not shutil.which(PROGRAM):
        pytest.skip("no Chromium here")
    made = Chromium(tmp_path_factory.mktemp("chromium"), [(service.directory / "tls/cert.pem").read_bytes()])
    yield made
    made.close()


def press(browser, selector):
    browser.run(f"document.querySelector({json.dumps(selector)}).click()")


def test_the_page_decrypts_in_the_browser(service, anna, browser):
    link, since = new_link(anna, count=1), browser.mark()
    browser.open(link.url(service.url))
    assert browser.wait_state("ready", "failed") == "ready"
    listed = {x["id"]: x for x in anna.good("GET", anna.r("/links")).json()["links"]}[link.id.hex()]
    assert listed["opened"] == 0  # a preview costs nothing
    press(browser, "#open")
    assert browser.wait_state("listed", "failed") == "listed", browser.text()
    assert "Reports/big.bin" in browser.text()
    for row, (name, content) in enumerate((("big.bin", BIG), ("note.txt", b"hello, world\n"), ("empty", b"")), 1):
        before = browser.mark()
        press(browser, f"tbody tr:nth-child({row}) button")
        assert browser.wait_state("done", "failed") == "done", browser.text()
        assert browser.downloaded(before) == (name, content)
    # The secret went nowhere, nothing came from elsewhere, and the policy stopped nothing of ours.
    secret = link.url(service.url).split("#")[1]
    asked = browser.requests()
    assert asked and all(r["url"].startswith(service.url + "/") for r in asked if not r["url"].startswith("blob:")
                         and r["url"] != "about:blank")
    assert not any(secret in json.dumps({k: v for k, v in r.items() if k != "urlFragment"}) for r in asked)
    assert not browser.console(), browser.console()
    assert since >= 0


def test_the_page_says_what_is_wrong(service, anna, browser):
    browser.open(service.url + "/share/" + "0" * 32)
    assert browser.wait_state("failed") and "incomplete" in browser.text()
    browser.open(Link(os.urandom(32)).url(service.url))
    press(browser, "#open")
    assert browser.wait_state("failed", "listed") == "failed" and "does not exist" in browser.text()
    link = Link(os.urandom(32))
    browser.open(link.url(service.url).replace(link.id.hex(), "1" * 32))
    press(browser, "#open")
    assert browser.wait_state("failed", "listed") == "failed" and "damaged" in browser.text()
    locked = new_link(anna, "correct horse").url(service.url)
    browser.open(locked)
    assert browser.wait_state("locked", "ready") == "locked"
    assert f"coffer sync fetch '{locked}'" in browser.text()


@pytest.mark.parametrize("how", ["root", "key", "size"])
def test_the_page_gives_out_nothing_that_was_not_shared(service, anna, browser, how):
    note = anna.shared[1]
    wrong = {"root": {"root": anna.shared[2]["root"]}, "key": {"key": bytes(32)}, "size": {"size": 5}}[how]
    browser.open(new_link(anna, files=[{**note, **wrong}]).url(service.url))
    press(browser, "#open")
    assert browser.wait_state("listed", "failed") == "listed"
    before = browser.mark()
    press(browser, "tbody button")
    assert browser.wait_state("done", "failed") == "failed" and "damaged" in browser.text()
    with browser.lock:
        assert not [e for e in browser.events[before:] if e["method"] == "Browser.downloadWillBegin"]


def test_names_are_shown_as_text_and_nothing_foreign_runs(service, anna, browser):
    evil = share(anna, b"<img src=x onerror=alert(1)>", b"text")
    browser.open(new_link(anna, files=[evil]).url(service.url))
    press(browser, "#open")
    assert browser.wait_state("listed", "failed") == "listed"
    assert "<img src=x onerror=alert(1)>" in browser.text()
    assert browser.run("document.querySelectorAll('img').length") == 0
    stopped = browser.run("""new Promise((done) => {
        document.addEventListener('securitypolicyviolation', (e) => done(e.violatedDirective));
        const s = document.createElement('script');
        try { s.src = 'data:text/javascript,1'; document.head.append(s); } catch (e) { done('trusted types'); }
    })""")
    assert stopped in ("trusted types", "script-src-elem", "require-trusted-types-for")


def test_the_page_is_the_same_for_all_and_closed(service):
    pages = [service.http("GET", f"/share/{name}") for name in ("0" * 32, "whatever")]
    assert pages[0].body == pages[1].body and pages[0].status == 200
    root = instances.ROOT / "src/program/web/share"
    for name, path in (("share.html", "/share/" + "0" * 32), ("share.js", "/share/share.js"),
                       ("share.css", "/share/share.css")):
        answer = service.http("GET", path)
        assert answer.body == (root / name).read_bytes()
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    text = (root / "share.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|https?://", text)


def test_the_header_is_where_the_page_thinks(anna):
    assert HEADER == 234 and all(f["package_size"] > HEADER for f in anna.shared)
