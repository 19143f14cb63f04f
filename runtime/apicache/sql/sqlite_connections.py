"""What of a SQLite connection changes the answers to a query, read off the live connection.

Everything comes from PRAGMAs and from queries that read no table, made on the connection itself. An authorizer
(`set_authorizer`) cannot be read off: where one hides columns, name whose answers they are with `using(scope=...)`.
"""

import functools
import re
import sqlite3
import types
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from apicache import identity
from apicache.errors import UnidentifiableError
from apicache.sql.db_api import file_of
from apicache.sql.statements import Read

IN_MEMORY: Final = "its database is in memory, or temporary: no other connection has it"
"""Why a connection whose settings have no `file` needs a scope."""
OWN_CONVERTER: Final = "APICACHE-VALUE"
"""The name under which `adapters.sqlite3` converts what it replays."""
_FACTS_MAX: Final = 256
_PROBES: Final = {"TIMESTAMP": "2000-01-01 00:00:00", "DATE": "2000-01-01"}
_GENERATED: Final = re.compile(r"\bas\s*\(", re.IGNORECASE)
_ROW_PRAGMAS: Final = ("short_column_names", "full_column_names", "reverse_unordered_selects")
"""Settings of a connection that name columns, or order rows that no ORDER BY does."""
_ROW_USUAL: Final = [1, 0, 0]
_COLLATED: Final = (
    "SELECT 'a' = 'A' COLLATE NOCASE, '_' < 'a' COLLATE NOCASE, 'é' = 'É' COLLATE NOCASE,"
    " 'a' = 'a ' COLLATE RTRIM, 'a' = 'A' COLLATE RTRIM, 'a' = 'A' COLLATE BINARY"
)
"""What tells the built-in collations, which nothing lists as replaced, from most others."""
_COLLATED_USUAL: Final = (1, 1, 0, 1, 0, 0)
_CONVERTERS: Final[Mapping[str, Any]] = getattr(sqlite3, "converters", types.MappingProxyType({}))


class _Facts(msgspec.Struct, frozen=True):
    """What a schema says."""

    has_code: bool
    """Whether it has views or generated columns, which may call functions."""
    converted: tuple[tuple[str, str, str], ...]
    """(table, column, type) of columns whose declared type has a converter."""


_facts: dict[Any, _Facts] = {}


