"""One launch: constructs what the helper serves, and writes its account at the end.

Owns the wiring of a launch; `assemble` owns that of repositories.  Everything here runs in the helper process.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hepwrap import account
from hepwrap.joblog import Complaints, JobLog
from hepwrap.records import as_mapping, dataclass, replace
from hepwrap.settings import Settings

if TYPE_CHECKING:
    from hepwrap.cache.memory import MemoryFile, MemoryFiles
    from hepwrap.cache.place import Place
    from hepwrap.cache.stores import Store
    from hepwrap.interpose.herald import Herald
    from hepwrap.interpose.launch import LaunchOptions
    from hepwrap.interpose.server import Ground, Server
    from hepwrap.interpose.world import World
    from hepwrap.vfs.magic import MagicAttributes
    from hepwrap.vfs.mounts import Mount, MountTable


#: Takes one line.
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a launch needs from the front: settings, and the way to the mounts.

    `mounts(warn, log)` is called in the helper: `warn` takes sentences for the user, `log` what fetchers do.
    """

    settings: Settings
    mounts: Callable[[Say, Say], MountTable]
    #: For each repository that was named, the tag and the root hash that were asked for; "" none.
    revisions: Callable[[], Mapping[str, tuple[str, str]]] = dict


def run(plan: Plan, command: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Become the command."""
    from hepwrap.interpose import launch
    from hepwrap.interpose.herald import Herald, identity_of

    if launch.tracer_of_this_process():
        from hepwrap import nested

        if around := nested.launch_around(plan.settings.prefix):
            nested.check(around, plan.settings, plan.revisions())
            if plan.settings.stats is not None:
                launch.tell("no account of this launch: the one around it counts all of this")
            launch.execute(command, environment)
    stderr = identity_of(2)
    plan = replace(plan, settings=with_absolute_paths(plan.settings))
    kept = None
    if plan.settings.stats == "-" or plan.settings.verbosity:
        kept = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 10) if stderr else None
    herald = Herald(stderr, kept)
    launch.run(command, environment, lambda options: build(plan, options, herald), keep=() if kept is None else (kept,))


def with_absolute_paths(settings: Settings) -> Settings:
    """The helper will have another working directory."""
    stats = settings.stats if settings.stats in (None, "-") else os.path.abspath(settings.stats)
    return replace(settings, stats=stats, log=settings.log and settings.log.absolute())


def log_directory(settings: Settings) -> Path | None:
    """Where logs of launches go."""
    return None if settings.state_directory is None else settings.state_directory / "log"


def build(plan: Plan, options: LaunchOptions, herald: Herald) -> Server:
    """The server of one launch, with every repository of the command line verified.  Raises HepwrapError."""
    from hepwrap.interpose import _core
    from hepwrap.interpose.home import Home
    from hepwrap.interpose.server import Ground, Server, current_directory
    from hepwrap.interpose.standins import StandIns, candidate_directories
    from hepwrap.vfs.index import _index

    settings = plan.settings
    log = JobLog(log_directory(settings), herald.say if settings.verbosity else None, file=settings.log)
    complaints = Complaints(log, (lambda _text: None) if settings.verbosity else herald.say_now)
    table = plan.mounts(complaints.warn, log)
    for repository in settings.repositories:
        table.get(repository.name.encode())
    if settings.root is not None or settings.binds:
        from hepwrap.showing import arrange

        arrange(table, settings, os.environb, current_directory())
    index = _index.Index(options.window, table.begin, _core.image())
    home = Home(table.prefix, has_root=table.root is not None)
    place = None if settings.sealed else make_place(options.number)
    ground = Ground(index, table, StandIns(candidate_directories(dict(os.environ))), home, place, options.number)
    started = time.time()
    server = Server(
        ground,
        lambda: make_world(ground, settings, log, complaints.warn, started),
        herald,
        report=lambda server: report(server, settings, complaints, log, table, herald),
        log=log,
        complain=complaints,
        warn=complaints.warn,
        housekeeping=lambda server: keep_house(server.made_world.files if server.made_world else None, table),
        patching=settings.patch,
    )
    if settings.root is not None or settings.binds:  # nearly every path is a question then, the first one too
        assert server.world
    return server


#: How the file system of opened files is mounted (tmpfs(5)): what it may hold is the budget's to say; pages as large as
#: fit into a file, where the kernel has some.
MOUNTED = ("mode=0755,size=0,nr_inodes=0,huge=within_size", "mode=0755,size=0,nr_inodes=0")


def make_place(number: int) -> Place | None:
    """Where opened files lie: in a file system of our own where the machine lets us have one, and programs have a
    `number` to spare for its directory; None: sealed, without names."""
    from hepwrap.cache.place import Place

    if number >= 0:
        with contextlib.suppress(OSError):
            return Place(*mount_privately())
    return None


def mount_privately() -> tuple[int, int, int]:
    """What a Place is made of, of a new file system of our own.  Raises OSError."""
    from hepwrap.interpose import _core

    try:
        return _core.private_mount(MOUNTED[0])
    except OSError as error:
        if error.errno != errno.EINVAL:  # a kernel without such pages; else it is the mount itself
            raise
    return _core.private_mount(MOUNTED[1])


def make_world(ground: Ground, settings: Settings, log: JobLog, warn: Callable[[str], None], started: float) -> World:
    """What answers are made from, on that ground; `started` is when the launch was, seconds since 1970."""
    from hepwrap import nested
    from hepwrap.cache import descriptors
    from hepwrap.interpose.world import World
    from hepwrap.vfs.resolve import OsHost, Resolver

    # The files tell the world of evictions, the world asks for files: tied here, before either is used.
    world: World
    files = make_files(settings, make_store(ground), lambda file: world.evicted(file), lambda key: world.name_of(key))  # noqa: PLW0108 - not there yet
    facts = Facts(files, started)
    world = World(
        ground.index,
        Resolver(ground.mounts, OsHost()),
        files,
        ground.standins,
        facts.magic,
        log,
        home=ground.home,
        most_objects=descriptors.reserved_for_objects,
        warn=warn,
    )
    facts.world = world
    world.launch_attribute = nested.ATTRIBUTE.encode(), nested.about(settings)
    return world


def make_store(ground: Ground) -> Store:
    """What makes files there."""
    from hepwrap.cache.private_mount import PrivateMount
    from hepwrap.cache.stores import SealedStore

    mark = ground.standins.mark
    return SealedStore(mark) if ground.place is None else PrivateMount(ground.place, mark)


def make_files(
    settings: Settings, store: Store, on_evict: Callable[[MemoryFile], None], name: Callable[[Hashable], str]
) -> MemoryFiles:
    """Memory files with the job's budget, named as messages and /proc/PID/maps show them."""
    from hepwrap.cache.budget import JobBudget
    from hepwrap.cache.memory import MemoryFiles
    from hepwrap.cache.objects import Objects

    return MemoryFiles(
        Objects(workers=settings.cache.workers),
        budget=JobBudget(settings.cache.limit),
        on_evict=on_evict,
        name=name,
        store=store,
    )


def keep_house(files: MemoryFiles | None, table: MountTable) -> None:
    """Every few seconds: give memory back where it got tight, say that a whitelist has expired."""
    if files is not None:
        files.trim()
    for mount in table.mounted():
        if mount.repository is not None:
            mount.repository.check_expiry()


class Facts:
    """The magic attributes of each mount, with what the server knows for them."""

    def __init__(self, files: MemoryFiles, started: float) -> None:
        self.world: object = None
        self._files = files
        self._started = started
        self._made: dict[int, MagicAttributes] = {}

    def magic(self, mount: Mount) -> MagicAttributes | None:
        """None for /cvmfs itself."""
        from hepwrap.vfs.magic import MagicAttributes

        if mount.repository is None:
            return None
        if mount.index not in self._made:
            self._made[mount.index] = MagicAttributes(mount.repository, facts=self.facts)
        return self._made[mount.index]

    def facts(self) -> Mapping[str, object]:
        """pid, uptime (minutes) and counters."""
        import resource

        tally = self.world.tally  # type: ignore[attr-defined]
        return {
            "pid": os.getpid(),
            "uptime": int((time.time() - self._started) // 60),
            "maxfd": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "usedfd": len(os.listdir("/proc/self/fd")),
            "nopen": tally.by_call.get("openat", 0) + tally.by_call.get("open", 0),
            "nioerr": tally.failures,
            "ncleanup24": self._files.counters.evicted,
        }


def collect(server: Server, table: MountTable) -> dict[str, Mapping[str, float]]:
    """All counters of a launch, zeros where nothing was ever asked."""
    from hepwrap.cache.counters import MemoryCounters
    from hepwrap.interpose.tally import Tally

    world, index = server.made_world, server.ground.index
    tally, files = (world.tally, world.files.counters) if world else (Tally(), MemoryCounters())
    fetch: dict[str, float] = {}
    for mount in table.mounted():
        if mount.repository is not None:
            for name, value in as_mapping(mount.repository.fetcher.counters).items():
                fetch[name] = fetch.get(name, 0) + value
    empty = ("requests", "bytes_received", "failures", "retries", "failovers", "corrupt", "seconds")
    return {
        "time": {"wall_seconds": time.monotonic() - server.started},
        "tracer": server.tracer.counters() if server.tracer else {},
        "questions": dict(tally.by_call),
        "answers": {"failures": tally.failures},
        "fetch": {**dict.fromkeys(empty, 0), **fetch},
        "cache": {**as_mapping(files), "private_mount": int(server.ground.place is not None)},
        "index": {"bytes": index.used, "names": index.names},
        "revisions": {
            mount.name.decode(): mount.repository.revision for mount in table.mounted() if mount.repository is not None
        },
    }


def report(
    server: Server, settings: Settings, complaints: Complaints, log: JobLog, table: MountTable, herald: Herald
) -> None:
    """At the end of the first process: the account where it was asked for, and what has not been said yet."""
    if server.tracer and server.tracer.failure():
        complaints(server.tracer.failure())
    if settings.stats is not None:
        counters = collect(server, table)
        if settings.stats == "-":
            herald.say(account.as_text(counters))
        else:
            write_stats(Path(settings.stats), account.as_json(counters), log)
    if complaints.unsaid and not settings.verbosity:
        where = f"; all of them in {log.path}" if log.path else ""
        herald.say(f"hepwrap: {complaints.count} calls failed, the last: {log.last}{where}\n")


def write_stats(path: Path, text: str, log: JobLog) -> None:
    """The account into a file; the job is over, so a failure is only logged."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)  # no waiting
        with os.fdopen(fd, "w") as file:
            file.write(text)
    except OSError as error:
        log(f"the account could not be written to {path}: {error.strerror}")
