"""coffer-sim as tests use it: simulated iPhones and the stand-in for Apple's push service."""

import json
import subprocess

from helpers import instance as instances
from helpers.instance import PATIENCE, TOPIC, Daemon, program


def run(*args, expect=0):
    """Runs a subcommand to its end; the completed process."""
    done = subprocess.run([program("coffer-sim"), *[str(a) for a in args]], capture_output=True,
                          text=True, timeout=PATIENCE * 2)
    if expect is not None:
        assert done.returncode == expect, f"{args}\n{done.stdout}\n{done.stderr}"
    return done


def events(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


class Apns:
    """The push stand-in, on ports that the kernel chose. `script`: its faults."""

    def __init__(self, folder, certificates, script=""):
        self.log = folder / "apns-requests.jsonl"
        arguments = ["apns", "--listen", "127.0.0.1:0", "--device-port", "0", "--log", self.log,
                     "--tls-cert", certificates / "server-cert.pem", "--tls-key",
                     certificates / "server-key.pem", "--client-ca", certificates / "ca.pem"]
        if script:
            (folder / "apns-script").write_text(script)
            arguments += ["--script", folder / "apns-script"]
        self.daemon = Daemon([program("coffer-sim"), *[str(a) for a in arguments]],
                             folder / "apns.log")
        found = self.daemon.wait_line(r"at https://127\.0\.0\.1:(\d+), devices at 127\.0\.0\.1:(\d+)")
        self.port, self.device_port = int(found[1]), int(found[2])

    def requests(self):
        return events(self.log.read_text()) if self.log.exists() else []

    def wait_requests(self, count, token=None):
        """Until it has answered so many requests (for this token)."""
        return instances.wait_for(lambda: [r for r in self.requests()
                                           if token in (None, r["token"])],
                                  lambda found: len(found) >= count, "pushes")

    def stop(self):
        return self.daemon.stop()


def push_settings(apns, certificates):
    return {"push": {"url": f"https://localhost:{apns.port}", "topic": TOPIC,
                     "certificate": str(certificates / "push-cert.pem"),
                     "key": str(certificates / "push-key.pem"),
                     "ca": str(certificates / "ca.pem")}}


class Phone:
    """A simulated iPhone with its state in a folder."""

    def __init__(self, instance, folder, factory, apns=None):
        self.instance, self.state, self.factory, self.apns = instance, folder, factory, apns

    def enrol(self, person, *more, expect=0):
        secret = self.state.parent / f"{self.state.name}.password"
        secret.write_text(person[1] + "\n")
        secret.chmod(0o600)
        done = run("enrol", "--url", self.instance.url, "--ca", self.instance.root, "--user",
                   person[0], "--password-file", secret, "--state", self.state, "--factory",
                   self.factory, "--json", *more, expect=expect)
        return events(done.stdout)

    def session(self, *more, expect=0):
        """One session now."""
        done = run("run", "--state", self.state, "--until-idle", "--json", *more, expect=expect)
        return events(done.stdout)

    def live(self, *more):
        """In the background, waiting for pushes; a Daemon."""
        one = Daemon([program("coffer-sim"), "run", "--state", str(self.state), "--apns",
                      f"127.0.0.1:{self.apns.device_port}", "--json", *more],
                     self.state.parent / f"{self.state.name}.run.log")
        one.wait_line('"push.wait"')
        return one

    def check_out(self):
        return events(run("checkout", "--state", self.state, "--json").stdout)
