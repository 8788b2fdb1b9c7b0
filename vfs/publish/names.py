"""Names that a person chooses: repositories, tags, hash algorithms.  Knows syntax only."""

from __future__ import annotations

import re

from hepwrap.digest import ALGORITHMS, Algorithm
from hepwrap.errors import UsageError

#: The real client accepts these characters and this length in a repository's name.
MAX_REPOSITORY_NAME = 60
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
_REPOSITORY = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_TAG = re.compile(r"[A-Za-z0-9_.:/-]+")

#: Tags that every revision moves by itself (format notes, section 10).
TRUNK, TRUNK_PREVIOUS = "trunk", "trunk-previous"


def check_repository_name(name: str) -> str:
    """`name` itself if it is a fully qualified repository name; UsageError with the reason otherwise."""
    if len(name) > MAX_REPOSITORY_NAME:
        raise UsageError(
            f"repository name {name!r} has {len(name)} characters; use at most {MAX_REPOSITORY_NAME} of them"
        )
    if _REPOSITORY.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} is not a repository name; use labels of letters, digits, '-' and '_' joined by dots,"
            " such as sw.example.org"
        )
    return name


def check_tag_name(tag: str) -> str:
    """`tag` itself if a person may give that name to a revision; UsageError otherwise."""
    if tag in (TRUNK, TRUNK_PREVIOUS):
        raise UsageError(f"the tag {tag!r} moves by itself at every publishing; choose another name")
    if _TAG.fullmatch(tag) is None:
        raise UsageError(f"{tag!r} is not a tag name; use letters, digits and the characters _ . : / -")
    return tag


def hash_algorithm(name: str) -> Algorithm:
    """The algorithm called sha1, shake128 or rmd160; UsageError where there is none or this Python has not got it."""
    if name not in ALGORITHMS:
        raise UsageError(f"{name!r} is not a hash algorithm; use one of {', '.join(sorted(ALGORITHMS))}")
    try:
        ALGORITHMS[name].make(b"")
    except ValueError:
        raise UsageError(f"this Python's OpenSSL cannot compute {name}; choose another hash algorithm") from None
    return ALGORITHMS[name]
