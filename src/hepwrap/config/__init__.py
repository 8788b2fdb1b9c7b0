"""Where settings come from: flags, HEPWRAP_ variables, hepwrap.toml, the real client's files, and what is built in.

All of it is `LoadedSettings`; docs/configuration.md says the same for people.  Must not know how repositories
are read: the one that holds configuration comes in by a callable.
"""

from hepwrap.config.layers import NamedRepository, Overrides, parse_repository
from hepwrap.config.loaded import LoadedSettings, ReadConfigRepository

__all__ = ["LoadedSettings", "NamedRepository", "Overrides", "ReadConfigRepository", "parse_repository"]
