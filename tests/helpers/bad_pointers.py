"""Every call of the table with every kind of bad pointer in every place that a pointer has, as lines for `call_script`.

Owns what is asked; what the right answer is, the kernel knows.  {} is where the pointer goes, the rest is harmless.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tests.helpers.oracle import HOST, MOUNT
from tests.helpers.syscall_rows import read_rows

#: Every call that takes a path.
PATHS = (
    "2 {} i0 i0", "257 i-100 {} i0 i0", "437 i-100 {} p0,0,0 i24", "85 {} i0600", "4 {} t", "6 {} t",
    "262 i-100 {} t i0", "332 i-100 {} i0 i2047 x", "21 {} i0", "269 i-100 {} i0", "439 i-100 {} i0 i0", "137 {} f",
    "89 {} b64 i64", "267 i-100 {} b64 i64", "80 {}", "191 {} suser.one b64 i64", "192 {} suser.one b64 i64",
    "194 {} b64 i0", "195 {} b64 i0", "464 i-100 {} i0 suser.one a64 i16", "465 i-100 {} i0 b64 i0", "59 {} i0 i0",
    "322 i-100 {} i0 i0 i0", "83 {} i0755", "258 i-100 {} i0755", "133 {} i0100644 i0", "259 i-100 {} i0100644 i0",
    "84 {}", "87 {}", "263 i-100 {} i0", "88 starget {}", "266 starget i-100 {}", "90 {} i0600",
    "268 i-100 {} i0600", "452 i-100 {} i0600 i0", "92 {} i-1 i-1", "94 {} i-1 i-1", "260 i-100 {} i-1 i-1 i0",
    "76 {} i0", "132 {} i0", "235 {} i0", "261 i-100 {} p1,1,1,1", "280 i-100 {} p1,1,1,1 i0",
    "188 {} suser.x sv i1 i0", "189 {} suser.x sv i1 i0", "463 i-100 {} i0 suser.x a1 i16", "197 {} suser.x",
    "198 {} suser.x", "466 i-100 {} i0 suser.x", "469 i-100 {} p0,0,0 i24 i0", "82 {} {}", "264 i-100 {} i-100 {}",
    "316 i-100 {} i-100 {} i0", "86 {} {}", "265 i-100 {} i-100 {} i0", "254 @n {} i2", "301 i-1 i1 i2 i-100 {}",
    "303 i-100 {} p0 p0 i0", "428 i-100 {} i0", "433 i-100 {} i0", "442 i-100 {} i0 p1,0,0,0 i32",
    "467 i-100 {} i0 p1,0,0,0 i32", "468 i-100 {} p0,0,0,0 i24 i0", "179 i0x80000700 {} i0 b256", "167 {} i0", "168 {}",
    "163 {}", "161 {}", "155 {} s/", "165 snone {} snosuchfs i0 i0", "166 {} i0", "429 i-100 s/etc i-100 {} i0",
)  # fmt: skip
#: Of these only what is wrong: they would execute something, mount it, or change the root.
NOT_WHOLE = frozenset({59, 322, 155, 161, 165, 166, 429})
#: Every place for a result.  @d is an open file, @e an open directory.
RESULTS = (
    "4 s{path} {}", "6 s{path} {}", "262 i-100 s{path} {} i0", "332 i-100 s{path} i0 i2047 {}", "137 s{path} {}",
    "89 s{link} {} i64", "267 i-100 s{link} {} i64", "191 s{path} suser.one {} i64", "192 s{path} suser.one {} i64",
    "193 @d suser.one {} i64", "194 s{one} {} i64", "195 s{one} {} i64", "196 @e {} i64",
    "465 i-100 s{one} i0 {} i64", "5 @d {}", "138 @d {}", "262 @d s {} i4096", "332 @d s i4096 i2047 {}",
    "217 @e {} i4096", "78 @e {} i4096", "79 {} i4096", "303 i-100 s{path} {} p0 i0", "303 i-100 s{path} p0 {} i0",
)  # fmt: skip
LISTINGS = ("217", "78")
#: Every other pointer that is read: structures, names, values, lists.
OTHERS = (
    "437 i-100 s{path} {} i24", "437 i-100 s{path} {} i8", "437 i-100 s{path} {} i5000",
    "464 i-100 s{path} i0 suser.one {} i16", "464 i-100 s{path} i0 {} a64 i16", "463 i-100 s{path} i0 suser.x {} i16",
    "463 i-100 s{path} i0 {} a1 i16", "469 i-100 s{path} {} i24 i0", "191 s{path} {} b64 i64", "192 s{path} {} b64 i64",
    "193 @d {} b64 i64", "188 s{path} {} sv i1 i0", "188 s{path} suser.x {} i8 i0", "189 s{path} suser.x {} i8 i0",
    "189 s{path} {} sv i1 i0", "190 @d {} sv i1 i0", "190 @d suser.x {} i8 i0", "197 s{path} {}", "198 s{path} {}",
    "199 @d {}", "466 i-100 s{path} i0 {}", "88 {} s{path}", "88 {} s{path}new", "266 {} i-100 s{path}new",
    "132 s{path} {}", "235 s{path} {}", "261 i-100 s{path} {}", "261 @d i0 {}", "280 i-100 s{path} {} i0",
    "280 @d i0 {} i0",
    "468 i-100 s{path} {} i24 i0", "468 i-100 s{path} {} i8 i0", "468 i-100 s{path} {} i5000 i0", "445 @l i1 {} i0",
    "16 @d i0x40086602 {}", "16 @d i0x401c5820 {}", "16 @e i0x40086602 {}",
)  # fmt: skip
#: The same of calls that a privileged caller would be refused with another word than the kernel's.
MOUNTS = (
    "165 {} s{path} snosuchfs i0 i0", "165 {} s{path} snone i4096 i0", "165 snone s{path} {} i0 i0",
    "165 snone s{path} snosuchfs i0 {}", "429 i-100 {} i-100 s{path} i0", "429 i-100 s{path} i-100 {} i0",
    "442 i-100 s{path} i0 {} i32", "467 i-100 s{path} i0 {} i32", "155 s{path} {}", "179 i0x80000700 s{path} i0 {}",
)  # fmt: skip
#: Addresses of sockets: @s is made anew for each, since it may be bound.
ADDRESSES = ("49 @s {}", "42 @s {}")
#: The lists of an exec; what is not executable, and what is missing, comes before them.
LISTS = (
    "59 s{exec} {} i0", "59 s{exec} i0 {}", "322 i-100 s{exec} {} i0 i0", "322 i-100 s{exec} i0 {} i0",
    "59 s{script} {} i0", "59 s{script} i0 {}", "59 s{path} {} i0", "59 s{path}new {} {}",
)  # fmt: skip
#: What the results are of: `one` has one extended attribute, whose order is not in question.
NAMES = {"path": f"{MOUNT}/file", "link": f"{MOUNT}/link", "one": f"{MOUNT}/dir"}
#: Addresses that nobody has, or that may not be used.
NOWHERE = ("i0", "i1", "u", "c", "i-1", "i0x8000000000000000", "i0xffff800000000000", "i0x7ffffffff000")


def path_calls() -> dict[int, str]:
    """The calls with a path, by number; every row of the table is there."""
    found = {int(line.split()[0]): line for line in PATHS}
    wanted = {
        row.x86_64
        for row in read_rows().values()
        if "PATH" in row.kinds and row.treatment not in {"pass", "wander", "enosys", "address"}
    }
    assert set(found) == wanted, set(found) ^ wanted
    return found


#: Kinds of arguments that are pointers, and treatments of which none is read by us (see `syscalls.def`).
POINTERS = frozenset({"PATH", "BUF", "PTR", "STRING", "SOURCE", "ARGV", "ENVP"})
NOT_READ = frozenset({"pass", "enosys", "keep", "wander", "unshare", "clone", "rt_sigaction", "ptrace", "seccomp"})


def places_asked() -> set[tuple[int, int]]:
    """Every place of a pointer that a script here has a bad one in: number of the call, position of the argument."""
    calls = [call.split() for call in (*PATHS, *RESULTS, *OTHERS, *MOUNTS, *ADDRESSES, *LISTS)]
    return {(int(words[0]), i) for words in calls for i, word in enumerate(words[1:]) if "{}" in word}


def places_of_pointers() -> set[tuple[int, int]]:
    """Every place of a pointer in the table; of two that a call takes in one structure, the structure."""
    rows = [row for row in read_rows().values() if row.treatment not in NOT_READ and row.x86_64 is not None]
    return {(row.x86_64 or 0, i) for row in rows for i, kind in enumerate(row.kinds) if kind in POINTERS}


def bad_paths() -> list[str]:
    """Pointers to what is no path, and paths that end where a page, a mapping or a limit does."""
    file = f"{MOUNT}/file"
    words = [*NOWHERE]
    for text in (
        file,
        f"{MOUNT}/missing",
        "/cvmfs/",
        "/cvmfs",
        "/",
        "/etc",
        "/etc/no-such",
        "other",
        "../file",
        "no/x",
        "",
    ):
        words += [kind + text for kind in "eEcC"]
    for length in (4094, 4095, 4096, 4097, 5000):
        texts = [f"{MOUNT}{'/' * (length - len(file) + 1)}file", f"{MOUNT}/{'x' * (length - len(MOUNT) - 1)}"]
        texts += [f"{'/' * (length - len(HOST))}{HOST[1:]}/", f"{'./' * (length // 2)}x"]
        words += [kind + text for text in texts for kind in ("seEcC" if length in (4095, 4096, 5000) else "s")]
    return words


def script_of_paths(start: str) -> Iterator[str]:
    """From a working directory; what would execute a program or make something on the host is left out."""
    yield "n=294 i0"
    for word in bad_paths():
        yield f"80 s{start}"  # chdir is among the calls
        is_whole = word[:1] in "sEC"
        for number, call in path_calls().items():
            if not (is_whole and number in NOT_WHOLE) and not (is_whole and makes_on_host(word[1:], start, number)):
                yield call.replace("{}", word)


def makes_on_host(path: str, start: str, number: int) -> bool:
    """Whether that call may change what is not in the tree."""
    outside = not (path.startswith(MOUNT) or (not path.startswith("/") and start.startswith(MOUNT)))
    reads = {2, 257, 437, 4, 6, 262, 332, 21, 269, 439, 137, 89, 267, 80, 191, 192, 194, 195, 464, 465, 303}
    return outside and number not in reads


def script_of_results() -> Iterator[str]:
    """Results to nowhere, to read-only pages, to the end of a page, and off their alignment."""
    yield from with_open_files()
    ends = [f"h{size}" for size in (0, 1, 3, 8, 17, 63, 64, 119, 120, 143, 144, 255, 256)]
    for place in (*NOWHERE, "r", *ends):
        for call in RESULTS:
            if place[0] == "h" and call.startswith(LISTINGS):
                continue  # see test_a_listing_that_does_not_fit_where_it_goes
            yield call.format(place, **NAMES)
            if call.startswith(LISTINGS):
                yield "8 @e i0 i0"
    for off in range(1, 8):
        kinds = {"4": "t", "6": "t", "262": "t", "5": "t", "332": "x", "137": "f", "138": "f"}
        for call in RESULTS:
            number = call.split()[0]
            if number in kinds:
                yield call.format(f"{kinds[number]}{off}", **NAMES)
            elif number not in ("217", "78", "303"):
                yield call.format(f"b64+{off}", **NAMES)


def calls_with(word: str) -> Iterator[str]:
    """Every call with that bad pointer in each of its places, all else being right.  @l is a ruleset, @s a socket."""
    is_part = word[0] in "rhk"  # which may do for a path, or a name
    yield from (call.replace("{}", word) for call in PATHS if not is_part)
    yield from (call.format(word, **NAMES) for call in RESULTS if not (is_part and call.startswith(LISTINGS)))
    yield from (call.format(word, **NAMES) for call in OTHERS if not (is_part and is_text(call)))
    yield from (f"{call.format(word)} i110" for call in ADDRESSES)
    yield from (call.format(word, script=f"{MOUNT}/script") for call in LISTS if "{script}" in call and not is_part)


def script_of_lists() -> Iterator[str]:
    """argv and environment."""
    names = {"path": f"{MOUNT}/file", "exec": f"{MOUNT}/exec", "script": f"{MOUNT}/script"}
    for place in (*NOWHERE[1:], "w8:1", "w16:1,1", "e"):
        yield from (call.format(place, place, **names) for call in LISTS)


def script_of_others() -> Iterator[str]:
    """The same for what is read.  @l is a ruleset (landlock(7))."""
    yield from (*with_open_files(), "l=444 p1 i8 i0")
    halves = [f"w{size}:1,1,1,1" for size in (1, 3, 4, 8, 11, 12, 15, 16, 23, 24, 27, 31)]
    for place in (*NOWHERE[1:], "euser.one", "cuser.one", "euser", "e", *halves):
        for call in OTHERS:
            if not (place[0] == "w" and is_name_of_attribute(call)):
                yield call.format(place, **NAMES)
    for place in ("Euser.one", "Cuser.x", "E", f"E{'n' * 255}", f"E{'n' * 256}", f"e{'n' * 256}", f"c{'n' * 255}"):
        for call in OTHERS:
            if not call.startswith(("437", "468", "445", "16 ")) and not (
                place[1:2] == "n" and is_name_of_attribute(call)
            ):
                yield call.format(place, **NAMES)


def script_of_addresses(start: str) -> Iterator[str]:
    """Of streams and datagrams: in part unreadable, longer and shorter than they say, and with no end but their own."""
    yield f"80 s{start}"
    names = ("file", "missing", "dir/", "outfile2", "loop")
    on_host = ("intofile", "into/new", "real", "dangling/x")
    paths = [*(f"{MOUNT}/{name}" for name in names), *(f"{HOST}/{name}" for name in on_host)]
    for path in (*paths, "/cvmfs", "missing", "../file"):
        address = rf"\x01\x00{path}"
        words = [f"{kind}{address}{rest}" for kind in "eEcC" for rest in ("", r"\x00" * 20)]
        words += [f"s{address}{rest}" for rest in ("garbage", "/../..", r"\x00garbage")]
        words += [*NOWHERE, *(kind + part for kind in "eEc" for part in (r"\x01", r"\x01\x00", r"\x0a\x00/"))]
        for call, kind in itertools.product(ADDRESSES, (1, 2)):
            for length in (0, 2, 3, len(path) + 2, len(path) + 3, 110, 111, 129):
                for word in words:
                    yield from (f"s=41 i1 i{kind} i0", f"{call.format(word)} i{length}", "3 @s")


def script_of_mounts() -> Iterator[str]:
    """For callers who may not mount."""
    for path in (f"{MOUNT}/dir", f"{MOUNT}/missing", f"{MOUNT}/file/x", f"{HOST}/directory", f"{HOST}/missing"):
        for place in (*NOWHERE[1:], "e/x", "c/x", "w8:1,1"):
            yield from (call.format(place, path=path) for call in MOUNTS)


def is_text(call: str) -> bool:
    """Whether the pointer is that of a name, or of a link's target."""
    return is_name_of_attribute(call) or call.startswith(
        ("188 s{path} {}", "189 s{path} {}", "190 @d {}", "197", "198", "199", "466", "463 s{path} i0 {}", "88", "266")
    )


def is_name_of_attribute(call: str) -> bool:
    """Whether the pointer is that of an attribute's name; those of no namespace file systems refuse differently."""
    reads = ("191 s{path} {}", "192 s{path} {}", "193 @d {}", "464 i-100 s{path} i0 {}")
    return call.startswith(reads)


def with_open_files() -> list[str]:
    """A file, a directory, and a working directory in the tree."""
    return [f"d=257 i-100 s{MOUNT}/file i0 i0", f"e=257 i-100 s{MOUNT}/dir i0200000 i0", f"80 s{MOUNT}/dir"]
