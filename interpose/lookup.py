"""The beginning that calls on a path have in common: what it leads to, and what of that the whole job may know.

Owns what is written down in the index on the way to an answer.  Must not know what the call wants with the object.
"""

from __future__ import annotations

from collections.abc import Callable

from hepwrap.errnos import errno_of
from hepwrap.errors import HepwrapError, PathError
from hepwrap.interpose.question import Question
from hepwrap.interpose.way import Way
from hepwrap.interpose.world import World
from hepwrap.records import dataclass
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import target, target_errno
from hepwrap.vfs.resolve import HostPath, Node, Resolution
from hepwrap.vfs.rules import AS_EVER

NATIVE, MISSING = target(_index.TARGET_NATIVE), target(_index.TARGET_MISSING)

#: A target (layout.h) and, where it is TARGET_DATA, the data.
Answer = tuple[int, bytes | None]
Handler = Callable[[World, Question], Answer]


@dataclass(frozen=True, slots=True)
class Found:
    """Something virtual that a path leads to."""

    node: Node
    #: Its inode in the index; 0: it is only seen, and there is no room to remember it.
    at: int


def look_up(world: World, question: Question, *, real: bool = False, seen_only: bool = False) -> Found | Answer:
    """What the path leads to, or the answer where that is nothing of ours; PathError.

    `real`: by the real ids, as access(2) does.  `seen_only`: nothing will be opened.
    """
    way = Way.of(world, question)
    try:
        found = way.resolve(question.follow, real=real)
    except PathError as error:
        remember_error(world, way, question, error)
        raise
    if found is None:
        return NATIVE, None
    if isinstance(found.target, HostPath):
        return on_host(world, way, question, found.target, found.universal), None
    if seen_only and world.book.passing(found.target):
        return Found(found.target, 0)
    at = world.book.inode(found.target)
    remember(world, way, question, found, at)
    return Found(found.target, at)


def on_object(*, seen_only: bool = False) -> Callable[[Callable[[World, Question, Found], Answer]], Handler]:
    """Makes what answers for a virtual object a handler of questions about a path."""

    def wrap(answer: Callable[[World, Question, Found], Answer]) -> Handler:
        def handler(world: World, question: Question) -> Answer:
            found = look_up(world, question, seen_only=seen_only)
            return answer(world, question, found) if isinstance(found, Found) else found

        return handler

    return wrap


def on_host(world: World, way: Way, question: Question, place: HostPath, universal: bool) -> int:
    """The path ends on the host: the kernel's turn, with the path that gets it there.

    That is written down where the kernel's failure tells when the host's own links have come to lead to us; where the
    host has a /cvmfs it may not fail, and only what nobody in this job can change is written down.
    """
    home = world.home
    if not home.has_prefix and not question.rules.scoped and (way.path == way.absolute or place.path != way.absolute):
        world.book.enter_missing(way.host.missing_part(place.path))
    if place.path == way.absolute:
        settled = way.key is None and home.has_prefix and question.rules == AS_EVER and way.path == place.path
        if settled and way.host.root == home.root and home.is_settled(place.path):
            world.book.enter(place.path, question.follow, NATIVE)
        return NATIVE
    if question.rules.scoped:  # from the host's directory that the call names, as the call has it
        start = question.start or b"/"
        return target(_index.TARGET_HOST, world.book.text(place.path[len(start) :].lstrip(b"/") or b"."))
    word = target(_index.TARGET_HOST, world.book.text(place.path))
    if way.key is not None and universal and not home.has_prefix:
        world.book.enter(way.key, question.follow, word)
    return word


def remember(world: World, way: Way, question: Question, found: Resolution, at: int) -> None:
    """Write down the whole directory that the object is in, and the answer itself where that does not say it all."""
    assert isinstance(found.target, Node)
    if not world.book.is_full:
        world.book.enter_passed(found.passed)
        list_quietly(world, world.book.parent(found.target) or at)
    if way.key is not None and found.universal:
        world.book.enter_node(way.key, question.follow, at)


def remember_error(world: World, way: Way, question: Question, error: PathError) -> None:
    """ENOENT and its like hold for the whole job where they hold for every user."""
    if isinstance(error.place, Node) and not world.book.is_full:
        world.book.enter_passed(error.passed)
        list_quietly(world, world.book.inode(error.place))
    if way.key is not None and error.universal:
        world.book.enter(way.key, question.follow, target_errno(errno_of(error)))


def list_quietly(world: World, at: int) -> None:
    """List a directory ahead of need; where that fails, whoever needs it will be told."""
    try:
        world.book.list_directory(at)
    except HepwrapError as error:
        world.log(str(error))


def known(world: World, question: Question) -> int:
    """What the index says by now, as the runtime would find it: others may have asked meanwhile."""
    if not question.path or not (question.base or question.path.startswith(b"/")) or question.rules != AS_EVER:
        return 0
    base = 0 if question.path.startswith(b"/") else question.base
    return world.index.lookup(base, question.path, question.follow)
