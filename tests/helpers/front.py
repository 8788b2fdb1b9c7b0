"""A machine made of files on which things are configured, and what one line on stderr is."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hepwrap.config import LoadedSettings, Overrides
from hepwrap.config.loaded import ReadConfigRepository

PEM = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"


@dataclass
class FakeMachine:
    """A root directory, a home and a current directory, and what is configured there."""

    root: Path
    home: Path
    cwd: Path
    warnings: list[str] = field(default_factory=list)

    def write(self, path: str, text: str) -> Path:
        """A file of the machine, by absolute path."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def here(self, text: str) -> Path:
        """./hepwrap.toml"""
        place = self.cwd / "hepwrap.toml"
        place.write_text(text)
        return place

    def users(self, text: str) -> Path:
        """The user's hepwrap.toml."""
        place = self.home / ".config/hepwrap/hepwrap.toml"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def load(
        self,
        overrides: Overrides | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        reader: ReadConfigRepository | None = None,
    ) -> LoadedSettings:
        """What is configured."""
        return LoadedSettings(
            overrides,
            environ={"HOME": str(self.home), **(environ or {})},
            cwd=self.cwd,
            root=self.root,
            read_config_repository=reader or (lambda _name, _settings: None),
            warn=self.warnings.append,
            random=lambda: 1,
        )


Cli = Callable[..., "subprocess.CompletedProcess[bytes]"]


def one_line(result: subprocess.CompletedProcess[bytes]) -> str:
    """The only line on stderr, without its prefix; nothing may be on stdout and there is no traceback."""
    assert result.stdout == b""
    text = result.stderr.decode()
    assert text.startswith("hepwrap: "), text
    assert text.count("\n") == 1, text
    assert text.endswith("\n"), text
    return text.removeprefix("hepwrap: ").rstrip("\n")
