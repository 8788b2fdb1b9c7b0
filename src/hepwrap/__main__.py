"""`python -m hepwrap` and the installed command."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of this process; the exit code."""
    from hepwrap import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
