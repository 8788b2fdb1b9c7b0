"""The work directory: the tree, the repository that is published of it, programs and results, kept between runs.

Owns what lies where, and when something must be made or published again.  hepwrap is used as a user uses it: by its
command line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hepwrap.errors import HepwrapError
from hepwrap.perf.execute import Executor, succeed
from hepwrap.perf.making import Making, Part, Say, Sizes, Unavailable

NAME = "perf.hep.example"
#: Where a mounted CernVM-FS would have it.
PREFIX = f"/cvmfs/{NAME}"
#: A tree of another recipe is made again, from nothing.
RECIPE = 1
#: Signed for ten years: a work directory is kept.
_WHITELIST_DAYS = "3650"
_LIMIT = 3600.0


@dataclass(frozen=True, slots=True)
class Work:
    """Places below one directory."""

    root: Path
    #: Name of the scratch directory; others measure beside us only in tests.
    scratch: str = "runs"

    @property
    def tree(self) -> Path:
        """What is published; also what native reads."""
        return self.root / "tree"

    @property
    def store(self) -> Path:
        """Where it is published."""
        return self.root / "store"

    @property
    def key(self) -> Path:
        """The master public key."""
        return self.root / "keys" / f"{NAME}.pub"

    @property
    def programs(self) -> Path:
        """What is compiled."""
        return self.root / "programs"

    @property
    def runs(self) -> Path:
        """Scratch of a run: the working directory of programs, counters, outputs."""
        return self.root / self.scratch

    @property
    def state(self) -> Path:
        """What was made (JSON)."""
        return self.root / "made.json"


def default_directory(environ: Mapping[str, str]) -> Path:
    """Where the work directory is unless somebody says otherwise."""
    cache = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME") or "/tmp", ".cache")
    return Path(cache) / "hepwrap" / "perf"


@dataclass(slots=True)
class Made:
    """What a work directory holds."""

    recipe: int = RECIPE
    sizes: Sizes = field(default_factory=Sizes)
    #: Names of parts that are in the tree.
    parts: list[str] = field(default_factory=list)
    #: Parts that could not be made, and why.
    missing: dict[str, str] = field(default_factory=dict)
    #: Parts that have been published.
    published: list[str] = field(default_factory=list)

    def why_not(self, parts: Sequence[str]) -> str:
        """Why the first of `parts` that is not there is not; "" where all are."""
        for name in parts:
            if name not in self.parts:
                return self.missing.get(name, f"{name} has not been made")
        return ""


def environment(work: Work) -> dict[str, str]:
    """The environment of every program that is run: nothing of the shell's, nothing of the user's."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "HOME": str(work.root / "home"),
        "XDG_STATE_HOME": str(work.root / "state"),
        "XDG_CONFIG_HOME": str(work.root / "config"),
        "TMPDIR": str(work.runs),
    }


@contextlib.contextmanager
def locked(work: Work) -> Iterator[None]:
    """Nobody else prepares or measures here meanwhile."""
    try:
        for place in (work.root, work.programs, work.runs, work.root / "home"):
            place.mkdir(parents=True, exist_ok=True)
        lock = os.open(work.root / f"{work.scratch}.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HepwrapError(f"{error.filename}: {error.strerror}; name another place by --work") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        busy = f"{work.root} is in use by another hepwrap perf; wait, or name another place by --work"
        raise HepwrapError(busy) from None
    finally:
        os.close(lock)


def read_made(work: Work) -> Made:
    """What was made before; nothing where that cannot be read."""
    try:
        raw = json.loads(work.state.read_text())
        made = Made(**{**raw, "sizes": Sizes(**raw["sizes"])})
    except (OSError, ValueError, TypeError, KeyError):
        return Made(recipe=0)
    return made


def prepare(
    work: Work,
    parts: Sequence[Part],
    sizes: Sizes,
    *,
    stacks: bool,
    executor: Executor,
    hepwrap: Sequence[str],
    say: Say,
) -> Made:
    """Make what is not there yet of `parts`, and publish it; what cannot be made is noted and no error.

    Parts that are stacks are made only where `stacks` is set.
    """
    made = read_made(work)
    if made.recipe != RECIPE or made.sizes != sizes:
        for place in (work.tree, work.store, work.root / "keys", work.root / "state"):
            shutil.rmtree(place, ignore_errors=True)
        made = Made(sizes=sizes)
    try:
        return _prepare(work, made, parts, Making(work.tree, sizes, executor, say), hepwrap, stacks=stacks)
    except OSError as error:  # A full disk has no name in it.
        raise HepwrapError(f"{error.filename or work.root}: {error.strerror}; name another place by --work") from None


def _prepare(
    work: Work, made: Made, parts: Sequence[Part], making: Making, hepwrap: Sequence[str], *, stacks: bool
) -> Made:
    work.tree.mkdir(exist_ok=True)
    for part in parts:
        if part.name in made.parts:
            continue
        if part.is_stack and not stacks:
            made.missing.setdefault(
                part.name, f"{part.title} is not installed; hepwrap perf --prepare --stacks does it"
            )
            continue
        _make(part, making, made)
        _write(work, made)
    if made.published != made.parts:
        making.say("publishing the tree as a signed repository")
        _publish(work, making.executor, hepwrap)
        made.published = list(made.parts)
        _write(work, made)
    return made


def _make(part: Part, making: Making, made: Made) -> None:
    making.say(f"making {part.title}")
    try:
        part.make(making)
    except Unavailable as error:
        made.missing[part.name] = str(error)
    else:
        made.missing.pop(part.name, None)
        made.parts.append(part.name)


def _write(work: Work, made: Made) -> None:
    unfinished = work.state.with_suffix(".new")
    unfinished.write_text(json.dumps(dataclasses.asdict(made), indent=1) + "\n")
    unfinished.rename(work.state)


def _publish(work: Work, executor: Executor, hepwrap: Sequence[str]) -> None:
    keys = str(work.root / "keys")

    def run(*words: str) -> None:
        done = executor.run([*hepwrap, *words], {**os.environ, **environment(work)}, work.root, _LIMIT)
        succeed(done, f"hepwrap {words[0]}")

    if not work.key.exists():
        run("keygen", NAME, "--keys", keys)
    run(
        *("publish", str(work.tree), "--repo", NAME, "--to", str(work.store), "--keys", keys),
        *("--whitelist-days", _WHITELIST_DAYS, "--quiet"),
    )
