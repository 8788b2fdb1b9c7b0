"""Our reader of shell assignments against a real shell: whatever both understand, they understand alike."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hepwrap.config.shell import run_file
from hepwrap.config.shell_parameters import Parameters
from hepwrap.config.sources import Sources
from hepwrap.errors import ConfigurationError

SHELLS = [shell for shell in ("bash", "dash") if shutil.which(shell)]
NAMES = ("A", "B", "C_1", "UNSET")
# The locale decides how long `é` is: characters, as for us.
ENVIRONMENT = {"FROM_OUTSIDE": "out  side", "EMPTY": "", "HOME": "/home/me", "LC_ALL": "C.UTF-8"}

plain = st.text(alphabet="abz019/:.,_-@%+=^ \t;|&()<>*?[]{}~#!é\n", max_size=8)
bare = st.text(alphabet="abz019/:.,_-@%+=^~*?[]{}!", max_size=6).filter(
    lambda text: "~" not in text and "{" not in text
)
names = st.sampled_from((*NAMES, *ENVIRONMENT))
pattern = st.sampled_from(("*", "?", "a*", "*/", "/*", "[ab]*", "*:", "b", "\\*", "'*'", '"?"'))


def single(text: str) -> str:
    return "'" + text + "'"


def double(text: str) -> str:
    return '"' + "".join("\\" + letter if letter in '$`"\\' else letter for letter in text) + '"'


def backslashed(text: str) -> str:
    return "".join("\\" + letter for letter in text if letter != "\n")


def expansion(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(("-", ":-", "+", ":+", "=", ":="))
    return st.one_of(
        names.map("${}".format),
        names.map("${{{}}}".format),
        names.map("${{#{}}}".format),
        st.builds("${{{}{}{}}}".format, names, operators, inner),
        st.builds("${{{}{}{}}}".format, names, st.sampled_from(("#", "##", "%", "%%")), pattern),
    )


argument = st.one_of(bare.filter(lambda text: "}" not in text), plain.map(double))
nested = expansion(argument)
quoted_expansion = expansion(bare.filter(lambda text: "}" not in text)).map(lambda text: f'"x{text} y"')
numbers = st.integers(-99, 99)
arithmetic = st.builds("$(( {} {} ({}) ))".format, numbers, st.sampled_from(("+", "-", "*", "<", "==")), numbers)
pieces = st.one_of(
    bare, plain.map(single), plain.map(double), plain.map(backslashed), expansion(argument | nested), quoted_expansion,
    arithmetic, st.just('""'), st.just("\\\n"),
)  # fmt: skip
# A comment, a tilde or an operator cannot begin inside of a word that has begun.
words = st.lists(pieces, max_size=4).map("".join)
assignments = st.builds("{}{}={}".format, st.sampled_from(("", "export ", "  ")), st.sampled_from(NAMES[:3]), words)
conditions = st.builds(
    'if [ "${}" {} "{}" ]; then {}; else {}; fi'.format,
    names, st.sampled_from(("=", "!=")), st.sampled_from(("", "a", "x y")), assignments, assignments,
)  # fmt: skip
cases = st.builds("case ${} in {}) {} ;; *) {} ;; esac".format, names, pattern, assignments, assignments)
chains = st.builds('[ -n "${}" ] {} {}'.format, names, st.sampled_from(("&&", "||")), assignments)
lines = st.one_of(assignments, assignments, conditions, cases, chains, st.just("# a comment ' \""))
scripts = st.lists(lines, min_size=1, max_size=6).map("\n".join)


def told_by_shell(shell: str, script: Path) -> dict[str, str]:
    """The variables after the script; an `x` in front tells empty from unset."""
    shows = "\n".join(f"printf '%s\\0' \"${{{name}+x${name}}}\"" for name in NAMES)
    result = subprocess.run(
        [shell, "-c", f". '{script}'\n{shows}"], env=ENVIRONMENT, capture_output=True, check=False, timeout=60
    )
    if result.stderr:
        raise ValueError(result.stderr)
    values = result.stdout.decode("utf-8", "surrogateescape").split("\0")
    return {name: value[1:] for name, value in zip(NAMES, values, strict=False) if value}


def told_by_us(script: Path) -> dict[str, str]:
    parameters = Parameters(ENVIRONMENT)
    assert run_file(str(script), parameters, Sources(Path("/")))
    return {name: value for name in NAMES if (value := parameters.get(name)) is not None}


@pytest.mark.skipif(not SHELLS, reason="no shell is installed")
@pytest.mark.parametrize("shell", SHELLS[:1])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=scripts)
def test_a_script_means_what_a_shell_says_it_means(shell: str, script: str, tmp_path: Path) -> None:
    place = tmp_path / "script.conf"
    place.write_text(script + "\n")
    ours = told_by_us(place)
    assert ours == told_by_shell(shell, place), script


EXAMPLES = (
    "A=plain",
    "A='single  quoted $B'",
    'A="double $FROM_OUTSIDE \\$B \\x"',
    "A=a\\ b",
    "A=one; B=two",
    "A=one B=$A C_1=${A}x",
    "A=one # comment\nB=x#y",
    "A=a\\\nb",
    "C_1=x; A=$C\\\n_1; B=$\\\nC_1",
    "export A=${B:-default} B",
    "A=${UNSET-'a b'}${EMPTY:-e}${EMPTY-f}",
    'A="${UNSET:-a "b c" d}"',
    "A=/x/y/z; B=${A##*/}; C_1=${A%/*}",
    "A=$((1 + 2 * 3)); B=$((A % 4)); C_1=$((-7 / 2))",
    "A=~/x; B=~; C_1='~'",
    "A='it'\\''s'",
    "if [ -z $UNSET ] || [ $EMPTY -lt 5 ]; then A=1; fi",
    'if [ x = x ] && ! [ -n "$UNSET" ]; then\nA=1\nelif true; then\nA=2\nelse A=3\nfi',
    "case $FROM_OUTSIDE in 'out  side') A=1;; esac",
    "case abc in x|a*) A=1;; *) A=2;; esac",
    "A=1; unset A; B=${A-gone}",
    "[ -f /etc/passwd ] && A=file; [ -d /etc ] && B=dir; [ -e /nonexistent ] || C_1=none",
    "{ A=1; B=2; }",
    ": ${A:=set}; B=$A",
    "A=1; A=$A$A$A",
    "A=$; B=a$",
    'if [ "x$UNSET" = "x" ]; then\n  readonly A=/cvmfs\nfi',
    "A=1\nreturn\nA=2",
    "A=a\tB=b",
    "A=[x] B=*",
    "A=0x10; B=$((A + 010))",
    "grep -q 'ro\\{2\\}t\\|nobody' /etc/passwd && A=yes",
    "[ 1 -eq 1 -a 2 -gt 1 ] && A=1; [ 1 -eq 2 -o 2 -gt 1 ] && B=1",
)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("script", EXAMPLES)
def test_an_example_means_what_a_shell_says_it_means(shell: str, script: str, tmp_path: Path) -> None:
    place = tmp_path / "script.conf"
    place.write_text(script + "\n")
    assert told_by_us(place) == told_by_shell(shell, place)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.text(alphabet="ab$ {}()'\"\\`;&|<>#=\n-[]!*?%:if then fi case esac in", max_size=60))
def test_garbage_is_understood_or_refused_with_its_place(script: str, tmp_path: Path) -> None:
    place = tmp_path / "script.conf"
    place.write_text(script)
    refusal = ""
    try:
        run_file(str(place), Parameters(ENVIRONMENT), Sources(Path("/")))
    except ConfigurationError as error:
        refusal = str(error)
    assert refusal == "" or refusal.startswith(f"{place}:")
