"""A repository in a plain directory, or at a file:// address.

Owns reading files of a directory that somebody else may be writing.  Must not know what is in them.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hepwrap.errors import ConfigurationError
from hepwrap.fetchers.blame import Fault
from hepwrap.fetchers.walk import ServersFetcher, silent
from hepwrap.settings import FetchSettings


def directory_of(server: str) -> Path:
    """The directory that `server` means: a path, or file:///path with %-escapes; ConfigurationError for file://host."""
    if not server.lower().startswith("file:"):
        return Path(server)
    parts = urlsplit(server)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ConfigurationError(f"{server} is not an address of a local directory; write file:///absolute/path")
    return Path(unquote(parts.path))


class DirectoryFetcher(ServersFetcher):
    """Reads below each directory of `settings.servers`; symbolic links in the store are its owner's business."""

    def __init__(
        self, settings: FetchSettings, *, fqrn: str, log: Callable[[str], None] = silent, **options: Any
    ) -> None:
        super().__init__(settings, fqrn=fqrn, log=log, **options)
        self._bases = {server: directory_of(server) for server in settings.servers}

    def get(self, server: str, name: str, *, limit: int, fresh: bool) -> bytes:
        """See ServersFetcher; nothing is cached, so `fresh` changes nothing."""
        self.tally.add(requests=1)
        started = time.monotonic()
        body = read_below(self._bases[server], name, limit)
        self.tally.add(bytes_received=len(body), seconds=time.monotonic() - started)
        return body


def read_below(base: Path, name: str, limit: int) -> bytes:
    """All of a regular file of at most `limit` bytes; Fault where there is none."""
    try:
        return _read(base / name, limit)
    except (FileNotFoundError, NotADirectoryError) as error:
        if not base.is_dir():
            # A wrong address must not look like a repository without objects.
            raise Fault("is not a directory") from error
        raise Fault.missing() from error
    except OSError as error:
        raise Fault(f"cannot be read: {os.strerror(error.errno or 0)}") from error


def _read(path: Path, limit: int) -> bytes:
    # O_NONBLOCK: a pipe or device by that name must not keep us waiting.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Fault("has something else than a file by that name")
        if status.st_size > limit:
            raise Fault(f"has {status.st_size} bytes by that name, {limit} are allowed")
        body = file.read(limit + 1)
    if len(body) > limit:
        raise Fault(f"has more than the {limit} bytes that are allowed")
    return body
