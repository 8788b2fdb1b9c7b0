"""The tests' own ordinary user is as poor as they claim."""

from __future__ import annotations

import os

import pytest

from tests.helpers.unprivileged import Unprivileged


def status(text: str) -> dict[str, str]:
    """/proc/self/status as a dictionary."""
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def test_the_ordinary_user_has_no_capability_and_cannot_gain_one(unprivileged: Unprivileged) -> None:
    found = status(unprivileged.run(["cat", "/proc/self/status"]).stdout)
    assert found["NoNewPrivs"] == "1"
    assert int(found["CapEff"], 16) == 0
    assert int(found["CapPrm"], 16) == 0
    if os.geteuid() == 0:
        assert int(found["CapBnd"], 16) == 0
    assert "0" not in found["Uid"].split()


def test_the_copied_environment_runs_hepwrap_from_itself(unprivileged: Unprivileged) -> None:
    done = unprivileged.run([unprivileged.python, "-c", "import hepwrap; print(hepwrap.__file__)"])
    assert done.stdout.startswith(str(unprivileged.python.parents[1])), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take user namespaces away")
def test_user_namespaces_can_be_taken_away(unprivileged: Unprivileged) -> None:
    done = unprivileged.run(["unshare", "--user", "true"], user_namespaces=False)
    assert done.returncode != 0
    assert "No space left" in done.stderr
    assert "Uid:\t54321" in unprivileged.run(["cat", "/proc/self/status"], user_namespaces=False).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide /dev/fuse")
def test_fuse_can_be_hidden(unprivileged: Unprivileged) -> None:
    done = unprivileged.run(["sh", "-c", "exec 3</dev/fuse"], fuse=False)
    assert done.returncode != 0
