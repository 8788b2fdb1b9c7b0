"""What can be chosen about a publishing besides its names: values with their units and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hepwrap.vfs.publish.chunker import ChunkSizes
from hepwrap.vfs.publish.keys import RENEW_DAYS, WHITELIST_DAYS
from hepwrap.vfs.publish.nesting import Limits


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """What is rarely chosen."""

    #: "zlib" or "none" (stored as it is), for the content of files.
    compression: str = "zlib"
    #: zlib's level; -1 is its default, which the format's own publisher uses.
    level: int = -1
    chunks: ChunkSizes = field(default_factory=ChunkSizes)
    #: Read every file, even one whose path, inode, size and times are those of the last publishing.
    checksum: bool = False
    limits: Limits = field(default_factory=Limits)
    #: Store `user.*` extended attributes.
    xattrs: bool = True
    #: Text of the tag that `tag` makes.
    tag_description: str = ""
    #: Meta information (format notes, section 10): administrator, email, description...; None: as it was.
    meta: Mapping[str, object] | None = None
    #: The manifest's field G: whether servers may remove objects that no tag leads to.
    garbage_collectable: bool = True
    #: Put `.cvmfs_master_replica` there, which the format's own replication and preloading ask for.
    master_replica: bool = False
    #: Days for which a renewed whitelist is valid, and days before its end from which it is renewed.
    whitelist_days: int = WHITELIST_DAYS
    renew_days: int = RENEW_DAYS
