"""The way of a question's path: where it starts, what it is called in the index, and where it leads.

Owns what a path is relative to, and whose credentials count on it.  Must not know what the call wants with the object.
"""

from __future__ import annotations

from functools import partial

from hepwrap.errors import PathError
from hepwrap.interpose.question import Question
from hepwrap.interpose.task import TaskHost, credentials_of
from hepwrap.interpose.world import World
from hepwrap.vfs.resolve import PATH_BYTES, HostPath, Node, Resolution
from hepwrap.vfs.rules import AS_EVER


class Way:
    """A question's path on its way: where it starts, and what it is called in the index."""

    def __init__(self, world: World, question: Question, path: bytes | None, base: int, start: bytes | None) -> None:
        self.world, self.question = world, question
        self.host = TaskHost(question.task, world.whose, world.home.root)
        self.start_node = world.book.node(base) if base else None
        self.path = path
        self._base, self._start = base, start
        self.absolute = self._absolute(path, start)

    @classmethod
    def of(cls, world: World, question: Question) -> Way:
        """Of the path that the question is about, or the first of two."""
        return cls(world, question, question.path, question.base, question.start)

    @classmethod
    def of_second(cls, world: World, question: Question) -> Way:
        """That of the second path of a question."""
        return cls(world, question, question.second_path, question.second_base, question.second_start)

    def beside(self, path: bytes) -> Way:
        """The same start, another path."""
        return Way(self.world, self.question, path, self._base, self._start)

    def _absolute(self, path: bytes | None, start: bytes | None) -> bytes | None:
        """The path from the root; None where only the kernel knows where it starts."""
        if path is None:
            return self.start_node.path if self.start_node else None
        if path.startswith(b"/") and not self.question.rules.in_root:
            return path
        path = path.lstrip(b"/")
        if self.start_node is not None:
            return self.start_node.key + b"/" + path if path else self.start_node.path
        if start is None or not start.startswith(b"/") or start.endswith(b" (deleted)"):
            return None
        seen = self.world.resolver.seen(start)
        if seen is None or (not self.host.is_magic(start) and self.host.readlink(start) is not None):
            return None  # to a link that is opened itself nothing is relative; no directory is called by one
        whole = seen.shown.rstrip(b"/") + b"/" + path
        return whole if len(whole) <= PATH_BYTES else None  # the limit is on what the caller gave

    @property
    def key(self) -> bytes | None:
        """The name to write the answer down under: only what starts below the prefix, and is walked as ever.

        None also where not everybody may come by that name: what is above a descriptor does not count for who has it.
        """
        if self.absolute is None or not self.path or self.question.rules != AS_EVER:
            return None
        if not self.path.startswith(b"/") and self._base and not self.world.book.is_searched(self._base):
            return None
        prefix = self.world.resolver.mounts.begin
        below = self.absolute.startswith(prefix) and self.absolute[len(prefix) : len(prefix) + 1] in (b"", b"/")
        return self.absolute if below else None

    def resolve(self, follow: bool, *, real: bool = False) -> Resolution | None:
        """Where it leads; None: the host knows.  With the task's credentials where those matter."""
        if self.absolute is None:
            return None
        if not self.path and self.start_node is not None:  # what a descriptor names
            return Resolution(self.start_node, universal=True)
        path, start = self._walk()
        resolve = partial(
            self.world.resolver.resolve, path, follow=follow, host=self.host, start=start, rules=self.question.rules
        )
        try:
            found = resolve()
        except PathError as error:
            if error.universal:
                raise
            return resolve(credentials=credentials_of(self.question.task, real=real))
        return found if found.universal else resolve(credentials=credentials_of(self.question.task, real=real))

    def _walk(self) -> tuple[bytes, Node | HostPath | None]:
        """The path to be resolved, and where from; None: from the root."""
        assert self.absolute is not None
        path, rules = self.path or b".", self.question.rules
        if path.startswith(b"/") and not rules.in_root:
            return path, None
        if self.start_node is not None:
            return path, self.start_node
        if rules != AS_EVER and self._start is not None:
            return path, self.world.resolver.seen(self._start)
        return self.absolute, None
