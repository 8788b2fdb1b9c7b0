"""Handing descriptors to tasks through a socket, by SCM_RIGHTS (unix(7)): of stand-ins to those that may not open
/proc/<server>/fd, and of tables of /proc that have to be read with virtual names.

The task has made a pair of sockets, the tracer has taken one end of it (core/gift.c); here it is sent through that.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Callable
from functools import partial

from hepwrap.cache import sealed
from hepwrap.cache.refusal import reraise_lack
from hepwrap.errors import StaleHandle
from hepwrap.interpose import tables
from hepwrap.interpose.lookup import Answer
from hepwrap.interpose.question import Question
from hepwrap.interpose.world import World
from hepwrap.vfs.binds import is_at_or_below
from hepwrap.vfs.index.book import device_of, mount_id
from hepwrap.vfs.index.layout import target_errno


def give(world: World, question: Question) -> Answer:
    """Open the stand-in of the inode at `question.base` with `question.flags` and send it; the socket stays open.

    At 0: the directory of memory files.
    """
    try:
        held = world.hold(question.base) if question.base else world.hold_directory()
    except StaleHandle:  # the call is to be answered anew
        return target_errno(errno.ESTALE), None
    try:
        fd = sealed.open_again(held, question.flags)
    finally:
        os.close(held)
    return send(question, fd)


def send(question: Question, fd: int) -> Answer:
    """Send the descriptor, which is closed here."""
    link = socket.socket(fileno=question.socket)
    try:
        with contextlib.suppress(OSError):  # who asked is gone, or interrupted
            link.sendmsg([b"1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    finally:
        link.detach()
        os.close(fd)
    return target_errno(0), None


def show(world: World, question: Question) -> Answer:
    """Send what is to be read in place of the table of /proc that the task has open as `question.flags`.

    ENODATA where that is as the kernel has it: no table, not ours to read, or without virtual names.
    """
    place = f"/proc/{question.task}/fd/{question.flags}"
    try:
        name = tables.NAME.fullmatch(os.readlink(os.fsencode(place)))
        if name is None:
            return target_errno(errno.ENODATA), None
        with open(place, "rb") as file:
            text = file.read()
    except OSError as error:
        reraise_lack(error)
        return target_errno(errno.ENODATA), None
    shown = SHOWN[name[1]](world, text)
    if shown == text:
        return target_errno(errno.ENODATA), None
    fd = sealed.create(os.fsdecode(name[1]))
    try:
        sealed.write_all(fd, shown, 0)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, sealed.SEALS)
        return send(question, os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC))
    finally:
        os.close(fd)


def show_mappings(world: World, text: bytes) -> bytes:
    """maps and smaps."""

    def find(device: int, inode: int, name: bytes) -> tables.Mapped | None:
        at = world.index.whose(device, inode)
        if not at or not world.is_called(at, name):
            return None
        return world.book.path_of(at), world.book.device_of(at), world.book.number_of(at)

    return tables.mappings(text, find)


def mounted(world: World) -> list[tables.Mounted]:
    """Our mounts, those that hold others first."""
    mounts = world.resolver.mounts
    found = [mount for mount in (mounts.root, mounts.top, *mounts.mounted()) if mount is not None]
    return [
        tables.Mounted(
            mount_id(mount), device_of(mount), mount.prefix or b"/",
            *((b"hepwrap", b"autofs") if mount is mounts.top else (b"cvmfs2", b"fuse")),
        )
        for mount in dict.fromkeys(found)
    ]  # fmt: skip


def place_seen(world: World, place: bytes) -> bytes | None:
    """Where programs see a mount of the host's; None: nowhere."""
    resolver = world.resolver
    if is_at_or_below(place, resolver.mounts.prefix):
        return None
    seen = resolver.seen(place)
    return None if seen is None else seen.shown


#: How each table is shown.
SHOWN: dict[bytes, Callable[[World, bytes], bytes]] = {
    b"maps": show_mappings,
    b"smaps": show_mappings,
    b"numa_maps": lambda world, text: tables.policies(text, world.path_called),
    b"mounts": lambda world, text: tables.mounts(text, mounted(world), partial(place_seen, world)),
    b"mountinfo": lambda world, text: tables.mountinfo(text, mounted(world), partial(place_seen, world)),
}
