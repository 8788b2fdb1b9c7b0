"""`hepwrap serve STORE`: a small web server for repositories in a directory, for a desk, a class-room or a test.

Owns which names of a store are given out, and how caches may keep them.  Must not know the format beyond those names.
Every answer is a file that exists below `STORE/<fqrn>/`; directories are never listed and keys are never given out.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, TextIO
from urllib.parse import unquote, urlsplit

from hepwrap.errors import ConfigurationError

#: `/<fqrn>/<name>` or `/cvmfs/<fqrn>/<name>`, where the name is one that a repository has (format notes, section 1):
#: an object, or a file whose name begins with `.cvmfs`.  No part can be `.` or `..`.
_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_PATH = re.compile(rf"/(?:cvmfs/)?(?P<fqrn>{_PART})/(?P<name>data/{_PART}(?:/{_PART}){{0,3}}|\.cvmfs[A-Za-z0-9._-]*)")

#: Objects are named by their content and never change; signed files do, so caches ask again after a minute.
CACHE_OBJECT = "public, max-age=259200, immutable"
CACHE_SIGNED = "public, max-age=61"

#: Connections that may wait to be accepted; seconds until an idle one is closed.
BACKLOG = 1024
IDLE_SECONDS = 60


def _nobody(_line: str) -> None:
    pass


class _Handler(BaseHTTPRequestHandler):
    """One connection.  HTTP/1.1, so that it stays open between requests."""

    protocol_version = "HTTP/1.1"
    server_version = "hepwrap"
    sys_version = ""
    timeout = IDLE_SECONDS
    # Headers and body are two writes: without this the second would wait for the client's acknowledgement.
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        file = self._open()
        if file is None:
            self._end(HTTPStatus.NOT_FOUND)
            return
        with file:
            status = os.fstat(file.fileno())
            tag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
            if self.headers.get("If-None-Match") == tag:
                self._end(HTTPStatus.NOT_MODIFIED, ETag=tag)
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(status.st_size))
            self.send_header("Last-Modified", formatdate(status.st_mtime, usegmt=True))
            self.send_header("ETag", tag)
            self.send_header("Cache-Control", CACHE_OBJECT if "/data/" in self.path else CACHE_SIGNED)
            self.end_headers()
            if with_body and status.st_size:
                self._send(file, status.st_size)

    def _send(self, file: BinaryIO, size: int) -> None:
        # A file that became shorter meanwhile: the told length can only be kept by ending the connection.
        if self.connection.sendfile(file, count=size) != size:
            self.close_connection = True

    def _end(self, status: HTTPStatus, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def _open(self) -> BinaryIO | None:
        """The regular file that is asked for, or None: wherever else a name leads, there is nothing."""
        match = _PATH.fullmatch(unquote(urlsplit(self.path).path))
        if match is None:
            return None
        return open_below(self.server.store / match["fqrn"], match["name"])

    def log_message(self, format: str, *args: object) -> None:
        self.server.note(f"{self.address_string()} {format % args}")


def open_below(base: Path, name: str) -> BinaryIO | None:
    """`name` as an open regular file that is really below `base`, symbolic links considered; None for all else."""
    try:
        path = (base / name).resolve(strict=True)
        if not path.is_relative_to(base.resolve()):
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (OSError, RuntimeError, ValueError):
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = BACKLOG

    def __init__(self, store: Path, host: str, port: int, note: Callable[[str], None]) -> None:
        self.store = store
        self.note = note
        self.connections: set[socket.socket] = set()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # The base class looks its own name up in the DNS, which can take long and is of no use here.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().close_request(request)

    def drop_connections(self) -> None:
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            self.note(f"{client_address} {type(error).__name__}: {error}")


class StoreServer:
    """Serves `store` from a thread of its own, from construction until `close`.  `.url` ends without a slash.

    `port` 0 takes a free one; `log` gets one line for each request.  ConfigurationError where the store is no directory
    or the address cannot be had.
    """

    def __init__(
        self, store: Path, *, host: str = "127.0.0.1", port: int = 0, log: Callable[[str], None] = _nobody
    ) -> None:
        if not store.is_dir():
            raise ConfigurationError(f"cannot serve {store}: it is not a directory; name the STORE given to publish")
        try:
            self._server = _Server(store.resolve(), host, port, log)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigurationError(
                f"cannot listen on {host} port {port}: {reason}; choose another address"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.port: int = self._server.server_port
        self.url = f"http://{shown}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="serve", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Takes no more connections, and breaks those that are open."""
        self._server.shutdown()
        self._server.server_close()
        self._server.drop_connections()
        self._thread.join()

    def __enter__(self) -> StoreServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(
    store: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    quiet: bool = False,
    out: TextIO | None = None,
    log: TextIO | None = None,
) -> int:
    """The command: serves until SIGTERM or SIGINT, then returns 0.

    Prints one line with the URL on `out` (stdout); requests go to `log` (stderr) unless `quiet`.
    To be called in the main thread, since only that one may say what signals do.
    """
    output, requests = out or sys.stdout, log or sys.stderr

    def note(line: str) -> None:
        if not quiet:
            print(line, file=requests, flush=True)

    end = threading.Event()
    before = {number: signal.signal(number, lambda *_: end.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with StoreServer(store, host=host, port=port, log=note) as server:
            print(server.url, file=output, flush=True)
            end.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0
