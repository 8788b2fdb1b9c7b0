"""Lists of system calls for the guest `call_script`: what can be done with a descriptor, and by its names in /proc.

Owns what is asked.  Not asked is what docs/syscalls.md says differs (write leases, seals), what waits, and what depends
on the file system of the mount that is compared with (quotas, freezing).
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.helpers.oracle import HOST, MOUNT

#: Where pages are mapped that nothing else is at; the number that a descriptor is reached by.
PLACE, NUMBER = 0x300000000000, 50
#: What is opened, and how.
OPENED = {
    "file": f"{MOUNT}/file i0", "empty file": f"{MOUNT}/empty i0", "without cache": f"{MOUNT}/file i0x4000",
    "directory": f"{MOUNT}/dir i0x10000", "path of a file": f"{MOUNT}/file i0x200000",
    "path of a directory": f"{MOUNT}/dir i0x200000",
}  # fmt: skip
FCNTLS = (1, 3, 5, 9, 11, 12, 13, 15, 16, 36, 37, 38, 1025, 1027, 1028, 1031, 1032, 1035, 1036, 1037, 1038)
#: Of inodes (attributes, versions, labels, extents, holes, clones, encryption, verity), of terminals, pipes and disks.
IOCTLS = (
    0x80086601, 0x801C581F, 2, 1, 0x80087601, 0x40087602, 0x40087601, 0x81009431, 0x41009432, 0x80111500, 0x80811501,
    0xC0185879, 0x40305828, 0x4030582A, 0x40305839, 0x400C6615, 0x40106614, 0xC0046686, 0x80046685,
    0x541B, 0x5421, 0x5422, 0x5450, 0x5451, 0x5460, 0x5401, 0x5413, 0x1279, 0x80081272,
)  # fmt: skip
MAPPINGS = (0x01, 0x02, 0x03, 0x80003, 0x40001, 0x40002, 0x8001, 0x102, 0x00)
MAP_FIXED = 0x10
#: Not MADV_HWPOISON and MADV_SOFT_OFFLINE, which are about the machine's memory.
ADVICES = (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 24, 25)
OPEN_FLAGS = (0, 1, 2, 3, 0x40, 0x42, 0xC0, 0x200, 0x201, 0x202, 0x400, 0x401, 0x4000, 0x10000, 0x20000, 0x40000,
              0x200000, 0x220000, 0x410002)  # fmt: skip
O_NONBLOCK = 0x800
ENDS = ("", "/", "/.", "/..", "/x", "/../file", "/../..", "/../r")


def asking(fd: str) -> Iterator[str]:
    """fcntl, flock and ioctl."""
    for command in FCNTLS:
        yield from (f"72 {fd} i{command} {argument}" for argument in ("p0,0,0,0", "i1", "i2"))
    for flags in (0x4000, 0x400, 0x800, 0x40000, 0x2000, 0):
        yield from (f"72 {fd} i4 i{flags}", f"72 {fd} i3 i0")
    yield from (f"72 {fd} i1033 i{seal}" for seal in (1, 2, 4, 8, 16, 32, 64))
    yield from (f"73 {fd} i{operation}" for operation in (5, 6, 8, 12, 36, 100))
    for request in IOCTLS:
        yield from (f"16 {fd} i{request} {argument}" for argument in ("p0,0,0,0,0,0,0,0", "u"))
    extents = ",".join("0" * 15)
    yield from (f"16 {fd} i0xc020660b p0,-1,{extents}", f"16 {fd} i0x40049409 {fd}", f"16 @t i0x40049409 {fd}")
    yield from (f"16 @t i0x4020940d p{fd},0,0,0", f"16 {fd} i0xc0189436 p0,10,1,@t,0,0,0")


def mapping(fd: str) -> Iterator[str]:
    """mmap, and what is done with such pages; all is unmapped again."""
    for protection in range(8):
        for kind in MAPPINGS:
            yield f"9 i{PLACE} i8192 i{protection} i{kind | MAP_FIXED} {fd} i0"
            yield from (f"10 i{PLACE} i4096 i{changed}" for changed in (3, 5))
            yield from (f"26 i{PLACE} i4096 i{flags}" for flags in (2, 4))
            if protection in (1, 3, 5):
                yield from (f"28 i{PLACE} i4096 i{advice}" for advice in ADVICES)
            yield from (f"27 i{PLACE} i4096 b1", f"149 i{PLACE} i4096", f"150 i{PLACE} i4096", f"11 i{PLACE} i8192")


def moving(fd: str) -> Iterator[str]:
    """Positions, reads of all kinds, copies to a file of the host, and what a file that can be changed would take."""
    yield from (f"8 {fd} i{offset} i{whence}" for whence in range(6) for offset in (0, 1, -1, 1700, 100000))
    yield from (f"8 {fd} i0 i0", f"326 {fd} i0 @t i0 i100 i0", f"326 @t i0 {fd} i0 i100 i0", f"40 @t {fd} i0 i100")
    yield from (f"40 {fd} @t i0 i100", f"275 {fd} i0 @t i0 i10 i0", f"275 {fd} i0 @z i0 i10 i0", f"187 {fd} i0 i100")
    yield from (f"327 {fd} ps,0 i0 i0 i0 i{flags}" for flags in (0, 1, 2, 4, 8, 16, 32, 64))
    yield from (f"77 {fd} i{size}" for size in (0, -1, 5))
    yield from (f"285 {fd} i{mode} i0 i{size}" for mode in (0, 1, 3) for size in (0, 10))
    yield from (f"{call} {fd}" for call in (74, 75, 306))
    yield from (f"257 {fd} s{path} i0" for path in ("x", ".", "..", "/"))
    yield from (
        f"262 {fd} sx t i0",
        f"258 {fd} sx i0755",
        f"263 {fd} sx i0",
        f"267 {fd} sx b64 i64",
        f"81 {fd}",
        "80 s/",
    )
    yield from (f"265 {fd} s i-100 s{HOST}/made i4096", f"265 {fd} s {fd} sx i4096", f"316 {fd} sx {fd} sy i0")


def by_names(fd: str) -> Iterator[str]:
    """Opened again, changed, moved and linked to by what /proc calls it, and by what would be beside it."""
    yield f"33 {fd} i{NUMBER}"
    for start in ("/proc/self/fd", "/dev/fd", "/proc/thread-self/fd"):
        for end in ENDS:
            path = f"s{start}/{NUMBER}{end}"
            yield from (f"257 i-100 {path} i{flags | O_NONBLOCK} i0600" for flags in OPEN_FLAGS)
            yield from (f"437 i-100 {path} p0,0,{rules} i24" for rules in (1, 2, 4, 8, 16))
            yield from (
                f"76 {path} i0",
                f"90 {path} i0755",
                f"92 {path} i0 i0",
                f"132 {path} i0",
                f"87 {path}",
                f"84 {path}",
            )
            yield from (f"188 {path} suser.x sv i1 i0", f"191 {path} suser.one b64 i64", f"89 {path} b300 i300")
            yield from (f"4 {path} t", f"6 {path} t", f"137 {path} f", *(f"21 {path} i{mode}" for mode in (1, 2, 4)))
            yield from (
                f"86 {path} s{HOST}/made",
                f"265 i-100 {path} i-100 s{HOST}/made i0x400",
                f"82 {path} s{HOST}/made",
            )
            yield from (f"82 s{HOST}/real {path}", f"83 {path} i0755", f"88 sx {path}")
    yield f"3 i{NUMBER}"


def uses(what: str) -> list[str]:
    """All of it, of one of OPENED."""
    script = [f"t=257 i-100 s{HOST}/real i2", "z=257 i-100 s/dev/null i1", f"f=257 i-100 s{OPENED[what]}"]
    return [*script, *(call for each in (asking, mapping, moving, by_names) for call in each("@f"))]
