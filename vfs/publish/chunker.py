"""Where large files are cut (format notes, section 8).  Knows bytes and sizes; no files, no digests.

A cut must depend on the content around it, so that an insertion moves only the cuts next to it.  The usual rolling
hash costs one interpreted step a byte, which Python cannot afford.  So two steps, the first of them at C speed:

1. Anchors.  Map each byte to one of two letters by a fixed, random-looking table (`bytes.translate`), and find every
   place of a short word `1..10..0` (`re`).  Such a word cannot overlap itself, so where anchors lie depends on the
   content alone and not on where the search began.  About one place in two thousand is an anchor, some 3 ns a byte.
2. Choice.  Among the anchors between the minimum and `2 * average - minimum` cut where the CRC-32 of the 64 bytes
   before is smallest.  That needs no threshold, so it works whatever the density of anchors in this kind of data is,
   and the cut lies on average at the average.  The same place is the smallest for both sides of an edit, so they meet
   again within a few chunks.

Data without anchors (zeros, most of all) is cut at the maximum.  Readers accept any cut, so all this may change.
"""

from __future__ import annotations

import functools
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hepwrap.errors import UsageError

MIB = 1024 * 1024
_CONTEXT = 64


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """Bytes; the last chunk of a file may be smaller than `minimum`.  Files of at most `average` are not cut."""

    minimum: int = 4 * MIB
    average: int = 8 * MIB
    maximum: int = 16 * MIB

    def __post_init__(self) -> None:
        if not 0 < self.minimum <= self.average <= self.maximum:
            raise UsageError(
                f"chunk sizes {self.minimum}, {self.average}, {self.maximum} must be positive and in this order:"
                " minimum, average, maximum"
            )

    @property
    def latest(self) -> int:
        """End of the window in which an anchor is looked for."""
        return min(2 * self.average - self.minimum, self.maximum)


def cut_stream(read: Callable[[int], bytes], sizes: ChunkSizes) -> Iterator[bytes]:
    """The chunks of what `read(at most n)` yields until it yields nothing; joined they are that stream again."""
    buffer = _read_up_to(read, sizes.maximum, b"")
    while buffer:
        end = first_cut(buffer, sizes)
        yield buffer[:end]
        buffer = _read_up_to(read, sizes.maximum, buffer[end:])


def first_cut(buffer: bytes, sizes: ChunkSizes) -> int:
    """Length of the first chunk of `buffer`, which holds `sizes.maximum` bytes or else all the rest of the file."""
    if len(buffer) <= sizes.average:
        return len(buffer)
    end = min(sizes.latest, len(buffer))
    start = max(0, sizes.minimum - _CONTEXT)
    word = _anchor_word(sizes.latest - sizes.minimum)
    best: tuple[int, int] | None = None
    for match in word.finditer(buffer[start:end].translate(_letters())):
        place = start + match.end()
        if place >= sizes.minimum:
            candidate = (zlib.crc32(buffer[max(0, place - _CONTEXT) : place]), place)
            best = candidate if best is None or candidate < best else best
    return best[1] if best is not None else min(len(buffer), sizes.maximum)


def _read_up_to(read: Callable[[int], bytes], size: int, begin: bytes) -> bytes:
    parts, have = [begin], len(begin)
    while have < size and (data := read(size - have)):
        parts.append(data)
        have += len(data)
    return b"".join(parts)


@functools.cache
def _letters() -> bytes:
    """Each byte value as one of two letters."""
    return bytes(b"01"[hashlib.md5(bytes([i]), usedforsecurity=False).digest()[0] & 1] for i in range(256))


@functools.cache
def _anchor_word(window: int) -> re.Pattern[bytes]:
    """A word so long that random data has some 64 anchors in `window` bytes, and not more than one in 2048 bytes."""
    length = max(2, min(11, window.bit_length() - 7))
    return re.compile(b"1" * (length // 2) + b"0" * (length - length // 2))
