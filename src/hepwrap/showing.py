"""What a launch shows besides repositories: a root from one of them, and what of the host is bound into it.

Owns what is kept of the host where the root is a repository's (`--root`), and how `--bind` is understood.  Everything
here runs in the helper, before anybody looks.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from hepwrap.errors import LaunchError, PathError
from hepwrap.vfs.binds import Bind, Binds, bind_of, is_at_or_below
from hepwrap.vfs.resolve import HostPath, Node, OsHost, Resolver

if TYPE_CHECKING:
    from hepwrap.settings import Settings
    from hepwrap.vfs.mounts import MountTable

#: Directories of the host that every root has: the kernel's own, and where everybody may write.
KERNELS = (b"/proc", b"/sys", b"/dev", b"/tmp")
#: Files that say how this machine reaches others.
NETWORK = (b"/etc/resolv.conf", b"/etc/hosts")
#: Databases of names and numbers, and which field is the number (passwd(5), group(5)).
NAMES = {b"/etc/passwd": 2, b"/etc/group": 2}
MOST_BYTES = 1 << 20


def arrange(table: MountTable, settings: Settings, environ: Mapping[bytes, bytes], directory: bytes) -> None:
    """Give `table` its root and binds; LaunchError where they cannot be had.

    `directory` is the one that the job starts in, as the kernel calls it.
    """
    if settings.root is None and not settings.binds:
        return
    named = [(os.fsencode(place), os.fsencode(host)) for place, host in settings.binds]
    resolver = Resolver(table, OsHost())
    for place, host in named:
        refuse_virtual(resolver, place, host)
    if settings.root is None:
        table.show(Binds([below_prefix(resolver, place, host) for place, host in named]))
        return
    node = find_root(table, os.fsencode(settings.root))
    table.set_root(node.mount, node.entry)
    resolver = Resolver(table, OsHost())
    binds = {bind.place: bind for bind in kept(resolver, environ, directory)}
    table.show(Binds(binds.values()))
    binds |= {bind.place: bind for bind in (bound(resolver, place, host) for place, host in named)}
    table.show(Binds(binds.values()), merged(resolver))


def find_root(table: MountTable, path: bytes) -> Node:
    """The directory that is to be the root."""
    what = f"--root {os.fsdecode(path)}"
    if not path.startswith(table.prefix + b"/"):
        raise LaunchError(
            f"{what}: a root is a directory of a repository, such as {os.fsdecode(table.prefix)}/REPO/..."
        )
    try:
        found = Resolver(table, OsHost()).resolve(path).target
    except PathError as error:
        raise LaunchError(f"{what}: {error}") from error
    if not isinstance(found, Node) or not found.entry.is_dir or found.mount is table.top:
        raise LaunchError(f"{what} is no directory of a repository; name one that holds a whole system")
    return found


def refuse_virtual(resolver: Resolver, place: bytes, host: bytes) -> None:
    """What is shown elsewhere has to be the machine's own: `resolver` is that of the root that this has."""
    if os.path.exists(host):
        return
    with contextlib.suppress(PathError):
        if isinstance(resolver.resolve(os.path.abspath(host)).target, HostPath):
            return
    raise LaunchError(
        f"--bind {os.fsdecode(place)}={os.fsdecode(host)}: this machine has none, and what is in a repository cannot be"
        " shown elsewhere; reach it by its own path, with --root too, or by a symbolic link"
    )


def below_prefix(resolver: Resolver, place: bytes, host: bytes) -> Bind:
    """A bind where the root is the host's: only what is ours can show something else."""
    prefix = resolver.mounts.prefix
    if not place.startswith(prefix + b"/"):
        raise LaunchError(
            f"--bind {os.fsdecode(place)}: without --root something can be shown below {os.fsdecode(prefix)} only;"
            " use a symbolic link, or --root"
        )
    return bound(resolver, place, host)


