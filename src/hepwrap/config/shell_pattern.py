"""Patterns of a POSIX shell (XCU 2.13), and the basic regular expressions that `grep` takes, as Python's.

Pure: text in, compiled expression out.
"""

from __future__ import annotations

import re

#: Swapped between basic regular expressions and Python's: `\\(` groups in the one, `(` in the other.
_SWAPPED = frozenset("(){}|+?")


def quote(text: str) -> str:
    """`text` such that `compile_pattern` takes every character for itself."""
    return "".join("\\" + character for character in text)


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """`*`, `?`, `[...]` and backslashes of a shell pattern, to be matched as a whole."""
    expression: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            expression.append(".*")
        elif character == "?":
            expression.append(".")
        elif character == "\\" and position < len(pattern):
            expression.append(re.escape(pattern[position]))
            position += 1
        elif character == "[" and (found := _bracket(pattern, position)) is not None:
            expression.append(found[0])
            position = found[1]
        else:
            expression.append(re.escape(character))
    return re.compile("".join(expression), re.DOTALL)


def _bracket(pattern: str, position: int) -> tuple[str, int] | None:
    """The set that starts after `[`, and where it ends; None where it is never closed."""
    negated = pattern[position : position + 1] in ("!", "^")
    start = position + negated
    end = start + 1
    while end < len(pattern) and pattern[end] != "]":
        end += 2 if pattern[end] == "\\" else 1
    if end >= len(pattern):
        return None
    members = re.sub(r"\\(.)", r"\1", pattern[start:end], flags=re.DOTALL)
    inside = "".join(character if character == "-" else re.escape(character) for character in members)
    if re.search(r"--|^-|-$", inside):
        inside = inside.replace("-", "") + r"\-"
    return f"[{'^' if negated else ''}{inside}]", end + 1


def compile_basic(expression: str) -> re.Pattern[str]:
    """A POSIX basic regular expression; re.error where it is none."""
    out: list[str] = []
    position = 0
    while position < len(expression):
        character = expression[position]
        position += 1
        if character == "\\" and position < len(expression):
            escaped = expression[position]
            position += 1
            out.append(escaped if escaped in _SWAPPED else "\\" + escaped)
        elif character in _SWAPPED:
            out.append("\\" + character)
        else:
            out.append(character)
    return re.compile("".join(out))
