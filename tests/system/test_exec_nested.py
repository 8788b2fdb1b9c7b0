"""A launch inside a launch joins that; inside strace or a debugger: one clear sentence."""

from __future__ import annotations

import shlex

import pytest

from tests.helpers import needs
from tests.helpers.launches import Launches, one_sentence
from tests.helpers.programs import Pair

SENTENCE = b"and can have one tracer only; run hepwrap without it\n"
README = "/cvmfs/test.hep.example/README"


def test_a_launch_inside_a_launch_joins_it(launcher: Launches) -> None:
    inner = launcher.typed("sh", "-c", f"cat {README}; exit 7")
    done = launcher.run("sh", "-c", f"{inner}; echo $?; {shlex.join(launcher.hepwrap)} -- cat {README}; exit 3")
    assert (done.stdout, done.stderr) == ("synthetic test repository\n7\nsynthetic test repository\n", "")
    assert done.returncode == 3


def test_it_has_the_process_of_its_own_and_ends_as_a_launch_does(launcher: Launches) -> None:
    inner = launcher.typed("sh", "-c", "echo $$")
    done = launcher.run("sh", "-c", f"{inner} & echo $!; wait; {launcher.typed('nosuch')}; echo $?", text=True)
    first, second, code = done.stdout.split()
    assert (first == second, code) == (True, "127")
    assert done.stderr == "hepwrap: nosuch: No such file or directory\n"


REFUSED = {
    "--repo other.hep.example": "does not know other.hep.example; name it there, with --repo",
    "--repo test.hep.example --tag v1.0": "has test.hep.example at another revision",
    "--repo test.hep.example --root-hash " + "0" * 40: "has test.hep.example at another revision",
    "--root /cvmfs/test.hep.example/data": "the root is that of the launch around this one",
    "--bind /cvmfs/test.hep.example/x=/tmp": "places are those of the launch around this one",
}


@pytest.mark.parametrize("options", REFUSED)
def test_what_the_launch_around_does_not_have_is_refused_in_one_sentence(launcher: Launches, options: str) -> None:
    done = launcher.run(*launcher.hepwrap, *options.split(), "--", "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert REFUSED[options] in one_sentence(done.stderr)


def test_its_account_is_the_other_launchs(launcher: Launches) -> None:
    done = launcher.run(*launcher.hepwrap, "--stats", "--", "true")
    assert (done.returncode, one_sentence(done.stderr)[:29]) == (0, "no account of this launch: th")


def test_a_launch_under_strace_is_refused_in_one_sentence(launcher: Launches) -> None:
    strace = needs.program("strace", "strace")
    done = launcher.inside(strace, "-qq", "-o", "/dev/null").run("true", text=False)
    assert done.returncode == 125, done.stderr
    assert b"(strace)" in done.stderr
    assert done.stderr.endswith(SENTENCE)


def test_looking_into_a_repository_works_inside_of_a_launch(launcher: Launches, test_flags: list[str]) -> None:
    """Whatever does not trace: ls, cat, stat ..., with no difference."""
    assert (
        launcher.ok(*launcher.hepwrap, "cat", *test_flags, "test.hep.example/README") == b"synthetic test repository\n"
    )


def test_one_launch_after_the_other_from_one_shell(launcher: Launches) -> None:
    """Launch in place: `exec` of a second launch by an untraced shell is an ordinary one."""
    one = launcher.typed("cat", "/cvmfs/test.hep.example/README")
    done = launcher.native("sh", "-c", f"{one}; {one} && exec {one}")
    assert done.stdout == "synthetic test repository\n" * 3, done.stderr


def test_many_launches_at_once_do_not_meet(work: Pair) -> None:
    one = work.launcher.typed("sh", "-c", f"cat {work.top}/text/*/* | md5sum; ls /cvmfs")
    done = work.launcher.native("sh", "-c", f"for i in 1 2 3 4 5 6 7 8; do {one} & done; wait")
    lines = done.stdout.splitlines()
    assert len(lines) == 16, done.stderr
    assert len(set(lines)) == 2
    assert done.stderr == ""
