"""As much of ELF as executing needs (elf(5)): is it for this machine, its interpreter, a copy with another one."""

from __future__ import annotations

import os
import struct

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
PT_INTERP = 3
EM_386, EM_X86_64 = 3, 62
_CLASS_64, _LITTLE = 2, 1
_ET_EXEC, _ET_DYN = 2, 3
_MOST_SEGMENTS = 65536 // _SEGMENT.size
_CHUNK = 1 << 20


def is_native(head: bytes) -> bool:
    """Whether these first bytes are of a program that this machine's kernel loads without help."""
    if len(head) < _HEADER.size or head[:4] != b"\x7fELF":
        return False
    ident, kind, machine, *_ = _HEADER.unpack_from(head)
    return ident[4] == _CLASS_64 and ident[5] == _LITTLE and machine == EM_X86_64 and kind in (_ET_EXEC, _ET_DYN)


def is_foreign(head: bytes) -> bool:
    """Whether these are the first bytes of an i386 or x32 program: the kernel runs it, and every call would fail."""
    if len(head) < _HEADER.size or head[:4] != b"\x7fELF" or head[5] != _LITTLE:
        return False
    machine = int.from_bytes(head[18:20], "little")
    return head[4] != _CLASS_64 and machine in (EM_386, EM_X86_64)


def _interpreter_segment(fd: int) -> tuple[int, int, int] | None:
    """Where the PT_INTERP header lies, and the offset and size of the name; None: there is none."""
    head = os.pread(fd, _HEADER.size, 0)
    if not is_native(head):
        return None
    fields = _HEADER.unpack(head)
    table, size, count = fields[5], fields[9], fields[10]
    if size != _SEGMENT.size or count > _MOST_SEGMENTS:
        return None
    segments = os.pread(fd, count * size, table)
    for i in range(len(segments) // size):
        kind, _, offset, _, _, length, _, _ = _SEGMENT.unpack_from(segments, i * size)
        if kind == PT_INTERP:
            return table + i * size, offset, length
    return None


def interpreter(fd: int) -> bytes | None:
    """The name in PT_INTERP; None where the file is static, or no program of this machine."""
    found = _interpreter_segment(fd)
    if found is None or not 1 < found[2] <= 4096:
        return None
    return os.pread(fd, found[2], found[1]).partition(b"\0")[0] or None


def write_with_interpreter(source: int, size: int, name: bytes, copy: int) -> None:
    """Write the same program with another interpreter: its name after the `size` bytes, and one header changed.

    EOFError where the source has become shorter, or no program any more.
    """
    from hepwrap.cache import sealed

    done = 0
    while done < size:
        part = os.pread(source, min(_CHUNK, size - done), done)
        if not part:
            raise EOFError("the program has been cut off")
        sealed.write_all(copy, part, done)
        done += len(part)
    found = _interpreter_segment(copy)
    if found is None:
        raise EOFError("the program has been replaced")
    sealed.write_all(copy, name + b"\0", done)
    segment = list(_SEGMENT.unpack(os.pread(copy, _SEGMENT.size, found[0])))
    segment[2], segment[5], segment[6] = done, len(name) + 1, len(name) + 1
    sealed.write_all(copy, _SEGMENT.pack(*segment), found[0])
