"""Packages of some release of Debian, unpacked and not installed: downloaded with a state of apt's own."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

TIMEOUT = 120.0


def unpacked(place: Path, release: str, packages: Sequence[str]) -> Path:
    """`place/root`, which holds what is in the packages; OSError or CalledProcessError where they cannot be had."""
    shutil.rmtree(place, ignore_errors=True)
    for part in ("state/lists/partial", "cache/archives/partial", "packages", "unpacked"):
        (place / part).mkdir(parents=True)
    (place / "state/status").touch()
    (place / "sources.list").write_text(f"deb {_mirror()} {release} main\n")
    options = [f"Dir::State={place / 'state'}", f"Dir::State::status={place / 'state/status'}",
               f"Dir::Cache={place / 'cache'}", f"Dir::Etc::sourcelist={place / 'sources.list'}",
               "Dir::Etc::sourceparts=/dev/null", "Acquire::Languages=none", "APT::Sandbox::User=root"]  # fmt: skip
    apt = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
    for words in (["update"], ["download", *packages]):
        subprocess.run([*apt, *words], cwd=place / "packages", check=True, timeout=TIMEOUT)
    for package in (place / "packages").iterdir():
        subprocess.run(["dpkg-deb", "-x", str(package), str(place / "unpacked")], check=True, timeout=TIMEOUT)
    for rest in ("state", "cache", "packages"):
        shutil.rmtree(place / rest)
    (place / "sources.list").unlink()
    return (place / "unpacked").rename(place / "root")


def codename() -> str:
    """This machine's release; empty where it has none."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def _mirror() -> str:
    """Where this machine's own packages come from."""
    command = ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT)
    for line in done.stdout.splitlines():
        name, address = line.split()
        if name == codename():
            return address
    raise OSError(f"apt knows no packages of {codename() or 'this system'}")
