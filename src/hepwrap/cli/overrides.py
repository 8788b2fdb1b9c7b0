"""From the options of a command line to what `config` takes as its strongest layer."""

from __future__ import annotations

from collections.abc import Iterable

from hepwrap.cli.arguments import Parsed
from hepwrap.cli.options import Flag, Kind
from hepwrap.config import NamedRepository, Overrides, parse_repository
from hepwrap.config.origin import Origin
from hepwrap.errors import UsageError

_ABOUT_NAMED = {"keys": "--key", "tag": "--tag", "root_hash": "--root-hash"}


def overrides(parsed: Parsed, flags: Iterable[Flag], operands: Iterable[NamedRepository] = ()) -> Overrides:
    """What the flags say; `operands` are repositories that the command is about, perhaps with a tag."""
    values: dict[str, tuple[str, ...]] = {}
    for flag in flags:
        if flag.is_setting and flag.key != "repo" and parsed.has(flag.key):
            said = parsed.values[flag.key]
            values[flag.key] = (str(len(said)),) if flag.kind is Kind.COUNT else tuple(said)
    named = [parse_repository(text, Origin.flag("--repo")) for text in parsed.values.get("repo", ())]
    _check_once(named)
    about = list(operands)
    if not named and not about:
        for key, flag_name in _ABOUT_NAMED.items():
            if key in values:
                raise UsageError(f"{flag_name} is about a repository; name it too, with --repo NAME")
    return Overrides(tuple(_with_tags(named, about)), values, tuple(each.name for each in about))


def _check_once(named: list[NamedRepository]) -> None:
    seen: set[str] = set()
    for each in named:
        if each.name in seen:
            raise UsageError(f"--repo {each.name} is given twice; several servers stand in one URL, with `;` between")
        seen.add(each.name)


def _with_tags(named: list[NamedRepository], about: list[NamedRepository]) -> list[NamedRepository]:
    """Tags of operands (`NAME:TAG/PATH`) put where those of --repo are."""
    merged = {each.name: each for each in named}
    tagged: dict[str, str] = {}
    for each in about:
        before = merged.get(each.name)
        known = tagged.setdefault(each.name, each.tag or (before.tag if before else ""))
        if each.tag and known != each.tag:
            raise UsageError(
                f"{each.name} is named with the tags {known} and {each.tag}; one command sees one revision"
            )
        if each.tag:
            merged[each.name] = NamedRepository(each.name, before.url if before else "", each.tag)
    return list(merged.values())
