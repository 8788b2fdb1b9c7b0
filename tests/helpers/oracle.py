"""The kernel as oracle: one odd tree, published as a repository and bound read-only where it would be mounted.

Owns the tree, both ways to run a guest in it, and scripts of system calls for the guest `call_script`.
Natively a guest runs in a mount namespace of its own, whose /cvmfs holds the tree read-only; only root can make it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hepwrap.vfs.publish import keys, publisher
from tests.helpers import witness
from tests.helpers.guests import Guests
from tests.helpers.launches import PYTHON
from tests.helpers.other_root import bubble
from tests.helpers.unprivileged import UID, Unprivileged

#: Whether the host has a /cvmfs of its own, which must never be seen.
Host = Literal["bare", "decoy"]
NAME = "oracle.hep.example"
MOUNT = f"/cvmfs/{NAME}"
#: Where host links that lead into the tree are, and what may be written to; at the same place for both runs.
HOST = "/oracle/host"
#: What no job has any business with, and lies where a wrong turn leads: beside that, and beside stand-ins.
BESIDE, STANDINS = "/oracle/beside", "/dev/shm"
#: What lists the machine once a script has been performed; of /tmp, which others use, names that scripts could make.
WITNESS = (
    PYTHON, witness.__file__, "--below", HOST, "--below", BESIDE, "--below", STANDINS, "--in", "/",
    "--in", f"/tmp=cvmfs,{NAME},missing,intop",
)  # fmt: skip


def build_tree(root: Path) -> None:
    """One of everything that a repository can hold."""
    (root / "dir/sub/deep").mkdir(parents=True)
    for number in range(300):
        entry = root / f"many/entry-{number:03}-{'x' * (number % 40)}"
        entry.parent.mkdir(exist_ok=True)
        entry.touch()
    (root / "emptydir").mkdir()
    files = {"file": 0o644, "exec": 0o755, "private": 0o600, "none": 0, "unreadable": 0o200, "onlyexec": 0o111,
             "dir/other": 0o644, "dir/sub/deep/file": 0o444, "theirs": 0o004}  # fmt: skip
    for name, mode in files.items():
        (root / name).write_bytes(f"content of {name}\n".encode() * 100)
        (root / name).chmod(mode)
    (root / "empty").touch()
    (root / "script").write_text('#!/bin/sh\necho script "$@"\nexit 7\n')
    (root / "script").chmod(0o755)
    (root / "notexecutable").write_text("#!/bin/sh\n")
    (root / "badinterpreter").write_text("#!/no/such/interpreter\n")
    (root / "badinterpreter").chmod(0o755)
    (root / "garbage").write_bytes(b"\x01\x02\x03 no program at all\n")
    (root / "garbage").chmod(0o755)
    links = {
        "link": "file", "dirlink": "dir", "dangling": "nowhere", "loop": "loop", "abslink": f"{MOUNT}/dir/other",
        "out": "/etc/passwd", "outdir": "/etc", "outdangling": "/no/such/file", "up": "..", "slashed": "dir/",
        "fileslashed": "file/", "through": "file/x", "upandout": "../../etc/passwd", "self": ".", "toroot": "/",
        "tocvmfs": "/cvmfs", "linktolink": "link", "linktoprivate": "d000/file", "long": "./" * 2000 + "file",
        "dir/back": "../file", "dir/sub/far": "../../dir/sub/deep", "outfile2": f"{HOST}/real",
    }  # fmt: skip
    for name, target in links.items():
        (root / name).symlink_to(target)
    (root / "chain").mkdir()
    for number in range(1, 45):
        (root / f"chain/{number}").symlink_to(str(number + 1))
    (root / "chain/45").write_text("end\n")
    for mode in (0, 0o111, 0o444, 0o700, 0o1777):
        place = root / f"d{mode:03o}"
        place.mkdir()
        (place / "file").write_text("in\n")
        (place / "link").symlink_to("file")
        place.chmod(mode)
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(root / "socket"))
    if os.geteuid() == 0:
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(root / "block", stat.S_IFBLK | 0o600, os.makedev(7, 200))
    os.link(root / "dir/other", root / "dir/hard")  # the format knows hard links only inside one directory
    for odd in (b"\xe9\xff", b"x\n y", b"n" * 255, b"...", b" ", b"\\x41"):
        fd = os.open(os.fsencode(root) + b"/" + odd, os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(fd, odd)
        os.close(fd)
    os.setxattr(root / "file", "user.one", b"value of one")
    os.setxattr(root / "file", "user.empty", b"")
    os.setxattr(root / "dir", "user.dir", b"\x00\xff" * 20)
    for number, path in enumerate(sorted([*root.rglob("*"), root])):
        os.utime(path, ns=(0, (1_000_000_000 + number) * 10**9 + number), follow_symlinks=False)
    os.utime(root / "private", ns=(0, -86_400 * 10**9))


@dataclass
class Oracle:
    """The tree on disk (once for each owner), the published repository, and how to run guests in both."""

    place: Path
    guests: Guests
    #: The installed hepwrap of the user who runs the tests, and an ordinary user's.
    hepwrap_command: list[str]
    user: Unprivileged
    flags: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        """Build the tree, copy it for the ordinary user, and publish it."""
        tree = self.place / "root-tree"
        tree.mkdir(mode=0o755)
        build_tree(tree)
        subprocess.run(["cp", "-a", tree, self.place / "user-tree"], check=True)
        subprocess.run(["chown", "-hR", f"{UID}:{UID}", self.place / "user-tree"], check=True)
        keys.generate(NAME, self.place / "keys")
        publisher.publish(tree, name=NAME, store=self.place / "store", keys=self.place / "keys")
        subprocess.run(["chmod", "-R", "a+rX", self.place / "store"], check=True)
        key = self.place / f"{NAME}.pub"
        shutil.copyfile(self.place / f"keys/{NAME}.pub", key)
        key.chmod(0o644)
        self.flags = ["--repo", f"{NAME}=file://{self.place}/store/{NAME}", "--key", str(key)]

    def native(self, command: Sequence[str | Path], *, user: bool, cwd: str = "/", after: Sequence[str] = ()) -> str:
        """Standard output of a command that finds the tree mounted read-only; `after`: as `interposed`."""
        prefix = self.user.prefix() if user else []
        machine = self._host("mounted", "user" if user else "root", cwd)
        return self._run([*machine, *followed_by(after), *prefix, *command], {})

    def interposed(
        self,
        command: Sequence[str | Path],
        *,
        user: bool,
        cwd: str = "/",
        flags: Sequence[str] = (),
        host: Host = "bare",
        after: Sequence[str] = (),
    ) -> str:
        """Standard output of the same command under hepwrap, on a host without /cvmfs, or with another one.

        `after`: what the one who runs the tests executes on the same machine when the job has ended.
        """
        start = [*self.user.prefix(), *self.user.hepwrap_command] if user else self.hepwrap_command
        inside = [*command] if cwd == "/" else ["sh", "-c", 'cd "$0" && exec "$@"', cwd, *command]
        machine = [*self._host(host, "root", "/"), *followed_by(after)]
        words = [*machine, *start, *self.flags, *flags, "--", *inside]
        return self._run(words, self.user.environment() if user else {"HOME": str(self.place / "home")})

    def _host(self, kind: Literal["mounted", "bare", "decoy"], owner: str, cwd: str) -> list[str]:
        """What to write before a command that shall see this machine with another /cvmfs.

        The mounts are read-only as a whole, not only where they are bound: that decides which error comes first.
        """
        place = self.place / "mount"
        place.mkdir(exist_ok=True)
        Path(f"{place}-beside").mkdir(exist_ok=True)
        steps = ["mount -t tmpfs -o mode=1777 none /dev/shm"]  # where stand-ins are made: the machine's own is spared
        steps += [f"mount -t tmpfs -o mode=0755 none {place}", f"mkdir {place}/{NAME}"]
        if kind == "mounted":
            steps.append(f"mount -t tmpfs -o mode=0755,nosuid,nodev,nr_inodes=0 none {place}/{NAME}")
            steps.append(f"cp -aT {self.place}/{owner}-tree {place}/{NAME}")
            steps.append(f"mount -o remount,ro,nosuid,nodev none {place}/{NAME}")
        else:
            steps.append(f"echo decoy > {place}/{NAME}/file; ln -s / {place}/decoy; ln -s /etc {place}/{NAME}/dir")
        steps.append(f"mount -o remount,ro none {place}")
        host = self.place / "shown-host"  # on a file system of its own, which gives no inode number away again
        if not host.exists():
            host.mkdir()
            make_host(self.place / "host")
        steps += [f"mount -t tmpfs none {host}", f"cp -aT {self.place}/host {host}"]
        beside = self.place / "beside"
        if not beside.exists():
            make_beside(beside)
        steps += [f"mount -t tmpfs none {place}-beside", f"cp -aT {beside} {place}-beside"]
        binds = ["--ro-bind", str(place), "/cvmfs"] if kind != "bare" else []
        first = ["unshare", "-m", "sh", "-ec", "; ".join([*steps, 'exec "$@"']), "sh"]
        binds += ["--perms", "0755", "--dir", os.path.dirname(HOST), "--bind", str(host), HOST]
        binds += ["--bind", f"{place}-beside", BESIDE]
        return [*first, *bubble(*binds), "--chdir", cwd, "--"]

    def _run(self, command: Sequence[str | Path], environment: dict[str, str]) -> str:
        done = subprocess.run(
            [*map(str, command)], env={**os.environ, **environment}, cwd="/", capture_output=True, timeout=100,
            check=False,
        )  # fmt: skip
        text = done.stdout.decode("utf-8", "backslashreplace")
        if done.returncode or done.stderr:
            text += f"exit {done.returncode}\n{done.stderr.decode('utf-8', 'backslashreplace')}"
        return text

    def both(
        self,
        guest: str,
        *arguments: str | Path,
        user: bool,
        cwd: str = "/",
        host: Host = "bare",
        static: bool = False,
        flags: Sequence[str] = (),
        after: Sequence[str] = (),
    ) -> tuple[str, str]:
        """What a guest prints natively, and under hepwrap; host files are made anew for each."""
        command = [self.guests.path(guest, static=static), *arguments]
        make_host(self.place / "host")
        native = self.native(command, user=user, cwd=cwd, after=after)
        make_host(self.place / "host")
        return native, self.interposed(command, user=user, cwd=cwd, host=host, flags=flags, after=after)

    def differences(
        self, script: Sequence[str], *, user: bool, cwd: str = "/", host: Host = "bare", flags: Sequence[str] = ()
    ) -> list[str]:
        """Performs a script both ways; a line for each call that gave something else, and for what else was left."""
        path = self.place / "script"
        path.write_text("\n".join(script) + "\n")
        path.chmod(0o644)
        texts = self.both("call_script", path, user=user, cwd=cwd, host=host, flags=flags, after=WITNESS)
        (native, _, truth), (ours, _, left) = (text.partition(f"{witness.MARK}\n") for text in texts)
        kernel, wrapped = by_line(native), by_line(ours)
        assert kernel["end"] == "end", native[-500:]
        found = [
            f"{script[int(key)][:300]}\n    kernel:  {kernel.get(key)}\n    hepwrap: {wrapped.get(key)}"
            for key in kernel
            if key != "end" and kernel[key] != wrapped.get(key)
        ]
        if wrapped.get("end") != "end":
            found.append(f"the guest did not come to its end: {ours[-500:]}")
        return [*found, *left_otherwise(truth, left, has_prefix=host == "decoy")]


def by_line(text: str) -> dict[str, str]:
    """Results of call_script by line number.  A file that never had a name is called by its inode number."""
    lines = (line.partition(": ") for line in text.splitlines())
    return {key: re.sub(r"/#\d+\b", "/#", value) if rest else "end" for key, rest, value in lines}


def followed_by(after: Sequence[str]) -> list[str]:
    """What to write before a command that another shall follow; the exit code is still the first one's."""
    return ["sh", "-c", f'"$@"; code=$?; {shlex.join(after)}; exit $code', "sh"] if after else []


