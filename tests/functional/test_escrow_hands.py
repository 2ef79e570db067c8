"""Nobody is both who asks and who agrees by way of another's name: an officer who is an admin too can
make tokens and set passwords in anybody's name."""
import pytest

from helpers.instance import Instance
from helpers.officers import PASSPHRASE, Officer, Person, private

REFUSED = 4
OTHER = "another horse battery"


class Both(Person):
    """An admin who is an officer too, each with a token of his own."""

    def __init__(self, instance, files, name):
        super().__init__(instance, files, name, "admin")
        self.key, self.secret = self.home / "officer", self.home / "password"
        self.coffer("officer", "keygen", "--out", self.key, "--label", self.email,
                    "--passphrase-file", self.secret)
        self.id = instance.coffer_json("officer", "add", self.email, f"{self.key}.pub")["id"]

    unlock, approve = Officer.unlock, Officer.approve


class World:
    def __init__(self, files, factory):
        self.instance = Instance(files)
        self.instance.init({"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem"))}})
        self.instance.start()
        self.anna, self.cleo = (Officer(self.instance, files, n) for n in ("anna", "cleo"))
        self.ben = Both(self.instance, files, "ben")
        self.dora = Person(self.instance, files, "dora", "admin")
        self.instance.coffer("officer", "activate", "--threshold", "2")
        self.kept = self.instance.coffer_json("escrow", "put", private(files / "s", b"secret"))["id"]

    def refusals(self, request):
        entries = self.instance.coffer_json("audit", "list", "--limit", 500)["entries"]
        return [e["detail"]["why"] for e in entries if e["object"] == request["id"]
                and e["action"] in ("recovery.refuse-approval", "recovery.refuse-share")]


@pytest.fixture(scope="module")
def world(tmp_path_factory, factory):
    made = World(tmp_path_factory.mktemp("hands"), factory)
    try:
        yield made
        made.instance.stop()
    finally:
        made.instance.abandon()


def impersonated(person, token):
    """The person's command line with another token."""
    other = object.__new__(Person)
    other.__dict__ = dict(person.__dict__, token=token)
    return other


def add_token(by, name, person=None):
    path = by.home / name
    whose = ["--person", person.email] if person else []
    by.coffer("token", "add", name, "--role", "admin", *whose, "--output", path)
    return path


def attack(world, victim, token):
    """Asks as the victim with a token in her name, then tries to agree as ben."""
    request = impersonated(victim, token).request(world.kept)
    said = world.ben.approve(request, expect=REFUSED).stderr
    assert "another officer must answer" in said
    answer = world.ben.api("GET", f"/recoveries/{request['id']}/share")
    assert answer.status == 403, answer
    assert any("another officer" in why for why in world.refusals(request))
    return request


def fresh(world, tmp_path, name):
    return Person(world.instance, tmp_path, name, "admin")


def test_hands__her_own_request_is_answered_by_any_officer(world):
    request = world.dora.request(world.kept)
    assert request["hands"] == []
    for officer in (world.ben, world.cleo):
        officer.approve(request)
    out = world.dora.home / "out"
    world.dora.coffer("recover", "open", request["path"], "--out", out)
    assert out.read_bytes() == b"secret"


def test_hands__a_token_in_her_name(world, tmp_path):
    eli = fresh(world, tmp_path, "eli")
    request = attack(world, eli, add_token(world.ben, "as-eli", eli))
    assert request["hands"] == [world.ben.email]
    world.ben.coffer("recover", "deny", request["id"])  # to refuse it he may


def test_hands__a_token_of_nobody_between(world, tmp_path):
    fay = fresh(world, tmp_path, "fay")
    nobody = impersonated(world.ben, add_token(world.ben, "nobody"))
    again = impersonated(world.ben, add_token(nobody, "nobody-again"))
    attack(world, fay, add_token(again, "as-fay", fay))


def test_hands__a_token_that_her_token_made(world, tmp_path):
    gus = fresh(world, tmp_path, "gus")
    first = impersonated(gus, add_token(world.ben, "as-gus", gus))
    attack(world, gus, add_token(first, "gus-again", gus))


def test_hands__through_another_persons_name(world, tmp_path):
    hal, ivy = fresh(world, tmp_path, "hal"), fresh(world, tmp_path, "ivy")
    as_hal = impersonated(hal, add_token(world.ben, "as-hal", hal))
    attack(world, ivy, add_token(as_hal, "as-ivy", ivy))


def test_hands__a_password_that_he_set(world, tmp_path):
    kim = fresh(world, tmp_path, "kim")
    private(kim.home / "reset", OTHER.encode() + b"\n")
    world.ben.coffer("user", "password", kim.email, "--password-file", kim.home / "reset")
    kim.log_in(password="reset", output="stolen")
    attack(world, kim, kim.home / "stolen")


def test_hands__an_account_that_he_made(world, tmp_path):
    secret = private(tmp_path / "password", PASSPHRASE.encode() + b"\n")
    world.ben.coffer("user", "add", "lee@example.org", "--role", "admin", "--password-file", secret)
    lee = impersonated(world.dora, tmp_path / "lee-token")
    lee.name, lee.email, lee.home = "lee", "lee@example.org", tmp_path
    lee.log_in(output="lee-token")
    attack(world, lee, lee.token)


def test_hands__the_instances_own_token_makes_none_that_asks(world):
    path = world.dora.home / "local-made"
    world.instance.coffer("token", "add", "dora-local", "--role", "admin", "--person",
                          world.dora.email, "--output", path)
    local = impersonated(world.dora, path)
    again = impersonated(world.dora, add_token(local, "dora-local-again", world.dora))
    for person in (local, again):
        done = person.coffer("recover", "request", world.kept, "--for", "x", "--reason", "y",
                             expect=REFUSED)
        assert "coffer login dora@example.org" in done.stderr


def test_login__takes_no_more_than_the_person_is(world, tmp_path):
    secret = private(tmp_path / "password", PASSPHRASE.encode() + b"\n")
    for role, more, expect in (("member", [], 0), ("member", ["--role", "auditor"], REFUSED),
                               ("member", ["--role", "admin"], REFUSED),
                               ("admin", ["--role", "auditor"], 0),
                               ("admin", ["--role", "member"], 0),
                               ("admin", ["--role", "officer"], REFUSED)):
        email = "-".join([role, *more[1:]]) + "@example.org"
        world.instance.coffer("user", "add", email, "--role", role, "--password-file", secret)
        out = tmp_path / email
        done = world.dora.coffer("login", email, "--password-file", secret, "--output", out, *more,
                                 expect=expect)
        assert out.exists() == (expect == 0), done
        if expect == 0:
            taken = more[1] if more else role
            assert f"({taken})" in done.stdout + done.stderr
            listed = impersonated(world.dora, out).coffer(
                "user", "list", expect=REFUSED if taken == "member" else 0)
            assert taken != "member" or not listed.stdout
    wrong = private(tmp_path / "wrong", b"wrong horse battery\n")
    done = world.dora.coffer("login", email, "--password-file", wrong, "--output", tmp_path / "none",
                             expect=REFUSED)
    assert "address or password is wrong" in done.stderr and not (tmp_path / "none").exists()
    # an officer's token, for who handed in a key
    made = world.ben.coffer_json("login", world.ben.email, "--password-file", world.ben.secret,
                                 "--role", "officer", "--output", tmp_path / "officer")
    assert made["role"] == "officer" and "token" not in made
