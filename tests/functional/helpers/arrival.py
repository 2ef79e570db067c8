"""Mail that arrives while a device is locked: a mail server's hook, and a device's stream."""

import base64
import json


class Hook:
    """What Dovecot's push notification plugin (driver ox) sends, from a mail server of this name."""

    def __init__(self, instance, name):
        self.instance, self.name = instance, name
        self.secret = instance.api("POST", "/mail-hooks", {"name": name}, expect=201).json()["secret"]

    def body(self, user, uid, folder="INBOX", uidvalidity=1700000000, **more):
        return {"user": user, "event": "messageNew", "folder": folder,
                "imap-uidvalidity": uidvalidity, "imap-uid": uid, "from": "Carol <carol@canary.example>",
                "subject": "Canary of a subject", "snippet": "Canary of a snippet", "unseen": 1, **more}

    def headers(self, secret=None):
        login = base64.b64encode(f"dovecot:{secret or self.secret}".encode()).decode()
        return {"Authorization": f"Basic {login}", "Content-Type": "application/json; charset=utf-8"}

    def send(self, body, secret=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.instance.http("PUT", "/push/v1/hook", data, self.headers(secret))

    def mail(self, user, uid, **more):
        answer = self.send(self.body(user, uid, **more))
        assert answer.status == 204, answer


class Graph:
    """What Microsoft Graph sends to the notificationUrl of a subscription, as its documentation shows it."""

    TENANT, EXPIRES = "84bd8158-6d4d-4958-8b9f-9d6445542f95", "2026-11-29T11:00:00.0000000Z"

    def __init__(self, instance, name, subscription):
        self.instance, self.path, self.subscription = instance, f"/push/v1/graph/{name}", subscription
        self.made = instance.api("POST", "/mail-hooks", {"name": name}, expect=201).json()
        self.secret, self.numbers = self.made["secret"], iter(range(10**6))

    def message(self, **more):
        name = f"AAMkAGUwNjQ4ZjIxLTQ3Y2YtNDViMi1iZjc4LTMA{next(self.numbers):06}="
        where = f"Users/ddfcd489-628b-40d7-b48b-57002df800e5/Messages/{name}"
        return {"subscriptionId": self.subscription, "subscriptionExpirationDateTime": self.EXPIRES,
                "changeType": "created", "resource": where, "clientState": self.secret, "tenantId": self.TENANT,
                "resourceData": {"@odata.type": "#Microsoft.Graph.Message", "@odata.id": where, "id": name,
                                 "@odata.etag": 'W/"CQAAABYAAADkrWGo7bouTKlsgTZMr9KwAAAUWRHf"',
                                 "subject": "Canary of a graph subject"}, **more}

    def lifecycle(self, event, **more):
        return {"subscriptionId": self.subscription, "subscriptionExpirationDateTime": self.EXPIRES,
                "resource": "users/ddfcd489-628b-40d7-b48b-57002df800e5/messages", "organizationId": self.TENANT,
                "clientState": self.secret, "lifecycleEvent": event, **more}

    def post(self, *items, path=None):
        data = items[0] if items and isinstance(items[0], bytes) else json.dumps({"value": items}).encode()
        return self.instance.http("POST", path or self.path, data, {"Content-Type": "application/json"})

    def say(self, *items):
        answer = self.post(*items)
        assert answer.status == 202 and answer.body == b"", answer


class Stream:
    """A device's stream (docs/formats/stream.md), read event by event."""

    def __init__(self, instance, token=None, device=None, release=False, last=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        listener, files = ("https", None) if token else ("mtls", device.identity_files())
        self.connection = instance.connect(listener, files)
        self.connection.request("GET", "/push/v1/stream" + ("?release=1" if release else ""),
                                headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.headers["Content-Type"] == "text/event-stream"
        self.id = None
        self.hello = self.next("hello")

    def next(self, expect="mail"):
        """The data of the next event, which has to be of this type; None: the stream has ended."""
        fields = {}
        for line in self.answer:
            line = line.decode().rstrip("\n")
            if line.startswith(":"):
                continue
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields:
                assert fields["event"] == expect, fields
                self.id = int(fields["id"])
                return json.loads(fields["data"])
        return None

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.close()
