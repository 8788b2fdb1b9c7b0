"""Two small repositories and a host without a kernel, for the laws of path resolution.

Owns the fixed trees that those tests speak of, and short ways to ask about them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hepwrap.errors import HepwrapError
from hepwrap.vfs.mounts import MountTable
from hepwrap.vfs.resolve import Credentials, HostPath, Node, Resolution, Resolver
from tests.helpers.tree import Directory, File, Link, MemoryRepository, chain, tree

USER = Credentials(1000, 1000)
ROOT = Credentials(0, 0, dac_override=True, dac_read_search=True)
ONE = b"/cvmfs/one.hep.example"
TWO = b"/cvmfs/two.hep.example"


@dataclass
class FakeHost:
    """A host of a few links and directories; remembers what it was asked."""

    links: dict[bytes, bytes] = field(default_factory=dict)
    directories: set[bytes] = field(default_factory=set)
    asked: list[bytes] = field(default_factory=list)

    def readlink(self, path: bytes) -> bytes | None:
        self.asked.append(path)
        return self.links.get(path)

    def is_searchable(self, path: bytes) -> bool:
        self.asked.append(path)
        return path in self.directories


class Harness:
    """Two repositories, a host, and short ways to ask."""

    def __init__(self) -> None:
        self.host = FakeHost(directories={b"/usr", b"/usr/lib"})
        private = Directory({b"file": File(), b"link": Link(b"file"), b"up": Link(b"../file")}, mode=0o700)
        shared = Directory({b"theirs": Link(b"../file", owner=(7, 7)), b"dir": Link(b"../dir", owner=(7, 7))}, 0o1777)
        self.root = tree(
            file=File(),
            dir=tree(file=File(), up=Link(b".."), sub=tree(file=File())),
            link=Link(b"file"),
            todir=Link(b"dir"),
            slashed=Link(b"dir/"),
            slashed_file=Link(b"file/"),
            dangling=Link(b"missing"),
            empty=Link(b"$(UNSET)"),
            variant=Link(b"$(WHERE:-dir)/file"),
            self=Link(b"self"),
            out=Link(b"/usr/lib"),
            up_and_out=Link(b"../../usr//lib/"),
            toroot=Link(b"/"),
            toroots=Link(b"///"),
            absolute=Link(ONE + b"/dir"),
            other=Link(TWO + b"/dir"),
            relative_other=Link(b"../two.hep.example/back"),
            private=private,
            shared=shared,
            chain=chain(45),
        )
        self.root.children[b"long"] = tree(**{"n" * 255: File()})
        self.root.children[b"odd \xff\n"] = tree(file=File())
        self.one = MemoryRepository("one.hep.example", self.root)
        self.two = MemoryRepository("two.hep.example", tree(dir=tree(file=File()), back=Link(ONE + b"/dir/file")))
        self.failure: HepwrapError | None = None
        names = [b"one.hep.example", b"two.hep.example"]
        self.mounts = MountTable(b"/cvmfs", self._open, names, environ={}, clock=lambda: 0.0)
        self.resolver = Resolver(self.mounts, self.host, follow_shared_links=False)

    def _open(self, name: bytes) -> MemoryRepository | None:
        if self.failure:
            raise self.failure
        return {b"one.hep.example": self.one, b"two.hep.example": self.two}.get(name)

    def ask(self, path: bytes, *, follow: bool = True, credentials: Credentials | None = None) -> Resolution:
        return self.resolver.resolve(path, follow=follow, credentials=credentials)

    def node(self, path: bytes, *, follow: bool = True) -> bytes:
        """Canonical path of the object of ours that `path` leads to."""
        target = self.ask(path, follow=follow).target
        assert isinstance(target, Node), target
        return target.path

    def out(self, path: bytes, *, follow: bool = True) -> bytes:
        """What the kernel is asked for."""
        target = self.ask(path, follow=follow).target
        assert isinstance(target, HostPath), target
        return target.path
