"""Which repository is where below /cvmfs, opened on first use; loosely autofs and its mount table.

Owns mounts and their order.  Must not know how repositories are opened or read: it is handed `open_mount`, and asks
of a repository only what `CatalogueView` says.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from hepwrap.errors import HepwrapError, UsageError
from hepwrap.records import dataclass, field
from hepwrap.settings import RepositorySettings
from hepwrap.vfs.binds import Bind, Binds, is_at_or_below
from hepwrap.vfs.entry import Entry
from hepwrap.vfs.places import NO_PLACES, Place, directory, make_places
from hepwrap.vfs.shown import Attributes, Presentation
from hepwrap.vfs.variants import expand, variables

if TYPE_CHECKING:
    from hepwrap.vfs.directory_rows import DirectoryRows
    from hepwrap.vfs.repository import Repository

#: Seconds for which a failure to open is told again before the servers are asked again.
RETRY_SECONDS = 30.0
#: No catalogue makes statfs(2) tell more.
_MOST = (1 << 63) - 1

#: What may name a repository that nobody configured: at least two labels.  Programs look for much else below /cvmfs.
_FQRN = re.compile(rb"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")


class CatalogueView(Protocol):
    """What mounts and path resolution ask of a repository; see Repository for what the methods raise."""

    @property
    def name(self) -> str:
        """The fully qualified repository name."""
        ...

    @property
    def settings(self) -> RepositorySettings:
        """How it shall be shown."""
        ...

    def lookup(self, path: bytes) -> Entry | None:
        """The entry at a literal path (b"" or b"/a/b"), no link followed; None where verified catalogues have none.

        At b"" there always is a directory.
        """
        ...

    def listdir(self, path: bytes) -> list[Entry]:
        """The children of a directory."""
        ...

    def rows(self, path: bytes) -> DirectoryRows | None:
        """The children of what is known to be a directory, as stored; None where they are not stored as rows."""
        ...

    def statistics(self) -> Mapping[str, int]:
        """What the publisher counted, by the names in the root catalogue; empty where nothing was."""
        ...


class Mount:
    """One read-only tree at one place: a repository, or the synthetic /cvmfs itself."""

    def __init__(
        self,
        name: bytes,
        index: int,
        prefix: bytes,
        view: CatalogueView,
        *,
        root: Entry | None = None,
        presentation: Presentation,
        values: Mapping[bytes, bytes],
        synthetic: bool = False,
        base: bytes = b"",
    ) -> None:
        self.name, self.index, self.prefix, self.view, self._root = name, index, prefix, view, root
        #: The directory of the repository that is shown at `prefix`: all paths of entries start with it.
        self.base = base
        self._presentation, self._values = presentation, values
        self._synthetic = synthetic
        self._places = NO_PLACES

    def again(self, index: int, prefix: bytes, root: Entry) -> Mount:
        """The same repository, whose directory `root` is shown at `prefix`."""
        return Mount(
            self.name,
            index,
            prefix,
            self.view,
            root=root,
            presentation=self._presentation,
            values=self._values,
            base=root.path,
        )

    @property
    def root(self) -> Entry:
        """The directory that is shown at `prefix`; asked of the repository when it is first needed."""
        if self._root is None:
            self._root = cast(Entry, self.view.lookup(self.base))
        return self._root

    @property
    def repository(self) -> Repository | None:
        """The repository, None for /cvmfs itself."""
        return None if self._synthetic else cast("Repository", self.view)

    def shown(self, path: bytes) -> bytes:
        """What an entry's path is called by programs; b"" for the root of all."""
        return self.prefix + path[len(self.base) :]

    def inside(self, path: bytes) -> bytes:
        """An entry's path, from what programs call it."""
        return self.base + path[len(self.prefix) :]

    @property
    def has_places(self) -> bool:
        """Whether something else is shown at places in this mount."""
        return bool(self._places)

    def show(self, places: Sequence[Place], contents: Mapping[bytes, bytes], time: int) -> None:
        """See to it that there is something at these places; before anybody looks."""
        self._places = make_places(self.lookup, places, contents, time)

    def content(self, entry: Entry) -> bytes | None:
        """What is in a file that no repository has; None for all others."""
        return self._places.contents.get(entry.path)

    def covered(self, path: bytes) -> frozenset[bytes]:
        """The names in the directory at `path` at which something else is mounted."""
        return self._places.covered.get(path, frozenset())

    def lookup(self, path: bytes) -> Entry | None:
        """The entry at a literal path in this mount; as Repository.lookup."""
        if path == self.base:
            return self.root
        return (self._places.entries.get(path) if self._places else None) or self.view.lookup(path)

    def listdir(self, path: bytes) -> list[Entry]:
        """The entries of the directory at `path`; those of /cvmfs are the configured and the mounted repositories."""
        if not self._places:
            return self.view.listdir(path)
        entries = [] if path in self._places.entries else self.view.listdir(path)
        return self._places.listed(path, entries)

    def rows(self, path: bytes) -> DirectoryRows | None:
        """As Repository.rows; None for what no catalogue has just so."""
        return None if self._places.concern(path) or path in self._places.entries else self.view.rows(path)

    def shown_mode(self, mode: int) -> tuple[int, bool]:
        """st_mode as `attributes` shows it, and whether its bits are enforced."""
        return self._presentation.mode(mode), self._presentation.enforced

    @property
    def owner(self) -> tuple[int, int] | None:
        """Whom everything belongs to; None: to whom the catalogue says, or an id map."""
        return self._presentation.owner

    @property
    def has_mapped_ids(self) -> bool:
        """Whether owners are neither claimed nor as in the catalogue."""
        return self._presentation.is_mapped

    def target_of(self, entry: Entry) -> bytes:
        """Where the symlink `entry` leads, variants expanded; may be empty."""
        return expand(entry.symlink, self._values)

    def usage(self) -> tuple[int, int]:
        """Bytes of all files, and number of all entries, for statfs(2); zeros where nobody has counted."""
        told = self.view.statistics()

        def all_of(name: str) -> int:
            return sum(max(0, told.get(f"{scope}_{name}", 0)) for scope in ("self", "subtree"))

        entries = sum(map(all_of, ("regular", "symlink", "special", "dir"))) - all_of("nested")  # these count twice
        return min(all_of("file_size"), _MOST), min(max(0, entries), _MOST)

    def attributes(self, entry: Entry) -> Attributes:
        """As stat(2) shall show `entry`; the same at every call."""
        size = len(self.target_of(entry)) if entry.is_symlink else entry.size
        return self._presentation.attributes(entry, size)


