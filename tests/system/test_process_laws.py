"""The command is the process that was started: number, end, signals, terminal, streams, children, as without us."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.faulty_repository import ENGINES, TOP, engine_options
from tests.helpers.guests import Guests
from tests.helpers.jobs import status_of, until
from tests.helpers.launches import PYTHON, Launches
from tests.helpers.repositories import ServedRepository
from tests.helpers.terminal import Terminal
from tests.helpers.unprivileged import Unprivileged

README = f"{TOP}/README"
CONTENT = "synthetic test repository\n"


@pytest.fixture
def launches(unprivileged: Unprivileged, test_repository: ServedRepository) -> Launches:
    """As the ordinary user, over HTTP."""
    return Launches.of(unprivileged, readable(test_repository, unprivileged))


@pytest.fixture(params=ENGINES)
def both(request: pytest.FixtureRequest, launches: Launches) -> Launches:
    """The same with both engines."""
    return launches.having(*engine_options(request.param))


def readable(served: ServedRepository, user: Unprivileged) -> list[str]:
    """The options, with a key that the ordinary user can read."""
    return [*served.flags[:2], "--key", str(user.give(served.key)), *served.flags[4:]]


# The number and the end.


def test_the_command_has_the_pid_of_hepwrap(both: Launches) -> None:
    with both.start("sh", "-c", "echo $$") as job:
        assert int(job.line()) == job.pid
        assert job.wait() == 0


def test_the_parent_is_the_one_who_started_hepwrap(both: Launches) -> None:
    assert both.run("sh", "-c", "echo $PPID").stdout == f"{os.getpid()}\n"


@pytest.mark.parametrize("code", [0, 1, 2, 3, 124, 125, 126, 127, 128, 130, 137, 200, 254, 255])
def test_the_exit_code_is_the_commands(launches: Launches, code: int) -> None:
    done = launches.run("sh", "-c", f"exit {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_all_exit_codes_of_children_reach_their_parent(both: Launches) -> None:
    program = (
        "import subprocess\n"
        "for n in range(256): assert subprocess.run(['/bin/sh', '-c', f'exit {n}']).returncode == n, n\n"
        "print('all')"
    )
    done = both.run(PYTHON, "-c", program)
    assert done.stdout == "all\n", done.stderr


SIGNALS = ("HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "PIPE", "ALRM", "TERM")


@pytest.mark.parametrize("name", SIGNALS)
def test_death_by_a_signal_is_seen_by_the_parent(launches: Launches, name: str) -> None:
    done = launches.run("sh", "-c", f"ulimit -c 0; kill -{name} $$; echo survived")
    assert done.returncode == -signal.Signals[f"SIG{name}"]
    assert (done.stdout, done.stderr) == ("", "")


def test_all_deaths_of_children_reach_their_parent(both: Launches) -> None:
    program = (
        "import signal, subprocess, resource\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "left = {17, 18, 19, 20, 21, 22, 23, 28, 32, 33}\n"  # ignored by default, stopping, or the C library's
        "for n in set(range(1, 65)) - left:\n"
        "    done = subprocess.run(['/bin/sh', '-c', f'kill -{n} $$'])\n"
        "    assert done.returncode == -n, (n, done.returncode)\n"
        "print('all')"
    )
    done = both.run(PYTHON, "-c", program)
    assert done.stdout == "all\n", done.stderr


def test_sigterm_to_the_pid_reaches_the_command(both: Launches) -> None:
    with both.start(
        "sh", "-c", "trap 'echo caught; exit 7' TERM; echo ready; while :; do read x || exit 8; done"
    ) as job:
        assert job.line() == "ready"
        job.send(signal.SIGTERM)
        assert job.line() == "caught"
        assert job.wait() == 7


def test_a_memory_fault_of_the_program_is_its_own(both: Launches, guests: Guests) -> None:
    program = "import ctypes, resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nctypes.string_at(8)"
    assert both.run(PYTHON, "-c", program).returncode == -signal.SIGSEGV


# What is inherited.


def test_what_a_command_inherits_is_what_it_inherits_natively(both: Launches, guests: Guests, tmp_path: Path) -> None:
    """Dispositions and masks, limits, descriptors and their flags, ids, nice value, umask, directory, session."""
    guest = guests.path("inherited")
    kept = os.open(tmp_path, os.O_RDONLY)
    reader, writer = os.pipe()

    def prepare() -> None:
        os.umask(0o037)
        os.nice(3)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH, signal.SIGRTMIN, signal.SIGCHLD])
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 1000))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 4096))
        resource.setrlimit(resource.RLIMIT_STACK, (4 << 20, 64 << 20))

    def text(words: list[str]) -> str:
        done = subprocess.run(
            words,
            env={**both.environment, "PARENT": str(os.getpid())},
            cwd=both.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(kept, writer),
            preexec_fn=prepare,
            timeout=60,
            text=True,
            check=True,
        )
        return "".join(line for line in done.stdout.splitlines(keepends=True) if not line.startswith("descriptor 1:"))

    try:
        native, wrapped = text(both.native_words(guest)), text(both.words(guest))
    finally:
        for fd in (kept, reader, writer):
            os.close(fd)
    assert "signal 1: ignored" in native
    assert f"umask 37, nice {min(19, os.nice(0) + 3)}" in native
    assert "parent is the same" in native
    assert wrapped == native


@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGXFSZ])
def test_the_default_of_a_signal_that_python_ignores_is_the_commands(both: Launches, number: signal.Signals) -> None:
    """Python ignores these two for itself; a command that found them ignored would not end with its reader."""
    done = both.run("grep", "SigIgn", "/proc/self/status")
    assert not int(done.stdout.split()[1], 16) >> (number - 1) & 1
    assert both.run("sh", "-c", f"kill -{number.value} $$").returncode == -number


@pytest.mark.parametrize("name", ["PIPE", "XFSZ"])
def test_a_command_is_told_by_env_to_ignore_what_python_ignores(both: Launches, name: str) -> None:
    """The way that docs/processes.md names."""
    done = both.run("env", f"--ignore-signal={name}", "sh", "-c", f"kill -{name} $$; echo alive")
    assert done.stdout == "alive\n"


@pytest.mark.xfail(
    strict=True,
    reason="Python ignores SIGPIPE and SIGXFSZ at its start and does not tell what they were: the default is restored",
)
@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGXFSZ])
def test_a_sigpipe_ignored_by_the_caller_stays_ignored(launches: Launches, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    words = launches.inside("env", f"--ignore-signal={name}")
    assert words.run("sh", "-c", f"kill -{name} $$; echo alive").stdout == "alive\n"


def test_the_environment_of_the_command_is_the_callers(both: Launches) -> None:
    env = {"A": "1", "B": "two\nlines", "C": "", "LD_BIND_NOW": "1"}
    native = subprocess.run(
        both.native_words("env", "-0"), env={**both.environment, **env}, capture_output=True, text=True, check=True
    )
    assert both.run("env", "-0", env=env).stdout == native.stdout


def test_the_command_sees_no_seccomp_or_tracing_trouble_in_its_arguments(both: Launches) -> None:
    words = ["", "-n", "a b", "*", "\xe4", "--", "x\ny"]
    program = "import sys; print(sys.argv[1:])"
    assert both.run(PYTHON, "-c", program, *words).stdout == f"{words}\n"


# Streams.


def test_the_reader_of_stdout_gets_its_end_when_the_command_closes_it(both: Launches) -> None:
    """Nobody behind the command holds the pipe."""
    with both.start("sh", "-c", f"cat {README}; exec 1>&-; read line; exit 3") as job:
        assert job.rest() == CONTENT  # up to the end of the stream, while the command lives
        assert job.process.poll() is None
        job.say("end")
        assert job.wait() == 3


def test_the_reader_of_stderr_gets_its_end_when_the_command_closes_it(both: Launches) -> None:
    with both.start("sh", "-c", f"cat {README} >&2; exec 2>&-; read line; exit 3") as job:
        assert job.errors() == CONTENT
        assert job.process.poll() is None
        job.say("end")
        assert job.wait() == 3


def test_the_writer_to_stdin_gets_sigpipe_when_the_command_closes_it(both: Launches) -> None:
    with both.start("sh", "-c", "exec 0<&-; echo closed; exec sleep 60") as job:
        assert job.line() == "closed"
        with pytest.raises(BrokenPipeError):
            job.say("nobody reads this")


def test_a_background_child_keeps_the_stream_open_and_its_end_closes_it(both: Launches) -> None:
    """The first process has ended; the pipe ends with the child that kept it, not before and not later."""
    go, start = os.pipe()
    with both.start("bash", "-c", f"(read line <&{go}; cat {README}) & exit 5", pass_fds=(go,)) as job:
        os.close(go)
        assert job.wait() == 5
        assert job.is_silent()
        os.write(start, b"go\n")
        os.close(start)
        assert job.rest() == CONTENT
        job.wait_for_the_end_of_all()


def test_a_daemon_is_served_after_the_first_process_has_ended(both: Launches) -> None:
    """In a session of its own, with a file that nobody had opened before."""
    go, start = os.pipe()
    script = f"setsid bash -c 'read line <&{go}; cat {TOP}/raw/plain.txt | wc -c; ls {TOP}/sw' >out 2>&1 & exit 0"
    with both.start("sh", "-c", script, pass_fds=(go,)) as job:
        os.close(go)
        assert job.wait() == 0
        assert job.rest() == ""
        os.write(start, b"go\n")
        os.close(start)
        job.wait_for_the_end_of_all()
    assert (both.home / "out").read_text().split()[0] == "5400"


def test_a_jobserver_pipe_is_not_held_by_the_helper(both: Launches) -> None:
    """Descriptors that a command inherits and closes are gone: make counts on that."""
    reader, writer = os.pipe()
    with both.start("bash", "-c", f"exec {writer}>&-; echo closed; read line", pass_fds=(writer,)) as job:
        os.close(writer)
        assert job.line() == "closed"
        assert os.read(reader, 1) == b""
        job.say("end")
        assert job.wait() == 0
    os.close(reader)


def test_a_file_lock_of_the_command_ends_with_it(both: Launches) -> None:
    lock = both.home / "lock"
    script = f"exec 9>{lock}; flock -n 9; exec 9>&-; flock -n {lock} echo free; read line"
    with both.start("sh", "-c", script) as job:
        assert job.line() == "free"
        job.say("end")
        assert job.wait() == 0


# Children.


def test_wait_in_the_command_sees_no_child_that_it_did_not_make(both: Launches) -> None:
    program = (
        "import os\n"
        "try:\n    print(os.waitpid(-1, os.WNOHANG))\n"
        "except ChildProcessError:\n    print('no child')\n"
        "print(open(f'/proc/self/task/{os.getpid()}/children').read())"
    )
    assert both.run(PYTHON, "-c", program).stdout == "no child\n\n"


def test_ps_shows_the_commands_own_children_only(both: Launches) -> None:
    executed = "until read -r name < /proc/$!/comm && [ $name = sleep ]; do :; done"
    done = both.run("bash", "-c", f"sleep 60 & {executed}; ps -o comm= --ppid $$; kill $!")
    assert sorted(done.stdout.split()) == ["ps", "sleep"]


def test_wait_returns_the_child_that_was_started(both: Launches) -> None:
    done = both.run(
        "sh", "-c", "(exit 3) & one=$!; (exit 4) & two=$!; wait $one; echo $?; wait $two; echo $?; wait; echo $?"
    )
    assert done.stdout.split() == ["3", "4", "0"]


def test_orphans_of_the_command_go_where_orphans_go(both: Launches) -> None:
    """An orphan's parent is the nearest reaper, as natively, never hepwrap."""
    program = (
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    middle = os.getpid()\n"
        "    if os.fork() == 0:\n"
        "        while os.getppid() == middle: time.sleep(0.01)\n"
        "        print(open(f'/proc/{os.getppid()}/comm').read().strip(), flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "sys.stdin.read(1)\n"
    )
    seen = []
    for words in (both.native_words(PYTHON, "-c", program), both.words(PYTHON, "-c", program)):
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=both.environment
        ) as p:
            assert p.stdout is not None
            seen.append(p.stdout.readline())
            p.communicate("x", timeout=20)
    assert seen[1] == seen[0]


