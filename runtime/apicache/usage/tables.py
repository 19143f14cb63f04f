"""The usage log's tables: how a file begins, how one of the format before is taken over, how keys' rows are kept."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from apicache.usage.folding import COUNTERS, Counters, KeyRow

FORMAT: Final = 3
"""`user_version` of the file; of others, the one before is taken over, and the rest are left alone."""
_FORMAT_BEFORE: Final = 2
_VARIABLES_MAX: Final = 500
"""Placeholders in one statement; old builds of SQLite allow 999."""

_COUNTER_COLUMNS: Final = ", ".join(f"{name} REAL NOT NULL DEFAULT 0" for name in COUNTERS)
_KEYS: Final = (
    """
CREATE TABLE keys (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, operation TEXT NOT NULL, loaded_at REAL NOT NULL,
    ttl REAL NOT NULL, hits INTEGER NOT NULL, loads INTEGER NOT NULL, used_at REAL NOT NULL, subject BLOB,
    digests BLOB NOT NULL, recorded TEXT, complete INTEGER NOT NULL, seconds REAL NOT NULL DEFAULT 0,
    cost REAL NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT -1
)""",
    "CREATE INDEX keys_by_operation ON keys (operation, used_at)",
    "CREATE INDEX keys_by_use ON keys (used_at)",
    "CREATE INDEX keys_by_subject ON keys (subject) WHERE subject IS NOT NULL",
)
_TRACE: Final = """
CREATE TABLE trace (
    id INTEGER PRIMARY KEY, first REAL NOT NULL, last REAL NOT NULL, count INTEGER NOT NULL, requests BLOB NOT NULL
)"""
_VERSION: Final = f"PRAGMA user_version = {FORMAT}"
_SCHEMA: Final = (
    f"""
CREATE TABLE counters (
    hour INTEGER NOT NULL, operation TEXT NOT NULL, {_COUNTER_COLUMNS}, PRIMARY KEY (hour, operation)
) WITHOUT ROWID""",
    *_KEYS,
    _TRACE,
    _VERSION,
)
# The digest of a scope is called `subject` in these files.
_KEPT_COLUMNS: Final = "operation, loaded_at, ttl, hits, loads, used_at, subject, digests, recorded, complete"
KEY_COLUMNS: Final = f"{_KEPT_COLUMNS}, seconds, cost, size, id"
"""Of a key's row, in the order of a KeyRow's fields."""
_UPGRADE: Final = (
    *(f"DROP INDEX IF EXISTS keys_by_{name}" for name in ("operation", "use", "subject")),
    "ALTER TABLE keys RENAME TO keys_before",
    *_KEYS,
    f"INSERT INTO keys (key, {_KEPT_COLUMNS}) SELECT key, {_KEPT_COLUMNS} FROM keys_before ORDER BY used_at",  # noqa: S608 - constants
    "DROP TABLE keys_before",
    _TRACE,
    _VERSION,
)

# Every piece of these statements is a constant of ours: values travel as parameters.
_SET_COUNTERS: Final = ", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTERS)
_ADD_COUNTERS: Final = (
    f"INSERT INTO counters (hour, operation, {', '.join(COUNTERS)}) VALUES (?, ?{', ?' * len(COUNTERS)})"  # noqa: S608 - constants
    f" ON CONFLICT (hour, operation) DO UPDATE SET {_SET_COUNTERS}"
)
_ADD_KEY: Final = f"INSERT INTO keys (key, {KEY_COLUMNS}) VALUES (?{', ?' * len(KEY_COLUMNS.split(', '))})"  # noqa: S608 - constants
_SET_KEY: Final = (
    "UPDATE keys SET loaded_at = ?, ttl = ?, hits = ?, loads = ?, used_at = ?, subject = ?, digests = ?, recorded = ?,"
    " complete = ?, seconds = ?, cost = ?, size = ? WHERE id = ?"
)

_digests_encoder = msgspec.msgpack.Encoder()
_digests_decoder = msgspec.msgpack.Decoder(dict[str, bytes])


def format_of(database: sqlite3.Connection) -> int:
    """The file's format; 0 for a file that has none yet."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)


def make_tables(database: sqlite3.Connection) -> None:
    """Give a new file its tables, and one of the format before those it lacks; another process may be doing the same.

    Raises sqlite3.OperationalError while the file is locked.
    """
    found = format_of(database)
    if found == 0:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        _run(database, _SCHEMA, found)
    elif found == _FORMAT_BEFORE:
        _run(database, _UPGRADE, found)


def _run(database: sqlite3.Connection, statements: Sequence[str], expected: int) -> None:
    database.execute("BEGIN IMMEDIATE")
    with database:
        if format_of(database) == expected:  # no other process was faster
            for statement in statements:
                database.execute(statement)


def rows_of(database: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, KeyRow]:
    """The rows of keys, as far as there are any."""
    found: dict[bytes, KeyRow] = {}
    for start in range(0, len(keys), _VARIABLES_MAX):
        some = keys[start : start + _VARIABLES_MAX]
        places = ", ".join("?" * len(some))
        statement = f"SELECT key, {KEY_COLUMNS} FROM keys WHERE key IN ({places})"  # noqa: S608 - constants
        found.update((row[0], row_from(row[1:])) for row in database.execute(statement, some))
    return found


def row_from(columns: Sequence[Any]) -> KeyRow:
    """The row in the order of KEY_COLUMNS."""
    operation, loaded_at, ttl, hits, loads, used_at, scope, digests, recorded, complete, *rest = columns
    known = _digests_decoder.decode(digests)
    return KeyRow(operation, loaded_at, ttl, hits, loads, used_at, scope, known, recorded, bool(complete), *rest)


def put(database: sqlite3.Connection, counters: Counters, rows: dict[bytes, KeyRow]) -> None:
    """Add counters, and keep rows in the place of those of their keys; new rows are given their ids."""
    database.executemany(
        _ADD_COUNTERS,
        [
            (hour, operation, *(counts.get(name, 0.0) for name in COUNTERS))
            for (hour, operation), counts in counters.items()
        ],
    )
    database.executemany(_SET_KEY, [_changing(row) for row in rows.values() if row.id])
    added = [(key, row) for key, row in rows.items() if not row.id]
    if added:
        (latest,) = database.execute("SELECT COALESCE(MAX(id), 0) FROM keys").fetchone()
        for number, (_, row) in enumerate(added, start=latest + 1):
            row.id = number
        database.executemany(_ADD_KEY, [(key, row.operation, *_changing(row)) for key, row in added])


def _changing(row: KeyRow) -> tuple[object, ...]:
    """All columns but the key and its operation."""
    return (
        *(row.loaded_at, row.ttl, row.hits, row.loads, row.used_at, row.scope),
        *(_digests_encoder.encode(row.digests), row.recorded, row.complete),
        *(row.seconds, row.cost, row.size, row.id),
    )
