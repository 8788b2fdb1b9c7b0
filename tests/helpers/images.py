"""Root file systems for `--root`: a small one of another C library, and a whole distribution."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.helpers import needs
from tests.helpers.guests import Guests

APPLETS = ("sh", "cat", "ls", "cp", "mv", "rm", "mkdir", "rmdir", "ln", "pwd", "readlink", "realpath", "stat", "find",
           "sort", "head", "grep", "test", "touch", "chmod", "env", "id", "true", "echo", "wc")  # fmt: skip
#: Programs of the small image that are linked to its own library.
LINKED = ("access_matrix", "readlink_variants", "directory_reading")


def small_image(place: Path) -> None:
    """busybox, and programs of musl's that find their loader in the image only."""
    busybox = needs.program("busybox", "busybox-static")
    compiler = Guests(needs.program("musl-gcc", "musl-tools"))
    for directory in ("usr/bin", "usr/lib", "etc", "opt/empty", "proc", "sys", "dev", "tmp", "srv/data"):
        (place / directory).mkdir(parents=True)
    for name in ("bin", "lib"):
        (place / name).symlink_to(f"usr/{name}")
    shutil.copy(busybox, place / "usr/bin/busybox")
    for applet in APPLETS:
        (place / "usr/bin" / applet).symlink_to("/bin/busybox")
    shutil.copy(os.path.realpath("/lib/ld-musl-x86_64.so.1"), place / "usr/lib/ld-musl-x86_64.so.1")
    for name in LINKED:
        shutil.copy(compiler.path(name), place / "usr/bin" / name)
    script = place / "usr/bin/hello"
    script.write_text('#!/bin/sh\necho hello "$@" from "$0"\n')
    script.chmod(0o755)
    (place / "etc/passwd").write_text("root:x:0:0:of the image:/root:/bin/sh\nimage:x:777:777::/:/bin/sh\n")
    (place / "etc/group").write_text("root:x:0:\nimage:x:777:\n")
    (place / "etc/os-release").write_text("NAME=small\n")
    (place / "etc/hello").symlink_to("/usr/bin/hello")
    for name, target in {"temporary": "/tmp", "up": "../../../etc", "nothing": "/nowhere"}.items():
        (place / "opt" / name).symlink_to(target)


def debian(place: Path, suite: str = "trixie") -> None:
    """A minimal Debian with Python, by debootstrap(8): another release, with another C library, than this machine's."""
    needs.program("debootstrap", "debootstrap")
    words = ["debootstrap", "--variant=minbase", "--include=python3-minimal", suite, str(place)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=500, check=False)
    if done.returncode != 0:
        needs.lacking(f"debootstrap {suite}: {done.stdout[-500:]}{done.stderr[-500:]}")
    shutil.rmtree(place / "dev")  # devices need root to be published with, and the host's are shown there
    (place / "dev").mkdir()
    for name in ("hosts", "resolv.conf"):  # to bind the host's on
        (place / "etc" / name).touch()
