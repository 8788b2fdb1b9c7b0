"""Many threads and many processes that come upon the same virtual files at once, and mostly for the first time."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tests.helpers.guests import Guests
from tests.helpers.launches import quiet
from tests.helpers.programs import Pair

SPAWN = """
import concurrent.futures, os, subprocess, sys
def run(number):
    words = [sys.argv[1 + number % (len(sys.argv) - 1)], str(number)]
    if number % 3 == 0:  # posix_spawn, vfork or fork, from threads that run side by side
        return subprocess.run(words, capture_output=True, close_fds=False).stdout
    if number % 3 == 1:
        return subprocess.run(words, capture_output=True).stdout
    return subprocess.run(words, capture_output=True, preexec_fn=os.getpid).stdout
with concurrent.futures.ThreadPoolExecutor(12) as pool:
    for number, shown in enumerate(pool.map(run, range(96))):
        assert f']={number}|'.encode() in shown, (number, shown)
print('all')
"""


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_threads_of_c_see_what_they_see_natively(work: Pair, guests: Guests, static: bool) -> None:
    program = str(guests.path("threads", static=static))
    text = work.assert_same(["sh", "-c", f"{program} 5 {{top}}/text/*/* {{top}}/src/* {{top}}/missing {{top}}/src"])
    assert text


def test_threads_of_c_open_what_leaves_memory_all_the_time(work: Pair, guests: Guests) -> None:
    """Eight threads, and room for a handful of files; opened without waiting, while we look who has what open."""
    account = work.launcher.home / "account.json"
    few = dataclasses.replace(work, launcher=work.launcher.having("--cache-size", "60K", f"--stats={account}"))
    text = few.assert_same(["sh", "-c", f"{guests.path('threads')} 10 {{top}}/text/*/* {{top}}/src/*"])
    assert b" 0 differences" in text
    assert json.loads(account.read_text())["cache"]["evicted"] > 1000


def test_64_processes_execute_a_program_that_nobody_has_fetched(pair: Pair) -> None:
    """While the memory file is still written to, exec would be ETXTBSY; nobody may see that."""
    for name in ("bin/told", "bin/told-static", "bin/told-by-own-loader", "scripts/own-loader"):
        loop = f"for i in $(seq 64); do {{top}}/{name} $i & done; wait"
        done = pair.wrapped(["sh", "-c", loop], env={"COUNT": "1"})
        assert quiet(done).count(b" arguments of ") == 64


def test_threads_spawn_virtual_programs_in_every_way(pair: Pair) -> None:
    names = ["bin/told", "bin/told-static", "bin/told-by-own-loader", "scripts/virtual"]
    words = [str(pair.launcher.user.python), "-c", SPAWN, *(f"{{top}}/{name}" for name in names)]
    assert quiet(pair.wrapped(words)) == b"all\n"


def test_three_hundred_virtual_programs_one_after_the_other(pair: Pair) -> None:
    loop = "i=0; while [ $i -lt 100 ]; do i=$((i+1)); {top}/bin/told $i; {top}/bin/busybox echo $i; /bin/echo $i; done"
    text = quiet(pair.wrapped(["sh", "-c", loop], env={"COUNT": "1"}))
    assert text.count(b"2 arguments of ") == 100
    assert text.endswith(b"\n100\n100\n")


def test_makes_share_a_jobserver_over_virtual_programs(pair: Pair, desk: Path) -> None:
    """A make that calls itself, with recipes that are virtual scripts; the jobserver's pipe goes all the way."""
    (desk / "Makefile").write_text(
        "all: a b c d\n"
        f"a b c d:\n\t+@$(MAKE) --no-print-directory -f {desk}/Makefile $@1 $@2 $@3\n"
        + "".join(f"%{part}:\n\t@{pair.top}/scripts/busybox $@\n" for part in (1, 2, 3))
    )
    done = pair.wrapped(["make", "-j6", "-f", str(desk / "Makefile")], cwd=desk)
    lines = quiet(done).splitlines()
    for name in ("a1", "b2", "c3", "d3"):
        assert f"TOP/scripts/busybox {name}".encode() in lines
    assert lines.count(b"TOP/scripts/busybox") == 12, "readlink -f $0"
