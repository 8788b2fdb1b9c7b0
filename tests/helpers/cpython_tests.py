"""A CPython with its own tests, as a tree: `python -m tests.helpers.cpython_tests` downloads it, below `.demo`.

Owns how they are run, and what each of them came to.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.helpers import debian, needs
from tests.helpers.shared import ROOT

PLACE = ROOT / ".demo" / "cpython-tests"
RELEASE, VERSION = "bookworm", "3.11"
#: Interpreter, library, tests; the shared libraries that these need are the host's.
PACKAGES = (
    f"python{VERSION}-minimal", f"libpython{VERSION}-minimal", f"libpython{VERSION}-stdlib", f"python{VERSION}-venv",
    f"libpython{VERSION}-testsuite",
)  # fmt: skip
#: Sources that are meant not to compile.
BROKEN = "bad_coding|bad_?syntax|badsyntax|lib2to3/tests"
#: Seconds after which a module hangs; the longest takes a minute.
PATIENCE = 600


def build(tree: Path) -> None:
    """The tree, with compiled modules; the test is skipped where nothing has been downloaded."""
    kept = PLACE / "root/usr"
    if not kept.is_dir():
        needs.lacking("CPython's own tests are missing: python -m tests.helpers.cpython_tests")
    shutil.copytree(kept, tree, symlinks=True)
    library = tree / f"lib/python{VERSION}"
    (library / "sitecustomize.py").unlink()  # leads into the host's /etc
    words = ["-m", "compileall", "-q", "-j", "0", "-x", BROKEN, "-s", str(tree), str(library)]
    subprocess.run([interpreter(str(tree)), *words], check=True, stdout=subprocess.DEVNULL, timeout=200)


def interpreter(top: str) -> str:
    """The program in the tree at `top`."""
    return f"{top}/bin/python{VERSION}"


def outcomes(run: Callable[..., Any], top: str, module: str, desk: Path) -> dict[str, str]:
    """What each test of a module came to, by its name; `run` starts a command in `desk` and waits for its end.

    Prints why, of all that did not pass: pytest shows it where the test fails.
    """
    report = desk / "report.xml"
    report.unlink(missing_ok=True)
    words = [interpreter(top), "-m", "test", "--junit-xml", str(report), module]
    done = run(*words, env={"TMPDIR": str(desk)}, cwd=desk, timeout=PATIENCE, text=True)
    said = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert "hepwrap:" not in done.stderr, said
    assert report.exists(), said
    found: dict[str, str] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        name, told = case.get("name", "?"), [child for child in case if child.tag not in {"system-out", "system-err"}]
        found[name] = "+".join(sorted({child.tag for child in told})) or "passed"
        for child in told:
            print(f"{name}: {child.tag}: {(child.text or '').strip().rpartition(chr(10))[2]}")
    return found


def main() -> None:
    """Download what is not there; where that cannot be had it is said."""
    if (PLACE / "root").is_dir():
        return
    try:
        debian.unpacked(PLACE, RELEASE, PACKAGES)
    except (OSError, subprocess.SubprocessError) as problem:
        print(f"CPython's own tests cannot be had, they are skipped: {problem}", file=sys.stderr)


if __name__ == "__main__":
    main()
