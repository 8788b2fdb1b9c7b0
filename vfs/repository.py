"""One repository at one revision: entries, directories, contents.  What the rest of the house opens and asks.

Owns the connection of trust, catalogues and objects; the rules are theirs.  The revision is pinned when opened and
never changes, so an answer given once stays true for the life of the job.  Must not know mounts, links or users.

Answers come only from verified catalogues: what cannot be fetched or does not fit its hash raises, and is never
"not there".  Safe for any number of threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from hepwrap import hashes
from hepwrap.cache.objects import ObjectRef, Objects
from hepwrap.cache.parts import Part
from hepwrap.digest import Digest
from hepwrap.errors import (
    ConfigurationError,
    CorruptObject,
    InvalidOperation,
    MissingObject,
    NotADirectory,
    NotFound,
    Unsupported,
    UntrustedManifest,
)
from hepwrap.fetchers.fetcher import Fetcher
from hepwrap.settings import MIB, RepositorySettings
from hepwrap.vfs import blacklist, master_key, pinning
from hepwrap.vfs.alternative import AlternativeNames
from hepwrap.vfs.catalog_tree import CatalogTree
from hepwrap.vfs.entry import Entry
from hepwrap.vfs.manifest import Manifest, is_repository_name
from hepwrap.vfs.master_key import MasterKey
from hepwrap.vfs.opening import Opening, Verified
from hepwrap.vfs.pinning import Root
from hepwrap.vfs.recent import RecentAnswers
from hepwrap.vfs.signature import Signatures
from hepwrap.vfs.state import Seen, StateDirectory, Warn, check_not_back
from hepwrap.vfs.trust import Trust, show_time

if TYPE_CHECKING:
    from hepwrap.vfs.catalog import Catalog, Nested
    from hepwrap.vfs.directory_rows import DirectoryRows
    from hepwrap.vfs.history import Tag
    from hepwrap.vfs.image import Image

_MAX_META_INFO = 1 * MIB
_SERVED_COMPRESSION = ("zlib", "none")


def _silent(_text: str) -> None:
    """Nobody listens."""


def open_repository(
    settings: RepositorySettings,
    fetcher: Fetcher,
    objects: Objects,
    *,
    state: StateDirectory | None,
    clock: Callable[[], float] = time.time,
    warn: Warn = _silent,
    ttl: float = 0.0,
) -> Repository:
    """Verify the whole chain down to the root catalogue and pin it.

    A root catalogue that was loaded on this machine before is read when something is first asked: what it holds is
    known to be right, and whether it can be had once more is as with every nested catalogue.

    `clock` gives seconds since 1970; `warn` takes sentences for the user.  `ttl`: seconds for which what the servers
    said before may be taken for what they would say now, where the manifest does not say less (`recent`).

    Raises UntrustedManifest, FetchFailed, MissingObject, Unsupported or ConfigurationError, each naming the check that
    failed and the object.
    """
    name = settings.name
    if not is_repository_name(name):
        raise ConfigurationError(f"{name[:100]!r} is no name of a repository; a name is like atlas.cern.ch")
    masters = master_key.load(settings.public_keys, name)
    signatures = Signatures(state.verified(name) if state else ())
    refused = blacklist.load(settings.blacklists)
    trust = Trust(name, masters, clock(), refused, settings.max_signed_bytes, signatures)
    seen = _seen(settings, masters, state, warn)
    recent = _recent(settings, fetcher, state, trust.now, ttl)
    verified = Opening(trust, recent or fetcher, objects, _guard(settings, seen, state)).verify()
    repository = Repository(settings, fetcher, objects, verified, masters, clock=clock, warn=warn)
    if seen is None or seen.root_hash != str(repository.root_hash):  # else it was loaded here before, with success
        assert repository.tree.root
    trust.check_revision(repository.revision)
    if state is not None and not repository.root.is_pinned:
        seen = Seen(repository.revision, str(repository.root_hash), verified.manifest.timestamp)
        state.remember(
            name, verified.accepted.master.identity, seen, warn, signatures.held, recent.answers if recent else None
        )
    return repository


def _seen(
    settings: RepositorySettings, masters: list[MasterKey], state: StateDirectory | None, warn: Warn
) -> Seen | None:
    """The newest revision that was loaded on this machine; None, too, where the user asked for a revision."""
    if state is None or pinning.is_pinned(settings):
        return None
    return state.recall(settings.name, [master.identity for master in masters], warn)


def _recent(
    settings: RepositorySettings, fetcher: Fetcher, state: StateDirectory | None, now: float, ttl: float
) -> RecentAnswers | None:
    """The fetcher behind what its servers said before; None where they are always asked."""
    if state is None or ttl <= 0 or pinning.is_pinned(settings):
        return None
    origin = hashes.new("sha256", repr(settings.fetch).encode()).hexdigest()[:32]
    return RecentAnswers(fetcher, state.answers(settings.name), origin=origin, now=now, ttl=ttl)


def _guard(settings: RepositorySettings, seen: Seen | None, state: StateDirectory | None) -> Callable[[Manifest], None]:
    """What refuses a manifest that goes back in time behind what was seen."""
    place = str(state.file_of(settings.name)) if state else ""
    return lambda manifest: check_not_back(manifest, seen, place)


class Repository:
    """A verified, pinned revision.  Made by `open_repository`."""

    def __init__(
        self,
        settings: RepositorySettings,
        fetcher: Fetcher,
        objects: Objects,
        verified: Verified,
        masters: list[MasterKey],
        *,
        clock: Callable[[], float],
        warn: Warn,
    ) -> None:
        self.settings = settings
        self.fetcher = fetcher
        self.objects = objects
        self.manifest: Manifest = verified.manifest
        self.masters = masters
        #: Seconds since 1970 until which the whitelist holds.
        self.expires = verified.accepted.whitelist.expires
        self._clock = clock
        self._warn = warn
        self._lock = threading.Lock()
        self._expiry_told = False
        self.root: Root = pinning.choose(settings, self.manifest, self.tags)
        self.tree = CatalogTree(self._load_root, self._load_nested)

    @property
    def name(self) -> str:
        """Fully qualified repository name."""
        return self.settings.name

    @property
    def root_hash(self) -> Digest:
        """Of the pinned root catalogue."""
        return self.root.digest

    @cached_property
    def revision(self) -> int:
        """Of the pinned root: as the manifest or the tag says, else as the catalogue itself says."""
        if self.root.revision is not None:
            return self.root.revision
        text = self.tree.root.properties.get("revision", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0

    def lookup(self, path: bytes) -> Entry | None:
        """The entry at `path` (b"" or b"/a/b"; literal components); None only because a verified catalogue has none.

        Raises CorruptObject, FetchFailed or MissingObject where the catalogue that knows cannot be had.
        """
        return self.tree.lookup(path)

    def listdir(self, path: bytes) -> list[Entry]:
        """Entries of the directory `path`, hidden ones left out; NotFound or NotADirectory where it is none."""
        entry = self.tree.lookup(path)
        if entry is None:
            raise NotFound(f"{self._show(path)} does not exist")
        if not entry.is_dir:
            raise NotADirectory(f"{self._show(path)} is not a directory")
        return self.tree.listdir(path)

    def rows(self, path: bytes) -> DirectoryRows:
        """What stands in the directory `path`, hidden entries too; it must be one (nothing is asked about `path`)."""
        from hepwrap.vfs.directory_rows import DirectoryRows

        return DirectoryRows(self.tree.catalog_below(path), path)

    def parts(self, entry: Entry) -> list[Part]:
        """The objects that make up a regular file, in order; [] for an empty one.

        Raises Unsupported for external files and unknown compression, InvalidOperation for what is not a file.
        """
        if not entry.is_file:
            raise InvalidOperation(f"{self._show(entry.path)} is not a regular file")
        if entry.size == 0:
            return []
        if entry.is_external:
            raise Unsupported(f"{self._show(entry.path)} is stored outside its repository, which hepwrap does not read")
        if entry.compression not in _SERVED_COMPRESSION:
            raise Unsupported(
                f"{self._show(entry.path)} has unknown compression {entry.compression}; a newer hepwrap may"
            )
        if entry.is_chunked:
            chunks = self.tree.catalog_of(entry.path).chunks(entry)
            return [
                Part(ObjectRef(chunk.digest, "P", entry.compression, chunk.size), chunk.offset, chunk.size)
                for chunk in chunks
            ]
        if entry.digest is None:
            raise CorruptObject(f"{self._show(entry.path)} has content but no hash")
        return [Part(ObjectRef(entry.digest, "", entry.compression, entry.size), 0, entry.size)]

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The content of a regular file, object by object, each verified before it is handed out."""
        for part in self.parts(entry):
            yield self.objects.read(self.fetcher, part.ref, limit=self.settings.max_object_bytes)

    def xattrs(self, entry: Entry) -> dict[bytes, bytes]:
        """Extended attributes stored in the catalogue, by full name (b"user.x")."""
        return self.tree.catalog_of(entry.path).xattrs(entry.path)

    def tags(self) -> list[Tag]:
        """Named revisions, newest first; Unsupported where the repository publishes no history."""
        from hepwrap.vfs import history

        digest = self.manifest.history
        if digest is None:
            raise pinning.without_history(self.name)
        what = f"history {digest} of {self.name}"
        reference = ObjectRef(digest, "H")
        data = self.objects.read(self.fetcher, reference, limit=self.settings.max_catalog_bytes)
        return history.read(data, what=what, name=self.name)

    def meta_info(self) -> bytes:
        """The repository's description of itself (JSON); b"" where it has none."""
        digest = self.manifest.meta_info
        if digest is None:
            return b""
        return self.objects.read(self.fetcher, ObjectRef(digest, "M"), limit=_MAX_META_INFO)

    def check_expiry(self) -> None:
        """Warn, once, when the whitelist has expired since the repository was opened; cheap, call it when you like."""
        if self._expiry_told or self._clock() < self.expires:
            return
        with self._lock:
            told, self._expiry_told = self._expiry_told, True
        if not told:
            self._warn(
                f"the whitelist of {self.name} expired on {show_time(self.expires)}; this job goes on with revision "
                f"{self.revision}, new ones will be refused until its owners renew it"
            )

    def close(self) -> None:
        """Give the catalogues' memory back; the fetcher and the objects belong to who made them."""
        self.tree.close()

    def _load_root(self) -> Catalog:
        from hepwrap.vfs.catalog import Catalog

        what = f"root catalogue {self.root.digest} of {self.name}"
        fetcher: Fetcher = AlternativeNames(self.fetcher) if self.manifest.alternative_path else self.fetcher
        try:
            root = Catalog(self._image(fetcher, self.root.digest, self.root.size, what), self.root.digest)
        except MissingObject as error:
            raise pinning.gone(self.root, self.name, error) from error
        except CorruptObject as error:
            raise UntrustedManifest(f"{self.name} cannot be served: {error}") from error
        if root.properties.get("voms_authz"):
            raise Unsupported(
                f"{self.name} is open to members of a virtual organisation only, which hepwrap cannot prove"
            )
        return root

    def _load_nested(self, parent: Catalog, nested: Nested) -> Catalog:
        from hepwrap.vfs.catalog import Catalog
        from hepwrap.vfs.entry_row import show

        mount = parent.offset + nested.path
        digest = nested.digest(parent.place)
        what = f"catalogue {digest} of {self.name} (for {show(mount)})"
        self.check_expiry()
        try:
            image = self._image(self.fetcher, digest, nested.content_size(parent.place), what)
        except MissingObject as error:
            raise pinning.nested_gone(what, self.root, self.manifest, error) from error
        if nested.bound:
            return Catalog(image, digest, prefix=b"", offset=mount)
        return Catalog(image, digest, prefix=nested.path, offset=parent.offset)

    def _image(self, fetcher: Fetcher, digest: Digest, size: int | None, what: str) -> Image:
        from hepwrap.vfs.image import Image

        limit = self.settings.max_catalog_bytes
        if size is not None and size > limit:
            raise CorruptObject(f"{what} shall have {size} bytes; hepwrap takes catalogues up to {limit}")
        try:
            return Image(self.objects.read(fetcher, ObjectRef(digest, "C", "zlib", size), limit=limit), what=what)
        except CorruptObject as error:
            raise CorruptObject(str(error) if what in str(error) else f"{what}: {error}") from error

    def _show(self, path: bytes) -> str:
        from hepwrap.vfs.entry_row import show

        return f"{self.name}:{show(path)}"

    def statistics(self) -> Mapping[str, int]:
        """Counters of the root catalogue over the whole repository (format notes, section 7)."""
        return self.tree.root.statistics()
