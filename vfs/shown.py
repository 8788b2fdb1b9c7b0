"""Attributes as a mount shows them: claimed or mapped owners, widened modes, sizes of expanded links.

Owns the way from a catalogue's row to what stat(2) says (format notes, 7.2 and 7.6).  Must not know paths or users'
rights: `permissions` judges by what is shown here.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from hepwrap.errors import ConfigurationError
from hepwrap.records import dataclass, field
from hepwrap.settings import RepositorySettings
from hepwrap.vfs.entry import Entry


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a user sees of an entry; all that is not here (times, rdev) is shown as the entry has it."""

    #: Whole st_mode.
    mode: int
    uid: int
    gid: int
    #: Bytes, as st_size.
    size: int
    nlink: int
    #: False where CVMFS_CHECK_PERMISSIONS=no: mode bits are shown and do not count.
    enforced: bool = True


@dataclass(frozen=True, slots=True)
class IdMap:
    """Numbers of users or groups to others; what is not named goes to `others`, or stays where that is None."""

    named: Mapping[int, int] = field(default_factory=dict)
    others: int | None = None

    def apply(self, number: int) -> int:
        """Where `number` goes."""
        fallback = number if self.others is None else self.others
        return self.named.get(number, fallback)


def read_id_map(path: Path | None) -> IdMap:
    """The map that a CVMFS_UID_MAP file holds: lines `<from> <to>`, `*` for all others, `#` comments.

    None: nothing is changed.  ConfigurationError names file and line.
    """
    if path is None:
        return IdMap()
    try:
        lines = path.read_text("utf-8", "surrogateescape").splitlines()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read this id map: {error.strerror}; make it readable") from error
    named: dict[int, int] = {}
    others: int | None = None
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not words[1].isdecimal() or not (words[0] == "*" or words[0].isdecimal()):
            raise ConfigurationError(f"{path}:{number}: {line.strip()!r} is not `<from> <to>` or `* <to>`; mend it")
        if words[0] == "*":
            others = int(words[1])
        else:
            named[int(words[0])] = int(words[1])
    return IdMap(named, others)


@dataclass(frozen=True, slots=True)
class Presentation:
    """How one repository's entries are shown: a pure function of a row."""

    #: Everything belongs to this user and group [CVMFS_CLAIM_OWNERSHIP]; None: the ids of the catalogue, mapped.
    owner: tuple[int, int] | None = None
    user_map: IdMap = IdMap()
    group_map: IdMap = IdMap()
    world_readable: bool = False
    enforced: bool = True

    @classmethod
    def of(cls, settings: RepositorySettings, owner: tuple[int, int]) -> Presentation:
        """As `settings` ask for it; `owner` is who claims.  ConfigurationError for a bad id map."""
        return cls(
            owner=owner if settings.claim_ownership else None,
            user_map=read_id_map(settings.uid_map),
            group_map=read_id_map(settings.gid_map),
            world_readable=settings.world_readable,
            enforced=settings.check_permissions,
        )

    def attributes(self, entry: Entry, size: int) -> Attributes:
        """`entry` as shown; `size` is its st_size, of a symlink the length of the expanded target."""
        uid, gid = self.owner or (self.user_map.apply(entry.uid), self.group_map.apply(entry.gid))
        return Attributes(self.mode(entry.mode), uid, gid, size, entry.nlink, self.enforced)

    def mode(self, mode: int) -> int:
        """st_mode as shown."""
        wider = 0o555 if stat.S_ISDIR(mode) else 0o444
        return mode | wider if self.world_readable else mode

    @property
    def is_mapped(self) -> bool:
        """Whether owners are neither claimed nor as the catalogue has them."""
        return self.owner is None and not self.user_map == self.group_map == IdMap()
