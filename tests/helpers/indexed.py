"""The index and the resolver of a launch, without programs: asked and looked up as the runtime would.

launch = Launch.of(tree(dir=tree(file=File())), place)
launch.ask(path, follow)      # what the server answers, and writes down
launch.look(path, follow)     # what a program finds by itself; None: it would ask
launch.truth(path, follow)    # what the resolver says
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from hepwrap.errnos import errno_of
from hepwrap.errors import HepwrapError
from hepwrap.interpose.answers import HANDLERS
from hepwrap.interpose.task import credentials_of
from hepwrap.interpose.world import World
from hepwrap.vfs.host import OsHost
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import INODE
from hepwrap.vfs.mounts import CatalogueView, MountTable
from hepwrap.vfs.resolve import Credentials, Node, Resolver
from tests.helpers import tree as trees
from tests.helpers.questions import question
from tests.helpers.tree import Directory, MemoryRepository

NAME = b"one.hep.example"
LSTAT, STAT = 6, 4
#: Target kinds of layout.h.
KINDS = {getattr(_index, name): name for name in dir(_index) if name.startswith("TARGET_") and name != "TARGET_SHIFT"}


class Launch:
    """What a launch has of index and resolver, without programs."""

    def __init__(
        self, world: trees.World, repositories: Mapping[bytes, CatalogueView] | None = None, *, window: int = 8 << 20
    ) -> None:
        made = repositories or {
            name: MemoryRepository(name.decode(), root) for name, root in world.repositories.items()
        }
        table = MountTable(world.prefix, made.get, list(made), environ={})
        self.resolver = Resolver(table, OsHost(), follow_shared_links=True)
        self.index = _index.Index(window, world.prefix)
        self.world = World(self.index, self.resolver, None, None, lambda mount: None, lambda line: None)  # type: ignore[arg-type]
        self.questions = 0

    @classmethod
    def of(
        cls, root: Directory, place: bytes, repository: CatalogueView | None = None, *, window: int = 8 << 20
    ) -> Launch:
        """With one.hep.example as the only repository."""
        made = {NAME: repository or MemoryRepository(NAME.decode(), root)}
        return cls(trees.World(Directory(), {NAME: root}, place), made, window=window)

    def ask(self, path: bytes, follow: bool, base: int = 0) -> str | bytes:
        """As a program's stat(2) or lstat(2) that the index could not answer."""
        self.questions += 1
        number = STAT if follow else LSTAT
        try:
            word, _ = HANDLERS["stat"](self.world, question(number, path, follow=follow, base=base))
        except HepwrapError as error:
            return errno.errorcode[errno_of(error)]
        return self.meaning(word)

    def look(self, path: bytes, follow: bool, base: int = 0) -> str | bytes | None:
        """As the runtime; None: it would ask."""
        word = self.index.lookup(base, path, follow)
        kind = KINDS[word >> _index.TARGET_SHIFT]
        return None if kind in ("TARGET_UNKNOWN", "TARGET_ASK", "TARGET_MISSING") else self.meaning(word)

    def is_searched(self, at: int) -> bool:
        """Whether everybody may come to that directory."""
        return bool(self.world.book.flags(at) & _index.INODE_SEARCHED)

    def meaning(self, word: int) -> str | bytes:
        """The name of an errno, the canonical path of a virtual object, or what the kernel is to be asked."""
        kind, value = KINDS[word >> _index.TARGET_SHIFT], word & (1 << _index.TARGET_SHIFT) - 1
        if kind == "TARGET_ERRNO":
            return errno.errorcode[value]
        if kind == "TARGET_INODE":
            record = INODE.unpack(self.index.load(value, INODE.size))
            return self.index.load(record["path_at"], record["path_length"])
        if kind == "TARGET_NATIVE":
            return "native"
        assert kind == "TARGET_HOST", kind
        return (
            b"host:"
            + self.index.load(value, 4096 if self.index.used - value > 4096 else self.index.used - value).split(b"\0")[
                0
            ]
        )

    def truth(self, path: bytes, follow: bool, start: Node | None = None) -> tuple[str | bytes, bool]:
        """The resolver's answer for this process, and whether it is everyone's."""
        universal = self._resolved(path, follow, start, None)[1]
        return self._resolved(path, follow, start, credentials_of(os.getpid()))[0], universal

    def _resolved(
        self, path: bytes, follow: bool, start: Node | None, credentials: Credentials | None
    ) -> tuple[str | bytes, bool]:
        try:
            found = self.resolver.resolve(path, follow=follow, start=start, credentials=credentials)
        except HepwrapError as error:
            return errno.errorcode[errno_of(error)], getattr(error, "universal", False)
        if isinstance(found.target, Node):
            return found.target.path, found.universal
        return b"host:" + found.target.path, found.universal


def same(ours: str | bytes | None, truth: str | bytes) -> bool:
    """Where the kernel gets the path as it was written, nothing else needs to be said."""
    return ours == truth or (ours == "native" and isinstance(truth, bytes) and truth.startswith(b"host:"))
