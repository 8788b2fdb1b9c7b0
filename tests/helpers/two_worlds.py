"""A published tree in both worlds: the kernel's, where a copy is mounted read-only at /cvmfs/<name>, and ours.

In both the machine is the same but for /cvmfs (`other_root`), and so are the user, the environment and all paths.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.helpers import once
from tests.helpers.launches import Launches
from tests.helpers.other_root import bubble
from tests.helpers.publishing import Published
from tests.helpers.unprivileged import UID

MOUNTED_COPY = Path(__file__).with_name("mounted_copy.py")


@dataclass(frozen=True)
class TwoWorlds:
    """Launchers for both; only root can make the kernel's."""

    published: Published
    user: Launches

    @classmethod
    def of(cls, user: Launches, published: Published, patching: Sequence[str]) -> TwoWorlds:
        """`user` launches without options."""
        return cls(published, user.having(*published.flags, *patching))

    @property
    def top(self) -> str:
        """Where the tree is, in both."""
        return f"/cvmfs/{self.published.name}"

    @property
    def native(self) -> Launches:
        """`native` of these launches runs in the kernel's world."""
        mounted = [sys.executable, str(MOUNTED_COPY), str(self.published.tree), self.top, "--"]
        return self._behind([*bubble("--tmpfs", "/cvmfs", "--dir", self.top, *_known()), *mounted])

    @property
    def wrapped(self) -> Launches:
        """`run` of these launches runs in ours."""
        return self._behind([*bubble(*_known()), "--"])

    def _behind(self, words: list[str]) -> Launches:
        return dataclasses.replace(self.user, before=(*words, *self.user.before))


def _known() -> list[str]:
    """Options of bwrap(1) with which the ordinary user has a name, and a home that is there."""
    place = once.made("accounts", _write_accounts)
    return [word for name in ("passwd", "group") for word in ("--ro-bind", str(place / name), f"/etc/{name}")]


def _write_accounts(place: Path) -> None:
    for name, row in (("passwd", f"tester:x:{UID}:{UID}::/tmp:/bin/sh"), ("group", f"tester:x:{UID}:")):
        (place / name).write_text(f"{Path('/etc', name).read_text()}{row}\n")
        (place / name).chmod(0o644)
