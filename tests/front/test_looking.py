"""ls, cat, stat, find, verify on test.hep.example, over HTTP, against what the real client showed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.front import Cli, one_line
from tests.helpers.repositories import ServedRepository
from tests.helpers.shared import shared_path

NAME = "test.hep.example"
RECORDED = {"CVMFS_CLAIM_OWNERSHIP": "no"}
VARIABLES = {"HEPVER": "v2", "HEP_A": "/alt", "HEP_REL": "22.3.0"}


def truth(name: str) -> bytes:
    return shared_path(f"data/{NAME}/{name}").read_bytes()


def unescaped(text: bytes) -> bytes:
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes((int(match[1], 16),)), text)


def paths() -> list[bytes]:
    rows = [line.split(b"\t") for line in truth("listing.tsv").splitlines()[1:]]
    return [unescaped(row[0]) for row in rows]


@pytest.fixture
def flags(test_repository: ServedRepository) -> list[str]:
    return test_repository.flags


def test_stat_of_everything_is_the_listing_of_the_real_client(cli: Cli, flags: list[str]) -> None:
    result = cli("stat", "--tsv", "-R", *flags, NAME, environ=RECORDED)
    assert result.stderr == b""
    assert result.stdout == truth("listing.tsv")
    assert result.stdout.count(b"\n") == 2280


def test_stat_of_single_paths_is_the_same_as_of_everything(cli: Cli, flags: list[str]) -> None:
    wanted = [path for path in paths() if not path.startswith(b"/data/many/")]
    result = cli("stat", "--tsv", *flags, *(NAME.encode() + path for path in wanted), environ=RECORDED)
    rows = [line for line in truth("listing.tsv").splitlines() if not line.startswith(b"/data/many/")]
    assert (result.stdout.splitlines(), result.stderr) == (rows, b"")


def test_links_lead_where_the_environment_says(cli: Cli, flags: list[str]) -> None:
    expected = {
        unescaped(path): unescaped(target)
        for path, target in (
            line.split(b"\t") for line in truth("symlinks_env.tsv").splitlines() if not line.startswith(b"#")
        )
    }
    result = cli("stat", "--tsv", *flags, *(NAME.encode() + path for path in expected), environ=VARIABLES)
    shown = [line.split(b"\t") for line in result.stdout.splitlines()[1:]]
    assert {unescaped(row[0]): unescaped(row[11]) for row in shown} == expected
    assert all(int(row[5]) == len(expected[unescaped(row[0])]) for row in shown)


def test_find_prints_every_path_as_bytes(cli: Cli, flags: list[str]) -> None:
    result = cli("find", "-print0", *flags, NAME)
    expected = {NAME.encode() + path.rstrip(b"/") for path in paths()}
    assert result.stdout.endswith(b"\0")
    assert set(result.stdout.split(b"\0")[:-1]) == expected
    assert result.stdout.count(b"\0") == 2279


def test_find_begins_its_paths_as_they_were_asked_for(cli: Cli, flags: list[str]) -> None:
    result = cli("find", *flags, f"/cvmfs/{NAME}/hard/")
    assert result.stdout.splitlines() == [
        f"/cvmfs/{NAME}/hard{rest}".encode() for rest in ("", "/a", "/b", "/c", "/x", "/y")
    ]


def test_find_can_be_told_kinds_and_names(cli: Cli, flags: list[str]) -> None:
    result = cli("find", "-type", "l", "-name", "*.so*", *flags, f"{NAME}/sw")
    assert result.stdout.decode().split() == [
        f"{NAME}/sw/{version}/lib/libhep.so{end}" for version in ("v1", "v2") for end in ("", ".1")
    ]
    assert cli("find", "-type", "p,c", *flags, NAME).stdout.decode().split() == [
        f"{NAME}/special_fifo", f"{NAME}/special_null"
    ]  # fmt: skip


def test_cat_gives_the_bytes_one_after_the_other(cli: Cli, flags: list[str]) -> None:
    rows = {unescaped(row[0]): row for row in (line.split(b"\t") for line in truth("listing.tsv").splitlines()[1:])}
    files = [path for path, row in rows.items() if row[1] == b"f" and not path.startswith(b"/data/many/")]
    for path in [*files[:3], max(files, key=lambda path: int(rows[path][5]))]:
        result = cli("cat", *flags, NAME.encode() + path)
        assert hashlib.sha256(result.stdout).hexdigest().encode() == rows[path][12]
    two = cli("cat", *flags, f"{NAME}/hard/a", f"{NAME}/hard/x").stdout
    assert two == cli("cat", *flags, f"{NAME}/hard/b").stdout + cli("cat", *flags, f"{NAME}/hard/y").stdout


def test_cat_follows_links_also_absolute_ones(cli: Cli, flags: list[str]) -> None:
    plain = cli("cat", *flags, f"{NAME}/sw/v1/.cvmfscatalog", f"{NAME}/README")
    assert cli("cat", *flags, f"{NAME}/sw/abs/.cvmfscatalog", f"{NAME}/sw/../README").stdout == plain.stdout
    assert plain.returncode == 0


def test_ls_prints_names_as_bytes_one_a_line(cli: Cli, flags: list[str]) -> None:
    names = sorted(path.rpartition(b"/")[2] for path in paths() if re.fullmatch(rb"/odd/[^/]+", path))
    everything = cli("ls", "-a", *flags, f"{NAME}/odd").stdout
    assert everything == b".\n..\n" + b"".join(name + b"\n" for name in names)
    visible = cli("ls", *flags, f"{NAME}/odd").stdout
    assert visible == b"".join(name + b"\n" for name in names if not name.startswith(b"."))


def test_ls_shows_modes_owners_sizes_and_targets(cli: Cli, flags: list[str]) -> None:
    lines = cli("ls", "-l", *flags, f"{NAME}/sw", environ={"TZ": "UTC", **RECORDED}).stdout.decode().splitlines()
    assert lines[1].split() == ["lrwxrwxrwx", "1", *owner(), "2", "2020-11-27", "07:34", "current", "->", "v2"]
    device = cli("ls", "-l", *flags, f"{NAME}/special_null", environ=RECORDED).stdout.decode()
    assert re.match(r"crw-r--r-- 1 \S+ +\S+ +1, 3 \d{4}-\d\d-\d\d \d\d:\d\d \S+/special_null\n", device)


def owner() -> list[str]:
    import grp
    import pwd

    return [pwd.getpwuid(0).pw_name, grp.getgrgid(0).gr_name]


def test_ls_follows_a_link_unless_it_shows_it(cli: Cli, flags: list[str]) -> None:
    inside = cli("ls", *flags, f"{NAME}/sw/current").stdout
    assert inside == cli("ls", *flags, f"{NAME}/sw/v2").stdout
    assert cli("ls", "-l", *flags, f"{NAME}/sw/current").stdout.startswith(b"lrwxrwxrwx")
    assert cli("ls", "-l", *flags, f"{NAME}/sw/current/").stdout.startswith(b"drwx")


def test_ls_goes_down_with_a_heading_for_each_directory(cli: Cli, flags: list[str]) -> None:
    text = cli("ls", "-R", *flags, f"{NAME}/sw").stdout.decode()
    assert text.startswith(f"{NAME}/sw:\nabs\ncurrent\ndotdot\nv1\nv2\n\n{NAME}/sw/v1:\n")
    headings = re.findall(rf"^{NAME}/(\S+):$", text, re.MULTILINE)
    inside = [path for path in paths() if path.startswith(b"/sw")]
    kinds = {unescaped(line.split(b"\t")[0]): line.split(b"\t")[1] for line in truth("listing.tsv").splitlines()[1:]}
    assert sorted(headings) == sorted(path.decode()[1:] for path in inside if kinds[path] == b"d")


def test_stat_for_people_tells_how_a_file_is_stored(cli: Cli, flags: list[str]) -> None:
    text = cli("stat", *flags, f"{NAME}/README", environ={"TZ": "UTC", **RECORDED}).stdout.decode()
    user, group = owner()
    assert text == (
        f"  File: /cvmfs/{NAME}/README\n  Size: 26\tLinks: 1\tregular file\n"
        f"Access: (0644/-rw-r--r--)  Uid: (0/{user})  Gid: (0/{group})\n"
        "Modify: 2024-02-19 05:55:47.511542908 +0000\n"
        "Stored: zlib  Object: 18dad1683ce9ee5018de1870a6c436a0a69e15ea\n"
    )


def test_ownership_is_claimed_unless_configured_otherwise(cli: Cli, flags: list[str]) -> None:
    row = cli("stat", "--tsv", *flags, f"{NAME}/README").stdout.splitlines()[1].split(b"\t")
    assert (row[3], row[4]) == (b"%d" % os.geteuid(), b"%d" % os.getegid())


# What is not there, and what is not right.


@pytest.mark.parametrize(("command", "path", "message"), [
    ("cat", "nosuch", f"/cvmfs/{NAME} has no entry nosuch; check the path"),
    ("ls", "README/x", f"/cvmfs/{NAME}/README is not a directory"),
    ("cat", "sw", f"{NAME}/sw is a directory; hepwrap ls lists it"),
    ("cat", "special_fifo", f"{NAME}/special_fifo is a special file, which has no content"),
    ("cat", "links/self", f"more than 40 symbolic links at /cvmfs/{NAME}/links/self"),
    ("ls", "../../etc", f"{NAME}/../../etc leads to "),
    ("stat", "odd/\x1b", f"/cvmfs/{NAME}/odd has no entry \\x1b"),
])  # fmt: skip
def test_what_is_not_there_is_one_line_and_1(cli: Cli, flags: list[str], command: str, path: str, message: str) -> None:
    result = cli(command, *flags, f"{NAME}/{path}")
    assert one_line(result).startswith(message)
    assert result.returncode == 1


def test_one_that_fails_does_not_keep_the_others_from_it(cli: Cli, flags: list[str]) -> None:
    result = cli("cat", *flags, f"{NAME}/hard/a", f"{NAME}/nosuch", f"{NAME}/hard/x")
    assert result.stdout == cli("cat", *flags, f"{NAME}/hard/a", f"{NAME}/hard/x").stdout
    assert result.stderr == f"hepwrap: /cvmfs/{NAME} has no entry nosuch; check the path\n".encode()
    assert result.returncode == 1


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository, to be damaged."""
    place = tmp_path / "repo"
    shutil.copytree(shared_path(f"data/{NAME}/repo"), place)
    for path in (place, *place.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    return place


def local_flags(place: Path) -> list[str]:
    return ["--repo", f"{NAME}={place}", "--key", str(shared_path(f"data/{NAME}/keys/{NAME}.pub"))]


def object_of(cli: Cli, place: Path, path: str) -> Path:
    text = cli("stat", *local_flags(place), f"{NAME}/{path}").stdout.decode()
    digest = text.rpartition("Object: ")[2].strip()
    return place / "data" / digest[:2] / digest[2:]


def test_verify_counts_what_it_checked(cli: Cli, flags: list[str]) -> None:
    result = cli("verify", *flags, NAME)
    assert (result.stdout, result.stderr, result.returncode) == (
        b"2279 entries, 2182 files, 2197 objects, 3894942 bytes; 0 bad\n", b"", 0
    )  # fmt: skip


def test_verify_lists_every_file_of_a_bad_object(cli: Cli, copy: Path) -> None:
    place = object_of(cli, copy, "hard/a")
    place.write_bytes(place.read_bytes() + b"x")
    result = cli("verify", *local_flags(copy), f"{NAME}/hard")
    lines = result.stdout.decode().splitlines()
    assert [line.partition(": ")[0] for line in lines[:-1]] == [f"/cvmfs/{NAME}/hard/{name}" for name in "abc"]
    assert all("have the digest" in line for line in lines[:-1])
    assert lines[-1].endswith("; 3 bad")
    assert result.returncode == 1


def test_verify_lists_a_missing_object(cli: Cli, copy: Path) -> None:
    object_of(cli, copy, "hard/x").unlink()
    result = cli("verify", *local_flags(copy), f"{NAME}/hard")
    assert result.stdout.decode().count(f"/cvmfs/{NAME}/hard/") == 2
    assert result.returncode == 1


def test_verify_goes_on_beside_a_catalogue_that_is_bad(cli: Cli, copy: Path) -> None:
    catalogs = [line.split(b"\t") for line in truth("catalogs.tsv").splitlines()[1:]]
    digest = next(row[1].decode() for row in catalogs if row[0] == b"/sw/v1")
    place = copy / "data" / digest[:2] / f"{digest[2:]}C"
    place.write_bytes(b"\0" + place.read_bytes()[1:])
    result = cli("verify", *local_flags(copy), f"{NAME}/sw")
    bad = [line for line in result.stdout.decode().splitlines() if line.startswith("/cvmfs")]
    assert [line.partition(": ")[0] for line in bad] == [f"/cvmfs/{NAME}/sw/v1"]
    assert digest in bad[0]
    assert cli("cat", *local_flags(copy), f"{NAME}/sw/v2/.cvmfscatalog").returncode == 0


def test_a_damaged_object_is_no_content(cli: Cli, copy: Path) -> None:
    place = object_of(cli, copy, "README")
    place.write_bytes(b"\0" + place.read_bytes()[1:])
    result = cli("cat", *local_flags(copy), f"{NAME}/README")
    assert "digest" in one_line(result)
    assert result.returncode == 1


def test_a_missing_object_is_told_with_the_file_it_is_for(cli: Cli, copy: Path) -> None:
    object_of(cli, copy, "README").unlink()
    result = cli("cat", *local_flags(copy), f"{NAME}/README")
    assert one_line(result).startswith(f"/cvmfs/{NAME}/README: ")
    assert result.returncode == 1


def test_a_key_of_somebody_else_is_told(cli: Cli, tmp_path: Path, copy: Path) -> None:
    assert cli("keygen", NAME, "--keys", tmp_path / "keys").returncode == 0
    result = cli("ls", "--repo", f"{NAME}={copy}", "--key", tmp_path / f"keys/{NAME}.pub", NAME)
    assert "whitelist" in one_line(result)
    assert result.returncode == 1


def test_a_tag_that_does_not_exist_is_told(cli: Cli, flags: list[str]) -> None:
    result = cli("ls", *flags, f"{NAME}:nosuch/")
    assert "nosuch" in one_line(result)
    assert result.returncode == 1


def test_offline_leaves_directories(cli: Cli, flags: list[str], copy: Path) -> None:
    refused = cli("ls", "--offline", *flags, NAME)
    assert "--offline" in one_line(refused)
    assert cli("ls", "--offline", *local_flags(copy), NAME).returncode == 0


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path, flags: list[str]) -> None:
    command = [sys.executable, "-m", "hepwrap", "find", *flags, NAME]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 141)
