"""What the commands that look into repositories have in common: which place is meant, and opening it.

Owns `REPO[:TAG]/PATH`.  Names are bytes from here on: what a repository calls its files need not be text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from hepwrap import assemble
from hepwrap.cli.arguments import Parsed
from hepwrap.cli.commands import Command
from hepwrap.cli.overrides import overrides
from hepwrap.config import NamedRepository, parse_repository
from hepwrap.config.origin import Origin
from hepwrap.errors import FetchFailed, HepwrapError, NotFound, UsageError
from hepwrap.records import dataclass

if TYPE_CHECKING:
    from hepwrap.vfs.mounts import Mount
    from hepwrap.vfs.repository import Repository
    from hepwrap.vfs.resolve import Node, Resolver

_PREFIX = "/cvmfs/"


@dataclass(frozen=True, slots=True)
class Place:
    """One operand."""

    #: As it was written: what paths in the output begin with.
    text: bytes
    repository: NamedRepository
    #: Inside the repository, without a slash at the start.
    path: bytes


def parse_place(text: str) -> Place:
    """`REPO[:TAG][/PATH]`, or the same as a path below /cvmfs."""
    rest = text[len(_PREFIX) :].lstrip("/") if text.startswith(_PREFIX) else text
    name, _, path = rest.partition("/")
    if "=" in name:
        raise UsageError(f"{text[:80]!r}: where a repository is, says --repo {name[:80]}; here stands REPO/PATH")
    return Place(os.fsencode(text), parse_repository(name, Origin.flag("REPO/PATH")), os.fsencode(path))


class Looking:
    """Places of one command line, resolved over all repositories that are configured."""

    def __init__(self, parsed: Parsed, command: Command) -> None:
        words = parsed.everything
        if not words:
            raise UsageError(
                f"say where: hepwrap {command.name} {command.operands}  (REPO is a name like atlas.cern.ch)"
            )
        self.places = [parse_place(word) for word in words]
        said = overrides(parsed, command.flags, [place.repository for place in self.places])
        self.loaded = assemble.configuration(said, log=chatter(parsed))
        self.resolver: Resolver = assemble.resolver(self.loaded, log=chatter(parsed))
        self._prefix = os.fsencode(self.loaded.job.prefix)

    def find(self, place: Place, *, follow: bool) -> Node:
        """The object at `place`.  Raises what resolving raises, and NotFound where the way leads out to the machine."""
        from hepwrap.vfs.resolve import HostPath, text

        self.loaded.known(place.repository.name)
        path = self._prefix + b"/" + os.fsencode(place.repository.name) + b"/" + place.path
        target = self.resolver.resolve(path, follow=follow).target
        if isinstance(target, HostPath):
            raise NotFound(f"{text(place.text)} leads to {text(target.path)} on this machine, out of all repositories")
        return target

    def each(self, do: Callable[[Place], None]) -> int:
        """`do` for every place; one that fails is one line on stderr and does not keep the others from it."""
        status = 0
        for place in self.places:
            try:
                do(place)
            except HepwrapError as error:
                if len(self.places) == 1:
                    raise
                flush()
                assemble.say(str(error))
                status = 1
        return status


def chatter(parsed: Parsed) -> Callable[[str], None]:
    """With -v what fetchers do goes to stderr."""
    return assemble.say if parsed.has("verbose") else lambda _line: None


def opened(node: Node) -> Repository:
    """The repository of a node that is not /cvmfs itself."""
    if node.mount.repository is None:
        raise NotFound("this is /cvmfs itself, which has no content of its own; name a repository")
    return node.mount.repository


def below(node: Node) -> Iterator[Node]:
    """`node` and everything below it, each directory before what is in it, names in the order of their bytes."""
    from hepwrap.vfs.resolve import Node

    yield node
    if node.entry.is_dir:
        for entry in sorted(node.mount.listdir(node.entry.path), key=lambda entry: entry.name):
            yield from below(Node(node.mount, entry))


def content(node: Node) -> Iterator[bytes]:
    """The content of a regular file, verified; FetchFailed and Untrusted say which file."""
    from hepwrap.vfs.resolve import text

    try:
        yield from opened(node).read(node.entry)
    except FetchFailed as error:
        raise type(error)(f"{text(node.path)}: {error}") from error


def owner_of(mount: Mount, uid: int, gid: int) -> tuple[str, str]:
    """Names of user and group where this machine knows them, else their numbers."""
    import grp
    import pwd

    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    try:
        group = grp.getgrgid(gid).gr_name
    except KeyError:
        group = str(gid)
    return user, group


def write(data: bytes) -> None:
    """Bytes to stdout, as they are."""
    import sys

    if sys.stdout is None:
        raise UsageError("standard output is closed; open it, or send it to /dev/null")
    sys.stdout.buffer.write(data)


def flush() -> None:
    """What was written goes out before a line on stderr does."""
    import sys

    if sys.stdout is not None:
        sys.stdout.flush()


def is_terminal() -> bool:
    """Whether a person reads stdout."""
    import sys

    return sys.stdout is not None and sys.stdout.isatty()


def shown(name: bytes) -> bytes:
    """A name for a terminal, which shall obey nothing in it; as it is for everybody else."""
    from hepwrap.vfs.resolve import text

    return text(name).encode("utf-8", "replace") if is_terminal() else name


_ESCAPED = frozenset(b"\\") | frozenset(range(0x21)) | frozenset(range(0x7F, 0x100))


def escaped(name: bytes) -> bytes:
    """`name` with backslashes, blanks, control characters and all beyond ASCII as \\xNN."""
    return b"".join(b"\\x%02x" % byte if byte in _ESCAPED else bytes((byte,)) for byte in name)
