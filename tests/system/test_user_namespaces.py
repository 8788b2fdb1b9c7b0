"""Capabilities in a user namespace of a task's own count only for what is mapped there (user_namespaces(7)).

The same questions to a copy on disk, in the same namespaces, natively: the kernel's answers are ours.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.faulty_repository import ENGINES, TOP, engine_options
from tests.helpers.launches import PYTHON, Launches
from tests.helpers.repositories import ServedRepository
from tests.helpers.unprivileged import UID, Unprivileged

BECOME_USER = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
NAMESPACES = {
    "none": (),
    "nobody mapped": ("unshare", "--user"),
    "as its root": ("unshare", "--user", "--map-root-user"),
    "under another number": ("unshare", "--user", "--map-user=7", "--map-group=8"),
    "only the user mapped": ("unshare", "--user", "--map-user=0"),
    "only the group mapped": ("unshare", "--user", "--map-group=0"),
    "root of root": ("unshare", "--user", "--map-root-user", "unshare", "--user", "--map-root-user"),
    "nobody of root": ("unshare", "--user", "--map-root-user", "unshare", "--user"),
}
ASK = """
import os, sys
os.chdir(sys.argv[1])
def say(what, call, *arguments, **options):
    try:
        print(what, call(*arguments, **options) or 0)
    except OSError as error:
        print(what, error.errno)
for name in ("m0000", "m0444", "m0600", "m4755", "dir0700", "dir0700/in", "dir0700/none", "sticky"):
    for mode in (os.R_OK, os.X_OK, os.R_OK | os.X_OK):
        say((name, mode, "real"), os.access, name, mode)
        say((name, mode, "effective"), os.access, name, mode, effective_ids=True)
    say((name, "stat"), lambda: os.stat(name).st_mode)
    say((name, "open"), lambda: os.close(os.open(name, os.O_RDONLY)))
    say((name, "path"), lambda: os.close(os.open(name, os.O_PATH)))
    if "dir" in name:
        say((name, "list"), os.listdir, name)
        say((name, "enter"), lambda: (os.chdir(name), os.chdir("..")) and None)
"""


def copy(place: Path, owner: int) -> Path:
    """The same objects on disk."""
    (place / "dir0700").mkdir()
    (place / "sticky").mkdir()
    for name, content in (("m0000", "none\n"), ("m0444", "444"), ("m0600", "private\n"), ("m4755", "#!/bin/sh\n")):
        (place / name).write_text(content)
        (place / name).chmod(int(name[1:], 8))
    (place / "dir0700/in").write_text("in\n")
    for path in (*place.rglob("*"), place):
        if os.geteuid() == 0:
            os.chown(path, owner, owner)
    (place / "m4755").chmod(0o4755)
    (place / "sticky").chmod(0o1777)
    (place / "dir0700").chmod(0o700)
    place.chmod(0o755)
    return place


@pytest.fixture
def place() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="hepwrap-namespaces-"))
    place.chmod(0o755)
    (place / "copy").mkdir()
    (place / "home").mkdir()
    yield place
    shutil.rmtree(place)


def agree(launches: Launches, native: Path, *namespace: str) -> None:
    """The program sees there what it sees on disk."""
    truth = launches.native(*namespace, PYTHON, "-c", ASK, native)
    if "unshare failed" in truth.stderr:
        pytest.skip(f"this machine does not let us: {truth.stderr}")
    assert truth.stdout.count("\n") > 60, truth.stderr
    done = launches.run(*namespace, PYTHON, "-c", ASK, f"{TOP}/perm")
    pairs = zip(done.stdout.splitlines(), truth.stdout.splitlines(), strict=False)
    assert [(ours, kernels) for ours, kernels in pairs if ours != kernels] == []
    assert (done.stdout, done.stderr) == (truth.stdout, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities and can become others")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("before", [(), BECOME_USER], ids=["root", "another user"])
@pytest.mark.parametrize("namespace", NAMESPACES)
def test_inside_a_launch_by_root(
    unprivileged: Unprivileged,
    test_repository: ServedRepository,
    place: Path,
    engine: str,
    before: tuple[str, ...],
    namespace: str,
) -> None:
    launches = Launches.as_myself(unprivileged, test_repository.flags, place / "home").having(*engine_options(engine))
    agree(launches, copy(place / "copy", 0), *before, *NAMESPACES[namespace])


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_inside_a_launch_by_an_ordinary_user(
    unprivileged: Unprivileged, test_repository: ServedRepository, place: Path, namespace: str
) -> None:
    flags = list(test_repository.flags)
    flags[flags.index("--key") + 1] = str(unprivileged.give(test_repository.key))
    launches = Launches.of(unprivileged, flags)
    agree(launches, copy(place / "copy", UID), *NAMESPACES[namespace])


@pytest.mark.parametrize("namespace", ["as its root", "nobody mapped"])
def test_a_launch_inside_of_a_user_namespace(
    unprivileged: Unprivileged, test_repository: ServedRepository, place: Path, namespace: str
) -> None:
    """There the launch's own root may do with its user's files what root may."""
    flags = list(test_repository.flags)
    flags[flags.index("--key") + 1] = str(unprivileged.give(test_repository.key))
    launches = Launches.of(unprivileged, flags).inside(*NAMESPACES["as its root"])
    agree(launches, copy(place / "copy", UID), *NAMESPACES[namespace])
