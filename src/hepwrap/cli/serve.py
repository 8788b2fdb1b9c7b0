"""`hepwrap serve`: published repositories over HTTP, until Ctrl-C or SIGTERM."""

from __future__ import annotations

from pathlib import Path

from hepwrap.cli.arguments import Parsed, operands
from hepwrap.cli.commands import Command
from hepwrap.cli.needed import number

DEFAULT_PORT = 8000


def main(parsed: Parsed, _command: Command) -> int:
    """Serve; the first line on stdout is the URL, to which /NAME is added."""
    (store,) = operands(parsed, ["STORE"])
    port = number(parsed, "port", 0, 65535)
    from hepwrap.serve import serve

    return serve(
        Path(store),
        host=parsed.last("host", "127.0.0.1"),
        port=DEFAULT_PORT if port is None else port,
        quiet=parsed.has("quiet"),
    )
