"""test.hep.example through hepwrap, over HTTP, against what the real client showed: all entries, exactly."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence

import pytest

from tests.helpers import truth, walking
from tests.helpers.launches import Done, Launches, quiet
from tests.helpers.repositories import ServedRepository
from tests.helpers.truth import ROOT, Row

TOP = os.fsdecode(ROOT)
#: Owners as the catalogue has them: how the listing was taken.
RECORDED = {"CVMFS_CLAIM_OWNERSHIP": "no"}
VARIABLES = {"HEPVER": "v2", "HEP_A": "/alt", "HEP_REL": "22.3.0"}
#: What an ordinary user may not read where the files are root's, and where they are the user's own.
CLOSED_AS_RECORDED = {ROOT + name for name in (b"/perm/m0000", b"/perm/m0600", b"/perm/dir0700/in")}
CLOSED_AS_CLAIMED = {ROOT + b"/perm/m0000"}
FIND_FIELDS = r"%p\0%y\0%m\0%U\0%G\0%s\0%T@\0%n\0%i\0%l\0"
STAT_FIELDS = r"%n\0%f\0%u\0%g\0%s\0%.9Y\0%h\0%t\0%T\0%i\0"


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    found = truth.listing()
    assert len(found) == 2279
    return found


def records(text: bytes, size: int) -> list[tuple[bytes, ...]]:
    """NUL-terminated fields, `size` to a record."""
    fields = text.split(b"\0")
    assert fields.pop() == b""
    assert len(fields) % size == 0
    return list(zip(*[iter(fields)] * size, strict=True))


def by_path(found: Iterable[tuple[bytes, ...]]) -> dict[bytes, tuple[bytes, ...]]:
    """Records by their first field; every path once."""
    found = list(found)
    shown = {record[0]: record[1:] for record in found}
    assert len(shown) == len(found), "a path was shown twice"
    return shown


def inodes_follow_the_link_groups(inodes: dict[bytes, bytes], rows: Sequence[Row]) -> None:
    """One inode for each hard-link group, and one for every other entry."""
    wanted = Counter(len([r for r in rows if r.group == row.group]) if row.group else 1 for row in rows)
    seen = Counter(inodes.values())
    assert Counter(seen[inode] for inode in inodes.values()) == wanted
    for row in rows:
        if row.group:
            assert inodes[row.path] == inodes[truth.absolute(row.group)]


def test_find_shows_every_entry_as_the_real_client_did(root_launcher: Launches, rows: list[Row]) -> None:
    shown = by_path(records(root_launcher.ok("find", TOP, "-printf", FIND_FIELDS, env=RECORDED), 10))
    links = truth.plain_symlinks()
    wanted = {
        row.path: (
            row.kind.encode(), b"%o" % row.permissions, b"%d" % row.uid, b"%d" % row.gid, b"%d" % row.size,
            row.find_time.encode(), b"%d" % row.nlink, links.get(row.path, b""),
        )
        for row in rows
    }  # fmt: skip
    assert {path: (*fields[:7], fields[8]) for path, fields in shown.items()} == wanted
    inodes_follow_the_link_groups({path: fields[7] for path, fields in shown.items()}, rows)


def test_stat_shows_every_entry_as_the_real_client_did(root_launcher: Launches, rows: list[Row]) -> None:
    script = f"find {TOP} -print0 | xargs -0 stat --printf '{STAT_FIELDS}'"
    shown = by_path(records(root_launcher.ok("sh", "-c", script, env=RECORDED), 10))
    wanted = {
        row.path: (
            b"%x" % row.mode, b"%d" % row.uid, b"%d" % row.gid, b"%d" % row.size, row.stat_time.encode(),
            b"%d" % row.nlink, b"%x" % os.major(row.rdev), b"%x" % os.minor(row.rdev),
        )
        for row in rows
    }  # fmt: skip
    assert {path: fields[:8] for path, fields in shown.items()} == wanted
    inodes_follow_the_link_groups({path: fields[8] for path, fields in shown.items()}, rows)


def digests(done: Done) -> dict[bytes, str]:
    """What `sha256sum -z` printed."""
    lines = [line for line in done.stdout.split(b"\0") if line]
    return {line[66:]: line[:64].decode() for line in lines}


def denied(done: Done, tool: bytes) -> set[bytes]:
    """Paths of which `tool` says nothing but `Permission denied`."""
    lines = done.stderr.splitlines()
    begin, end = tool + b": ", b": Permission denied"
    assert all(line.startswith(begin) and line.endswith(end) for line in lines), lines
    return {line[len(begin) : -len(end)].removeprefix(b"cannot open ").strip(b"'\xe2\x80\x98\x99") for line in lines}


def test_sha256sum_reads_every_file_as_root(root_launcher: Launches, rows: list[Row]) -> None:
    script = f"find {TOP} -type f -print0 | xargs -0 sha256sum -z"
    done = root_launcher.run("sh", "-c", script, text=False)
    quiet(done)
    assert digests(done) == {row.path: row.sha256 for row in rows if row.sha256}


@pytest.mark.parametrize(
    ("environment", "closed"),
    [(RECORDED, CLOSED_AS_RECORDED), ({}, CLOSED_AS_CLAIMED)],
    ids=["owners as recorded", "owners claimed"],
)
def test_an_ordinary_user_reads_what_mode_bits_allow_and_nothing_else(
    launcher: Launches, rows: list[Row], environment: dict[str, str], closed: set[bytes]
) -> None:
    """Files are named to sha256sum by the test, so that it is open that refuses and not a search by find."""
    names = b"\0".join(row.path for row in rows if row.sha256)
    done = launcher.run("xargs", "-0", "sha256sum", "-z", "--", env=environment, input=names, text=False)
    assert denied(done, b"sha256sum") == closed
    assert digests(done) == {row.path: row.sha256 for row in rows if row.sha256 and row.path not in closed}


def test_find_as_an_ordinary_user_is_denied_only_the_closed_directory(launcher: Launches, rows: list[Row]) -> None:
    done = launcher.run("find", TOP, "-print0", env=RECORDED, text=False)
    assert denied(done, b"find") == {ROOT + b"/perm/dir0700"}
    assert set(done.stdout.split(b"\0")[:-1]) == {row.path for row in rows} - {ROOT + b"/perm/dir0700/in"}


def test_claimed_owners_are_the_users_own_everywhere(launcher: Launches, rows: list[Row]) -> None:
    """As packaged, CVMFS_CLAIM_OWNERSHIP is yes."""
    owners = launcher.ok("find", TOP, "-printf", r"%U %G\n")
    user, group = (launcher.native("id", which).stdout.strip() for which in ("-u", "-g"))
    assert Counter(owners.decode().splitlines()) == {f"{user} {group}": len(rows)}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [(VARIABLES, lambda: truth.symlinks("symlinks_env.tsv")), ({}, truth.plain_symlinks)],
    ids=["with variables", "without variables"],
)
def test_readlink_gives_the_expanded_targets(launcher: Launches, environment: dict[str, str], wanted: object) -> None:
    targets = wanted()  # type: ignore[operator]
    shown = {}
    full = [path for path, target in targets.items() if target]
    answer = launcher.ok("readlink", "-z", "--", *full, env=environment)
    shown = dict(zip(full, answer.split(b"\0")[:-1], strict=True))
    assert shown == {path: target for path, target in targets.items() if target}
    for path in set(targets) - set(full):  # readlink(1) fails on an empty target, so ask the call itself
        code = "import os, sys; print(repr(os.readlink(sys.argv[1])), os.lstat(sys.argv[1]).st_size)"
        assert launcher.ok(launcher.user.python, "-c", code, path, env=environment) == b"'' 0\n"


def test_the_raw_target_is_an_attribute_of_the_link(launcher: Launches) -> None:
    """As xfsroot.rawlink: the kernel lets no link have attributes of the user namespace (xattr(7))."""
    for name in (b"/links/var_two", b"/links/var_emptydef", b"/sw/abs"):
        shown = launcher.ok("getfattr", "-h", "--absolute-names", "--only-values", "-n", "xfsroot.rawlink", ROOT + name)
        assert shown == truth.symlinks("symlinks_raw.tsv")[ROOT + name]


def test_variables_are_those_of_the_launch_and_not_of_the_command(launcher: Launches) -> None:
    """The client expands in its own environment; a later `export` changes nothing."""
    shown = launcher.ok("env", "HEPVER=v9", "readlink", f"{TOP}/links/var_default", env={"HEPVER": "v2"})
    assert shown == b"v2\n"


def test_getfattr_shows_the_stored_attributes_and_no_others(root_launcher: Launches) -> None:
    command = ["getfattr", "-R", "-P", "-h", "--absolute-names", "-d", "-m", "-", "-e", "hex"]
    text = root_launcher.ok(*command, f"{TOP}/xattr", f"{TOP}/hard", f"{TOP}/links", f"{TOP}/sw")
    assert parse_getfattr(text) == truth.user_attributes()


def parse_getfattr(text: bytes) -> dict[bytes, dict[bytes, bytes]]:
    """Attributes by path, of `getfattr -e hex`."""
    found: dict[bytes, dict[bytes, bytes]] = {}
    path = b""
    for line in text.splitlines():
        if line.startswith(b"# file: "):
            path = line.removeprefix(b"# file: ")
        elif line:
            name, _, value = line.partition(b"=")
            found.setdefault(path, {})[name] = bytes.fromhex(value.removeprefix(b"0x").decode())
    return found


def test_os_walk_shows_every_entry_with_content_and_attributes(root_launcher: Launches, rows: list[Row]) -> None:
    command = walking.command(root_launcher.user.python, TOP)
    walk = walking.parse(root_launcher.ok(*command, env={**RECORDED, **VARIABLES}))
    links = truth.symlinks("symlinks_env.tsv")
    attributes = truth.user_attributes()
    assert set(walk.entries) == {row.path[len(ROOT) :] for row in rows}
    for row in rows:
        shown = walk.entries[row.path[len(ROOT) :]]
        for name in ("mode", "uid", "gid", "mtime_ns", "nlink", "rdev", "sha256"):
            assert shown[name] == getattr(row, name), (row, name)
        if row.kind == "l":
            assert bytes.fromhex(shown["target"]) == links[row.path]
            assert shown["size"] == len(links[row.path])
        else:
            assert (shown["size"], shown["target"]) == (row.size, None), row
        stored = {name.decode(): value.hex() for name, value in attributes.get(row.path, {}).items()}
        assert row.path == ROOT or shown["attributes"] == stored, row
    assert len({facts["device"] for facts in walk.entries.values()}) == 1, "one repository is one device"
    inodes_follow_the_link_groups({ROOT + p: b"%d" % facts["inode"] for p, facts in walk.entries.items()}, rows)


def test_an_entry_has_the_same_inode_from_every_side(launcher: Launches) -> None:
    """stat, fstat of the opened file and the name's d_ino agree; two files of equal content are two inodes."""
    code = (
        "import os, sys\n"
        "for name in ('dup1.bin', 'dup2.bin'):\n"
        "    path = sys.argv[1] + '/' + name\n"
        "    opened = os.fstat(os.open(path, os.O_RDONLY))\n"
        "    listed = [e.inode() for e in os.scandir(sys.argv[1]) if e.name == name]\n"
        "    print(opened.st_ino == os.stat(path).st_ino == listed[0], opened.st_ino)\n"
    )
    lines = launcher.ok(launcher.user.python, "-c", code, f"{TOP}/data").decode().split()
    assert lines[::2] == ["True", "True"]
    assert lines[1] != lines[3]


