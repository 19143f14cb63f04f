"""A query on a DB-API connection, with a cursor of its own: what the adapters of psycopg2 and pymysql know one by.

Their `cursor.execute` fills the cursor and returns none, so there is nothing that could be kept of it. Here a
connection is asked for the rows, by `call_on`.
"""

import contextlib
import types
from collections.abc import Callable, Mapping
from typing import Any

from apicache.errors import InputError

Fetched = list[Any]
"""The names of the columns, and the rows as tuples."""


def fetch(connection: Any, sql: str, parameters: Any = None) -> Fetched:
    """The names of the columns, and the rows, of a query on a connection."""
    return fetched(connection.cursor(), sql, parameters)


def fetched(cursor: Any, sql: str, parameters: Any) -> Fetched:
    """The same of a cursor, which is closed then."""
    with contextlib.closing(cursor):
        cursor.execute(sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [names, [_row(names, row) for row in cursor.fetchall()]]


def _row(names: list[str], row: Any) -> tuple[Any, ...]:
    """A row of any cursor class as a tuple, with binary values as bytes."""
    values = (row[name] for name in names) if isinstance(row, Mapping) else row
    return tuple(bytes(value) if type(value) is memoryview else value for value in values)


def call_on(connection: Any) -> Callable[..., Fetched]:
    """`fetch` as a method of the connection."""
    return types.MethodType(fetch, connection)


def rows_at_once(cursor: Any) -> list[dict[str, Any]]:
    """The rows of an async cursor that has received them all, so that fetching them waits for nothing."""
    names = [column[0] for column in cursor.description]
    fetching = cursor.fetchall()
    try:
        fetching.send(None)
    except StopIteration as ended:
        return [dict(row) if isinstance(row, Mapping) else dict(zip(names, row, strict=True)) for row in ended.value]
    fetching.close()
    raise InputError(f"a {type(cursor).__name__} has rows that are still in the database")


def parameters_in(given: tuple[Any, ...]) -> Any:
    """What a driver takes as its parameters, of those that were given one by one, or as one mapping; None for none."""
    if len(given) == 1 and isinstance(given[0], Mapping):
        return dict(given[0])
    return given or None
