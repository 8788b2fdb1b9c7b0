"""/proc/<server>/fd/<n> is a name, and means the server's descriptor only where /proc is that of the launch.

Each task here goes to where another thing has that very name, after somebody at home has opened the file by it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import needs
from tests.helpers.faulty_repository import TOP, faulty_repository
from tests.helpers.launches import PATCHINGS, PYTHON, Launches
from tests.helpers.unprivileged import Unprivileged

FILES = ("README", "raw/plain.txt", "sw/v1/bin/run.sh")
#: Descriptors of the server's are below this.
MOST = 400
#: Puts a file "decoy" under every name that a stand-in may have, in a /proc at $1; $L is the server's number.
FILL = f"""fill() {{
    mkdir -p $1/$L/fd; n=0
    while [ $n -lt {MOST} ]; do echo decoy > $1/$L/fd/$n; n=$((n+1)); done
}}
"""
START = f"""{FILL}
T=$(sed -n 's/^TracerPid:[^0-9]*//p' /proc/self/status)
L=$(sed -n 's/^Tgid:[^0-9]*//p' /proc/$T/status)
[ "$L" -gt 1 ] || exit 3
export L
"""
#: A process with the server's number that has a decoy under each descriptor.
STRANGER = f"""
import os, sys, time
fd = os.open("decoy", os.O_RDWR | os.O_CREAT); os.write(fd, b"decoy\\n")
for number in range(3, {MOST}):
    os.dup2(fd, number)
print(os.getpid(), flush=True)
time.sleep(60)
"""
SHOW = "cat " + " ".join(f"{TOP}/{name}" for name in FILES)
WAYS = {
    "mounted over": f"unshare --mount sh -c 'mount -t tmpfs none /proc && . ./fill && fill /proc && {SHOW}'",
    "bound over": f"fill fake; unshare --mount sh -c 'mount --bind fake /proc && {SHOW}'",
    "in a sandbox": f"fill fake; bwrap --dev-bind / / --bind fake /proc {SHOW}",
    "another root": f"fill root/proc; chroot root /busybox {SHOW}",
    "a pivoted root": "fill root/proc; mkdir root/old; unshare --mount sh -c "
    f"'mount --bind root root && cd root && pivot_root . old && exec /busybox {SHOW}'",
    "entered": "fill fake; mkfifo ready; "
    "unshare --mount sh -c 'mount --bind fake /proc; echo > ready; exec sleep 60' & "
    f"read line < ready; nsenter --mount=/proc/$!/ns/mnt {SHOW}; kill $!",
    "moved": "fill fake; unshare --mount sh -c 'mount --make-rprivate / && mount --bind fake fake && "
    f"mount --move fake /proc && {SHOW}'",
    "the same number": "unshare --pid --fork --mount-proc sh -c 'echo $((L-1)) > /proc/sys/kernel/ns_last_pid; "
    f"{PYTHON} stranger > number & while [ ! -s number ]; do :; done; [ $(cat number) = $L ] && {SHOW}; kill $L'",
}  # fmt: skip


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of root's, with what the ways need."""
    path = Path(tempfile.mkdtemp(prefix="hepwrap-other-proc-"))
    for name in ("fake", "root/proc"):
        (path / name).mkdir(parents=True)
    shutil.copy(needs.program("busybox", "busybox-static"), path / "root/busybox")
    (path / "fill").write_text(FILL)
    (path / "stranger").write_text(STRANGER)
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=PATCHINGS)
def by_root(request: pytest.FixtureRequest, unprivileged: Unprivileged, place: Path) -> Iterator[Launches]:
    with faulty_repository(unprivileged) as repository:
        options = (*repository.launches.options, *PATCHINGS[request.param])
        yield Launches.as_myself(unprivileged, options, place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make all namespaces")
@pytest.mark.parametrize("way", WAYS)
def test_who_sees_another_proc_gets_the_right_file(by_root: Launches, place: Path, way: str) -> None:
    script = f"{START}\n{SHOW} > before\n{WAYS[way]}"
    done = by_root.run("sh", "-c", script, cwd=place)
    assert done.stderr == ""
    assert done.stdout == (place / "before").read_text() != ""
    assert "decoy" not in done.stdout


MOUNT = "mount --bind fake/$L/fd /proc/$L/fd"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("mount", [MOUNT, f"unshare --mount --propagation unchanged sh -c '{MOUNT}'"])
def test_who_never_left_is_not_given_a_runtime_by_a_name_that_was_mounted_over(
    by_root: Launches, place: Path, mount: str
) -> None:
    """At home, or where what is mounted comes to be seen at home."""
    script = f"{START}\nfill fake\n{mount} || exit 4\n[ $(/bin/cat /proc/$L/fd/5) = decoy ] && /bin/echo alive"
    own = 'mount --make-rprivate / && mount --make-rshared / && exec "$@"'  # nothing comes to be seen outside of it
    home = by_root.inside("unshare", "--mount", "--propagation", "private", "sh", "-c", own, "sh")
    done = home.run("sh", "-c", script, cwd=place)
    assert (done.stderr, done.stdout, done.returncode) == ("", "alive\n", 0)


def test_an_ordinary_user_in_namespaces_of_its_own_gets_the_right_file(unprivileged: Unprivileged) -> None:
    with faulty_repository(unprivileged) as repository:
        launches = Launches.of(unprivileged, repository.launches.options)
        inside = f"mount -t tmpfs none /proc && fill /proc && {SHOW}"
        script = f"{START}\n{SHOW} > before; unshare --user --map-root-user --mount sh -c '{FILL}{inside}'; cat before"
        done = launches.run("sh", "-c", script)
        if "unshare failed" in done.stderr:
            pytest.skip("this machine lets ordinary users make no user namespaces")
        half = done.stdout[: len(done.stdout) // 2]
        assert (done.stderr, done.stdout) == ("", half * 2)
        assert half
        assert "decoy" not in half
