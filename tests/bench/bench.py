"""make bench: measures Coffer's speed and memory and prints the table of docs/benchmarks.md.

Everything runs once, in rounds that alternate between what is compared; a row is the median of its
rounds. Environment: BENCH_QUICK=1 for a run of about a minute; BENCH_BUILD, the build directory
(default build); BENCH_ONLY, a list of scep, certs, mdm, memory, micro, mail,
escrow, mailgate, notify, mailbox, sync; BENCH_KEEP=1 keeps the instances.
"""

import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = (ROOT / os.environ.get("BENCH_BUILD", "build")).resolve()
os.environ["COFFER_BIN"] = str(BUILD / "bin")
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "functional")]

# pylint: disable=wrong-import-position
from cryptography import x509  # noqa: E402

import escrow  # noqa: E402
import idle  # noqa: E402
import lifecycle  # noqa: E402
import load  # noqa: E402
import mail  # noqa: E402
import mailgate  # noqa: E402
import meter  # noqa: E402
import mailbox  # noqa: E402
import notify  # noqa: E402
import peer  # noqa: E402
import prepare  # noqa: E402
import rows  # noqa: E402
import sync  # noqa: E402
from helpers import cms, scep  # noqa: E402
from helpers import instance as instances  # noqa: E402

QUICK = os.environ.get("BENCH_QUICK", "") not in ("", "0")
ONLY = os.environ.get("BENCH_ONLY", "scep,certs,mdm,memory,micro,mail,escrow,mailgate,notify,mailbox,sync").split(",")
ROUNDS = 3
DEVICES = int(os.environ.get("BENCH_DEVICES") or (1200 if QUICK else 10000))
PEER_REQUESTS = 60 if QUICK else 400     # a round
OLD_RESULTS = 100000 if QUICK else 1000000
CERTIFICATES = int(os.environ.get("BENCH_CERTIFICATES") or (100000 if QUICK else 1000000))
ISSUED = 200 if QUICK else 1000          # a round, with few certificates and with many
OCSP_SECONDS = 2 if QUICK else 5         # of wrk, a round
OCSP_SAMPLE = 20000                      # certificates asked for again and again
IDLE_CONNECTIONS = 1000 if QUICK else 5000
CONNECTIONS = 16                         # SCEP: requests at once
MDM_CONNECTIONS = 32                     # MDM: devices at once
WARM_UP = 50

table = []


def say(text):
    print(f"[{time.monotonic() - BEGAN:5.0f} s] {text}", file=sys.stderr, flush=True)


BEGAN = time.monotonic()


def row(what, figure, target="", met=None):
    table.append((what, figure, target, "" if met is None else "yes" if met else "NO"))


