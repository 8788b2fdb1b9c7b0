"""A small forward proxy on loopback, for tests: absolute URLs and CONNECT, with a cache that may be poisoned.

with ForwardProxy() as proxy:
    proxy.url               # http://127.0.0.1:PORT
    proxy.requests          # URLs that were asked through it, with headers
    proxy.answer = 503      # answers that itself from now on, as squid does (X-Squid-Error); 0: forwards again
    proxy.poison[url] = b"wrong"       # kept in its cache until a request says no-cache
"""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class ForwardProxy:
    """See the module."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.poison: dict[str, bytes] = {}
        self.answer = 0
        self.answer_headers = {"X-Squid-Error": "ERR_CONNECT_FAIL 111"}
        self._listener = _Listener(("127.0.0.1", port), _Handler)
        self._listener.owner = self
        self.port: int = self._listener.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> ForwardProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def do_GET(self) -> None:
        owner = self.server.owner
        headers = dict(self.headers.items())
        owner.requests.append((self.path, headers))
        if headers.get("Cache-Control") == "no-cache":
            owner.poison.pop(self.path, None)
        if owner.answer:
            self._reply(owner.answer, owner.answer_headers, b"squid says no")
        elif self.path in owner.poison:
            self._reply(200, {}, owner.poison[self.path])
        else:
            self._forward(headers)

    def _forward(self, headers: dict[str, str]) -> None:
        parts = urlsplit(self.path)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=10)
        try:
            connection.request("GET", parts.path, headers=headers)
            response = connection.getresponse()
            self._reply(response.status, {"Via": "1.1 test"}, response.read())
        except OSError:
            self._reply(503, {"X-Squid-Error": "ERR_CONNECT_FAIL 111"}, b"cannot connect")
        finally:
            connection.close()

    def do_CONNECT(self) -> None:
        self.server.owner.requests.append((self.path, dict(self.headers.items())))
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pump, args=(there, self.connection), daemon=True)
            back.start()
            _pump(self.connection, there)
            back.join(10)
        self.close_connection = True

    def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    owner: ForwardProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass
