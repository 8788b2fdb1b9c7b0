"""Where opened files lie is decided once, by what the machine lets a launch have: none of it is the command's business.

Whatever is refused, the launch goes on with sealed files, without a word, and what it shows is the same.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
from pathlib import Path

import pytest

from tests.helpers.filters import INSTALL
from tests.helpers.fixtures import publishes
from tests.helpers.jobs import Job, marked, status_of
from tests.helpers.launches import PYTHON, Launches
from tests.helpers.publishing import Published
from tests.helpers.unprivileged import HELPER, UID, Unprivileged

TOP = "/cvmfs/mounts.hep.example"
AS_USER = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
#: Becomes a command for which calls are refused, or its end: NUMBER,ACTION,FLAGS,ARGUMENT: where that argument has
#: any of these bits; FLAGS 0: always.
FILTER = (
    """
import ctypes, os, struct, sys
tests = [(0x20, 0, 0, 0)]
for rule in sys.argv[1].split():
    number, action, flags, argument = (int(word, 0) for word in rule.split(","))
    if flags:
        tests += [(0x15, 0, 4, number), (0x20, 0, 0, 16 + 8 * argument), (0x45, 0, 1, flags), (6, 0, 0, action)]
        tests.append((0x20, 0, 0, 0))
    else:
        tests += [(0x15, 0, 1, number), (6, 0, 0, action)]
tests.append((6, 0, 0, 0x7fff0000))
"""
    + INSTALL
    + "os.execvp(sys.argv[2], sys.argv[2:])\n"
)
CLONE, PIVOT_ROOT, MOUNT, UMOUNT, PRLIMIT = 56, 155, 165, 166, 302
REFUSE, KILL = 0x50000, 0x80000000
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
REFUSALS = {
    "no user namespaces": f"{CLONE},{REFUSE | errno.EPERM},{CLONE_NEWUSER | CLONE_NEWNS},0",
    "none in this kernel": f"{CLONE},{REFUSE | errno.EINVAL},{CLONE_NEWUSER | CLONE_NEWNS},0",
    "too many of them": f"{CLONE},{REFUSE | errno.ENOSPC},{CLONE_NEWUSER | CLONE_NEWNS},0",
    "no process left": f"{CLONE},{REFUSE | errno.EAGAIN},{CLONE_NEWUSER},0",
    "no mounts": f"{MOUNT},{REFUSE | errno.EPERM},0,0",
    "mounts are not there": f"{MOUNT},{REFUSE | errno.ENOSYS},0,0",
    "who mounts is killed": f"{MOUNT},{KILL},0,0",
}
#: Of no consequence but for speed: the mount loses its namespace (a root that is an initial ramfs cannot be left).
UNKEPT = {
    "no other root": f"{PIVOT_ROOT},{REFUSE | errno.EINVAL},0,0",
    "nothing leaves": f"{UMOUNT},{REFUSE | errno.EBUSY},0,0",
}


#: How many mounts are in the namespace that is kept (listmount(2), since Linux 6.8; before that 1 is said), what is in
#: its root, without the token, whether `..` stays there, and whether `r` is empty: as seen from there.
IN_NAMESPACE = """
import ctypes, fcntl, os, struct
from hepwrap import job
from hepwrap.cache.place import Place
place = Place(*job.mount_privately())
if place.namespace < 0:
    print("none")
    raise SystemExit
NS_GET_USERNS = 0xB701
kernel = ctypes.CDLL(None, use_errno=True)
for namespace in fcntl.ioctl(place.namespace, NS_GET_USERNS), place.namespace:
    if kernel.setns(namespace, 0):
        raise SystemExit(f"setns: {os.strerror(ctypes.get_errno())}")
