"""What the server evicts between the runtime's look and its open is asked for anew, and never another file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
#: As the runtime is compiled: the frame of a call is in r15.
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-ffixed-r15", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror")
CHECKS = {
    "if (LOAD(inode->sequence) == sequence)": "if (sequence + 1)",
    "LOAD(inode->sequence) != sequence ||": "(sequence + 1 == 0) ||",
}


def opened(place: Path, project: Path = PROJECT) -> list[str]:
    """What was opened, and called, of a file that stays, and of one that is evicted; and what that left open."""
    program = place / "standin_race"
    source = project / "tests/races/standin_race.c"
    subprocess.run(["gcc", *FLAGS, "-o", str(program), str(source)], check=True, timeout=100)
    for name in ("file", "other"):
        (place / name).touch()
    words = [str(program), str(place / "file"), str(place / "other")]
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=20).stdout.splitlines()


def test_a_descriptor_whose_file_has_left_is_stale_and_closed(tmp_path: Path) -> None:
    assert opened(tmp_path) == ["the file", "the file", "stale", "nothing is left open", "stale"]


def test_without_the_sequence_number_it_would_be_another_file(tmp_path: Path) -> None:
    beside = shutil.ignore_patterns("*.py", "*.so", "__pycache__")
    for source in ("tests/races", "interpose/runtime", "vfs/index"):
        shutil.copytree(PROJECT / source, tmp_path / source, ignore=beside)
    shutil.copy(PROJECT / "interpose/syscalls.def", tmp_path / "interpose")
    header = tmp_path / "interpose/runtime/standin.h"
    text = header.read_text()
    for check, none in CHECKS.items():
        assert check in text
        text = text.replace(check, none)
    header.write_text(text)
    said = opened(tmp_path, tmp_path)
    assert (said[:3], said[4]) == (["the file", "the file", "another"], "another")
