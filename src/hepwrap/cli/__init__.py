"""The command line: `main` finds the subcommand, reads its options and turns errors into one line and an exit code.

One module a subcommand.  Must not construct rooms (`assemble` does) nor know what options mean (`config` does).
"""

from __future__ import annotations


def main(argv: list[str] | None = None) -> int:
    """Run a command line (None: this process's); returns the exit code, unless the command takes this process over."""
    import sys

    from hepwrap.cli.front import run

    return run(sys.argv[1:] if argv is None else argv)


__all__ = ["main"]
