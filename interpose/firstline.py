"""The first line of a script, taken apart as the kernel does it (fs/binfmt_script.c, execve(2) "Interpreter scripts").

Must not know where interpreters are looked for.
"""

from __future__ import annotations

#: Bytes of a file that the kernel looks at (BINPRM_BUF_SIZE, linux/binfmts.h).
HEAD_BYTES = 256
MARK = b"#!"
_BLANKS = b" \t"


def parse_first_line(head: bytes) -> tuple[bytes, ...]:
    """Interpreter and at most one argument, both as they stand; () where the kernel says ENOEXEC.

    `head`: the file's first bytes, HEAD_BYTES of them where it has so many, beginning with MARK.  An interpreter's name
    must end within them, an argument may be cut.  The name is empty where nothing but a zero byte follows the mark; so
    is an argument where blanks and then the file's end follow the name.
    """
    buffer = head[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0")
    end = buffer.partition(b"\0")[0].find(b"\n")
    if end < 0:
        name = buffer[len(MARK) :].lstrip(_BLANKS)
        if not name or _end_of_word(name) < 0:
            return ()
        end = HEAD_BYTES - 1  # the last byte becomes the end of the string
    line = buffer[len(MARK) : end].rstrip(_BLANKS).lstrip(_BLANKS)
    if not line:
        return ()
    stop = _end_of_word(line)
    if stop < 0 or line[stop] == 0:
        return (line[:stop] if stop >= 0 else line,)
    return line[:stop], line[stop:].lstrip(_BLANKS).partition(b"\0")[0]


def _end_of_word(text: bytes) -> int:
    """Where the first blank or zero byte is; -1: there is none."""
    return next((at for at, byte in enumerate(text) if byte in b" \t\0"), -1)
