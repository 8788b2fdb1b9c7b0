"""The kernel as oracle: the same system calls on a read-only mount of a tree and under hepwrap give the same.

Tens of thousands of calls in one process each way: what one call leaves in the index, the next ones meet.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.helpers import call_matrix as matrix
from tests.helpers.oracle import HOST, MOUNT, Host, Oracle, agree

#: What is opened with every combination of flags.
OPENED = (
    "file", "dir", "link", "dirlink", "dangling", "loop", "missing", "missing/below", "file/below", "fifo", "socket",
    "null", "private", "none", "unreadable", "self", "up", "tocvmfs", "abslink", "dangling/", "file/", "link/", "dir/",
    "missing/", "dirlink/", "dir/.", "dir/..", "dir/missing", "d444/file", "d444/missing", "d111", "d000", "d1777/link",
    "outdangling", "through", "slashed", "fileslashed",
)  # fmt: skip
WRITTEN = (
    "file", "dir", "link", "dirlink", "dangling", "loop", "abslink", "slashed", "fileslashed", "through", "self",
    "linktolink", "linktoprivate", "missing", "fifo", "socket", "null", "private", "none", "d000", "d000/file",
    "d444/missing", "d1777/link", "missing/below", "file/below", "dir/hard", "dir/back", "chain/1", "n" * 256, "dir/.",
    "dir/..", ".", "..", "file/", "dir/", "link/", "dangling/", "missing/", "dir/missing/", "emptydir/x",
)  # fmt: skip
MOVED = (
    "file", "dir", "link", "missing", "dangling", "dir/", "file/", "file/x", "missing/x", "dir/.", "dir/..",
    "d000/file", "dir/new", "new/", "private", "loop", "loop/x", "",
)  # fmt: skip
MOVED_AROUND = (
    "/cvmfs", "/cvmfs/new", f"{HOST}/real", f"{HOST}/new", f"{HOST}/directory", f"{HOST}/into/file", f"{HOST}/into/new",
    f"{HOST}/real/x", f"{HOST}/no/x", f"{HOST}/into", f"{HOST}/intofile", f"{HOST}/real-link", "",
    f"/cvmfs/..{HOST}/new",
)  # fmt: skip


def below(names: Sequence[str]) -> list[str]:
    return [f"{MOUNT}/{name}" if name else MOUNT for name in names]


def test_what_can_be_asked_of_every_path_is_answered_as_on_a_mount(oracle: Oracle, user: bool, host: Host) -> None:
    agree(oracle, list(matrix.stat_calls(matrix.absolute())), user=user, host=host, at_least=6000)


def test_every_access_mode_is_granted_as_on_a_mount(oracle: Oracle, user: bool, host: Host) -> None:
    agree(oracle, list(matrix.access_calls(matrix.absolute())), user=user, host=host, at_least=12000)


def test_every_combination_of_open_flags_is_as_on_a_mount(oracle: Oracle, user: bool, host: Host) -> None:
    paths = [*below(OPENED), "/cvmfs", "/cvmfs/no.such", "/cvmfs/.x"]
    paths += [f"{HOST}/{name}" for name in ("into/file", "intomissing", "into/missing", "first/dir")]
    flags = ("CREAT", "EXCL", "TRUNC", "DIRECTORY", "NOFOLLOW", "PATH", "TMPFILE", "APPEND")
    agree(oracle, list(matrix.open_calls(paths, flags)), user=user, host=host, at_least=36000)


def test_every_path_can_be_opened_as_on_a_mount(oracle: Oracle, user: bool, host: Host) -> None:
    flags = ("DIRECTORY", "NOFOLLOW", "PATH", "CLOEXEC")
    agree(oracle, list(matrix.open_calls(matrix.absolute(), flags)), user=user, host=host, at_least=11000)


def test_extended_attributes_are_read_as_on_a_mount(oracle: Oracle, user: bool, host: Host) -> None:
    names = (
        "file",
        "dir",
        "link",
        "dangling",
        "missing",
        "fifo",
        "file/x",
        "d000/file",
        "none",
        "dirlink",
        "loop",
        "out",
    )
    paths = [*below(names), "/cvmfs", "/cvmfs/x", f"{HOST}/into/file", f"{HOST}/intofile"]
    agree(oracle, list(matrix.xattr_calls(paths)), user=user, host=host, at_least=1400)


def test_every_call_that_would_write_fails_as_on_a_mount(oracle: Oracle, user: bool, host: Host) -> None:
    paths = [*below(WRITTEN), "/cvmfs/.", "/cvmfs/no.such", *(["/cvmfs"] if not user else [])]
    paths += [f"{HOST}/{name}" for name in ("into/file", "into/missing", "intofile", "intomissing", "into")]
    agree(oracle, list(matrix.write_calls(paths)), user=user, host=host, at_least=5000)


def test_rename_and_link_fail_as_on_a_mount(oracle: Oracle, user: bool, host: Host) -> None:
    paths = [*below(MOVED), *MOVED_AROUND]
    pairs = [(old, new) for old in paths for new in paths]
    agree(oracle, list(matrix.two_path_calls(pairs)), user=user, host=host, at_least=12000)
