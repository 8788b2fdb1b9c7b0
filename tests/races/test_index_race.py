"""The index under a race: writer and lookup in C, with readers beside it, under a race detector and in processes.

make races      the long form: a million names under ThreadSanitizer, eight readers
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = ("tests/races/index_race.c", "vfs/index/writer.c", "vfs/index/directory.c")
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-pthread", "-Wall", "-Wextra", "-Werror", "-g")
DETECTOR = ("-O1", "-fsanitize=thread")
#: Of one run: what is counted, and what must not be zero or the readers have not been in anybody's way.
COUNTERS = ("found", "asked", "missing", "listed", "evicted")


def build(place: Path, flags: tuple[str, ...], project: Path = PROJECT) -> Path:
    program = place / "index_race"
    sources = [str(project / source) for source in SOURCES]
    done = subprocess.run(
        ["gcc", *FLAGS, *flags, "-o", str(program), *sources], capture_output=True, text=True, check=False
    )
    if "-ltsan" in done.stderr or "libtsan" in done.stderr:
        pytest.skip("this compiler has no ThreadSanitizer; install libtsan")
    assert done.returncode == 0, done.stderr
    return program


def run(program: Path, way: str, *numbers: int, timeout: float = 100) -> subprocess.CompletedProcess[str]:
    words = [str(program), way, *map(str, numbers)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout)
    if "unexpected memory mapping" in done.stderr:  # ThreadSanitizer and much randomised addresses do not go together
        words = ["setarch", platform.machine(), "-R", *words]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout)
    return done


def laws_hold(done: subprocess.CompletedProcess[str], names: int) -> dict[str, float]:
    assert (done.returncode, done.stderr) == (0, "")
    said = {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}
    assert said["names"] == names
    assert all(said[counter] for counter in COUNTERS), said
    return said


def test_no_reader_sees_a_name_half_or_wrong_under_a_race_detector(tmp_path: Path) -> None:
    """Threads, so that every access to the index is seen."""
    laws_hold(run(build(tmp_path, DETECTOR), "threads", 8, 300, 100), 30_302)


def test_a_million_names_are_entered_under_the_eyes_of_eight_processes(tmp_path: Path) -> None:
    """Each maps the file for itself, where it is free; it grows from 8 MiB to a quarter of a GiB under them."""
    said = laws_hold(run(build(tmp_path, ("-O2",)), "processes", 8, 10_000, 100), 1_010_002)
    assert said["probes"] < 1.6, "cells that a hit looks at: the hash spreads names that differ in some digits"
    assert said["bytes_each"] < 280, "bytes for a name of 35: entry, inode, child and its part of the tables"


@pytest.mark.parametrize("flags", [DETECTOR, ("-O2",)], ids=["detector", "fast"])
def test_a_window_that_is_narrowed_while_it_is_used_is_never_overstepped(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    done = run(build(tmp_path, flags), "window", 3000)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout.split()[-1]) > 0, "the writer was never refused: they did not meet"


@pytest.mark.long
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("way", ["threads", "processes"])
def test_a_million_names_are_entered_under_a_race_detector(way: str, tmp_path: Path) -> None:
    laws_hold(run(build(tmp_path, DETECTOR), way, 8, 10_000, 100, timeout=900), 1_010_002)


# That this would notice.


def spoilt(place: Path, file: str, before: str, after: str) -> Path:
    """A copy of the sources with one mistake."""
    for source in ("tests/races", "vfs/index"):
        shutil.copytree(PROJECT / source, place / source, ignore=shutil.ignore_patterns("*.py", "*.so", "__pycache__"))
    text = (place / file).read_text()
    assert before in text, f"{file} has changed: {before!r} is not there any more"
    (place / file).write_text(text.replace(before, after))
    return place


def test_the_detector_notices_a_name_that_is_published_without_a_release(tmp_path: Path) -> None:
    project = spoilt(
        tmp_path,
        "vfs/index/writer.c",
        "__atomic_store_n(&table->cells[i], CELL(hash, offset), __ATOMIC_RELEASE)",
        "__atomic_store_n(&table->cells[i], CELL(hash, offset), __ATOMIC_RELAXED)",
    )
    done = run(build(tmp_path, DETECTOR, project), "threads", 4, 50, 50)
    assert done.returncode != 0
    assert "data race" in done.stderr


COMPLETE = "    u32 complete = LOAD(dir->flags) & INODE_COMPLETE;\n"
LOOKED_UP = "    const struct entry *entry = find_entry(index, name);\n"


def test_the_laws_notice_completeness_that_is_read_after_the_name(tmp_path: Path) -> None:
    """No data race, and yet wrong: a name that is entered in between would be called missing."""
    project = spoilt(tmp_path, "vfs/index/lookup.h", COMPLETE + LOOKED_UP, LOOKED_UP + COMPLETE)
    program = build(tmp_path, ("-O2",), project)
    said = ""
    for _ in range(8):  # it takes a reader that is stopped between two instructions
        said += run(program, "processes", 8, 20_000, 17).stderr
        if "broken" in said:
            break
    assert "broken" in said


def test_the_laws_notice_a_window_that_is_looked_at_before_it_is_taken(tmp_path: Path) -> None:
    before = "    if (end <= __atomic_load_n(&header->window, __ATOMIC_SEQ_CST))\n        return 1;\n"
    taken = "    __atomic_store_n(&header->used, end, __ATOMIC_SEQ_CST);\n"
    looked = (
        "    if (end <= __atomic_load_n(&header->window, __ATOMIC_SEQ_CST)) {\n    "
        + taken
        + "        return 1;\n    }\n"
    )
    program = build(tmp_path, ("-O2",), spoilt(tmp_path, "vfs/index/window.h", taken + before, looked))
    assert "no more is used than there is" in run(program, "window", 100_000).stderr
