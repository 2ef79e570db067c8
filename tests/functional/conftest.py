"""Fixtures of the functional tests; see README.md for how to run one of them."""

import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from helpers import instance as instances  # noqa: E402
from helpers.device import Device, FactoryCa  # noqa: E402

_counter = iter(range(10**9))


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "ignore:SHA1 signatures are deprecated")
    config.addinivalue_line("markers", "threads: many threads at once, also run under TSan")


def pytest_sessionstart(session):
    missing = [p for p in ("cofferd", "coffer-keeper", "coffer-web", "coffer-courier", "coffer-mailgate",
                           "coffer")
               if not os.access(instances.program(p), os.X_OK)]
    if missing and not session.config.option.collectonly:
        pytest.exit(f"not built: {', '.join(missing)} in {instances.BIN}", 3)


@pytest.fixture(scope="session")
def factory():
    """The CA that made our simulated devices."""
    return FactoryCa()


def _settings(files, factory):
    return {"enrol": {"factory_ca": str(factory.write(files / "factory-ca.pem"))}}


@pytest.fixture(scope="session")
def instance(tmp_path_factory, factory):
    """One running instance for all tests that leave it as it was."""
    files = tmp_path_factory.mktemp("instance")
    made = instances.Instance(files)
    try:
        made.init(_settings(files, factory)).start()
        yield made
        made.stop()
    finally:
        made.abandon()


@pytest.fixture
def make_instance(tmp_path_factory, factory):
    """Makes instances of the test's own: make_instance(settings={}, directory=None)."""
    made = []

    def make(settings=None, directory=None, start=True):
        files = tmp_path_factory.mktemp("own")
        one = instances.Instance(files, directory)
        made.append(one)
        one.init(_settings(files, factory))
        one.configure(settings or {})
        return one.start() if start else one

    yield make
    try:
        for one in made:
            one.stop()
    finally:
        for one in made:
            one.abandon()


@pytest.fixture
def own_instance(make_instance):
    return make_instance()


@pytest.fixture
def person(instance):
    """A new person of the shared instance: (email, password)."""
    return instance.person(f"person{next(_counter)}@example.org")


@pytest.fixture
def device(instance, factory, person):
    """A newly enrolled device of the shared instance that has emptied its first queue."""
    made = Device(instance, factory).enrol(*person)
    made.session()
    return made


@pytest.fixture
def openssl():
    """Runs openssl; returns its standard output."""
    def run(*args, stdin=None, expect=0):
        done = subprocess.run(["openssl", *[str(a) for a in args]], input=stdin,
                              capture_output=True, timeout=instances.PATIENCE)
        if expect is not None:
            assert done.returncode == expect, done.stderr.decode()
        return done.stdout
    return run
