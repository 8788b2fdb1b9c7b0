"""What a mount shows beyond its repository: directories that lead to binds, and files that are made for the launch.

Owns which entries those are.  Must not know how a mount is walked, nor what is bound.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Mapping

from hepwrap.records import dataclass, field
from hepwrap.vfs.entry import DIRECTORY, FILE, Entry


@dataclass(frozen=True, slots=True)
class Place:
    """A path of a repository at which something else is shown."""

    path: bytes
    is_directory: bool = True


@dataclass(frozen=True, slots=True)
class Places:
    """Additions to one mount; all paths are those of entries.

    `entries` are shown instead of what the repository has there; `covered` are the names in each directory at which
    something else is mounted; `contents` are those of files that no repository has.
    """

    entries: Mapping[bytes, Entry] = field(default_factory=dict)
    covered: Mapping[bytes, frozenset[bytes]] = field(default_factory=dict)
    contents: Mapping[bytes, bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.entries or self.covered)

    def concern(self, directory: bytes) -> bool:
        """Whether `directory` does not simply list as its repository has it."""
        return directory in self.covered or any(parent_of(path) == directory for path in self.entries)

    def listed(self, directory: bytes, entries: Iterable[Entry]) -> list[Entry]:
        """The entries of the directory, with these."""
        ours = [entry for path, entry in self.entries.items() if path and parent_of(path) == directory]
        return [entry for entry in entries if entry.path not in self.entries] + ours


NO_PLACES = Places()


def make_places(
    lookup: Callable[[bytes], Entry | None], places: Iterable[Place], contents: Mapping[bytes, bytes], time: int
) -> Places:
    """Places with all that leads to them: what the repository lacks is made, as of `time` (seconds since 1970)."""
    entries = {path: regular_file(path, len(content), time) for path, content in contents.items()}
    covered: dict[bytes, frozenset[bytes]] = {}
    for place in places:
        above, _, name = place.path.rpartition(b"/")
        covered[above] = covered.get(above, frozenset()) | {name}
        if lookup(place.path) is None:
            make = directory if place.is_directory else lambda path, time: regular_file(path, 0, time)
            entries[place.path] = make(place.path, time)
        while above and above not in entries and lookup(above) is None:
            entries[above] = directory(above, time)
            above = parent_of(above)
    return Places(entries, covered, dict(contents))


def parent_of(path: bytes) -> bytes:
    """The directory that an entry's path is in."""
    return path.rpartition(b"/")[0]


def directory(path: bytes, time: int, nlink: int = 2) -> Entry:
    """A directory that no catalogue has, as autofs shows its own: root's, mode 0755, size 0."""
    return _entry(path, stat.S_IFDIR | 0o755, 0, time, nlink, DIRECTORY)


def regular_file(path: bytes, size: int, time: int) -> Entry:
    """A file that no catalogue has: root's, mode 0644."""
    return _entry(path, stat.S_IFREG | 0o644, size, time, 1, FILE)


def _entry(path: bytes, mode: int, size: int, time: int, nlink: int, flags: int) -> Entry:
    return Entry(
        path=path,
        name=path.rpartition(b"/")[2],
        mode=mode,
        size=size,
        mtime=time,
        mtime_ns=0,
        uid=0,
        gid=0,
        nlink=nlink,
        rdev=0,
        flags=flags,
        link_group=None,
        digest=None,
        compression="zlib",
        symlink=b"",
        is_nested_mount=False,
    )
