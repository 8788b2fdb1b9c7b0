"""Where a value was said: a line of a file, a variable of the environment, a flag, or nowhere (built in).

Owns the words for a place.  Must not know what values mean.
"""

from __future__ import annotations

from hepwrap.errors import ConfigurationError, HepwrapError, UsageError
from hepwrap.records import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """A place.  `text` is what showconfig prints: `FILE:LINE`, `environment NAME`, `flag --x`, `built in`."""

    text: str
    #: Whether the person at the keyboard said it just now, so that a mistake in it is one of usage.
    is_flag: bool = False
    #: Whether the place itself says which option it is about, as flags and variables do.
    names_option: bool = False

    @classmethod
    def line(cls, path: object, number: int) -> Origin:
        """A line, counted from 1, of a file."""
        return cls(f"{path}:{number}")

    @classmethod
    def environment(cls, name: str) -> Origin:
        """A variable of hepwrap's own environment."""
        return cls(f"environment {name}", names_option=True)

    @classmethod
    def flag(cls, flag: str) -> Origin:
        """An option of the command line, with its dashes."""
        return cls(f"flag {flag}", is_flag=True, names_option=True)

    def error(self, message: str) -> HepwrapError:
        """The exception for a mistake made here: UsageError for flags, else ConfigurationError; names the place."""
        if self.is_flag:
            return UsageError(f"{self.text.removeprefix('flag ')}: {message}")
        return ConfigurationError(f"{self.text}: {message}")

    def __str__(self) -> str:
        return self.text


BUILT_IN = Origin("built in")


@dataclass(frozen=True, slots=True)
class Value:
    """What was said, as text (lists have several items), and where."""

    items: tuple[str, ...]
    origin: Origin

    @property
    def text(self) -> str:
        """The only item, or all of them with blanks between."""
        return " ".join(self.items)