def test_the_repository_stands_in_the_list_of_cvmfs(launcher: Launches) -> None:
    assert launcher.ok("ls", "/cvmfs") == b"test.hep.example\n"
    assert launcher.ok("stat", "-c", "%F", "/cvmfs", TOP) == b"directory\ndirectory\n"


def test_what_no_table_has_is_enoent(launcher: Launches) -> None:
    for path in ("/nope", "/sw/v1/nope", "/data/many/nope", "/odd/latin1_\u00e9"):
        done = launcher.run("cat", TOP + path, text=False)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.endswith(b": No such file or directory\n"), done.stderr


def test_what_was_read_once_is_not_asked_for_again(launcher: Launches, test_repository: ServedRepository) -> None:
    begin = len(test_repository.requests)
    files = [f"{TOP}/{name}" for name in ("data/chunked.root", "README", "raw/noise.bin", "hard/a", "sw/v1/setup.sh")]
    launcher.ok("cat", *files, f"{TOP}/hard/b", *reversed(files))
    asked = Counter(name for name in test_repository.requests[begin:] if name.startswith("data/"))
    assert len(asked) > len(files)
    assert set(asked.values()) == {1}, asked.most_common(3)


def test_content_is_whole_at_every_offset(launcher: Launches) -> None:
    """A chunked file read backwards in pieces that cross its chunks."""
    code = (
        "import hashlib, os, sys\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "size = os.fstat(fd).st_size\n"
        "pieces = [os.pread(fd, 70_001, at) for at in reversed(range(0, size, 70_001))]\n"
        "print(hashlib.sha256(b''.join(reversed(pieces))).hexdigest(), os.pread(fd, 1, size))\n"
    )
    for name in ("data/chunked.root", "raw/chunked_raw.bin"):
        row = next(row for row in truth.listing() if row.path == ROOT + b"/" + name.encode())
        shown = launcher.ok(launcher.user.python, "-c", code, f"{TOP}/{name}").decode()
        assert shown == f"{row.sha256} b''\n"
