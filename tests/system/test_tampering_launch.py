"""A launch from a repository that somebody tampered with: nothing is executed, and one sentence names check and object.

What is found out only later is EIO on its file, and the rest works.  125 is ours, 126 not executable, 127 not found.
"""

from __future__ import annotations

import json
import re
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hepwrap.job import keep_house
from hepwrap.joblog import Complaints, JobLog
from tests.helpers.faulty_repository import ENGINES, NAME, TOP, engine_options
from tests.helpers.launches import Launches, one_sentence
from tests.helpers.object_names import catalog_of, object_of, objects_of
from tests.helpers.repositories import ServedRepository, serve
from tests.helpers.unprivileged import Unprivileged
from tests.helpers.workshop import NOW, Workshop, object_name, other_key, public_pem

README = f"{TOP}/README"
CONTENT = "synthetic test repository\n"
Edit = Callable[[Workshop], object]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@contextmanager
def launching(workshop: Workshop, user: Unprivileged, *options: str, key: Path | None = None) -> Iterator[Launches]:
    """Served over HTTP as it stands, to the ordinary user; each launch asks, whatever was said to the one before."""
    key = user.give(key or workshop.public_key)
    for served in serve(NAME, workshop.root, key):
        launches = Launches.of(user, [*flags(served, key), *options])
        (launches.home / "hepwrap.toml").write_text("max_ttl = 0\n")
        yield launches


def flags(served: ServedRepository, key: Path) -> list[str]:
    return ["--repo", f"{NAME}={served.url}", "--key", str(key), "--proxy", "DIRECT"]


