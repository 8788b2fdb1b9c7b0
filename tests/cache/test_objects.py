"""Objects: nothing that fails a check gets through, and nothing is fetched twice at once."""

from __future__ import annotations

import zlib
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepwrap.cache import inflate
from hepwrap.cache.objects import ObjectRef, Objects
from hepwrap.digest import RMD160, SHA1, SHAKE128, Algorithm, Digest
from hepwrap.errors import CorruptObject, FetchFailed, MissingObject, Unsupported
from tests.helpers.memory_fetcher import MemoryFetcher
from tests.helpers.shared import shared_path
from tests.helpers.threads import Together, wait_until

LIMIT = 1 << 30


def read(fetcher: MemoryFetcher, ref: ObjectRef, limit: int = LIMIT) -> bytes:
    return Objects().read(fetcher, ref, limit=limit)


@pytest.mark.parametrize("algorithm", [SHA1, RMD160, SHAKE128], ids=lambda each: each.name)
@pytest.mark.parametrize("compression", ["zlib", "none"])
def test_content_comes_back(algorithm: Algorithm, compression: str) -> None:
    fetcher = MemoryFetcher()
    content = bytes(range(256)) * 20_000
    ref = fetcher.put(content, compression=compression, algorithm=algorithm, letter="P")
    assert read(fetcher, ref) == content


@given(content=st.binary(max_size=5000), level=st.integers(0, 9), known=st.booleans())
def test_any_zlib_level_comes_back(content: bytes, level: int, known: bool) -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put_stored(zlib.compress(content, level), len(content) if known else None)
    assert read(fetcher, ref) == content


@pytest.mark.parametrize("size", [inflate.PIECE - 1, inflate.PIECE, inflate.PIECE + 1, 3 * inflate.PIECE])
@pytest.mark.parametrize("compression", ["zlib", "none"])
def test_sizes_around_a_piece_come_back(size: int, compression: str) -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put(b"z" * size, compression=compression)
    pieces = [bytes(piece) for piece in Objects().pieces(fetcher, ref, limit=LIMIT)]
    assert b"".join(pieces) == b"z" * size
    assert max(map(len, pieces)) <= inflate.PIECE


def test_the_real_publishers_objects_come_back() -> None:
    store = shared_path("data/test.hep.example/repo/data")
    objects, fetcher, seen = Objects(), MemoryFetcher(), 0
    for file in sorted(store.glob("0*/*")):
        text, letter = (file.name[:-1], file.name[-1]) if file.name[-1].isupper() else (file.name, "")
        stored = file.read_bytes()
        try:
            content = zlib.decompress(stored)
        except zlib.error:
            continue
        ref = ObjectRef(Digest.parse(file.parent.name + text), letter)
        fetcher.files[ref.name] = stored
        assert objects.read(fetcher, ref, limit=LIMIT) == content
        seen += 1
    assert seen > 10


def test_nothing_is_fetched_for_size_zero() -> None:
    fetcher = MemoryFetcher()
    assert read(fetcher, ObjectRef(Digest.of(b"x"), size=0)) == b""
    assert not fetcher.asked


def test_the_empty_object_reads_where_its_size_is_unknown() -> None:
    fetcher = MemoryFetcher()
    assert read(fetcher, fetcher.put_stored(zlib.compress(b""), None)) == b""


# What is refused.


def test_one_flipped_bit_is_corrupt() -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put(b"content")
    stored = bytearray(fetcher.files[ref.name])
    stored[-1] ^= 1
    fetcher.files[ref.name] = bytes(stored)
    with pytest.raises(CorruptObject, match=r"have the digest [0-9a-f]{40}"):
        read(fetcher, ref)


def test_a_fetcher_that_forgets_to_check_is_checked() -> None:
    fetcher = MemoryFetcher(careless=True)
    ref = fetcher.put(b"content")
    fetcher.files[ref.name] = zlib.compress(b"conTent")
    with pytest.raises(CorruptObject, match="have the digest"):
        read(fetcher, ref)