def bound(resolver: Resolver, place: bytes, host: bytes) -> Bind:
    """One bind of the command line."""
    try:
        bind = bind_of(canonical(resolver, place), host)
    except OSError as error:
        raise LaunchError(
            f"--bind {os.fsdecode(place)}={os.fsdecode(host)}: cannot show this: {error.strerror}; name a file or "
            "directory of this machine"
        ) from error
    above, _, name = bind.place.rpartition(b"/")
    if isinstance(resolver.root, Node) and is_missing_on_host(resolver, above, name):
        raise LaunchError(
            f"--bind {os.fsdecode(place)}: {os.fsdecode(above)} is this machine's, and has no {os.fsdecode(name)} to "
            "show something at; make it first"
        )
    if bind.place == resolver.mounts.prefix:
        raise LaunchError(f"--bind {os.fsdecode(place)}: repositories are shown there; choose another place")
    return bind


def is_missing_on_host(resolver: Resolver, above: bytes, name: bytes) -> bool:
    """Whether a place is in a directory that is bound already, and not there."""
    try:
        directory = resolver.place_of(above)
    except PathError:
        return False
    return isinstance(directory, HostPath) and not os.path.lexists(directory.path + b"/" + name)


def canonical(resolver: Resolver, place: bytes) -> bytes:
    """A place without symbolic links, as far as it exists: mount(8) follows them too."""
    done = b""
    names = place.strip(b"/").split(b"/")
    for number, name in enumerate(names):
        try:
            found = resolver.resolve(done + b"/" + name).target
        except PathError:
            return done + b"/" + b"/".join(names[number:])
        done = found.key if isinstance(found, Node) else found.shown.rstrip(b"/")
    return done


def kept(resolver: Resolver, environ: Mapping[bytes, bytes], directory: bytes) -> Iterator[Bind]:
    """What of the host stays where it is; the more special first, so that what is in it already is not named again."""
    home = environ.get(b"HOME", b"")
    homes = [path for path in (home, os.path.realpath(home), directory) if path.startswith(b"/")]
    seen: list[bytes] = []
    for path in [*KERNELS, *sorted({os.path.normpath(path) for path in homes}, key=len)]:
        if path == b"/" or any(is_at_or_below(path, other) for other in seen) or not os.path.isdir(path):
            continue
        seen.append(path)
        yield bind_of(canonical(resolver, path), path)
    for path in NETWORK:
        with contextlib.suppress(OSError):
            yield bind_of(canonical(resolver, path), path)


def merged(resolver: Resolver) -> dict[bytes, bytes]:
    """The databases of the root, with the host's lines for names and numbers that it does not know."""
    contents = {}
    for path, field in NAMES.items():
        with contextlib.suppress(OSError):
            contents[canonical(resolver, path)] = merge(read(resolver, path), host_lines(path), field)
    return contents


def read(resolver: Resolver, path: bytes) -> bytes:
    """A small file of the root; empty where there is none."""
    try:
        node = resolver.resolve(path).target
    except PathError:
        return b""
    if not isinstance(node, Node) or not node.entry.is_file or node.entry.size > MOST_BYTES:
        return b""
    repository = node.mount.repository
    assert repository is not None, "only directories are synthetic"
    return b"".join(repository.read(node.entry))


def host_lines(path: bytes) -> list[bytes]:
    """The lines of the host's file, and one for the user who launches, whom a directory service may know alone."""
    import grp
    import pwd

    with open(path, "rb") as file:
        lines = file.read(MOST_BYTES).splitlines()
    with contextlib.suppress(KeyError):
        if path.endswith(b"passwd"):
            user = pwd.getpwuid(os.getuid())
            lines.append(os.fsencode(":".join(map(str, user))))
        else:
            group = grp.getgrgid(os.getgid())
            lines.append(os.fsencode(f"{group.gr_name}:x:{group.gr_gid}:{','.join(group.gr_mem)}"))
    return lines


def merge(ours: bytes, others: list[bytes], field: int) -> bytes:
    """`ours`, and of `others` the lines whose name and number are new."""
    lines = ours.splitlines()
    rows = [line.split(b":") for line in lines]
    names = {row[0] for row in rows}
    numbers = {row[field] for row in rows if len(row) > field}
    for line in others:
        row = line.split(b":")
        if len(row) > field and row[0] not in names and row[field] not in numbers:
            names.add(row[0])
            numbers.add(row[field])
            lines.append(line)
    return b"".join(line + b"\n" for line in lines)
