"""`.cvmfsdirtab`: rules for directories that shall have a catalogue of their own (format notes, section 18).

One rule a line: `/absolute/glob`, or `! glob` for directories that shall not; `#` begins a comment line.  `*` and `?`
match within one name; in a rule with `!` they match across `/` too.  A backslash makes one of `* ? \\` literal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hepwrap.errors import UsageError

NAME = b".cvmfsdirtab"
_SPECIAL = b"*?\\"


@dataclass(frozen=True, slots=True)
class Dirtab:
    """Parsed rules; `matches(path)` for a directory's path as catalogues have it."""

    positive: tuple[re.Pattern[bytes], ...] = ()
    negative: tuple[re.Pattern[bytes], ...] = ()

    def matches(self, path: bytes) -> bool:
        """Whether the directory shall be the root of a nested catalogue."""
        return any(rule.fullmatch(path) for rule in self.positive) and not any(
            rule.fullmatch(path) for rule in self.negative
        )


def parse(text: bytes) -> Dirtab:
    """The rules of a dirtab; UsageError naming the line where one makes no sense."""
    positive: dict[bytes, re.Pattern[bytes]] = {}
    negative: dict[bytes, re.Pattern[bytes]] = {}
    for number, line in enumerate(text.split(b"\n"), start=1):
        rule = line.strip()
        if not rule or rule.startswith(b"#"):
            continue
        excluded = rule.startswith(b"!")
        glob = rule.removeprefix(b"!").strip()
        if not glob or not (excluded or glob.startswith(b"/")):
            raise _wrong(number, line, "a rule begins with / (or ! for an exclusion)")
        glob = re.sub(rb"/+", b"/", glob).rstrip(b"/") or b"/"
        try:
            (negative if excluded else positive)[glob] = re.compile(_expression(glob, across=excluded), re.DOTALL)
        except ValueError as error:
            raise _wrong(number, line, str(error)) from None
        if glob in positive and glob in negative:
            raise _wrong(number, line, "the same directories are asked for and excluded")
    return Dirtab(tuple(positive.values()), tuple(negative.values()))


def _expression(glob: bytes, *, across: bool) -> bytes:
    """The regular expression of a glob."""
    any_character = b"." if across else b"[^/]"
    parts: list[bytes] = []
    position = 0
    while position < len(glob):
        character = glob[position : position + 1]
        if character == b"\\":
            position += 1
            character = glob[position : position + 1]
            if not character or character not in _SPECIAL:
                raise ValueError("a backslash makes only *, ? and \\ literal")
            parts.append(re.escape(character))
        else:
            parts.append({b"*": any_character + b"*", b"?": any_character}.get(character) or re.escape(character))
        position += 1
    return b"".join(parts)


def _wrong(number: int, line: bytes, reason: str) -> UsageError:
    return UsageError(f".cvmfsdirtab:{number}: {line.decode(errors='backslashreplace')!r}: {reason}")
