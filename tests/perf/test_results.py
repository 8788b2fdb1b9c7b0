"""Results survive JSON, and what is no result of ours is refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepwrap.errors import HepwrapError
from hepwrap.perf.goals import Goal, Promise
from hepwrap.perf.machine import Machine
from hepwrap.perf.results import VERSION, Cell, ColumnInfo, Results, RowResult, as_json, from_json, read
from tests.helpers.measured import results, row, with_cell

TEXT = st.text(max_size=12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60)
COUNTERS = st.dictionaries(TEXT, NUMBER, max_size=3)
CELLS = st.builds(
    Cell,
    st.integers(0, 10**9),
    st.booleans(),
    st.lists(NUMBER | st.none(), max_size=4).map(tuple),
    TEXT,
    COUNTERS,
    COUNTERS,
    TEXT,
    st.integers(1, 99),
)
GOALS = st.none() | st.builds(Goal, st.sampled_from(Promise), NUMBER, TEXT)
ROWS = st.builds(
    RowResult, TEXT, TEXT, TEXT, st.sampled_from(["ns", "B"]), GOALS, TEXT, st.dictionaries(TEXT, CELLS, max_size=3)
)
COLUMNS = st.builds(ColumnInfo, TEXT, TEXT, TEXT, TEXT, TEXT)
MACHINES = st.builds(
    Machine, TEXT, st.integers(1, 99), TEXT, TEXT, st.integers(0, 2**50), st.booleans(), TEXT, TEXT, TEXT
)
RESULTS = st.builds(
    Results,
    TEXT,
    TEXT,
    MACHINES,
    st.integers(1, 9),
    st.booleans(),
    st.floats(0, 99),
    st.lists(COLUMNS, max_size=2).map(tuple),
    st.lists(ROWS, max_size=3).map(tuple),
)


@given(RESULTS)
def test_results_are_the_same_after_json(found: Results) -> None:
    assert from_json(as_json(found), "x") == found


def a_result() -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(as_json(results(row("stat", {"native": [2.0], "hepwrap": [1.0, None]}))))
    return raw


def refusal(text: str) -> str:
    with pytest.raises(HepwrapError) as caught:
        from_json(text, "A.json")
    sentence = str(caught.value)
    assert sentence.startswith("A.json ")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("text", ["", "{", "[1, 2", "\0", '{"schema": NaN}', "[" * 100_000])
def test_what_is_not_json_is_refused(text: str) -> None:
    assert "is not JSON" in refusal(text)


@pytest.mark.parametrize("text", ["[]", "3", "null", "{}", '{"schema": "other", "version": 1}'])
def test_other_json_is_refused(text: str) -> None:
    assert "is not a result of hepwrap perf" in refusal(text)


@pytest.mark.parametrize("version", [0, VERSION + 1, "1", None])
def test_another_version_of_the_schema_is_refused_by_its_number(version: object) -> None:
    sentence = refusal(json.dumps({**a_result(), "version": version}))
    assert f"version {version}" in sentence
    assert f"reads {VERSION}" in sentence


@pytest.mark.parametrize("field", sorted(set(a_result()) - {"schema", "version"}))
def test_a_result_without_a_field_is_damaged(field: str) -> None:
    raw = a_result()
    del raw[field]
    assert "is damaged" in refusal(json.dumps(raw))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("samples", ["1"]),
        ("samples", [True]),
        ("samples", 5),
        ("counters", {"a": "b"}),
        ("counters", []),
        ("unknown", 1),
    ],
)
def test_a_cell_of_another_form_is_damaged(field: str, value: object) -> None:
    raw = a_result()
    raw["rows"][0]["cells"]["native"][field] = value
    assert "is damaged" in refusal(json.dumps(raw))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(HepwrapError, match="No such file"):
        read(tmp_path / "nothing.json")
    with pytest.raises(HepwrapError, match="larger than any result"):
        read(Path("/dev/zero"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HepwrapError, match="not JSON"):
        read(tmp_path / "binary")


def test_failures_are_those_of_hepwrap_and_of_no_peer() -> None:
    fine = row("stat", {"native": [2.0], "hepwrap": [1.0], "peer": [1.0]})
    first = replace(with_cell(fine, "hepwrap", error="wrong"), name="stat-first")
    found = results(fine, with_cell(replace(fine, name="open"), "hepwrap", error="wrong"), first)
    assert results(with_cell(fine, "peer", error="wrong")).failures() == []
    assert found.failures() == ["open (hepwrap)"]


def test_a_cell_with_an_error_has_no_figure() -> None:
    found = with_cell(row("stat", {"native": [2.0], "hepwrap": [1.0]}), "hepwrap", error="wrong answers")
    assert found.cells["hepwrap"].summary is None
    assert found.speed("hepwrap") is None
