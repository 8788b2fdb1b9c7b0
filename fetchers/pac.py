"""Proxy auto-configuration: the word `auto` in a proxy list, and the PAC files it stands for.

Owns where PAC files are looked for and how their answers read in CernVM-FS syntax.  PAC files are JavaScript from the
network, so they run in a process of their own with limits (`pac_child`), never in this one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from hepwrap.errors import ConfigurationError, FetchFailed
from hepwrap.fetchers.blame import Fault
from hepwrap.fetchers.proxies import AUTO, DIRECT, Groups, parse

#: Where the Web Proxy Auto-Discovery protocol has its file.
WPAD = "http://wpad/wpad.dat"
#: Bytes a PAC file may have; seconds it may run.
SIZE_LIMIT = 1024 * 1024
TIME_LIMIT = 10.0

#: (script, URL, host) to what FindProxyForURL returns; raises Fault where the script is broken.
Evaluate = Callable[[str, str, str], str]

_SCHEMES = {"PROXY": "http", "HTTP": "http", "HTTPS": "https"}


def wanted(groups: Groups) -> bool:
    """Whether a proxy list needs a PAC file."""
    return any(AUTO in group for group in groups)


def require_interpreter() -> None:
    """ConfigurationError, in one sentence, where no JavaScript interpreter is installed."""
    from importlib.util import find_spec

    if find_spec("pypac") is None:
        raise ConfigurationError(
            "proxy 'auto' needs a JavaScript interpreter and none is installed; "
            "install the Python package pypac, or name the proxies in CVMFS_HTTP_PROXY or --proxy"
        )


def locations(pac_urls: str) -> list[str]:
    """The PAC files to try in turn, from CVMFS_PAC_URLS."""
    words = [word.strip() for word in pac_urls.split(";") if word.strip()]
    return [WPAD if word.lower() == AUTO else word for word in words] or [WPAD]


def to_groups(answer: str) -> Groups:
    """`PROXY a:3128; PROXY b:3128; DIRECT` as groups to be tried in that order; kinds that are unknown are left out."""
    groups: list[tuple[str, ...]] = []
    for part in answer.split(";"):
        kind, _, address = part.strip().partition(" ")
        if kind.upper() == DIRECT:
            groups.append((DIRECT,))
        elif kind.upper() in _SCHEMES and address.strip():
            groups.extend(parse(f"{_SCHEMES[kind.upper()]}://{address.strip()}"))
    return tuple(groups)


def replace_auto(
    groups: Groups,
    *,
    pac_urls: str,
    servers: Sequence[str],
    load: Callable[[str], bytes],
    evaluate: Evaluate,
    log: Callable[[str], None],
) -> Groups:
    """`groups` with what the first working PAC file says in the place of `auto`.

    `load(location)` raises Fault.  FetchFailed where no PAC file names a proxy for any of `servers` and nothing but
    `auto` was in the list.
    """
    found: Groups = ()
    for location in locations(pac_urls):
        try:
            found = _ask(load(location).decode("utf-8", "replace"), servers, evaluate)
        except (Fault, ConfigurationError) as problem:
            log(f"proxy auto-configuration: {location} {problem}")
            continue
        if found:
            break
    result = [found if AUTO in group else (group,) for group in groups]
    flat = tuple(group for part in result for group in part if group)
    if not flat:
        raise FetchFailed(
            f"no proxy auto-configuration file at {' or '.join(locations(pac_urls))} names a proxy; "
            "name the proxies in CVMFS_HTTP_PROXY or --proxy"
        )
    return flat


def _ask(script: str, servers: Sequence[str], evaluate: Evaluate) -> Groups:
    for server in servers:
        groups = to_groups(evaluate(script, server, urlsplit(server).hostname or ""))
        if groups:
            return groups
    return ()


def run_in_child(script: str, url: str, host: str, *, cpu_seconds: int = 5) -> str:
    """FindProxyForURL(url, host) of `script`, by `python -m hepwrap.fetchers.pac_child`; Fault where it fails."""
    import json
    import subprocess

    question = json.dumps({"script": script, "url": url, "host": host, "cpu_seconds": cpu_seconds}).encode()
    command = [sys.executable, "-I", "-m", "hepwrap.fetchers.pac_child"]
    try:
        done = subprocess.run(command, input=question, capture_output=True, timeout=TIME_LIMIT, check=False)
    except subprocess.TimeoutExpired as error:
        raise Fault(f"did not end within {TIME_LIMIT:g} s") from error
    except OSError as error:
        raise Fault("cannot be run") from error
    answer = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode != 0 or re.fullmatch(r"[\x20-\x7e]{0,2000}", answer) is None:
        raise Fault("is not a working proxy auto-configuration file")
    return answer
