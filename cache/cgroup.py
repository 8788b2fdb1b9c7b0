"""How much memory a job's control groups leave it (cgroups(7); Documentation/admin-guide/cgroup-v2 and -v1/memory).

Owns where these numbers stand and what they mean, as pure functions of a reader of small text files.
Must not know what is done with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from hepwrap.records import dataclass

#: The text of a file, None where there is no such file.
Read = Callable[[str], str | None]

#: cgroup v1 says "no limit" with the largest multiple of the page size; nobody has 2**60 bytes.
UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True)
class Flavour:
    """What the memory controller's files are called."""

    #: File system type in mountinfo, and the controller that must be among its options.
    filesystem: str
    controller: str
    limits: tuple[str, ...]
    usage: str
    #: Line of memory.stat with file cache that can be dropped at once.
    reclaimable: str
    pressure: str


FLAVOURS = (
    Flavour("cgroup2", "", ("memory.max", "memory.high"), "memory.current", "inactive_file", "memory.pressure"),
    Flavour("cgroup", "memory", ("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file", ""),
)


class Group(NamedTuple):
    """One control group with a limit, in bytes."""

    limit: int
    used: int
    reclaimable: int
    #: Percent of the last 10 s in which some task of it waited for memory; None where the kernel does not say.
    pressure: float | None

    @property
    def free(self) -> int:
        """What may still be taken before the limit, counting file cache that would be dropped for it."""
        return max(0, self.limit - max(0, self.used - self.reclaimable))


def read_file(path: str) -> str | None:
    """The real reader."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def groups(read: Read = read_file) -> list[Group]:
    """Our control group and all above it, innermost first, as far as they have a limit.

    Batch systems nest them (Slurm: job, step, user, task), and each limit on the way up holds.
    """
    found = []
    for flavour in FLAVOURS:
        for directory in _directories(flavour, read):
            group = _group(flavour, directory, read)
            if group is not None:
                found.append(group)
    return found


def pressure(found: list[Group], read: Read = read_file) -> float:
    """The highest `some avg10` (percent) of our limited groups; of the whole machine where none tells."""
    known = [group.pressure for group in found if group.pressure is not None]
    if known:
        return max(known)
    return some_avg10(read("/proc/pressure/memory")) or 0.0


def some_avg10(text: str | None) -> float | None:
    """From a pressure file (Documentation/accounting/psi), None where it is missing or not understood."""
    match = re.search(r"^some avg10=([0-9.]+)", text or "", re.MULTILINE)
    try:
        return float(match[1]) if match else None
    except ValueError:
        return None


def _group(flavour: Flavour, directory: str, read: Read) -> Group | None:
    limits = [_number(read(f"{directory}/{name}")) for name in flavour.limits]
    known = [limit for limit in limits if limit is not None and limit < UNLIMITED]
    used = _number(read(f"{directory}/{flavour.usage}"))
    if not known or used is None:
        return None
    waiting = some_avg10(read(f"{directory}/{flavour.pressure}")) if flavour.pressure else None
    return Group(min(known), used, _reclaimable(flavour, read(f"{directory}/memory.stat")), waiting)


def _number(text: str | None) -> int | None:
    """A count of bytes; None for "max" and whatever else is no number."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _reclaimable(flavour: Flavour, stat: str | None) -> int:
    match = re.search(rf"^{flavour.reclaimable} (\d+)$", stat or "", re.MULTILINE)
    return int(match[1]) if match else 0


def _directories(flavour: Flavour, read: Read) -> Iterator[str]:
    """Our group's directory, then its parents up to the mount point."""
    path = _path(flavour, read("/proc/self/cgroup") or "")
    mount = _mount(flavour, read("/proc/self/mountinfo") or "")
    if path is None or mount is None:
        return
    root, point = mount
    names = [name for name in _below(path, root).split("/") if name]
    for depth in range(len(names), -1, -1):
        yield "/".join([point.rstrip("/"), *names[:depth]])


def _below(path: str, root: str) -> str:
    """`path` as seen from a mount whose own root is `root`; its top where a namespace hides the way."""
    prefix = root.rstrip("/")
    inside = path == prefix or path.startswith(prefix + "/")
    return path[len(prefix) :] if inside and ".." not in path.split("/") else ""


def _path(flavour: Flavour, text: str) -> str | None:
    """Our path in the hierarchy: lines `number:controllers:path`; version 2 has number 0 and no controllers."""
    for line in text.splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3 and flavour.controller in fields[1].split(",") and (flavour.controller or fields[0] == "0"):
            return fields[2]
    return None


def _mount(flavour: Flavour, text: str) -> tuple[str, str] | None:
    """Root and mount point of the hierarchy (proc(5), /proc/pid/mountinfo)."""
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if len(fields) < 6 or len(kind) < 3 or kind[0] != flavour.filesystem:
            continue
        if not flavour.controller or flavour.controller in kind[2].split(","):
            return _plain(fields[3]), _plain(fields[4])
    return None


def _plain(text: str) -> str:
    """Undo the octal escapes of blanks and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
