"""First lines of scripts: our parser and the kernel take the same bytes apart alike."""

from __future__ import annotations

import errno
import os
import random
import subprocess
from pathlib import Path

from hepwrap.interpose.firstline import parse_first_line
from tests.helpers.guests import Guests

PIECES = [b" ", b"\t", b"  ", b"\n", b"\0", b"a", b"bc", b"\r", b"\xff", b"x" * 100, b"y" * 130, b"-S a b"]


def told_by_kernel(script: Path, head: bytes, show: Path) -> tuple[bytes, ...] | str:
    """argv in front of the script's name, with NAME for the interpreter; or the errno's name."""
    script.write_bytes(head)
    script.chmod(0o755)
    try:
        done = subprocess.run([script], capture_output=True, check=True, timeout=20, env={})
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    words = [line[line.index(b"=") + 1 : -1] for line in done.stdout.split(b"\n") if line.startswith(b"argv[")]
    assert words.pop() == os.fsencode(script)
    assert words[0] == os.fsencode(show)
    return tuple(words)


def told_by_us(head: bytes, show: Path) -> tuple[bytes, ...] | str:
    words = parse_first_line(head[:256])
    if not words:
        return "ENOEXEC"
    if not words[0]:
        return "EACCES"  # the working directory
    return words if words[0] == os.fsencode(show) else "ENOENT"


def test_first_lines_mean_what_the_kernel_says_they_mean(tmp_path: Path, guests: Guests) -> None:
    """The interpreter stands somewhere in most lines; pieces before and behind it are random."""
    source = random.Random(5)
    show = guests.path("told_at_exec", static=True)
    outcomes = set()
    for _ in range(250):
        pieces = [source.choice(PIECES) for _ in range(source.randint(0, 4))]
        where = source.choice((0, 0, 0, min(1, len(pieces)), len(pieces)))
        head = b"#!" + b"".join([*pieces[:where], os.fsencode(show), *pieces[where:]])
        head += source.choice((b"", b"\n", b"\n", b" \t\n", b"\nmore\n"))
        kernel = told_by_kernel(tmp_path / "script", head, show)
        assert kernel == told_by_us(head, show), head
        outcomes.add(kernel if isinstance(kernel, str) else len(kernel))
    assert outcomes == {"ENOEXEC", "ENOENT", "EACCES", 1, 2}


def test_a_file_that_ends_with_the_mark_has_an_empty_interpreter(tmp_path: Path, guests: Guests) -> None:
    show = guests.path("told_at_exec", static=True)
    assert told_by_kernel(tmp_path / "script", b"#!", show) == "EACCES"
    assert parse_first_line(b"#!") == (b"",)
