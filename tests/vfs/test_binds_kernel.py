"""Binds and a root of our own against the kernel: random trees, real bind mounts below a real changed root.

As test_resolve_kernel, whose random worlds these are; what is bound, and where, is drawn too.
"""

from __future__ import annotations

import errno
import os
import random
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepwrap.errnos import errno_of
from hepwrap.errors import HepwrapError
from hepwrap.vfs.binds import Bind, Binds
from hepwrap.vfs.host import OsHost
from hepwrap.vfs.mounts import MountTable
from hepwrap.vfs.resolve import Node, Resolver
from tests.helpers.mounting import can_mount, mount, separate
from tests.helpers.tree import Directory, File, Inodes, MemoryRepository, World, random_world, walk, write
from tests.helpers.users import in_child
from tests.vfs.test_resolve_kernel import Answer, Question, build_truth, examples, questions_about, scratch

pytestmark = pytest.mark.skipif(not can_mount(), reason="only root with CAP_SYS_ADMIN can mount")

MS_BIND = 4096
ONE = b"one.hep.example"


@dataclass(frozen=True)
class Scene:
    """A world, where its pieces are on disk, and what is bound in it."""

    world: World
    truth: bytes
    host: bytes
    base: bytes | None
    binds: list[Bind]
    #: What identities are called: the same names as `name_of` gives.
    names: Inodes

    def resolver(self) -> Resolver:
        repositories = {name: MemoryRepository(name.decode(), root) for name, root in self.world.repositories.items()}
        table = MountTable(self.world.prefix, repositories.get, list(repositories), environ={})
        mounted = table.get(ONE)
        assert mounted is not None
        if self.base is not None:
            root = mounted.lookup(self.base)
            assert root is not None
            table.set_root(mounted, root)
        table.show(Binds(self.binds))
        return Resolver(table, OsHost(), follow_shared_links=True)


def directories(tree: Directory) -> list[bytes]:
    return [path for path, item in walk(tree) if isinstance(item, Directory) and path]


def draw_binds(source: random.Random, world: World, image: Directory, place: bytes) -> list[Bind]:
    """Directories and files of the host at places in `image`, which is shown at `place`; some in one another."""
    sources = [(path, isinstance(item, Directory)) for path, item in walk(world.host) if path and item.kind != 0o120000]
    binds: dict[bytes, Bind] = {}
    for number in range(source.choice((1, 2, 3))):
        if not sources:
            break
        host, is_directory = source.choice(sources)
        there = [path for path, item in walk(image) if path and isinstance(item, Directory if is_directory else File)]
        above = source.choice([b"", *directories(image)])
        at = place + (source.choice(there) if there and source.random() < 0.6 else above + b"/bound%d" % number)
        if not any(at.startswith(other + b"/") or other.startswith(at + b"/") for other in binds):
            binds.setdefault(at, Bind(at, host, is_directory))
    for bind in list(binds.values()):  # and in what is bound
        inner = [path for path in directories(world.host) if path.startswith(bind.host + b"/")]
        if inner and source.random() < 0.5:
            at = bind.shown(source.choice(inner))
            binds[at] = Bind(at, source.choice(directories(world.host)))
    return sorted(binds.values(), key=lambda bind: len(bind.place))


def stage(source: random.Random, size: int, place: bytes, *, rooted: bool) -> Scene:
    """Everything on disk: what the kernel shall see at `truth`, and what the resolver has at `host`."""
    world = random_world(source, size)
    image = world.repositories[ONE]
    truth, host = place + b"/truth", place + b"/host"
    names = {identity: b"host:" + (path or b"/") for identity, path in write(world.host, host).items()}
    os.makedirs(host + b"/cvmfs/decoy")
    base = None
    if rooted:
        base = source.choice([b"", *directories(image)])
        for name in filter(None, base.split(b"/")):
            child = image.children[name]
            assert isinstance(child, Directory)
            image = child
        names |= {identity: b"root:" + (path or b"/") for identity, path in write(image, truth).items()}
        os.makedirs(truth + world.prefix)
        status = os.stat(truth + world.prefix)
        names[status.st_dev, status.st_ino] = world.prefix
        for name, tree in world.repositories.items():
            written = write(tree, truth + world.prefix + b"/" + name)
            names |= {identity: world.prefix + b"/" + name + path for identity, path in written.items()}
    else:
        inodes = build_truth(world, truth)
        names |= {
            identity: path if path.startswith(world.prefix) else b"host:" + path for identity, path in inodes.items()
        }
    binds = draw_binds(source, world, image, b"" if rooted else world.prefix + b"/" + ONE)
    return Scene(world, truth, host, base, binds, names)


def kernels_answers(scene: Scene, questions: list[Question]) -> list[Answer]:
    """In a mount namespace with real binds, below a changed root.

    Where the host's root is the truth a second copy of the host's files is what is bound: the same, by its names.
    """

    def ask() -> list[Answer]:
        separate()
        for bind in scene.binds:
            at = scene.truth + bind.place
            if not os.path.lexists(at):
                os.mkdir(at) if bind.is_directory else os.close(os.open(at, os.O_CREAT))
            source = (scene.host if scene.base is not None else scene.truth) + bind.host
            mount(source, os.fsdecode(at), None, MS_BIND, None)
        os.chroot(scene.truth)
        os.chdir("/")
        return [ask_kernel(question, scene.names) for question in questions]

    return in_child(ask)


def ask_kernel(question: Question, names: Inodes) -> Answer:
    path, follow = question
    try:
        status = os.stat(path, follow_symlinks=follow)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    identity = status.st_dev, status.st_ino
    return names.get(identity, identity)


def resolvers_answers(scene: Scene, questions: list[Question]) -> list[Answer]:
    def ask() -> list[Answer]:
        os.chroot(scene.host)
        os.chdir("/")
        resolver = scene.resolver()
        return [ask_resolver(resolver, question, scene.names) for question in questions]

    return in_child(ask)


def ask_resolver(resolver: Resolver, question: Question, names: Inodes) -> Answer:
    path, follow = question
    try:
        target = resolver.resolve(path, follow=follow).target
    except HepwrapError as error:
        return errno.errorcode[errno_of(error)]
    if not isinstance(target, Node):
        return ask_kernel((target.path, follow), names)
    return b"root:" + target.path if target.mount is resolver.mounts.root else target.path


@pytest.mark.parametrize("rooted", [False, True], ids=["below /cvmfs", "in a root of ours"])
def test_binds_lead_where_the_kernels_lead(rooted: bool) -> None:
    seen: Counter[str] = Counter()

    @examples(250)
    @given(seed=st.integers(0, 2**32), size=st.integers(3, 30))
    def check(seed: int, size: int) -> None:
        source = random.Random(seed)
        with scratch() as place:
            scene = stage(source, size, place, rooted=rooted)
            questions = questions_about(source, scene.world, 60)
            tails = [b"", b"/", b"/..", b"/../a", b"/a", b"/a/b", b"/a/..", b"/b/../../..", b"/c/", b"/missing"]
            questions += [
                (bind.place + tail, follow) for bind in scene.binds for tail in tails for follow in (True, False)
            ]
            truth, said = kernels_answers(scene, questions), resolvers_answers(scene, questions)
        for question, ours, kernels in zip(questions, said, truth, strict=True):
            if isinstance(kernels, tuple):
                continue  # a mount point that was made for the truth only
            assert ours == kernels, f"seed {seed} size {size}: {question}, binds {scene.binds}"
            seen["bound" if isinstance(kernels, bytes) and kernels.startswith(b"host:") else "other"] += 1

    check()
    assert seen["bound"] > 1000, seen
