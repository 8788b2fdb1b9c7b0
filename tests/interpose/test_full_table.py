"""A full table of descriptors in the server is the server's trouble: no program is told of it as if it were its own."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hepwrap.cache.stores import Store
from hepwrap.interpose import namespaces, proc, task
from hepwrap.interpose.answering import Answering
from hepwrap.interpose.question import Question
from hepwrap.vfs.index import _index
from tests.helpers.indexed import NAME
from tests.helpers.launches import PYTHON, Launches
from tests.helpers.questions import question
from tests.helpers.repositories import ServedRepository
from tests.helpers.staged import PLACE, Stage, program
from tests.helpers.tree import Directory, File
from tests.helpers.unprivileged import Unprivileged

MANY = 120
OPEN = 2


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """So many can be opened, until the end."""
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(count)] or [2]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, hard))
    filling = []
    with contextlib.suppress(OSError):
        while True:
            filling.append(os.open(os.devnull, os.O_RDONLY))
    for fd in held[-count:] if count else []:
        os.close(fd)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in filling:
            os.close(fd)


@pytest.fixture
def stage(tmp_path: Path, store: Callable[[int], Store]) -> Iterator[Stage]:
    """With many directories and links; whatever is opened is kept as long as there is room."""
    many = Directory({b"%03d" % i: Directory({b"file": File()}) for i in range(MANY)})
    stage = Stage(tmp_path, 1 << 20, store, many=many)
    stage.world._most_objects = lambda: 1000
    yield stage
    stage.files.close()


@pytest.fixture
def server(stage: Stage) -> Answering:
    """Answers without tasks; `complaints` are kept."""
    made = object.__new__(Answering)
    made.world = stage.world
    made._treatments, made._names = {OPEN: "open"}, {OPEN: "open"}
    made.complaints = []  # type: ignore[attr-defined]
    made._complain = made.complaints.append  # type: ignore[attr-defined]
    return made


def asked(path: bytes, flags: int = os.O_RDONLY) -> Question:
    return question(OPEN, path, flags=flags)


def test_more_is_opened_than_there_are_descriptors(server: Answering) -> None:
    with descriptors_left(20):
        words = [server.answer_or_errno(asked(PLACE + b"/cvmfs/" + NAME + b"/many/%03d" % i))[0] for i in range(MANY)]
    assert {word >> _index.TARGET_SHIFT for word in words} == {_index.TARGET_INODE}
    assert (server.complaints, server.world.tally.failures) == ([], 0)  # type: ignore[attr-defined]


def test_copies_of_programs_leave_for_others(stage: Stage, tmp_path: Path) -> None:
    made = [stage.copy(program(tmp_path / str(i), b"%d" % i)) for i in range(30)]
    with descriptors_left(4):
        assert stage.world.relieve()
    assert stage.evicted
    assert all(stage.world.book.descriptor_of(file.key) == -1 for file in stage.evicted if file.key in made)


def test_where_nothing_can_be_given_back_it_is_enomem_and_the_sentence_says_whose_limit(server: Answering) -> None:
    with descriptors_left(0):
        word, _ = server.answer_or_errno(asked(PLACE + b"/cvmfs/" + NAME + b"/many/000"))
    assert (word >> _index.TARGET_SHIFT, word & 0xFFFF) == (_index.TARGET_ERRNO, errno.ENOMEM)
    (sentence,) = server.complaints  # type: ignore[attr-defined]
    assert sentence.endswith("no descriptor is left to this process; raise the limit (ulimit -n)")


def test_a_task_that_cannot_be_looked_at_is_not_taken_for_nobody() -> None:
    """Else the mode bits of "other" would count, and a capability be forgotten."""
    with descriptors_left(0):
        for look in (lambda: task.credentials_of(os.getpid()), lambda: namespaces.mapping_of(os.getpid(), "uid")):
            with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is the point
                look()
            assert caught.value.errno == errno.EMFILE
        host = task.TaskHost(os.getpid(), lambda status: None, task.Root(0, 0, 0))
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is the point
            host.readlink(b"/etc/localtime")
        assert caught.value.errno == errno.EMFILE


def test_a_task_that_is_gone_still_is_nobody() -> None:
    gone = os.fork() or os._exit(0)
    os.waitpid(gone, 0)
    assert proc.status_of(gone) == {}


#: Opens what there is, each in a way of its own, and keeps much of it open in as many processes.
JOB = """
import os, sys
top, held, lines = sys.argv[1], [], []
for here, directories, files in sorted(os.walk(top)):
    for name in [".", *sorted(files)]:
        path = os.path.join(here, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            lines.append((path, os.fstat(fd).st_size, os.access(path, os.R_OK)))
            os.close(fd)
        except OSError as error:
            lines.append((path, error.errno))
print(len(lines), hash(tuple(map(str, lines))))
print(*[line for line in lines if line[-1] not in (True, False, 40, 13, 6)], sep="\\n")
"""


def test_a_helper_with_few_descriptors_answers_as_one_with_many(
    unprivileged: Unprivileged, test_repository: ServedRepository
) -> None:
    flags = list(test_repository.flags)
    flags[flags.index("--key") + 1] = str(unprivileged.give(test_repository.key))
    launches = Launches.of(unprivileged, flags)
    command = ("env", "PYTHONHASHSEED=1", PYTHON, "-c", JOB, "/cvmfs/test.hep.example")
    plain = launches.run(*command, timeout=90)
    few = launches.inside("prlimit", "--nofile=40:40").run(*command, timeout=90)
    assert int(plain.stdout.split()[0]) > 200
    assert (few.stdout, few.stderr, few.returncode) == (plain.stdout, "", 0)
