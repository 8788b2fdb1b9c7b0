"""The server: threads that take questions and answer them, until no task is left.

Owns threads, the mailboxes, and the account at the end.  Must not know who answers what (`answering`).

    leader thread     drops capabilities (what programs may open in /proc/<server>/fd depends on the leader), waits
    tracer thread     ptrace, from the first attach to the last exit
    workers           as many as there are questions at once; each takes the next itself, so nothing is handed around
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hepwrap.cache.place import Place
from hepwrap.errors import HepwrapError, LaunchError
from hepwrap.interpose import _core, limits
from hepwrap.interpose.herald import Herald
from hepwrap.interpose.home import Home
from hepwrap.interpose.standins import StandIns
from hepwrap.records import dataclass
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import CHILD, offset, target_errno, width

if TYPE_CHECKING:
    from hepwrap.interpose.answering import Answering
    from hepwrap.interpose.world import World
    from hepwrap.vfs.mounts import MountTable

MOST_WORKERS = 512
FIRST_WORKERS = 4
HOUSEKEEPING_SECONDS = 2.0
REPORT_SECONDS = 2.0
YAMA_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
CAP_SYS_PTRACE = 19
#: Of a directory, in getdents(2).
DT_DIR = 4


@dataclass(frozen=True, slots=True)
class Ground:
    """What the first program finds when it starts, and what is looked at while the helper has the launch's rights."""

    index: _index.Index
    mounts: MountTable
    standins: StandIns
    home: Home
    #: The directory that memory files are made in, if they have one, and which descriptor of every program it is.
    place: Place | None = None
    number: int = -1


