"""Lists of system calls for the guest `call_script`: every variant of each family on every kind of path.

Owns what is asked; what the right answer is, the kernel knows.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence

from tests.helpers.oracle import HOST, MOUNT, NAME

CWD = -100
#: Below the mount: one of each kind, with and without what may follow it.
INSIDE = (
    "file", "dir", "link", "dirlink", "dangling", "loop", "abslink", "out", "outdir", "outdangling", "outfile2",
    "up", "slashed", "fileslashed", "through", "upandout", "self", "toroot", "tocvmfs", "linktolink",
    "linktoprivate", "long", "missing", "fifo", "socket", "null", "block", "private", "none", "unreadable",
    "onlyexec", "theirs", "exec", "empty", "d000", "d111", "d444", "d700", "d1777", "d000/file", "d111/file",
    "d444/file", "d444/missing", "d1777/link", "d000/missing", "d111/missing", "d000/file/x", "dir/hard",
    "dir/other", "dir/back", "dir/sub/far", "dir/sub/deep/file", "missing/below", "file/below", "link/below",
    "dangling/below", "fifo/x", "dir/../file", "dir/./other", "missing/../file", "file/../file", "file/.", "file/..",
    "link/..", "dirlink/..", "dirlink/../file", "dir/sub/../../file", "..", ".", "../..", f"../{NAME}/file",
    "../../etc/passwd", "../../etc/no-such", "up/" + NAME + "/file", "outdir/passwd", "outdir/../etc",
    "outdir/no-such", "outdir/passwd/x", "out/x", "chain/1", "chain/30", "chain/45", "chain/3/x", "...", "\\x20",
    "\\xe9\\xff", "x\\x0a\\x20y", "n" * 255, "n" * 256, "n" * 255 + "x/y", "\\x5cx41", "many", "emptydir",
    "emptydir/x", "emptydir/..", "dir//other", "dir///sub//deep", "tocvmfs/" + NAME + "/file",
    "toroot/cvmfs/" + NAME, "self/self/self/file", "/file", "toroot/etc/passwd", "dir/sub/far/file", "dir/back/",
    "self/.", "dir/missing", "dir/sub/missing/x/y",
)  # fmt: skip
#: Absolute paths that are not simply MOUNT/name.
AROUND = (
    "/cvmfs", "/cvmfs/", "/cvmfs/.", "/cvmfs/..", "/cvmfs/../etc/passwd", "//cvmfs", f"//cvmfs//{NAME}",
    f"/./cvmfs/{NAME}/file", f"/usr/../cvmfs/{NAME}/file", f"/etc/passwd/../../cvmfs/{NAME}",
    f"/no-such/../cvmfs/{NAME}", "/cvmfs/no.such.repo", "/cvmfs/no.such.repo/x", "/cvmfs/.x", "/cvmfs2", "/cvmf",
    "/cvmfs2/x", f"/proc/self/root/cvmfs/{NAME}/file", "/proc/self/root/cvmfs",
    f"/proc/self/root/cvmfs/../cvmfs/{NAME}/dir", "/proc/self/cwd/file", "/proc/self/cwd/../" + NAME,
    "/proc/self/cwd", f"{HOST}/into", f"{HOST}/into/file", f"{HOST}/into/missing", f"{HOST}/intofile",
    f"{HOST}/intolink", f"{HOST}/intomissing", f"{HOST}/cvmfs/{NAME}/dir/..", f"{HOST}/first/dir",
    f"{HOST}/first/../..", f"{HOST}/dangling", f"{HOST}/relative/file", f"{HOST}/circle", f"{HOST}/real",
    f"{HOST}/real/x", f"{HOST}/into/..", f"{HOST}/into/dir/../../..", f"{HOST}/directory/../into/file",
    f"{HOST}/real-link", f"{HOST}/real-link/x", f"{HOST}/missing", f"{HOST}/intofile/x", f"{HOST}/into/",
    f"{HOST}/intofile/", "/etc/passwd", "/no-such", "", "/",
)  # fmt: skip
#: For a working directory inside the tree (MOUNT/dir), and one outside.
RELATIVE = (
    "other", "../file", "..", ".", "../..", "../../..", "../../../etc/passwd", "sub/deep/file", "missing", "other/x",
    "./other", "back", "../link", "../dirlink/other", "../d000/file", "../up/" + NAME, f"../../{NAME}/file",
    "sub/..", "other/", "sub/", f"../../../cvmfs/{NAME}/file", "", "cvmfs/" + NAME + "/file", f"./cvmfs/{NAME}",
    f"../cvmfs/{NAME}/link", f"../../../../../cvmfs/{NAME}", "etc/passwd", "../etc/passwd", "oracle/host/into/file",
    "into/file", "intofile", "first", "relative/dir", f"../../cvmfs/{NAME}/file", "real", "dangling", "circle",
)  # fmt: skip
O_FLAGS = {
    "CREAT": os.O_CREAT, "EXCL": os.O_EXCL, "TRUNC": os.O_TRUNC, "DIRECTORY": os.O_DIRECTORY, "NOFOLLOW": os.O_NOFOLLOW,
    "PATH": os.O_PATH, "TMPFILE": 0o20000000, "APPEND": os.O_APPEND, "CLOEXEC": os.O_CLOEXEC,
}  # fmt: skip
NOFOLLOW, EMPTY_PATH, FOLLOW, EACCESS, NO_AUTOMOUNT = 0x100, 0x1000, 0x400, 0x200, 0x800


def absolute() -> list[str]:
    """Every absolute path of the matrix, and those that end in a slash."""
    inside = [f"{MOUNT}/{name}" for name in INSIDE]
    return [MOUNT, *inside, *(path + "/" for path in inside if len(path) < 200), *AROUND]


def stat_calls(paths: Iterable[str], at: str = f"i{CWD}") -> Iterator[str]:
    """The stat family, readlink, access, statfs, xattr reads: all that changes nothing and opens nothing."""
    for path in paths:
        yield f"4 s{path} t"
        yield f"6 s{path} t"
        for flags in (0, NOFOLLOW, EMPTY_PATH, NO_AUTOMOUNT, NOFOLLOW | EMPTY_PATH, EACCESS, 0x80000000):
            yield f"262 {at} s{path} t i{flags}"
        for flags, mask in (
            (0, 0x7FF),
            (NOFOLLOW, 0x7FF),
            (EMPTY_PATH, 0x7FF),
            (0x6000, 0x7FF),
            (0x2000, 0x7FF),
            (0x80, 0x7FF),
            (0, 0x80000000),
        ):
            yield f"332 {at} s{path} i{flags} i{mask} x"
        yield f"89 s{path} b4096 i4096"
        yield f"89 s{path} b4096 i0"
        for size in (0, 1, 3, -1, 0x80000000):
            yield (
                f"267 {at} s{path} b64 i{size}" if size in (0, -1, 0x80000000) else f"267 {at} s{path} b{size} i{size}"
            )
        yield f"267 {at} s{path} b8192 i8192"
        yield f"137 s{path} f"


def access_calls(paths: Iterable[str], at: str = f"i{CWD}") -> Iterator[str]:
    for path in paths:
        for mode in (0, 1, 2, 4, 7, 8, -1):
            yield f"21 s{path} i{mode}"
            yield f"269 {at} s{path} i{mode}"
            for flags in (0, NOFOLLOW, EACCESS, EMPTY_PATH, 0x1):
                yield f"439 {at} s{path} i{mode} i{flags}"


def open_calls(paths: Iterable[str], names: Sequence[str], at: str = f"i{CWD}") -> Iterator[str]:
    """openat with every combination of the named flags and of the access modes.  Nothing is made on the host."""
    for path in paths:
        for count in range(len(names) + 1):
            for chosen in itertools.combinations(names, count):
                flags = sum(O_FLAGS[name] for name in chosen)
                for mode in (0, 1, 2, 3):
                    if blocks(path, flags, mode):
                        continue
                    yield f"257 {at} s{path} i{flags | mode | os.O_NONBLOCK} i0600"


def blocks(path: str, flags: int, mode: int) -> bool:
    """Left out: what would make a file on the host."""
    host = not path.startswith(MOUNT) or "out" in path or "root" in path or ".." in path or "up/" in path
    return host and bool(flags & (os.O_CREAT | os.O_TRUNC | 0o20000000) or mode)


def xattr_calls(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        for number in (191, 192):
            for name in (
                "user.one",
                "user.empty",
                "user.dir",
                "user.none",
                "security.capability",
                "trusted.x",
                "",
                "n" * 256,
                "user." + "n" * 251,
            ):
                for size in (0, 1, 12, 64):
                    yield f"{number} s{path} s{name} b{size} i{size}"
            yield f"{number} s{path} u b64 i64"
            yield f"{number} s{path} i0 b64 i64"
            yield f"{number} s{path} suser.one u i64"
            yield f"{number} s{path} suser.one i0 i64"
        for flags in (0, NOFOLLOW, EMPTY_PATH, 1):
            yield f"464 i-100 s{path} i{flags} suser.one a64 i16"
            yield f"464 i-100 s{path} i{flags} suser.one a3 i16"
            yield f"464 i-100 s{path} i{flags} suser.one a64 i8"


def list_xattr_calls(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        for number in (194, 195):
            for size in (0, 1, 1024):
                yield f"{number} s{path} b{size} i{size}"


def write_calls(paths: Iterable[str]) -> Iterator[str]:
    """Everything that would write to what one path names."""
    for path in paths:
        yield from (f"83 s{path} i0755", f"258 i-100 s{path} i0755")
        for kind in (0o010644, 0o100644, 0o644, 0o020644, 0o060644, 0o040755, 0o140644, 0o150644):
            yield f"133 s{path} i{kind} i0"
        yield from (f"259 i-100 s{path} i0100644 i0", f"84 s{path}", f"87 s{path}")
        yield from (f"263 i-100 s{path} i{flags}" for flags in (0, 0x200, 1))
        yield from (f"88 starget s{path}", f"266 starget i-100 s{path}", f"88 s s{path}", f"88 u s{path}")
        yield from (f"90 s{path} i0600", f"268 i-100 s{path} i0600")
        yield from (f"452 i-100 s{path} i0600 i{flags}" for flags in (0, NOFOLLOW, EMPTY_PATH, 1))
        yield from (f"92 s{path} i-1 i-1", f"94 s{path} i-1 i-1", f"92 s{path} i0 i0")
        yield from (f"260 i-100 s{path} i-1 i-1 i{flags}" for flags in (0, NOFOLLOW, EMPTY_PATH, 1))
        yield from (f"76 s{path} i{size}" for size in (0, -1, 5, 0x7FFFFFFFFFFFFFFF))
        yield from (f"132 s{path} {times}" for times in ("i0", "p1,1", "u"))
        yield from (f"235 s{path} {times}" for times in ("i0", "p1,1,1,1", "p1,9999999,1,1", "u"))
        yield from (f"261 i-100 s{path} {times}" for times in ("i0", "p1,1,1,1", "p1,9999999,1,1", "u"))
        omit = "p1,0x3ffffffe,1,0x3ffffffe"
        for times in ("i0", "p1,1,1,1", omit, "p1,0x3fffffff,1,0x3ffffffe", "p1,1000000000,1,1", "u"):
            yield from (f"280 i-100 s{path} {times} i{flags}" for flags in (0, NOFOLLOW, EMPTY_PATH, 1))
        for number in (188, 189):
            for name in ("user.x", "user.one", "security.x", "trusted.x", "system.x", "nodots", "", "n" * 256):
                yield f"{number} s{path} s{name} sv i1 i0"
            yield from (f"{number} s{path} suser.x sv i1 i{flags}" for flags in (1, 2, 3, 4))
            yield from (
                f"{number} s{path} suser.x sv i65537 i0",
                f"{number} s{path} suser.x u i1 i0",
                f"{number} s{path} u sv i1 i0",
            )
        for number in (197, 198):
            yield from (
                f"{number} s{path} s{name}" for name in ("user.x", "user.one", "security.x", "", "nodots", "n" * 256)
            )
            yield f"{number} s{path} u"


def two_path_calls(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for old, new in pairs:
        yield from (f"82 s{old} s{new}", f"86 s{old} s{new}", f"264 i-100 s{old} i-100 s{new}")
        yield from (f"316 i-100 s{old} i-100 s{new} i{flags}" for flags in (0, 1, 2, 3, 4, 8))
        yield from (f"265 i-100 s{old} i-100 s{new} i{flags}" for flags in (0, FOLLOW, 1))


def descriptor_calls(fd: str) -> list[str]:
    """What is asked of a descriptor itself, and what would write to what it names; nothing that changes the host."""
    script = [f"5 {fd} t", f"138 {fd} f", f"193 {fd} suser.one b64 i64", f"193 {fd} suser.one b3 i3"]
    script += [f"193 {fd} s b64 i64", f"193 {fd} suser.none b0 i0", f"5 {fd} u", f"138 {fd} u"]
    for flags in (0, EMPTY_PATH, EMPTY_PATH | NOFOLLOW, EMPTY_PATH | 1):
        script += [f"262 {fd} s t i{flags}", f"332 {fd} s i{flags} i2047 x", f"439 {fd} s i4 i{flags}"]
        script += [f"439 {fd} s i2 i{flags}", f"439 {fd} s i1 i{flags}", f"464 {fd} s i{flags} suser.one a64 i16"]
    script += [f"262 {fd} i0 t i{flags}" for flags in (0, EMPTY_PATH)]
    script += [f"267 {fd} s b64 i64", f"267 {fd} s b64 i0", f"269 {fd} s i0", f"257 {fd} s i0 i0", f"258 {fd} s i0"]
    script += [f"0 {fd} b8 i8", f"1 {fd} s i1", f"8 {fd} i0 i0", f"72 {fd} i1", f"81 {fd}", "79 b4096 i4096"]
    return script


def writing_descriptor_calls(fd: str) -> list[str]:
    """What would write to what a descriptor of ours names."""
    script = [f"91 {fd} i0600", f"93 {fd} i-1 i-1", f"190 {fd} suser.x sv i1 i0", f"190 {fd} suser.x sv i1 i4"]
    script += [
        f"190 {fd} s sv i1 i0",
        f"199 {fd} suser.x",
        f"199 {fd} s",
        f"280 {fd} i0 i0 i0",
        f"280 {fd} i0 p1,1,1,1 i0",
    ]
    script += [f"280 {fd} s i0 i{flags}" for flags in (0, EMPTY_PATH)]
    script += [f"260 {fd} s i-1 i-1 i{flags}" for flags in (0, EMPTY_PATH)]
    script += [f"452 {fd} s i0600 i{flags}" for flags in (0, EMPTY_PATH)]
    return [*script, f"77 {fd} i0", f"285 {fd} i0 i0 i1", f"74 {fd}", f"261 {fd} i0 i0"]
