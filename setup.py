"""Builds the C parts: the freestanding runtime first, then the two extensions; everything else is in pyproject.toml."""

import os
import subprocess
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

RUNTIME = Path("interpose/runtime")
WARNINGS = [
    "-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wswitch-enum", "-Wformat=2",
    *(["-Werror"] if os.environ.get("HEPWRAP_WERROR") else []),
]  # fmt: skip
# No libc, no stack protector, no vector registers, no tables that would need relocation; the door saves all registers,
# so the C code need not; r15 holds the frame.
FREESTANDING = [
    "-O2", "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-mgeneral-regs-only", "-mno-red-zone",
    "-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fPIE", "-fvisibility=hidden",
    "-fno-jump-tables", "-fno-tree-loop-distribute-patterns", "-fomit-frame-pointer", "-ffixed-r15",
    "-fcall-used-rbx", "-fcall-used-r12", "-fcall-used-r13", "-fcall-used-r14", "-fstack-usage",
    "-Wno-switch-enum",
]  # fmt: skip


def build_runtime(out: Path) -> Path:
    """The flat image that is mapped into every program."""
    out.mkdir(parents=True, exist_ok=True)
    compiler = os.environ.get("CC", "gcc").split()

    def run(*words: str) -> None:
        subprocess.run(words, check=True)

    run(*compiler, *FREESTANDING, *WARNINGS, "-Wno-switch-enum", "-c", str(RUNTIME / "runtime.c"), "-o", str(out / "runtime.o"))
    run(*compiler, "-c", str(RUNTIME / "entry_x86_64.S"), "-o", str(out / "entry.o"))
    run("ld", "-T", str(RUNTIME / "runtime.lds"), "-o", str(out / "runtime.elf"), str(out / "entry.o"), str(out / "runtime.o"))
    run("objcopy", "-O", "binary", "-j", ".image", str(out / "runtime.elf"), str(out / "runtime.bin"))
    return out / "runtime.bin"


class BuildExtensions(build_ext):
    """build_ext that makes the runtime first and hands its path to the core by a macro."""

    def build_extension(self, ext: Extension) -> None:
        """Build one extension."""
        if ext.name == "hepwrap.interpose._core":
            image = build_runtime(Path(self.build_temp) / "runtime").resolve()
            ext.define_macros.append(("HEPWRAP_RUNTIME_BIN", f'"{image}"'))
        super().build_extension(ext)


LIMITED = [("Py_LIMITED_API", "0x030b0000"), ("_GNU_SOURCE", "1")]
headers = [*map(str, RUNTIME.glob("*")), *map(str, Path("vfs/index").glob("*.[hd]*")), "interpose/syscalls.def"]

setup(
    cmdclass={"build_ext": BuildExtensions},
    ext_modules=[
        Extension(
            "hepwrap.vfs.index._index",
            ["vfs/index/indexmodule.c"],
            define_macros=LIMITED.copy(),
            extra_compile_args=["-O2", *WARNINGS],
            depends=headers,
            py_limited_api=True,
        ),
        Extension(
            "hepwrap.interpose._core",
            [f"interpose/core/{name}.c" for name in ("coremodule", "filter", "inject", "loop", "questions", "remote")],
            define_macros=LIMITED.copy(),
            extra_compile_args=["-O2", *WARNINGS],
            depends=[*headers, "interpose/core/core.h"],
            py_limited_api=True,
        ),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
