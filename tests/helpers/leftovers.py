"""What a launch has while it runs, by identity, so that a test can look for it after the end.

Nothing here is found by a name that another launch on the same machine may have too: shared memory by device and inode,
sockets by inode, processes by the mark of the launch.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.jobs import Job, marked, until

_STAND_IN = re.compile(r"\.hepwrap-[0-9a-f]{16}")
_MAPPED = re.compile(r"^\S+ \S+ \S+ (\S+) (\d+) +(/memfd:.*)$", re.MULTILINE)
#: Where stand-ins may be made, and temporary files in general.
PLACES = ("/dev/shm", "/tmp", "/var/tmp")


@dataclass(frozen=True)
class Belongings:
    """Of one launch, as seen at one moment."""

    mark: str
    helper: int
    #: (device as in maps, inode) of memory files that are mapped or open.
    memory: frozenset[tuple[str, int]]
    #: Inodes of the helper's sockets that have an abstract name.
    sockets: frozenset[int]
    #: Placeholders that a killed launch may have left before.
    others: frozenset[str]

    def wait_until_gone(self) -> None:
        """All of it, within patience; fails with a sentence on what is left."""
        until(lambda: not marked(self.mark), f"processes end; left are {marked(self.mark)}")
        until(lambda: not os.path.exists(f"/proc/{self.helper}/maps"), "the helper is reaped")
        until(lambda: not memory_of_all() & self.memory, "shared memory is gone")
        until(lambda: not abstract_sockets() & self.sockets, "abstract sockets are gone")
        until(lambda: placeholders() <= self.others, f"placeholders are gone; left are {placeholders() - self.others}")


def belongings(job: Job) -> Belongings:
    """Of a launch that is served."""
    helper = job.helper()
    pids = [helper, *marked(job.mark)]
    memory = {identity for pid in pids for identity in memory_of(pid)}
    own = {int(match[1]) for name in _links(helper) if (match := re.fullmatch(r"socket:\[(\d+)\]", name))}
    return Belongings(job.mark, helper, frozenset(memory), frozenset(own & abstract_sockets()), placeholders())


def memory_of(pid: int | str) -> set[tuple[str, int]]:
    """Memory files that a process has mapped."""
    try:
        text = Path(f"/proc/{pid}/maps").read_text(errors="replace")
    except OSError:
        return set()
    return {(device, int(inode)) for device, inode, _ in _MAPPED.findall(text)}


def memory_of_all() -> set[tuple[str, int]]:
    """Memory files that any process has mapped."""
    return {identity for name in os.listdir("/proc") if name.isdigit() for identity in memory_of(name)}


def abstract_sockets() -> set[int]:
    """Inodes of all sockets with an abstract name, here in this network namespace."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text(errors="replace").splitlines()[1:]]
    return {int(row[6]) for row in rows if len(row) > 7 and row[7].startswith("@")}


def placeholders() -> frozenset[str]:
    """Names that stand-ins have for a moment; nothing in them says whose they are."""
    return frozenset(f"{place}/{name}" for place in PLACES for name in filter(_STAND_IN.fullmatch, os.listdir(place)))


def _links(pid: int) -> list[str]:
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            continue
    return names
