"""`/` of the machine itself, whatever its file system, lists what it has and the mount point, once, at any position.

What a mount gives is compared in `tests/interpose/test_oracle_root_listing.py`, on a root that is made for that.
"""

from __future__ import annotations

import os

import pytest

from tests.helpers.launches import PYTHON, Launches
from tests.helpers.root_listing import GUEST

OWN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
OWN_ROOT = """
mount -t tmpfs none /mnt; cd /mnt; mkdir $0 usr; mount --rbind /usr usr
for name in bin lib lib64; do ln -s usr/$name; done; chroot . ls /
"""


def test_the_machines_own_root_lists_the_mount_point_once(launcher: Launches) -> None:
    native = launcher.native(PYTHON, "-c", GUEST, "/").stdout.splitlines()
    ours = launcher.ok(PYTHON, "-c", GUEST, "/").decode().splitlines()
    assert "an inode number each: True each once: True" in native
    assert sorted(ours) == sorted({*native, "b'cvmfs' 4"})


@pytest.mark.parametrize("names", ["a", "a cvmfs"])
def test_a_root_that_the_job_makes_lists_it_once_too(launcher: Launches, names: str) -> None:
    """Whether there is a directory of that name in it or not: what is below can be reached."""
    if os.path.lexists("/cvmfs"):
        pytest.skip("this machine has a /cvmfs, and then roots list what they have")
    if launcher.native(*OWN_NAMESPACE, "true").returncode != 0:
        pytest.skip("this machine makes no user namespaces")
    shown = launcher.ok(*OWN_NAMESPACE, "sh", "-ec", OWN_ROOT.replace("$0", names)).decode().split()
    assert shown == ["a", "bin", "cvmfs", "lib", "lib64", "usr"]
