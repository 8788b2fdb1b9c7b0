"""Mounts and roots, for those who may make them: what is virtual is refused in words, and never is another thing shown.

What others are told, and in which order, is `tests/interpose/test_oracle_rare_calls.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers.faulty_repository import ENGINES, TOP, engine_options
from tests.helpers.launches import PYTHON, Launches
from tests.helpers.oracle import HOST, MOUNT, Host, Oracle
from tests.helpers.repositories import ServedRepository
from tests.helpers.unprivileged import Unprivileged

TO_ROOT = ("unshare", "--mount")
TO_ROOT_OF_A_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
DIRECTORY = f"{TOP}/sw"
#: Performs each system call that it is given, in the directory and with the descriptor 9 that are virtual.
ASK = """
import ctypes, errno, os, sys
system = ctypes.CDLL(None, use_errno=True).syscall
virtual, desk, *asked = sys.argv[1:]
os.dup2(os.open(virtual, os.O_RDONLY), 9)
os.chdir(virtual)
for words in asked:
    arguments = [int(word) if word.lstrip("-").isdigit() else None if word == "NULL" else word.encode()
                 for word in words.split()]
    failed = system(*arguments, *(None,) * (6 - len(arguments))) < 0
    print(words, "|", errno.errorcode[ctypes.get_errno()] if failed else "done", "|", *os.listdir(desk), flush=True)
