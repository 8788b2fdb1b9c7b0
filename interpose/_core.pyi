"""The C extension `core/coremodule.c`."""

from collections.abc import Callable

class Tracer:
    def __new__(
        cls, index_address: int, image_fd: int, base: int, at_exit: Callable[[], None] | None, patching: bool
    ) -> Tracer: ...
    def attach(self, pid: int) -> None: ...
    def run(self) -> int: ...
    def next(
        self,
    ) -> (
        tuple[
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
            tuple[int, ...] | None,
            int,
        ]
        | None
    ): ...
    def counters(self) -> dict[str, int]: ...
    def failure(self) -> str: ...

def image() -> bytes: ...
def map_world(fd: int, window: int) -> int: ...
def allow_tracer(pid: int) -> None: ...
def execute(base: int, path: bytes, argv: list[bytes], environment: list[bytes]) -> int: ...
def drop_capabilities(keep: int = 0) -> None: ...
def rows() -> list[tuple[str, int, str, int, int]]: ...
def displaced_length(behind: bytes) -> int:
    """Bytes behind a call that patching would move: whole instructions, 3 to 8 bytes; 0: it does not know them."""

def makes_only(before: bytes, number: int) -> bool:
    """Does the site always make call `number`?  `before`: the 5 bytes before it; any other length is a ValueError."""
