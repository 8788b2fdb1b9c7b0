"""From the text of a shell script to tokens, with the line of each (XCU 2.2, 2.3).

Owns quoting, comments and continuation lines.  Whatever would need a shell to run (`$(...)`, backquotes) is passed
over whole and becomes `Refused`; what no POSIX shell understands is one ConfigurationError with its place.
"""

from __future__ import annotations

import re

from hepwrap.config.shell_words import Arithmetic, End, Operator, Parameter, Part, Refused, Text, Token, Word
from hepwrap.errors import ConfigurationError

_SUBSTITUTION = "command substitution needs a shell, which hepwrap does not run; write the value out"
_BLANKS = " \t"
_OPERATORS = ("&&", "||", ";;", ";", "\n", "(", ")", "&", "|", "<", ">")
_ENDS_WORD = frozenset(" \t\n;&|<>()")
#: What a backslash takes the meaning from inside double quotes.
_ESCAPED_IN_DOUBLE = frozenset('$`"\\')
_NAME_OVER_LINES = re.compile(r"(?:\\\n)*[A-Za-z_](?:(?:\\\n)*[A-Za-z0-9_])*")
_SPECIAL_PARAMETERS = frozenset("@*#?-$!0123456789")
_OPERATORS_WITH_COLON = ("-", "=", "?", "+")
_PATTERN_OPERATORS = ("##", "#", "%%", "%")


