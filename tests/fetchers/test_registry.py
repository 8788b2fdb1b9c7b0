"""Which fetcher is opened for which address, and what third parties may add."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from hepwrap.errors import ConfigurationError
from hepwrap.fetchers import registry
from hepwrap.fetchers.blame import Fault
from hepwrap.fetchers.chain import ChainFetcher
from hepwrap.fetchers.directory import DirectoryFetcher
from hepwrap.fetchers.http import HttpFetcher
from hepwrap.fetchers.registry import open_fetcher
from hepwrap.fetchers.walk import ServersFetcher
from hepwrap.settings import FetchSettings
from tests.contracts.fetcher_contract import GOOD, LIMIT, NAME, put

FQRN = "test.hep.example"


class Memory(ServersFetcher):
    """A stranger's fetcher, as docs/adding-a-fetcher.md shows one."""

    def get(self, server: str, name: str, *, limit: int, fresh: bool) -> bytes:
        if name != NAME:
            raise Fault.missing()
        return GOOD[:limit]


@pytest.fixture
def _stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("mem", f"{__name__}:Memory", registry.GROUP),
        EntryPoint("broken", "no_such_module_at_all:Fetcher", registry.GROUP),
    ]
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Memory.__module__])
    monkeypatch.setattr(registry, "_third_parties", lambda: points)


def open_(*servers: str, **changes: object) -> object:
    return open_fetcher(FetchSettings(servers=servers, proxy="DIRECT", **changes), fqrn=FQRN)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("servers", "kind"),
    [
        (["/a/b"], DirectoryFetcher),
        (["a/b"], DirectoryFetcher),
        (["file:///a"], DirectoryFetcher),
        (["FILE:///a", "/b"], DirectoryFetcher),
        (["http://a/"], HttpFetcher),
        (["HTTP://a/", "https://b/"], HttpFetcher),
        (["/a", "http://a/"], ChainFetcher),
    ],
)
def test_the_scheme_chooses_the_class(servers: list[str], kind: type) -> None:
    assert type(open_(*servers)) is kind


def test_an_unknown_scheme_is_one_sentence_that_names_it_and_what_is_installed() -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_("gopher://me:secret@a/b")
    text = str(caught.value)
    assert "gopher://" in text
    assert "file, http, https" in text
    assert "secret" not in text
    assert "\n" not in text


@pytest.mark.usefixtures("_stranger")
def test_a_strangers_scheme_is_used() -> None:
    fetcher = open_("mem://x")
    assert type(fetcher) is Memory
    assert fetcher.fetch(NAME, limit=LIMIT) == GOOD


@pytest.mark.usefixtures("_stranger")
def test_a_strangers_scheme_mixes_with_ours(tmp_path: Path) -> None:
    fetcher = open_(str(tmp_path), "mem://x")
    assert isinstance(fetcher, ChainFetcher)
    assert fetcher.fetch(NAME, limit=LIMIT) == GOOD


@pytest.mark.usefixtures("_stranger")
def test_a_stranger_that_cannot_be_imported_is_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match=r"fetcher for broken://.*ModuleNotFoundError"):
        open_("broken://x")


def test_our_own_are_declared_as_entry_points_too() -> None:
    from importlib.metadata import entry_points

    points = {point.name: point.load() for point in entry_points(group=registry.GROUP)}
    assert {name: points[name] for name in ("file", "http", "https")} == {
        "file": DirectoryFetcher,
        "http": HttpFetcher,
        "https": HttpFetcher,
    }


def test_no_server_at_all_is_an_error_that_says_how_to_name_one() -> None:
    with pytest.raises(ConfigurationError, match=f"--repo {FQRN}=URL"):
        open_()


def test_offline_leaves_only_directories(tmp_path: Path) -> None:
    fetcher = open_("http://127.0.0.1:9", str(put(tmp_path, GOOD)), offline=True)
    assert type(fetcher) is DirectoryFetcher
    assert fetcher.fetch(NAME, limit=LIMIT) == GOOD


def test_offline_with_nothing_but_servers_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="--offline"):
        open_("http://127.0.0.1:9", "mem://x", offline=True)


def test_a_file_address_of_another_host_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="file:///"):
        open_("file://elsewhere/a")


def test_escapes_in_a_file_address_are_undone(tmp_path: Path) -> None:
    directory = put(tmp_path / "with space%41", GOOD)
    assert open_(directory.as_uri()).fetch(NAME, limit=LIMIT) == GOOD  # type: ignore[attr-defined]


def test_opening_a_fetcher_does_not_import_requests() -> None:
    """It takes longer than everything else at start-up; and a directory never needs it."""
    program = (
        "import sys; from hepwrap.settings import FetchSettings; from hepwrap.fetchers.registry import open_fetcher;"
        "open_fetcher(FetchSettings(servers=('/a', 'http://a'), proxy='DIRECT'), fqrn='x');"
        "sys.exit(any(name in sys.modules for name in ('requests', 'urllib3', 'cryptography', 'psutil')))"
    )
    assert subprocess.run([sys.executable, "-I", "-c", program], check=False).returncode == 0
