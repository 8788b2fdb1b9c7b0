"""A path whose content is at hand: keys and lists that stand in the configuration repository and not on this machine.

Owns nothing but the content.  Whoever reads settings reads such a path as any other, and messages name its place.
"""

from __future__ import annotations

import os
from pathlib import Path, PosixPath


class HeldFile(PosixPath):
    """Reads like the file that would be at this path if the configuration repository were mounted."""

    __slots__ = ("_content",)

    _content: bytes

    @classmethod
    def of(cls, path: str | os.PathLike[str], content: bytes) -> HeldFile:
        """The path with its verified content."""
        held = cls(path)
        held._content = content
        return held

    def read_bytes(self) -> bytes:
        """The content."""
        return self._content

    def read_text(self, encoding: str | None = None, errors: str | None = None, newline: str | None = None) -> str:
        """The content, decoded."""
        return self._content.decode(encoding or "utf-8", errors or "strict")


def is_held(path: Path) -> bool:
    """Whether the content of `path` is at hand, so that it is not to be looked for on this machine."""
    return isinstance(path, HeldFile)
