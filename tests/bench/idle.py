"""Keep-alive TLS connections that do nothing, held by a process of their own."""

import concurrent.futures
import resource
import socket
import ssl
import subprocess
import sys

THREADS = 8  # that open connections; the machine's other users make each round trip slow


class Connections:
    """Opens them, makes one request on each, keeps them until the end of the `with`."""

    def __init__(self, count, port, cafile):
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(count), str(port), str(cafile)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        if self.process.stdout.readline() != "open\n":
            raise RuntimeError("the idle connections could not be opened")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def connect(port, tls):
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = tls.wrap_socket(plain, server_hostname="localhost")
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
        raise RuntimeError("no answer")
    return connection


def main():
    count, port, cafile = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    tls = ssl.create_default_context(cafile=cafile)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        held = list(pool.map(lambda _: connect(port, tls), range(count)))
    print("open", flush=True)
    sys.stdin.read()
    del held


if __name__ == "__main__":
    main()
