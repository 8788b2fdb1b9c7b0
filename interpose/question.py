"""One question of the runtime, with its words taken apart; what the words mean is in runtime/protocol.h."""

from __future__ import annotations

from hepwrap.interpose import _core
from hepwrap.records import dataclass
from hepwrap.vfs.rules import AS_EVER, Rules

REASON_STALE, REASON_GIVE, REASON_SHOW = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Question:
    """A system call that the index could not answer."""

    #: Mailbox for the answer, and the thread (its task id) that waits there.
    slot: int
    task: int
    #: REASON_..., whether a last symbolic link is followed, how the path is walked, and the call's flags wherever they
    #: stood.
    reason: int
    follow: bool
    rules: Rules
    flags: int
    number: int
    arguments: tuple[int, ...]
    #: Offsets of the virtual directories that the paths are relative to; 0: the host's.
    base: int
    second_base: int
    #: The paths (or path and attribute name) as given; None where the pointer was NULL.
    path: bytes | None
    second_path: bytes | None
    #: What /proc says of the host directories that relative paths start from.
    start: bytes | None
    second_start: bytes | None
    #: Pointers of an exec's argv, in the program's memory.
    argv: tuple[int, ...] | None
    #: A descriptor of ours (now the answer's) through which something is to be sent; -1: none.
    socket: int

    @classmethod
    def of(cls, raw: _core.Raw) -> Question:
        """From what `_core.Tracer.next` gives."""
        slot, task, why, *rest = raw
        rules = Rules.of(why >> 16 & 0xFFFF) if why >> 16 & 0xFFFF else AS_EVER
        return cls(slot, task, why & 0xFF, bool(why >> 8 & 1), rules, why >> 32 & 0xFFFFFFFF, *rest)  # type: ignore[arg-type]
