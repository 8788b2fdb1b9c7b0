"""The only place that constructs rooms: from what is configured to repositories, mounts, paths and launches.

Everything heavy is imported when it is first needed, so that a command pays only for what it uses.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hepwrap.config import LoadedSettings, Overrides
from hepwrap.errors import HepwrapError, LaunchError, PathError
from hepwrap.settings import CacheSettings, RepositorySettings

if TYPE_CHECKING:
    from hepwrap.cache.budget import Budget
    from hepwrap.cache.objects import Objects
    from hepwrap.vfs.mounts import MountTable
    from hepwrap.vfs.repository import Repository
    from hepwrap.vfs.resolve import Node, Resolver
    from hepwrap.vfs.state import StateDirectory

#: Takes one line.
Log = Callable[[str], None]


def say(line: str) -> None:
    """One line for the user, on stderr."""
    if sys.stderr is None:  # The shell has closed it, and print() would turn to stdout.
        return
    print(f"hepwrap: {one_line(line)}", file=sys.stderr, flush=True)


def one_line(text: str) -> str:
    """`text` on one line and without anything a terminal would obey, whatever names are in it."""
    plain = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        letter if letter.isprintable() else " " if letter in "\n\t" else repr(letter)[1:-1] for letter in plain
    )


def _silent(_line: str) -> None:
    pass


def configuration(overrides: Overrides | None = None, *, warn: Log = say, log: Log = _silent) -> LoadedSettings:
    """What is configured for this process: its flags, environment, directory and machine."""
    loaded: LoadedSettings

    def read_config_repository(fqrn: str, settings: RepositorySettings) -> Mapping[str, bytes]:
        return RepositoryFiles(_opened(settings, loaded, None, warn=warn, log=log), loaded.job.prefix)

    loaded = LoadedSettings(
        overrides,
        environ=dict(os.environ),
        cwd=_current_directory(),
        read_config_repository=read_config_repository,
        warn=warn,
    )
    return loaded


def _current_directory() -> Path:
    """Where this process is; the root, where that directory has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/")


def state_directory(loaded: LoadedSettings) -> StateDirectory | None:
    """Where the highest revisions seen are remembered; None: nowhere."""
    from hepwrap.vfs.state import StateDirectory

    path = loaded.job.state_directory
    return None if path is None else StateDirectory(path)


def open_repository(
    loaded: LoadedSettings, fqrn: str, *, objects: Objects | None = None, warn: Log = say, log: Log = _silent
) -> Repository:
    """A repository that somebody named, verified; ConfigurationError where nothing is known about it.

    `objects` is shared by all repositories of a process; `log` gets what fetchers do.
    """
    return _opened(loaded.known(fqrn), loaded, objects, warn=warn, log=log)


def _opened(
    settings: RepositorySettings,
    loaded: LoadedSettings,
    objects: Objects | None,
    *,
    warn: Log,
    log: Log,
    launching: bool = False,
) -> Repository:
    from hepwrap.cache.objects import Objects
    from hepwrap.fetchers.registry import is_local, open_fetcher
    from hepwrap.vfs.repository import open_repository as opened

    fetcher = open_fetcher(settings.fetch, fqrn=settings.name, log=log)
    if objects is None:
        objects = Objects(workers=loaded.job.cache.workers)
    ttl = 0.0  # who looks into a repository wants to see what is there now
    if launching and not is_local(settings.fetch):
        ttl = math.inf if settings.max_ttl is None else settings.max_ttl
    return opened(settings, fetcher, objects, state=state_directory(loaded), warn=warn, ttl=ttl)


def mount_table(loaded: LoadedSettings, *, warn: Log = say, log: Log = _silent, launching: bool = False) -> MountTable:
    """All of /cvmfs; repositories are opened when they are first touched.

    A name that nothing is known about does not exist, unless it was asked for on the command line.  `launching`: for a
    job, which may go by what servers said to the one before it.
    """
    from hepwrap.cache.objects import Objects
    from hepwrap.vfs.mounts import MountTable

    objects = Objects(workers=loaded.job.cache.workers)

    def open_mount(name: bytes) -> Repository | None:
        fqrn = os.fsdecode(name)
        settings = loaded.known(fqrn) if fqrn in loaded.required else loaded.repository(fqrn)
        if settings is None:
            return None
        return _opened(settings, loaded, objects, warn=warn, log=log, launching=launching)

    return MountTable(os.fsencode(loaded.job.prefix), open_mount, [os.fsencode(name) for name in loaded.names])


