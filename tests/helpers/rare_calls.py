"""Calls on paths that few programs make, for the guest `call_script`: mounts, roots, watchers, handles, devices, rules.

Owns what is asked, as `call_matrix`.  What a privileged caller would really mount or be confined by is left to `user`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.helpers.oracle import HOST, MOUNT

PATH_ONLY = 0o10000000
NAMES = (
    "", "file", "dir", "link", "dirlink", "dangling", "loop", "missing", "missing/x", "file/x", "fifo", "socket",
    "null", "block", "d000/file", "d444/file", "dir/", "file/", "missing/", "out", "n" * 256, "none", "d111", "d000",
    "dir/hard",
)  # fmt: skip
PATHS = (
    *(f"{MOUNT}/{name}" if name else MOUNT for name in NAMES),
    "/cvmfs", "/cvmfs/no.such", f"{HOST}/into/file", f"{HOST}/intofile", f"{HOST}/intomissing",
    f"{HOST}/into/missing", "",
)  # fmt: skip
#: Q_SYNC is left out: it needs no device.  Q_QUOTAON, GETQUOTA, GETINFO, QUOTAOFF, GETFMT, SETQUOTA... of user quotas.
QUOTA_REQUESTS = (0x80000200, 0x80000300, 0x80000400, 0x80000500, 0x80000700)
MANY_WORDS = ",".join("0" * 16)


def mount_calls(paths: Iterable[str]) -> Iterator[str]:
    """For callers who may not mount: who may would do it."""
    for path in paths:
        yield f"165 snone s{path} snosuchfs i0 i0"
        yield f"165 s{path} s{HOST}/directory snone i4096 i0"
        yield f"165 s{path} s{HOST}/missing snone i4096 i0"
        yield f"165 s{HOST}/directory s{path} snone i4096 i0"
        yield from (f"166 s{path} i{flags}" for flags in (0, 8, 256))
        yield from (f"428 i-100 s{path} i{flags}" for flags in (1, 0x80001, 0x8001, 0x101))
        yield f"442 i-100 s{path} i0 p1,0,0,0 i32"
        yield f"429 i-100 s{path} i-100 s{HOST}/directory i0"
        yield f"429 i-100 s{HOST}/directory i-100 s{path} i0"
        yield f"467 i-100 s{path} i1 p1,0,0,0 i32"
        yield from (f"155 s{path} s{path}", f"155 s{path} s/", f"161 s{path}")


def tree_calls(paths: Iterable[str]) -> Iterator[str]:
    """open_tree, without cloning, which is the opening of a path; and fspick."""
    for path in paths:
        for flags in (0, 0x100, 0x80100, 0x800, 0x2, 0x1000):
            yield from (f"o=428 i-100 s{path} i{flags}", "reset")
        if path not in (MOUNT, "/cvmfs"):
            yield from (f"433 i-100 s{path} i{flags}" for flags in (0, 2, 64))


def device_calls(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        yield from (f"179 i{request} s{path} i0 b256" for request in QUOTA_REQUESTS)
        yield from (f"167 s{path} i0", f"168 s{path}", f"134 s{path}")
        if path and "fifo" not in path:  # for a writer to come it would wait
            yield f"163 s{path}"


def watcher_calls(paths: Iterable[str]) -> Iterator[str]:
    """What can be watched, and what is told of an opening, a read and a close."""
    only_directory, not_followed = 0x01000000, 0x02000000
    for path in paths:
        yield "w=294 i0"
        yield from (f"254 @w s{path} i{0xFFF | flags}" for flags in (0, only_directory, not_followed))
        yield "reset"
        for reports in (0, 0x200):
            yield f"w=300 i{reports} i0"
            yield from (f"301 @w i{flags} i8 i-100 s{path}" for flags in (1, 9, 5, 2))
            yield "reset"
        yield from ("w=294 i2048", f"254 @w s{path} i0xFFF", f"o=257 i-100 s{path} i2048 i0")
        yield from ("3 @o", "0 @w b256 i256", "reset")


def handle_calls(paths: Iterable[str]) -> Iterator[str]:
    """Of handles those are opened that nobody has given out: who may not is told so first."""
    for path in paths:
        yield from (f"303 i-100 s{path} p8 u i0", f"303 i-100 s{path} p8 i0 i0x80")
        yield from (f"303 i-100 s{path} p128,{MANY_WORDS} p0 i{flags}" for flags in (0, 0x400))
        yield from (
            f"468 i-100 s{path} p0,0,0,0 i{size} i{flags}" for size, flags in ((24, 0), (24, 0x100), (0, 0), (24, 1))
        )
        yield from (f"469 i-100 s{path} p0,0,0 i24 i{flags}" for flags in (0, 0x100))
        yield f"d=257 i-100 s{path} i{PATH_ONLY} i0"
        yield from (f"304 @d {handle} i0" for handle in ("p8,0", "p0x100000008,0x123", "p0,0", "p200,0", "u"))
        yield from (f"304 i-1 p8,0 i{flags}" for flags in (0, PATH_ONLY))
        yield "reset"


def socket_calls(paths: Iterable[str]) -> Iterator[str]:
    """bind and connect of streams and datagrams: nothing is bound, as no path leads to where something can be made."""
    for path in paths:
        if not path or len(path) > 100:
            continue
        for kind in (1, 2):
            yield f"k=41 i1 i{kind} i0"
            yield from (
                f"{number} @k n{path} i{length}" for number in (49, 42) for length in (110, len(path) + 2, 2, 111)
            )
            yield from (f"{number} i-1 n{path} i110" for number in (49, 42))
            yield f"k=41 i2 i{kind} i0"
            yield from (f"{number} @k n{path} i110" for number in (49, 42))
            yield "reset"


def rule_calls(paths: Iterable[str]) -> Iterator[str]:
    """landlock_add_rule: what is opened, and the rule; nobody is confined by it."""
    for path in paths:
        yield from ("r=444 p4,0 i8 i0", f"d=257 i-100 s{path} i{PATH_ONLY} i0")
        yield from ("445 @r i1 w12:4,@d i0", "445 @r i1 w12:4,@d i1", "445 @r i2 w12:4,@d i0", "445 @d i1 w12:4,@d i0")
        yield from ("445 @r i1 w12:8,@d i0", "445 @r i1 w12:0,@d i0", "445 @r i1 u i0", "reset")