def test_the_helper_is_in_a_session_of_its_own_and_holds_no_terminal(launches: Launches) -> None:
    with launches.start("sh", "-c", "echo ready; read line") as job:
        assert job.line() == "ready"
        helper = job.helper()
        assert os.getsid(helper) != os.getsid(job.pid)
        assert os.getpgid(helper) != os.getpgid(job.pid)
        assert Path(f"/proc/{helper}/stat").read_text().rpartition(")")[2].split()[4] == "0"  # tty_nr
        assert os.readlink(f"/proc/{helper}/cwd") == "/"
        assert int(status_of(helper)["PPid"]) != job.pid
        job.say("end")
        assert job.wait() == 0


# The terminal.


OpenTerminal = Callable[[list[str]], Terminal]


@pytest.fixture
def terminal_for(launches: Launches) -> Iterator[OpenTerminal]:
    """Starts words on a terminal of their own."""
    opened: list[Terminal] = []

    def start(words: list[str]) -> Terminal:
        opened.append(Terminal(words, launches.environment, launches.home))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


@pytest.fixture
def shell(launches: Launches, terminal_for: OpenTerminal) -> Terminal:
    """An interactive shell, not under hepwrap, at its prompt."""
    shell = terminal_for(launches.native_words("bash", "--norc", "--noprofile", "--noediting", "-i"))
    shell.type("PS1='prompt''> '\n")
    shell.expect("prompt> ")
    return shell


