"""A FUSE file system of a few fixed entries, served by raw messages: shows what the kernel makes of odd answers.

Owns just enough of the protocol (linux/fuse.h, 7.31) for path walks: INIT, LOOKUP, GETATTR, READLINK.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Mapping

from tests.helpers.mounting import mount

_HEADER = struct.Struct("<IIQQIIII")
_LOOKUP, _FORGET, _GETATTR, _READLINK, _INIT, _BATCH_FORGET = 1, 2, 3, 5, 26, 42

#: Path below the mount (b"" is its root) to whole st_mode and link target.
Entries = Mapping[bytes, tuple[int, bytes]]


def mount_fuse(place: str, entries: Entries) -> None:
    """Mount `entries` at `place`, read-only, and serve them from a thread.  OSError where there is no FUSE."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    mount(b"hepwrap-test", place, b"fuse", 1, options.encode())
    threading.Thread(target=_serve, args=(device, entries), daemon=True).start()


def _serve(device: int, entries: Entries) -> None:
    paths = list(entries)
    while True:
        try:
            request = os.read(device, 1 << 20)
        except OSError:
            return
        _, operation, unique, node, *_ = _HEADER.unpack_from(request)
        if operation in (_FORGET, _BATCH_FORGET):
            continue
        answer = _answer(operation, node, request[_HEADER.size :].rstrip(b"\0"), paths, entries)
        failure, body = (answer, b"") if isinstance(answer, int) else (0, answer)
        os.write(device, struct.pack("<IiQ", 16 + len(body), -failure, unique) + body)


def _answer(operation: int, node: int, name: bytes, paths: list[bytes], entries: Entries) -> bytes | int:
    """The body of a reply, or an errno.  Node N is the Nth path."""
    path = paths[node - 1] if node else b""
    if operation == _INIT:
        return struct.pack("<IIIIHHIIHHI", 7, 31, 65536, 0, 12, 10, 65536, 1, 32, 0, 0) + bytes(28)
    if operation == _GETATTR:
        return struct.pack("<QII", 0, 0, 0) + _attributes(path, paths, entries)
    if operation == _READLINK:
        return entries[path][1]
    if operation == _LOOKUP:
        child = path + b"/" + name
        if child not in entries:
            return errno.ENOENT
        return struct.pack("<QQQQII", paths.index(child) + 1, 0, 0, 0, 0, 0) + _attributes(child, paths, entries)
    return errno.ENOSYS


def _attributes(path: bytes, paths: list[bytes], entries: Entries) -> bytes:
    mode, target = entries[path]
    return struct.pack("<6Q10I", paths.index(path) + 1, len(target), *[0] * 7, mode, 1, 0, 0, 0, 4096, 0)
