"""The history database: named revisions of a repository (format notes, section 10).

Owns reading tags and finding one by name or time.  It is bound to the manifest by its hash, so what it says is as
trusted as the manifest.  Must not know how the tagged root is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hepwrap.digest import Digest
from hepwrap.errors import ConfigurationError, CorruptObject
from hepwrap.records import dataclass
from hepwrap.vfs.image import Image

_COLUMNS = ("name", "hash", "revision", "timestamp", "description", "size", "branch")
_REQUIRED = ("name", "hash", "revision", "timestamp")
_NEAR_NAMES = 3


@dataclass(frozen=True, slots=True)
class Tag:
    """A name for a root catalogue."""

    name: str
    root_hash: Digest
    revision: int
    #: Seconds since 1970.
    timestamp: int
    description: str
    #: Uncompressed bytes of the root catalogue; None where not told.
    size: int | None
    branch: str


def read(data: bytes, *, what: str, name: str) -> list[Tag]:
    """All tags in the database `data`, newest first; CorruptObject naming `what` where it breaks the format.

    `name` is the repository that the history must be of.
    """
    image = Image(data, what=what)
    try:
        image.require("tags", _REQUIRED)
        said = image.properties().get("fqrn", name)
        if said != name:
            raise CorruptObject(f"{what}: it is the history of {said[:100]!r}, not of {name}")
        return [_tag(row, what) for row in image.select("tags", _COLUMNS, "ORDER BY revision DESC, timestamp DESC")]
    finally:
        image.close()


def by_name(tags: Sequence[Tag], wanted: str, repository: str) -> Tag:
    """The tag called `wanted`; ConfigurationError with a few near names where there is none."""
    for tag in tags:
        if tag.name == wanted:
            return tag
    names = [tag.name for tag in tags]
    from difflib import get_close_matches

    near = get_close_matches(wanted, names, n=_NEAR_NAMES, cutoff=0.5) or names[:_NEAR_NAMES]
    hint = f"there are for example {', '.join(near)}" if near else "it has no tags at all"
    raise ConfigurationError(f"{repository} has no tag {wanted!r}; {hint}")


def by_date(tags: Sequence[Tag], wanted: str, repository: str) -> Tag:
    """The newest tag of the main branch that is not younger than the ISO 8601 time `wanted` (UTC if it has no zone)."""
    try:
        moment = datetime.fromisoformat(wanted)
        limit = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"{wanted!r} is no date for {repository}; write one like 2026-02-28T12:00:00Z"
        ) from None
    for tag in tags:
        if tag.timestamp <= limit and not tag.branch:
            return tag
    raise ConfigurationError(f"{repository} has no tag as old as {wanted}")


def _tag(row: tuple[object, ...], what: str) -> Tag:
    name, hash_text, revision, timestamp, description, size, branch = row
    if not isinstance(name, bytes) or not isinstance(hash_text, bytes):
        raise CorruptObject(f"{what}: a tag has no name or no hash")
    shown = name.decode("utf-8", "backslashreplace")
    try:
        root_hash = Digest.parse(hash_text.decode("latin-1"))
    except CorruptObject as error:
        raise CorruptObject(f"{what}, tag {shown[:100]!r}: {error}") from None
    if not isinstance(revision, int) or not isinstance(timestamp, int) or revision < 0:
        raise CorruptObject(f"{what}, tag {shown[:100]!r}: revision or time is not a number")
    return Tag(
        name=shown,
        root_hash=root_hash,
        revision=revision,
        timestamp=timestamp,
        description=_text(description),
        size=size if isinstance(size, int) and size > 0 else None,
        branch=_text(branch),
    )


def _text(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else ""
