"""What machine this is, and which versions: written beside every result, since a figure without them says nothing."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts about the machine; texts are as the kernel says them."""

    processor: str
    #: Processors that this process may use.
    cores: int
    kernel: str
    architecture: str
    #: Bytes of RAM.
    memory: int
    #: Whether the processor is a virtual machine's.
    is_virtual: bool
    libc: str
    python: str
    #: Type of the file system on which the native tree lies.
    file_system: str


def this_machine(tree: Path, proc: Path = Path("/proc")) -> Machine:
    """The machine that runs this."""
    cpuinfo = _text(proc / "cpuinfo")
    return Machine(
        processor=_field("model name", cpuinfo) or platform.processor() or "unknown",
        cores=len(os.sched_getaffinity(0)),
        kernel=os.uname().release,
        architecture=os.uname().machine,
        memory=int((_field("MemTotal", _text(proc / "meminfo")) or "0").split()[0]) * 1024,
        is_virtual="hypervisor" in _field("flags", cpuinfo).split(),
        libc=" ".join(platform.libc_ver()).strip() or "unknown",
        python=platform.python_version(),
        file_system=_file_system(tree, _text(proc / "self/mountinfo")),
    )


def _file_system(path: Path, mountinfo: str) -> str:
    """The type of the mount with the longest mount point above `path` (proc_pid_mountinfo(5))."""
    place = os.path.realpath(path)
    best, kind = -1, "unknown"
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4]
        is_above = place == point or place.startswith(point.rstrip("/") + "/")
        if is_above and len(point) >= best:
            best, kind = len(point), after.split()[0]
    return kind


def _field(name: str, text: str) -> str:
    match = re.search(rf"^{name}\s*:\s*(.*)$", text, re.MULTILINE)
    return match[1].strip() if match else ""


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text("utf-8", "replace")
    return ""
