"""An answer that is read so late that its mailbox is another's is no answer: not its value, nor how long that is."""

from __future__ import annotations

import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
#: As the runtime is compiled: the frame of a call is in r15.
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-ffixed-r15", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror")
IN_TIME = ["length: 5", "too small: -34", "value: 5", "attributes: 0"]


def test_what_is_read_too_late_is_asked_for_again(tmp_path: Path) -> None:
    program = tmp_path / "mailbox_race"
    source = PROJECT / "tests/races/mailbox_race.c"
    subprocess.run(["gcc", *FLAGS, "-o", str(program), str(source)], check=True, timeout=100)
    said = subprocess.run([str(program)], check=True, capture_output=True, text=True, timeout=20).stdout.splitlines()
    assert said[:4] == IN_TIME
    assert said[4:] == [f"{line.partition(':')[0]}: asks again" for line in IN_TIME]
