"""/etc/cvmfs and the CVMFS_ environment, in the order of the real client (format notes, section 13)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from hepwrap.config import NamedRepository, Overrides
from hepwrap.errors import ConfigurationError, FetchFailed, UntrustedManifest
from hepwrap.settings import RepositorySettings
from tests.helpers.front import PEM, FakeMachine

FQRN, CONFIG = "one.example.org", "cvmfs-config.example.org"
THEIRS = f"/cvmfs/{CONFIG}"
#: Weakest first.  A place in the configuration repository begins with `config:`.
ORDER = (
    "/etc/cvmfs/default.conf",
    "/etc/cvmfs/default.d/10-a.conf",
    "/etc/cvmfs/default.d/20-b.conf",
    "config:etc/cvmfs/default.conf",
    "/etc/cvmfs/default.local",
    "config:etc/cvmfs/domain.d/example.org.conf",
    "/etc/cvmfs/domain.d/example.org.conf",
    "/etc/cvmfs/domain.d/example.org.local",
    f"config:etc/cvmfs/config.d/{FQRN}.conf",
    f"/etc/cvmfs/config.d/{FQRN}.conf",
    f"/etc/cvmfs/config.d/{FQRN}.local",
)


class FakeRepository:
    """A configuration repository, and how often it was read and for what settings."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = {path: text.encode() for path, text in files.items()}
        self.asked: list[tuple[str, RepositorySettings]] = []

    def __call__(self, name: str, settings: RepositorySettings) -> Mapping[str, bytes]:
        self.asked.append((name, settings))
        return self.files


def with_keys(machine: FakeMachine) -> None:
    """What every repository needs besides servers."""
    machine.write("/etc/cvmfs/keys/any.pub", PEM)


