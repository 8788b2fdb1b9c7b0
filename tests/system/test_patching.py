"""Call sites are patched at their first trap: no stop afterwards, and nothing that a program could notice."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from tests.helpers import work_tree
from tests.helpers.guests import Guests
from tests.helpers.launches import Launches
from tests.helpers.needs import on_a_host_without_prefix
from tests.helpers.programs import Pair, fill

#: Sites of tests/guests/site_forms.h, ten of each form.
PATCHABLE, LEFT_ALONE = 17 * 10, 5 * 10


@pytest.fixture(params=["user", "root"])
def warm(request: pytest.FixtureRequest, work: Pair) -> Pair:
    """The same as an ordinary user, and as root: what may be remembered differs (decision 12)."""
    if request.param == "user":
        return work
    if os.geteuid() != 0:
        pytest.skip("only root can launch as root")
    return dataclasses.replace(work, launcher=Launches.as_myself(work.launcher.user, work.launcher.options))


def account(pair: Pair, words: list[str]) -> dict[str, dict[str, int]]:
    """The account of a run in the repository that went well."""
    file = pair.launcher.home / "patching.json"
    pair.launcher.having(f"--stats={file}").ok(*fill(words, pair.top))
    counters: dict[str, dict[str, int]] = json.loads(file.read_text())
    return counters


@on_a_host_without_prefix
@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_a_warm_call_makes_no_stop(warm: Pair, guests: Guests, desk: Path, patched: bool, static: bool) -> None:
    work_tree.warm(desk / "warm")
    program = str(guests.path("warm_calls", static=static))
    few, many = (account(warm, [program, str(rounds), "{top}/warm", f"{desk}/warm"])["tracer"] for rounds in (2, 102))
    if patched:
        assert [many[name] for name in ("stops", "redirects", "patched")] == [
            few[name] for name in ("stops", "redirects", "patched")
        ]
        assert few["patched"] > 10
    else:
        assert many["stops"] - few["stops"] >= 100 * 2 * 20  # each round traps: the counter does count
        assert many["patched"] == 0
    assert many["upcalls"] == few["upcalls"]


@on_a_host_without_prefix
@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_a_second_process_makes_no_upcall(warm: Pair, guests: Guests, desk: Path, static: bool) -> None:
    """Not for its exec either: whatever the first one had to ask is known to all who come after."""
    work_tree.warm(desk / "warm")
    line = f"{guests.path('warm_calls', static=static)} 3 {{top}}/warm {desk}/warm >/dev/null"
    once, often = (account(warm, ["/bin/sh", "-c", "; ".join([line] * times)]) for times in (1, 5))
    assert often["questions"] == once["questions"]
    assert often["tracer"]["upcalls"] == once["tracer"]["upcalls"]


@on_a_host_without_prefix
def test_a_library_that_is_known_is_caught_once(work: Pair, guests: Guests, desk: Path, patched: bool) -> None:
    """With the first of its sites all those are changed that the same program came to before."""
    work_tree.warm(desk / "warm")
    line = f"{guests.path('warm_calls')} 1 {{top}}/warm {desk}/warm >/dev/null"
    few, many = (account(work, ["/bin/sh", "-c", "; ".join([line] * times)])["tracer"] for times in (6, 26))
    caught = many["redirects"] - few["redirects"]
    if patched:
        assert caught == 20
        assert many["known"] - few["known"] >= 20 * 10
    else:
        assert caught >= 20 * 2 * 20


def test_what_is_known_of_a_file_is_not_believed_of_other_bytes(work: Pair, guests: Guests, desk: Path) -> None:
    """The same inode with another program in it: none of its sites is known."""
    work_tree.warm(desk / "warm")
    program = desk / "program"
    one, other = guests.path("warm_calls", static=True), guests.path("keeps_registers", static=True)
    before = [f"cat {one} >{program}; chmod 755 {program}", *[f"{program} 1 {{top}}/warm {desk}/warm"] * 4]
    rewritten = [f"cat {other} >{program}", f"{program} {{top}}/warm/file"]
    elsewhere = [f"cat {other} >/dev/null", f"{other} {{top}}/warm/file"]
    lines = ["; ".join(before + after) for after in (rewritten, elsewhere)]
    known = [account(work, ["/bin/sh", "-c", line])["tracer"]["known"] for line in lines]
    assert known[0] == known[1]
    work.assert_same(["/bin/sh", "-c", "; ".join(before + rewritten * 2 + before)])


#: tests/guests/known_site.c: its mark and the call behind it, and what is no call but gives ENOENT.
MARKED = bytes.fromhex("0f1f8000e0175a")
CALLS, SAYS = (MARKED + bytes.fromhex(text) for text in ("b804000000 0f05", "b8feffffff 6690"))


def test_another_program_that_begins_alike_has_none_of_its_sites(
    work: Pair, guests: Guests, desk: Path, patched: bool
) -> None:
    """A program is known by its first instructions: each site must be there, byte for byte, before it is changed."""
    program, other = guests.path("known_site"), desk / "other"
    text = program.read_bytes()
    assert text.count(CALLS) == 1
    other.write_bytes(text.replace(CALLS, SAYS))
    other.chmod(0o755)
    line = "; ".join(f"{one} {{top}}/src/main.c; echo $?" for one in [program] * 5 + [other, program])
    assert work.assert_same(["/bin/sh", "-c", line]) == b"10\n" * 5 + b"2\n10\n"
    assert bool(account(work, ["/bin/sh", "-c", line])["tracer"]["known"]) == patched


def test_threads_find_a_library_that_is_known(work: Pair, guests: Guests, patched: bool) -> None:
    """Its sites are changed while they run in it."""
    line = f"{guests.path('site_storm')} 8 {{top}}/src/main.c {{top}}/src/none"
    words = ["/bin/sh", "-c", "; ".join([line] * 6)]
    text = work.launcher.ok(*fill(words, work.top))
    assert text == b"wrong: 0 of %d sites\n" % (PATCHABLE + LEFT_ALONE) * 6
    assert bool(account(work, words)["tracer"]["known"]) == patched


@pytest.mark.parametrize("threads", [0, 1, 8])
def test_first_calls_of_many_threads_at_once_get_right_answers(
    work: Pair, guests: Guests, patched: bool, threads: int
) -> None:
    words = [str(guests.path("site_storm")), str(threads), "{top}/src/main.c", "{top}/src/none"]
    counters = account(work, words)["tracer"]
    if patched and threads == 0:
        assert PATCHABLE <= counters["patched"] < PATCHABLE + 40  # and the libc's
        assert counters["unpatched"] >= LEFT_ALONE
    assert bool(counters["patched"]) == patched


def test_threads_are_thrown_out_of_first_calls_beside_others_that_are_made(
    work: Pair, guests: Guests, patched: bool
) -> None:
    """By siglongjmp, from a handler on a stack of its own, wherever its timer meets them."""
    words = [str(guests.path("thrown_threads")), "4", "{top}/src/main.c", "{top}/src/none"]
    assert work.launcher.ok(*fill(words, work.top)) == b"thrown: yes, wrong: 0\n"
    assert bool(account(work, words)["tracer"]["patched"]) == patched


@pytest.mark.parametrize("threads", [0, 2])
def test_a_site_is_patched_while_threads_run_through_it(
    work: Pair, guests: Guests, patched: bool, threads: int
) -> None:
    """Not where they could meet half of a jump: in two lines of the cache, or on two pages."""
    words = [str(guests.path("running_site")), str(threads)]
    assert work.assert_same(words) == b"wrong: 0 of 30 sites\n"
    counters = account(work, words)["tracer"]
    left = 20 if threads else 0
    assert counters["unpatched"] == (left if patched else 0)
    assert (counters["patched"] >= 30 - left) == patched


def test_a_fork_beside_first_calls_copies_no_half_of_a_jump(work: Pair, guests: Guests) -> None:
    """Eight times, each with forks while sites are being written by two threads."""
    line = f"{guests.path('site_storm')} 2 {{top}}/src/main.c {{top}}/src/none"
    text = work.launcher.ok(*fill(["/bin/sh", "-c", "; ".join([line] * 8)], work.top))
    assert text == b"wrong: 0 of %d sites\n" % (PATCHABLE + LEFT_ALONE) * 8


@pytest.mark.parametrize("how", ["unmap", "forbid", "rewrite", "protect"])
def test_code_that_is_taken_away_or_rewritten_does_what_it_says(work: Pair, guests: Guests, how: str) -> None:
    program = str(guests.path("text_changes"))
    work.assert_same([program, how, "{top}/src/main.c", "{top}/src/none"])


def test_a_handler_that_calls_at_the_site_it_interrupted_returns_rightly(
    work: Pair, guests: Guests, desk: Path
) -> None:
    program, fifo = str(guests.path("interrupted_site")), desk / "fifo"
    os.mkfifo(fifo, 0o666)
    fifo.chmod(0o666)
    text = work.assert_same([program, "{top}/src/main.c", str(fifo)])
    assert b"x handler: 0" in text
    assert b"yz handler: 0" in text


def test_a_program_that_steps_through_a_site_comes_to_its_end(work: Pair, guests: Guests, patched: bool) -> None:
    """And whatever other signal comes before the call has begun finds it at the site, where a library looks for it."""
    text = work.launcher.ok(*fill([str(guests.path("steps_itself")), "{top}/src/main.c"], work.top))
    assert text.startswith(b"wrong: 0, came: yes, ")
    assert text.endswith(b", on its way: 0\n") or not patched


@pytest.mark.parametrize("threads", [1, 12])
def test_a_site_is_patched_while_threads_wait_in_its_calls(
    work: Pair, guests: Guests, patched: bool, threads: int
) -> None:
    """They come back to a breakpoint, once each: the program's own handler for it never hears of that."""
    words = [str(guests.path("waiting_site")), str(threads), "{top}/src/main.c"]
    assert work.assert_same(words) == b"wrong: 0, traps: 0\n"
    counters = account(work, words)["tracer"]
    assert counters["unpatched"] == 0
    assert bool(counters["patched"]) == patched
    stops = [account(work, [words[0], str(many), words[2]])["tracer"]["redirects"] for many in (2, 32)]
    assert (stops[1] == stops[0]) == patched
