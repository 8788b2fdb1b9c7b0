"""What the kernel says in /proc of a task, and of a directory as this process sees it (proc(5)).

Must not know paths or credentials: a launch looks here before anything of that is needed.
"""

from __future__ import annotations

import os

from hepwrap.cache.refusal import reraise_lack
from hepwrap.records import dataclass


def status_of(task: int) -> dict[str, str]:
    """The fields of /proc/<task>/status; empty where the task is gone."""
    try:
        with open(f"/proc/{task}/status", encoding="utf-8", errors="replace") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except OSError as error:
        reraise_lack(error)
        return {}


@dataclass(frozen=True, slots=True)
class Root:
    """What a root is: id of its mount (0: unknown), which is one in one mount namespace only, device and inode."""

    mount: int
    device: int
    inode: int


def root_at(path: str) -> Root:
    """What directory and which mount that is; OSError."""
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        with open(f"/proc/self/fdinfo/{fd}", encoding="utf-8") as file:
            mount = next((int(line.split()[1]) for line in file if line.startswith("mnt_id:")), 0)
    finally:
        os.close(fd)
    return Root(mount, status.st_dev, status.st_ino)
