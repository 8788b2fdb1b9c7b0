"""Executing the same again and again: what is run is what is there now, and it costs no room."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from hepwrap.interpose.plans import FIRST_LOOK, LEAST
from tests.helpers.launches import PYTHON
from tests.helpers.needs import on_a_host_without_prefix
from tests.helpers.programs import Pair, script

#: Seconds after which a program is believed to stay what it is, and some more.
SETTLED = 2.5
#: So often that the room of former execs is used again, and much more often.
MANY = (FIRST_LOOK + 8, 3 * FIRST_LOOK)
#: Executes argv[3:] as often as argv[1] says, from as many names as argv[2] says.
AGAIN = """
import os, shutil, subprocess, sys
times, names, program, *words = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
for i in range(names):
    shutil.copy2(program, f"./{i}") if names > 1 else None
for i in range(times):
    name = f"./{i % names}" if names > 1 else program
    done = subprocess.run([name, *words], stdout=subprocess.PIPE)
    assert done.returncode == 0 and b"argv[0]" in done.stdout, done
"""
#: A program rewrites another one in place and executes it, with the old time of modification on it.
REWRITE = """
import os, re, shutil, subprocess, sys
source, place = sys.argv[1:]
shutil.copy(source, place)
for word in (b"argv", b"ARGV", b"vgra", b"ARGV", b"argv"):
    status = os.stat(place)
    with open(place, "r+b") as file:
        data = file.read()
        file.seek(0)
        file.write(re.sub(rb"(argv|ARGV|vgra)\\[", word + b"[", data))
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    print(subprocess.run([place, "x"], stdout=subprocess.PIPE).stdout.split(b"|")[1], flush=True)
os.unlink(place)
"""


@pytest.fixture
def own(pair: Pair, desk: Path) -> Path:
    """A host program with a virtual interpreter, so old that it need not be copied anew each time."""
    shutil.copy2(pair.published.tree / "bin/told-by-own-loader", desk / "own")
    while time.time() - (desk / "own").stat().st_ctime < SETTLED:
        time.sleep(0.1)
    return desk / "own"


@pytest.fixture
def host_script(pair: Pair, desk: Path) -> Path:
    """A host script with a virtual interpreter."""
    script(desk / "script", f"#!{pair.top}/bin/told option\n")
    return desk / "script"


def stats(pair: Pair, desk: Path, *words: object, options: tuple[str, ...] = ()) -> dict[str, dict[str, int]]:
    """The account of that, run in `desk`."""
    report = pair.launcher.home / "stats"
    command = [PYTHON, "-c", AGAIN, *map(str, words)]
    done = pair.launcher.having(f"--stats={report}", *options).run(*command, text=False, cwd=desk)
    assert (done.returncode, done.stderr) == (0, b"")
    account: dict[str, dict[str, int]] = json.loads(report.read_text())
    return account


@pytest.mark.parametrize("what", ["virtual", "own-loader", "host-script", "host-program"])
def test_executing_more_often_takes_no_more_of_the_index(
    pair: Pair, desk: Path, own: Path, host_script: Path, what: str
) -> None:
    program = {"virtual": f"{pair.top}/scripts/argument", "own-loader": f"{pair.top}/bin/told-by-own-loader",
               "host-script": host_script, "host-program": own}[what]  # fmt: skip
    used = {times: stats(pair, desk, times, 1, program, "a", "b")["index"]["bytes"] for times in MANY}
    assert used[MANY[1]] <= used[MANY[0]] + 4 * LEAST


@on_a_host_without_prefix
@pytest.mark.parametrize(
    "name", ["bin/told", "links/relative", "links/absolute", "bin/../links/relative", "bin/told-by-own-loader"]
)
def test_a_program_is_asked_about_once_by_each_of_its_names(pair: Pair, desk: Path, name: str) -> None:
    once, often = (stats(pair, desk, times, 1, f"{pair.top}/{name}", "a")["questions"] for times in (1, 9))
    assert once["execve"] == often["execve"] == 1
    assert once == often


def test_a_program_that_is_rewritten_is_executed_as_it_is_now(pair: Pair, desk: Path) -> None:
    text = pair.assert_same([PYTHON, "-c", REWRITE, "{top}/bin/told-by-own-loader", str(desk / "rewritten")])
    assert text.count(b"ARGV[1]=x") == 2


def test_copies_of_programs_count_under_the_limit_of_the_cache(pair: Pair, desk: Path, own: Path) -> None:
    one = stats(pair, desk, 1, 1, own, "x")["cache"]["bytes_held"]
    limit = one + 10 * own.stat().st_size
    account = stats(pair, desk, 40, 40, own, "x", options=(f"--cache-size={limit}",))["cache"]
    assert account["evicted"] >= 20
    assert account["most_bytes_held"] <= limit
