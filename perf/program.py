"""Compiles the C programs of the harness, each once, into its work directory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from hepwrap.errors import HepwrapError
from hepwrap.perf.execute import Executor, succeed

SOURCES = Path(__file__).resolve().parent / "bench"
FLAGS = ("-std=gnu11", "-O2", "-D_GNU_SOURCE", "-pthread", "-Wall", "-Wextra")
_COMPILERS = ("cc", "gcc", "clang")
_LIMIT = 120.0


def compiler(path: str | None = None) -> str:
    """The C compiler: $CC, or the first of a few names in PATH; HepwrapError where there is none."""
    wanted = os.environ.get("CC")
    for name in [wanted] if wanted else _COMPILERS:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise HepwrapError(
        f"{wanted or 'a C compiler (cc, gcc or clang)'} is missing, and the benchmark is compiled here; "
        "install gcc, or name a compiler by CC"
    )


def bench(executor: Executor, directory: Path) -> Path:
    """The benchmark, compiled unless this very source has been compiled before."""
    sources = sorted(SOURCES.glob("*.c"))
    text = b"\0".join(path.read_bytes() for path in sorted(SOURCES.glob("*.[ch]")))
    target = directory / f"bench-{hashlib.sha256(text + ' '.join(FLAGS).encode()).hexdigest()[:12]}"
    if not target.exists():
        compile_c(executor, sources, target)
    return target


def compile_c(executor: Executor, sources: list[Path], target: Path, *more: str) -> None:
    """Compile under a name of our own beside the target and rename, so that nobody meets half a program."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".")
    os.close(handle)
    try:
        command = [compiler(), *FLAGS, *more, "-o", name, *map(str, sources)]
        succeed(executor.run(command, os.environ, target.parent, _LIMIT), f"compiling {sources[0].name}")
        os.chmod(name, 0o755)
        os.replace(name, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
