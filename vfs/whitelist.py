"""The whitelist `.cvmfswhitelist`: which certificates the master key accepts, and until when (format notes, section 5).

Pure: bytes in, `Whitelist` out; checks form only, `trust` checks signature, name, expiry and fingerprint.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hepwrap.errors import Unsupported, UntrustedManifest
from hepwrap.records import dataclass
from hepwrap.vfs.envelope import Envelope, split

NAME = ".cvmfswhitelist"

_DATE = re.compile(rb"[0-9]{14}")
_COMMENT = re.compile(rb"[ \t#]")
_FINGERPRINT = re.compile(r"(?:[0-9A-F]{2}:){19}[0-9A-F]{2}(?:|-RMD160|-SHAKE128)")
#: Markers that change how a whitelist is verified, with what hepwrap lacks for them.
_MARKERS = {
    b"Vpkcs7": "verifies its whitelist by a detached PKCS#7 file",
    b"Wcachain": "wants its certificate checked against certificate authorities and revocation lists",
}


@dataclass(frozen=True, slots=True)
class Whitelist:
    """The accepted fingerprints of one repository."""

    envelope: Envelope
    name: str
    #: Seconds since 1970; the list holds before the full hour that this lies in.
    expires: int
    fingerprints: frozenset[str]


def parse(data: bytes, *, what: str, limit: int) -> Whitelist:
    """The whitelist in `data`; UntrustedManifest for a malformed one, Unsupported for the two variants we lack."""
    envelope = split(data, what=what, limit=limit)
    lines = envelope.lines
    if len(lines) < 3 or len(lines[1]) != 15 or lines[1][:1] != b"E" or lines[2][:1] != b"N":
        raise UntrustedManifest(f"{what}: it does not begin with its time, its expiry and its repository's name")
    _time(lines[0], what)
    expires = _time(lines[1][1:], what)
    for line in lines[3:]:
        if line in _MARKERS:
            raise Unsupported(f"{what}: the repository {_MARKERS[line]}, which hepwrap does not do")
    return Whitelist(
        envelope=envelope,
        name=lines[2][1:].decode("latin-1"),
        expires=expires - expires % 3600,
        fingerprints=frozenset(_fingerprint(line, what) for line in lines[3:] if _without_comment(line)),
    )


def _time(text: bytes, what: str) -> int:
    """Seconds since 1970 for `YYYYMMDDhhmmss` in UTC."""
    if not _DATE.fullmatch(text):
        raise UntrustedManifest(f"{what}: {_show(text)} is no time of the form YYYYMMDDhhmmss")
    try:
        month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
        return int(datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=UTC).timestamp())
    except ValueError:
        raise UntrustedManifest(f"{what}: {_show(text)} is no time that exists") from None


def fingerprint_of_line(line: str) -> str | None:
    """The fingerprint that a line holds, upper-cased and without its comment; None where it holds another thing."""
    text = _without_comment(line.encode("utf-8", "surrogateescape")).decode("latin-1").upper()
    return text if _FINGERPRINT.fullmatch(text) else None


def _fingerprint(line: bytes, what: str) -> str:
    found = fingerprint_of_line(line.decode("latin-1"))
    if found is None:
        raise UntrustedManifest(f"{what}: the line {_show(line)} is no certificate fingerprint")
    return found


def _without_comment(line: bytes) -> bytes:
    return _COMMENT.split(line, maxsplit=1)[0]


def _show(value: bytes) -> str:
    return ascii(value[:80].decode("latin-1"))
