"""Counters of hepwrap, from the file that `--stats=FILE` writes."""

from __future__ import annotations

import json
from pathlib import Path

from hepwrap.errors import HepwrapError

#: Which parts of the account are counted; times and sizes of memory are not.
_COUNTED = ("tracer", "fetch", "cache", "answers", "questions")
_NOT_COUNTED = (
    "fetch.seconds", "tracer.tasks", "cache.bytes_held", "cache.most_bytes_held", "cache.files_held",
    "cache.private_mount",
)  # fmt: skip
#: The three that stand beside times: stops of the tracer, questions to the server, objects fetched.
STOPS, UPCALLS, FETCHES = "tracer.stops", "tracer.upcalls", "fetch.requests"


def read_counters(path: Path) -> dict[str, float]:
    """Numbers by `part.name`; HepwrapError where there is no account."""
    try:
        account = json.loads(path.read_text())
        flat = {
            f"{part}.{name}": value
            for part in _COUNTED
            for name, value in account.get(part, {}).items()
            if isinstance(value, int | float)
        }
    except (OSError, ValueError, AttributeError) as error:
        raise HepwrapError(f"hepwrap wrote no account that can be read ({error})") from None
    return {name: value for name, value in flat.items() if name not in _NOT_COUNTED}
