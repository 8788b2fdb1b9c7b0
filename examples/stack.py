"""Makes a software stack that can be published: a whole CPython with packages, which runs wherever it is put.

An environment made by venv links to the interpreter outside its own tree and would not do.  Here the interpreter and
the standard library are copied: CPython finds its prefix by looking for `lib/python3.X/os.py` above its own executable.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

#: Written last: a stack without it was not finished.
STAMP = ".made-of"
#: Parts of a standard library that no job needs.
LEFT_OUT = shutil.ignore_patterns(
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "config-*",
    "ensurepip",
    "turtledemo",
    "dist-packages",
    "site-packages",
    "EXTERNALLY-MANAGED",  # says that Debian looks after this tree: not after the copy
)
#: What must come from the machine: the C library and its kin (PEP 600 calls them policy libraries).
HOST_LIBRARIES = re.compile(
    r"^(ld-linux|linux-vdso|libgcc_s|libstdc\+\+|libc|libm|libdl|libpthread|librt|libutil|libresolv|libanl|libnss_\w+)\b"
)


def interpreter() -> Path:
    """The executable behind the virtual environment that runs this."""
    base = getattr(sys, "_base_executable", sys.executable)
    return Path(base).resolve()


def description(requirements: list[str]) -> str:
    """What a finished stack was made of; a different text means that it must be made again."""
    return "\n".join([sys.version, str(interpreter()), *requirements, ""])


def is_made(target: Path, requirements: list[str]) -> bool:
    """Whether `target` is a finished stack of these requirements."""
    stamp = target / STAMP
    return stamp.is_file() and stamp.read_text() == description(requirements)


def make(target: Path, requirements: list[str], say: Callable[[str], None]) -> None:
    """Build the stack in `target`; anything unfinished there is removed."""
    if target.exists():
        shutil.rmtree(target)
    (target / "bin").mkdir(parents=True)
    say("copying CPython")
    copy_python(target)
    say(f"installing {', '.join(requirements)}")
    install(target, requirements)
    say("compiling to bytecode")
    subprocess.run([target / "bin/python3", "-m", "compileall", "-q", "-j", "0", target / "lib"], check=True)
    (target / STAMP).write_text(description(requirements))


def copy_python(target: Path) -> None:
    """Interpreter, standard library and the shared libraries that they need beside the C library."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy2(interpreter(), target / "bin" / name)
    for link in ("python3", "python"):
        (target / "bin" / link).symlink_to(name)
    library = target / "lib" / name
    for kind in ("stdlib", "platstdlib"):
        source = Path(sysconfig.get_path(kind, vars={"base": sys.base_prefix, "platbase": sys.base_exec_prefix}))
        shutil.copytree(source, library, ignore=LEFT_OUT, dirs_exist_ok=True, ignore_dangling_symlinks=True)
    for dependency in shared_libraries([target / "bin" / name, *library.glob("lib-dynload/*.so")]):
        shutil.copy2(dependency, target / "lib" / dependency.name)
    prefix = run_python(target, "import sys; print(sys.prefix)").strip()
    if Path(prefix).resolve() != target.resolve():
        raise SystemExit(
            f"demo: the copied interpreter takes {prefix} for its prefix, not {target}; try another PYTHON"
        )


def shared_libraries(programs: list[Path]) -> set[Path]:
    """Shared libraries that the loader finds for these on this machine, without those of the C library."""
    text = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    found = {Path(path) for path in re.findall(r"=> (/\S+) \(", text)}
    return {path for path in found if not HOST_LIBRARIES.match(path.name)}


def run_python(target: Path, code: str) -> str:
    """What the stack's own interpreter prints, in an environment without any hint of where it is."""
    command = [target / "bin/python3", "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment(target)).stdout


def clean_environment(target: Path) -> dict[str, str]:
    """The environment of a job from the stack: its libraries, and nothing of this shell."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": str(target / "lib")}


def install(target: Path, requirements: list[str]) -> None:
    """Let the stack's own interpreter run this environment's pip: then files go where that interpreter looks for them.

    `pip --target` would not do: it puts a wheel's data files (`share/...`) beside the modules and not below the prefix.
    """
    pip = Path(sysconfig.get_path("purelib")) / "pip"
    command = [target / "bin/python3", pip, "--disable-pip-version-check", "--quiet", "install", "--no-compile"]
    options = ["--no-warn-script-location", "--root-user-action=ignore", "--only-binary", ":all:"]
    subprocess.run([*command, *options, *requirements], check=True, env={**os.environ, **clean_environment(target)})
