"""Tables of /proc with virtual names: what is ours is changed, and nothing else."""

from __future__ import annotations

import os
import re

from hepwrap.interpose import tables
from hepwrap.interpose.tables import Mapped, Mounted

OURS = Mounted(900, os.makedev(0, 77), b"/cvmfs/a b.example", b"cvmfs2")
TOP = Mounted(899, os.makedev(0, 76), b"/cvmfs", b"hepwrap", b"autofs")


def find(device: int, inode: int, name: bytes) -> Mapped | None:
    ours = (os.makedev(0, 1), 42, b"/memfd:/cvmfs/x/lib (deleted)")
    return (b"/cvmfs/x/lib\n.so", os.makedev(0, 0xC5002), 664) if (device, inode, name) == ours else None


def test_mappings_of_ours_have_name_device_and_inode_and_all_others_are_as_they_were() -> None:
    with open("/proc/self/maps", "rb") as file:
        text = file.read()
    assert tables.mappings(text, find) == text
    names = next(line.index(b"/") for line in text.splitlines() if b"/" in line)
    line = b"7f0000000000-7f0000001000 r-xp 00028000 00:01 42".ljust(names) + b"/memfd:/cvmfs/x/lib (deleted)\n"
    shown = tables.mappings(line + b"Size: 4 kB\n" + text, find)
    expected = b"7f0000000000-7f0000001000 r-xp 00028000 00:c5002 664".ljust(names) + b"/cvmfs/x/lib\\012.so\n"
    assert shown == expected + b"Size: 4 kB\n" + text


def test_a_memory_file_of_the_programs_keeps_its_name() -> None:
    line = b"7f0000000000-7f0000001000 rw-s 00000000 00:01 43                         /memfd:mine (deleted)\n"
    assert tables.mappings(line, find) == line
    called = {b"/memfd:/cvmfs/x (deleted)": b"/cvmfs/a=b"}
    assert tables.policies(b"7f00 default file=/memfd:mine\\040(deleted) dirty=1\n", called.get).count(b"memfd") == 1
    assert tables.policies(b"7f00 default file=/memfd:/cvmfs/x\\040(deleted) dirty=1\n", called.get) == (
        b"7f00 default file=/cvmfs/a\\075b dirty=1\n"
    )


def test_mounts_of_ours_come_behind_the_kernels() -> None:
    with open("/proc/self/mounts", "rb") as file:
        text = file.read()
    shown = tables.mounts(text, [TOP, OURS], lambda place: place)
    assert shown.removeprefix(text) == (
        b"hepwrap /cvmfs autofs ro,nosuid,nodev,relatime 0 0\n"
        b"cvmfs2 /cvmfs/a\\040b.example fuse ro,nosuid,nodev,relatime 0 0\n"
    )


def test_mounts_hang_together() -> None:
    with open("/proc/self/mountinfo", "rb") as file:
        text = file.read()
    root = next(line.split()[0] for line in text.splitlines() if line.split()[4] == b"/")
    shown = tables.mountinfo(text, [TOP, OURS], lambda place: place)
    top, ours = shown.removeprefix(text).splitlines()
    assert top.split()[:5] == [b"899", root, b"0:76", b"/", b"/cvmfs"]
    assert ours.split()[:5] == [b"900", b"899", b"0:77", b"/", b"/cvmfs/a\\040b.example"]


def test_in_a_root_of_ours_what_is_kept_hangs_on_that() -> None:
    with open("/proc/self/mountinfo", "rb") as file:
        text = file.read()
    root = Mounted(901, os.makedev(0, 78), b"/", b"cvmfs2")
    shown = tables.mountinfo(text, [root, TOP], lambda place: place if place.startswith(b"/proc") else None)
    rows = [line.split() for line in shown.splitlines()]
    places = {row[4]: row for row in rows}
    assert set(places) >= {b"/", b"/cvmfs", b"/proc"}
    assert all(re.match(rb"/(proc|cvmfs|$)", place) for place in places)
    assert places[b"/proc"][1] == places[b"/cvmfs"][1] == b"901"
