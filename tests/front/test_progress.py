"""The line that shows how far publish and verify are: on stderr, only where that is a terminal, and nothing remains."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hepwrap.cli.progress import ProgressLine
from hepwrap.vfs.publish import keys as publish_keys
from tests.helpers.front import Cli

NAME = "stack.example.org"
CLEAR = "\r\x1b[K"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tree` and `keys` of a repository."""
    place = tmp_path_factory.mktemp("progress")
    (place / "tree").mkdir()
    for number in range(10):
        (place / f"tree/{number}").write_text(f"{number}\n")
    publish_keys.generate(NAME, place / "keys")
    return place


@pytest.fixture
def words(place: Path, cli: Cli) -> Callable[[str], list[str]]:
    """The words of a subcommand, published for it if it reads."""

    def words(subcommand: str) -> list[str]:
        publish = [
            "publish", str(place / "tree"), "--repo", NAME, "--to", str(place / "store"), "--keys", str(place / "keys"),
        ]  # fmt: skip
        if subcommand == "publish":
            return publish
        assert cli(*publish).returncode == 0
        return ["verify", "--repo", f"{NAME}={place}/store/{NAME}", "--key", f"{place}/keys/{NAME}.pub", NAME]

    return words


BOTH = pytest.mark.parametrize("subcommand", ["publish", "verify"])


class Screen:
    """A terminal, for one stream of a program; `text` is there when the program has ended."""

    def __init__(self) -> None:
        self._ours, self.theirs = os.openpty()
        self._seen = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def text(self) -> str:
        os.close(self.theirs)
        self._reader.join()
        os.close(self._ours)
        return self._seen.decode().replace("\r\n", "\n")

    def _read(self) -> None:
        try:
            while data := os.read(self._ours, 65536):
                self._seen += data
        except OSError:
            pass


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def run(words: list[str], environ: dict[str, str], *, out: int, error: int) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "hepwrap", *words]
    return subprocess.run(command, stdout=out, stderr=error, env=environ, check=False, timeout=60)


@BOTH
def test_progress_is_drawn_on_a_terminal_and_nothing_of_it_remains(
    words: Callable[[str], list[str]], environ: dict[str, str], subcommand: str
) -> None:
    screen = Screen()
    result = run(words(subcommand), environ, out=subprocess.PIPE, error=screen.theirs)
    text = screen.text
    assert result.returncode == 0
    assert ("scan: " if subcommand == "publish" else "checked ") in text
    assert text.endswith(CLEAR)
    assert b"\x1b" not in result.stdout
    assert result.stdout.count(b"\n") == 1


@BOTH
def test_no_progress_where_only_stdout_is_a_terminal(
    words: Callable[[str], list[str]], environ: dict[str, str], subcommand: str
) -> None:
    screen = Screen()
    result = run(words(subcommand), environ, out=screen.theirs, error=subprocess.PIPE)
    assert "\x1b" not in screen.text
    assert (result.stderr, result.returncode) == (b"", 0)


@BOTH
def test_a_closed_stderr_is_no_obstacle(
    words: Callable[[str], list[str]], environ: dict[str, str], subcommand: str
) -> None:
    command = ["sh", "-c", '"$@" 2>&-', "sh", sys.executable, "-m", "hepwrap", *words(subcommand)]
    result = subprocess.run(command, stdout=subprocess.PIPE, env=environ, check=False, timeout=60)
    assert (result.returncode, result.stdout.count(b"\n")) == (0, 1)


def test_quiet_draws_nothing_on_a_terminal(words: Callable[[str], list[str]], environ: dict[str, str]) -> None:
    screen = Screen()
    result = run([*words("publish"), "--quiet"], environ, out=subprocess.PIPE, error=screen.theirs)
    assert (screen.text, result.stdout, result.returncode) == ("", b"", 0)


def test_an_error_stands_on_a_line_of_its_own(
    words: Callable[[str], list[str]], environ: dict[str, str], place: Path
) -> None:
    marker = place / "tree/.cvmfscatalog"
    marker.touch()
    screen = Screen()
    try:
        result = run(words("publish"), environ, out=subprocess.PIPE, error=screen.theirs)
    finally:
        marker.unlink()
    assert result.returncode == 2
    drawn, _, rest = screen.text.rpartition(CLEAR)
    assert "scan: " in drawn
    assert rest == "hepwrap: /.cvmfscatalog: the root always has a catalogue, a marker there is an error; remove it\n"


# The line itself.


class Clock:
    """Tells what a test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From here on stderr is a terminal; all that is written to it, in pieces.  (No fixture: pytest swaps stderr.)"""
    written: list[str] = []

    class Fake:
        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            return -1

        def write(self, text: str) -> int:
            written.extend([text] if text else [])
            return len(text)

        def flush(self) -> None:
            pass

    monkeypatch.setattr(sys, "stderr", Fake())
    return written


def test_it_is_drawn_ten_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch)
    clock = Clock()
    with ProgressLine(clock=clock) as line:
        for _ in range(100):
            line.show(lambda: f"at {clock.now:.2f}")
            clock.now += 0.01
    assert 10 <= sum("at" in text for text in written) <= 11


def test_what_is_said_meanwhile_clears_it_first(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch)
    with ProgressLine(clock=Clock()) as line:
        line.show(lambda: "half")
        line.say("a warning")
    assert "".join(written) == f"{CLEAR}half{CLEAR}hepwrap: a warning\n"


def test_a_line_that_would_wrap_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch)
    with ProgressLine(clock=Clock()) as line:
        line.show(lambda: "x" * 200)
    assert "".join(written) == CLEAR + "x" * 79 + CLEAR


def test_where_nothing_was_drawn_nothing_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    written = terminal(monkeypatch)
    with ProgressLine(clock=Clock()):
        pass
    with ProgressLine(quiet=True) as line:
        line.show(lambda: "x")
    assert written == []
