"""The C extension `indexmodule.c`."""

IMAGE_SPAN: int
SLOT_COUNT: int
TARGET_SHIFT: int
TARGET_UNKNOWN: int
TARGET_INODE: int
TARGET_ERRNO: int
TARGET_HOST: int
TARGET_ASK: int
TARGET_NATIVE: int
TARGET_DATA: int
TARGET_PLAN: int
HEADER_HOST_PREFIX: int
ADDRESS_AT: int
INODE_SEARCHED: int
INODE_READ_YES: int
INODE_EXEC_YES: int
INODE_EXEC_NO: int
INODE_COMPLETE: int
INODE_UNCHECKED: int
layout: dict[str, dict[str, tuple[str, int]]]

class Full(Exception): ...

class Index:
    fd: int
    used: int
    names: int
    def __new__(cls, window: int, prefix: bytes, image: bytes = b"") -> Index: ...
    def append(self, data: bytes, align: int = 8) -> int: ...
    def store(self, offset: int, width: int, value: int) -> None: ...
    def load(self, offset: int, length: int) -> bytes: ...
    def enter(self, key: bytes, follow: int, nofollow: int) -> bool: ...
    def identify(self, device: int, inode: int, offset: int) -> None: ...
    def whose(self, device: int, inode: int) -> int: ...
    def lookup(self, base: int, path: bytes, follow: bool) -> int: ...
    def hash(self, path: bytes) -> int: ...
    def answer(self, slot: int, target: int, data: bytes | None = None) -> None: ...
    def address(self) -> int: ...
