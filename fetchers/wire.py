"""HTTP on the wire, with requests: pooled keep-alive connections whose every wait is bounded.

Owns sockets, time-outs, size caps and what a broken exchange means.  Must not know names, failover or repositories.
Imported only when something is really asked over HTTP, because requests takes long to import.

requests is used below its Session, as an HTTPAdapter: no cookies, no .netrc, no environment (proxies come from our
settings only), no redirects, no decoding of the body.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import closing, suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from hepwrap.fetchers import reasons
from hepwrap.fetchers.blame import Blame, Fault
from hepwrap.fetchers.pace import Pace
from hepwrap.fetchers.proxies import DIRECT
from hepwrap.records import dataclass

#: Bytes that status line and headers may have; what an error's body may have to be read for the connection's sake.
HEADER_LIMIT = 256 * 1024
DRAIN_LIMIT = 64 * 1024
#: Bytes read at once: Python allocates that much before it reads.
BLOCK = 32 * 1024 * 1024

#: Of the transfer that this thread is waiting for: `pace`, and `is_new`, whether a connection was made for it.
_transfer = threading.local()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `body` is b"" unless the status is 2xx."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which one exchange takes place: `proxy` a URL or DIRECT, `timeout` seconds to connect and to stall,
    `low_speed` bytes a second, `limit` bytes of body."""

    proxy: str
    timeout: float
    low_speed: int
    limit: int


class _Paced:
    """A socket whose waits are those of the running transfer (for headers and body alike, plain and TLS)."""

    def recv_into(self, *args: Any) -> int:
        return _paced(self, super().recv_into, args)  # type: ignore[misc, no-any-return]

    def recv(self, *args: Any) -> bytes:
        return _paced(self, super().recv, args)  # type: ignore[misc, no-any-return]


class _Socket(_Paced, socket.socket):
    pass


class _TlsSocket(_Paced, ssl.SSLSocket):
    pass


def _paced(sock: Any, receive: Any, args: tuple[Any, ...]) -> Any:
    pace: Pace | None = getattr(_transfer, "pace", None)
    if pace is None:
        return receive(*args)
    sock.settimeout(pace.patience())
    started = time.monotonic()
    try:
        result = receive(*args)
    except TimeoutError:
        pace.stall()
    pace.count(result if isinstance(result, int) else len(result), time.monotonic() - started)
    return result


class Wire:
    """Any number of threads may `get` at once; `close` ends what they wait for.

    `connections`: pooled ones for each server (more are made when needed, and closed after use).  `tls`: whether https
    is to be spoken, with the system's certificates and those that requests brings.
    """

    def __init__(self, *, connections: int, tls: bool) -> None:
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._closed = False
        self._adapter = _Adapter(self, connections, _tls_context() if tls else None)

    def get(self, url: str, headers: Mapping[str, str], terms: Terms) -> Answer:
        """One GET; Fault where there is no whole answer.  No exception of requests or of sockets ever comes out.

        A kept connection that turns out to be closed says nothing about the server, which may close idle ones whenever
        it likes: then the next one is taken, in the end a new one.
        """
        while True:
            _transfer.pace = pace = Pace(terms.timeout, terms.low_speed, HEADER_LIMIT)
            _transfer.is_new = False
            try:
                return self._exchange(url, headers, terms, pace)
            except Fault:
                raise
            except Exception as error:  # The firewall: hostile bytes must not choose what our callers have to catch.
                if _transfer.is_new or pace.total or not reasons.is_disconnect(error) or self._closed:
                    raise self._fault(error, pace, terms) from error
            finally:
                _transfer.pace = None

    def _exchange(self, url: str, headers: Mapping[str, str], terms: Terms, pace: Pace) -> Answer:
        proxies = {} if terms.proxy == DIRECT else {"http": terms.proxy, "https": terms.proxy}
        request = requests.Request("GET", url, headers=dict(headers)).prepare()
        self._adapter.ready(terms.proxy)
        response = self._adapter.send(request, stream=True, timeout=terms.timeout, verify=True, proxies=proxies)
        # However the bytes are framed (chunks of one byte are six), more than this is not honest.
        pace.cap = pace.total + 8 * terms.limit + HEADER_LIMIT
        with closing(response):
            return _answer(response, terms.limit)

    def _fault(self, error: Exception, pace: Pace, terms: Terms) -> Fault:
        text = "was being asked when the fetcher was closed" if self._closed else pace.trouble
        text = text or reasons.reason(error, terms.timeout)
        if reasons.is_certificate(error):
            return Fault(text)
        # A proxy hides what happens behind it, so what breaks with a proxy is the proxy's fault.
        blame = Blame.SERVER if terms.proxy == DIRECT else Blame.PROXY
        return Fault(text, blame, transient=not self._closed)

    def close(self) -> None:
        """Ends all exchanges: whoever waits gets a Fault at once (name look-ups and TLS handshakes: in their time)."""
        with self._lock:
            self._closed = True
            sockets = list(self._open)
        for sock in sockets:
            try:
                # Not the method of SSLSocket: it takes the TLS state away from the thread that reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:  # not connected: whoever is about to connect it shall not wait for that
                with suppress(OSError):  # closed by now
                    socket.socket.settimeout(sock, 0)
        self._adapter.close()

    def watch(self, sock: socket.socket) -> None:
        """Remembers a socket for `close`; OSError where that has come already."""
        with self._lock:
            if self._closed:
                raise OSError("closed")
            self._open.add(sock)

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """A connection to any address of `host`, in at most `timeout` seconds for all of them together."""
        _transfer.is_new = True
        addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        deadline = time.monotonic() + timeout
        problem: OSError = OSError("the name has no address")
        for index, (family, kind, protocol, _, address) in enumerate(addresses):
            sock = _Socket(family, kind, protocol)
            try:
                sock.settimeout(max(0.001, (deadline - time.monotonic()) / (len(addresses) - index)))
                self.watch(sock)
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(timeout)
                return sock
            except OSError as error:
                sock.close()
                problem = error
        raise problem


