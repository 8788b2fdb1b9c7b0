"""A launch inside a launch, inside strace or a debugger: one clear sentence; what needs no tracing works there."""

from __future__ import annotations

from tests.helpers import needs
from tests.helpers.launches import Launches
from tests.helpers.programs import Pair

SENTENCE = b"and can have one tracer only; inside another launch, name all repositories with the outer hepwrap\n"


def test_a_launch_inside_a_launch_is_refused_in_one_sentence(launcher: Launches) -> None:
    done = launcher.run(*launcher.typed_words("ls", "/cvmfs"), text=False)
    assert done.returncode == 125
    assert done.stdout == b""
    assert done.stderr.startswith(b"hepwrap: this process is traced already, by process ")
    assert done.stderr.endswith(SENTENCE)
    assert done.stderr.count(b"\n") == 1


def test_the_outer_launch_goes_on_after_a_refused_one(launcher: Launches) -> None:
    inner = launcher.typed("true")
    done = launcher.run("sh", "-c", f"{inner}; echo $?; cat /cvmfs/test.hep.example/README; exit 3", text=False)
    assert done.stdout == b"125\nsynthetic test repository\n"
    assert done.returncode == 3


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
