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
JUMP, CALL, LOOKED_AT, LOOK_BEFORE, MOST_KEPT, STACK_WORDS = 5, 2, 6, 33, 19, 16
#: Known instructions, to be put together at random; and one to follow others.
TEST_RAX = bytes.fromhex("4885c0")
KNOWN = [bytes.fromhex(text) for text in (
    "483d01f0ffff", "3d00f0ffff", "4883f8ff", "83f8ff", "4885c0", "4889c7", "4989c0", "4189c4",
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
    """What is moved, of every beginning."""
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
    assert len(accepted) > 30
    for known in KNOWN:
        assert any(piece.startswith(known[:2]) for piece in accepted), known.hex()


def test_what_is_moved_is_one_whole_instruction(
    read_by_objdump: list[list[disassembly.Instruction]], accepted: list[bytes]
) -> None:
    for piece, found in zip(accepted, read_by_objdump, strict=True):
        assert [one.end for one in found] == [len(piece)], (piece.hex(), found)
        assert "(bad)" not in str(found)


def test_what_is_moved_means_the_same_elsewhere(read_by_objdump: list[list[disassembly.Instruction]]) -> None:
    """Registers and numbers only: no memory, so nothing relative to rip; no jump; nothing of the stack."""
    allowed = re.compile(r"^(?:cmp|test|mov)\b [^()]*$")
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
        "89c2",
        "4898",
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


#: As C libraries write what pthread_cancel may end, in AT&T's notation; the last number is the call's.
THREADED = (
    "mov %rdi,%r11; mov %rsi,%rax; mov %rdx,%rdi; mov %rcx,%rsi; mov %r8,%rdx; mov %r9,%r10; mov 0x8(%rsp),%r8;"
    " mov 0x10(%rsp),%r9; mov %r11,0x8(%rsp)"
)
SINGLE = (
    "mov %rdi,%rax; mov %r8,%r10; mov %rsi,%rdi; mov %r9,%r8; mov %rdx,%rsi; mov 0x8(%rsp),%r9; mov %rcx,%rdx"
)  # fmt: skip
BODIES = {
    "4989fb4889f04889d74889ce4c89c24d89ca4c8b4424084c8b4c24104c895c2408": (5, THREADED),
    "4889f84d89c24889f74d89c84889d64c8b4c24084889ca": (8, SINGLE),
}
NOWHERE = bytes(STACK_WORDS * 8)


def front(before: bytes, number: int, stack: bytes = NOWHERE) -> int:
    return _core.front_length(before[-LOOK_BEFORE:].rjust(LOOK_BEFORE, b"\x90"), number, stack)


@given(
    st.binary(max_size=4), st.sampled_from([0xB8, 0xB9, 0xBA, 0x3D, 0xA1]), st.integers(0, 2**32 - 1), st.integers(0, 3)
)
def test_the_instruction_directly_in_front_is_replaced_only_if_it_sets_the_number(
    earlier: bytes, opcode: int, number: int, other: int
) -> None:
    five = bytes([opcode]) + number.to_bytes(4, "little")
    length = front(earlier + five, number + other)
    if length:
        assert disassembly.raw([five])[0][0].text == f"mov $0x{number + other:x},%eax"
        assert length == len(five)
    else:
        assert opcode != 0xB8 or other or (earlier and earlier[-1] & 0xF1 == 0x41)


#: What may stand between the number and its call.
BETWEEN = [bytes.fromhex(text) for text in (
    "4889fe", "4989f2", "4c89cf", "4d89c8", "89d7", "4489c6", "4863ff", "4963f8", "31f6", "4531d2", "bf9cffffff",
    "41ba00010000",
    )]  # fmt: skip
SETS_STAT = b"\xb8\x04\0\0\0"


@pytest.fixture(scope="module")
def between() -> list[bytes]:
    """Of every beginning, what is taken for such an instruction."""
    pairs = [bytes(two) for two in itertools.product(range(256), repeat=2)]
    tried = [*BETWEEN, *pairs, *(one + b"\x11\x22\x33" for one in pairs)]
    for two in pairs:
        if two[0] & 0xF0 == 0x40:
            tried += [two + b"\x11\x22\x33\x44", *(two + bytes([third]) for third in range(256))]
    start = b"\x90" * (LOOK_BEFORE - JUMP) + SETS_STAT
    return [one for one in tried if _core.front_length((start + one)[-LOOK_BEFORE:], 4, NOWHERE)]


def test_what_stands_between_number_and_call_changes_no_number_and_means_the_same_elsewhere(
    between: list[bytes],
) -> None:
    assert set(BETWEEN) <= set(between)
    allowed = re.compile(r"^(?:rex(?:\.\w+)? )?(?:(?:mov|movslq) (?:\$0x\w+|%(\w+)),%(\w+)|xor %(\w+),%\3)$")
    numbers = re.compile(r",%(?:[re]?ax|[re]?sp|[as][lh]|spl)$")
    for piece, found in zip(between, disassembly.raw(between), strict=True):
        assert [one.end for one in found] == [len(piece)], (piece.hex(), found)
        assert allowed.match(found[0].text), found
        assert not numbers.search(found[0].text), found


@given(st.lists(st.sampled_from(BETWEEN), max_size=8), st.integers(0, 2**32 - 1), st.binary(max_size=3))
def test_the_number_is_found_behind_as_much_as_a_stub_can_hold(
    pieces: list[bytes], number: int, garbage: bytes
) -> None:
    text = b"".join(pieces)
    code = b"\xb8" + number.to_bytes(4, "little") + text
    assert front(code, number) == (len(code) if len(code) <= MOST_KEPT else 0)
    assert front(b"\xb8" + number.to_bytes(4, "little") + b"\x0f\x05" + text, number) == 0
    if garbage:
        found = front(code + garbage, number)
        assert not found or "(bad)" not in str(disassembly.raw([code + garbage])[0])


@pytest.mark.parametrize("prefix", range(0x40, 0x50))
def test_a_prefix_that_makes_it_another_register_is_seen(prefix: int) -> None:
    code = bytes([prefix, 0xB8, 4, 0, 0, 0, 0x90, 0x90, 0x90, 0x90])
    text = disassembly.raw([code])[0][0].text
    assert (front(code[:6], 4) != 0) == (not re.search(r"%r8|movabs \$0x\w+,%r8", text)), text


@given(st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, STACK_WORDS - 1))
def test_a_number_from_the_stack_must_be_there(offset: int, number: int, place: int) -> None:
    stack = b"".join((number if word == place else number ^ 1).to_bytes(8, "little") for word in range(STACK_WORDS))
    load = b"\x48\x8b\x44\x24" + bytes([offset])
    assert front(load, number, stack) == (len(load) if offset == 8 * place else 0)
    assert re.fullmatch(r"mov -?0x[0-9a-f]+\(%rsp\),%rax", disassembly.raw([load])[0][0].text)


@pytest.mark.parametrize(("code", "length", "text"), [(bytes.fromhex(code), *rest) for code, rest in BODIES.items()])
def test_bodies_that_are_known_to_the_byte(code: bytes, length: int, text: str) -> None:
    """objdump reads in them what we think they are, and an instruction of five bytes begins where the jump will."""
    found = disassembly.raw([code])[0]
    assert "; ".join(one.text for one in found) == text
    assert front(code, 12345) == length
    assert [len(one.raw) for one in found if one.at == len(code) - length] == [JUMP]
    for place in range(len(code)):
        changed = bytearray(code)
        changed[place] ^= 0x40
        assert front(bytes(changed), 12345) == 0


@pytest.mark.parametrize(("code", "fives"), [*zip(map(bytes.fromhex, BODIES), [(5, 10, 15), (8,)], strict=True)])
def test_where_others_run_the_jump_lies_in_one_line_of_the_cache(code: bytes, fives: tuple[int, ...]) -> None:
    """The first of the body's instructions of five bytes for which that is so."""
    found = disassembly.raw([code])[0]
    assert [len(code) - one.at for one in reversed(found) if len(one.raw) == JUMP] == list(fives)
    for at in range(0x1000, 0x1040):
        fitting = [five for five in fives if (at - five) // 64 == (at - five + JUMP - 1) // 64]
        length = _core.front_length(code.rjust(LOOK_BEFORE, b"\x90"), 12345, NOWHERE, at)
        assert length == (fitting[0] if fitting else 0)


def test_other_sizes_than_those_that_are_looked_at_are_an_error() -> None:
    for before, stack in ((bytes(LOOK_BEFORE - 1), NOWHERE), (bytes(LOOK_BEFORE), NOWHERE[1:])):
        with pytest.raises(ValueError, match="not 33 and 128"):
            _core.front_length(before, 4, stack)