@dataclass(slots=True)
class _Slot:
    """One name's way from unknown to mounted.  Whoever holds `lock` opens; those who wait for it find the outcome."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    mount: Mount | None = None
    failure: HepwrapError | None = None
    #: In the clock's seconds: when a failure is forgotten.
    retry_at: float = 0.0


class MountTable:
    """All of /cvmfs.

    `prefix` is absolute and has no `.`, `..`, links or slash at its end.  `open_mount` gets a repository's name and
    answers None for one that nothing is known about.  `names` are those listed from the start.  `owner` is who claims
    ownership (user, group), `environ` what variant links may name: by default this process's.  `clock` counts seconds,
    `launched` is the time of the launch (seconds since 1970), shown as the time of /cvmfs.
    """

    def __init__(
        self,
        prefix: bytes,
        open_mount: Callable[[bytes], CatalogueView | None],
        names: Sequence[bytes],
        *,
        owner: tuple[int, int] | None = None,
        environ: Mapping[bytes, bytes] | None = None,
        clock: Callable[[], float] = time.monotonic,
        launched: float | None = None,
    ) -> None:
        if not re.fullmatch(rb"(/[^/]+)+", prefix):
            raise UsageError(f"{os.fsdecode(prefix)!r} cannot be where repositories appear; name an absolute directory")
        self.prefix = prefix
        self._open_mount = open_mount
        self._names = tuple(dict.fromkeys(names))
        self._owner = owner or (os.geteuid(), os.getegid())
        self._environ = dict(os.environb if environ is None else environ)
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: dict[bytes, _Slot] = {}
        self._mounted: list[Mount] = []
        self._launched = int(time.time() if launched is None else launched)
        #: What `/` is, where that is not the host's.
        self.root: Mount | None = None
        self.binds = Binds()
        top = _Top(self, self._launched)
        self.top = Mount(b"", 0, prefix, top, root=top.root, presentation=Presentation(), values={}, synthetic=True)

    def get(self, fqrn: bytes) -> Mount | None:
        """The mount of that name, opened if it was not; None where no repository is called so.

        Raises what opening raises; for RETRY_SECONDS after a failure the same again, without asking anyone.
        """
        if fqrn not in self._names and not _FQRN.fullmatch(fqrn):
            return None
        with self._lock:
            slot = self._slots.setdefault(fqrn, _Slot())
        if slot.mount is not None:
            return slot.mount
        with slot.lock:
            if slot.mount is None:
                self._open(fqrn, slot)
            return slot.mount

    def mounted(self) -> list[Mount]:
        """The repositories opened so far, in that order: index 1, 2, ..."""
        with self._lock:
            return list(self._mounted)

    def names(self) -> list[bytes]:
        """What a listing of /cvmfs shows: the configured and the mounted, sorted."""
        return sorted({*self._names, *(mount.name for mount in self.mounted())})

    @property
    def begin(self) -> bytes:
        """What every path that may be ours begins with, before a slash or its end; b"" where `/` is."""
        return self.prefix if self.root is None else b""

    def set_root(self, mount: Mount, root: Entry) -> None:
        """Show a directory of a repository as `/`; before anybody looks."""
        with self._lock:
            index = len(self._mounted) + 1
            self.root = mount.again(index, b"", root)
            self._mounted.append(self.root)

    def show(self, binds: Binds, contents: Mapping[bytes, bytes] | None = None) -> None:
        """Have these binds, whose places are canonical, and in the root files with these `contents`; as set_root."""
        self.binds = binds
        for mount in [self.top, *self.mounted()]:
            places = [Place(mount.inside(bind.place), bind.is_directory) for bind in binds if self._is_on(mount, bind)]
            if mount is self.root:
                places.append(Place(mount.inside(self.prefix)))
            made = contents if mount is self.root and contents else {}
            if places or made:
                mount.show(places, {mount.inside(path): content for path, content in made.items()}, self._launched)

    def _is_on(self, mount: Mount, bind: Bind) -> bool:
        """Whether the place of a bind is on this mount (and would be seen, if no other bind hid it)."""
        if mount is self.root:
            return not is_at_or_below(bind.place, self.prefix)
        if mount is self.top:
            return bind.place.rpartition(b"/")[0] == self.prefix
        return bind.place.startswith(mount.prefix + b"/")

    def _open(self, fqrn: bytes, slot: _Slot) -> None:
        if slot.failure is not None and self._clock() < slot.retry_at:
            raise slot.failure.with_traceback(None)
        try:
            view = self._open_mount(fqrn)
            if view is not None:
                slot.mount = self._mount(fqrn, view)
        except HepwrapError as error:
            slot.failure, slot.retry_at = error, self._clock() + RETRY_SECONDS
            raise

    def _mount(self, fqrn: bytes, view: CatalogueView) -> Mount:
        presentation = Presentation.of(view.settings, self._owner)
        values = variables(self._environ, fqrn=view.name, exported=view.settings.variables)
        with self._lock:
            index = len(self._mounted) + 1
            place = self.prefix + b"/" + fqrn
            mount = Mount(fqrn, index, place, view, presentation=presentation, values=values)
            self._mounted.append(mount)
        return mount


class _Top:
    """/cvmfs itself, as autofs shows it: root's, mode 0755, size 0, a link count that does not change meanwhile."""

    name = "/cvmfs"
    settings = RepositorySettings("")

    def __init__(self, table: MountTable, launched: int) -> None:
        self._table, self._launched = table, launched
        self.root = directory(b"", launched, 2 + len(table.names()))

    def lookup(self, path: bytes) -> Entry | None:
        return self.root if path == b"" else None

    def rows(self, _path: bytes) -> None:
        return None

    def statistics(self) -> Mapping[str, int]:
        return {}

    def listdir(self, path: bytes) -> list[Entry]:
        """A name's attributes here are those of the place before anything is mounted on it."""
        return [directory(b"/" + name, self._launched) for name in self._table.names()]
