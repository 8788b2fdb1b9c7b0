"""C libraries of other releases of Debian, each with its shell: `python -m tests.helpers.c_libraries` downloads them.

They are kept below `.demo`.  Tests never download: where a release is not there they are skipped, aloud.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.helpers import debian, needs, once
from tests.helpers.shared import ROOT

PLACE = ROOT / ".demo" / "c-libraries"
#: Releases of Debian, and their glibc.
RELEASES = {"bullseye": "2.31", "trixie": "2.41"}
PACKAGES = ("libc6", "dash")


@dataclass(frozen=True, slots=True)
class CLibrary:
    """One release, in a directory that every user can read."""

    place: Path

    def command(self, program: str | Path) -> list[str]:
        """The words that run `program` with this loader and this C library."""
        loader = self._only("ld-linux-x86-64.so.2")
        return [str(loader), "--library-path", str(loader.parent), str(program)]

    @property
    def shell(self) -> Path:
        """Its dash."""
        return self._only("bin/dash")

    def _only(self, name: str) -> Path:
        """A file by the end of its path: once links have been left out, there is one in `lib/<machine>` or `bin`."""
        return next(one for one in sorted(self.place.rglob(name)) if one.parent.name != "lib64")


def kept(release: str) -> CLibrary:
    """The C library of a release, or the test is skipped."""
    place = PLACE / release / "root"
    if not place.is_dir():
        needs.lacking(f"glibc {RELEASES[release]} is missing: python -m tests.helpers.c_libraries")
    return CLibrary(once.made(f"c-library-{release}", lambda to: shutil.copytree(place, to / "root", symlinks=True)))


def main() -> None:
    """Fetch what is not there; what cannot be had is said."""
    for release, version in RELEASES.items():
        if (PLACE / release / "root").is_dir():
            continue
        try:
            debian.unpacked(PLACE / release, release, PACKAGES)
        except (OSError, subprocess.SubprocessError) as problem:
            print(
                f"glibc {version} of Debian's {release} cannot be had, its tests are skipped: {problem}",
                file=sys.stderr,
            )


if __name__ == "__main__":
    main()
