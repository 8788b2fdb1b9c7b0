"""What objdump says about machine code: the witness that knows nothing of our own recognition of instructions."""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Where `raw` puts its pieces: farther apart than any of them is long.
SLOT = 64
PT_LOAD = 1
_BRANCH = re.compile(
    r"^(?:(?:bnd|notrack|data16|rex\.\w+|,p[nt]) )*(?:j\w+|call|loop\w*|xbegin)\b[^*]*? ([0-9a-f]+)(?: <|$)"
)
_LEAVES = re.compile(r"^(?:\w+ )*?(?:j\w+|call\w*|loop\w*|ret\w*|lret\w*|iret\w*|sys\w+|int\d?|hlt|ud\d\w*|xbegin)\b")
_SYMBOL = re.compile(r"^[0-9a-f]{8,} <(.*)>:$")
_REFERS = re.compile(r"# ([0-9a-f]+)(?: <|$)")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One line of a disassembly."""

    at: int
    raw: bytes
    #: In AT&T's notation, with what objdump adds behind a `#`.
    text: str
    #: Of the symbol before it; "" where there is none.
    function: str = ""

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.at + len(self.raw)

    @property
    def target(self) -> int | None:
        """Where a direct jump or call leads."""
        match = _BRANCH.match(self.text)
        return int(match[1], 16) if match else None

    @property
    def refers(self) -> int | None:
        """The address that an operand relative to rip names."""
        match = _REFERS.search(self.text) if "%rip" in self.text else None
        return int(match[1], 16) if match else None

    @property
    def leaves(self) -> bool:
        """Jumps, calls, returns, traps: anything after which the next instruction may not be the next."""
        return _LEAVES.match(self.text) is not None


def instructions(file: Path) -> Iterator[Instruction]:
    """All of an ELF file's code, in the order of addresses within each section."""
    yield from _read(["objdump", "-d", "-w", "--insn-width=16", str(file)])


def occurrences(file: Path, code: bytes) -> Iterator[int]:
    """The addresses at which these bytes stand in what an ELF file of 64 bits loads; they need not be instructions."""
    content = file.read_bytes()
    (start,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for header in range(count):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", content, start + size * header)
        place = content.find(code, offset, offset + length) if kind == PT_LOAD else -1
        while place >= 0:
            yield address + place - offset
            place = content.find(code, place + 1, offset + length)


def raw(pieces: Sequence[bytes]) -> list[list[Instruction]]:
    """Pieces of code, each as instructions; addresses begin with 0; one that goes past a piece's end has more bytes."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(piece.ljust(SLOT, b"\x90") for piece in pieces))
        file.flush()
        command = ["objdump", "-D", "-w", "-z", "-b", "binary", "-m", "i386:x86-64", "--insn-width=16", file.name]
        found: list[list[Instruction]] = [[] for _ in pieces]
        for one in _read(command):
            number, at = divmod(one.at, SLOT)
            if at < len(pieces[number]):
                found[number].append(Instruction(at, one.raw, one.text))
    return found


def _read(command: list[str]) -> Iterator[Instruction]:
    function = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            parts = line.rstrip("\n").split("\t")
            if len(parts) >= 3 and line[0] == " ":
                address, digits, text = parts[0].strip()[:-1], parts[1], parts[2]
                yield Instruction(int(address, 16), bytes.fromhex(digits), " ".join(text.split()), function)
            elif match := _SYMBOL.match(line):
                function = match[1]
    if process.returncode:
        raise OSError(f"{' '.join(command)} ended with {process.returncode}")
