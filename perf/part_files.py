"""Parts for the C program's rows: files of a few sizes, many files, large directories, links, programs."""

from __future__ import annotations

from pathlib import Path

from hepwrap.errors import HepwrapError
from hepwrap.perf.making import Making, Unavailable, noise, text, write
from hepwrap.perf.program import compile_c

_KIB, _MIB = 1024, 1024 * 1024
#: The C program counts on it.
_FILES_IN_DIRECTORY = 100
_DEEP = "deep/a/b/c/d/e/f/g/h/file"
_TRUE = "int main(void)\n{\n    return 0;\n}\n"


def files(making: Making) -> None:
    """Everything that is no program."""
    tree, sizes = making.tree, making.sizes
    for name, size in (("4k", 4 * _KIB), ("128k", 128 * _KIB), ("1m", _MIB)):
        write(tree / "small" / name, noise(name, size))
    write(tree / "large/50m", noise("50m", sizes.large_bytes))
    write(tree / _DEEP, b"deep\n")
    (tree / "link").unlink(missing_ok=True)
    (tree / "link").symlink_to("small/4k")
    for number in range(sizes.files):
        if number % 1000 == 0:
            making.say(f"files: {number} of {sizes.files}")
        directory, at = divmod(number, _FILES_IN_DIRECTORY)
        write(tree / "files" / f"{directory:03}" / f"{at:02}", text(f"file {number}", 500 + number % 7 * 300))
    for name, count in (("1000", sizes.few_entries), ("10000", sizes.many_entries)):
        for number in range(count):
            write(tree / "directories" / name / f"entry-{number:05}", b"")


def dynamic_program(making: Making) -> None:
    """A program that ends at once."""
    _compile(making, "true-dynamic")


def static_program(making: Making) -> None:
    """The same without a loader."""
    try:
        _compile(making, "true-static", "-static")
    except HepwrapError as error:
        raise Unavailable(f"no static program can be linked here ({error})") from None


def _compile(making: Making, name: str, *flags: str) -> None:
    source: Path = making.tree / "bin/true.c"
    write(source, _TRUE.encode())
    compile_c(making.executor, [source], making.tree / "bin" / name, *flags)
