"""`hepwrap.toml`: options at the top, `[domains."cern.ch"]` and `[repositories."atlas.cern.ch"]` tables.

Owns the schema of that file, and lines: Python's TOML reader does not tell where a value stands, so a file is cut into
its statements first, each read on its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hepwrap.config.layers import located, split
from hepwrap.config.origin import Origin, Value
from hepwrap.config.parameters import OURS, Option, Scope
from hepwrap.config.parse import is_repository_name
from hepwrap.errors import ConfigurationError
from hepwrap.records import dataclass, field

#: The tables that are keyed by a name, and which scopes may stand in them.
_TABLES = {
    "domains": frozenset({Scope.ANY, Scope.NAMED}),
    "repositories": frozenset({Scope.ANY, Scope.NAMED, Scope.ONE}),
}
_AT_THE_TOP = frozenset({Scope.JOB, Scope.ANY})
#: Table inside of a repository or domain: values for variant symbolic links.
VARIABLES = "variables"

Key = tuple[str, ...]


@dataclass(slots=True)
class TomlFile:
    """One file as a layer: what it says of a repository, then of its domain, then of all."""

    path: Path
    top: dict[str, Value] = field(default_factory=dict)
    domains: dict[str, dict[str, Value]] = field(default_factory=dict)
    repositories: dict[str, dict[str, Value]] = field(default_factory=dict)
    #: Values for variant links by (table, name).
    variables: dict[tuple[str, str], dict[str, Value]] = field(default_factory=dict)

    def get(self, option: Option, fqrn: str | None) -> Value | None:
        """The most specific value."""
        if fqrn is not None:
            for table, name in ((self.repositories, fqrn), (self.domains, fqrn.partition(".")[2])):
                if option.key in table.get(name, {}):
                    return table[name][option.key]
        return self.top.get(option.key)

    def name_of(self, option: Option) -> str:
        """See Layer."""
        return option.key

    def variables_of(self, fqrn: str) -> dict[str, Value]:
        """Values for variant links of a repository, those of its domain included."""
        domain = self.variables.get(("domains", fqrn.partition(".")[2]), {})
        return domain | self.variables.get(("repositories", fqrn), {})


@dataclass(frozen=True, slots=True)
class _Place:
    """A table: what it is called in a sentence, what may stand in it, and where relative paths start."""

    where: str
    scopes: frozenset[Scope]
    base: Path


def read(path: Path) -> TomlFile | None:
    """The file at `path`, None where there is none; ConfigurationError `path:line: ...` for every mistake in it."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if isinstance(error, PermissionError) and not os.path.lexists(path):
            # The directory is closed to this user, so that nothing in it can be meant for them.
            return None
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}); make it readable or remove it") from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: this is not UTF-8; TOML files are") from None
    file = TomlFile(path)
    document = _document(text, path)
    lines = lines_of_keys(text)
    for key, value in _leaves(document, ()):
        _take(file, key, value, lines.get(key, _nearest(lines, key)))
    return file


def _document(text: str, path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"^(.*) \(at (?:line (\d+), column \d+|end of document)\)$", str(error), re.DOTALL)
        message = match[1] if match else str(error)
        line = match[2] if match and match[2] else max(1, len(text.rstrip("\n").split("\n")))
        raise ConfigurationError(f"{path}:{line}: {' '.join(message.split())}") from None
    except RecursionError:
        raise ConfigurationError(f"{path}: this is nested too deeply") from None


def lines_of_keys(text: str) -> dict[Key, int]:
    """The line, from 1, on which each key of a valid document, and each table header, stands."""
    found: dict[Key, int] = {}
    table: Key = ()
    for line, statement in _statements(text):
        import tomllib

        parsed = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _only_path(parsed)
            found.setdefault(table, line)
        else:
            for key, _ in _leaves(parsed, ()):
                found[table + key] = line
                found.setdefault(table + key[:1], line)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """First line and text of each table header and each `key = value`, which may go on over several lines."""
    import tomllib

    start, pending = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        if not pending:
            start = number
        pending += line + "\n"
        try:
            parsed = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        if parsed:
            yield start, pending
        pending = ""