def settings_of(connection: sqlite3.Connection, read: Read, allowed: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The database and the settings that change answers; `allowed` are functions known to be the same everywhere.

    `file` is None for a database in memory. Raises UnidentifiableError where they cannot be read, and in a transaction.
    """
    if connection.in_transaction:
        raise UnidentifiableError("its connection is in a transaction, which may have written what it reads")
    if connection.text_factory not in {str, bytes}:
        raise UnidentifiableError("its connection has a text_factory of its own")
    cursor = connection.cursor()
    cursor.row_factory = None
    try:
        return _settings(cursor, connection.text_factory, read, allowed)
    finally:
        cursor.close()


def _settings(cursor: sqlite3.Cursor, text: Any, read: Read, allowed: frozenset[str]) -> dict[str, Any]:
    file = _file(cursor)
    cursor.execute('SELECT count(*) AS "x [y]" FROM sqlite_temp_master')
    by_column = cursor.description[0][0] == "x"
    if cursor.fetchone()[0]:
        raise UnidentifiableError("its connection has temporary tables, views or triggers")
    cursor.execute("PRAGMA schema_version")
    version = cursor.fetchone()[0]
    facts = _read_facts(cursor) if file is None else _facts_of(cursor, (*file, version, frozenset(_CONVERTERS)))
    _check_functions(cursor, read, facts, allowed)
    declared = _converts_declared(cursor, facts)
    return {
        "file": file,
        "text": text.__name__,
        "rows": [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in _ROW_PRAGMAS],
        "converts": [by_column, bool(declared)],
        "converters": _converters() if by_column or declared else None,
    }


def in_transaction(connection: Any) -> bool:
    """Whether a connection of sqlite3's, or of aiosqlite's, has begun to write."""
    return bool(getattr(getattr(connection, "_conn", connection), "in_transaction", False))


def plain_settings(file: list[Any] | None) -> dict[str, Any]:
    """What `settings_of` gives for a connection that was opened without options, and not changed."""
    return {"file": file, "text": "str", "rows": _ROW_USUAL, "converts": [False, False], "converters": None}


def _facts_of(cursor: sqlite3.Cursor, key: Any) -> _Facts:
    facts = _facts.get(key)
    if facts is None:
        if len(_facts) >= _FACTS_MAX:
            _facts.clear()
        facts = _facts[key] = _read_facts(cursor)
    return facts


def _file(cursor: sqlite3.Cursor) -> list[Any] | None:
    found = [(_text(name), _text(file)) for _, name, file in cursor.execute("PRAGMA database_list")]
    databases = {name: file for name, file in found if name != "temp"}
    if databases.keys() != {"main"}:
        raise UnidentifiableError("its connection has other databases attached")
    return file_of(databases["main"]) if databases["main"] else None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _read_facts(cursor: sqlite3.Cursor) -> _Facts:
    # Expressions have no declared type: no converter changes what is read here.
    cursor.execute("SELECT m.type || '', coalesce(m.sql, '') || '' FROM sqlite_master m")
    has_code = any(
        _text(kind) == "view" or _GENERATED.search(_text(sql)) or "generated" in _text(sql).lower()
        for kind, sql in cursor.fetchall()
    )
    cursor.execute("SELECT m.name || '', i.name || '', i.type || '' FROM sqlite_master m, pragma_table_xinfo(m.name) i")
    columns = [(_text(table), _text(column), _text(kind)) for table, column, kind in cursor.fetchall()]
    # As the module itself cuts a declared type.
    keyed = [(table, column, re.split(r"[ (]", kind)[0].upper()) for table, column, kind in columns]
    return _Facts(has_code, tuple(each for each in keyed if each[2] in _CONVERTERS))


def _check_functions(cursor: sqlite3.Cursor, read: Read, facts: _Facts, allowed: frozenset[str]) -> None:
    """Refuse functions and collations that the application has added to the connection."""
    cursor.execute("PRAGMA collation_list")
    if {_text(row[1]) for row in cursor.fetchall()} - _usual()[1]:
        raise UnidentifiableError("its connection has collations of its own")
    if cursor.execute(_COLLATED).fetchone() != _COLLATED_USUAL:
        raise UnidentifiableError("its connection has a collation of its own in place of a built-in one")
    if not read.calls and not facts.has_code:
        return  # the list takes 0.3 ms
    own = _function_names(cursor) - _usual()[0] - allowed
    if own if facts.has_code else own & read.calls:
        raise UnidentifiableError(f"its connection has functions of its own ({', '.join(sorted(own))})")


def _function_names(cursor: sqlite3.Cursor) -> set[str]:
    cursor.execute("SELECT name FROM pragma_function_list WHERE builtin = 0")
    return {_text(row[0]).lower() for row in cursor.fetchall()}


@functools.cache
def _usual() -> tuple[frozenset[str], frozenset[str]]:
    """The functions outside the core, and the collations, of a connection that nobody has changed."""
    connection = sqlite3.connect(":memory:")
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA collation_list")
        collations = frozenset(row[1] for row in cursor.fetchall())
        return frozenset(_function_names(cursor)), collations
    finally:
        connection.close()


def _converts_declared(cursor: sqlite3.Cursor, facts: _Facts) -> bool | None:
    """Whether the connection converts by declared types, which has no reader; None where no column has such a type.

    The columns of a compound query have the declared types of its first part, so a value can be given to look at.
    """
    if not facts.converted:
        return None
    table, column, kind = min(facts.converted, key=lambda each: each[2] not in _PROBES)
    given = _PROBES.get(kind, "0")
    names = ['"' + name.replace('"', '""') + '"' for name in (column, table)]
    try:
        cursor.execute(f"SELECT {names[0]} FROM {names[1]} WHERE 0 UNION ALL SELECT ?", (given,))  # noqa: S608 - quoted
        seen = cursor.fetchone()[0]
    except sqlite3.Error:
        raise UnidentifiableError("its connection's detect_types cannot be found") from None
    except Exception:  # noqa: BLE001 - a converter that does not take the text: there is one at work
        return True
    if seen not in {given, given.encode()}:
        return True
    if getattr(_CONVERTERS[kind], "__module__", "") != "sqlite3.dbapi2":
        raise UnidentifiableError(f"its connection may or may not convert {kind}, which cannot be read off")
    return False


def _converters() -> dict[str, Any]:
    return {
        name: [getattr(function, "__qualname__", ""), identity.function_content(function)]
        for name, function in _CONVERTERS.items()
        if name != OWN_CONVERTER
    }
