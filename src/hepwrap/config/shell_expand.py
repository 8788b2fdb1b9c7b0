"""What words become: parameters replaced, quotes removed, fields split (XCU 2.6).

Owns expansion.  Must not know commands; variables are read and, for `${NAME:=word}`, set through `Variables`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from hepwrap.config.shell_arithmetic import NotArithmetic, evaluate
from hepwrap.config.shell_pattern import compile_pattern, quote
from hepwrap.config.shell_words import Arithmetic, Parameter, Part, Refused, Text, Word
from hepwrap.errors import ConfigurationError
from hepwrap.records import dataclass

_IFS = re.compile(r"[ \t\n]+")
#: No value in a configuration is longer; a script that doubles its own text shall not fill memory.
MAX_VALUE = 1024 * 1024


class Variables(Protocol):
    """The variables of a script."""

    def get(self, name: str) -> str | None:
        """Text of a variable, None where it is unset."""
        ...

    def set(self, name: str, value: str, line: int) -> None:
        """Assign, at `line` of the script."""
        ...


@dataclass(frozen=True, slots=True)
class Expander:
    """Expands the words of one script; `error` makes the exception for a line of it."""

    variables: Variables
    error: Callable[[str, int], ConfigurationError]

    def text(self, word: Word) -> str:
        """As in an assignment: one string, nothing split."""
        return self._joined(word.parts)

    def pattern(self, word: Word) -> str:
        """As in `case`: what was quoted stands for itself."""
        return self._pattern(word.parts)

    def fields(self, word: Word) -> list[str]:
        """As in a command: unquoted values are split at blanks, and a word that becomes nothing goes away."""
        fields: list[str] = []
        open_field: list[str] | None = None
        for part in word.parts:
            quoted = not isinstance(part, Parameter | Arithmetic) or part.quoted
            value = self._value(part)
            if quoted:
                open_field = [*(open_field or []), value]
                continue
            pieces = _IFS.split(value)
            for number, piece in enumerate(pieces):
                if number and open_field is not None:
                    fields.append("".join(open_field))
                    open_field = None
                if piece:
                    open_field = [*(open_field or []), piece]
        if open_field is not None:
            fields.append("".join(open_field))
        return fields

    def _joined(self, parts: tuple[Part, ...]) -> str:
        return "".join(self._value(part) for part in parts)

    def _pattern(self, parts: tuple[Part, ...]) -> str:
        return "".join(quote(value) if _is_quoted(part) else value for part in parts for value in (self._value(part),))

    def _value(self, part: Part) -> str:
        if isinstance(part, Text):
            return part.value
        if isinstance(part, Refused):
            raise self.error(part.message, part.line)
        if isinstance(part, Arithmetic):
            return self._calculated(part)
        value = self._parameter(part)
        if len(value) > MAX_VALUE:
            raise self.error(f"the value of ${part.name} is longer than {MAX_VALUE} characters", part.line)
        return value

    def _calculated(self, part: Arithmetic) -> str:
        try:
            return str(evaluate(self._joined(part.expression), lambda name: self.variables.get(name) or ""))
        except NotArithmetic as error:
            raise self.error(str(error), part.line) from None

    def _parameter(self, part: Parameter) -> str:
        value = self.variables.get(part.name)
        if part.operator == "":
            return value or ""
        if part.operator == "length":
            return str(len(value or ""))
        if part.operator[0] in "#%":
            return self._trimmed(value or "", part)
        is_there = bool(value) if part.operator.startswith(":") else value is not None
        kind = part.operator[-1]
        if kind == "+":
            return self._joined(part.argument) if is_there else ""
        if is_there:
            return value or ""
        argument = self._joined(part.argument)
        if kind == "?":
            raise self.error(f"{part.name}: {argument or 'is not set'}", part.line)
        if kind == "=":
            self.variables.set(part.name, argument, part.line)
        return argument

    def _trimmed(self, value: str, part: Parameter) -> str:
        """Without the shortest (or longest) piece at one end that the pattern matches."""
        matches = compile_pattern(self._pattern(part.argument)).fullmatch
        lengths = range(len(value) + 1) if len(part.operator) == 1 else range(len(value), -1, -1)
        for length in lengths:
            if part.operator[0] == "#" and matches(value[:length]):
                return value[length:]
            if part.operator[0] == "%" and matches(value[len(value) - length :]):
                return value[: len(value) - length]
        return value


def _is_quoted(part: Part) -> bool:
    return not isinstance(part, Refused) and part.quoted
