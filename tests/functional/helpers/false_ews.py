"""Exchange's web services for tests: a streaming subscription, in the form that [MS-OXWSNTIF] and recorded answers
show, over TLS and in awkward chunks; and it can be told to lose, to be busy, to lie."""

import base64
import socket
import ssl
import threading
import xml.etree.ElementTree as ElementTree

TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
NAMES = f' xmlns:m="{MESSAGES}" xmlns:t="{TYPES}"'
COOKIE = "X-BackEndOverrideCookie=srv-mbx01~1943310282"


def envelope(body):
    return ('<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
            '<s:Header><h:ServerVersionInfo MajorVersion="15" MinorVersion="2" MajorBuildNumber="1544" '
            f'MinorBuildNumber="11" Version="V2017_07_11" xmlns:h="{TYPES}" xmlns="{TYPES}" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"/></s:Header>'
            f"<s:Body>{body}</s:Body></s:Envelope>").encode()


def streamed(inner, kind="Success", code="NoError"):
    return envelope(f"<m:GetStreamingEventsResponse{NAMES}><m:ResponseMessages><m:GetStreamingEventsResponseMessage "
                    f'ResponseClass="{kind}"><m:ResponseCode>{code}</m:ResponseCode>{inner}'
                    "</m:GetStreamingEventsResponseMessage></m:ResponseMessages></m:GetStreamingEventsResponse>")


def status(word):
    return streamed(f"<m:ConnectionStatus>{word}</m:ConnectionStatus>")


def events(subscription, *inner):
    return streamed(f"<m:Notifications><m:Notification><t:SubscriptionId>{subscription}</t:SubscriptionId>"
                    f"{''.join(inner)}</m:Notification></m:Notifications>")


def event(kind, number, item="ItemId"):
    name = base64.b64encode(f"canary of an item {number:08}".encode()).decode()
    return (f"<t:{kind}><t:TimeStamp>2026-11-22T04:31:29Z</t:TimeStamp><t:{item} Id=\"{name}\" ChangeKey=\"CQAAAA==\"/>"
            f'<t:ParentFolderId Id="AQMkADkz" ChangeKey="AQAAAA=="/></t:{kind}>')


def busy(milliseconds):
    return envelope('<s:Fault><faultcode xmlns:a="u">a:ErrorServerBusy</faultcode><faultstring xml:lang="en-US">The server '
                    'cannot service this request right now. Try again later.</faultstring><detail><e:ResponseCode '
                    'xmlns:e="v">ErrorServerBusy</e:ResponseCode><t:MessageXml xmlns:t="' + TYPES + '"><t:Value '
                    f'Name="BackOffMilliseconds">{milliseconds}</t:Value></t:MessageXml></detail></s:Fault>')


class Gone(Exception):
    pass