found = (ctypes.c_uint64 * 100)()
LISTMOUNT, EVERYTHING = 458, 0xFFFFFFFFFFFFFFFF
count = kernel.syscall(LISTMOUNT, struct.pack("IIQQ", 24, 0, EVERYTHING, 0), found, 100, 0)
os.chdir("/")
names = sorted(name.removeprefix(place.token + "-") for name in os.listdir("/"))
is_top = os.path.samefile("/..", place.readable) and os.path.samefile("/", place.readable)
print(1 if count < 0 and ctypes.get_errno() == 38 else count, *names, is_top, os.listdir("r") == [])
"""


def build(tree: Path) -> None:
    (tree / "dir").mkdir(parents=True)
    (tree / "file").write_text("content of the repository\n" * 1000)
    (tree / "script").write_text(
        "#!/bin/sh\nsum < ${0%/*}/file; ls ${0%/*}; ls /proc/self/fd | wc -l; ulimit -n; ulimit -Hn\n"
    )
    (tree / "script").chmod(0o755)


published = publishes("mounts.hep.example", build)


@pytest.fixture
def user(unprivileged: Unprivileged, published: Published) -> Launches:
    return Launches.of(unprivileged, published.flags)


def place(launches: Launches, *command: str) -> tuple[str, int]:
    """What the script of the repository says, as it does natively, and whether opened files lay in a mount."""
    file = launches.home / "account.json"
    text = launches.having(f"--stats={file}").ok(*(command or (f"{TOP}/script",))).decode()
    return text, int(json.loads(file.read_text())["cache"]["private_mount"])


def truth(launches: Launches, published: Published) -> str:
    return launches.native(published.tree / "script").stdout


def kernel_lets(launches: Launches) -> None:
    if launches.native("unshare", "--user", "--mount", "true").returncode:
        pytest.skip("this machine lets ordinary users make no user namespaces")


def test_a_machine_that_has_namespaces_gives_a_mount(user: Launches, published: Published) -> None:
    kernel_lets(user)
    assert place(user) == (truth(user, published), 1)
    assert place(user.having("--sealed")) == (truth(user, published), 0)
    sealed, mounted = (user.having(*more, "--stats").run(f"{TOP}/script").stderr for more in (["--sealed"], []))
    assert "evicted, sealed; index" in sealed
    assert "evicted, in a mount of their own; index" in mounted


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_is_refused_is_done_without(user: Launches, published: Published, refusal: str) -> None:
    launches = user.inside(PYTHON, "-c", FILTER, REFUSALS[refusal])
    assert place(launches) == (truth(launches, published), 0)


@pytest.mark.parametrize("refusal", [None, *UNKEPT])
def test_the_mount_stays_in_a_namespace_and_nothing_else_does(
    user: Launches, published: Published, refusal: str | None
) -> None:
    """What is mounted there would stay mounted as long as the job: a disk could not be taken out of the machine."""
    kernel_lets(user)
    launches = user if refusal is None else user.inside(PYTHON, "-c", FILTER, UNKEPT[refusal])
    assert place(launches) == (truth(launches, published), 1)
    made = launches.native(launches.user.python, "-c", IN_NAMESPACE)
    assert made.stdout.split() == (["none"] if refusal else ["1", "0", "r", "True", "True"]), made.stderr


def test_who_cannot_be_given_the_directory_opens_by_proc(user: Launches, published: Published) -> None:
    """The number lies above the limit, which may not be changed: the directory is there, and no program has it."""
    kernel_lets(user)
    limits = ("prlimit", "--nofile=300:2000", PYTHON, "-c", FILTER, f"{PRLIMIT},{REFUSE | errno.EPERM},0xffffffff,2")
    assert place(user.inside(*limits)) == (truth(user.inside(*limits), published), 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take user namespaces away")
def test_without_user_namespaces_only_root_has_a_mount(unprivileged: Unprivileged, published: Published) -> None:
    """In namespaces of its own where there is none to be had, so that nothing of the machine is changed."""
    user = Launches.of(unprivileged, published.flags, user_namespaces=False)
    assert place(user) == (truth(user, published), 0)
    root = Launches.as_myself(unprivileged, published.flags).inside(PYTHON, str(HELPER), "--user", "--")
    assert place(root) == (truth(root, published), 1)


@pytest.mark.parametrize(("limits", "mounted"), [
    ("64:64", 0), ("256:256", 0), ("257:257", 1), ("100:4096", 1), ("1024:1024", 1), ("2000:2000", 1),
])  # fmt: skip
def test_who_has_few_descriptors_keeps_them_all(
    user: Launches, published: Published, limits: str, mounted: int
) -> None:
    kernel_lets(user)
    launches = user.inside("prlimit", f"--nofile={limits}")
    assert place(launches) == (truth(launches, published), mounted)


def place_of_directory(pid: int) -> list[int]:
    """The numbers by which a process has the directory, as seen from outside of the job."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        status = os.stat(f"/proc/{pid}/fd/{name}")
        if os.readlink(f"/proc/{pid}/fd/{name}") == "/" and status.st_dev != os.stat("/").st_dev:
            found.append(int(name))
    return sorted(found)


