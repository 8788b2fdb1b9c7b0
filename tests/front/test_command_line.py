"""The command line as a user meets it: exit codes, one line on stderr, nothing heavy at the start."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hepwrap import __version__
from hepwrap.cli.commands import COMMANDS
from hepwrap.cli.options import Flag
from tests.helpers import needs
from tests.helpers.front import Cli, one_line

ROOT = Path(__file__).resolve().parents[2]

RUN_MISTAKES = {
    (): "there is nothing to run; say: hepwrap [options] -- COMMAND...  (hepwrap --help)",
    ("--",): "there is nothing to run; say: hepwrap [options] -- COMMAND...  (hepwrap --help)",
    ("--", ""): "the name of the command is empty; say: hepwrap [options] -- COMMAND...",
    ("athena.py", "x"): "'athena.py' is no subcommand; to run it, say: hepwrap -- athena.py x",
    ("lss",): "'lss' is no subcommand, did you mean 'ls'?; to run it, say: hepwrap -- lss",
    ("run", "athena.py"): "put -- before the command: hepwrap [options] -- athena.py",
    ("--offline", "athena.py"): "put -- before the command: hepwrap [options] -- athena.py",
    ("--offline", "ls", "x.y"): (
        "options stand after the subcommand: hepwrap ls [options] ...; to run a program ls: -- ls"
    ),
    ("--zzz", "--", "true"): "unknown option --zzz; --help lists all",
    ("--repo", "x", "--", "true"): (
        "--repo: 'x' is no name of a repository; say NAME or NAME=URL, such as atlas.cern.ch"
    ),
    ("--repo", "a.b=/nowhere", "--key", "missing.pub", "--", "true"): "--key: there is no key file {cwd}/missing.pub",
    ("--cache-size", "x", "--", "true"): (
        "--cache-size: 'x' is no size; write a number with K, M, G or %, such as 2G or 25%"
    ),
}


@pytest.mark.parametrize(("words", "message"), RUN_MISTAKES.items(), ids=[" ".join(words) for words in RUN_MISTAKES])
def test_a_launch_that_cannot_start_is_125_and_one_line(
    cli: Cli, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    result = cli(*words)
    assert one_line(result) == message.format(cwd=tmp_path / "cli-cwd")
    assert result.returncode == 125


@pytest.mark.parametrize(("words", "message"), [
    (("ls",), "say where: hepwrap ls REPO[:TAG]/PATH...  (REPO is a name like atlas.cern.ch)"),
    (("ls", "x"), "REPO/PATH: 'x' is no name of a repository; say NAME or NAME=URL, such as atlas.cern.ch"),
    (("cat", "x.y=/z"), "'x.y=/z': where a repository is, says --repo x.y=; here stands REPO/PATH"),
    (("find", "-type", "q", "x.y"), "-type q is no type of file; there are b, c, d, f, l, p, s"),
    (("ls", "--zzz"), "unknown option --zzz; --help lists all (hepwrap ls --help)"),
    (("publish", "."), "--repo NAME is missing: the repository's name"),
    (("publish", ".", "--repo", "x", "--to", "s", "--keys", "k"), "'x' is no name of a repository"),
    (("publish", "missing", "--repo", "x.y", "--to", "s", "--keys", "k"), "missing is no directory"),
    (("publish", "--repo", "x.y"), "DIRECTORY is missing"),
    (("keygen", "x.y"), "--keys DIR is missing: where the keys shall be"),
    (("serve", "s", "--port", "99999"), "--port: 99999 is more than 65535"),
    (("serve", "s", "--port", "http"), "--port: 'http' is no whole number of 0 or more"),
    (("doctor", "x"), "'x' is one operand too many"),
    (("showconfig", "x.y", "z.w"), "'z.w' is one operand too many"),
])  # fmt: skip
def test_wrong_usage_of_another_subcommand_is_2_and_one_line(cli: Cli, words: tuple[str, ...], message: str) -> None:
    result = cli(*words)
    assert one_line(result).startswith(message)
    assert result.returncode == 2


@pytest.mark.parametrize(("words", "message"), [
    (("ls", "nosuch.example.org"), "nothing says where the repository nosuch.example.org is; say it with --repo"),
    (("showconfig", "nosuch.example.org"), "nothing says where the repository nosuch.example.org is"),
    (("ls", "--repo", "a.b=/nowhere", "a.b"), "no master public key is known for a.b"),
    (("serve", "missing"), "cannot serve missing: it is not a directory"),
])  # fmt: skip
def test_a_failure_of_another_subcommand_is_1_and_one_line(cli: Cli, words: tuple[str, ...], message: str) -> None:
    result = cli(*words)
    assert one_line(result).startswith(message)
    assert result.returncode == 1


def test_a_syntax_error_in_a_file_is_named_with_its_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "cli-cwd/hepwrap.toml").write_text("proxy = 'x'\ntimeout == 3\n")
    launch, other = cli("--", "true"), cli("showconfig")
    for result, code in ((launch, 125), (other, 1)):
        assert one_line(result).startswith(f"{tmp_path}/cli-cwd/hepwrap.toml:2: ")
        assert result.returncode == code


def test_a_traceback_is_shown_only_where_it_is_asked_for(cli: Cli) -> None:
    plain, asked = cli("ls", "x"), cli("ls", "x", environ={"HEPWRAP_DEBUG": "1"})
    assert b"Traceback" not in plain.stderr
    assert b"Traceback" in asked.stderr
    assert plain.returncode == asked.returncode == 2


def test_names_from_elsewhere_cannot_command_the_terminal(cli: Cli) -> None:
    result = cli("ls", "--repo", b"a.b=/\x1b[31m\xff\n", b"a.b")
    assert b"\x1b" not in result.stderr
    assert result.stderr.count(b"\n") == 1


def test_the_version_is_the_packages(cli: Cli) -> None:
    result = cli("--version")
    assert (result.stdout, result.stderr, result.returncode) == (f"hepwrap {__version__}\n".encode(), b"", 0)


# Help.


def test_help_lists_every_subcommand_and_every_option_of_run(cli: Cli) -> None:
    text = cli("--help").stdout.decode()
    assert all(re.search(rf"^  {name} +\S", text, re.MULTILINE) for name in COMMANDS)
    assert all(name in text for flag in COMMANDS["run"].flags for name in flag.names)
    assert cli("help").stdout.decode() == cli("-h").stdout.decode() == text


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_subcommand_lists_its_options(cli: Cli, name: str) -> None:
    result = cli(name, "--help")
    text = result.stdout.decode()
    assert text.startswith(f"usage: hepwrap {name} ")
    assert all(flag_name in text for flag in COMMANDS[name].flags for flag_name in flag.names)
    assert (result.stderr, result.returncode) == (b"", 0)
    assert cli("help", name).stdout.decode() == text


def test_help_fits_a_terminal() -> None:
    from hepwrap.cli.help import of_command, overview

    texts = [overview(), *(of_command(command) for command in COMMANDS.values())]
    assert max(len(line) for text in texts for line in text.splitlines()) <= 100


def flags_of_all_commands() -> list[Flag]:
    return list(dict.fromkeys(flag for command in COMMANDS.values() for flag in command.flags))


def manual() -> str:
    return (ROOT / "docs/hepwrap.1").read_text().replace("\\-", "-").replace("\\(aq", "'")


@pytest.mark.parametrize("flag", flags_of_all_commands(), ids=lambda flag: flag.names[0])
def test_the_manual_has_every_option(flag: Flag) -> None:
    assert all(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", manual()) for name in flag.names)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_manual_has_every_subcommand(name: str) -> None:
    assert re.search(rf"^\.SS.*\bhepwrap {name}\b|^\.SS.*\b{name}\b", manual(), re.MULTILINE)


def test_the_manual_is_understood_by_man() -> None:
    groff = needs.program("groff", "groff-base")
    words = [groff, "-man", "-Tutf8", "-ww", str(ROOT / "docs/hepwrap.1")]
    result = subprocess.run(words, capture_output=True, check=True)
    assert result.stderr == b""


# What a start costs.

HEAVY = ("requests", "urllib3", "cryptography", "psutil", "sqlite3", "ssl", "http.client", "tomllib", "argparse")


def loaded_after(code: str) -> set[str]:
    """Which of the heavy modules are there after `code`."""
    script = f"{code}\nimport sys\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    environ = {"HOME": "/nonexistent", "PATH": os.environ["PATH"]}
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, env=environ, cwd="/", text=True
    )
    found: set[str] = set(eval(result.stdout.splitlines()[-1]))
    return found


def test_a_launch_is_ready_without_anything_heavy() -> None:
    code = """
