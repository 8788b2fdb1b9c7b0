"""What a publisher tells while it works and when it is done: values only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hepwrap.digest import Digest


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a publishing is.  Handed out by one thread, often; whoever draws it decides how often to draw."""

    #: "scan", "files", "catalogs" or "commit".
    phase: str
    #: In "scan": entries seen so far (the total is not known).  In "files": regular files; "catalogs": catalogues.
    done: int = 0
    total: int = 0
    #: Bytes of content, in "files".
    bytes_done: int = 0
    bytes_total: int = 0


Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What one publishing did."""

    name: str
    revision: int
    root_hash: Digest
    #: Entries in the tree, and of these regular files, and the bytes in them.
    entries: int
    files: int
    bytes: int
    #: Files whose content was read; the others were known to be unchanged.
    files_read: int
    #: File and chunk objects written now, and those that the tree needs and the store had.
    new_objects: int
    reused_objects: int
    #: Catalogues of the revision, and how many of them were written now.
    catalogs: int
    new_catalogs: int
    #: Bytes written below data/, compressed, catalogues and all included.
    new_bytes: int
    #: Whether the whitelist was signed anew.
    whitelist_renewed: bool
    warnings: tuple[str, ...] = ()
