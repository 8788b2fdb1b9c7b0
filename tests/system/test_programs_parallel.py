"""Open MPI: ranks whose program and data are in a repository, and that read each other's memory."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.helpers import needs
from tests.helpers.fixtures import pairs, publishes
from tests.helpers.launches import quiet
from tests.helpers.programs import Pair

SOURCE = Path(__file__).resolve().parents[1] / "scripts/ring.c"
#: No remote shell is looked for; two ranks on any number of processors, busy ones too.
OPTIONS = ["--mca", "plm", "isolated", "--oversubscribe", "-n", "2"]
#: The way two processes of one machine hand large messages over: cma is process_vm_readv(2).
BY_MEMORY = {"OMPI_MCA_btl": "self,vader", "OMPI_MCA_btl_vader_single_copy_mechanism": "cma"}


def build(tree: Path) -> None:
    """The program, and what its ranks read."""
    (tree / "bin").mkdir(parents=True)
    subprocess.run(
        [needs.program("mpicc", "libopenmpi-dev"), "-O1", "-o", tree / "bin/ring", SOURCE], check=True, timeout=120
    )
    (tree / "data").mkdir()
    for number in range(12):
        (tree / f"data/{number:02}").write_bytes(bytes((number * at * at) % 251 for at in range(50_000)))


published = publishes("mpi.hep.example", build)
mpi = pairs()


def ranks(run: object, words: list[str], desk: Path) -> list[bytes]:
    """What each rank says of itself."""
    mpirun = needs.program("mpirun", "openmpi-bin")
    text = quiet(run([mpirun, *OPTIONS, *words], cwd=desk, env={**BY_MEMORY, "TMPDIR": str(desk)}))  # type: ignore[operator]
    return sorted(text.splitlines())


def test_ranks_agree_about_virtual_files(mpi: Pair, desk: Path) -> None:
    files = [f"{{top}}/data/{number:02}" for number in range(12)]
    native = ranks(mpi.native, ["{top}/bin/ring", *files], desk)
    wrapped = ranks(mpi.wrapped, ["{top}/bin/ring", *files], desk)
    assert wrapped == native
    assert len(wrapped) == 2
    assert all(re.fullmatch(rb"rank \d of 2: own \w+, all \w+", line) for line in wrapped)


def test_a_rank_that_fails_ends_them_all(mpi: Pair, desk: Path) -> None:
    mpirun = needs.program("mpirun", "openmpi-bin")
    done = mpi.wrapped(
        [mpirun, *OPTIONS, "{top}/bin/ring", "{top}/data/00", "{top}/data/missing"], cwd=desk, env={"TMPDIR": str(desk)}
    )
    assert done.returncode == 1
    assert b"TOP/data/missing: No such file or directory" in done.stderr
