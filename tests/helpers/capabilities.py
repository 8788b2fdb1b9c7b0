"""Dropping capabilities in a child process, for tests of permissions (capabilities(7), capset(2))."""

from __future__ import annotations

import ctypes
import os

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
