"""Builds the C parts: the freestanding runtime first, then the two extensions; everything else is in pyproject.toml."""

import os
import re
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
    "-fno-jump-tables", "-fno-tree-loop-distribute-patterns", "-fomit-frame-pointer", "-ffixed-r15", "-ffixed-rbp",
    "-fcall-used-rbx", "-fcall-used-r12", "-fcall-used-r13", "-fcall-used-r14", "-fstack-usage",
    "-Wno-switch-enum",
]  # fmt: skip


def build_runtime(out: Path) -> Path:
    """The flat image that is mapped into every program."""
    out.mkdir(parents=True, exist_ok=True)
    compiler = os.environ.get("CC", "gcc").split()

    def run(*words: str) -> None:
        subprocess.run(words, check=True)

    run(
        *compiler,
        *FREESTANDING,
        *WARNINGS,
        "-Wno-switch-enum",
        "-c",
        str(RUNTIME / "runtime.c"),
        "-o",
        str(out / "runtime.o"),
    )
    run(*compiler, "-c", str(RUNTIME / "entry_x86_64.S"), "-o", str(out / "entry.o"))
    print("runtime: stack", check_stack(out / "runtime.o", out / "runtime.su"))
    run(
        "ld",
        "-T",
        str(RUNTIME / "runtime.lds"),
        "-o",
        str(out / "runtime.elf"),
        str(out / "entry.o"),
        str(out / "runtime.o"),
    )
    run("objcopy", "-O", "binary", "-j", ".image", str(out / "runtime.elf"), str(out / "runtime.bin"))
    return out / "runtime.bin"


# What objdump prints of a call, or a jump to another function, within the section.
CALL = re.compile(r"\b(call|j[a-z]+)\s+[0-9a-f]+ <([^>+]+)>")


def check_stack(module: Path, usage: Path) -> int:
    """The deepest stack of the runtime in bytes, red zone and saved registers included; fails above STACK_LIMIT."""
    protocol = (RUNTIME / "protocol.h").read_text()
    limit = int(re.search(r"#define STACK_LIMIT (\d+)", protocol)[1])
    door = (RUNTIME / "entry_x86_64.S").read_text()
    fixed = 128 + 32 + 8 * door[: door.index("call hepwrap_main")].count("    push ")
    # gcc counts the return address in; clones have no number there: "f.constprop", in objdump "f.constprop.0".
    frames = {line.split("\t")[0].split(":")[-1]: int(line.split("\t")[1]) for line in usage.read_text().splitlines()}
    listing = subprocess.run(["objdump", "-dr", str(module)], check=True, capture_output=True, text=True).stdout
    calls: dict[str, set[str]] = {}
    jumps: dict[str, set[str]] = {}
    current = ""
    for line in listing.splitlines():
        if match := re.match(r"[0-9a-f]+ <([^>]+)>:", line):
            current = match[1]
        elif match := CALL.search(line):
            (calls if match[1] == "call" else jumps).setdefault(current, set()).add(match[2])

    def frame(name: str) -> int:
        return frames[name] if name in frames else frames[re.sub(r"\.\d+$", "", name)]

    def depth(name: str, above: tuple[str, ...] = ()) -> tuple[int, str]:
        if name in above:
            raise SystemExit(f"the runtime must not recurse: {' -> '.join((*above, name))}")
        called = max((depth(callee, (*above, name)) for callee in calls.get(name, ())), default=(0, ""))
        instead = max((depth(callee, (*above, name)) for callee in jumps.get(name, set()) - {name}), default=(0, ""))
        # What is jumped to takes the place of the frame.
        return max((frame(name) + called[0], f"{name} {frame(name)} -> {called[1]}"), instead)

    bytes_below, way = depth("hepwrap_main")
    if fixed + bytes_below > limit:
        raise SystemExit(
            f"the runtime needs {fixed + bytes_below} bytes of stack, more than STACK_LIMIT ({limit}): {way}; "
            "see docs/decisions"
        )
    return fixed + bytes_below


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
            sorted(map(str, Path("vfs/index").glob("*.c"))),
            define_macros=LIMITED.copy(),
            extra_compile_args=["-O2", *WARNINGS],
            depends=headers,
            py_limited_api=True,
        ),
        Extension(
            "hepwrap.interpose._core",
            sorted(map(str, Path("interpose/core").glob("*.c"))),
            define_macros=LIMITED.copy(),
            extra_compile_args=["-O2", *WARNINGS],
            depends=[*headers, *map(str, Path("interpose/core").glob("*.h"))],
            py_limited_api=True,
        ),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
