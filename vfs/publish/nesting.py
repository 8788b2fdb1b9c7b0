"""Which directories become roots of nested catalogues: by marker, by dirtab, and where a catalogue would grow too big.

Owns that choice, and the marker files that the format wants to see for it.  Knows nothing of rows or databases.
"""

from __future__ import annotations

import copy
import heapq
import stat
from collections.abc import Callable
from dataclasses import dataclass

from hepwrap.errors import UsageError
from hepwrap.vfs.publish.dirtab import Dirtab
from hepwrap.vfs.publish.node import Content, Nested, Node, directories, shown

MARKER = b".cvmfscatalog"
AUTOMATIC_MARKER = b".cvmfsautocatalog"


@dataclass(frozen=True, slots=True)
class Limits:
    """Rows: a catalogue with more than `maximum` is split, and no part split off has less than `minimum`."""

    maximum: int = 100_000
    minimum: int = 1_000

    def __post_init__(self) -> None:
        if not 0 < self.minimum <= self.maximum:
            raise UsageError(
                f"catalogue limits {self.minimum} to {self.maximum} make no sense; use 0 < minimum <= maximum"
            )


def check_root(root: Node) -> None:
    """UsageError where the root itself has the marker."""
    if any(child.name == MARKER for child in root.children):
        raise UsageError("/.cvmfscatalog: the root always has a catalogue, a marker there is an error; remove it")


def choose(root: Node, dirtab: Dirtab, limits: Limits, warn: Callable[[str], None]) -> list[Node]:
    """Set `nested` where a catalogue begins; returns all those directories, deepest first, the root last."""
    everything = list(directories(root))
    for directory in everything[1:]:
        directory.nested = _asked_for(directory, dirtab)
    _split(everything, limits, warn)
    return [*(directory for directory in reversed(everything[1:]) if directory.nested is not None), root]


def add_markers(chosen: list[Node], empty: Content) -> None:
    """Give each directory that we chose the marker files which the format has for that; `empty` is their content.

    They have the directory's owner and time, so that the same tree always gives the same rows.
    """
    for directory in chosen:
        if directory.nested in (Nested.DIRTAB, Nested.AUTOMATIC):
            _add_marker(directory, MARKER, empty)
        if directory.nested is Nested.AUTOMATIC:
            _add_marker(directory, AUTOMATIC_MARKER, empty)


def needs_markers(chosen: list[Node]) -> bool:
    """Whether `add_markers` would add any."""
    return any(directory.nested in (Nested.DIRTAB, Nested.AUTOMATIC) for directory in chosen)


def _asked_for(directory: Node, dirtab: Dirtab) -> Nested | None:
    if any(child.name == MARKER and child.is_file for child in directory.children):
        return Nested.MARKER
    return Nested.DIRTAB if dirtab.matches(directory.path) else None


def _split(everything: list[Node], limits: Limits, warn: Callable[[str], None]) -> None:
    """Bottom up, cut the heaviest subdirectory off a directory whose catalogue is still too big.

    Children are done before their parent, so none of them is over the limit and the fewest catalogues are made.
    """
    weight: dict[bytes, int] = {}
    for directory in reversed(everything):
        # A directory that is nested already, or becomes so, weighs one row (its mount point) in its parent.
        own = 1 + len(directory.children)
        heaviest: list[tuple[int, bytes, Node]] = []
        for child in directory.children:
            if child.is_dir and child.nested is None:
                own += weight[child.path] - 1
                heaviest.append((-weight[child.path], child.path, child))
        heapq.heapify(heaviest)
        while own > limits.maximum and heaviest and -heaviest[0][0] >= limits.minimum:
            negative, _, child = heapq.heappop(heaviest)
            child.nested = Nested.AUTOMATIC
            own += negative + 1
        if own > limits.maximum:
            warn(
                f"{shown(directory.path)}: its catalogue has {own} entries, more than {limits.maximum},"
                " and no subdirectory is large enough to be split off"
            )
        weight[directory.path] = own


def _add_marker(directory: Node, name: bytes, empty: Content) -> None:
    if any(child.name == name for child in directory.children):
        return
    marker = copy.copy(directory)
    marker.name, marker.path = name, directory.path + b"/" + name
    marker.mode, marker.size, marker.nlink = stat.S_IFREG | 0o644, 0, 1
    marker.children, marker.xattrs, marker.nested, marker.content = [], None, None, empty
    directory.children.append(marker)
    directory.children.sort(key=lambda child: child.name)
