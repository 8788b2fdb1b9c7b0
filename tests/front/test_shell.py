"""Configuration files that are shell scripts: what is refused, with its place, and what includes and files do."""

from __future__ import annotations

from pathlib import Path

import pytest

from hepwrap.config.shell import run_file
from hepwrap.config.shell_parameters import Parameters
from hepwrap.config.sources import Sources
from hepwrap.errors import ConfigurationError


def run(tmp_path: Path, script: str, **environ: str) -> Parameters:
    (tmp_path / "a.conf").write_text(script)
    parameters = Parameters(environ)
    assert run_file("/a.conf", parameters, Sources(tmp_path))
    return parameters


REFUSED = {
    "A=$(date)": "1: command substitution needs a shell, which hepwrap does not run; write the value out",
    "\nA=`date`": "2: command substitution needs a shell, which hepwrap does not run; write the value out",
    "A=1\nB='open\n\n": "2: the quote ' that is opened here is never closed",
    'A=1\n\nB="open\n': '3: the quote " that is opened here is never closed',
    "A=${B": "1: the ${ that is opened here is never closed with }",
    "A=${B^^}": "1: ${...^ is no expansion of a POSIX shell",
    "A=${}": "1: after ${ stands the name of a variable",
    "A=${#}x": "1: after ${ stands the name of a variable",
    "A=$1": "1: $1 has no value in a configuration file",
    "A=$'x'": "1: $'...' is no POSIX quoting; use '...'",
    "A=$((1 + ": "1: the $(( that is opened here is never closed with ))",
    "A=$((1 / 0))": "1: division by zero",
    "A=$((x.y))": "1: 'x.y' is no arithmetic that hepwrap understands",
    "B=many; A=$((B))": "1: B is 'many', which is no whole number",
    "if true; then\nA=1\n": "1: elif or else or fi is missing",
    "if true; then\nfi": "2: here stands no command; put a command there, or `:`",
    "case x in\nx) A=1;;\n": "1: esac is missing",
    "A=1\nfi": "2: `fi` is not expected here",
    "A=1 )": "1: `)` is not expected here",
    "(A=1)": "1: functions and subshells need a shell, which hepwrap does not run; write the values out",
    "f() { A=1; }": "1: functions and subshells need a shell, which hepwrap does not run; write the values out",
    "for x in 1 2; do A=$x; done": "1: loops need a shell, which hepwrap does not run; write the values out",
    "true | true": "1: pipes need a shell, which hepwrap does not run; write the values out",
    "true > /tmp/x": "1: redirections need a shell, which hepwrap does not run; write the values out",
    "true &": "1: background jobs need a shell, which hepwrap does not run; write the values out",
    "[[ a = a ]]": "1: [[ ]] (use [ ]) need a shell, which hepwrap does not run; write the values out",
    "\n\nrm -rf /": "3: the command `rm` needs a shell, which hepwrap does not run",
    "A = 1": "1: the command `A` needs a shell, which hepwrap does not run",
    "A=1 true": "1: an assignment before a command has no use in a configuration file",
    "export 1=2": "1: '1=2' is no name of a variable",
    "[ a = a": "1: the [ that is opened here is never closed with ]",
    "[ 1 -lt x ]": "1: 'x' is no whole number",
    "[ -Q x ]": "1: the test -Q is not one that hepwrap knows",
    "readonly A=1\nA=2": "2: A was made readonly further up; remove one of the two",
    "readonly A=1\nunset A": "2: A was made readonly further up; remove one of the two",
    ": ${A:?must be set}": "1: A: must be set",
    "grep x y": "1: of grep, hepwrap knows only `grep -q PATTERN FILE`",
    "grep -q '\\(' /a.conf": "1: '\\\\(' is no pattern that hepwrap understands",
    ". /missing": "1: there is no file /missing to include",
    ". /a.conf": "1: files include each other more than 16 deep; do they include themselves?",
    ".": "1: after `.` stands the name of one file",
}


