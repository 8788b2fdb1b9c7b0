"""What `hepwrap showconfig` prints: every option with its value and the place that said it.

Owns the order and the text.  Values are shown as they were written; what nobody said, as it is by default.
"""

from __future__ import annotations

from typing import Any

from hepwrap.config.client_files import ClientLayer
from hepwrap.config.origin import BUILT_IN
from hepwrap.config.parameters import BY_CVMFS, OURS, Option, Scope
from hepwrap.config.stack import Stack
from hepwrap.records import dataclass
from hepwrap.settings import RepositorySettings, Settings

#: Options that say what another one says too: shown only where somebody used them.
_SECOND_NAMES = frozenset({"keys_directory"})
_HIDDEN = frozenset({"PATH", "RANDOM"})


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of showconfig."""

    name: str
    value: str
    origin: str


def show(stack: Stack, client: ClientLayer, settings: Settings | RepositorySettings) -> list[Shown]:
    """hepwrap's options that `settings` has, in the order of their table, then the client's other parameters."""
    options = [option for option in OURS.values() if _belongs(option, settings)]
    lines = [
        _line(option, stack, settings) for option in options if option.key not in _SECOND_NAMES or stack.get(option.key)
    ]
    others = [
        Shown(name, value.items[0], str(value.origin))
        for name, value in sorted(client.all().items())
        if name not in BY_CVMFS and name not in _HIDDEN
    ]
    return [*lines, *others]


def _belongs(option: Option, settings: Settings | RepositorySettings) -> bool:
    return (option.scope is Scope.JOB) == isinstance(settings, Settings)


def _line(option: Option, stack: Stack, settings: Settings | RepositorySettings) -> Shown:
    value = stack.get(option.key)
    if value is not None:
        return Shown(option.key, (option.separator or " ").join(value.items), str(value.origin))
    return Shown(option.key, _text(_field(option, settings)), str(BUILT_IN))


def _field(option: Option, settings: Settings | RepositorySettings) -> Any:
    """What the option's field holds, None where it has none of its own."""
    room, _, field = option.target.partition(".")
    holder = {"cache": getattr(settings, "cache", None), "fetch": getattr(settings, "fetch", None)}.get(room, settings)
    return getattr(holder, field, None)


def _text(value: Any) -> str:
    if value is None or value in ((), ""):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ":".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
