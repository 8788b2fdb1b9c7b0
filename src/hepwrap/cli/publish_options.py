"""From the options of `hepwrap publish` to `PublishOptions`: what is rarely chosen about a publishing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hepwrap.cli.arguments import Parsed
from hepwrap.cli.needed import number
from hepwrap.config.parse import boolean, size
from hepwrap.errors import UsageError

if TYPE_CHECKING:
    from hepwrap.vfs.publish.chunker import ChunkSizes
    from hepwrap.vfs.publish.nesting import Limits
    from hepwrap.vfs.publish.options import PublishOptions

#: A century.  The format writes years with four digits.
MOST_WHITELIST_DAYS = 36_500
#: A part of a catalogue is split off if it has this share of the limit, and in any case if it has that many entries.
_SHARE, _ENOUGH = 100, 1_000


def publish_options(parsed: Parsed) -> PublishOptions:
    """What was asked for; UsageError for what makes no sense."""
    from hepwrap.vfs.publish.options import PublishOptions

    if parsed.has("tag-description") and not parsed.has("tag"):
        raise UsageError("--tag-description is about a tag; name it too, with --tag TAG")
    usual = PublishOptions()
    return PublishOptions(
        compression=parsed.last("compression", usual.compression),
        chunks=_chunks(parsed.last("chunks")) if parsed.has("chunks") else usual.chunks,
        checksum=parsed.has("checksum"),
        limits=_limits(number(parsed, "catalog-limit", 1)) or usual.limits,
        xattrs=not parsed.has("no-xattrs"),
        tag_description=parsed.last("tag-description"),
        meta=_meta(Path(parsed.last("meta"))) if parsed.has("meta") else None,
        garbage_collectable=_yes("garbage-collectable", parsed) if parsed.has("garbage-collectable") else True,
        master_replica=parsed.has("master-replica"),
        whitelist_days=whitelist_days(parsed),
    )


def whitelist_days(parsed: Parsed) -> int:
    """Days for which a whitelist that is signed now is valid."""
    from hepwrap.vfs.publish.keys import WHITELIST_DAYS

    return number(parsed, "whitelist-days", 1, MOST_WHITELIST_DAYS) or WHITELIST_DAYS


def _chunks(text: str) -> ChunkSizes:
    from hepwrap.vfs.publish.chunker import ChunkSizes

    parts = text.split(":")
    if len(parts) != 3:
        raise UsageError(f"--chunks: {text[:80]!r} is not MIN:AVG:MAX; write for example 4M:8M:16M")
    try:
        return ChunkSizes(*(size(part) for part in parts))
    except ValueError as error:
        raise UsageError(f"--chunks: {error}") from None


def _limits(most: int | None) -> Limits | None:
    from hepwrap.vfs.publish.nesting import Limits

    return Limits(most, min(_ENOUGH, max(1, most // _SHARE))) if most is not None else None


def _yes(key: str, parsed: Parsed) -> bool:
    try:
        return boolean(parsed.last(key))
    except ValueError as error:
        raise UsageError(f"--{key}: {error}") from None


def _meta(path: Path) -> Mapping[str, object]:
    """The object in a file of JSON."""
    try:
        meta = json.loads(path.read_bytes())
        json.dumps(meta, allow_nan=False)
    except OSError as error:
        raise UsageError(f"--meta: {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--meta: {path} is not JSON: {error}") from None
    if not isinstance(meta, dict):
        raise UsageError(f'--meta: {path} must hold a JSON object, such as {{"administrator": "..."}}')
    return meta
