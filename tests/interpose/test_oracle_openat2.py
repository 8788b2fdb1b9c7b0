"""The kernel as oracle for openat2: the rules by which it walks a path hold on virtual ones as on a mount."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.helpers import call_matrix as matrix
from tests.helpers.call_matrix import CWD
from tests.helpers.oracle import HOST, MOUNT, NAME, Host, Oracle, agree, by_line

NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH, IN_ROOT, CACHED = 1, 2, 4, 8, 16, 32
#: Each alone, some together, and two that exclude each other.
RULES = (
    0, NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH, IN_ROOT, BENEATH | NO_XDEV, IN_ROOT | NO_XDEV,
    IN_ROOT | NO_SYMLINKS, BENEATH | NO_MAGICLINKS, IN_ROOT | NO_MAGICLINKS, BENEATH | IN_ROOT,
)  # fmt: skip
PATH, NOFOLLOW, CREAT, DIRECTORY, NONBLOCK = 0o10000000, 0o400000, 0o100, 0o200000, 0o4000
FLAGS = (NONBLOCK, PATH, PATH | NOFOLLOW, NOFOLLOW | NONBLOCK, DIRECTORY, CREAT | NONBLOCK)
#: Where walks start: in the tree, above it, on the host.
STARTS = (MOUNT, f"{MOUNT}/dir", f"{MOUNT}/dir/sub", "/cvmfs", "/", HOST, f"{HOST}/into/dir", f"{MOUNT}/file")
RELATIVE = (
    ".", "..", "/", "//", "/..", "file", "dir", "dir/", "dir/..", "dir/../file", "dir/../..", "../file",
    "dir/../../", "link", "link/", "dirlink/other", "abslink", "up", "up/", "/file", "self/self", "dangling",
    "missing", "out", "outdir/passwd", "toroot", "toroot/", "toroot/file", "tocvmfs", "upandout", "linktolink",
    "slashed", "loop", "chain/1", "chain/30", "/file", "/dir/../file", "/../../file", "/link", "/abslink",
    "sub/far", "sub/deep/../../back", "back", "other", "../dirlink", "cvmfs", f"cvmfs/{NAME}", f"cvmfs/{NAME}/file",
    f"cvmfs/{NAME}/toroot", f"/cvmfs/{NAME}", f"cvmfs/{NAME}/up/{NAME}/link", f"cvmfs/{NAME}/upandout",
    f"{NAME}/../{NAME}/file", f"{NAME}/up", "no.such/x", "into", "into/file", "intofile", "first/dir", "cvmfs/..",
    "cvmfs/../etc/passwd", "real", "real-link", "relative/file", "into/../../etc/passwd", "circle",
    "directory/../real", "oracle/host/into", "oracle/host/real-link", "etc/passwd", "d000/file", "d000/../file", "n"
    * 256, "file/x", "file/..", "missing/..", "d1777/link", "through",
)  # fmt: skip
WITH_MAGIC = (
    f"/proc/self/root/cvmfs/{NAME}/file", "/proc/self/cwd", "/proc/self/cwd/file", "/proc/self/cwd/..",
    "/proc/self/root", "/proc/thread-self/root/etc/passwd", "/proc/self/ns/uts", "/proc/self/comm",
    "/proc/self/root/proc/self/cwd/link",
)  # fmt: skip


def opened(at: str, path: str, flags: int, rules: int) -> str:
    return f"437 {at} s{path} p{flags},{0o600 if flags & CREAT else 0},{rules} i24"


def may_make(path: str, flags: int) -> bool:
    """Left out: what would make a file on the host."""
    return bool(flags & CREAT) and not path.startswith(MOUNT)


#: Who asks, and whether the host has a /cvmfs of its own.
WORLDS: tuple[tuple[bool, Host], ...] = ((False, "bare"), (True, "bare"), (False, "decoy"))


@pytest.mark.parametrize(("user", "host"), WORLDS)
@pytest.mark.parametrize("rules", RULES)
def test_every_rule_holds_for_absolute_paths(oracle: Oracle, user: bool, host: Host, rules: int) -> None:
    paths = [*matrix.absolute(), *WITH_MAGIC]
    script = [f"80 s{MOUNT}"]
    for path in paths:
        script += [opened(f"i{CWD}", path, flags, rules) for flags in FLAGS if not matrix.blocks(path, flags, 0)]
    agree(oracle, script, user=user, host=host, at_least=1400)


@pytest.mark.parametrize(("user", "host"), WORLDS)
@pytest.mark.parametrize("start", STARTS)
def test_every_rule_holds_from_a_directory(oracle: Oracle, user: bool, host: Host, start: str) -> None:
    flags = [flags for flags in (NONBLOCK, PATH | NOFOLLOW, DIRECTORY, CREAT | NONBLOCK) if not may_make(start, flags)]
    script = [f"d=257 i{CWD} s{start} i{PATH} i0"]
    for path, rules in itertools.product((*RELATIVE, *WITH_MAGIC), RULES):
        script += [opened("@d", path, how, rules) for how in flags if not how & CREAT or ".." not in path]
    script += [f"80 s{start}"]
    for path, rules in itertools.product(RELATIVE, RULES):
        script.append(opened(f"i{CWD}", path, PATH, rules))
    agree(oracle, script, user=user, host=host, at_least=3000)


def random_path(source: random.Random) -> str:
    names = ["file", "dir", "sub", "deep", "link", "dirlink", "up", "self", "toroot", "tocvmfs", "abslink", "..", "..",
             ".", NAME, "cvmfs", "into", "missing", "back", "far", "first", "relative", "other", "outdir", "oracle",
             "host"]  # fmt: skip
    parts = [source.choice(names) for _ in range(source.randint(1, 9))]
    return (
        source.choice(("", "", "/", "//")) + source.choice(("/", "/", "//")).join(parts) + source.choice(("", "", "/"))
    )


@pytest.mark.parametrize(("user", "host"), WORLDS)
@pytest.mark.parametrize("seed", range(3))
def test_random_walks_by_random_rules_end_where_the_kernels_do(
    oracle: Oracle, user: bool, host: Host, seed: int
) -> None:
    source = random.Random(seed)
    script = []
    for _ in range(60):
        script += ["reset", f"d=257 i{CWD} s{source.choice(STARTS)} i{PATH} i0"]
        for _ in range(60):
            rules = source.choice(RULES)
            flags = source.choice((NONBLOCK, PATH, PATH | NOFOLLOW, DIRECTORY))
            script.append(opened("@d", random_path(source), flags, rules))
    agree(oracle, script, user=user, host=host, at_least=3500)


def test_what_must_be_cached_is_opened_once_it_is_and_never_asked_for(oracle: Oracle, user: bool) -> None:
    """The kernel may say EAGAIN to RESOLVE_CACHED at any time, but not what is wrong."""
    names = ("file", "dir", "link", "dir/other", "missing", "file/x", "dirlink/../file", "loop", "dir/sub/deep/file")
    first = [opened(f"i{CWD}", f"{MOUNT}/{name}", NONBLOCK, 0) for name in names]
    second = [opened(f"i{CWD}", f"{MOUNT}/{name}", NONBLOCK, CACHED) for name in names]
    with_more = [opened(f"i{CWD}", f"{MOUNT}/{name}", NONBLOCK, CACHED | NO_XDEV) for name in names]
    refused = [opened(f"i{CWD}", f"{MOUNT}/file", flags, CACHED) for flags in (CREAT, 0o1001, 0o20200001)]
    relative = [opened(f"i{CWD}", path, 0, CACHED) for path in ("other", "../file")]
    seen = [opened(f"i{CWD}", "../file", 0, 0)]
    script = [*second, *first, *second, *with_more, *refused, f"80 s{MOUNT}/dir", *seen, *relative]
    path = oracle.place / "script"
    path.write_text("\n".join(script) + "\n")
    path.chmod(0o644)
    kernel, ours = (by_line(text) for text in oracle.both("call_script", path, user=user))
    for line, call in enumerate(script):
        said, truth = ours[str(line)], kernel[str(line)]
        assert said in (truth, "EAGAIN") or truth == "EAGAIN", f"{call}: {said}, the kernel {truth}"
    cold, warm = (ours[str(start)] for start in (0, 2 * len(names)))
    assert cold == "EAGAIN"
    assert warm == kernel[str(len(names))]  # the file, as if it had been opened without the rule
    for line in (len(script) - 2, len(script) - 1):
        assert ours[str(line)] == kernel[str(line)] != "EAGAIN"
