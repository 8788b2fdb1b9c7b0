"""Writes docs/call-sites.md: what patching makes of the call sites of the libraries that programs run on.

    python -m tests.helpers.call_sites_report LIST > docs/call-sites.md

LIST has a line for each row: `name<TAB>file`, or `name<TAB>-<TAB>why it is not here`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.helpers.call_sites import CAUGHT, Reason, Site, Survey, Way, survey

#: Left sites that are named in a row; more are counted.
NAMED = 6
HEAD = """\
# Call sites

What patching ([decision 9](decisions/0009-when-a-site-may-be-patched.md)) makes of the `syscall` instructions of the
libraries that programs run on. Written by `python -m tests.helpers.call_sites_report`, which reads all code as objdump
disassembles it, and asks the engine's own recogniser about each site.

- **sites**: all `syscall` instructions. **ours**: those that make a call which is caught (`interpose/syscalls.def`), as
  far as the code before them tells the number. **any**: those where it does not tell, so that they may make any call:
  `syscall(3)`, Go's `Syscall6`, and waits in loops. In musl, and in glibc since 2.41, also the two sites of all calls
  that `pthread_cancel` may end, each `open` among them.
- Of *ours* and *any*, at the first trap: the jump is written **in front** of the call, or in its place, taking what is
  **behind** it; **alone**: one of these, but only while the program has one task, as the jump would lie in two lines of
  the cache; **left** on the trap, which gives the same answers, slower.

| library | sites | ours | in front | behind | alone | left | any | in front | behind | alone | left |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
"""
RESTS = """
## What the safety rests on
In each of these files it was looked for whatever would contradict what the engine takes for granted: bytes that become
the jump and are not one whole instruction (with the call before it, where it takes the call's place); a direct jump,
call or address operand that leads into the middle of it; instructions repeated in a stub that are relative to rip,
jump, or change the stack pointer. Jumps through tables cannot be seen.

"""
COSTS = """
Who comes to the instruction behind a call, which has become a breakpoint, stops each time: right, but slow. Therefore
two forms are left alone, so that calls and not these ways stop: `movslq` behind the call (musl's `utimensat`,
`fchmodat`, `fcntl`), and comparisons with other numbers than -4095 and -4096 (dietlibc's only site, to whose end calls
of the vdso jump).

"""

WARM = """\
## When warm
Stops of a program that repeats stat, lstat, access, open, fopen, opendir and readlink in rounds, alone and with eight
threads that also make the first calls, patched, on the loader and C library named. The answers were right in all
runs, and with `--no-patch`. Of Go and dietlibc: programs that stat and open.

| library | alone | eight threads | what stops |
|---|---|---|---|
| glibc 2.31, 2.36, 2.41, 2.43 | 0 | 0 | |
| musl 1.2.3, dynamic | 0 | 0 | |
| musl 1.2.3, static | 0 | 1 each `open`, `opendir` | the jump at their one site would lie in two lines of the cache |
| dietlibc 0.34 | 1 each call | no threads | its only site, to whose end other code jumps |
| Go 1.19 (`cgrep`) | has threads | 0 | |
| Go 1.27 | has threads | 0 | |
"""


def main(list_file: Path) -> None:
    """Survey what the list names and print the document."""
    rows, found, missing = [], [], []
    for line in list_file.read_text().splitlines():
        name, file, *why = line.split("\t")
        if file == "-":
            missing.append(f"| {name} | {why[0]} |")
            continue
        print(name, file=sys.stderr)
        done = survey(Path(file))
        rows.append(f"| {name} | {' | '.join(str(count) for count in counts(done))} |")
        found.append((name, done))
    print(HEAD + "\n".join(rows))
    print("\n## Why not always\nCalls that are caught, and where they are made; (n) more sites like it.\n")
    print("\n".join(line for name, done in found for line in reasons(name, done)))
    broken = [f"- {name}: {sentence}" for name, done in found for sentence in done.violations]
    print(RESTS + ("\n".join(broken) or "Nothing of the kind was found."))
    costs = [f"- {name}: {sentence}" for name, done in found for sentence in done.costs]
    print(COSTS + ("\n".join(costs) or "Of the others there is none in these files."))
    print("\n" + WARM)
    print("## Not had\n| library | what is known of it |\n|---|---|\n" + "\n".join(missing))


def counts(done: Survey) -> list[int]:
    """The numbers of a row."""
    ours = [one for one in done.sites if one.number in CAUGHT]
    unknown = [one for one in done.sites if one.number is None]
    return [len(done.sites), *ways(ours), *ways(unknown)]


def ways(sites: Iterable[Site]) -> list[int]:
    """How many there are, and how many of each way."""
    count = Counter(one.way for one in sites)
    return [count.total(), *(count[way] for way in Way)]


def reasons(name: str, done: Survey) -> Iterable[str]:
    """A line for each reason in this file; nothing where there is none."""
    for reason in Reason:
        sites = [one for one in done.sites if one.reason is reason and one.is_caught and reason is not Reason.NONE]
        if not sites:
            continue
        named = Counter(f"`{CAUGHT[one.number]}`" for one in sites if one.number is not None)
        named.update("any call" for one in sites if one.number is None)
        words = [f"{call} ({count})" if count > 1 else call for call, count in named.most_common(NAMED)]
        more = len(named) - len(words)
        yield f"- {name}: {reason.value}: {', '.join(words)}{f' and {more} others' if more else ''}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