def test_ctrl_c_on_the_terminal_ends_the_command(both: Launches, terminal_for: OpenTerminal) -> None:
    terminal = terminal_for(both.words("sh", "-c", f"cat {README}; exec cat"))
    terminal.expect(CONTENT.strip())
    terminal.type("\x03")
    assert os.WTERMSIG(terminal.wait()) == signal.SIGINT


def test_ctrl_c_reaches_the_whole_foreground_group_and_not_the_helper(
    both: Launches, terminal_for: OpenTerminal
) -> None:
    terminal = terminal_for(
        both.words("sh", "-c", f"trap 'cat {TOP}/sw/v1/bin/run.sh; exit 9' INT; sh -c 'echo rea''dy; exec cat'; :")
    )
    terminal.expect("ready")
    terminal.type("\x03")
    terminal.expect("#!/bin/sh")  # still served, after the interrupt
    assert os.WEXITSTATUS(terminal.wait()) == 9


def test_ctrl_backslash_is_sigquit(both: Launches, terminal_for: OpenTerminal) -> None:
    terminal = terminal_for(both.words("sh", "-c", "ulimit -c 0; echo rea''dy; exec cat"))
    terminal.expect("ready")
    terminal.type("\x1c")
    assert os.WTERMSIG(terminal.wait()) == signal.SIGQUIT


