"""As much of DER (X.690, section 10) as keys and certificates need: where an element ends, and what is in it.

Pure; the bytes are hostile.  Must not know what the elements mean.
"""

from __future__ import annotations

INTEGER, BIT_STRING, OBJECT_IDENTIFIER, SEQUENCE, VERSION = 0x02, 0x03, 0x06, 0x30, 0xA0


class Malformed(ValueError):
    """The bytes are not the element that stands there."""

    def __str__(self) -> str:
        return "malformed"


def has_tag(der: bytes, position: int, tag: int) -> bool:
    """Whether an element of that kind begins at `position`."""
    return der[position : position + 1] == bytes((tag,))


def content(der: bytes, position: int) -> tuple[int, int]:
    """Begin and end of the content of the element at `position` (8.1.3: definite lengths)."""
    first = der[position + 1 : position + 2]
    if not first:
        raise Malformed
    count = first[0] & 0x7F if first[0] & 0x80 else 0
    begin = position + 2 + count
    length = int.from_bytes(der[position + 2 : begin], "big") if count else first[0]
    if count > 4 or (first[0] == 0x80) or begin + length > len(der):
        raise Malformed
    return begin, begin + length


def end(der: bytes, position: int) -> int:
    """Where the element at `position` ends."""
    return content(der, position)[1]


def inside(der: bytes, position: int, tag: int) -> tuple[bytes, int]:
    """Content and end of the element at `position`, which must be of that kind."""
    if not has_tag(der, position, tag):
        raise Malformed
    begin, finish = content(der, position)
    return der[begin:finish], finish


def integers(sequence: bytes) -> list[int]:
    """The elements of a SEQUENCE, all of them INTEGERs that are positive and written as short as can be (8.3)."""
    found, position = [], 0
    while position < len(sequence):
        digits, position = inside(sequence, position, INTEGER)
        is_padded = digits[:1] == b"\0" and len(digits) > 1 and digits[1] < 0x80
        if not digits or digits[0] >= 0x80 or is_padded:
            raise Malformed
        found.append(int.from_bytes(digits, "big"))
    return found


def dotted(identifier: bytes) -> str:
    """An object identifier as people write it (8.19), for messages."""
    words: list[int] = [0]
    for byte in identifier:
        words[-1] = words[-1] << 7 | byte & 0x7F
        if byte < 0x80:
            words.append(0)
    first, *rest = words[:-1] or [0]
    top = min(first // 40, 2)
    return ".".join(map(str, (top, first - 40 * top, *rest)))
