"""The syntax of command lines, without running anything."""

from __future__ import annotations

import pytest

from hepwrap.cli.arguments import Parsed, operands, parse
from hepwrap.cli.commands import COMMANDS
from hepwrap.cli.overrides import overrides
from hepwrap.config import NamedRepository
from hepwrap.config.parameters import OURS
from hepwrap.errors import UsageError

RUN, LS, FIND = (COMMANDS[name].flags for name in ("run", "ls", "find"))


def test_values_stand_after_a_blank_or_an_equals_sign() -> None:
    parsed = parse(["--repo", "a.b", "--repo=c.d=http://x", "--proxy=p", "--", "ls", "--repo"], RUN)
    assert parsed.values == {"repo": ["a.b", "c.d=http://x"], "proxy": ["p"]}
    assert parsed.rest == ["ls", "--repo"]


def test_short_options_can_stand_together() -> None:
    assert set(parse(["-laR", "x.y/z"], LS).values) == {"long", "all", "recursive"}
    assert parse(["-vv", "-v", "--", "x"], RUN).values["verbose"] == ["yes"] * 3


def test_a_value_that_is_optional_needs_the_equals_sign() -> None:
    assert parse(["--stats", "--", "x"], RUN).values["stats"] == ["-"]
    assert parse(["--stats=f", "--", "x"], RUN).values["stats"] == ["f"]


def test_options_may_stand_after_operands_and_dashes_end_them() -> None:
    parsed = parse(["a.b", "-l", "--", "-a"], LS)
    assert (parsed.everything, set(parsed.values)) == (["a.b", "-a"], {"long"})


def test_options_of_one_dash_and_a_word_are_those_of_find() -> None:
    assert parse(["a.b", "-type", "f", "-name", "*.so", "-print0"], FIND).values == {
        "type": ["f"], "name": ["*.so"], "zero": ["yes"]
    }  # fmt: skip


@pytest.mark.parametrize(("words", "message"), [
    (["--zzz"], "unknown option --zzz; --help lists all"),
    (["--prxy", "x"], "unknown option --prxy; did you mean --proxy?"),
    (["-x"], "unknown option -x"),
    (["-vx"], "unknown option -vx"),
    (["--repo"], "after --repo stands NAME[=URL]"),
    (["--repo", "--", "x"], "after --repo stands NAME[=URL]"),
    (["--proxy="], "after --proxy stands PROXIES, and not nothing"),
    (["--offline=yes"], "--offline takes no value; leave out =yes"),
    (["--tag", "a", "--tag", "b"], "--tag is given twice (a and b); give it once"),
])  # fmt: skip
def test_a_mistake_is_one_sentence(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words, RUN)
    assert str(caught.value).startswith(message)


def test_missing_and_surplus_operands_are_named() -> None:
    with pytest.raises(UsageError, match=r"^STORE is missing$"):
        operands(Parsed(), ["STORE"])
    with pytest.raises(UsageError, match=r"^'b' is one operand too many$"):
        operands(Parsed(operands=["a", "b"]), ["STORE"])


def test_every_setting_of_a_flag_is_an_option_of_the_configuration() -> None:
    flags = {flag for command in COMMANDS.values() for flag in command.flags if flag.is_setting}
    assert {flag.key for flag in flags} <= set(OURS)
    assert all(OURS[flag.key].flag in flag.names for flag in flags)


def test_every_option_with_a_flag_has_one_on_the_command_line() -> None:
    names = {name for flag in RUN for name in flag.names}
    assert {option.flag for option in OURS.values() if option.flag} <= names


def test_flags_become_the_strongest_layer() -> None:
    parsed = parse(
        ["--repo", "a.b:v1=/x", "--key", "k", "--key", "l", "-vv", "--offline", "--no-patch", "--", "x"], RUN
    )
    said = overrides(parsed, RUN)
    assert said.repositories == (NamedRepository("a.b", "/x", "v1"),)
    assert said.values == {"keys": ("k", "l"), "verbose": ("2",), "offline": ("yes",), "patch": ("no",)}


@pytest.mark.parametrize(("words", "message"), [
    (["--key", "k"], "--key is about a repository; name it too, with --repo NAME"),
    (["--tag", "t"], "--tag is about a repository; name it too, with --repo NAME"),
    (["--root-hash", "t"], "--root-hash is about a repository; name it too, with --repo NAME"),
    (["--repo", "a.b", "--repo", "a.b=/x"], "--repo a.b is given twice; several servers stand in one URL"),
])  # fmt: skip
def test_flags_that_make_no_sense_together_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        overrides(parse(words, RUN), RUN)
    assert str(caught.value).startswith(message)


def test_tags_of_operands_are_those_of_their_repositories() -> None:
    said = overrides(parse(["--repo", "a.b=/x"], RUN), RUN, [NamedRepository("a.b", "", "v1"), NamedRepository("c.d")])
    assert said.repositories == (NamedRepository("a.b", "/x", "v1"),)
    assert said.operands == ("a.b", "c.d")


def test_one_command_sees_one_revision_of_a_repository() -> None:
    with pytest.raises(UsageError, match=r"a\.b is named with the tags v1 and v2; one command sees one revision"):
        overrides(Parsed(), RUN, [NamedRepository("a.b", "", "v1"), NamedRepository("a.b", "", "v2")])
