"""Random system calls for the guest `call_script`: any call of a family, on any path, from anywhere, in any state.

Owns what is drawn from; the same seed gives the same script.  What would wait, or be another number in every run, is
not drawn.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from tests.helpers.oracle import BESIDE, HOST, MOUNT, NAME

BELOW = (
    "file", "dir", "link", "dirlink", "dangling", "loop", "abslink", "out", "outdir", "outfile2", "up", "slashed",
    "fileslashed", "self", "toroot", "tocvmfs", "linktolink", "missing", "fifo", "socket", "null", "private", "none",
    "onlyexec", "empty", "d000", "d111", "d444", "d1777", "dir/hard", "dir/back", "dir/sub/deep", "emptydir",
    "chain/30",
    "chain/1", "d1777/link", "many", "theirs", "exec",
)  # fmt: skip
#: What may stand before and behind a name.
STEPS = ("", "", "", "", ".", "..", "dir", "dir/sub", "dirlink", "self", "file", "missing", "d111", "up/" + NAME)
TAILS = ("", "", "", "", "", "/", "/.", "/..", "/x", "//", "/../file", "/other")
STARTS = (
    MOUNT, MOUNT, MOUNT, MOUNT, f"{HOST}/into", f"{HOST}/relative", f"{HOST}/first", "/cvmfs/../cvmfs/" + NAME,
    "/proc/self/fd/50", "/proc/self/cwd", "/dev/fd/50", f"{HOST}/cvmfs/{NAME}", f"{HOST}/toroot/cvmfs/{NAME}", BESIDE,
)  # fmt: skip
HOSTS = (HOST, f"{HOST}/real", f"{HOST}/directory", f"{HOST}/intofile", f"{HOST}/intomissing", f"{HOST}/new",
         f"{HOST}/dangling", f"{HOST}/circle", f"{HOST}/totop", f"{HOST}/besidetop/new", f"{HOST}/intop",
         f"{HOST}/toroot/cvmfs", f"{HOST}/toroot{HOST}/made", f"{HOST}/../beside/file",
         f"{BESIDE}/new", "/etc/passwd", "/no-such", "/cvmfs", "/cvmfs/no.such", "")  # fmt: skip
OPEN_FLAGS = (0o100, 0o200, 0o1000, 0o2000, 0o200000, 0o400000, 0o2000000, 0o10000000, 0o20200000, 0o1000000)
AT_FLAGS = (0x100, 0x200, 0x400, 0x800, 0x1000)
TIMES = ("i0", "p1,1,1,1", "p1,0x3fffffff,1,0x3ffffffe", "p1,0x3ffffffe,1,0x3ffffffe", "p1,1000000000,1,1", "u")
NAMES = ("suser.one", "suser.empty", "suser.none", "ssecurity.x", "strusted.x", "ssystem.x", "s", "i0")
#: Where descriptors are duplicated to, and pages where nothing else is mapped.
DUPLICATES = ("50", "51", "52", "53")
SPARE = 0x300000000000
#: What is open from the start, by which the calls on descriptors get further than EBADF.
STEADY = {
    "f": f"{MOUNT}/file i0", "o": f"{MOUNT}/dir/other i0x80000", "m": f"{MOUNT}/empty i0", "d": f"{MOUNT}/dir i0x10000",
    "s": f"{MOUNT}/dir/sub i0", "y": f"{MOUNT}/many i0", "t": f"{MOUNT} i0", "c": "/cvmfs i0",
    "q": f"{MOUNT}/fifo i2048",
    "pf": f"{MOUNT}/file i0x200000", "pd": f"{MOUNT}/dir i0x200000", "pl": f"{MOUNT}/link i0x220000",
    "pn": f"{MOUNT}/none i0x200000", "h": f"{HOST}/real i2", "hd": f"{HOST}/directory i0", "hp": f"{HOST} i0x200000",
}  # fmt: skip
BUFFERS = ("b64 i64", "b0 i0", "b3 i3", "u i64", "b4096 i4096")


class Draw:
    """Draws arguments; knows which descriptors the script has kept."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.kept: list[str] = []

    def one(self, *choices: str) -> str:
        """Any of them."""
        return self.random.choice(choices)

    def path(self) -> str:
        """A path; bad pointers are drawn elsewhere (`bad_pointers`)."""
        kind = self.random.random()
        if kind < 0.2:
            return "s" + self.random.choice(HOSTS)
        parts = [self.random.choice(STEPS), self.random.choice(BELOW)]
        path = "/".join(part for part in parts if part) + self.random.choice(TAILS)
        return "s" + (path if kind < 0.5 else f"{self.random.choice(STARTS)}/{path}" if kind < 0.97 else MOUNT)

    def start(self) -> str:
        """A directory's descriptor, or the working directory."""
        return self.one("i-100", "i-100", self.descriptor())

    def descriptor(self) -> str:
        """Something that is open, or was to be; rarely nothing."""
        if self.random.random() < 0.6:
            return "@" + self.random.choice(tuple(STEADY))
        if not self.kept or self.random.random() < 0.03:
            return self.one("i-1", "i50", "i51")
        return "@" + self.random.choice(self.kept)

    def flags(self, of: tuple[int, ...], always: int = 0) -> str:
        """Some of them, rarely one that nobody knows."""
        chosen = self.random.sample(of, min(len(of), self.random.choice((0, 0, 1, 1, 2, 3))))
        strange = 1 << self.random.randrange(32) if self.random.random() < 0.02 else 0
        return f"i{sum(chosen) | strange | always}"

    def keep(self, name: str) -> None:
        """The script has a descriptor of that name from here on."""
        if name not in self.kept:
            self.kept.append(name)


