"""The two libraries that unpack: the faster one, for large objects, says the same of every stream."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepwrap.cache import inflate
from hepwrap.errors import CorruptObject

contents = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda piece, times: piece * times, st.binary(min_size=1, max_size=40), st.integers(1, 400)),
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A zlib stream, whole or damaged: a byte changed, cut, something behind it; or no stream at all."""
    stored = zlib.compress(draw(contents), draw(st.integers(0, 9)))
    match draw(st.sampled_from(["whole", "changed", "cut", "longer", "twice", "none"])):
        case "changed":
            at = draw(st.integers(0, len(stored) - 1))
            return stored[:at] + bytes([draw(st.integers(0, 255))]) + stored[at + 1 :]
        case "cut":
            return stored[: draw(st.integers(0, len(stored) - 1))]
        case "longer":
            return stored + draw(st.binary(min_size=1, max_size=2000))
        case "twice":
            return stored + stored
        case "none":
            return draw(st.binary(max_size=60))
    return stored


def unpacked(stored: bytes, size: int | None, large: int) -> bytes | None:
    """The content; None where the stream is refused: of two things that are wrong with one, they tell either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inflate, "LARGE", large)
        patch.setattr(inflate, "PIECE", 500)
        patch.setattr(inflate, "FEED", 70)
        try:
            pieces = [bytes(each) for each in inflate.pieces(stored, "zlib", size=size, limit=3000, name="x")]
        except CorruptObject:
            return None
    assert all(len(each) <= 500 for each in pieces)
    return b"".join(pieces)


def test_the_faster_library_is_there() -> None:
    """Else all below compares one with itself."""
    assert inflate.fast() is not inflate.PLAIN


@settings(deadline=None, max_examples=1000)
@given(streams(), st.one_of(st.none(), st.integers(0, 4000)))
def test_both_libraries_say_the_same(stored: bytes, size: int | None) -> None:
    assert unpacked(stored, size, large=0) == unpacked(stored, size, large=1 << 40)


def test_the_faster_one_is_loaded_for_a_large_object_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(inflate, "fast", lambda: asked.append(1) or inflate.PLAIN)
    for size, times in ((inflate.LARGE - 1000, 0), (inflate.LARGE + 1000, 1)):
        stored = zlib.compress(bytes(size), 0)
        assert sum(map(len, inflate.pieces(stored, "zlib", size=size, limit=size, name="x"))) == size
        assert len(asked) == times
