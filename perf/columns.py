"""The columns of the comparison: the ways to have the tree.

A column is a command that is put before the program, and the prefix under which the program then finds the tree.
Owns native, hepwrap and the peers, also how `--peer` is written.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hepwrap.errors import UsageError
from hepwrap.perf.work import NAME, PREFIX

NATIVE, HEPWRAP, PEER = "native", "hepwrap", "peer"


@dataclass(frozen=True, slots=True)
class Column:
    """One way."""

    name: str
    kind: str
    #: Words before the program, with the placeholders of `Places`.
    before: tuple[str, ...]
    #: Where the program finds the tree, likewise.
    prefix: str
    #: Why it cannot be measured here; "" where it can.
    missing: str = ""

    @property
    def counts(self) -> bool:
        """Whether it writes counters."""
        return self.kind == HEPWRAP

    def command(self, program: Sequence[str], places: Mapping[str, str]) -> list[str]:
        """The words that run `program` in this column."""
        return [filled(word, places) for word in (*self.before, *program)]


def filled(text: str, places: Mapping[str, str]) -> str:
    """`text` with {tree}, {prefix} ... replaced; other braces stay."""
    for name, value in places.items():
        text = text.replace("{" + name + "}", value)
    return text


def usual(hepwrap: Sequence[str]) -> tuple[Column, ...]:
    """Native first, then hepwrap both ways."""
    options = ("--repo", f"{NAME}={{store}}/{NAME}", "--key", "{key}", "--proxy", "DIRECT", "--stats={stats}")
    return (
        Column("native", NATIVE, (), "{tree}"),
        Column("hepwrap", HEPWRAP, (*hepwrap, *options, "--"), PREFIX),
        Column("no-patch", HEPWRAP, (*hepwrap, *options, "--no-patch", "--"), PREFIX),
    )


#: Peers that are taken where they are found: name, program, words and prefix.
_KNOWN_PEERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("proot", ("proot", "-b", f"{{tree}}:{PREFIX}")),
    (
        "parrot_run",
        ("parrot_run", "-r", f"{NAME}:url={{url}},pubkey={{key}},proxies=DIRECT", "-t", "{runs}/parrot"),
    ),
)


def known_peers(path: str | None = None) -> tuple[Column, ...]:
    """The peers that are installed here."""
    return tuple(Column(name, PEER, words, PREFIX) for name, words in _KNOWN_PEERS if shutil.which(words[0], path=path))


def mounted_peer() -> Column | None:
    """A CernVM-FS that has our repository mounted, where there is one."""
    return Column("cvmfs", PEER, (), PREFIX) if os.path.isdir(f"{PREFIX}/small") else None


def parse_peer(text: str) -> Column:
    """`NAME=/mounted/root` or `NAME=COMMAND... PREFIX`; UsageError for anything else."""
    name, equals, value = text.partition("=")
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise UsageError(f"--peer {text[:80]}: {error}") from None
    if not (equals and name.replace("-", "").replace("_", "").isalnum() and words):
        raise UsageError(f"--peer: {text[:80]!r} is neither NAME=COMMAND PREFIX nor NAME=/mounted/root")
    if not words[-1].startswith(("/", "{")):
        raise UsageError(f"--peer {name}: the last word is the absolute path of the tree in its world, not {words[-1]}")
    return Column(name, PEER, tuple(words[:-1]), words[-1], _missing(words))


def _missing(words: Sequence[str]) -> str:
    if len(words) > 1:
        return "" if shutil.which(words[0]) else f"{words[0]} is not installed"
    return "" if os.path.isdir(words[0]) or words[0].startswith("{") else f"{words[0]} is no directory"
