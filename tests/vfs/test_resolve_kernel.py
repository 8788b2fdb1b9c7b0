"""The resolver against the kernel: random trees, random paths, one truth.

The truth is a real tree below a changed root, with the repositories as plain directories in /cvmfs.  The resolver runs
below another root, which has the same host files and in /cvmfs a decoy that must never be seen.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hepwrap.errnos import errno_of
from hepwrap.errors import HepwrapError
from hepwrap.vfs.host import OsHost
from hepwrap.vfs.mounts import MountTable
from hepwrap.vfs.permissions import R_OK, W_OK, X_OK, Credentials, may
from hepwrap.vfs.resolve import Node, Resolver
from tests.helpers.tree import (
    Directory,
    File,
    Inodes,
    Item,
    Link,
    MemoryRepository,
    World,
    chain,
    random_path,
    random_world,
    walk,
    write,
)
from tests.helpers.users import ROOT, USERS, User, in_child

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the root directory and the user")


def examples(number: int) -> settings:
    return settings(max_examples=number, deadline=None, suppress_health_check=list(HealthCheck))


#: Path and whether a link at its end is followed.
Question = tuple[bytes, bool]
#: The name of an errno, or an absolute canonical path (of something that no tree has: its device and inode).
Answer = str | bytes | tuple[int, int]
_Answers = TypeVar("_Answers")


def below(root: bytes, user: User, work: Callable[[], _Answers]) -> _Answers:
    """What `work` returns in a process that has `root` as its root and is `user`."""

    def changed() -> _Answers:
        os.chroot(root)
        os.chdir("/")
        user.become()
        return work()

    return in_child(changed)


def ask_kernel(path: bytes, follow: bool, inodes: Inodes, repeats: int = 20) -> Answer:
    """What stat(2) says.

    ELOOP is asked again: a lockless walk that a mount anywhere on the machine disturbs begins once more, and the links
    it had followed count twice (path_init() leaves total_link_count as it is).  Beside a process that does nothing but
    mount and unmount, three of ten walks through 21 to 39 fresh links ended so.
    """
    try:
        status = os.stat(path, follow_symlinks=follow)
    except OSError as error:
        if error.errno == errno.ELOOP and repeats:
            return ask_kernel(path, follow, inodes, repeats - 1)
        return errno.errorcode[error.errno or 0]
    identity = status.st_dev, status.st_ino
    return inodes.get(identity, identity)


@contextmanager
def scratch() -> Iterator[bytes]:
    place = os.path.realpath(tempfile.mkdtemp(prefix="resolve-")).encode()
    os.chmod(place, 0o755)
    try:
        yield place
    finally:
        shutil.rmtree(place)


def build_truth(world: World, place: bytes, owners: bool = False) -> Inodes:
    """Host and repositories, as if mounted, at `place`; inodes to absolute paths."""
    inodes = {identity: world.base + (path or b"/") for identity, path in write(world.host, place).items()}
    os.mkdir(place + b"/cvmfs")
    status = os.stat(place + b"/cvmfs")
    inodes[status.st_dev, status.st_ino] = world.prefix
    for name, root in world.repositories.items():
        written = write(root, place + b"/cvmfs/" + name, owners=owners)
        inodes |= {identity: world.prefix + b"/" + name + path for identity, path in written.items()}
    return inodes


def build_host(world: World, place: bytes) -> Inodes:
    """The host alone, with a decoy for /cvmfs."""
    inodes = {identity: path or b"/" for identity, path in write(world.host, place).items()}
    os.makedirs(place + b"/cvmfs/decoy")
    os.symlink(b"/", place + b"/cvmfs/one.hep.example")
    return inodes


def resolver_of(world: World, guard: bool) -> Resolver:
    repositories = {name: MemoryRepository(name.decode(), root) for name, root in world.repositories.items()}
    table = MountTable(world.prefix, repositories.get, list(repositories), environ={})
    return Resolver(table, OsHost(), follow_shared_links=not guard)


def ask_resolver(
    resolver: Resolver, question: Question, credentials: Credentials | None, inodes: Inodes
) -> tuple[Answer, bool, int]:
    """The answer, whether it is said to be everyone's, and what may be done with it (-1 off the repositories)."""
    path, follow = question
    try:
        resolution = resolver.resolve(path, follow=follow, credentials=credentials)
    except HepwrapError as error:
        return errno.errorcode[errno_of(error)], getattr(error, "universal", False), -1
    target = resolution.target
    if not isinstance(target, Node):
        return ask_kernel(target.path, follow, inodes), resolution.universal, -1
    attributes = target.mount.attributes(target.entry)
    allowed = sum(want for want in (R_OK, W_OK, X_OK) if credentials and may(attributes, credentials, want))
    return target.path, resolution.universal, allowed


