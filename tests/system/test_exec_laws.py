"""What happens at an exec is what happens natively, at whatever moment, and costs a known number of stops."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import tiny_elf
from tests.helpers.faulty_repository import ENGINES, TOP, FaultyRepository, parametrised
from tests.helpers.guests import Guests
from tests.helpers.launches import PYTHON, Launches, one_sentence
from tests.helpers.needs import on_a_host_without_prefix
from tests.helpers.programs import Pair
from tests.helpers.unprivileged import Unprivileged

KERNEL = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))


@pytest.fixture(params=ENGINES)
def served(request: pytest.FixtureRequest, unprivileged: Unprivileged) -> Iterator[FaultyRepository]:
    yield from parametrised(unprivileged, request.param)


@pytest.fixture
def launches(served: FaultyRepository) -> Launches:
    """As an ordinary user."""
    return served.launches


def stops_of(launches: Launches, *command: str | Path) -> dict[str, int]:
    """The tracer's account of a run that went well, and the stops in which no call was caught and nothing asked."""
    report = launches.home / "stats"
    done = launches.having(f"--stats={report}").run(*command)
    assert done.returncode == 0, done.stderr
    tracer: dict[str, int] = json.loads(report.read_text())["tracer"]
    return {**tracer, "others": tracer["stops"] - tracer["redirects"] - tracer["upcalls"]}


@pytest.mark.parametrize("static", [True, False])
def test_an_exec_is_one_stop(launches: Launches, guests: Guests, static: bool) -> None:
    """Also where call sites of the program are known: they are changed in the same stop."""
    program = guests.path("exec_chain", static=static)
    few, many = (stops_of(launches, program, str(times), "plain") for times in (10, 30))
    assert many["others"] - few["others"] == 20


@on_a_host_without_prefix
@pytest.mark.parametrize("static", [True, False])
def test_a_warm_fork_and_exec_are_four_stops(served: FaultyRepository, guests: Guests, static: bool) -> None:
    """The fork, its child, the exec, and the child's end that is told to its maker; no call of either is caught."""
    program = guests.path("fork_chain", static=static)
    few, many = (stops_of(served.launches, program, str(times)) for times in (10, 30))
    assert many["others"] - few["others"] == 20 * 4
    if "--no-patch" not in served.launches.options:
        assert many["redirects"] == few["redirects"]


@on_a_host_without_prefix
@pytest.mark.parametrize("name", ["bin/told", "bin/told-static", "links/relative", "bin/../links/absolute"])
def test_a_virtual_program_that_is_known_takes_no_more_stops_than_one_of_the_host(
    pair: Pair, guests: Guests, name: str
) -> None:
    """What it is called goes with the call, and is right each time; before Linux 5.14 by a stop of its own."""
    chain, program = str(guests.path("fork_chain")), f"{pair.top}/{name}"
    few, many = (stops_of(pair.launcher, chain, str(times), program) for times in (10, 30))
    assert many["others"] - few["others"] == 20 * (4 if KERNEL >= (5, 14) else 5)
    assert pair.assert_same([chain, "3", f"{{top}}/{name}"]).count(b"AT_EXECFN=TOP/" + name.encode() + b"|\n") == 3


def test_a_thread_is_two_stops(launches: Launches) -> None:
    """Its maker's event and its own first one, in the command's own process too; its end is none."""
    code = "import sys, threading\nfor _ in range(int(sys.argv[1])):\n t = threading.Thread(); t.start(); t.join()"
    few, many = (stops_of(launches, PYTHON, "-c", code, str(times)) for times in (10, 30))
    assert many["tasks"] - few["tasks"] == 20
    assert many["others"] - few["others"] == 20 * 2


@on_a_host_without_prefix
def test_a_search_along_path_is_caught_twice(served: FaultyRepository) -> None:
    """The site at which a program executes is changed when it has done so in vain, however many places are left."""
    env = {
        count: stops_of(served.launches, "sh", "-c", f"PATH={':'.join(['/no/such'] * count)}:$PATH exec env true")
        for count in (4, 14)
    }
    more = 10 * 2 if "--no-patch" in served.launches.options else 0  # of the shell and of env
    assert env[14]["redirects"] - env[4]["redirects"] == more


