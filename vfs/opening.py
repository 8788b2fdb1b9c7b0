"""The trust chain applied to what a fetcher brings: manifest, certificate, whitelist.

Owns the order of fetches and how often is asked again.  Every rule is `trust`'s; which bytes are asked for again past
caches, and then from the next server, is the fetcher's, which is handed the rules as its `check`.
"""

from __future__ import annotations

from collections.abc import Callable

from hepwrap.cache.objects import ObjectRef, Objects
from hepwrap.digest import Digest
from hepwrap.errors import CorruptObject, MissingObject, Untrusted, UntrustedManifest
from hepwrap.fetchers.fetcher import Check, Fetcher
from hepwrap.records import dataclass
from hepwrap.vfs import manifest as manifests
from hepwrap.vfs import whitelist as whitelists
from hepwrap.vfs.alternative import AlternativeNames
from hepwrap.vfs.certificate import Certificate
from hepwrap.vfs.manifest import Manifest
from hepwrap.vfs.trust import Accepted, Trust

#: Bytes of a certificate, decompressed.
_MAX_CERTIFICATE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Verified:
    """A manifest that passed every rule, and by what."""

    manifest: Manifest
    certificate: Certificate
    accepted: Accepted


class Opening:
    """Brings one repository's manifest through all rules of `trust`.

    `guard` is asked about each manifest whose signature is right, and raises UntrustedManifest for one that goes back
    in time; so a server that lags behind is passed over for the next one.
    """

    def __init__(self, trust: Trust, fetcher: Fetcher, objects: Objects, guard: Callable[[Manifest], None]) -> None:
        self._trust = trust
        self._fetcher = fetcher
        self._objects = objects
        self._guard = guard

    def verify(self) -> Verified:
        """The verified manifest; raises UntrustedManifest, FetchFailed, MissingObject or Unsupported.

        Manifest and whitelist cannot be fetched at one moment, so a pair that does not fit is asked for once more,
        past all caches.
        """
        try:
            return self._pair(fresh=False)
        except Untrusted:
            return self._pair(fresh=True)

    def _pair(self, *, fresh: bool) -> Verified:
        passed: list[tuple[Manifest, Certificate]] = []
        accepted: list[Accepted] = []

        def check_manifest(data: bytes) -> None:
            manifest = self._trust.manifest(data)
            certificate = self._certificate(manifest)
            self._guard(manifest)
            passed.append((manifest, certificate))

        def check_whitelist(data: bytes) -> None:
            accepted.append(self._trust.whitelist(data, passed[-1][1]))

        self._fetch("manifest", manifests.NAME, check_manifest, fresh)
        self._fetch("whitelist", whitelists.NAME, check_whitelist, fresh)
        manifest, certificate = passed[-1]
        return Verified(manifest, certificate, accepted[-1])

    def _fetch(self, what: str, name: str, check: Check, fresh: bool) -> None:
        try:
            self._fetcher.fetch(name, limit=self._trust.max_signed_bytes, check=check, fresh=fresh)
        except MissingObject as error:
            raise MissingObject(
                f"{what} of {self._trust.name}: no server has it; check the servers' addresses ({error})"
            ) from error

    def _certificate(self, manifest: Manifest) -> Certificate:
        fetcher = AlternativeNames(self._fetcher) if manifest.alternative_path else self._fetcher
        what = f"certificate {manifest.certificate} of {self._trust.name}"
        try:
            pem = self._objects.read(fetcher, _reference(manifest.certificate), limit=_MAX_CERTIFICATE)
        except MissingObject as error:
            raise UntrustedManifest(
                f"{what}: no server has it, so the manifest cannot be verified ({error})"
            ) from error
        except CorruptObject as error:
            raise UntrustedManifest(f"{what}: it is not what the manifest names ({error})") from error
        return self._trust.certificate(manifest, pem)


def _reference(certificate: Digest) -> ObjectRef:
    return ObjectRef(certificate, letter="X")
