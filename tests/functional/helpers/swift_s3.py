"""An S3 server for tests: Debian's OpenStack Swift with s3api, which refuses what is signed wrongly.

Run as a program it serves from a directory of its own on ports that the kernel chooses, prints the
port of the S3 side, and ends when its standard input does: one process, unprivileged, objects in
memory. Included, `Swift` starts it, and `sign` is Signature Version 4 once more, on its own.
"""

import datetime
import hashlib
import hmac
import http.client
import os
import pathlib
import subprocess
import sys
import urllib.parse

ACCESS, SECRET = "test:tester", "testing"

PROXY = """
[DEFAULT]
swift_dir = {dir}
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck listing_formats s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
node_timeout = 10
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
storage_url_scheme = http
"""


class Cache:
    """What Swift wants of memcached, in this process."""

    def __init__(self):
        self.values = {}

    def get(self, key, *_, **__):
        return self.values.get(key)

    def set(self, key, value, *_, **__):
        self.values[key] = value

    def delete(self, key, *_, **__):
        self.values.pop(key, None)

    def incr(self, key, delta=1, *_, **__):
        self.values[key] = int(self.values.get(key, 0)) + delta
        return self.values[key]

    def decr(self, key, delta=1, *_, **__):
        return self.incr(key, -delta)

    def get_multi(self, keys, *_, **__):
        return [self.values.get(key) for key in keys]

    def set_multi(self, mapping, *_, **__):
        self.values.update(mapping)


def serve(directory):
    import eventlet
    import eventlet.wsgi
    eventlet.monkey_patch()
    import logging
    from swift.common import utils
    utils.HASH_PATH_SUFFIX = b"coffer"  # else it must stand in /etc/swift/swift.conf
    from paste.deploy import loadapp
    from swift.account.server import AccountController
    from swift.common.ring import RingBuilder
    from swift.container.server import ContainerController
    from swift.obj.mem_server import ObjectController

    logging.disable(logging.CRITICAL)
    directory = pathlib.Path(directory)
    devices = directory / "devices"
    (devices / "d1").mkdir(parents=True)
    conf = {"devices": str(devices), "swift_dir": str(directory), "mount_check": "false",
            "bind_ip": "127.0.0.1", "fallocate_reserve": "0"}
    sockets = {kind: eventlet.listen(("127.0.0.1", 0))
               for kind in ("proxy", "account", "container", "object")}
    for kind in ("account", "container", "object"):
        builder = RingBuilder(2, 1, 1)
        builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1.0, "ip": "127.0.0.1",
                         "port": sockets[kind].getsockname()[1], "device": "d1",
                         "replication_ip": "127.0.0.1",
                         "replication_port": sockets[kind].getsockname()[1], "meta": ""})
        builder.rebalance()
        builder.get_ring().save(str(directory / f"{kind}.ring.gz"))
    proxy_conf = directory / "proxy.conf"
    proxy_conf.write_text(PROXY.format(dir=directory))
    quiet = logging.getLogger("quiet")
    apps = {"account": AccountController(conf), "container": ContainerController(conf),
            "object": ObjectController(conf), "proxy": loadapp(f"config:{proxy_conf}")}
    cache, proxy = Cache(), apps["proxy"]

    def with_cache(environ, start):
        environ["swift.cache"] = cache
        return proxy(environ, start)

    apps["proxy"] = with_cache
    for kind, app in apps.items():
        eventlet.spawn(eventlet.wsgi.server, sockets[kind], app, quiet, log_output=False)
    print(sockets["proxy"].getsockname()[1], flush=True)
    import eventlet.green.os
    while eventlet.tpool.execute(os.read, 0, 1):
        pass
    os._exit(0)


def sign(method, host, path, query, body, headers, access, secret, region="us-east-1"):
    """Headers with a signature; written from Amazon's description."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = dict(headers, host=host, **{"x-amz-date": now, "x-amz-content-sha256": digest})
    names = ";".join(sorted(headers))
    encode = lambda text: urllib.parse.quote(text, safe="-_.~")  # noqa: E731
    canonical = "\n".join([
        method, urllib.parse.quote(path, safe="/-_.~"),
        "&".join(f"{encode(k)}={encode(v)}" for k, v in sorted(query.items())),
        *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, digest])
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + secret.encode()
    for part in (now[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={access}/{scope},"
                                f"SignedHeaders={names},Signature={signature}")
    return headers


class Swift:
    """A running server, with buckets."""

    def __init__(self, directory):
        self.process = subprocess.Popen(["/usr/bin/python3", "-I", __file__, str(directory)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.strip().isdigit(), "swift did not start"
        self.port = int(line)
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, query=None, body=b"", headers=None):
        host = f"127.0.0.1:{self.port}"
        query = query or {}
        signed = sign(method, host, path, query, body, headers or {}, ACCESS, SECRET)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        url = path + ("?" + urllib.parse.urlencode(query) if query else "")
        connection.request(method, url, body=body or None, headers=signed)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    def make_bucket(self, name):
        status, text = self.ask("PUT", f"/{name}")
        assert status == 200, text
        return name

    def keys(self, bucket):
        status, text = self.ask("GET", f"/{bucket}", {"list-type": "2"})
        assert status == 200, text
        from xml.etree import ElementTree
        return [e.text for e in ElementTree.fromstring(text).iter() if e.tag.endswith("}Key")]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


if __name__ == "__main__":
    serve(sys.argv[1])
