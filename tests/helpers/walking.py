"""A tree as a walk by a program shows it: natively or under hepwrap, by the same text of program."""

from __future__ import annotations

import json
import stat
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("walk_script.py").read_text()


@dataclass(frozen=True)
class Walk:
    """Facts by path below the top, and the directories that could not be read."""

    entries: dict[bytes, dict[str, Any]]
    refused: list[tuple[bytes, str]]

    def groups(self) -> set[frozenset[bytes]]:
        """Paths that are one inode, together."""
        found: defaultdict[tuple[int, int], set[bytes]] = defaultdict(set)
        for path, facts in self.entries.items():
            found[facts["device"], facts["inode"]].add(path)
        return {frozenset(paths) for paths in found.values()}

    def told(self, *left_out: str) -> dict[bytes, dict[str, Any]]:
        """The facts that do not depend on where the tree lies; the size of a directory does."""
        return {path: _without(facts, {"inode", "device", *left_out}) for path, facts in self.entries.items()}


def _without(facts: dict[str, Any], left_out: set[str]) -> dict[str, Any]:
    if stat.S_ISDIR(facts["mode"]):
        left_out = left_out | {"size"}
    return {name: value for name, value in facts.items() if name not in left_out}


def command(python: str | Path, top: str | Path) -> list[str]:
    """The command that walks."""
    return [str(python), "-c", SCRIPT, str(top)]


def parse(text: bytes) -> Walk:
    """What it printed."""
    found = json.loads(text)
    return Walk(
        {bytes.fromhex(path): facts for path, facts in found["entries"].items()},
        [(bytes.fromhex(path), name) for path, name in found["refused"]],
    )