def kernel_allows(question: Question) -> int:
    path, follow = question
    return sum(want for want in (R_OK, W_OK, X_OK) if os.access(path, want, follow_symlinks=follow))


def questions_about(source: random.Random, world: World, count: int) -> list[Question]:
    """Every path of the repositories once, and `count` random ones, each with both ways to end."""
    known = [world.prefix + b"/" + name + path for name, root in world.repositories.items() for path, _ in walk(root)]
    paths = {*known, *(random_path(source, world) for _ in range(count))}
    return [(path, follow) for path in sorted(paths) if path for follow in (True, False)]


def assert_agree(questions: Sequence[Question], said: Sequence[Answer], truth: Sequence[Answer], note: str) -> None:
    for question, ours, kernels in zip(questions, said, truth, strict=True):
        assert ours == kernels, f"{note}: {question}: the resolver says {ours!r}, the kernel {kernels!r}"


def kinds_of(truth: Sequence[Answer], prefix: bytes) -> Counter[str]:
    """How often which kind of answer came."""
    return Counter(
        answer if isinstance(answer, str)
        else "virtual" if isinstance(answer, bytes) and answer.startswith(prefix) else "host"
        for answer in truth
    )  # fmt: skip


@as_root
def test_resolver_agrees_with_kernel_below_a_changed_root() -> None:
    seen: Counter[str] = Counter()

    @examples(350)
    @given(seed=st.integers(0, 2**32), size=st.integers(1, 40))
    def check(seed: int, size: int) -> None:
        source = random.Random(seed)
        world = random_world(source, size)
        questions = questions_about(source, world, 100)
        with scratch() as place:
            inodes, host_inodes = build_truth(world, place + b"/truth"), build_host(world, place + b"/host")
            truth = below(place + b"/truth", ROOT, lambda: [ask_kernel(*question, inodes) for question in questions])
            resolver = resolver_of(world, guard=False)
            said = below(
                place + b"/host", ROOT,
                lambda: [ask_resolver(resolver, question, None, host_inodes)[0] for question in questions],
            )  # fmt: skip
        assert_agree(questions, said, truth, f"seed {seed} size {size}")
        seen.update(kinds_of(truth, world.prefix))

    check()
    assert {"virtual", "host", "ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"} <= set(seen), seen
    assert seen["virtual"] > 10_000, seen


@as_root
def test_limits_are_the_kernels() -> None:
    """Random trees seldom come to forty links or 4095 bytes: here every length about the limits is asked for."""
    one = Directory({b"chain": chain(50), b"up": Link(b"../../in"), b"file": File(), b"n" * 255: File()})
    host = Directory({b"in": Link(b"/cvmfs/one.hep.example"), b"chain": chain(50)})
    world = World(host, {b"one.hep.example": one})
    top = b"/cvmfs/one.hep.example"
    chains = [place + b"/chain/%d" % number for place in (top, b"/in", b"/in/up", b"") for number in range(1, 51)]
    lengths = [place + b"/" * (size - len(place) - 4) + b"file" for place in (top, b"") for size in range(4090, 4100)]
    names = [place + b"/" + b"n" * size for place in (top, b"/cvmfs", b"/in") for size in range(250, 260)]
    rounds = [top + b"/up" * number for number in range(15, 25)]
    questions = [(path, follow) for path in (*chains, *lengths, *names, *rounds) for follow in (True, False)]
    with scratch() as place:
        inodes, host_inodes = build_truth(world, place + b"/truth"), build_host(world, place + b"/host")
        truth = below(place + b"/truth", ROOT, lambda: [ask_kernel(*question, inodes) for question in questions])
        said = below(
            place + b"/host",
            ROOT,
            lambda: [ask_resolver(resolver_of(world, guard=False), q, None, host_inodes)[0] for q in questions],
        )
    assert_agree(questions, said, truth, "limits")
    assert {"ELOOP", "ENAMETOOLONG", "virtual", "host", "ENOENT"} == set(kinds_of(truth, world.prefix))


