"""What each process may do, seen from outside: /proc and the log."""

import pathlib
import re
import subprocess

import pytest

from helpers import instance as instances
from helpers.proc import descriptors, statuses_of_threads

PROGRAMS = ("coffer-keeper", "coffer-web", "coffer-courier")


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def inet_inodes():
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        path = pathlib.Path(f"/proc/net/{table}")
        if path.exists():
            found |= {line.split()[9] for line in path.read_text().splitlines()[1:]}
    return found


def sockets(pid):
    return {re.search(r"\d+", t)[0] for t in descriptors(pid).values() if t.startswith("socket:")}


@pytest.mark.parametrize("name", PROGRAMS)
def test_seccomp_and_no_new_privileges(instance, name):
    shown = status(instance.pid_of(name))
    assert shown["Seccomp"].strip() == "2", "a filter is on"
    assert shown["NoNewPrivs"].strip() == "1"


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_thread_is_filtered(instance, name):
    for shown in statuses_of_threads(instance.pid_of(name)):
        assert re.search(r"^Seccomp:\s+2$", shown, re.M), shown


@pytest.mark.parametrize("name", ["coffer-web", "coffer-courier"])
def test_landlock_is_said_in_the_log(instance, name):
    instance.daemon.wait_line(rf" {name} info sandbox landlock=[1-9]\d* seccomp=(on|relaxed)$")


def test_keeper_says_so_through_the_api(instance):
    keeper = instance.api("GET", "/status", expect=200).json()["keeper"]
    assert keeper["landlock"] is True
    assert keeper["seccomp"] is not bool(instances.SANITIZER), "a sanitizer needs a relaxed filter"


def test_keeper_has_no_network(instance):
    pid = instance.pid_of("coffer-keeper")
    assert not sockets(pid) & inet_inodes()
    assert sockets(pid), "its channels are sockets"


def test_courier_and_web_have_no_key_files_open(instance):
    for name in ("coffer-web", "coffer-courier", "cofferd"):
        opened = descriptors(instance.pid_of(name)).values()
        assert not [p for p in opened if "/vault" in p], name


def test_keeper_has_no_store_open(instance):
    opened = descriptors(instance.pid_of("coffer-keeper")).values()
    assert not [p for p in opened if "store.db" in p]
    assert [p for p in opened if "vault.db" in p]


def test_keeper_links_no_network_library():
    done = subprocess.run(["ldd", instances.program("coffer-keeper")], capture_output=True,
                          text=True, check=True)
    for library in ("libcurl", "libgnutls", "libmicrohttpd", "libnghttp2", "libldap", "libexpat",
                    "libssl"):
        assert library not in done.stdout, library


def test_modes_of_files(instance):
    def mode(path):
        return (instance.directory / path).stat().st_mode & 0o777

    assert mode("vault") == 0o700
    for path in (instance.directory / "vault").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert mode("tls/key.pem") == 0o600
    for path in instance.directory.rglob("*token*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert mode("store") & 0o007 == 0


def test_second_cofferd_is_refused(instance):
    done = subprocess.run([instances.program("cofferd"), "--dir", str(instance.directory)],
                          capture_output=True, text=True, timeout=instances.PATIENCE)
    assert done.returncode == 1 and "run" in done.stderr
    instance.wait_healthy()


@pytest.mark.parametrize("name", PROGRAMS)
def test_children_do_not_run_alone(instance, name):
    """Without cofferd's channel a child ends with a message, and touches nothing."""
    done = subprocess.run([instances.program(name), "--dir", str(instance.directory)],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=instances.PATIENCE)
    assert done.returncode != 0 and done.stderr
    instance.wait_healthy()