def test_the_digest_is_checked_before_anything_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    fetcher = MemoryFetcher(careless=True)
    ref = fetcher.put(b"content")
    fetcher.files[ref.name] = b"hostile"
    monkeypatch.setattr(inflate, "pieces", lambda *_args, **_more: pytest.fail("unpacked before the check"))
    with pytest.raises(CorruptObject):
        read(fetcher, ref)


@pytest.mark.parametrize("keep", [0, 1, 2, 10, -1])
def test_a_truncated_stream_is_corrupt(keep: int) -> None:
    fetcher = MemoryFetcher()
    stored = zlib.compress(b"some content that is long enough")[:keep]
    ref = fetcher.put_stored(stored, None)
    with pytest.raises(CorruptObject, match="cut short"):
        read(fetcher, ref)


def test_a_stream_cut_in_its_checksum_is_corrupt_though_all_content_is_there() -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put_stored(zlib.compress(b"content")[:-4], 7)
    with pytest.raises(CorruptObject, match="cut short"):
        read(fetcher, ref)


@pytest.mark.parametrize("surplus", [1, 100, inflate.FEED + 7])
def test_bytes_after_the_stream_are_corrupt_and_counted(surplus: int) -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put_stored(zlib.compress(b"content") + b"\0" * surplus, None)
    with pytest.raises(CorruptObject, match=f"{surplus} bytes after the end"):
        read(fetcher, ref)


def test_a_second_stream_after_the_first_is_corrupt() -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put_stored(zlib.compress(b"one") + zlib.compress(b"two"), None)
    with pytest.raises(CorruptObject, match="after the end"):
        read(fetcher, ref)


def test_what_is_no_zlib_stream_is_corrupt() -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put_stored(b"not a stream at all", None)
    with pytest.raises(CorruptObject, match="not a zlib stream"):
        read(fetcher, ref)


@pytest.mark.parametrize("compression", ["zlib", "none"])
def test_content_shorter_than_promised_is_corrupt(compression: str) -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put(b"content", compression=compression)
    with pytest.raises(CorruptObject, match="holds 7 bytes where its catalogue promises 8"):
        read(fetcher, ObjectRef(ref.digest, compression=compression, size=8))


def test_content_longer_than_promised_is_corrupt() -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put(b"content")
    with pytest.raises(CorruptObject, match="more than the 6 bytes its catalogue promises"):
        read(fetcher, ObjectRef(ref.digest, size=6))


def test_stored_content_longer_than_promised_is_not_even_fetched_whole() -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put(b"content", compression="none")
    with pytest.raises(FetchFailed):
        read(fetcher, ObjectRef(ref.digest, compression="none", size=6))
    assert fetcher.limits[ref.name] == 6


@pytest.mark.parametrize("size", [None, 1000])
def test_a_bomb_is_stopped_before_it_is_unpacked(size: int | None) -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put_stored(zlib.compress(b"\0" * (64 << 20)), size)
    made = 0
    objects = Objects()
    with pytest.raises(CorruptObject, match="unpacks to more than the"):  # noqa: PT012
        for piece in inflate.pieces(fetcher.files[ref.name], "zlib", size=size, limit=2000, name=ref.name):
            made += len(piece)
    assert made == 0
    with pytest.raises((CorruptObject, FetchFailed)):
        objects.read(fetcher, ref, limit=100_000)


def test_the_fetch_is_bounded_by_the_promised_size_not_by_the_limit() -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put(b"content")
    read(fetcher, ref)
    assert fetcher.limits[ref.name] < 5000


def test_incompressible_content_fits_its_bound() -> None:
    content = b"".join(Digest.of(str(i).encode()).raw for i in range(10_000))
    fetcher = MemoryFetcher()
    ref = fetcher.put_stored(zlib.compress(content, 0), len(content))
    assert read(fetcher, ref, limit=len(content)) == content


def test_an_object_over_the_limit_is_refused_unasked() -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put(b"content")
    with pytest.raises(FetchFailed, match="7 bytes, more than the 6"):
        read(fetcher, ref, limit=6)
    assert not fetcher.asked


