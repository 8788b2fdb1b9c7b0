"""Objects into the store: compressed, named by the digest of the stored bytes, never written twice.

Owns the rule for what is on disk already.  Knows nothing of files in the tree or of catalogues.  Thread-safe.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from hepwrap.digest import Algorithm, Digest
from hepwrap.vfs.publish.files import PUBLIC_FILE, write_all
from hepwrap.vfs.publish.layout import Layout

#: Names of compressions, with their codes in catalogue flags (format notes, section 3).
COMPRESSION_CODES = {"zlib": 0, "none": 1}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that is in the store: the digest and the number of its stored bytes; `new`: written by this call."""

    digest: Digest
    stored: int
    new: bool


class ObjectWriter:
    """Puts objects below `data/`.

    Nothing is durable before `files.sync_file_system`: a power cut can leave empty or torn files under good names.
    Therefore an object found on disk counts as there only when its bytes have been compared once in this run, or
    when somebody who knows that it was durable vouches for it (`has`).
    """

    def __init__(
        self, layout: Layout, algorithm: Algorithm, *, level: int = -1, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self.algorithm = algorithm
        self._layout = layout
        self._level = level
        self._warn = warn
        self._lock = threading.Lock()
        self._serial = 0
        self._known: set[str] = set()
        #: Objects and stored bytes written by this run, by type letter.
        self.new: Counter[str] = Counter()
        self.new_bytes = 0

    def put(self, data: bytes, letter: str = "", compression: str = "zlib") -> StoredObject:
        """Store `data`; nothing is written where the store has the object."""
        stored = zlib.compress(data, self._level) if compression == "zlib" else data
        digest = Digest.of(stored, self.algorithm)
        name = digest.object_name(letter)
        with self._lock:
            if name in self._known:
                return StoredObject(digest, len(stored), new=False)
            self._known.add(name)
        new = not self._is_on_disk(name, stored)
        if new:
            self._write(name, stored)
            with self._lock:
                self.new[letter] += 1
                self.new_bytes += len(stored)
        return StoredObject(digest, len(stored), new)

    def has(self, digest: Digest, letter: str, stored: int | None = None) -> bool:
        """Whether the object, which was durable once, is still there, with `stored` bytes if that is known."""
        name = digest.object_name(letter)
        with self._lock:
            if name in self._known:
                return True
        try:
            size = self._layout.object(name).stat().st_size
        except FileNotFoundError:
            return False
        if stored not in (None, size):
            return False
        with self._lock:
            self._known.add(name)
        return True

    def _is_on_disk(self, name: str, stored: bytes) -> bool:
        try:
            same = self._layout.object(name).read_bytes() == stored
        except FileNotFoundError:
            return False
        if not same:
            self._warn(f"{self._layout.object(name)} was damaged; it is written anew")
        return same

    def _write(self, name: str, stored: bytes) -> None:
        with self._lock:
            self._serial += 1
            temporary = self._layout.temporary / f"object.{self._serial}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PUBLIC_FILE)
        try:
            write_all(descriptor, stored)
            os.fchmod(descriptor, PUBLIC_FILE)
        finally:
            os.close(descriptor)
        os.rename(temporary, self._layout.object(name))
