"""An unprivileged container runtime inside of a job: Charliecloud, as HPC centres have it.

It enters user and mount namespaces of its own and makes an image directory its root.  Natively /cvmfs is bound into it;
here it is there by itself: what a task has for its root does not matter to a virtual path.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.helpers import needs
from tests.helpers.fixtures import pairs, publishes
from tests.helpers.launches import one_sentence
from tests.helpers.programs import Pair

NAME = "container.hep.example"
TOP = f"/cvmfs/{NAME}"
#: What ch-run(1) demands of an image.
DIRECTORIES = ("bin", "dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "sys", "tmp", "usr", "var")
SHOW = """
find $TOP | sort; cat $TOP/lib/*/*; ls -l $TOP | wc -l; cd $TOP/lib/1; cat one; cat ../2/two
$TOP/busybox echo executed: $(readlink -f $TOP/link); (: > $TOP/new); echo $?; ls -d /home/* /only-here
"""


def build(tree: Path) -> None:
    busybox = needs.program("busybox", "busybox-static")
    for number, name in enumerate(("one", "two"), 1):
        (tree / f"lib/{number}").mkdir(parents=True)
        (tree / f"lib/{number}/{name}").write_text(f"{name}\n" * 100)
    shutil.copy(busybox, tree / "busybox")
    (tree / "link").symlink_to("lib/1/one")


published = publishes(NAME, build)
container = pairs()


@pytest.fixture
def image(desk: Path) -> Path:
    """busybox and nothing else; no /cvmfs."""
    needs.program("ch-run", "charliecloud-runtime")
    image = desk / "image"
    for name in DIRECTORIES:
        (image / name).mkdir(parents=True)
    shutil.copy(needs.program("busybox", "busybox-static"), image / "bin/busybox")
    for applet in ("sh", "cat", "find", "ls", "readlink", "sort", "wc"):
        (image / "bin" / applet).symlink_to("busybox")
    (image / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (image / "etc/group").write_text("root:x:0:\n")
    for name in ("etc/hosts", "etc/resolv.conf", "only-here"):
        (image / name).touch()
    return image


def test_a_container_of_the_hosts_sees_the_repository(container: Pair, image: Path) -> None:
    done = container.launcher.run(
        "ch-run", image, "--", "/bin/sh", "-c", SHOW, env={"USER": "somebody", "TOP": TOP}, cwd=image
    )
    lines = done.stdout.splitlines()
    names = sorted([TOP, *(f"{TOP}/{path.relative_to(container.tree)}" for path in container.tree.rglob("*"))])
    contents = ["one"] * 100 + ["two"] * 100
    rest = ["4", *contents, f"executed: {TOP}/lib/1/one", "1", "/only-here"]
    assert lines == [*names, *contents, *rest], done.stderr
    assert f"can't create {TOP}/new: Read-only file system" in done.stderr


@pytest.mark.parametrize("words", [[TOP], ["-b", f"{TOP}/lib:/mnt", "./image"]])
def test_what_would_have_to_be_mounted_is_refused_in_words(container: Pair, image: Path, words: list[str]) -> None:
    """An image from the repository is `--root`'s; a virtual directory cannot be bound elsewhere."""
    done = container.launcher.run("ch-run", *words, "--", "/bin/sh", env={"USER": "somebody"}, cwd=image.parent)
    assert done.returncode != 0
    [sentence, *others] = [line for line in done.stderr.splitlines() if line.startswith("hepwrap:")]
    assert not others
    assert one_sentence(sentence + "\n")
    assert "mounted" in sentence
    assert os.listdir(image / "mnt") == []
