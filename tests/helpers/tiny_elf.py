"""ELF programs of a few bytes whose first instruction lies where one wants it (elf(5)), without a compiler."""

from __future__ import annotations

import struct
from pathlib import Path

PAGE = 4096
#: Where the file's first page is mapped.
BASE = 0x400000
#: exit(7), as a new program can do it whose registers are all 0: mov $60, %al; mov $7, %dil; syscall.
EXIT_7 = bytes.fromhex("b03c40b7070f05")
_READ_EXECUTE, _READ_WRITE, _READ_WRITE_EXECUTE = 5, 6, 7


def write(path: Path, *, entry: int, code: bytes = EXIT_7, flags: int = _READ_EXECUTE, dynamic: bool = False) -> Path:
    """One page, all of it loaded; `code` lies at offset `entry`, where the program begins.

    An `entry` beyond the page is one where nothing is.  `dynamic`: position-independent, of type ET_DYN.
    """
    base = 0 if dynamic else BASE
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack("<HHIQQQIHHHHHH", 3 if dynamic else 2, 62, 1, base + entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, flags, 0, base, base, PAGE, PAGE, PAGE)
    text = bytearray((ident + header + segment).ljust(PAGE, b"\0"))
    if entry < PAGE:
        text[entry : entry + len(code)] = code
    path.write_bytes(text[:PAGE])
    path.chmod(0o755)
    return path


#: name -> arguments of `write`, and the exit code (or minus the signal) that comes of it natively.
UNUSUAL: dict[str, tuple[dict[str, int | bool], int]] = {
    "in the middle": ({"entry": 0x100}, 7),
    "in the middle, anywhere": ({"entry": 0x100, "dynamic": True}, 7),
    "up to the last byte of the mapping": ({"entry": PAGE - len(EXIT_7)}, 7),
    "up to the last byte, anywhere": ({"entry": PAGE - len(EXIT_7), "dynamic": True}, 7),
    "just where the routine still fits": ({"entry": PAGE - 64}, 7),
    "one byte further": ({"entry": PAGE - 63}, 7),
    "writable": ({"entry": 0x100, "flags": _READ_WRITE_EXECUTE}, 7),
    "not to be executed": ({"entry": 0x100, "flags": _READ_WRITE}, -11),
    "where nothing is": ({"entry": 0x10000000}, -11),
}
