"""hepwrap.toml: what may stand where, and the line of every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepwrap.config.toml_file import lines_of_keys, read
from hepwrap.errors import ConfigurationError
from tests.helpers.front import PEM, FakeMachine

FQRN = "atlas.cern.ch"

#: What the language itself refuses is said in the words of Python's reader, which differ between versions.
MISTAKES = {
    'proxy = "x': "1: ",
    'proxy = "a"\nproxy = "b"\n': "2: ",
    "proxy = \n": "1: ",
    "\n\n[domains\n": "3: ",
    "proxi = 'x'": "1: unknown key 'proxi' at the top of the file; did you mean 'proxy'?",
    "\nqqqqqq = 1": "2: unknown key 'qqqqqq' at the top of the file; docs/configuration.md lists all keys",
    "[repo]\nx = 1": '2: unknown table [repo]; there are [repositories."NAME"] and [domains."NAME"]',
    "repositories = 1": '1: repositories is a table; write [repositories."NAME"]',
    "[repositories]\nx = 1": "2: 'x' is no name of a repository",
    "[repositories.atlas.cern.ch]\nurl = 'x'": "2: 'atlas' is no name of a repository",
    "[domains.cern.ch]\nurl = 'x'": '2: unknown table [domains."cern".ch]; a name with dots stands in quotes',
    "[domains]\n'cern.ch' = 1": '2: cern.ch is a table; write [domains."cern.ch"], in quotes',
    "[repositories.'a.b']\n\nurls = 'x'": "3: unknown key 'urls' in [repositories.\"a.b\"]; did you mean 'url'?",
    "[repositories.'a.b']\ncache_size = '1G'": (
        '2: cache_size has no meaning in [repositories."a.b"]; it stands at the top of the file, before the first table'
    ),
    "[domains.'a.b']\ntag = 'x'": '2: tag has no meaning in [domains."a.b"]; it stands in [repositories."NAME"]',
    "url = 'x'": '1: url has no meaning at the top of the file; it stands in [repositories."NAME"] or [domains."NAME"]',
    "proxy = ['a', 'b']": "1: proxy must be text, a number, true or false",
    "proxy = 1979-05-27": "1: proxy must be text, a number, true or false",
    "[repositories.'a.b']\nurl = [\n 'x',\n 3]": "2: url must be text or a list of texts",
    "[repositories.'a.b']\nvariables = 3": '2: variables is a table; write variables = { NAME = "text" }',
    "[repositories.'a.b'.variables]\nA = 3": "2: the variable A must be text, in quotes",
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.items(), ids=[repr(text) for text in MISTAKES])
def test_a_mistake_is_named_with_its_line(machine: FakeMachine, text: str, message: str) -> None:
    place = machine.here(text)
    with pytest.raises(ConfigurationError) as caught:
        _ = machine.load().job
    assert str(caught.value).startswith(f"{place}:{message}")
    assert "\n" not in str(caught.value)


BAD_VALUES = {
    "timeout = 'soon'": "timeout: 'soon' is no number of seconds",
    "timeout = nan": "timeout: 'nan' is no number of seconds",
    "retries = 1.5": "retries: '1.5' is no whole number of 0 or more",
    "connections = 0": "connections: '0' is less than 1",
    "claim_ownership = 'perhaps'": "claim_ownership: 'perhaps' is neither yes nor no",
    "cache_size = 'much'": "cache_size: 'much' is no size; write a number with K, M, G or %",
    "cache_size = '101%'": "cache_size: '101%' is not between 0% and 100%",
    "cache_size = 0": "cache_size: '0' leaves no room for anything",
    "prefix = 'cvmfs'": "prefix: 'cvmfs' is no absolute directory",
    "repo = 'x'": "'x' is no name of a repository",
}


@pytest.mark.parametrize(("line", "message"), BAD_VALUES.items(), ids=list(BAD_VALUES))
def test_a_bad_value_is_named_with_its_line(machine: FakeMachine, line: str, message: str) -> None:
    place = machine.here(f"# first\n{line}\n")
    loaded = machine.load()
    with pytest.raises(ConfigurationError) as caught:
        _ = (loaded.job, loaded.required, loaded.repository(FQRN))
    assert str(caught.value).startswith(f"{place}:2: {message}")


def test_bytes_that_are_not_utf8_are_named_with_their_line(machine: FakeMachine) -> None:
    machine.here("").write_bytes(b"# one\n# \xff\n")
    with pytest.raises(ConfigurationError, match=r"hepwrap\.toml:2: this is not UTF-8"):
        _ = machine.load().job


def test_a_file_that_cannot_be_read_is_an_error(machine: FakeMachine) -> None:
    (machine.cwd / "hepwrap.toml").mkdir()
    with pytest.raises(ConfigurationError, match=r"hepwrap\.toml: cannot be read \(Is a directory\)"):
        _ = machine.load().job


def test_an_empty_file_says_nothing(machine: FakeMachine) -> None:
    machine.here("# only a comment\n[repositories]\n")
    assert machine.load().job == machine.load().job
    assert machine.load().names == ()


def test_types_of_toml_are_the_texts_of_everywhere_else(machine: FakeMachine) -> None:
    machine.here("offline = true\nverbose = 2\nworkers = 8\ncache_size = '2G'\npatch = false\nstats = true\n")
    job = machine.load().job
    assert (job.offline, job.verbosity, job.cache.workers, job.cache.limit) == (True, 2, 8, 2 << 30)
    assert (job.patch, job.stats) == (False, "-")


def test_a_repository_wins_over_its_domain_and_that_over_the_top(machine: FakeMachine) -> None:
    machine.here("""
