"""The parts of the tree that is measured on: what each consists of and how it is made.

Owns their content, which is the same at every making.  A part that cannot be made here (a tool or package is missing)
says why, and the rows that need it say so in turn.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hepwrap.errors import HepwrapError
from hepwrap.perf.execute import Executor
from hepwrap.perf.program import compile_c

#: Takes one line: what is being done.
Say = Callable[[str], None]

_KIB, _MIB = 1024, 1024 * 1024
#: A hundred files to a directory: the C program counts on it.
_FILES_IN_DIRECTORY = 100
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


def write(path: Path, content: bytes) -> None:
    """A file with the time that all have."""
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


def _files(making: Making) -> None:
    """Files of a few sizes, many files, large directories, links."""
    tree, sizes = making.tree, making.sizes
    for place in ("small", "large", "directories", "deep/a/b/c/d/e/f/g/h"):
        (tree / place).mkdir(parents=True, exist_ok=True)
    for name, size in (("4k", 4 * _KIB), ("128k", 128 * _KIB), ("1m", _MIB)):
        write(tree / "small" / name, noise(name, size))
    write(tree / "large/50m", noise("50m", sizes.large_bytes))
    write(tree / "deep/a/b/c/d/e/f/g/h/file", b"deep\n")
    (tree / "link").unlink(missing_ok=True)
    (tree / "link").symlink_to("small/4k")
    for number in range(sizes.files):
        directory = tree / "files" / f"{number // _FILES_IN_DIRECTORY:03}"
        if number % _FILES_IN_DIRECTORY == 0:
            directory.mkdir(parents=True, exist_ok=True)
            making.say(f"files: {number} of {sizes.files}")
        write(directory / f"{number % _FILES_IN_DIRECTORY:02}", text(f"file {number}", 500 + number % 7 * 300))
    for name, count in (("1000", sizes.few_entries), ("10000", sizes.many_entries)):
        (tree / "directories" / name).mkdir(exist_ok=True)
        for number in range(count):
            write(tree / "directories" / name / f"entry-{number:05}", b"")


_TRUE = "int main(void)\n{\n    return 0;\n}\n"


def _program(making: Making, name: str, *flags: str) -> None:
    source = making.tree / "bin/true.c"
    source.parent.mkdir(exist_ok=True)
    write(source, _TRUE.encode())
    compile_c(making.executor, [source], making.tree / "bin" / name, *flags)


def _dynamic_program(making: Making) -> None:
    _program(making, "true-dynamic")


def _static_program(making: Making) -> None:
    try:
        _program(making, "true-static", "-static")
    except HepwrapError as error:
        raise Unavailable(f"no static program can be linked here ({error})") from None


PARTS: tuple[Part, ...] = (
    Part("files", "files, directories and links", _files),
    Part("program", "a program that does nothing", _dynamic_program),
    Part("static-program", "the same, linked statically", _static_program),
)