def opening(draw: Draw) -> str:
    name = f"n{draw.random.randrange(12)}"
    flags = draw.flags(OPEN_FLAGS, always=0o4000 | draw.random.choice((0, 0, 0, 0, 1, 2)))
    draw.keep(name)
    return f"{name}=257 {draw.start()} {draw.path()} {flags} i0755"


def opening_by_rules(draw: Draw) -> str:
    """openat2(2), by one or two of its rules."""
    name = f"r{draw.random.randrange(4)}"
    flags = draw.flags(OPEN_FLAGS, always=0o4000).removeprefix("i")
    rules = sum(draw.random.sample((1, 2, 4, 8, 16), draw.random.choice((0, 1, 1, 2))))
    draw.keep(name)
    mode = 0o600 if int(flags) & 0o20000100 else 0
    return f"{name}=437 {draw.start()} {draw.path()} p{flags},{mode},{rules} i24"


def rare(draw: Draw) -> str:
    """Trees, handles, sockets, quotas: what needs an object of the kernel's, or none."""
    path = draw.path()
    short = path[1:] if 1 < len(path) < 100 else "/cvmfs"  # an empty one is in a name space that all share
    return draw.one(
        f"428 {draw.start()} {path} i{sum(draw.random.sample((0x100, 0x800, 0x80000, 0x1000), 1))}",
        f"303 {draw.start()} {path} p8 i0 {draw.flags((0x400, 0x1000))}",
        f"468 {draw.start()} {path} p0,0,0,0 i24 {draw.flags((0x100, 0x1000))}",
        f"179 i0x80000700 {path} i0 b256",
        f"49 @k n{short} i110",
        f"42 @k n{short} i110",
        f"254 @i {path} i{draw.random.choice((2, 0x01000002, 0x02000002))}",
    )


def attributes(draw: Draw) -> str:
    flags = draw.flags(AT_FLAGS)
    return draw.one(
        f"4 {draw.path()} t",
        f"6 {draw.path()} t",
        f"262 {draw.start()} {draw.path()} t {flags}",
        f"5 {draw.descriptor()} t",
        f"332 {draw.start()} {draw.path()} {flags} i2047 x",
        f"137 {draw.path()} f",
        f"138 {draw.descriptor()} f",
        f"439 {draw.start()} {draw.path()} i{draw.random.randrange(9)} {flags}",
        f"21 {draw.path()} i{draw.random.randrange(8)}",
        f"267 {draw.start()} {draw.path()} {draw.one(*BUFFERS)}",
        f"262 {draw.descriptor()} s t i4096",
        f"89 {draw.path()} {draw.one(*BUFFERS)}",
    )


def state(draw: Draw) -> str:
    return draw.one(
        f"80 {draw.path()}",
        f"81 {draw.descriptor()}",
        "79 b4096 i4096",
        f"33 {draw.descriptor()} i50",
        f"80 s{MOUNT}/dir",
        f"8 {draw.descriptor()} i0 i0",
        f"72 {draw.descriptor()} i1",
        "80 s/",
    )


