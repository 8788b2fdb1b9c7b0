"""The kernel as oracle: `/` lists the mount point where the host has none, by whatever way it is read (decision 28)."""

from __future__ import annotations

import pytest

from tests.helpers.launches import PYTHON
from tests.helpers.oracle import HOST, MOUNT, Host, Oracle
from tests.helpers.root_listing import GUEST

WAYS = ("/", "/cvmfs/..", f"{MOUNT}/../..", f"{HOST}/../..", f"{MOUNT}/toroot", "/proc/self/root")
SHELL = f"""
find / -maxdepth 1 | sort; find / -maxdepth 1 -type d -name 'c*' | sort; echo /* /cv* /*/{MOUNT.rpartition("/")[2]}
cd /; ls -1F; ls -U . | sort; echo */{MOUNT.rpartition("/")[2]}/file; cd {MOUNT}; ls ../..; ls /proc/self/cwd/../..
bash -c 'compgen -f /cv; cd /; compgen -d c | sort'; exec 3</; cd /usr; ls /proc/self/fd/3; ls /dev/fd/3/; ls -d /cvmfs
"""
#: Where names may mean other things from then on.
ELSEWHERE = {
    "root": ["unshare", "--mount", "--pid", "--fork"],
    "user": ["unshare", "--user", "--map-root-user", "--mount"],
}


@pytest.mark.parametrize("way", WAYS)
def test_the_root_lists_as_where_something_is_mounted(oracle: Oracle, user: bool, host: Host, way: str) -> None:
    native, ours = oracle.both("directory_reading", way, user=user, host=host)
    assert "  cvmfs type=4\n" in native
    assert ours == native


def test_every_position_in_it_leads_where_it_led(oracle: Oracle, user: bool, host: Host) -> None:
    """Where it comes in the order of names is the file system's; once, and behind each name what was behind it."""
    command = [PYTHON, "-c", GUEST, "/"]
    native, ours = (sorted(text.splitlines()) for text in both(oracle, command, user, host))
    assert "an inode number each: True each once: True" in native
    assert ours == native


def both(oracle: Oracle, command: list[str], user: bool, host: Host) -> tuple[str, str]:
    return oracle.native(command, user=user), oracle.interposed(command, user=user, host=host)


def test_programs_find_it_there(oracle: Oracle, user: bool, host: Host) -> None:
    native, ours = both(oracle, ["sh", "-c", SHELL], user, host)
    assert native.count("cvmfs") >= 15
    assert ours == native


@pytest.mark.parametrize("script", [SHELL, "ls /"])
def test_so_do_those_in_namespaces_of_their_own(oracle: Oracle, user: bool, host: Host, script: str) -> None:
    inside = ELSEWHERE["user" if user else "root"]
    native, ours = both(oracle, [*inside, "sh", "-c", script], user, host)
    assert "cvmfs" in native
    assert ours == native


def test_another_directory_lists_as_ever_once_the_root_has_been_listed(oracle: Oracle, user: bool) -> None:
    command = ["sh", "-c", f'for each in / {HOST} /usr / {MOUNT}; do {PYTHON} -c "$0" $each; done', GUEST]
    native, ours = both(oracle, command, user, "bare")
    assert native.count("b'cvmfs' 4") == 2
    assert sorted(ours.splitlines()) == sorted(native.splitlines())
