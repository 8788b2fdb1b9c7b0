"""Debuggers inside of a job: who attaches is lent the task, and it is taken back; what cannot be gets one sentence.

By an ordinary user and by root, with patched call sites and without.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import needs
from tests.helpers.guests import Guests
from tests.helpers.launches import Launches, one_sentence
from tests.helpers.publishing import Published, published_once
from tests.helpers.unprivileged import Unprivileged

NAME = "debugged.hep.example"
TOP = f"/cvmfs/{NAME}"
ROUNDS = 25
#: Waits until the file `go` is there, then reads what is virtual, with a new program each time.
WAITS = f'(while ! [ -e "$0/go" ]; do sleep 0.05; done; cat {TOP}/file; ls {TOP}/bin) & waiting=$!;'
#: What it says then.
GOES_ON = "content\ncrashes\n"
#: What the guest `number_again` says where nobody touches who has got the number.
NUMBER_TAKEN = "has the number: 0\n{}\nthe command ended with 0, who has the number is there\n"


@pytest.fixture(scope="module")
def published(tester: Launches, guests: Guests) -> Iterator[Published]:
    def build(tree: Path) -> None:
        (tree / "bin").mkdir(parents=True)
        (tree / "file").write_text("content\n")
        shutil.copy2(guests.path("crashes"), tree / "bin/crashes")

    with published_once(tester, NAME, build) as published:
        yield published


@pytest.fixture(params=["user", "root"])
def here(
    request: pytest.FixtureRequest, unprivileged: Unprivileged, published: Published, patching: list[str]
) -> Launches:
    options = [*published.flags, *patching]
    if request.param == "user":
        return Launches.of(unprivileged, options)
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return Launches.as_myself(unprivileged, options)


@pytest.fixture
def gdb() -> str:
    return needs.program("gdb", "gdb")


@pytest.fixture
def strace() -> str:
    return needs.program("strace", "strace")


def attached(here: Launches, guests: Guests, *words: str) -> list[str]:
    return [str(guests.path("attached")), *words, str(ROUNDS)]


def own_numbers(here: Launches) -> tuple[str, ...]:
    """What makes a pid namespace of its own."""
    words = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
    if here.native(*words, "true").returncode != 0:
        needs.lacking("unshare may not make namespaces here")
    return words


def test_threads_at_work_are_attached_to_and_let_go_and_see_nothing_wrong(
    here: Launches, guests: Guests, published: Published
) -> None:
    """Between two tracers a task has none: no call of its may be made then."""
    tree = published.tree
    native = here.native(*attached(here, guests, f"{tree}/file", f"{tree}/missing"))
    done = here.run(*attached(here, guests, f"{TOP}/file", f"{TOP}/missing"))
    assert native.stdout == "failed 0, wrong 0, signals 1, status 0\n"
    assert (done.stdout, done.stderr, done.returncode) == (native.stdout, "", 0)


def test_a_crash_handler_gets_a_back_trace_of_its_own_process(here: Launches, gdb: str) -> None:
    done = here.run(f"{TOP}/bin/crashes", f"{TOP}/file", f"{TOP}/missing")
    assert (done.returncode, done.stderr.count("hepwrap")) == (3, 0), done.stderr
    assert re.search(r"crashes_here \(nowhere=.*\n.* main \(", done.stdout), done.stdout
    assert re.search(r"Thread 2(.|\n)*waits_in_a_thread", done.stdout), done.stdout
    assert re.search(rf"process \d+ .* {TOP}/bin/crashes", done.stdout), done.stdout
    assert done.stdout.endswith("gdb ended with 0\nthere: 0\nnot there: -1 ENOENT\n")


def test_a_process_that_was_looked_at_goes_on_with_everything(here: Launches, gdb: str) -> None:
    """gdb attaches, shows where it is, and detaches: calls that were not made before do well then."""
    script = f'{WAITS} {gdb} -nx -q -batch -p $waiting -ex bt > "$0/trace" 2>&1; touch "$0/go"; wait'
    done = here.run("sh", "-c", script, here.home)
    assert (done.stdout, done.stderr) == (GOES_ON, "")
    trace = (here.home / "trace").read_text()
    assert "#0 " in trace
    assert "detached" in trace


def test_a_borrower_that_is_killed_gives_back(here: Launches, gdb: str) -> None:
    script = f"""
        mkfifo "$0/pipe"; exec 3<> "$0/pipe"
        (read line; cat {TOP}/file; ls {TOP}/bin) <&3 & waiting=$!
        {gdb} -nx -q -batch -p $waiting -ex 'shell kill -9 $PPID' > /dev/null 2>&1
        grep -c 'TracerPid:.[1-9]' /proc/$waiting/status; echo >&3; wait"""
    done = here.run("sh", "-c", script, here.home)
    assert (done.stdout, done.stderr.replace("Killed\n", "")) == (f"1\n{GOES_ON}", "")


def test_who_runs_while_it_is_traced_is_spoken_of_once(here: Launches, strace: str) -> None:
    """strace -p lets it run; nothing that it has asked before goes wrong, and it is taken back."""
    script = f"""
        (while ! [ -e "$0/go" ]; do :; done; cat {TOP}/file; ls {TOP}/bin) & waiting=$!
        timeout -s INT 3 {strace} -o "$0/calls" -p $waiting; touch "$0/go"; wait"""
    done = here.run("sh", "-c", script, here.home)
    assert done.stdout == GOES_ON
    ours = [line for line in done.stderr.splitlines() if line.startswith("hepwrap: ")]
    assert "lets process" in "".join(ours)
    assert len(ours) == 1
    assert "detached" in done.stderr


def test_to_be_traced_from_the_start_is_refused_in_one_sentence(here: Launches, gdb: str) -> None:
    done = here.run(gdb, "-nx", "-q", "-batch", "-ex", "run", "-ex", "run", "--args", "/bin/cat", f"{TOP}/file")
    ours = [line for line in done.stderr.splitlines() if line.startswith("hepwrap: ")]
    assert len(ours) == 1, done.stderr
    assert "attach to a running process instead" in ours[0]
    assert "content" not in done.stdout


def test_strace_of_a_command_ends_and_says_why(here: Launches, strace: str) -> None:
    done = here.run(strace, "-f", "-o", here.home / "calls", "cat", f"{TOP}/file")
    assert done.returncode != 0
    assert done.stdout == ""
    assert one_sentence(done.stderr.splitlines()[0]).startswith("process ")


@pytest.mark.parametrize("tool", ["memcheck", "callgrind"])
def test_valgrind_just_works(here: Launches, tool: str) -> None:
    """It is no tracer: it executes the program's instructions itself."""
    valgrind = needs.program("valgrind", "valgrind")
    options = ["-q", "--error-exitcode=9", f"--tool={tool}"]
    options += [] if tool == "memcheck" else [f"--callgrind-out-file={here.home}/calls"]
    done = here.run(valgrind, *options, "cat", f"{TOP}/file")
    assert (done.stdout, done.returncode) == ("content\n", 0), done.stderr
    if tool == "callgrind":
        assert "cat" in (here.home / "calls").read_text()


