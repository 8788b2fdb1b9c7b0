"""Which class fetches from which kind of address.

Owns the table of schemes and the way third parties add to it (entry points of the group `hepwrap.fetchers`, named by
scheme; see docs/adding-a-fetcher.md).  The only module of this room that knows the classes by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from hepwrap.errors import ConfigurationError
from hepwrap.fetchers.chain import ChainFetcher
from hepwrap.fetchers.fetcher import Fetcher
from hepwrap.fetchers.names import without_password
from hepwrap.fetchers.walk import silent
from hepwrap.records import replace
from hepwrap.settings import FetchSettings

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "hepwrap.fetchers"

#: Looked at before any entry point: scanning the installed packages takes longer than reading a small repository.
_BUILT_IN = {
    "file": ("hepwrap.fetchers.directory", "DirectoryFetcher"),
    "http": ("hepwrap.fetchers.http", "HttpFetcher"),
    "https": ("hepwrap.fetchers.http", "HttpFetcher"),
}
#: Schemes that `offline` leaves.
_LOCAL = frozenset({"file"})

#: Called as `factory(settings, fqrn=..., log=...)`, with the servers of its own kind in `settings.servers`.
Factory = Callable[..., Fetcher]


def scheme_of(server: str) -> str:
    """`http` of `http://host/...`; `file` for a plain path."""
    if server.lower().startswith("file:"):
        return "file"
    scheme, separator, _ = server.partition("://")
    return scheme.lower() if separator else "file"


def is_local(settings: FetchSettings) -> bool:
    """Whether one of the servers is on this machine, so that asking costs nothing."""
    return any(scheme_of(server) in _LOCAL for server in settings.servers)


def open_fetcher(settings: FetchSettings, *, fqrn: str, log: Callable[[str], None] = silent) -> Fetcher:
    """The fetcher for `settings.servers`; ConfigurationError where there is none for one of them.

    Nothing is asked of anyone yet.  Neighbours of one kind become one fetcher; several kinds are asked in their order.
    """
    servers = _usable(settings, fqrn)
    found = [(_factory(scheme_of(server), server, fqrn), server) for server in servers]
    fetchers: list[Fetcher] = [
        factory(replace(settings, servers=tuple(server for _, server in group)), fqrn=fqrn, log=log)
        for factory, group in groupby(found, key=lambda pair: pair[0])
    ]
    if len(fetchers) == 1:
        return fetchers[0]
    return ChainFetcher(fetchers, reset_after=settings.host_reset_after)


def _usable(settings: FetchSettings, fqrn: str) -> list[str]:
    if not settings.servers:
        raise ConfigurationError(f"no server is known for {fqrn}; name one with --repo {fqrn}=URL or CVMFS_SERVER_URL")
    servers = [server for server in settings.servers if not settings.offline or scheme_of(server) in _LOCAL]
    if not servers:
        raise ConfigurationError(
            f"{fqrn} has only servers on a network, and --offline forbids to ask them; "
            f"name a directory with --repo {fqrn}=/PATH or leave --offline out"
        )
    return servers


def _factory(scheme: str, server: str, fqrn: str) -> Factory:
    if scheme in _BUILT_IN:
        module, name = _BUILT_IN[scheme]
        return cast(Factory, getattr(import_module(module), name))
    installed = {point.name: point for point in _third_parties()}
    if scheme not in installed:
        known = ", ".join(sorted({*_BUILT_IN, *installed}))
        raise ConfigurationError(
            f"{fqrn}: nothing installed can fetch {scheme}:// ({without_password(server)}); "
            f"there are fetchers for {known}"
        )
    return _load(installed[scheme])


def _third_parties() -> Iterable[EntryPoint]:
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def _load(point: EntryPoint) -> Factory:
    try:
        loaded: Any = point.load()
    except Exception as error:  # Whatever a stranger's module does when imported, it is a sentence and not a traceback.
        raise ConfigurationError(
            f"the fetcher for {point.name}:// ({point.value}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return cast(Factory, loaded)
