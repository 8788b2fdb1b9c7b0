"""A launch that cannot start says so in one sentence, with the exit code that tells whose failure it is."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from hepwrap.interpose import launch
from tests.helpers.launches import PYTHON, Launches, one_sentence
from tests.helpers.repositories import ServedRepository
from tests.helpers.unprivileged import Unprivileged


def outcome(action: Callable[[], object]) -> tuple[int, str]:
    """Exit code and stderr of a child that does it."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(write, 2)
        try:
            action()
        finally:
            os._exit(99)
    os.close(write)
    with os.fdopen(read) as stream:
        said = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Executed:
    """Launches `command` in a kernel whose execs give these results, one after the other."""

    def run(results: list[int]) -> tuple[int, str]:
        monkeypatch.setattr(launch._core, "execute", lambda *_: results.pop(0))
        return outcome(lambda: launch.execute(["command"], {"PATH": "/one:/two"}))

    return run


Executed = Callable[[list[int]], tuple[int, str]]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOMEM, errno.EACCES])
def test_a_filter_that_the_kernel_refuses_is_ours(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(_base: int) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(launch._core, "enter", refuse)
    code, said = outcome(lambda: launch.enter(0, b""))
    assert code == 125
    assert one_sentence(said).startswith(f"the kernel takes no filter of system calls: {os.strerror(number)}; see")


@pytest.mark.parametrize(
    ("results", "code", "told"),
    [
        ([errno.ENOENT, errno.ENOENT], 127, "No such file or directory"),
        ([errno.ENOENT, errno.EACCES], 126, "Permission denied"),
        ([errno.EACCES, errno.ENOENT], 126, "Permission denied"),
        ([errno.ENOTDIR, errno.ENOENT], 127, "No such file or directory"),
        ([errno.E2BIG], 126, "Argument list too long"),
        ([errno.ENOEXEC, errno.ENOENT, errno.ENOENT], 127, "No such file or directory"),
        ([errno.ENOEXEC, errno.ELIBBAD], 126, os.strerror(errno.ELIBBAD)),
        ([errno.EIO], 126, "Input/output error"),
        ([errno.ETXTBSY], 126, "Text file busy"),
    ],
)
def test_an_exec_that_fails_is_the_commands(executed: Executed, results: list[int], code: int, told: str) -> None:
    assert executed(results) == (code, f"hepwrap: command: {told}\n")


@pytest.mark.parametrize(("number", "help"), [*launch.HELP.items(), (errno.EPERM, launch.DOCTOR)])
def test_a_helper_that_cannot_be_forked_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, number: int, help: str
) -> None:
    def refuse() -> NoReturn:
        raise OSError(number, os.strerror(number))

    def run() -> None:
        monkeypatch.setattr(launch.os, "fork", refuse)
        launch.run(["true"], {}, lambda options: pytest.fail("no helper"))

    assert outcome(run) == (125, f"hepwrap: no helper can be started: {os.strerror(number)}; {help}\n")


def test_a_second_fork_that_fails_is_told_by_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork

    def refuse() -> NoReturn:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def once() -> int:
        monkeypatch.setattr(launch.os, "fork", refuse)
        return fork()

    def run() -> None:
        monkeypatch.setattr(launch.os, "fork", once)
        launch.run(["true"], {}, lambda options: pytest.fail("no helper"))

    assert outcome(run) == (
        125,
        f"hepwrap: no helper can be started: {os.strerror(errno.EAGAIN)}; raise ulimit -u, or end other processes\n",
    )


def test_a_helper_that_dies_is_one_sentence() -> None:
    def die(options: launch.LaunchOptions) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    assert outcome(lambda: launch.run(["true"], {}, die)) == (
        125,
        "hepwrap: the helper ended before the command could start\n",
    )


def test_a_line_that_breaks_is_one_sentence() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.send(b"1 2")
    theirs.close()
    code, said = outcome(lambda: launch.become(["true"], {}, ours))
    assert (code, one_sentence(said)) == (125, "the helper sent no index")


WITHOUT_PROC = {
    "empty": ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"),
    "another file system": ("unshare", "--mount", "sh", "-c", 'mount --bind /etc /proc && exec "$@"', "sh"),
    "of another pid namespace": ("unshare", "--pid", "--fork"),
}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take /proc away")
@pytest.mark.parametrize("proc", WITHOUT_PROC)
def test_without_its_own_proc_a_launch_is_refused_in_one_sentence(
    unprivileged: Unprivileged, test_repository: ServedRepository, tmp_path: Path, proc: str
) -> None:
    if subprocess.run([*WITHOUT_PROC[proc], "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no namespaces")
    launches = Launches.as_myself(unprivileged, test_repository.flags, tmp_path).inside(*WITHOUT_PROC[proc])
    for command in (("echo", "started"), (PYTHON, "-c", "print('started')")):
        done = launches.run(*command)
        assert (done.returncode, done.stdout, one_sentence(done.stderr)) == (125, "", launch.NO_PROC)
