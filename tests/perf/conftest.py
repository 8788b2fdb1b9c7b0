"""Fixtures of the tests of the harness."""

from __future__ import annotations

import fcntl
from importlib.util import find_spec
from pathlib import Path

import pytest

from hepwrap.perf.session import Session
from hepwrap.perf.work import Made, Work
from tests.front.conftest import cli
from tests.helpers.needs import lacking
from tests.helpers.small_tree import SMALL

__all__ = ["cli"]


@pytest.fixture
def needs_matplotlib() -> None:
    """The plots' library, which CI installs."""
    if find_spec("matplotlib") is None:
        lacking("matplotlib is missing: pip install 'hepwrap[perf]'")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> tuple[Session, Made]:
    """A small tree, made once for all workers; each has a scratch directory of its own."""
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "perf-work"
    place.mkdir(exist_ok=True)
    session = Session(Work(place, scratch=f"runs-{worker_id}"), SMALL, workloads=Path("/nonexistent"))
    with open(place / "one-worker", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = session.prepare(lambda _text: None)
    session.work.runs.mkdir(exist_ok=True)
    return session, made
