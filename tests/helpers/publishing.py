"""Publishes a tree and serves it, by hepwrap's own commands, as the user of a launcher."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.launches import Done, Launches, quiet


@dataclass(frozen=True)
class Published:
    """A tree, and the options with which hepwrap reads what was made of it."""

    name: str
    tree: Path
    #: Holds `store` and `keys`.
    place: Path
    url: str
    publisher: Launches

    @property
    def flags(self) -> list[str]:
        """The options of a launch; the key is the public one, which everybody may read."""
        key = self.place / "keys" / f"{self.name}.pub"
        return ["--proxy", "DIRECT", "--repo", f"{self.name}={self.url}", "--key", str(key)]

    def publish_again(self) -> Done:
        """Another revision of the tree as it is now."""
        return publish(self.publisher, self.name, self.tree, self.place)


def publish(publisher: Launches, name: str, tree: Path, place: Path) -> Done:
    """`hepwrap publish`, quietly."""
    where = ["--repo", name, "--to", str(place / "store"), "--keys", str(place / "keys")]
    return publisher.look("publish", *where, "--quiet", str(tree))


@contextmanager
def publish_and_serve(publisher: Launches, name: str, tree: Path, place: Path) -> Iterator[Published]:
    """keygen, publish, serve; the server ends with the block."""
    done = publisher.look("keygen", name, "--keys", str(place / "keys"))
    assert done.returncode == 0, done.stderr
    (place / "keys").chmod(0o755)
    quiet(publish(publisher, name, tree, place))
    with serve(publisher, place / "store") as url:
        yield Published(name, tree, place, f"{url}/cvmfs/{name}", publisher)


@contextmanager
def serve(publisher: Launches, store: Path) -> Iterator[str]:
    """`hepwrap serve` on a free port; the base URL of the store."""
    words = [*publisher.before, *publisher.hepwrap, "serve", "--port", "0", "--quiet", str(store)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env=publisher.environment, cwd=publisher.home
    ) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            assert url.startswith("http://"), f"hepwrap serve said {url!r}"
            yield url.rstrip("/")
        finally:
            server.terminate()
