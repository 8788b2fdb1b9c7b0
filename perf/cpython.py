"""A whole CPython as a tree: interpreter, standard library, packages; it runs wherever it is put.

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
from importlib.util import find_spec
from pathlib import Path

from hepwrap.errors import HepwrapError

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
        raise HepwrapError(
            f"the copied interpreter takes {prefix} for its prefix, not {target}; try hepwrap with another Python"
        )


def shared_libraries(programs: list[Path]) -> set[Path]:
    """Shared libraries that the loader finds for these on this machine, without those of the C library."""
    if shutil.which("ldd") is None:
        raise HepwrapError("ldd is missing; install libc-bin")
    text = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    found = {Path(path) for path in re.findall(r"=> (/\S+) \(", text)}
    return {path for path in found if not HOST_LIBRARIES.match(path.name)}


def run_python(target: Path, code: str) -> str:
    """What the stack's own interpreter prints, in an environment without any hint of where it is."""
    command = [str(target / "bin/python3"), "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment(target)).stdout


def clean_environment(target: Path) -> dict[str, str]:
    """The environment of a job from the stack: its libraries, and nothing of this shell."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": str(target / "lib")}


def install(target: Path, requirements: list[str]) -> None:
    """Let the stack's own interpreter run this environment's pip: then files go where that interpreter looks for them.

    `pip --target` would not do: it puts a wheel's data files (`share/...`) beside the modules and not below the prefix.
    """
    wanted, found = ", ".join(requirements), find_spec("pip")
    if found is None or found.origin is None:
        raise HepwrapError(f"pip is missing in this environment and {wanted} cannot be installed")
    command = [
        str(target / "bin/python3"),
        str(Path(found.origin).parent),
        "--disable-pip-version-check",
        "--quiet",
        "install",
    ]
    options = ["--no-compile", "--no-warn-script-location", "--root-user-action=ignore", "--only-binary", ":all:"]
    done = subprocess.run(
        [*command, *options, *requirements],
        env={**os.environ, **clean_environment(target)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reasons = re.findall(r"^ERROR: (.+)$", done.stderr, re.MULTILINE) or ["it does not say why"]
        raise HepwrapError(f"pip could not install {wanted}: {reasons[-1]}")


def compile_bytecode(target: Path) -> None:
    """So that no run has to; Debian's CPython has what pip installs below `local`."""
    places = [place for place in (target / "lib", target / "local") if place.is_dir()]
    subprocess.run([target / "bin/python3", "-m", "compileall", "-q", "-j", "0", *places], check=False)


def place_of(target: Path, package: str) -> Path:
    """The directory of an installed package."""
    code = f"import importlib.util; print(importlib.util.find_spec({package!r}).submodule_search_locations[0])"
    return Path(run_python(target, code).strip())
