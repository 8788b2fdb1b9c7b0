"""`--root` and `--bind`: what programs see is what they see in a root of real bind mounts."""

from __future__ import annotations

import difflib
import json
import os
import pwd
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import images, needs
from tests.helpers.launches import Launches, one_sentence
from tests.helpers.publishing import Published, published_once
from tests.helpers.unprivileged import Unprivileged

NAME = "image.hep.example"
ROOT = f"/cvmfs/{NAME}/systems/small"


def build(place: Path) -> None:
    (place / "systems").mkdir(parents=True)
    images.small_image(place / "systems/small")


@pytest.fixture(scope="module")
def published(tester: Launches) -> Iterator[Published]:
    with published_once(tester, NAME, build) as published:
        yield published


@dataclass(frozen=True)
class Scene:
    """The image both ways, with the same of the host in it."""

    launcher: Launches
    tree: Path
    #: A directory of the user's, which is kept (it is in /tmp), and what is bound elsewhere.
    home: Path
    moved: Path

    @property
    def binds(self) -> dict[str, str]:
        """Places and what is shown there; each of it at one place only, since nothing tells two names apart."""
        return {
            "/data": f"{self.moved}/data",
            "/etc/data": f"{self.moved}/file",
            f"{self.home}/inner": f"{self.moved}/inner",
        }

    def rooted(self, *more: str) -> Launches:
        words = [word for place, host in self.binds.items() for word in ("--bind", f"{place}={host}")]
        return self.launcher.having("--root", ROOT, *words, *more)

    def wrapped(self, script: str) -> str:
        done = self.rooted().run("sh", "-c", script, cwd=self.home, timeout=60)
        return f"{done.stdout}{done.stderr}=> {done.returncode}"

    def native(self, script: str) -> str:
        """In real bind mounts (bubblewrap), on a copy that the mount points have been made in."""
        kept = [word for name in ("/proc", "/sys", "/dev", "/tmp") for word in ("--dev-bind", name, name)]
        binds = [word for place, host in self.binds.items() for word in ("--bind", host, place)]
        before = ["bwrap", "--bind", str(self.tree), "/", *kept, *binds, "--remount-ro", "/", "--chdir", str(self.home)]
        done = subprocess.run(
            [*before, "sh", "-c", script], env=self.launcher.environment, capture_output=True, text=True, check=False
        )
        return f"{done.stdout}{done.stderr}=> {done.returncode}"


@pytest.fixture
def scene(published: Published, unprivileged: Unprivileged, patching: list[str], tmp_path: Path) -> Scene:
    launcher = Launches.as_myself(unprivileged, [*published.flags, *patching])
    tree = tmp_path / "copy"
    subprocess.run(["cp", "-a", f"{published.tree}/systems/small", tree], check=True)
    (tree / "cvmfs").mkdir()
    moved = launcher.home / "moved"
    for directory in (
        moved / "data/in/deep",
        moved / "inner/deep",
        launcher.home / "inner",
        launcher.home / "sub/below",
    ):
        directory.mkdir(parents=True)
    (moved / "file").write_text("moved\n")
    (moved / "data/file").write_text("in data\n")
    (moved / "data/in/deep/file").write_text("deep\n")
    (moved / "inner/deep/file").write_text("inner\n")
    (moved / "data/absolute").symlink_to("/etc/os-release")
    (moved / "data/upwards").symlink_to("../etc/os-release")
    (launcher.home / "absolute").symlink_to("/etc/os-release")
    (launcher.home / "program").symlink_to("/usr/bin/hello")
    (launcher.home / "script").write_text("#!/usr/bin/env sh\necho script in $(pwd)\n")
    (launcher.home / "script").chmod(0o755)
    return Scene(launcher, tree, launcher.home, moved)


