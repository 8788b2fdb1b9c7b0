"""The C extension `core/coremodule.c`."""

from collections.abc import Callable

#: slot, task, why, call, arguments, two bases, two paths, two starts, argv, socket (see hepwrap.interpose.question).
Raw = tuple[
    int,
    int,
    int,
    int,
    tuple[int, ...],
    int,
    int,
    bytes | None,
    bytes | None,
    bytes | None,
    bytes | None,
    tuple[int, ...] | None,
    int,
]

class Tracer:
    def __new__(
        cls,
        index_address: int,
        image_fd: int,
        base: int,
        at_exit: Callable[[], None] | None,
        patching: bool,
        tell: Callable[[int, int, int], None],
    ) -> Tracer: ...
    def attach(self, pid: int) -> None: ...
    def run(self) -> int: ...
    def next(self) -> Raw | None: ...
    def counters(self) -> dict[str, int]: ...
    def failure(self) -> str: ...

def image() -> bytes: ...
def map_world(fd: int, window: int) -> int: ...
def is_subreaper() -> bool: ...
def allow_tracer(pid: int) -> None: ...
def enter(base: int) -> None: ...
def execute(path: bytes, argv: list[bytes], environment: list[bytes]) -> int: ...
def drop_capabilities(keep: int = 0) -> None: ...
def private_mount(options: str) -> tuple[int, int, int]:
    """Descriptors of the directory of a new tmpfs that nobody else sees: writable, and not; and of the namespace that
    keeps the latter's mount, or -1.  Raises OSError."""

def rows() -> list[tuple[str, int, str, int, int]]: ...
def displaced_length(behind: bytes) -> int:
    """Bytes of the instruction behind a call that patching would move, 3 to 6; 0: it does not know it."""

def front_length(before: bytes, number: int, stack: bytes, at: int = 0) -> int:
    """How far in front of a call of `number` an instruction of 5 bytes stands that may become a jump; 0: none is known.

    `before`: the 33 bytes in front of the call; `stack`: the 128 at its stack pointer; else a ValueError.  `at`: the
    call's address, where the jump must lie in one line of the cache.
    """
