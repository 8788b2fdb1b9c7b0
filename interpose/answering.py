"""Which part answers a question, and what an error becomes on its way to the program.

Owns the choice by the table of system calls, the account of answers, and making room for one.  Must not know threads or
mailboxes (`server`).  Imported with the first question: so is all that only answers need.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from hepwrap.cache.refusal import no_room
from hepwrap.errnos import errno_of
from hepwrap.errors import HepwrapError, NoRoom, PathError
from hepwrap.interpose import _core
from hepwrap.interpose.answers import HANDLERS, on_unknown
from hepwrap.interpose.executing import Executor, refused
from hepwrap.interpose.handing import give, show
from hepwrap.interpose.lookup import Answer
from hepwrap.interpose.question import REASON_GIVE, REASON_SHOW, Question
from hepwrap.interpose.world import World
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import target_errno
from hepwrap.vfs.resolve import text

#: What comes back when files and directories leave memory.
GIVEN_BACK = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))
#: Of so many MiB (decision 17).
INDEX_FULL = (
    "no room is left in the index ({} MiB) for what this job has not opened before; "
    "divide it among several launches, or raise ulimit -v"
)


class Answering:
    """Answers from any thread.  `base` is where the runtime lies; `complain` gets a sentence on each failure."""

    def __init__(self, world: World, base: int, complain: Callable[[str], None]) -> None:
        self.world, self._complain = world, complain
        self._treatments = {number: treatment for _, number, treatment, _, _ in _core.rows()}
        self._names = {number: name for name, number, _, _, _ in _core.rows()}
        self._executor = Executor(world, base, complain)

    def answer(self, raw: _core.Raw) -> Answer:
        """The answer to what `_core.Tracer.next` gives; never raises."""
        return self.answer_or_errno(Question.of(raw))

    def answer_or_errno(self, question: Question) -> Answer:
        """The answer, or the errno of what went wrong."""
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
            return target_errno(errno_of(error)), None

    def _with_room(self, question: Question) -> Answer:
        """The answer; where the kernel gives us no descriptor or memory for it, again with less and less in memory.

        What we lack must not look as if the program lacked it: NoRoom says whose limit it is.
        """
        while True:
            try:
                return self._handle(question)
            except _index.Full as error:
                raise NoRoom(INDEX_FULL.format(self.world.book.index.window >> 20)) from error
            except OSError as error:
                if error.errno not in GIVEN_BACK:
                    raise
                if not self.world.relieve():
                    raise no_room("the answer", error) from error

    def _handle(self, question: Question) -> Answer:
        treatment = self._treatments.get(question.number, "pass")
        if question.reason == REASON_GIVE:
            return give(self.world, question)
        if question.reason == REASON_SHOW:
            return show(self.world, question)
        if treatment in ("execve", "execveat"):
            return self._executor.answer(question)
        return HANDLERS.get(treatment, on_unknown)(self.world, question)


def complaint(name: str, question: Question, error: Exception) -> str:
    """One sentence on why a call fails because of us: which path, which object, which check."""
    what = str(error) if isinstance(error, HepwrapError) else f"{name} failed: {type(error).__name__}: {error}"
    path = text(question.path or b"")
    return what if not path or path in what else f"{path}: {what}"
