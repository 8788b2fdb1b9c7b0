"""keygen, publish, serve, and what they made read back: through flags, hepwrap.toml and a configuration repository."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hepwrap.cli.publish import bar
from hepwrap.vfs.publish.report import Progress
from tests.helpers.front import Cli, one_line

STACK, CONFIG = "stack.example.org", "config.example.org"


@pytest.fixture
def keys(cli: Cli, tmp_path: Path) -> Path:
    """A directory with the keys of both repositories."""
    for name in (STACK, CONFIG):
        assert cli("keygen", name, "--keys", tmp_path / "keys").returncode == 0
    return tmp_path / "keys"


def published(cli: Cli, keys: Path, name: str, files: dict[str, str], store: Path, *more: str) -> str:
    """Publish `files` as a revision of `name`; what is printed."""
    tree = store.parent / f"tree-{name}"
    for path, text in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    result = cli("publish", tree, "--repo", name, "--to", store, "--keys", keys, *more)
    assert (result.stderr, result.returncode) == (b"", 0)
    return result.stdout.decode()


def test_keygen_says_what_each_file_is_for(cli: Cli, tmp_path: Path) -> None:
    result = cli("keygen", STACK, "--keys", tmp_path / "keys")
    assert (result.stderr, result.returncode) == (b"", 0)
    lines = result.stdout.decode().splitlines()
    assert lines[0] == f"{tmp_path}/keys/{STACK}.pub: give this to those who read the repository (--key)"
    assert lines[-1].startswith("fingerprint ")
    private = [path for path in (tmp_path / "keys").iterdir() if path.suffix in (".key", ".masterkey")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in private] == [0o600, 0o600]


def test_keygen_overwrites_nothing(cli: Cli, keys: Path) -> None:
    before = {path.name: path.read_bytes() for path in keys.iterdir()}
    result = cli("keygen", STACK, "--keys", keys)
    assert "is there already and is not overwritten" in one_line(result)
    assert result.returncode == 2
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == before


def test_what_is_published_is_read_back(cli: Cli, keys: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    said = published(cli, keys, STACK, {"bin/x": "one\n", "é/y": "two\n"}, store, "--tag", "first")
    assert said.startswith(f"{STACK} revision 1 in {store / STACK}: 4 entries, 2 files, 1 catalogues; 2 new objects, ")
    published(cli, keys, STACK, {"bin/x": "changed\n"}, store)
    flags = ["--repo", f"{STACK}=file://{store / STACK}", "--key", str(keys / f"{STACK}.pub")]
    assert cli("cat", *flags, f"{STACK}/bin/x").stdout == b"changed\n"
    assert cli("cat", *flags, f"{STACK}:first/bin/x").stdout == b"one\n"
    assert cli("cat", *flags, "--tag", "first", f"{STACK}/bin/x").stdout == b"one\n"
    assert cli("find", *flags, STACK).stdout.decode().split() == [
        STACK, f"{STACK}/bin", f"{STACK}/bin/x", f"{STACK}/é", f"{STACK}/é/y"
    ]  # fmt: skip
    assert cli("verify", *flags, STACK).returncode == 0


def test_publishing_without_keys_is_one_line(cli: Cli, tmp_path: Path) -> None:
    result = cli("publish", tmp_path, "--repo", STACK, "--to", tmp_path / "s", "--keys", tmp_path / "none")
    assert one_line(result)
    assert result.returncode in (1, 2)


@contextmanager
def serving(store: Path) -> Iterator[str]:
    """`hepwrap serve`; the URL that it prints."""
    command = [sys.executable, "-m", "hepwrap", "serve", str(store), "--port", "0", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_what_is_served_is_read_with_a_key_and_a_url(cli: Cli, keys: Path, tmp_path: Path) -> None:
    published(cli, keys, STACK, {"x": "one\n"}, tmp_path / "store")
    with serving(tmp_path / "store") as url:
        for base in (f"{url}/cvmfs/{STACK}", f"{url}/{STACK}"):
            flags = ["--repo", f"{STACK}={base}", "--key", str(keys / f"{STACK}.pub")]
            assert cli("cat", *flags, f"{STACK}/x").stdout == b"one\n"


def test_a_configuration_file_is_enough(cli: Cli, keys: Path, tmp_path: Path) -> None:
    published(cli, keys, STACK, {"x": "one\n"}, tmp_path / "store")
    (tmp_path / "cli-cwd/hepwrap.toml").write_text(
        f'[domains."example.org"]\nurl = "../store/@fqrn@"\nkeys = "../keys/{STACK}.pub"\n'
    )
    result = cli("cat", f"{STACK}/x")
    assert (result.stdout, result.stderr) == (b"one\n", b"")
    assert b"\n[" not in cli("showconfig", STACK, "--origin").stdout
    shown = cli("showconfig", STACK, "--origin").stdout.decode().splitlines()
    assert shown[0] == f"url={tmp_path}/store/@fqrn@    # {tmp_path}/cli-cwd/hepwrap.toml:2"


def test_variables_are_enough(cli: Cli, keys: Path, tmp_path: Path) -> None:
    published(cli, keys, STACK, {"x": "one\n"}, tmp_path / "store")
    environ = {"HEPWRAP_REPO": f"{STACK}={tmp_path}/store/{STACK}", "HEPWRAP_KEYS": str(keys / f"{STACK}.pub")}
    assert cli("cat", f"{STACK}/x", environ=environ).stdout == b"one\n"


def with_configuration_repository(cli: Cli, keys: Path, tmp_path: Path) -> Path:
    """A machine that knows a configuration repository, in which servers and key of the domain stand; its store."""
    store = tmp_path / "store"
    published(cli, keys, STACK, {"x": "one\n"}, store)
    published(cli, keys, CONFIG, {
        "etc/cvmfs/domain.d/example.org.conf": ". ../common.conf\n"
        'if [ "$CVMFS_USE_CDN" = yes ]; then\n'
        f'  CVMFS_SERVER_URL="{store}/@fqrn@"\nfi\n'
        "CVMFS_KEYS_DIR=$CVMFS_MOUNT_DIR/$CVMFS_CONFIG_REPOSITORY/etc/cvmfs/keys/example.org\n",
        "etc/cvmfs/common.conf": '[ "$CVMFS_HTTP_PROXY" != DIRECT ] || CVMFS_USE_CDN=yes\n',
        f"etc/cvmfs/keys/example.org/{STACK}.pub": (keys / f"{STACK}.pub").read_text(),
    }, store)  # fmt: skip
    (tmp_path / "cli-cwd/hepwrap.toml").write_text(
        f'config_repository = "{CONFIG}"\n[repositories."{CONFIG}"]\nurl = "{store}/{CONFIG}"\n'
        f'keys = "{keys}/{CONFIG}.pub"\n'
    )
    return store


def test_servers_and_keys_come_from_a_configuration_repository(cli: Cli, keys: Path, tmp_path: Path) -> None:
    with_configuration_repository(cli, keys, tmp_path)
    result = cli("cat", f"{STACK}/x")
    assert (result.stdout, result.stderr) == (b"one\n", b"")
    shown = cli("showconfig", STACK, "--origin").stdout.decode().splitlines()
    assert shown[0].endswith(f"# /cvmfs/{CONFIG}/etc/cvmfs/domain.d/example.org.conf:3")


def test_a_configuration_repository_that_fails_a_check_serves_nobody(cli: Cli, keys: Path, tmp_path: Path) -> None:
    store = with_configuration_repository(cli, keys, tmp_path)
    manifest = store / CONFIG / ".cvmfspublished"
    manifest.write_bytes(manifest.read_bytes().replace(b"\nS1\n", b"\nS2\n"))
    result = cli("cat", f"{STACK}/x")
    assert CONFIG in one_line(result)
    assert result.returncode == 1


def test_a_configuration_repository_that_is_gone_is_named(cli: Cli, keys: Path, tmp_path: Path) -> None:
    store = with_configuration_repository(cli, keys, tmp_path)
    (store / CONFIG).rename(store / "gone")
    result = cli("cat", f"{STACK}/x")
    message = f"the configuration repository {CONFIG}, which may say where {STACK} is, cannot be read: "
    assert one_line(result).startswith(message)
    assert result.returncode == 1


def test_a_key_in_the_configuration_repository_that_is_damaged_is_not_believed(
    cli: Cli, keys: Path, tmp_path: Path
) -> None:
    store = with_configuration_repository(cli, keys, tmp_path)
    text = cli("stat", f"{CONFIG}/etc/cvmfs/keys/example.org/{STACK}.pub").stdout.decode()
    digest = text.rpartition("Object: ")[2].strip()
    place = store / CONFIG / "data" / digest[:2] / digest[2:]
    place.chmod(0o644)
    place.write_bytes(b"\0" + place.read_bytes()[1:])
    result = cli("cat", f"{STACK}/x")
    assert digest[2:] in one_line(result)
    assert result.returncode == 1


@pytest.mark.parametrize(("progress", "shown"), [
    (Progress("scan", 12), "scan: 12"),
    (Progress("commit"), "commit..."),
    (Progress("files", 1, 2), "files [############............] 1/2"),
    (Progress("files", 1, 2, 3, 4), "files [##################......] 1/2"),
])  # fmt: skip
def test_the_bar_shows_how_far_it_is(progress: Progress, shown: str) -> None:
    assert bar(progress) == shown


def test_the_state_directory_remembers_and_refuses_to_go_back(cli: Cli, keys: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    published(cli, keys, STACK, {"x": "one\n"}, store)
    old = (store / STACK / ".cvmfspublished").read_bytes()
    published(cli, keys, STACK, {"x": "two\n"}, store)
    flags = ["--repo", f"{STACK}={store / STACK}", "--key", str(keys / f"{STACK}.pub")]
    assert cli("cat", *flags, f"{STACK}/x").stdout == b"two\n"
    os.unlink(store / STACK / ".cvmfspublished")
    (store / STACK / ".cvmfspublished").write_bytes(old)
    result = cli("cat", *flags, f"{STACK}/x")
    assert "it goes back to revision 1, but 2 was seen before" in one_line(result)
    assert cli("cat", *flags, f"{STACK}/x", environ={"XDG_STATE_HOME": str(tmp_path / "other")}).stdout == b"one\n"
