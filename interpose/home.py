"""The host as a launch finds it, and which of its links say the same as long as the job lasts.

Owns the question for whom an answer about a host path may be written down: where the host has a /cvmfs of its own the
kernel would follow links into it, so each way through a link is asked about, unless that is known here.  Must not know
what a path means.
"""

from __future__ import annotations

import os

from hepwrap.interpose.proc import root_at, status_of

MAXIMUM_STEPS = 200


class Home:
    """`prefix`: where the repositories appear.  Made in the helper, while it still has the rights of the launch."""

    def __init__(self, prefix: bytes, *, has_root: bool = False) -> None:
        #: The host has a /cvmfs too, or has another root than programs: what the kernel finds is not to be believed.
        self.has_prefix = has_root or os.path.lexists(prefix)
        #: What `/` is to tasks that see the same mounts.
        self.root = root_at("/")
        #: The job could make what the host lacks.
        self.may_make_prefix = os.access(os.path.dirname(prefix), os.W_OK, effective_ids=True)
        self._job_may_change_all = _has_rights()

    def is_settled(self, path: bytes) -> bool:
        """Whether the links on the way of a host path say now what they always say, for tasks that see this root.

        They do if every directory belongs to the system, and the job has no rights over that.
        """
        return bool(self.root.mount) and not self._job_may_change_all and _belongs_to_the_system(path)


def _has_rights() -> bool:
    """Whether this process is root or has any capability; else it has none over what is root's."""
    status = status_of(os.getpid())
    return "0" in status.get("Uid", "0").split() or bool(int(status.get("CapPrm", "1"), 16))


def _belongs_to_the_system(path: bytes) -> bool:
    place, rest = b"/", path
    for _ in range(MAXIMUM_STEPS):
        name, _, rest = rest.lstrip(b"/").partition(b"/")
        if not name:
            return True
        try:
            status = os.lstat(place)
            if status.st_uid or status.st_mode & 0o022 or not (place == b"/" or (place + b"/").startswith(b"/usr/")):
                return False
            target = os.readlink(place.rstrip(b"/") + b"/" + name)
        except FileNotFoundError:
            return True
        except OSError:  # EINVAL: no link
            place = os.path.normpath(place + b"/" + name) if name in (b".", b"..") else place.rstrip(b"/") + b"/" + name
        else:
            place, rest = b"/" if target.startswith(b"/") else place, target + b"/" + rest
    return False
