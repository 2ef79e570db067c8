"""Mail: one large message through coffer, openssl cms and gpgsm in turns, and many small ones beside
the RSA operations that they can't do without."""

import base64
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

LINE = 76
ROOT_SUBJECT = "/CN=bench"


def make_message(path, size):
    """A message with one base64 attachment; its size in bytes."""
    block = base64.encodebytes(os.urandom(57 * 20000)).replace(b"\n", b"\r\n")
    with open(path, "wb") as f:
        f.write(b"From: bench@example.org\r\nTo: bench@example.org\r\nSubject: large\r\n"
                b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
                b"Content-Transfer-Encoding: base64\r\n\r\n")
        while f.tell() < size:
            f.write(block)
        return f.tell()


class Cost:
    """Wall and CPU seconds and the most memory of one run."""

    def __init__(self, args, stdin=None, stdout=subprocess.DEVNULL, env=None):
        with open(stdin or os.devnull, "rb") as i, \
                (open(stdout, "wb") if isinstance(stdout, pathlib.Path) else
                 open(os.devnull, "wb")) as o:
            start = time.monotonic()
            process = subprocess.Popen([str(a) for a in args], stdin=i, stdout=o,
                                       stderr=subprocess.DEVNULL, env=env)
            self.rss = 0  # ru_maxrss would tell of this interpreter before the exec
            while True:
                self.look(process.pid)
                done, status, used = os.wait4(process.pid, os.WNOHANG)
                if done:
                    break
                time.sleep(0.005)
            self.wall = time.monotonic() - start
            process.returncode = status
        if status:
            raise RuntimeError(f"{args[:4]} failed: {status}")
        self.cpu = used.ru_utime + used.ru_stime

    def look(self, pid):
        """The most memory so far, in MB."""
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", text)
        name = re.search(r"Name:\s+(\S+)", text).group(1)
        if found and not name.startswith("python"):
            self.rss = max(self.rss, int(found.group(1)) / 1024)


class Mail:
    def __init__(self, coffer, directory):
        self.coffer, self.dir = coffer, directory
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="g-"))  # a socket's path is short
        self.env = dict(os.environ, GNUPGHOME=str(self.home), TMPDIR=str(directory))
        self.key, self.crt, self.pem = (directory / f"m.{e}" for e in ("key", "crt", "pem"))
        self.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out",
                 self.crt, "-subj", ROOT_SUBJECT, "-days", "30", "-addext",
                 "subjectAltName=email:bench@example.org")
        self.pem.write_bytes(self.key.read_bytes() + self.crt.read_bytes())
        self.gpgsm_ready = shutil.which("gpgsm") is not None and self.import_key()

    def run(self, *args):
        subprocess.run([str(a) for a in args], check=True, capture_output=True, env=self.env)

    def import_key(self):
        self.run("openssl", "pkcs12", "-export", "-in", self.pem, "-out", self.dir / "m.p12", "-passout",
                 "pass:", "-legacy")
        (self.home / "gpgsm.conf").write_text("disable-crl-checks\n")
        (self.home / "gpg-agent.conf").write_text("allow-loopback-pinentry\n")
        print_ = subprocess.run(["openssl", "x509", "-in", self.crt, "-noout", "-fingerprint", "-sha1"],
                                capture_output=True, text=True, check=True).stdout
        (self.home / "trustlist.txt").write_text(print_.split("=")[1].strip() + " S relax\n")
        done = subprocess.run(["gpgsm", "--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0",
                               "--import", str(self.dir / "m.p12")], input=b"\n", env=self.env,
                              capture_output=True)
        return done.returncode == 0

    def close(self):
        subprocess.run(["gpgconf", "--kill", "all"], env=self.env, capture_output=True)
        shutil.rmtree(self.home, ignore_errors=True)

    def commands(self, plain, encrypted, signed, der):
        """name -> (arguments, standard input)"""
        c, k, crt = self.coffer, self.key, self.crt
        all_ = {
            ("encrypt", "coffer"): ([c, "mail", "encrypt", "--to", crt], plain),
            ("encrypt", "openssl cms -stream"): (
                ["openssl", "cms", "-encrypt", "-stream", "-aes256", "-in", plain, crt], None),
            ("decrypt", "coffer"): ([c, "mail", "decrypt", "--key", self.pem], encrypted),
            ("decrypt", "openssl cms"): (
                ["openssl", "cms", "-decrypt", "-binary", "-in", encrypted, "-recip", crt, "-inkey", k],
                None),
            ("verify", "coffer"): ([c, "mail", "verify", "--root", crt], signed),
            ("verify", "openssl cms"): (["openssl", "cms", "-verify", "-in", signed, "-CAfile", crt], None),
        }
        if self.gpgsm_ready:
            all_["decrypt", "gpgsm, without MIME"] = (["gpgsm", "--batch", "--decrypt", der], None)
            all_["encrypt", "gpgsm, without MIME"] = (
                ["gpgsm", "--batch", "--encrypt", "--recipient", "bench@example.org",
                 plain], None)
        return all_

    def prepare(self, size):
        plain, encrypted, signed, der = (self.dir / n for n in ("p.eml", "e.eml", "s.eml", "e.der"))
        size = make_message(plain, size)
        Cost([self.coffer, "mail", "encrypt", "--to", self.crt], plain, encrypted, self.env)
        Cost([self.coffer, "mail", "sign", "--key", self.pem], plain, signed, self.env)
        if self.gpgsm_ready:
            self.run("openssl", "cms", "-encrypt", "-binary", "-stream", "-aes256", "-in", plain, "-outform",
                     "DER", "-out", der, self.crt)
        return size, self.commands(plain, encrypted, signed, der)


