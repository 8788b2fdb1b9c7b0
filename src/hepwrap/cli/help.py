"""What --help prints."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from hepwrap.cli.commands import COMMANDS, Command
from hepwrap.cli.options import Flag, Kind

_WIDTH = 100
_COLUMN = 26

_INTRODUCTION = """\
usage: hepwrap [run] [options] -- COMMAND...
       hepwrap SUBCOMMAND [options] ...

Runs an unmodified program in a world where /cvmfs exists; nothing is mounted, nobody is root.
"""
_END = """\
`hepwrap SUBCOMMAND --help` shows what a subcommand takes; hepwrap(1) says more.
"""


def overview() -> str:
    """`hepwrap --help`."""
    commands = "\n".join(_row(command.name, command.summary) for command in COMMANDS.values())
    options = "\n".join(_rows(COMMANDS["run"].flags))
    return f"{_INTRODUCTION}\nsubcommands:\n{commands}\n\noptions of run:\n{options}\n\n{_END}"


def of_command(command: Command) -> str:
    """`hepwrap SUBCOMMAND --help`."""
    options = "\n".join(_rows(command.flags))
    usage = f"usage: hepwrap {command.name} [options] {command.operands}".rstrip()
    return f"{usage}\n\n{command.summary[0].upper()}{command.summary[1:]}.\n\noptions:\n{options}\n"


def _rows(flags: Iterable[Flag]) -> Iterator[str]:
    for flag in flags:
        yield _row(written(flag), flag.help)


def written(flag: Flag) -> str:
    """An option with its value, in all its ways to write it."""
    value = {Kind.VALUE: f" {flag.metavar}", Kind.OPTIONAL: f"[={flag.metavar}]"}.get(flag.kind, "")
    return ", ".join(flag.names) + value


def _row(left: str, right: str) -> str:
    lines = textwrap.wrap(right, _WIDTH - _COLUMN)
    if len(left) + 4 > _COLUMN:
        return "\n".join([f"  {left}", *(" " * _COLUMN + line for line in lines)])
    return f"{'  ' + left:<{_COLUMN}}" + ("\n" + " " * _COLUMN).join(lines)
