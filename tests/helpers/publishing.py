"""Publishes a tree and serves it, by hepwrap's own commands, as the user of a launcher."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.helpers import once
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


def make_keys(publisher: Launches, name: str, place: Path) -> None:
    """`hepwrap keygen`; everybody may enter the directory."""
    done = publisher.look("keygen", name, "--keys", str(place / "keys"))
    assert done.returncode == 0, done.stderr
    (place / "keys").chmod(0o755)


@contextmanager
def published_once(publisher: Launches, name: str, build: Callable[[Path], object]) -> Iterator[Published]:
    """A tree that all workers share and none changes: `build(tree)` and publishing happen once, serving in each."""

    def make(place: Path) -> None:
        build(place / "tree")
        make_keys(publisher, name, place)
        quiet(publish(publisher, name, place / "tree", place))

    place = once.made(name, make)
    with serve(publisher, place / "store") as url:
        yield Published(name, place / "tree", place, f"{url}/cvmfs/{name}", publisher)


@contextmanager
def publish_and_serve(publisher: Launches, name: str, tree: Path, place: Path) -> Iterator[Published]:
    """keygen, publish, serve; the server ends with the block."""
    make_keys(publisher, name, place)
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
