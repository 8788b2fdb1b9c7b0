"""The blob of extended attributes in a catalogue row (format notes, section 7.5).

Pure: bytes in, mapping out.  Must not know which attributes are magic (`magic`).
"""

from __future__ import annotations

from hepwrap.errors import CorruptObject

_VERSION = 1


def decode(blob: bytes, *, where: str) -> dict[bytes, bytes]:
    """Attribute names (with their namespace, `user.x`) to values; `where` names the row in a CorruptObject."""
    if len(blob) < 2 or blob[0] != _VERSION:
        raise CorruptObject(f"{where}: extended attributes are not of version {_VERSION}")
    found: dict[bytes, bytes] = {}
    position = 2
    for _ in range(blob[1]):
        lengths = blob[position : position + 2]
        name_at = position + 2
        value_at = name_at + (lengths[0] if lengths else 0)
        position = value_at + (lengths[1] if len(lengths) == 2 else 0)
        name = blob[name_at:value_at]
        if len(lengths) < 2 or position > len(blob):
            raise CorruptObject(f"{where}: extended attributes are cut short")
        if not name or b"\0" in name or name in found:
            raise CorruptObject(f"{where}: extended attribute name {name!r} is empty, repeated or holds a NUL")
        found[name] = blob[value_at:position]
    if position != len(blob):
        raise CorruptObject(f"{where}: {len(blob) - position} bytes follow the extended attributes")
    return found