def resolver(loaded: LoadedSettings, *, warn: Log = say, log: Log = _silent) -> Resolver:
    """What a path means, over all of /cvmfs and this machine."""
    from hepwrap.vfs.resolve import OsHost, Resolver

    return Resolver(mount_table(loaded, warn=warn, log=log), OsHost())


def budget(cache: CacheSettings) -> Budget:
    """How much memory files may take."""
    from hepwrap.cache.budget import SHARE, JobBudget

    if cache.limit is not None or cache.share == 1 / SHARE:
        return JobBudget(cache.limit)
    return JobBudget(max(1, int(JobBudget().bytes_allowed() * SHARE * cache.share)))


def run(loaded: LoadedSettings, command: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Become `command` in a world where /cvmfs exists; LaunchError where it cannot start.

    Repositories are opened, and a configuration repository is read, in the helper process: nothing that starts threads
    or connections may happen before it is forked.
    """
    from hepwrap.records import replace

    wanted = tuple(RepositorySettings(name) for name in loaded.required)
    cache = loaded.job.cache
    if cache.limit is None and cache.share != CacheSettings().share:
        cache = replace(cache, limit=budget(cache).bytes_allowed())
    settings = replace(loaded.job, repositories=wanted, cache=cache)
    try:
        from hepwrap import job
        from hepwrap.interpose import launch as _launch  # noqa: F401
    except ImportError as error:
        raise LaunchError(
            f"the engine is not built ({error}); install hepwrap again with a C compiler, or see `hepwrap doctor`"
        ) from error
    # The one call site of the engine.
    plan = job.Plan(
        settings,
        lambda warn, log: mount_table(loaded, warn=warn, log=log, launching=True),
        lambda: {name: loaded.revision_asked(name) for name in loaded.required},
    )
    job.run(plan, command, environment)


class RepositoryFiles(Mapping[str, bytes]):
    """Files of a repository by path without a slash at the start; what configuration is read from.

    Links inside of the repository are followed.  Listed is what lies below `etc/cvmfs`; content is fetched, verified,
    when it is asked for.
    """

    LISTED = b"/etc/cvmfs"

    def __init__(self, repository: Repository, prefix: str) -> None:
        from hepwrap.vfs.mounts import MountTable
        from hepwrap.vfs.resolve import OsHost, Resolver

        self._repository = repository
        name = os.fsencode(repository.name)
        table = MountTable(os.fsencode(prefix), lambda asked: repository if asked == name else None, [name])
        self._resolver = Resolver(table, OsHost())
        self._base = os.fsencode(prefix) + b"/" + name
        self._names: tuple[str, ...] | None = None

    def __getitem__(self, path: str) -> bytes:
        node = self._node(os.fsencode(path))
        if node is None or not node.entry.is_file:
            raise KeyError(path)
        return b"".join(self._repository.read(node.entry))

    def __contains__(self, path: object) -> bool:
        node = self._node(os.fsencode(path)) if isinstance(path, str) else None
        return node is not None and node.entry.is_file

    def __iter__(self) -> Iterator[str]:
        if self._names is None:
            self._names = tuple(os.fsdecode(path[1:]) for path in self._walk(self.LISTED))
        return iter(self._names)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _node(self, path: bytes) -> Node | None:
        from hepwrap.vfs.resolve import HostPath

        try:
            target = self._resolver.resolve(self._base + b"/" + path).target
        except PathError:
            return None
        return None if isinstance(target, HostPath) else target

    def _walk(self, directory: bytes) -> Iterator[bytes]:
        try:
            entries = self._repository.listdir(directory)
        except PathError:
            return
        for entry in entries:
            if entry.is_dir:
                yield from self._walk(entry.path)
            elif entry.is_file or (entry.is_symlink and os.fsdecode(entry.path[1:]) in self):
                yield entry.path


__all__ = [
    "HepwrapError",
    "Log",
    "RepositoryFiles",
    "budget",
    "configuration",
    "mount_table",
    "one_line",
    "open_repository",
    "resolver",
    "run",
    "say",
    "state_directory",
]