class Scanner:
    """Reads one script; `name` is the file, for messages."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text.replace("\r\n", "\n"), name
        self.position, self.line = 0, 1

    def error(self, message: str, line: int | None = None) -> ConfigurationError:
        """The exception for a mistake at `line` (None: where the scanner stands)."""
        return ConfigurationError(f"{self.name}:{self.line if line is None else line}: {message}")

    def next(self) -> Token:
        """The next token; `End` for ever after the last."""
        self._skip_blanks()
        line = self.line
        if self.position >= len(self.text):
            return End(line)
        for operator in _OPERATORS:
            if self.text.startswith(operator, self.position):
                self._advance(len(operator))
                return Operator(operator, line)
        return Word(tuple(_joined(self._word_parts())), line)

    def _advance(self, count: int = 1) -> str:
        passed = self.text[self.position : self.position + count]
        self.position += count
        self.line += passed.count("\n")
        return passed

    def _peek(self, count: int = 1) -> str:
        return self.text[self.position : self.position + count]

    def _skip_blanks(self) -> None:
        while self.position < len(self.text):
            if self._peek() in _BLANKS:
                self._advance()
            elif self._peek(2) == "\\\n":
                self._advance(2)
            elif self._peek() == "#":
                end = self.text.find("\n", self.position)
                self._advance((len(self.text) if end < 0 else end) - self.position)
            else:
                return

    def _word_parts(self) -> list[Part]:
        parts: list[Part] = []
        while self.position < len(self.text) and self._peek() not in _ENDS_WORD:
            parts += self._piece(quoted=False)
        return parts

    def _piece(self, *, quoted: bool, closing: str = "", single_quotes: bool = True) -> list[Part]:
        """One character, quoted text or expansion.  `closing` is what a backslash may also escape inside quotes."""
        character = self._peek()
        if character == "'" and single_quotes and not quoted:
            return [self._single_quoted()]
        if character == '"':
            return self._double_quoted()
        if character == "\\":
            return self._backslash(quoted, closing)
        if character == "`":
            return [self._backquoted()]
        if character == "$":
            return [self._dollar(quoted)]
        return [Text(self._advance(), quoted)]

    def _single_quoted(self) -> Text:
        line = self.line
        end = self.text.find("'", self.position + 1)
        if end < 0:
            raise self.error("the quote ' that is opened here is never closed", line)
        passed = self._advance(end + 1 - self.position)
        return Text(passed[1:-1], True)

    def _double_quoted(self) -> list[Part]:
        line = self.line
        self._advance()
        parts: list[Part] = [Text("", True)]
        while self._peek() != '"':
            if self.position >= len(self.text):
                raise self.error('the quote " that is opened here is never closed', line)
            parts += self._piece(quoted=True)
        self._advance()
        return parts

    def _backslash(self, quoted: bool, closing: str) -> list[Part]:
        self._advance()
        if self.position >= len(self.text):
            return [Text("\\", True)]
        character = self._advance()
        if character == "\n":
            return []
        if quoted and character not in _ESCAPED_IN_DOUBLE and character not in closing:
            return [Text("\\" + character, True)]
        return [Text(character, True)]

    def _dollar(self, quoted: bool) -> Part:
        line = self.line
        self._advance()
        if self._peek(2) == "((":
            return self._arithmetic(quoted, line)
        if self._peek() == "(":
            return self._substitution(line)
        if self._peek() == "{":
            return self._braced(quoted, line)
        if self._peek() == "'" and not quoted:
            raise self.error("$'...' is no POSIX quoting; use '...'")
        name = self._name()
        if name:
            return Parameter(name, "", (), quoted, line)
        if self._peek() and self._peek() in _SPECIAL_PARAMETERS:
            raise self.error(f"${self._peek()} has no value in a configuration file")
        return Text("$", quoted)

    def _backquoted(self) -> Refused:
        line = self.line
        self._advance()
        while self._peek() != "`":
            if self.position >= len(self.text):
                raise self.error("the ` that is opened here is never closed", line)
            self._advance(2 if self._peek() == "\\" else 1)
        self._advance()
        return Refused(_SUBSTITUTION, line)

    def _substitution(self, line: int) -> Refused:
        depth = 0
        while True:
            token = self.next()
            if isinstance(token, End):
                raise self.error("the $( that is opened here is never closed with )", line)
            if isinstance(token, Operator):
                depth += {"(": 1, ")": -1}.get(token.value, 0)
            if depth == 0:
                return Refused(_SUBSTITUTION, line)

    def _name(self) -> str:
        """A name, "" where none begins here.  Continued lines are joined before anything else is looked at."""
        match = _NAME_OVER_LINES.match(self.text, self.position)
        return self._advance(len(match[0])).replace("\\\n", "") if match else ""

    def _braced(self, quoted: bool, line: int) -> Part:
        self._advance()
        if self._peek() == "#" and self._peek(2) != "#}":
            self._advance()
            name = self._name()
            if name and self._peek() == "}":
                self._advance()
                return Parameter(name, "length", (), quoted, line)
            raise self.error("after ${# stands a name and }", line)
        name = self._name()
        if not name:
            raise self.error("after ${ stands the name of a variable", line)
        operator = self._operator(line)
        is_pattern = operator in _PATTERN_OPERATORS
        argument = self._argument(quoted and not is_pattern, line) if operator else ()
        if self._peek() != "}":
            raise self.error("the ${ that is opened here is never closed with }", line)
        self._advance()
        return Parameter(name, operator, argument, quoted, line)

    def _operator(self, line: int) -> str:
        if self._peek() in ("}", ""):
            return ""
        for operator in _PATTERN_OPERATORS:
            if self.text.startswith(operator, self.position):
                return self._advance(len(operator))
        colon = self._advance() if self._peek() == ":" else ""
        if self._peek() and self._peek() in _OPERATORS_WITH_COLON:
            return colon + self._advance()
        raise self.error(f"${{...{colon}{self._peek()} is no expansion of a POSIX shell", line)

    def _argument(self, quoted: bool, line: int) -> tuple[Part, ...]:
        parts: list[Part] = []
        while self._peek() != "}":
            if self.position >= len(self.text):
                raise self.error("the ${ that is opened here is never closed with }", line)
            parts += self._piece(quoted=quoted, closing="}", single_quotes=not quoted)
        return tuple(_joined(parts))

    def _arithmetic(self, quoted: bool, line: int) -> Arithmetic:
        self._advance(2)
        parts: list[Part] = []
        depth = 0
        while depth or self._peek(2) != "))":
            if self.position >= len(self.text):
                raise self.error("the $(( that is opened here is never closed with ))", line)
            depth += {"(": 1, ")": -1}.get(self._peek(), 0)
            if depth < 0:
                raise self.error("the parentheses of this $(( )) do not match", line)
            parts += self._piece(quoted=True)
        self._advance(2)
        return Arithmetic(tuple(_joined(parts)), quoted, line)


def _joined(parts: list[Part]) -> list[Part]:
    """Neighbouring texts of one kind as one, so that reserved words and names can be recognised."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, Text) and isinstance(last, Text) and part.quoted == last.quoted:
            joined[-1] = Text(last.value + part.value, part.quoted)
        else:
            joined.append(part)
    return joined
