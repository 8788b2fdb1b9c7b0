"""What control groups leave free, from fake trees as batch systems and containers make them."""

from __future__ import annotations

import pytest

from hepwrap.cache import cgroup

GIB = 1 << 30
V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNT = "33 24 0:30 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
V1_CPU = "32 24 0:29 / /sys/fs/cgroup/cpu rw shared:8 - cgroup cgroup rw,cpu,cpuacct\n"


def v2(path: str, mounts: str = V2_MOUNT, **files: str) -> cgroup.Read:
    """A version 2 tree; `files` by their path below the mount."""
    tree = {"/proc/self/cgroup": f"0::{path}\n", "/proc/self/mountinfo": mounts}
    tree |= {f"/sys/fs/cgroup{name}": text for name, text in files.items()}
    return tree.get


def group(directory: str, **values: object) -> dict[str, str]:
    """Files `memory.<name>` of one directory."""
    names = {"limit_in_bytes", "usage_in_bytes", "max", "high", "current", "stat", "pressure"}
    assert set(values) <= names
    return {f"{directory}/memory.{name}": f"{value}\n" for name, value in values.items()}


def test_a_limit_of_our_own_group() -> None:
    read = v2("/job", **group("/job", max=8 * GIB, high="max", current=3 * GIB))
    assert [each.free for each in cgroup.groups(read)] == [5 * GIB]


def test_file_cache_that_can_be_dropped_counts_as_free() -> None:
    stat = f"anon 1\nfile {3 * GIB}\ninactive_anon 7\ninactive_file {2 * GIB}\nactive_file 5\n"
    read = v2("/job", **group("/job", max=8 * GIB, current=6 * GIB, stat=stat))
    assert cgroup.groups(read)[0].free == 4 * GIB


def test_memory_high_is_a_limit_too() -> None:
    read = v2("/job", **group("/job", max=8 * GIB, high=6 * GIB, current=5 * GIB))
    assert cgroup.groups(read)[0].free == 1 * GIB


def test_over_the_limit_is_nothing_free_and_never_less() -> None:
    read = v2("/job", **group("/job", max="max", high=1 * GIB, current=5 * GIB))
    assert cgroup.groups(read)[0].free == 0


def test_more_reclaimable_than_used_is_not_more_than_the_limit() -> None:
    read = v2("/job", **group("/job", max=8 * GIB, current=1 * GIB, stat=f"inactive_file {2 * GIB}\n"))
    assert cgroup.groups(read)[0].free == 8 * GIB


def test_every_group_up_to_the_top_counts_as_slurm_nests_them() -> None:
    path = "/system.slice/slurmstepd.scope/job_7/step_0/user/task_0"
    tree = (
        group("/system.slice/slurmstepd.scope/job_7", max=10 * GIB, current=9 * GIB)
        | group("/system.slice/slurmstepd.scope/job_7/step_0", max=8 * GIB, current=2 * GIB)
        | group("/system.slice/slurmstepd.scope/job_7/step_0/user", max="max", current=2 * GIB)
        | group(path, max="max", current=2 * GIB)
        | group("/system.slice", max="max", current=30 * GIB)
    )
    assert [each.free for each in cgroup.groups(v2(path, **tree))] == [6 * GIB, 1 * GIB]


def test_no_limit_anywhere_is_no_group() -> None:
    assert cgroup.groups(v2("/job", **group("/job", max="max", high="max", current=1))) == []


def test_nothing_readable_is_no_group() -> None:
    assert cgroup.groups({}.get) == []


@pytest.mark.parametrize("text", ["", "garbage", "0:", ":::", "0::", "memory", "\x00"])
def test_garbage_is_no_group(text: str) -> None:
    tree = {"/proc/self/cgroup": text, "/proc/self/mountinfo": text, "/memory.max": text, "/memory.current": text}
    assert cgroup.groups(tree.get) == []


def test_a_namespace_that_shows_our_group_as_the_top() -> None:
    read = v2("/", **group("", max=4 * GIB, current=1 * GIB))
    assert [each.free for each in cgroup.groups(read)] == [3 * GIB]


