"""The directory of a launch's own tmpfs, which is mounted nowhere: what is known of it before any file is made.

Owns its descriptors and the token that its names begin with.  Must not know what files are for.
"""

from __future__ import annotations

import contextlib
import os


class Place:
    """Two descriptors of one directory: `writable` is ours alone, `readable` what programs get, who cannot write by it.

    Names begin with a token that no other directory has: whoever has another descriptor in the place of `readable`
    finds nothing.  Both are closed where it cannot be made (OSError).
    """

    def __init__(self, writable: int, readable: int) -> None:
        self.writable, self.readable = writable, readable
        #: st_dev of what is in it.
        self.device = os.fstat(readable).st_dev
        self.token = os.urandom(4).hex()
        try:  # By this one the directory is known, whatever descriptor that is.
            os.close(os.open(self.name_of(0), os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o444, dir_fd=writable))
        except OSError:
            os.close(writable)
            os.close(readable)
            raise

    def name_of(self, key: object) -> str:
        """What the file of `key` is called there (`file_name` of runtime/standin.h makes the same of an inode)."""
        return f"{self.token}-{key}"

    def key_of(self, shown: bytes) -> int | None:
        """The key of the file that /proc shows as that; None: it is no name of ours, or of no key that is a number."""
        head, _, key = shown.decode("ascii", "replace").partition("-")
        return int(key) if head == "/" + self.token and key.isdecimal() and key != "0" else None

    def clear(self) -> None:
        """Take all names away: who is outside of the job and has one file open keeps that, and not the others too."""
        for name in os.listdir(self.writable):
            with contextlib.suppress(OSError):  # the directory where it is mounted a second time
                os.unlink(name, dir_fd=self.writable)
