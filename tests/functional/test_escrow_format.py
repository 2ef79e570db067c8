"""The formats of escrow between Coffer and an independent reader, both ways."""
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
import escrow_recover  # noqa: E402

ROOT = HERE.parent.parent
VECTORS = ROOT / "docs/formats/escrow-vectors.txt"


def test_escrow_format__the_vectors_are_what_the_script_makes(tmp_path):
    escrow_recover.write(tmp_path / "again", escrow_recover.make())
    assert (tmp_path / "again").read_text() == VECTORS.read_text()


def test_escrow_format__recovers_by_approvals_and_by_shares():
    values = escrow_recover.read(VECTORS)
    assert escrow_recover.recover(values) == values["secret"]
    for name in ("request", "recipient"):
        del values[name]
    assert escrow_recover.recover(values) == values["secret"]
    del values["hpke.9"], values["hpke.5"]
    with pytest.raises(escrow_recover.Wrong, match="1 shares, 2 are needed"):
        escrow_recover.recover(values)


def test_escrow_format__names_whose_share_is_wrong():
    values = escrow_recover.read(VECTORS)
    changed = dict(values)
    changed["approval.5"] = values["approval.5"][:-1] + b"\0"
    with pytest.raises(escrow_recover.Wrong, match="officer-5"):
        escrow_recover.recover(changed)
    del changed["request"]
    changed["share.9"] = values["share.9"][:-1] + b"\0"
    with pytest.raises(escrow_recover.Wrong, match="officer-9"):
        escrow_recover.recover(changed)


def test_escrow_format__opens_what_coffer_made(tmp_path):
    bin_dir = pathlib.Path(os.environ.get("COFFER_BIN", ROOT / "build/bin"))
    program = bin_dir.parent / "tests/unit/keeper/test_keeper_escrow_vectors"
    if not program.exists():
        pytest.skip("the unit tests are not built")
    out = tmp_path / "made"
    subprocess.run([program], check=True, env={**os.environ, "ESCROW_OUT": str(out)},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert escrow_recover.recover(escrow_recover.read(out)) == b"made here"