def test_attaching_from_another_pid_namespace_is_refused_in_one_sentence(here: Launches, gdb: str) -> None:
    script = f"sleep 30 & {gdb} -nx -q -batch -p $! -ex bt; kill $!"
    done = here.run(*own_numbers(here), "sh", "-c", script)
    ours = [line for line in done.stderr.splitlines() if line.startswith("hepwrap: ")]
    assert len(ours) == 1, done.stderr
    assert "is in a pid namespace of its own" in ours[0]


@pytest.mark.parametrize("victim", ["borrower", "lent"])
def test_who_is_killed_while_it_attaches_or_is_attached_to_ends(here: Launches, guests: Guests, victim: str) -> None:
    """Who leads a process cannot be waited for before its other threads are (delay_group_leader() of the kernel)."""
    done = here.run(guests.path("killed_meanwhile"), victim, "100")
    assert (done.stdout, done.stderr, done.returncode) == ("ended 200\n", "", 0)


def test_a_stranger_with_the_number_of_what_was_lent_is_left_alone(here: Launches, guests: Guests) -> None:
    """The debugger has waited for its end, which we are not told; natively, too, nobody touches who gets the number."""
    guest = str(guests.path("number_again"))
    before = own_numbers(here)
    script = f"{guest} borrow; cat "
    native = here.native(*before, guest, "take", "sh", "-c", script + "/proc/sys/kernel/ostype")
    done = here.native(*before, guest, "take", *here.typed_words("sh", "-c", f"{script} {TOP}/file"))
    assert native.stdout == NUMBER_TAKEN.format("Linux"), native.stderr
    assert (done.stdout, done.stderr) == (NUMBER_TAKEN.format("content"), "")


def test_a_task_of_the_job_with_such_a_number_is_known_like_any_other(here: Launches, guests: Guests) -> None:
    """Where nobody knows whose memory a task shares no site is patched any more, in the whole job."""
    guest = str(guests.path("number_again"))
    script = f"{guest} borrow; cat {TOP}/file; for i in 1 2 3 4 5 6; do stat {TOP}/file > stat; done"
    account = here.home / "account"
    launches = here.having(f"--stats={account}")
    done = here.native(*own_numbers(here), *launches.typed_words(guest, "take", "sh", "-c", script))
    assert (done.stdout, done.stderr) == (NUMBER_TAKEN.format("content"), "")
    counters = json.loads(account.read_text())["tracer"]
    assert counters["known"] > 12 or "--no-patch" in here.options, counters
