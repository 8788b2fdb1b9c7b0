"""What was seen is remembered, and nobody takes a repository back behind it, unless the user asks to."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hepwrap.errors import UntrustedManifest
from hepwrap.vfs.state import Seen, StateDirectory
from tests.helpers.workshop import Workshop, other_key, public_pem, sign_raw

NAME = "test.hep.example"
KEY = "k1"


def seen(revision: int) -> Seen:
    return Seen(revision, f"{revision:040x}", 1_700_000_000 + revision)


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path / "state" / "deep")


@pytest.fixture
def warnings() -> list[str]:
    return []


# Opening repositories.


def test_the_revision_that_was_opened_is_remembered(tmp_path: Path, state: StateDirectory) -> None:
    workshop = Workshop(tmp_path)
    workshop.open(state=state)
    (record,) = json.loads(state.file_of(NAME).read_text())["seen"].values()
    assert record == {"revision": 2, "root_hash": workshop.manifest["C"], "timestamp": 1795228647}
    assert workshop.warnings == []


def back_to_2_from_3(place: Path, state: StateDirectory) -> Workshop:
    """A repository of revision 2, of which revision 3 was seen."""
    workshop = Workshop(place)
    for revision in ("3", "2"):
        workshop.manifest["S"] = revision
        workshop.sign_manifest()
        if revision == "3":
            workshop.open(state=state)
    return workshop


def test_an_older_manifest_is_refused(tmp_path: Path, state: StateDirectory) -> None:
    workshop = back_to_2_from_3(tmp_path, state)
    sentence = "manifest of test.hep.example: it goes back to revision 2, but 3 was seen before; .*--tag or --root-hash"
    with pytest.raises(UntrustedManifest, match=sentence) as caught:
        workshop.open(state=state)
    assert str(state.file_of(NAME)) in str(caught.value)


@pytest.mark.parametrize("asked", [{"tag": "v2.0"}, {"root_hash": "2cd145415d97cba6f605ae35dd46ac927bf6a4fc"}])
def test_going_back_is_allowed_where_the_user_asks(
    asked: dict[str, str], tmp_path: Path, state: StateDirectory
) -> None:
    workshop = back_to_2_from_3(tmp_path, state)
    assert workshop.open(state=state, **asked).revision == 2


def test_a_pinned_revision_does_not_become_the_highest_seen(tmp_path: Path, state: StateDirectory) -> None:
    Workshop(tmp_path).open(state=state, tag="v1.0")
    assert not state.file_of(NAME).exists()


def test_the_same_revision_with_another_root_is_refused(tmp_path: Path, state: StateDirectory) -> None:
    workshop = Workshop(tmp_path)
    workshop.open(state=state)
    workshop.edit_catalog("", lambda db: db.execute("DELETE FROM statistics"))
    with pytest.raises(UntrustedManifest, match=r"revision 2 was seen before with another root catalogue .*remove"):
        workshop.open(state=state)


def test_a_new_revision_replaces_the_old_one(tmp_path: Path, state: StateDirectory) -> None:
    workshop = Workshop(tmp_path)
    workshop.open(state=state)
    workshop.manifest["S"] = "3"
    workshop.sign_manifest()
    assert workshop.open(state=state).revision == 3
    assert '"revision": 3' in state.file_of(NAME).read_text()


def test_a_repository_that_cannot_be_served_is_not_remembered(tmp_path: Path, state: StateDirectory) -> None:
    """Else one broken server would make every good one look like going back."""
    workshop = Workshop(tmp_path)
    workshop.manifest["S"] = "9"
    workshop.set_root(b"hello" * 300)
    with pytest.raises(UntrustedManifest, match="cannot be served"):
        workshop.open(state=state)
    assert not state.file_of(NAME).exists()


def test_the_same_name_under_another_master_key_inherits_nothing(tmp_path: Path, state: StateDirectory) -> None:
    workshop = Workshop(tmp_path)
    workshop.manifest["S"] = "7"
    workshop.sign_manifest()
    workshop.open(state=state)
    mine = tmp_path / "mine.pub"
    mine.write_bytes(public_pem(other_key()))
    workshop.manifest["S"] = "1"
    workshop.sign_manifest()
    workshop.sign_whitelist(key=other_key())
    assert workshop.open(state=state, public_keys=(mine,)).revision == 1
    # With both keys trusted the memory of both holds.
    with pytest.raises(UntrustedManifest, match="it goes back to revision 1, but 7 was seen"):
        workshop.open(state=state, public_keys=(mine, workshop.public_key))


def test_a_server_that_lags_behind_is_passed_over_for_the_next(tmp_path: Path, state: StateDirectory) -> None:
    from hepwrap.fetchers.directory import DirectoryFetcher
    from hepwrap.settings import FetchSettings

    old, new = Workshop(tmp_path / "old"), Workshop(tmp_path / "new")
    new.manifest["S"] = "5"
    new.sign_manifest()
    new.open(state=state)
    both = FetchSettings(servers=(str(old.root), str(new.root)))
    assert old.open(state=state, fetcher=DirectoryFetcher(both, fqrn=NAME)).revision == 5


# The files.


def test_only_records_of_the_given_keys_count(state: StateDirectory, warnings: list[str]) -> None:
    state.remember(NAME, "k1", seen(5), warnings.append)
    state.remember(NAME, "k2", seen(9), warnings.append)
    assert state.recall(NAME, ["k1"], warnings.append) == seen(5)
    assert state.recall(NAME, ["k1", "k2"], warnings.append) == seen(9)
    assert state.recall(NAME, ["k3"], warnings.append) is None
    assert state.recall("other.cern.ch", ["k1"], warnings.append) is None


def test_a_lower_revision_never_replaces_a_higher_one(state: StateDirectory, warnings: list[str]) -> None:
    state.remember(NAME, KEY, seen(5), warnings.append)
    state.remember(NAME, KEY, seen(4), warnings.append)
    assert state.recall(NAME, [KEY], warnings.append) == seen(5)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000]
    + [b'{"version": 2, "seen": {}}', b'{"version": 1, "seen": []}']
    + [b'{"version": 1, "seen": {"k1": %s}}' % record for record in (
        b"[]", b"{}", b'{"revision": "5", "root_hash": "x", "timestamp": 1}',
        b'{"revision": -5, "root_hash": "2cd145415d97cba6f605ae35dd46ac927bf6a4fc", "timestamp": 1}',
        b'{"revision": 5, "root_hash": "../x", "timestamp": 1}',
    )],
)  # fmt: skip
def test_a_damaged_file_is_one_warning_and_then_written_anew(
    content: bytes, state: StateDirectory, warnings: list[str]
) -> None:
    state.path.mkdir(parents=True)
    state.file_of(NAME).write_bytes(content)
    assert state.recall(NAME, [KEY], warnings.append) is None
    state.remember(NAME, KEY, seen(5), warnings.append)
    assert state.recall(NAME, [KEY], warnings.append) == seen(5)
    assert len(warnings) == 1
    assert str(state.file_of(NAME)) in warnings[0]
    assert "(damaged)" in warnings[0]


def test_a_directory_that_cannot_be_made_is_one_warning_and_the_job_runs_on(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    workshop = Workshop(tmp_path / "w")
    state = StateDirectory(file / "state")
    assert workshop.open(state=state).revision == 2
    assert workshop.open(state=state).revision == 2
    (warning,) = workshop.warnings
    assert "the revision seen of test.hep.example cannot be remembered (Not a directory)" in warning


def test_nothing_but_the_record_and_its_lock_remains(state: StateDirectory, warnings: list[str]) -> None:
    for revision in range(5):
        state.remember(NAME, KEY, seen(revision), warnings.append)
    assert sorted(os.listdir(state.path)) == [f".{NAME}.lock", f"{NAME}.json"]


def test_a_lock_that_is_never_given_back_does_not_hang_the_job(tmp_path: Path, warnings: list[str]) -> None:
    pauses: list[float] = []
    state = StateDirectory(tmp_path, sleep=pauses.append)
    with (tmp_path / f".{NAME}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        state.remember(NAME, KEY, seen(3), warnings.append)
    assert len(pauses) == 40
    assert state.recall(NAME, [KEY], warnings.append) == seen(3)


def test_many_jobs_at_once_leave_the_highest_revision(tmp_path: Path, warnings: list[str]) -> None:
    code = (
        "import sys; from pathlib import Path; from hepwrap.vfs.state import Seen, StateDirectory\n"
        "state = StateDirectory(Path(sys.argv[1]))\n"
        "for revision in range(int(sys.argv[2]), 41, 4):\n"
        "    state.remember('x.cern.ch', 'k', Seen(revision, f'{revision:040x}', 0), print)\n"
    )
    jobs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(start)]) for start in range(1, 5)]
    assert [job.wait() for job in jobs] == [0, 0, 0, 0]
    found = StateDirectory(tmp_path).recall("x.cern.ch", ["k"], warnings.append)
    assert found is not None
    assert found.revision == 40


def test_threads_of_one_job_do_not_disturb_each_other(state: StateDirectory, warnings: list[str]) -> None:
    names = [f"r{number}.cern.ch" for number in range(8)]
    threads = [threading.Thread(target=state.remember, args=(n, KEY, seen(3), warnings.append)) for n in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [state.recall(name, [KEY], warnings.append) for name in names] == [seen(3)] * 8
    assert warnings == []


def test_the_signing_helper_of_these_tests_makes_raw_blocks() -> None:
    """RSA with the public exponent gives the padded text back; else all whitelist tests would prove nothing."""
    key = other_key()
    numbers = key.public_key().public_numbers()
    block = pow(int.from_bytes(sign_raw(key, b"text"), "big"), numbers.e, numbers.n).to_bytes(256, "big")
    assert block.startswith(b"\0\1\xff")
    assert block.endswith(b"\xff\0text")
