"""`hepwrap showconfig`: what is set and, with --origin, which line of which file says so."""

from __future__ import annotations

from hepwrap import assemble
from hepwrap.assemble import one_line
from hepwrap.cli.arguments import Parsed, operands
from hepwrap.cli.commands import Command
from hepwrap.cli.looking import chatter
from hepwrap.cli.overrides import overrides
from hepwrap.config import parse_repository
from hepwrap.config.origin import Origin


def main(parsed: Parsed, command: Command) -> int:
    """`name=value` lines: of a repository, or of the job where none is named."""
    words = operands(parsed, [], most=1)
    about = [parse_repository(word.rstrip("/"), Origin.flag("REPO")) for word in words]
    loaded = assemble.configuration(overrides(parsed, command.flags, about), log=chatter(parsed))
    if about:
        loaded.known(about[0].name)
    for line in loaded.origins(about[0].name if about else None):
        origin = f"    # {line.origin}" if parsed.has("origin") else ""
        print(one_line(f"{line.name}={line.value}{origin}"))
    if not about:
        print(one_line(f"repositories={' '.join(loaded.names)}"))
    return 0
