"""A tree of programs, made twice: as a repository's content, and on disk where the kernel itself can run it.

Absolute names inside of it (first lines, loaders) begin with `top`, so each of the two is whole by itself:

    programs.build(published_tree, "/cvmfs/programs.hep.example", guests)
    programs.build(native_tree, str(native_tree), guests)

The same command on both must show the same, once each top is written as TOP.
"""

from __future__ import annotations

import difflib
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import needs
from tests.helpers.guests import Guests
from tests.helpers.launches import Done, Launches
from tests.helpers.publishing import Published

#: Shared libraries of the machine's C library that the programs with their own loader need.
LIBRARIES = ("libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2")
#: Of long first lines: about the 127 bytes that counted before Linux 5.1, and the 255 that do.
LENGTHS = (127, 128, 129, 253, 254, 255, 256, 257, 300)


def build(tree: Path, top: str, guests: Guests) -> None:
    """Fill `tree`; `top` is the name by which programs know it."""
    (tree / "bin").mkdir(parents=True)
    (tree / "lib").mkdir()
    shutil.copy2(guests.path("told_at_exec"), tree / "bin/told")
    shutil.copy2(guests.path("told_at_exec", static=True), tree / "bin/told-static")
    shutil.copy2(guests.path("told_at_exec", static="pie"), tree / "bin/told-static-pie")
    shutil.copy2(os.path.realpath(needs.program("busybox", "busybox-static")), tree / "bin/busybox")
    for name in LIBRARIES:
        shutil.copy2(_library(name), tree / "lib" / name)
    shutil.copy2(tree / "bin/told", tree / "bin/told-by-own-loader")
    patchelf = needs.program("patchelf", "patchelf")
    options = ["--set-interpreter", f"{top}/lib/{LIBRARIES[-1]}", "--set-rpath", f"{top}/lib"]
    subprocess.run([patchelf, *options, str(tree / "bin/told-by-own-loader")], check=True, timeout=60)
    shutil.copy2(tree / "bin/told", tree / "bin/told-by-origin")
    options = ["--set-interpreter", f"{top}/lib/{LIBRARIES[-1]}", "--set-rpath", "$ORIGIN/../lib"]
    subprocess.run([patchelf, *options, str(tree / "bin/told-by-origin")], check=True, timeout=60)
    (tree / "lib/loader-of-the-host").symlink_to("/lib64/ld-linux-x86-64.so.2")
    shutil.copy2(tree / "bin/told", tree / "bin/told-by-host-loader")
    options = ["--set-interpreter", f"{top}/lib/loader-of-the-host"]
    subprocess.run([patchelf, *options, str(tree / "bin/told-by-host-loader")], check=True, timeout=60)
    _scripts(tree, top)
    _failures(tree, top)
    _links(tree, top)


def _library(name: str) -> Path:
    """Where the machine's loader finds a library."""
    text = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True, timeout=60,
                          env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}).stdout  # fmt: skip
    rows = [row for row in text.splitlines() if row.split(" ")[0].strip() == name and "x86-64" in row]
    return Path(rows[0].rpartition("=> ")[2])


