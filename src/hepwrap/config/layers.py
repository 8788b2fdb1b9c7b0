"""Layers of configuration: who may say something about an option, for a repository or for the job.

Owns the flags, the environment and what is built in.  A layer answers a question; `loaded` asks them in their order.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from hepwrap.config.origin import BUILT_IN, Origin, Value
from hepwrap.config.parameters import OURS, Option, Scope
from hepwrap.config.parse import is_repository_name
from hepwrap.records import dataclass, field

#: Where the built-in servers and keys stand.
DATA = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class NamedRepository:
    """A repository named by `--repo NAME[:TAG][=URL]`."""

    name: str
    url: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says: repositories, and the text of options by key."""

    repositories: tuple[NamedRepository, ...] = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Repositories that are operands of the command: `--key` and `--tag` speak for them too.
    operands: tuple[str, ...] = ()


class Layer(Protocol):
    """Somebody who may have said something."""

    def get(self, option: Option, fqrn: str | None) -> Value | None:
        """What was said about `option` for a repository (None: for the job); None where nothing was."""
        ...

    def name_of(self, option: Option) -> str:
        """What `option` is called here."""
        ...


def parse_repository(text: str, origin: Origin) -> NamedRepository:
    """`NAME[:TAG][=URL]`; the error names the place."""
    name, _, url = text.strip().partition("=")
    name, colon, tag = name.partition(":")
    if not is_repository_name(name):
        raise origin.error(f"{name[:80]!r} is no name of a repository; say NAME or NAME=URL, such as atlas.cern.ch")
    if colon and not tag:
        raise origin.error(f"after {name}: stands the name of a tag")
    if "=" in text and not url:
        raise origin.error(f"after {name}= stands where the repository is: http://..., file:///... or a directory")
    return NamedRepository(name, url, tag)


def split(option: Option, text: str) -> tuple[str, ...]:
    """The items of an option's text."""
    if not option.separator:
        return (text,)
    pattern = r"[,\s]+" if option.separator == "," else re.escape(option.separator)
    return tuple(item.strip() for item in re.split(pattern, text) if item.strip())


def located(option: Option, items: tuple[str, ...], base: Path) -> tuple[str, ...]:
    """Items with relative paths made absolute, seen from the directory `base`."""
    if option.is_path:
        return tuple(os.path.normpath(base / item) if item else item for item in items)
    if option.key == "bind":
        return tuple(located_bind(item, base) for item in items)
    if option.key == "url":
        return tuple(located_url(item, base) for item in items)
    return items


def located_url(url: str, base: Path) -> str:
    """A plain directory as an absolute path; addresses as they are."""
    if "://" in url or url.lower().startswith("file:"):
        return url
    return os.path.normpath(base / url)


def located_bind(text: str, base: Path) -> str:
    """`PLACE=HOST` with HOST as an absolute path; `PLACE` alone as it is."""
    place, equals, host = text.partition("=")
    return f"{place}={os.path.normpath(base / host)}" if equals and host else text


class Arguments:
    """What was said for this run: flags, or the HEPWRAP_ variables.

    Options about one repository speak for those that are `named` (on the command line, or in HEPWRAP_REPO).
    """

    def __init__(
        self, values: Mapping[str, Value], repositories: Mapping[str, dict[str, Value]], named: frozenset[str]
    ) -> None:
        self._values, self.repositories, self.named = values, repositories, named

    def get(self, option: Option, fqrn: str | None) -> Value | None:
        """See Layer."""
        own = self.repositories.get(fqrn or "", {}).get(option.key)
        if own is not None:
            return own
        if option.scope in (Scope.NAMED, Scope.ONE) and fqrn not in self.named:
            return None
        return self._values.get(option.key)

    def name_of(self, option: Option) -> str:
        """See Layer."""
        return option.key


def from_flags(overrides: Overrides, cwd: Path) -> Arguments:
    """The strongest layer."""
    values = {
        key: Value(located(OURS[key], items, cwd), Origin.flag(OURS[key].flag))
        for key, items in overrides.values.items()
    }
    named = frozenset({*(each.name for each in overrides.repositories), *overrides.operands})
    return Arguments(values, _own(overrides.repositories, Origin.flag("--repo"), cwd), named)


def from_environment(environ: Mapping[str, str], cwd: Path, named: frozenset[str]) -> Arguments:
    """HEPWRAP_ variables; other names that begin so are nobody's business here."""
    values: dict[str, Value] = {}
    for key, option in OURS.items():
        variable = next((name for name in option.variables if environ.get(name)), None)
        if variable is not None:
            items = located(option, split(option, environ[variable]), cwd)
            values[key] = Value(items, Origin.environment(variable))
    origin = Origin.environment("HEPWRAP_REPO")
    repositories = [parse_repository(item, origin) for item in values.get("repo", Value((), origin)).items]
    everyone = named | {each.name for each in repositories}
    return Arguments(values, _own(tuple(repositories), origin, cwd), everyone)


def _own(repositories: tuple[NamedRepository, ...], origin: Origin, cwd: Path) -> dict[str, dict[str, Value]]:
    """For each repository the options that its own name carries."""
    own: dict[str, dict[str, Value]] = {}
    for each in repositories:
        said = own.setdefault(each.name, {})
        if each.url:
            said["url"] = Value(located(OURS["url"], split(OURS["url"], each.url), cwd), origin)
        if each.tag:
            said["tag"] = Value((each.tag,), origin)
    return own


class BuiltIn:
    """Servers and keys of the public domains, and no proxy: the weakest layer."""

    def __init__(self) -> None:
        self._domains: dict[str, dict[str, Value]] | None = None

    def get(self, option: Option, fqrn: str | None) -> Value | None:
        """See Layer."""
        if option.key == "proxy":
            return Value(("DIRECT",), BUILT_IN)
        if fqrn is None or option.key not in ("url", "keys", "geo_api"):
            return None
        if self._domains is None:
            self._domains = read_domains(DATA / "domains.tsv")
        return self._domains.get(fqrn.partition(".")[2], {}).get(option.key)

    def name_of(self, option: Option) -> str:
        """See Layer."""
        return option.key


def read_domains(path: Path) -> dict[str, dict[str, Value]]:
    """The table of public domains: name, servers, keys, whether the servers order themselves by distance."""
    domains: dict[str, dict[str, Value]] = {}
    for line in path.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, servers, keys, geo_api = line.split("\t")
            domains[name] = {
                "url": Value(tuple(servers.split(";")), BUILT_IN),
                "keys": Value(tuple(str(DATA / "keys" / key) for key in keys.split(",")), BUILT_IN),
                "geo_api": Value((geo_api,), BUILT_IN),
            }
    return domains
