"""The software stack of the real workloads: made and published once, kept below `.demo` beside that of `make demo`.

Only what the recipe names is downloaded, and only where the kept stack was made of something else.
"""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

from tests.helpers.launches import Launches, quiet
from tests.helpers.publishing import publish
from tests.helpers.python_tree import recipe
from tests.helpers.shared import ROOT

NAME = "workloads.hep.example"
REQUIREMENTS = ["pythia8mc==8.317.2", "geant4-pybind==0.1.3"]
PLACE = ROOT / ".demo" / "workloads"


def made(tester: Launches) -> Path:
    """The directory with `stack`, `store` and `keys`, all complete; one worker makes it while others wait."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with open(PLACE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stack, published = PLACE / "stack", PLACE / "published"
        description = recipe().description(REQUIREMENTS)
        if not recipe().is_made(stack, REQUIREMENTS):
            published.unlink(missing_ok=True)
            recipe().make(stack, REQUIREMENTS, print)
        if not published.is_file() or published.read_text() != description:
            shutil.rmtree(PLACE / "store", ignore_errors=True)
            shutil.rmtree(PLACE / "keys", ignore_errors=True)
            done = tester.look("keygen", NAME, "--keys", str(PLACE / "keys"))
            assert done.returncode == 0, done.stderr
            quiet(publish(tester, NAME, stack, PLACE))
            published.write_text(description)
    return PLACE
