"""What every fetcher must do.  A test class derives from FetcherContract and says how its kind of place is made.

class TestMine(FetcherContract):
    def place(self, directory): ...      # a server address that gives out the files of `directory`
    def dead(self): ...                  # an address where nobody answers
    def open(self, *servers): ...        # the fetcher
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hepwrap.errors import CorruptObject, FetchFailed, MissingObject, Untrusted
from hepwrap.fetchers.fetcher import Fetcher

LIMIT = 1 << 20
NAME = "data/ab/cdef0123456789"
GOOD = b"the right bytes" * 100
BAD = b"the wrong bytes" * 100

LEAVING = [
    "",
    "/etc/passwd",
    "..",
    "../secret",
    "data/../../secret",
    "data/..",
    "./data",
    "data//ab",
    "data/",
    "data/ab\n",
    "data/%2e%2e/secret",
    "data/ab?x",
    "data/ab#x",
    "data\\..\\secret",
    "data/\0",
    "http://elsewhere/data",
    "a/" * 20 + "a",
    "x" * 300,
]


def must_be_good(body: bytes) -> None:
    """A check, as whoever asks hands it in."""
    if body != GOOD:
        raise CorruptObject(f"{body[:15]!r} is not what was asked for")


def put(directory: Path, body: bytes, name: str = NAME) -> Path:
    """`directory` with one file."""
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(body)
    return directory


class FetcherContract:
    def place(self, directory: Path) -> str:
        raise NotImplementedError

    def dead(self) -> str:
        raise NotImplementedError

    def open(self, *servers: str) -> Fetcher:
        raise NotImplementedError

    @pytest.fixture
    def good(self, tmp_path: Path) -> Iterator[Fetcher]:
        fetcher = self.open(self.place(put(tmp_path / "good", GOOD)))
        yield fetcher
        fetcher.close()

    def test_bytes_come_as_they_are_stored(self, good: Fetcher) -> None:
        assert good.fetch(NAME, limit=LIMIT) == GOOD

    def test_an_empty_file_is_empty_bytes(self, tmp_path: Path) -> None:
        fetcher = self.open(self.place(put(tmp_path / "empty", b"")))
        assert fetcher.fetch(NAME, limit=0) == b""

    def test_a_name_that_begins_with_a_dot_is_served(self, tmp_path: Path) -> None:
        fetcher = self.open(self.place(put(tmp_path / "dot", GOOD, ".cvmfspublished")))
        assert fetcher.fetch(".cvmfspublished", limit=LIMIT, fresh=True) == GOOD

    def test_what_no_place_has_is_missing(self, good: Fetcher) -> None:
        with pytest.raises(MissingObject, match="data/00/nothing"):
            good.fetch("data/00/nothing", limit=LIMIT)
        assert good.counters.failures == 0

    def test_a_directory_is_not_an_object(self, good: Fetcher) -> None:
        with pytest.raises(FetchFailed):
            good.fetch("data/ab", limit=LIMIT)

    def test_exactly_the_limit_is_allowed(self, good: Fetcher) -> None:
        assert good.fetch(NAME, limit=len(GOOD)) == GOOD

    def test_one_byte_over_the_limit_is_failed_and_not_missing(self, good: Fetcher) -> None:
        with pytest.raises(FetchFailed, match="allowed") as caught:
            good.fetch(NAME, limit=len(GOOD) - 1)
        assert not isinstance(caught.value, MissingObject)

    @pytest.mark.parametrize("name", LEAVING)
    def test_a_name_that_leaves_the_base_is_refused_without_asking(self, good: Fetcher, name: str) -> None:
        with pytest.raises(FetchFailed, match="not a name") as caught:
            good.fetch(name, limit=LIMIT)
        assert not isinstance(caught.value, MissingObject)
        assert good.counters.requests == 0

    def test_right_bytes_are_checked_once(self, good: Fetcher) -> None:
        seen: list[bytes] = []
        assert good.fetch(NAME, limit=LIMIT, check=seen.append) == GOOD
        assert seen == [GOOD]

    def test_wrong_bytes_are_asked_for_once_more_and_then_untrusted(self, tmp_path: Path) -> None:
        fetcher = self.open(self.place(put(tmp_path / "bad", BAD)))
        with pytest.raises(Untrusted, match="the wrong bytes"):
            fetcher.fetch(NAME, limit=LIMIT, check=must_be_good)
        assert (fetcher.counters.requests, fetcher.counters.corrupt) == (2, 2)

    def test_bytes_that_are_right_the_second_time_are_taken(self, good: Fetcher) -> None:
        tries: list[bytes] = []

        def only_the_second(body: bytes) -> None:
            tries.append(body)
            if len(tries) == 1:
                raise CorruptObject("the first time")

        assert good.fetch(NAME, limit=LIMIT, check=only_the_second) == GOOD
        assert (good.counters.requests, good.counters.corrupt) == (2, 1)

    def test_wrong_bytes_lead_to_the_next_place(self, tmp_path: Path) -> None:
        bad, good = (self.place(put(tmp_path / kind, body)) for kind, body in (("bad", BAD), ("good", GOOD)))
        fetcher = self.open(bad, good)
        assert fetcher.fetch(NAME, limit=LIMIT, check=must_be_good) == GOOD
        assert fetcher.counters.requests == 3

    def test_wrong_bytes_everywhere_raise_the_last_untrusted(self, tmp_path: Path) -> None:
        places = [self.place(put(tmp_path / kind, kind.encode() * 9)) for kind in ("first", "second")]
        with pytest.raises(Untrusted, match="second"):
            self.open(*places).fetch(NAME, limit=LIMIT, check=must_be_good)

    def test_untrusted_is_not_hidden_by_a_later_failure(self, tmp_path: Path) -> None:
        fetcher = self.open(self.place(put(tmp_path / "bad", BAD)), self.dead())
        with pytest.raises(Untrusted):
            fetcher.fetch(NAME, limit=LIMIT, check=must_be_good)

    def test_missing_at_one_place_is_found_at_the_next(self, tmp_path: Path) -> None:
        fetcher = self.open(
            self.place(put(tmp_path / "old", GOOD, "data/00/other")), self.place(put(tmp_path / "new", GOOD))
        )
        assert fetcher.fetch(NAME, limit=LIMIT) == GOOD

    def test_missing_at_every_place_is_missing(self, tmp_path: Path) -> None:
        places = [self.place(put(tmp_path / kind, GOOD)) for kind in ("first", "second")]
        with pytest.raises(MissingObject):
            self.open(*places).fetch("data/00/nothing", limit=LIMIT)

    @pytest.mark.parametrize("dead_first", [True, False])
    def test_missing_here_and_failed_there_is_failed(self, tmp_path: Path, dead_first: bool) -> None:
        places = [self.place(put(tmp_path / "good", GOOD)), self.dead()]
        with pytest.raises(FetchFailed) as caught:
            self.open(*(reversed(places) if dead_first else places)).fetch("data/00/nothing", limit=LIMIT)
        assert not isinstance(caught.value, MissingObject)

    def test_a_dead_place_is_failed_and_not_missing(self) -> None:
        fetcher = self.open(self.dead())
        with pytest.raises(FetchFailed) as caught:
            fetcher.fetch(NAME, limit=LIMIT)
        assert not isinstance(caught.value, MissingObject)
        assert fetcher.counters.failures == 1

    def test_a_dead_place_is_left_for_the_next_and_remembered(self, tmp_path: Path) -> None:
        dead, living = self.dead(), self.place(put(tmp_path / "good", GOOD))
        fetcher = self.open(dead, living)
        assert fetcher.describe()["host"] == dead
        assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
        assert fetcher.describe()["host"] == living
        assert fetcher.counters.failovers == 1

    def test_messages_are_one_line_that_names_object_and_repository(self, good: Fetcher) -> None:
        with pytest.raises(MissingObject) as caught:
            good.fetch("data/00/nothing", limit=LIMIT)
        text = str(caught.value)
        assert "\n" not in text
        assert "data/00/nothing" in text
        assert "test.hep.example" in text

    def test_many_threads_may_fetch_at_once_and_no_count_is_lost(self, tmp_path: Path) -> None:
        directory = tmp_path / "many"
        for number in range(40):
            put(directory, b"%d" % number * 1000, f"data/00/{number}")
        fetcher = self.open(self.place(directory))
        with ThreadPoolExecutor(16) as pool:
            bodies = list(pool.map(lambda number: fetcher.fetch(f"data/00/{number % 40}", limit=LIMIT), range(200)))
        assert bodies == [b"%d" % (number % 40) * 1000 for number in range(200)]
        assert fetcher.counters.requests == 200
        assert fetcher.counters.bytes_received == sum(map(len, bodies))
        fetcher.close()

    def test_counters_are_one_account(self, good: Fetcher) -> None:
        account = good.counters
        good.fetch(NAME, limit=LIMIT)
        assert account.bytes_received == len(GOOD)
        assert account.requests == 1
        assert account.seconds > 0

    def test_describe_says_what_the_magic_attributes_show(self, good: Fetcher) -> None:
        texts = good.describe()
        assert set(texts) == {"host", "host_list", "proxy", "proxy_list", "timeout", "timeout_direct"}
        assert all(isinstance(text, str) and text for text in texts.values())

    def test_after_close_everything_is_failed(self, good: Fetcher) -> None:
        good.close()
        good.close()
        with pytest.raises(FetchFailed, match="closed"):
            good.fetch(NAME, limit=LIMIT)
