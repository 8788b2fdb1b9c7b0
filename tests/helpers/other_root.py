"""This machine as a command may see it with another /cvmfs, or with none: a root of its own made of binds.

Nothing is made on the machine itself, not even a directory to mount on, and what is not temporary cannot be written to.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_WRITABLE = ("dev", "proc", "tmp")


def bubble(*more: str) -> list[str]:
    """What to write before a command, without a /cvmfs; `more` options of bwrap(1) may make one."""
    words = ["bwrap", "--cap-add", "ALL"]
    for path in sorted(Path("/").iterdir()):
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.name in _WRITABLE:
            words += ["--dev-bind", str(path), str(path)]
        elif path.name != "cvmfs":
            words += ["--ro-bind", str(path), str(path)]
    temporary = os.path.realpath(tempfile.gettempdir())
    if Path(temporary).parts[1] not in _WRITABLE:
        words += ["--bind", temporary, temporary]
    return [*words, *more, "--chmod", "0755", "/"]
