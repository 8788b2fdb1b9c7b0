"""The rows that are whole commands, launches and memory, as a table.

Commands run again and again inside one launch: hepwrap keeps what was opened in memory for the life of a job, so only
the first run fetches.  What the first one took is a row of its own.
"""

from __future__ import annotations

from hepwrap.perf.rows import LOOPS, Kind, Row

_TOOLS, _JOBS, _LAUNCH = "tools", "jobs", "launch"
_IMPORTS = (
    "argparse", "asyncio", "collections", "csv", "ctypes", "dataclasses", "decimal", "email.message", "hashlib",
    "http.client", "json", "logging", "multiprocessing", "pathlib", "random", "sqlite3", "subprocess", "tempfile",
    "unittest", "urllib.request",
)  # fmt: skip
_PYTHON = "{prefix}/python/bin/python3"
_OF_PYTHON = ("LD_LIBRARY_PATH={prefix}/python/lib", "PYTHONDONTWRITEBYTECODE=1")


def _job(name: str, title: str, part: str, file: str, *arguments: str) -> Row:
    """A job from the directory of workloads, which prints a digest as its last line."""
    return Row(
        name,
        title,
        _JOBS,
        Kind.COMMAND,
        command=(_PYTHON, f"{{workloads}}/{file}", *arguments),
        environment=(*_OF_PYTHON, "GEANT4_DATA_DIR={runs}"),
        parts=("python", part),
        job=file,
        only_last_line=True,
    )


COMMANDS: tuple[Row, ...] = (
    Row(
        "python",
        f"Python start with {len(_IMPORTS)} imports",
        _JOBS,
        Kind.COMMAND,
        command=(_PYTHON, "-c", f"import {', '.join(_IMPORTS)}, sys; print(len(sys.modules))"),
        environment=_OF_PYTHON,
        parts=("python",),
        is_quick=True,
    ),
    Row(
        "find",
        "find over 20,000 files",
        _TOOLS,
        Kind.COMMAND,
        command=("find", "{prefix}/files"),
        tools=("find",),
    ),
    Row(
        "find-size",
        "find -size over 20,000 files",
        _TOOLS,
        Kind.COMMAND,
        command=("find", "{prefix}/files", "-type", "f", "-size", "+1k"),
        tools=("find",),
    ),
    Row(
        "ls",
        "ls -lR over 20,000 files",
        _TOOLS,
        Kind.COMMAND,
        command=("ls", "-lR", "{prefix}/files"),
        tools=("ls",),
        # Sizes of directories; owners.
        unlike=(r"^total \d+$", r"^d\S+ +\d+ \S+ +\S+ +\d+ ", r"(?<=^-rw-r--r-- 1 )\S+ +\S+ "),
    ),
    Row(
        "grep",
        "grep -r over 2,000 files",
        _TOOLS,
        Kind.COMMAND,
        command=("grep", "-r", "value_00a", *(f"{{prefix}}/files/{number:03}" for number in range(20))),
        tools=("grep",),
    ),
    Row(
        "grep-many",
        "grep -r over 20,000 files",
        _TOOLS,
        Kind.COMMAND,
        command=("grep", "-r", "value_00a", "{prefix}/files"),
        tools=("grep",),
        only_named="can take many minutes",
    ),
    Row(
        "g++",
        "g++ -c of a file with many headers",
        _TOOLS,
        Kind.COMMAND,
        command=("g++", "@flags", "-c", "main.cc", "-o", "{runs}/main.o"),
        directory="{prefix}/cpp",
        parts=("cpp",),
        tools=("g++",),
    ),
    Row(
        "git",
        "git status of 2,000 files",
        _TOOLS,
        Kind.COMMAND,
        # The copies differ in inode numbers and times of change, and nothing can be written back.
        command=(
            *("git", "--no-optional-locks", "-C", "{prefix}/git", "-c", "safe.directory=*", "-c", "core.trustctime=no"),
            *("-c", "core.checkStat=minimal", "status", "--porcelain"),
        ),
        parts=("git",),
        tools=("git",),
    ),
    _job("pythia", "Pythia 8, 50 events", "pythia8mc", "pythia8_events.py", "50"),
    _job("geant4", "Geant4, 5,000 decays", "geant4-pybind", "geant4_decays.py", "5000"),
    Row(
        "root.exe",
        "root.exe -b -q -l -e ...",
        _JOBS,
        Kind.COMMAND,
        # The value of the last expression is its exit code.
        command=("{prefix}/python/root/bin/root.exe", "-b", "-q", "-l", "-e", 'printf("hi\\n"); 0'),
        environment=_OF_PYTHON,
        parts=("python", "root"),
    ),
    Row(
        "import-root",
        "Python, import ROOT",
        _JOBS,
        Kind.COMMAND,
        command=(_PYTHON, "-c", "import ROOT; print(ROOT.gROOT.GetVersion())"),
        environment=_OF_PYTHON,
        parts=("python", "root"),
    ),
)

LAUNCHES: tuple[Row, ...] = (
    Row("launch", "start a program that does nothing", _LAUNCH, Kind.LAUNCH, parts=("program",), is_quick=True),
    Row("memory", "memory of the helper", _LAUNCH, Kind.MEMORY, command=("true",), unit="B"),
    Row("memory-find", "memory of the helper after find over 20,000 files", _LAUNCH, Kind.MEMORY, unit="B",
        command=("find", "{prefix}/files", "-size", "+1k")),
)  # fmt: skip

#: All rows, in the order in which they are shown.
ROWS: tuple[Row, ...] = (*LOOPS, *LAUNCHES, *COMMANDS)
