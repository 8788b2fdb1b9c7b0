"""Reading the tree that is to be published: names, attributes, link targets.  Opens no file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hepwrap.errors import PublishFailed, UsageError
from hepwrap.vfs.publish import xattr_blob
from hepwrap.vfs.publish.node import Node, shown

Warn = Callable[[str], None]


class Scanner:
    """Reads one tree.  What vanishes meanwhile is left out with a warning; what cannot be read ends the publishing."""

    def __init__(self, directory: Path, *, xattrs: bool, warn: Warn, tick: Callable[[], None] = lambda: None) -> None:
        self._base = os.fsencode(directory)
        self._xattrs = xattrs
        self._warn = warn
        self._tick = tick

    def scan(self) -> Node:
        """The root, with everything below it."""
        root = Node(b"", b"", os.stat(self._base))
        if not root.is_dir:
            raise UsageError(f"{shown(self._base)} is not a directory; name the one whose tree shall be published")
        if self._xattrs:
            root.xattrs = xattr_blob.read(self._base, b"", self._warn)
        waiting = [root]
        while waiting:
            directory = waiting.pop()
            self._fill(directory)
            waiting.extend(child for child in directory.children if child.is_dir)
        return root

    def _fill(self, directory: Node) -> None:
        try:
            names = os.listdir(self._base + directory.path)
        except (FileNotFoundError, NotADirectoryError):
            directory.gone = True
            self._warn(f"{shown(directory.path)} vanished while the tree was being read; its content is left out")
            return
        except OSError as error:
            raise _unreadable(directory.path, error) from error
        for name in sorted(names):
            child = self._entry(name, directory.path + b"/" + name)
            if child is not None:
                directory.children.append(child)
            self._tick()

    def _entry(self, name: bytes, path: bytes) -> Node | None:
        disk_path = self._base + path
        try:
            node = Node(name, path, os.lstat(disk_path))
            if node.is_symlink:
                node.target = os.readlink(disk_path)
            elif self._xattrs and (node.is_file or node.is_dir):
                node.xattrs = xattr_blob.read(disk_path, path, self._warn)
        except FileNotFoundError:
            self._warn(f"{shown(path)} vanished while the tree was being read; it is left out")
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        return node


def remove_gone(root: Node) -> None:
    """Take what vanished out of the tree."""
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        directory.children = [child for child in directory.children if not child.gone]
        waiting.extend(child for child in directory.children if child.is_dir)


def _unreadable(path: bytes, error: OSError) -> PublishFailed:
    return PublishFailed(
        f"{shown(path)} cannot be read: {error.strerror}; nothing was published, make it readable first"
    )
