"""Layers on top of each other: the strongest that knows an option says what it is.

Owns that rule, and how a value's text is read.  Must not know which layers there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hepwrap.config.layers import Layer
from hepwrap.config.origin import Value
from hepwrap.config.parameters import BY_KEY
from hepwrap.records import dataclass


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers, strongest first, asked about one repository (None: about the job)."""

    layers: Sequence[Layer]
    fqrn: str | None = None

    def get(self, key: str) -> Value | None:
        """What the strongest layer that knows says about the option `key`."""
        option = BY_KEY[key]
        return next((value for layer in self.layers if (value := layer.get(option, self.fqrn)) is not None), None)

    def rank(self, key: str) -> int:
        """The number of that layer; how many there are, where none knows."""
        option = BY_KEY[key]
        known = (rank for rank, layer in enumerate(self.layers) if layer.get(option, self.fqrn) is not None)
        return next(known, len(self.layers))

    def items(self, key: str) -> tuple[str, ...]:
        """The items of a list; () where nothing was said."""
        value = self.get(key)
        return () if value is None else value.items

    def read(self, key: str) -> Any:
        """The value of a scalar option, None where nothing was said; the error names the place."""
        value = self.get(key)
        if value is None:
            return None
        option = BY_KEY[key]
        try:
            return option.read(value.items[0] if value.items else "")
        except ValueError as error:
            name = "" if value.origin.names_option else f"{self._name(key)}: "
            raise value.origin.error(f"{name}{error}") from None

    def read_all(self, key: str) -> tuple[Any, ...] | None:
        """The items of an option that is a list; as `read`."""
        value = self.get(key)
        if value is None:
            return None
        try:
            return tuple(BY_KEY[key].read(item) for item in value.items)
        except ValueError as error:
            name = "" if value.origin.names_option else f"{self._name(key)}: "
            raise value.origin.error(f"{name}{error}") from None

    def _name(self, key: str) -> str:
        """What the option is called in the layer that was asked: the client has names of its own."""
        return self.layers[self.rank(key)].name_of(BY_KEY[key])
