"""A Dovecot of the tests' own: IMAP in clear and with TLS, LMTP to deliver, accounts of example.org
with one password; and a coffer-mailbox beside it."""

import json
import os
import pathlib
import shutil
import smtplib
import socket
import subprocess
import tempfile

from helpers import instance as instances

PASSWORD = "mail-password"

CONFIG = """\
base_dir = {dir}/run
log_path = {dir}/log/dovecot.log
protocols = imap lmtp
ssl = yes
ssl_cert = <{dir}/tls.pem
ssl_key = <{dir}/tls.key
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:~/Maildir
mailbox_list_index = yes
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={dir}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Junk {{
    auto = create
  }}
  mailbox Sent {{
    auto = create
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {imaps}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service anvil {{
  chroot =
}}
"""


class Dovecot:
    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="coffer-dovecot-"))
        os.chmod(self.dir, 0o755)
        self.imap, self.imaps, self.lmtp = instances.free_ports(3)
        for name in ("log", "run", "mail"):
            (self.dir / name).mkdir(mode=0o755)
        os.chmod(self.dir / "mail", 0o777)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.dir / "tls.key", "-out",
                        self.dir / "tls.pem", "-days", "30", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost", "-addext",
                        "extendedKeyUsage=serverAuth"], check=True, capture_output=True)
        (self.dir / "dovecot.conf").write_text(CONFIG.format(
            dir=self.dir, password=PASSWORD, imap=self.imap, imaps=self.imaps, lmtp=self.lmtp))
        self.process = None
        self.start()

    def start(self):
        out = open(self.dir / "log/out", "ab")
        self.process = subprocess.Popen(["dovecot", "-F", "-c", self.dir / "dovecot.conf"],
                                        stdout=out, stderr=out)
        for port in (self.imap, self.imaps, self.lmtp):
            instances.wait_for(lambda port=port: self._answers(port), bool, self.tail())

    @staticmethod
    def _answers(port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    def tail(self):
        return "\n".join(p.read_text(errors="replace")[-3000:]
                         for p in sorted((self.dir / "log").iterdir()))

    def deliver(self, to, message, sender="oscar@example.com"):
        with smtplib.LMTP("127.0.0.1", self.lmtp) as client:
            assert client.sendmail(sender, [to], message) == {}

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(instances.PATIENCE)
            self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Mailbox:
    """coffer-mailbox with its agent."""

    def __init__(self, directory, dovecot, address, passcode="correct horse"):
        self.files = pathlib.Path(directory)
        self.dir = self.files / "box"
        self.dovecot, self.address, self.passcode = dovecot, address, passcode
        self.agent, self.env = None, None

    def secret(self, text, name="secret"):
        path = self.files / name
        path.write_text(text + "\n")
        os.chmod(path, 0o600)
        return path

    def run(self, *args, status=0, stdin=None):
        done = subprocess.run([instances.program("coffer-mailbox"), "--dir", self.dir,
                               *map(str, args)], input=stdin, capture_output=True,
                              timeout=instances.PATIENCE)
        assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr,
                                           self.log())
        return done.stdout if status == 0 else done.stderr

    def json(self, *args):
        return json.loads(self.run(*args, "--json"))

    def init(self, *args, where=None):
        self.run("init", "--address", self.address, "--password-file",
                 self.secret(PASSWORD, "password"), "--passcode-file",
                 self.secret(self.passcode, "passcode"), "--without-tpm",
                 *(where or ("--imap", f"localhost:{self.dovecot.imap}", "--tls", "none")), *args)
        return self

    def start(self):
        self.err = open(self.files / "agent.log", "ab")
        self.agent = subprocess.Popen([instances.program("coffer-mailbox"), "--dir", self.dir,
                                       "run"], stdout=self.err, stderr=self.err, env=self.env)
        instances.wait_for(self.answers, bool, "the agent")
        return self

    def answers(self):
        assert self.agent.poll() is None, self.log()
        done = subprocess.run([instances.program("coffer-mailbox"), "--dir", self.dir, "status"],
                              capture_output=True, timeout=instances.PATIENCE)
        return done.returncode == 0

    def log(self):
        path = self.files / "agent.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def kill(self):
        self.agent.kill()
        self.agent.wait(instances.PATIENCE)
        self.agent = None

    def stop(self):
        if not self.agent:
            return
        self.agent.terminate()
        assert self.agent.wait(instances.PATIENCE) == 0, self.log()
        self.agent = None

    def unlock(self, passcode=None, status=0):
        return self.run("unlock", "--passcode-file", self.secret(passcode or self.passcode, "typed"),
                        status=status)

    def status(self):
        return self.json("status")

    def messages(self, *args):
        return self.json("list", *args)["messages"]

    def wait_subject(self, subject, folder="INBOX"):
        def look():
            return [m for m in self.messages(folder) if m["subject"] == subject]
        return instances.wait_for(look, bool, f"{subject}\n{self.log()}")[0]

    def wait_waiting(self, count):
        return instances.wait_for(lambda: self.status()["waiting"], lambda n: n == count,
                                  f"{count} mails in the inbox of class B\n{self.log()}")
