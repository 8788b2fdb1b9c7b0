"""Reads a command line by a table of options.

Owns the syntax: `--x V`, `--x=V`, `-abc`, `--`.  Each mistake is one UsageError that says what to write instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from hepwrap.cli.options import Flag, Kind
from hepwrap.errors import UsageError
from hepwrap.records import dataclass, field


@dataclass(slots=True)
class Parsed:
    """What was written."""

    #: Values of options by key, in order.
    values: dict[str, list[str]] = field(default_factory=dict)
    #: Everything that is no option, before `--`.
    operands: list[str] = field(default_factory=list)
    #: What stands after `--`; None where there is none.
    rest: list[str] | None = None

    def has(self, key: str) -> bool:
        """Whether an option was given."""
        return key in self.values

    def last(self, key: str, default: str = "") -> str:
        """The value of an option that is given once."""
        return self.values[key][-1] if key in self.values else default

    @property
    def everything(self) -> list[str]:
        """Operands before and after `--`, for commands to which it only ends the options."""
        return self.operands + (self.rest or [])


def parse(words: Sequence[str], flags: Sequence[Flag]) -> Parsed:
    """Options and operands of `words`; UsageError for what no flag explains."""
    by_name = {name: flag for flag in flags for name in flag.names}
    parsed = Parsed()
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            parsed.rest = waiting
            break
        if not word.startswith("-") or word == "-":
            parsed.operands.append(word)
        elif word.startswith("--"):
            _take_long(word, waiting, by_name, parsed)
        elif word in by_name:
            _take(by_name[word], word, None, waiting, parsed)
        else:
            _take_short(word, waiting, by_name, parsed)
    return parsed


def _take_long(word: str, waiting: list[str], by_name: dict[str, Flag], parsed: Parsed) -> None:
    name, equals, value = word.partition("=")
    if name not in by_name:
        raise UsageError(f"unknown option {name}{_suggestion(name, by_name)}")
    _take(by_name[name], name, value if equals else None, waiting, parsed)


def _take_short(word: str, waiting: list[str], by_name: dict[str, Flag], parsed: Parsed) -> None:
    """`-la` is `-l -a`."""
    names = ["-" + letter for letter in word[1:]]
    for name in names:
        flag = by_name.get(name)
        if flag is None or (flag.kind is Kind.VALUE and len(names) > 1):
            raise UsageError(f"unknown option {word}{_suggestion(word, by_name)}")
    for name in names:
        _take(by_name[name], name, None, waiting, parsed)


def _take(flag: Flag, name: str, value: str | None, waiting: list[str], parsed: Parsed) -> None:
    """One option, whose value may be the next word."""
    if flag.kind in (Kind.SWITCH, Kind.COUNT):
        if value is not None:
            raise UsageError(f"{name} takes no value; leave out ={value}")
        value = flag.implied
    elif value is None and flag.kind is Kind.OPTIONAL:
        value = flag.implied
    elif value is None:
        if not waiting or waiting[0] == "--":
            raise UsageError(f"after {name} stands {flag.metavar}")
        value = waiting.pop(0)
    if value == "" and flag.kind is not Kind.OPTIONAL:
        raise UsageError(f"after {name} stands {flag.metavar}, and not nothing")
    said = parsed.values.setdefault(flag.key, [])
    if said and not flag.repeated and flag.kind is Kind.VALUE:
        raise UsageError(f"{name} is given twice ({said[-1]} and {value}); give it once")
    said.append(value)


def _suggestion(name: str, by_name: dict[str, Flag]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, by_name, n=1)
    return f"; did you mean {close[0]}?" if close else "; --help lists all"


def operands(parsed: Parsed, names: Sequence[str], *, most: int | None = None) -> list[str]:
    """The operands of a command that takes one for each of `names` (the last one more often, up to `most`)."""
    given = parsed.everything
    if len(given) < len(names):
        raise UsageError(f"{names[len(given)]} is missing")
    most = len(names) if most is None else most
    if len(given) > most:
        raise UsageError(f"{given[most]!r} is one operand too many")
    return given
