"""From hostile bytes to a root catalogue that may be believed.  No I/O, no clock: a state machine over bytes.

(But for `Signatures`, which writes down for others what it has verified.)

The rules, in the order in which they are applied.  Each failure is an UntrustedManifest with a sentence of its own;
nothing is handed out before the rules for it have passed.

`Trust.manifest(bytes)`
 1. it has the form of a manifest, every known field once and well-formed, and R is the hash of the empty path
 2. its hash line is the digest of its body
 3. it names the repository that was asked for
 4. no blacklist refuses its revision

`Trust.certificate(manifest, pem)`, for the object that the manifest names; its digest has been checked by the cache
 5. it holds an RSA key
 6. that key signed the manifest's hash text (PKCS#1 v1.5 with SHA-1)
 7. no blacklist refuses its fingerprint

`Trust.whitelist(bytes, certificate)`
 8. it has the form of a whitelist, and is not of the variants that hepwrap lacks (Unsupported)
 9. it has not expired (compared by the hour, UTC), and names the repository
10. its hash line is the digest of its body, and one of the master keys signed the hash text (raw PKCS#1 block)
11. it lists the certificate's fingerprint, each line by its own algorithm

`opening` applies them to what a fetcher brings.  Whether a revision may go back is `state`'s rule; which root is
wanted (tag, hash, date) is `pinning`'s.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from hepwrap.errors import UntrustedManifest
from hepwrap.records import dataclass, field
from hepwrap.vfs import certificate as certificates
from hepwrap.vfs import manifest as manifests
from hepwrap.vfs import whitelist as whitelists
from hepwrap.vfs.blacklist import Blacklist
from hepwrap.vfs.certificate import Certificate
from hepwrap.vfs.manifest import Manifest
from hepwrap.vfs.master_key import MasterKey
from hepwrap.vfs.signature import Signatures
from hepwrap.vfs.whitelist import Whitelist


@dataclass(frozen=True, slots=True)
class Accepted:
    """A whitelist that passed rules 8 to 11, the master key that signed it, and the fingerprint that it lists."""

    whitelist: Whitelist
    master: MasterKey
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom the user believes about the repository `name`, and what time it is (`now`, seconds since 1970)."""

    name: str
    masters: Sequence[MasterKey]
    now: float
    blacklist: Blacklist = field(default_factory=Blacklist)
    max_signed_bytes: int = 1024 * 1024
    signatures: Signatures = field(default_factory=Signatures)

    def manifest(self, data: bytes) -> Manifest:
        """Rules 1 to 4."""
        found = manifests.parse(data, what=f"manifest of {self.name}", limit=self.max_signed_bytes)
        found.envelope.check_hash()
        if found.name != self.name:
            raise self._refuse("manifest", f"it is the manifest of {found.name}; check the server's address")
        self.check_revision(found.revision)
        return found

    def check_revision(self, revision: int) -> None:
        """Rule 4; asked again for the revision that a tag or a root hash leads to."""
        least = self.blacklist.least_revision.get(self.name, 0)
        if revision < least:
            raise self._refuse("manifest", f"a blacklist refuses its revision {revision} and all others below {least}")

    def certificate(self, manifest: Manifest, pem: bytes) -> Certificate:
        """Rules 5 to 7."""
        found = certificates.load(pem, what=f"certificate {manifest.certificate} of {self.name}")
        if not self.signatures.signs_sha1(found.key, manifest.envelope.signature, manifest.envelope.hash_text):
            raise self._refuse(
                "manifest",
                f"its signature was not made with the key of certificate {manifest.certificate}; "
                "it was forged or damaged, try another server",
            )
        refused = found.listed_in(self.blacklist.fingerprints)
        if refused:
            raise self._refuse("certificate", f"a blacklist refuses its fingerprint {refused}")
        return found

    def whitelist(self, data: bytes, certificate: Certificate) -> Accepted:
        """Rules 8 to 11."""
        found = whitelists.parse(data, what=f"whitelist of {self.name}", limit=self.max_signed_bytes)
        self._check_content(found)
        found.envelope.check_hash()
        master = self._signer(found)
        listed = certificate.listed_in(found.fingerprints)
        if listed is None:
            raise self._refuse(
                "certificate",
                f"its fingerprint {certificate.fingerprint()} is not in the whitelist; "
                "whoever signed the manifest was not allowed to",
            )
        return Accepted(found, master, listed)

    def _check_content(self, found: Whitelist) -> None:
        if self.now >= found.expires:
            raise self._refuse(
                "whitelist",
                f"it expired on {show_time(found.expires)} (it is {show_time(self.now)} here); "
                "check this machine's clock, else ask the repository's owners to renew it",
            )
        if found.name != self.name:
            raise self._refuse("whitelist", f"it is the whitelist of {found.name[:100]!r}; check the server's address")

    def _signer(self, found: Whitelist) -> MasterKey:
        envelope = found.envelope
        for master in self.masters:
            if self.signatures.signs_text(master.key, envelope.signature, envelope.hash_text):
                return master
        tried = ", ".join(master.source for master in self.masters) or "no key"
        raise self._refuse(
            "whitelist", f"its signature is by none of the trusted master keys ({tried}); check which key belongs to it"
        )

    def _refuse(self, what: str, why: str) -> UntrustedManifest:
        return UntrustedManifest(f"{what} of {self.name}: {why}")


def show_time(seconds: float) -> str:
    """A time for a message, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
