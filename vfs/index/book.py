"""What the resolver found, written down where programs can read it: nodes become inodes, paths become entries.

Owns the way from `Node` to a record of the shared index and back; whole directories are entered by `directories`.  Must
not know system calls, nor where stand-ins come from.  Only what holds for every user is written under a path.

What is only named costs the index alone; nodes are looked up again when they are needed.  Once three quarters of the
index are in use no more is remembered (`is_full`): answers go out with the mailbox (`Passing`, parts of a listing), and
the rest is kept for what is opened, which must stay known as long as somebody may ask a descriptor what it is.

An inode is found again by its canonical path, whose entry says so (`itself` of layout.def); hard links by their group.

Lock order: `Book.lock` is a leaf; nothing is called out to while it is held but the index.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Hashable, Iterable

from hepwrap.errors import NotFound
from hepwrap.records import dataclass
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.directories import Directories
from hepwrap.vfs.index.layout import INODE, MOUNT, PLAN, offset, target, width
from hepwrap.vfs.index.rights import rights
from hepwrap.vfs.mounts import Mount
from hepwrap.vfs.resolve import Node, Resolver, text

#: Device numbers shown for our mounts: major 0, as anonymous mounts have, minors where no kernel counts to.
FIRST_MINOR = 0xC5000
#: Mount ids shown by statx(2).
FIRST_MOUNT_ID = 0xC5000

_SEQUENCE, _DESCRIPTOR = offset("inode", "sequence"), offset("inode", "descriptor")
_LISTING = offset("inode", "listing_at")
_LINK = offset("inode", "link_at")
#: Numbers of what has no inode in the index: a hash of its name, apart from all that are counted.
_HASHED = 1 << 62
#: Nodes kept to be found again at once.
_KEPT_NODES = 1024
#: Which part of the room may be filled with names.
_PART_FOR_NAMES = 0.75
#: Most paths of the host that are written down as missing: a job may look for any number of them.
_MOST_MISSING = 10_000
#: Where the fields of an inode lie, and how many bytes they have.
_PLACES = {name: (offset("inode", name), width("inode", name)) for name in INODE.names}
_OPEN = _index.INODE_SEARCHED | _index.INODE_EXEC_YES


@dataclass(frozen=True, slots=True)
class Passing:
    """What an object shows, where there is no room to remember it: an inode for the mailbox of one question."""

    fields: dict[str, int]
    link: bytes

    def record(self, place: int) -> bytes:
        """The inode and what belongs to it, to lie at `place` in the index."""
        return INODE.pack(**self.fields, link_at=place + INODE.size) + self.link


def device_of(mount: Mount) -> int:
    """st_dev of everything on the mount."""
    return os.makedev(0, FIRST_MINOR + mount.index)


def mount_id(mount: Mount) -> int:
    """The id that statx(2) tells."""
    return FIRST_MOUNT_ID + mount.index


class Book:
    """The one writer of names and inodes; safe to call from any thread."""

    def __init__(self, index: _index.Index, resolver: Resolver) -> None:
        self.index, self.resolver = index, resolver
        self.lock = threading.RLock()
        self._start = index.used
        #: Inodes of hard link groups, and of what was opened when no names were written down any more, by path.
        self._groups: dict[tuple[int, Hashable], int] = {}
        self._unnamed: dict[bytes, int] = {}
        self._nodes: dict[int, Node] = {}
        self._foreign: set[int] = set()
        self._mount_at: dict[int, Mount] = {}
        self._mounts: dict[int, int] = {}
        self._texts: dict[bytes, int] = {}
        self._missing = 0
        self._plans: dict[tuple[bytes, bytes, int], int] = {}
        self._directories = Directories(self)
        top = resolver.mounts.root or resolver.mounts.top
        index.store(offset("header", "top_at"), width("header", "top_at"), self.inode(Node(top, top.root)))

    # Nodes and inodes.

    def inode(self, node: Node) -> int:
        """The offset of the inode of `node`, made where there is none; its canonical path has an entry then."""
        found = self.known(node)
        if found and (node.entry.link_group is None or self.index.itself(node.key)):
            return found
        above = self.parent(node)
        with self.lock:
            found = self.known(node)
            if not found:
                return self._make(node, above)
            self._enter_itself(node, found, above)
            return found

    def known(self, node: Node) -> int:
        """The offset of the inode of `node`; 0 where it has none."""
        if node.entry.link_group is not None:
            return self._groups.get((node.mount.index, node.entry.link_group), 0)
        return self.at_path(node.key)

    def at_path(self, path: bytes) -> int:
        """The inode whose canonical path that is; 0 where it has none."""
        return self.index.itself(path) or self._unnamed.get(path, 0)

    def node(self, at: int) -> Node | None:
        """The node whose inode lies at this offset; None where it is a copy made for executing.  Raises as `lookup`."""
        node = self._nodes.get(at)
        if node is not None or at in self._foreign:
            return node
        mount = self.mount_of(at)
        entry = mount.lookup(mount.inside(self.key_of(at)))
        if entry is None:
            raise NotFound(f"{text(self.path_of(at))} has left its catalogue; tell whoever publishes this repository")
        return self._keep(at, Node(mount, entry))

    def _keep(self, at: int, node: Node) -> Node:
        if len(self._nodes) >= _KEPT_NODES:
            self._nodes.clear()
        self._nodes[at] = node
        return node

    def path_of(self, at: int) -> bytes:
        """The canonical path of the inode; of a copy made for executing the path of what it was made from."""
        return self.key_of(at) or b"/"

    def key_of(self, at: int) -> bytes:
        """The same as Node.key has it."""
        return self.index.load(self._field(at, "path_at"), self._field(at, "path_length"))

    def mount_of(self, at: int) -> Mount:
        """The mount that the inode is on."""
        return self._mount_at[self._field(at, "mount_at")]

    def shape(self, at: int) -> tuple[int, bytes]:
        """Mode as shown, and the target of a symbolic link (else b"")."""
        mode = self._field(at, "st_mode")
        if not stat.S_ISLNK(mode):
            return mode, b""
        return mode, self.index.load(self._field(at, "link_at"), self._field(at, "link_length"))

    def _field(self, at: int, name: str) -> int:
        start, size = _PLACES[name]
        return int.from_bytes(self.index.load(at + start, size), "little")

    def is_foreign(self, at: int) -> bool:
        """Whether that is a copy made for executing."""
        return at in self._foreign

    @property
    def room_for_names(self) -> int:
        """Bytes of the index that names may fill; the window may have become narrower."""
        return self._start + int((self.index.window - self._start) * _PART_FOR_NAMES)

    @property
    def is_full(self) -> bool:
        """Whether no more names are written down."""
        return self.index.used > self.room_for_names

    def passing(self, node: Node) -> Passing | None:
        """What `node` shows, to go out with a mailbox; None where it has an inode, or may have one."""
        if not self.is_full or self.known(node):
            return None
        link = node.mount.target_of(node.entry) if node.entry.is_symlink else b""
        return Passing(self._fields(node, self.number(node), link), link)

    def above(self, at: int) -> int:
        """What `..` is in the directory; of /cvmfs, itself."""
        return self._field(at, "parent_at") or at

    def flags(self, at: int) -> int:
        """INODE_... of the inode."""
        return self._field(at, "flags")

    def is_searched(self, at: int) -> bool:
        """Whether everybody may search every directory above that inode."""
        return bool(self.flags(at) & _index.INODE_SEARCHED)

    def number_of(self, at: int) -> int:
        """st_ino of the inode."""
        return self._field(at, "st_ino")

    def device_of(self, at: int) -> int:
        """st_dev of the inode."""
        return self._field(at, "st_dev")

    def number(self, node: Node) -> int:
        """A new number, or for what may never get an inode one that is always the same."""
        if not self.is_full:
            return self.index.number()
        key = repr((node.mount.index, node.entry.link_group or node.entry.path)).encode()
        return _HASHED | self.index.hash(key) >> 2

    def parent(self, node: Node) -> int:
        """The inode of the directory above, which gets one if need be; 0: the host's, or there is none."""
        mounts = self.resolver.mounts
        if node.mount is mounts.top or (node.mount is mounts.root and node.entry.path == node.mount.base):
            return 0
        known = self.at_path(node.key.rpartition(b"/")[0])
        if known:
            return known
        above = self.resolver.parent(node)
        assert isinstance(above, Node), "only the top is in a directory of the host"
        return self.inode(above)

    def _make(self, node: Node, above: int) -> int:
        link = node.mount.target_of(node.entry) if node.entry.is_symlink else b""
        path, full = node.key, self.is_full
        fields = self._fields(node, self.number(node), link)
        fields["flags"] |= _index.INODE_SEARCHED if self._is_open(above) else 0
        if not full:
            self.index.enter(path, 0, 0)
        fields |= {
            "path_at": self.index.append(path) if full else self.index.key_of(path),
            "path_hash": self.index.hash_words(path),
            "path_length": len(path),
            "link_at": self.index.append(link) if link else 0,
            "parent_at": above,
        }
        at = self.index.append(INODE.pack(**fields))
        if node.entry.link_group is not None:
            self._groups[node.mount.index, node.entry.link_group] = at
        elif full:
            self._unnamed[path] = at
        if not full:
            self._enter_itself(node, at, above)
        return at

    def _enter_itself(self, node: Node, at: int, above: int) -> None:
        """The canonical path of `node`; what a link leads to is not known yet, and hidden rights are asked for."""
        if self.is_full:
            return
        word = target(_index.TARGET_INODE, at) if self._is_open(above) else 0
        self.index.enter(node.key, 0 if node.entry.is_symlink else word, word, at)

    def _is_open(self, at: int) -> bool:
        """Whether everybody may look up names in that directory, and come to it."""
        return not at or self.flags(at) & _OPEN == _OPEN

    def _fields(self, node: Node, number: int, link: bytes) -> dict[str, int]:
        """All that an inode shows, but for what lies elsewhere in the index."""
        attributes = node.mount.attributes(node.entry)
        return {
            "st_dev": device_of(node.mount), "st_ino": number, "st_mode": attributes.mode,
            "st_nlink": attributes.nlink, "st_uid": attributes.uid, "st_gid": attributes.gid,
            "st_rdev": node.entry.rdev, "st_size": attributes.size, "mtime": node.entry.mtime,
            "mtime_ns": node.entry.mtime_ns, "flags": rights(attributes.mode, attributes.enforced),
            "link_length": len(link), "mount_at": self._mount(node.mount), "descriptor": -1,
        }  # fmt: skip

    def _mount(self, mount: Mount) -> int:
        if mount.index not in self._mounts:
            size, files = mount.usage()
            self._mounts[mount.index] = self.index.append(MOUNT.pack(id=mount_id(mount), bytes=size, files=files))
            self._mount_at[self._mounts[mount.index]] = mount
        return self._mounts[mount.index]

    def foreign(self, path: bytes, status: os.stat_result) -> int:
        """An inode for a file of the host that is executed from a copy; shows the host's own attributes."""
        with self.lock:
            at = self.index.append(
                INODE.pack(
                    st_dev=status.st_dev, st_ino=status.st_ino, st_mode=status.st_mode, st_nlink=status.st_nlink,
                    st_uid=status.st_uid, st_gid=status.st_gid, st_rdev=status.st_rdev, st_size=status.st_size,
                    mtime=status.st_mtime_ns // 10**9, mtime_ns=status.st_mtime_ns % 10**9,
                    path_at=self.index.append(path), path_hash=self.index.hash_words(path), path_length=len(path),
                    mount_at=self._mount(self.resolver.mounts.top), descriptor=-1,
                )
            )  # fmt: skip
            self._foreign.add(at)
            return at

    def copy_of(self, at: int) -> int:
        """A second inode that shows the same, for another stand-in."""
        with self.lock:
            copy = self.index.append(self.index.load(at, INODE.size))
            self.index.store(copy + _DESCRIPTOR, 4, -1)
            self._foreign.add(copy)
            return copy

    # Names.

    def text(self, text: bytes) -> int:
        """The offset of a NUL-terminated text, stored once."""
        with self.lock:
            if text not in self._texts:
                self._texts[text] = self.index.append(text)
            return self._texts[text]

    def plan(self, first: bytes, second: bytes, errno: int) -> int:
        """The target that has a call on two paths made with these (empty: as given); see `struct plan`."""
        key = (first, second, errno)
        with self.lock:
            if key not in self._plans:
                paths = [self.text(path) if path else 0 for path in (first, second)]
                self._plans[key] = self.index.append(PLAN.pack(path_at=paths[0], argv_at=paths[1], inode_at=errno))
            return target(_index.TARGET_PLAN, self._plans[key])

    def enter(self, key: bytes, follow: bool, value: int) -> None:
        """Write down what the path `key` means when its last link is followed, or not; unless that is known anyway."""
        with self.lock:
            if not self.is_full and self.index.lookup(0, key, follow) != value:
                self.index.enter(key, value if follow else 0, 0 if follow else value)

    def enter_node(self, key: bytes, follow: bool, at: int) -> None:
        """As `enter`, for both ways at once where the object is no symbolic link."""
        word = target(_index.TARGET_INODE, at)
        self.enter(key, follow, word)
        if not follow and not stat.S_ISLNK(self._field(at, "st_mode")):
            self.enter(key, True, word)

    def enter_name(self, name: bytes) -> None:
        """Let `name` be a text of the index, whatever it means: programs are told by what name they were executed."""
        with self.lock:
            if not self.is_full:
                self.index.enter(name, 0, 0)

    def enter_missing(self, path: bytes) -> None:
        """Write down that the host has no such `path`: not to be believed, but worth asking the kernel about."""
        with self.lock:
            if path and self._missing < _MOST_MISSING and not self.is_full:
                self._missing += self.index.enter(path, 0, target(_index.TARGET_MISSING))

    def enter_passed(self, nodes: Iterable[object]) -> None:
        """Let these be found by their canonical paths: others will come the same way."""
        for node in nodes:
            if isinstance(node, Node) and not self.is_full:
                self.inode(node)

    def list_directory(self, at: int) -> None:
        """Enter all children of the directory and mark it complete; raises what listing the catalogue raises."""
        self._directories.enter(at)

    def part_of_listing(self, at: int, position: int, place: int) -> bytes:
        """Some of the names in the directory, to lie at `place` in the index: for one that could not be entered."""
        return self._directories.part(at, position, place)

    def is_listed(self, at: int) -> bool:
        """Whether the directory has a listing in the index."""
        return self._field(at, "listing_at") != 0

    def execute_by(self, at: int, program: int, name_at: int) -> None:
        """Say that whoever may execute the file whose inode lies at `at` executes the stand-in of `program`.

        The first name it is called by is what it is called wherever nothing else is said (decision 19).
        """
        with self.lock:
            if not self._field(program, "link_at"):
                self.index.store(program + _LINK, 8, name_at)
        self.index.store(at + _LISTING, 8, program)

    # Stand-ins.

    def set_standin(self, at: int, descriptor: int, device: int, number: int) -> None:
        """Say which descriptor of the server stands for the inode, and that (device, number) is that stand-in."""
        with self.lock:
            self.index.identify(device, number, at)
            self._bump(at)
            self.index.store(at + _DESCRIPTOR, 4, descriptor)

    def descriptor_of(self, at: int) -> int:
        """The descriptor that is written down for the inode; -1: none."""
        return int.from_bytes(self.index.load(at + _DESCRIPTOR, 4), "little", signed=True)

    def drop_standin(self, at: int) -> None:
        """Before its descriptor is closed: readers notice by the sequence number.  Its identity stays known."""
        with self.lock:
            self._bump(at)
            self.index.store(at + _DESCRIPTOR, 4, -1)

    def _bump(self, at: int) -> None:
        self.index.store(at + _SEQUENCE, 4, (self._field(at, "sequence") + 1) & 0x7FFFFFFF)
