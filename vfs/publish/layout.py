"""Where things lie in `STORE/<fqrn>/`, the base directory that a web server serves for one repository."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from hepwrap.vfs.publish import files


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below `base`; `private` is the publisher's own corner, which nobody else can read."""

    base: Path

    @property
    def manifest(self) -> Path:
        """What leads to everything else; replaced last."""
        return self.base / ".cvmfspublished"

    @property
    def whitelist(self) -> Path:
        """Which certificates may sign manifests."""
        return self.base / ".cvmfswhitelist"

    @property
    def reflog(self) -> Path:
        """Every root object that ever was, for servers."""
        return self.base / ".cvmfsreflog"

    @property
    def master_replica(self) -> Path:
        """Its being there allows replication and preloading."""
        return self.base / ".cvmfs_master_replica"

    @property
    def private(self) -> Path:
        """The publisher's own corner, 0700."""
        return self.base / ".publisher"

    @property
    def lock(self) -> Path:
        """Held while anything in the store is written."""
        return self.private / "lock"

    @property
    def temporary(self) -> Path:
        """Files on their way; emptied by the next publisher."""
        return self.private / "txn"

    @property
    def notebook(self) -> Path:
        """See `notebook`."""
        return self.private / "seen.sqlite"

    @property
    def reflog_checksum(self) -> Path:
        """Text form of the reflog's digest, as in the manifest."""
        return self.private / "reflog.chksum"

    @property
    def previous_reflog(self) -> Path:
        """See `reflog`."""
        return self.private / "reflog.previous"

    def object(self, name: str) -> Path:
        """Path of an object by its `Digest.object_name`."""
        return self.base / name

    def make(self) -> None:
        """Make the directories, those for objects readable by a web server."""
        self.base.parent.parent.mkdir(parents=True, exist_ok=True)
        for path in (self.base.parent, self.base, self.base / "data"):
            files.make_directory(path, files.PUBLIC_DIRECTORY)
        for path in (self.private, self.temporary):
            files.make_directory(path, files.PRIVATE_DIRECTORY)
        for number in range(256):
            files.make_directory(self.base / "data" / f"{number:02x}", files.PUBLIC_DIRECTORY)

    def clean(self) -> None:
        """Remove what a killed publisher left.  Only under the lock."""
        for path in self.temporary.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
