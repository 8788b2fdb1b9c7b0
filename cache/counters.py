"""What memory files have cost so far.  Apart from `memory`, since an account is written where none was ever made."""

from __future__ import annotations

from hepwrap.records import dataclass


@dataclass(slots=True)
class MemoryCounters:
    """What was done since the start, and what is held now; written under our lock, read by anyone."""

    #: Askers who found the file there, and who joined one that made it.
    hits: int = 0
    joined: int = 0
    #: Files made, files whose making failed, files evicted.
    made: int = 0
    failed: int = 0
    evicted: int = 0
    #: Files made of a content that was kept when they were evicted, so that nothing was fetched.
    revived: int = 0
    #: Bytes and files held, and the most bytes there ever were.
    bytes_held: int = 0
    files_held: int = 0
    most_bytes_held: int = 0
