"""Parts for the macro rows: a CPython with packages, a C++ file with its headers, a git repository."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from hepwrap.errors import HepwrapError
from hepwrap.perf import cpython
from hepwrap.perf.execute import succeed
from hepwrap.perf.making import Making, Unavailable, text, write

_LIMIT = 600.0
_FILES_IN_DIRECTORY = 50
#: Standard headers that such a file has; each own header includes two of them.
_HEADERS = (
    "algorithm", "array", "atomic", "bitset", "chrono", "complex", "condition_variable", "deque", "exception",
    "filesystem", "forward_list", "fstream", "functional", "future", "iomanip", "iostream", "iterator", "limits",
    "list", "locale", "map", "memory", "mutex", "numeric", "optional", "queue", "random", "regex", "set", "sstream",
    "stack", "stdexcept", "streambuf", "string", "string_view", "thread", "tuple", "type_traits", "typeindex",
    "unordered_map", "unordered_set", "utility", "valarray", "variant", "vector",
)  # fmt: skip


def python(making: Making) -> None:
    """Interpreter, standard library with bytecode, and the shared libraries that they need."""
    target = making.tree / "python"
    shutil.rmtree(target, ignore_errors=True)
    (target / "bin").mkdir(parents=True)
    try:
        cpython.copy_python(target)
        cpython.compile_bytecode(target)
    except HepwrapError as error:
        raise Unavailable(str(error)) from None


def stack(requirement: str, making: Making) -> None:
    """A package from the registry, in the tree's CPython."""
    target = making.tree / "python"
    if not (target / "bin").is_dir():
        raise Unavailable(f"{requirement} needs the part python")
    try:
        cpython.install(target, [requirement])
        cpython.compile_bytecode(target)
    except HepwrapError as error:
        raise Unavailable(str(error)) from None


def root(requirement: str, making: Making) -> None:
    """ROOT, and a link to where pip has put it, since that is not the same for every CPython."""
    stack(requirement, making)
    target = making.tree / "python"
    link = target / "root"
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(cpython.place_of(target, "ROOT"), target))


def tool(name: str) -> str:
    """Where a program of the machine is; Unavailable where it is not installed."""
    found = shutil.which(name)
    if not found:
        raise Unavailable(f"{name} is not installed")
    return found


def cpp(making: Making) -> None:
    """A file with many headers: some of our own, and of the standard library all that these lead to, copied."""
    place = making.tree / "cpp"
    shutil.rmtree(place, ignore_errors=True)
    compiler, own = tool("g++"), making.sizes.headers
    for number in range(own):
        lines = [f"#include <{_HEADERS[(number * step) % len(_HEADERS)]}>" for step in (1, 7)]
        body = f"namespace own {{ inline int value_{number}() {{ return {number}; }} }}"
        write(place / f"include/own/h{number:03}.h", "\n".join(["#pragma once", *lines, body, ""]).encode())
    includes = "".join(f'#include "own/h{number:03}.h"\n' for number in range(own))
    total = " + ".join(f"own::value_{number}()" for number in range(own)) or "0"
    write(place / "main.cc", f"{includes}int main()\n{{\n    return {total};\n}}\n".encode())

    def ask(*words: str) -> str:
        done = making.executor.run([compiler, *words], {**os.environ, "LC_ALL": "C"}, place, _LIMIT)
        done = succeed(done, "g++")
        return done.output + done.errors

    searched = re.search(r"#include <\.\.\.> search starts here:\n(.*?)End of search", ask(*_SEARCH), re.DOTALL)
    if not searched:
        raise Unavailable("g++ does not say where it looks for headers")
    needed = re.findall(r"[^\s\\]+", ask("-M", "-I", "include", "main.cc").partition(":")[2])
    for header in map(Path, needed):
        if header.is_absolute():
            write(place / "system" / os.path.relpath(_plain(header), "/"), header.read_bytes())
    directories = [os.path.relpath(_plain(Path(line.strip())), "/") for line in searched[1].splitlines()]
    flags = ["-nostdinc", "-I", "include", *(word for path in directories for word in ("-isystem", f"system/{path}"))]
    write(place / "flags", (" ".join(flags) + "\n").encode())


_SEARCH = ("-v", "-E", "-x", "c++", "/dev/null")


def _plain(path: Path) -> str:
    """Without `..`: textually, as long as no link is on the way."""
    return os.path.normpath(path) if Path(os.path.normpath(path)).exists() else str(path.resolve())


def git(making: Making) -> None:
    """A repository with a changed file and an unknown one, so that there is something to tell."""
    place = making.tree / "git"
    shutil.rmtree(place, ignore_errors=True)
    program = tool("git")
    for number in range(making.sizes.git_files):
        directory, name = divmod(number, _FILES_IN_DIRECTORY)
        write(place / f"{directory:02}" / f"{name:02}.txt", text(f"git {number}", 800))
    place.mkdir(exist_ok=True)
    environment = {
        "PATH": os.defpath,
        "HOME": str(place),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "perf" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        **{f"GIT_{who}_DATE": "2001-09-09T01:46:40Z" for who in ("AUTHOR", "COMMITTER")},
    }
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "all"]):
        succeed(making.executor.run([program, *words], environment, place, _LIMIT), f"git {words[0]}")
    write(place / "00/00.txt", b"changed\n")
    write(place / "unknown.txt", b"unknown\n")
