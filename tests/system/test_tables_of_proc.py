"""/proc/PID/{maps,mounts,mountinfo} with virtual names: read as programs read them."""

from __future__ import annotations

import json

from tests.helpers import needs
from tests.helpers.launches import PYTHON, Launches

TOP = "/cvmfs/test.hep.example"

MAPPED = """
import json, mmap, os, sys
path = sys.argv[1]
file = os.open(path, os.O_RDONLY)
mapping = mmap.mmap(file, 0, prot=mmap.PROT_READ)
found = os.stat(path)
def table(name):
    with open(name) as lines:
        return [line.split(None, 5) for line in lines]
rows = [row for name in ("/proc/self/maps", f"/proc/{os.getpid()}/maps", f"/proc/self/task/{os.getpid()}/maps")
        for row in table(name) if len(row) > 5 and row[5].strip() == path]
device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
print(json.dumps([[row[3], int(row[4])] == [device, found.st_ino] for row in rows]))
smaps = open("/proc/self/smaps").read()
print(path in smaps, "/memfd:/cvmfs" in smaps, "/memfd:/cvmfs" in open("/proc/self/maps").read())
"""


def test_mappings_show_path_device_and_inode_as_stat_does(launcher: Launches) -> None:
    said = launcher.ok(PYTHON, "-c", MAPPED, f"{TOP}/README").decode().splitlines()
    assert json.loads(said[0]) == [True] * 3
    assert said[1] == "True False False"


OPENED = """
import fcntl, os
os.closerange(3, 100)
a = os.open("/proc/self/mounts", os.O_RDONLY)
b = os.open("/proc/mounts", os.O_RDONLY | os.O_CLOEXEC)
c = os.open("/etc/mtab", os.O_RDONLY) if os.path.exists("/etc/mtab") else 5
print(a, b, c, fcntl.fcntl(b, fcntl.F_GETFD), os.lseek(a, 0, os.SEEK_CUR))
print(os.read(a, 1 << 20) == os.read(b, 1 << 20), os.read(a, 10))
os.lseek(a, 0, os.SEEK_SET)
print(b"/cvmfs/test.hep.example" in os.read(a, 1 << 20))
print(*(os.path.ismount("/cvmfs" + path) for path in ("/test.hep.example", "", "/test.hep.example/data")))
directory = os.open("/proc/self", os.O_RDONLY)
d = os.open("mountinfo", os.O_RDONLY, dir_fd=directory)
print(os.read(d, 1 << 20).count(b" /cvmfs/test.hep.example "))
"""


def test_tables_are_opened_as_any_file(launcher: Launches) -> None:
    said = launcher.ok(PYTHON, "-c", OPENED, env={"PYTHONWARNINGS": "ignore"}).decode().splitlines()
    assert said == ["3 4 5 1 0", "True b''", "True", "True True False", "1"]


def test_programs_that_look_for_the_mount_of_a_file_find_it(launcher: Launches) -> None:
    needs.program("findmnt", "util-linux")
    script = f"cat {TOP}/README >/dev/null; findmnt -n -o TARGET,FSTYPE -T {TOP}/data; mountpoint -q {TOP} && echo yes;"
    script += f"df --output=target,fstype {TOP}/README | tail -1; stat -c %m {TOP}/README;"
    script += f"stat -f -c '%T %l' {TOP}/README; stat -f -c '%i %b %c' {TOP} {TOP}/data | uniq | wc -l"
    words = launcher.ok("sh", "-c", script).decode().split()
    assert words == [TOP, "fuse", "yes", TOP, "fuse", TOP, "fuseblk", "255", "1"]


SIZED = """
import os, stat, sys
entries, size = 1, 0
for place, directories, files in os.walk(sys.argv[1]):
    for name in directories + files:
        found = os.lstat(f"{place}/{name}")
        entries += 1
        size += found.st_size if stat.S_ISREG(found.st_mode) else 0
v = os.statvfs(sys.argv[1])
below = os.statvfs(f"{sys.argv[1]}/data")
print((v.f_blocks, v.f_bfree, v.f_files) == (-(-size // v.f_frsize), 0, entries), below == v)
"""


def test_a_repository_is_as_large_as_all_that_is_in_it_and_df_shows_it(launcher: Launches) -> None:
    assert launcher.ok(PYTHON, "-c", SIZED, TOP) == b"True True\n"
    table = launcher.ok("sh", "-c", f"ls {TOP} >/dev/null; df --output=target").decode().split()
    assert TOP in table, "df leaves out what has no blocks"


def test_the_id_of_a_mount_is_that_of_statx(launcher: Launches) -> None:
    script = f"cat {TOP}/README > /dev/null; exec 3< {TOP}/README; cat /proc/self/mountinfo"
    rows = [line.split() for line in launcher.ok("sh", "-c", script).decode().splitlines()]
    ours = next(row for row in rows if row[4] == TOP)
    above = next(row for row in rows if row[0] == ours[1])
    assert above[4] == "/cvmfs"
    device = launcher.ok("stat", "-c", "%Hd:%Ld", f"{TOP}/README").decode().strip()
    assert ours[2] == device


def test_what_is_not_ours_reads_as_ever(launcher: Launches) -> None:
    """A file of the same name, the tables of a process that maps nothing of ours, and those that may not be read."""
    (launcher.home / "maps").write_text("a treasure\n")
    assert launcher.ok("cat", launcher.home / "maps") == b"a treasure\n"
    done = launcher.run("cat", "/proc/1/maps")
    native = launcher.native("cat", "/proc/1/maps")
    assert (done.returncode, done.stderr.replace("hepwrap", "")) == (native.returncode, native.stderr)
    assert b"/cat" in launcher.ok("cat", "/proc/self/maps")
