"""The kernel as oracle: what starts at a directory, or is about a descriptor, gives the same as on a mount."""

from __future__ import annotations

import errno

import pytest

from tests.helpers import call_matrix as matrix
from tests.helpers.call_matrix import CWD
from tests.helpers.oracle import HOST, MOUNT, NAME, Host, Oracle, agree


@pytest.mark.parametrize("cwd", [f"{MOUNT}/dir", "/cvmfs", "/", HOST, f"{HOST}/into/dir/sub"])
def test_relative_paths_lead_where_they_do_on_a_mount(oracle: Oracle, user: bool, host: Host, cwd: str) -> None:
    script = [*matrix.stat_calls(matrix.RELATIVE), *matrix.access_calls(matrix.RELATIVE)]
    script += [f"257 i{CWD} s{path} i{flags} i0" for path in matrix.RELATIVE for flags in (0, 0o10000000, 0o200000)]
    agree(oracle, script, user=user, host=host, cwd=cwd, at_least=2000)


@pytest.mark.parametrize("start", [f"{MOUNT}/dir", "/cvmfs", "/", HOST, f"{MOUNT}/file"])
def test_paths_relative_to_a_descriptor_lead_where_they_do_on_a_mount(
    oracle: Oracle, user: bool, host: Host, start: str
) -> None:
    script = []
    for flags in (0, 0o10000000):
        script += ["reset", f"d=257 i{CWD} s{start} i{flags} i0", *matrix.stat_calls(matrix.RELATIVE, "@d")]
        script += [f"257 @d s{path} i{way} i0" for path in matrix.RELATIVE for way in (0, 0o10000000, 0o200000)]
        script += [f"258 @d s{path} i0755" for path in matrix.RELATIVE if not path.startswith(("real", "e", "t"))]
        script += [f"263 @d s{path} i0" for path in ("other", "", "file", "../file", "sub/x")]
        script += matrix.descriptor_calls("@d")
    agree(oracle, script, user=user, host=host, at_least=1000)


@pytest.mark.parametrize("path", ["file", "dir", "empty", "fifo", "link", "none", "null", "socket", ""])
def test_calls_on_a_descriptor_give_what_they_do_on_a_mount(oracle: Oracle, user: bool, path: str) -> None:
    opened = f"{MOUNT}/{path}"
    script = []
    for flags in (0o4000, 0o10000000, 0o10400000, 0o12000000):
        script += ["reset", f"d=257 i{CWD} s{opened} i{flags} i0", *matrix.descriptor_calls("@d")]
        script += matrix.writing_descriptor_calls("@d")
    agree(oracle, script, user=user, at_least=200)


def test_the_working_directory_is_changed_and_named_as_on_a_mount(oracle: Oracle, user: bool, host: Host) -> None:
    script = []
    for path in matrix.absolute():
        script += [
            "reset",
            f"80 s{path}",
            "79 b4096 i4096",
            "6 s. t",
            "4 s.. t",
            "4 sfile t",
            "89 s/proc/self/cwd b4096 i4096",
        ]
        script += ["6 s/proc/self/cwd/. t", "4 sother t", "80 s..", "79 b4096 i4096", "80 s../..", "79 b4096 i4096"]
        script += [
            "reset",
            f"d=257 i{CWD} s{path} i0o4000 i0".replace("0o", "0"),
            "81 @d",
            "79 b4096 i4096",
            "80 ssub",
            "79 b64 i64",
        ]
        script += [
            "reset",
            f"d=257 i{CWD} s{path} i0o10000000 i0".replace("0o", "0"),
            "81 @d",
            "79 b4096 i4096",
            "80 sfile",
        ]
    agree(oracle, script, user=user, host=host, at_least=4000)


def test_getcwd_minds_the_size_of_the_buffer(oracle: Oracle, user: bool) -> None:
    script = [f"80 s{MOUNT}/dir"]
    length = len(f"{MOUNT}/dir") + 1
    script += [f"79 b{size} i{size}" for size in (0, 1, 2, length - 1, length, length + 1, 4096, 8192)]
    script += [
        "79 i0 i0",
        "79 i0 i4096",
        "79 u i4096",
        "79 r i4096",
        "79 b64 i-1",
        f"79 h{length} i4096",
        f"79 h{length - 1} i4096",
    ]
    agree(oracle, script, user=user, at_least=10)


