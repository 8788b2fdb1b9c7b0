"""Serves repositories over loopback HTTP, and remembers what was asked for.

Written on the standard library alone and not on hepwrap's own server, so that the two cannot agree on a mistake.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.helpers.shared import shared_path


@dataclass(slots=True)
class ServedRepository:
    """One repository behind an HTTP server of its own."""

    name: str
    #: Directory that is served (the one with `.cvmfspublished`).
    directory: Path
    #: Master public key.
    key: Path
    #: Base URL of the repository, without a slash at the end.
    url: str = ""
    #: Paths asked for since the start, below the base URL, in the order of arrival.
    requests: list[str] = field(default_factory=list)

    @property
    def flags(self) -> list[str]:
        """The options with which hepwrap reads this repository."""
        return ["--repo", f"{self.name}={self.url}", "--key", str(self.key), "--proxy", "DIRECT"]


class _Handler(SimpleHTTPRequestHandler):
    """Files below `/cvmfs/<name>/`, connections kept alive, nothing logged."""

    protocol_version = "HTTP/1.1"
    # Head and body are two writes: without this each small object costs a delayed ACK of 40 ms.
    disable_nagle_algorithm = True

    def __init__(self, *arguments: Any, served: ServedRepository) -> None:
        self.served = served
        super().__init__(*arguments, directory=str(served.directory))

    def translate_path(self, path: str) -> str:
        """The file for a URL path; what is not below the base does not exist."""
        base = f"/cvmfs/{self.served.name}/"
        if not path.startswith(base):
            return str(self.served.directory / ".not-there")
        self.served.requests.append(path[len(base) :])
        return super().translate_path("/" + path[len(base) :])

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the tests' output clean."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(name: str, directory: Path, key: Path) -> Iterator[ServedRepository]:
    """Serve `directory` as repository `name` until the generator is resumed (made for fixtures)."""
    served = ServedRepository(name, directory, key)
    with _Server(("127.0.0.1", 0), partial(_Handler, served=served)) as server:
        served.url = f"http://127.0.0.1:{server.server_address[1]}/cvmfs/{name}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


def serve_shared(folder: str, name: str) -> Iterator[ServedRepository]:
    """Serve the shared repository in `data/<folder>`; skips where the shared data is missing."""
    place = shared_path(f"data/{folder}")
    yield from serve(name, place / "repo", place / "keys" / f"{name}.pub")
