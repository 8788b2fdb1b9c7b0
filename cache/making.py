"""How one memory file is made: checked, fetched, written, finished.

Owns that way and nothing of what is held besides.  Must not know limits of the cache or who else is making what.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial

from hepwrap.cache import parts as filling
from hepwrap.cache import sealed
from hepwrap.cache.objects import Objects
from hepwrap.cache.parts import Part
from hepwrap.cache.sealed import MemoryFile
from hepwrap.cache.stores import Store, closed_on_failure
from hepwrap.errors import FetchFailed
from hepwrap.fetchers.fetcher import Fetcher
from hepwrap.records import dataclass, replace


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a file is made of."""

    key: Hashable
    #: For errors, and in /proc.
    name: str
    #: Bytes in all, and the most that one file may have.
    size: int
    limit: int
    parts: Sequence[Part]
    fetcher: Fetcher

    def check(self) -> None:
        """Raise FetchFailed for a file over its limit, CorruptObject for parts that do not make one."""
        if self.size > self.limit:
            raise FetchFailed(f"{self.name} is {self.size} bytes, more than the {self.limit} allowed for one file")
        filling.check(self.parts, self.size, self.name)


@dataclass(frozen=True, slots=True)
class Writing:
    """A file of `size` bytes that `write` puts into the descriptor it is given."""

    key: Hashable
    name: str
    size: int
    write: Callable[[int], None]

    def check(self) -> None:
        """Nothing can be said before it is there."""


class Maker:
    """Makes files, several of them and several parts of each at once."""

    def __init__(self, objects: Objects, store: Store) -> None:
        self._objects, self._store = objects, store
        self._filler = filling.Filler()

    def make(self, recipe: Recipe | Writing) -> MemoryFile:
        """The finished file; nothing remains where that fails.

        Raises OSError where the kernel lacks something, and what Objects or the writer raise.
        """
        fd = self._store.create(recipe.name, recipe.size)
        with closed_on_failure(fd):
            if isinstance(recipe, Writing):
                recipe.write(fd)
            else:
                self._filler.run(recipe.parts, partial(self._write, fd, recipe))
        return self._store.finish(fd, recipe.key)

    def _write(self, fd: int, recipe: Recipe, part: Part) -> None:
        """One part, piece by piece: its content never stands in memory a second time."""
        offset = part.offset
        ref = replace(part.ref, size=part.size)
        for piece in self._objects.pieces(recipe.fetcher, ref, limit=recipe.limit):
            sealed.write_all(fd, piece, offset)
            offset += len(piece)
