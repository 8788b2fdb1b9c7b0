"""What to tell the user when the kernel gives no memory or no descriptor.

Owns the sentences, one a reason.  Must not know what was being made.
"""

from __future__ import annotations

import errno

from hepwrap.errors import NoRoom

#: Reasons that may go away when other files leave memory, and what helps where they do not.
LACKS = {
    errno.EMFILE: "no descriptor is left to this process; raise the limit (ulimit -n)",
    errno.ENFILE: "no descriptor is left on this machine; ask its administrator to raise fs.file-max",
    errno.ENOMEM: "no memory is left to this job; ask for more, or give the cache less (--cache-size)",
    errno.ENOSPC: "no room is left for memory files; ask for more memory, or give the cache less (--cache-size)",
}
#: Reasons that stay.
STAYS = {errno.EFBIG: "it is larger than files may be here; raise the limit (ulimit -f)"}


def reraise_lack(error: OSError) -> None:
    """Raise `error` again where it says nothing of what was asked for, only that we lack something."""
    if error.errno in LACKS:
        raise error


def no_room(what: str, error: OSError) -> NoRoom:
    """The error to raise for `what` when `error` still comes after everything that may has left memory."""
    reason = (LACKS | STAYS).get(error.errno or 0, error.strerror or str(error))
    return NoRoom(f"{what} can not be put into memory: {reason}")
