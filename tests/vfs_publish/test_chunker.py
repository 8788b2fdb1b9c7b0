"""Cutting: nothing is lost, sizes are kept, and cuts depend on the content around them only."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepwrap.errors import UsageError
from hepwrap.vfs.publish.chunker import ChunkSizes, cut_stream
from tests.vfs_publish.conftest import Place

SIZES = ChunkSizes(minimum=1024, average=2048, maximum=4096)


def cut(data: bytes, sizes: ChunkSizes = SIZES) -> list[bytes]:
    return list(cut_stream(io.BytesIO(data).read, sizes))


def words(seed: int, size: int) -> bytes:
    """Text, which has far less entropy than random bytes."""
    randomness = random.Random(seed)
    vocabulary = [randomness.randbytes(randomness.randrange(2, 9)).hex().encode() for _ in range(500)]
    return b" ".join(randomness.choices(vocabulary, k=size // 6))[:size]


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@settings(deadline=None)
@given(data=st.binary(max_size=3000), low=st.integers(1, 64), middle=st.integers(0, 64), high=st.integers(0, 200))
def test_chunks_joined_are_the_file_and_keep_their_sizes(data: bytes, low: int, middle: int, high: int) -> None:
    sizes = ChunkSizes(low, low + middle, low + middle + high)
    chunks = cut(data, sizes)
    assert b"".join(chunks) == data
    assert all(sizes.minimum <= len(chunk) <= sizes.maximum for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= sizes.maximum for chunk in chunks)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), pieces=st.lists(st.integers(1, 5000), min_size=1, max_size=20))
def test_cuts_do_not_depend_on_how_reads_are_split(seed: int, pieces: list[int]) -> None:
    data = noise(seed, 50_000)
    stream = io.BytesIO(data)
    state = {"turn": 0}

    def read(size: int) -> bytes:
        state["turn"] += 1
        return stream.read(min(size, pieces[state["turn"] % len(pieces)]))

    assert list(cut_stream(read, SIZES)) == cut(data)


@pytest.mark.parametrize("kind", [noise, words])
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), inserted=st.binary(min_size=1, max_size=50), where=st.floats(0, 1))
def test_an_insertion_changes_few_chunks(
    kind: Callable[[int, int], bytes], seed: int, inserted: bytes, where: float
) -> None:
    data = kind(seed, 200_000)
    before = cut(data)
    place = int(where * len(data))
    for changed in (data[:place] + inserted + data[place:], inserted + data):
        new = set(cut(changed)) - set(before)
        assert len(before) > 60
        assert len(new) <= 12


@pytest.mark.parametrize("kind", [noise, words])
def test_the_average_is_near_what_was_asked_for(kind: Callable[[int, int], bytes]) -> None:
    chunks = cut(kind(3, 2_000_000))
    assert 0.8 < 2_000_000 / len(chunks) / SIZES.average < 1.25


def test_zeros_are_cut_at_the_maximum() -> None:
    assert {len(chunk) for chunk in cut(bytes(40_960))} == {4096}


def test_a_file_up_to_the_average_is_not_cut() -> None:
    assert len(cut(noise(1, 2048))) == 1
    assert len(cut(b"")) == 0


@pytest.mark.parametrize("sizes", [(0, 1, 2), (2, 1, 3), (1, 3, 2), (-1, 1, 1)])
def test_sizes_out_of_order_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="must be positive and in this order"):
        ChunkSizes(*sizes)


def test_defaults_are_those_of_the_format() -> None:
    assert ChunkSizes() == ChunkSizes(4 << 20, 8 << 20, 16 << 20)


def test_an_insertion_into_a_large_file_publishes_few_new_chunks(place: Place) -> None:
    data = os.urandom(1_000_000)
    place.write("large", data)
    first = place.publish()
    place.write("large", b"!" + data)
    second = place.publish()
    assert first.new_objects > 80
    assert 1 <= second.new_objects <= 4
    assert place.read().entries[b"/large"].content == b"!" + data


def test_a_sparse_file_costs_one_chunk_of_zeros(place: Place) -> None:
    with (place.tree / "sparse").open("wb") as file:
        file.truncate(64 * 16384)
    report = place.publish()
    assert (report.new_objects, report.reused_objects) == (1, 63)
    assert place.read().entries[b"/sparse"].content == bytes(64 * 16384)
