"""A content that had to give its descriptor away is kept while there is memory, and is not fetched again."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepwrap.cache.aside import EACH, LARGEST, Aside
from hepwrap.errors import FetchFailed

MakeStore = Callable[..., Any]
SIZE = 1000


def fill(store: Any, keys: str, size: int = SIZE) -> None:
    for key in keys:
        store.put(key, key.encode() * size)
        store.open(key)


def content_of(store: Any, key: str) -> bytes:
    return os.pread(store.open(key).fd, store.sizes[key] + 10, 0)


def test_what_left_for_want_of_a_descriptor_is_not_fetched_again(make_store: MakeStore) -> None:
    store = make_store(descriptors=3)
    fill(store, "abcdefgh")
    for key in "abcdefgh" * 3:
        assert content_of(store, key) == key.encode() * SIZE
    assert [store.fetches(key) for key in "abcdefgh"] == [1] * 8
    assert store.files.counters.evicted == store.files.counters.made - 3 == 29
    assert store.files.counters.revived == 24


def test_what_left_for_want_of_memory_is_gone(make_store: MakeStore) -> None:
    store = make_store(3 * SIZE)
    fill(store, "abcd")
    assert content_of(store, "a") == b"a" * SIZE
    assert (store.fetches("a"), store.files.counters.revived) == (2, 0)


def test_files_have_the_memory_before_contents(make_store: MakeStore) -> None:
    """Three descriptors, and memory for three files and one content: a file that needs it all gets it."""
    store = make_store(4 * SIZE + EACH, descriptors=3)
    fill(store, "abcde")
    assert content_of(store, "b") == b"b" * SIZE
    assert store.fetches("b") == 1
    fill(store, "x", 2 * SIZE)
    assert store.held() == {"e", "b", "x"}
    assert content_of(store, "c") == b"c" * SIZE
    assert store.fetches("c") == 2


def test_a_content_that_is_large_is_not_kept(make_store: MakeStore) -> None:
    store = make_store(descriptors=1)
    fill(store, "a", LARGEST)
    fill(store, "b", LARGEST + 1)
    fill(store, "c")
    assert content_of(store, "a") == b"a" * LARGEST
    assert content_of(store, "b") == b"b" * (LARGEST + 1)
    assert [store.fetches(key) for key in "abc"] == [1, 2, 1]


def test_what_others_write_is_written_anew(make_store: MakeStore) -> None:
    store = make_store(descriptors=1)
    for text in (b"first", b"other"):
        file = store.files.write("w", size=5, write=lambda fd, text=text: os.pwrite(fd, text, 0))
        assert os.pread(file.fd, 10, 0) == text
        fill(store, "a")
    assert store.files.counters.revived == 1


def test_nothing_is_kept_once_closed(make_store: MakeStore) -> None:
    store = make_store(descriptors=1)
    fill(store, "ab")
    store.files.close()
    with pytest.raises(FetchFailed):
        store.open("a")


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "take", "shrink"]), st.integers(0, 5), st.integers(0, 2000)), max_size=60
    )
)
def test_no_more_than_the_room_is_ever_taken(steps: list[tuple[str, int, int]]) -> None:
    aside, contents = Aside(), {number: bytes([number]) * number * 100 for number in range(6)}
    for what, key, room in steps:
        if what == "put":
            aside.put(key, contents[key], room)
        elif what == "take":
            assert aside.take(key) in (None, contents[key])
        else:
            aside.shrink(room)
        assert aside.bytes <= room or what == "take"
        kept = [(number, aside.take(number)) for number in range(6)]
        assert aside.bytes == len(aside) == 0
        for number, content in kept:
            if content is not None:
                aside.put(number, content, 1 << 20)
