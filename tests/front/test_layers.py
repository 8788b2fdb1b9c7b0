"""Who wins over whom, what is said of whom, and what nobody had to say."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from hepwrap.config import NamedRepository, Overrides, parse_repository
from hepwrap.config.origin import BUILT_IN, Origin
from hepwrap.errors import ConfigurationError, UsageError
from hepwrap.settings import RepositorySettings
from tests.helpers.front import PEM, FakeMachine
from tests.helpers.shared import shared_path

ATLAS = "atlas.cern.ch"
#: Strongest first.
LAYERS = ("flag", "environment", "here", "user", "etc-a", "etc-b", "client", "client environment")


def say(machine: FakeMachine, layers: tuple[str, ...]) -> tuple[Overrides, dict[str, str]]:
    """Every layer of `layers` says a proxy of its own name."""
    flags: dict[str, tuple[str, ...]] = {}
    environ: dict[str, str] = {}
    for layer in layers:
        url = f"http://{layer.replace(' ', '-')}"
        if layer == "flag":
            flags["proxy"] = (url,)
        elif layer == "environment":
            environ["HEPWRAP_PROXY"] = url
        elif layer == "here":
            machine.here(f'proxy = "{url}"')
        elif layer == "user":
            machine.users(f'proxy = "{url}"')
        elif layer == "client":
            machine.write("/etc/cvmfs/default.local", f"CVMFS_HTTP_PROXY={url}")
        elif layer == "client environment":
            environ["CVMFS_HTTP_PROXY"] = url
        else:
            machine.write(f"/etc/hepwrap/{layer}.toml", f'proxy = "{url}"')
    return Overrides(values=flags), environ


@pytest.mark.parametrize("layers", list(combinations(LAYERS, 2)))
def test_of_two_layers_the_stronger_one_wins(machine: FakeMachine, layers: tuple[str, ...]) -> None:
    overrides, environ = say(machine, layers)
    found = machine.load(overrides, environ=environ).repository(ATLAS)
    assert found is not None
    assert found.fetch.proxy == f"http://{layers[0].replace(' ', '-')}"


ORIGINS = {
    "flag": "flag --proxy",
    "environment": "environment HEPWRAP_PROXY",
    "here": "{cwd}/hepwrap.toml:1",
    "user": "{home}/.config/hepwrap/hepwrap.toml:1",
    "etc-a": "{root}/etc/hepwrap/etc-a.toml:1",
    "client": "/etc/cvmfs/default.local:1",
    "client environment": "environment CVMFS_HTTP_PROXY",
}


@pytest.mark.parametrize("layer", ORIGINS)
def test_every_value_tells_where_it_was_said(machine: FakeMachine, layer: str) -> None:
    overrides, environ = say(machine, (layer,))
    lines = {line.name: line for line in machine.load(overrides, environ=environ).origins(ATLAS)}
    expected = ORIGINS[layer].format(cwd=machine.cwd, home=machine.home, root=machine.root)
    assert (lines["proxy"].value, lines["proxy"].origin) == (f"http://{layer.replace(' ', '-')}", expected)
    assert (lines["timeout"].value, lines["timeout"].origin) == ("5", str(BUILT_IN))


def test_a_stronger_file_wins_even_where_a_weaker_one_is_more_specific(machine: FakeMachine) -> None:
    machine.here("timeout = 1")
    machine.users('[repositories."atlas.cern.ch"]\ntimeout = 2')
    found = machine.load().repository(ATLAS)
    assert found is not None
    assert found.fetch.timeout == 1.0


def test_files_in_etc_are_asked_in_the_order_of_their_names(machine: FakeMachine) -> None:
    machine.write("/etc/hepwrap/20.toml", "timeout = 20\nretries = 20")
    machine.write("/etc/hepwrap/10.toml", "timeout = 10")
    machine.write("/etc/hepwrap/05.txt", "timeout = 5")
    found = machine.load().repository(ATLAS)
    assert found is not None
    assert (found.fetch.timeout, found.fetch.retries) == (10.0, 20)


def test_xdg_says_where_the_users_file_and_state_are(machine: FakeMachine, tmp_path: Path) -> None:
    (tmp_path / "xdg/hepwrap").mkdir(parents=True)
    (tmp_path / "xdg/hepwrap/hepwrap.toml").write_text("verbose = 1")
    machine.users("verbose = 2")
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "XDG_STATE_HOME": "/somewhere"}
    job = machine.load(environ=environ).job
    assert (job.verbosity, job.state_directory) == (1, Path("/somewhere/hepwrap"))


def test_relative_xdg_directories_do_not_count(machine: FakeMachine) -> None:
    machine.users("verbose = 2")
    job = machine.load(environ={"XDG_CONFIG_HOME": "xdg", "XDG_STATE_HOME": "x"}).job
    assert (job.verbosity, job.state_directory) == (2, machine.home / ".local/state/hepwrap")


def test_without_a_home_nothing_is_remembered(machine: FakeMachine) -> None:
    assert machine.load(environ={"HOME": ""}).job.state_directory is None


# What is built in.


@pytest.mark.parametrize("row", [0, 1, 2])
def test_the_public_domains_are_known_without_configuration(machine: FakeMachine, row: int) -> None:
    lines = shared_path("data/cvmfs-domains/domains.tsv").read_text().splitlines()
    domain, servers, keys, _geo = [line for line in lines if not line.startswith("#")][row].split("\t")
    found = machine.load().repository(f"atlas.{domain}")
    assert found is not None
    assert found.fetch.servers == tuple(servers.replace("@fqrn@", f"atlas.{domain}").split(";"))
    assert [key.name for key in found.public_keys] == keys.split(",")
    given = {path.name: path.read_bytes() for path in shared_path("data/cvmfs-domains").glob("*.pub")}
    assert all(key.read_bytes() == given[key.name] for key in found.public_keys)
    assert (found.fetch.proxy, found.fetch.geo_api) == ("DIRECT", True)


@pytest.mark.parametrize(
    "name", ["atlas.example.org", "x.atlas.cern.ch", "cern.ch", "atlas", "../x.cern.ch", "a b.cern.ch", ""]
)
def test_all_else_is_unknown_without_configuration(machine: FakeMachine, name: str) -> None:
    assert machine.load().repository(name) is None


def test_defaults_are_those_of_the_settings(machine: FakeMachine) -> None:
    found = machine.load().repository(ATLAS)
    assert found is not None
    plain = RepositorySettings(ATLAS)
    for name in ("tag", "root_hash", "date", "claim_ownership", "check_permissions", "world_readable", "variables"):
        assert getattr(found, name) == getattr(plain, name)
    for name in ("timeout", "retries", "offline", "connections", "fallback_proxy", "pac_urls"):
        assert getattr(found.fetch, name) == getattr(plain.fetch, name)


# Flags and HEPWRAP_ variables.


def with_key(tmp_path: Path) -> str:
    (tmp_path / "k.pub").write_text(PEM)
    return str(tmp_path / "k.pub")


def test_flags_about_a_repository_speak_for_those_named(machine: FakeMachine, tmp_path: Path) -> None:
    key = with_key(tmp_path)
    named = Overrides((NamedRepository("a.b", "/store"),), {"keys": (key,), "tag": ("v1",)}, operands=("c.cern.ch",))
    loaded = machine.load(named)
    ours, operand, other = (loaded.repository(name) for name in ("a.b", "c.cern.ch", "d.cern.ch"))
    assert ours is not None
    assert operand is not None
    assert other is not None
    assert [each.tag for each in (ours, operand, other)] == ["v1", "v1", ""]
    assert ours.public_keys == operand.public_keys == (Path(key),)
    assert len(other.public_keys) == 3


def test_repositories_named_at_launch_keep_their_order(machine: FakeMachine, tmp_path: Path) -> None:
    machine.here('repo = ["z.cern.ch", "b.cern.ch"]')
    flags = Overrides((NamedRepository("b.cern.ch"), NamedRepository("a.cern.ch")))
    settings = machine.load(flags, environ={"HEPWRAP_REPO": "y.cern.ch,a.cern.ch=http://x  w.cern.ch"}).settings
    assert [each.name for each in settings.repositories] == [
        f"{letter}.cern.ch" for letter in ("b", "a", "y", "w", "z")
    ]
    assert settings.repositories[1].fetch.servers == ("http://x",)


def test_a_repository_named_and_unknown_is_said_so(machine: FakeMachine) -> None:
    with pytest.raises(
        ConfigurationError, match=r"nothing says where the repository a\.b is; say it with --repo a\.b=URL"
    ):
        _ = machine.load(Overrides((NamedRepository("a.b"),))).settings


def test_a_tag_of_its_own_wins_over_the_flag(machine: FakeMachine) -> None:
    flags = Overrides((NamedRepository(ATLAS, tag="v2"),), {"tag": ("v1",)})
    found = machine.load(flags).repository(ATLAS)
    assert found is not None
    assert found.tag == "v2"


def test_two_ways_to_pin_in_one_layer_are_refused(machine: FakeMachine) -> None:
    flags = Overrides((NamedRepository(ATLAS),), {"tag": ("v1",), "root_hash": ("a" * 40,)})
    with pytest.raises(UsageError, match="can have a tag, a root hash or a date, not two of them"):
        machine.load(flags).repository(ATLAS)
    machine.here(f'[repositories."{ATLAS}"]\ntag = "v1"\ndate = "2024-01-01T00:00:00Z"')
    with pytest.raises(ConfigurationError, match=r"hepwrap\.toml:2: .*not two of them"):
        machine.load().repository(ATLAS)


def test_a_pin_of_a_stronger_layer_replaces_any_of_a_weaker_one(machine: FakeMachine) -> None:
    machine.here(f'[repositories."{ATLAS}"]\nroot_hash = "{"a" * 40}"\n')
    flags = Overrides((NamedRepository(ATLAS),), {"tag": ("v1",)})
    found = machine.load(flags).repository(ATLAS)
    assert found is not None
    assert (found.tag, found.root_hash) == ("v1", "")


def test_servers_in_an_order_of_ones_own_are_not_ordered_by_distance(machine: FakeMachine) -> None:
    loaded = machine.load(Overrides((NamedRepository(ATLAS, "http://b;http://a"),)))
    mine, theirs = loaded.repository(ATLAS), loaded.repository("cms.cern.ch")
    assert mine is not None
    assert theirs is not None
    assert (mine.fetch.geo_api, theirs.fetch.geo_api) == (False, True)
    machine.here("geo_api = true")
    asked_for = machine.load(Overrides(values={})).repository(ATLAS)
    assert asked_for is not None
    assert asked_for.fetch.geo_api


def test_offline_reaches_every_repository(machine: FakeMachine) -> None:
    found = machine.load(Overrides(values={"offline": ("yes",)})).repository(ATLAS)
    assert found is not None
    assert found.fetch.offline


def test_directories_need_no_proxy_and_become_absolute(machine: FakeMachine, tmp_path: Path) -> None:
    flags = Overrides((NamedRepository("a.b", "../store/a.b;file:///x;http://y"),), {"keys": (with_key(tmp_path),)})
    found = machine.load(flags).repository("a.b")
    assert found is not None
    assert found.fetch.servers == (str(machine.cwd.parent / "store/a.b"), "file:///x", "http://y")


@pytest.mark.parametrize(("size", "limit", "share"), [
    ("512M", 512 << 20, 0.25), ("2g", 2 << 30, 0.25), ("1.5K", 1536, 0.25), ("2GiB", 2 << 30, 0.25),
    ("10%", None, 0.1), ("12345", 12345, 0.25), ("3kB", 3072, 0.25),
])  # fmt: skip
def test_cache_sizes_have_units(machine: FakeMachine, size: str, limit: int | None, share: float) -> None:
    cache = machine.load(Overrides(values={"cache_size": (size,)})).job.cache
    assert (cache.limit, cache.share) == (limit, share)


def test_a_bad_value_in_the_environment_names_the_variable(machine: FakeMachine) -> None:
    with pytest.raises(ConfigurationError, match=r"^environment HEPWRAP_CACHE_SIZE: 'x' is no size"):
        _ = machine.load(environ={"HEPWRAP_CACHE_SIZE": "x"}).job
    with pytest.raises(ConfigurationError, match=r"^environment HEPWRAP_REPO: 'x' is no name of a repository"):
        machine.load(environ={"HEPWRAP_REPO": "x"})


def test_a_bad_value_of_a_flag_names_the_flag(machine: FakeMachine) -> None:
    with pytest.raises(UsageError, match=r"^--cache-size: 'x' is no size"):
        _ = machine.load(Overrides(values={"cache_size": ("x",)})).job


def test_variables_may_be_named_as_the_flag(machine: FakeMachine, tmp_path: Path) -> None:
    environ = {"HEPWRAP_KEY": with_key(tmp_path), "HEPWRAP_REPO": "a.b=/x"}
    found = machine.load(environ=environ).repository("a.b")
    assert found is not None
    assert found.public_keys == (tmp_path / "k.pub",)


def test_a_closed_directory_holds_no_configuration(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.here("verbose = 1")
    read_bytes = Path.read_bytes

    def denied(path: Path) -> bytes:
        if path.name == "hepwrap.toml":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(ConfigurationError, match=r"hepwrap\.toml: cannot be read \(Permission denied\)"):
        _ = machine.load().job
    monkeypatch.setattr("os.path.lexists", lambda _path: False)
    assert machine.load().job.verbosity == 0


def test_other_variables_that_begin_like_ours_are_nobodys_business(machine: FakeMachine) -> None:
    assert machine.load(environ={"HEPWRAP_DEBUG": "1", "HEPWRAP_SHARED": "/x"}).job == machine.load().job


def test_the_account_goes_to_a_file_of_the_present_directory(machine: FakeMachine) -> None:
    assert machine.load(Overrides(values={"stats": ("x.json",)})).job.stats == str(machine.cwd / "x.json")
    assert machine.load(Overrides(values={"stats": ("-",)})).job.stats == "-"


def test_the_prefix_is_the_clients_mount_directory(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/default.conf", "CVMFS_MOUNT_DIR=/opt/cvmfs")
    assert machine.load().job.prefix == "/opt/cvmfs"
    machine.here('prefix = "/mine/"')
    assert machine.load().job.prefix == "/mine"


@pytest.mark.parametrize(("text", "expected"), [
    ("a.b", NamedRepository("a.b")),
    ("a.b=http://x/?y=z", NamedRepository("a.b", "http://x/?y=z")),
    ("a.b:v1", NamedRepository("a.b", "", "v1")),
    ("a.b:v1=/x:y", NamedRepository("a.b", "/x:y", "v1")),
])  # fmt: skip
def test_a_repository_is_named_with_its_tag_and_place(text: str, expected: NamedRepository) -> None:
    assert parse_repository(text, Origin.flag("--repo")) == expected


@pytest.mark.parametrize(("text", "message"), [
    ("a", "--repo: 'a' is no name of a repository"),
    ("", "--repo: '' is no name of a repository"),
    ("a..b", "--repo: 'a..b' is no name of a repository"),
    ("a.b=", "--repo: after a.b= stands where the repository is"),
    ("a.b:", "--repo: after a.b: stands the name of a tag"),
    ("=http://x", "--repo: '' is no name of a repository"),
])  # fmt: skip
def test_a_repository_named_wrongly_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_repository(text, Origin.flag("--repo"))
    assert str(caught.value).startswith(message)
