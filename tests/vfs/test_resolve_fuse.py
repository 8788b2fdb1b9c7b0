"""What no real directory tree can hold: a link whose target is empty.  FUSE can, and so can a variant link."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from hepwrap.errnos import errno_of
from hepwrap.errors import PathError
from hepwrap.vfs.host import OsHost
from hepwrap.vfs.mounts import MountTable
from hepwrap.vfs.resolve import Node, Resolver
from tests.helpers.fuse import mount_fuse
from tests.helpers.mounting import can_mount, mount_tmpfs
from tests.helpers.tree import File, Link, MemoryRepository, entry_of, tree, walk
from tests.helpers.users import in_child

pytestmark = pytest.mark.skipif(
    not (can_mount() and os.access("/dev/fuse", os.R_OK | os.W_OK)), reason="needs root and /dev/fuse"
)

ROOT = tree(file=File(), empty=Link(b""), dir=tree(file=File(), empty=Link(b""), up=Link(b"../empty")))
PREFIX = b"/tmp/fuse"
PATHS = [
    b"/r.example" + path + end
    for path in (b"", b"/empty", b"/dir/empty", b"/dir/up", b"/file", b"/empty/dir", b"/dir/empty/empty/file", b"/none")
    for end in (b"", b"/", b"/.", b"/..", b"/file", b"/dir/file", b"/none")
]


def kernel_says(path: bytes, follow: bool) -> str | tuple[int, int]:
    """The name of an errno, or kind and number of the object."""
    try:
        status = os.stat(path, follow_symlinks=follow)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return stat.S_IFMT(status.st_mode), status.st_ino


def we_say(resolver: Resolver, path: bytes, follow: bool) -> str | tuple[int, int]:
    try:
        target = resolver.resolve(path, follow=follow).target
    except PathError as error:
        return errno.errorcode[errno_of(error)]
    assert isinstance(target, Node)
    if target.mount.repository is None:
        return kernel_says(target.path, follow)
    return target.entry.mode & ~0o7777, [path for path, _ in walk(ROOT)].index(target.entry.path) + 1


def test_empty_link_leads_to_its_own_directory() -> None:
    def work() -> list[str]:
        mount_tmpfs("/tmp")
        os.makedirs(PREFIX + b"/r.example")
        entries = {path: (entry_of(path, item).mode, entry_of(path, item).symlink) for path, item in walk(ROOT)}
        mount_fuse(os.fsdecode(PREFIX + b"/r.example"), entries)
        repository = MemoryRepository("r.example", ROOT)
        resolver = Resolver(MountTable(PREFIX, lambda _: repository, [], environ={}), OsHost())
        questions = [(PREFIX + path, follow) for path in PATHS for follow in (True, False)]
        answers = [(question, we_say(resolver, *question), kernel_says(*question)) for question in questions]
        return [f"{asked}: ours {ours}, the kernel's {kernels}" for asked, ours, kernels in answers if ours != kernels]

    assert in_child(work) == []
