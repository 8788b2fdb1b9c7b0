"""Questions as the tracer would hand them over, of which a test says only what matters to it."""

from __future__ import annotations

import os
from typing import Any

from hepwrap.interpose.question import Question
from hepwrap.vfs.rules import AS_EVER


def question(number: int, path: bytes | None, **fields: Any) -> Question:
    """That system call on that path, by this process, unless `fields` say otherwise."""
    usual: dict[str, Any] = {
        "slot": 0, "task": os.getpid(), "reason": 0, "follow": True, "rules": AS_EVER, "flags": 0,
        "arguments": (0,) * 6, "base": 0, "second_base": 0, "second_path": None, "start": None, "second_start": None,
        "argv": None, "socket": -1,
    }  # fmt: skip
    return Question(number=number, path=path, **{**usual, **fields})
