"""The kernel as oracle: what a task has open is the same object by /proc's name for it.

Such a name leads straight to the stand-in, past all that could tell: without care programs would see its own mode and
times, and change them, for everybody in the job.  C libraries use them: fchmodat(AT_SYMLINK_NOFOLLOW) is chmod of one.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.helpers import call_matrix as matrix
from tests.helpers.oracle import HOST, MOUNT, Oracle, agree

PATH_ONLY = 0o10000000
#: What is opened, how, and as a descriptor of which number it is known to the calls.
OPENED = [
    ("file", 0), ("dir", 0), ("empty", 0), ("file", PATH_ONLY), ("dir", PATH_ONLY), ("link", PATH_ONLY | 0o400000),
    ("fifo", PATH_ONLY), ("none", PATH_ONLY), ("private", PATH_ONLY), ("onlyexec", PATH_ONLY), ("d000", PATH_ONLY),
    ("d111", PATH_ONLY),
]  # fmt: skip
NUMBER = 50
LINK = f"/proc/self/fd/{NUMBER}"
OTHER_NAMES = (f"/dev/fd/{NUMBER}", f"{LINK}/", f"/proc/thread-self/fd/{NUMBER}")
BELOW = ("other", "missing", "..", "../file", "file", "back")
FLAGS = [(), ("CREAT",), ("CREAT", "EXCL"), ("TRUNC",), ("DIRECTORY",), ("NOFOLLOW",), ("PATH",),
         ("PATH", "NOFOLLOW"), ("TMPFILE", "DIRECTORY"), ("APPEND",)]  # fmt: skip


def calls(paths: list[str]) -> Iterator[str]:
    """Every call on a path that makes nothing on the host."""
    yield from matrix.stat_calls(paths)
    yield from matrix.access_calls(paths)
    yield from matrix.xattr_calls(paths)
    yield from matrix.write_calls(paths)
    for path in paths:
        for names in FLAGS:
            flags = sum(matrix.O_FLAGS[name] for name in names) | 0o4000
            yield from (f"257 i-100 s{path} i{flags | mode} i0600" for mode in (0, 1, 2))
        yield from (f"80 s{path}", "79 b4096 i4096", "80 s/")
    yield from matrix.two_path_calls((f"{HOST}/real", path) for path in paths)
    for path in paths:
        yield from (f"265 i-100 s{path} i-100 s{MOUNT}/new i{flags}" for flags in (0, matrix.FOLLOW))


def test_what_is_open_is_the_same_by_its_name_in_proc(oracle: Oracle, user: bool) -> None:
    script = []
    for name, flags in OPENED:
        paths = [LINK, *(OTHER_NAMES if not flags else ())]
        if name == "dir" or (name.startswith("d") and not user):
            paths += [f"{LINK}/{below}" for below in BELOW]
        script += ["reset", f"d=257 i-100 s{MOUNT}/{name} i{flags} i0", f"33 @d i{NUMBER}", *calls(paths)]
    agree(oracle, script, user=user, at_least=10000)


def test_so_it_is_from_a_directory_of_proc(oracle: Oracle, user: bool) -> None:
    script = [f"d=257 i-100 s{MOUNT}/file i0 i0", f"33 @d i{NUMBER}", f"d=257 i-100 s{MOUNT}/dir i0 i0", "33 @d i51"]
    for start, names in (("/proc/self/fd", (f"{NUMBER}", "51")), ("/proc", (f"self/fd/{NUMBER}", "self/fd/51"))):
        script += [f"p=257 i-100 s{start} i{PATH_ONLY} i0"]
        for name in names:
            script += [
                *matrix.access_calls([name], "@p"),
                *(f"280 @p s{name} {times} i0" for times in ("i0", "p1,1,1,1")),
            ]
            script += [
                f"268 @p s{name} i0600",
                f"260 @p s{name} i-1 i-1 i0",
                f"452 @p s{name} i0600 i0",
                f"262 @p s{name} t i0",
            ]
            script += [f"257 @p s{name} i{flags} i0" for flags in (0, 1, 2, 0o1000, 0o100, 0o300)]
            script += [f"80 s{start}", *matrix.write_calls([name]), *matrix.xattr_calls([name]), "80 s/"]
    agree(oracle, script, user=user, at_least=500)


def test_a_link_of_the_hosts_to_such_a_name_changes_nothing(oracle: Oracle, user: bool) -> None:
    """Whatever a path looks like: what would write is looked at first."""
    path = f"{HOST}/hint"
    script = [f"d=257 i-100 s{MOUNT}/file i0 i0", f"33 @d i{NUMBER}", f"88 s{LINK} s{path}", f"4 s{path} t"]
    script += [*matrix.write_calls([path]), f"4 s{path} t", f"4 s{MOUNT}/file t"]
    agree(oracle, script, user=user, at_least=50)
