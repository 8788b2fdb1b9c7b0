"""Options as rows: how each is written and what it sets.

Owns the tables; `arguments` reads command lines by them and `help` prints them.
"""

from __future__ import annotations

import enum

from hepwrap.records import dataclass


class Kind(enum.Enum):
    """What comes after an option."""

    #: A value: `--x V` or `--x=V`.
    VALUE = "value"
    #: A value or nothing: `--x` or `--x=V`.
    OPTIONAL = "optional"
    #: Nothing.
    SWITCH = "switch"
    #: Nothing; each time it counts one more.
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of the command line."""

    #: All ways to write it; the first one is shown in messages.
    names: tuple[str, ...]
    #: What it sets: an option of `config.parameters` where `is_setting`, else a name that the subcommand knows.
    key: str
    help: str
    kind: Kind = Kind.VALUE
    metavar: str = ""
    #: Of a switch, and of an optional value that is left out.
    implied: str = "yes"
    is_setting: bool = False
    #: May be given more than once.
    repeated: bool = False


def _setting(
    *names: str,
    key: str,
    help: str,
    kind: Kind = Kind.VALUE,
    metavar: str = "",
    implied: str = "yes",
    repeated: bool = False,
) -> Flag:
    return Flag(names, key, help, kind, metavar, implied, is_setting=True, repeated=repeated)


REPO = _setting(
    "--repo",
    key="repo",
    metavar="NAME[=URL]",
    repeated=True,
    help="have this repository; URL is http://..., file:///... or a directory, several with `;` between; "
    "NAME:TAG pins a tag",
)
KEY = _setting(
    "--key",
    key="keys",
    metavar="FILE",
    repeated=True,
    help="believe this master public key (PEM) for the repositories named on the command line",
)
REVISION = (
    _setting("--tag", key="tag", metavar="TAG", help="use this tagged revision of the repositories named here"),
    _setting("--root-hash", key="root_hash", metavar="HASH", help="use the revision with this root catalogue"),
)
HELP = Flag(("--help", "-h"), "help", "show this help", Kind.SWITCH)
VERBOSE = _setting("-v", "--verbose", key="verbose", kind=Kind.COUNT, help="say what is done; twice: everything")

#: What every command that reads repositories takes.
READING: tuple[Flag, ...] = (
    REPO,
    KEY,
    _setting(
        "--proxy", key="proxy", metavar="PROXIES", help="`http://p1:3128|http://p2:3128;DIRECT` (default: DIRECT)"
    ),
    *REVISION,
    _setting("--offline", key="offline", kind=Kind.SWITCH, help="ask nobody over a network"),
    VERBOSE,
    HELP,
)

RUNNING: tuple[Flag, ...] = (
    *READING[:-2],
    _setting(
        "--root",
        key="root",
        metavar="/cvmfs/REPO/DIRECTORY",
        help="have this directory of a repository, an image of a whole system, as /; of the host remain /proc, /sys, "
        "/dev, /tmp, the home, the working directory and what --bind names",
    ),
    _setting(
        "--bind",
        key="bind",
        metavar="PLACE[=HOST]",
        repeated=True,
        help="show the file or directory HOST of this machine at PLACE: below /cvmfs, or anywhere with --root",
    ),
    _setting(
        "--cache-size",
        key="cache_size",
        metavar="SIZE",
        help="memory for opened files: 512M, 2G, or 25% of what is free (default: the job's share)",
    ),
    _setting(
        "--stats",
        key="stats",
        kind=Kind.OPTIONAL,
        metavar="FILE",
        implied="-",
        help="when the command has ended say what it took, on its stderr or, as JSON, in FILE",
    ),
    _setting("--log", key="log", metavar="FILE", help="write what happens in between to FILE"),
    _setting(
        "--sealed",
        key="sealed",
        kind=Kind.SWITCH,
        implied="yes",
        help="open only what not even the job could change (opening takes longer, same answers)",
    ),
    _setting(
        "--no-patch",
        key="patch",
        kind=Kind.SWITCH,
        implied="no",
        help="never change the program's code in memory (slower, same answers)",
    ),
    VERBOSE,
    HELP,
)
