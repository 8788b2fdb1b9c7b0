"""From text to values: one small function for each kind of value.

Each takes the text of a value and returns what `settings` wants, or raises ValueError with a sentence that says what
the text should be.  Must not know where text comes from.
"""

from __future__ import annotations

import math
import re

KIB = 1024
_UNITS = {"": 1, "k": KIB, "m": KIB**2, "g": KIB**3, "t": KIB**4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")
_ROOT_HASH = re.compile(r"[0-9a-f]{40}(-rmd160|-shake128)?")
_TAG = re.compile(r"[A-Za-z0-9._-]{1,255}")
#: As the real client does, and with at least two labels, since the domain is what stands after the first dot.
_FQRN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)+")
_TRUE, _FALSE = frozenset({"yes", "on", "1", "true"}), frozenset({"no", "off", "0", "false"})
_VISIBILITIES = ("rootonly", "always", "never")


def is_repository_name(name: str) -> bool:
    """Whether `name` can be a fully qualified repository name."""
    return len(name) <= 255 and _FQRN.fullmatch(name) is not None


def text(value: str) -> str:
    """Any text."""
    return value


def boolean(value: str) -> bool:
    """Yes or no, as the client spells them."""
    lower = value.lower()
    if lower in _TRUE or lower in _FALSE:
        return lower in _TRUE
    raise ValueError(f"{value!r} is neither yes nor no")


def negated(value: str) -> bool:
    """Yes is False."""
    return not boolean(value)


def seconds(value: str) -> float:
    """A length of time, not negative."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{value!r} is no number of seconds")
    return number


def minutes(value: str) -> float:
    """Minutes, not negative; as seconds."""
    try:
        return 60 * seconds(value)
    except ValueError:
        raise ValueError(f"{value!r} is no number of minutes") from None


def count(value: str) -> int:
    """A whole number, not negative."""
    if not (value.isascii() and value.isdigit() and len(value) < 20):
        raise ValueError(f"{value!r} is no whole number of 0 or more")
    return int(value)


def positive(value: str) -> int:
    """A whole number of 1 or more."""
    if count(value) < 1:
        raise ValueError(f"{value!r} is less than 1")
    return int(value)


def size(value: str) -> int:
    """Bytes, with an optional unit: `512M`, `2G` (powers of 1024)."""
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no size; write bytes, or a number with K, M or G, such as 2G")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def cache_size(value: str) -> int | float:
    """Bytes as an int, or a share between 0 and 1 as a float: `2G`, `25%`."""
    match = _SHARE.fullmatch(value.strip())
    if match is not None:
        if not 0 < float(match[1]) <= 100:
            raise ValueError(f"{value!r} is not between 0% and 100%")
        return float(match[1]) / 100
    try:
        number = size(value)
    except ValueError:
        raise ValueError(f"{value!r} is no size; write a number with K, M, G or %, such as 2G or 25%") from None
    if number < 1:
        raise ValueError(f"{value!r} leaves no room for anything; write for example 512M")
    return number


def tag(value: str) -> str:
    """The name of a tag; "" for none."""
    if value and not _TAG.fullmatch(value):
        raise ValueError(f"{value[:80]!r} cannot be the name of a tag")
    return value


def root_hash(value: str) -> str:
    """The digest of a root catalogue; "" for none."""
    if value and not _ROOT_HASH.fullmatch(value):
        shown = value[:80]
        raise ValueError(f"{shown!r} is no root hash (40 hex digits, then -rmd160 or -shake128 where it is not SHA-1)")
    return value


def date(value: str) -> str:
    """A time in ISO 8601; "" for none."""
    if value:
        from datetime import datetime

        try:
            datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value!r} is no time; write it like 2024-12-31T23:59:59Z") from None
    return value


def fqrn(value: str) -> str:
    """A repository's name; "" for none."""
    if value and not is_repository_name(value):
        raise ValueError(f"{value[:80]!r} is no name of a repository; a name is like atlas.cern.ch")
    return value


def visibility(value: str) -> str:
    """Which magic attributes are listed."""
    if value.lower() not in _VISIBILITIES:
        raise ValueError(f"{value!r} is none of {', '.join(_VISIBILITIES)}")
    return value.lower()


def hidden(value: str) -> str:
    """CVMFS_HIDE_MAGIC_XATTRS: yes hides them all."""
    return "never" if boolean(value) else "always"


def absolute(value: str) -> str:
    """An absolute directory, without slashes at its end."""
    if not re.fullmatch(r"(/[^/]+)+/*", value) or {".", ".."} & set(value.split("/")):
        raise ValueError(f"{value!r} is no absolute directory")
    return value.rstrip("/")


def bind(value: str) -> tuple[str, str]:
    """`PLACE=HOST`, or `PLACE` alone for what the host has at that place: both as absolute paths."""
    place, equals, host = value.partition("=")
    if equals and not host:
        raise ValueError(f"after {place}= stands what is to be shown there, a file or directory of this machine")
    return absolute(place), absolute(host) if equals else absolute(place)


def stats(value: str) -> str | None:
    """Where the account goes: "-" (or yes) for the command's stderr, a file, or no for nowhere."""
    lower = value.lower()
    if lower in _TRUE:
        return "-"
    return None if lower in _FALSE or not value else value
