"""Whose fault it is that there are no bytes, as a value.

Owns the kinds of fault and the table from HTTP status to kind (format notes, section 12).
Must not know what is done about it: that is `failover`, `retry` and `walk`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Blame(Enum):
    """Who is to be left out of the next try."""

    MISSING = "the server does not have it"
    SERVER = "the server"
    PROXY = "the proxy"


class Fault(Exception):
    """One place gave no bytes.  Never leaves this room: `verdicts` makes one of `hepwrap.errors` of it.

    `text` is a clause without a subject ("refused the connection"); `transient`: the same URL may work in a moment.
    """

    def __init__(self, text: str, blame: Blame = Blame.SERVER, *, transient: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.blame = blame
        self.transient = transient

    @classmethod
    def missing(cls, text: str = "does not have it") -> Fault:
        """The place works, and says that it has no such name."""
        return cls(text, Blame.MISSING)


#: Answers that send one elsewhere; not followed unless CVMFS_FOLLOW_REDIRECTS says so.
REDIRECTS = frozenset({301, 302, 303, 307, 308})


def fault_of_answer(status: int, headers: Mapping[str, str], *, via_proxy: bool) -> Fault | None:
    """None for a usable answer (2xx), else whose fault it is; `headers` must look up without regard to case.

    A proxy that makes up an answer of its own says so in X-Squid-Error, or in Proxy-Status with `error=` (RFC 9209).
    """
    if 200 <= status < 300:
        return None
    if via_proxy and _proxy_says_it_was_me(headers):
        return Fault(f"answered HTTP {status} of its own", Blame.PROXY)
    if status == 404:
        return Fault.missing("answered HTTP 404")
    if status in REDIRECTS:
        return Fault(f"redirects elsewhere (HTTP {status}), which is not followed unless allowed")
    if status == 400 or 500 <= status < 600:
        return Fault(f"answered HTTP {status}")
    blame = Blame.PROXY if via_proxy else Blame.SERVER
    # 429 counts as a connection that failed: worth a pause and another try.
    return Fault(f"answered HTTP {status}", blame, transient=status == 429)


def _proxy_says_it_was_me(headers: Mapping[str, str]) -> bool:
    return "X-Squid-Error" in headers or "error=" in headers.get("Proxy-Status", "")
