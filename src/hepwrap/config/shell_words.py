"""Words of a POSIX shell script (XCU 2.2, 2.3, 2.6): what a word consists of, before anything is replaced.

Owns the values.  Must not know how they are read (`shell_scanner`) or replaced (`shell_expand`).
"""

from __future__ import annotations

import re

from hepwrap.records import dataclass

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")


@dataclass(frozen=True, slots=True)
class Text:
    """Characters that stand for themselves; `quoted` ones are no patterns and are never split."""

    value: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$NAME` or `${NAME<operator><argument>}`."""

    name: str
    #: "", or one of `- = ? +` (with a colon before it or not), `# ## % %%`, or "length" for `${#NAME}`.
    operator: str
    argument: tuple[Part, ...]
    quoted: bool
    line: int


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`$((expression))`."""

    expression: tuple[Part, ...]
    quoted: bool
    line: int


@dataclass(frozen=True, slots=True)
class Refused:
    """What would need a shell to run; an error only where its value is asked for."""

    message: str
    line: int


Part = Text | Parameter | Arithmetic | Refused


@dataclass(frozen=True, slots=True)
class Word:
    """Parts that stand together without a blank."""

    parts: tuple[Part, ...]
    line: int

    @property
    def literal(self) -> str | None:
        """The text of a word in which nothing is quoted or replaced: what a reserved word looks like."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Text) and not self.parts[0].quoted:
            return self.parts[0].value
        return None

    def assignment(self) -> tuple[str, Word] | None:
        """Name and value where this is `NAME=value`, else None."""
        first = self.parts[0] if self.parts else None
        if not isinstance(first, Text) or first.quoted:
            return None
        match = ASSIGNMENT.match(first.value)
        if match is None:
            return None
        rest = first.value[match.end() :]
        head: tuple[Part, ...] = _home(rest, self.line) if rest else ()
        return match[1], Word(head + self.parts[1:], self.line)


def _home(text: str, line: int) -> tuple[Part, ...]:
    """A tilde at the start of an assigned value is the user's home directory."""
    if text == "~" or text.startswith("~/"):
        return Parameter("HOME", "", (), True, line), Text(text[1:], False)
    return (Text(text, False),)


@dataclass(frozen=True, slots=True)
class Operator:
    """`;`, `;;`, `&&`, `||`, a newline, a parenthesis, or what is refused: `&`, `|`, `<`, `>`."""

    value: str
    line: int


@dataclass(frozen=True, slots=True)
class End:
    """The end of the script."""

    line: int


Token = Word | Operator | End