class Server:
    """Serves one launch.  `report(server)` is called when the first process ends, while its stderr is still open."""

    def __init__(
        self,
        ground: Ground,
        make_world: Callable[[], World],
        herald: Herald,
        *,
        report: Callable[[Server], None],
        log: Callable[[str], None],
        complain: Callable[[str], None],
        warn: Callable[[str], None],
        housekeeping: Callable[[Server], None] = lambda _server: None,
        patching: bool = True,
    ) -> None:
        self.ground, self._make_world, self._herald, self._report, self._log = ground, make_world, herald, report, log
        self.made_world: World | None = None
        self._complain, self._warn = complain, warn
        self._housekeeping = housekeeping
        self._patching = patching
        self._directory = current_directory()
        self.started = time.monotonic()
        self.first = self._base = 0
        self._lock, self._making = threading.Lock(), threading.Lock()
        self._workers = self._idle = 0
        self._answering: Answering | None = None
        self.tracer: _core.Tracer | None = None

    @property
    def index_fd(self) -> int:
        """Descriptor of image and index."""
        return self.ground.index.fd

    @property
    def directory(self) -> tuple[int, int] | None:
        """The directory of memory files: our descriptor, and its number in every program; None: they have none."""
        place = self.ground.place
        return None if place is None else (place.readable, self.ground.number)

    @property
    def world(self) -> World:
        """What answers are made from; made when it is first needed, by the first question."""
        with self._making:
            if self.made_world is None:
                self.made_world = self._make_world()
            return self.made_world

    @property
    def start(self) -> bytes:
        """Where the command starts, if the directory that it would start in is shown nowhere; else b""."""
        if self.ground.mounts.root is None:
            return b""
        return b"" if self.world.resolver.seen(self._directory) else b"/"

    def serve(self, first: int, base: int, attached: Callable[[], None]) -> None:
        """Trace process `first` and answer for it and all its descendants; returns when the last has ended."""
        self.first = first
        self._write_header()
        index = self.ground.index
        self.tracer = _core.Tracer(index.address(), self.index_fd, base, self._at_exit, self._patching, self._tell)
        self._base = base
        attaching: list[OSError | None] = []
        ready = threading.Event()
        tracing = threading.Thread(target=self._trace, args=(first, attaching, ready), name="tracer")
        try:  # the tracer last: what fails after it has attached kills the command before anybody can say why
            self._herald.start(first)
            for _ in range(FIRST_WORKERS):
                self._add_worker()
            threading.Thread(target=self._keep_house, name="housekeeping", daemon=True).start()
            tracing.start()
        except RuntimeError:
            raise LaunchError(
                "no thread is left to hepwrap's helper; raise ulimit -u, or end other processes"
            ) from None
        ready.wait()
        if attaching[0] is not None:
            raise refuse_attach(attaching[0])
        _core.drop_capabilities()
        limits.announce_the_end(self._warn)
        attached()
        tracing.join()
        if self.ground.place is not None:
            self.ground.place.clear()
        if self.tracer.failure():
            self._log(self.tracer.failure())

    def _trace(self, first: int, attaching: list[OSError | None], ready: threading.Event) -> None:
        assert self.tracer is not None
        try:
            self.tracer.attach(first)
        except OSError as error:
            attaching.append(error)
            return
        else:
            attaching.append(None)
        finally:
            ready.set()
        self.tracer.run()

    def _write_header(self) -> None:
        index, standins, home = self.ground.index, self.ground.standins, self.ground.home
        values = {
            "server": os.getpid(),
            **self._files(),
            "standin_device": standins.device,
            "binds_at": index.append(self._binds()),
            "standin_mark": standins.mark,
            "flags": (_index.HEADER_HOST_PREFIX if home.has_prefix else 0)
            | (0 if proc_is_ours() else _index.HEADER_WANDERERS)
            | (_index.HEADER_NESTED_BINDS if self.ground.mounts.binds.nested else 0)
            | (_index.HEADER_MAKERS if home.may_make_prefix else 0),
            "root_mount": home.root.mount,
            "root_device": home.root.device,
            "root_inode": home.root.inode,
            "listed_at": self._listed(),
        }
        for name, value in values.items():
            index.store(offset("header", name), width("header", name), value)

    def _files(self) -> dict[str, int]:
        """Where memory files are, and how they are opened (layout.def)."""
        place = self.ground.place
        if place is None:
            return {"file_device": memory_device()}
        return {
            "file_device": place.device,
            "files_token": int.from_bytes(place.token.encode(), "little"),
            "files_at": self.ground.number,
        }

    def _listed(self) -> int:
        """The struct child by which `/` lists the mount point; 0 where the host has one, or it lies elsewhere."""
        above, _, name = self.ground.mounts.prefix.rpartition(b"/")
        if above or self.ground.home.has_prefix:
            return 0
        index = self.ground.index
        child = CHILD.pack(name_at=index.append(name), st_ino=_index.FIRST_NUMBER, length=len(name), type=DT_DIR)
        return index.append(child)

    def _binds(self) -> bytes:
        """The table of binds as the runtime reads it (layout.def)."""
        binds = self.ground.mounts.binds
        rows = [bind.place + b"\0" + (b"" if bind.keeps else bind.host) + b"\0" for bind in binds]
        return b"".join(rows) + b"\0"

    # Workers.

    def _add_worker(self) -> None:
        """One more; where the system has no thread left, those that there are must do."""
        try:
            threading.Thread(target=self._work, name=f"worker-{self._workers + 1}", daemon=True).start()
            self._workers += 1
        except RuntimeError:
            if not self._workers:
                raise

    def _work(self) -> None:
        assert self.tracer is not None
        _core.drop_capabilities(1 << CAP_SYS_PTRACE)  # /proc/PID/{root,cwd,exe,fd} of a task that has more than we
        while True:
            with self._lock:
                self._idle += 1
            raw = self.tracer.next()
            with self._lock:
                self._idle -= 1
                if raw is not None and not self._idle and self._workers < MOST_WORKERS:
                    self._add_worker()  # there is always one left to take the next
            if raw is None:
                return
            self._answer(raw)

    def _answering_part(self) -> Answering:
        """What answers; brought in by the first question, since many a command asks none, or none for a while."""
        with self._lock:
            if self._answering is None:
                from hepwrap.interpose.answering import Answering

                self._answering = Answering(self.world, self._base, self._complain)
            return self._answering

    def _answer(self, raw: _core.Raw) -> None:
        slot, socket = raw[0], raw[-1]
        try:
            word, data = self._answering_part().answer(raw)
        except Exception as error:  # our own files have gone away meanwhile, or there is no room to begin with
            self._complain(f"hepwrap's helper cannot answer: {type(error).__name__}: {error}")
            word, data = target_errno(errno.EIO), None
        if socket >= 0:
            os.close(socket)
        try:
            self.ground.index.answer(slot, word, data)
        except _index.Full:
            self.ground.index.answer(slot, target_errno(errno.ENOMEM))

    def _keep_house(self) -> None:
        while True:
            time.sleep(HOUSEKEEPING_SECONDS)
            try:
                self._housekeeping(self)
            except Exception as error:  # must not end the thread: the next round may do better
                self._log(f"housekeeping failed: {type(error).__name__}: {error}")

    def _tell(self, what: int, who: int, whom: int) -> None:
        """In the tracer's thread: what is to be said of debuggers, before they say what they make of it."""
        from hepwrap.interpose.debuggers import sentence

        self._warn(sentence(what, who, whom))

    def _at_exit(self) -> None:
        """In the tracer's thread: the first process is stopped at its end, and must not wait for ever."""
        try:
            self._report(self)
        except Exception as error:  # the account is not worth the job
            self._log(f"the account failed: {type(error).__name__}: {error}")
        self._herald.finish(REPORT_SECONDS)


def current_directory() -> bytes:
    """The directory of this process; the root, where it has been removed."""
    try:
        return os.getcwdb()
    except OSError:
        return b"/"


def proc_is_ours() -> bool:
    """Whether /proc is that of our pid namespace, so that our number there leads to us."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def memory_device() -> int:
    """st_dev of memory files: one mount of the kernel's own holds them all (memfd_create(2))."""
    fd = os.memfd_create("hepwrap-probe", os.MFD_CLOEXEC)
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)


def refuse_attach(error: OSError, scope_file: Path = YAMA_SCOPE) -> HepwrapError:
    """One sentence on why the kernel does not let us trace."""
    try:
        scope = int(scope_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        scope = 0
    if scope >= 2:
        return LaunchError(
            f"this machine forbids tracing (kernel.yama.ptrace_scope is {scope}); "
            "ask its administrator for ptrace_scope 0 or 1"
        )
    return LaunchError(f"the kernel does not let us trace the command: {error.strerror}; see `hepwrap doctor`")
