"""What a descriptor stands for: an inode number that a disk gives away again does not make a host file one of ours."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.helpers.faulty_repository import ENGINES, TOP, engine_options
from tests.helpers.launches import PYTHON, Launches
from tests.helpers.repositories import ServedRepository
from tests.helpers.unprivileged import Unprivileged

#: Few, so that stand-ins of directories are soon evicted, and with them their inodes freed.
LIMIT = ("prlimit", "--nofile=256:256")
#: Stand-ins are made on a disk here; tmpfs counts its inodes and never gives a number again.
ON_A_DISK = ("unshare", "--mount", "sh", "-c", 'mount -o loop "$0" /dev/shm && exec "$@"')

REUSE = """
import os, stat, sys
top, place = sys.argv[1:]

def number(fd):
    "The kernel's own word, whatever fstat says."
    with open(f"/proc/self/fdinfo/{fd}") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("ino:"))

def opened(path):
    return os.open(path, os.O_RDONLY)

def directory(path, mode):
    os.mkdir(path, mode)
    fd = opened(path)
    os.rmdir(path)
    return fd

def file(path, mode):
    fd = os.open(path, os.O_RDWR | os.O_CREAT, mode)
    os.unlink(path)
    return fd

def walk(links, flags):
    for path, _, names in os.walk(top):
        for each in [path + "/" + name for name in names if os.path.islink(path + "/" + name)] if links else [path]:
            fd = os.open(each, flags)
            assert os.fstat(fd).st_ino != number(fd), "a stand-in"
            seen.add(number(fd))
            os.close(fd)

seen = set()
walk(True, os.O_PATH | os.O_NOFOLLOW)
walk(False, os.O_RDONLY)  # the links leave for the directories, two inodes each for one
host, wrong, met = os.stat(place).st_dev, 0, set()
for kind, mode in ((directory, 0o555), (directory, 0o700), (file, 0o555)):
    fds = [kind(f"{place}/{i}", mode) for i in range(70)]
    for fd in fds:
        if number(fd) in seen:
            met.add((kind, mode))
        status = os.fstat(fd)
        wrong += (status.st_dev, status.st_ino, stat.S_IMODE(status.st_mode)) != (host, number(fd), mode)
        wrong += not os.readlink(f"/proc/self/fd/{fd}").startswith(place)
        os.close(fd)
    for fd in (opened(path) for path in (top, top + "/data")):
        wrong += os.fstat(fd).st_dev == host
        os.close(fd)
print(len(met), wrong)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The image of a file system that uses inode numbers again, and that nobody else is on."""
    image = tmp_path / "disk"
    image.touch()
    os.truncate(image, 16 << 20)  # one group of blocks: the lowest free number is the next
    subprocess.run(["mkfs.ext4", "-q", "-b", "4096", image], check=True)
    mountable = subprocess.run([*ON_A_DISK, image, "true"], capture_output=True, text=True, check=False)
    return image if not mountable.returncode else pytest.skip(f"no disk can be mounted here: {mountable.stderr}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can put a disk where stand-ins are made")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_deleted_host_file_with_the_number_of_a_former_stand_in_is_the_hosts(
    unprivileged: Unprivileged, test_repository: ServedRepository, disk: Path, engine: str
) -> None:
    by_root = Launches.as_myself(unprivileged, test_repository.flags, disk.parent).having(*engine_options(engine))
    done = by_root.inside(*ON_A_DISK, str(disk), *LIMIT).run(PYTHON, "-c", REUSE, TOP, "/dev/shm")
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 0\n", "")
