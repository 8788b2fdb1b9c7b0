"""How much the job's share is, by fake systems and a fake clock; and the descriptor limit, for real in a child."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hepwrap.cache import budget, descriptors
from hepwrap.cache.budget import INTERVAL, FixedBudget, JobBudget, squeezed

GIB = 1 << 30


class System:
    """A version 2 control group with numbers that a test may change; counts the readings."""

    def __init__(self, *, limit: int | str, current: int = 0, available: int = 1000 * GIB) -> None:
        self.limit, self.current, self.available, self.avg10 = limit, current, available, 0.0
        self.high: int | str = "max"
        self.now = 0.0
        self.readings = 0

    def read(self, path: str) -> str | None:
        self.readings += path == "/proc/self/cgroup"
        return {
            "/proc/self/cgroup": "0::/job\n",
            "/proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "/sys/fs/cgroup/job/memory.max": f"{self.limit}\n",
            "/sys/fs/cgroup/job/memory.high": f"{self.high}\n",
            "/sys/fs/cgroup/job/memory.current": f"{self.current}\n",
            "/sys/fs/cgroup/job/memory.pressure": f"some avg10={self.avg10:.2f} avg60=0 avg300=0 total=0\n",
        }.get(path)

    def budget(self, explicit: int | None = None) -> JobBudget:
        return JobBudget(explicit, read=self.read, available=lambda: self.available, clock=lambda: self.now)

    def later(self, budget: JobBudget) -> int:
        self.now += INTERVAL
        return budget.bytes_allowed()


def test_the_share_is_a_quarter_of_what_the_group_leaves_free() -> None:
    assert System(limit=16 * GIB, current=4 * GIB).budget().bytes_allowed() == 3 * GIB


def test_without_a_limit_it_is_a_quarter_of_free_memory() -> None:
    assert System(limit="max", available=8 * GIB).budget().bytes_allowed() == 2 * GIB


def test_a_group_that_promises_more_than_the_machine_has_is_not_believed() -> None:
    assert System(limit=500 * GIB, available=8 * GIB).budget().bytes_allowed() == 2 * GIB


def test_what_the_user_says_wins_and_nothing_is_read() -> None:
    system = System(limit=1 * GIB)
    assert system.budget(123).bytes_allowed() == 123
    assert system.readings == 0


def test_the_system_is_read_once_an_interval() -> None:
    system = System(limit=16 * GIB)
    share = system.budget()
    for _ in range(50):
        share.bytes_allowed()
    first = system.readings
    assert system.later(share) == 4 * GIB
    assert system.readings == 2 * first


def test_the_share_shrinks_as_the_job_takes_memory() -> None:
    system = System(limit=16 * GIB)
    share = system.budget()
    assert share.bytes_allowed() == 4 * GIB
    system.current = 12 * GIB
    assert share.bytes_allowed() == 4 * GIB
    assert system.later(share) == 1 * GIB
    system.current = 17 * GIB
    assert system.later(share) == 0


def test_the_share_shrinks_as_memory_high_comes_near() -> None:
    system = System(limit=16 * GIB, current=7 * GIB)
    system.high = 8 * GIB
    assert system.budget().bytes_allowed() == GIB // 4


def test_filling_the_share_settles_at_a_fifth_and_never_passes_the_quarter() -> None:
    system = System(limit=20 * GIB)
    share = system.budget()
    held = most = 0
    for _ in range(40):
        held = system.later(share)
        system.current = held
        most = max(most, held)
    assert most == 5 * GIB
    assert abs(held - 4 * GIB) < GIB // 100


def test_waiting_for_memory_halves_the_share_again_and_again_and_rest_gives_it_back() -> None:
    system = System(limit=16 * GIB)
    share = system.budget()
    system.avg10 = budget.HIGH_PRESSURE
    assert [system.later(share) for _ in range(3)] == [2 * GIB, 1 * GIB, GIB // 2]
    system.avg10 = (budget.HIGH_PRESSURE + budget.LOW_PRESSURE) / 2
    assert system.later(share) == GIB // 2
    system.avg10 = 0.0
    assert [system.later(share) for _ in range(4)] == [1 * GIB, 2 * GIB, 4 * GIB, 4 * GIB]


def test_the_squeeze_has_an_end() -> None:
    divisor = 1
    for _ in range(100):
        divisor = squeezed(divisor, 100.0)
    assert divisor == budget.LEAST


def test_the_real_share_is_something() -> None:
    assert 0 < JobBudget().bytes_allowed() <= budget.free_memory() // 2


def test_a_fixed_budget_is_fixed() -> None:
    assert (FixedBudget(5, 6).bytes_allowed(), FixedBudget(5, 6).descriptors_allowed()) == (5, 6)


# Descriptors.


def test_the_limit_is_raised_once_and_only_when_asked_for_descriptors() -> None:
    raised: list[int] = []
    share = JobBudget(raise_limit=lambda: raised.append(1), descriptors_allowed=lambda: 77)
    share.bytes_allowed()
    assert raised == []
    assert [share.descriptors_allowed() for _ in range(3)] == [77] * 3
    assert raised == [1]


@pytest.mark.parametrize(
    ("soft", "files"), [(0, 0), (16, 8), (128, 64), (256, 192), (1024, 768), (20_000, 17_952), (1 << 20, 1046528)]
)
def test_a_reserve_of_descriptors_is_kept_back(soft: int, files: int) -> None:
    assert descriptors.for_files(soft) == files


def test_soft_becomes_hard_in_the_process_that_asks() -> None:
    code = """
