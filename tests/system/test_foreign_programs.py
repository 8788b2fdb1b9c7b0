"""Programs of another kind than x86_64: a sentence, never a hang."""

from __future__ import annotations

import subprocess
from pathlib import Path

#: An i386 ELF file that would exit at once; the kernel of the host could run it.
HEADER = b"".join(
    n.to_bytes(size, "little")
    for n, size in (
        *((0x464C457F, 4), (0x010101, 4), (0, 8), (2, 2), (3, 2), (1, 4), (0x08048054, 4), (52, 4), (0, 8)),
        *((52, 2), (32, 2), (1, 2), (0, 6)),
    )
)
CODE = bytes.fromhex("b801000000 31db cd80")
SEGMENT = b"".join(
    n.to_bytes(4, "little") for n in (1, 0, 0x08048000, 0x08048000, 84 + len(CODE), 84 + len(CODE), 5, 0x1000)
)


def test_a_32_bit_program_is_refused_in_one_sentence(hepwrap_command: list[str], tmp_path: Path) -> None:
    program = tmp_path / "old"
    program.write_bytes(HEADER + SEGMENT + CODE)
    program.chmod(0o755)
    code = "import os, sys\ntry: os.execv(sys.argv[1], ['old'])\nexcept OSError as error: print(error.errno)"
    done = subprocess.run(
        [*hepwrap_command, "--", "/usr/bin/python3", "-c", code, str(program)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"8\n")  # ENOEXEC
    assert done.stderr == f"hepwrap: {program} is a 32-bit program: refused, all its calls would fail\n".encode()
