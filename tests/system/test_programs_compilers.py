"""A compiler over a repository: precompiled headers, a plugin, ccache, link-time optimisation; and pip."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from pathlib import Path

from tests.helpers import needs
from tests.helpers.fixtures import pairs, publishes
from tests.helpers.launches import PYTHON, quiet
from tests.helpers.programs import Pair

PLUGIN = Path(__file__).resolve().parents[1] / "scripts/plugin.cc"
#: As in a stack of HEP: many headers, templates, and a source that only names one of them.
HEADERS = ("algorithm", "functional", "iostream", "map", "memory", "numeric", "sstream", "string", "vector")
SOURCE = """#include "all.h"
#include "units/part.h"
int main()
{
	std::vector<int> numbers(PARTS);
	std::iota(numbers.begin(), numbers.end(), 1);
	std::map<std::string, std::function<int(int)>> by{{"square", [](int n) { return n * n; }}};
	auto add = [&](int a, int b) { return a + by["square"](b); };
	std::cout << std::accumulate(numbers.begin(), numbers.end(), 0, add) << "\\n";
}
"""
PARTS = 20
ANSWER = f"{sum(number * number for number in range(1, PARTS + 1))}\n".encode()


def build(tree: Path) -> None:
    """Sources, headers, one of them compiled before, a plugin, and wheels."""
    (tree / "include/units").mkdir(parents=True)
    (tree / "include/all.h").write_text("#pragma once\n" + "".join(f"#include <{name}>\n" for name in HEADERS))
    (tree / "include/units/part.h").write_text(f"enum {{ PARTS = {PARTS} }};\n")
    (tree / "main.cc").write_text(SOURCE)
    compiler = needs.program("g++", "g++")
    header = tree / "include/all.h"
    subprocess.run([compiler, "-O1", "-x", "c++-header", header, "-o", f"{header}.gch"], check=True, timeout=120)
    found = subprocess.run(
        [compiler, "-print-file-name=plugin"], capture_output=True, text=True, check=True, timeout=60
    )
    headers = Path(found.stdout.strip()) / "include"
    if (headers / "gcc-plugin.h").exists():
        command = [compiler, "-shared", "-fPIC", "-fno-rtti", f"-I{headers}", "-o", tree / "plugin.so", PLUGIN]
        subprocess.run(command, check=True, timeout=120)
    wheel(tree / "wheels/top_package-1.0-py3-none-any.whl", "top_package", ["bottom_package>=2"])
    wheel(tree / "wheels/bottom_package-2.5-py3-none-any.whl", "bottom_package", [])
    for directory, names, files in os.walk(tree):
        for name in names + files:
            os.utime(os.path.join(directory, name), (1_700_000_000, 1_700_000_000))


def wheel(path: Path, name: str, requirements: list[str]) -> None:
    """A package of one module (PEP 427)."""
    version = path.name.split("-")[1]
    path.parent.mkdir(exist_ok=True)
    needed = "".join(f"Requires-Dist: {each}\n" for each in requirements)
    notes = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"version = {version!r}\n")
        for each, text in notes.items():
            archive.writestr(f"{name}-{version}.dist-info/{each}", text)
        archive.writestr(f"{name}-{version}.dist-info/RECORD", "")


published = publishes("compilers.hep.example", build)
sources = pairs()


def built(sources: Pair, desk: Path, *options: str, before: tuple[str, ...] = ()) -> bytes:
    """What the compiler says while it makes `desk/program`, which must give the right answer."""
    words = [*before, "g++", "-O1", "-I{top}/include", *options, "-o", str(desk / "program"), "{top}/main.cc"]
    done = sources.wrapped(words, cwd=desk)
    assert done.returncode == 0, done.stderr
    assert sources.launcher.native(desk / "program", text=False).stdout == ANSWER
    return done.stderr


def test_a_header_that_was_compiled_before_is_used(sources: Pair, desk: Path) -> None:
    """It is mapped where it was made, and believed by size, time and content of what it was made of."""
    said = built(sources, desk, "-H", "-Winvalid-pch")
    assert b"! TOP/include/all.h.gch\n" in said
    assert b"iostream" not in said
    assert b". TOP/include/units/part.h\n" in said


def test_a_plugin_of_the_repository_is_loaded(sources: Pair, desk: Path) -> None:
    if not (sources.tree / "plugin.so").exists():
        needs.lacking("the headers of compiler plugins are missing: apt-get install gcc-12-plugin-dev")
    assert built(sources, desk, "-fplugin={top}/plugin.so") == b"the plugin saw TOP/main.cc\n"


def test_link_time_optimisation_writes_beside_the_program(sources: Pair, desk: Path) -> None:
    assert built(sources, desk, "-flto=2", "-g") == b""


def test_ccache_knows_what_it_has_compiled(sources: Pair, desk: Path) -> None:
    """Its direct mode looks at names, sizes, times and contents of all headers."""
    needs.program("ccache", "ccache")
    (desk / "ccache").mkdir()
    os.chown(desk / "ccache", desk.stat().st_uid, desk.stat().st_gid)
    before = ("env", f"CCACHE_DIR={desk}/ccache", "CCACHE_SLOPPINESS=pch_defines,time_macros")
    for _ in range(3):
        done = sources.wrapped(
            [*before, "ccache", "g++", "-I{top}/include", "-c", "{top}/main.cc", "-o", str(desk / "main.o")], cwd=desk
        )
        assert done.returncode == 0, done.stderr
    shown = quiet(sources.wrapped([*before, "ccache", "--print-stats"], cwd=desk)).decode()
    counts = dict(re.findall(r"^(\w+)\t(\d+)$", shown, re.MULTILINE))
    assert (counts["cache_miss"], counts["direct_cache_hit"]) == ("1", "2"), shown


def test_pip_installs_from_a_virtual_wheel_house(sources: Pair, desk: Path) -> None:
    place = desk / "packages"
    words = [
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-index",
        "--no-warn-script-location",
    ]
    quiet(sources.wrapped([PYTHON, "-m", "venv", str(desk / "venv")], cwd=desk))
    quiet(
        sources.wrapped(
            [f"{desk}/venv/bin/python", *words, "--find-links={top}/wheels", "--target", str(place), "top-package"]
        )
    )
    code = "import top_package, bottom_package; print(top_package.version, bottom_package.version)"
    assert sources.launcher.native(PYTHON, "-c", code, env={"PYTHONPATH": str(place)}).stdout == "1.0 2.5\n"
    refused = sources.wrapped(
        [f"{desk}/venv/bin/python", *words, "--find-links={top}/wheels", "--target={top}/new", "top-package"]
    )
    assert refused.returncode != 0
    assert b"Read-only file system" in refused.stderr