def small(program, messages):
    """name -> (microseconds, share of what RSA allows or None)"""
    out = subprocess.run([program, str(messages)], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in out.splitlines():
        m = re.match(r"(.*?\S) +([\d.]+) us(?:, +(\d+) %)?", line)
        found[m.group(1)] = (float(m.group(2)), int(m.group(3)) if m.group(3) else None)
    return found


def bench(b):
    """b: the module bench, with say, row, median, spread, ROUNDS, QUICK, BUILD."""
    megabytes = 50 if b.QUICK else 205
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mail-", dir=b.BUILD))
    mail = Mail(b.BUILD / "bin" / "coffer", directory)
    try:
        size, commands = mail.prepare(megabytes * 10**6)
        costs = {name: [] for name in commands}
        for i in range(b.ROUNDS):
            b.say(f"mail of {size / 1e6:.0f} MB, round {i + 1} of {b.ROUNDS}")
            for name, (args, stdin) in commands.items():
                costs[name].append(Cost(args, stdin, env=mail.env))
        report_large(b, size / 1e6, costs)
        if not b.QUICK:
            huge(b, mail)
        report_small(b, small(b.BUILD / "tests" / "unit" / "mail" / "bench_mail", 200))
    finally:
        mail.close()
        shutil.rmtree(directory)


def report_large(b, size, costs):
    def rates(name, of):
        return [size / getattr(c, of) for c in costs[name]]
    for name, all_ in costs.items():
        b.row(f"mail: {name[0]} {size:.0f} MB, {name[1]}",
              f"{b.spread(rates(name, 'wall'))} MB/s, {b.median([c.cpu for c in all_]):.2f} s of CPU, "
              f"{max(c.rss for c in all_):.1f} MB")
    for what, other, times, least in (("decrypt", "openssl cms", 5, 400), ("verify", "openssl cms", 5, 400),
                                      ("encrypt", "openssl cms -stream", 1, 0)):
        for of, label in (("wall", "rate"), ("cpu", "rate by CPU time")):
            ratio = b.median([o / u for o, u in zip((getattr(c, of) for c in costs[what, other]),
                                                    (getattr(c, of) for c in costs[what, "coffer"]))])
            b.row(f"mail: {what}, of {other}'s {label}", f"{ratio:.1f} x", f">= {times} x", ratio >= times)
        if least:
            rate = b.median(rates((what, "coffer"), "wall"))
            b.row(f"mail: {what}, at least", f"{rate:.0f} MB/s", f">= {least} MB/s", rate >= least)


def huge(b, mail):
    size, commands = mail.prepare(2 * 10**9)
    for what in ("encrypt", "decrypt", "verify"):
        b.say(f"mail of {size / 1e9:.0f} GB: {what}")
        cost = Cost(*commands[what, "coffer"], env=mail.env)
        b.row(f"mail: {what} {size / 1e9:.1f} GB, memory", f"{cost.rss:.1f} MB, {cost.wall:.1f} s",
              "<= 16 MB", cost.rss <= 16)


def report_small(b, found):
    for name, (us, share) in found.items():
        bound = share is not None and name in ("decrypt", "sign")
        b.row(f"mail: 8 KB, {name}" if share is not None else f"mail: {name}",
              f"{us:.0f} us" + (f", {1e6 / us:.0f} /s, {share} % of what RSA allows"
                                if share is not None else ""),
              ">= 95 %" if bound else "", share >= 95 if bound else None)

