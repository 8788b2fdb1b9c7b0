"""Seccomp filters of a command's own, for scripts of Python that become the command (seccomp(2))."""

from __future__ import annotations

#: Puts the filter `tests` in force: a list of (code, jt, jf, k).  The script has imported ctypes and struct.
INSTALL = """
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *test) for test in tests))
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
program = struct.pack("HxxxxxxQ", len(tests), ctypes.addressof(code))
assert libc.prctl(22, 2, program, 0, 0) == 0  # PR_SET_SECCOMP
"""
