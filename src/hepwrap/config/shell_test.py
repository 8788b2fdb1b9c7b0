"""`test` and `[` (XCU, test): true or false from words.

Owns the operators.  Files are asked for through `Files`, so that those of a configuration repository count too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol


class NotATest(ValueError):
    """The words are no test; `str()` says why."""


class Files(Protocol):
    """What a configuration file may ask of other files, by absolute path."""

    def read(self, path: str) -> bytes | None:
        """Content of a file; None where there is none.  OSError where it cannot be read."""
        ...

    def is_directory(self, path: str) -> bool:
        """Whether a directory is there."""
        ...

    def exists(self, path: str) -> bool:
        """Whether anything is there."""
        ...


def _number(text: str) -> int:
    try:
        return int(text.strip(), 10)
    except ValueError:
        raise NotATest(f"{text!r} is no whole number") from None


_BINARY: dict[str, Callable[[str, str], bool]] = {
    "=": lambda left, right: left == right,
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "-eq": lambda left, right: _number(left) == _number(right),
    "-ne": lambda left, right: _number(left) != _number(right),
    "-lt": lambda left, right: _number(left) < _number(right),
    "-le": lambda left, right: _number(left) <= _number(right),
    "-gt": lambda left, right: _number(left) > _number(right),
    "-ge": lambda left, right: _number(left) >= _number(right),
}


def _is_file(files: Files, path: str) -> bool:
    return files.exists(path) and not files.is_directory(path)


def _is_readable(files: Files, path: str) -> bool:
    try:
        return files.is_directory(path) or files.read(path) is not None
    except OSError:
        return False


_FILE_TESTS: dict[str, Callable[[Files, str], bool]] = {
    "-e": lambda files, path: files.exists(path),
    "-f": _is_file,
    "-d": lambda files, path: files.is_directory(path),
    "-r": _is_readable,
    "-s": lambda files, path: _is_readable(files, path) and bool(files.read(path)),
}


def holds(words: Sequence[str], files: Files, absolute: Callable[[str], str]) -> bool:
    """Whether the test is true.  `absolute` makes a path that is relative to the script an absolute one."""

    def unary(operator: str, operand: str) -> bool:
        if operator == "-n":
            return operand != ""
        if operator == "-z":
            return operand == ""
        if operator in _FILE_TESTS:
            return operand != "" and _FILE_TESTS[operator](files, absolute(operand))
        raise NotATest(f"the test {operator} is not one that hepwrap knows")

    def test(arguments: Sequence[str]) -> bool:
        """What few words mean is fixed by their number, so that no value can pass for an operator."""
        count = len(arguments)
        if count <= 1:
            return count == 1 and arguments[0] != ""
        if count == 3 and arguments[1] in _BINARY:
            return _BINARY[arguments[1]](arguments[0], arguments[2])
        if arguments[0] == "!" and count <= 4:
            return not test(arguments[1:])
        return unary(arguments[0], arguments[1]) if count == 2 else combined(arguments)

    def combined(arguments: Sequence[str]) -> bool:
        for operator, combine in (("-o", any), ("-a", all)):
            if operator in arguments[1:-1]:
                at = arguments.index(operator, 1)
                return combine((test(arguments[:at]), test(arguments[at + 1 :])))
        if arguments[0] == "(" and arguments[-1] == ")":
            return test(arguments[1:-1])
        if arguments[0] == "!":
            return not test(arguments[1:])
        raise NotATest(f"{' '.join(arguments)!r} is no test that hepwrap understands")

    return test(words)
