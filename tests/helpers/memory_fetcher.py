"""A fetcher that has everything in a dictionary, counts, waits and fails as a test tells it.

Honours the contract of hepwrap.fetchers.fetcher (limit, check, missing), except with `careless`, which plays a
third party's fetcher that forgets to call `check`.
"""

from __future__ import annotations

import threading
import zlib
from collections import Counter
from collections.abc import Mapping

from hepwrap.cache.objects import ObjectRef
from hepwrap.cache.parts import Part
from hepwrap.digest import SHA1, Algorithm, Digest
from hepwrap.errors import FetchFailed, MissingObject
from hepwrap.fetchers.fetcher import Check, FetchCounters

#: Seconds after which a wait in a test has failed; never how long anything takes.
PATIENCE = 30.0


class MemoryFetcher:
    """`files` maps names to stored bytes; `asked` counts fetches by name."""

    def __init__(self, files: Mapping[str, bytes] | None = None, *, careless: bool = False) -> None:
        self.files: dict[str, bytes] = dict(files or {})
        self.counters = FetchCounters()
        self.asked: Counter[str] = Counter()
        self.limits: dict[str, int] = {}
        self.in_flight = 0
        self.most_in_flight = 0
        self._careless = careless
        self._errors: dict[str, list[BaseException]] = {}
        self._gate = threading.Event()
        self._gate.set()
        self._changed = threading.Condition()

    # What a test sets up.

    def put(
        self, content: bytes, *, compression: str = "zlib", letter: str = "", algorithm: Algorithm = SHA1
    ) -> ObjectRef:
        """Store `content` as a publisher would."""
        stored = zlib.compress(content) if compression == "zlib" else content
        return self.put_stored(stored, len(content), compression=compression, letter=letter, algorithm=algorithm)

    def put_stored(
        self,
        stored: bytes,
        size: int | None,
        *,
        compression: str = "zlib",
        letter: str = "",
        algorithm: Algorithm = SHA1,
    ) -> ObjectRef:
        """Store bytes as they are, with a right digest whatever they hold."""
        ref = ObjectRef(Digest.of(stored, algorithm), letter, compression, size)
        self.files[ref.name] = stored
        return ref

    def put_parts(self, content: bytes, sizes: list[int], *, compression: str = "zlib") -> list[Part]:
        """Store `content` cut into `sizes`."""
        parts, offset = [], 0
        for size in sizes:
            ref = self.put(content[offset : offset + size], compression=compression, letter="P")
            parts.append(Part(ref, offset, size))
            offset += size
        return parts

    def fail(self, name: str, *errors: BaseException) -> None:
        """The next fetches of `name` raise these, one each."""
        self._errors.setdefault(name, []).extend(errors)

    def hold(self) -> None:
        """Let fetches begin but not end, until `release()`."""
        self._gate.clear()

    def release(self) -> None:
        """Let fetches end."""
        self._gate.set()

    def wait_in_flight(self, count: int) -> None:
        """Wait until `count` fetches have begun and not ended; AssertionError where that never comes."""
        with self._changed:
            reached = self._changed.wait_for(lambda: self.in_flight >= count, PATIENCE)
        assert reached, f"{self.in_flight} of {count} fetches in flight"

    # What a fetcher does.

    def fetch(self, name: str, *, limit: int, check: Check | None = None, fresh: bool = False) -> bytes:
        with self._changed:
            self.asked[name] += 1
            self.limits[name] = limit
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            self._changed.notify_all()
        try:
            assert self._gate.wait(PATIENCE), "a held fetch was never released"
            return self._answer(name, limit, check)
        finally:
            with self._changed:
                self.in_flight -= 1
                self._changed.notify_all()

    def _answer(self, name: str, limit: int, check: Check | None) -> bytes:
        with self._changed:
            script = self._errors.get(name)
            error = script.pop(0) if script else None
        if error is not None:
            raise error
        if name not in self.files:
            raise MissingObject(f"{name}: no server has it")
        body = self.files[name]
        if len(body) > limit:
            raise FetchFailed(f"{name}: {len(body)} bytes are more than the {limit} allowed")
        if check is not None and not self._careless:
            check(body)
        return body

    def describe(self) -> Mapping[str, str]:
        return {"host": "memory"}

    def close(self) -> None:
        pass
