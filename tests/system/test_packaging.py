"""What is in the tree is in the package, and what runs from the tree runs installed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("interpose", "vfs", "cache", "fetchers", "perf")


def packages_in_the_tree() -> set[str]:
    """Dotted names of all directories with an `__init__.py`: below src, and of the rooms that it links to."""
    places = [
        *(ROOT / "src" / "hepwrap").rglob("__init__.py"),
        *(p for r in ROOMS for p in (ROOT / r).rglob("__init__.py")),
    ]
    found = set()
    for path in places:
        base = ROOT if path.relative_to(ROOT).parts[0] in ROOMS else ROOT / "src" / "hepwrap"
        parts = path.parent.relative_to(base).parts
        found.add(".".join(("hepwrap", *parts)))
    return found


def test_every_package_is_listed() -> None:
    """setuptools does not look for packages here: they stand behind links, so they are listed by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["tool"]["setuptools"]["packages"]) == packages_in_the_tree()


def test_the_installed_command_tells_its_version() -> None:
    command = [str(Path(sys.executable).with_name("hepwrap")), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hepwrap ")


def test_start_up_loads_no_heavy_library() -> None:
    """`hepwrap -- CMD` must not pay for what it may not need."""
    code = (
        "import sys, hepwrap.__main__, hepwrap.cli; print(*{'requests', 'cryptography', 'ptrace'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "", done.stderr
    assert done.returncode == 0, done.stderr


def test_rooms_are_not_importable_under_a_second_name() -> None:
    """`import vfs` from the project's root would be the same code twice, with two sets of globals."""
    code = (
        "import importlib.util as u; print(*[r for r in ('vfs', 'cache', 'fetchers', 'interpose') if u.find_spec(r)])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "", done.stderr