def test_an_unknown_compression_is_unsupported_and_nothing_is_fetched() -> None:
    fetcher = MemoryFetcher()
    ref = ObjectRef(fetcher.put(b"content").digest, compression="code 3", size=7)
    with pytest.raises(Unsupported, match="compression 'code 3'"):
        read(fetcher, ref)
    assert not fetcher.asked


def test_a_missing_object_stays_missing() -> None:
    with pytest.raises(MissingObject):
        read(MemoryFetcher(), ObjectRef(Digest.of(b"nowhere")))


def test_a_fetcher_that_breaks_its_contract_is_a_failed_fetch() -> None:
    fetcher = MemoryFetcher()
    ref = fetcher.put(b"content")
    fetcher.fail(ref.name, KeyError("surprise"))
    with pytest.raises(FetchFailed, match="MemoryFetcher broke with KeyError"):
        read(fetcher, ref)


# One fetch for all.


def test_one_fetch_answers_all_simultaneous_askers() -> None:
    fetcher, objects = MemoryFetcher(), Objects()
    ref = fetcher.put(b"content")
    fetcher.hold()
    askers = Together([partial(objects.read, fetcher, ref, limit=LIMIT)] * 50)
    wait_until(lambda: objects.counters.joined == 49)
    fetcher.release()
    assert askers.results() == [b"content"] * 50
    assert fetcher.asked[ref.name] == 1


def test_whole_and_piecewise_askers_share_one_fetch() -> None:
    fetcher, objects = MemoryFetcher(), Objects()
    ref = fetcher.put(b"content")
    fetcher.hold()
    whole = partial(objects.read, fetcher, ref, limit=LIMIT)
    askers = Together([whole, lambda: b"".join(objects.pieces(fetcher, ref, limit=LIMIT))])
    wait_until(lambda: objects.counters.joined == 1)
    fetcher.release()
    assert askers.results() == [b"content"] * 2
    assert fetcher.asked[ref.name] == 1


def test_different_objects_are_all_in_flight_at_once() -> None:
    fetcher, objects = MemoryFetcher(), Objects(workers=64)
    contents = [b"content %d" % i for i in range(64)]
    refs = [fetcher.put(content) for content in contents]
    fetcher.hold()
    askers = Together([partial(objects.read, fetcher, ref, limit=LIMIT) for ref in refs])
    fetcher.wait_in_flight(64)
    fetcher.release()
    assert askers.results() == contents


def test_no_more_fetches_at_once_than_workers() -> None:
    fetcher, objects = MemoryFetcher(), Objects(workers=3)
    refs = [fetcher.put(b"content %d" % i) for i in range(20)]
    Together([partial(objects.read, fetcher, ref, limit=LIMIT) for ref in refs]).results()
    assert fetcher.most_in_flight <= 3
    assert objects.counters.fetched == 20


def test_an_error_reaches_all_askers_and_the_next_one_tries_again() -> None:
    fetcher, objects = MemoryFetcher(), Objects()
    ref = fetcher.put(b"content")
    fetcher.fail(ref.name, FetchFailed("no server answers"))
    fetcher.hold()
    askers = Together([partial(objects.read, fetcher, ref, limit=LIMIT)] * 8)
    wait_until(lambda: objects.counters.joined == 7)
    fetcher.release()
    outcomes = askers.outcomes()
    assert [str(outcome) for outcome in outcomes] == ["no server answers"] * 8
    assert {type(outcome) for outcome in outcomes} == {FetchFailed}
    assert len({id(outcome) for outcome in outcomes}) == 8
    assert objects.read(fetcher, ref, limit=LIMIT) == b"content"
    assert fetcher.asked[ref.name] == 2


def test_counters_tell_what_was_done() -> None:
    fetcher, objects = MemoryFetcher(), Objects()
    ref = fetcher.put(b"content" * 100)
    objects.read(fetcher, ref, limit=LIMIT)
    with pytest.raises(MissingObject):
        objects.read(fetcher, ObjectRef(Digest.of(b"nowhere")), limit=LIMIT)
    counters = objects.counters
    assert (counters.fetched, counters.failed, counters.content_bytes) == (2, 1, 700)
    assert counters.stored_bytes == len(fetcher.files[ref.name])
