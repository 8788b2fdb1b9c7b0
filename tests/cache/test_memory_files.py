"""Memory files: made once, filled right, joined, pinned, evicted, closed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from hepwrap.cache.budget import FixedBudget
from hepwrap.cache.memory import MemoryFile, MemoryFiles, Part
from hepwrap.cache.objects import Objects
from hepwrap.errors import CorruptObject, FetchFailed, MissingObject, Unsupported
from hepwrap.records import replace
from tests.helpers.memory_fetcher import MemoryFetcher
from tests.helpers.stores import open_files
from tests.helpers.threads import Together, wait_until

LIMIT = 1 << 30

MakeStore = Callable[..., Any]


def content_of(file: MemoryFile) -> bytes:
    return os.pread(file.fd, file.size + 10, 0)


def test_a_file_of_one_object_has_its_content(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"content")
    file = store.open("a")
    assert content_of(file) == b"content"
    assert (file.key, file.size) == ("a", 7)


def test_an_empty_file_needs_no_fetch(make_store: MakeStore) -> None:
    store = make_store()
    store.put("empty", b"")
    file = store.open("empty")
    assert (file.size, os.fstat(file.fd).st_size) == (0, 0)
    assert not store.fetcher.asked


def test_a_file_of_many_parts_is_put_together_in_order(make_store: MakeStore) -> None:
    store = make_store()
    content = bytes(range(256)) * 100
    store.put("a", content, [100] * 256)
    assert content_of(store.open("a")) == content


def test_parts_are_fetched_side_by_side(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", bytes(range(100)), [10] * 10)
    store.fetcher.hold()
    asker = Together([lambda: store.open("a")])
    store.fetcher.wait_in_flight(8)
    store.fetcher.release()
    assert content_of(asker.results()[0]) == bytes(range(100))
    assert store.fetcher.most_in_flight == 8


def test_every_asker_gets_on_though_all_helpers_are_busy(make_store: MakeStore) -> None:
    store = make_store()
    for number in range(40):
        store.put(f"k{number}", b"%03d" % number * 4, [3] * 4)
    store.fetcher.hold()
    askers = Together([lambda key=f"k{number}": store.open(key) for number in range(40)])
    store.fetcher.wait_in_flight(40)
    store.fetcher.release()
    assert [content_of(file) for file in askers.results()] == [b"%03d" % number * 4 for number in range(40)]


def test_a_second_open_finds_the_file(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"content")
    assert store.open("a") is store.open("a")
    assert store.fetches("a") == 1
    assert (store.files.counters.made, store.files.counters.hits) == (1, 1)


def test_equal_content_under_two_keys_is_two_files(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"content")
    store.put("b", b"content")
    first, second = store.open("a"), store.open("b")
    assert (first.device, first.inode) != (second.device, second.inode)


def test_simultaneous_askers_of_one_key_get_one_file(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"content")
    store.fetcher.hold()
    askers = Together([lambda: store.open("a")] * 50)
    wait_until(lambda: store.files.counters.joined == 49)
    store.fetcher.release()
    assert len({id(file) for file in askers.results()}) == 1
    assert store.fetches("a") == 1
    assert store.files.counters.made == 1


def test_two_keys_with_the_same_object_share_a_fetch_in_flight(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"content")
    store.put("b", b"content")
    store.fetcher.hold()
    askers = Together([lambda key=key: store.open(key) for key in "ab"])
    wait_until(lambda: store.objects.counters.joined == 1)
    store.fetcher.release()
    assert [content_of(file) for file in askers.results()] == [b"content"] * 2
    assert store.fetches("a") == 1


def test_64_different_files_are_in_flight_at_once(make_store: MakeStore) -> None:
    store = make_store()
    for number in range(64):
        store.put(f"k{number}", b"content %d" % number)
    store.fetcher.hold()
    askers = Together([lambda key=f"k{number}": store.open(key) for number in range(64)])
    store.fetcher.wait_in_flight(64)
    store.fetcher.release()
    assert [content_of(file) for file in askers.results()] == [b"content %d" % number for number in range(64)]


# Errors.


@pytest.mark.parametrize(
    "spoil",
    [
        lambda parts: parts[1:],
        lambda parts: parts[:-1],
        lambda parts: parts[:1] + parts[2:],
        lambda parts: [parts[0], parts[0], *parts[1:]],
        lambda parts: [parts[1], parts[0], parts[2]],
        lambda parts: [replace(parts[0], offset=-1), *parts[1:]],
        lambda parts: [parts[0], replace(parts[1], offset=3), parts[2]],
        lambda parts: [parts[0], replace(parts[1], size=5), parts[2]],
        lambda parts: [*parts, replace(parts[2], offset=12, size=0)],
        lambda parts: [*parts, replace(parts[2], offset=12)],
        lambda _parts: [],
    ],
    ids=["no first", "no last", "hole", "twice", "order", "negative", "overlap", "size", "nothing", "surplus", "empty"],
)
def test_parts_that_do_not_make_the_file_are_corrupt_and_unfetched(
    make_store: MakeStore, spoil: Callable[[list[Part]], list[Part]]
) -> None:
    store = make_store()
    store.put("a", b"content here", [4, 4, 4])
    store.parts["a"] = spoil(store.parts["a"])
    with pytest.raises(CorruptObject, match=r"^a: its .*part"):
        store.open("a")
    assert not store.fetcher.asked


def test_a_part_whose_object_is_of_another_size_is_corrupt(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"content")
    (part,) = store.parts["a"]
    store.parts["a"] = [Part(replace(part.ref, size=None), 0, 9)]
    store.sizes["a"] = 9
    with pytest.raises(CorruptObject, match="promises 9"):
        store.open("a")


def test_a_file_over_the_limit_is_refused(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"content")
    with pytest.raises(FetchFailed, match="7 bytes, more than the 6"):
        store.files.open("a", size=7, parts=store.parts["a"], fetcher=store.fetcher, limit=6)


@pytest.mark.parametrize("bad", [0, 3, 9])
def test_one_bad_part_fails_the_file_and_nothing_of_it_stays(make_store: MakeStore, bad: int) -> None:
    store = make_store()
    store.put("a", bytes(range(100)), [10] * 10)
    store.fetcher.files[store.parts["a"][bad].ref.name] = b"damaged"
    with pytest.raises(CorruptObject, match="have the digest"):
        store.open("a")
    assert store.files.peek("a") is None
    assert store.files.counters.bytes_held == 0
    assert store.files.counters.failed == 1


def test_a_failed_file_is_tried_again_by_the_next_asker(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"content")
    store.fetcher.fail(store.parts["a"][0].ref.name, FetchFailed("no server answers"))
    with pytest.raises(FetchFailed):
        store.open("a")
    assert content_of(store.open("a")) == b"content"


def test_joined_askers_share_the_error(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"content")
    store.fetcher.fail(store.parts["a"][0].ref.name, MissingObject("gone"))
    store.fetcher.hold()
    askers = Together([lambda: store.open("a")] * 10)
    wait_until(lambda: store.files.counters.joined == 9)
    store.fetcher.release()
    assert [type(outcome) for outcome in askers.outcomes()] == [MissingObject] * 10
    assert store.fetches("a") == 1


def test_an_unknown_compression_is_unsupported(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", b"content")
    (part,) = store.parts["a"]
    store.parts["a"] = [replace(part, ref=replace(part.ref, compression="code 5"))]
    with pytest.raises(Unsupported, match="'code 5'"):
        store.open("a")


def test_failures_leave_no_descriptor(make_store: MakeStore) -> None:
    store = make_store()
    store.put("a", bytes(range(100)), [10] * 10)
    good = dict(store.fetcher.files)
    before = open_files()
    for part in store.parts["a"]:
        store.fetcher.files = {**good, part.ref.name: b"damaged"}
        with pytest.raises(CorruptObject):
            store.open("a")
    assert open_files() == before


# Eviction, as the owner of an index sees it.


def test_the_descriptor_is_still_good_when_eviction_is_told(make_store: MakeStore) -> None:
    seen: list[tuple[str, bytes]] = []
    store = make_store(10, on_evict=lambda file: seen.append((file.key, content_of(file))))
    store.put("a", b"0123456789")
    store.put("b", b"9876543210")
    store.open("a")
    store.open("b")
    assert seen == [("a", b"0123456789")]
    store.files.close()
    assert seen == [("a", b"0123456789"), ("b", b"9876543210")]


def test_the_evicted_file_can_not_be_found_when_eviction_is_told(make_store: MakeStore) -> None:
    found: list[MemoryFile | None] = []
    store = make_store(10, on_evict=lambda file: found.append(store.files.peek(file.key)))
    store.put("a", b"0123456789")
    store.put("b", b"9876543210")
    store.open("a")
    store.open("b")
    assert found == [None]


def test_eviction_is_told_without_any_lock_held(make_store: MakeStore) -> None:
    answers: list[str] = []

    def ask_from_another_thread(_file: MemoryFile) -> None:
        if not answers:
            found = Together([lambda: store.open("kept"), lambda: store.files.peek("kept")]).results()
            answers.extend(file.key for file in found)

    store = make_store(20, on_evict=ask_from_another_thread)
    for key in ("kept", "a", "b"):
        store.put(key, key.encode().ljust(10, b"."))
    store.open("kept")
    store.files.pin("kept")
    store.open("a")
    assert content_of(store.open("b")) == b"b........."
    assert answers == ["kept", "kept"]


def test_an_error_of_the_index_reaches_the_asker_and_leaks_nothing(make_store: MakeStore) -> None:
    def refuse(_file: MemoryFile) -> None:
        raise RuntimeError("the index is broken")

    store = make_store(10, on_evict=refuse)
    before = open_files()
    store.put("a", b"0123456789")
    store.put("b", b"9876543210")
    store.open("a")
    with pytest.raises(RuntimeError, match="index is broken"):
        store.open("b")
    assert open_files() == before
    assert store.files.counters.bytes_held == 0


def test_who_has_an_evicted_file_open_reads_on(make_store: MakeStore) -> None:
    store = make_store(100)
    store.put("a", b"0123456789" * 10)
    store.put("b", b"9876543210" * 10)
    file = store.open("a")
    opened = os.open(f"/proc/{os.getpid()}/fd/{file.fd}", os.O_RDONLY)
    store.open("b")
    assert store.held() == {"b"}
    assert os.pread(opened, 200, 0) == b"0123456789" * 10
    os.close(opened)


def test_an_evicted_file_comes_back_as_another_one(make_store: MakeStore) -> None:
    store = make_store(10)
    store.put("a", b"0123456789")
    store.put("b", b"9876543210")
    first = store.open("a")
    store.open("b")
    again = store.open("a")
    assert again is not first
    assert content_of(again) == b"0123456789"
    assert store.fetches("a") == 2


# Pins.


def test_a_pinned_file_stays(make_store: MakeStore) -> None:
    store = make_store(20)
    for key in "abc":
        store.put(key, key.encode() * 10)
    store.open("a", pinned=True)
    store.open("b")
    store.open("c")
    assert store.held() == {"a", "c"}
    store.files.unpin("a")
    store.open("b")
    assert store.held() == {"b", "c"}


def test_a_file_pinned_twice_is_unpinned_twice(make_store: MakeStore) -> None:
    store = make_store(10)
    store.put("a", b"0123456789")
    store.put("b", b"9876543210")
    store.open("a", pinned=True)
    assert store.files.pin("a") is store.files.peek("a")
    store.files.unpin("a")
    store.open("b")
    assert store.held() == {"a", "b"}
    store.files.unpin("a")
    with pytest.raises(ValueError, match="more often"):
        store.files.unpin("a")


def test_what_is_not_there_can_not_be_pinned(make_store: MakeStore) -> None:
    store = make_store()
    assert store.files.pin("nothing") is None
    assert store.files.peek("nothing") is None


def test_everything_pinned_does_not_stop_others(make_store: MakeStore) -> None:
    store = make_store(20)
    for key in "abcd":
        store.put(key, key.encode() * 10)
    for key in "abcd":
        store.open(key, pinned=True)
    assert store.held() == set("abcd")


def test_a_pinned_open_is_pinned_for_every_asker_under_thrashing(make_store: MakeStore) -> None:
    store = make_store(30)
    for number in range(8):
        store.put(f"{number}k", b"%dk" % number * 5)

    def use(key: str) -> bytes:
        file = store.open(key, pinned=True)
        try:
            return content_of(file)
        finally:
            store.files.unpin(key)

    keys = [f"{number % 8}k" for number in range(32)]
    askers = Together([lambda key=key: [use(key) for _ in range(20)] for key in keys])
    assert askers.results() == [[key.encode() * 5] * 20 for key in keys]
    store.files.trim()
    assert store.files.counters.bytes_held <= 30


# The end.


def test_close_evicts_everything_and_refuses_what_comes_after(make_store: MakeStore) -> None:
    store = make_store()
    before = open_files()
    for key in "abc":
        store.put(key, key.encode())
        store.open(key, pinned=True)
    store.files.close()
    assert sorted(file.key for file in store.evicted) == ["a", "b", "c"]
    assert open_files() == before
    with pytest.raises(FetchFailed, match="closed"):
        store.open("a")
    store.files.unpin("a")
    store.files.close()
    assert len(store.evicted) == 3


def test_a_file_being_made_at_the_end_is_dropped(make_store: MakeStore) -> None:
    store = make_store()
    before = open_files()
    store.put("a", b"content")
    store.fetcher.hold()
    asker = Together([lambda: store.open("a")])
    store.fetcher.wait_in_flight(1)
    store.files.close()
    store.fetcher.release()
    (outcome,) = asker.outcomes()
    assert isinstance(outcome, FetchFailed)
    assert open_files() == before


def test_a_name_is_optional() -> None:
    fetcher = MemoryFetcher()
    files = MemoryFiles(Objects(), budget=FixedBudget(100, 100), on_evict=lambda _file: None)
    ref = fetcher.put(b"content")
    file = files.open(("any", 1), size=7, parts=[Part(ref, 0, 7)], fetcher=fetcher, limit=LIMIT)
    assert os.readlink(f"/proc/self/fd/{file.fd}").startswith("/memfd:hepwrap")
    files.close()


def test_a_file_that_is_written_is_like_any_other(make_store: MakeStore) -> None:
    """Counted, joined, evicted, and made anew when it is asked for again."""
    store = make_store(bytes=100)
    written: list[int] = []

    def write(fd: int) -> None:
        written.append(os.pwrite(fd, b"w" * 60, 0))

    file = store.files.write("written", size=60, write=write)
    assert store.files.write("written", size=60, write=write) is file
    assert (os.pread(file.fd, 100, 0), os.fstat(file.fd).st_mode & 0o777) == (b"w" * 60, 0o555)
    store.put("other", b"o" * 50)
    store.open("other")
    assert ([file.key for file in store.evicted], store.files.counters.bytes_held) == (["written"], 50)
    store.files.write("written", size=60, write=write)
    assert written == [60, 60]


def test_a_writer_that_fails_leaves_nothing(make_store: MakeStore) -> None:
    store = make_store()

    def fail(fd: int) -> None:
        raise EOFError("no more")

    before = open_files()
    with pytest.raises(EOFError, match="no more"):
        store.files.write("written", size=60, write=fail)
    assert open_files() == before
    assert (store.files.peek("written"), store.files.counters.failed) == (None, 1)
