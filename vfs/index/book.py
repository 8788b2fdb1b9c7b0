"""What the resolver found, written down where programs can read it: nodes become inodes, paths become entries.

Owns the way from `Node` to a record of the shared index and back.  Must not know system calls, nor where stand-ins
come from.  Only what holds for every user is written under a path; the rest is marked "ask".

What is only named costs the index alone; nodes are looked up again when they are needed.  Once a quarter of the index
is in use no more is remembered (`is_full`): answers go out with the mailbox (`Passing`), and the rest of the room is
kept for what is opened, which must stay known as long as somebody may ask a descriptor what it is.

Lock order: `Book.lock` is a leaf; nothing is called out to while it is held but the index.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Hashable
from dataclasses import dataclass

from hepwrap.errors import NotFound
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import CHILD, INODE, MOUNT, PLAN, offset, target, width
from hepwrap.vfs.mounts import Mount
from hepwrap.vfs.permissions import R_OK, X_OK, common
from hepwrap.vfs.resolve import Node, Resolver

#: Device numbers shown for our mounts: major 0, as anonymous mounts have, minors where no kernel counts to.
FIRST_MINOR = 0xC5000
#: Mount ids shown by statx(2).
FIRST_MOUNT_ID = 0xC5000
FIRST_INODE = 1 << 8
_TYPE_SHIFT = 12
_ASK = target(_index.TARGET_ASK)

_SEQUENCE, _DESCRIPTOR = offset("inode", "sequence"), offset("inode", "descriptor")
#: Numbers of what has no inode in the index: a hash of its name, apart from all that are counted.
_HASHED = 1 << 62
#: Nodes kept to be found again at once.
_KEPT_NODES = 16384
#: Which part of the room that is left may be filled with names.
_PART_FOR_NAMES = 4
_LISTING, _FLAGS = offset("inode", "listing_at"), offset("inode", "flags")
_NUMBER, _MODE = offset("inode", "st_ino"), offset("inode", "st_mode")


@dataclass(frozen=True, slots=True)
class Passing:
    """What an object shows, where there is no room to remember it: an inode for the mailbox of one question."""

    fields: dict[str, int]
    link: bytes

    def record(self, place: int) -> bytes:
        """The inode and what belongs to it, to lie at `place` in the index."""
        return INODE.pack(**self.fields, link_at=place + INODE.size) + self.link


class Book:
    """The one writer of names and inodes; safe to call from any thread."""

    def __init__(self, index: _index.Index, resolver: Resolver) -> None:
        self.index, self.resolver = index, resolver
        self.lock = threading.RLock()
        window = int.from_bytes(index.load(offset("header", "window"), width("header", "window")), "little")
        self._room_for_names = index.used + (window - index.used) // _PART_FOR_NAMES
        self._offsets: dict[tuple[int, Hashable], int] = {}
        self._nodes: dict[int, Node] = {}
        self._foreign: set[int] = set()
        self._mount_at: dict[int, Mount] = {}
        self._sequences: dict[int, int] = {}
        self._mounts: dict[int, int] = {}
        self._texts: dict[bytes, int] = {}
        self._plans: dict[tuple[bytes, bytes, int], int] = {}
        self._next_number = FIRST_INODE
        self._listed: set[int] = set()

    # Nodes and inodes.

    def inode(self, node: Node) -> int:
        """The offset of the inode of `node`, made where there is none."""
        key = (node.mount.index, node.entry.link_group or node.entry.path)
        found = self._offsets.get(key)
        if found is not None:
            return found
        searched = self._searched(node)
        with self.lock:
            return self._offsets.get(key) or self._make(key, node, searched)

    def node(self, at: int) -> Node | None:
        """The node whose inode lies at this offset; None where it is a copy made for executing.  Raises as `lookup`."""
        node = self._nodes.get(at)
        if node is not None or at in self._foreign:
            return node
        record = INODE.unpack(self.index.load(at, INODE.size))
        mount = self._mount_at[record["mount_at"]]
        entry = mount.lookup(self.index.load(record["path_at"], record["path_length"])[len(mount.prefix) :])
        if entry is None:
            raise NotFound(f"inode {record['st_ino']} has left its catalogue; tell whoever publishes this repository")
        return self._keep(at, Node(mount, entry))

    def _keep(self, at: int, node: Node) -> Node:
        if len(self._nodes) >= _KEPT_NODES:
            self._nodes.clear()
        self._nodes[at] = node
        return node

    def path_of(self, at: int) -> bytes:
        """The canonical path of the inode; of a copy made for executing the path of what it was made from."""
        record = INODE.unpack(self.index.load(at, INODE.size))
        return self.index.load(record["path_at"], record["path_length"])

    def is_foreign(self, at: int) -> bool:
        """Whether that is a copy made for executing."""
        return at in self._foreign

    @property
    def is_full(self) -> bool:
        """Whether no more names are written down."""
        return self.index.used > self._room_for_names

    def passing(self, node: Node) -> Passing | None:
        """What `node` shows, to go out with a mailbox; None where it has an inode, or may have one."""
        if not self.is_full or (node.mount.index, node.entry.link_group or node.entry.path) in self._offsets:
            return None
        link = node.mount.target_of(node.entry) if node.entry.is_symlink else b""
        return Passing(self._fields(node, self._number(node), link), link)

    def is_searched(self, at: int) -> bool:
        """Whether everybody may search every directory above that inode."""
        return bool(self._flags(at) & _index.INODE_SEARCHED)

    def _flags(self, at: int) -> int:
        return int.from_bytes(self.index.load(at + _FLAGS, 4), "little")

    def _number_of(self, at: int) -> int:
        return int.from_bytes(self.index.load(at + _NUMBER, 8), "little")

    def _number(self, node: Node) -> int:
        """A new number, or for what may never get an inode one that is always the same."""
        if not self.is_full:
            self._next_number += 1
            return self._next_number
        key = repr((node.mount.index, node.entry.link_group or node.entry.path)).encode()
        return _HASHED | self.index.hash(key) >> 2

    def _searched(self, node: Node) -> bool:
        """Everybody may come here, judged from the parents down; those get their inodes on the way."""
        parent = self.resolver.parent(node)
        if not isinstance(parent, Node):
            return True
        return self.is_searched(self.inode(parent)) and self.resolver.open_to_all(parent)

    def _make(self, key: tuple[int, Hashable], node: Node, searched: bool) -> int:
        link = node.mount.target_of(node.entry) if node.entry.is_symlink else b""
        path = node.path
        fields = self._fields(node, self._number(node), link)
        fields["flags"] |= _index.INODE_SEARCHED if searched else 0
        fields |= {
            "path_at": self.index.append(path),
            "path_hash": self.index.hash(path),
            "path_length": len(path),
            "link_at": self.index.append(link) if link else 0,
        }
        at = self.index.append(INODE.pack(**fields))
        self._offsets[key] = at
        return at

    def _fields(self, node: Node, number: int, link: bytes) -> dict[str, int]:
        """All that an inode shows, but for what lies elsewhere in the index."""
        attributes = node.mount.attributes(node.entry)
        return {
            "st_dev": os.makedev(0, FIRST_MINOR + node.mount.index), "st_ino": number, "st_mode": attributes.mode,
            "st_nlink": attributes.nlink, "st_uid": attributes.uid, "st_gid": attributes.gid,
            "st_rdev": node.entry.rdev, "st_size": attributes.size, "mtime": node.entry.mtime,
            "mtime_ns": node.entry.mtime_ns, "flags": self._permission_flags(node), "link_length": len(link),
            "mount_at": self._mount(node.mount), "descriptor": -1,
        }  # fmt: skip

    def _permission_flags(self, node: Node) -> int:
        attributes = node.mount.attributes(node.entry)
        read, search = common(attributes, R_OK), common(attributes, X_OK)
        return (
            (_index.INODE_READ_YES if read else 0)
            | (_index.INODE_EXEC_YES if search else 0)
            | (_index.INODE_EXEC_NO if search is False else 0)
            | (0 if attributes.enforced else _index.INODE_UNCHECKED)
        )

    def _mount(self, mount: Mount) -> int:
        if mount.index not in self._mounts:
            self._mounts[mount.index] = self.index.append(MOUNT.pack(id=FIRST_MOUNT_ID + mount.index))
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
                    path_at=self.index.append(path), path_hash=self.index.hash(path), path_length=len(path),
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
        """The offset of a NUL-terminated text, stored once as long as there is room for names."""
        with self.lock:
            if self.is_full and text not in self._texts:
                return self.index.append(text)
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
        """Write down what the path `key` means when its last link is followed, or not."""
        with self.lock:
            if not self.is_full:
                self.index.enter(key, value if follow else 0, 0 if follow else value)

    def enter_node(self, key: bytes, follow: bool, at: int) -> None:
        """As `enter`, for both ways at once where the object is no symbolic link."""
        word = target(_index.TARGET_INODE, at)
        is_link = stat.S_ISLNK(int.from_bytes(self.index.load(at + _MODE, 4), "little"))
        with self.lock:
            if self.is_full:
                return
            if is_link or follow:
                self.index.enter(key, word if follow else 0, 0 if follow else word)
            else:
                self.index.enter(key, word, word)

    def list_directory(self, at: int) -> None:
        """Enter all children of the directory and mark it complete; raises what listing the catalogue raises."""
        node = self.node(at)
        if node is None or not node.entry.is_dir or self.is_listed(at):
            return
        parent = self.resolver.parent(node)
        parent_at = self.inode(parent) if isinstance(parent, Node) else at
        children = self._children(node)
        with self.lock:
            if not self.is_listed(at):
                self._write_listing(at, node, parent_at, children)

    def is_listed(self, at: int) -> bool:
        """Whether the directory has a listing in the index."""
        return at in self._listed

    def _children(self, directory: Node) -> list[tuple[Node, int]]:
        entries = directory.mount.listdir(directory.entry.path)
        if directory.mount is self.resolver.mounts.top:
            return [(Node(directory.mount, entry), 0) for entry in entries]
        nodes = [Node(directory.mount, entry) for entry in entries]
        return [(node, 0 if self.is_full else self.inode(node)) for node in nodes]

    def _write_listing(self, at: int, directory: Node, parent_at: int, children: list[tuple[Node, int]]) -> None:
        top = directory.mount is self.resolver.mounts.top
        rows = [
            self._child(b".", self._number_of(at), stat.S_IFDIR),
            self._child(b"..", self._number_of(parent_at), stat.S_IFDIR),
        ]
        open_to_all = self.is_searched(at) and self.resolver.open_to_all(directory)
        if self.is_searched(at) and not self.is_full:  # the first name that it does not have needs no question
            self.index.enter(directory.path, *[target(_index.TARGET_INODE, at)] * 2)
        for node, child_at in children:
            known = child_at or self._offsets.get((node.mount.index, node.entry.link_group or node.entry.path), 0)
            number = self._number_of(known) if known else FIRST_INODE if top else self._number(node)
            rows.append(self._child(node.entry.name, number, node.entry.mode))
            if child_at:
                self._enter_child(node, child_at, open_to_all)
        listing = self.index.append(len(rows).to_bytes(8, "little") + b"".join(rows))
        self.index.store(at + _LISTING, 8, listing)
        self._listed.add(at)
        if not top and all(child_at for _, child_at in children):
            self.index.store(at + _FLAGS, 4, self._flags(at) | _index.INODE_COMPLETE)

    def _child(self, name: bytes, number: int, mode: int) -> bytes:
        return CHILD.pack(
            name_at=self.text(name), st_ino=number, length=len(name), type=stat.S_IFMT(mode) >> _TYPE_SHIFT
        )

    def _enter_child(self, node: Node, at: int, open_to_all: bool) -> None:
        """A child under its canonical path.  What a link leads to is not known yet; hidden rights are asked for."""
        if not open_to_all:
            self.index.enter(node.path, _ASK, _ASK)
            return
        word = target(_index.TARGET_INODE, at)
        self.index.enter(node.path, 0 if node.entry.is_symlink else word, word)

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
        self._sequences[at] = (self._sequences.get(at, 0) + 1) & 0x7FFFFFFF
        self.index.store(at + _SEQUENCE, 4, self._sequences[at])
