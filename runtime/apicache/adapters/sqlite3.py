"""The adapter of sqlite3, https://docs.python.org/3/library/sqlite3.html.

`Connection.execute` with a query is answered by a real `sqlite3.Cursor` over a database in memory that holds the rows:
`description`, `fetch*`, iteration and the caller's own row_factory are as without the cache. Its `connection` is that
database's, and its `lastrowid`, which says nothing after a query, is another one.

A database in memory is its connection's alone: it needs a scope that says which one it is (`using(scope=...)`).
"""

import datetime as dt
import sqlite3
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

from apicache import tagged
from apicache.adapter import Identified, Loaded, Snapshot
from apicache.errors import UnencodableError, UnidentifiableError, UnstorableError
from apicache.sql import labels
from apicache.sql.db_api import check_unread, columns_of, loaded, refused, rows_of, stored
from apicache.sql.sqlite_connections import IN_MEMORY, OWN_CONVERTER, settings_of
from apicache.sql.statements import check_parameters, read_of

_NATIVE: Final = frozenset({type(None), int, float, str, bytes})
"""What SQLite itself holds."""
_ADAPTED: Final = frozenset({dt.date, dt.datetime})
_BY_NAME: Final = "execute"


def _restored(value: bytes) -> Any:
    return tagged.decode(value)


sqlite3.register_converter(OWN_CONVERTER, _restored)


label_of = labels.label_of


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The database, the settings of the connection, the query and its parameters."""
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__name__", "")
    if isinstance(owner, sqlite3.Cursor):
        raise UnidentifiableError(f"it is a cursor's {name}(), which fills the cursor; call the connection's execute()")
    if not isinstance(owner, sqlite3.Connection):
        return None
    if type(owner) is not sqlite3.Connection:
        raise UnidentifiableError(f"its connection is a {type(owner).__name__}, which may do it in its own way")
    if name != _BY_NAME:
        raise UnidentifiableError(f"it is {name}(); only execute() with a query is kept")
    sql, parameters = _given(*args, **kwargs)
    read = read_of(sql, "sqlite")
    values = list(parameters.values()) if isinstance(parameters, dict) else list(parameters)
    _check_values(values)
    check_parameters(read, values)
    settings = settings_of(owner, read)
    file = settings["file"]
    return Identified(
        label=f"{read.label} ({_base_name(file[1]) if file else 'in memory'})",
        parameters={
            "library": "sqlite3",
            "query": [read.text, sql if read.is_spelled else None],
            "parameters": parameters,
            "settings": settings,
        },
        credentials=None,
        needs_scope=None if file else IN_MEMORY,
        context=owner.row_factory,
        send=lambda: _fetched(owner, sql, parameters),
    )


def is_bound(_function: Callable[..., Any]) -> bool:
    """Always: it is made on the caller's connection."""
    return True


def _base_name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _given(sql: str, parameters: Any = (), /) -> tuple[str, Any]:
    if type(sql) is not str:
        raise UnidentifiableError(f"its SQL is a {type(sql).__name__}")
    if type(parameters) not in {tuple, list, dict}:
        raise UnidentifiableError(f"its parameters are a {type(parameters).__name__}; give a tuple, a list or a dict")
    return sql, parameters.copy() if isinstance(parameters, list | dict) else parameters


def _check_values(values: list[Any]) -> None:
    adapters = getattr(sqlite3, "adapters", {})
    for value in values:
        kind = type(value)
        if kind in _NATIVE or kind is bool:
            continue
        own = adapters.get((kind, sqlite3.PrepareProtocol))
        if kind not in _ADAPTED or getattr(own, "__module__", "") != "sqlite3.dbapi2":
            raise UnidentifiableError(f"it is given a {kind.__name__}, which is sent in a way of its own")


def _fetched(connection: sqlite3.Connection, sql: str, parameters: Any) -> sqlite3.Cursor | Loaded:
    """The answer as a cursor over what was fetched, or the connection's own where that cannot be copied."""
    cursor = connection.cursor()
    cursor.row_factory = None
    cursor.execute(sql, parameters)
    data = stored((column[0] for column in cursor.description), cursor.fetchall())
    cursor.close()
    try:
        tagged.encode(data)
        if connection.in_transaction:  # another thread has begun it since the call was identified
            return refused(replay(data, connection.row_factory), "sqlite3", "rows of a transaction")
        return loaded(replay(data, connection.row_factory), "sqlite3", data)
    except (UnencodableError, UnstorableError, sqlite3.Error):
        return connection.execute(sql, parameters)


def snapshot(response: Any) -> Snapshot | None:
    """None for what is no cursor; raises UnstorableError for a cursor, whose rows are the caller's to read."""
    if type(response) is sqlite3.Cursor:
        check_unread(response)
    return None


def replay(data: Any, context: Any) -> sqlite3.Cursor:
    """A new cursor at its first row; `context` is the caller's row_factory.

    Raises UnstorableError for names of columns that no query can give to converted values.
    """
    columns, rows = columns_of(data), rows_of(data)
    is_converted = not all(_NATIVE.issuperset(map(type, row)) for row in rows)
    if is_converted and any("[" in name for name in columns):
        raise UnstorableError("converted values in a column whose name has a bracket")
    connection = sqlite3.connect(
        ":memory:",
        detect_types=sqlite3.PARSE_COLNAMES if is_converted else 0,
        check_same_thread=False,
        isolation_level=None,
    )
    _fill(
        connection.cursor(),
        columns,
        [[tagged.encode(value) for value in row] for row in rows] if is_converted else rows,
    )
    suffix = f" [{OWN_CONVERTER}]" if is_converted else ""
    shown = ", ".join(f'c{position} AS "{_quoted(name + suffix)}"' for position, name in enumerate(columns))
    cursor = connection.cursor()
    cursor.row_factory = context
    cursor.execute(f"SELECT {shown} FROM answer ORDER BY rowid")  # noqa: S608 - quoted
    weakref.finalize(cursor, connection.close).atexit = False
    return cursor


def _fill(cursor: sqlite3.Cursor, columns: list[str], rows: list[list[Any]]) -> None:
    names = [f"c{position}" for position in range(len(columns))]
    cursor.execute(f"CREATE TABLE answer ({', '.join(names)})")
    cursor.executemany(f"INSERT INTO answer VALUES ({', '.join('?' for _ in names)})", rows)  # noqa: S608 - marks only


def _quoted(name: str) -> str:
    return name.replace('"', '""')
