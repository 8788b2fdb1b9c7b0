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

#: From interpose/core/sites.h and patch.c, in bytes.
CALL, JUMP, NUMBER, LOOKED_AT, CACHE_LINE = 2, 5, 5, 8, 64
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

    ALWAYS = "always"
    ALONE = "alone"
    NEVER = "left"


class Reason(enum.Enum):
    """Why not always."""

    NONE = ""
    UNKNOWN = "what stands behind the call is not moved"
    MANY = "its number does not stand directly before it"
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
CAUGHT = {
    number: name for name, number, treatment, _, _ in _core.rows() if treatment not in ("pass", "enosys", "tracer")
}


@dataclass
class Survey:
    """All sites of one file, and what speaks against patching some of them."""

    file: Path
    sites: list[Site] = field(default_factory=list)
    #: Sentences; patching must not be asked to touch these.
    violations: list[str] = field(default_factory=list)

    def count(self, way: Way | None = None, *, caught: bool = False) -> int:
        """Sites treated that way; `caught`: only those that make calls that are caught."""
        return sum(way in (None, one.way) and (one.is_caught or not caught) for one in self.sites)


def survey(file: Path) -> Survey:
    """Read all of the file's code once."""
    found = Survey(file)
    near = {
        place >> 6 for address in occurrences(file, b"\x0f\x05") for place in (address - LOOKED_AT, address + LOOKED_AT)
    }
    leads: dict[int, list[int]] = {}
    for window in _windows(file, near, leads):
        found.sites.append(_site(*window))
    for site in found.sites:
        found.violations += _violations(site, leads)
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
        while waiting and one.end - waiting[0][1].end >= LOOKED_AT:
            first = waiting.pop(0)
            yield first[0], first[1], tuple(first[2])
        if one.text == "syscall":
            waiting.append((tuple(before), one, []))
        before.append(one)
    for entry in waiting:
        yield entry[0], entry[1], tuple(entry[2])


def _site(before: tuple[Instruction, ...], call: Instruction, behind: tuple[Instruction, ...]) -> Site:
    text = _joined(behind, call.end)[:LOOKED_AT]
    number = _number(before)
    way, reason = Way.ALWAYS, Reason.NONE
    bytes_before = b"".join(one.raw for one in before)[-NUMBER:].rjust(NUMBER, b"\0")
    if not _core.displaced_length(text):
        way, reason = Way.NEVER, Reason.UNKNOWN
    elif number is None or not _core.makes_only(bytes_before, number):
        way, reason = Way.ALONE, Reason.MANY
    elif call.at // CACHE_LINE != (call.at + JUMP - 1) // CACHE_LINE:
        way, reason = Way.ALONE, Reason.LINE
    return Site(call.at, call.function, number, way, reason, before, behind)


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
    if site.way is Way.NEVER:
        return
    behind = site.at + CALL
    length = _core.displaced_length(_joined(site.behind, behind)[:LOOKED_AT])
    where = f"{site.function}: call at {site.at:#x}"
    if behind + length not in {one.end for one in site.behind}:
        yield f"{where}: {length} bytes behind it are no whole instructions"
    for one in site.behind:
        if one.at < behind + length and (one.leaves or "%rip" in one.text or re.search(r"%[re]?sp\b", one.text)):
            yield f"{where}: `{one.text}` would be moved"
    for address in range(site.at + 1, behind + length):
        for origin in leads.get(address, ()):
            yield f"{where}: {origin:#x} leads to {address:#x}, into what is moved"
    if site.reason is Reason.MANY:
        return
    if site.before[-1].raw[:1] != b"\xb8" or site.before[-1].end != site.at:
        yield f"{where}: the number before it belongs to `{site.before[-1].text}`"
    for address in range(site.at - NUMBER + 1, site.at + 1):
        for origin in leads.get(address, ()):
            yield f"{where}: {origin:#x} leads to {address:#x}, past its number"


def _neutral(text: str) -> str:
    """Without addresses, which differ from library to library."""
    return re.sub(r"\b[0-9a-f]{3,}(?= <|$)| <[^>]*>| # .*", "", text).strip()
