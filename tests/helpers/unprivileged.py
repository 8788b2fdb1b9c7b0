"""An ordinary user: no capabilities, no_new_privs, and where root runs the tests also another uid.

The project and its environment may lie below a directory that other users cannot enter, so hepwrap and what it depends
on are copied into an environment in a world-readable place, once for all workers.
"""

from __future__ import annotations

import compileall
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import once

#: A user that no machine has.
UID = 54321
HELPER = Path(__file__).resolve().parent / "without_user_namespaces.py"
EXTRA_DISTRIBUTIONS = ("python-ptrace",)


@dataclass(frozen=True, slots=True)
class Unprivileged:
    """Runs commands as an ordinary user."""

    #: Directory of the user's own; everybody may enter and read it.
    home: Path
    #: Interpreter of the copied environment.
    python: Path
    #: How to start hepwrap from the copied environment.
    hepwrap_command: list[str]

    def prefix(self, *, user_namespaces: bool = True, fuse: bool = True) -> list[str]:
        """What to write before a command.

        As root another uid and an empty bounding set; as anybody else no_new_privs alone (there is nothing to drop).
        `user_namespaces=False` forbids to make any, `fuse=False` hides /dev/fuse; both can be set up by root only.
        """
        drop = ["setpriv", "--no-new-privs"]
        if os.geteuid() != 0:
            return [*drop, "--"]
        ids = [f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
        bare = ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
        options = [*([] if user_namespaces else ["--user"]), *([] if fuse else ["--fuse"])]
        outer = [sys._base_executable, str(HELPER), *options, "--"] if options else []  # type: ignore[attr-defined]
        return [*outer, *drop, *ids, *bare, "--"]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A clean environment with an own HOME."""
        basis = {"HOME": str(self.home), "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}
        return {**basis, **(extra or {})}

    def run(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        user_namespaces: bool = True,
        fuse: bool = True,
        timeout: float = 120,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` to its end as that user, in its home; output as text."""
        options.setdefault("cwd", self.home)
        before = self.prefix(user_namespaces=user_namespaces, fuse=fuse)
        return subprocess.run(
            [*before, *map(str, command)],
            env=self.environment(env),
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
            check=False,
            **options,
        )

    def give(self, path: Path) -> Path:
        """A copy of a file or tree that the user can read, for what lies in a closed directory."""
        target = Path(tempfile.mkdtemp(dir=self.home)) / path.name
        if path.is_dir():
            shutil.copytree(path, target, symlinks=True)
        else:
            shutil.copyfile(path, target)
        subprocess.run(["chmod", "-R", "a+rX", str(target.parent)], check=True)
        return target


def make_unprivileged() -> Iterator[Unprivileged]:
    """Copy the installation, and make a home that is removed at the end (made for fixtures)."""
    if shutil.which("setpriv") is None:
        pytest.fail("setpriv is missing; install util-linux")
    installation = once.made("installation", _copy_environment)
    place = Path(tempfile.mkdtemp(prefix="hepwrap-user-"))
    try:
        place.chmod(0o755)
        home = place / "home"
        home.mkdir(mode=0o755)
        if os.geteuid() == 0:
            os.chown(home, UID, UID)
        user = Unprivileged(home, installation / "bin/python", [str(installation / "bin/hepwrap")])
        _check_interpreter(user)
        yield user
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _check_interpreter(user: Unprivileged) -> None:
    """The interpreter itself may be out of the user's reach: then say so, once."""
    done = user.run([user.python, "-c", "import hepwrap"])
    if done.returncode != 0:
        pytest.fail(
            f"an ordinary user cannot run {os.path.realpath(sys.executable)}: {done.stderr.strip()[-300:]}\n"
            "make the environment with a Python that every user can read: make PYTHON=/usr/bin/python3"
        )


def _copy_environment(target: Path) -> None:
    """A virtual environment with hepwrap and what it needs, and nothing else.

    Compiled here, since the user cannot write beside the sources and would compile them at every launch.
    """
    base = Path(sys._base_executable)  # type: ignore[attr-defined]
    packages = target / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    (target / "bin").mkdir()
    python = target / "bin" / "python"
    python.symlink_to(base)
    (target / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    for name in _needed("hepwrap") | set(EXTRA_DISTRIBUTIONS):
        if name != "hepwrap":
            _copy_distribution(name, packages)
    spec = importlib.util.find_spec("hepwrap")
    assert spec is not None
    assert spec.origin is not None
    shutil.copytree(Path(spec.origin).parent, packages / "hepwrap", ignore=shutil.ignore_patterns("__pycache__"))
    information = next(
        (f for f in importlib.metadata.distribution("hepwrap").files or () if f.name == "METADATA"), None
    )
    if information is not None:  # the entry points stand there
        source = Path(str(information.locate())).parent
        shutil.copytree(source, packages / source.name)
    script = target / "bin" / "hepwrap"
    script.write_text(f"#!{python}\nimport sys\nfrom hepwrap.__main__ import main\nsys.exit(main())\n")
    script.chmod(0o755)
    compileall.compile_dir(packages, quiet=2)
    subprocess.run(["chmod", "-R", "a+rX", str(target)], check=True)


def _needed(name: str) -> set[str]:
    """Names of the distribution and of all that it requires without extras."""
    found: set[str] = set()
    todo = [name]
    while todo:
        current = todo.pop().lower().replace("_", "-")
        if current in found:
            continue
        try:
            rows = importlib.metadata.requires(current) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or another version of Python
        found.add(current)
        todo += [re.split(r"[^A-Za-z0-9._-]", row, maxsplit=1)[0] for row in rows if "extra ==" not in row]
    return found


def _copy_distribution(name: str, packages: Path) -> None:
    """Copy the installed files of one distribution."""
    for file in importlib.metadata.distribution(name).files or ():
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        target = packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(file.locate()), target)
