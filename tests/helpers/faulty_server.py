"""A web server on loopback that fails as it is told: by name, and by the number of the request.

    with FaultyServer(directory) as server:
        server.fault("data/ab/*", Stall())                  # every request for such a name
        server.fault(".cvmfspublished", Status(503), times=2)     # the first two only; then the file, as it is
        server.fault("data/*", Body(b"x"), after=1, times=1)      # the second request for such a name only
        fetch(server.url + "/data/ab/cdef")
        server.requests                                     # what was asked, with headers, in order
        server.release.set()                                # lets every stalled request go on
        server.stop(); server.start()                       # dead (connection refused), and back at the same port

Names are paths relative to `directory`, without a leading slash, matched by fnmatch; the rule that was added last and
still has a turn wins.  Without a rule the file is served, or 404.  Stalls wait for an event and never for a clock, so
nothing is slow: they end when `release` is set, the server stops or the client goes.  `Gather(n)` answers only when n
requests are waiting in it at once: the way to show that n fetches are in flight together.
"""

from __future__ import annotations

import fnmatch
import select
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

#: Seconds after which a test that never releases its stalls fails rather than hangs.
PATIENCE = 60.0


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    number: int
    method: str
    name: str
    headers: Mapping[str, str]
    #: (address, port) of the client: equal for requests over one kept-alive connection.
    client: tuple[str, int]


class Exchange:
    """What a fault has at hand: the request, the right body (None: there is no such file), and the raw connection."""

    def __init__(self, handler: _Handler, request: Request, body: bytes | None) -> None:
        self.request = request
        self.body = body
        self.server: FaultyServer = handler.server.owner
        self._handler = handler

    def send(self, data: bytes) -> None:
        self._handler.connection.sendall(data)

    def head(self, status: int = 200, *, length: int | None = None, **headers: str) -> None:
        """Sends status line and headers, `_` in names standing for `-`; no Content-Length: the body ends with EOF."""
        lines = [f"HTTP/1.1 {status} Whatever", f"Date: {formatdate(usegmt=True)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {length}"] if length is not None else ["Connection: close"]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        if length is None:
            self.hang_up()

    def whole(self, body: bytes, status: int = 200, **headers: str) -> None:
        """A complete and honest answer."""
        self.head(status, length=len(body), **headers)
        self.send(body)

    def honest(self) -> None:
        """What a good server would do."""
        if self.body is None:
            self.whole(b"not here", 404)
        else:
            self.whole(self.body)

    def hang_up(self) -> None:
        """Closes the connection once the fault returns."""
        self._handler.close_connection = True

    def wait(self) -> None:
        """Until `release` is set, the server is stopped, or the client has gone (then ConnectionAbortedError)."""
        self.server.stalled.release()
        for _ in range(int(PATIENCE / 0.02)):
            if self.server.release.wait(0.02) or self.server.stopping.is_set():
                return
            if select.select([self._handler.connection], [], [], 0)[0] and not self._handler.connection.recv(1):
                raise ConnectionAbortedError
        raise AssertionError("a stalled request was never released")


#: A fault answers one request, in whatever way.
Fault = Callable[[Exchange], None]


@dataclass(frozen=True)
class Stall:
    """Says nothing at all until released; then answers honestly."""

    def __call__(self, exchange: Exchange) -> None:
        exchange.wait()
        exchange.honest()


@dataclass(frozen=True)
class StallBody:
    """Headers and `after` bytes of the body, then nothing until released; then the rest."""

    after: int = 1

    def __call__(self, exchange: Exchange) -> None:
        body = exchange.body or b""
        exchange.head(length=len(body))
        exchange.send(body[: self.after])
        exchange.wait()
        exchange.send(body[self.after :])


@dataclass(frozen=True)
class Drip:
    """One byte every `pause` seconds, of the head as well where `head` is set."""

    pause: float = 0.05
    head: bool = False

    def __call__(self, exchange: Exchange) -> None:
        body = exchange.body or b""
        text = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        if not self.head:
            exchange.send(text)
            text = b""
        for byte in text + body:
            exchange.send(bytes([byte]))
            if exchange.server.release.wait(self.pause) or exchange.server.stopping.is_set():
                break
        exchange.hang_up()


@dataclass(frozen=True)
class CloseEarly:
    """Tells the whole length, sends that part of it, and closes the connection."""

    part: float = 0.5

    def __call__(self, exchange: Exchange) -> None:
        body = exchange.body or b""
        exchange.head(length=len(body))
        exchange.send(body[: int(len(body) * self.part)])
        exchange.hang_up()


@dataclass(frozen=True)
class HangUp:
    """Closes the connection without a word."""

    def __call__(self, exchange: Exchange) -> None:
        exchange.hang_up()


@dataclass(frozen=True)
class Length:
    """Tells a length that is `by` bytes too long or (negative) too short; `text` tells just that instead."""

    by: int = 0
    text: str = ""

    def __call__(self, exchange: Exchange) -> None:
        body = exchange.body or b""
        exchange.send(f"HTTP/1.1 200 OK\r\nContent-Length: {self.text or len(body) + self.by}\r\n\r\n".encode() + body)
        exchange.hang_up()


@dataclass(frozen=True)
class Redirect:
    """Sends the client to another URL (or path)."""

    to: str
    status: int = 302

    def __call__(self, exchange: Exchange) -> None:
        exchange.whole(b"", self.status, Location=self.to)


