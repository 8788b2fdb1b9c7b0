"""The directory of opened files, which every program has as a descriptor: nobody sees it, and nobody needs it.

Whatever a program does with its number, what it reads is right; the same guest natively says what else.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers import needs
from tests.helpers.fixtures import publishes
from tests.helpers.guests import Guests
from tests.helpers.launches import PYTHON, Launches
from tests.helpers.programs import Pair, fill
from tests.helpers.publishing import Published
from tests.helpers.unprivileged import Unprivileged

#: Both with the directory.
WAYS = {"patched": [], "trapped": ["--no-patch"]}
NUMBER, FEW = 1024, 256
LIBRARY = "int number(void) { return 42; }"
PROGRAM = '#include <stdio.h>\nint number(void);\nint main(void) { printf("number %d\\n", number()); return 0; }'


def build(tree: Path) -> None:
    """A file, programs that are executed, one with a library beside it, and a script."""
    (tree / "dir").mkdir(parents=True)
    (tree / "file").write_text("content of the repository\n" * 1000)
    for number in range(20):
        (tree / f"dir/{number}").write_text(f"{number}\n" * 100)
    sources = {"libnumber.so": (LIBRARY, ["-shared", "-fPIC"]), "dynamic": (PROGRAM, ["-L.", "-lnumber"])}
    static = {"static": (f"{LIBRARY}\n{PROGRAM}", ["-static"])}
    for name, (text, flags) in {**sources, **static}.items():
        command = ["cc", "-x", "c", "-", "-x", "none", "-o", name, *flags, "-Wl,-rpath,$ORIGIN"]
        subprocess.run(command, input=text, text=True, cwd=tree, check=True)
    (tree / "script").write_text("#!/bin/sh\ncat ${0%/*}/file | wc -c\n")
    (tree / "script").chmod(0o755)


published = publishes("numbers.hep.example", build)


@pytest.fixture(params=WAYS)
def ways(request: pytest.FixtureRequest) -> list[str]:
    return WAYS[request.param]


@pytest.fixture(params=["root", "user"])
def pair(request: pytest.FixtureRequest, unprivileged: Unprivileged, published: Published, ways: list[str]) -> Pair:
    """The tree and the repository, for root and an ordinary user."""
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("the tests are not run by root")
    make = Launches.of if request.param == "user" else Launches.as_myself
    return Pair(make(unprivileged, [*published.flags, *ways]), published, published.tree)


def limited(pair: Pair, limits: str) -> Pair:
    """The same where hepwrap, and what is compared, start with that `prlimit --nofile`."""
    return Pair(pair.launcher.inside("prlimit", f"--nofile={limits}"), pair.published, pair.tree)


def account(pair: Pair, *words: str, **more: object) -> tuple[str, dict[str, dict[str, float]]]:
    """What a command prints, and what it has cost."""
    file = pair.launcher.home / "account.json"
    text = pair.launcher.having(f"--stats={file}").ok(*fill([*words], pair.top), **more).decode()  # type: ignore[arg-type]
    return text, json.loads(file.read_text())


def differing(pair: Pair, *words: str) -> tuple[str, list[str]]:
    """What the kernel says, and the lines in which a guest prints something else."""
    native, wrapped = pair.native([*words]), pair.wrapped([*words])
    assert (wrapped.returncode, wrapped.stderr) == (native.returncode, native.stderr)
    lines = native.stdout.decode().splitlines(), wrapped.stdout.decode().splitlines()
    found = [line for line in difflib.ndiff(*lines) if line[0] in "+-"]
    return native.stdout.decode(), found


def can_raise(pair: Pair, limits: str) -> bool:
    """Whether this machine lets us have such limits."""
    return pair.launcher.native("prlimit", f"--nofile={limits}", "true").returncode == 0


#: Soft and hard limit, and how many descriptors less a program can open.
LIMITS = {
    "64:64": 0, "64:": 0, "256:256": 0, "257:257": 1, "256:1024": 0, "1023:1024": 0, "1024:1024": 1, "1024:1025": 0,
    "1024:4096": 0, "1025:1025": 1, "20000:20000": 1,
}  # fmt: skip


@pytest.mark.parametrize("limits", LIMITS)
def test_nothing_that_tells_what_is_open_tells_of_it(pair: Pair, guests: Guests, limits: str) -> None:
    """How many can be opened is one less only where the limit lets programs have the number."""
    if not can_raise(pair, limits):
        pytest.skip(f"the hard limit of descriptors here is {resource.getrlimit(resource.RLIMIT_NOFILE)[1]}")
    words = [str(guests.path("counts_descriptors")), "{top}/file"]
    native, found = differing(limited(pair, limits), *words)
    assert native.count("\n") > 200
    soft = int(limits.partition(":")[0])
    if not LIMITS[limits]:
        assert found == []
    else:
        counts = [int(re.findall(r"filled: (\d+)", line)[0]) for line in found if line[0] != "?"]
        assert counts == [soft - 3, soft - 4], found


@pytest.mark.parametrize("limits", ["64:2048", "1024:4096", "1024:1024", "2000:2000"])
def test_what_is_put_in_its_place_is_what_it_is(pair: Pair, guests: Guests, desk: Path, limits: str) -> None:
    number = min(NUMBER, int(limits.partition(":")[2]) - 1)
    for name in range(300):
        (desk / f"{name}").touch()
    words = [str(guests.path("replaces_descriptor")), f"{number}", "{top}/file", str(desk)]
    native, found = differing(limited(pair, limits), *words)
    assert native.count("\n") > 100
    assert found == []


@pytest.mark.parametrize("limits", ["64:2048", "1024:1024", "2000:2000"])
def test_ranges_are_closed_around_it(pair: Pair, guests: Guests, limits: str) -> None:
    number = min(NUMBER, int(limits.partition(":")[2]) - 1)
    native, found = differing(limited(pair, limits), str(guests.path("closes_ranges")), f"{number}", "{top}/file")
    assert native.count("file 1 ") > 1000
    assert found == []


@pytest.mark.parametrize(
    ("layers", "how"), [("1", "kept"), ("3", "kept"), ("1", "lost"), ("3", "lost"), ("1", "replaced")]
)
def test_who_is_confined_to_the_repository_reads_and_executes_it(
    pair: Pair, guests: Guests, layers: str, how: str
) -> None:
    """Landlock: every subset of the rights that concern it, one upon the other; and what is no ruleset, or no flag."""
    words = [str(guests.path("confines_runs")), layers, how, "{top}", "file", "static", "dynamic", "script"]
    native, found = differing(pair, *words)
    if native.startswith("landlock: -1"):
        pytest.skip("this kernel has no Landlock")
    assert native.count("number 42") == 32
    assert "what is no rule's: -1 EACCES" in native
    assert found == []


def warm(pair: Pair, *words: str, **more: object) -> dict[str, float]:
    """What a hundred rounds more of `reads_again` cost; `{rounds}` in the words stands for how many."""
    costs = []
    for rounds in (3, 103):
        text, found = account(pair, *(word.replace("{rounds}", f"{rounds}") for word in words), **more)
        assert "not the same" not in text
        costs.append(found["tracer"])
    few, many = costs
    return {name: many[name] - few[name] for name in few}


FILES = [f"{{top}}/dir/{number}" for number in range(20)]
SANDBOXES = {
    "none": [],
    "namespaces": ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork"],
    "another proc": ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"],
    "bubble": ["bwrap", "--bind", "/", "/", "--tmpfs", "/proc", "--unshare-all"],
    "an execed shell": ["sh", "-c", 'sh -c "$@" & wait', "sh", 'exec "$0" "$@"'],
    "closed on exec": [PYTHON, "-c", "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"],
    "a spawned child": [
        PYTHON,
        "-c",
        "import os, sys; os.closerange(3, 1 << 20); a = sys.argv[1:]\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(os.posix_spawnp(a[0], a, os.environ), 0)[1]))",
    ],
}


@pytest.mark.parametrize(
    ("sandbox", "how"),
    [*((name, "keep") for name in SANDBOXES), *(("another proc", how) for how in ("range", "from", "fork"))],
)
def test_warm_files_are_opened_without_a_question_wherever_one_is(
    pair: Pair, guests: Guests, sandbox: str, how: str, ways: list[str]
) -> None:
    """Also where nothing leads to /proc/<server>/fd: by the directory, which comes through every exec and fork."""
    before = SANDBOXES[sandbox]
    if sandbox == "bubble":
        needs.program("bwrap", "bubblewrap")
    if before and pair.launcher.native(*before, "true").returncode:
        pytest.skip(f"this machine does not let us: {before[0]}")
    cost = warm(pair, *before, str(guests.path("reads_again")), how, "{rounds}", *FILES)
    assert cost["upcalls"] == 0, cost
    if not ways:
        assert abs(cost["stops"]) < 20, cost


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its root")
def test_another_root_needs_no_question(
    unprivileged: Unprivileged, published: Published, guests: Guests, ways: list[str], tmp_path: Path
) -> None:
    pair = Pair(Launches.as_myself(unprivileged, [*published.flags, *ways]), published, published.tree)
    shutil.copy(guests.path("reads_again", static=True), tmp_path / "reads_again")
    cost = warm(pair, "chroot", str(tmp_path), "/reads_again", "keep", "{rounds}", *FILES)
    assert cost["upcalls"] == 0, cost


CLOSE = """
import os, sys
for fd in range(3, 5000):
    try: os.close(fd)
    except OSError: pass
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("ending", ["", "fork"])
def test_who_closes_all_numbers_one_by_one_opens_without_a_question(
    pair: Pair, guests: Guests, ways: list[str], ending: str
) -> None:
    """By /proc, from then on, its children too."""
    guest = str(guests.path("reads_again"))
    script = f"{guest} loop {{rounds}} {' '.join(FILES)}"
    words = ["sh", "-c", script] if not ending else [PYTHON, "-c", CLOSE, guest, "fork", "{rounds}", *FILES]
    cost = warm(pair, *words)
    assert cost["upcalls"] == 0, cost
    if not ways:
        assert abs(cost["stops"]) < 20, cost


