"""How fast shares go to a new set of officers: redeal.py BIN_DIRECTORY [OBJECTS] [--parallel].

Makes an instance, puts OBJECTS (default 10,000) into escrow that officers alone can open, changes
the set from two of three to three of four, and has both dealers deal, one after the other, or with
--parallel at once as on two machines. Prints one line a dealer and one for all.
"""

import argparse
import base64
import concurrent.futures
import http.client
import json
import os
import pathlib
import resource
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent


def put_many(instance, count, threads):
    """Through the API, each thread on a connection of its own."""
    body = json.dumps({"kind": "file", "officers_only": True,
                       "secret": base64.b64encode(b"x" * 32).decode()})
    headers = {"Authorization": f"Bearer {instance.api_token()}", "Content-Type": "application/json"}

    def one(share):
        connection = instance.connect()
        for _ in range(share):
            connection.request("POST", "/api/v1/escrow", body, headers)
            answer = connection.getresponse()
            data = answer.read()
            assert answer.status == 201, data
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, [count // threads] * threads))


def server_seconds(instance):
    """Processor time of coffer-web so far."""
    fields = pathlib.Path(f"/proc/{instance.pid_of('coffer-web')}/stat").read_text().split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def dealer_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bin")
    parser.add_argument("objects", nargs="?", type=int, default=10000)
    parser.add_argument("--parallel", action="store_true")
    args = parser.parse_args()
    os.environ["COFFER_BIN"] = str(pathlib.Path(args.bin).resolve())
    sys.path.insert(0, str(HERE.parent / "functional"))
    from helpers.instance import Instance
    from helpers.officers import Officer
    files = pathlib.Path(tempfile.mkdtemp(prefix="coffer-redeal-"))
    instance = Instance(files)
    try:
        instance.init().start()
        anna, ben, cleo = [Officer(instance, files, name) for name in ("anna", "ben", "cleo")]
        instance.coffer("officer", "activate", "--threshold", 2)
        start = time.monotonic()
        put_many(instance, args.objects, 16)
        took = time.monotonic() - start
        print(f"put: {args.objects} objects, {args.objects / took:.0f} a second", flush=True)
        dan = Officer(instance, files, "dan")
        instance.coffer("officer", "activate", "--threshold", 3, anna.id, ben.id, cleo.id, dan.id)
        anna.sign(2)
        ben.sign(2)

        def deal(officer):
            answer = officer.coffer_json("officer", "redeal", *officer.unlock)
            rate = answer["objects"] * 1000 / max(1, answer["milliseconds"])
            print(f"{officer.name}: {answer['objects']} objects, {rate:.0f} a second", flush=True)

        before = dealer_seconds(), server_seconds(instance)
        start = time.monotonic()
        if args.parallel:
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                list(pool.map(deal, (anna, ben)))
        else:
            for officer in (anna, ben):
                deal(officer)
        took = time.monotonic() - start
        print(f"all: {args.objects} objects to 3 of 4, {args.objects / took:.0f} a second")
        used = [now - then for now, then in zip((dealer_seconds(), server_seconds(instance)), before)]
        print(f"processor time of 1,000 objects: {used[0] / 2 * 1e6 / args.objects:.0f} ms at each of 2"
              f" dealers, {used[1] * 1e6 / args.objects:.0f} ms at the server")
        assert instance.coffer_json("officer", "list")["redeal"] is None
        instance.stop()
    except http.client.HTTPException as e:
        sys.exit(f"the server went away: {e!r}")
    finally:
        instance.abandon()


main()
