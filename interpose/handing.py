"""Handing descriptors to tasks that may not open /proc/<server>/fd: through a socket, by SCM_RIGHTS (unix(7)).

The task has made a pair of sockets, the tracer has taken one end of it (core/gift.c); here it is sent through that.
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import socket

from hepwrap.errors import StaleHandle
from hepwrap.interpose.answers import Answer
from hepwrap.interpose.question import Question
from hepwrap.interpose.world import World
from hepwrap.vfs.index.layout import target_errno


def give(world: World, question: Question) -> Answer:
    """Open the stand-in of the inode at `question.base` with `question.flags` and send it; the socket stays open."""
    try:
        held = world.hold(question.base)
    except StaleHandle:  # the call is to be answered anew
        return target_errno(errno.ESTALE), None
    try:
        fd = os.open(f"/proc/self/fd/{held}", question.flags | os.O_CLOEXEC)
    finally:
        os.close(held)
    link = socket.socket(fileno=question.socket)
    try:
        with contextlib.suppress(OSError):  # who asked is gone, or interrupted
            link.sendmsg([b"1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    finally:
        link.detach()
        os.close(fd)
    return target_errno(0), None
