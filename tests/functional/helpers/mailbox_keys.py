"""The keys of a mailbox, from its disk and its passcode: docs/formats/keybag.md and mailbox.md."""

import struct

import keybag_open
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def keys_of(box):
    """Name -> key, as they lie in the memory of an unlocked agent."""
    data = (box.dir / "keybag").read_bytes()
    bag = keybag_open.parse(data)
    keys = keybag_open.open_bag(data, (box.dir / "device.key").read_bytes(), box.passcode.encode())
    parts, rest = [], (box.dir / "box.key").read_bytes()[8:]
    while rest:
        length, = struct.unpack(">I", rest[:4])
        parts.append(rest[4:4 + length])
        rest = rest[4 + length:]
    kek = keybag_open.open_item(bag, keys["A"], "A", "mailbox/kek", parts[1])
    inner = keybag_open.open_item(bag, keys["C"], "C", "mailbox/key", parts[0])
    wrapped = inner[8:]
    database = AESGCM(kek).decrypt(wrapped[:12], wrapped[12:],
                                   keybag_open.text("coffer/v1/mailbox/database") + inner[:8])
    return {**{f"class {letter}": keys[letter] for letter in "ABC"}, "kek": kek, "database": database,
            "database in hex": database.hex().encode(), "passcode": box.passcode.encode()}