from hepwrap import cli, assemble
def run(loaded, command, environment):
    print(loaded.job, loaded.names, loaded.repository("atlas.cern.ch"))
    raise SystemExit
assemble.run = run
try:
    cli.main(["--", "true"])
except SystemExit:
    pass
"""
    assert loaded_after(code) == set()


def test_help_and_version_load_nothing_heavy() -> None:
    assert loaded_after("from hepwrap import cli\ncli.main(['--help'])\ncli.main(['--version'])") == set()


def test_a_reader_that_goes_away_ends_it_quietly(cli: Cli) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hepwrap", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    assert (error, process.wait()) == (b"", 141)


def test_a_full_disk_is_one_line(cli: Cli) -> None:
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "hepwrap", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
            check=False,
        )
    assert result.stderr == b"hepwrap: No space left on device\n"
    assert result.returncode == 125


@pytest.mark.parametrize("closing", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_closed_streams_change_no_exit_code_and_mix_nothing(tmp_path: Path, closing: str) -> None:
    script = f'"$@" {closing}'
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    command = ["sh", "-c", script, "sh", sys.executable, "-m", "hepwrap"]
    failed = subprocess.run([*command, "ls", "x"], capture_output=True, env=environ, check=False, cwd=tmp_path)
    assert (failed.returncode, failed.stdout) == (2, b"")
    assert failed.stderr.count(b"\n") == (0 if "2>&-" in closing else 1)
    fine = subprocess.run([*command, "showconfig"], capture_output=True, env=environ, check=False, cwd=tmp_path)
    assert (fine.returncode, fine.stderr) == (0, b"")


def test_a_current_directory_that_is_gone_is_no_obstacle(tmp_path: Path) -> None:
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    command = ["sh", "-c", script, "sh", sys.executable, "-P", "-m", "hepwrap", "showconfig"]
    result = subprocess.run(command, capture_output=True, env=environ, check=False, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, b"")
