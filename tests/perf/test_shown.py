"""What people see: the table, the page, the README.  Nothing that is missing may be missing silently."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepwrap.errors import HepwrapError
from hepwrap.perf import plots as plotting
from hepwrap.perf.outputs import write_all
from hepwrap.perf.page import as_html
from hepwrap.perf.plots import Plot
from hepwrap.perf.readme import BEGIN, END, as_markdown, updated, write_readme
from hepwrap.perf.results import ColumnInfo, Results, RowResult, as_json, read
from hepwrap.perf.table import as_text, digits, quantity
from tests.helpers.measured import results, row, with_cell

FAST = with_cell(
    row("fast", {"native": [1000.0, 1000.0, 1000.0], "hepwrap": [100.0, 100.0, 100.0]}),
    "hepwrap",
    counters={"tracer.stops": 0.0, "tracer.upcalls": 0.0},
)
SLOW = with_cell(
    row("slow", {"native": [1000.0, 1000.0], "hepwrap": [2000.0, 2200.0]}),
    "hepwrap",
    counters={"tracer.stops": 10.0, "tracer.upcalls": 5.0, "fetch.requests": 0.0},
    is_scaled=True,
)
ABSENT = RowResult("absent", "title of absent", "group", "ns", None, "g++ is not installed <&|>")
WRONG = with_cell(row("wrong", {"native": [1.0], "hepwrap": [1.0]}), "hepwrap", error="its answers differ")
PEER = ColumnInfo("peer", "peer", "peer {tree}", "/", "peer is not installed")


def all_kinds() -> Results:
    found = results(FAST, SLOW, ABSENT, WRONG)
    return replace(found, columns=(*found.columns, PEER))


def line_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if f"title of {name}" in line)


def test_the_ratio_comes_first_then_time_spread_and_counters() -> None:
    text = as_text(all_kinds())
    assert re.search(r"10\.0x  100 ns ±0%  0 stops +2\.00x ok$", line_of(text, "fast"))
    assert re.search(r"0\.477x  2\.10 us\* ±5%  1\.00 stops, 0\.500 upcalls +2\.00x missed$", line_of(text, "slow"))


def test_a_busy_machine_is_pointed_out() -> None:
    assert "busy" in as_text(results(FAST, load=1.1))
    assert "busy" not in as_text(results(FAST, load=0.9))


def test_one_sample_has_no_spread_that_could_be_known() -> None:
    assert "1.00 ns ±?" in line_of(as_text(results(WRONG)), "wrong")


@pytest.mark.parametrize("shown", [as_text, as_markdown, lambda found: as_html(found, [], "")])
def test_whatever_was_not_measured_is_named_with_its_reason(shown: object) -> None:
    text = shown(all_kinds())  # type: ignore[operator]
    assert "not measured" in text
    assert "g++ is not installed" in text.replace("\\", "")
    assert "its answers differ" in text
    assert "peer is not installed" in text
    assert "fewer iterations" in text


@pytest.mark.parametrize("shown", [as_text, as_markdown, lambda found: as_html(found, [], "")])
def test_machine_versions_columns_and_peers_are_told(shown: object) -> None:
    text = shown(all_kinds()).replace("\\", "")  # type: ignore[operator]
    told = ("A processor", "2 cores", "8.00 GiB", "Linux 6.1.0 x86_64", "glibc 2.36", "Python 3.11.2", "hepwrap 0.1")
    for fact in (*told, "ext4", "3 rounds", "2026-01-02T03:04:05"):
        assert fact in text


def test_an_error_that_several_rows_have_is_said_once_with_all_their_names() -> None:
    text = as_text(results(WRONG, replace(WRONG, name="other"), with_cell(WRONG, "hepwrap", error="another")))
    assert "wrong, other in column hepwrap: its answers differ" in text.splitlines()
    assert "wrong in column hepwrap: another" in text.splitlines()


def test_the_page_says_what_each_column_puts_before_the_program() -> None:
    page = as_html(all_kinds(), [])
    for command in ("nothing before it", "hepwrap --", "peer is not installed"):
        assert f"<td>{command}</td>" in page


@given(st.floats(min_value=1e-3, max_value=1e15))
def test_three_digits_are_close_and_have_a_unit(value: float) -> None:
    number, unit = quantity(value, "ns").split(" ")
    factor = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}[unit]
    assert "e" not in number
    assert abs(float(number) * factor - value) <= max(0.006 * value, 0.0006)


def test_memory_is_shown_in_bytes() -> None:
    assert quantity(60 << 20, "B") == "60.0 MiB"
    assert digits(0.0123) == "0.012"


class Resources(HTMLParser):
    """Everything that a page would fetch, and its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.images = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.fetched += [str(value) for name, value in attributes if name in ("src", "href", "srcset", "action")]
        self.images += tag == "img"
        assert tag not in ("script", "link", "iframe", "object")
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_its_elements_are_closed() -> None:
    page = as_html(all_kinds(), [Plot("a", 'a "plot" & <more>', b"\x89PNG"), Plot("b", "b", b"\x89PNG")])
    parser = Resources()
    parser.feed(page)
    assert parser.open == []
    assert parser.images == 2
    assert all(resource.startswith("data:image/png;base64,") for resource in parser.fetched)
    assert "url(" not in page
    assert "@import" not in page


