"""Builds the guests: C programs of one behaviour each, which know nothing of hepwrap.

Executables are in a directory that every user can read, each compiled once for all workers of one run.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

import pytest

from tests.helpers import once

SOURCES = Path(__file__).resolve().parents[1] / "guests"
FLAGS = ("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-pthread")
#: Bytes of stack that the runtime may use, as the build has checked it.
_PROTOCOL = SOURCES.parents[1] / "interpose/runtime/protocol.h"
STACK_LIMIT = _PROTOCOL.read_text().partition("#define STACK_LIMIT ")[2].split()[0]
#: Guests without a libc say so in their first comment's last line.
BARE_FLAGS = ("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-static", "-nostdlib", "-ffreestanding")
BARE_MARK = "Built without a libc"


class Guests:
    """Compiles on demand and remembers."""

    def __init__(self, compiler: str = "gcc") -> None:
        self.compiler = compiler
        self.directory = once.made("guests", lambda _: None)

    def path(self, name: str, *, static: bool | Literal["pie"] = False) -> Path:
        """The executable of `tests/guests/<name>.c`; `static` links the libc in, "pie" for any address."""
        source = SOURCES / f"{name}.c"
        text = source.read_text()
        kind = {False: "", True: "-static", "pie": "-static-pie"}[static]
        flags = BARE_FLAGS if BARE_MARK in text else (*FLAGS, *filter(None, [kind]))
        target = self.directory / f"{name}-{Path(self.compiler).name}{kind}"
        if not target.exists():
            self._compile(source, flags, target)
        return target

    def _compile(self, source: Path, flags: tuple[str, ...], target: Path) -> None:
        """Compile beside the target and rename, so that two workers do not meet a half-written file."""
        handle, name = tempfile.mkstemp(dir=self.directory)
        os.close(handle)
        done = subprocess.run(
            [self.compiler, *flags, "-o", name, str(source)], capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode != 0:
            os.unlink(name)
            pytest.fail(f"guest {source.name} does not compile:\n{done.stderr}")
        os.chmod(name, 0o755)
        os.replace(name, target)

    def run(self, name: str, *arguments: str | Path, static: bool = False, check: bool = True) -> str:
        """Run a guest natively; its standard output."""
        command = [str(self.path(name, static=static)), *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="backslashreplace", timeout=60, check=False
        )
        if check and done.returncode != 0:
            pytest.fail(f"guest {command} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout
