"""A full index costs questions, never an answer: what cannot be remembered is answered by the mailbox each time."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys

import pytest

from hepwrap.vfs.index import _index
from tests.helpers import call_matrix as matrix
from tests.helpers.launches import PYTHON
from tests.helpers.oracle import HOST, MOUNT, Oracle, agree, by_line

#: hepwrap with the smallest index that there can be.
TINY = """
import sys
from hepwrap.interpose import launch
launch.limits.prepare = lambda: 8 << 20
from hepwrap.__main__ import main
sys.exit(main())
"""
#: The same, where whatever is opened takes so much of it that a few dozen fill the rest.
GREEDY = TINY.replace(
    "sys.exit",
    """
from hepwrap.vfs.index.book import Book
make = Book._make
def greedy(book, node, above):
    if book.is_full:
        book.index.append(bytes(1 << 16))
    return make(book, node, above)
Book._make = greedy
sys.exit""",
)
#: Ways out to the host, each a key of its own, that fill the part of it that names may have.
FILLING = [f"6 s{MOUNT}/{'./' * count}outdir/passwd t" for count in range(200, 1900)]


def running(oracle: Oracle, program: str) -> Oracle:
    """The oracle with another hepwrap, for root and for the ordinary user."""
    user = dataclasses.replace(oracle.user, hepwrap_command=[str(oracle.user.python), "-c", program])
    return dataclasses.replace(oracle, hepwrap_command=[sys.executable, "-c", program], user=user)


@pytest.fixture
def full(oracle: Oracle) -> Oracle:
    """The oracle with a hepwrap whose index is full after FILLING."""
    return running(oracle, TINY)


def test_the_index_is_full_indeed(full: Oracle) -> None:
    """Or the tests below say nothing: what is not remembered is asked for again."""
    again = [f"6 s{MOUNT}/many/entry-100-{'x' * 20} t", f"6 s{MOUNT}/chain/45 t"] * 50
    questions = []
    for script in (FILLING, [*FILLING, *again]):
        path, stats = full.place / "script", full.place / "stats"
        path.write_text("\n".join(script) + "\n")
        text = full.interposed([full.guests.path("call_script"), path], user=False, flags=[f"--stats={stats}"])
        assert text.endswith("end\n"), text[-200:]
        questions.append(sum(json.loads(stats.read_text())["questions"].values()))
    assert questions[1] == questions[0] + 100


def test_every_question_about_a_path_is_answered_as_before(full: Oracle, user: bool) -> None:
    agree(full, [*FILLING, *matrix.stat_calls(matrix.absolute())], user=user, at_least=7000)


def test_every_access_is_granted_as_before(full: Oracle, user: bool) -> None:
    agree(full, [*FILLING, *matrix.access_calls(matrix.absolute()[:120])], user=user, at_least=5000)


def test_files_and_directories_are_opened_and_listed_as_before(full: Oracle, user: bool) -> None:
    script = [*FILLING, *matrix.open_calls(matrix.absolute(), ("DIRECTORY", "NOFOLLOW", "PATH"))]
    for name in ("", "dir", "many", "emptydir", "chain", "d444"):
        script += ["reset", f"d=257 i-100 s{MOUNT}/{name} i04000 i0", "217 @d g131072 i131072", "5 @d t", "138 @d f"]
        script += ["81 @d", "79 b4096 i4096", *matrix.descriptor_calls("@d")]
    agree(full, script, user=user, at_least=6000)


def test_attributes_and_writes_are_answered_as_before(full: Oracle, user: bool) -> None:
    paths = [f"{MOUNT}/{name}" for name in ("file", "dir", "link", "missing", "fifo", "loop", "dangling", "outfile2")]
    script = [*FILLING, *matrix.xattr_calls(paths), *matrix.list_xattr_calls([]), *matrix.write_calls(paths)]
    pairs = [(old, new) for old in [*paths, f"{HOST}/real"] for new in [*paths, f"{HOST}/new"]]
    agree(full, [*script, *matrix.two_path_calls(pairs)], user=user, at_least=3000)


def test_a_program_is_executed_as_before(full: Oracle, user: bool) -> None:
    filler = full.place / "filler"
    filler.write_text("\n".join(FILLING) + "\n")
    commands = [f"{full.guests.path('call_script')} {filler} >/dev/null", f"{MOUNT}/script a b"]
    shell = "; ".join([*commands, f"{MOUNT}/dir/../script c", f"cat {MOUNT}/dir/other"])
    text = full.interposed(["sh", "-c", shell], user=user)
    assert text.startswith("script a b\nscript c\ncontent of dir/other\n")


def test_numbers_of_what_is_not_remembered_agree_between_listing_and_stat(full: Oracle, user: bool) -> None:
    """Programs compare d_ino with st_ino to find mount points, and st_ino to find hard links."""
    filler = full.place / "filler"
    filler.write_text("\n".join(FILLING) + "\n")
    program = (
        "import os; d={e.name: e.inode() for e in os.scandir('%s/many')};"
        "s={n: os.lstat('%s/many/'+n).st_ino for n in d}; print(d == s, len(set(s.values())), len(d));"
        "print(os.stat('%s/dir/hard').st_ino == os.stat('%s/dir/other').st_ino)" % ((MOUNT,) * 4)
    )
    shell = f'{full.guests.path("call_script")} {filler} >/dev/null; exec {PYTHON} -c "$0"'
    assert full.interposed(["sh", "-c", shell, program], user=user) == "True 300 300\nTrue\n"


def test_what_there_is_no_room_to_open_is_enomem_and_a_sentence(full: Oracle, user: bool) -> None:
    """What has been opened is opened again, and what is only looked at is answered, as before."""
    greedy = running(full, GREEDY)
    names = [f"{MOUNT}/many/entry-{number:03}-{'x' * (number % 40)}" for number in range(100)]
    opened, looked = [f"257 i-100 s{name} i0 i0" for name in names], [f"6 s{name} t" for name in names]
    path = full.place / "script"
    path.write_text("\n".join([*FILLING, *opened, *looked, *opened]) + "\n")
    native, ours = greedy.both("call_script", path, user=user)
    text, _, said = ours.partition("end\n")
    kernel, results = (list(by_line(each).values())[len(FILLING) :] for each in (native, text))
    found = [
        "ENOMEM" if result == "ENOMEM" else result == truth for result, truth in zip(results, kernel, strict=False)
    ]
    fitted = found.index("ENOMEM")
    assert 10 < fitted < 90
    assert found == [
        *[True] * fitted,
        *["ENOMEM"] * (100 - fitted),
        *[True] * 100,
        *[True] * fitted,
        *["ENOMEM"] * (100 - fitted),
    ]
    assert "no room is left in the index (8 MiB)" in said
    assert "Traceback" not in said


def test_a_window_that_is_used_up_is_enomem_and_no_wrong_answer() -> None:
    index = _index.Index(8 << 20, b"/cvmfs")
    index.enter(b"/cvmfs/x", 1 << 56 | 8, 0)
    for size in (65536, 1):
        with contextlib.suppress(_index.Full):
            while index.append(bytes(size)):
                pass
    with pytest.raises(_index.Full):
        index.enter(b"/cvmfs/another", 1 << 56 | 16, 0)
    assert index.lookup(0, b"/cvmfs/x", True) == 1 << 56 | 8
    assert index.lookup(0, b"/cvmfs/another", True) == 0
