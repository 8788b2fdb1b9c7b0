"""Hard links: which entries of one directory are one file (format notes, section 7.3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from hepwrap.vfs.publish.node import Node, directories, shown


def group_links(root: Node, warn: Callable[[str], None]) -> None:
    """Mark the members of link groups; `number_groups` then numbers them, catalogue by catalogue.

    Links across directories cannot be stored: they become separate files, with a warning.
    """
    places: dict[tuple[int, int], list[Node]] = {}
    for directory in directories(root):
        for members in _linked(directory).values():
            first = members[0]
            elsewhere = places.setdefault((first.device, first.inode), [])
            elsewhere.append(first)
            for member in members:
                member.link_count = len(members)
                member.link_group = 1 if len(members) > 1 else 0
    for nodes in places.values():
        if len(nodes) > 1:
            warn(
                f"{shown(nodes[0].path)} and {shown(nodes[1].path)} are hard links in different directories,"
                " which the format cannot hold; they are published as separate files"
            )


def number_groups(directory: Node, next_group: int) -> int:
    """Give the groups of one directory the numbers from `next_group` on; returns the next free number."""
    numbers: dict[tuple[int, int], int] = {}
    for child in directory.children:
        if child.link_group:
            key = (child.device, child.inode)
            if key not in numbers:
                numbers[key] = next_group + len(numbers)
            child.link_group = numbers[key]
    return next_group + len(numbers)


def _linked(directory: Node) -> dict[tuple[int, int], list[Node]]:
    members: defaultdict[tuple[int, int], list[Node]] = defaultdict(list)
    for child in directory.children:
        if child.nlink > 1 and not child.is_dir:
            members[child.device, child.inode].append(child)
    return members
