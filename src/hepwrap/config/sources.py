"""Where configuration files are: on this machine, and below the mount point of a configuration repository.

Owns the one rule which of the two a path means.  Must not know what stands in the files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hepwrap.config.held_file import HeldFile
from hepwrap.errors import ConfigurationError


class Sources:
    """Files by absolute path; `repository` holds those of the configuration repository, by path inside it.

    `mount_point` is where that repository would be mounted, for example /cvmfs/cvmfs-config.cern.ch.  `root` is where
    the machine's files are: `/`, and something else in tests.
    """

    def __init__(self, root: Path, mount_point: str = "", repository: Mapping[str, bytes] | None = None) -> None:
        self._root, self._mount_point, self._repository = root, mount_point, repository

    def read(self, path: str) -> bytes | None:
        """Content of a file; None where there is none.  OSError where it is there and cannot be read."""
        inside = self._inside(path)
        if inside is not None:
            return None if self._repository is None else self._repository.get(inside)
        try:
            return self.on_host(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def is_directory(self, path: str) -> bool:
        """Whether a directory is there."""
        inside = self._inside(path)
        if inside is None:
            return os.path.isdir(self.on_host(path))
        return any(name.startswith(f"{inside}/" if inside else "") for name in self._repository or ())

    def exists(self, path: str) -> bool:
        """Whether anything is there."""
        inside = self._inside(path)
        if inside is None:
            return os.path.exists(self.on_host(path))
        return inside in (self._repository or ()) or self.is_directory(path)

    def path(self, path: str) -> Path:
        """A path that can be read wherever the file is; it need not exist."""
        inside = self._inside(path)
        if inside is None:
            return self.on_host(path)
        content = None if self._repository is None else self._repository.get(inside)
        return Path(path) if content is None else HeldFile.of(path, content)

    def listed(self, directory: str, ending: str) -> list[Path]:
        """The files in `directory` whose names end so, sorted; [] where there is no such directory."""
        inside = self._inside(directory)
        if inside is None:
            place = self.on_host(directory)
            try:
                names = sorted(name for name in os.listdir(place) if name.endswith(ending))
            except (FileNotFoundError, NotADirectoryError):
                return []
            except OSError as error:
                raise ConfigurationError(f"{place}: cannot be listed ({error.strerror}); make it readable") from None
            return [place / name for name in names]
        start = f"{inside}/"
        found = sorted(name for name in self._repository or () if name.startswith(start) and name.endswith(ending))
        return [self.path(f"{self._mount_point}/{name}") for name in found if "/" not in name[len(start) :]]

    def on_host(self, path: str) -> Path:
        """The file of this machine at an absolute path."""
        return Path(path) if self._root == Path("/") else self._root / path.lstrip("/")

    def _inside(self, path: str) -> str | None:
        """The path inside the configuration repository, None where it is not below its mount point."""
        if not self._mount_point or not (path + "/").startswith(self._mount_point + "/"):
            return None
        return path[len(self._mount_point) + 1 :].rstrip("/")