SCRIPTS = {
    "listings": "for d in /bin/ /etc /opt /usr /data /etc/data /srv/data/; do echo $d; ls -1a $d; done",
    "every file": "find /usr /etc /opt /data /srv | sort; find /usr /bin/ /opt -type f | sort",
    "attributes": (
        "stat -c '%n %F %a %s' /usr/bin/hello /etc/hello /etc/os-release /etc/data /data/file /data/absolute /opt/up"
    ),
    "missing": "cat /nowhere /opt/nothing /etc/passwd/x /etc/data/x /data/nowhere /opt/nothing/x /home/x",
    "up and down": "cd /data/in/deep; pwd; cd ../..; pwd; ls; cd ..; pwd; cat etc/os-release; cd ../..; pwd",
    "physical": (
        "cd /opt/up; pwd -P; cd /opt/temporary; pwd -P; cd /data/in; pwd -P; cd -P ..; pwd -P; realpath /etc/hello"
    ),
    "relative": (
        "cat ../../../../../../../etc/os-release sub/../absolute ./absolute inner/deep/file; cd inner; "
        "ls; cat deep/file"
    ),
    "absolute links": ("cat absolute /data/absolute /data/upwards /etc/hello; readlink /data/absolute; ./program a b"),
    "nested": (
        "ls inner $PWD/inner; cat $PWD/inner/deep/file; cd inner/deep; pwd -P; cat ../../absolute; cd ../..; pwd -P"
    ),
    "programs": (
        "hello one; /etc/hello two; ./script; /bin/busybox echo three; exec /usr/bin/env -i /bin/sh -c 'pwd; echo $0'"
    ),
    "its own library": (
        "access_matrix /data/file /nowhere; readlink_variants /etc/hello /data/absolute absolute;directory_reading /opt"
    ),
    "names of the kernel's": (
        "readlink /proc/self/exe /proc/self/root /proc/self/cwd; cd /data/in; readlink /proc/self/cwd;cat "
        "/proc/self/root/etc/os-release; cd /usr; readlink /proc/self/cwd; readlink /proc/self/fd/9 "
        "9</data/file"
    ),
    "writing": (
        "echo a > $PWD/new; cat new; echo b > /data/new; cat /data/new; mv new /data/newer; ls /data; rm "
        "/data/newer;echo c >> inner/c; cat $PWD/inner/c; rm inner/c; ls inner /data/in; mkdir /data/d "
        "inner/e; rmdir /data/d $PWD/inner/e"
    ),
    "not writing": (
        "echo a > /etc/new; mkdir /new; rm /etc/os-release; ln -s a /opt/a; touch /usr/bin/hello; chmod "
        "700 /etc;mv /etc/os-release /data/; ln /etc/os-release $PWD/hard; mv $PWD/absolute /opt/"
    ),
    "mount points": ("rmdir /data; rm /etc/data; mkdir /data /tmp /data/in; mv /opt /opt2; ln -s x /data; rm /data/x"),
    "through proc": "cd /data/in; cat /proc/self/cwd/deep/file; ls /proc/self/cwd/; cat /proc/self/root/data/file",
}


@pytest.mark.skipif(os.geteuid() != 0, reason="the oracle's mounts need root")
@pytest.mark.parametrize("case", SCRIPTS)
def test_a_shell_cannot_tell_a_root_of_ours_from_mounts(case: str, scene: Scene) -> None:
    needs.program("bwrap", "bubblewrap")
    truth = scene.native(SCRIPTS[case])
    said = scene.wrapped(SCRIPTS[case])
    if said != truth:
        lines = difflib.unified_diff(truth.splitlines(), said.splitlines(), "mounted", "hepwrap", lineterm="", n=1)
        pytest.fail("\n".join(lines), pytrace=False)
    assert "=> 127" not in truth


@pytest.fixture
def ordinary(published: Published, unprivileged: Unprivileged, patching: list[str]) -> Launches:
    """With the image as `/`, as an ordinary user."""
    key = unprivileged.give(published.place / "keys" / f"{NAME}.pub")
    return Launches.of(unprivileged, [*published.flags[:-1], str(key), *patching, "--root", ROOT])


def test_an_ordinary_user_lives_in_it_too(ordinary: Launches) -> None:
    script = (
        "id -u; cat /etc/os-release; ls /cvmfs; ls /cvmfs/*; echo mine > $HOME/file; cat $HOME/file; echo > /etc/file"
    )
    done = ordinary.run("sh", "-c", script)
    uid = "54321" if os.geteuid() == 0 else str(os.geteuid())
    assert done.stdout.split() == [uid, "NAME=small", NAME, "systems", "mine"]
    assert "Read-only file system" in done.stderr
    assert (ordinary.home / "file").read_text() == "mine\n"


