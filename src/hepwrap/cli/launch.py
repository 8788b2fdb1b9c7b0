"""`hepwrap [run] [options] -- COMMAND...`."""

from __future__ import annotations

import os

from hepwrap import assemble
from hepwrap.cli.arguments import Parsed
from hepwrap.cli.commands import COMMANDS, Command
from hepwrap.cli.overrides import overrides
from hepwrap.errors import UsageError


def main(parsed: Parsed, command: Command) -> int:
    """Becomes the command; returns only where that is replaced in a test."""
    if parsed.operands and parsed.operands[0] in COMMANDS:
        name = parsed.operands[0]
        raise UsageError(
            f"options stand after the subcommand: hepwrap {name} [options] ...; to run a program {name}: -- {name}"
        )
    if parsed.operands:
        words = " ".join([*parsed.operands, *(parsed.rest or [])])
        raise UsageError(f"put -- before the command: hepwrap [options] -- {words[:80]}")
    if not parsed.rest:
        raise UsageError("there is nothing to run; say: hepwrap [options] -- COMMAND...  (hepwrap --help)")
    if not parsed.rest[0]:
        raise UsageError("the name of the command is empty; say: hepwrap [options] -- COMMAND...")
    loaded = assemble.configuration(overrides(parsed, command.flags))
    assemble.run(loaded, parsed.rest, dict(os.environ))