def test_a_container_whose_mount_starts_at_its_own_group() -> None:
    mount = V2_MOUNT.replace(" / /sys", " /docker/abc /sys")
    read = v2("/docker/abc/inner", mount, **group("", max=4 * GIB, current=1 * GIB))
    assert [each.free for each in cgroup.groups(read)] == [3 * GIB]


@pytest.mark.parametrize("path", ["/docker/abcdef", "/elsewhere", "/../../outside"])
def test_a_path_outside_of_the_mount_is_taken_as_its_top(path: str) -> None:
    mount = V2_MOUNT.replace(" / /sys", " /docker/abc /sys")
    read = v2(path, mount, **group("", max=4 * GIB, current=1 * GIB))
    assert [each.free for each in cgroup.groups(read)] == [3 * GIB]


def test_blanks_in_the_mount_point() -> None:
    tree = {
        "/proc/self/cgroup": "0::/\n",
        "/proc/self/mountinfo": V2_MOUNT.replace("/sys/fs/cgroup", "/my\\040groups"),
        "/my groups/memory.max": "100\n",
        "/my groups/memory.current": "40\n",
    }
    assert [each.free for each in cgroup.groups(tree.get)] == [60]


# Version 1.


def v1(path: str, tree: dict[str, str]) -> cgroup.Read:
    files = {f"/sys/fs/cgroup/memory{name}": text for name, text in tree.items()}
    files["/proc/self/cgroup"] = f"9:name=systemd:/x\n5:cpu,cpuacct:/y\n4:memory:{path}\n0::/z\n"
    files["/proc/self/mountinfo"] = V1_CPU + V1_MOUNT
    return files.get


def test_version_1_nested() -> None:
    tree = group("/slurm/uid_1000/job_5", limit_in_bytes=4 * GIB, usage_in_bytes=3 * GIB) | group(
        "/slurm/uid_1000/job_5/step_0", limit_in_bytes=4 * GIB, usage_in_bytes=2 * GIB
    )
    read = v1("/slurm/uid_1000/job_5/step_0", tree)
    assert [each.free for each in cgroup.groups(read)] == [2 * GIB, 1 * GIB]


@pytest.mark.parametrize("huge", [9223372036854771712, 9223372036854775807, 18446744073709551615])
def test_version_1_says_unlimited_with_a_huge_number(huge: int) -> None:
    assert cgroup.groups(v1("/job", group("/job", limit_in_bytes=huge, usage_in_bytes=5))) == []


def test_version_1_counts_reclaimable_of_the_whole_subtree() -> None:
    stat = "inactive_file 1\ntotal_inactive_file 30\n"
    read = v1("/job", group("/job", limit_in_bytes=100, usage_in_bytes=50, stat=stat))
    assert cgroup.groups(read)[0].free == 80


# Pressure.

PSI = "some avg10={} avg60=0.10 avg300=0.00 total=5\nfull avg10=99.00 avg60=0 avg300=0 total=1"


@pytest.mark.parametrize(("text", "value"), [(PSI.format("12.50"), 12.5), (None, None), ("", None), ("some x", None)])
def test_the_first_line_is_read(text: str | None, value: float | None) -> None:
    assert cgroup.some_avg10(text) == value
    assert cgroup.some_avg10("some avg10=1.2.3") is None


def test_the_highest_pressure_of_limited_groups_counts() -> None:
    tree = (
        group("/a", max=100, current=1, pressure=PSI.format("20.00"))
        | group("/a/b", max=50, current=1, pressure=PSI.format("3.00"))
        | {"/memory.pressure": PSI.format("90.00")}
    )
    read = v2("/a/b", **tree)
    assert cgroup.pressure(cgroup.groups(read), read) == 20.0


def test_the_machines_pressure_counts_where_groups_do_not_tell() -> None:
    assert cgroup.pressure([], {"/proc/pressure/memory": PSI.format("7.00")}.get) == 7.0
    assert cgroup.pressure([], {}.get) == 0.0


def test_the_real_system_can_be_read() -> None:
    for each in cgroup.groups():
        assert 0 <= each.free <= each.limit
    assert cgroup.pressure(cgroup.groups()) >= 0.0
