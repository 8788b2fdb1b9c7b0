"""The kernel as oracle: random calls on paths and descriptors, in random states, give what they do on a mount.

And leave what they leave beside one: `Oracle.differences` has the machine listed after each script.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import random_calls, witness
from tests.helpers.oracle import HOST, MOUNT, Host, Oracle, agree, left_otherwise

CALLS = 6000


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_random_calls_give_what_they_do_on_a_mount(oracle: Oracle, user: bool, host: Host, seed: int) -> None:
    script = list(random_calls.script(seed, CALLS))
    agree(oracle, script, user=user, host=host, at_least=CALLS)


def test_a_descriptor_alone_is_as_good_as_a_path(oracle: Oracle, user: bool, host: Host) -> None:
    script = list(random_calls.by_descriptor_alone())
    agree(oracle, script, user=user, host=host, at_least=1000)


def test_a_slash_behind_a_link_to_a_directory_is_seen_before_it(oracle: Oracle, user: bool, host: Host) -> None:
    """Nothing can be made by such a name: EISDIR, before EEXIST."""
    ways = ("/dev/fd/53", "/proc/self/fd/53", f"{HOST}/into", f"{HOST}/into/dir", f"{MOUNT}/dirlink", f"{MOUNT}/dir")
    script = [f"d=257 i-100 s{MOUNT}/dir i0", "33 @d i53"]
    script += [
        f"257 i-100 s{way}{end} i{flags} i0"
        for way in ways
        for end in ("/", "//", "/.", "/./", "/..", "")
        for flags in (0xC0, 0x40, 0xAC0, 0x42, 0x240)
    ]
    agree(oracle, script, user=user, host=host, at_least=150)


def test_a_seed_gives_the_same_script_and_another_gives_another() -> None:
    assert list(random_calls.script(1, 500)) == list(random_calls.script(1, 500))
    assert list(random_calls.script(1, 500)) != list(random_calls.script(2, 500))


def test_the_witness_sees_whatever_has_changed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a")
    (tmp_path / "link").symlink_to("file")

    def seen() -> set[str]:
        words = [sys.executable, witness.__file__, "--below", str(tmp_path), "--in", f"{tmp_path}=new,file"]
        return set(subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines())

    was = seen()
    changes = (
        lambda: (tmp_path / "file").write_text("b"),
        lambda: (tmp_path / "file").chmod(0o600),
        lambda: os.link(tmp_path / "file", tmp_path / "other"),
        (tmp_path / "new").mkdir,
        (tmp_path / "link").unlink,
        lambda: (tmp_path / "link").symlink_to("other"),
        lambda: os.mkfifo(tmp_path / "fifo"),
    )
    for change in changes:
        change()
        now = seen()
        assert now != was
        was = now


def test_what_a_job_alone_leaves_or_takes_is_a_difference() -> None:
    mount_point, both, more = "/ 'cvmfs' 40000", "'/oracle/host' 41777", "'/oracle/host/new' 100644"
    truth = f"{mount_point}\n{both}\n"
    assert left_otherwise(truth, f"{both}\n", has_prefix=False) == []
    assert left_otherwise(truth, truth, has_prefix=True) == []
    assert left_otherwise(truth, truth, has_prefix=False) == [f"only after the job: {mount_point}"]
    assert left_otherwise(truth, f"{both}\n{more}\n", has_prefix=False) == [f"only after the job: {more}"]
    assert left_otherwise(f"{truth}{more}\n", f"{both}\n", has_prefix=False) == [f"only beside a mount: {more}"]