def use_config_repository(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/default.d/50-site.conf", f"CVMFS_CONFIG_REPOSITORY={CONFIG}\n")
    machine.write(f"/etc/cvmfs/config.d/{CONFIG}.conf", "CVMFS_SERVER_URL=http://config/@fqrn@\n")
    with_keys(machine)


def place(machine: FakeMachine, files: dict[str, str], where: str, text: str) -> None:
    if where.startswith("config:"):
        files[where.removeprefix("config:")] = text
    else:
        machine.write(where, text)


@pytest.mark.parametrize(("weaker", "stronger"), list(pairwise(ORDER)))
def test_of_two_neighbouring_files_the_later_one_wins(machine: FakeMachine, weaker: str, stronger: str) -> None:
    use_config_repository(machine)
    files: dict[str, str] = {}
    place(machine, files, weaker, "CVMFS_SERVER_URL=http://weaker/@fqrn@\nCVMFS_TIMEOUT=7")
    place(machine, files, stronger, "CVMFS_SERVER_URL=http://stronger/@org@")
    settings = machine.load(reader=FakeRepository(files)).repository(FQRN)
    assert settings is not None
    assert settings.fetch.servers == ("http://stronger/one",)
    assert settings.fetch.timeout == 7.0


@pytest.mark.parametrize("where", ORDER)
def test_every_file_sees_what_those_before_it_have_set(machine: FakeMachine, where: str) -> None:
    use_config_repository(machine)
    files: dict[str, str] = {}
    for other in ORDER:
        text = "export SEEN=$SEEN:" + ("here" if other == where else ".") + "\nCVMFS_SERVER_URL=http://x\n"
        place(machine, files, other, text)
    settings = machine.load(reader=FakeRepository(files)).repository(FQRN)
    assert settings is not None
    assert settings.variables["SEEN"].split(":")[1:].index("here") == ORDER.index(where)
    assert settings.variables["SEEN"].count(":") == len(ORDER)


def test_files_of_other_domains_and_repositories_do_not_count(machine: FakeMachine) -> None:
    with_keys(machine)
    machine.write("/etc/cvmfs/default.conf", "CVMFS_SERVER_URL=http://right")
    for other in ("domain.d/org.conf", "domain.d/one.example.org.conf", "config.d/two.example.org.conf", "default.d/x"):
        machine.write(f"/etc/cvmfs/{other}", "CVMFS_SERVER_URL=http://wrong")
    settings = machine.load().repository(FQRN)
    assert settings is not None
    assert settings.fetch.servers == ("http://right",)


def test_a_repository_that_nothing_names_servers_for_is_unknown(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/default.conf", "CVMFS_TIMEOUT=5\n")
    assert machine.load().repository(FQRN) is None


def test_servers_are_a_list_with_templates(machine: FakeMachine) -> None:
    with_keys(machine)
    machine.write("/etc/cvmfs/default.local", 'CVMFS_SERVER_URL="http://a/@fqrn@; http://b:8000/x/@org@/@fqrn@;"')
    settings = machine.load().repository(FQRN)
    assert settings is not None
    assert settings.fetch.servers == ("http://a/one.example.org", "http://b:8000/x/one/one.example.org")


def test_the_environment_is_what_scripts_start_from(machine: FakeMachine) -> None:
    with_keys(machine)
    machine.write(
        "/etc/cvmfs/default.local", "CVMFS_SERVER_URL=http://x\nCVMFS_HTTP_PROXY=${CVMFS_HTTP_PROXY:-http://p:1}\n"
    )
    inside = machine.load(environ={"CVMFS_HTTP_PROXY": "http://env:2"}).repository(FQRN)
    outside = machine.load().repository(FQRN)
    assert inside is not None
    assert outside is not None
    assert (inside.fetch.proxy, outside.fetch.proxy) == ("http://env:2", "http://p:1")


def test_files_win_over_the_environment_and_it_over_what_is_built_in(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/default.local", "CVMFS_TIMEOUT=7\n")
    environ = {"CVMFS_TIMEOUT": "8", "CVMFS_TIMEOUT_DIRECT": "9", "CVMFS_SERVER_URL": "http://env/@fqrn@"}
    loaded = machine.load(environ=environ)
    settings = loaded.repository("atlas.cern.ch")
    assert settings is not None
    assert (settings.fetch.timeout, settings.fetch.timeout_direct) == (7.0, 9.0)
    assert settings.fetch.servers == ("http://env/atlas.cern.ch",)
    origins = {line.name: line.origin for line in loaded.origins("atlas.cern.ch")}
    assert origins["timeout"] == "/etc/cvmfs/default.local:1"
    assert origins["timeout_direct"] == "environment CVMFS_TIMEOUT_DIRECT"


def test_what_a_file_unsets_is_gone_from_the_environment_too(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/default.local", "unset CVMFS_TIMEOUT\n")
    settings = machine.load(environ={"CVMFS_TIMEOUT": "8"}).repository("atlas.cern.ch")
    assert settings is not None
    assert settings.fetch.timeout == 5.0


def test_a_parameter_set_to_nothing_is_as_unset(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/default.local", "CVMFS_TIMEOUT=\nCVMFS_USE_GEOAPI=''\nCVMFS_UID_MAP=\n")
    settings = machine.load().repository("atlas.cern.ch")
    assert settings is not None
    assert (settings.fetch.timeout, settings.fetch.geo_api, settings.uid_map) == (5.0, True, None)


def test_a_proxy_set_to_nothing_is_left_for_the_fetcher_to_refuse(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/default.local", "CVMFS_HTTP_PROXY=\n")
    settings = machine.load().repository("atlas.cern.ch")
    assert settings is not None
    assert settings.fetch.proxy == ""


BAD_VALUES = {
    "CVMFS_TIMEOUT=soon": "CVMFS_TIMEOUT: 'soon' is no number of seconds",
    "CVMFS_TIMEOUT=-1": "CVMFS_TIMEOUT: '-1' is no number of seconds",
    "CVMFS_MAX_RETRIES=1.5": "CVMFS_MAX_RETRIES: '1.5' is no whole number of 0 or more",
    "CVMFS_CLAIM_OWNERSHIP=perhaps": "CVMFS_CLAIM_OWNERSHIP: 'perhaps' is neither yes nor no",
    "CVMFS_ROOT_HASH=abc": "CVMFS_ROOT_HASH: 'abc' is no root hash",
    "CVMFS_REPOSITORY_TAG='a b'": "CVMFS_REPOSITORY_TAG: 'a b' cannot be the name of a tag",
    "CVMFS_REPOSITORY_DATE=tomorrow": "CVMFS_REPOSITORY_DATE: 'tomorrow' is no time",
    "CVMFS_MAGIC_XATTRS_VISIBILITY=some": "CVMFS_MAGIC_XATTRS_VISIBILITY: 'some' is none of rootonly, always, never",
    "CVMFS_SERVER_URL='http://a http://b'": "'http://a http://b' is no address",
    "CVMFS_PUBLIC_KEY=/nokey.pub": "there is no key file",
    "CVMFS_KEYS_DIR=/nodirectory": "the directory /nodirectory has no *.pub file",
}


@pytest.mark.parametrize(("line", "message"), BAD_VALUES.items(), ids=list(BAD_VALUES))
def test_a_bad_value_is_refused_with_file_and_line(machine: FakeMachine, line: str, message: str) -> None:
    machine.write("/etc/cvmfs/config.d/atlas.cern.ch.local", f"# one\n\n{line}\n")
    with pytest.raises(ConfigurationError) as caught:
        machine.load().repository("atlas.cern.ch")
    assert str(caught.value).startswith(f"/etc/cvmfs/config.d/atlas.cern.ch.local:3: {message}")
    assert "\n" not in str(caught.value)


def test_every_parameter_reaches_its_field(machine: FakeMachine) -> None:
    machine.write("/map", "* 1\n")
    machine.write(
        "/etc/cvmfs/default.local",
        """
CVMFS_SERVER_URL=http://s
CVMFS_HTTP_PROXY="http://p1|http://p2;DIRECT"
CVMFS_FALLBACK_PROXY=http://f
CVMFS_PAC_URLS=http://pac
CVMFS_TIMEOUT=1 CVMFS_TIMEOUT_DIRECT=2 CVMFS_LOW_SPEED_LIMIT=3 CVMFS_MAX_RETRIES=4
CVMFS_BACKOFF_INIT=5 CVMFS_BACKOFF_MAX=6 CVMFS_HOST_RESET_AFTER=7 CVMFS_PROXY_RESET_AFTER=8
CVMFS_USE_GEOAPI=on CVMFS_PROXY_TEMPLATE=t CVMFS_FOLLOW_REDIRECTS=yes CVMFS_SEND_INFO_HEADER=1
CVMFS_CLAIM_OWNERSHIP=no CVMFS_CHECK_PERMISSIONS=off CVMFS_WORLD_READABLE=YES
CVMFS_UID_MAP=/map CVMFS_GID_MAP=/map CVMFS_MAGIC_XATTRS_VISIBILITY=always
CVMFS_REPOSITORY_TAG=v1 CVMFS_BLACKLIST=/black
""",
    )
    with_keys(machine)
    found = machine.load().repository(FQRN)
    assert found is not None
    fetch = found.fetch
    assert (fetch.servers, fetch.proxy, fetch.fallback_proxy) == (
        ("http://s",),
        "http://p1|http://p2;DIRECT",
        "http://f",
    )
    assert (fetch.pac_urls, fetch.timeout, fetch.timeout_direct, fetch.low_speed_limit) == ("http://pac", 1.0, 2.0, 3)
    assert (fetch.retries, fetch.backoff_init, fetch.backoff_max) == (4, 5.0, 6.0)
    assert (fetch.host_reset_after, fetch.proxy_reset_after) == (7.0, 8.0)
    assert (fetch.geo_api, fetch.proxy_template, fetch.follow_redirects, fetch.send_info_header) == (
        True,
        "t",
        True,
        True,
    )
    assert (found.claim_ownership, found.check_permissions, found.world_readable) == (False, False, True)
    assert (found.uid_map, found.gid_map) == (machine.root / "map", machine.root / "map")
    assert (found.magic_xattrs_visibility, found.tag) == ("always", "v1")
    assert found.blacklists == (machine.root / "black",)
    assert found.public_keys == (machine.root / "etc/cvmfs/keys/any.pub",)


@pytest.mark.parametrize(("lines", "shown"), [
    ("CVMFS_HIDE_MAGIC_XATTRS=yes", "never"),
    ("CVMFS_HIDE_MAGIC_XATTRS=no", "always"),
    ("CVMFS_HIDE_MAGIC_XATTRS=yes\nCVMFS_MAGIC_XATTRS_VISIBILITY=ROOTONLY", "rootonly"),
    ("", "rootonly"),
])  # fmt: skip
def test_the_newer_parameter_about_magic_attributes_wins(machine: FakeMachine, lines: str, shown: str) -> None:
    machine.write("/etc/cvmfs/default.local", lines)
    found = machine.load().repository("atlas.cern.ch")
    assert found is not None
    assert found.magic_xattrs_visibility == shown


def test_all_that_files_set_is_there_for_variant_links(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/default.local", "export HEPVER=v2\nPLAIN=$CVMFS_FQRN\nCVMFS_TIMEOUT=5\n")
    found = machine.load(environ={"OTHER": "x"}).repository("atlas.cern.ch")
    assert found is not None
    assert found.variables == {"HEPVER": "v2", "PLAIN": "atlas.cern.ch", "CVMFS_TIMEOUT": "5"}


def test_strict_mounting_leaves_what_is_listed_or_named(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/default.local", "CVMFS_STRICT_MOUNT=yes\nCVMFS_REPOSITORIES=atlas,cms.cern.ch\n"
                                              "CVMFS_DEFAULT_DOMAIN=cern.ch\n")  # fmt: skip
    loaded = machine.load(Overrides((NamedRepository("lhcb.cern.ch"),)))
    assert loaded.names == ("lhcb.cern.ch", "atlas.cern.ch", "cms.cern.ch")
    known = [name for name in ("atlas", "cms", "lhcb", "alice") if loaded.repository(f"{name}.cern.ch") is not None]
    assert known == ["atlas", "cms", "lhcb"]


# Keys.


def test_named_keys_win_over_a_directory_of_keys(machine: FakeMachine) -> None:
    machine.write("/k/dir/a.pub", PEM)
    machine.write("/k/named.pub", PEM)
    machine.write(
        "/etc/cvmfs/default.local", "CVMFS_SERVER_URL=http://x\nCVMFS_KEYS_DIR=/k/dir\nCVMFS_PUBLIC_KEY=/k/named.pub"
    )
    found = machine.load().repository(FQRN)
    assert found is not None
    assert found.public_keys == (machine.root / "k/named.pub",)


def test_a_directory_gives_all_its_public_keys_in_order(machine: FakeMachine) -> None:
    for name in ("b.pub", "a.pub", "c.txt"):
        machine.write(f"/k/{name}", PEM)
    machine.write("/etc/cvmfs/default.local", "CVMFS_SERVER_URL=http://x\nCVMFS_KEYS_DIR=/k")
    found = machine.load().repository(FQRN)
    assert found is not None
    assert [key.name for key in found.public_keys] == ["a.pub", "b.pub"]


def test_installed_keys_of_a_public_domain_replace_those_built_in(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/keys/other.pub", PEM)
    before = machine.load().repository("atlas.cern.ch")
    machine.write("/etc/cvmfs/keys/cern.ch/new.pub", PEM)
    after = machine.load().repository("atlas.cern.ch")
    assert before is not None
    assert after is not None
    assert [key.name for key in before.public_keys] == [
        "cern-it1.cern.ch.pub",
        "cern-it4.cern.ch.pub",
        "cern-it5.cern.ch.pub",
    ]
    assert [key.name for key in after.public_keys] == ["new.pub"]


@pytest.mark.parametrize(("content", "what"), [
    ("-----BEGIN RSA PRIVATE KEY-----\n", "a private key"),
    ("-----BEGIN CERTIFICATE-----\n", "a certificate"),
    ("hello", "no PEM public key"),
])  # fmt: skip
def test_a_key_file_that_holds_something_else_says_what(machine: FakeMachine, content: str, what: str) -> None:
    machine.write("/k.pub", content)
    machine.write("/etc/cvmfs/default.local", "CVMFS_PUBLIC_KEY=/k.pub")
    with pytest.raises(ConfigurationError, match=rf"default\.local:1: .*k\.pub holds {what}; a master public key is"):
        machine.load().repository("atlas.cern.ch")


def test_an_empty_directory_for_all_domains_leaves_the_built_in_keys(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/default.conf", "CVMFS_KEYS_DIR=/etc/cvmfs/keys")
    machine.write("/etc/cvmfs/keys/cern.ch/installed.pub", PEM)
    cern, egi = (machine.load().repository(name) for name in ("atlas.cern.ch", "atlas.egi.eu"))
    assert cern is not None
    assert egi is not None
    assert [key.name for key in (*cern.public_keys, *egi.public_keys)] == ["installed.pub", "egi.eu.pub"]


def test_a_directory_that_cannot_be_listed_is_an_error(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.write("/etc/cvmfs/default.d/x.conf", "")

    def denied(_path: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("hepwrap.config.sources.os.listdir", denied)
    with pytest.raises(ConfigurationError, match=r"/etc/\S+: cannot be listed \(Permission denied\); make it readable"):
        machine.load().repository("atlas.cern.ch")


def test_servers_without_a_key_are_refused(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/default.local", "CVMFS_SERVER_URL=http://x")
    with pytest.raises(ConfigurationError, match=r"no master public key is known for one\.example\.org.*--key FILE"):
        machine.load().repository(FQRN)


# The configuration repository.


def test_it_is_read_once_however_many_repositories_need_it(machine: FakeMachine) -> None:
    use_config_repository(machine)
    reader = FakeRepository({"etc/cvmfs/default.conf": "CVMFS_SERVER_URL=http://theirs/@fqrn@"})
    loaded = machine.load(reader=reader)
    assert reader.asked == []
    found = [loaded.repository(f"{name}.example.org") for name in ("one", "two", "one")]
    assert [each.fetch.servers for each in found if each] == [
        (f"http://theirs/{name}.example.org",) for name in ("one", "two", "one")
    ]
    assert [name for name, _ in reader.asked] == [CONFIG]
    assert reader.asked[0][1].fetch.servers == (f"http://config/{CONFIG}",)


def test_it_is_not_read_for_itself(machine: FakeMachine) -> None:
    use_config_repository(machine)
    reader = FakeRepository({"etc/cvmfs/default.conf": "CVMFS_SERVER_URL=http://wrong"})
    found = machine.load(reader=reader).repository(CONFIG)
    assert found is not None
    assert found.fetch.servers == (f"http://config/{CONFIG}",)
    assert reader.asked == []


def test_it_is_fixed_after_the_default_directory(machine: FakeMachine) -> None:
    use_config_repository(machine)
    machine.write(
        "/etc/cvmfs/default.local", "CVMFS_CONFIG_REPOSITORY=other.example.org\nSEEN=$CVMFS_CONFIG_REPOSITORY"
    )
    reader = FakeRepository({"etc/cvmfs/default.conf": "CVMFS_SERVER_URL=http://x"})
    found = machine.load(reader=reader).repository(FQRN)
    assert found is not None
    assert found.variables["SEEN"] == CONFIG
    assert [name for name, _ in reader.asked] == [CONFIG]


def test_without_one_none_can_be_set_later(machine: FakeMachine) -> None:
    with_keys(machine)
    machine.write("/etc/cvmfs/default.local", f"CVMFS_CONFIG_REPOSITORY={CONFIG}\nCVMFS_SERVER_URL=http://x")
    reader = FakeRepository({})
    assert machine.load(reader=reader).repository(FQRN) is not None
    assert reader.asked == []


def test_keys_and_includes_come_from_it(machine: FakeMachine) -> None:
    use_config_repository(machine)
    files = {
        "etc/cvmfs/domain.d/example.org.conf": ". ../common.conf\n"
        "CVMFS_SERVER_URL=http://x\nCVMFS_KEYS_DIR=$CVMFS_MOUNT_DIR/$CVMFS_CONFIG_REPOSITORY/etc/cvmfs/keys/example.org\n",
        "etc/cvmfs/common.conf": 'if [ "$CVMFS_HTTP_PROXY" = DIRECT ]; then CVMFS_USE_CDN=yes; fi\n'
        f"HERE={THEIRS}/etc/cvmfs\n[ -d $HERE/keys ] && [ -f $HERE/common.conf ] && [ ! -e $HERE/none ] && LOOKED=yes",
        "etc/cvmfs/keys/example.org/b.pub": PEM,
        "etc/cvmfs/keys/example.org/a.pub": PEM + "a",
        "etc/cvmfs/keys/other.pub": PEM,
        "etc/cvmfs/blacklist": "# nobody\n",
    }
    found = machine.load(reader=FakeRepository(files)).repository(FQRN)
    assert found is not None
    assert [str(key) for key in found.public_keys] == [
        f"{THEIRS}/etc/cvmfs/keys/example.org/{name}.pub" for name in "ab"
    ]
    assert found.public_keys[0].read_bytes() == (PEM + "a").encode()
    assert [str(path) for path in found.blacklists] == [
        str(machine.root / "etc/cvmfs/blacklist"), f"{THEIRS}/etc/cvmfs/blacklist"
    ]  # fmt: skip
    assert found.blacklists[1].read_text() == "# nobody\n"
    assert (found.variables["CVMFS_USE_CDN"], found.variables["LOOKED"]) == ("yes", "yes")


def test_origins_in_it_name_its_files(machine: FakeMachine) -> None:
    use_config_repository(machine)
    files = {"etc/cvmfs/config.d/one.example.org.conf": "\nCVMFS_SERVER_URL=http://x"}
    origins = {line.name: line.origin for line in machine.load(reader=FakeRepository(files)).origins(FQRN)}
    assert origins["url"] == f"{THEIRS}/etc/cvmfs/config.d/one.example.org.conf:2"


def failing(error: Exception) -> object:
    def read(_name: str, _settings: RepositorySettings) -> Mapping[str, bytes]:
        raise error

    return read


def test_where_it_cannot_be_fetched_and_nothing_else_is_known_that_is_the_error(machine: FakeMachine) -> None:
    use_config_repository(machine)
    with pytest.raises(FetchFailed) as caught:
        machine.load(reader=failing(FetchFailed("nobody answers"))).repository(FQRN)  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"the configuration repository {CONFIG}, which may say where {FQRN} is, cannot be read: nobody answers"
    )


def test_where_it_cannot_be_fetched_the_machines_own_files_serve_with_a_warning(machine: FakeMachine) -> None:
    use_config_repository(machine)
    machine.write("/etc/cvmfs/domain.d/example.org.conf", "CVMFS_SERVER_URL=http://mine")
    loaded = machine.load(reader=failing(FetchFailed("nobody answers")))  # type: ignore[arg-type]
    found = loaded.repository(FQRN)
    assert found is not None
    assert found.fetch.servers == ("http://mine",)
    assert machine.warnings == [
        f"the configuration repository {CONFIG} cannot be read, going on without it: nobody answers"
    ]


def test_where_it_fails_a_check_nothing_is_served_without_it(machine: FakeMachine) -> None:
    use_config_repository(machine)
    machine.write("/etc/cvmfs/domain.d/example.org.conf", "CVMFS_SERVER_URL=http://mine")
    with pytest.raises(UntrustedManifest, match="signature"):
        machine.load(reader=failing(UntrustedManifest("signature"))).repository(FQRN)  # type: ignore[arg-type]


def test_it_is_not_needed_where_servers_and_key_are_given(machine: FakeMachine, tmp_path: Path) -> None:
    use_config_repository(machine)
    key = tmp_path / "k.pub"
    key.write_text(PEM)
    reader = FakeRepository({})
    found = machine.load(
        Overrides((NamedRepository(FQRN, "/store"),), {"keys": (str(key),)}), reader=reader
    ).repository(FQRN)
    assert found is not None
    assert (found.fetch.servers, found.public_keys, reader.asked) == (("/store",), (key,), [])


def test_a_configuration_repository_without_servers_is_said_so(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/default.conf", f"CVMFS_CONFIG_REPOSITORY={CONFIG}\n")
    with pytest.raises(ConfigurationError, match=f"nothing says where the configuration repository {CONFIG} is"):
        machine.load().repository(FQRN)


def test_a_configuration_repository_with_a_wrong_name_is_refused_with_the_line(machine: FakeMachine) -> None:
    machine.write("/etc/cvmfs/default.conf", "\nCVMFS_CONFIG_REPOSITORY=../x\n")
    with pytest.raises(ConfigurationError, match=r"^/etc/cvmfs/default\.conf:2: CVMFS_CONFIG_REPOSITORY is '\.\./x'"):
        machine.load().repository(FQRN)


def test_what_is_said_on_the_command_line_is_seen_by_the_scripts(machine: FakeMachine) -> None:
    use_config_repository(machine)
    files = {
        "etc/cvmfs/default.conf": 'CVMFS_HTTP_PROXY=http://theirs\nSEEN="$CVMFS_HTTP_PROXY"\nCVMFS_SERVER_URL=http://x',
    }
    loaded = machine.load(Overrides(values={"proxy": ("http://mine",)}), reader=FakeRepository(files))
    found = loaded.repository(FQRN)
    assert found is not None
    assert (found.fetch.proxy, found.variables["SEEN"]) == ("http://mine", "http://mine")


def test_without_a_proxy_scripts_of_a_domain_see_that_none_is_used(machine: FakeMachine) -> None:
    use_config_repository(machine)
    files = {
        "etc/cvmfs/default.conf": "EARLY=x$CVMFS_HTTP_PROXY\nCVMFS_SERVER_URL=http://x",
        "etc/cvmfs/domain.d/example.org.conf": "LATE=x$CVMFS_HTTP_PROXY",
    }
    found = machine.load(reader=FakeRepository(files)).repository(FQRN)
    assert found is not None
    assert (found.variables["EARLY"], found.variables["LATE"], found.fetch.proxy) == ("x", "xDIRECT", "DIRECT")
    assert "CVMFS_HTTP_PROXY" not in found.variables