CLOSERS = {
    "subprocess": "subprocess.run({command}, close_fds=True)",
    "with a limit that is not there": "resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard)); "
    "subprocess.run({command}, close_fds=True)",
    "before the exec": "subprocess.run({command}, preexec_fn=lambda: os.closerange(3, 100000))",
    "one passed": "os.dup2(1, 77); subprocess.run({command}, pass_fds=(77, ))",
    "vfork": "subprocess._USE_VFORK = True; subprocess.run({command}, close_fds=True)",
    "fork": "subprocess._USE_VFORK = False; subprocess.run({command}, close_fds=True)",
}


@pytest.mark.parametrize("closer", CLOSERS)
def test_who_closes_what_it_does_not_know_before_an_exec_spares_it(pair: Pair, guests: Guests, closer: str) -> None:
    """In namespaces where a file would have to be handed over, which is a question each time."""
    inside = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"]
    if pair.launcher.native(*inside, "true").returncode:
        pytest.skip("this machine lets us make no user namespaces")
    start = "import os, resource, subprocess, sys; hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; "
    script = start + CLOSERS[closer].format(command="sys.argv[1:]")
    cost = warm(pair, PYTHON, "-c", script, *inside, str(guests.path("reads_again")), "keep", "{rounds}", *FILES)
    assert cost["upcalls"] == 0, cost