def test_users_and_groups_are_those_of_the_image_and_then_the_machines(ordinary: Launches) -> None:
    users = ordinary.ok("cat", "/etc/passwd").decode().splitlines()
    assert users[:2] == ["root:x:0:0:of the image:/root:/bin/sh", "image:x:777:777::/:/bin/sh"]
    assert f"daemon:x:{pwd.getpwnam('daemon').pw_uid}:" in "\n".join(users[2:])
    assert len({user.split(":")[0] for user in users}) == len(users)
    assert "daemon:x:" in ordinary.ok("cat", "/etc/group").decode()


def test_what_says_how_to_reach_others_is_the_machines(ordinary: Launches) -> None:
    """Where the machine has it: also where the image has no such file."""
    for name in ("/etc/resolv.conf", "/etc/hosts"):
        if os.path.exists(name):
            assert ordinary.ok("cat", name) == Path(name).read_bytes()
    kept = ("/proc/version", "/sys/kernel", "/dev/null", "/tmp/.", ".")
    assert ordinary.ok("sh", "-c", f"stat -c '%n %i' {' '.join(kept)}").decode().splitlines() == [
        f"{name} {os.stat(ordinary.home / name).st_ino}" for name in kept
    ]


@pytest.mark.parametrize("start", ["/", "/usr/share"])
def test_a_job_that_starts_where_the_image_is_starts_in_its_root_or_keeps_its_place(
    ordinary: Launches, start: str
) -> None:
    done = ordinary.run("sh", "-c", "pwd; cat ../../etc/os-release", cwd=start)
    assert (done.stdout.split(), done.stderr) == ([start, "NAME=small"], "")


def test_what_has_been_seen_once_is_not_asked_again(ordinary: Launches) -> None:
    account = ordinary.home / "account"

    def questions(script: str) -> dict[str, int]:
        ordinary.having(f"--stats={account}").ok("sh", "-c", script)
        found: dict[str, int] = json.loads(account.read_text())["questions"]
        return found

    look = "for f in /usr/*/* /bin/* /etc/*; do test -x $f; done"
    once = f"{look}; read x < /etc/os-release; cd /usr/bin; read x < ../../etc/hello"
    assert questions(f"{once}; {once}; {once}") == questions(once)