def left_otherwise(truth: str, left: str, *, has_prefix: bool) -> list[str]:
    """What is on the machine after a job and is not beside a mount, or the other way round."""
    mount_point = f"/ 'cvmfs' {stat.S_IFDIR:o}"
    kernel, ours = set(truth.splitlines()), set(left.splitlines())
    assert {mount_point, *kernel} == kernel != {mount_point}, truth[-500:]
    kernel = kernel if has_prefix else kernel - {mount_point}
    return [f"only beside a mount: {line}" for line in sorted(kernel - ours)] + [
        f"only after the job: {line}" for line in sorted(ours - kernel)
    ]


def make_beside(place: Path) -> None:
    """What has the names of the repository's own, and is nobody's but root's."""
    for name in ("file", "dir/other", "dir/sub/deep/file", f"cvmfs/{NAME}/file", "missing/x", "new/x"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(f"{name} of nobody's\n")
    (place / "link").symlink_to("file")


def make_host(place: Path) -> None:
    """Files of the host beside the tree, which links lead to and renames come from; anybody may write there."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    (place / "real").write_text("a file of the host\n")
    (place / "directory").mkdir()
    links = {"into": MOUNT, "intofile": f"{MOUNT}/file", "intolink": f"{MOUNT}/link", "cvmfs": "/cvmfs",
             "intomissing": f"{MOUNT}/missing", "first": "second", "second": "into", "dangling": "nowhere",
             "relative": "../../cvmfs/" + NAME, "circle": "circle", "real-link": "real",
             "totop": "/cvmfs", "tototop": "totop", "besidetop": "../../cvmfs", "overusr": "/usr/../cvmfs/.",
             "slashedtop": "/cvmfs/", "intop": "/cvmfs/new", "toroot": "/"}  # fmt: skip
    for name, target in links.items():
        (place / name).symlink_to(target)
    for path in (place / "real", place / "directory"):
        path.chmod(0o777)
    for path in (*place.iterdir(), place):
        os.utime(path, (1_500_000_000, 1_500_000_000), follow_symlinks=False)


def make_oracle(guests: Guests, hepwrap_command: list[str], user: Unprivileged) -> Iterator[Oracle]:
    """For a fixture: made once, removed at the end."""
    place = Path(tempfile.mkdtemp(prefix="hepwrap-oracle-"))
    try:
        place.chmod(0o755)
        oracle = Oracle(place, guests, hepwrap_command, user)
        oracle.prepare()
        yield oracle
    finally:
        subprocess.run(["chmod", "-R", "u+rwX", place], check=False)
        shutil.rmtree(place, ignore_errors=True)


def agree(
    oracle: Oracle,
    script: Sequence[str],
    *,
    user: bool,
    at_least: int,
    host: Host = "bare",
    cwd: str = "/",
    flags: Sequence[str] = (),
) -> None:
    """No call of the script may give something else than on the mount."""
    assert len(script) >= at_least, len(script)
    found = oracle.differences(script, user=user, host=host, cwd=cwd, flags=flags)
    assert not found, f"{len(found)} of {len(script)} calls differ:\n" + "\n".join(found[:20])
