"""Extended attributes as catalogues store them (format notes, section 7.5)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping

from hepwrap.vfs.publish.node import shown

VERSION = 1
#: Lengths and the number of attributes each have one byte.
LIMIT = 255
_NOT_THERE = (errno.ENOTSUP, errno.ENODATA, errno.ENOENT, errno.EPERM, errno.EACCES)


def encode(attributes: Mapping[bytes, bytes]) -> bytes | None:
    """The blob, keys sorted; None for no attributes."""
    if not attributes:
        return None
    blob = bytearray((VERSION, len(attributes)))
    for key in sorted(attributes):
        value = attributes[key]
        blob += bytes((len(key), len(value))) + key + value
    return bytes(blob)


def read(disk_path: bytes, path: bytes, warn: Callable[[str], None]) -> bytes | None:
    """The blob of a file's own `user.*` attributes; those that the format cannot hold are left out with a warning."""
    kept: dict[bytes, bytes] = {}
    try:
        names = os.listxattr(disk_path, follow_symlinks=False)
        for name in sorted(os.fsencode(name) for name in names if name.startswith("user.")):
            value = os.getxattr(disk_path, name, follow_symlinks=False)
            if len(name) > LIMIT or len(value) > LIMIT or len(kept) == LIMIT:
                warn(f"{shown(path)}: attribute {shown(name)} does not fit in {LIMIT} bytes or names, it is left out")
            else:
                kept[name] = value
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
    return encode(kept)
