"""Run a command and fail where it leaves something behind: a process, a name, a file in its temporary directory.

    python .ci/leaves_nothing.py COMMAND ...

The command gets a TMPDIR of its own.  Whatever is orphaned comes to us (PR_SET_CHILD_SUBREAPER, prctl(2)), so that
no process gets lost, whatever session it has made for itself.
"""

from __future__ import annotations

import ctypes
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
#: Seconds in which processes may still end.
PATIENCE = 10.0
#: Where nothing new may stand: what is temporary is elsewhere.  (What users keep in their homes is theirs.)
PLACES = ("/*", "/dev/shm/*", "/tmp/.hepwrap-*", "/var/tmp/.hepwrap-*")
#: What others leave in the temporary directory, on purpose.
KEPT = ("pytest-of-*",)


def names() -> set[str]:
    """All names that are watched."""
    return {name for place in PLACES for name in glob.glob(os.path.expanduser(place), include_hidden=True)}


def run(command: list[str], temporary: str) -> int:
    """Its exit code; orphans are reaped as they end."""
    child = subprocess.Popen(command, env={**os.environ, "TMPDIR": temporary})
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode


def orphans() -> dict[int, str]:
    """Our children that live, after those that have ended are reaped."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return {}
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid():
                found[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found


def main() -> int:
    """Everything."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = names()
    temporary = tempfile.mkdtemp(prefix="ci-")
    os.chmod(temporary, 0o1777)
    code = run(sys.argv[1:], temporary)
    deadline = time.monotonic() + PATIENCE
    while orphans() and time.monotonic() < deadline:
        time.sleep(0.1)
    complaints = []
    for pid, words in orphans().items():
        complaints.append(f"process {pid}: {words}")
        os.kill(pid, signal.SIGKILL)
    complaints += sorted(names() - before)
    kept = {path for pattern in KEPT for path in Path(temporary).glob(pattern)}
    complaints += sorted(str(path) for path in Path(temporary).iterdir() if path not in kept)
    shutil.rmtree(temporary, ignore_errors=True)
    for complaint in complaints:
        print(f"left behind: {complaint}", file=sys.stderr)
    return code or bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
