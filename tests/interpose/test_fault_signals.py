"""Bad pointers leave SIGSEGV and SIGBUS as the kernel leaves them: handlers, flags, masks, and then a real fault."""

from __future__ import annotations

import itertools

import pytest

from tests.helpers.bad_pointers import calls_with, with_open_files
from tests.helpers.oracle import MOUNT, Oracle, by_line

FILES = (f"{MOUNT}/file", "/oracle/host/real")


def both(oracle: Oracle, guest: str, *words: str, user: bool) -> tuple[str, str]:
    command = [str(oracle.guests.path(guest)), *words]
    return oracle.native(command, user=user), oracle.interposed(command, user=user)


@pytest.mark.parametrize("file", FILES)
def test_bad_pointers_leave_handlers_and_masks_as_they_were(oracle: Oracle, user: bool, file: str) -> None:
    """24 states: default, ignored, handled (on a stack, once), nothing or everything blocked, both signals."""
    native, ours = both(oracle, "fault_states", file, "open", "all", user=user)
    assert native.count("as it was, mask as it was,") == 24
    assert ours == native


@pytest.mark.parametrize("both_ways", ["trapped"], indirect=True)
def test_a_signal_that_is_blocked_alone_stays_blocked_where_the_call_was_trapped(oracle: Oracle) -> None:
    native, ours = both(oracle, "fault_states", FILES[0], "alone", user=False)
    assert native.count("as it was, mask as it was,") == 12
    assert ours == native


@pytest.mark.parametrize("both_ways", ["patched"], indirect=True)
def test_what_cannot_be_known_of_a_signal_blocked_alone(oracle: Oracle) -> None:
    """Decision 8: not blocked any more where it has no handler and the call came by a patched site; nothing else."""
    native, ours = both(oracle, "fault_states", FILES[0], "alone", user=False)
    pairs = [(n, o) for n, o in zip(native.splitlines(), ours.splitlines(), strict=True) if n != o]
    assert len(pairs) == 6
    for kernel, wrapped in pairs:
        assert kernel.split()[1] in ("default,", "ignored,", "ignored")
        assert wrapped == kernel.replace("mask as it was", "mask CHANGED")


def test_the_corners_of_a_fault_are_the_kernels(oracle: Oracle, user: bool) -> None:
    """Pending already, sent by others, handled once, inherited, shared, set half-way, and no room for a frame."""
    native, ours = both(oracle, "fault_corners", FILES[0], user=user)
    assert native.count("EFAULT") > 30
    assert native.count("no room for a frame\n") == 20
    assert ours == native


WAYS = ("default open", "ignored open", "handled open", "default blocked", "ignored blocked", "handled blocked")


#: Unmapped, in a truncated mapping, in the kernel, of no canonical form; not to be written; not wholly there.
WORDS = ("u", "c", "i1", "i0x8000000000000000", "r", "h5", "k5")


def script_of_bad_pointers() -> list[str]:
    """Every call with every pointer bad in its turn, made by the main thread, another, a handler, and a vfork child."""
    script = [*with_open_files(), "l=444 p1 i8 i0", "s=41 i1 i1 i0"]
    for way, who in itertools.product(WAYS, ("main", "thread", "handler", "child")):
        script += [f"signals {way}", f"inside {who}"]
        for word in WORDS if who == "main" else WORDS[:2]:
            script += calls_with(word)
    return script


def test_a_bad_pointer_in_any_call_leaves_the_signals_alone(oracle: Oracle, user: bool) -> None:
    """Each call of the table in six states of SIGSEGV and SIGBUS: EFAULT, as natively, and the state is what it was."""
    script = script_of_bad_pointers()
    path = oracle.place / "script"
    path.write_text("\n".join(script) + "\n")
    path.chmod(0o644)
    native, ours = (by_line(text) for text in both(oracle, "call_script", str(path), user=user))
    assert native.pop("end") == "end"
    assert ours.pop("end", None) == "end"
    assert sum(text == "EFAULT" for text in native.values()) > 7500
    assert not [text for text in native.values() if "CHANGED" in text]
    assert [(script[int(key)], native[key], ours.get(key)) for key in native if native[key] != ours.get(key)] == []
