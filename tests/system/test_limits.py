"""Limits of who starts a launch: the command keeps them exactly, the helper is not ended by them without a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hepwrap.errors import LaunchError
from hepwrap.interpose import limits, server
from tests.helpers.faulty_repository import TOP, faulty_repository
from tests.helpers.launches import PYTHON, Launches, one_sentence
from tests.helpers.repositories import ServedRepository
from tests.helpers.truth import listing
from tests.helpers.unprivileged import Unprivileged

#: 128 KiB in several parts.
FILE = "data/exact_128k.bin"
SOFT = {"fsize": 65536, "cpu": 3, "as": 1 << 30, "data": 256 << 20, "stack": 512 << 10, "nofile": 100}
NAMES = {
    "fsize": "Max file size",
    "cpu": "Max cpu time",
    "as": "Max address space",
    "data": "Max data size",
    "stack": "Max stack size",
    "nofile": "Max open files",
}


@pytest.fixture
def launches(unprivileged: Unprivileged) -> Iterator[Launches]:
    """As an ordinary user, who cannot raise a hard limit."""
    with faulty_repository(unprivileged) as repository:
        yield repository.launches


def limits_of(text: str) -> dict[str, tuple[str, str]]:
    """/proc/PID/limits: soft and hard by name."""
    rows = [(line[:26].strip(), line[26:].split()) for line in text.splitlines()[1:]]
    return {name: (words[0], words[1]) for name, words in rows}


@pytest.mark.parametrize("name", SOFT)
def test_a_soft_limit_is_the_commands_alone(launches: Launches, name: str) -> None:
    limited = launches.inside("prlimit", f"--{name}={SOFT[name]}:")
    with limited.start("sh", "-c", f"cat /proc/self/limits; sha256sum {TOP}/{FILE}; read line") as job:
        lines = [job.line() for _ in range(17)]
        assert job.line().split()[0] in {row.sha256 for row in listing() if row.path.endswith(FILE.encode())}
        helper = limits_of(Path(f"/proc/{job.helper()}/limits").read_text())
        native = limits_of(launches.native("prlimit", f"--{name}={SOFT[name]}:", "cat", "/proc/self/limits").stdout)
        shown = limits_of("\n".join(lines))
        if name == "as":  # by what the index takes, which is not the program's
            del native[NAMES[name]], shown[NAMES[name]]
        assert shown == native
        assert helper[NAMES[name]][0] == helper[NAMES[name]][1]
        job.say("end")
        assert job.wait() == 0


def test_a_file_that_the_command_writes_is_limited_as_natively(launches: Launches) -> None:
    command = ("sh", "-c", f"cat {TOP}/{FILE} >copy; echo $?; stat -c %s copy")
    assert launches.inside("prlimit", "--fsize=65536:").run(*command).stdout == f"{128 + signal.SIGXFSZ}\n65536\n"


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("fsize=10485760", "ulimit -f leaves 10 MiB for a file; hepwrap's helper needs 64: raise it"),
        ("cpu=4", "ulimit -t leaves 4 seconds of processor time; hepwrap's helper needs 5: raise it"),
        ("as=1073741824", "ulimit -v leaves 1024 MiB of address space; hepwrap's helper needs 2048: raise it"),
    ],
)
def test_a_hard_limit_that_would_end_the_helper_is_one_sentence(launches: Launches, limit: str, told: str) -> None:
    done = launches.inside("prlimit", f"--{limit}").run("echo", "started")
    assert (done.returncode, done.stdout, one_sentence(done.stderr)) == (125, "", told)


def test_an_index_that_may_not_grow_as_it_likes_has_a_smaller_window() -> None:
    program = (
        "import resource; from hepwrap.interpose import limits\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 20, 100 << 20))\n"
        "limits.RAISED = ()\n"
        "limits.refuse_less = lambda *_: None\n"
        "print(limits.prepare() >> 20)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "99\n"


def test_the_end_of_processor_time_is_announced() -> None:
    """SIGKILL comes at the hard limit; the sentence has been said before, once."""
    program = (
        "import resource; from hepwrap.interpose import limits\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (4, 4))\n"
        "limits.announce_the_end(lambda line: print(line, flush=True))\n"
        "while True: pass"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == (
        "the helper has used 3 of the 4 seconds of processor time that ulimit -t leaves to each process; "
        "when they are used up the whole job ends: raise it\n"
    )


def test_the_announcement_reaches_the_user(launches: Launches) -> None:
    """A job that asks without end, for what is never remembered, uses up the helper's time and not its own."""
    program = f"import os\ntry:\n    while True: os.getxattr('{TOP}/README', 'user.fqrn')\nexcept OSError: pass"
    done = launches.inside("prlimit", "--cpu=5").run(PYTHON, "-c", program)
    assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    assert one_sentence(done.stderr).startswith("the helper has used 4 of the 5 seconds of processor time")


def test_a_helper_without_threads_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    made = object.__new__(server.Server)
    monkeypatch.setattr(server.Server, "_write_header", lambda self: None)
    monkeypatch.setattr(server._core, "Tracer", lambda *_: None)
    monkeypatch.setattr(server.threading.Thread, "start", refuse)

    class Anything:
        def __getattr__(self, name: str) -> object:
            return self

        def __call__(self, *_: object) -> int:
            return 0

    made.ground = made._herald = made._complain = Anything()  # type: ignore[assignment]
    made._at_exit = made._log = lambda *_: None  # type: ignore[method-assign, assignment]
    made._patching, made._workers = True, 0
    monkeypatch.setattr(server.Server, "index_fd", 0)
    with pytest.raises(LaunchError, match="no thread is left to hepwrap's helper; raise ulimit -u"):
        made.serve(1, 0, lambda: None)


def test_what_is_needed_is_said_in_its_unit() -> None:
    with pytest.raises(LaunchError, match="leaves 3 things; hepwrap's helper needs 7"):
        limits.refuse_less(3, 7, "leaves {} things", 1)
    limits.refuse_less(limits.UNLIMITED, 7, "leaves {} things", 1)


FILL = f"""
import errno, fcntl, os, resource
def used():
    return sum(fcntl.fcntl(fd, fcntl.F_GETFD) >= 0 for fd in range(64) if is_open(fd))
def is_open(fd):
    try:
        return fcntl.fcntl(fd, fcntl.F_GETFD) + 1
    except OSError:
        return 0
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
def fill():
    try:
        while True: held.append(os.open("{TOP}/README", os.O_RDONLY))
    except OSError as error:
        return errno.errorcode[error.errno]
print(fill(), used() >= 62)
before = used()
print({{fill() for _ in range(50)}}, used() == before)
for fd in held[-3:]:
    os.close(fd)
print(os.read(os.open("{TOP}/README", os.O_RDONLY), 9), used() == before - 2)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make pid namespaces")
def test_a_full_table_is_emfile_also_where_descriptors_are_handed_over(
    unprivileged: Unprivileged, test_repository: ServedRepository, tmp_path: Path
) -> None:
    """In another pid namespace; there it takes two descriptors more for a moment, and leaves none behind."""
    launches = Launches.as_myself(unprivileged, test_repository.flags, tmp_path)
    done = launches.run("unshare", "--pid", "--fork", "--mount-proc", PYTHON, "-c", FILL)
    assert (done.stdout, done.stderr) == ("EMFILE True\n{'EMFILE'} True\nb'synthetic' True\n", "")
