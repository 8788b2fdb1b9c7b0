"""test.hep.example behind a server that fails as it is told, and launches that read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.faulty_server import Fault, FaultyServer, Stall
from tests.helpers.jobs import PATIENCE
from tests.helpers.launches import PATCHINGS, Launches
from tests.helpers.object_names import catalog_of, object_of
from tests.helpers.shared import shared_path
from tests.helpers.unprivileged import Unprivileged

NAME = "test.hep.example"
TOP = f"/cvmfs/{NAME}"
#: Both ways of the engine, and both places of opened files; what a program sees must not differ.
ENGINES = tuple(PATCHINGS)


def engine_options(engine: str) -> tuple[str, ...]:
    return tuple(PATCHINGS[engine])


@dataclass(frozen=True)
class FaultyRepository:
    """`launches` read the repository of `server`, as an ordinary user."""

    server: FaultyServer
    launches: Launches
    #: What the server has.
    directory: Path
    #: Master key, where the ordinary user can read it.
    key: Path

    def stall_content(self, path: str) -> str:
        """From now on the object of that file (path inside of the repository) stalls; its name."""
        return self.fault(object_of(self.directory, path), Stall())

    def stall_catalog(self, path: str) -> str:
        """From now on the catalogue for what is below `path` stalls; its name."""
        return self.fault(catalog_of(self.directory, path), Stall())

    def fault(self, name: str, fault: Fault) -> str:
        self.server.fault(name, fault)
        return name

    def wait_for_stalls(self, count: int = 1) -> None:
        """`count` more requests have begun to stall."""
        for _ in range(count):
            assert self.server.stalled.acquire(timeout=PATIENCE), f"no request stalls; asked were {self.server.names()}"

    @property
    def is_stalling(self) -> bool:
        """Nobody was let go yet: whatever has happened did not wait for the server."""
        return not self.server.release.is_set()


@contextmanager
def faulty_repository(
    user: Unprivileged, options: Sequence[str] = (), *, directory: Path | None = None
) -> Iterator[FaultyRepository]:
    """Served over loopback until the end."""
    key = user.give(shared_path(f"data/{NAME}/keys/{NAME}.pub"))
    place = directory or shared_path(f"data/{NAME}/repo")
    with FaultyServer(place, prefix=f"/cvmfs/{NAME}") as server:
        flags = ("--repo", f"{NAME}={server.url}", "--key", str(key), "--proxy", "DIRECT", *options)
        yield FaultyRepository(server, Launches.of(user, flags), place, key)


def parametrised(user: Unprivileged, engine: str) -> Iterator[FaultyRepository]:
    """The same for fixtures with an engine of ENGINES."""
    with faulty_repository(user, engine_options(engine)) as repository:
        yield repository
