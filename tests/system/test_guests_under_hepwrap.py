"""The same guest on the same tree, natively and under hepwrap, prints the same text.

Natively a copy of the tree is a read-only file system at /cvmfs/<name> (bubblewrap), so that the kernel itself says
what is right.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import needs
from tests.helpers.guests import STACK_LIMIT, Guests
from tests.helpers.launches import Launches
from tests.helpers.other_root import bubble
from tests.helpers.repositories import ServedRepository, serve
from tests.helpers.unprivileged import Unprivileged

NAME = "guests.hep.example"
ROOT = f"/cvmfs/{NAME}"
BUBBLE = bubble("--tmpfs", "/cvmfs", "--dir", ROOT)
MOUNTED_COPY = Path(__file__).resolve().parents[1] / "helpers" / "mounted_copy.py"
ENVIRONMENT = {"CVMFS_CLAIM_OWNERSHIP": "no", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def fill(root: Path) -> None:
    """One of each kind, with names and modes that are easily got wrong."""
    (root / "d" / "deep" / "deeper").mkdir(parents=True)
    (root / "file").write_bytes(bytes(range(256)) * 300)
    (root / "empty").touch()
    (root / "d" / "other").write_text("other\n")
    (root / "linked").write_text("linked\n")
    os.link(root / "linked", root / "hard-link")  # in one directory, as the format has it
    (root / "link").symlink_to("file")
    (root / "link-to-directory").symlink_to("d/deep")
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    outside = root.parent / "outside"  # a file of the tester's: in a namespace all others seem to be nobody's
    outside.write_text("outside\n")
    (root / "out").symlink_to(outside)
    (root / os.fsdecode(b"odd \xff\n name")).write_text("odd\n")
    (root / ("n" * 255)).write_text("long\n")
    for number in range(100):
        (root / "many" / f"{number:03}").mkdir(parents=True)
    (root / "secret").write_text("secret\n")
    (root / "closed").mkdir()
    (root / "closed" / "inside").write_text("inside\n")
    (root / "script").write_text('#!/bin/sh\necho script "$@"\nexit 7\n')
    shutil.copy(os.path.realpath("/bin/echo"), root / "echo")
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.name in {"script", "echo"} else 0o644)
        os.utime(path, (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    (root / "secret").chmod(0o600)
    (root / "closed").chmod(0o700)


@dataclass(frozen=True)
class Worlds:
    """The tree in both worlds."""

    tree: Path
    repository: ServedRepository
    hepwrap: list[str]

    def native(self, command: Sequence[str], before: Sequence[str] = ()) -> tuple[int, str]:
        """Exit code and output where the kernel has the tree mounted read-only."""
        return run([*BUBBLE, sys.executable, str(MOUNTED_COPY), str(self.tree), ROOT, "--", *before, *command])

    def wrapped(self, command: Sequence[str], before: Sequence[str] = ()) -> tuple[int, str]:
        """Exit code and output under hepwrap."""
        return run([*before, *self.hepwrap, *self.repository.flags, "--", *command])


def run(command: list[str]) -> tuple[int, str]:
    """Exit code and standard output, with standard error behind it."""
    done = subprocess.run(
        command, capture_output=True, text=True, errors="backslashreplace", env=ENVIRONMENT, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, unprivileged: Unprivileged) -> Iterator[Worlds]:
    """Publish the tree and serve it."""
    place = tmp_path_factory.mktemp("guests")
    tree = place / "tree"
    tree.mkdir()
    fill(tree)
    needs.program("bwrap", "bubblewrap")
    if run([*BUBBLE, sys.executable, str(MOUNTED_COPY), str(tree), ROOT, "--", "true"])[0] != 0:
        needs.lacking("bwrap may not make namespaces here: nothing to compare with")
    hepwrap = [sys.executable, "-m", "hepwrap"]
    for arguments in (
        ["keygen", NAME, "--keys", place / "keys"],
        ["publish", tree, "--repo", NAME, "--to", place / "store", "--keys", place / "keys"],
    ):
        subprocess.run([*hepwrap, *map(str, arguments)], check=True, capture_output=True, timeout=120)
    key = unprivileged.give(place / "keys" / f"{NAME}.pub")
    served = serve(NAME, place / "store" / NAME, key)
    yield Worlds(tree, next(served), unprivileged.hepwrap_command)
    served.close()


#: Ways in which tasks share a working directory, memory, both or neither (tests/guests/shares_directory.c).
SHARING = ["fork", "vfork", "thread", "parted", "odd", "memory", "spawned", "directory", "both", "executed", "many"]
CASES = {
    "stat": "stat_family {r}/file {r}/d {r}/hard-link {r}/empty {r}/missing {r}/file/below",
    "stat of links": "stat_family {r}/link {r}/link-to-directory {r}/dangling {r}/out {r}/loop",
    "stat of odd paths": "stat_family {r}/ {r}/. {r}/d/.. {r}//d///deep/ {r}/../{n}/link-to-directory/.. {r}/link/",
    "open": "open_flags {r}/file {r}/d {r}/link {r}/missing {r}/missing/below {r}/file/below {r}/dangling",
    "open, O_NOFOLLOW shown": "open_flags -n {r}/file {r}/link",
    "access": "access_matrix {r}/file {r}/script {r}/d {r}/link {r}/dangling {r}/missing {r}/secret {r}/closed/inside",
    "readlink": "readlink_variants {r}/link {r}/dangling {r}/out {r}/file {r}/d {r}/missing",
    "names": "names_shown {r}/file {r}/d",
    "directory": "directory_reading {r}",
    "large directory": "directory_reading {r}/many",
    "empty directory": "directory_reading {r}/d/deep/deeper",
    "working directory": "working_directory {r}/d",
    **{f"a directory shared by {way}": f"shares_directory {way} {{r}}/d {{r}}/d/deep" for way in SHARING},
    "a directory shared with the host": "shares_directory vfork {r}/d /usr",
    "a directory of the host that is shared": "shares_directory spawned {o} {r}/d",
    "directories that are moved": "moved_directories {o} {r}/d {r}/d/deep",
    "statfs": "statfs_dump {r}/file {r}/d {r}/missing",
    "xattr": "xattr_reading user.a {r}/file {r}/d {r}/missing",
    "write": "write_calls {r}/d {r}/file {o}",
    "exec": "exec_variants {r}/echo one two",
    "exec of a script": "exec_variants {r}/script three",
    "exec of nothing": "exec_variants {r}/missing",
    "exec of a directory": "exec_variants {r}/d",
    "exec of what is not executable": "exec_variants {r}/file",
    "threads": "threads 3 {r}/file {r}/empty {r}/d/other {r}/missing {r}/link {r}/echo {r}/script",
    "bad pointers": "bad_pointers {r}/file {r}/d {r}/link",
    "no libc": "bare_static {r}/d/other",
    "registers": "keeps_registers {r}/file {r}/link {r}/missing {r}/d",
    "mmap": "map_file {r}/file",
    "descriptors over sockets": "pass_descriptor {r}/file {r}/d {r}/missing",
    "small stack": "small_stack {stack} {r}/file {r}/d",
}
#: Cases that do not agree yet; strict, so that whoever mends one takes it out.
OPEN: dict[str, str] = {
    "open, O_NOFOLLOW shown": "only directories are opened by a name that is no link: docs/decisions/0013",
}


def compare(worlds: Worlds, guests: Guests, case: str, other: Path, before: Sequence[str] = ()) -> None:
    name, *words = CASES[case].format(r=ROOT, n=NAME, o=other, stack=STACK_LIMIT).split()
    command = [str(guests.path(name)), *words]
    code, text = worlds.native(command, before)
    assert text
    assert "\nfailed: " not in "\n" + text, text  # what a guest needs to show anything
    wrapped_code, wrapped = worlds.wrapped(command, before)
    if wrapped != text:
        lines = difflib.unified_diff(text.splitlines(), wrapped.splitlines(), "mounted", "hepwrap", n=0, lineterm="")
        pytest.fail("\n".join(lines), pytrace=False)
    assert wrapped_code == code


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[pytest.mark.xfail(reason=OPEN[c], strict=True)] if c in OPEN else []) for c in CASES],
)
def test_a_guest_cannot_tell_hepwrap_from_a_mount(case: str, worlds: Worlds, guests: Guests, tmp_path: Path) -> None:
    compare(worlds, guests, case, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    "case",
    [
        "stat",
        "open",
        "access",
        "directory",
        "exec",
        "exec of a script",
        "threads",
        "write",
        "directories that are moved",
    ],
)
def test_nor_can_it_as_an_ordinary_user(
    case: str, worlds: Worlds, guests: Guests, unprivileged: Unprivileged, request: pytest.FixtureRequest
) -> None:
    if case in OPEN:
        request.applymarker(pytest.mark.xfail(reason=OPEN[case], strict=True))
    place = Launches.of(unprivileged).home  # the user's own, and nobody else's: a guest may empty it
    compare(worlds, guests, case, place, unprivileged.prefix())
