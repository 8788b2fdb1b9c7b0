"""Certificates and revisions that are refused whatever the whitelist says (CVMFS_BLACKLIST; format notes, section 5).

Owns reading the local files.  A listed file that does not exist refuses nothing; one that cannot be read stops us.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from hepwrap.errors import ConfigurationError
from hepwrap.records import dataclass, field
from hepwrap.vfs.whitelist import fingerprint_of_line

_REVISION = re.compile(r"<\s*(\S+)\s+(\d{1,19})")


@dataclass(frozen=True, slots=True)
class Blacklist:
    """Refused fingerprints, and for repositories the lowest revision that is not refused."""

    fingerprints: frozenset[str] = frozenset()
    least_revision: dict[str, int] = field(default_factory=dict)


def load(paths: Iterable[Path]) -> Blacklist:
    """All of `paths` together; ConfigurationError with file and line where one cannot be read or understood."""
    fingerprints: set[str] = set()
    least: dict[str, int] = {}
    for path in paths:
        for number, line in enumerate(_lines(path), start=1):
            text = line.strip()
            match = _REVISION.match(text)
            found = fingerprint_of_line(text)
            if match:
                least[match[1]] = max(int(match[2]), least.get(match[1], 0))
            elif found:
                fingerprints.add(found)
            elif text and not text.startswith("#"):
                raise ConfigurationError(
                    f"{path}:{number}: neither a fingerprint nor `<repository revision`; correct or remove the line"
                )
    return Blacklist(frozenset(fingerprints), least)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("latin-1").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigurationError(f"{path}: the blacklist cannot be read ({error.strerror}); make it readable") from None
