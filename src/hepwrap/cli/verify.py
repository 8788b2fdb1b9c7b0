"""`hepwrap verify`: fetches every object below a path and says which do not have the digest they are named by.

Catalogues are checked by walking through them.  Nothing that is fetched is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from hepwrap.cli.arguments import Parsed
from hepwrap.cli.commands import Command
from hepwrap.cli.looking import Looking, flush, opened, write
from hepwrap.cli.progress import ProgressLine
from hepwrap.errors import FetchFailed, HepwrapError, Untrusted
from hepwrap.records import dataclass, field

if TYPE_CHECKING:
    from hepwrap.vfs.repository import Repository
    from hepwrap.vfs.resolve import Node

_WORKERS = 16
#: Objects that are asked for ahead of those that are being looked at.
_AHEAD = 64


@dataclass(slots=True)
class Tally:
    """What was looked at, and what was wrong, by path."""

    entries: int = 0
    files: int = 0
    objects: int = 0
    content: int = 0
    bad: dict[bytes, str] = field(default_factory=dict)

    def summary(self) -> str:
        """How far it is."""
        return f"checked {self.objects} objects of {self.entries} entries, {len(self.bad)} bad"


def main(parsed: Parsed, command: Command) -> int:
    """Check every place; 0 where all of it is right, 1 with a list of what is not."""
    looking = Looking(parsed, command)
    tally = Tally()
    starts = [looking.find(place, follow=True) for place in looking.places]
    with (
        ProgressLine() as line,
        ThreadPoolExecutor(_WORKERS, thread_name_prefix="verify") as pool,
    ):
        verifier = Verifier(tally, pool, lambda: line.show(tally.summary))
        for start in starts:
            verifier.check(start)
        verifier.finish()
    for path, reason in sorted(tally.bad.items()):
        write(_line(path, reason))
    flush()
    write(
        f"{tally.entries} entries, {tally.files} files, {tally.objects} objects, {tally.content} bytes; "
        f"{len(tally.bad)} bad\n".encode()
    )
    return 1 if tally.bad else 0


class Verifier:
    """Walks, and has objects fetched ahead; each object once, however many files have it."""

    def __init__(self, tally: Tally, pool: ThreadPoolExecutor, report: Callable[[], None]) -> None:
        self._tally, self._pool, self._report = tally, pool, report
        self._seen: dict[object, bytes] = {}
        self._verdicts: dict[object, str] = {}
        self._running: dict[Future[int], tuple[bytes, object]] = {}
        self._waiting: dict[object, list[bytes]] = {}

    def check(self, start: Node) -> None:
        """Everything below `start`; what cannot be listed is bad, and the walk goes on beside it."""
        for node in self._walk(start):
            self._tally.entries += 1
            self._report()
            if node.entry.is_file:
                self._tally.files += 1
                self._file(node)

    def finish(self) -> None:
        """Wait for what is under way."""
        while self._running:
            self._collect()

    def _walk(self, node: Node) -> Iterator[Node]:
        from hepwrap.vfs.resolve import Node

        yield node
        if not node.entry.is_dir:
            return
        try:
            entries = sorted(node.mount.listdir(node.entry.path), key=lambda entry: entry.name)
        except (Untrusted, FetchFailed) as error:
            self._tally.bad[node.path] = str(error)
            return
        for entry in entries:
            yield from self._walk(Node(node.mount, entry))

    def _file(self, node: Node) -> None:
        repository = opened(node)
        try:
            parts = repository.parts(node.entry)
        except HepwrapError as error:
            self._tally.bad[node.path] = str(error)
            return
        for part in parts:
            key = (node.mount.index, part.ref)
            if key in self._verdicts:
                if self._verdicts[key]:
                    self._tally.bad[node.path] = self._verdicts[key]
            elif key in self._waiting:
                self._waiting[key].append(node.path)
            else:
                self._waiting[key] = [node.path]
                self._running[self._pool.submit(_fetch, repository, part.ref)] = (node.path, key)
                if len(self._running) >= _AHEAD:
                    self._collect()

    def _collect(self) -> None:
        self._report()
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        for future in done:
            _, key = self._running.pop(future)
            paths = self._waiting.pop(key)
            error = future.exception()
            if error is None:
                self._tally.objects += 1
                self._tally.content += future.result()
                self._verdicts[key] = ""
            elif isinstance(error, HepwrapError):
                self._verdicts[key] = str(error)
                self._tally.bad.update(dict.fromkeys(paths, str(error)))
            else:
                raise error


def _fetch(repository: Repository, ref: object) -> int:
    """Bytes of content."""
    from hepwrap.cache.objects import ObjectRef

    assert isinstance(ref, ObjectRef)
    pieces = repository.objects.pieces(repository.fetcher, ref, limit=repository.settings.max_object_bytes)
    return sum(len(piece) for piece in pieces)


def _line(path: bytes, reason: str) -> bytes:
    from hepwrap.assemble import one_line
    from hepwrap.vfs.resolve import text

    return f"{text(path)}: {one_line(reason)}\n".encode("utf-8", "backslashreplace")
