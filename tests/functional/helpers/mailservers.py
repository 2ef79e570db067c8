"""Real mail servers of the tests' own: Postfix and Dovecot on loopback ports, with everything of
theirs in one temporary directory. Postfix changes to its own user, so both need root."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from helpers import instance as instances

SERVICES = """\
127.0.0.1:{submission} inet n - n - - smtpd -o content_filter=coffer:[127.0.0.1]:{gate_out}
127.0.0.1:{back} inet n - n - - smtpd -o content_filter=
  -o receive_override_options=no_unknown_recipient_checks,no_header_body_checks
  -o smtpd_authorized_xforward_hosts=127.0.0.0/8
127.0.0.1:{arriving} inet n - n - - smtpd -o content_filter=
coffer unix - - n - 20 {filter} -o {filter}_send_xforward_command=yes
  -o disable_dns_lookups=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

MAIN = """\
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {dir}/log/postfix.log
maillog_file_prefixes = {dir}
myhostname = mail.example.org
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
smtputf8_enable = yes
virtual_mailbox_domains = example.org
virtual_mailbox_maps = static:all
virtual_transport = lmtp:[127.0.0.1]:{gate_in}
lmtp_send_xforward_command = yes
transport_maps = inline:{{ example.com=smtp:[127.0.0.1]:{outside} }}
alias_maps =
alias_database =
smtpd_recipient_restrictions = permit_mynetworks, reject
smtp_host_lookup = native
lmtp_host_lookup = native
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
default_destination_recipient_limit = 1000
smtp_tls_security_level = none
smtpd_tls_security_level = none
"""

DOVECOT = """\
base_dir = {dir}/run
log_path = {dir}/log/dovecot.log
protocols = lmtp
ssl = no
first_valid_uid = 1
mail_location = maildir:~/Maildir
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={dir}/mail/%u
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


class MailServers:
    """Postfix filters what people submit through the gateway, gives it what arrives, and Dovecot
    has the mailboxes of example.org; example.com is the next hop `outside`."""

    def __init__(self, gate_out, gate_in, outside, ports, filter="smtp"):
        # the users of the servers must be able to come here: not pytest's directory
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="coffer-mail-"))
        os.chmod(self.dir, 0o755)
        self.submission, self.back, self.arriving, self.lmtp = ports
        values = {"dir": self.dir, "gate_out": gate_out, "gate_in": gate_in, "outside": outside,
                  "submission": self.submission, "back": self.back, "arriving": self.arriving,
                  "lmtp": self.lmtp, "filter": filter}
        for name in ("queue", "data", "log", "run", "mail", "postfix"):
            (self.dir / name).mkdir(mode=0o755)
        shutil.chown(self.dir / "data", "postfix")
        os.chmod(self.dir / "mail", 0o777)
        (self.dir / "postfix/main.cf").write_text(MAIN.format(**values))
        (self.dir / "postfix/master.cf").write_text(SERVICES.format(**values))
        (self.dir / "dovecot.conf").write_text(DOVECOT.format(**values))
        self.processes = []
        self._start()

    def _start(self):
        out = open(self.dir / "log/out", "ab")
        subprocess.run(["postfix", "-c", self.dir / "postfix", "start"], check=True, stdout=out,
                       stderr=out, timeout=instances.PATIENCE)
        self.processes.append(subprocess.Popen(["dovecot", "-F", "-c", self.dir / "dovecot.conf"],
                                               stdout=out, stderr=out))
        for port in (self.submission, self.back, self.arriving, self.lmtp):
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

    def mailbox(self, address, count):
        """The first `count` messages, in the order of their arrival."""
        folder = self.dir / "mail" / address / "Maildir/new"

        def look():
            found = list(folder.iterdir()) if folder.is_dir() else []
            return sorted(found, key=lambda p: p.stat().st_mtime_ns)

        return [p.read_bytes() for p in instances.wait_for(
            look, lambda f: len(f) >= count, f"mail for {address}\n{self.tail()}")]

    def stop(self):
        subprocess.run(["postfix", "-c", self.dir / "postfix", "stop"], capture_output=True,
                       timeout=instances.PATIENCE)
        for process in self.processes:
            process.terminate()
            process.wait(instances.PATIENCE)
        shutil.rmtree(self.dir, ignore_errors=True)
