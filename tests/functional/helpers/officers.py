"""People with machines of their own: recovery officers, and who asks them."""

import hashlib
import json
import os
import pathlib
import subprocess

from helpers import instance as instances

PASSPHRASE = "correct horse battery"


LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


def spoken_code(record, drawn="k7mq3nfh"):
    """The code of a recovery request, by docs/formats/officer-files.md."""
    text = b"coffer/v1/request/code"
    hashed = hashlib.sha256(len(text).to_bytes(4, "big") + text + hashlib.sha256(record).digest() +
                            drawn.encode()).digest()
    letters = drawn + "".join(LETTERS[int.from_bytes(hashed[2 * i:2 * i + 2], "big") % 31]
                              for i in range(12))
    return "-".join(letters[i:i + 4] for i in range(0, 20, 4))


class Person:
    """Somebody with a home directory, a token of a role, and the command line."""

    def __init__(self, instance, files, name, role):
        self.instance, self.name = instance, name
        self.email = f"{name}@example.org"
        self.home = pathlib.Path(files) / name
        self.home.mkdir()
        self.token = self.home / "token"
        if role == "admin":  # who asks for recoveries logs in
            private(self.home / "password", PASSPHRASE.encode() + b"\n")
            instance.coffer("user", "add", self.email, "--role", role, "--password-file",
                            self.home / "password")
            self.log_in()
            return
        instance.coffer("user", "add", self.email)
        instance.coffer("token", "add", name, "--role", role, "--person", self.email, "--output",
                        self.token)

    def log_in(self, password="password", output="token"):
        """Makes a token of the person's own: the answer."""
        return self.coffer_json("login", self.email, "--password-file", self.home / password,
                                "--output", self.home / output)

    def coffer(self, *args, expect=0, stdin=None, json_out=False):
        command = [instances.program("coffer"), "--server", self.instance.url, "--token-file",
                   str(self.token), "--ca", str(self.instance.root)]
        command += ["--json"] if json_out else []
        done = subprocess.run([*command, *[str(a) for a in args]], capture_output=True, text=True,
                              input=stdin or "", timeout=instances.PATIENCE, cwd=self.home)
        if expect is not None:
            assert done.returncode == expect, \
                f"{self.name} {args}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def coffer_json(self, *args, expect=0, stdin=None):
        return json.loads(self.coffer(*args, expect=expect, stdin=stdin, json_out=True).stdout)

    def api(self, method, path, body=None, expect=None):
        return self.instance.api(method, path, body, token=self.token.read_text().strip(),
                                 expect=expect)

    def request(self, object_id, *more, whom="zoe@example.org", reason="the owner left"):
        """Asks for a recovery: the answer, with `path` of the key file."""
        answer = self.coffer_json("recover", "request", object_id, "--for", whom, "--reason", reason,
                                  *more)
        answer["path"] = self.home / answer["file"]
        return answer


class Officer(Person):
    def __init__(self, instance, files, name):
        super().__init__(instance, files, name, "officer")
        self.key = self.home / "officer"
        self.secret = self.home / "passphrase"
        self.secret.write_text(PASSPHRASE + "\n")
        self.secret.chmod(0o600)
        self.coffer("officer", "keygen", "--out", self.key, "--label", self.email,
                    "--passphrase-file", self.secret)
        self.id = instance.coffer_json("officer", "add", self.email, f"{self.key}.pub")["id"]

    @property
    def unlock(self):
        return ("--key", self.key, "--passphrase-file", self.secret, "--yes")

    def approve(self, request, *more, expect=0):
        if "--code" not in more and "code" in request:
            more = (*more, "--code", request["code"])
        return self.coffer("recover", "approve", request["id"], *self.unlock, *more, expect=expect)

    def sign(self, epoch, expect=0):
        return self.coffer("officer", "sign", epoch, *self.unlock, expect=expect)

    def redeal(self, *more, expect=0):
        return self.coffer("officer", "redeal", *self.unlock, *more, expect=expect)

    def finish(self, epoch, expect=0):
        return self.coffer("officer", "finish", epoch, *self.unlock, expect=expect)


def private(path, data):
    """A file nobody else may read."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(data)
    return path