def extended(draw: Draw) -> str:
    name, buffer = draw.one(*NAMES), draw.one(*BUFFERS)
    return draw.one(
        f"191 {draw.path()} {name} {buffer}",
        f"192 {draw.path()} {name} {buffer}",
        f"193 {draw.descriptor()} {name} {buffer}",
        f"464 {draw.start()} {draw.path()} {draw.flags((0x100, 0x1000))} {name} a64 i16",
        f"188 {draw.path()} {name} sv i1 i{draw.random.randrange(4)}",
        f"189 {draw.path()} {name} sv i1 i0",
        f"190 {draw.descriptor()} {name} sv i1 i0",
        f"197 {draw.path()} {name}",
        f"199 {draw.descriptor()} {name}",
    )


def writing(draw: Draw) -> str:
    flags = draw.flags(AT_FLAGS)
    return draw.one(
        f"258 {draw.start()} {draw.path()} i0755",
        f"259 {draw.start()} {draw.path()} i0100644 i0",
        f"263 {draw.start()} {draw.path()} {draw.one('i0', 'i512', flags)}",
        f"84 {draw.path()}",
        f"87 {draw.path()}",
        f"266 {draw.one('starget', 's')} {draw.start()} {draw.path()}",
        f"90 {draw.path()} i0755",
        f"268 {draw.start()} {draw.path()} i0755",
        f"452 {draw.start()} {draw.path()} i0755 {flags}",
        f"91 {draw.descriptor()} i0755",
        f"92 {draw.path()} i-1 i-1",
        f"94 {draw.path()} i-1 i-1",
        f"260 {draw.start()} {draw.path()} i-1 i-1 {flags}",
        f"93 {draw.descriptor()} i-1 i-1",
        f"76 {draw.path()} i{draw.random.choice((0, 5, -1))}",
        f"77 {draw.descriptor()} i0",
        f"280 {draw.start()} {draw.path()} {draw.one(*TIMES)} {flags}",
        f"280 {draw.descriptor()} i0 {draw.one(*TIMES)} i0",
        f"132 {draw.path()} i0",
        f"261 {draw.start()} {draw.path()} {draw.one('i0', 'p1,1,1,1')}",
        f"16 {draw.descriptor()} i0x40086602 p64",
    )


def using(draw: Draw) -> str:
    """What is done with what is open; positions in directories are another file system's to choose."""
    fd, other = draw.descriptor(), draw.descriptor()
    offset, size = draw.one("i0", "i1", "i99", "i4095", "i100000", "i-1"), draw.random.choice((0, 1, 16, 5000))
    return draw.one(
        f"0 {fd} b{size} i{size}",
        f"17 {fd} b{size} i{size} {offset}",
        f"8 {fd} {draw.one('i0 i0', 'i0 i0', 'i-1 i0', 'i0 i5', 'i0 i-1')}",
        f"217 {fd} {draw.one('g32768 i32768', 'g32768 i32768', 'b16 i16', 'u i4096')}",
        f"1 {fd} sx i1",
        f"18 {fd} sx i1 {offset}",
        f"40 @z {fd} i0 i{size}",
        f"326 {fd} i0 {other} i0 i{size} i0",
        f"72 {fd} i{draw.random.choice((1, 1, 1025, 1032))} i0",
        f"72 {fd} i4 i{draw.random.choice((0o4000, 0o6000, 0o4000))}",
        f"72 {fd} i2 i{draw.random.randrange(2)}",
        f"73 {fd} i{draw.random.choice((5, 6, 8, 4, 0))}",
        f"{draw.one('74', '75', '306')} {fd}",
        f"187 {fd} {offset} i{size}",
        f"221 {fd} {offset} i{size} i{draw.random.randrange(7)}",
        f"277 {fd} {offset} i{size} i{draw.random.choice((0, 1, 7, 8))}",
        f"285 {fd} i{draw.random.choice((0, 1, 3))} {offset} i{size}",
        f"16 {fd} {draw.one('i0x541b', 'i0x5421', 'i0x5401', 'i0x80086601', 'i0x5450', 'i0x5452')} p0",
        f"9 i{SPARE} i4096 i{draw.random.randrange(8)} i{draw.random.choice((0x11, 0x12, 0x13, 0x10))} {fd} "
        f"{draw.one('i0', 'i4096', 'i1')}",
        f"233 @e i{draw.random.choice((1, 2, 3, 4))} {fd} p1,0",
    )


