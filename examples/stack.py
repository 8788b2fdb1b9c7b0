"""Makes a software stack that can be published: a whole CPython with packages, by the recipe of `hepwrap.perf`.

Owns when a stack is finished, and when it must be made again.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from hepwrap.perf.cpython import clean_environment, compile_bytecode, copy_python, install, interpreter

__all__ = ["clean_environment", "copy_python", "description", "is_made", "make"]

#: Written last: a stack without it was not finished.
STAMP = ".made-of"


def description(requirements: list[str]) -> str:
    """What a finished stack was made of; a different text means that it must be made again."""
    return "\n".join([sys.version, str(interpreter()), *requirements, ""])


def is_made(target: Path, requirements: list[str]) -> bool:
    """Whether `target` is a finished stack of these requirements."""
    stamp = target / STAMP
    return stamp.is_file() and stamp.read_text() == description(requirements)


def make(target: Path, requirements: list[str], say: Callable[[str], None]) -> None:
    """Build the stack in `target`; anything unfinished there is removed.  HepwrapError where that fails."""
    if target.exists():
        shutil.rmtree(target)
    (target / "bin").mkdir(parents=True)
    say("copying CPython")
    copy_python(target)
    say(f"installing {', '.join(requirements)}")
    install(target, requirements)
    say("compiling to bytecode")
    compile_bytecode(target)
    (target / STAMP).write_text(description(requirements))
