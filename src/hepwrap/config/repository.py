"""From what all layers say about one repository to its `RepositorySettings`.

Owns the rules between options: which of two wins, where keys come from, what a template becomes.  Must not know how
layers are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hepwrap.config import keys
from hepwrap.config.client_files import ETC, ClientLayer
from hepwrap.config.held_file import is_held
from hepwrap.config.layers import BuiltIn
from hepwrap.config.origin import Value
from hepwrap.config.parameters import BY_KEY, OPTIONS
from hepwrap.config.sources import Sources
from hepwrap.config.stack import Stack
from hepwrap.errors import ConfigurationError
from hepwrap.records import dataclass
from hepwrap.settings import FetchSettings, RepositorySettings

_PINS = ("tag", "root_hash", "date")
_PATHS = ("uid_map", "gid_map")
#: Options with rules of their own below; all others become the field that their row names.
_SPECIAL = frozenset(
    {"url", "keys", "keys_directory", "blacklist", "magic_xattrs_visibility", "hide_magic_xattrs", *_PATHS}
)


@dataclass(frozen=True, slots=True)
class View:
    """One repository as the configuration sees it."""

    fqrn: str
    stack: Stack
    #: One of the layers of `stack`.
    client: ClientLayer
    #: The client's files, those of the configuration repository included.
    sources: Sources
    #: Directory of the client's files in the configuration repository; "" where that plays no part.
    config_directory: str
    #: Values for variant links that hepwrap.toml gives.
    variables: Mapping[str, str]

    def sources_of(self, key: str) -> Sources:
        """Where the paths of an option are: the client's may stand in the configuration repository."""
        rank = self.stack.rank(key)
        is_client = rank < len(self.stack.layers) and self.stack.layers[rank] is self.client
        return self.sources if is_client else Sources(Path("/"))


def build(view: View, *, offline: bool) -> RepositorySettings:
    """All settings of a repository whose servers are known; ConfigurationError or UsageError names the place."""
    fields: dict[str, dict[str, Any]] = {"fetch": {}, "repository": {}}
    for option in OPTIONS:
        room, _, field = option.target.partition(".")
        if room in fields and option.key not in _SPECIAL and not _is_outdone(option.key, view.stack):
            value = view.stack.read(option.key)
            if value is not None:
                fields[room][field] = value
    own, fetch = fields["repository"], fields["fetch"]
    for name in _PATHS:
        path = view.stack.read(name)
        own[name] = view.sources_of(name).path(path) if path else None
    own.update(_visibility(view.stack))
    return RepositorySettings(
        name=view.fqrn,
        fetch=FetchSettings(servers=_servers(view), offline=offline, **fetch),
        public_keys=_public_keys(view),
        blacklists=_blacklists(view),
        variables={**view.client.variables(), **view.variables},
        **own,
    )


def _servers(view: View) -> tuple[str, ...]:
    value = view.stack.get("url") or Value((), keys.NOWHERE)
    for url in value.items:
        if any(character.isspace() for character in url):
            raise value.origin.error(f"{url!r} is no address: there is a blank in it; several are separated by `;`")
    org = view.fqrn.partition(".")[0]
    return tuple(url.replace("@fqrn@", view.fqrn).replace("@org@", org) for url in value.items)


def _is_outdone(key: str, stack: Stack) -> bool:
    """Whether what was said of `key` does not count, since a stronger layer has said something that excludes it.

    Of tag, root hash and date the strongest layer's counts; servers in an order of one's own are not put into another
    one by what a weaker layer says of distances.
    """
    rank = stack.rank(key)
    if key == "geo_api":
        return stack.rank("url") < rank
    if key not in _PINS or rank == len(stack.layers):
        return False
    ranks = [stack.rank(other) for other in _PINS if other != key]
    value = stack.get(key)
    if rank in ranks and value is not None:
        raise value.origin.error(f"{stack.fqrn} can have a tag, a root hash or a date, not two of them; leave one out")
    return min(ranks) < rank


def _visibility(stack: Stack) -> dict[str, Any]:
    """Of the two parameters about magic attributes the newer one wins, unless a stronger layer has the older."""
    best = min(("magic_xattrs_visibility", "hide_magic_xattrs"), key=stack.rank)
    value = stack.read(best)
    return {} if value is None else {"magic_xattrs_visibility": value}


def _public_keys(view: View) -> tuple[Path, ...]:
    """CVMFS_PUBLIC_KEY (or --key) wins over a directory; the installed keys of a domain over those built in."""
    stack = view.stack
    best = min(("keys", "keys_directory"), key=stack.rank)
    value, rank = stack.get(best), stack.rank(best)
    if value is None:
        found = keys.of_domain(view.fqrn, view.sources) or keys.of_all_domains(view.sources)
        if found:
            return found
        raise ConfigurationError(
            f"no master public key is known for {view.fqrn}, so nothing it says could be believed; "
            f"name one with --key FILE"
        )
    if isinstance(stack.layers[rank], BuiltIn) or _is_an_empty_default(view, best):
        return keys.of_domain(view.fqrn, view.sources) or _built_in(view)
    sources = view.sources_of(best)
    return keys.from_files(value, sources) if best == "keys" else keys.from_directory(value, sources)


def _is_an_empty_default(view: View, best: str) -> bool:
    """Whether the client's files name a directory without keys, for servers that are built in.

    Packages set CVMFS_KEYS_DIR for all domains, and put the keys of each into a directory below it.
    """
    stack = view.stack
    return (
        best == "keys_directory"
        and isinstance(stack.layers[stack.rank("url")], BuiltIn)
        and stack.layers[stack.rank(best)] is view.client
        and stack.items(best) == (keys.DEFAULT_DIRECTORY,)
        and not view.sources.listed(keys.DEFAULT_DIRECTORY, ".pub")
    )


def _built_in(view: View) -> tuple[Path, ...]:
    value = view.stack.layers[-1].get(BY_KEY["keys"], view.fqrn)
    return () if value is None else keys.from_files(value, Sources(Path("/")))


def _blacklists(view: View) -> tuple[Path, ...]:
    """The one that was said, else the client's; and that of the configuration repository, where it has one."""
    said = view.stack.items("blacklist")
    if said:
        found = [view.sources_of("blacklist").path(path) for path in said]
    else:
        found = [view.sources.path(f"{ETC}/blacklist")]
    if view.config_directory:
        theirs = view.sources.path(f"{view.config_directory}/blacklist")
        found += [theirs] if is_held(theirs) else []
    return tuple(found)
