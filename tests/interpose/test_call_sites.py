"""Which code patching moves: only what means the same elsewhere, held against objdump's reading of the same bytes."""

from __future__ import annotations

import itertools
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepwrap.interpose import _core
from tests.helpers import disassembly

#: From sites.h: the jump, the call, and how much is looked at.
JUMP, CALL, LOOKED_AT = 5, 2, 8
#: Known instructions: to complete those that are too short alone, and to be put together at random.
TEST_RAX = bytes.fromhex("4885c0")
KNOWN = [bytes.fromhex(text) for text in (
    "483d01f0ffff", "3d00f0ffff", "4883f8ff", "83f8ff", "4885c0", "4889c7", "4989c0", "89c2", "4189c4", "4898",
    )]  # fmt: skip


def beginnings() -> list[bytes]:
    """Everything of two bytes, and what may follow as a third: all of it behind a REX prefix, else a sample."""
    some = random.Random(3).sample(range(256), 12)
    return [
        bytes((*two, third))
        for two in itertools.product(range(256), repeat=2)
        for third in (range(256) if two[0] & 0xF0 == 0x40 else some)
    ]


@pytest.fixture(scope="module")
def accepted() -> list[bytes]:
    """What is moved, of every beginning: alone, and completed to what is long enough."""
    found = {}
    for beginning in [*beginnings(), *KNOWN]:
        for behind in (beginning + b"\x11\x22\x33\x44\x55", beginning[:2] + TEST_RAX + b"\x11\x22\x33"):
            length = _core.displaced_length(behind)
            if length:
                found[behind[:length]] = None
    return list(found)


@pytest.fixture(scope="module")
def read_by_objdump(accepted: list[bytes]) -> list[list[disassembly.Instruction]]:
    return disassembly.raw(accepted)


def test_all_known_forms_are_among_what_was_tried(accepted: list[bytes]) -> None:
    assert len(accepted) > 40
    for known in KNOWN:
        assert any(piece.startswith(known[:2]) for piece in accepted), known.hex()


def test_what_is_moved_is_whole_instructions(
    read_by_objdump: list[list[disassembly.Instruction]], accepted: list[bytes]
) -> None:
    for piece, found in zip(accepted, read_by_objdump, strict=True):
        assert found[-1].end == len(piece), (piece.hex(), found)
        assert 1 <= len(found) <= 3
        assert "(bad)" not in str(found)


def test_what_is_moved_means_the_same_elsewhere(read_by_objdump: list[list[disassembly.Instruction]]) -> None:
    """Registers and numbers only: no memory, so nothing relative to rip; no jump; nothing of the stack."""
    allowed = re.compile(r"^(?:cmp|test|mov|movslq|cltq|xor)\b [^()]*$|^cltq$")
    stack = re.compile(r"%[re]?spl?\b|^push|^pop|^leave|^enter")
    for one in itertools.chain.from_iterable(read_by_objdump):
        assert allowed.match(one.text), one
        assert not stack.search(one.text), one
        assert not one.leaves, one
        assert one.target is None, one


def test_what_is_moved_makes_room_for_the_jump(accepted: list[bytes]) -> None:
    assert {len(piece) >= JUMP - CALL and len(piece) <= LOOKED_AT for piece in accepted} == {True}


pieces = st.lists(st.one_of(st.sampled_from(KNOWN), st.binary(min_size=1, max_size=3)), max_size=5).map(b"".join)


@given(pieces, st.binary(max_size=8))
def test_only_what_is_moved_decides(behind: bytes, other: bytes) -> None:
    length = _core.displaced_length(behind)
    assert 0 <= length <= min(len(behind), LOOKED_AT)
    if length:
        assert _core.displaced_length(behind[:length]) == length
        assert _core.displaced_length(behind[:length] + other) == length


@given(pieces, st.integers(0, 12))
def test_what_is_cut_off_is_never_longer_than_what_is_there(behind: bytes, available: int) -> None:
    length = _core.displaced_length(behind[:available])
    assert length <= available
    assert length in (0, _core.displaced_length(behind))


@given(pieces)
def test_objdump_ends_an_instruction_where_the_moved_part_ends(behind: bytes) -> None:
    length = _core.displaced_length(behind)
    if length:
        assert length in {one.end for one in disassembly.raw([behind])[0]}


@pytest.mark.parametrize(
    "text",
    [
        "c3",
        "eb05",
        "e800000000",
        "0f05",
        "488d1501000000",
        "4889c4",
        "89c489c2",
        "4863c7",
        "483d7cffffff",
        "3d7cffffff",
        "",
        "48",
    ],
)
def test_what_is_not_known_is_not_moved(text: str) -> None:
    assert _core.displaced_length(bytes.fromhex(text)) == 0
    assert _core.displaced_length(bytes.fromhex(text) + TEST_RAX) == 0 or not text


@given(st.binary(min_size=5, max_size=5), st.integers(0, 2**32))
def test_a_site_makes_one_call_only_if_its_number_stands_directly_before_it(before: bytes, number: int) -> None:
    (first, *_) = disassembly.raw([before])[0]
    says = first.text == f"mov $0x{number:x},%eax" and len(first.raw) == len(before)
    assert _core.makes_only(before, number) == says


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_number_before_the_call_is_that_call_and_no_other(number: int, other: int) -> None:
    before = b"\xb8" + number.to_bytes(4, "little")
    assert _core.makes_only(before, number)
    assert _core.makes_only(before, other) == (number == other)
    assert disassembly.raw([before])[0][0].text == f"mov $0x{number:x},%eax"


def test_another_length_than_that_of_the_instruction_is_an_error() -> None:
    for before in (b"", b"\xb8\x04\0\0", b"\xb8\x04\0\0\0\0"):
        with pytest.raises(ValueError, match="not the 5 before a call"):
            _core.makes_only(before, 4)
