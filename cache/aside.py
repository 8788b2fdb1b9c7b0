"""Contents of files that had to give their descriptors away, while there is memory for them that no file wants.

Owns which contents are kept: the latest that fit.  A pure container: no clock, no lock, no descriptor; the caller
holds one lock around every call.  Descriptors are often fewer than what a job opens (`ulimit -n`), and a content that
has been fetched and checked need not be fetched again because of that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

#: Bytes of the largest content that is kept: a large file has its descriptor for what memory it takes.
LARGEST = 1 << 20
#: Bytes that each takes besides.
EACH = 256


class Aside:
    """Contents by key, the oldest leaving first."""

    def __init__(self) -> None:
        self._contents: OrderedDict[Hashable, bytes] = OrderedDict()
        #: What they take.
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._contents)

    def put(self, key: Hashable, content: bytes, room: int) -> None:
        """Keep `content` if it fits into `room` bytes, which is then what all of them take at most."""
        self.take(key)
        self.shrink(room - len(content) - EACH)
        if len(content) <= LARGEST and self.bytes + len(content) + EACH <= room:
            self._contents[key] = content
            self.bytes += len(content) + EACH

    def take(self, key: Hashable) -> bytes | None:
        """The content of `key`, which is not kept any more; None: it was not."""
        content = self._contents.pop(key, None)
        if content is not None:
            self.bytes -= len(content) + EACH
        return content

    def shrink(self, room: int) -> None:
        """Let go of the oldest until no more than `room` bytes are taken."""
        while self._contents and self.bytes > room:
            self.take(next(iter(self._contents)))
