"""What patching would make of every call site of a file, and whether that rests on something that is not so.

For each `syscall` instruction: which call it makes, as the code before it tells; what the engine's own recogniser says
of the bytes around it; and who leads to bytes that the jump would overwrite.  The reading of the code is objdump's.
It does not see indirect jumps: a table that leads between a call and the instruction behind it would stay unseen.
"""

from __future__ import annotations

import enum
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hepwrap.interpose import _core
from tests.helpers.disassembly import Instruction, instructions, occurrences
from tests.helpers.syscall_rows import read_rows

#: From interpose/core/sites.h and patch.c, in bytes.
CALL, JUMP, LOOK_BEFORE, LOOK_BEHIND, STACK_WORDS, CACHE_LINE = 2, 5, 33, 6, 16, 64
#: Nothing that is replaced lies farther than this from its call.
REACH = 19
#: How many instructions before a call may set its number.
LOOK_BACK = 60
_CONSTANT = re.compile(r"^(?:xor (%\w+),\1|mov \$(0x[0-9a-f]+),%\w+)$")
_COPY = re.compile(r"^mov %(\w+),%\w+$")
_PUSHED = re.compile(r"^push \$(0x[0-9a-f]+)$")
_SETS = re.compile(r"[ ,]%(\w+)$")
_SETS_RAX = re.compile(r"^(?:cltq|cwtl|rdtsc|cpuid|mul\w?|i?mul\w? \S+|i?div\w?)\b(?!.*,)")
_CONDITIONAL = re.compile(r"^j(?!mp)")
_ONLY_READS = re.compile(r"^(?:cmp|test|push|bt|nop)\w?\b")


class Way(enum.Enum):
    """How a site is treated at its first trap."""

    FRONT = "in front"
    BEHIND = "behind"
    ALONE = "alone"
    NEVER = "left"


class Reason(enum.Enum):
    """Why not always."""

    NONE = ""
    UNKNOWN = "neither what stands in front of the call nor what stands behind it is known"
    LINE = "the jump would lie in two lines of the cache"


@dataclass(frozen=True, slots=True)
class Site:
    """One `syscall` instruction."""

    at: int
    function: str
    #: The number its call has, None where the code before it does not tell: then it may make any call.
    number: int | None
    way: Way
    reason: Reason
    #: Bytes from the jump to the call, 0: the jump takes its place; and of the instruction that is displaced then.
    front: int
    displaced: int
    #: The instructions around it.
    before: tuple[Instruction, ...]
    behind: tuple[Instruction, ...]

    @property
    def is_caught(self) -> bool:
        """Whether it makes calls that the filter catches."""
        return self.number is None or self.number in CAUGHT

    @property
    def form(self) -> str:
        """What stands behind it, in words."""
        return "; ".join(_neutral(one.text) for one in self.behind[:2])


#: Numbers of the calls that the filter sends to the tracer and the runtime.
CAUGHT = {row.x86_64: row.name for row in read_rows().values() if row.is_served}


@dataclass
class Survey:
    """All sites of one file, and what speaks against patching some of them."""

    file: Path
    sites: list[Site] = field(default_factory=list)
    #: Sentences; patching must not be asked to touch these.
    violations: list[str] = field(default_factory=list)
    #: Sentences about code that meets the breakpoint behind a call: right, but a stop each time.
    costs: list[str] = field(default_factory=list)

    def count(self, way: Way | None = None, *, caught: bool = False) -> int:
        """Sites treated that way; `caught`: only those that make calls that are caught."""
        return sum(way in (None, one.way) and (one.is_caught or not caught) for one in self.sites)


def survey(file: Path) -> Survey:
    """Read all of the file's code once."""
    found = Survey(file)
    near = {place >> 6 for address in occurrences(file, b"\x0f\x05") for place in (address - REACH, address + REACH)}
    leads: dict[int, list[int]] = {}
    for window in _windows(file, near, leads):
        found.sites.append(_site(*window))
    for site in found.sites:
        found.violations += _violations(site, leads)
        found.costs += _costs(site, leads)
    return found


def _windows(
    file: Path, near: set[int], leads: dict[int, list[int]]
) -> Iterator[tuple[tuple[Instruction, ...], Instruction, tuple[Instruction, ...]]]:
    """(before, call, behind) for each call; beside, what leads to where in the 64 bytes of an address in `near`."""
    before: deque[Instruction] = deque(maxlen=LOOK_BACK)
    waiting: list[tuple[tuple[Instruction, ...], Instruction, list[Instruction]]] = []
    for one in instructions(file):
        for address in (one.target, one.refers):
            if address is not None and address >> 6 in near:
                leads.setdefault(address, []).append(one.at)
        for entry in waiting:
            entry[2].append(one)
        while waiting and one.end - waiting[0][1].end >= LOOK_BEHIND:
            first = waiting.pop(0)
            yield first[0], first[1], tuple(first[2])
        if one.text == "syscall":
            waiting.append((tuple(before), one, []))
        before.append(one)
    for entry in waiting:
        yield entry[0], entry[1], tuple(entry[2])