def test_resolver_agrees_with_kernel_for_a_prefix_deep_in_the_host() -> None:
    """Needs no privilege: the repositories appear in a directory of ours, and absolute paths begin there."""
    seen: Counter[str] = Counter()

    @examples(100)
    @given(seed=st.integers(0, 2**32), size=st.integers(1, 40))
    def check(seed: int, size: int) -> None:
        source = random.Random(seed)
        with scratch() as place:
            world = random_world(source, size, base=place + b"/root")
            questions = questions_about(source, world, 60)
            inodes = build_truth(world, world.base)
            resolver = resolver_of(world, guard=False)
            outside = {identity: path for identity, path in inodes.items() if not path.startswith(world.prefix)}
            truth = [ask_kernel(*question, inodes) for question in questions]
            said = [ask_resolver(resolver, question, None, outside)[0] for question in questions]
        assert_agree(questions, said, truth, f"seed {seed} size {size}")
        seen.update(kinds_of(truth, world.prefix))

    check()
    assert {"virtual", "host", "ENOENT", "ENOTDIR", "ELOOP"} <= set(seen), seen


def random_rights(source: random.Random, item: Item) -> None:
    """Modes and owners as they should not be, and some as they are."""
    item.owner = source.choice((0, 1000, 2000, 5000)), source.choice((0, 1000, 2000, 3000))
    if isinstance(item, Directory):
        item.mode = source.choice((0o755, 0o755, 0o755, 0o700, 0o711, 0o070, 0o007, 0o1777, source.randrange(0o1000)))
    elif not isinstance(item, Link):
        item.mode = source.choice((0o644, 0o755, 0o100, 0, source.randrange(0o1000)))


def guarded() -> bool:
    with open("/proc/sys/fs/protected_symlinks", "rb") as setting:
        return setting.read().strip() != b"0"


@as_root
def test_rights_agree_with_kernel_for_every_user() -> None:
    """Also the law of `universal`: an answer said to be everyone's is the kernel's answer to every user."""
    seen: Counter[str] = Counter()
    everyones = 0

    @examples(60)
    @given(seed=st.integers(0, 2**32), size=st.integers(5, 40))
    def check(seed: int, size: int) -> None:
        nonlocal everyones
        source = random.Random(seed)
        world = random_world(source, size, decorate=random_rights)
        questions = questions_about(source, world, 40)
        universal: list[bool] = [False] * len(questions)
        truths: list[list[Answer]] = []
        with scratch() as place:
            inodes = build_truth(world, place + b"/truth", owners=True)
            host_inodes = build_host(world, place + b"/host")
            for user in USERS:
                truth = below(
                    place + b"/truth", user,
                    lambda: [(ask_kernel(*question, inodes), kernel_allows(question)) for question in questions],
                )  # fmt: skip
                resolver, credentials = resolver_of(world, guarded()), user.credentials()
                said = below(
                    place + b"/host", user,
                    lambda: [ask_resolver(resolver, q, credentials, host_inodes) for q in questions],  # noqa: B023
                )  # fmt: skip
                note = f"seed {seed} size {size} {user}"
                truths.append([answer for answer, _ in truth])
                assert_agree(questions, [answer for answer, _, _ in said], truths[-1], note)
                for question, (_, _, ours), (_, kernels) in zip(questions, said, truth, strict=True):
                    assert ours in (-1, kernels), f"{note}: access to {question} is {ours}, the kernel says {kernels}"
                universal = [value for _, value, _ in said]
                seen.update(kinds_of(truths[-1], world.prefix))
                for number, question in enumerate(questions):
                    if universal[number]:
                        everyones += 1
                        others = {answers[number] for answers in truths}
                        assert len(others) == 1, f"{note}: {question} is not everyone's: {others}"

    check()
    assert seen["EACCES"] > 1000, seen
    assert everyones > 1000
