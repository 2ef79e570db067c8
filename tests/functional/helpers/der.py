"""BER and DER (X.690), as much as CMS and SCEP need; written for the tests, apart from the C code."""

INDEFINITE_END = b"\0\0"


class DerError(ValueError):
    """The bytes are no BER."""


class Node:
    """One element: `tag` is the identifier octet; a constructed one has `children`."""

    def __init__(self, tag, content, children, raw):
        self.tag, self.content, self.children, self.raw = tag, content, children, raw

    def __getitem__(self, index):
        return self.children[index]

    def __len__(self):
        return len(self.children)

    def octets(self):
        """The value of an OCTET STRING, also a constructed one."""
        if not self.tag & 0x20:
            return self.content
        return b"".join(child.octets() for child in self.children)

    def oid(self):
        return decode_oid(self.content)


def parse(data):
    node, rest = _parse(memoryview(data), 0)
    if rest != len(data):
        raise DerError(f"{len(data) - rest} bytes after the element")
    return node


def _parse(data, at, depth=0):
    if depth > 64 or at + 2 > len(data):
        raise DerError("too deep or too short")
    start, tag, first = at, data[at], data[at + 1]
    if tag & 0x1F == 0x1F:
        raise DerError("long tags are not used here")
    at += 2
    if first == 0x80:
        children = []
        while bytes(data[at:at + 2]) != INDEFINITE_END:
            child, at = _parse(data, at, depth + 1)
            children.append(child)
        content = b"".join(child.raw for child in children)
        return Node(tag, content, children, bytes(data[start:at + 2])), at + 2
    length = first
    if first & 0x80:
        size = first & 0x7F
        length = int.from_bytes(data[at:at + size], "big")
        at += size
    end = at + length
    if end > len(data):
        raise DerError("the content is cut off")
    content, children = bytes(data[at:end]), []
    if tag & 0x20:
        while at < end:
            child, at = _parse(data, at, depth + 1)
            children.append(child)
    return Node(tag, content, children, bytes(data[start:end])), end


def element(tag, *parts, indefinite=False):
    content = b"".join(parts)
    if indefinite:
        return bytes([tag, 0x80]) + content + INDEFINITE_END
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*parts, **options):
    return element(0x30, *parts, **options)


def set_of(*parts, **options):
    return element(0x31, *sorted(parts), **options)


def context(number, *parts, constructed=True, **options):
    return element(0x80 | (0x20 if constructed else 0) | number, *parts, **options)


def integer(value):
    return element(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octet_string(value, indefinite=False):
    """With `indefinite`, in chunks, as Apple's devices send it."""
    if not indefinite:
        return element(0x04, value)
    chunks = [element(0x04, value[i:i + 1000]) for i in range(0, len(value), 1000)]
    return element(0x24, *chunks, indefinite=True)


def bit_string(value):
    return element(0x03, b"\0", value)


def printable(text):
    return element(0x13, text.encode())


def utf8(text):
    return element(0x0C, text.encode())


def null():
    return element(0x05)


def oid(text):
    numbers = [int(n) for n in text.split(".")]
    out = bytearray()
    for number in [numbers[0] * 40 + numbers[1], *numbers[2:]]:
        piece = [number & 0x7F]
        while number := number >> 7:
            piece.append(0x80 | number & 0x7F)
        out += bytes(reversed(piece))
    return element(0x06, bytes(out))


def decode_oid(content):
    numbers, value = [], 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(str(n) for n in [first, numbers[0] - 40 * first, *numbers[1:]])
