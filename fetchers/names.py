"""Which names may be asked for, and how addresses are shown.

Owns the one rule that keeps a name inside the base it is asked from.  Must not know who asks, nor over what.
"""

from __future__ import annotations

import re

from hepwrap.errors import FetchFailed

#: Everything a repository's servers keep (format notes, sections 2, 4 to 6 and 10) is made of these letters.  Neither
#: `%` nor `?`, so a name means the same in a path and in a URL.
_PART = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]{1,255}"
_NAME = re.compile(rf"{_PART}(?:/{_PART}){{0,15}}")


def safe_name(name: str) -> str:
    """`name` itself where it is relative and stays below its base; FetchFailed where it is anything else."""
    if _NAME.fullmatch(name) is None:
        raise FetchFailed(f"{name[:80]!r} is not a name that a repository can have; it was not asked for")
    return name


def without_password(url: str) -> str:
    """`url` fit for logs and messages."""
    return re.sub(r"(?<=//)[^/@]*@", "", url)