def test_a_shell_with_redirections_of_its_own_does_not_meet_it(pair: Pair) -> None:
    script = (
        "exec 9<{top}/file 200<{top}/dir/1; cat <&9 | wc -c; cat <&200 | wc -l; exec 9<&- 200<&-; "
        "ls /proc/$$/fd; echo /dev/fd/*; (ulimit -n 2000; ls /proc/self/fd); "
        "diff <(cat {top}/file) {top}/file && echo same; "
        "exec {new}<{top}/file; echo $new; cat <&$new | md5sum"
    )
    native, found = differing(pair, "bash", "-c", script)
    assert "same" in native
    assert found == []


#: Nothing is free but so many; what needs none natively needs none here.
FULL = """
import errno, os, resource, sys
top, left = sys.argv[1], int(sys.argv[2])
def tell(what, call, *words):
    try:
        print(what, call(*words), flush=True)
    except OSError as error:
        print(what, errno.errorcode[error.errno], flush=True)
def run(program):
    child = os.fork()
    if not child:
        tell(program, os.execv, program, [program])
        os._exit(9)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
os.chdir(f"{top}/dir")
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
except OSError:
    for fd in held[len(held) - left:]:
        os.close(fd)
for place in (top, "dir", "..", f"{top}/missing", f"{top}/file", f"{top}/dir"):
    tell(place, os.chdir, place)
    tell("now in", os.getcwd)
    tell("file", lambda: os.stat("../file").st_size)
for _ in range(2):
    for program in ("static", "dynamic"):
        run(f"{top}/{program}")
        run(f"../{program}")
"""


@pytest.mark.parametrize("left", ["0", "1"])
def test_who_has_no_descriptor_left_goes_elsewhere_and_executes(pair: Pair, left: str) -> None:
    native, found = differing(pair, PYTHON, "-c", FULL, "{top}", left)
    assert native.count("number 42") == 8
    assert found == []
