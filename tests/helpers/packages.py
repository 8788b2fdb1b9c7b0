"""Installed Python packages as a tree that can be published: the files of some, and of all that they need."""

from __future__ import annotations

import re
import shutil
from importlib import metadata
from pathlib import Path

_NAME = re.compile(r"[\w.-]+")


def with_needs(*names: str) -> set[str]:
    """These distributions and those they need, as far as they are installed (what is not is for other machines)."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            needs = metadata.distribution(name).requires or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        for need in needs:
            match = _NAME.match(need)
            if match and "extra ==" not in need:
                waiting.append(match.group())
    return found


def copy(place: Path, *names: str) -> None:
    """Their files below `place`, without byte code and what is outside of site-packages."""
    for name in with_needs(*names):
        for file in metadata.distribution(name).files or []:
            if ".." not in file.parts and file.suffix != ".pyc":
                target = place / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(str(file.locate()), target)