def print_table():
    head = ("measured", "figure", "target", "met")
    widths = [max(len(line[i]) for line in [head, *table]) for i in range(4)]
    for line in [head, tuple("-" * w for w in widths), *table]:
        print("| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths)) + " |")


def median(values):
    return statistics.median(values)


def spread(values, digits=0):
    """The median, and the rounds it is the median of."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


# ---- SCEP ----

# The signed attribute pkiStatus (RFC 8894 section 3.2.1.3) of a SUCCESS, as DER.
STATUS_SUCCESS = bytes.fromhex("060a6086480186f845010903310313 0130")


def must_succeed(_job, _step, status, body):
    if status != 200 or STATUS_SUCCESS not in body:
        raise load.Failed(f"enrolment refused: {status} {body[:300]!r}")


def measured_enrolments(port, jobs, pids, cafile=None, check=must_succeed):
    """(rate, CPU microseconds each, latencies)."""
    generator = load.Load(port, CONNECTIONS, cafile)
    try:
        with meter.Meter(pids) as m:
            latencies = generator.run(jobs, check)
    finally:
        generator.close()
    return len(jobs) / m.seconds, m.cpu / len(jobs), latencies


def shares(instance, before, operations):
    """How the CPU of an operation is divided among the processes."""
    used = {name: (meter.cpu_us([pid]) - before[pid]) / operations
            for pid, name in meter.coffer(instance).items()}
    return ", ".join(f"{name.removeprefix('coffer-')} {us:.0f}" for name, us in
                     sorted(used.items(), key=lambda item: -item[1]) if us >= 1)


def cpu_so_far(instance):
    return {pid: meter.cpu_us([pid]) for pid in meter.coffer(instance)}


def measured_peer(server, jobs):
    """The same for the peer, which refuses some requests when many come at once: they don't
    count as enrolments, but nobody measures less work for them either."""
    refused = []

    def check(_job, _step, status, body):
        if status != 200 or STATUS_SUCCESS not in body:
            refused.append(status)
    rate, cpu, latencies = measured_enrolments(server.port, jobs, [server.process.pid], None, check)
    share = 1 - len(refused) / len(jobs)
    if share < 0.5:
        raise load.Failed(f"scepserver refused {len(refused)} of {len(jobs)} requests")
    return rate * share, cpu / share, latencies, len(refused)


def verify_one(instance, ca):
    """That what is measured is the real thing: one reply is opened and checked in full."""
    key = scep.rsa_key("bench")
    rows.add_challenges(instance, ["check"])
    client = scep.Client(key, scep.name(("CN", "check")), ca)
    answer = instance.http("POST", "/scep?operation=PKIOperation",
                           client.request(rows.challenge("check")),
                           {"Content-Type": "application/x-pki-message"}, "http")
    if client.read(answer.body).status != scep.SUCCESS:
        raise load.Failed(f"enrolment refused: {answer}")


def bench_scep(workshop, instance, directory):
    ca = x509.load_pem_x509_certificate(instance.device_ca.read_bytes())
    verify_one(instance, ca)
    say(f"preparing {DEVICES} enrolments")
    numbers = list(range(DEVICES))
    rows.add_challenges(instance, numbers)
    target = "/scep?operation=PKIOperation"
    jobs = workshop.enrolments(ca, target, numbers, rows.challenge)
    other = peer.ScepServer(directory / "peer")
    others = workshop.enrolments(other.ca, target,
                                 range(DEVICES, DEVICES + ROUNDS * PEER_REQUESTS),
                                 lambda n: peer.SECRET)
    pids, part = list(meter.coffer(instance)), (DEVICES - WARM_UP) // (2 * ROUNDS)
    results = {"http": [], "https": [], "peer": [], "rsa": [], "rsa_all": []}
    measured_enrolments(instance.http_port, jobs[2 * ROUNDS * part:], pids)
    before = cpu_so_far(instance)
    for i in range(ROUNDS):
        say(f"SCEP, round {i + 1} of {ROUNDS}")
        results["rsa"].append(meter.rsa_private_us())
        results["rsa_all"].append(meter.rsa_private_us(at_once=os.cpu_count()))
        a, b = jobs[2 * i * part:(2 * i + 1) * part], jobs[(2 * i + 1) * part:2 * (i + 1) * part]
        results["http"].append(measured_enrolments(instance.http_port, a, pids))
        results["peer"].append(measured_peer(
            other, others[i * PEER_REQUESTS:(i + 1) * PEER_REQUESTS]))
        results["https"].append(measured_enrolments(instance.port, b, pids, instance.root))
    issued = rows.count(instance, "SELECT COUNT(*) FROM certificate"
                                  " WHERE profile = 'device-identity'")
    if issued != DEVICES + 1:
        raise load.Failed(f"{issued} of {DEVICES + 1} certificates are in the database")
    other.stop()
    report_scep(results, shares(instance, before, 2 * ROUNDS * part))


def report_scep(results, processes):
    def column(name, i):
        return [r[i] for r in results[name]]

    rsa, peer_rate = median(results["rsa"]), median(column("peer", 0))
    row("RSA-2048 private operation, `openssl speed`", f"{spread(results['rsa'])} us")
    row("RSA-2048 private operation, one `openssl speed` on each processor",
        f"{spread(results['rsa_all'])} us")
    row("scepserver over HTTP", f"{spread(column('peer', 0))} /s, "
                                f"{median(column('peer', 1)):.0f} us of CPU each, "
                                f"{sum(column('peer', 3))} of {ROUNDS * PEER_REQUESTS} refused")
    for name in ("http", "https"):
        rate, cpu = median(column(name, 0)), median(column(name, 1))
        latencies = [x for r in results[name] for x in r[2]]
        label = f"SCEP enrolments over {name.upper()}"
        row(label, f"{spread(column(name, 0))} /s")
        row(f"{label}: latency, {CONNECTIONS} at once",
            f"p50 {load.percentile(latencies, .5) * 1e3:.1f} ms, "
            f"p99 {load.percentile(latencies, .99) * 1e3:.1f} ms")
        row(f"{label}: of scepserver's rate", f"{rate / peer_rate:.1f} x", ">= 4 x",
            rate >= 4 * peer_rate)
        row(f"{label}: CPU of all processes", f"{spread(column(name, 1))} us")
        ratios = [c / (3 * r) for c, r in zip(column(name, 1), results["rsa"])]
        row(f"{label}: of 3 RSA-2048 operations", f"{spread(ratios, 2)} x", "<= 1.5 x",
            median(ratios) <= 1.5)
        busy = [c / (3 * r) for c, r in zip(column(name, 1), results["rsa_all"])]
        row(f"{label}: of 3 RSA-2048 operations, all processors busy", f"{spread(busy, 2)} x")
        say(f"{label}: {rate:.0f}/s, {cpu:.0f} us, {cpu / (3 * rsa):.2f} x")
    row("SCEP enrolments: CPU by process", f"{processes} us")


# ---- many certificates ----

def bench_certs(workshop, instance, directory):
    ca = x509.load_pem_x509_certificate(instance.device_ca.read_bytes())
    say(f"a second instance with {CERTIFICATES} certificates")
    first = 10 * DEVICES + ROUNDS * PEER_REQUESTS
    numbers = range(first, first + ROUNDS * ISSUED + WARM_UP)
    rows.add_challenges(instance, numbers)
    jobs = workshop.enrolments(ca, "/scep?operation=PKIOperation", numbers, rows.challenge)
    many = copy_of(instance, directory / "many")
    lifecycle.add_certificates(many, CERTIFICATES)
    both = {"few": instance.start(), "many": many.start()}
    began = time.monotonic()
    lifecycle.await_count(many, "SELECT COUNT(*) FROM ocsp_status", CERTIFICATES)
    row("OCSP statuses signed ahead, in the background",
        f"{CERTIFICATES / (time.monotonic() - began):.0f} /s")
    bench_issuing(both, jobs)
    bench_ocsp(many, ca, directory)
    say(f"a revocation list of {CERTIFICATES} entries")
    many.stop()
    lifecycle.revoke_all(many)
    seconds, cpu, size, peaks = lifecycle.build_lists(many)
    many.stop()
    shutil.rmtree(directory / "many")
    label = f"revocation list of {CERTIFICATES} entries"
    row(f"{label}: to build", f"{seconds:.1f} s, {cpu:.1f} s of CPU, {size / 1e6:.1f} MB",
        "<= 5 s", seconds <= 5)
    row(f"{label}: most memory", megabytes(peaks), "<= 200 MB",
        sum(peaks.values()) <= 200 * 1024)
    say(f"{label}: {seconds:.1f} s, {megabytes(peaks)}")


def bench_issuing(both, jobs):
    """The same requests to both, in turns."""
    results = {"few": [], "many": []}
    for name, instance in both.items():
        measured_enrolments(instance.http_port, jobs[ROUNDS * ISSUED:], meter.coffer(instance))
    for i in range(ROUNDS):
        say(f"issuing, round {i + 1} of {ROUNDS}")
        for name in ("few", "many") if i % 2 == 0 else ("many", "few"):
            results[name].append(measured_enrolments(
                both[name].http_port, jobs[i * ISSUED:(i + 1) * ISSUED], meter.coffer(both[name])))
    both["few"].stop()
    for name, what in (("few", "few certificates"), ("many", f"{CERTIFICATES} certificates")):
        row(f"issuing by SCEP, {what}", f"{spread([r[0] for r in results[name]])} /s, "
                                        f"{median([r[1] for r in results[name]]):.0f} us of CPU each")
    change = median([m[0] / f[0] - 1 for f, m in zip(results["few"], results["many"])])
    row("issuing by SCEP: change of the rate by many certificates", f"{change * 100:+.0f} %",
        "+-15 %", abs(change) <= 0.15)
    say(f"issuing with {CERTIFICATES} certificates: {change * 100:+.0f} %")


def bench_ocsp(instance, ca, directory):
    say("OCSP")
    asked = lifecycle.requests_for(ca, lifecycle.sample(CERTIFICATES, OCSP_SAMPLE))
    once = lifecycle.requests_for(ca, lifecycle.sample(CERTIFICATES, CERTIFICATES // 2))
    size = lifecycle.check_good(instance, asked[0])
    other = lifecycle.OpensslOcsp(directory / "openssl", ca, CERTIFICATES)
    wrk = {"constant": lifecycle.Wrk(directory, "constant", ["/ca/device-ca.der"]),
           "new": lifecycle.Wrk(directory, "new", ["/ocsp/" + a for a in once]),
           "OCSP": lifecycle.Wrk(directory, "ocsp", ["/ocsp/" + a for a in asked]),
           "openssl": lifecycle.Wrk(directory, "openssl", ["/" + a for a in asked], 1)}
    rates = {name: [] for name in wrk}
    rates["new"].append(wrk["new"].rate(instance.http_port, OCSP_SECONDS))
    wrk["OCSP"].rate(instance.http_port, OCSP_SECONDS)
    for _ in range(ROUNDS):
        for name in ("constant", "OCSP"):
            rates[name].append(wrk[name].rate(instance.http_port, OCSP_SECONDS))
        rates["openssl"].append(other.rate(wrk["openssl"], OCSP_SECONDS))
    constant = len(instance.http("GET", "/ca/device-ca.der", listener="http").body)
    row(f"a constant reply of {constant} bytes over HTTP, by wrk", f"{spread(rates['constant'])} /s")
    label = f"OCSP, {CERTIFICATES} certificates"
    row(f"{label}: each asked for once", f"{rates['new'][0]:.0f} /s")
    row(f"{label}: {size} bytes, {len(asked)} asked for in turn", f"{spread(rates['OCSP'])} /s")
    shares_ = [o / c for o, c in zip(rates["OCSP"], rates["constant"])]
    row(f"{label}: of the constant reply's rate", f"{median(shares_) * 100:.0f} %", ">= 50 %",
        median(shares_) >= 0.5)
    row("`openssl ocsp`, the same certificates", f"{spread(rates['openssl'])} /s")
    times = [o / p for o, p in zip(rates["OCSP"], rates["openssl"])]
    row(f"{label}: of `openssl ocsp`'s rate", f"{median(times):.0f} x", ">= 20 x",
        median(times) >= 20)
    say(f"{label}: {median(rates['OCSP']):.0f}/s")


# ---- MDM ----

def must_go_on(_job, step, status, body):
    if status != 200 or (step == 0) != (b"CommandUUID" in body):
        raise load.Failed(f"MDM step {step}: {status} {body[:300]!r}")


def copy_of(instance, directory):
    """A second instance with the same keys, people, devices and commands; the first is stopped."""
    instance.stop()
    directory.mkdir()
    shutil.copytree(instance.directory, directory / "d")
    twin = instances.Instance(directory)
    twin.configure({"instance": {"url": twin.url}, "web": {
        "listen": f"127.0.0.1:{twin.port}", "http_listen": f"127.0.0.1:{twin.http_port}",
        "mtls_listen": f"127.0.0.1:{twin.mtls_port}", "mtls_url": twin.mtls_url}})
    return twin


def bench_mdm(workshop, instance, directory):
    say(f"enrolling {DEVICES} devices and signing their messages")
    made = rows.add_devices(instance, range(DEVICES))
    jobs = workshop.cycles([(n, der, uuid, rows.INFORMATION) for n, (der, uuid) in made.items()])
    say(f"a second instance with {OLD_RESULTS} old results")
    full = copy_of(instance, directory / "full")
    rows.add_results(full, OLD_RESULTS)
    results = {"empty": [], "full": []}
    both = {"empty": instance.start(), "full": full.start()}
    generators = {k: load.Load(i.port, MDM_CONNECTIONS, i.root) for k, i in both.items()}
    part = DEVICES // ROUNDS
    for generator in generators.values():  # every device has called once since the start
        generator.run([job[:1] for job in jobs[:ROUNDS * part]], must_go_on)
    before = cpu_so_far(both["empty"])
    for i in range(ROUNDS):
        say(f"MDM, round {i + 1} of {ROUNDS}")
        for name in ("empty", "full") if i % 2 == 0 else ("full", "empty"):
            with meter.Meter(meter.coffer(both[name])) as m:
                latencies = generators[name].run(jobs[i * part:(i + 1) * part], must_go_on)
            results[name].append((part / m.seconds, m.cpu / part, latencies))
    processes = shares(both["empty"], before, ROUNDS * part)
    for name, i in both.items():
        generators[name].close()
        done = rows.count(i, "SELECT COUNT(*) FROM command WHERE state = 'acknowledged'")
        expected = ROUNDS * part + (OLD_RESULTS if name == "full" else 0)
        if done != expected:
            raise load.Failed(f"{done} commands are acknowledged, not {expected}")
    report_mdm(results, processes)
    full.stop()


def report_mdm(results, processes):
    cpu = {}
    for name, what in (("empty", f"MDM cycles, {DEVICES} devices"),
                       ("full", f"MDM cycles, {OLD_RESULTS} old results")):
        rate, each = [r[0] for r in results[name]], [r[1] for r in results[name]]
        latencies = [x for r in results[name] for x in r[2]]
        cpu[name] = median(each)
        row(what, f"{spread(rate)} /s")
        row(f"{what}: latency, {MDM_CONNECTIONS} at once",
            f"p50 {load.percentile(latencies, .5) * 1e3:.1f} ms, "
            f"p99 {load.percentile(latencies, .99) * 1e3:.1f} ms")
        row(f"{what}: CPU of all processes", f"{spread(each)} us", "<= 250 us", cpu[name] <= 250)
        say(f"{what}: {median(rate):.0f}/s, {cpu[name]:.0f} us of CPU")
    row("MDM cycles: CPU by process", f"{processes} us")
    change = cpu["full"] / cpu["empty"] - 1
    row("MDM cycles: CPU change by old results", f"{change * 100:+.0f} %", "+-20 %",
        abs(change) <= 0.2)


# ---- memory ----

def megabytes(pss):
    parts = ", ".join(f"{name.removeprefix('coffer-')} {kib / 1024:.1f}"
                      for name, kib in sorted(pss.items()))
    return f"{sum(pss.values()) / 1024:.1f} MB ({parts})"


def report_memory(what, instance, target=None):
    pss = meter.pss_of(meter.coffer(instance))
    total = sum(pss.values()) / 1024
    row(what, megabytes(pss), f"<= {target} MB" if target else "",
        total <= target if target else None)
    say(f"{what}: {total:.1f} MB")


def bench_idle(instance):
    say(f"{IDLE_CONNECTIONS} idle TLS connections")
    web = instance.pid_of("coffer-web")
    with idle.Connections(IDLE_CONNECTIONS // 50, instance.port, instance.root):
        pass  # the first connections warm up allocator and code
    before = meter.pss_kib(web)
    with idle.Connections(IDLE_CONNECTIONS, instance.port, instance.root):
        each = (meter.pss_kib(web) - before) / IDLE_CONNECTIONS
    row(f"each of {IDLE_CONNECTIONS} idle TLS connections", f"{each:.1f} KB", "<= 64 KB",
        each <= 64)
    say(f"an idle TLS connection: {each:.1f} KB")


# ---- parts of it ----

def run_lines(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True,
                          cwd=WORK)
    return [line for line in done.stdout.splitlines() if line.strip()]


def bench_micro():
    unit = BUILD / "tests" / "unit"
    say("store, keeper, crypto")
    for threads in (1, 32):
        done = [re.search(r"(\d+) durable writes/s, ([\d.]+) us",
                          run_lines(unit / "store" / "bench_db", threads, 1)[0])
                for _ in range(ROUNDS)]
        row(f"store: durable writes, {threads} at once",
            f"{spread([float(d.group(1)) for d in done])} /s, "
            f"{median([float(d.group(2)) for d in done]):.0f} us of CPU each")
    done = [re.search(r"(\d+) enrolments/s, (\d+) us .* ratio ([\d.]+)",
                      run_lines(unit / "keeper" / "bench_keeper", BUILD / "bin" / "coffer-keeper",
                                2, 8, WORK)[-1]) for _ in range(ROUNDS)]
    row("keeper alone: SCEP enrolments", f"{spread([float(d.group(1)) for d in done])} /s, "
        f"{median([float(d.group(2)) for d in done]):.0f} us of CPU each")
    for line in run_lines(unit / "crypto" / "bench_crypto"):
        found = re.match(r"(.*?\S) {2,}(\S.*)", line)
        if found:
            row(f"crypto: {found.group(1)}", found.group(2))


# ---- all ----

def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text()).group(1)
    system = pathlib.Path("/etc/os-release").read_text()
    system = re.search(r'PRETTY_NAME="(.*)"', system).group(1)
    disk = subprocess.run(["findmnt", "-no", "FSTYPE", "--target", WORK], capture_output=True,
                          text=True, check=False).stdout.strip()
    revision = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"],
                              capture_output=True, text=True, check=False).stdout.strip()
    return (f"{os.cpu_count()} x {cpu}, {system}, Linux {os.uname().release}, {disk}; "
            f"revision {revision}, build {BUILD.name}; others used "
            f"{meter.busy_share() * 100:.0f} % of the machine at the start")


def run(directory):
    workshop = prepare.Workshop()
    instance = instances.Instance(directory / "a").init()
    instance.start()
    try:
        if "memory" in ONLY:
            report_memory("memory of all processes, after the start", instance, 60)
        if "scep" in ONLY or "mdm" in ONLY or "certs" in ONLY:
            bench_scep(workshop, instance, directory)
        if "certs" in ONLY:
            bench_certs(workshop, instance, directory)
        if "mdm" in ONLY:
            bench_mdm(workshop, instance, directory)
        if "memory" in ONLY:
            report_memory("memory of all processes, idle after the load", instance, 60)
            bench_idle(instance)
        instance.stop()
    finally:
        instance.abandon()
        workshop.close()
    if "micro" in ONLY:
        bench_micro()


def main():
    global WORK  # pylint: disable=global-statement
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=BUILD))
    (directory / "a").mkdir()
    WORK = directory
    print(machine())
    print(f"{ROUNDS} rounds, medians (least to most){'; quick' if QUICK else ''}\n", flush=True)
    try:
        if set(ONLY) - {"mail", "escrow", "mailgate", "notify", "mailbox", "sync"}:
            run(directory)
        if "mail" in ONLY:
            mail.bench(sys.modules[__name__])
        if "escrow" in ONLY:
            escrow.bench_all(sys.modules[__name__])
        if "mailgate" in ONLY:
            mailgate.bench(sys.modules[__name__], directory)
        if "notify" in ONLY:
            notify.bench(sys.modules[__name__], directory)
        if "mailbox" in ONLY:
            mailbox.bench(sys.modules[__name__], directory)
        if "sync" in ONLY:
            sync.bench(sys.modules[__name__], directory)
    finally:
        for name in ("full", "many"):
            for pid in instances.processes_of(directory / name / "d"):
                os.kill(pid, 9)
        if not os.environ.get("BENCH_KEEP"):
            shutil.rmtree(directory)
    print_table()
    say("done")


WORK = None

if __name__ == "__main__":
    main()
