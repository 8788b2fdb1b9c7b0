"""From stored bytes to content, piece by piece and never more than was promised (format notes, section 3).

Owns the ways of storing an object.  Must not know digests: whoever calls has checked them before.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterator
from typing import Any, cast

from hepwrap.errors import CorruptObject, Unsupported

#: Bytes of content handed out at once, and stored bytes fed at once.
PIECE = 1024 * 1024
FEED = 256 * 1024
#: Stored bytes from which on a faster library is worth being loaded.
LARGE = 256 * 1024


def pieces(stored: bytes, compression: str, *, size: int | None, limit: int, name: str) -> Iterator[bytes | memoryview]:
    """The content of `stored`, in pieces of at most PIECE bytes.

    `size` is the number of bytes it must have (None: unknown, then at most `limit`), `name` names it in errors.
    Raises CorruptObject before a byte too many is made, or at the end; Unsupported for an unknown `compression`.
    """
    most = limit if size is None else size
    made = 0
    for piece in opener(compression, name)(stored, name):
        made += len(piece)
        if made > most:
            raise CorruptObject(_too_long(name, size, limit))
        yield piece
    if size is not None and made != size:
        raise CorruptObject(f"object {name} holds {made} bytes where its catalogue promises {size}; it is not served")


def opener(compression: str, name: str) -> Callable[[bytes, str], Iterator[bytes | memoryview]]:
    """What turns bytes stored with `compression` into content; Unsupported where nothing does."""
    try:
        return _OPENERS[compression]
    except KeyError:
        known = " and ".join(f"'{each}'" for each in _OPENERS)
        raise Unsupported(
            f"object {name} is stored with compression '{compression}', and hepwrap reads {known}: "
            "a newer version may be needed"
        ) from None


#: Makes a new stream, as zlib.decompressobj does; what that raises for bytes that are none.
Library = tuple[Callable[[], Any], type[Exception]]
PLAIN: Library = (zlib.decompressobj, zlib.error)


@functools.cache
def fast() -> Library:
    """ISA-L, which takes half the time; PLAIN where that is not installed."""
    try:
        from isal import isal_zlib
    except ImportError:
        return PLAIN
    return isal_zlib.decompressobj, cast(type[Exception], isal_zlib.IsalError)  # its stubs say: an instance


def _too_long(name: str, size: int | None, limit: int) -> str:
    if size is None:
        return f"object {name} unpacks to more than the {limit} bytes that are allowed; it is not served"
    return f"object {name} unpacks to more than the {size} bytes its catalogue promises; it is not served"


def _plain(stored: bytes, _name: str) -> Iterator[memoryview]:
    view = memoryview(stored)
    for start in range(0, len(view), PIECE):
        yield view[start : start + PIECE]


def _zlib(stored: bytes, name: str) -> Iterator[bytes]:
    """One RFC 1950 stream that ends properly, with nothing after it."""
    view = memoryview(stored)
    new, failure = fast() if len(view) >= LARGE else PLAIN
    stream = new()
    fed = 0
    try:
        while not stream.eof and fed < len(view):
            feed: bytes | memoryview = view[fed : fed + FEED]
            fed += len(feed)
            while True:
                piece = stream.decompress(feed, PIECE)
                if piece:
                    yield piece
                feed = stream.unconsumed_tail
                # A full piece may leave more inside the stream even where all input has been taken.
                if stream.eof or (not feed and len(piece) < PIECE):
                    break
    except failure as error:
        raise CorruptObject(f"object {name} is not a zlib stream ({error}); it is not served") from None
    if not stream.eof:
        raise CorruptObject(f"object {name} is a zlib stream cut short after {len(view)} bytes; it is not served")
    surplus = len(stream.unused_data) + len(view) - fed
    if surplus:
        raise CorruptObject(f"object {name} has {surplus} bytes after the end of its zlib stream; it is not served")


#: How each compression is opened, by the name that catalogue entries carry.
_OPENERS: dict[str, Callable[[bytes, str], Iterator[bytes | memoryview]]] = {"zlib": _zlib, "none": _plain}
