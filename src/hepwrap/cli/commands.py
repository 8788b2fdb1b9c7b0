"""The subcommands: one row each.  Adding one is a row here and a module."""

from __future__ import annotations

from hepwrap.cli.options import HELP, READING, RUNNING, Flag, Kind
from hepwrap.records import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand: what it is called, what its module is, and what it takes."""

    name: str
    #: Module in this package; its `main(parsed, command) -> int` does the work.
    module: str
    operands: str
    summary: str
    flags: tuple[Flag, ...]


def _switch(*names: str, key: str, help: str) -> Flag:
    return Flag(names, key, help, Kind.SWITCH)


def _value(*names: str, key: str, metavar: str, help: str) -> Flag:
    return Flag(names, key, help, Kind.VALUE, metavar)


_RECURSIVE = _switch("-R", "--recursive", key="recursive", help="with everything below")
_PLACE = "REPO[:TAG]/PATH..."

_LS = (
    _switch("-l", key="long", help="with mode, owner, size and time"),
    _switch("-a", "--all", key="all", help="with names that begin with a dot"),
    _RECURSIVE,
)
_STAT = (
    _switch("--tsv", key="tsv", help="one line for each, columns separated by tabs, names escaped as \\xNN"),
    _RECURSIVE,
)
_FIND = (
    _value("-type", "--type", key="type", metavar="[fdlpcbs]", help="only files, directories, links, ..."),
    _value("-name", "--name", key="name", metavar="PATTERN", help="only names that match this shell pattern"),
    _switch("-print0", "--print0", "-0", key="zero", help="end names with NUL instead of newline"),
)
_STORE = _value("--to", key="to", metavar="STORE", help="directory that `hepwrap serve` or a web server hands out")
_KEYS = _value("--keys", key="keys", metavar="DIR", help="directory that `hepwrap keygen` has made")
_WHITELIST_DAYS = _value(
    "--whitelist-days", key="whitelist-days", metavar="N", help="days for which a whitelist signed now is valid (30)"
)
_PUBLISH = (
    _value("--repo", key="repo", metavar="NAME", help="the repository's name"),
    _STORE,
    _KEYS,
    _value("--tag", key="tag", metavar="TAG", help="name this revision"),
    _value("--tag-description", key="tag-description", metavar="TEXT", help="what the tag is about"),
    _value("--algorithm", key="algorithm", metavar="NAME", help="sha1 (default) or shake128"),
    _value("--jobs", key="jobs", metavar="N", help="threads that compress"),
    _value("--ttl", key="ttl", metavar="SECONDS", help="how long clients may take this revision for the newest"),
    _value("--compression", key="compression", metavar="HOW", help="of files: zlib (default) or none"),
    _value(
        "--chunks",
        key="chunks",
        metavar="MIN:AVG:MAX",
        help="cut files larger than AVG into pieces of MIN to MAX, in bytes, K or M (default: 4M:8M:16M)",
    ),
    _switch("--checksum", key="checksum", help="read every file, also those that seem unchanged"),
    _switch("--no-xattrs", key="no-xattrs", help="leave out extended attributes"),
    _value(
        "--catalog-limit",
        key="catalog-limit",
        metavar="N",
        help="split catalogues that would have more entries (default: 100000)",
    ),
    _value("--meta", key="meta", metavar="FILE", help="JSON object about the repository (default: as it was)"),
    _value(
        "--garbage-collectable",
        key="garbage-collectable",
        metavar="yes|no",
        help="whether servers may remove objects that no tag leads to (default: yes)",
    ),
    _switch("--master-replica", key="master-replica", help="allow that others replicate the repository"),
    _WHITELIST_DAYS,
    _switch("--quiet", "-q", key="quiet", help="no progress"),
    HELP,
)
_RENEW = (_STORE, _KEYS, _WHITELIST_DAYS, HELP)
_KEYGEN = (
    _value("--keys", key="keys", metavar="DIR", help="where the keys shall be"),
    _value(
        "--algorithm", key="algorithm", metavar="NAME", help="hash of the fingerprint that is shown: sha1 or shake128"
    ),
    HELP,
)
_SERVE = (
    _value("--host", key="host", metavar="ADDRESS", help="address to listen on (default: 127.0.0.1)"),
    _value("--port", key="port", metavar="PORT", help="port to listen on (default: 8000; 0 takes a free one)"),
    _switch("--quiet", "-q", key="quiet", help="do not say what is asked for"),
    HELP,
)
_PERF = (
    _switch("--quick", key="quick", help="a few rows, three rounds, within a minute"),
    Flag(
        ("--rows",),
        "rows",
        "only rows whose name matches this shell pattern, or of this group (may be given again)",
        Kind.VALUE,
        "GLOB",
        repeated=True,
    ),
    _value("--rounds", key="rounds", metavar="N", help="how often everything is measured (5)"),
    Flag(
        ("--peer",),
        "peer",
        "one more column: a command and the path of the tree in its world, or a directory where the tree is mounted; "
        "{tree}, {store}, {key}, {url} stand for what has been prepared",
        Kind.VALUE,
        "NAME=COMMAND PREFIX",
        repeated=True,
    ),
    _value("--output", key="output", metavar="DIR", help="where results go (default: results in the work directory)"),
    _value("--work", key="work", metavar="DIR", help="where tree and repository are kept (~/.cache/hepwrap/perf)"),
    _switch("--prepare", key="prepare", help="make tree and repository, and measure nothing"),
    _switch("--stacks", key="stacks", help="with the packages of the HEP rows in it, which pip downloads (700 MB)"),
    _value(
        "--workloads",
        key="workloads",
        metavar="DIR",
        help="other jobs of the same names for pythia and geant4",
    ),
    _value("--write-readme", key="write-readme", metavar="FILE", help="put the results into FILE, between its marks"),
    _value("--from", key="from", metavar="FILE", help="measure nothing and show the results in FILE (results.json)"),
    _value(
        "--fail-over", key="fail-over", metavar="PERCENT", help="compare: exit code 1 where a row got that much slower"
    ),
    _switch("--list", key="list", help="name the rows"),
    _switch("--quiet", "-q", key="quiet", help="no progress"),
    HELP,
)
_SHOWCONFIG = (_switch("--origin", key="origin", help="with the place that says so"),)

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("run", "launch", "-- COMMAND...", "run a command in a world where /cvmfs exists", RUNNING),
        Command("ls", "ls", _PLACE, "list directories of a repository", (*_LS, *READING)),
        Command("cat", "cat", _PLACE, "write out files of a repository", READING),
        Command("stat", "stat", _PLACE, "show what a repository records of a path", (*_STAT, *READING)),
        Command("find", "find", _PLACE, "print the paths below a directory", (*_FIND, *READING)),
        Command("verify", "verify", _PLACE, "fetch everything below a path and check its digests", READING),
        Command("publish", "publish", "DIRECTORY", "publish a directory as a signed repository", _PUBLISH),
        Command("keygen", "keygen", "NAME", "make the keys of a repository", _KEYGEN),
        Command("renew", "renew", "NAME", "sign the whitelist of a published repository anew", _RENEW),
        Command("serve", "serve", "STORE", "hand out published repositories over HTTP", _SERVE),
        Command("showconfig", "showconfig", "[REPO]", "show what is configured", (*_SHOWCONFIG, *READING)),
        Command(
            "perf", "perf", "[compare A.json B.json]", "measure what hepwrap costs, beside native and others", _PERF
        ),
        Command("doctor", "doctor", "", "check whether hepwrap can work on this machine", READING),
    )
}
