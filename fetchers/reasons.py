"""Why an exchange broke, in a few words for people.

Owns the translation of the exceptions of requests, urllib3, http.client, ssl and socket, which wrap one another in
several layers.  Must not import the heavy ones: it knows them by name.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from collections.abc import Iterator

_DEPTH = 12


class Short(Exception):
    """The connection ended before the length that was told."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and whatever it wraps, outermost first."""
    seen: set[int] = set()
    queue = [error]
    while queue and len(seen) < _DEPTH:
        each = queue.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        queue.extend(other for other in inner if isinstance(other, BaseException))


def is_certificate(error: BaseException) -> bool:
    """Whether the peer is not who it should be: asking again will not help, nor will another proxy."""
    return any(isinstance(each, ssl.CertificateError) for each in causes(error))


def is_disconnect(error: BaseException) -> bool:
    """Whether the peer closed the connection without a word (not: was silent for too long)."""
    return any(isinstance(each, ConnectionResetError | BrokenPipeError) for each in causes(error))


def reason(error: BaseException, timeout: float) -> str:
    """A clause without a subject; `timeout` is the one that was in force, in seconds."""
    for each in reversed(list(causes(error))):
        text = _clause(each, timeout)
        if text:
            return text
    return f"could not be asked ({type(error).__name__})"


def _clause(error: BaseException, timeout: float) -> str:
    row = next((text for kind, text in _CLAUSES if isinstance(error, kind)), "")
    if row or not isinstance(error, OSError):
        return row.format(timeout=f"{timeout:g}", tls=getattr(error, "reason", None) or "handshake failed")
    if str(error).startswith("Tunnel connection failed"):
        return "does not let us through to the server"
    return f"is not reachable: {os.strerror(error.errno)}" if error.errno else ""


#: The first row that fits; what a server said itself is never repeated, it may be anything.
_CLAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (Short, "ended its answer too early"),
    (ssl.SSLCertVerificationError, "has a certificate that is not accepted"),
    (ssl.SSLError, "does not speak TLS with us ({tls})"),
    (socket.gaierror, "has a name that cannot be resolved"),
    (TimeoutError, "did not answer within {timeout} s"),
    (http.client.RemoteDisconnected, "closed the connection without an answer"),
    (http.client.IncompleteRead, "ended its answer too early"),
    (http.client.HTTPException, "sent something that is not HTTP"),
)
