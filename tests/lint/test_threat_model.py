"""Each test that docs/threat-model.md names is there."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = re.compile(r"`([\w/]+\.(?:py|c))::(\w+)`")


def file_of(name):
    return ROOT / name if "/" in name else ROOT / "tests" / "functional" / name


def test_named_tests_exist():
    named = NAMED.findall(TEXT)
    assert len(named) > 30
    for file, test in named:
        assert re.search(rf"\b{test}\b\(", file_of(file).read_text()), f"{file}::{test}"


def test_named_files_exist():
    for path in re.findall(r"`(tests/[\w/.]+)`", TEXT):
        assert (ROOT / path).exists(), path