def _site(before: tuple[Instruction, ...], call: Instruction, behind: tuple[Instruction, ...]) -> Site:
    number = _number(before)
    front = _front(before, number or 0, call.at) or _front(before, number or 0, 0)
    displaced = _core.displaced_length(_joined(behind, call.end)[:LOOK_BEHIND])
    way, reason = Way.ALONE, Reason.LINE
    if front and _in_one_line(call.at - front):
        way, reason = Way.FRONT, Reason.NONE
    elif displaced and _in_one_line(call.at):
        way, reason, front = Way.BEHIND, Reason.NONE, 0
    elif not front and not displaced:
        way, reason = Way.NEVER, Reason.UNKNOWN
    return Site(call.at, call.function, number, way, reason, front, 0 if front else displaced, before, behind)


def _front(before: tuple[Instruction, ...], number: int, at: int) -> int:
    """What the engine says where the call's number is in every word of the stack."""
    text = b"".join(one.raw for one in before)[-LOOK_BEFORE:].rjust(LOOK_BEFORE, b"\0")
    return _core.front_length(text, number, number.to_bytes(8, "little") * STACK_WORDS, at)


def _in_one_line(jump: int) -> bool:
    return jump // CACHE_LINE == (jump + JUMP - 1) // CACHE_LINE


def _joined(parts: tuple[Instruction, ...], start: int) -> bytes:
    """Their bytes as far as they follow each other."""
    text = b""
    for one in parts:
        if one.at != start + len(text):
            break
        text += one.raw
    return text


def _number(before: tuple[Instruction, ...]) -> int | None:
    """The constant that the straight way to the call leaves in rax; None where something else does."""
    register = "a"
    for place in range(len(before) - 1, -1, -1):
        one = before[place]
        if one.leaves and not _CONDITIONAL.match(one.text):
            return None
        sets = _SETS.search(one.text)
        if not sets or _family(sets[1]) != register or _ONLY_READS.match(one.text):
            if register == "a" and _SETS_RAX.match(one.text):
                return None
            continue
        if match := _CONSTANT.match(one.text):
            return int(match[2] or "0", 16)
        if match := _COPY.match(one.text):
            register = _family(match[1])
        else:
            match = _PUSHED.match(before[place - 1].text) if one.text.startswith("pop ") and place else None
            return int(match[1], 16) if match else None
    return None


def _family(register: str) -> str:
    """One name for a register in all its widths."""
    return re.sub(r"^[er](?=[a-ds]|bp)|(?<=[a-d])[xlh]$|(?<=\d)[dwb]$", "", register)


def _violations(site: Site, leads: dict[int, list[int]]) -> Iterator[str]:
    """Whatever the recogniser takes for granted and the code does not keep."""
    where = f"{site.function}: call at {site.at:#x}"
    if site.way is Way.NEVER:
        return
    jump, behind = site.at - site.front, site.at + CALL
    if site.front:
        repeated = [one for one in site.before if jump <= one.at]
        whole = bool(repeated) and (repeated[0].at, len(repeated[0].raw)) == (jump, JUMP)
    else:
        repeated = [one for one in site.behind if one.at < behind + site.displaced]
        whole = [(one.at, one.end) for one in repeated] == [(behind, behind + site.displaced)]
    if not whole:
        yield f"{where}: what becomes the jump is not one instruction"
    for one in repeated:
        if one.leaves or "%rip" in one.text or re.search(r",%[re]?sp$|^push|^pop", one.text):
            yield f"{where}: `{one.text}` would be repeated elsewhere"
    for address in range(jump + 1, max(jump + JUMP, behind + site.displaced if site.displaced else 0)):
        for origin in leads.get(address, ()):
            if site.front or address != behind:
                yield f"{where}: {origin:#x} leads to {address:#x}, into the jump"


def _costs(site: Site, leads: dict[int, list[int]]) -> Iterator[str]:
    """Who would stop at the breakpoint behind the call, other than those who return from it."""
    if site.displaced:
        for origin in leads.get(site.at + CALL, ()):
            yield f"{site.function}: call at {site.at:#x}: {origin:#x} leads to what is behind it"


def _neutral(text: str) -> str:
    """Without addresses, which differ from library to library."""
    return re.sub(r"\b[0-9a-f]{3,}(?= <|$)| <[^>]*>| # .*", "", text).strip()
