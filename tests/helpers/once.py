"""What is made once for all workers of a run: guests, installations, published trees.

Owns one directory that every user can read.  The process that starts the workers calls `begin` and `end`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Where the workers find the directory.
VARIABLE = "HEPWRAP_TEST_RUN"


def begin() -> None:
    """Make the directory."""
    place = tempfile.mkdtemp(prefix="hepwrap-run-")
    os.chmod(place, 0o755)
    os.environ[VARIABLE] = place


def end() -> None:
    """Remove it; what tests have closed is opened first."""
    place = os.environ.pop(VARIABLE)
    subprocess.run(["chmod", "-R", "u+rwX", place], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(place, ignore_errors=True)


def made(name: str, make: Callable[[Path], object]) -> Path:
    """The directory `name`, filled by `make`; other workers wait for the one that makes it.

    Where `make` fails nothing is kept, and the next who asks tries again.
    """
    place = Path(os.environ[VARIABLE]) / name
    done = place.with_name(f".{name}.made")
    with open(place.with_name(f".{name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            make(place)
            done.touch()
    return place


def found(name: str, find: Callable[[], Any]) -> Any:
    """What `find` has found out, once for all workers: something that JSON can hold."""
    place = made(name, lambda place: (place / "found").write_text(json.dumps(find())))
    return json.loads((place / "found").read_text())
