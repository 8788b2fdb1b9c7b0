"""Proxy lists as CernVM-FS writes them: `p1|p2;p3;DIRECT` (format notes, section 12).

Owns the syntax and what host names in it mean.  Must not know how proxies are used or when they fail (`failover`).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit, urlunsplit

from hepwrap.errors import ConfigurationError
from hepwrap.fetchers.names import without_password

DIRECT = "DIRECT"
AUTO = "auto"

Groups = tuple[tuple[str, ...], ...]
#: Host name to its addresses, in order of preference; empty where it has none.
Resolve = Callable[[str], Sequence[str]]

#: Addresses of one name that become members of its group.
MAX_ADDRESSES = 16


def parse(proxy: str, fallback: str = "") -> Groups:
    """Groups in order, each a tuple of proxy URLs or DIRECT; the word `auto` stays as it is.

    Fallback groups come last, and DIRECT leaves the main list when there are any.  ConfigurationError where the main
    list is empty (as for the real client, asking servers directly must be said) or a member is no proxy.
    """
    main = _split(proxy)
    if not main:
        raise ConfigurationError(
            "no proxy is set; set CVMFS_HTTP_PROXY or --proxy to your site's proxies, or to DIRECT to use none"
        )
    extra = _split(fallback)
    if extra:
        main = [[member for member in group if member != DIRECT] for group in main]
    return tuple(tuple(group) for group in (*main, *extra) if group)


def _split(text: str) -> list[list[str]]:
    groups = [[_member(word.strip()) for word in group.split("|") if word.strip()] for group in text.split(";")]
    return [list(dict.fromkeys(group)) for group in groups if group]


def _member(word: str) -> str:
    if word.upper() == DIRECT:
        return DIRECT
    if word.lower() == AUTO:
        return AUTO
    url = word if "://" in word else f"http://{word}"
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/")
        good = good and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"\s", url):
        raise ConfigurationError(f"{without_password(word)!r} is not a proxy; write http://host:port, DIRECT or auto")
    return url.rstrip("/")


def expand(groups: Groups, resolve: Resolve) -> Groups:
    """Each host name with several addresses becomes that many members of its group.

    One address or none: the name stays, so that whoever connects looks it up again and says what is wrong with it.
    https proxies stay too, since their certificate is for the name.
    """
    spread = [[url for member in group for url in _by_address(member, resolve)] for group in groups]
    return tuple(tuple(dict.fromkeys(group)) for group in spread)


def has_names(groups: Groups) -> bool:
    """Whether any member is to be looked up in the DNS."""
    return any(_name_of(member) is not None for group in groups for member in group)


def _by_address(member: str, resolve: Resolve) -> list[str]:
    name = _name_of(member)
    addresses = resolve(name)[:MAX_ADDRESSES] if name is not None else []
    return [_with_host(member, address) for address in addresses] if len(addresses) > 1 else [member]


def _name_of(member: str) -> str | None:
    """The host name that may have several addresses; None where the member is to be left alone."""
    parts = urlsplit(member)
    if parts.scheme != "http" or not parts.hostname:
        return None
    try:
        ipaddress.ip_address(parts.hostname)
    except ValueError:
        return parts.hostname
    return None


def _with_host(url: str, host: str) -> str:
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    port = f":{parts.port}" if parts.port is not None else ""
    return urlunsplit(parts._replace(netloc=f"{user}{at}{f'[{host}]' if ':' in host else host}{port}"))


def addresses_of(name: str) -> list[str]:
    """IPv4 addresses of `name`, or else its IPv6 addresses (the real client's default preference); [] where unknown."""
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    old = [str(address[0]) for family, _, _, _, address in answers if family == socket.AF_INET]
    new = [str(address[0]) for family, _, _, _, address in answers if family == socket.AF_INET6]
    return list(dict.fromkeys(old or new))


def as_text(groups: Sequence[Sequence[str]]) -> str:
    """The groups in the syntax they were read from, without passwords."""
    return ";".join("|".join(without_password(member) for member in group) for group in groups)
