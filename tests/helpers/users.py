"""Work done in a child process as somebody else: for tests of permissions (credentials(7), capabilities(7)).

Only root can become others; the process that calls stays who it is.
"""

from __future__ import annotations

import ctypes
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hepwrap.vfs.permissions import Credentials

_Answer = TypeVar("_Answer")

_VERSION_3 = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def keep_only(*, dac_override: bool, dac_read_search: bool) -> None:
    """Give up every capability of this process but the two named, for good."""
    kept = (_DAC_OVERRIDE if dac_override else 0) | (_DAC_READ_SEARCH if dac_read_search else 0)
    data = (_Data * 2)(_Data(kept, kept, 0), _Data(0, 0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(ctypes.byref(_Header(_VERSION_3, 0)), data):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@dataclass(frozen=True)
class User:
    """Who asks, and, if it is root, which of the two capabilities are left."""

    uid: int
    groups: tuple[int, ...] = ()
    dac_override: bool = False
    dac_read_search: bool = False

    def credentials(self) -> Credentials:
        """The same in the resolver's words; the primary group has the user's number."""
        return Credentials(self.uid, self.uid, frozenset(self.groups), self.dac_override, self.dac_read_search)

    def become(self) -> None:
        """For good: call it in a child."""
        os.setgroups(self.groups)
        os.setresgid(self.uid, self.uid, self.uid)
        os.setresuid(self.uid, self.uid, self.uid)
        if self.uid == 0:
            keep_only(dac_override=self.dac_override, dac_read_search=self.dac_read_search)


ROOT = User(0, dac_override=True, dac_read_search=True)
#: Every case of the rules: root with all, none, or one of the capabilities, and users with and without groups.
USERS = (ROOT, User(0), User(0, dac_read_search=True), User(0, dac_override=True), User(1000), User(2000, (3000,)))


def in_child(work: Callable[[], _Answer]) -> _Answer:
    """What `work` returns in a child process; AssertionError with the text of what it raises there."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer = True, work()
        except BaseException as error:
            answer = False, f"{type(error).__name__}: {error}"  # type: ignore[assignment]
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        done, answer = pickle.load(pipe)
    os.waitpid(child, 0)
    assert done, answer
    return answer  # type: ignore[return-value]
