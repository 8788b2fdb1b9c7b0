"""Servers in order of distance, as the Geo-API of a stratum-1 server sees it (format notes, section 12).

Owns the question and what counts as an answer.  Pure: asking and randomness are arguments.  A wrong answer can only
make things slow, so a bad one is left aside and the configured order stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from urllib.parse import quote, urlsplit

from hepwrap.fetchers.blame import Fault
from hepwrap.fetchers.proxies import DIRECT

#: Servers that are asked before giving up, and bytes that an answer may have.
SERVERS_ASKED = 3
ANSWER_LIMIT = 4096


def url(server: str, token: str, servers: Sequence[str]) -> str:
    """The address to ask at `server` (a base URL) for the order of `servers`."""
    hosts = ",".join(quote(urlsplit(each).hostname or "", safe="") for each in servers)
    return f"{server.rstrip('/')}/api/v1.0/geo/{quote(token, safe='')}/{hosts}"


def token(template: str, proxy: str) -> str:
    """Who is asking: the administrator's name for the site, else the proxy's host, else anybody."""
    from uuid import uuid4

    return template or (str(uuid4()) if proxy == DIRECT else urlsplit(proxy).hostname or "none")


def parse(answer: bytes, count: int) -> list[int] | None:
    """The 0-based order from `2,1,3\\n`; None unless it names each of 1 to `count` exactly once."""
    text = answer.strip()
    if len(answer) > ANSWER_LIMIT or re.fullmatch(rb"[0-9]{1,6}(,[0-9]{1,6})*", text) is None:
        return None
    order = [int(number) - 1 for number in text.split(b",")]
    return order if sorted(order) == list(range(count)) else None


def ordered(
    servers: Sequence[str], ask: Callable[[str], bytes], *, random: Random, log: Callable[[str], None]
) -> list[str]:
    """`servers`, nearest first, or as they were; `ask(server)` returns the answer of one server or raises Fault."""
    for server in random.sample(list(servers), min(SERVERS_ASKED, len(servers))):
        try:
            order = parse(ask(server), len(servers))
        except Fault as fault:
            log(f"geo: {server} {fault.text}")
            continue
        if order is not None:
            return [servers[index] for index in order]
        log(f"geo: {server} gave no usable order")
    return list(servers)
