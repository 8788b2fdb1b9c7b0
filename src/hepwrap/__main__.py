"""`python -m hepwrap` and the installed command."""

from __future__ import annotations

import gc
import sys

#: New objects after which garbage is looked for.  Python's 700 would be reached fifty times before a command can start,
#: and what is made by then are modules, which stay.
MANY_OBJECTS = 50_000


def main() -> int:
    """Run the command line of this process; the exit code."""
    gc.set_threshold(MANY_OBJECTS)
    from hepwrap import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
