"""Two implementations judge the same device chains: whatever random devices write, right or wrong, both
take or refuse the same entries."""
import os
import pathlib
import random
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
from sync_unseal import (ADD, ALL, APPROVE, RECOVER, RECOVERY, REVOKE, ROTATE, ZERO, Chain, Device, Wrong,  # noqa: E402
                         commitment, i64, run, suited, u8, u64)

BIN = pathlib.Path(os.environ.get("COFFER_BIN", HERE.parent.parent / "build/bin"))
JUDGE = BIN.parent / "tests/unit/sync/sync_judge_chain"


def entry(rng, chain, devices, key):
    """An entry that is often right; what is wrong with the others differs."""
    first = not chain.heads
    kind = ADD if first else rng.choice((ADD, ADD, APPROVE, APPROVE, APPROVE, REVOKE, ROTATE, RECOVERY))
    active = [d for d in devices if not first and chain.roles_at(d.id, len(chain.heads) - 1)]
    author = rng.choice(active) if active and rng.random() < 0.85 else rng.choice(devices)
    subject = author if first and rng.random() < 0.9 else rng.choice(devices)
    card = subject.card if kind in (ADD, RECOVERY) or (kind == ROTATE and rng.random() < 0.5) else b""
    ident = ZERO if kind == ROTATE and not card else subject.id
    roles = {ADD: ALL if first else 0, APPROVE: rng.choice((1, 3, 7, 7, RECOVER)), RECOVERY: ALL}.get(kind, 0)
    new = first or kind in (REVOKE, ROTATE, RECOVERY)
    epoch = len(chain.commits) + (1 if new else 0)
    commit = commitment(key, epoch) if new else chain.commits[-1]
    history = bytes(60) if new and not first else b""
    place = len(chain.heads)
    wrong = rng.randrange(60)
    if wrong == 0:
        roles = rng.randrange(256)
    elif wrong == 1:
        epoch += 1
    elif wrong == 2:
        card = b"" if card else subject.card
    elif wrong == 3:
        commit = rng.randbytes(32)
    elif wrong == 4:
        history = bytes(60) if not history else b""
    elif wrong == 5:
        place += 1
    elif wrong == 6:
        ident = rng.choice(devices).id
    message = (suited(b"YC") + (ZERO if first else chain.region) + u64(place) + (ZERO if first else chain.heads[-1]) +
               u8(kind) + i64(place) + author.id + ident + u8(roles) + run(card) + u64(epoch) + commit + run(history))
    signer = rng.choice(devices) if wrong == 7 else author
    return kind, signer.sign(b"root" if wrong == 8 else b"chain", message)


@pytest.mark.parametrize("seed", range(6))
def test_sync_chain__two_implementations_judge_alike(seed):
    if not JUDGE.exists():
        pytest.skip("the unit tests are not built")
    rng = random.Random(seed)
    devices = [Device(rng.randbytes(96), b"device %d" % i) for i in range(40)]
    chain, records, judged, held = Chain(), [], [], set()
    for _ in range(250):
        kind, record = entry(rng, chain, devices, rng.randbytes(32))
        try:
            chain.append(record)
            judged.append(True)
            held.add(kind)
        except Wrong:
            judged.append(False)
        records.append(record)
    done = subprocess.run([JUDGE], input=b"".join(map(run, records)), capture_output=True, check=True)
    lines = done.stdout.decode().splitlines()
    for i, line in enumerate(lines):
        assert (line == "holds") == judged[i], f"entry {i}: {line}"
    assert len(lines) == len(records)
    assert 20 < sum(judged) < 230 and len(held) >= 4
