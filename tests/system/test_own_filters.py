"""Programs with a seccomp filter of their own, which answers even the question that the runtime asks us."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.helpers.guests import Guests
from tests.helpers.launches import one_sentence
from tests.helpers.programs import Pair, fill

BY_HANDLER = 0
#: Calls that ask about every path.
ALWAYS_ASK = ("getxattr", "mkdir", "linkat")


def sections(text: str) -> list[tuple[str, list[str]]]:
    """(path, what the calls said) in the order of looking."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("/"):
            found.append((line, []))
        else:
            found[-1][1].append(line)
    return found


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS, errno.ENOENT, BY_HANDLER])
def test_what_cannot_be_asked_is_an_io_error_and_all_else_as_before(
    work: Pair, guests: Guests, desk: Path, code: int
) -> None:
    """What the index knows is answered as before the filter; never is there an ENOENT that no catalogue has said."""
    (desk / "here").touch()
    words = [str(guests.path("own_filter")), str(code), "{top}/src/main.c", "{top}/text/0/part 00.txt", f"{desk}/here"]
    text = work.launcher.ok(*fill(words, work.top)).decode()
    before, after, unknown, host = sections(text)
    assert {then for now, then in zip(before[1], after[1], strict=True) if now != then} <= {
        f"{name}: -1 EIO" for name in ALWAYS_ASK
    }
    assert {line.partition(": ")[2] for line in unknown[1]} == {"-1 EIO"}
    assert host[1][0] == "stat: 0"


def test_a_filter_with_a_listener_is_refused_in_one_sentence_and_nothing_is_absent(work: Pair, guests: Guests) -> None:
    """What a listener lets go on is the kernel's: it would say ENOENT."""
    words = [str(guests.path("own_listener")), "{top}/src/main.c", "{top}/none"]
    native, done = work.native(words), work.wrapped(words)
    assert native.stdout.decode() == "no_new_privs: 0\nlistener: ok\nopen: ok\nstat: 0\nmissing: -1 ENOENT\n"
    assert done.stdout.decode() == native.stdout.decode().replace("listener: ok", "listener: -1 EBUSY")
    assert "wants a seccomp filter with a listener" in one_sentence(done.stderr.decode())


def test_what_the_working_directory_is_is_asked_once_after_each_change(
    work: Pair, guests: Guests, patched: bool
) -> None:
    """A filter of the program's own forbids to ask: only what is remembered is answered (decision 24)."""
    if not patched:
        pytest.skip("a call that is caught meets the program's own filter first")
    words = [str(guests.path("keeps_place")), "{top}/src", "main.c"]
    known, filtered = work.launcher.ok(*fill(words, work.top)).decode().split("filtered\n")
    seen = ["stat: 0", "stat of what is missing: -1 ENOENT", "access: 0", "getcwd: ok"]
    assert known.splitlines() == 2 * seen
    before, after = filtered.split("moved\n")
    assert before.splitlines() == seen
    assert {line.rpartition(" ")[2] for line in after.splitlines()} == {"EPERM"}  # the filter does forbid
