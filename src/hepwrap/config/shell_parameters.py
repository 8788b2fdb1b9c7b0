"""What the scripts of a configuration set: one state of variables that lives on from one file to the next.

Owns who may assign what.  Must not know how scripts are read: most machines have none, and then nobody needs that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hepwrap.config.origin import Origin, Value
from hepwrap.records import dataclass, field


@dataclass(slots=True)
class Parameters:
    """Variables that live on from one file to the next."""

    #: What the scripts find when they start, and do not set themselves: the environment.
    inherited: Mapping[str, str] = field(default_factory=dict)
    #: What the scripts have set.
    values: dict[str, Value] = field(default_factory=dict)
    #: Names that are taken away again.
    removed: set[str] = field(default_factory=set)
    #: Assignments to these do nothing: who said it had the right to.
    protected: dict[str, str] = field(default_factory=dict)
    #: A number for `$RANDOM`.
    random: Callable[[], int] = lambda: 0

    def get(self, name: str) -> str | None:
        """Text of a variable, None where it is unset."""
        if name in self.protected:
            return self.protected[name]
        if name in self.values:
            return self.values[name].items[0]
        if name == "RANDOM":
            return str(self.random())
        return None if name in self.removed else self.inherited.get(name)

    def set(self, name: str, value: str, origin: Origin) -> None:
        """Assign, unless the name is protected."""
        if name not in self.protected:
            self.values[name] = Value((value,), origin)

    def unset(self, name: str) -> None:
        """Take a variable away, unless it is protected."""
        if name not in self.protected:
            self.values.pop(name, None)
            self.removed.add(name)
