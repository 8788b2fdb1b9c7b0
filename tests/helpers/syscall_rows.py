"""Reads `syscalls.def`, and what the system's headers say about the same numbers."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFINITIONS = Path(__file__).resolve().parents[2] / "interpose" / "syscalls.def"
ROW = re.compile(r'^ROW\((\w+), +(\d+|NONE), +(\d+|NONE), +(\w+), +((?:\w+, +){6})"([^"\\]*)"\)$')


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; numbers are None where an architecture has no such call."""

    name: str
    x86_64: int | None
    aarch64: int | None
    treatment: str
    kinds: tuple[str, ...]
    note: str

    @property
    def is_served(self) -> bool:
        """Whether it comes to the runtime; what does not says in a note why."""
        return not self.note


def lines(text: str | None = None) -> list[str]:
    """Lines of the file that are neither empty nor comment."""
    without_comments = re.sub(r"/\*.*?\*/", "", text if text is not None else DEFINITIONS.read_text(), flags=re.DOTALL)
    return [line for line in without_comments.splitlines() if line.strip()]


def read_rows(text: str | None = None) -> dict[str, Row]:
    """All rows by name; a line that is no row, or a name that comes twice, is a ValueError."""
    found: dict[str, Row] = {}
    for line in lines(text):
        match = ROW.match(line)
        if match is None:
            raise ValueError(f"not a row: {line}")
        name, first, second, treatment, kinds, note = match.groups()
        if name in found:
            raise ValueError(f"a second row of {name}")
        numbers = [None if word == "NONE" else int(word) for word in (first, second)]
        found[name] = Row(name, numbers[0], numbers[1], treatment, tuple(re.findall(r"\w+", kinds)), note)
    return found


def header_numbers(header: str, *definitions: str) -> Mapping[str, int]:
    """What `#include <header>` says: name -> number."""
    flags = [f"-D{word}" for word in definitions]
    command = ["gcc", "-E", "-dM", *flags, "-include", header, "-x", "c", "/dev/null"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    defined = dict(re.findall(r"^#define (__NR\w+) (\w+)$", text, flags=re.MULTILINE))
    found: dict[str, int] = {}
    for key, word in defined.items():
        value = word
        while value in defined:
            value = defined[value]
        if key.startswith("__NR_") and value.isdigit():
            found[key.removeprefix("__NR_")] = int(value)
    return found
