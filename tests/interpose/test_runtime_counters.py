"""What has been answered once is answered in the program itself: counted in questions, never in seconds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from tests.helpers.guests import Guests
from tests.helpers.oracle import HOST, MOUNT, Host, Oracle

Count = Callable[..., dict[str, int]]


@pytest.fixture
def count(oracle: Oracle, host: Host, guests: Guests) -> Count:
    """Questions by call that a script of calls costs, done `times` times in processes after each other."""

    def run(script: Sequence[str], times: int = 1) -> dict[str, int]:
        before, after = asked([], times), asked(script, times)
        assert all(after.get(name, 0) >= number for name, number in before.items())
        return {name: number - before.get(name, 0) for name, number in after.items() if number > before.get(name, 0)}

    def asked(script: Sequence[str], times: int) -> dict[str, int]:
        path, stats = oracle.place / "script", oracle.place / "stats"
        path.write_text("\n".join(script) + "\n")
        program = " ; ".join([f"{guests.path('call_script', static=True)} {path}"] * times)
        text = oracle.interposed(["/bin/sh", "-c", program], user=False, flags=[f"--stats={stats}"], host=host)
        assert text.count("end\n") == times, text
        questions: dict[str, int] = json.loads(stats.read_text())["questions"]
        return questions

    return run


def test_the_same_question_is_asked_once(count: Count) -> None:
    once = [f"6 s{MOUNT}/file t"]
    assert count(once) == {"lstat": 1}
    assert count(once * 200) == {"lstat": 1}


def test_an_object_found_by_one_call_needs_no_question_from_another(count: Count) -> None:
    calls = [f"4 s{MOUNT}/file t", f"21 s{MOUNT}/file i4"]
    calls += [f"262 i-100 s{MOUNT}/file t i0", f"332 i-100 s{MOUNT}/file i0 i2047 x"]
    calls += [f"89 s{MOUNT}/file b64 i64", f"137 s{MOUNT}/file f", f"6 s{MOUNT}/file t", f"269 i-100 s{MOUNT}/file i0"]
    assert count(calls * 10) == {"stat": 1}


def test_a_second_process_asks_nothing_again(count: Count) -> None:
    script = [f"4 s{MOUNT}/file t", f"257 i-100 s{MOUNT}/file i0 i0", f"4 s{MOUNT}/no-such t"]
    assert count(script, times=3) == count(script) != {}


def test_a_file_is_opened_with_one_question_however_often(count: Count) -> None:
    assert count([f"257 i-100 s{MOUNT}/file i0 i0"] * 100) == {"openat": 1}


def test_missing_names_in_a_directory_that_is_known_cost_nothing(count: Count) -> None:
    first = [f"4 s{MOUNT}/dir/other t"]
    missing = [f"{number} s{MOUNT}/dir/missing-{i} t" for i in range(200) for number in (4, 6)]
    missing += [f"257 i-100 s{MOUNT}/dir/missing-{i} i0 i0" for i in range(200)]
    missing += [f"21 s{MOUNT}/dir/missing-{i} i0" for i in range(200)]
    assert count([*first, *missing]) == count(first) == {"stat": 1}


def test_a_listing_is_asked_for_once_and_makes_its_names_known(count: Count) -> None:
    listing = ["reset", f"d=257 i-100 s{MOUNT}/dir i0200000 i0", "217 @d g131072 i131072", "217 @d g131072 i131072"]
    looks = [f"6 s{MOUNT}/dir/{name} t" for name in ("other", "hard", "no-such")]
    looks += [f"262 @d s{name} t i256" for name in ("other", "hard", "no-such")]
    assert sum(count([*listing * 5, *looks * 20]).values()) <= 2
    assert count([*listing * 5, *looks * 20]) == count(listing)


def test_paths_of_the_host_are_never_asked_about(count: Count) -> None:
    paths = ["/etc/passwd", "/etc", "/etc/passwd/x", "/no/such/file", "/etc/no-such", "etc/passwd", "no-such"]
    paths += ["/proc/self/status", "/usr/lib/../bin/env"]
    script = [f"{number} s{path} t" for path in paths for number in (4, 6)]
    script += [f"257 i-100 s{path} i0 i0" for path in paths] + [f"89 s{path} b64 i64" for path in paths]
    script += [f"21 s{path} i4" for path in paths] + [
        "80 s/usr",
        "4 slib/no-such t",
        "6 s../etc/passwd t",
        "79 b64 i64",
    ]
    assert count(script) == {}


def test_a_link_of_the_host_that_is_not_followed_is_never_asked_about(count: Count) -> None:
    """Also where the host has a /cvmfs, and what is followed could lead there."""
    looks = []
    for path in (f"{HOST}/real-link", f"{HOST}/into", f"{HOST}/dangling", f"{HOST}/circle", "totop", "./relative"):
        looks += [f"6 s{path} t", f"89 s{path} b64 i64", f"262 i-100 s{path} t i256", f"192 s{path} suser.none x i0"]
        looks += [f"257 i-100 s{path} i{flags} i0" for flags in (0o400000, 0o10400000)]
    assert count([f"80 s{HOST}", *looks * 2]) == count([f"80 s{HOST}"])


#: Ways to write what is missing, with directories in front of it, behind a link of the host.
GONE = ("gone/x", "gone/x/y", "gone/z/../x", "gone/.", "gone//x/", "there/gone/x", "there/../gone/x")


def test_what_is_missing_behind_a_link_of_the_host_is_asked_about_once(count: Count, host: Host) -> None:
    """What is written down is which name to ask the kernel about, so it serves for all that would come after it."""
    if host == "decoy":
        pytest.skip("where the host has a /cvmfs the kernel is not believed")
    begin = [f"83 s{HOST}/there i511", f"88 s. s{HOST}/turn"]
    touch = [f"4 s{HOST}/turn/{path}/first t" for path in ("gone", "there/gone", "there/../gone")]
    looks = [f"{number} s{HOST}/turn/{path} t" for path in GONE for number in (4, 6)]
    looks += [f"257 i-100 s{HOST}/turn/{path} i0 i0" for path in GONE]
    looks += [f"{number} s{HOST}/turn/{path} i0 i0" for path in GONE for number in (21, 59)]
    looks += [f"89 s{HOST}/turn/{path} b64 i64" for path in GONE]
    assert sum(count([*begin, *touch]).values()) == len(touch)
    assert count([*begin, *touch, *looks * 10]) == count([*begin, *touch])
    assert count([*begin, *touch, *looks], times=3) == count([*begin, *touch])


def test_what_is_relative_to_a_virtual_directory_is_known_too(count: Count) -> None:
    script = [f"80 s{MOUNT}/dir", "4 sother t"]
    again = ["6 sother t", "4 sno-such t", "262 i-100 shard t i0", "79 b4096 i4096"]
    assert count([*script, *again * 50]) == count(script)


def test_a_directory_that_is_walked_costs_one_question(count: Count) -> None:
    """Opening says what is in it; what is in it is known by name, relative to the descriptor too."""
    walked = []
    for path in ("many", "dir", "dir/sub", "dir/sub/deep"):
        walked += [
            "reset",
            f"d=257 i-100 s{MOUNT}/{path} i0200000 i0",
            "217 @d g131072 i131072",
            "217 @d g131072 i131072",
        ]
        walked += ["262 @d sother t i256", "262 @d sfile t i256", "262 @d ssub t i256", "3 @d"]
    assert sum(count(walked).values()) == 4
    assert sum(count(walked * 3).values()) == 4


#: Ways to write what is missing, below directories that have been touched.
MISSING = ("missing", "missing/x", "dir/missing/x/", "dir/../missing", "missing/../file", "dir//missing",
           "dirlink/missing", "self/missing", "dangling", "dangling/x", "file/x", "file/", "file/..", "dir/back/x",
           "loop", "through", "dir/sub/far/missing")  # fmt: skip


def test_a_miss_costs_nothing_where_the_directories_have_been_touched(count: Count) -> None:
    touch = [f"4 s{MOUNT}/{path}/not-there t" for path in (".", "dir", "dir/sub", "dir/sub/deep")]
    assert sum(count(touch).values()) == 4
    missing = [f"{number} s{MOUNT}/{path} t" for path in MISSING for number in (4, 6)]
    missing += [f"257 i-100 s{MOUNT}/{path} i0 i0" for path in MISSING]
    missing += [f"21 s{MOUNT}/{path} i4" for path in MISSING]
    missing += [f"332 i-100 s{MOUNT}/{path} i0 i2047 x" for path in MISSING]
    assert count([*touch, *missing * 2]) == count(touch)


def test_a_miss_relative_to_a_virtual_directory_costs_nothing(count: Count) -> None:
    touch = [f"4 s{MOUNT}/{path}/not-there t" for path in (".", "dir", "dir/sub", "dir/sub/deep")]
    start = [*touch, f"80 s{MOUNT}", "reset", f"d=257 i-100 s{MOUNT}/dir/sub i0200000 i0"]
    missing = [f"{number} s{path} t" for path in MISSING for number in (4, 6)]
    missing += [f"262 @d s../../{path} t i0" for path in MISSING]
    missing += [f"257 @d s../../{path} i0 i0" for path in MISSING] + [f"269 i-100 s{path} i0" for path in MISSING]
    assert count([*start, *missing * 2]) == count(start)
