"""Run by any Python, natively or under hepwrap: everything that system calls say about a tree, as JSON.

    python walk_script.py TOP

Keys are paths below TOP in hexadecimal (names need not be text); the value of a fact that is refused is the errno's
name.  Knows nothing of hepwrap; its text is handed to `python -c`, so that the user need not be able to read this file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable
from typing import Any


def attempt(work: Callable[[], Any]) -> Any:
    """What `work` returns, or the name of the errno with which it fails."""
    try:
        return work()
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def digest(path: bytes) -> str:
    """SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def attributes(path: bytes) -> dict[str, str]:
    """Extended attributes of users', of the path itself."""
    names = [name for name in os.listxattr(path, follow_symlinks=False) if name.startswith("user.")]
    return {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in sorted(names)}


def facts(path: bytes, *, top: bool) -> dict[str, Any]:
    """Everything about one path."""
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    return {
        **{name: getattr(status, f"st_{name}") for name in ("mode", "uid", "gid", "size", "mtime_ns", "nlink", "rdev")},
        "inode": status.st_ino,
        "device": status.st_dev,
        "target": attempt(lambda: os.readlink(path).hex()) if kind == stat.S_IFLNK else None,
        "sha256": attempt(lambda: digest(path)) if kind == stat.S_IFREG else None,
        "attributes": None if top else attempt(lambda: attributes(path)),
        "may": [os.access(path, mode, follow_symlinks=kind != stat.S_IFLNK) for mode in (os.F_OK, os.R_OK, os.X_OK)],
    }


def main(top: bytes) -> None:
    """Walk and print."""
    found, refused = {"": facts(top, top=True)}, []

    def note(error: OSError) -> None:
        refused.append([os.fsencode(error.filename)[len(top) :].hex(), errno.errorcode[error.errno or 0]])

    for directory, names, files in os.walk(top, onerror=note):
        for name in names + files:
            path = directory + b"/" + name
            found[path[len(top) :].hex()] = facts(path, top=False)
    print(json.dumps({"entries": found, "refused": sorted(refused)}))


if __name__ == "__main__":
    main(os.fsencode(sys.argv[1]))