def test_names_in_results_are_text_and_no_markup() -> None:
    found = results(replace(FAST, title="<script>alert(1)</script>", group="<b>"))
    assert "<script>" not in as_html(found, [])
    assert "<b>" not in as_html(found, [])


def test_equal_results_give_equal_pages() -> None:
    assert as_html(all_kinds(), []) == as_html(all_kinds(), [])


PNG = b"\x89PNG\r\n\x1a\n"


def test_plots_are_png_files_and_stand_in_the_page(tmp_path: Path, needs_matplotlib: None) -> None:
    said: list[str] = []
    files = write_all(all_kinds(), tmp_path / "new" / "place", said.append)
    images = [path for path in files if path.suffix == ".png"]
    assert [path.name for path in images] == ["speed-group.png", "stops.png"]
    assert all(path.read_bytes().startswith(PNG) and path.stat().st_size > 2000 for path in images)
    page = (tmp_path / "new/place/results.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert read(tmp_path / "new/place/results.json") == all_kinds()
    assert said == []


def test_a_plot_shows_the_goal_and_one_much_slower_as_far_off(needs_matplotlib: None) -> None:
    def drawn(one: RowResult) -> bytes:
        return next(plotting.plots(results(one))).png

    assert drawn(FAST) != drawn(replace(FAST, goal=None))
    assert drawn(FAST) != drawn(SLOW)
    assert drawn(FAST) == drawn(FAST)


def test_a_plot_of_nothing_but_failures_is_no_plot(needs_matplotlib: None) -> None:
    assert list(plotting.plots(results(WRONG, ABSENT))) == []


def test_without_matplotlib_all_but_the_plots_is_written_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    said: list[str] = []
    files = write_all(all_kinds(), tmp_path, said.append)
    assert [path.name for path in files] == ["results.json", "results.html"]
    assert said == ["matplotlib is not installed and there are no plots; pip install 'hepwrap[perf]'"]
    assert "pip install" in (tmp_path / "results.html").read_text()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HepwrapError, match=r"--output: .*file"):
        write_all(results(), tmp_path / "file" / "below", lambda _line: None)


def test_a_readme_keeps_what_stands_outside_the_marks() -> None:
    text = f"# before\n{BEGIN}\nold\n{END}\nafter\n"
    once = updated(text, all_kinds(), "README.md")
    assert once.startswith(f"# before\n{BEGIN}\n")
    assert once.endswith(f"{END}\nafter\n")
    assert "old" not in once
    assert "title of fast" in once
    assert updated(once, all_kinds(), "README.md") == once


def test_a_readme_that_cannot_be_written_whole_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"{BEGIN}\n{END}\n")

    def full(_self: Path, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(HepwrapError, match=r"--write-readme: .*README\.md: No space left on device"):
        write_readme(path, results())
    assert path.read_text() == f"{BEGIN}\n{END}\n"


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_readme_without_its_marks_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(HepwrapError, match="has no place for results"):
        write_readme(path, results())
    assert path.read_text() == text


def test_a_readme_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HepwrapError, match=r"--write-readme: .*No such file"):
        write_readme(tmp_path / "nothing.md", results())


def test_our_own_readme_has_the_marks() -> None:
    path = Path(__file__).resolve().parents[2] / "perf/README.md"
    assert path.read_text().count(BEGIN) == path.read_text().count(END) == 1


def test_every_row_of_markdown_has_as_many_cells_as_its_heading() -> None:
    tables = re.findall(r"(?:^\|.*\n)+", as_markdown(all_kinds()), re.MULTILINE)
    assert tables
    for table in tables:
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(counts) == 1


def test_json_names_no_place_of_the_machine() -> None:
    assert "/home/" not in as_json(all_kinds())
