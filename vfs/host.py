"""The host's side of a path: the little that a walk has to know of the real file system.

Owns the questions.  Must not answer for the kernel: whatever a question cannot be answered for, the walk leaves to it.
"""

from __future__ import annotations

import os
import re
from typing import Protocol

_MAGIC = re.compile(
    rb"/proc/(?:self|thread-self|\d+)(?:/task/\d+)?/(?:cwd|exe|root|fd/\d+|ns/\w+|map_files/[0-9a-f-]+)"
)


class HostView(Protocol):
    """The host as one task sees it.

    `/proc/self` and `/proc/thread-self` are the task's, not those of the process that asks: a view made for another
    task answers them, and links that show virtual names (`/proc/PID/cwd`, `exe`, `fd/N`), itself, by `readlink`.
    Every `path` is absolute; no component but the last is `.`, `..` or a symbolic link.
    """

    def readlink(self, path: bytes) -> bytes | None:
        """The target, where `path` is a symbolic link; None for all else: another kind, missing, not allowed."""
        ...

    def is_searchable(self, path: bytes) -> bool:
        """Whether `path` is a directory in which the task may look up a name, so that `..` leads out of it."""
        ...

    def is_magic(self, path: bytes) -> bool:
        """Whether the symbolic link `path` leads to an object and not by its text (symlink(7), magic links)."""
        ...


class OsHost:
    """The host as this process sees it; loosely a base class for views made for other tasks."""

    def readlink(self, path: bytes) -> bytes | None:
        """The target, or None; see HostView."""
        try:
            return os.readlink(path)
        except OSError:
            return None

    def is_searchable(self, path: bytes) -> bool:
        """Asks the kernel for `path/.`, which it finds exactly where it would find `path/..`."""
        try:
            os.stat(path + b"/.")
        except OSError:
            return False
        return True

    def is_magic(self, path: bytes) -> bool:
        """By name: such links are made by the kernel, in /proc (proc(5))."""
        return _MAGIC.fullmatch(path) is not None


def protected_symlinks(setting: str = "/proc/sys/fs/protected_symlinks") -> bool:
    """Whether the kernel is told not to follow others' links in shared directories (proc(5))."""
    try:
        with open(setting, "rb") as file:
            return file.read().strip() not in (b"", b"0")
    except OSError:
        return False
