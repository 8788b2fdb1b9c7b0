"""The directory of a launch's own tmpfs, which nobody sees: what is known of it before any file is made.

Owns its descriptors and the token that its names begin with.  Must not know what files are for.
"""

from __future__ import annotations

import contextlib
import os


class Place:
    """Two descriptors of one directory: `writable` is ours alone, `readable` what programs get, who cannot write by it.

    `namespace` is that of the mount of `readable`, kept so that the mount stays in it; -1: it has none any more, which
    only makes it slower.  Names begin with a token that no other directory has: whoever has another descriptor in the
    place of `readable` finds nothing.  All are closed where it cannot be made (OSError).
    """

    def __init__(self, writable: int, readable: int, namespace: int = -1) -> None:
        self.writable, self.readable, self.namespace = writable, readable, namespace
        #: st_dev of what is in it.
        self.device = os.fstat(readable).st_dev
        self.token = os.urandom(4).hex()
        try:  # By this one the directory is known, whatever descriptor that is.
            os.close(os.open(self.name_of(0), os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o444, dir_fd=writable))
        except OSError:
            self.close()
            raise

    def name_of(self, key: object) -> str:
        """What the file of `key` is called there (`file_name` of runtime/standin.h makes the same of an inode)."""
        return f"{self.token}-{key}"

    def key_of(self, shown: bytes) -> int | None:
        """The key of the file that /proc shows as that; None: it is no name of ours, or of no key that is a number."""
        head, _, key = shown.decode("ascii", "replace").partition("-")
        return int(key) if head == "/" + self.token and key.isdecimal() and key != "0" else None

    def close(self) -> None:
        """Let go of it; it lasts as long as somebody has it or a file of it open."""
        for fd in (self.writable, self.readable, self.namespace):
            if fd >= 0:
                os.close(fd)

    def clear(self) -> None:
        """Take all names away: who is outside of the job and has one file open keeps that, and not the others too."""
        for name in os.listdir(self.writable):
            with contextlib.suppress(OSError):  # the directory where it is mounted a second time
                os.unlink(name, dir_fd=self.writable)
