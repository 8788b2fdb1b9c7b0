"""Everyday tools on virtual and host files: the same words do the same on a repository as on the tree on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers import needs, walking
from tests.helpers.launches import Launches, quiet
from tests.helpers.programs import Pair
from tests.helpers.work_tree import GO_PROGRAMS, TEXTS, UNITS

ANSWER = sum(number * number for number in range(UNITS))


def shell(script: str, name: str = "sh") -> list[str]:
    return [name, "-c", script]


@pytest.mark.parametrize(
    "script",
    [
        "cat {top}/text/*/*.txt | tr ' ' '\\n' | sort | uniq -c | sort -rn",
        "grep -rl unique4 {top}/text | sort; cd {top} && grep -rc muon text | sort | md5sum",
        "find {top}/text -name '*.txt' -print0 | sort -z | xargs -0 -n 7 -P 3 wc -l | grep -v total | sort",
        "cd {top}/text/3 && for f in *; do while read -r a b; do echo $a; done < \"$f\"; done | sort | uniq -c",
        "exec 3< '{top}/text/0/part 00.txt'; read -r a <&3; cat <&3 | tail -1; echo $a; exec 3<&-",
        "head -c 100 {top}/text/1/*; tail -n 2 {top}/text/1/*; cut -d' ' -f2 {top}/text/2/* | sort -u",
        "sed -n 5p {top}/text/*/*; awk '{n[$1]++} END {for (w in n) print w, n[w]}' {top}/text/*/* | sort",
        "test -r {top}/text && test -d {top}/text && ! test -w {top}/text/missing && echo {top}/t*",
        "cd {top}/text/../text/./3; pwd; pwd -P; cd ..; pwd; ls; cd -; readlink -f ../0",
        "cmp {top}/text/0/* && echo same; comm -12 '{top}/text/0/part 00.txt' '{top}/text/0/part 07.txt' | head -3",
        "ls -lnR --time-style=full-iso {top}/src {top}/include {top}/text | grep -v ^total",
        "file -b {top}/src/* {top}/project.git/HEAD; du --apparent-size -b {top}/src/main.c; od -c {top}/src/Makefile",
        "dd if={top}/bin/busybox bs=4096 skip=3 count=9 status=none | sha256sum; sha1sum {top}/bin/*",
    ],
)  # fmt: skip
def test_a_pipeline_shows_the_same(work: Pair, script: str) -> None:
    if "file -b" in script and not os.path.exists("/usr/bin/file"):
        script = script.partition("; ")[2]
    assert work.assert_same(shell(script), env={"CVMFS_CLAIM_OWNERSHIP": "no"})


def test_bash_substitutes_processes_over_virtual_files(work: Pair) -> None:
    script = "diff <(sort '{top}/text/0/part 00.txt') <(sort '{top}/text/0/part 07.txt') | wc -l"
    assert int(work.assert_same(shell(script, "bash"))) > 100
    assert int(work.assert_same(shell("mapfile -t lines < {top}/src/main.c; echo ${#lines[@]}", "bash"))) > UNITS


def test_busybox_from_the_repository_does_it_all_alone(work: Pair) -> None:
    """A static program that executes itself again, by its own virtual name."""
    script = (
        "cd {top}; PATH=; bb={top}/bin/busybox; $bb ls text | $bb wc -l; $bb find text -type f | $bb sort | $bb md5sum;"
        "$bb cat text/*/* | $bb sha256sum; $bb stat -c '%A %s %n' src/*; $bb readlink -f bin/../src/main.c;"
        "$bb sh -c '$0 tar -cf - -C src . | $0 tar -tf - | $0 sort' $bb; $bb pwd"
    )
    text = work.assert_same(["{top}/bin/busybox", "sh", "-c", script])
    assert b"TOP/src/main.c" in text


@pytest.mark.parametrize("where", ["{top}/bin", "/usr/bin"])
def test_static_go_programs_search_virtual_files(work: Pair, desk: Path, where: str) -> None:
    """Go makes its system calls itself and runs many threads; csearch maps its index into memory."""
    for name in GO_PROGRAMS:
        needs.program(name, "codesearch")
        assert (work.published.tree / "bin" / name).read_bytes()[:4] == b"\x7fELF"
    cgrep = work.assert_same(shell(f"{where}/cgrep -n 'unique[0-9]*' {{top}}/text/*/*.txt"))
    assert cgrep.count(b"\n") == TEXTS
    shown = []
    for run in (work.native, work.wrapped):
        environment = {"CSEARCHINDEX": str(desk / f"index{len(shown)}")}
        script = f"{where}/cindex {{top}}/text 2>/dev/null && {where}/csearch 'unique[0-9]+' | sort"
        shown.append(quiet(run(shell(script), env=environment)))
    assert shown[0] == shown[1]
    assert shown[1].count(b"\n") == TEXTS


def test_parallel_make_builds_from_virtual_sources_and_headers(work: Pair, desk: Path) -> None:
    """Out of the tree, so objects are on the host; a second make finds everything up to date, by virtual times."""
    done = work.wrapped(["make", "-j4", "-f", "{top}/src/Makefile"], cwd=desk)
    assert done.returncode == 0, done.stderr
    assert work.launcher.native(desk / "program").stdout == f"{ANSWER}\n"
    again = work.wrapped(["make", "-j4", "-f", "{top}/src/Makefile"], cwd=desk)
    assert b"'program' is up to date" in again.stdout
    depends = (desk / "unit3.d").read_text()
    assert f"{work.top}/src/../include/units/unit3.h" in depends


def test_make_in_the_repository_is_told_that_it_is_read_only(work: Pair) -> None:
    done = work.wrapped(["make", "-C", "{top}/src"])
    assert done.returncode == 2
    assert b"Read-only file system" in done.stderr


def test_git_clones_a_virtual_bare_repository(work: Pair, desk: Path) -> None:
    log = work.assert_same(["git", "--git-dir={top}/project.git", "log", "--stat", "--format=%H %an %s"])
    assert log.count(b"commit ") == 6
    for name, options in (("plain", []), ("far", ["--no-local"]), ("shared", ["--shared"])):
        quiet(work.wrapped(["git", "clone", "--quiet", *options, "{top}/project.git", str(desk / name)]))
        script = (
            f"cd {desk / name} && git fsck --strict && git status --short && git log --format=%H && git describe --tags"
        )
        shown = work.wrapped(shell(script))
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.splitlines()[0] in log
        assert b"\nv3-2-g" in shown.stdout
    # What was cloned with everything in it needs no repository any more.
    assert work.launcher.native("git", "-C", desk / "plain", "fsck", "--strict").returncode == 0


def test_git_cannot_push_into_a_repository(work: Pair, desk: Path) -> None:
    script = (
        f"git clone --quiet {{top}}/project.git {desk}/clone && cd {desk}/clone && echo x > new && git add new &&"
        "git -c user.name=T -c user.email=t@example.org commit --quiet -m new && git push origin HEAD"
    )
    done = work.wrapped(shell(script))
    assert done.returncode != 0
    assert b"Read-only file system" in done.stderr or b"unable to" in done.stderr


def test_tar_packs_the_same_archive(work: Pair) -> None:
    """Names, modes, owners, times, links and contents, byte for byte."""
    options = "--sort=name --numeric-owner --format=posix --pax-option=delete=atime,delete=ctime"
    script = f"tar {options} -C {{top}} -cf - . | sha256sum"
    work.assert_same(shell(script), env={"CVMFS_CLAIM_OWNERSHIP": "no"})


@pytest.mark.parametrize(
    "tool", ["cp -a {top}/. copy", "rsync -a {top}/ copy", "tar -C {top} -cf - . | tar -xf - -C copy"]
)
def test_a_copy_is_equal_to_the_tree(work: Pair, desk: Path, tool: str) -> None:
    needs.program(tool.partition(" ")[0], tool.partition(" ")[0])
    done = work.wrapped(shell(f"mkdir copy && {tool}"), cwd=desk)
    assert quiet(done) == b""
    python = work.launcher.user.python
    copy = walking.parse(quiet(work.launcher.native(*walking.command(python, desk / "copy"), text=False)))
    tree = walking.parse(quiet(work.launcher.native(*walking.command(python, work.tree), text=False)))
    left_out = ("uid", "gid", "nlink", "may", "mtime_ns")
    assert {path: facts for path, facts in copy.told(*left_out).items() if not is_directory(facts)} == {
        path: facts for path, facts in tree.told(*left_out).items() if not is_directory(facts)
    }
    assert set(copy.entries) == set(tree.entries)
    assert all(copy.entries[path]["mtime_ns"] == facts["mtime_ns"] for path, facts in tree.entries.items() if path)


def is_directory(facts: dict[str, int]) -> bool:
    return facts["mode"] >> 12 == 4


def test_a_second_rsync_has_nothing_to_do(work: Pair, desk: Path) -> None:
    needs.program("rsync", "rsync")
    quiet(work.wrapped(["rsync", "-a", "{top}/text/", str(desk / "copy")]))
    assert quiet(work.wrapped(["rsync", "-ai", "{top}/text/", str(desk / "copy")])) == b""
    (desk / "copy/0/part 00.txt").unlink()
    assert quiet(work.wrapped(["rsync", "-ai", "{top}/text/", str(desk / "copy")])).count(b">f+++++++++") == 1


def test_writing_is_refused_by_every_tool(work: Pair) -> None:
    script = (
        "touch {top}/new; echo x > {top}/new; echo x >> {top}/src/main.c; rm -f {top}/src/main.c; mkdir {top}/d;"
        "mv {top}/src/main.c {top}/x; cp /etc/passwd {top}/p; ln -s x {top}/l; chmod 600 {top}/src/main.c;"
        "rmdir {top}/src"
    )
    done = work.wrapped(shell(script))
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 10, lines
    assert all("Read-only file system" in line for line in lines), lines


def test_two_launches_at_once_serve_each_its_own_repository(
    work: Pair, launcher: Launches, patching: list[str]
) -> None:
    """Side by side on one machine: they share nothing, and neither sees the other's repository."""
    waits = 'ls /cvmfs; echo ready; read go; cat "$@" | sha256sum; ls /cvmfs'
    with (
        work.launcher.start("sh", "-c", waits, "sh", f"{work.top}/src/main.c") as ours,
        launcher.start("sh", "-c", waits, "sh", "/cvmfs/test.hep.example/README") as theirs,
    ):
        shown = []
        for job, name in ((ours, "work.hep.example"), (theirs, "test.hep.example")):
            assert job.line() == name
            assert job.line() == "ready"
        for job in (ours, theirs):
            job.say("go")
        for job in (ours, theirs):
            shown.append(job.rest().splitlines())
            assert job.wait() == 0
    assert shown[0][1:] == ["work.hep.example"]
    assert shown[1] == ["0dbc243bbed2ba49c6aea7244583a3c30d75f2ececedffa6fbb5df9d6bb21e16  -", "test.hep.example"]
