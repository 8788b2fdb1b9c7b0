"""A publisher that is killed, at whatever moment: the revision before stands, or the new one does, whole."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from hepwrap.vfs.publish import checker
from tests.vfs_publish.conftest import NAME, Place

#: What a publisher does to the store, each an occasion to die just before it.
STEPS = ("rename", "replace", "fsync", "write", "unlink")


class Story:
    """The file `/file` holds the number of the try; which try each revision is of."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.tries = 0
        self.randomness = random.Random(5)
        for number in range(6):
            place.write(f"sub/f{number}", b"%d" % number)
        place.write("sub/.cvmfscatalog")
        self.next_try()
        place.publish()
        self.revision = 1
        self.published = self.tries

    def next_try(self) -> None:
        """Something new in the root, in the nested catalogue, and in chunks."""
        self.tries += 1
        self.place.write("file", b"%d" % self.tries)
        self.place.write("sub/changing", b"%d" % self.tries)
        self.place.write("large", self.randomness.randbytes(40_000))

    def check(self) -> bool:
        """Verify everything; True if the last try was published."""
        store = self.place.read()
        revision = int(store.fields["S"])
        assert revision in (self.revision, self.revision + 1)
        if revision != self.revision:
            self.revision, self.published = revision, self.tries
        assert store.entries[b"/file"].content == store.entries[b"/sub/changing"].content == b"%d" % self.published
        assert store.tags()["trunk"] == (store.fields["C"], revision)
        return self.published == self.tries

    def finish(self) -> None:
        """Afterwards publishing goes on as if nothing had been."""
        self.next_try()
        report = self.place.publish()
        assert report.revision == self.revision + 1
        assert [text for text in report.warnings if "reflog" in text] == []
        assert self.check()
        self.place.read().verify_reflog()
        assert checker.check(self.place.base, objects=True) == []
        assert list((self.place.base / ".publisher" / "txn").iterdir()) == []


def in_child(act: Callable[[], object]) -> int:
    """Fork a child that does `act`; its process id."""
    child = os.fork()
    if child == 0:
        try:
            act()
            os._exit(0)
        finally:
            os._exit(70)
    return child


def test_killed_at_random_moments(place: Place) -> None:
    story = Story(place)
    begin = time.monotonic()
    place.publish()
    story.revision += 1
    length = time.monotonic() - begin
    killed = 0
    for _ in range(40):
        story.next_try()
        child = in_child(place.publish)
        time.sleep(story.randomness.uniform(0, length * 1.2))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        story.check()
    assert killed > 0
    story.finish()


def dying(place: Place, last: int, steps: tuple[str, ...] = STEPS) -> Callable[[], None]:
    """Publishes and dies before the step number `last`."""
    lock = threading.Lock()
    done = 0

    def count(step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal done
            with lock:
                done += 1
                if done == last:
                    os.kill(os.getpid(), signal.SIGKILL)
            return step(*arguments, **named)

        return call

    def publish() -> None:
        for name in steps:
            setattr(os, name, count(getattr(os, name)))
        place.publish()

    return publish


def test_killed_before_each_step(place: Place) -> None:
    """Not by chance: before the first thing it does to the store, before the second, and so on to the end."""
    story = Story(place)
    outcomes = []
    for last in itertools.count(1):
        story.next_try()
        _, status = os.waitpid(in_child(dying(place, last)), 0)
        outcomes.append(story.check())
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            break
    assert len(outcomes) > 30
    assert outcomes[-1]
    assert not any(outcomes[:10]), "the manifest is not replaced early"
    story.finish()


@pytest.mark.parametrize("last", [1, 2, 5, 100, 265, 270, 280])
def test_killed_while_the_store_is_made(place: Place, last: int) -> None:
    place.write("file", b"x")
    _, status = os.waitpid(in_child(dying(place, last, (*STEPS, "mkdir"))), 0)
    assert os.WIFSIGNALED(status)
    assert not (place.base / ".cvmfspublished").exists()
    assert place.publish().revision == 1
    assert place.read().entries[b"/file"].content == b"x"
    assert checker.check(place.base, objects=True) == []


def test_a_failing_disk_leaves_the_revision_before(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from hepwrap.errors import PublishFailed
    from hepwrap.vfs.publish import objects_writer

    story = Story(place)
    story.next_try()

    def full(descriptor: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(objects_writer, "write_all", full)
    with pytest.raises(PublishFailed, match=f"publishing {NAME} failed at .*: No space left on device; the revision"):
        place.publish()
    monkeypatch.undo()
    assert not story.check()
    story.finish()


def test_an_interrupt_leaves_the_revision_before(place: Place) -> None:
    story = Story(place)
    story.next_try()

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    from hepwrap.vfs.publish.publisher import publish

    with pytest.raises(KeyboardInterrupt):
        publish(place.tree, name=NAME, store=place.store, keys=place.keys, progress=interrupt, options=place.options)
    assert not story.check()
    story.finish()


def test_the_manifest_is_replaced_last_and_after_everything_is_durable(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of what is done to the store, as the kernel sees it."""
    from hepwrap.vfs.publish import files

    place.write("file", b"x")
    events: list[str] = []
    replace, rename, sync = os.replace, os.rename, files.sync_file_system

    def log(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> None:
            events.append(f"{name} {os.path.basename(arguments[-1])}")
            step(*arguments)

        return call

    monkeypatch.setattr(os, "replace", log("replace", replace))
    monkeypatch.setattr(os, "rename", log("object", rename))
    monkeypatch.setattr(files, "sync_file_system", log("sync", sync))
    place.publish()
    kinds = [event.split()[0] for event in events]
    assert kinds.index("sync") > max(i for i, kind in enumerate(kinds) if kind == "object")
    assert events[-1] == "replace .cvmfspublished"
    assert events.index(f"sync {NAME}") < events.index("replace .cvmfsreflog") < len(events) - 1


def test_two_publishers_at_once_are_one_publisher_and_one_sentence(place: Place) -> None:
    """Two real processes; the second begins while the first is known to be at work."""
    script = (
        "import sys, pathlib, time\n"
        "from hepwrap.vfs.publish.publisher import publish\n"
        "from hepwrap.errors import PublishFailed\n"
        "def progress(p):\n"
        "    if p.phase == 'commit':\n"
        "        print('working', flush=True); sys.stdin.readline()\n"
        "p = pathlib.Path(sys.argv[1])\n"
        "try:\n"
        f"    publish(p / 'tree', name='{NAME}', store=p / 'store', keys=p / 'keys', progress=progress)\n"
        "except PublishFailed as error:\n"
        "    print(error); sys.exit(3)\n"
    )
    place.write("file", b"x")
    command = [sys.executable, "-c", script, str(place.tree.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "working\n"
        second = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert second.returncode == 3
        assert second.stdout.startswith(f"process {first.pid} on ")
        assert f"is publishing {NAME} into this store" in second.stdout
        first.communicate("go on\n")
    assert first.returncode == 0
    assert place.read().fields["S"] == "1"
