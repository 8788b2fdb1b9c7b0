"""From tokens to commands (XCU 2.9, 2.10): assignments, `if`, `case`, `&&`, `||`, `!`, braces.

Owns the grammar.  Loops, functions, subshells, pipes, redirections and background jobs are not configuration: each is
one ConfigurationError with its place.
"""

from __future__ import annotations

from hepwrap.config.shell_scanner import Scanner
from hepwrap.config.shell_words import ASSIGNMENT, End, Operator, Text, Token, Word
from hepwrap.errors import ConfigurationError
from hepwrap.records import dataclass, field


@dataclass(frozen=True, slots=True)
class Simple:
    """Assignments and the words of a command; either may be missing."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Chain:
    """`first && second || third`: pairs of the operator before a command (first: "") and the command."""

    links: tuple[tuple[str, Command], ...]


@dataclass(frozen=True, slots=True)
class Not:
    """`! command`."""

    command: Command


@dataclass(frozen=True, slots=True)
class If:
    """Conditions with their bodies, in order, and the body of `else`."""

    branches: tuple[tuple[Block, Block], ...]
    otherwise: Block


@dataclass(frozen=True, slots=True)
class Case:
    """`case word in pattern|pattern) body ;; esac`."""

    word: Word
    arms: tuple[tuple[tuple[Word, ...], Block], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Commands one after the other."""

    commands: tuple[Command, ...] = field(default=())


Command = Simple | Chain | Not | If | Case | Block

_REFUSED_WORDS = {
    "for": "loops",
    "while": "loops",
    "until": "loops",
    "function": "functions",
    "[[": "[[ ]] (use [ ])",
}
_REFUSED_OPERATORS = {
    "(": "functions and subshells",
    "|": "pipes",
    "&": "background jobs",
    "<": "redirections",
    ">": "redirections",
}
_CLOSING_WORDS = frozenset({"then", "elif", "else", "fi", "in", "esac", "do", "done", "}"})


def parse(text: str, name: str) -> Block:
    """The script `text`; ConfigurationError `name:line: ...` for what is no script of assignments."""
    parser = _Parser(Scanner(text, name))
    block = parser.block(frozenset())
    parser.expect_end()
    return block


class _Parser:
    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._token: Token = scanner.next()

    def expect_end(self) -> None:
        if not isinstance(self._token, End):
            raise self._unexpected()

    def block(self, closing: frozenset[str], *, opened: int | None = None) -> Block:
        """Commands until one of the `closing` words (or `;;`); the closing word is left to the caller."""
        commands: list[Command] = []
        while True:
            while self._is_operator(";", "\n"):
                self._take()
            if isinstance(self._token, End):
                if closing and opened is not None:
                    raise self._scanner.error(f"{' or '.join(sorted(closing))} is missing", opened)
                return Block(tuple(commands))
            if self._word() in closing or (self._is_operator(";;") and ";;" in closing):
                return Block(tuple(commands))
            commands.append(self._chain())
            if not (self._is_operator(";", "\n", ";;") or isinstance(self._token, End)):
                raise self._unexpected()

    def _chain(self) -> Command:
        links: list[tuple[str, Command]] = [("", self._command())]
        while self._is_operator("&&", "||"):
            operator = self._take()
            assert isinstance(operator, Operator)
            self._skip_newlines()
            links.append((operator.value, self._command()))
        return links[0][1] if len(links) == 1 else Chain(tuple(links))

    def _command(self) -> Command:
        word = self._word()
        if word == "!":
            self._take()
            return Not(self._command())
        if word == "if":
            return self._if()
        if word == "case":
            return self._case()
        if word == "{":
            opened = self._take().line
            block = self.block(frozenset({"}"}), opened=opened)
            self._take()
            return block
        if word in _REFUSED_WORDS:
            raise self._refuse(_REFUSED_WORDS[word])
        return self._simple()

    def _if(self) -> If:
        opened = self._take().line
        branches: list[tuple[Block, Block]] = []
        otherwise = Block()
        while True:
            condition = self._body({"then"}, opened, "a condition")
            self._take()
            body = self._body({"elif", "else", "fi"}, opened, "a command")
            branches.append((condition, body))
            word = self._word()
            self._take()
            if word == "else":
                otherwise = self._body({"fi"}, opened, "a command")
                self._take()
            if word != "elif":
                return If(tuple(branches), otherwise)

    def _body(self, closing: set[str], opened: int, what: str) -> Block:
        body = self.block(frozenset(closing), opened=opened)
        if not body.commands:
            raise self._scanner.error(f"here stands no command; put {what} there, or `:`", self._token.line)
        return body

    def _case(self) -> Case:
        opened = self._take().line
        subject = self._take_word("the word of `case`")
        self._skip_newlines()
        if self._word() != "in":
            raise self._unexpected()
        self._take()
        arms: list[tuple[tuple[Word, ...], Block]] = []
        while True:
            self._skip_newlines()
            if isinstance(self._token, End):
                raise self._scanner.error("esac is missing", opened)
            if self._word() == "esac":
                self._take()
                return Case(subject, tuple(arms))
            arms.append((self._patterns(), self.block(frozenset({"esac", ";;"}), opened=opened)))
            if self._is_operator(";;"):
                self._take()

    def _patterns(self) -> tuple[Word, ...]:
        if self._is_operator("("):
            self._take()
        patterns = [self._take_word("a pattern")]
        while self._is_operator("|"):
            self._take()
            patterns.append(self._take_word("a pattern"))
        if not self._is_operator(")"):
            raise self._unexpected()
        self._take()
        return tuple(patterns)

    def _simple(self) -> Simple:
        line = self._token.line
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        if self._word() in _CLOSING_WORDS:
            raise self._unexpected()
        while isinstance(self._token, Word):
            assignment = None if words else self._token.assignment()
            if assignment is not None:
                assignments.append(assignment)
            else:
                words.append(self._token)
            self._take()
        if isinstance(self._token, Operator) and self._token.value in _REFUSED_OPERATORS:
            raise self._refuse(_REFUSED_OPERATORS[self._token.value])
        if not assignments and not words:
            raise self._unexpected()
        return Simple(tuple(assignments), tuple(words), line)

    def _take(self) -> Token:
        taken, self._token = self._token, self._scanner.next()
        return taken

    def _take_word(self, what: str) -> Word:
        if not isinstance(self._token, Word):
            raise self._scanner.error(f"{what} is missing here", self._token.line)
        taken = self._token
        self._take()
        return taken

    def _word(self) -> str | None:
        return self._token.literal if isinstance(self._token, Word) else None

    def _is_operator(self, *values: str) -> bool:
        return isinstance(self._token, Operator) and self._token.value in values

    def _skip_newlines(self) -> None:
        while self._is_operator("\n"):
            self._take()

    def _refuse(self, what: str) -> ConfigurationError:
        message = f"{what} need a shell, which hepwrap does not run; write the values out"
        return self._scanner.error(message, self._token.line)

    def _unexpected(self) -> ConfigurationError:
        return self._scanner.error(f"{show(self._token)} is not expected here", self._token.line)


def show(token: Token) -> str:
    """A token as one would name it in a sentence."""
    if isinstance(token, End):
        return "the end of the file"
    if isinstance(token, Operator):
        return "the end of the line" if token.value == "\n" else f"`{token.value}`"
    text = "".join(part.value if isinstance(part, Text) else "$..." for part in token.parts)
    match = ASSIGNMENT.match(text)
    return f"`{match[0]}...`" if match else f"`{text[:60]}`"
