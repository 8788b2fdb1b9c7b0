"""`make demo`: Pythia 8 from a signed repository, without a mount, compared with the same job run natively.

Owns the order of the steps and what is shown.  Uses hepwrap as a user would: by its command line.
Everything lies below one directory; what is finished there is not made again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import stack

from hepwrap.errors import HepwrapError

NAME = "stack.hep.example"
REQUIREMENTS = ["pythia8mc==8.317.2"]
JOB = Path(__file__).resolve().parents[1] / "perf/jobs/pythia8_events.py"
HEPWRAP = [str(Path(sys.executable).with_name("hepwrap"))]


def say(text: str) -> None:
    """One line of progress."""
    print(f"  {text}", flush=True)


def heading(text: str) -> None:
    """The title of a step."""
    print(f"\n{text}", flush=True)


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie."""

    root: Path

    @property
    def stack(self) -> Path:
        """The software stack as an ordinary tree."""
        return self.root / "stack"

    @property
    def store(self) -> Path:
        """What is served."""
        return self.root / "store"

    @property
    def keys(self) -> Path:
        """Keys of the repository; the private ones are readable by their owner only."""
        return self.root / "keys"

    @property
    def published(self) -> Path:
        """Text of what was published last; written after the publication."""
        return self.root / "published"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the job."""

    seconds: float
    #: What it wrote to standard output, and to standard error.
    lines: list[str]
    errors: list[str]


def hepwrap(*arguments: str | Path) -> None:
    """Run a command of hepwrap; it shows its own progress and its own errors."""
    done = subprocess.run([*HEPWRAP, *map(str, arguments)], check=False)
    if done.returncode != 0:
        raise SystemExit(f"demo: hepwrap {arguments[0]} ended with {done.returncode}")


def prepare(places: Places) -> None:
    """Make the stack and publish it, as far as that has not been done."""
    heading("1. A software stack: CPython and pythia8mc")
    if stack.is_made(places.stack, REQUIREMENTS):
        say(f"is there already: {places.stack}")
    else:
        stack.make(places.stack, REQUIREMENTS, say)
    heading(f"2. A signed repository, {NAME}")
    text = stack.description(REQUIREMENTS)
    if places.published.is_file() and places.published.read_text() == text:
        say(f"is there already: {places.store / NAME}")
        return
    if not (places.keys / f"{NAME}.pub").is_file():
        hepwrap("keygen", NAME, "--keys", places.keys)
    hepwrap("publish", places.stack, "--repo", NAME, "--to", places.store, "--keys", places.keys)
    places.published.write_text(text)


@contextmanager
def served(places: Places) -> Iterator[str]:
    """Serve the store on loopback; the base URL of the repository."""
    command = [*HEPWRAP, "serve", "--port", "0", str(places.store)]
    with (
        open(places.root / "serve.log", "w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        if not url:
            server.wait()
            raise SystemExit(f"demo: hepwrap serve did not start:\n{(places.root / 'serve.log').read_text()}")
        try:
            yield f"{url.rstrip('/')}/cvmfs/{NAME}"
        finally:
            server.terminate()


def run(command: list[str], environment: Mapping[str, str]) -> Run:
    """Run the job in an empty directory; ends the demo where the job fails."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=place)
    if done.returncode != 0:
        raise SystemExit(f"{done.stderr}demo: the job ended with {done.returncode}: {' '.join(command)}")
    return Run(time.perf_counter() - begin, done.stdout.splitlines(), done.stderr.splitlines())


def environment(root: Path, home: Path) -> dict[str, str]:
    """The job's environment: the same for both runs but for where the stack is."""
    return {**stack.clean_environment(root), "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}


def compare(native: Run, wrapped: Run) -> bool:
    """Show both results, times and the account of hepwrap; whether the results are the same."""
    heading("5. Compared")
    say(f"native   {native.seconds:6.2f} s   {native.lines[-1]}")
    say(f"hepwrap  {wrapped.seconds:6.2f} s   {wrapped.lines[-1]}")
    same = native.lines == wrapped.lines
    say("the results are " + ("the same, to the last bit" if same else "DIFFERENT"))
    heading("6. Where time and bytes went (hepwrap --stats)")
    for line in wrapped.errors:
        say(line)
    return same


def main() -> int:
    """Everything, step by step; 1 where the two results differ."""
    parser = argparse.ArgumentParser(description="Run Pythia 8 from a signed repository.")
    parser.add_argument("--directory", type=Path, default=Path(".demo"))
    parser.add_argument("--events", type=int, default=200)
    options = parser.parse_args()
    places = Places(options.directory.resolve())
    home = places.root / "home"
    home.mkdir(parents=True, exist_ok=True)
    prepare(places)
    job = [str(JOB), str(options.events)]

    heading("3. The job, natively")
    native = run([str(places.stack / "bin/python3"), *job], environment(places.stack, home))
    for line in native.lines:
        say(line)

    heading("4. The job, from the repository")
    root = Path("/cvmfs") / NAME
    with served(places) as url:
        flags = ["--repo", f"{NAME}={url}", "--key", str(places.keys / f"{NAME}.pub"), "--proxy", "DIRECT", "--stats"]
        command = [*HEPWRAP, *flags, "--", str(root / "bin/python3"), *job]
        say("$ " + " ".join(["hepwrap", *command[len(HEPWRAP) :]]))
        wrapped = run(command, environment(root, home))
    for line in wrapped.lines:
        say(line)
    return 0 if compare(native, wrapped) else 1


if __name__ == "__main__":
    os.umask(0o022)
    try:
        sys.exit(main())
    except HepwrapError as error:
        raise SystemExit(f"demo: {error}") from None
