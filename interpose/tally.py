"""What was answered so far.  Apart from `world`, since an account is written where nothing was ever asked."""

from __future__ import annotations

from hepwrap.records import dataclass, field


@dataclass(slots=True)
class Tally:
    """What the server did; written under the interpreter's lock."""

    answers: int = 0
    failures: int = 0
    by_call: dict[str, int] = field(default_factory=dict)
