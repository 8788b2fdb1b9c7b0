"""A tree of things to work on: texts, sources with headers, a bare git repository, Java classes, static Go programs.

Nothing in it knows where it lies, so the tree that is published is also the one for native runs.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

from tests.helpers import needs

TEXTS, UNITS = 60, 12
WORDS = ("electron", "muon", "tau", "photon", "gluon", "quark", "boson", "neutrino", "kaon", "pion", "jet", "vertex")
#: Static programs written in Go, from Debian's codesearch.
GO_PROGRAMS = ("cgrep", "cindex", "csearch")


def build(tree: Path) -> None:
    """Fill `tree`."""
    tree.mkdir(parents=True)
    _texts(tree / "text")
    _sources(tree)
    _git(tree / "project.git")
    _programs(tree / "bin")
    warm(tree / "warm")
    for directory, names, files in os.walk(tree):
        for name in names + files:
            os.utime(os.path.join(directory, name), (1_700_000_000, 1_700_000_000), follow_symlinks=False)


def warm(place: Path) -> None:
    """What the guest `warm_calls` asks for."""
    (place / "dir").mkdir(parents=True)
    (place / "dir/one").touch()
    (place / "file").write_text("content\n")
    (place / "link").symlink_to("file")


def _texts(place: Path) -> None:
    source = random.Random(17)
    for number in range(TEXTS):
        path = place / f"{number % 7}" / f"part {number:02}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (" ".join(source.choices(WORDS, k=8)) for _ in range(200))
        path.write_text("\n".join(lines) + f"\nunique{number}\n")


MAKEFILE = """\
# Built outside of this tree: make -f .../Makefile
here := $(dir $(lastword $(MAKEFILE_LIST)))
units := $(notdir $(wildcard $(here)*.c))
VPATH = $(here)
CPPFLAGS = -I$(here)../include -MMD
CFLAGS = -O1 -Wall -Werror

program: $(units:.c=.o)
\t$(CC) -o $@ $(sort $^)
-include $(units:.c=.d)
"""


def _sources(tree: Path) -> None:
    """Units that each include a header of their own, and one that calls them all."""
    headers, place = tree / "include" / "units", tree / "src"
    headers.mkdir(parents=True)
    place.mkdir()
    (place / "Makefile").write_text(MAKEFILE)
    for number in range(UNITS):
        (headers / f"unit{number}.h").write_text(f"#pragma once\n#define VALUE{number} {number * number}\n")
        text = f"#include <units/unit{number}.h>\nint unit{number}(void) {{ return VALUE{number}; }}\n"
        (place / f"unit{number}.c").write_text(text)
    calls = " + ".join(f"unit{number}()" for number in range(UNITS))
    declared = "".join(f"int unit{number}(void);\n" for number in range(UNITS))
    (place / "main.c").write_text(
        f'#include <stdio.h>\n{declared}int main(void)\n{{\n\tprintf("%d\\n", {calls});\n\treturn 0;\n}}\n'
    )


def _git(place: Path) -> None:
    """A bare repository of a few commits, packed and loose."""
    work = place.with_suffix(".work")
    options = {"user.name": "T", "user.email": "t@example.org", "init.defaultBranch": "main"}
    settings = (word for name, value in options.items() for word in ("-c", f"{name}={value}"))
    run = [needs.program("git", "git"), *settings, "-C", str(work)]
    environment = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
    environment |= dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2026-01-02T03:04:05Z")
    work.mkdir()

    def git(*words: str) -> None:
        subprocess.run([*run, *words], check=True, capture_output=True, env=environment, timeout=60)

    git("init", "--quiet")
    for number in range(6):
        (work / f"file{number}").write_text(f"content {number}\n" * 50)
        git("add", ".")
        git("commit", "--quiet", "-m", f"commit {number}")
        if number == 3:
            git("tag", "v3")
            git("gc", "--quiet")
    git("clone", "--quiet", "--bare", "--no-local", ".", str(place))
    shutil.rmtree(work)


def _programs(place: Path) -> None:
    place.mkdir()
    shutil.copy2(os.path.realpath(needs.program("busybox", "busybox-static")), place / "busybox")
    for name in GO_PROGRAMS:
        if (found := shutil.which(name)) is not None:  # their own test says what is missing
            shutil.copy2(os.path.realpath(found), place / name)
