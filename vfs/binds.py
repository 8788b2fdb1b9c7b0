"""What of the host is shown at another place: the table of binds, as mount(8) --bind would make them.

Owns both ways through the table, from a place to what is shown there and back.  Must not know how paths are walked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from hepwrap.records import dataclass


@dataclass(frozen=True, slots=True)
class Bind:
    """One file or directory of the host, `host`, that is shown at `place`.

    Both are absolute and canonical.  `keeps`: the host has it at the same place.
    """

    place: bytes
    host: bytes
    is_directory: bool = True

    @property
    def keeps(self) -> bool:
        """Whether it is shown where the host has it."""
        return self.place == self.host

    def shown(self, path: bytes) -> bytes:
        """Where the path of the host `path`, which is what is shown or in it, is shown."""
        return self.place + path[len(self.host) :]


class Binds:
    """All binds of a launch.  What is shown at a place hides what is below it, but for binds that are further down."""

    def __init__(self, binds: Iterable[Bind] = ()) -> None:
        self._by_place = {bind.place: bind for bind in binds}
        self._innermost = sorted(self._by_place.values(), key=lambda bind: (-len(bind.host), not bind.keeps))

    def __bool__(self) -> bool:
        return bool(self._by_place)

    def __iter__(self) -> Iterator[Bind]:
        return iter(self._by_place.values())

    def at(self, path: bytes) -> Bind | None:
        """What is shown at exactly that path."""
        return self._by_place.get(path)

    def below(self, directory: bytes) -> list[Bind]:
        """Those somewhere below the canonical path `directory` (b"" is the root)."""
        return [bind for bind in self if bind.place.startswith(directory + b"/")]

    def names_in(self, directory: bytes) -> frozenset[bytes]:
        """Names in the directory at which something is shown."""
        return frozenset(bind.place.rpartition(b"/")[2] for bind in self if bind.place.rpartition(b"/")[0] == directory)

    @property
    def nested(self) -> bool:
        """Whether something is shown in what is shown elsewhere."""
        return any(other.place.startswith(bind.place + b"/") for bind in self for other in self)

    def showing(self, path: bytes) -> Bind | None:
        """The bind that shows the canonical path of the host `path`; None: it is shown nowhere.

        Of several the innermost; and what another bind hides is shown nowhere.
        """
        for bind in self._innermost:
            if path == bind.host or path.startswith(bind.host.rstrip(b"/") + b"/"):
                return None if self._is_hidden(bind, path) else bind
        return None

    def _is_hidden(self, shower: Bind, path: bytes) -> bool:
        place = shower.shown(path)
        return any(
            bind is not shower and bind.place.startswith(shower.place + b"/") and is_at_or_below(place, bind.place)
            for bind in self
        )


def is_at_or_below(path: bytes, directory: bytes) -> bool:
    """Whether the canonical `path` is `directory` or in it."""
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")


def bind_of(place: bytes, host: bytes) -> Bind:
    """What `host` is now, links followed, to be shown at `place`; OSError where it is not there."""
    real = os.path.realpath(host, strict=True)
    return Bind(place, real, os.path.isdir(real))