MISTAKES = {
    "--root /usr": "a root is a directory of a repository",
    f"--root /cvmfs/{NAME}/nowhere": "has no entry nowhere",
    f"--root {ROOT}/etc/passwd": "is no directory of a repository",
    "--root /cvmfs/unknown.hep.example/x": "nothing says where the repository unknown.hep.example is",
    "--root usr": "is no absolute directory",
    "--bind /opt=/tmp": "without --root something can be shown below /cvmfs only",
    f"--bind /cvmfs/{NAME}/x=/nowhere/at/all": "No such file or directory",
    "--bind x=/tmp": "is no absolute directory",
    f"--bind /cvmfs/{NAME}/x=": "stands what is to be shown there",
    f"--root {ROOT} --bind /tmp/nowhere/at/all=/tmp": "make it first",
    f"--root {ROOT} --bind /opt/x={ROOT}/etc": "cannot be shown elsewhere",
    f"--root {ROOT} --bind /opt/x=/cvmfs": "cannot be shown elsewhere",
    f"--root {ROOT} --bind /opt/x={ROOT}/no-such": "cannot be shown elsewhere",
    f"--bind {ROOT}/opt=/proc/self/root{ROOT}/usr": "cannot be shown elsewhere",
    f"--bind {ROOT}/opt=/usr/../cvmfs/{NAME}": "cannot be shown elsewhere",
    f"--root {ROOT} --bind /cvmfs=/tmp": "repositories are shown there",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_sentence(words: str, published: Published, tester: Launches) -> None:
    done = tester.having(*published.flags, *words.split()).run("true")
    assert done.returncode == 125
    assert MISTAKES[words] in one_sentence(done.stderr)


def test_without_a_root_things_are_bound_into_repositories(
    published: Published, tester: Launches, patching: list[str], tmp_path: Path
) -> None:
    (tmp_path / "shown/below").mkdir(parents=True)
    (tmp_path / "shown/below/file").write_text("below\n")
    (tmp_path / "shown/out").symlink_to(f"{ROOT}/etc/os-release")
    places = {f"{ROOT}/etc": "shown", f"/cvmfs/{NAME}/made/on/the/way": "shown/below", "/cvmfs/other.example": "shown",
              f"{ROOT}/usr/bin/hello": "shown/below/file"}  # fmt: skip
    binds = [word for place, host in places.items() for word in ("--bind", f"{place}={tmp_path}/{host}")]
    script = (
        f"ls -1 /cvmfs /cvmfs/{NAME} /cvmfs/{NAME}/made {ROOT}/etc /cvmfs/{NAME}/made/on/the/way;"
        f"cat {ROOT}/etc/below/file {ROOT}/usr/bin/hello /cvmfs/other.example/below/file; cat {ROOT}/etc/out;"
        f"echo new > {ROOT}/etc/new; cat /cvmfs/other.example/new; rm {ROOT}/etc/new; mkdir {ROOT}/etc {ROOT}/opt/x;"
        f"cd {ROOT}/usr/bin && cat hello ../../etc/below/file"
    )
    done = tester.having(*published.flags, *patching, *binds).run("sh", "-c", script)
    listed, _, shown = done.stdout.partition("below\nbelow\nbelow\n")
    assert {block.strip().replace(NAME, "N").replace("/cvmfs", "") for block in listed.split("\n\n")} == {
        ":\nN\nother.example", "/N:\nmade\nsystems", "/N/made:\non", "/N/systems/small/etc:\nbelow\nout",
        "/N/made/on/the/way:\nfile",
    }  # fmt: skip
    assert shown.split() == ["new", "below", "below"]
    said = done.stderr
    assert [said.count(text) for text in ("No such file", "File exists", "Read-only")] == [1, 1, 1], said
    assert sorted(os.listdir(tmp_path / "shown")) == ["below", "out"]


DEBIAN = "debian.hep.example"
PROGRAMS = {
    "bash": "bash -c 'echo ${BASH_VERSION%%.*}; type -p ls; cat /etc/debian_version; . /etc/os-release; echo $ID'",
    "python": "python3 -c 'import sys, encodings, os; print(sys.version, sys.prefix, sorted(os.listdir(\"/usr\")))'",
    "perl": "perl -e 'print \"$^V @INC\n\"'",
    "dpkg": "dpkg -l | wc -l; dpkg -S /usr/bin/bash; dpkg --verify bash coreutils && echo as published",
    "apt": "apt-cache policy bash | head -3; apt-mark showmanual | wc -l",
    "find": "find /usr /etc -xdev -type d ! -perm -005 -prune -o ! -type d ! -path '/etc/group*' ! -path '/etc/passwd*'"
    " ! -name resolv.conf ! -name hosts -printf '%p %y %s %l %m\\n' | sort | sha256sum",
    "users": "id; getent passwd root; getent hosts localhost | wc -l",
    "pipes": "seq 1000 | xargs -n 100 sh -c 'echo $#' | sort | uniq -c; tar cf - /etc/apt | tar tf - | wc -l",
}


@pytest.fixture(scope="module")
def debian(tester: Launches) -> Iterator[Published]:
    if os.geteuid() != 0:
        pytest.skip("debootstrap needs root")
    with published_once(tester, DEBIAN, images.debian) as published:
        yield published


@pytest.mark.parametrize("program", PROGRAMS)
def test_another_debian_runs_its_own_programs(
    debian: Published, unprivileged: Unprivileged, patching: list[str], program: str
) -> None:
    """As an ordinary user; compared with the same in a changed root."""
    key = unprivileged.give(debian.place / "keys" / f"{DEBIAN}.pub")
    options = [*debian.flags[:-1], str(key), *patching, "--root", f"/cvmfs/{DEBIAN}"]
    launcher = Launches.of(unprivileged, options)
    said = launcher.run("sh", "-c", PROGRAMS[program])
    kept = [word for name in ("/proc", "/dev", "/tmp") for word in ("--dev-bind", name, name)]
    network = [word for name in ("/etc/hosts", "/etc/resolv.conf") for word in ("--ro-bind", name, name)]
    before = ["bwrap", "--ro-bind", str(debian.tree), "/", *kept, *network, "--chdir", str(launcher.home)]
    truth = subprocess.run(
        [*before, *launcher.before, "sh", "-c", PROGRAMS[program]],
        env=launcher.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (said.stdout, said.returncode) == (truth.stdout, truth.returncode), said.stderr + truth.stderr
    assert truth.stdout
