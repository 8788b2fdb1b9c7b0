"""What the answers of several places mean together.

Owns the law "missing is not failed": MissingObject only when every place that was asked answered that it has no such
name.  Must not know how places are asked.
"""

from __future__ import annotations

from hepwrap.errors import FetchFailed, HepwrapError, MissingObject, Untrusted
from hepwrap.fetchers.blame import Blame, Fault

#: Places named in a message; it is to stay one readable line.
_SHOWN = 4


class Verdicts:
    """Collects the fault of each place in turn; `error()` is what to raise when none is left."""

    def __init__(self, repository: str, name: str) -> None:
        self._repository = repository
        self._name = name
        self._faults: list[tuple[str, Fault]] = []
        self._untrusted: Untrusted | None = None

    def add(self, place: str, problem: Fault | Untrusted) -> None:
        """Notes what came of `place` (for people: a URL or a directory)."""
        if isinstance(problem, Untrusted):
            self._untrusted = problem
        else:
            self._faults.append((place, problem))

    @property
    def proxies_exhausted(self) -> int:
        """For how many servers every proxy has failed."""
        return sum(fault.blame is Blame.PROXY for _, fault in self._faults)

    def error(self) -> HepwrapError:
        """Bytes that could not be trusted come first: they are the gravest; then failures; only then absence."""
        if self._untrusted is not None:
            return self._untrusted
        failed = [(place, fault) for place, fault in self._faults if fault.blame is not Blame.MISSING]
        if self._faults and not failed:
            return MissingObject(f"{self._what()}: not there, say {self._list(self._faults)}")
        return FetchFailed(f"{self._what()}: {self._list(failed)}; check the network, the servers and the proxies")

    def _what(self) -> str:
        return f"cannot fetch {self._name} of {self._repository}"

    @staticmethod
    def _list(faults: list[tuple[str, Fault]]) -> str:
        if not faults:
            return "there is no place to ask"
        more = f", and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        return ", ".join(f"{place} {fault.text}" for place, fault in faults[:_SHOWN]) + more
