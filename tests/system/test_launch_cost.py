"""What a launch loads, opens and fetches before the command may start: counted, since a clock proves nothing.

An audit hook (PEP 578) that a sitecustomize of ours installs writes down each import and each opened file, in the
launcher and, since it is forked, in the helper.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.launches import Launches
from tests.helpers.needs import on_a_host_without_prefix
from tests.helpers.repositories import ServedRepository
from tests.helpers.unprivileged import Unprivileged

pytestmark = on_a_host_without_prefix

HOOK = """
import os, sys
place = os.environ["HEPWRAP_TEST_AUDIT"]
busy = False
def hook(event, arguments):
    global busy
    if event in ("import", "open") and not busy:
        busy = True
        try:
            log = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            os.write(log, f"{event} {arguments[0]}\\n".encode("utf-8", "backslashreplace"))
            os.close(log)
        finally:
            busy = False
sys.addaudithook(hook)
"""

#: What takes long to load, and the launch of a verified repository has no use for.
HEAVY = {
    "argparse", "asyncio", "concurrent.futures", "copy", "cryptography", "ctypes", "dataclasses", "difflib", "email",
    "http.client", "importlib.metadata", "inspect", "logging", "psutil", "requests", "shutil", "ssl", "subprocess",
    "tempfile", "tomllib", "urllib3", "uuid", "hepwrap.config.shell", "hepwrap.config.toml_file",
    "hepwrap.fetchers.wire", "hepwrap.perf", "hepwrap.vfs.publish",
}  # fmt: skip
#: What comes with the first question.
ANSWERS = {
    "hepwrap.cache.memory", "hepwrap.interpose.answers", "hepwrap.interpose.executing", "hepwrap.interpose.world",
    "hepwrap.vfs.catalog", "hepwrap.vfs.index.book", "hepwrap.vfs.resolve", "hashlib", "sqlite3",
}  # fmt: skip
#: Modules of ours, all modules, and other files that are opened, or looked for.  Measured: 82, 148 (Python 3.11), 36.
MOST_OURS, MOST_MODULES, MOST_OPENED = 83, 164, 38
#: More of them where servers could be asked, and are not.
HTTP_MODULES = 6


class Cost:
    """What one launch has done."""

    def __init__(self, log: Path) -> None:
        lines = [line.partition(" ") for line in log.read_text().splitlines()]
        self.modules = [name for event, _, name in lines if event == "import"]
        opened = (Path(name) for event, _, name in lines if event == "open")
        self.opened = [path for path in opened if path.suffix not in (".py", ".pyc")]

    def loaded(self, names: set[str]) -> set[str]:
        """Which of `names` were asked for, or anything below them."""
        return {name for name in names if any(f"{found}.".startswith(f"{name}.") for found in self.modules)}


@pytest.fixture
def cost(unprivileged: Unprivileged, test_repository: ServedRepository) -> Callable[..., Cost]:
    """Of launching a command with a repository that lies in a directory, as `costs` counts it."""
    return costs(unprivileged, test_repository, over_http=False)


def costs(
    unprivileged: Unprivileged, test_repository: ServedRepository, *options: str, over_http: bool
) -> Callable[..., Cost]:
    """Of launching a command, the repository having been verified here before, and byte code being there.

    `options` are flags, or variables of the environment.
    """
    key = unprivileged.give(test_repository.key)
    address = test_repository.url if over_http else f"file://{test_repository.directory}"
    flags = ["--repo", f"{test_repository.name}={address}", "--key", str(key), "--proxy", "DIRECT"]
    launches = Launches.of(unprivileged, [*flags, *(option for option in options if option.startswith("-"))])
    variables = dict(option.split("=", 1) for option in options if not option.startswith("-"))
    place = unprivileged.home / "audit"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(HOOK)
    (place / "sitecustomize.py").chmod(0o644)
    place.chmod(0o755)

    def measured(*command: str) -> Cost:
        launches.ok(*command)
        test_repository.requests.clear()
        log = launches.home / "audit.log"
        launches.ok(*command, env={"PYTHONPATH": str(place), "HEPWRAP_TEST_AUDIT": str(log), **variables})
        return Cost(log)

    return measured


def test_a_launch_loads_nothing_heavy(cost: Callable[..., Cost]) -> None:
    found = cost("/bin/true")
    shown = {"hepwrap.cli.front", "hepwrap.vfs.repository"}
    assert found.loaded(shown) == shown
    assert found.loaded(HEAVY | ANSWERS) == set()


def test_a_launch_loads_and_opens_no_more_than_it_did(cost: Callable[..., Cost]) -> None:
    found = cost("/bin/true")
    ours = {name for name in found.modules if name.split(".")[0] == "hepwrap"}
    assert len(ours) <= MOST_OURS
    assert len(set(found.modules)) <= MOST_MODULES
    assert len(found.opened) <= MOST_OPENED
    python = [
        name for name in found.modules if name.startswith("hepwrap.") and "._" not in name
    ]  # C tells of itself twice
    twice = {name for name in python if python.count(name) > 1}
    assert twice == set(), "imported in both processes, and so after the fork: import it before"


def test_a_launch_over_http_soon_after_another_asks_nobody_and_does_not_load_what_could(
    unprivileged: Unprivileged, test_repository: ServedRepository
) -> None:
    found = costs(unprivileged, test_repository, over_http=True)("/bin/true")
    assert test_repository.requests == []
    assert found.loaded(HEAVY | ANSWERS) == set()
    assert len(set(found.modules)) <= MOST_MODULES + HTTP_MODULES


def test_a_launch_over_http_that_asks_loads_requests_and_fetches_the_signed_files_each_once(
    unprivileged: Unprivileged, test_repository: ServedRepository
) -> None:
    found = costs(unprivileged, test_repository, "HEPWRAP_MAX_TTL=0", over_http=True)("/bin/true")
    assert found.loaded({"requests", "cryptography", "hepwrap.interpose.world"}) == {"requests"}
    names = sorted(name.rpartition("/")[2] for name in test_repository.requests)
    assert [name for name in names if name.startswith(".")] == [".cvmfspublished", ".cvmfswhitelist"]
    assert sorted(name[-1] for name in names if not name.startswith(".")) == ["X"]


def test_an_account_of_a_launch_that_asked_nothing_loads_no_answers(
    unprivileged: Unprivileged, test_repository: ServedRepository
) -> None:
    account = unprivileged.home / "account.json"
    found = costs(unprivileged, test_repository, f"--stats={account}", over_http=False)("/bin/true")
    assert found.loaded(HEAVY | ANSWERS) == set()
    told = json.loads(account.read_text())
    assert (told["fetch"]["requests"], told["questions"], told["cache"]["made"]) == (3, {}, 0)


def test_answers_come_with_the_first_question(cost: Callable[..., Cost], test_repository: ServedRepository) -> None:
    found = cost("cat", f"/cvmfs/{test_repository.name}/README")
    assert found.loaded(ANSWERS) == ANSWERS
    assert found.loaded(HEAVY) == set()
