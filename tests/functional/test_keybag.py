"""The frozen format of keybags: docs/formats/keybag.md as an independent program reads it."""

import pathlib
import subprocess
import sys

import keybag_open
import pytest

ROOT = pathlib.Path(__file__).parents[2]


def vectors():
    lines = (ROOT / "docs/formats/keybag-vectors.txt").read_text().splitlines()
    return {name: bytes.fromhex(value)
            for name, value in (line.split() for line in lines if line[0] != "#")}


def test_vectors_are_what_the_program_makes():
    assert keybag_open.make() == vectors()


def test_program_opens_the_vectors(tmp_path):
    values = vectors()
    for name in ("keybag", "device", "passcode"):
        (tmp_path / name).write_bytes(values[name])
    done = subprocess.run(
        [sys.executable, ROOT / "tests/functional/keybag_open.py", "open", tmp_path / "keybag",
         tmp_path / "device", tmp_path / "passcode"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"{letter} {values['class_' + letter.lower()].hex()}" for letter in "ABCD"]


def test_another_passcode_and_changed_bytes_open_nothing():
    values = vectors()
    with pytest.raises(keybag_open.Wrong):
        keybag_open.open_bag(values["keybag"], values["device"], b"correct house")
    for at in (9, 30, 60, 200, len(values["keybag"]) - 1):
        changed = bytearray(values["keybag"])
        changed[at] ^= 1
        with pytest.raises(keybag_open.Wrong):
            keybag_open.open_bag(bytes(changed), values["device"], values["passcode"])
