"""`python -m hepwrap.fetchers.pac_child`: runs one PAC file, under limits, in a process that nobody will miss.

A JSON object with script, url, host and cpu_seconds on stdin; what FindProxyForURL returns on stdout; exit 1 where it
fails.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys

MEMORY_BYTES = 1024 * 1024 * 1024


def main() -> int:
    """The whole program."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    question = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CPU, (question["cpu_seconds"],) * 2)
    try:
        parser = importlib.import_module("pypac.parser")
        print(parser.PACFile(question["script"]).find_proxy_for_url(question["url"], question["host"]))
    except Exception as error:
        print(type(error).__name__, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