"""
MOUNT_CALL, UMOUNT, MOVE_MOUNT, OPEN_TREE, PIVOT_ROOT, CHROOT = 165, 166, 429, 428, 155, 161
BIND, MOVE, EMPTY_PATH, CLONE = 4096, 8192, 4, 1
ELSEWHERE, ONTO, ROOT = "cannot be mounted elsewhere", "nothing can be mounted on", "can be no root"
#: Call, errno, and what is said of it.
CALLS = (
    *((f"{MOUNT_CALL} {source} DESK none {flags}", "ENOENT", ELSEWHERE)
      for source in ("VIRTUAL", ".", "/proc/self/fd/9", "/proc/self/cwd", "../sw")
      for flags in (BIND, MOVE, BIND | 16384)),
    *((f"{OPEN_TREE} {start} {path} {CLONE}", "EPERM", ELSEWHERE)
      for start, path in ((-100, "VIRTUAL"), (-100, "."), (-100, "/proc/self/fd/9"), (9, "."))),
    *((f"{MOVE_MOUNT} {start} {path} -100 DESK {flags}", "ENOENT", ELSEWHERE)
      for start, path in ((-100, "VIRTUAL"), (-100, "."), (9, "."), (9, "../sw"), (-100, "/proc/self/fd/9"))
      for flags in (0, 1)),
    (f"{MOUNT_CALL} DESK VIRTUAL none {BIND}", "EPERM", ONTO),
    (f"{MOUNT_CALL} none . tmpfs 0", "EPERM", ONTO),
    (f"{MOVE_MOUNT} -100 DESK -100 VIRTUAL 0", "EPERM", ONTO),
    (f"{CHROOT} VIRTUAL", "EPERM", ROOT),
    (f"{CHROOT} .", "EPERM", ROOT),
    (f"{CHROOT} /proc/self/fd/9", "EPERM", ROOT),
    (f"{PIVOT_ROOT} VIRTUAL VIRTUAL", "EINVAL", ROOT),
    (f"{PIVOT_ROOT} . .", "EINVAL", ROOT),
)  # fmt: skip


def launches_of(who: str, unprivileged: Unprivileged, served: ServedRepository, home: Path) -> Launches:
    """By root, or by an ordinary user."""
    if who == "root":
        if os.geteuid() != 0:
            pytest.skip("only root may mount")
        return Launches.as_myself(unprivileged, served.flags, home)
    flags = list(served.flags)
    flags[flags.index("--key") + 1] = str(unprivileged.give(served.key))
    return Launches.of(unprivileged, flags)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("where", ["outside", "inside"])
@pytest.mark.parametrize("who", ["root", "user"])
def test_who_may_mount_is_refused_what_is_virtual_and_told_once(
    unprivileged: Unprivileged, test_repository: ServedRepository, tmp_path: Path, who: str, where: str, engine: str
) -> None:
    """The namespace is that of the whole launch, where stand-ins could be mounted, or one that the program has made."""
    launches = launches_of(who, unprivileged, test_repository, tmp_path).having(*engine_options(engine))
    own = TO_ROOT if who == "root" else TO_ROOT_OF_A_NAMESPACE
    if launches.native(*own, "true").returncode != 0:
        pytest.skip("this machine makes no mount namespaces")
    desk = launches.home / "desk"
    desk.mkdir()
    (desk / "mine").touch()
    asked = [call.replace("VIRTUAL", DIRECTORY).replace("DESK", str(desk)) for call, _, _ in CALLS]
    words = (PYTHON, "-c", ASK, DIRECTORY, desk, *asked)
    done = launches.inside(*own).run(*words) if where == "outside" else launches.run(*own, *words)
    said = [f"{call} | {name} | mine" for call, (_, name, _) in zip(asked, CALLS, strict=True)]
    assert done.stdout.splitlines() == said
    assert [[words for words in (ELSEWHERE, ONTO, ROOT) if words in line] for line in done.stderr.splitlines()] == [
        [ELSEWHERE], [ONTO], [ROOT]
    ]  # fmt: skip
    assert all(line.startswith(f"hepwrap: {DIRECTORY}") or ONTO in line for line in done.stderr.splitlines())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_what_has_no_part_in_a_repository_is_mounted_as_ever(oracle: Oracle, host: Host) -> None:
    """Binds, moves and file systems of the host's, by paths through the repository and a link of the host's too."""
    place = f"{HOST}/directory"
    script = (
        f"mount --bind {HOST} {place} && ls {place}; umount {place}; mount -t tmpfs none {place} && ls {place};"
        f" mkdir {place}/a {place}/b; cd {place}; mount --bind a b; touch a/x; ls b; umount b; cd /; umount {place};"
        f" mount --bind {MOUNT}/toroot{HOST} {place} && ls {place}; umount {place};"
        f" mount --bind {HOST} {MOUNT}/toroot{place} && ls {place}; umount {place}; ls {place}"
    )
    command = ["unshare", "--mount", "sh", "-c", script]
    native = oracle.native(command, user=False)
    assert native.count("intofile") == 3
    assert oracle.interposed(command, user=False, host=host) == native


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_bind_never_shows_what_the_host_has_by_the_same_name(oracle: Oracle) -> None:
    script = f"mount --bind {MOUNT}/dir {HOST}/directory; ls {HOST}/directory; chroot {MOUNT} /bin/true"
    shown = oracle.interposed(["unshare", "--mount", "sh", "-c", script], user=False, host="decoy")
    assert shown.startswith("exit 125\n")
    assert (shown.count(ELSEWHERE), shown.count(ROOT)) == (1, 1)


#: Whatever shows, moves or hides what the host has in /cvmfs, performed one by one; TO is a directory of the host's.
BY_NAME = (
    *(f"{MOUNT_CALL} {source} TO none {flags}" for source in ("/cvmfs", MOUNT, f"{HOST}/cvmfs", "/cvmfs/decoy")
      for flags in (BIND, BIND | 16384, MOVE)),
    *(f"{MOVE_MOUNT} -100 {source} -100 TO {flags}"
      for source in ("/cvmfs", f"{HOST}/cvmfs", f"{MOUNT}/dir", "/cvmfs/decoy") for flags in (0, 1)),
    *(f"{OPEN_TREE} -100 {source} {CLONE}" for source in ("/cvmfs", MOUNT, f"{HOST}/into")),
    *(f"{MOUNT_CALL} none {place} tmpfs 0" for place in ("/cvmfs", MOUNT, f"{HOST}/cvmfs", f"{HOST}/into/dir")),
    *(f"{MOUNT_CALL} {HOST} {place} none {BIND}" for place in ("/cvmfs", f"{HOST}/into")),
    *(f"{MOVE_MOUNT} -100 {HOST} -100 {place} 16" for place in ("/cvmfs", f"{HOST}/cvmfs")),
    *(f"{UMOUNT} {place} {flags}" for place in ("/cvmfs", MOUNT, f"{HOST}/cvmfs") for flags in (0, 2)),
)  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("how", [["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]])
def test_nothing_of_the_hosts_own_is_shown_moved_or_hidden_by_a_virtual_path(
    oracle: Oracle, user: bool, host: Host, how: list[str]
) -> None:
    """What is there stays, and is what the repository has; of the host's /cvmfs nobody sees anything."""
    if user and len(how) == 2:
        pytest.skip("only who is root in some namespace may mount")
    place = f"{HOST}/directory"
    asked = [call.replace("TO", place) for call in BY_NAME]
    command = [*how, PYTHON, "-c", ASK, MOUNT, place, *asked]
    look = ["sh", "-c", f'"$@" 2>&1; ls /cvmfs {place}; head -c 15 {MOUNT}/file', "sh", *command]
    shown = oracle.interposed(look, user=user, host=host).splitlines()
    answers = [line for line in shown if " |" in line]
    assert len(answers) == len(asked)
    assert [line for line in answers if not line.endswith((" | ENOENT |", " | EPERM |", " | EINVAL |"))] == []
    assert shown[-3:] == ["", f"{place}:", "content of file"]
    assert "decoy" not in " ".join(line for line in shown if " |" not in line)
