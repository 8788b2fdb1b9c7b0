"""Objects of a repository by their digest: fetched once, checked, unpacked.

Owns the check of stored bytes against their digest, and the bounds on what is fetched and unpacked.
Must not know catalogues or files: what an object is for is the caller's.  Nothing is kept once it is handed out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

from hepwrap.cache import inflate
from hepwrap.cache.inflight import Inflight
from hepwrap.digest import Digest
from hepwrap.errors import CorruptObject, FetchFailed, HepwrapError
from hepwrap.fetchers.fetcher import Fetcher
from hepwrap.records import dataclass


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object as a catalogue or a manifest names it (format notes, sections 2 and 3)."""

    digest: Digest
    #: Type letter at the end of the stored name, "" for a file.
    letter: str = ""
    #: "zlib" or "none"; anything else is refused when it is read.
    compression: str = "zlib"
    #: Bytes of content after unpacking; None where nobody has told.
    size: int | None = None

    @property
    def name(self) -> str:
        """Where servers keep it, `data/ab/cdef...`."""
        return self.digest.object_name(self.letter)


@dataclass(slots=True)
class ObjectCounters:
    """What was done since the start; written under the lock of Objects, read by anyone."""

    #: Objects asked of a fetcher, and those of them that failed.
    fetched: int = 0
    failed: int = 0
    #: Askers that got what another was fetching already.
    joined: int = 0
    #: Bytes received, and bytes of content made of them.
    stored_bytes: int = 0
    content_bytes: int = 0


class Objects:
    """Content by digest.  Safe from any number of threads; at most `workers` fetches at once, others wait."""

    def __init__(self, *, workers: int = 64) -> None:
        self.counters = ObjectCounters()
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(workers)
        self._stored: Inflight[tuple[str, int], bytes] = Inflight()
        self._contents: Inflight[tuple[ObjectRef, int], bytes] = Inflight()

    def read(self, fetcher: Fetcher, ref: ObjectRef, *, limit: int) -> bytes:
        """The content of `ref`, at most `limit` bytes; for what is wanted whole (catalogues, certificates).

        Raises CorruptObject where digest, packing or size are wrong, MissingObject, FetchFailed, and Unsupported
        for an unknown compression.
        """
        if ref.size == 0:
            return b""
        work = partial(self._unpacked, fetcher, ref, limit)
        return self._contents.join((ref, limit), work, joined=self._count_joined)

    def pieces(self, fetcher: Fetcher, ref: ObjectRef, *, limit: int) -> Iterator[bytes | memoryview]:
        """The content of `ref` piece by piece, so that it never stands in memory whole beside its stored bytes.

        Errors as for `read`; those of packing and size may come after pieces have been handed out.
        """
        if ref.size == 0:
            return
        inflate.opener(ref.compression, ref.name)  # refused before anything is fetched
        most = _most_stored(ref, limit)
        fetch = partial(self._fetch, fetcher, ref, most)
        stored = self._stored.join((ref.name, most), fetch, joined=self._count_joined)
        made = 0
        for piece in inflate.pieces(stored, ref.compression, size=ref.size, limit=limit, name=ref.name):
            made += len(piece)
            yield piece
        with self._lock:
            self.counters.content_bytes += made

    def _unpacked(self, fetcher: Fetcher, ref: ObjectRef, limit: int) -> bytes:
        return b"".join(self.pieces(fetcher, ref, limit=limit))

    def _fetch(self, fetcher: Fetcher, ref: ObjectRef, most: int) -> bytes:
        seal = _DigestCheck(ref)
        with self._turns:
            try:
                stored = fetcher.fetch(ref.name, limit=most, check=seal)
                seal.confirm(stored)
            except HepwrapError:
                self._count_failed()
                raise
            except Exception as error:  # a fetcher of somebody else's that breaks the contract
                self._count_failed()
                kind = type(fetcher).__name__
                raise FetchFailed(f"object {ref.name}: {kind} broke with {type(error).__name__}: {error}") from error
        with self._lock:
            self.counters.fetched += 1
            self.counters.stored_bytes += len(stored)
        return stored

    def _count_failed(self) -> None:
        with self._lock:
            self.counters.fetched += 1
            self.counters.failed += 1

    def _count_joined(self) -> None:
        with self._lock:
            self.counters.joined += 1


class _DigestCheck:
    """The `check` handed to a fetcher.  It remembers what it passed, since a fetcher's word alone is not trusted."""

    def __init__(self, ref: ObjectRef) -> None:
        self._ref = ref
        self._passed: bytes | None = None

    def __call__(self, stored: bytes) -> None:
        found = Digest.of(stored, self._ref.digest.algorithm)
        if found != self._ref.digest:
            raise CorruptObject(
                f"object {self._ref.name}: the {len(stored)} bytes received have the digest {found}; "
                "they are not used (a server or proxy hands out damaged data)"
            )
        self._passed = stored

    def confirm(self, stored: bytes) -> None:
        """Check `stored` unless it is the very object that has been checked."""
        if stored is not self._passed:
            self(stored)


def _most_stored(ref: ObjectRef, limit: int) -> int:
    """Most bytes the stored form can have.  zlib grows what it can not compress by well under an eighth."""
    if ref.size is None:
        return limit
    if ref.size > limit:
        raise FetchFailed(f"object {ref.name} holds {ref.size} bytes, more than the {limit} that are allowed")
    return ref.size if ref.compression == "none" else min(limit, ref.size + ref.size // 8) + 4096
