"""By which rules a path is walked: what openat2(2) may ask for beyond path_resolution(7).

Owns what each rule forbids, in the kernel's order (fs/namei.c).  Must not know system calls, nor how a walk goes.
"""

from __future__ import annotations

from hepwrap.errors import CrossesDevices, TooManyLinks
from hepwrap.records import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """RESOLVE_... of linux/openat2.h, without RESOLVE_CACHED: that is about time, not about meaning."""

    no_xdev: bool = False
    no_magiclinks: bool = False
    no_symlinks: bool = False
    beneath: bool = False
    in_root: bool = False

    @classmethod
    def of(cls, flags: int) -> Rules:
        """From openat2's bits; others do not count."""
        return cls(*(bool(flags & bit) for bit in (1, 2, 4, 8, 16)))

    @property
    def scoped(self) -> bool:
        """Whether the walk may not go above where it starts."""
        return self.beneath or self.in_root

    def check_link(self, path: bytes, *, is_magic: bool) -> None:
        """Before a link is followed; `is_magic`: one of /proc that leads to an object, not by its text."""
        if self.no_symlinks or (is_magic and self.no_magiclinks):
            raise TooManyLinks(f"{path!r} is a link, and the call does not want such links followed")
        if is_magic and (self.scoped or self.no_xdev):
            raise CrossesDevices(f"{path!r} leads anywhere, and the call wants to stay where it is")

    def check_jump(self, path: bytes) -> None:
        """Before a link to the root is followed."""
        if self.beneath:
            raise CrossesDevices(f"{path!r} leads to the root, and the call wants to stay below its directory")

    def check_up(self, path: bytes) -> None:
        """Before `..` is taken at the place where a scoped walk has started."""
        if self.beneath:
            raise CrossesDevices(f"the way goes above {path!r}, and the call wants to stay below it")


#: None at all: how every other call walks.
AS_EVER = Rules()