@pytest.mark.parametrize(("script", "message"), REFUSED.items(), ids=[repr(script) for script in REFUSED])
def test_what_is_no_configuration_is_refused_with_file_and_line(tmp_path: Path, script: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        run(tmp_path, script)
    assert str(caught.value).startswith(f"/a.conf:{message}")
    assert "\n" not in str(caught.value)


def test_what_is_refused_counts_only_where_it_is_reached(tmp_path: Path) -> None:
    script = 'if [ -n "$X" ]; then A=$(date); else A=1; fi\n'
    assert run(tmp_path, script, X="").get("A") == "1"
    with pytest.raises(ConfigurationError, match="command substitution"):
        run(tmp_path, script, X="x")


def test_a_substitution_in_a_branch_not_taken_is_passed_over_whole(tmp_path: Path) -> None:
    script = 'if [ -n "$X" ]; then A=$(echo $(date) ")"); B=`echo \\` `; else A=1; fi\nB=2'
    parameters = run(tmp_path, script)
    assert (parameters.get("A"), parameters.get("B")) == ("1", "2")


def test_the_origin_is_the_line_where_the_value_stands(tmp_path: Path) -> None:
    parameters = run(tmp_path, "# comment\nA=1\nif true; then\n  B=x\\\ny\nfi; export C=3\n")
    assert {name: str(value.origin) for name, value in parameters.values.items()} == {
        "A": "/a.conf:2",
        "B": "/a.conf:4",
        "C": "/a.conf:6",
    }


def test_an_include_is_found_from_the_directory_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "etc/d").mkdir(parents=True)
    (tmp_path / "etc/d/x.conf").write_text(". ../common.conf\nB=$A\n")
    (tmp_path / "etc/common.conf").write_text("A=1\n. d/more.conf\nreturn\nA=2\n")
    (tmp_path / "etc/d/d").mkdir()
    (tmp_path / "etc/d/d/more.conf").write_text("C=3\n")
    parameters = Parameters()
    assert run_file("/etc/d/x.conf", parameters, Sources(tmp_path))
    assert {name: (value.text, str(value.origin)) for name, value in parameters.values.items()} == {
        "A": ("1", "/etc/common.conf:1"),
        "C": ("3", "/etc/d/d/more.conf:1"),
        "B": ("1", "/etc/d/x.conf:2"),
    }


def test_exit_ends_all_files_that_are_open(tmp_path: Path) -> None:
    (tmp_path / "b.conf").write_text("A=1\nexit 3\n")
    parameters = run(tmp_path, ". /b.conf\nA=2\n")
    assert parameters.get("A") == "1"


def test_readonly_ends_with_the_file(tmp_path: Path) -> None:
    parameters = run(tmp_path, "readonly A=1")
    (tmp_path / "b.conf").write_text("A=2")
    assert run_file("/b.conf", parameters, Sources(tmp_path))
    assert parameters.get("A") == "2"


def test_a_protected_name_keeps_its_value(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("A=2\nB=$A\nunset A\nC=$A")
    parameters = Parameters(protected={"A": "1"})
    run_file("/a.conf", parameters, Sources(tmp_path))
    assert (parameters.get("A"), parameters.get("B"), parameters.get("C")) == ("1", "1", "1")


def test_the_packaged_question_for_the_system_is_answered(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    script = (
        'if [ -f /etc/debian_version ] && grep -q "wheezy\\|jessie" /etc/debian_version;\nthen\n    :\n'
        "else\n    CVMFS_CONFIG_REPOSITORY=cvmfs-config.cern.ch\nfi\n"
    )
    assert run(tmp_path, script).get("CVMFS_CONFIG_REPOSITORY") == "cvmfs-config.cern.ch"
    (tmp_path / "etc/debian_version").write_text("12.5\n")
    assert run(tmp_path, script).get("CVMFS_CONFIG_REPOSITORY") == "cvmfs-config.cern.ch"
    (tmp_path / "etc/debian_version").write_text("jessie/sid\n")
    assert run(tmp_path, script).get("CVMFS_CONFIG_REPOSITORY") is None


def test_random_comes_from_outside(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text('if [ "$((RANDOM % 2))" -eq 1 ]; then A=odd; else A=even; fi')
    told = []
    for number in (4, 5):
        parameters = Parameters(random=lambda number=number: number)  # type: ignore[misc]
        run_file("/a.conf", parameters, Sources(tmp_path))
        told.append(parameters.get("A"))
    assert told == ["even", "odd"]


def test_a_missing_file_is_no_error_and_says_nothing(tmp_path: Path) -> None:
    parameters = Parameters()
    assert not run_file("/missing.conf", parameters, Sources(tmp_path))
    assert parameters.values == {}


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.conf").mkdir()
    with pytest.raises(ConfigurationError, match=r"^/a\.conf: cannot be read \(Is a directory\)"):
        run_file("/a.conf", Parameters(), Sources(tmp_path))


def test_a_file_with_nul_bytes_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_bytes(b"A=1\0")
    with pytest.raises(ConfigurationError, match="is no configuration file"):
        run_file("/a.conf", Parameters(), Sources(tmp_path))


def test_bytes_that_are_no_text_go_through_unharmed(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_bytes(b"A='\xff\xfe'\r\nB=$A\r\n")
    parameters = Parameters()
    run_file("/a.conf", parameters, Sources(tmp_path))
    assert (parameters.get("B") or "").encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_a_value_that_doubles_itself_ends_before_memory_does(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^/a\.conf:\d+: the value of \$A is longer than"):
        run(tmp_path, "A=xxxxxxxxxxxxxxxx\n" + "A=$A$A$A$A\n" * 30)


def test_deep_nesting_is_refused_and_no_crash(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        run(tmp_path, "if true; then\n" * 5000 + "A=1\n" + "fi\n" * 5000)
