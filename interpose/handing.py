"""Handing descriptors to tasks that may not open /proc/<server>/fd: an abstract socket and SCM_RIGHTS (unix(7)).

Owns the socket.  The token in the index proves that who asks can read this job's index, so is part of the job.
"""

from __future__ import annotations

import array
import errno
import os
import secrets
import socket
import struct
import threading
import time

from hepwrap.errnos import errno_of
from hepwrap.errors import HepwrapError
from hepwrap.interpose.world import World

_WISH = struct.Struct("<QQQ")  # struct wish of runtime/handover.h
_SECONDS = 10.0
#: Seconds of rest after a failure to accept.
PAUSE = 0.05


class Listener:
    """Waits for wishes; one short-lived thread for each, since what is wished for may have to be fetched."""

    def __init__(self, world: World, token: int) -> None:
        self._world, self.token = world, token
        name = b"hepwrap-" + secrets.token_hex(16).encode()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.bind(b"\0" + name)
        self._socket.listen(1024)
        self.sockaddr = struct.pack("<H", socket.AF_UNIX) + b"\0" + name

    def run(self) -> None:
        """Accept until the process ends."""
        while True:
            try:
                client, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()
            except (
                OSError,
                RuntimeError,
            ):  # no descriptor or thread left: whoever asks gets an error, the next may not
                time.sleep(PAUSE)

    def _serve(self, client: socket.socket) -> None:
        with client:
            client.settimeout(_SECONDS)
            try:
                wish = client.recv(_WISH.size)
                if len(wish) == _WISH.size:
                    self._grant(client, *_WISH.unpack(wish))
            except OSError:
                return  # who asked is gone

    def _grant(self, client: socket.socket, token: int, at: int, flags: int) -> None:
        if token != self.token:
            return
        try:
            held = self._world.hold(at)
            try:
                fd = os.open(f"/proc/self/fd/{held}", flags | os.O_CLOEXEC)
            finally:
                os.close(held)
        except (HepwrapError, OSError) as error:
            number = error.errno if isinstance(error, OSError) and error.errno else errno_of(error)
            client.send(struct.pack("<i", -(number or errno.EIO)))
            return
        try:
            fds = array.array("i", [fd])
            client.sendmsg([struct.pack("<i", 0)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        finally:
            os.close(fd)
