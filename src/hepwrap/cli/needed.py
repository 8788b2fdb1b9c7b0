"""Options that a subcommand cannot do without, and what their text must be."""

from __future__ import annotations

from hepwrap.cli.arguments import Parsed
from hepwrap.cli.commands import Command
from hepwrap.config.parse import is_repository_name
from hepwrap.errors import UsageError


def required(parsed: Parsed, command: Command, key: str) -> str:
    """The value of an option; UsageError where it is missing."""
    if not parsed.has(key):
        flag = next(flag for flag in command.flags if flag.key == key)
        raise UsageError(f"{flag.names[0]} {flag.metavar} is missing: {flag.help}")
    return parsed.last(key)


def name_of(text: str) -> str:
    """A repository's name."""
    if not is_repository_name(text):
        raise UsageError(f"{text[:80]!r} is no name of a repository; a name is like stack.example.org")
    return text


def number(parsed: Parsed, key: str, least: int, most: int | None = None) -> int | None:
    """A whole number, None where the option was not given."""
    if not parsed.has(key):
        return None
    text = parsed.last(key)
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < least:
        raise UsageError(f"--{key}: {text!r} is no whole number of {least} or more")
    if most is not None and int(text) > most:
        raise UsageError(f"--{key}: {text} is more than {most}")
    return int(text)
