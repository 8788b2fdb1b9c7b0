"""Plans of execs lie in blocks that are used again: a job may execute as often as it likes."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from hepwrap.interpose import plans as plans_module
from hepwrap.interpose.executing import EXECVE, Executor
from hepwrap.interpose.plans import FIRST_LOOK, LEAST, AskedAnew, Plans
from hepwrap.vfs.index import _index
from hepwrap.vfs.index.layout import PLAN
from tests.helpers import tiny_elf
from tests.helpers.indexed import Launch
from tests.helpers.questions import question
from tests.helpers.tree import File, tree

PLACE = b"/place"
INTERPRETER = PLACE + b"/cvmfs/one.hep.example/bin/interpreter"
BASE = 0x3A5F00000000
MANY = 2000


@pytest.fixture
def index() -> _index.Index:
    return _index.Index(8 << 20, b"/cvmfs")


def written(plans: Plans, task: int, data: bytes) -> int:
    question = object()
    plans.begin(task, question)
    return plans.write(task, question, len(data), lambda at: data)


def test_a_task_uses_its_block_again(index: _index.Index) -> None:
    plans = Plans(index, lambda task: True)
    first = written(plans, 1, b"first")
    used = index.used
    assert {written(plans, 1, b"again %d" % i) for i in range(MANY)} == {first}
    assert (index.used, index.load(first, 10)) == (used, b"again 1999")


def test_blocks_of_tasks_that_are_gone_are_used_again(index: _index.Index) -> None:
    plans = Plans(index, lambda task: False)
    used = index.used
    for task in range(MANY):
        written(plans, task, b"x" * LEAST)
    assert index.used - used <= 2 * FIRST_LOOK * (LEAST + 8)


def test_a_living_tasks_plan_stays_as_it_is(index: _index.Index) -> None:
    """Others come and go, and some write more; what 200 tasks were told is there to the end."""
    plans = Plans(index, lambda task: task < 200)
    told = {task: written(plans, task, b"%08d" % task * (1 + task % 300)) for task in range(200)}
    for task in range(200, MANY):
        assert written(plans, task, b"#" * (task % 3000)) not in told.values()
    assert all(index.load(at, 8) == b"%08d" % task for task, at in told.items())
    assert index.load(told[199], 8 * 200) == b"00000199" * 200


def test_a_longer_plan_gets_a_longer_block_and_gives_the_short_one_back(index: _index.Index) -> None:
    plans = Plans(index, lambda task: True)
    short = written(plans, 1, b"short")
    assert written(plans, 1, b"x" * (LEAST + 1)) != short
    assert written(plans, 2, b"short") == short


def test_who_is_late_does_not_write_into_what_the_next_was_told(index: _index.Index) -> None:
    plans = Plans(index, lambda task: True)
    late = object()
    plans.begin(1, late)
    at = written(plans, 1, b"the later one")
    with pytest.raises(AskedAnew):
        plans.write(1, late, 4, lambda at: b"late")
    assert index.load(at, 13) == b"the later one"


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Launch]]:
    """Asks for the plan of a host script whose interpreter is virtual: (offset of the plan, the launch)."""
    launch = Launch.of(tree(bin=tree(interpreter=File(0o755))), PLACE)
    program = tiny_elf.write(tmp_path / "interpreter", entry=0x100)
    monkeypatch.setattr(launch.world, "read_head", lambda node, size: program.read_bytes()[:size])
    monkeypatch.setattr(launch.world, "hold", lambda at: os.open(program, os.O_RDONLY))
    monkeypatch.setattr(plans_module, "is_alive", lambda task: False)
    executor = Executor(launch.world, BASE, lambda text: None)

    def ask(script: Path, task: int = 0, *words: int) -> tuple[int, Launch]:
        name = os.fsencode(script)
        argv = (0x1000, *words)
        word, _ = executor.answer(question(EXECVE, name, task=task or os.getpid(), argv=argv))
        assert word >> _index.TARGET_SHIFT == _index.TARGET_PLAN
        return word & (1 << _index.TARGET_SHIFT) - 1, launch

    return ask


def script(place: Path, name: str) -> Path:
    (place / name).write_bytes(b"#!" + INTERPRETER + b" option\n")
    (place / name).chmod(0o755)
    return place / name


def text(launch: Launch, at: int) -> bytes:
    return launch.index.load(at, min(300, launch.index.used - at)).partition(b"\0")[0]


def test_a_plan_says_what_is_executed_and_with_which_words(
    execute: Callable[..., tuple[int, Launch]], tmp_path: Path
) -> None:
    path = script(tmp_path, "script")
    at, launch = execute(path, 0, 0x2000, 0x3000)
    plan = PLAN.unpack(launch.index.load(at, PLAN.size))
    assert launch.world.book.path_of(plan["inode_at"]) == INTERPRETER
    assert (text(launch, plan["execfn_at"]), text(launch, plan["comm_at"])) == (os.fsencode(path), b"script")
    *words, first, second, end = struct.unpack("<6Q", launch.index.load(plan["argv_at"], 48))
    told = [text(launch, word - BASE - _index.IMAGE_SPAN) for word in words]
    assert told == [INTERPRETER, b"option", os.fsencode(path)]
    assert (first, second, end) == (0x2000, 0x3000, 0)


def test_executing_the_same_again_takes_no_room(execute: Callable[..., tuple[int, Launch]], tmp_path: Path) -> None:
    path = script(tmp_path, "script")
    _, launch = execute(path)
    used = launch.index.used
    for _ in range(MANY):
        execute(path, 0, 0x2000)
    assert launch.index.used == used


def test_executing_by_ever_new_tasks_takes_the_room_of_a_few(
    execute: Callable[..., tuple[int, Launch]], tmp_path: Path
) -> None:
    path = script(tmp_path, "script")
    _, launch = execute(path)
    used = launch.index.used
    for task in range(1 << 22, (1 << 22) + MANY):
        execute(path, task, *range(1, 50))
    assert launch.index.used - used <= 2 * FIRST_LOOK * (2 * LEAST + 8)


def test_executing_ever_new_programs_takes_the_room_of_their_names(
    execute: Callable[..., tuple[int, Launch]], tmp_path: Path
) -> None:
    """AT_EXECFN is read as long as a program lives, and by the children it forks."""
    _, launch = execute(script(tmp_path, "first"))
    used = launch.index.used
    names = [script(tmp_path, f"script-{i}") for i in range(MANY)]
    for path in [*names, *names[:200]]:
        execute(path)
    assert launch.index.used - used <= sum(len(os.fsencode(path)) + 9 for path in names)
