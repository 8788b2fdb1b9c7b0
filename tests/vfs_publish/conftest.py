"""A place to publish from and to, with one set of keys for all tests (making RSA keys takes long)."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hepwrap.vfs.publish import keys as publish_keys
from hepwrap.vfs.publish.chunker import ChunkSizes
from hepwrap.vfs.publish.options import PublishOptions
from hepwrap.vfs.publish.publisher import publish
from hepwrap.vfs.publish.report import PublishReport
from tests.vfs_publish.store_reader import Store

NAME = "sw.hep.example"
SMALL_CHUNKS = ChunkSizes(minimum=4096, average=8192, maximum=16384)


@dataclass
class Place:
    """`tree` is published into `store`."""

    tree: Path
    store: Path
    keys: Path
    options: PublishOptions = field(default_factory=lambda: PublishOptions(chunks=SMALL_CHUNKS))
    #: Later than every ctime by more than the notebook's settling time, so that files count as unchanged.
    clock: Callable[[], float] = field(default=lambda: time.time() + 10)

    @property
    def base(self) -> Path:
        return self.store / NAME

    def publish(self, *, tag: str | None = None, algorithm: str | None = None, **options: Any) -> PublishReport:
        """Publish with these of `PublishOptions` changed."""
        return publish(
            self.tree,
            name=NAME,
            store=self.store,
            keys=self.keys,
            algorithm=algorithm,
            jobs=2,
            tag=tag,
            clock=self.clock,
            options=replace(self.options, **options),
        )

    def read(self) -> Store:
        """What an independent reader finds, everything verified."""
        return Store(self.base)

    def write(self, name: str, data: bytes = b"") -> Path:
        """A file in the tree, with the directories above it."""
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


@pytest.fixture(scope="session")
def key_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys") / "keys"
    publish_keys.generate(NAME, directory)
    return directory


@pytest.fixture
def place(tmp_path: Path, key_set: Path) -> Place:
    (tmp_path / "tree").mkdir()
    shutil.copytree(key_set, tmp_path / "keys")
    return Place(tmp_path / "tree", tmp_path / "store", tmp_path / "keys")