import resource
from hepwrap.cache.budget import JobBudget
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
print(JobBudget(1).descriptors_allowed(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["225", "300", "300"]


def test_a_limit_that_can_not_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (100, 200))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    descriptors.raise_limit()
    assert descriptors.allowed() == 50


def test_no_limit_of_descriptors_is_a_large_number(monkeypatch: pytest.MonkeyPatch) -> None:
    infinity = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (infinity, infinity))
    assert descriptors.allowed() > 1 << 20


@pytest.mark.parametrize(
    ("soft", "objects"), [(0, 0), (1, 0), (16, 4), (128, 32), (256, 32), (1024, 128), (20_000, 1024), (1 << 20, 1024)]
)
def test_half_of_the_reserve_is_for_objects(monkeypatch: pytest.MonkeyPatch, soft: int, objects: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, 1 << 20))
    assert descriptors.reserved_for_objects() == objects


@pytest.mark.parametrize("soft", [0, 1, 3, 64, 255, 1024, 8192, 1 << 20, resource.RLIM_INFINITY])
def test_files_and_objects_leave_descriptors_for_the_rest(monkeypatch: pytest.MonkeyPatch, soft: int) -> None:
    """At least as many stay for connections, catalogues and the tracer as objects may have."""
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, soft))
    limit = soft if soft != resource.RLIM_INFINITY else 1 << 30
    rest = limit - descriptors.allowed() - descriptors.reserved_for_objects()
    assert rest >= descriptors.reserved_for_objects()


def test_the_share_of_objects_follows_the_limit_of_now() -> None:
    code = """
import resource
from hepwrap.cache import descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
before = descriptors.reserved_for_objects()
descriptors.raise_limit()
print(before, descriptors.reserved_for_objects())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["25", "37"]


def test_importing_the_room_loads_no_heavy_library() -> None:
    code = "import sys, hepwrap.cache.memory; print(*({'psutil', 'requests', 'concurrent.futures'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_free_memory_is_the_kernels_word(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\nMemFree:  2 kB\nMemAvailable:     7 kB\nBuffers: 1 kB\n")
    assert budget.free_memory(str(tmp_path / "meminfo")) == 7 * 1024


@pytest.mark.parametrize("text", ["MemTotal: 9 kB\n", "", "MemAvailable: much\n", None])
def test_where_the_kernel_does_not_say_it_psutil_works_it_out(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "meminfo").write_text(text)
    assert budget.free_memory(str(tmp_path / "meminfo")) > 1 << 20


def test_nothing_has_to_be_imported_while_memory_is_tight() -> None:
    code = (
        "import sys; from hepwrap.cache.budget import JobBudget\n"
        "JobBudget().bytes_allowed(); print('psutil' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