def handing(draw: Draw) -> str:
    """Duplicates, their ends, and what is reached by their numbers."""
    fd, number = draw.descriptor(), draw.one(*DUPLICATES)
    by_number = draw.one(f"s/proc/self/fd/{number}", f"s/dev/fd/{number}", f"s/proc/thread-self/fd/{number}")
    behind = by_number + draw.one("", "", "", "/", "/file", "/..", "/../dir", "/sub")
    name = f"d{draw.random.randrange(4)}"
    if draw.random.random() < 0.2:
        draw.keep(name)
        return draw.one(f"{name}=32 {fd}", f"{name}=72 {fd} i0 i0", f"{name}=72 {fd} i1030 i0")
    return draw.one(
        f"33 {fd} i{number}",
        f"33 {fd} i{number}",
        f"292 {fd} i{number} {draw.one('i0', 'i0x80000', 'i1')}",
        f"3 i{number}",
        f"436 i{number} i{number} {draw.one('i0', 'i4')}",
        f"257 i-100 {behind} {draw.flags(OPEN_FLAGS, always=0o4000)} i0",
        f"89 {behind} b300 i300",
        f"4 {behind} t",
        f"80 {behind}",
        f"81 i{number}",
        f"5 i{number} t",
        f"257 i{number} {draw.path()} {draw.flags(OPEN_FLAGS, always=0o4000)} i0",
        f"265 i{number} s {draw.start()} {draw.path()} i4096",
        f"265 i-100 {by_number} {draw.start()} {draw.path()} i1024",
        f"303 i{number} s p8 u i4096",
        f"322 {fd} s i0 i0 i4096",
        f"59 {draw.path()} i0 i0",
        f"439 i{number} s i{draw.random.randrange(8)} i4096",
    )


def two_paths(draw: Draw) -> str:
    return draw.one(
        f"316 {draw.start()} {draw.path()} {draw.start()} {draw.path()} i{draw.random.choice((0, 0, 1, 2, 3, 4))}",
        f"265 {draw.start()} {draw.path()} {draw.start()} {draw.path()} {draw.flags((0x400, 0x1000))}",
        f"82 {draw.path()} {draw.path()}",
        f"86 {draw.path()} {draw.path()}",
    )


FAMILIES: tuple[Callable[[Draw], str], ...] = (
    opening_by_rules,
    rare,
    opening, opening, attributes, attributes, attributes, state, extended, writing, writing, two_paths,
    using, using, handing, handing,
)  # fmt: skip


def by_descriptor_alone() -> Iterator[str]:
    """Every call that takes a descriptor for its path, on one of each kind, in each way."""
    for name, what in STEADY.items():
        yield from ("reset", f"{name}=257 i-100 s{what}")
        for flags in (0, 0x100, 0x1000, 0x1100):
            yield f"267 @{name} s b64 i64"
            yield from (f"{number} @{name} s p0,0,0,0 i24 i{flags}" for number in (468, 469))
            yield f"303 @{name} s p128,{','.join('0' * 16)} p0 i{flags}"
            yield from (f"439 @{name} s i{mode} i{flags}" for mode in (0, 1, 2, 4))
            yield from (f"262 @{name} s t i{flags}", f"332 @{name} s i{flags} i2047 x", f"428 @{name} s i{flags}")
            yield from (f"464 @{name} s i{flags} suser.{which} a64 i16" for which in ("one", "x"))
            yield from (f"463 @{name} s i{flags} suser.x a16 i16", f"466 @{name} s i{flags} suser.x")
            yield from (f"452 @{name} s i0755 i{flags}", f"260 @{name} s i-1 i-1 i{flags}")
            yield from (f"280 @{name} {path} p1,1,1,1 i{flags}" for path in ("s", "i0"))
            yield f"322 @{name} s i0 i0 i{flags}"
            yield f"265 @{name} s i-100 s{MOUNT}/file i{flags}"


def script(seed: int, count: int, every: int = 100) -> Iterator[str]:
    """So many calls; everything is closed again after `every` of them."""
    draw = Draw(seed)
    for number in range(count):
        if number % every == 0:
            draw.kept.clear()
            yield from ("reset", "k=41 i1 i2 i0", "i=294 i0", "z=257 i-100 s/dev/null i1", "e=291 i0")
            yield from (f"{name}=257 i-100 s{what}" for name, what in STEADY.items())
        yield draw.random.choice(FAMILIES)(draw)
