"""How columns are written, and what words they put before a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from hepwrap.errors import UsageError
from hepwrap.perf.columns import PEER, known_peers, parse_peer, usual
from hepwrap.perf.work import PREFIX


def test_native_comes_first_and_hepwrap_both_ways() -> None:
    columns = usual(["hepwrap"])
    assert [column.name for column in columns] == ["native", "hepwrap", "no-patch"]
    assert columns[0].command(["bench"], {}) == ["bench"]
    assert ("--no-patch" in columns[1].before, "--no-patch" in columns[2].before) == (False, True)
    assert [column.counts for column in columns] == [False, True, True]


def test_placeholders_are_filled_and_other_braces_stay() -> None:
    column = parse_peer("bound=sh -c 'x {tree} {other}' {tree}/here")
    assert column.command(["{prefix}"], {"tree": "/t", "prefix": "/p"}) == ["sh", "-c", "x /t {other}", "/p"]
    assert (column.kind, column.prefix, column.missing) == (PEER, "{tree}/here", "")


def test_a_directory_is_a_peer_without_a_command(tmp_path: Path) -> None:
    column = parse_peer(f"mounted={tmp_path}")
    assert (column.before, column.prefix, column.missing) == ((), str(tmp_path), "")


def test_a_peer_that_is_not_here_is_a_column_that_says_so() -> None:
    assert parse_peer("a=no-such-program-anywhere /x").missing == "no-such-program-anywhere is not installed"
    assert "no directory" in parse_peer("a=/no/such/place").missing


@pytest.mark.parametrize("text", ["", "a", "=x /y", "a=", "a b=/", "a/b=/", "a='", "a=proot -b x"])
def test_what_is_no_peer_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="--peer") as caught:
        parse_peer(text)
    assert "\n" not in str(caught.value)


def test_known_peers_are_those_in_path(tmp_path: Path) -> None:
    assert known_peers(path=str(tmp_path)) == ()
    program = tmp_path / "proot"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (peer,) = known_peers(path=str(tmp_path))
    assert (peer.name, peer.prefix) == ("proot", PREFIX)