#: In a user and a mount namespace of its own, which it mounts in.
LEAVES_HOME = "unshare --user --map-root-user --mount sh -c 'mount -t tmpfs none /mnt && \"$@\"' sh"


@on_a_host_without_prefix
def test_only_who_has_left_home_pays_more_for_an_exec(served: FaultyRepository, guests: Guests) -> None:
    """It is handed its runtime, as there names may mean other things; all others find it by name as before."""
    program = guests.path("fork_chain", static=True)
    if served.launches.native("sh", "-c", f"{LEAVES_HOME} true").returncode:
        pytest.skip("this machine lets ordinary users make no user namespaces")
    counted = {}
    for place, script in {"home": f"{LEAVES_HOME} true; %s", "away": f"{LEAVES_HOME} %s"}.items():
        few, many = (stops_of(served.launches, "sh", "-c", script % f"{program} {times}") for times in (10, 30))
        counted[place] = many["others"] - few["others"]
    assert counted["home"] == 20 * 4
    assert counted["away"] >= 20 * 8


@pytest.mark.parametrize("how", ["plain", "trap-ignored", "trap-blocked", "trap-pending", "timers", "all-blocked"])
@pytest.mark.parametrize("static", [True, False])
def test_signals_are_inherited_as_natively(launches: Launches, guests: Guests, how: str, static: bool) -> None:
    command = guests.path("exec_chain", static=static), "10", how
    assert launches.run(*command).stdout == launches.native(*command).stdout != ""


def test_a_full_table_of_descriptors_is_executed_with_and_kept(launches: Launches, guests: Guests) -> None:
    """As long as the hard limit leaves room; the soft one is what it was."""
    command = "bash", "-c", f"ulimit -Sn 64; exec {guests.path('exec_chain', static=True)} 5 table-full"
    done = launches.run(*command)
    assert done.stdout.startswith("64 descriptors\n"), done.stderr
    assert "limit 7: 64 " in done.stdout
    assert done.stdout == launches.native(*command).stdout


def test_a_table_full_up_to_the_hard_limit_is_one_sentence(launches: Launches, guests: Guests) -> None:
    chain = guests.path("exec_chain", static=True)
    done = launches.run("bash", "-c", f"ulimit -n 64; {chain} 5 table-full; echo status $?")
    assert done.stdout == "status 137\n"
    assert re.fullmatch(
        r"process \d+ cannot be served: opening the runtime: Too many open files; "
        r"leave it a descriptor below its ulimit -n",
        done.stderr.splitlines()[-1].removeprefix("hepwrap: "),
    )


def test_less_address_space_than_the_index_takes_is_more_for_the_program(launches: Launches, guests: Guests) -> None:
    """What is taken is added to the soft limit, once."""
    done = launches.run(guests.path("exec_chain"), "5", "space-low")
    assert done.stdout == launches.native(guests.path("exec_chain"), "5", "space-low").stdout != ""
    script = "ulimit -Sv 300000; sh -c 'ulimit -Sv; sh -c \"ulimit -Sv\"'"
    once, twice = map(int, launches.run("bash", "-c", script).stdout.split())
    assert once == twice > 300000


def test_a_hard_limit_of_address_space_below_the_index_makes_the_index_smaller(launches: Launches) -> None:
    """For everybody, who ask more from then on, and get the same answers."""
    look = f"find {TOP} | sort | md5sum"
    done = launches.run("bash", "-c", f"{look}; (ulimit -v 100000; {look}; grep VmSize /proc/self/status); {look}")
    first, limited, size, last = done.stdout.splitlines()
    assert first == limited == last, done.stderr
    assert int(size.split()[1]) < 50_000
    assert done.stderr == ""


def test_a_hard_limit_of_address_space_below_what_is_used_of_the_index_is_one_sentence(launches: Launches) -> None:
    done = launches.run("bash", "-c", "ulimit -v 6000; /bin/true; echo status $?")
    assert done.stdout == "status 137\n"
    assert "cannot be served: mapping the index: Cannot allocate memory; raise its ulimit -v" in done.stderr


@pytest.mark.parametrize("name", tiny_elf.UNUSUAL)
def test_a_program_begins_wherever_it_begins_natively(launches: Launches, name: str) -> None:
    settings, expected = tiny_elf.UNUSUAL[name]
    program = tiny_elf.write(launches.home / "tiny", **settings)  # type: ignore[arg-type]
    assert launches.native(program).returncode == expected
    done = launches.run("sh", "-c", f"{program}; echo $?; {program}; echo $?")
    status = expected if expected >= 0 else 128 - expected
    assert done.stdout == f"{status}\n{status}\n"
    assert "cannot be served" not in done.stderr
    assert launches.run(program).returncode == expected


