"""Inside a launch by root: who becomes somebody else, or goes to other namespaces, is still served, or told why not.

And hepwrap where orphans come to it: as PID 1 of a pid namespace, and as a child subreaper.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hepwrap.errors import LaunchError
from hepwrap.interpose.server import refuse_attach
from tests.helpers import needs
from tests.helpers.faulty_repository import ENGINES, TOP, engine_options, faulty_repository
from tests.helpers.jobs import status_of
from tests.helpers.launches import PYTHON, Launches, one_sentence
from tests.helpers.repositories import ServedRepository
from tests.helpers.terminal import Terminal
from tests.helpers.unprivileged import UID, Unprivileged

README = f"{TOP}/README"
CONTENT = "synthetic test repository\n"
#: Opens, stats, lists, enters and executes what nobody has touched before: all ways to the server.
SCRIPT = (
    f"cat {README} && stat -c %s {TOP}/raw/plain.txt && ls {TOP}/sw/v1/bin && "
    f"cd {TOP}/data && pwd && {TOP}/sw/v1/bin/run.sh"
)
SAID = f"{CONTENT}5400\nrun.sh\n{TOP}/data\nv1\n"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others and make all namespaces")


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of root's."""
    path = Path(tempfile.mkdtemp(prefix="hepwrap-root-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def by_root(unprivileged: Unprivileged, test_repository: ServedRepository, home: Path) -> Launches:
    """Started by root; CVMFS_CLAIM_OWNERSHIP is as packaged."""
    return Launches.as_myself(unprivileged, test_repository.flags, home)


@pytest.fixture(params=ENGINES)
def both(request: pytest.FixtureRequest, by_root: Launches) -> Launches:
    return by_root.having(*engine_options(request.param))


@pytest.fixture
def by_user(unprivileged: Unprivileged) -> Iterator[Launches]:
    """Started by the ordinary user."""
    with faulty_repository(unprivileged) as repository:
        yield repository.launches


BECOME_USER = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
NO_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs")
CHANGES = {
    "another user": BECOME_USER,
    "another user without capabilities": (*BECOME_USER, "--bounding-set=-all", "--inh-caps=-all"),
    "no capabilities": NO_CAPABILITIES,
    "user namespace": ("unshare", "--user"),
    "user namespace as its root": ("unshare", "--user", "--map-root-user"),
    "user and mount namespace": ("unshare", "--user", "--map-root-user", "--mount"),
    "pid namespace": ("unshare", "--pid", "--fork", "--mount-proc"),
    "pid namespace with the old proc": ("unshare", "--pid", "--fork"),
    "mount namespace": ("unshare", "--mount"),
    "network namespace": ("unshare", "--net"),
    "ipc, uts and time namespace": ("unshare", "--ipc", "--uts", "--time"),
    "no proc": ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"),
    "pid namespace and another user": ("unshare", "--pid", "--fork", "--mount-proc", *BECOME_USER),
    "chroot to where it is": ("chroot", "/"),
    "bwrap": ("bwrap", "--dev-bind", "/", "/"),
    "bwrap, pid and user namespace": ("bwrap", "--dev-bind", "/", "/", "--unshare-pid", "--unshare-user"),
    "pid and network namespace": ("unshare", "--net", "--pid", "--fork", "--mount-proc"),
    "bwrap, all of its own": ("bwrap", "--dev-bind", "/", "/", "--proc", "/proc", "--unshare-all"),
    "bwrap, all of its own, no proc": ("bwrap", "--dev-bind", "/", "/", "--tmpfs", "/proc", "--unshare-all"),
    "bwrap, new proc": ("bwrap", "--dev-bind", "/", "/", "--proc", "/proc", "--unshare-pid"),
}


@needs_root
@pytest.mark.parametrize("change", CHANGES)
def test_who_has_changed_is_served_as_before(by_root: Launches, change: str) -> None:
    done = by_root.run(*CHANGES[change], "sh", "-c", SCRIPT)
    assert done.stdout == SAID, done.stderr
    assert (done.returncode, done.stderr) == (0, "")


@needs_root
@pytest.mark.parametrize("change", ["another user", "network namespace", "bwrap, all of its own"])
def test_who_has_changed_executes_programs_that_are_known(by_root: Launches, change: str) -> None:
    """Their call sites are changed at the exec, by a file that not everybody can open; all the same they run."""
    loop = "for i in 1 2 3 4 5 6; do /bin/true; /bin/echo $i; done"
    done = by_root.run("sh", "-c", f'{loop}; "$@"; {loop}', "sh", *CHANGES[change], "sh", "-c", loop)
    assert done.stdout.split() == ["1", "2", "3", "4", "5", "6"] * 3
    assert (done.returncode, done.stderr) == (0, "")


@needs_root
@pytest.mark.parametrize("change", ["another user", "pid namespace", "no proc", "bwrap, all of its own"])
def test_who_has_changed_is_served_without_patching(by_root: Launches, change: str) -> None:
    done = by_root.having("--no-patch").run(*CHANGES[change], "sh", "-c", SCRIPT)
    assert (done.returncode, done.stdout, done.stderr) == (0, SAID, "")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("change", [*(name for name in CHANGES if "bwrap" in name), "pid namespace of a user"])
def test_an_ordinary_user_in_a_sandbox_is_served_as_before(by_user: Launches, change: str, engine: str) -> None:
    words = CHANGES.get(change, ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"))
    if by_user.native(*words, "true").returncode != 0:
        needs.lacking(f"{words[0]} is missing, or this machine lets ordinary users make no namespaces")
    done = by_user.having(*engine_options(engine)).run(*words, "sh", "-c", SCRIPT)
    assert (done.returncode, done.stdout, done.stderr) == (0, SAID, "")


@needs_root
def test_a_descriptor_opened_before_the_change_is_read_after_it(both: Launches) -> None:
    """It is a real descriptor: whoever has it reads, and fstat still says what the catalogue says."""
    script = f"exec 3<{README} 4<{TOP}/data; exec {' '.join(BECOME_USER)} sh -c 'cat <&3; stat -Lc %F /proc/self/fd/4'"
    assert both.run("sh", "-c", script).stdout == CONTENT + "directory\n"


@needs_root
def test_another_user_is_judged_by_what_the_user_may(by_root: Launches) -> None:
    """The launch was root's; the mode bits are enforced for who asks (root is the owner, here)."""
    done = by_root.run("sh", "-c", f"cat {TOP}/perm/m0600; {' '.join(BECOME_USER)} cat {TOP}/perm/m0600")
    assert len(done.stdout) == 8
    assert done.stderr == f"cat: {TOP}/perm/m0600: Permission denied\n"
    done = by_root.run(
        *BECOME_USER, "sh", "-c", f"ls {TOP}/perm/dir0700; cat {TOP}/perm/dir0700/in; test -x {TOP}/perm"
    )
    assert done.stderr.count("Permission denied") == 2
    assert (done.stdout, done.returncode) == ("", 0)


@needs_root
def test_root_without_capabilities_is_judged_by_mode_bits(by_root: Launches) -> None:
    """capabilities(7): without CAP_DAC_OVERRIDE uid 0 is a user like any other (the owner of everything here)."""
    done = by_root.run("sh", "-c", f"cat {TOP}/perm/m0000; {' '.join(NO_CAPABILITIES)} cat {TOP}/perm/m0000")
    assert len(done.stdout) == 5
    assert done.stderr == f"cat: {TOP}/perm/m0000: Permission denied\n"


@needs_root
def test_a_launch_by_root_leaves_the_server_without_capabilities(by_root: Launches) -> None:
    with by_root.start("sh", "-c", "grep CapEff /proc/self/status; read line") as job:
        assert int(job.line().split()[1], 16) != 0
        assert int(status_of(job.helper())["CapEff"], 16) == 0
        job.say("end")
        assert job.wait() == 0


@needs_root
def test_a_chroot_into_a_host_directory_still_has_cvmfs(by_root: Launches, home: Path) -> None:
    busybox = needs.program("busybox", "busybox-static")
    (home / "bin").mkdir()
    shutil.copy(busybox, home / "bin/busybox")
    done = by_root.run(
        "chroot", home, "/bin/busybox", "sh", "-c", f"busybox cat {README}; cd {TOP}/data; pwd; echo /bin/*"
    )
    assert (done.stdout, done.stderr) == (f"{CONTENT}{TOP}/data\n/bin/busybox\n", "")


@needs_root
def test_a_chroot_into_a_virtual_directory_is_refused(by_root: Launches) -> None:
    done = by_root.run("chroot", f"{TOP}/data", "true")
    assert done.returncode == 125
    assert done.stderr.endswith("Operation not permitted\n")
    missing = by_root.run("chroot", f"{TOP}/nowhere", "true")
    assert missing.stderr.endswith("No such file or directory\n")


def test_an_ordinary_user_enters_a_user_namespace(by_user: Launches) -> None:
    own = ("--user", "--map-root-user", "--pid", "--fork", "--net", "--mount-proc")
    done = by_user.run("unshare", *own, "sh", "-c", SCRIPT)
    if "unshare failed" in done.stderr:
        pytest.skip("this machine lets ordinary users make no user namespaces")
    assert (done.returncode, done.stdout, done.stderr) == (0, SAID, "")


def test_an_ordinary_user_without_namespaces_and_fuse_is_served(unprivileged: Unprivileged) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can take user namespaces and /dev/fuse away")
    with faulty_repository(unprivileged) as repository:
        launches = Launches.of(unprivileged, repository.launches.options, user_namespaces=False, fuse=False)
        done = launches.run("sh", "-c", SCRIPT)
        assert (done.returncode, done.stdout, done.stderr) == (0, SAID, "")
        refused = launches.run("unshare", "--user", "true")
        assert refused.returncode == 1


def test_a_program_with_privileges_runs_without_them(by_user: Launches) -> None:
    """no_new_privs (execve(2)): a set-user-ID program runs as who started it; said in the docs."""
    done = by_user.run("sh", "-c", "grep NoNewPrivs /proc/self/status")
    assert done.stdout.split() == ["NoNewPrivs:", "1"]


# Where orphans come to us.

AS_INIT = ("unshare", "--pid", "--fork", "--mount-proc")
SUBREAPER = (
    PYTHON,
    "-c",
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); os.execvp(sys.argv[1], sys.argv[1:])",
)


@pytest.fixture(params=["PID 1", "subreaper"])
def init(request: pytest.FixtureRequest, by_root: Launches) -> Launches:
    """hepwrap is the one to whom orphans come."""
    if request.param == "subreaper":
        return by_root.inside(*SUBREAPER)
    if os.geteuid() != 0:
        pytest.skip("only root can make a pid namespace here")
    return by_root.inside(*AS_INIT)


def test_an_init_serves_and_ends_with_the_exit_code(init: Launches) -> None:
    done = init.run("sh", "-c", f"{SCRIPT}; exit 9")
    assert (done.returncode, done.stdout, done.stderr) == (9, SAID, "")


def test_an_init_reaps_orphans(init: Launches) -> None:
    """The orphan ends while the command lives, and does not stay as a zombie of our parent's, the init."""
    orphan = '(sh -c "read line <go"; echo $$ >gone) &'
    script = f"mkfifo go; sh -c '{orphan}'; echo >go; while ! test -s gone; do :; done; echo gone; read line"
    with init.start("sh", "-c", f"{script}; ps -o stat= --ppid $PPID | grep Z; exit 0") as job:
        assert job.line() == "gone"
        job.say("now")
        assert job.rest() == ""
        assert job.wait() == 0


def test_an_init_forwards_sigterm(init: Launches) -> None:
    with init.start(
        "sh", "-c", "trap 'echo caught; exit 3' TERM; echo ready; while :; do read x || exit 8; done"
    ) as job:
        assert job.line() == "ready"
        target = job.pid
        if init.before[: len(AS_INIT)] == AS_INIT:  # unshare --fork waits for PID 1, and does not forward
            target = int(Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()[0])
        os.kill(target, signal.SIGTERM)
        assert job.line() == "caught"
        assert job.wait() == 3


def test_an_init_ends_by_the_signal_of_its_command(by_root: Launches) -> None:
    """PID 1 cannot; a subreaper can."""
    assert by_root.inside(*SUBREAPER).run("sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    assert by_root.inside(*SUBREAPER).run("sh", "-c", "kill -KILL $$").returncode == -signal.SIGKILL


@needs_root
def test_pid_1_says_the_signal_of_its_command_as_a_shell_does(by_root: Launches) -> None:
    assert by_root.inside(*AS_INIT).run("sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM


def test_a_reader_gets_the_end_of_the_stream_under_an_init_too(by_root: Launches) -> None:
    with by_root.inside(*SUBREAPER).start("sh", "-c", f"cat {README}; exec 1>&-; read line; exit 3") as job:
        assert job.rest() == CONTENT
        assert job.process.poll() is None
        job.say("end")
        assert job.wait() == 3


def test_killing_a_subreaper_ends_its_command(by_root: Launches) -> None:
    with by_root.inside(*SUBREAPER).start("sh", "-c", "echo $$; exec sleep 60") as job:
        command = int(job.line())
        assert command != job.pid
        job.send(signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
        job.wait_for_the_end_of_all()


def test_ctrl_c_comes_once_to_a_command_under_an_init(by_root: Launches) -> None:
    """The terminal sends it to the whole group: init must not send it again."""
    # A signal just before read(2) is noticed by bash when that is over: so it is over after a while.
    loop = "while :; do read -t 1 x && echo got $x $n; done"
    words = by_root.inside(*SUBREAPER).words(
        "bash", "-c", f"n=0; trap 'n=$((n+1)); echo caught $n' INT; echo rea''dy; {loop}"
    )
    terminal = Terminal(words, by_root.environment, by_root.home)
    try:
        terminal.expect("ready")
        terminal.type("\x03")
        terminal.expect("caught 1")
        terminal.type("line\n")
        terminal.expect("got line 1")
    finally:
        terminal.close()


def test_ctrl_z_stops_a_subreaper_with_its_command(by_root: Launches) -> None:
    shell = Terminal(["bash", "--norc", "--noprofile", "--noediting", "-i"], by_root.environment, by_root.home)
    try:
        shell.type("PS1='prompt''> '\n")
        shell.expect("prompt> ")
        shell.type(by_root.inside(*SUBREAPER).typed("sh", "-c", f"cat {README}; exec cat", whole=True) + "\n")
        shell.expect(CONTENT.strip())
        shell.type("\x1a")
        shell.expect("Stopped")
        shell.expect("prompt> ")
        shell.type("fg\n")
        shell.expect("exec cat'\r\n")
        shell.type("hello\n")
        shell.expect("hello\r\nhello")
        shell.type("\x03")
        shell.expect("prompt> ")
        shell.type("echo code $?\n")
        shell.expect("code 130")
    finally:
        shell.close()


# Yama (ptrace_scope of 2 and 3 cannot be set here): by what the kernel would say.


@pytest.mark.parametrize("scope", [2, 3])
def test_a_yama_scope_that_forbids_tracing_is_named(tmp_path: Path, scope: int) -> None:
    file = tmp_path / "ptrace_scope"
    file.write_text(f"{scope}\n")
    error = refuse_attach(PermissionError(1, "Operation not permitted"), file)
    assert isinstance(error, LaunchError)
    assert str(error) == (
        f"this machine forbids tracing (kernel.yama.ptrace_scope is {scope}); "
        "ask its administrator for ptrace_scope 0 or 1"
    )


@pytest.mark.parametrize("text", [None, "0\n", "1\n", "garbage\n", ""])
def test_a_refusal_for_another_reason_is_not_blamed_on_yama(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "ptrace_scope"
    if text is not None:
        file.write_text(text)
    message = str(refuse_attach(PermissionError(1, "Operation not permitted"), file))
    assert "Operation not permitted" in message
    assert "yama" not in message
    assert "hepwrap doctor" in message


@needs_root
def test_a_command_that_is_traced_already_cannot_be_launched_and_nothing_runs(by_root: Launches) -> None:
    """ptrace(2) allows one tracer: exit 125 and one sentence, the command is not started."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    done = by_root.inside(strace, "-f", "-o", "/dev/null", "-e", "trace=none").run("touch", by_root.home / "ran")
    assert done.returncode == 125
    assert "traced already" in one_sentence(done.stderr)
    assert not (by_root.home / "ran").exists()


@needs_root
def test_a_set_user_id_program_runs_without_gaining_and_is_spoken_of_once(by_root: Launches, open_place: Path) -> None:
    program = open_place / "identity"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    if os.statvfs(program).f_flag & os.ST_NOSUID:
        pytest.skip("no set-id files count here")
    become = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
    script = f"{program} -u; {program} -u"
    native, done = (run(*become, "sh", "-c", script) for run in (by_root.native, by_root.run))
    assert (native.stdout, native.stderr) == ("0\n0\n", "")
    assert done.stdout == f"{UID}\n{UID}\n"
    assert one_sentence(done.stderr).endswith("in here it runs without the rights of that (no_new_privs)")


def test_where_the_owner_of_a_set_id_program_is_unknown_nothing_would_be_gained(
    launcher: Launches, open_place: Path
) -> None:
    """In a user namespace that knows only its maker the kernel heeds no such bit: nothing is said."""
    program = open_place / "identity-unknown"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    script = f"unshare -Ur {program} -u || echo no namespaces"
    done = launcher.run("sh", "-c", script)
    if "no namespaces" in done.stdout:
        pytest.skip("no user namespaces here")
    assert (done.stdout, done.stderr) == (launcher.native("sh", "-c", script).stdout, "")
