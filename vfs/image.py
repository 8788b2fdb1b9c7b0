"""A SQLite database that came over the network, opened from memory for reading only.

Owns every precaution against a hostile database file: it never touches a file system, cannot write, attach, load
extensions, call functions or run triggers and views, and no query can run longer than the file is large.  All that
SQLite says against it becomes CorruptObject.  Must not know what the tables mean (`catalog`, `history`).

Opened with `deserialize`, not with a file: no descriptor, and a fork of the process leaves it whole.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hepwrap.errors import CorruptObject

_MAGIC = b"SQLite format 3\0"
#: Virtual machine steps between two looks at the bound, and the bound: steps for every byte of the file.
_STEPS = 100_000
_STEPS_A_BYTE = 50
_LEAST_TICKS = 100
#: Rows of sqlite_master; ours have under twenty.
_MAX_SCHEMA_ROWS = 200
#: Rows that are read at a time where all may be many, and no row of a table with several columns is smaller (bytes).
BATCH_ROWS = 1000
_LEAST_ROW = 16

_PRAGMAS = (
    "trusted_schema=OFF", "cell_size_check=ON", "query_only=ON", "temp_store=MEMORY", "mmap_size=0",
    "cache_size=-64",  # KiB: pages are in memory already, 2 MiB more for each catalogue made nothing faster
)  # fmt: skip
_LIMITS = (
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 50),
    (sqlite3.SQLITE_LIMIT_COLUMN, 100),
    (sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 20),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000),
)
_ALLOWED = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ))

Row = tuple[object, ...]


class Image:
    """One database.  Safe for any number of threads: one connection behind one lock.

    `what` names the object in messages ("catalogue 2cd1... of atlas.cern.ch").  CorruptObject where `data` is not a
    database of plain tables and indexes.
    """

    def __init__(self, data: bytes, *, what: str) -> None:
        self.what = what
        self.size = len(data)
        self._lock = threading.Lock()
        self._ticks = 0
        #: SELECTs that were asked for.
        self.queries = 0
        _check_header(data, what)
        # Autocommit: no transaction is ever opened behind our back.
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        with self._reading():
            self._open(data)
        self.columns = {table: self._columns_of(table) for table in self._tables()}

    def rows(self, query: str, parameters: Sequence[int | bytes | str] = ()) -> list[Row]:
        """All rows of one SELECT."""
        with self._lock, self._reading():
            self.queries += 1
            return self._connection.execute(query, parameters).fetchall()

    def batches(self, query: str, parameters: Sequence[int | bytes | str] = ()) -> Iterator[list[Row]]:
        """The rows of one SELECT, BATCH_ROWS at a time, so that a huge directory costs no more memory than another."""
        with self._lock, self._reading():
            self.queries += 1
            cursor = self._connection.execute(query, parameters)
        total = 0
        while True:
            with self._lock, self._reading():
                batch: list[Row] = cursor.fetchmany(BATCH_ROWS)
            total += len(batch)
            if total * _LEAST_ROW > self.size:
                raise CorruptObject(f"{self.what} gives more rows than it has room for; its publisher has to repair it")
            if batch:
                yield batch
            if len(batch) < BATCH_ROWS:
                return

    def select(self, table: str, columns: Sequence[str], tail: str = "", parameters: Sequence[int] = ()) -> list[Row]:
        """Rows of `table`; a column that the file does not have (older schema) comes as None, and so does no table."""
        statement = self.statement(table, columns, tail)
        return self.rows(statement, parameters) if statement else []

    def statement(self, table: str, columns: Sequence[str], tail: str = "") -> str:
        """The text of that SELECT, which SQLite compiles once; empty where there is no such table."""
        present = self.columns.get(table)
        if present is None:
            return ""
        chosen = ", ".join(column if column in present else f"NULL AS {column}" for column in columns)
        return f"SELECT {chosen} FROM {table} {tail}"

    def require(self, table: str, columns: Sequence[str]) -> None:
        """CorruptObject unless `table` is there with all of `columns`."""
        missing = [column for column in columns if column not in self.columns.get(table, ())]
        if missing:
            raise CorruptObject(
                f"{self.what} has no column {missing[0]} in a table {table}; it is not what it should be"
            )

    def properties(self) -> dict[str, str]:
        """The table `properties`, which catalogues and histories share (7, 10)."""
        found = self.select("properties", ("key", "value"))
        return {_text(key): _text(value) for key, value in found}

    def close(self) -> None:
        """Give the memory back; later queries raise CorruptObject."""
        with self._lock:
            self._connection.close()

    def _open(self, data: bytes) -> None:
        connection = self._connection
        connection.text_factory = bytes
        connection.deserialize(data)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        for limit, value in _LIMITS:
            connection.setlimit(limit, value)
        connection.set_authorizer(_authorize)
        connection.set_progress_handler(self._tick, _STEPS)

    def _tables(self) -> list[str]:
        """Names of the tables, once it is sure that there is nothing else but indexes."""
        found = self.rows("SELECT type, name, rootpage FROM sqlite_master LIMIT ?", (_MAX_SCHEMA_ROWS,))
        for kind, name, page in found:
            if kind not in (b"table", b"index") or not isinstance(page, int) or page < 1:
                raise CorruptObject(f"{self.what} contains {_text(kind)} {_text(name)}, which no publisher writes")
        names = [_text(name) for kind, name, _ in found if kind == b"table"]
        return [name for name in names if name.isidentifier() and name.isascii()]

    def _columns_of(self, table: str) -> frozenset[str]:
        with self._lock, self._reading():
            described = self._connection.execute(f'SELECT * FROM "{table}" LIMIT 0').description
            return frozenset(column[0] for column in described)

    def _tick(self) -> int:
        self._ticks += 1
        return self._ticks > max(_LEAST_TICKS, self.size * _STEPS_A_BYTE // _STEPS)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._ticks = 0
        try:
            yield
        # The module raises the last four for text, numbers and sizes that a broken file can hold.
        except (sqlite3.Error, UnicodeError, OverflowError, ValueError, MemoryError) as error:
            raise CorruptObject(f"{self.what} is not a readable SQLite database ({error})") from error


def _check_header(data: bytes, what: str) -> None:
    if data[:16] != _MAGIC or len(data) < 512:
        raise CorruptObject(f"{what} is not a SQLite database; its publisher has to repair it")
    if data[18:20] != b"\1\1":
        raise CorruptObject(f"{what} was left in write-ahead mode, so that part of it may be missing")


def _authorize(action: int, *_names: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return "" if value is None else str(value)
