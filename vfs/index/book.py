"""What the resolver found, written down where programs can read it: nodes become inodes, paths become entries.

Owns the way from `Node` to a record of the shared index and back.  Must not know system calls, nor where stand-ins
come from.  Only what holds for every user is written under a path; the rest is marked "ask".

Lock order: `Book.lock` is a leaf; nothing is called out to while it is held but the index.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Hashable

from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import CHILD, INODE, MOUNT, PLAN, offset, target
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
_LISTING, _FLAGS = offset("inode", "listing_at"), offset("inode", "flags")


class Book:
    """The one writer of names and inodes; safe to call from any thread."""

    def __init__(self, index: _index.Index, resolver: Resolver) -> None:
        self.index, self.resolver = index, resolver
        self.lock = threading.RLock()
        self._offsets: dict[tuple[int, Hashable], int] = {}
        self._nodes: dict[int, Node] = {}
        self._numbers: dict[int, int] = {}
        self._flags: dict[int, int] = {}
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
        """The node whose inode lies at this offset."""
        return self._nodes.get(at)

    def is_searched(self, at: int) -> bool:
        """Whether everybody may search every directory above that inode."""
        return bool(self._flags[at] & _index.INODE_SEARCHED)

    def _searched(self, node: Node) -> bool:
        """Everybody may come here, judged from the parents down; those get their inodes on the way."""
        parent = self.resolver.parent(node)
        if not isinstance(parent, Node):
            return True
        return self.is_searched(self.inode(parent)) and self.resolver.open_to_all(parent)

    def _make(self, key: tuple[int, Hashable], node: Node, searched: bool) -> int:
        entry, attributes = node.entry, node.mount.attributes(node.entry)
        link = node.mount.target_of(entry) if entry.is_symlink else b""
        path = node.path
        self._next_number += 1
        flags = self._permission_flags(node) | (_index.INODE_SEARCHED if searched else 0)
        at = self.index.append(
            INODE.pack(
                st_dev=os.makedev(0, FIRST_MINOR + node.mount.index),
                st_ino=self._next_number,
                st_mode=attributes.mode,
                st_nlink=attributes.nlink,
                st_uid=attributes.uid,
                st_gid=attributes.gid,
                st_rdev=entry.rdev,
                st_size=attributes.size,
                mtime=entry.mtime,
                mtime_ns=entry.mtime_ns,
                flags=flags,
                path_at=self.index.append(path),
                path_hash=self.index.hash(path),
                path_length=len(path),
                link_length=len(link),
                link_at=self.index.append(link) if link else 0,
                mount_at=self._mount(node.mount),
                descriptor=-1,
            )
        )
        self._offsets[key], self._nodes[at], self._numbers[at], self._flags[at] = at, node, self._next_number, flags
        return at

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
        return self._mounts[mount.index]

    def foreign(self, path: bytes, status: os.stat_result) -> int:
        """An inode for a file of the host that is executed from a copy; shows the host's own attributes."""
        with self.lock:
            return self.index.append(
                INODE.pack(
                    st_dev=status.st_dev, st_ino=status.st_ino, st_mode=status.st_mode, st_nlink=status.st_nlink,
                    st_uid=status.st_uid, st_gid=status.st_gid, st_rdev=status.st_rdev, st_size=status.st_size,
                    mtime=status.st_mtime_ns // 10**9, mtime_ns=status.st_mtime_ns % 10**9,
                    path_at=self.index.append(path), path_hash=self.index.hash(path), path_length=len(path),
                    mount_at=self._mount(self.resolver.mounts.top), descriptor=-1,
                )
            )  # fmt: skip

    def copy_of(self, at: int) -> int:
        """A second inode that shows the same, for another stand-in."""
        with self.lock:
            copy = self.index.append(self.index.load(at, INODE.size))
            self.index.store(copy + _DESCRIPTOR, 4, -1)
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
        """Write down what the path `key` means when its last link is followed, or not."""
        with self.lock:
            self.index.enter(key, value if follow else 0, 0 if follow else value)

    def enter_node(self, key: bytes, follow: bool, at: int) -> None:
        """As `enter`, for both ways at once where the object is no symbolic link."""
        word = target(_index.TARGET_INODE, at)
        node = self._nodes[at]
        with self.lock:
            if node.entry.is_symlink or follow:
                self.index.enter(key, word if follow else 0, 0 if follow else word)
            else:
                self.index.enter(key, word, word)

    def list_directory(self, at: int) -> None:
        """Enter all children of the directory and mark it complete; raises what listing the catalogue raises."""
        node = self._nodes[at]
        if not node.entry.is_dir or self.is_listed(at):
            return
        parent = self.resolver.parent(node)
        parent_at = self.inode(parent) if isinstance(parent, Node) else at
        children = self._children(node)
        with self.lock:
            if not self.is_listed(at):
                self._write_listing(at, parent_at, children)

    def is_listed(self, at: int) -> bool:
        """Whether the directory has a listing in the index."""
        return at in self._listed

    def _children(self, directory: Node) -> list[tuple[Node, int]]:
        entries = directory.mount.listdir(directory.entry.path)
        if directory.mount is self.resolver.mounts.top:
            return [(Node(directory.mount, entry), 0) for entry in entries]
        nodes = [Node(directory.mount, entry) for entry in entries]
        return [(node, self.inode(node)) for node in nodes]

    def _write_listing(self, at: int, parent_at: int, children: list[tuple[Node, int]]) -> None:
        top = self._nodes[at].mount is self.resolver.mounts.top
        rows = [
            self._child(b".", self._numbers[at], stat.S_IFDIR),
            self._child(b"..", self._numbers[parent_at], stat.S_IFDIR),
        ]
        open_to_all = self.is_searched(at) and self.resolver.open_to_all(self._nodes[at])
        if self.is_searched(at):  # so that the first name that it does not have needs no question
            self.index.enter(self._nodes[at].path, *[target(_index.TARGET_INODE, at)] * 2)
        for node, child_at in children:
            number = self._numbers[child_at] if child_at else FIRST_INODE
            rows.append(self._child(node.entry.name, number, node.entry.mode))
            if child_at:
                self._enter_child(node, child_at, open_to_all)
        listing = self.index.append(len(rows).to_bytes(8, "little") + b"".join(rows))
        self.index.store(at + _LISTING, 8, listing)
        self._listed.add(at)
        if not top:
            self._flags[at] |= _index.INODE_COMPLETE
            self.index.store(at + _FLAGS, 4, self._flags[at])

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