def test_hanging_up_the_terminal_ends_the_command(both: Launches, terminal_for: OpenTerminal) -> None:
    terminal = terminal_for(both.words("sh", "-c", "echo rea''dy; exec cat"))
    terminal.expect("ready")
    terminal.hang_up()
    assert os.WTERMSIG(terminal.wait()) == signal.SIGHUP


def test_the_command_has_the_terminal(both: Launches, terminal_for: OpenTerminal) -> None:
    terminal = terminal_for(
        both.words(
            "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && tty && true </dev/tty && stty size && echo do''ne"
        )
    )
    terminal.expect("/dev/pts/")
    terminal.expect("done")
    assert os.WEXITSTATUS(terminal.wait()) == 0


def test_ctrl_z_and_fg_in_an_interactive_shell(both: Launches, shell: Terminal) -> None:
    """The shell sees its job stop, continue, and be interrupted."""
    shell.type(both.typed("sh", "-c", f"cat {README}; exec cat") + "\n")
    shell.expect(CONTENT.strip())
    shell.type("\x1a")
    shell.expect("Stopped")
    shell.expect("prompt> ")
    shell.type("echo between $((40+2))\n")
    shell.expect("between 42")
    shell.type("fg\n")
    shell.expect("exec cat'\r\n")  # the shell says what it brings back
    shell.type("after the stop\n")
    shell.expect("after the stop\r\nafter the stop")  # the echo of the terminal, and cat's
    shell.type("\x03")
    shell.expect("prompt> ")
    shell.type("echo code $?\n")
    shell.expect("code 130")


def test_a_background_job_that_reads_the_terminal_is_stopped_and_comes_back(both: Launches, shell: Terminal) -> None:
    shell.type(both.typed("cat") + " &\n")
    shell.expect("prompt> ")

    def stopped() -> bool:
        before = len(shell.seen)
        shell.type("jobs\n")
        shell.expect("prompt> ")
        return "Stopped" in shell.seen[before:]

    until(stopped, "the background job is stopped by SIGTTIN")
    shell.type("fg\n")
    shell.expect("-- cat\r\n")
    shell.type("hello\n")
    shell.expect("hello\r\nhello")
    shell.type("\x04")
    shell.expect("prompt> ")
    shell.type("echo code $?\n")
    shell.expect("code 0")