@dataclass(frozen=True)
class Status:
    """That status, with these headers and body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"no"

    def __call__(self, exchange: Exchange) -> None:
        exchange.whole(self.body, self.status, **self.headers)


@dataclass(frozen=True)
class Body:
    """Wrong bytes, honestly framed; `headers` in addition (Content-Encoding ...)."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, exchange: Exchange) -> None:
        exchange.whole(self.body, **self.headers)


@dataclass(frozen=True)
class Endless:
    """Bytes without end and without a length; in chunks where `chunked`."""

    chunked: bool = False
    #: Bytes sent in all requests so far, to see when the client left.
    sent: list[int] = field(default_factory=lambda: [0])

    def __call__(self, exchange: Exchange) -> None:
        block = b"x" * 4096
        exchange.send(b"HTTP/1.1 200 OK\r\n" + (b"Transfer-Encoding: chunked\r\n\r\n" if self.chunked else b"\r\n"))
        framed = b"%x\r\n%s\r\n" % (len(block), block) if self.chunked else block
        while not exchange.server.stopping.is_set():
            exchange.send(framed)
            self.sent[0] += len(block)


@dataclass(frozen=True)
class Raw:
    """Exactly these bytes, then `repeat` without end if there is any, and the end of the connection."""

    data: bytes
    repeat: bytes = b""

    def __call__(self, exchange: Exchange) -> None:
        exchange.send(self.data)
        while self.repeat and not exchange.server.stopping.is_set():
            exchange.send(self.repeat)
        exchange.hang_up()


class Gather:
    """Answers honestly, but only when `parties` requests are here at once; `met` tells whether they ever were."""

    def __init__(self, parties: int) -> None:
        self.met = False
        self._barrier = threading.Barrier(parties, action=self._all_here)

    def _all_here(self) -> None:
        self.met = True

    def __call__(self, exchange: Exchange) -> None:
        self._barrier.wait(PATIENCE)
        exchange.honest()


@dataclass
class _Rule:
    pattern: str
    fault: Fault
    after: int
    times: int | None
    seen: int = 0

    def turn(self, name: str) -> bool:
        """Whether this request is one of those the rule is for; counts it."""
        if not fnmatch.fnmatchcase(name, self.pattern):
            return False
        self.seen += 1
        return self.seen > self.after and (self.times is None or self.seen <= self.after + self.times)


class FaultyServer:
    """See the module.  `prefix` is put before names in URLs: `prefix="/cvmfs/x"` makes `.url` end in it.

    `tls`: speaks https, as localhost.
    """

    def __init__(self, directory: Path, *, prefix: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.directory = directory
        self.tls = tls
        self.prefix = prefix.rstrip("/")
        self.release = threading.Event()
        #: Acquired once for each request that has begun to stall: `server.stalled.acquire(timeout=10)`.
        self.stalled = threading.Semaphore(0)
        self.stopping = threading.Event()
        self.requests: list[Request] = []
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._port = 0
        self._listener: _Listener | None = None
        self.start()

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        return f"{'https://localhost' if self.tls else 'http://127.0.0.1'}:{self._port}{self.prefix}"

    def fault(self, pattern: str, fault: Fault, *, after: int = 0, times: int | None = None) -> None:
        """From the next request on: the first `after` for such names are honest, the next `times` (None: all) fail."""
        with self._lock:
            self._rules.insert(0, _Rule(pattern, fault, after, times))

    def heal(self) -> None:
        """Forgets all faults and lets stalled requests go on."""
        with self._lock:
            self._rules.clear()
        self.release.set()

    def names(self) -> list[str]:
        """The names that were asked for, in order."""
        return [request.name for request in self.requests]

    def count(self, pattern: str) -> int:
        """Requests so far for names like that."""
        return sum(fnmatch.fnmatchcase(name, pattern) for name in self.names())

    def start(self) -> None:
        """Listens (again), at the port it had."""
        self.stopping.clear()
        self._listener = _Listener(self, self._port)
        self._port = self._listener.server_address[1]
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Dies: connections are refused from now on, and those that are open break."""
        if self._listener is None:
            return
        self.stopping.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._listener.drop()
        self._listener = None

    def __enter__(self) -> FaultyServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self.stop()

    def note(self, method: str, name: str, headers: Mapping[str, str], client: Any) -> tuple[Request, Fault | None]:
        """Writes a request down and finds its fault."""
        with self._lock:
            request = Request(len(self.requests) + 1, method, name, headers, client)
            self.requests.append(request)
            turns = [rule.fault for rule in self._rules if rule.turn(name)]
            return request, (turns[0] if turns else None)

    def read(self, name: str) -> bytes | None:
        """The file of that name; None where there is none."""
        path = (self.directory / name).resolve()
        inside = path.is_relative_to(self.directory.resolve())
        return path.read_bytes() if inside and path.is_file() else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def do_GET(self) -> None:
        owner = self.server.owner
        path = unquote(urlsplit(self.path).path)
        name = path.removeprefix(owner.prefix).lstrip("/")
        request, fault = owner.note(self.command, name, dict(self.headers.items()), self.client_address)
        exchange = Exchange(self, request, owner.read(name))
        (fault or Exchange.honest)(exchange)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, owner: FaultyServer, port: int) -> None:
        self.owner = owner
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address

    def get_request(self) -> tuple[Any, Any]:
        connection, client = super().get_request()
        if self.owner.tls is not None:
            # The handshake comes with the first read, in the thread of that connection.
            connection = self.owner.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, client

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().close_request(request)

    def drop(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # Clients that leave are the business of the tests.
