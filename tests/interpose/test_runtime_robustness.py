"""What programs do to themselves leaves the runtime whole: bad pointers, storms of signals and tasks, clean-ups."""

from __future__ import annotations

import pytest

from tests.helpers.guests import STACK_LIMIT
from tests.helpers.oracle import MOUNT, Oracle


@pytest.mark.parametrize("static", [False, True])
def test_no_signal_at_any_moment_changes_an_answer(oracle: Oracle, user: bool, static: bool) -> None:
    """Two thousand signals a second, whose handler looks and opens itself, and leaves by siglongjmp now and then."""
    words = [f"{MOUNT}/file", f"{MOUNT}/no-such", f"{MOUNT}/many", "100"]
    native, ours = oracle.both("signal_storm", *words, user=user, static=static)
    assert native.startswith("handled: yes")  # too fast to be thrown out of everything
    assert ours == "handled: yes, jumped: yes, wrong answers: 0\n"


def test_a_signal_to_a_process_is_taken_by_whom_the_kernel_would_give_it_to(oracle: Oracle, user: bool) -> None:
    """By the leader, unless it blocks it, though the tracer stops all of its threads all the time (decision 29)."""
    native, ours = oracle.both("directed_signals", f"{MOUNT}/file", user=user)
    assert ours == native
    assert native.splitlines()[0] == "asleep: by the leader nearly all, all taken: yes, wrong 0"
    assert native.splitlines()[-1] == "blocked: by the leader hardly any, all taken: yes, wrong 0"


@pytest.mark.parametrize("static", [False, True])
def test_every_kind_of_new_task_is_served(oracle: Oracle, user: bool, static: bool) -> None:
    """fork in fork, vfork, clone with 2 KiB of stack, with shared memory, untraced, threads, and exec from a thread."""
    native, ours = oracle.both("task_storm", "15", f"{MOUNT}/file", f"{MOUNT}/no-such", user=user, static=static)
    assert ours == native == "0 wrong\nafter exec: 0 wrong\n"


@pytest.mark.parametrize("how", ["unmap", "forbid", "forbid-by-key", "move", "replace", "cover", "reorder"])
def test_a_program_that_takes_away_and_closes_what_it_does_not_know_is_served(
    oracle: Oracle, user: bool, how: str
) -> None:
    native, ours = oracle.both("strips_itself", how, f"{MOUNT}/file", f"{MOUNT}/no-such", user=user)
    assert ours == native
    assert "taking away failed: 0\nstat: ok\n" in ours
    assert "exit" not in ours


@pytest.mark.parametrize("size", [STACK_LIMIT, "4096"])
def test_a_call_needs_no_more_stack_than_is_promised(oracle: Oracle, size: str) -> None:
    native, ours = oracle.both("small_stack", size, f"{MOUNT}/file", f"{MOUNT}/dir", user=False)
    assert native.count("red zone kept: yes, bytes changed above: 0\n") > 25
    assert ours == native


def test_a_call_keeps_every_register_that_the_kernel_keeps(oracle: Oracle, user: bool) -> None:
    native, ours = oracle.both("keeps_registers", f"{MOUNT}/file", f"{MOUNT}/missing", user=user)
    assert ours == native
    assert ours.count("0 registers changed") > 5


@pytest.mark.parametrize(
    "path",
    ["script", "missing", "dir", "notexecutable", "badinterpreter", "garbage", "file/x", "loop", "d000/file", "empty",
     "onlyexec", "null", "dir/../script", "dangling", "out", "fileslashed"],
)  # fmt: skip
def test_an_exec_gives_the_errno_of_the_kernel(oracle: Oracle, user: bool, path: str) -> None:
    native, ours = oracle.both("exec_variants", f"{MOUNT}/{path}", "one", "two", user=user)
    assert ours == native


def test_a_bad_pointer_leaves_a_blocked_or_ignored_sigsegv_as_it_is(oracle: Oracle) -> None:
    native, ours = oracle.both("bad_pointers", *(f"{MOUNT}/{name}" for name in ("file", "dir", "link")), user=False)
    assert ours == native


def test_calls_that_would_go_round_us_are_not_there(oracle: Oracle) -> None:
    """Rings, clone3, lists of mounts, numbers that no kernel has, and the upcall from elsewhere than the runtime."""
    script = ["425 i8 p0", "426 i0 i0 i0 i0 i0 i0", "427 i0 i0 i0 i0", "435 p0 i88"]
    script += ["457 p24,0xffffffffffffffff,0 b512 i512 i0", "458 p24,0xffffffffffffffff,0 b512 i64 i0"]
    script += [f"{number} i0" for number in (470, 500, 511, 512, 547, 1000, 0x40000000, 0x40000002, 0x68707770, 100000)]
    path = oracle.place / "script"
    path.write_text("\n".join(script) + "\n")
    text = oracle.interposed([oracle.guests.path("call_script"), path], user=False)
    assert text.splitlines() == [*(f"{line}: ENOSYS" for line in range(len(script))), "end"]
