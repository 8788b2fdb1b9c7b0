"""What was seen of each repository, so that nobody can take it back to an older revision (design, section 5); which
signatures were verified, and what servers said, so that neither need be done again.

Owns the files below the user's state directory: one per repository name, a record per master key, replaced atomically
under a lock between simultaneous jobs.  A repository of the same name with other master keys has its own record, so
it neither inherits nor spoils anything.  The directory may be broken or read-only: that costs one warning, not the job.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hepwrap.digest import Digest
from hepwrap.errors import CorruptObject, UntrustedManifest
from hepwrap.records import as_mapping, dataclass
from hepwrap.vfs.manifest import Manifest
from hepwrap.vfs.recent import Answers

_VERSION = 1
_MAX_BYTES = 1024 * 1024
#: Names of verified signatures that are kept for one repository: manifest and whitelist, of some servers and keys.
_MOST_VERIFIED = 16
#: Looks at the lock of another job before going on without it, and seconds between two of them.
_LOCK_TRIES, _LOCK_PAUSE = 40, 0.05

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest revision that was verified and loaded."""

    revision: int
    root_hash: str
    #: When it was published, seconds since 1970.
    timestamp: int


def check_not_back(manifest: Manifest, seen: Seen | None, place: str) -> None:
    """UntrustedManifest where `manifest` is older than, or contradicts, what was seen; `place` is where that stands."""
    if seen is None or manifest.revision > seen.revision:
        return
    if manifest.revision < seen.revision:
        raise UntrustedManifest(
            f"manifest of {manifest.name}: it goes back to revision {manifest.revision}, but {seen.revision} was seen "
            f"before; try another server, or ask for that revision with --tag or --root-hash (remembered in {place})"
        )
    if str(manifest.root_hash) != seen.root_hash:
        raise UntrustedManifest(
            f"manifest of {manifest.name}: revision {seen.revision} was seen before with another root catalogue "
            f"({seen.root_hash}, now {manifest.root_hash}); if the repository was rebuilt on purpose, remove {place}"
        )


class StateDirectory:
    """`path` need not exist.  Safe for any number of processes."""

    def __init__(self, path: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.path = path
        self._sleep = sleep
        self._warned: set[str] = set()

    def file_of(self, name: str) -> Path:
        """Where the records of a repository stand."""
        return self.path / f"{name}.json"

    def recall(self, name: str, keys: Collection[str], warn: Warn) -> Seen | None:
        """The highest revision seen under any of the master keys `keys` (their identities)."""
        records = self._read(name, warn)
        found = [record for key, record in records.items() if key in keys]
        return max(found, key=lambda record: record.revision, default=None)

    def verified(self, name: str) -> list[str]:
        """Names of signatures that were verified here (`Signatures`)."""
        found = self._own(name).get("verified")
        return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []

    def answers(self, name: str) -> Answers | None:
        """What the servers of a repository have said (`recent`); None where that is not known."""
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            kept = self._own(name)["answers"]
            files = {str(each): a2b_base64(text, strict_mode=True) for each, text in kept["files"].items()}
            return Answers(float(kept["at"]), str(kept["origin"]), files)
        return None

    def remember(
        self,
        name: str,
        key: str,
        seen: Seen,
        warn: Warn,
        verified: Sequence[str] = (),
        answers: Answers | None = None,
    ) -> None:
        """Record `seen`, unless another job has recorded a higher revision meanwhile, and what was `verified`.

        `answers`: what servers said this time; None leaves what was recorded of that.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked(name):
                records, before, said = self._read(name, warn), self.verified(name), self.answers(name)
                is_newer = key not in records or records[key].revision < seen.revision
                if is_newer or not set(verified) <= set(before) or answers not in (None, said):
                    newest = list(dict.fromkeys([*verified, *before]))[:_MOST_VERIFIED]
                    self._replace(name, records | {key: seen} if is_newer else records, newest, answers or said)
        except OSError as error:
            self._warn_once(
                warn,
                f"{self.path}: the revision seen of {name} cannot be remembered ({error.strerror}); going on without",
            )

    def _own(self, name: str) -> dict[str, Any]:
        """What stands in the file of a repository, where nobody but this user can have written it; else nothing.

        What is lost so is verified and asked for once more.
        """
        with suppress(OSError, ValueError, RecursionError), self.file_of(name).open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid == os.geteuid() and not status.st_mode & 0o022:
                found = json.loads(file.read(_MAX_BYTES))
                return found if isinstance(found, dict) else {}
        return {}

    def _read(self, name: str, warn: Warn) -> dict[str, Seen]:
        path = self.file_of(name)
        try:
            with path.open("rb") as file:
                return _decode(file.read(_MAX_BYTES))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            why = error.strerror or "unreadable"
        except (ValueError, RecursionError, CorruptObject):
            why = "damaged"
        self._warn_once(
            warn, f"{path}: what was seen of {name} is lost ({why}); going back cannot be noticed this time"
        )
        return {}

    def _replace(self, name: str, records: dict[str, Seen], verified: list[str], answers: Answers | None) -> None:
        seen = {key: as_mapping(record) for key, record in records.items()}
        body: dict[str, object] = {"version": _VERSION, "seen": seen, "verified": verified}
        if answers is not None:
            files = {name: b2a_base64(data, newline=False).decode() for name, data in answers.files.items()}
            body["answers"] = {"at": answers.at, "origin": answers.origin, "files": files}
        path = self.file_of(name)
        new = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
        try:
            # Whatever the umask says: what others can write to is not believed.
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
                file.write(json.dumps(body, indent=1) + "\n")
            new.replace(path)
        finally:
            with suppress(OSError):
                new.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """The lock of `name`, or after a while without it: records only ever grow, and a job must not hang."""
        descriptor = os.open(self.path / f".{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for _ in range(_LOCK_TRIES):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self._sleep(_LOCK_PAUSE)
                except OSError:
                    # A file system without locks.
                    break
            yield
        finally:
            os.close(descriptor)

    def _warn_once(self, warn: Warn, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            warn(text)


def _decode(data: bytes) -> dict[str, Seen]:
    """Records by master key; ValueError where `data` is not what `_replace` writes."""
    body = json.loads(data)
    if not isinstance(body, dict) or body.get("version") != _VERSION or not isinstance(body.get("seen"), dict):
        raise ValueError("not a state file")
    return {str(key): _record(record) for key, record in body["seen"].items()}


def _record(record: object) -> Seen:
    if not isinstance(record, dict):
        raise ValueError("not a record")
    revision, root_hash, timestamp = record.get("revision"), record.get("root_hash"), record.get("timestamp")
    if not isinstance(revision, int) or not isinstance(timestamp, int) or revision < 0:
        raise ValueError("not a record")
    if not isinstance(root_hash, str):
        raise ValueError("not a record")
    return Seen(revision, str(Digest.parse(root_hash)), timestamp)
