"""How many descriptors this process may keep for opened files (getrlimit(2), RLIMIT_NOFILE).

Owns the limit and the reserve.  Must not know what the descriptors are for.
"""

from __future__ import annotations

import contextlib
import resource

#: Kept back for connections, catalogues, directories and the tracer: a quarter, within these bounds.
LEAST_RESERVE = 64
MOST_RESERVE = 2048


def raise_limit() -> None:
    """Raise the soft limit to the hard one.  Only for the server: a command must keep the limit it was given."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Refused where the hard limit is above fs.nr_open: then the soft one stays.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def for_files(soft: int) -> int:
    """Descriptors for opened files where `soft` is the limit: never less than half of it."""
    reserve = min(max(soft // 4, LEAST_RESERVE), MOST_RESERVE)
    return soft - min(reserve, soft // 2)


def reserved_for_objects() -> int:
    """How many of those that are kept back may be directories and their like: half."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = soft if soft != resource.RLIM_INFINITY else 1 << 30
    return (soft - for_files(soft)) // 2


def allowed() -> int:
    """Descriptors for opened files under the limit as it is now."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return for_files(soft if soft != resource.RLIM_INFINITY else 1 << 30)
