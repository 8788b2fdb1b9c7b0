"""What parts of the tree are made with: the types, and content that is the same at every making."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hepwrap.errors import HepwrapError
from hepwrap.perf.execute import Executor

#: Takes one line: what is being done.
Say = Callable[[str], None]

_MIB = 1024 * 1024
#: Every file has this time, so that two copies of the tree agree.
_TIME = 1_000_000_000


class Unavailable(HepwrapError):
    """A part cannot be made on this machine; says why."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is of everything; tests take less."""

    #: Files below `files/`.
    files: int = 20_000
    #: How many of them the many-files rows go over.
    used: int = 10_000
    #: Entries of the two large directories (which are named after what they usually have).
    few_entries: int = 1_000
    many_entries: int = 10_000
    large_bytes: int = 50 * _MIB
    #: Files of the git repository, and headers of our own that the C++ file includes.
    git_files: int = 2_000
    headers: int = 300


@dataclass(frozen=True, slots=True)
class Making:
    """What a part is made with."""

    tree: Path
    sizes: Sizes
    executor: Executor
    say: Say


@dataclass(frozen=True, slots=True)
class Part:
    """One part; `make` raises Unavailable."""

    name: str
    title: str
    make: Callable[[Making], None]
    #: Made only where it is asked for: it downloads, and is large.
    is_stack: bool = False


def write(path: Path, content: bytes) -> None:
    """A file with the time that all have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (_TIME, _TIME))


def text(seed: str, size: int) -> bytes:
    """About `size` bytes of lines that compress as source text does and are different for each seed."""
    lines: list[str] = []
    length = 0
    while length < size:
        digest = hashlib.sha256(f"{seed} {len(lines)}".encode()).hexdigest()
        line = f"    value_{digest[:8]} = compute(previous, {digest[8:16]}, 'of {seed}')  # {digest[16:24]}\n"
        lines.append(line)
        length += len(line)
    return "".join(lines).encode()


def noise(seed: str, size: int) -> bytes:
    """`size` bytes that do not compress."""
    return hashlib.shake_256(seed.encode()).digest(size)
