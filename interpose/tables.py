"""What /proc says of mappings and mounts, with virtual names (proc(5)): text that the kernel has written, changed.

Owns the formats of maps, smaps, numa_maps, mounts and mountinfo.  Must not know how programs get to read it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator

from hepwrap.records import dataclass

#: A table that is shown otherwise, as the kernel names it for a descriptor.
NAME = re.compile(rb"/proc/\d+(?:/task/\d+)?/(maps|smaps|numa_maps|mounts|mountinfo)")
_MAPPING = re.compile(rb"([0-9a-f]+-[0-9a-f]+ [-rwxps]{4} [0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) +(/.*)")
_POLICY = re.compile(rb"file=(/\S*)")
#: Where names begin in a line of maps: show_map_vma() of fs/proc/task_mmu.c.
_WIDTH = 72
_OPTIONS = b"ro,nosuid,nodev,relatime"

#: What a mapping of a memory file is shown as: path, device, inode.
Mapped = tuple[bytes, int, int]


@dataclass(frozen=True, slots=True)
class Mounted:
    """A mount as the tables show it: its id and device as statx(2) tells them, and the place."""

    id: int
    device: int
    place: bytes
    source: bytes
    kind: bytes = b"fuse"


def mappings(text: bytes, find: Callable[[int, int, bytes], Mapped | None]) -> bytes:
    """maps or smaps; `find(device, inode, name)` says what a file that the kernel calls so is shown as."""

    def shown(line: bytes) -> bytes:
        match = _MAPPING.fullmatch(line)
        found = match and find(os.makedev(int(match[2], 16), int(match[3], 16)), int(match[4]), unescaped(match[5]))
        if not match or not found:
            return line
        path, device, inode = found
        head = b"%s %02x:%02x %d" % (match[1], os.major(device), os.minor(device), inode)
        return head.ljust(_WIDTH) + b" " + path.replace(b"\n", rb"\012")

    return b"\n".join(map(shown, text.split(b"\n")))


def policies(text: bytes, find: Callable[[bytes], bytes | None]) -> bytes:
    """numa_maps, where nothing but the name tells what is mapped; `find(name)`: as what that is shown."""

    def shown(match: re.Match[bytes]) -> bytes:
        path = find(unescaped(match[1]))
        return match[0] if path is None else b"file=" + re.sub(rb"[\n\t= \\]", _octal, path)

    return _POLICY.sub(shown, text)


def mounts(text: bytes, added: Iterable[Mounted], seen: Callable[[bytes], bytes | None]) -> bytes:
    """mounts: the kernel's lines, as far as their places are `seen` and as what, and those `added`."""
    lines = []
    for line in text.splitlines():
        words = line.split(b" ")
        place = seen(unescaped(words[1]))
        if place is not None:
            lines.append(b" ".join([words[0], escaped(place), *words[2:]]))
    lines += [b"%s %s %s %s 0 0" % (each.source, escaped(each.place), each.kind, _OPTIONS) for each in added]
    return b"".join(line + b"\n" for line in lines)


def mountinfo(text: bytes, added: Iterable[Mounted], seen: Callable[[bytes], bytes | None]) -> bytes:
    """mountinfo, as `mounts`; where `/` is one of those added, what was mounted on the kernel's is mounted on that."""
    lines = [line.split(b" ") for line in text.splitlines()]
    kernels = next((words[0] for words in lines if words[4] == b"/"), b"1")
    rows = list(_rows(added, kernels))
    root = next((row[0] for row in rows if row[4] == b"/"), kernels)
    shown = [
        [words[0], root if words[1] == kernels else words[1], *words[2:4], escaped(place), *words[5:]]
        for words in lines
        if (place := seen(unescaped(words[4])))
    ]
    return b"".join(b" ".join(words) + b"\n" for words in [*shown, *rows])


def _rows(added: Iterable[Mounted], root: bytes) -> Iterator[list[bytes]]:
    parents = {b"/": root}
    for each in added:
        number = b"%d" % each.id
        above = parents.get(os.path.dirname(each.place), parents[b"/"])
        parents[each.place] = number
        device = b"%d:%d" % (os.major(each.device), os.minor(each.device))
        yield [number, above, device, b"/", escaped(each.place), _OPTIONS, b"-", each.kind, each.source, b"ro"]


def escaped(text: bytes) -> bytes:
    """A place as mount tables write it (mangle() of fs/proc_namespace.c)."""
    return re.sub(rb"[ \t\n\\#]", _octal, text)


def _octal(match: re.Match[bytes]) -> bytes:
    return b"\\%03o" % match[0][0]


def unescaped(text: bytes) -> bytes:
    """The bytes behind octal escapes."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), text)