#: Becomes a command that has `sys.argv[1]` as all those descriptors.
HAVING = """
import os, resource, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
soft = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
fd = os.open(sys.argv[1], os.O_RDONLY)
os.set_inheritable(fd, True)
for number in eval(sys.argv[3]):
    os.dup2(fd, number)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
os.execvp(sys.argv[4], sys.argv[4:])
"""
KEPT = {
    "the usual one": ("1024", "[1024]", 1023),
    "those beside": ("1024", "[1023, 1025]", 1024),
    "several": ("1024", "[1024, 1023, 1022, 1000]", 1021),
    "all below": ("4000", "range(3, 1024)", None),
    "all below but one": ("4000", "range(3, 1023)", None),
    "all below but two": ("4000", "range(3, 1022)", None),
    "all below but three": ("4000", "range(3, 1021)", None),
    "all that could be": ("4000", "range(4, 1030)", -1),
    "another soft limit": ("300", "[1024, 299]", 1023),
}


@pytest.mark.parametrize("kept", KEPT)
def test_what_the_command_inherits_it_keeps(user: Launches, kept: str) -> None:
    kernel_lets(user)
    soft, numbers, expected = KEPT[kept]
    own = user.home / "own"
    own.write_text("mine\n" * 3)
    script = f"import os; [os.pread(n, 9, 0) == b'mine\\nmine' or exit(1) for n in {numbers}]"
    script += f"; print(open('{TOP}/file').read(7)); input()"
    launches = user.inside(PYTHON, "-c", HAVING, str(own), soft, numbers)
    with launches.start(PYTHON, "-c", script) as job:
        assert job.line() == "content"
        found = place_of_directory(job.pid)
        wanted = eval(numbers)
        assert not set(found) & set(wanted)
        if expected is not None:
            assert found == ([expected] if expected > 0 else [])
        assert len(found) <= 1
        job.say("end")
        assert job.wait() == 0


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_stay_closed(user: Launches, published: Published, closed: str) -> None:
    kernel_lets(user)

    look = "import os, sys; seen = sorted(os.listdir('/proc/self/fd')); "
    look += "print(seen, open(sys.argv[1]).read(), file=open('seen', 'w'))"
    shown = []
    for command in (
        user.typed(PYTHON, "-c", look, f"{TOP}/file"),
        shlex.join([PYTHON, "-c", look, str(published.tree / "file")]),
    ):
        user.native("sh", "-c", f"exec {command} {closed}")
        shown.append((user.home / "seen").read_text())
    assert shown[0] == shown[1]
    assert shown[0].endswith("content of the repository\n\n")


def children_of(pid: int) -> list[str]:
    return [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def of_the_launch(job: Job) -> set[int]:
    return {*marked(job.mark), job.helper()}


def test_nothing_of_making_the_mount_remains(user: Launches) -> None:
    """No child, no namespace, no mount, and no descriptor but the two directories and what is opened."""
    kernel_lets(user)
    mounts = Path("/proc/self/mountinfo").read_text()
    with user.start("sh", "-c", f"cat {TOP}/file >/dev/null; echo ready; read line") as job:
        assert job.line() == "ready"
        helper = job.helper()
        assert Path("/proc/self/mountinfo").read_text() == mounts == Path(f"/proc/{helper}/mountinfo").read_text()
        assert children_of(helper) == []
        assert {os.readlink(f"/proc/{pid}/ns/{kind}") for pid in of_the_launch(job) for kind in ("mnt", "user")} == {
            os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "user")
        }
        assert all(not status_of(pid).get("State", "").startswith("Z") for pid in of_the_launch(job))
        names = [os.readlink(f"/proc/{helper}/fd/{fd}") for fd in os.listdir(f"/proc/{helper}/fd")]
        assert not [name for name in names if name.startswith("pipe:") or name.endswith(("_map", "setgroups"))]
        assert len(place_of_directory(helper)) == 2
        assert len(place_of_directory(job.pid)) == 1
        job.send(signal.SIGKILL)
        job.wait()
        job.wait_for_the_end_of_all()


def test_a_launch_in_a_launch_has_the_directory_of_the_one_around_it(user: Launches, published: Published) -> None:
    kernel_lets(user)
    inner = user.typed_words("sh", "-c", f"{TOP}/script; exec {TOP}/script")
    text, mounted = place(user, *inner)
    assert (text, mounted) == (2 * truth(user, published), 1)