class FalseEws:
    """Over TLS with `files` (certificate, key). Users: login -> password. Chunks have `piece` bytes."""

    def __init__(self, files, users, piece=23):
        self.users, self.piece = users, piece
        self.changed = threading.Condition()
        self.subscriptions, self.streams = {}, {}  # id -> login; login -> (link, id) that waits
        self.requests, self.logins, self.cookies, self.bodies = [], [], [], []
        self.answers = {}  # login -> (status, headers, body), instead of what it would say
        self.number = 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*map(str, files))
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.url = f"https://localhost:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    # ---- connections ----

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        try:
            link = self.context.wrap_socket(plain, server_side=True)
            lines = link.makefile("rb")
            while self._request(link, lines):
                pass
        except (OSError, ValueError, Gone):
            pass
        finally:
            plain.close()

    def _request(self, link, lines):
        first = lines.readline().decode().strip()
        if not first:
            return False
        headers = {}
        for line in iter(lambda: lines.readline().decode().strip(), ""):
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        body = lines.read(int(headers["content-length"])).decode()
        login, _, password = base64.b64decode(headers["authorization"].split(" ")[1]).decode().partition(":")
        root = ElementTree.fromstring(body)
        what = root.find("{*}Body")[0]
        with self.changed:
            self.requests.append((first, what.tag.split("}")[1], login))
            self.logins.append(login)
            self.bodies.append(body)
            self.cookies.append(headers.get("cookie"))
            self.changed.notify_all()
        if login in self.answers:
            self._plain(link, *self.answers[login])
        elif self.users.get(login) != password:
            self._plain(link, "401 Unauthorized", ["WWW-Authenticate: Negotiate", 'WWW-Authenticate: Basic realm="mail"'])
        elif what.tag == f"{{{MESSAGES}}}Subscribe":
            self._subscribe(link, login)
        else:
            minutes = int(what.find(f"{{{MESSAGES}}}ConnectionTimeout").text)
            assert 1 <= minutes <= 30
            self._stream(link, login, what.find(f".//{{{TYPES}}}SubscriptionId").text)
        return True

    @staticmethod
    def _plain(link, said, headers=(), body=b""):
        head = [f"HTTP/1.1 {said}", *headers, f"Content-Length: {len(body)}", "", ""]
        link.sendall("\r\n".join(head).encode() + body)

    def _subscribe(self, link, login):
        with self.changed:
            self.number += 1
            name = base64.b64encode(f"subscription {self.number}".encode()).decode()
            self.subscriptions[name] = login
        self._plain(link, "200 OK", ["Content-Type: text/xml; charset=utf-8", f"Set-Cookie: {COOKIE}; path=/; secure; HttpOnly"],
                    envelope(f"<m:SubscribeResponse{NAMES}><m:ResponseMessages><m:SubscribeResponseMessage "
                             'ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>'
                             f"<m:SubscriptionId>{name}</m:SubscriptionId></m:SubscribeResponseMessage>"
                             "</m:ResponseMessages></m:SubscribeResponse>"))

    def _chunks(self, link, data):
        for at in range(0, len(data), self.piece):
            part = data[at:at + self.piece]
            link.sendall(f"{len(part):X}\r\n".encode())
            link.sendall(part + b"\r\n")

    def _stream(self, link, login, name):
        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n")
        if self.subscriptions.get(name) != login:
            self._chunks(link, streamed("<m:ErrorSubscriptionIds><m:SubscriptionId>" + name +
                                        "</m:SubscriptionId></m:ErrorSubscriptionIds><m:ConnectionStatus>Closed"
                                        "</m:ConnectionStatus>", "Error", "ErrorSubscriptionNotFound"))
            link.sendall(b"0\r\n\r\n")
            return
        self._chunks(link, status("OK"))
        with self.changed:
            self.streams[login] = (link, name)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.streams.get(login) != (link, name), 600)
        if link.fileno() < 0:
            raise Gone

    # ---- what happens ----

    def await_stream(self, login):
        with self.changed:
            assert self.changed.wait_for(lambda: login in self.streams, 60), self.requests[-20:]

    def await_requests(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.requests) >= count, 60), self.requests[-20:]

    def say(self, login, document):
        with self.changed:
            self._chunks(self.streams[login][0], document)

    def deliver(self, login, count=1):
        with self.changed:
            link, name = self.streams[login]
            for _ in range(count):
                self.number += 1
                self._chunks(link, events(name, event("CreatedEvent", self.number), event("NewMailEvent", self.number),
                                          event("ModifiedEvent", 1, "FolderId")))

    def close(self, login):
        """The end of the half hour."""
        with self.changed:
            link, _ = self.streams.pop(login)
            self._chunks(link, status("Closed"))
            link.sendall(b"0\r\n\r\n")
            self.changed.notify_all()

    def cut(self, login):
        with self.changed:
            link, _ = self.streams.pop(login)
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other side was faster
                pass
            link.close()
            self.changed.notify_all()

    def stop(self):
        self.listener.close()
        for login in list(self.streams):
            self.cut(login)
