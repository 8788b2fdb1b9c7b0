"""Hash functions for a launch: without OpenSSL, which takes longer to load than a launch has to hash.

That is manifest, whitelist and certificate, a few kilobytes.  Python has the same functions in small modules of its
own, which its `random` uses for the same reason.  They are not documented, so `hashlib` does whatever they do not, and
everything once it is loaded: it hashes much data seven times as fast.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

#: Bytes from which on OpenSSL is worth being loaded.
LARGE = 256 * 1024
#: Where Python keeps each function; 3.12 put what are neighbours together.
_SMALL = {"sha1": "_sha1", "sha256": "_sha2" if sys.version_info >= (3, 12) else "_sha256", "shake_128": "_sha3"}


def new(name: str, data: bytes | memoryview) -> Any:
    """As `hashlib.new`, not for keeping secrets; ValueError where this machine has no such function."""
    if "hashlib" not in sys.modules and len(data) < LARGE and (small := _small(name)):
        return small(data)
    import hashlib

    return hashlib.new(name, data, usedforsecurity=False)


@cache
def _small(name: str) -> Callable[[bytes | memoryview], Any] | None:
    """Python's own; None where it has none."""
    try:
        return getattr(import_module(_SMALL[name]), name)  # type: ignore[no-any-return]
    except (KeyError, ImportError, AttributeError):
        return None
