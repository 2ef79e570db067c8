"""coffer-mailbox logs in by OAuth2 at a real Dovecot, which asks an introspection end point (RFC 7662)."""

import http.server
import json
import os
import threading
import urllib.parse

import pytest

from helpers import instance as instances
from helpers.dovecot import Dovecot, Mailbox

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="Dovecot changes to its own users")
GOOD, OTHERS, ENDED = "good-token.of~anna+1/x==", "token-of-somebody-else", "ended-token"
ADDRESS = "anna@example.org"


class Introspection(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        token = urllib.parse.parse_qs(body).get("token", [""])[0]
        self.server.asked.append(token)
        said = {GOOD: {"active": True, "email": ADDRESS},
                OTHERS: {"active": True, "email": "oscar@example.org"}}.get(token, {"active": False})
        data = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Asking(Dovecot):
    """Knows tokens alone; `mechanism` is the one that it offers."""

    def __init__(self, port, mechanism):
        self.port, self.mechanism = port, mechanism
        super().__init__()

    def start(self):
        (self.dir / "oauth2.conf").write_text(
            f"introspection_mode = post\nintrospection_url = http://127.0.0.1:{self.port}/\n"
            "username_attribute = email\nactive_attribute = active\nactive_value = true\n")
        path = self.dir / "dovecot.conf"
        if "oauth2" not in path.read_text():
            path.write_text(path.read_text().replace(
                "passdb {\n  driver = static\n  args = password=mail-password\n}",
                f"auth_mechanisms = {self.mechanism}\npassdb {{\n  driver = oauth2\n"
                f"  mechanisms = {self.mechanism}\n  args = {self.dir}/oauth2.conf\n}}").replace(
                    "args = uid=", "args = allow_all_users=yes uid="))
        super().start()


@pytest.fixture(scope="module")
def introspection():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Introspection)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def mailbox(path, dovecot, token):
    box = Mailbox(path, dovecot, ADDRESS)
    box.run("init", "--address", ADDRESS, "--token-file", box.secret(token, "token"), "--passcode-file",
            box.secret(box.passcode, "passcode"), "--without-tpm", "--imap",
            f"localhost:{dovecot.imap}", "--tls", "none")
    box.start()
    box.unlock()
    return box


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
def test_tokens_open_the_mailbox_that_they_are_for(tmp_path, introspection, mechanism):
    dovecot, boxes = Asking(introspection.server_address[1], mechanism), []
    try:
        for name in ("good", "others", "ended"):
            (tmp_path / name).mkdir()
        box = mailbox(tmp_path / "good", dovecot, GOOD)
        boxes.append(box)
        dovecot.deliver(ADDRESS, b"Subject: By token\r\n\r\nHello\r\n")
        box.run("sync")
        box.wait_subject("By token")
        assert GOOD in introspection.asked
        for name, token in (("others", OTHERS), ("ended", ENDED)):
            box = mailbox(tmp_path / name, dovecot, token)
            boxes.append(box)
            problem = instances.wait_for(lambda box=box: box.status().get("problem"), bool, box.log())
            assert "log-in is refused" in problem and token not in problem
            assert box.messages() == []
    finally:
        for box in boxes:
            box.kill()
        dovecot.close()