def test_opening_with_how_is_as_on_a_mount(oracle: Oracle, user: bool) -> None:
    """openat2: its flags are checked more strictly, its rules of resolution hold for virtual paths too."""
    script = []
    for name in ("file", "dir", "link", "dirlink", "missing", "dangling", "dir/../file", "out", "abslink", "up"):
        for flags in (0, 0o200000, 0o10000000, 0o400000, 0o100, 0o1, 0o40000000000, 0o11000000, 0o2000000):
            for resolve in (0, 2, 0x40):
                script.append(f"437 i{CWD} s{MOUNT}/{name} p{flags},0,{resolve} i24")
        script += [f"437 i{CWD} s{MOUNT}/{name} p0,0,0 i{size}" for size in (0, 8, 23, 24, 32, 5000)]
        script += [
            f"437 i{CWD} s{MOUNT}/{name} p0,0600,0 i24",
            f"437 i{CWD} s{MOUNT}/{name} u i24",
            f"437 i{CWD} u p0,0,0 i24",
        ]
    agree(oracle, script, user=user, at_least=300)


def test_every_name_of_a_directory_is_listed_with_its_type(oracle: Oracle, user: bool, host: Host) -> None:
    script = []
    for name in (
        "",
        "dir",
        "many",
        "emptydir",
        "chain",
        "d444",
        "d111",
        "d000",
        "dirlink",
        "up",
        f"../{NAME}",
        "file",
        "fifo",
    ):
        script += [
            "reset",
            f"d=257 i{CWD} s{MOUNT}/{name} i04000 i0",
            "217 @d g131072 i131072",
            "217 @d g131072 i131072",
        ]
        script += ["8 @d i0 i0", "217 @d g131072 i131072", "217 @d u i4096", "8 @d i0 i0", "217 @d u i4096"]
        script += ["8 @d i0 i0", *[f"217 @d b{size} i{size}" for size in (0, 1, 23)], "217 @d r i4096", "0 @d b16 i16"]
    script += ["217 i-1 b64 i64", "217 i99 b64 i64"]
    agree(oracle, script, user=user, host=host, at_least=150)


def test_the_top_is_there_by_whatever_name_something_would_be_made(oracle: Oracle, user: bool, host: Host) -> None:
    """The host may have none, and who may write to its root could make it."""
    script = ["80 s/"]
    for name in (
        "cvmfs",
        "./cvmfs",
        "//cvmfs",
        "/usr/../cvmfs",
        "cvmfs/.",
        "cvmfs/no.such",
        f"cvmfs/{NAME}",
        "/cvmfs/",
    ):
        script += [f"83 s{name} i0755", f"258 i-100 s{name} i0755", f"259 i-100 s{name} i0100644 i0", f"88 st s{name}"]
        script += [f"257 i-100 s{name} i{flags} i0600" for flags in (0o100, 0o101, 0o300, 0o301)]
        script += [f"437 i-100 s{name} p64,384,{rules} i24" for rules in (0, 16)]
        script += ["k=41 i1 i1 i0", f"49 @k n{name} i110"]
    script += [f"80 s{HOST}", "83 sdirectory/cvmfs i0755", "83 sdirectory/cvmfs/x i0755", "83 scvmfs/x i0755"]
    script += ["257 i-100 sdirectory/cvmfs/file i65 i0600", "4 sdirectory/cvmfs/file t", "84 sdirectory/cvmfs/x"]
    script += [
        f"80 s{MOUNT}/dir",
        "83 scvmfs i0755",
        "257 i-100 scvmfs i65 i0600",
        "k=41 i1 i1 i0",
        "49 @k ncvmfs i110",
    ]
    script += ["82 sother scvmfs", "86 sother scvmfs", f"82 s{HOST}/real scvmfs", "437 i-100 scvmfs p64,384,0 i24"]
    agree(oracle, script, user=user, host=host, at_least=100)


@pytest.mark.parametrize("which", ["few", "all"])
@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOENT])
def test_who_forbids_itself_to_ask_what_a_directory_is_finds_what_is_in_it(
    oracle: Oracle, user: bool, host: Host, code: int, which: str
) -> None:
    """The kernel has only ENOENT for what is relative to a virtual directory: that is not passed on."""
    words = [str(code), which, MOUNT, "file", "dir"]
    native, ours = oracle.both("forbidden_looks", *words, user=user, host=host)
    assert native.count("open: ok") >= 12
    assert ours == native