def script(path: Path, text: str | bytes, mode: int = 0o755) -> None:
    """A file that may be executed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)


def _scripts(tree: Path, top: str) -> None:
    """First lines of every form."""
    told, place = f"{top}/bin/told", tree / "scripts"
    script(place / "shell", '#!/bin/sh\necho "$0" "$#" "$@"\nexit 7\n')
    script(place / "virtual", f"#!{told}\n")
    script(place / "static", f"#!{told}-static\n")
    script(place / "own-loader", f"#!{told}-by-own-loader one\n")
    script(place / "argument", f"#!{told} one argument, with blanks\n")
    script(place / "blanks", f"#! \t {told} \t an argument\t \n")
    script(place / "tabs", f"#!{told}\tby a tab\n")
    script(place / "no-newline", f"#!{told}")
    script(place / "no-newline-argument", f"#!{told} arg  ")
    script(place / "carriage-return", f"#!{told}\r\n")
    script(place / "zero-byte", f"#!{told}\0x y\n")
    script(place / "env", "#!/usr/bin/env sh\necho by env: $0 $@\n")
    script(place / "env-S", f"#!/usr/bin/env -S TOLD=something {told} -x 'two words'\n")
    script(place / "relative", "#!bin/told relative\n")
    script(place / "busybox", f"#!{top}/bin/busybox sh\necho $0 $@; readlink -f $0\n")
    script(place / "not-utf8", f"#!{told} ".encode() + b"\xff\xfe\n")
    for depth in range(1, 8):
        inner = told if depth == 1 else f"{place_of(top)}/nested{depth - 1}"
        script(place / f"nested{depth}", f"#!{inner} level{depth}\n")
    for length in LENGTHS:
        _long_line(place, told, length)


def place_of(top: str) -> str:
    """Where the scripts are."""
    return f"{top}/scripts"


def _long_line(place: Path, told: str, length: int) -> None:
    """First lines of `length` bytes with `#!` and newline: by the name alone (slashes), or by an argument."""
    missing = length - len(f"#!{told}\n")
    head, _, tail = told.rpartition("/")
    script(place / f"long-name-{length}", f"#!{head}{'/' * (missing + 1)}{tail}\n")
    script(place / f"long-argument-{length}", f"#!{told} {'a' * (missing - 1)}\n")
    script(place / f"long-name-{length}-argument", f"#!{head}{'/' * (missing - 1)}{tail} an argument\n")


def _failures(tree: Path, top: str) -> None:
    """What cannot be executed, each for its own reason."""
    place = tree / "not"
    script(place / "empty", "")
    script(place / "garbage", b"\x01\x02garbage\n")
    script(place / "text", "echo no first line: $0 $@\n")
    script(place / "no-interpreter", "#!\n")
    script(place / "just-the-mark", "#!")
    script(place / "only-blanks", "#! \t \n")
    script(place / "missing-interpreter", f"#!{top}/bin/missing\n")
    script(place / "missing-host-interpreter", "#!/no/such/interpreter\n")
    script(place / "directory-interpreter", f"#!{top}/bin\n")
    script(place / "closed-interpreter", f"#!{top}/not/closed\n")
    script(place / "file-interpreter", f"#!{top}/bin/told/x\n")
    script(place / "itself", f"#!{top}/not/itself\n")
    shutil.copy(tree / "bin/told", place / "closed")
    (place / "closed").chmod(0o644)
    script(place / "closed-script", "#!/bin/sh\necho ran\n", 0o644)
    elf = bytearray((tree / "bin/told").read_bytes())
    script(place / "cut-off", bytes(elf[:40]))
    struct.pack_into("<H", elf, 18, 183)  # e_machine: EM_AARCH64
    script(place / "other-machine", bytes(elf))
    os.mkfifo(place / "fifo", 0o755)
    (place / "fifo").chmod(0o755)


def _links(tree: Path, top: str) -> None:
    """Ways by symbolic links."""
    place = tree / "links"
    place.mkdir()
    (place / "relative").symlink_to("../bin/told")
    (place / "absolute").symlink_to(f"{top}/bin/told")
    (place / "origin").symlink_to("../bin/told-by-origin")
    (place / "script").symlink_to("../scripts/argument")
    (place / "host").symlink_to("/bin/true")
    (place / "dangling").symlink_to("nowhere")
    (place / "loop").symlink_to("loop")


@dataclass(frozen=True)
class Pair:
    """The two trees, and how to run a command on each."""

    launcher: Launches
    published: Published
    #: The tree on which the kernel says what is right.
    tree: Path

    @property
    def top(self) -> str:
        """Of the repository."""
        return f"/cvmfs/{self.published.name}"

    def native(self, words: list[str], **options: object) -> Done:
        """`{top}` in words stands for the tree."""
        return neutral(self.launcher.native(*fill(words, str(self.tree)), text=False, **options), str(self.tree))

    def wrapped(self, words: list[str], **options: object) -> Done:
        """The same in the repository."""
        return neutral(self.launcher.run(*fill(words, self.top), text=False, **options), self.top)

    def assert_same(self, words: list[str], **options: object) -> bytes:
        """Both end alike and print the same, which is returned."""
        native, wrapped = self.native(words, **options), self.wrapped(words, **options)
        assert_equal(native, wrapped)
        return wrapped.stdout + wrapped.stderr


def assert_equal(native: Done, wrapped: Done) -> None:
    """The same exit code and output; else the difference in lines."""
    if (told(native), native.returncode) != (told(wrapped), wrapped.returncode):
        lines = difflib.unified_diff(told(native), told(wrapped), "the kernel", "hepwrap", lineterm="", n=2)
        codes = f"exit codes {native.returncode} and {wrapped.returncode}"
        words = " ".join(os.fsdecode(word) for word in wrapped.args)[-300:]
        pytest.fail("\n".join([f"{words}: {codes}", *lines]))


def told(done: Done) -> list[str]:
    """Its output in lines, standard error behind it."""
    return (done.stdout + b"-- stderr\n" + done.stderr).decode(errors="backslashreplace").splitlines()


def fill(words: list[str], top: str) -> list[str]:
    """The words with `{top}` replaced."""
    return [word.replace("{top}", top) for word in words]


def neutral(done: Done, top: str) -> Done:
    """The output with TOP for the top."""
    done.stdout, done.stderr = (text.replace(top.encode(), b"TOP") for text in (done.stdout, done.stderr))
    return done