proxy = "http://top"
timeout = 1
retries = 1
[domains."cern.ch"]
timeout = 2
retries = 2
url = "http://domain/@fqrn@"
[repositories."atlas.cern.ch"]
retries = 3
""")
    loaded = machine.load()
    atlas, cms = loaded.repository("atlas.cern.ch"), loaded.repository("cms.cern.ch")
    assert atlas is not None
    assert cms is not None
    assert (atlas.fetch.proxy, atlas.fetch.timeout, atlas.fetch.retries) == ("http://top", 2.0, 3)
    assert (cms.fetch.proxy, cms.fetch.timeout, cms.fetch.retries) == ("http://top", 2.0, 2)
    assert cms.fetch.servers == ("http://domain/cms.cern.ch",)


def test_lists_and_texts_of_servers_mean_the_same(machine: FakeMachine) -> None:
    machine.here("""
[repositories."a.cern.ch"]
url = ["http://one", "http://two"]
[repositories."b.cern.ch"]
url = "http://one; http://two"
""")
    loaded = machine.load()
    found = [loaded.repository(name) for name in ("a.cern.ch", "b.cern.ch")]
    assert [each.fetch.servers for each in found if each] == [("http://one", "http://two")] * 2


def test_relative_paths_start_at_the_file(machine: FakeMachine) -> None:
    file = machine.users(
        'log = "x.log"\n[repositories."a.b"]\nurl = "store/@fqrn@"\nkeys = ["keys/k.pub"]\nuid_map = "../m"\n'
    )
    (file.parent / "keys").mkdir()
    (file.parent / "keys/k.pub").write_text(PEM)
    loaded = machine.load()
    found = loaded.repository("a.b")
    assert found is not None
    assert found.fetch.servers == (str(file.parent / "store/a.b"),)
    assert found.public_keys == (file.parent / "keys/k.pub",)
    assert found.uid_map == file.parent.parent / "m"
    assert loaded.job.log == file.parent / "x.log"


def test_variables_for_links_are_merged_by_name(machine: FakeMachine) -> None:
    machine.here('[repositories."a.cern.ch"]\nvariables = { A = "here", B = "here" }\n')
    machine.users('[domains."cern.ch".variables]\nB = "user"\nC = "user"\n')
    machine.write("/etc/cvmfs/default.local", "C=client\nD=client")
    found = machine.load().repository("a.cern.ch")
    assert found is not None
    assert found.variables == {"A": "here", "B": "here", "C": "user", "D": "client"}


def test_tables_name_the_repositories_that_a_listing_shows(machine: FakeMachine) -> None:
    machine.here('repo = ["c.d"]\n[repositories."a.b"]\n[repositories."x.cern.ch"]\nproxy = "DIRECT"\n')
    loaded = machine.load()
    assert loaded.names == ("c.d", "a.b", "x.cern.ch")
    assert loaded.required == ("c.d",)


def test_lines_are_found_through_comments_tables_arrays_and_long_strings() -> None:
    text = '''# a
proxy = "x"   # b

cache_size = """
# no comment
"""
[repositories."a.b"]   # c
url = [
  "x", # d
  "y",
]
"keys" = 'k'
[domains]
"cern.ch".timeout = 3
[domains."e.f".variables]
A = "1"
'''
    lines = lines_of_keys(text)
    assert lines[("proxy",)] == 2
    assert lines[("cache_size",)] == 4
    assert lines["repositories", "a.b"] == 7
    assert lines["repositories", "a.b", "url"] == 8
    assert lines["repositories", "a.b", "keys"] == 12
    assert lines["domains", "cern.ch", "timeout"] == 14
    assert lines["domains", "e.f", "variables", "A"] == 16


keys = st.sampled_from(("a", "b", "'c d'", '"e"', "f-g"))
values = st.sampled_from(("1", "'x'", '"""\ny\n"""', "[\n1,\n2]", "{ z = 1 }", "true # no"))
padding = st.sampled_from(("", "# c\n", "\n", "\n# [d]\n\n"))


@given(st.lists(st.tuples(padding, values), max_size=6))
def test_every_key_of_a_valid_document_has_the_line_it_stands_on(rows: list[tuple[str, str]]) -> None:
    text, expected, line = "", {}, 1
    for number, (pad, value) in enumerate(rows):
        text += pad
        line += pad.count("\n")
        expected[(f"k{number}",)] = line
        text += f"k{number} = {value}\n"
        line += value.count("\n") + 1
    found = lines_of_keys(text)
    assert {key: found[key] for key in expected} == expected


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    assert read(tmp_path / "hepwrap.toml") is None
    assert read(tmp_path / "none" / "hepwrap.toml") is None
