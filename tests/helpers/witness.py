"""Run beside a job, not in it: prints what is on the machine, so that what the job has left can be compared.

    python witness.py [--below DIRECTORY]... [--in DIRECTORY[=NAME,...]]...

A line for each object: everything below a directory with its content, or what is in one (of these names only), by kind.
Times are left out.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterator

MARK = "left behind"
#: Of each file that are looked at; scripts make some as large as a file can be.
MOST_BYTES = 1 << 20


def content_of(path: str, status: os.stat_result) -> str:
    """What tells one object from another of the same kind."""
    if stat.S_ISLNK(status.st_mode):
        return repr(os.readlink(path))
    if not stat.S_ISREG(status.st_mode):
        return ""
    with open(path, "rb") as file:
        return f"{status.st_size} {hashlib.sha256(file.read(MOST_BYTES)).hexdigest()}"


def below(directory: str) -> Iterator[str]:
    """Everything in a directory, and itself."""
    for place, directories, files in os.walk(directory):
        for name in [".", *directories, *files]:
            path = os.path.join(place, name)
            status = os.lstat(path)
            links = 0 if stat.S_ISDIR(status.st_mode) else status.st_nlink
            shown = f"{status.st_mode:o} {links} {status.st_uid}:{status.st_gid}"
            yield f"{os.path.normpath(path)!r} {shown} {content_of(path, status)}"


def inside(what: str) -> Iterator[str]:
    """Names in a directory, with what kind of object they are."""
    directory, _, names = what.partition("=")
    for name in os.listdir(directory):
        if not names or name in names.split(","):
            yield f"{directory} {name!r} {stat.S_IFMT(os.lstat(os.path.join(directory, name)).st_mode):o}"


def main() -> None:
    """Mark, then sorted lines."""
    looks = {"--below": below, "--in": inside}
    lines = [line for way, what in zip(sys.argv[1::2], sys.argv[2::2], strict=True) for line in looks[way](what)]
    sys.stdout.write("\n".join([MARK, *sorted(lines)]) + "\n")


if __name__ == "__main__":
    main()
