"""Finds the subcommand, runs it, and is the one place where errors become a line on stderr and an exit code.

Exit codes: 125 for whatever goes wrong before a command that shall be run has started; of the other subcommands 2 for
usage, 1 for failures; 130 for Ctrl-C, 141 where the reader of our output has gone away, as of a program killed by
SIGINT or SIGPIPE.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from hepwrap.cli.arguments import Parsed, parse
from hepwrap.cli.commands import COMMANDS, Command
from hepwrap.errors import HepwrapError, UsageError

EXIT_LAUNCH, EXIT_USAGE, EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_PIPE = 125, 2, 1, 130, 141
_HELP_WORDS = ("--help", "-h", "help")


def run(argv: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    name, words = split_command(argv)
    try:
        code = _dispatch(name, words, argv)
        _flush()
        return code
    except BrokenPipeError:
        _abandon_stdout()
        return EXIT_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        _tell(error)
        return exit_code(error, name)


def exit_code(error: Exception, command: str) -> int:
    """The exit code of a subcommand that `error` ends."""
    if command == "run":
        return EXIT_LAUNCH
    return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILURE


def split_command(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The subcommand, `run` where none is named, and its words."""
    if argv and argv[0] in COMMANDS:
        return argv[0], argv[1:]
    return "run", argv


def _dispatch(name: str, words: Sequence[str], argv: Sequence[str]) -> int:
    if argv and argv[0] == "--version":
        from hepwrap import __version__

        print(f"hepwrap {__version__}")
        return 0
    is_named = bool(argv) and argv[0] == name
    if argv and not is_named and argv[0] in _HELP_WORDS:
        return _help(argv[1:])
    command = COMMANDS[name]
    parsed = _parsed(command, words, is_named=is_named)
    if parsed.has("help"):
        return _print_help(command if is_named else None)
    return int(import_module(f"hepwrap.cli.{command.module}").main(parsed, command))


def _parsed(command: Command, words: Sequence[str], *, is_named: bool) -> Parsed:
    """The command line; for `hepwrap CMD` the sentence that says where `--` belongs comes before any other."""
    first = words[0] if words else ""
    if command.name == "run" and not is_named and first and not first.startswith("-"):
        raise UsageError(_not_a_subcommand(words))
    try:
        return parse(words, command.flags)
    except UsageError as error:
        raise UsageError(f"{error} (hepwrap {command.name} --help)" if command.name != "run" else str(error)) from None


def _not_a_subcommand(words: Sequence[str]) -> str:
    from difflib import get_close_matches

    name = words[0]
    close = get_close_matches(name, COMMANDS, n=1, cutoff=0.7)
    run_it = f"to run it, say: hepwrap -- {' '.join(words)[:80]}"
    return f"{name!r} is no subcommand{f', did you mean {close[0]!r}?' if close else ''}; {run_it}"


def _help(names: Sequence[str]) -> int:
    if names and names[0] not in COMMANDS:
        raise UsageError(f"{names[0]!r} is no subcommand; hepwrap --help lists them")
    return _print_help(COMMANDS[names[0]] if names else None)


def _print_help(command: Command | None) -> int:
    from hepwrap.cli.help import of_command, overview

    sys.stdout.write(of_command(command) if command else overview())
    return 0


def _tell(error: Exception) -> None:
    """One line on stderr; with HEPWRAP_DEBUG=1 after the traceback."""
    if os.environ.get("HEPWRAP_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    from hepwrap.assemble import say

    try:
        _flush()
    except OSError:
        _abandon_stdout()
    say(_sentence(error))


def _sentence(error: Exception) -> str:
    if isinstance(error, HepwrapError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    # A mistake of ours: one line with the place, and how to see more.
    from hepwrap.cli.mishap import describe

    return f"{describe(error)}; HEPWRAP_DEBUG=1 shows more"


def _flush() -> None:
    """What was printed goes out now, where its failing can still be told."""
    if sys.stdout is not None:  # None: the shell has closed it
        sys.stdout.flush()


def _abandon_stdout() -> None:
    """Nobody reads it: what is still buffered shall not fail once more at the end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
