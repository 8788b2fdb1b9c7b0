"""Which root catalogue a job runs on: the manifest's, or an older one that was asked for.

Owns the order of precedence (root hash, tag, date, newest) and the sentences about roots that are gone.  Must not
know how catalogues are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hepwrap.digest import Digest
from hepwrap.errors import ConfigurationError, CorruptObject, MissingObject, Unsupported
from hepwrap.records import dataclass
from hepwrap.settings import RepositorySettings
from hepwrap.vfs.manifest import Manifest

if TYPE_CHECKING:
    from hepwrap.vfs.history import Tag


@dataclass(frozen=True, slots=True)
class Root:
    """The root catalogue that is pinned for the life of the job."""

    digest: Digest
    #: Uncompressed bytes, None unknown.
    size: int | None
    #: None: the catalogue itself has to say.
    revision: int | None
    #: Name of the tag that led here, or "".
    tag: str
    #: How it was chosen, for messages; "" for the newest.
    asked_as: str

    @property
    def is_pinned(self) -> bool:
        """True where the user asked for this revision, so that going back is what they want."""
        return bool(self.asked_as)


def is_pinned(settings: RepositorySettings) -> bool:
    """True where the settings ask for one revision."""
    return bool(settings.root_hash or settings.tag or settings.date)


def choose(settings: RepositorySettings, manifest: Manifest, tags: Callable[[], Sequence[Tag]]) -> Root:
    """The root to load; `tags` is called only where a tag or a date was asked for.  ConfigurationError if not found."""
    if settings.root_hash:
        return Root(_digest(settings), None, None, "", f"--root-hash {settings.root_hash}")
    if not is_pinned(settings):
        return Root(manifest.root_hash, manifest.root_size, manifest.revision, "", "")
    from hepwrap.vfs import history

    if settings.tag:
        return _of_tag(history.by_name(tags(), settings.tag, settings.name), f"--tag {settings.tag}")
    return _of_tag(history.by_date(tags(), settings.date, settings.name), f"date {settings.date}")


def gone(root: Root, name: str, error: MissingObject) -> MissingObject:
    """The sentence for a root catalogue that no server has."""
    if not root.is_pinned:
        return MissingObject(
            f"root catalogue {root.digest} of {name}: {error}; the servers are incomplete, try another"
        )
    return MissingObject(
        f"root catalogue {root.digest} of {name} ({root.asked_as}) is on none of its servers any more: it was "
        f"garbage-collected; ask for another tag or for the newest revision ({error})"
    )


def nested_gone(what: str, root: Root, manifest: Manifest, error: MissingObject) -> MissingObject:
    """The sentence for a nested catalogue that no server has (any more)."""
    if manifest.garbage_collectable and root.digest != manifest.root_hash:
        why = f"this older revision ({root.asked_as}) was garbage-collected"
    elif manifest.garbage_collectable:
        why = "the servers are incomplete, or this revision was garbage-collected while the job ran"
    else:
        why = "the servers are incomplete"
    return MissingObject(f"{what}: no server has it; {why} ({error})")


def without_history(name: str) -> Unsupported:
    """The sentence for a tag asked of a repository that has none."""
    return Unsupported(f"{name} publishes no history, so that a tag or date cannot be found; use --root-hash")


def _of_tag(tag: Tag, asked_as: str) -> Root:
    return Root(tag.root_hash, tag.size, tag.revision, tag.name, asked_as)


def _digest(settings: RepositorySettings) -> Digest:
    try:
        return Digest.parse(settings.root_hash)
    except CorruptObject as error:
        raise ConfigurationError(f"root hash of {settings.name}: {error}") from None
