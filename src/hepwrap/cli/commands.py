"""The subcommands: one row each.  Adding one is a row here and a module."""

from __future__ import annotations

from dataclasses import dataclass

from hepwrap.cli.options import HELP, READING, RUNNING, Flag, Kind


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
_PUBLISH = (
    _value("--repo", key="repo", metavar="NAME", help="the repository's name"),
    _value("--to", key="to", metavar="STORE", help="directory that `hepwrap serve` or a web server hands out"),
    _value("--keys", key="keys", metavar="DIR", help="directory that `hepwrap keygen` has made"),
    _value("--tag", key="tag", metavar="TAG", help="name this revision"),
    _value("--algorithm", key="algorithm", metavar="NAME", help="sha1 (default) or shake128"),
    _value("--jobs", key="jobs", metavar="N", help="threads that compress"),
    _value("--ttl", key="ttl", metavar="SECONDS", help="how long clients may take this revision for the newest"),
    _switch("--quiet", "-q", key="quiet", help="no progress"),
    HELP,
)
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
        Command("serve", "serve", "STORE", "hand out published repositories over HTTP", _SERVE),
        Command("showconfig", "showconfig", "[REPO]", "show what is configured", (*_SHOWCONFIG, *READING)),
        Command("doctor", "doctor", "", "check whether hepwrap can work on this machine", READING),
    )
}