def test_the_first_instruction_finds_what_it_finds_natively(launches: Launches, guests: Guests) -> None:
    """Registers, flags, text, mask; also once call sites of that program are known."""
    program = guests.path("first_steps")
    done = launches.run("sh", "-c", "for i in 1 2 3 4 5; do $0; done", program)
    assert done.stdout == launches.native(program).stdout * 5 != ""


def test_a_program_that_nobody_may_read_is_one_sentence(launches: Launches, guests: Guests) -> None:
    program = launches.home / "unreadable"
    program.write_bytes(guests.path("exec_chain", static=True).read_bytes())
    program.chmod(0o111)
    done = launches.run("sh", "-c", f"{program} 0 plain; echo $?")
    assert done.stdout == "137\n"
    assert "reading and writing its memory: Permission denied" in one_sentence(done.stderr.splitlines()[-1])


@pytest.mark.parametrize("words", ["kill 300", "stop 300", "many 64"])
def test_an_exec_can_be_interrupted_at_any_moment(launches: Launches, guests: Guests, words: str) -> None:
    done = launches.run(guests.path("exec_storm", static=True), *words.split())
    assert (done.stdout, done.stderr, done.returncode) == ("0 wrong\n", "", 0)


def test_killing_the_whole_job_in_a_storm_of_execs_leaves_nothing(launches: Launches, guests: Guests) -> None:
    storm = f"{guests.path('exec_storm', static=True)} many 8"
    with launches.start("sh", "-c", f"echo begins; while :; do {storm}; done", stderr=subprocess.DEVNULL) as job:
        assert [job.line() for _ in range(3)] == ["begins", "0 wrong", "0 wrong"]
        os.kill(job.helper(), signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
        job.wait_for_the_end_of_all()


@on_a_host_without_prefix
def test_what_the_host_has_is_executed_without_a_question(launches: Launches, guests: Guests) -> None:
    """Programs, scripts, and all the places that PATH names and that have nothing of that name."""
    script = launches.home / "script"
    script.write_text(f"#!{guests.path('exec_chain')} 2\n")
    script.chmod(0o755)
    path = ":".join([*(f"/no/such{i}" for i in range(6)), "/usr/bin", "/bin"])
    report = launches.home / "stats"
    done = launches.having(f"--stats={report}").run("sh", "-c", f"PATH={path}; {script}; env true; env no-such-program")
    assert re.fullmatch("env: .no-such-program.: No such file or directory\n", done.stderr)
    assert json.loads(report.read_text())["questions"] == {}


def test_an_interpreter_that_is_missing_is_missing(launches: Launches) -> None:
    script = launches.home / "script"
    for interpreter in ("/no/such/interpreter", f"{TOP}/no/such/interpreter", "/bin", f"{TOP}/data", f"{TOP}/README/x"):
        script.write_text(f"#!{interpreter}\n")
        script.chmod(0o755)
        code = f"import os\ntry: os.execv('{script}', ['x'])\nexcept OSError as error: print(error.strerror)"
        expected = {
            "/bin": "Permission denied",
            f"{TOP}/data": "Permission denied",
            f"{TOP}/README/x": "Not a directory",
        }
        done = launches.run(PYTHON, "-c", code)
        assert done.stdout == expected.get(interpreter, "No such file or directory") + "\n"


def test_a_failed_plan_leaves_no_name_for_the_next_exec(launches: Launches, guests: Guests) -> None:
    """E2BIG comes from the kernel when all has been planned; the program that is executed instead has its own name."""
    code = (
        "import os, sys\n"
        f"try: os.execv('{TOP}/sw/v1/bin/run.sh', ['x', 'y' * 200000])\n"
        "except OSError as error: print(error.strerror, flush=True)\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    told = guests.path("told_at_exec")
    done = launches.run(PYTHON, "-c", code, told)
    assert done.stdout.splitlines()[0] == "Argument list too long"
    assert f"AT_EXECFN={told}|\ncomm={told.name[:15]}|\n" in done.stdout