def _only_path(parsed: dict[str, Any]) -> Key:
    """The names of a table header: every table on the way holds just the next."""
    path: Key = ()
    value: Any = parsed
    while value:
        value = value[0] if isinstance(value, list) else value
        if not value:
            break
        name = next(iter(value))
        path, value = (*path, name), value[name]
    return path


def _leaves(value: dict[str, Any], path: Key) -> Iterator[tuple[Key, Any]]:
    """Every key whose value is no table, and every empty table."""
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, (*path, name))
        else:
            yield (*path, name), inner


def _nearest(lines: dict[Key, int], key: Key) -> int:
    """The line of the closest table around a key (for tables that are named only by what is in them)."""
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)


def _take(file: TomlFile, key: Key, value: Any, line: int) -> None:
    """One value to its place; ConfigurationError where the schema has no such place."""
    origin = Origin.line(file.path, line)
    if len(key) == 1 and key[0] not in _TABLES:
        _put(file.top, key[0], value, origin, _Place("at the top of the file", _AT_THE_TOP, file.path.parent))
        return
    if key[0] not in _TABLES:
        raise origin.error(f'unknown table [{key[0]}]; there are [repositories."NAME"] and [domains."NAME"]')
    if len(key) == 1:
        if value == {}:
            return
        raise origin.error(f'{key[0]} is a table; write [{key[0]}."NAME"]')
    kind, name = key[0], key[1]
    if kind == "repositories" and not is_repository_name(name):
        raise origin.error(f'{name[:80]!r} is no name of a repository; write [repositories."atlas.cern.ch"], in quotes')
    table = (file.domains if kind == "domains" else file.repositories).setdefault(name, {})
    if len(key) == 2:
        if value != {}:
            raise origin.error(f'{name} is a table; write [{kind}."{name}"], in quotes')
    elif key[2] == VARIABLES:
        _variable(file.variables.setdefault((kind, name), {}), key[3:], value, origin)
    elif len(key) == 3:
        _put(table, key[2], value, origin, _Place(f'in [{kind}."{name}"]', _TABLES[kind], file.path.parent))
    else:
        raise origin.error(f'unknown table [{kind}."{name}".{key[2]}]; a name with dots stands in quotes')


def _variable(variables: dict[str, Value], key: Key, value: Any, origin: Origin) -> None:
    if not key:
        if value == {}:
            return
        raise origin.error('variables is a table; write variables = { NAME = "text" }')
    if len(key) != 1 or not isinstance(value, str):
        raise origin.error(f"the variable {'.'.join(key)} must be text, in quotes")
    variables[key[0]] = Value((value,), origin)


def _put(table: dict[str, Value], key: str, value: Any, origin: Origin, place: _Place) -> None:
    where = place.where
    option = OURS.get(key)
    if option is None:
        raise origin.error(f"unknown key {key!r} {where}{_suggestion(key)}")
    if option.scope not in place.scopes:
        right = {
            Scope.JOB: "at the top of the file, before the first table",
            Scope.NAMED: 'in [repositories."NAME"] or [domains."NAME"]',
            Scope.ONE: 'in [repositories."NAME"]',
            Scope.ANY: "anywhere",
        }[option.scope]
        raise origin.error(f"{key} has no meaning {where}; it stands {right}")
    table[key] = Value(located(option, _items(option, value, origin), place.base), origin)


def _items(option: Option, value: Any, origin: Origin) -> tuple[str, ...]:
    """TOML's types as text, which is what every other place has."""
    if isinstance(value, bool):
        return ("yes" if value else "no",)
    if isinstance(value, int | float):
        return (str(value),)
    if isinstance(value, str):
        return split(option, value)
    if isinstance(value, list) and option.separator and all(isinstance(item, str) for item in value):
        return tuple(value)
    expected = "text or a list of texts" if option.separator else "text, a number, true or false"
    raise origin.error(f"{option.key} must be {expected}")


def _suggestion(key: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key, OURS, n=1)
    return f"; did you mean {close[0]!r}?" if close else "; docs/configuration.md lists all keys"
