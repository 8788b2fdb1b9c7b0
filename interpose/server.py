"""The server: threads that take questions and answer them, until no task is left.

Owns threads, the mailboxes' answers, and the account at the end.  Must not know what a path means (`answers`).

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

from hepwrap.cache.refusal import no_room
from hepwrap.errnos import errno_of
from hepwrap.errors import HepwrapError, LaunchError, PathError
from hepwrap.interpose import _core, limits
from hepwrap.interpose.answers import HANDLERS, Answer, on_unknown
from hepwrap.interpose.executing import Executor, refused
from hepwrap.interpose.handing import give
from hepwrap.interpose.herald import Herald
from hepwrap.interpose.question import REASON_GIVE, Question
from hepwrap.interpose.world import World
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import offset, target_errno, width
from hepwrap.vfs.resolve import text

MOST_WORKERS = 512
FIRST_WORKERS = 4
HOUSEKEEPING_SECONDS = 2.0
REPORT_SECONDS = 2.0
YAMA_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
CAP_SYS_PTRACE = 19
#: What comes back when files and directories leave memory.
GIVEN_BACK = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))


class Server:
    """Serves one launch.  `report(server)` is called when the first process ends, while its stderr is still open."""

    def __init__(
        self,
        world: World,
        herald: Herald,
        *,
        report: Callable[[Server], None],
        log: Callable[[str], None],
        complain: Callable[[str], None],
        warn: Callable[[str], None],
        housekeeping: Callable[[], None] = lambda: None,
        patching: bool = True,
    ) -> None:
        self.world, self._herald, self._report, self._log = world, herald, report, log
        self._complain, self._warn = complain, warn
        self._housekeeping = housekeeping
        self._patching = patching
        self.started = time.monotonic()
        self.first = 0
        self._treatments = {number: treatment for _, number, treatment, _, _ in _core.rows()}
        self._names = {number: name for name, number, _, _, _ in _core.rows()}
        self._lock = threading.Lock()
        self._workers = self._idle = 0
        self._executor: Executor | None = None
        self.tracer: _core.Tracer | None = None

    @property
    def index_fd(self) -> int:
        """Descriptor of image and index."""
        return self.world.index.fd

    def serve(self, first: int, base: int, attached: Callable[[], None]) -> None:
        """Trace process `first` and answer for it and all its descendants; returns when the last has ended."""
        self.first = first
        self._write_header()
        self.tracer = _core.Tracer(self.world.index.address(), self.index_fd, base, self._at_exit, self._patching)
        self._executor = Executor(self.world, base, self._complain)
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
        index = self.world.index
        values = {
            "server": os.getpid(),
            "file_device": memory_device(),
            "standin_device": self.world.standins.device,
            "standin_mark": self.world.standins.mark,
            "flags": (_index.HEADER_HOST_PREFIX if self.world.home.has_prefix else 0)
            | (0 if proc_is_ours() else _index.HEADER_WANDERERS),
            "root_mount": self.world.home.root.mount,
            "root_device": self.world.home.root.device,
            "root_inode": self.world.home.root.inode,
        }
        for name, value in values.items():
            index.store(offset("header", name), width("header", name), value)

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
            self._answer(Question.of(raw))

    def _answer(self, question: Question) -> None:
        word, data = self._answer_or_errno(question)
        if question.socket >= 0:
            os.close(question.socket)
        try:
            self.world.index.answer(question.slot, word, data)
        except _index.Full:
            self.world.index.answer(question.slot, target_errno(errno.ENOMEM))

    def _answer_or_errno(self, question: Question) -> Answer:
        tally = self.world.tally
        tally.answers += 1
        name = self._names.get(question.number, str(question.number))
        tally.by_call[name] = tally.by_call.get(name, 0) + 1
        try:
            return self._with_room(question)
        except PathError as error:
            return refused(error)
        except Exception as error:  # a mistake of ours must not look like a missing file, nor hang the program
            tally.failures += 1
            self._complain(complaint(name, question, error))
            return target_errno(errno.ENOMEM if isinstance(error, _index.Full) else errno_of(error)), None

    def _with_room(self, question: Question) -> Answer:
        """The answer; where the kernel gives us no descriptor or memory for it, again with less and less in memory.

        What we lack must not look as if the program lacked it: NoRoom says whose limit it is.
        """
        while True:
            try:
                return self._handle(question)
            except OSError as error:
                if error.errno not in GIVEN_BACK:
                    raise
                if not self.world.relieve():
                    raise no_room("the answer", error) from error

    def _handle(self, question: Question) -> Answer:
        treatment = self._treatments.get(question.number, "pass")
        if question.reason == REASON_GIVE:
            return give(self.world, question)
        if treatment in ("execve", "execveat"):
            assert self._executor is not None
            return self._executor.answer(question)
        return HANDLERS.get(treatment, on_unknown)(self.world, question)

    def _keep_house(self) -> None:
        while True:
            time.sleep(HOUSEKEEPING_SECONDS)
            try:
                self._housekeeping()
            except Exception as error:  # must not end the thread: the next round may do better
                self._log(f"housekeeping failed: {type(error).__name__}: {error}")

    def _at_exit(self) -> None:
        """In the tracer's thread: the first process is stopped at its end, and must not wait for ever."""
        try:
            self._report(self)
        except Exception as error:  # the account is not worth the job
            self._log(f"the account failed: {type(error).__name__}: {error}")
        self._herald.finish(REPORT_SECONDS)


def complaint(name: str, question: Question, error: Exception) -> str:
    """One sentence on why a call fails with EIO: which path, which object, which check."""
    what = str(error) if isinstance(error, HepwrapError) else f"{name} failed: {type(error).__name__}: {error}"
    path = text(question.path or b"")
    return what if not path or path in what else f"{path}: {what}"


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
