"""Chromium without a window, spoken to in its DevTools protocol over a pipe: no port, no library."""
import base64
import hashlib
import json
import os
import subprocess
import threading

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .instance import PATIENCE

PROGRAM = "chromium"


def spki_hash(pem):
    """What --ignore-certificate-errors-spki-list takes."""
    key = x509.load_pem_x509_certificate(pem).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


class Chromium:
    """One browser with one page. `trusted` are PEM certificates of servers that it takes as good."""

    def __init__(self, directory, trusted=()):
        ours, theirs = os.pipe(), os.pipe()  # we write to ours, they to theirs
        self.downloads = directory / "downloads"
        self.downloads.mkdir(parents=True)
        command = [PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   "--no-first-run", "--disable-extensions", "--disable-background-networking",
                   "--disable-component-update", "--remote-debugging-pipe",
                   f"--user-data-dir={directory / 'profile'}",
                   "--ignore-certificate-errors-spki-list=" + ",".join(map(spki_hash, trusted)),
                   "about:blank"]
        wiring = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", wiring, "bash", str(ours[0]), str(theirs[1]), *command],
            pass_fds=[ours[0], theirs[1]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(directory)})
        os.close(ours[0])
        os.close(theirs[1])
        self.out, self.into = ours[1], os.fdopen(theirs[0], "rb", buffering=0)
        self.lock, self.answers, self.events, self.number = threading.Condition(), {}, [], 0
        self.ended = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(t["targetId"] for t in targets if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self.call("Browser.setDownloadBehavior", session=None, behavior="allow", eventsEnabled=True,
                  downloadPath=str(self.downloads))
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    def _read(self):
        data = b""
        while piece := self.into.read(65536):
            data += piece
            *messages, data = data.split(b"\0")
            with self.lock:
                for message in map(json.loads, messages):
                    if "id" in message:
                        self.answers[message["id"]] = message
                    else:
                        self.events.append(message)
                self.lock.notify_all()
        with self.lock:
            self.ended = True
            self.lock.notify_all()

    session = None

    def call(self, method, session="own", **params):
        with self.lock:
            self.number += 1
            number = self.number
        message = {"id": number, "method": method, "params": params}
        if session == "own" and self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        with self.lock:
            assert self.lock.wait_for(lambda: number in self.answers or self.ended, PATIENCE), method
            answer = self.answers.pop(number, {"error": "Chromium has ended"})
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def wait_event(self, method, since=0, **wanted):
        """The first event at or after `since` with these parameters."""
        def find():
            return next((e["params"] for e in self.events[since:] if e["method"] == method and
                         all(e["params"].get(k) == v for k, v in wanted.items())), None)
        with self.lock:
            assert self.lock.wait_for(lambda: find() or self.ended, PATIENCE), (method, wanted)
            return find()

    def mark(self):
        with self.lock:
            return len(self.events)

    def open(self, url):
        for address in ("about:blank", url):  # so that another fragment alone loads it anew
            since = self.mark()
            loader = self.call("Page.navigate", url=address).get("loaderId")
            self.wait_event("Page.lifecycleEvent", since, loaderId=loader, name="load")

    def run(self, script):
        """The value of a JavaScript expression; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True,
                           userGesture=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_state(self, *states):
        """Until the page's data-state is one of these."""
        words = json.dumps(states)
        return self.run(f"""new Promise((done) => {{
            const look = () => {words}.includes(document.body.dataset.state) && done(document.body.dataset.state);
            new MutationObserver(look).observe(document.body, {{ attributes: true }});
            look();
        }})""")

    def text(self):
        return self.run("document.body.innerText")

    def console(self):
        """What was complained about: errors, and what the page's policy stopped."""
        with self.lock:
            return [e["params"] for e in self.events
                    if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]

    def requests(self):
        with self.lock:
            return [e["params"]["request"] for e in self.events
                    if e["method"] == "Network.requestWillBeSent"]

    def downloaded(self, since):
        """Waits for the next download; its content."""
        begun = self.wait_event("Browser.downloadWillBegin", since)
        done = self.wait_event("Browser.downloadProgress", since, guid=begun["guid"], state="completed")
        assert done, "the download did not complete"
        return begun["suggestedFilename"], (self.downloads / begun["suggestedFilename"]).read_bytes()

    def close(self):
        try:
            os.write(self.out, json.dumps({"id": 0, "method": "Browser.close"}).encode() + b"\0")
        except OSError:
            pass
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        self.reader.join(PATIENCE)
        self.into.close()
