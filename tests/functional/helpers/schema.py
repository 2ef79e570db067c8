"""A validator over Apple's device management schema (YAML): what a key may hold, and what must be
there. The schema's `presence: required` is conditional: a key that an operating system does not
know, or that belongs to another channel, is not required of it (see docs/schema.md there)."""

import datetime
import functools
import os
import pathlib
import re

import pytest
import yaml

from helpers.instance import ROOT

TYPES = {"<string>": str, "<integer>": int, "<real>": (int, float), "<boolean>": bool,
         "<date>": datetime.datetime, "<data>": bytes, "<array>": list, "<dictionary>": dict}
UPPER_LEVEL = ("TopLevel", "CommonPayloadKeys")


@functools.lru_cache(None)
def folder():
    shared = pathlib.Path(os.environ.get("COFFER_SHARED", ROOT.parent / "shared"))
    found = shared / "data" / "apple-device-management"
    if not found.is_dir():
        pytest.skip(f"SKIPPED LOUDLY: Apple's schema is not in {found}; set COFFER_SHARED")
    return found


@functools.lru_cache(None)
def _documents(kind):
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [yaml.load(path.read_text(), loader)
            for path in sorted((folder() / "mdm" / kind).glob("*.yaml"))]


def _find(kind, key, value):
    found = [d for d in _documents(kind) if d.get("payload", {}).get(key) == value]
    assert found, f"Apple's schema knows no {key} {value}"
    return found


def _there(entry, system):
    """Whether this key exists on the system's device channel."""
    support = (entry.get("supportedOS") or {}).get(system)
    if support is None:
        return True
    if (support.get("userenrollment") or {}).get("mode") == "required":
        return False  # belongs to user enrolments alone
    return support.get("introduced") != "n/a" and support.get("devicechannel") is not False


def _check_value(entry, value, where, system, problems):
    kind = entry["type"]
    if kind == "<any>":
        return
    good = isinstance(value, TYPES[kind])
    if isinstance(value, bool) and kind in ("<integer>", "<real>"):
        good = False
    if not good:
        problems.append(f"{where}: {type(value).__name__} where {kind} belongs")
        return
    if "rangelist" in entry and not isinstance(value, (list, dict)):
        if value not in entry["rangelist"]:
            problems.append(f"{where}: {value!r} is none of {entry['rangelist']}")
    bounds = entry.get("range")
    if bounds and isinstance(value, (int, float)):
        if value < bounds.get("min", value) or value > bounds.get("max", value):
            problems.append(f"{where}: {value} is out of {bounds}")
    if entry.get("format") and isinstance(value, str) and not re.search(entry["format"], value):
        problems.append(f"{where}: {value!r} is not like {entry['format']}")
    times = entry.get("repetition")
    if times and isinstance(value, list) and not times["min"] <= len(value) <= times["max"]:
        problems.append(f"{where}: {len(value)} values, not {times}")
    subkeys = entry.get("subkeys")
    if not subkeys:
        return
    if isinstance(value, dict):
        _check_keys(subkeys, value, where, system, problems)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            fitting = []
            for choice in subkeys:  # an array's elements may be of one of several kinds
                found = []
                _check_value(choice, item, f"{where}[{i}]", system, found)
                if not found:
                    break
                fitting.append(found)
            else:
                problems += min(fitting, key=len)


def _check_keys(entries, value, where, system, problems, known=()):
    named = {entry["key"]: entry for entry in entries}
    anything = "ANY" in named
    for key, item in value.items():
        if key in named:
            if not _there(named[key], system):
                problems.append(f"{where}.{key} does not exist on {system}")
            _check_value(named[key], item, f"{where}.{key}", system, problems)
        elif not anything and key not in known:
            problems.append(f"{where}.{key} is not in the schema")
    for key, entry in named.items():
        required = entry.get("presence") == "required" and _there(entry, system)
        if required and key not in value and key != "ANY":
            problems.append(f"{where}.{key} is missing")


def check_command(command, system="iOS"):
    """A command as it is delivered: {CommandUUID, Command}. Returns what is wrong."""
    problems = []
    if set(command) != {"CommandUUID", "Command"} or not isinstance(command["CommandUUID"], str):
        problems.append(f"keys {sorted(command)}")
    inner = dict(command["Command"])
    document = _find("commands", "requesttype", inner.pop("RequestType"))[0]
    if not _there(document["payload"], system):
        problems.append(f"{command['Command']['RequestType']} does not exist on {system}")
    _check_keys(document.get("payloadkeys") or [], inner, command["Command"]["RequestType"],
                system, problems)
    return problems


def _common(kind):
    return _find("profiles", "payloadtype", kind)[0]["payloadkeys"]


def check_payload(payload, system="iOS"):
    problems = []
    common = _common("CommonPayloadKeys")
    names = {entry["key"] for entry in common}
    _check_keys(common, {k: v for k, v in payload.items() if k in names},
                payload["PayloadType"], system, problems)
    document = _find("profiles", "payloadtype", payload["PayloadType"])[0]
    own = {entry["key"] for entry in document["payloadkeys"]}
    _check_keys(document["payloadkeys"],
                {k: v for k, v in payload.items() if k in own or k not in names},
                payload["PayloadType"], system, problems)
    return problems


def check_configuration(profile, payloads=None, system="iOS"):
    """A whole profile; `payloads`: what was encrypted."""
    problems = []
    entries = _common("TopLevel")
    if profile.get("IsEncrypted"):  # "If IsEncrypted is true, this array isn't needed"
        entries = [e for e in entries if e["key"] != "PayloadContent"]
    _check_keys(entries, profile, "Configuration", system, problems)
    for payload in payloads if payloads is not None else profile["PayloadContent"]:
        problems += check_payload(payload, system)
    return problems


def check_checkin(message, system="iOS"):
    """What our test device sends: so that the tests don't agree with the server on a mistake."""
    name = message["MessageType"]
    for document in _documents("checkin"):
        if document["payload"].get("requesttype") == name:
            problems = []
            _check_keys(document["payloadkeys"], message, name, system, problems,
                        known=("MessageType", "UDID"))
            return problems
    raise AssertionError(f"no check-in {name}")