def flip(name: str, position: int) -> Edit:
    def edit(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[position] ^= 0x10
        return bytes(changed)

    return lambda w: w.change(name, edit)


def replaced(name: str, old: bytes, new: bytes) -> Edit:
    return lambda w: w.change(name, lambda data: data.replace(old, new))


def manifest(**fields: str) -> Edit:
    """Rightly signed, with other fields."""

    def edit(w: Workshop) -> None:
        w.manifest.update(fields)
        w.sign_manifest()

    return edit


def of_object(letter: str, edit: Callable[[Workshop, str], object]) -> Edit:
    """An edit of the object that the manifest names in the field `letter`."""
    return lambda w: edit(w, object_name(w.manifest[letter], letter))


def foreign(name: str) -> Edit:
    """The same file of another repository."""
    return lambda w: w.write(name, (w.shared.parent / "shake128.hep.example/repo" / name).read_bytes())


#: What was done: the edit, the object and the check that the sentence must name.
TAMPERINGS: dict[str, tuple[Edit, str, str]] = {
    "signature of the manifest": (flip(".cvmfspublished", -10), "manifest", "signature was not made with"),
    "manifest signed by a stranger": (lambda w: w.sign_manifest(key=other_key()), "manifest", "signature was not made"),
    "text of the manifest": (replaced(".cvmfspublished", b"\nS2\n", b"\nS3\n"), "manifest", "does not have the hash"),
    "no signature": (
        lambda w: w.change(".cvmfspublished", lambda data: data.partition(b"--\n")[0]),
        "manifest",
        "no signature part",
    ),
    "manifest of another repository": (foreign(".cvmfspublished"), "manifest", "is the manifest of shake.hep.example"),
    "another name, rightly signed": (manifest(N="evil.hep.example"), "manifest", "manifest of evil.hep.example"),
    "another root path": (manifest(R="d41d8cd98f00b204e9800998ecf8427f"), "manifest", "field R"),
    "garbage as revision": (manifest(S="many"), "manifest", "no revision number"),
    "garbage as root hash": (manifest(C="../../../etc/passwd"), "manifest", "no content hash"),
    "garbage as size": (manifest(B="-7"), "manifest", "field B"),
    "garbage as time": (manifest(T="yesterday"), "manifest", "field T"),
    "garbage in all": (lambda w: w.write(".cvmfspublished", bytes(range(256)) * 8), "manifest", "signature part"),
    "empty manifest": (lambda w: w.write(".cvmfspublished", b""), "manifest", "signature part"),
    "oversized manifest": (lambda w: w.write(".cvmfspublished", b"C" * 2_000_000), ".cvmfspublished", "allowed"),
    "no manifest": (lambda w: w.remove(".cvmfspublished"), "manifest", "no server has it"),
    "signature of the whitelist": (flip(".cvmfswhitelist", -10), "whitelist", "none of the trusted master keys"),
    "fingerprint in the whitelist": (
        replaced(".cvmfswhitelist", b"\n4A:A1", b"\n4A:A2"),
        "whitelist",
        "does not have the hash",
    ),
    "whitelist signed by a stranger": (lambda w: w.sign_whitelist(key=other_key()), "whitelist", "none of the trusted"),
    "whitelist without the certificate": (
        lambda w: w.sign_whitelist(lines=["00:" * 19 + "00"]),
        "certificate",
        "fingerprint 4A:A1:.* is not in the whitelist",
    ),
    "whitelist of another repository": (foreign(".cvmfswhitelist"), "whitelist", "is the whitelist of"),
    "expired whitelist": (
        lambda w: w.sign_whitelist(expires="20200101000000"),
        "whitelist",
        "expired on 2020-01-01 00:00 UTC",
    ),
    "no whitelist": (lambda w: w.remove(".cvmfswhitelist"), "whitelist", "no server has it"),
    "whitelist by PKCS#7": (
        lambda w: w.sign_whitelist(lines=["Vpkcs7", "00:" * 19 + "00"]),
        "whitelist",
        "detached PKCS#7",
    ),
    "bytes of the certificate": (of_object("X", lambda w, name: flip(name, 40)(w)), "certificate", "is not what"),
    "no certificate": (of_object("X", lambda w, name: w.remove(name)), "certificate", "no server has it"),
    "bytes of the root catalogue": (
        of_object("C", lambda w, name: flip(name, 1000)(w)),
        "root catalogue 2cd14541",
        "have the digest",
    ),
    "half of the root catalogue": (
        of_object("C", lambda w, name: w.change(name, lambda data: data[:500])),
        "root catalogue 2cd14541",
        "have the digest",
    ),
    "no root catalogue": (of_object("C", lambda w, name: w.remove(name)), "root catalogue 2cd14541", "incomplete"),
    "size of the root catalogue": (manifest(B="69631"), "root catalogue", "unpacks to more than"),
    "a root catalogue that is text": (lambda w: w.set_root(b"hello" * 300), "root catalogue", "not a SQLite database"),
    "members only": (
        lambda w: w.edit_catalog("", lambda db: db.execute("INSERT INTO properties VALUES ('voms_authz', '/atlas')")),
        NAME,
        "members of a virtual organisation",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampered_repository_executes_nothing_and_says_why(
    name: str, workshop: Workshop, unprivileged: Unprivileged
) -> None:
    edit, what, check = TAMPERINGS[name]
    edit(workshop)
    with launching(workshop, unprivileged) as launches:
        done = launches.run("sh", "-c", "echo executed; echo executed >executed")
        sentence = one_sentence(done.stderr)
        assert (done.returncode, done.stdout) == (125, "")
        assert not (launches.home / "executed").exists()
    assert what in sentence
    assert NAME in sentence
    assert re.search(check, sentence), sentence


def test_a_repository_that_nobody_touched_is_launched(workshop: Workshop, unprivileged: Unprivileged) -> None:
    """Without it all of the above could be refused for one wrong reason."""
    workshop.sign_manifest()
    workshop.sign_whitelist()
    with launching(workshop, unprivileged) as launches:
        done = launches.run("cat", README)
        assert (done.returncode, done.stdout, done.stderr) == (0, CONTENT, "")


def test_a_key_that_did_not_sign_is_no_reason_to_believe(
    workshop: Workshop, unprivileged: Unprivileged, tmp_path: Path
) -> None:
    key = tmp_path / "other.pub"
    key.write_bytes(public_pem(other_key()))
    with launching(workshop, unprivileged, key=key) as launches:
        done = launches.run("echo", "executed")
        assert (done.returncode, done.stdout) == (125, "")
        assert "none of the trusted master keys" in one_sentence(done.stderr)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_repository_that_was_not_named_and_cannot_be_trusted_is_eio_when_touched(
    workshop: Workshop, unprivileged: Unprivileged, engine: str
) -> None:
    """From a configuration file, and opened on first use: the job has begun, its path fails, one sentence says why."""
    flip(".cvmfspublished", -10)(workshop)
    key = unprivileged.give(workshop.public_key)
    for served in serve(NAME, workshop.root, key):
        launches = Launches.of(unprivileged, engine_options(engine))
        (launches.home / "hepwrap.toml").write_text(
            f'[repositories."{NAME}"]\nurl = "{served.url}"\nkeys = ["{key}"]\nproxy = "DIRECT"\n'
        )
        done = launches.run("sh", "-c", f"echo begun; cat {README}; echo $?")
        assert done.stdout == "begun\n1\n", done.stderr
        assert f"cat: {README}: Input/output error\n" in done.stderr
        assert "signature was not made with" in done.stderr


# Later.


def test_a_root_catalogue_that_was_tampered_with_since_it_was_loaded_here_is_eio_and_a_new_one_starts_nothing(
    workshop: Workshop, unprivileged: Unprivileged
) -> None:
    """A revision that this machine has loaded with success is read when a path is first asked about."""
    root = object_name(workshop.manifest["C"], "C")
    with launching(workshop, unprivileged) as launches:
        assert launches.run("cat", README).stdout == CONTENT
        flip(root, 1000)(workshop)
        done = launches.run("sh", "-c", f"echo begun; cat {README}; echo $?")
        assert done.stdout == "begun\n1\n", done.stderr
        assert f"cat: {README}: Input/output error\n" in done.stderr
        ours = [line for line in done.stderr.splitlines() if line.startswith("hepwrap: ")]
        assert len(ours) == 1, ours
        assert "root catalogue 2cd14541" in ours[0]
        assert "have the digest" in ours[0]
        manifest(S="3", C=workshop.add_object(b"hello" * 300, "C"), B="1500")(workshop)
        done = launches.run("echo", "executed")
        assert (done.returncode, done.stdout) == (125, "")
        assert "not a SQLite database" in one_sentence(done.stderr)


@pytest.fixture(params=ENGINES)
def options(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return engine_options(request.param)


def test_a_tampered_object_is_eio_on_its_file_and_on_no_other(
    workshop: Workshop, unprivileged: Unprivileged, options: tuple[str, ...]
) -> None:
    name = object_of(workshop.root, "/README")
    workshop.change(name, lambda data: data[:-3] + b"bad")
    with launching(workshop, unprivileged, *options) as launches:
        done = launches.run("cat", README)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"cat: {README}: Input/output error\n" in done.stderr
        ours = [line for line in done.stderr.splitlines() if line.startswith("hepwrap: ")]
        assert len(ours) == 1, ours
        assert name.replace("/", "").removeprefix("data") in ours[0].replace("/", "")
        rest = launches.run("sh", "-c", f"stat -c %s {README}; cat {TOP}/sw/v1/bin/run.sh; {TOP}/sw/v1/bin/run.sh")
        assert rest.stdout == '26\n#!/bin/sh\necho "v1"\n\nv1\n' or rest.stdout.startswith("26\n#!/bin/sh\n")
        assert (rest.returncode, rest.stderr) == (0, "")


def test_a_tampered_program_is_not_executed(
    workshop: Workshop, unprivileged: Unprivileged, options: tuple[str, ...]
) -> None:
    """The script is replaced by another of our own, rightly compressed: its digest is wrong."""
    workshop.write(object_of(workshop.root, "/sw/v1/bin/run.sh"), zlib.compress(b"#!/bin/sh\necho evil >evil\n"))
    with launching(workshop, unprivileged, *options) as launches:
        done = launches.run(f"{TOP}/sw/v1/bin/run.sh")
        assert done.returncode == 126
        assert done.stdout == ""
        assert "Input/output error" in done.stderr
        assert not (launches.home / "evil").exists()


def test_a_tampered_chunk_is_eio_for_its_file(
    workshop: Workshop, unprivileged: Unprivileged, options: tuple[str, ...]
) -> None:
    flip(objects_of(workshop.root, "/data/chunked.root")[5], 100)(workshop)
    with launching(workshop, unprivileged, *options) as launches:
        done = launches.run("sh", "-c", f"cat {TOP}/data/chunked.root | wc -c; cat {TOP}/data/dup1.bin | wc -c")
        assert done.stdout.split() == ["0", "50000"]
        assert "Input/output error" in done.stderr


def test_a_tampered_nested_catalogue_is_eio_below_it_and_the_rest_works(
    workshop: Workshop, unprivileged: Unprivileged, options: tuple[str, ...]
) -> None:
    name = catalog_of(workshop.root, "/sw/v1/x")
    flip(name, 300)(workshop)
    with launching(workshop, unprivileged, *options) as launches:
        done = launches.run(
            "sh", "-c", f"cat {TOP}/sw/v1/bin/run.sh; echo $?; cat {TOP}/sw/v2/bin/run.sh {README}; exit 4"
        )
        assert done.stdout.splitlines()[0] == "1"
        assert done.stdout.endswith(CONTENT)
        assert done.returncode == 4
        assert f"cat: {TOP}/sw/v1/bin/run.sh: Input/output error" in done.stderr
        assert "No such file" not in done.stderr
        assert name.replace("/", "").removeprefix("data").removesuffix("C") in done.stderr


def test_an_object_that_unpacks_to_too_much_is_eio(workshop: Workshop, unprivileged: Unprivileged) -> None:
    """A bomb under a right digest: the catalogue's size is the limit."""
    digest = workshop.add_object(bytes(30_000_000))
    workshop.edit_catalog(
        "", lambda db: db.execute("UPDATE catalog SET hash = ? WHERE name = 'README'", (bytes.fromhex(digest),))
    )
    with launching(workshop, unprivileged) as launches:
        done = launches.run("cat", README)
        assert (done.returncode, done.stdout) == (1, "")
        assert digest in done.stderr.replace("/", "")


# Going back.


def test_an_older_manifest_replayed_is_refused_and_allowed_where_it_is_asked_for(
    workshop: Workshop, unprivileged: Unprivileged
) -> None:
    """The state is in the user's HOME; the command line is the same each time."""
    with launching(workshop, unprivileged) as launches:
        manifest(S="3")(workshop)
        assert launches.run("cat", README).stdout == CONTENT
        manifest(S="2")(workshop)
        done = launches.run("echo", "executed")
        assert (done.returncode, done.stdout) == (125, "")
        sentence = one_sentence(done.stderr)
        assert "goes back to revision 2, but 3 was seen before" in sentence
        assert "--tag or --root-hash" in sentence
        (record,) = (launches.home / ".local/state").rglob(f"{NAME}.json")
        assert str(record) in sentence
        for asked in (("--tag", "v2.0"), ("--root-hash", workshop.manifest["C"])):
            done = launches.having(*asked).run("cat", README)
            assert (done.returncode, done.stdout, done.stderr) == (0, CONTENT, "")
        assert launches.run("true").returncode == 125, "asking once does not make it the newest"
        revisions = [row["revision"] for row in json.loads(record.read_text())["seen"].values()]
        assert revisions == [3]
        manifest(S="4")(workshop)
        assert launches.run("cat", README).stdout == CONTENT


def test_an_older_revision_by_tag_shows_its_own_tree(workshop: Workshop, unprivileged: Unprivileged) -> None:
    with launching(workshop, unprivileged, "--tag", "v1.0", f"--stats={unprivileged.home}/x.json") as launches:
        done = launches.run("sh", "-c", f"test -d {TOP}/sw && echo there")
        assert (done.returncode, done.stdout) == (0, "there\n"), done.stderr
        assert json.loads((unprivileged.home / "x.json").read_text())["revisions"] == {NAME: 1}


def test_an_unknown_tag_starts_nothing(workshop: Workshop, unprivileged: Unprivileged) -> None:
    with launching(workshop, unprivileged, "--tag", "v9.9") as launches:
        done = launches.run("echo", "executed")
        assert (done.returncode, done.stdout) == (125, "")
        assert "v9.9" in one_sentence(done.stderr)


def test_a_pinned_root_that_was_garbage_collected_says_so(workshop: Workshop, unprivileged: Unprivileged) -> None:
    workshop.remove(object_name("1bdfd6e0042e7e2d4b7b449af6b0ee6d9d74943d", "C"))
    with launching(workshop, unprivileged, "--tag", "v1.0") as launches:
        done = launches.run("echo", "executed")
        assert (done.returncode, done.stdout) == (125, "")
        assert "garbage" in one_sentence(done.stderr)


# A whitelist that expires while a job runs: by a clock of ours, through what a launch does every few seconds.


class Files:
    """Loosely MemoryFiles."""

    def trim(self) -> None:
        pass


class Table:
    """Loosely MountTable, with one repository."""

    def __init__(self, repository: object) -> None:
        self._mount = type("Mount", (), {"repository": repository})

    def mounted(self) -> list[object]:
        return [self._mount]


def test_a_whitelist_that_expires_during_a_job_warns_once_and_the_job_runs_on(workshop: Workshop) -> None:
    said: list[str] = []
    complaints = Complaints(JobLog(None), said.append)
    now = [NOW]
    workshop.sign_whitelist(expires="20270116000000")
    repository = workshop.open(clock=lambda: now[0])
    repository._warn = complaints.warn  # as assemble hands it in
    table = Table(repository)
    keep_house(Files(), table)  # type: ignore[arg-type]
    assert said == []
    now[0] += 2 * 86400
    for _ in range(3):
        keep_house(Files(), table)  # type: ignore[arg-type]
    assert len(said) == 1
    assert said[0].startswith(f"hepwrap: the whitelist of {NAME} expired on 2027-01-16 00:00 UTC; this job goes on")
    assert (complaints.count, complaints.unsaid) == (0, 0)
    assert repository.lookup(b"/data/dup1.bin") is not None  # by a catalogue that was not loaded before
    assert len(said) == 1


# The other ways not to start.


@pytest.fixture
def good(workshop: Workshop, unprivileged: Unprivileged) -> Iterator[Launches]:
    with launching(workshop, unprivileged) as launches:
        yield launches


@pytest.mark.parametrize(
    ("command", "code", "word"),
    [
        ("no-such-command", 127, "No such file or directory"),
        ("/no/such/command", 127, "No such file or directory"),
        (f"{TOP}/no/such", 127, "No such file or directory"),
        (f"{TOP}/links/no-such", 127, "No such file or directory"),
        (README, 126, "Permission denied"),
        (f"{TOP}/data", 126, "Permission denied"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/tmp", 126, "Permission denied"),
        (f"{README}/below", 126, "Not a directory"),
    ],
)
def test_a_command_that_cannot_start_is_126_or_127_as_env_says(
    good: Launches, command: str, code: int, word: str
) -> None:
    done = good.run(command)
    assert (done.returncode, done.stdout) == (code, "")
    assert one_sentence(done.stderr) == f"{command}: {word}"


def test_a_command_is_found_by_a_path_that_leads_into_a_repository(good: Launches) -> None:
    done = good.run("run.sh", env={"PATH": f"/no/such:{TOP}/data:{TOP}/sw/v1/bin:/usr/bin:/bin"})
    assert (done.returncode, done.stdout) == (0, "v1\n"), done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to run"),
        (["--"], "nothing to run"),
        (["--no-such-option", "--", "true"], "--no-such-option"),
        (["--repo", "x", "--", "true"], "no name of a repository"),
        (["--repo", "nowhere.hep.example", "--", "true"], "nowhere.hep.example"),
        (["--repo", "a.hep.example=http://127.0.0.1:1/", "--", "true"], "--key"),
        (["--repo", "a.hep.example=http://127.0.0.1:1/", "--key", "/no/such", "--", "true"], "/no/such"),
        (["--cache-size", "huge", "--", "true"], "huge"),
        (["--tag"], "--tag"),
        (["echo", "executed"], "--"),
        (["--", ""], "empty"),
    ],
)
def test_a_usage_error_is_one_line_and_125(good: Launches, words: list[str], said: str) -> None:
    done = subprocess.run(
        [*good.before, *good.hepwrap, *words],
        env=good.environment,
        cwd=good.home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (125, "")
    assert said in one_sentence(done.stderr)


@pytest.mark.parametrize(
    ("text", "place"),
    [("[unclosed\n", "hepwrap.toml:1"), ('\n\ncache_size = "many"\n', "hepwrap.toml:3"), ("x = \n", "hepwrap.toml:1")],
)
def test_a_mistake_in_a_configuration_file_is_one_line_with_its_place(good: Launches, text: str, place: str) -> None:
    (good.home / "hepwrap.toml").write_text(text)
    done = good.run("echo", "executed")
    assert (done.returncode, done.stdout) == (125, "")
    assert place in one_sentence(done.stderr)


def test_a_key_that_is_no_key_is_named(good: Launches) -> None:
    (good.home / "key.pub").write_text("hello\n")
    done = good.having("--key", f"{good.home}/key.pub").run("echo", "executed")
    assert (done.returncode, done.stdout) == (125, "")
    assert "key.pub" in one_sentence(done.stderr)


def test_a_dead_server_starts_nothing(unprivileged: Unprivileged, workshop: Workshop) -> None:
    key = unprivileged.give(workshop.public_key)
    options = ["--repo", f"{NAME}=http://127.0.0.1:9/cvmfs/{NAME}", "--key", str(key), "--proxy", "DIRECT"]
    quick = {"CVMFS_MAX_RETRIES": "0"}
    done = Launches.of(unprivileged, options).run("echo", "executed", env=quick)
    assert (done.returncode, done.stdout) == (125, "")
    assert "127.0.0.1:9" in one_sentence(done.stderr)