class _Adapter(HTTPAdapter):
    """An HTTPAdapter whose connections are made and watched by a Wire."""

    def __init__(self, wire: Wire, connections: int, context: ssl.SSLContext | None) -> None:
        self._classes = _pool_classes(wire)
        self._context: dict[str, Any] = {} if context is None else {"ssl_context": context}
        self._lock = threading.Lock()
        super().__init__(pool_connections=64, pool_maxsize=connections)

    def ready(self, proxy: str) -> None:
        """Makes the manager of `proxy` once; requests itself would let two threads make two."""
        if proxy != DIRECT and proxy not in self.proxy_manager:
            with self._lock:
                self.proxy_manager_for(proxy)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **{**options, **self._context})
        self.poolmanager.pool_classes_by_scheme = self._classes

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options, **self._context)
        manager.pool_classes_by_scheme = self._classes
        return manager


def _pool_classes(wire: Wire) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's pools over connections of ours: the documented way to say how a connection is made."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return wire.connect(self._dns_host, self.port, float(self.timeout or 0))

    class Tls(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return wire.connect(self._dns_host, self.port, float(self.timeout or 0))

        def connect(self) -> None:
            super().connect()
            # TLS made a new socket object of the one that is being watched.
            wire.watch(self.sock)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def _tls_context() -> ssl.SSLContext:
    """Certificates are verified, and so are host names; the system's store, or what SSL_CERT_FILE and _DIR say."""
    context = ssl.create_default_context()
    context.sslsocket_class = _TlsSocket
    return context


def _answer(response: requests.Response, limit: int) -> Answer:
    if not 200 <= response.status_code < 300:
        # A short error is read to its end so that the connection can be used again.
        response.raw.read(DRAIN_LIMIT, decode_content=False)
        return Answer(response.status_code, response.headers, b"")
    return Answer(response.status_code, response.headers, _body(response.raw, _length(response), limit))


def _length(response: requests.Response) -> int | None:
    """The length that is told; Fault where it is nonsense.  With chunked framing it means nothing (RFC 9112, 6.3)."""
    text = response.headers.get("Content-Length")
    if text is None or "chunked" in response.headers.get("Transfer-Encoding", "").lower():
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Fault("tells a nonsensical length")
    return int(text)


def _body(raw: Any, length: int | None, limit: int) -> bytes:
    """The whole body as it was sent; Fault where it is over `limit` bytes or ends early."""
    if length is not None and length > limit:
        raise Fault(f"would send {length} bytes, {limit} are allowed")
    parts: list[bytes] = []
    size = 0
    end = limit + 1 if length is None else length
    while size < end:
        part = raw.read(min(BLOCK, end - size), decode_content=False)
        if not part:
            break
        parts.append(part)
        size += len(part)
    if size > limit:
        raise Fault(f"sends more than the {limit} bytes that are allowed")
    if length is not None and size < length:  # urllib3 notices this itself only since its version 2
        raise reasons.Short(f"{size} of {length} bytes")
    return parts[0] if len(parts) == 1 else b"".join(parts)
