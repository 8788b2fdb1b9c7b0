"""A whole CPython as a tree that can be published, by the recipe of `examples/stack.py`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def recipe() -> ModuleType:
    """`examples/stack.py` as a module."""
    name = "hepwrap_examples_stack"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / "stack.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def build(tree: Path) -> None:
    """Interpreter, standard library, and the shared libraries that they need."""
    (tree / "bin").mkdir(parents=True)
    recipe().copy_python(tree)


def environment(top: str) -> dict[str, str]:
    """What a program from the tree needs in its environment."""
    return {"LD_LIBRARY_PATH": f"{top}/lib", "PYTHONDONTWRITEBYTECODE": "1"}
