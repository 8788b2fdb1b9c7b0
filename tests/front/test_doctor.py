"""What doctor finds on machines that are not like this one, and on this one."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hepwrap.cli import doctor, doctor_machine
from hepwrap.cli.doctor_machine import FAIL, OK, WARN, Finding, Machine
from hepwrap.interpose.limits import FEW
from tests.helpers.front import Cli, FakeMachine
from tests.helpers.repositories import ServedRepository
from tests.helpers.unprivileged import Unprivileged


def machine_with(root: Path, release: str = "6.1.0", processor: str = "x86_64", **limits: int) -> Machine:
    def limit(which: int) -> tuple[int, int]:
        for name, value in limits.items():
            if getattr(resource, name) == which:
                return value, value
        return resource.RLIM_INFINITY, resource.RLIM_INFINITY

    return Machine(root, lambda: os.uname_result(("Linux", "host", release, "#1", processor)), limit)


def proc(root: Path, path: str, text: str) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def states(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(finding.state, finding.what) for finding in findings]


@pytest.mark.parametrize(("release", "state"), [
    ("4.4.0-generic", FAIL), ("4.18.0-513.el8.x86_64", WARN), ("5.4.0", WARN), ("5.14.0-427.el9", OK),
    ("6.18.44-x", OK), ("nonsense", FAIL),
])  # fmt: skip
def test_kernels_are_judged_by_their_version(tmp_path: Path, release: str, state: str) -> None:
    assert states(doctor_machine.kernel(machine_with(tmp_path, release)))[0] == (state, "kernel")


def test_another_processor_is_told(tmp_path: Path) -> None:
    assert states(doctor_machine.kernel(machine_with(tmp_path, processor="aarch64")))[1] == (FAIL, "processor")


@pytest.mark.parametrize(("actions", "state"), [
    ("kill_process kill_thread trap errno user_notif trace log allow", OK), ("kill_thread errno allow", FAIL),
    (None, WARN),
])  # fmt: skip
def test_the_filter_needs_the_action_trace(tmp_path: Path, actions: str | None, state: str) -> None:
    if actions is not None:
        proc(tmp_path, "proc/sys/kernel/seccomp/actions_avail", actions + "\n")
    assert states(doctor_machine.seccomp(machine_with(tmp_path))) == [(state, "seccomp")]


@pytest.mark.parametrize(("scope", "capabilities", "state"), [
    (None, "0", OK), ("0", "0", OK), ("1", "0", OK), ("2", "0", FAIL), ("2", "0000000000080000", OK),
    ("3", "ffffffffffffffff", FAIL),
])  # fmt: skip
def test_yama_scopes_are_judged(tmp_path: Path, scope: str | None, capabilities: str, state: str) -> None:
    if scope is not None:
        proc(tmp_path, "proc/sys/kernel/yama/ptrace_scope", scope + "\n")
    proc(tmp_path, "proc/self/status", f"Name:\tx\nCapEff:\t{capabilities}\n")
    assert states(doctor_machine.ptrace(machine_with(tmp_path))) == [(state, "ptrace scope")]


@pytest.mark.parametrize(("reason", "state"), [("", OK), ("Operation not permitted", FAIL)])
def test_tracing_is_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: str, state: str) -> None:
    monkeypatch.setattr(doctor_machine, "try_ptrace", lambda: reason)
    assert states(doctor_machine.tracing(machine_with(tmp_path))) == [(state, "ptrace")]


def test_memory_files_that_cannot_be_executed_are_told(tmp_path: Path) -> None:
    assert states(doctor_machine.memory_files(machine_with(tmp_path))) == [(OK, "memory files")]
    proc(tmp_path, "proc/sys/vm/memfd_noexec", "2\n")
    assert states(doctor_machine.memory_files(machine_with(tmp_path))) == [(FAIL, "memory files")]


@pytest.mark.parametrize(("settings", "told"), [
    ({}, "user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns"),
    ({"user/max_user_namespaces": "0"}, "user.max_user_namespaces=0"),
    ({"user/max_user_namespaces": "96365", "kernel/unprivileged_userns_clone": "0"},
     "kernel.unprivileged_userns_clone=0"),
    ({"kernel/unprivileged_userns_clone": "1", "kernel/apparmor_restrict_unprivileged_userns": "1"},
     "kernel.apparmor_restrict_unprivileged_userns=1"),
])  # fmt: skip
def test_what_keeps_opened_files_from_a_mount_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, str], told: str
) -> None:
    for name, value in settings.items():
        proc(tmp_path, f"proc/sys/{name}", f"{value}\n")
    machine = machine_with(tmp_path)
    monkeypatch.setattr(doctor_machine, "try_private_mount", lambda: "")
    assert states(doctor_machine.opened_files(machine)) == [(OK, "opened files")]
    monkeypatch.setattr(doctor_machine, "try_private_mount", lambda: "No space left on device")
    (finding,) = doctor_machine.opened_files(machine)
    assert (finding.state, finding.found) == (WARN, "sealed (No space left on device)")
    assert finding.advice == f"opening takes twice as long; user namespaces are not allowed here: {told}"
    (finding,) = doctor_machine.opened_files(machine_with(tmp_path, RLIMIT_NOFILE=FEW))
    assert (finding.state, finding.found) == (WARN, "sealed (`ulimit -Hn` is 256)")
    monkeypatch.setattr(doctor_machine, "try_private_mount", lambda: "")
    assert states(doctor_machine.opened_files(machine_with(tmp_path, RLIMIT_NOFILE=FEW + 1)))[0][0] == OK


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take user namespaces away")
def test_the_kernel_says_why_there_is_no_mount(unprivileged: Unprivileged) -> None:
    def line(**possible: bool) -> str:
        done = unprivileged.run([*unprivileged.hepwrap_command, "doctor", "--offline"], **possible)  # type: ignore[arg-type]
        return next(line for line in done.stdout.splitlines() if "opened files" in line)

    if unprivileged.run(["unshare", "--user", "true"]).returncode:
        pytest.skip("this machine lets ordinary users make no user namespaces")
    assert line() == "ok    opened files     in a file system of the launch's own"
    assert line(user_namespaces=False) == (
        "warn  opened files     sealed (No space left on device); opening takes twice as long; "
        "user namespaces are not allowed here: user.max_user_namespaces=0"
    )


@pytest.mark.parametrize(("limits", "what"), [
    ({"RLIMIT_NOFILE": 256}, "open files"),
    ({"RLIMIT_AS": 1 << 30}, "address space"),
    ({"RLIMIT_FSIZE": 1 << 20}, "file size"),
])  # fmt: skip
def test_narrow_limits_are_told(tmp_path: Path, limits: dict[str, int], what: str) -> None:
    found = states(doctor_machine.limits(machine_with(tmp_path, **limits)))
    assert (WARN, what) in found
    assert states(doctor_machine.limits(machine_with(tmp_path))) == [(OK, "open files"), (OK, "address space")]


def test_without_a_place_for_directories_nothing_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", "/other")
    check: Callable[[], list[tuple[str, str]]] = lambda: states(doctor_machine.shared_memory(machine_with(tmp_path)))  # noqa: E731
    assert check() == [(FAIL, "/dev/shm")]
    (tmp_path / "other").mkdir()
    assert check() == [(WARN, "/dev/shm")]
    (tmp_path / "dev/shm").mkdir(parents=True)
    assert check() == [(OK, "/dev/shm")]


def test_missing_libraries_and_engines_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor_machine, "_LIBRARIES", ("requests", "no-such-library"))
    monkeypatch.setattr(doctor_machine, "_ENGINE", ("hepwrap.nosuch._core",))
    assert states(doctor_machine.python(machine_with(tmp_path)))[1:] == [(OK, "requests"), (FAIL, "no-such-library")]
    assert states(doctor_machine.engine(machine_with(tmp_path))) == [(FAIL, "engine")]


def test_the_table_says_what_to_do_and_sums_up() -> None:
    findings = [Finding(OK, "a", "b"), Finding(WARN, "c", "d", "do e"), Finding(FAIL, "f", "g", "do h")]
    assert list(doctor.table(findings)) == [
        "ok    a                b",
        "warn  c                d; do e",
        "fail  f                g; do h",
        "1 ok, 1 to look at, 1 to mend",
    ]


def test_configuration_that_cannot_be_read_is_a_finding(machine: FakeMachine) -> None:
    machine.here("x")
    (finding,) = doctor.configuration(machine.load())
    assert (finding.state, finding.what) == (FAIL, "configuration")
    assert finding.found.startswith(f"{machine.cwd}/hepwrap.toml:1: ")


def test_proxy_variables_that_are_not_read_are_told(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert (WARN, "proxy") not in states(doctor.configuration(machine.load()))
    monkeypatch.setenv("http_proxy", "http://x")
    assert (WARN, "proxy") in states(doctor.configuration(machine.load()))


def test_servers_are_asked_one_by_one(cli: Cli, test_repository: ServedRepository) -> None:
    flags = list(test_repository.flags)
    good = cli("doctor", *flags)
    assert f"{test_repository.url} answers" in good.stdout.decode()
    flags[1] = flags[1].replace("=", "=/nowhere/at/all;", 1)
    one = cli("doctor", *flags)
    assert "the other servers are used" in one.stdout.decode()
    assert one.returncode == good.returncode
    flags[1] = f"{test_repository.name}=/nowhere/at/all"
    none = cli("doctor", *flags)
    assert "no server works" in none.stdout.decode()
    assert none.returncode == 1
    assert (good.stderr, one.stderr, none.stderr) == (b"", b"", b"")


def test_offline_servers_are_not_asked(cli: Cli, test_repository: ServedRepository) -> None:
    before = len(test_repository.requests)
    assert "servers not asked" in cli("doctor", "--offline", *test_repository.flags).stdout.decode()
    assert len(test_repository.requests) == before
