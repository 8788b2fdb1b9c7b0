"""Runs configuration files that are POSIX shell scripts, without a shell: assignments, `if`, `case`, `.`, `[`.

Owns what commands do.  Nothing is ever executed and nothing outside of `Files` is read.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from hepwrap.config import shell_syntax as syntax
from hepwrap.config.origin import Origin
from hepwrap.config.shell_expand import Expander
from hepwrap.config.shell_parameters import Parameters
from hepwrap.config.shell_pattern import compile_basic, compile_pattern
from hepwrap.config.shell_test import Files, NotATest, holds
from hepwrap.config.shell_words import NAME, Word
from hepwrap.errors import ConfigurationError

#: Files that include each other deeper than this include themselves.
_DEEPEST = 16
_MAX_BYTES = 1024 * 1024


class _Return(Exception):
    """`return`: the rest of this file does not count."""


class _Exit(Exception):
    """`exit`: the rest of all files that are open does not count."""


def run_file(path: str, parameters: Parameters, files: Files) -> bool:
    """Run the script at `path`; False where there is no such file.

    ConfigurationError, with file and line, for what is no script of assignments or cannot be read.
    """
    script = _Script(path, parameters, files)
    try:
        return script.run()
    except (_Return, _Exit):
        return True


class _Script:
    """One top-level file and what it includes.  As for the real client, `readonly` ends with the file."""

    def __init__(self, path: str, parameters: Parameters, files: Files) -> None:
        self.path, self.directory = path, posixpath.dirname(path)
        self.parameters, self.files = parameters, files
        self.readonly: set[str] = set()
        self.depth = 0
        self.expander = Expander(self, self.error)

    # Variables, for the expander.

    def get(self, name: str) -> str | None:
        return self.parameters.get(name)

    def set(self, name: str, value: str, line: int) -> None:
        if name in self.readonly:
            raise self.error(f"{name} was made readonly further up; remove one of the two", line)
        self.parameters.set(name, value, Origin.line(self.path, line))

    def error(self, message: str, line: int) -> ConfigurationError:
        return ConfigurationError(f"{self.path}:{line}: {message}")

    # Commands.

    def run(self) -> bool:
        """The file at `self.path`; False where it is not there."""
        try:
            content = self.files.read(self.path)
        except OSError as error:
            raise ConfigurationError(f"{self.path}: cannot be read ({error.strerror}); make it readable") from None
        if content is None:
            return False
        if len(content) > _MAX_BYTES or b"\0" in content:
            raise ConfigurationError(f"{self.path}: this is no configuration file (too long, or with NUL bytes)")
        try:
            self.status(syntax.parse(content.decode("utf-8", "surrogateescape"), self.path))
        except RecursionError:
            raise ConfigurationError(f"{self.path}: this is nested too deeply; write it more simply") from None
        return True

    def status(self, command: syntax.Command) -> bool:
        """Run a command; True where it succeeds (exit status 0)."""
        if isinstance(command, syntax.Simple):
            return self._simple(command)
        if isinstance(command, syntax.Block):
            success = True
            for each in command.commands:
                success = self.status(each)
            return success
        if isinstance(command, syntax.Not):
            return not self.status(command.command)
        if isinstance(command, syntax.Chain):
            return self._chain(command)
        if isinstance(command, syntax.If):
            body = next((body for condition, body in command.branches if self.status(condition)), command.otherwise)
            return self.status(body)
        return self._case(command)

    def _chain(self, chain: syntax.Chain) -> bool:
        success = True
        for operator, command in chain.links:
            if operator == "" or success == (operator == "&&"):
                success = self.status(command)
        return success

    def _case(self, case: syntax.Case) -> bool:
        text = self.expander.text(case.word)
        for patterns, body in case.arms:
            if any(compile_pattern(self.expander.pattern(pattern)).fullmatch(text) for pattern in patterns):
                return self.status(body)
        return True

    def _simple(self, command: syntax.Simple) -> bool:
        if not command.words:
            for name, value in command.assignments:
                self.set(name, self.expander.text(value), value.line)
            return True
        if command.assignments:
            raise self.error("an assignment before a command has no use in a configuration file", command.line)
        name = self.expander.text(command.words[0])
        run = _COMMANDS.get(name)
        if run is None:
            raise self.error(f"the command `{name[:60]}` needs a shell, which hepwrap does not run", command.line)
        return run(self, command.words[1:], command.line)

    def _fields(self, words: tuple[Word, ...]) -> list[str]:
        return [field for word in words for field in self.expander.fields(word)]

    def declare(self, words: tuple[Word, ...], line: int, *, readonly: bool = False) -> bool:
        """`export` and `readonly`: every parameter is seen by the client, so exporting adds nothing."""
        for word in words:
            assignment = word.assignment()
            name = assignment[0] if assignment else self.expander.text(word)
            if not NAME.fullmatch(name):
                raise self.error(f"{name[:60]!r} is no name of a variable", line)
            if assignment:
                self.set(name, self.expander.text(assignment[1]), word.line)
            if readonly:
                self.readonly.add(name)
        return True

    def unset(self, words: tuple[Word, ...], line: int) -> bool:
        for name in self._fields(words):
            if name in self.readonly:
                raise self.error(f"{name} was made readonly further up; remove one of the two", line)
            self.parameters.unset(name)
        return True

    def include(self, words: tuple[Word, ...], line: int) -> bool:
        """`.` and `source`, relative to the directory of the top-level file as for the real client."""
        names = self._fields(words)
        if len(names) != 1:
            raise self.error("after `.` stands the name of one file", line)
        if self.depth >= _DEEPEST:
            raise self.error(f"files include each other more than {_DEEPEST} deep; do they include themselves?", line)
        outer, self.path = self.path, self.absolute(names[0])
        self.depth += 1
        try:
            if not self.run():
                raise ConfigurationError(f"{outer}:{line}: there is no file {self.path} to include")
        except _Return:
            pass
        finally:
            self.path = outer
            self.depth -= 1
        return True

    def absolute(self, path: str) -> str:
        """`path` as seen from the directory of the top-level file."""
        return posixpath.normpath(posixpath.join(self.directory, path))

    def test(self, words: tuple[Word, ...], line: int, *, bracket: bool) -> bool:
        fields = self._fields(words)
        if bracket and (not fields or fields.pop() != "]"):
            raise self.error("the [ that is opened here is never closed with ]", line)
        try:
            return holds(fields, self.files, self.absolute)
        except NotATest as error:
            raise self.error(str(error), line) from None

    def grep(self, words: tuple[Word, ...], line: int) -> bool:
        """`grep -q PATTERN FILE`, which packaged files use to ask which system this is."""
        fields = self._fields(words)
        if len(fields) != 3 or fields[0] != "-q":
            raise self.error("of grep, hepwrap knows only `grep -q PATTERN FILE`", line)
        try:
            expression = compile_basic(fields[1])
            content = self.files.read(self.absolute(fields[2]))
        except re.error as error:
            raise self.error(f"{fields[1]!r} is no pattern that hepwrap understands ({error})", line) from None
        except OSError:
            content = None
        return any(map(expression.search, (content or b"").decode("utf-8", "surrogateescape").splitlines()))

    def leave(self, kind: type[_Return] | type[_Exit]) -> bool:
        raise kind


_Run = Callable[[_Script, tuple[Word, ...], int], bool]
_COMMANDS: dict[str, _Run] = {
    ":": lambda script, words, _line: bool(script._fields(words)) or True,
    "true": lambda _script, _words, _line: True,
    "false": lambda _script, _words, _line: False,
    "export": lambda script, words, line: script.declare(words, line),
    "readonly": lambda script, words, line: script.declare(words, line, readonly=True),
    "unset": lambda script, words, line: script.unset(words, line),
    ".": lambda script, words, line: script.include(words, line),
    "source": lambda script, words, line: script.include(words, line),
    "test": lambda script, words, line: script.test(words, line, bracket=False),
    "[": lambda script, words, line: script.test(words, line, bracket=True),
    "grep": lambda script, words, line: script.grep(words, line),
    "return": lambda script, _words, _line: script.leave(_Return),
    "exit": lambda script, _words, _line: script.leave(_Exit),
}
