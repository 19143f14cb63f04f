"""The adapter of PyMySQL, https://pymysql.readthedocs.io, for MySQL and MariaDB.

`cached_db_query` on a connection. What is called otherwise fills a cursor, which is made each time.

The connection is asked for its database, its role and the variables that change answers, before each call. One in a
transaction is asked each time: without `autocommit` that is every call until the next commit.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

import pymysql
from pymysql import converters, cursors
from pymysql.connections import Connection
from pymysql.constants import SERVER_STATUS

from apicache.adapter import Identified, Snapshot
from apicache.errors import UnidentifiableError
from apicache.sql import labels
from apicache.sql.cursors import fetch, fetched
from apicache.sql.db_api import check_unread, check_values, copied, place_of, private, refused, texts_in
from apicache.sql.mysql_sessions import state_of
from apicache.sql.statements import check_parameters, read_of

_INSTEAD: Final = "it fills a cursor; ask the connection with cached_db_query(..., database=connection)"


label_of = labels.label_of


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The database, the session, and the query as it is sent."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, cursors.Cursor) or (
        isinstance(owner, Connection) and getattr(function, "__func__", None) is not fetch
    ):
        raise UnidentifiableError(f"it is {type(owner).__name__}.{getattr(function, '__name__', '')}(): {_INSTEAD}")
    if not isinstance(owner, Connection):
        return None
    if type(owner) is not Connection:
        raise UnidentifiableError(f"its connection is a {type(owner).__name__}, which may do it in its own way")
    sql, parameters = _given(*args, **kwargs)
    read = read_of(sql, "mysql")
    check_values(parameters or ())
    check_parameters(read, texts_in(parameters))
    _check_idle(owner)
    sent = cursors.Cursor(owner).mogrify(sql, parameters)
    place, credentials = _server(owner)
    return Identified(
        label=f"{read.label} ({place['database'] or place['host'][0]})",
        parameters={
            "library": "pymysql",
            # The text itself names a column of its own, and escapes may write a parameter in several ways.
            "query": [read.text, sql if read.is_spelled else None, sent, parameters],
            "server": place,
            "session": _session(owner),
        },
        credentials=credentials,
        carries_credentials=bool(credentials),
        context=None,
        send=functools.partial(_fetched, owner, sql, copied(parameters)),
    )


def _given(sql: Any, parameters: Any = None) -> tuple[str, Any]:
    if type(sql) is not str:
        raise UnidentifiableError(f"its query is a {type(sql).__name__}; give it as text")
    if parameters is not None and type(parameters) not in {tuple, list, dict}:
        raise UnidentifiableError(f"its parameters are a {type(parameters).__name__}; give a tuple, a list or a dict")
    return sql, parameters


def _check_idle(connection: Any) -> None:
    if not connection.open:
        raise UnidentifiableError("its connection is closed")
    if connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS:
        raise UnidentifiableError("its connection is in a transaction, which may have written what it reads")
    if private(connection, "decoders") != converters.decoders or not private(connection, "use_unicode"):
        raise UnidentifiableError("its connection converts values in its own way (conv= or use_unicode=)")


def is_bound(_function: Callable[..., Any]) -> bool:
    """Always: it is made on the caller's connection."""
    return True


def _server(connection: Any) -> tuple[dict[str, Any], list[Any]]:
    socket = private(connection, "unix_socket")
    user, password = private(connection, "user"), private(connection, "password")
    place = {
        "host": place_of(socket or private(connection, "host")),
        "port": None if socket else private(connection, "port"),
        "user": user.decode() if isinstance(user, bytes) else user,
        "database": connection.db.decode() if isinstance(connection.db, bytes) else connection.db,
        "charset": private(connection, "charset"),
    }
    return place, [password] if password else []


def _session(connection: Any) -> list[Any]:
    try:
        return state_of(lambda sql: fetched(cursors.Cursor(connection), sql, None)[1])
    except pymysql.MySQLError:
        raise UnidentifiableError("its server does not tell what is set for the session") from None


def _fetched(connection: Any, sql: str, parameters: Any) -> Any:
    is_idle = not connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS
    result = fetched(cursors.Cursor(connection), sql, parameters)
    # Another task or thread may have begun a transaction on it since it was identified.
    return result if is_idle else refused(result, "pymysql", "rows of a transaction, which may have written them")


def snapshot(response: Any) -> Snapshot | None:
    """None for what is no cursor; raises UnstorableError for a cursor, whose rows are the caller's to read."""
    if isinstance(response, cursors.Cursor):
        check_unread(response)
    return None


def replay(data: Any, _context: Any) -> Any:
    """What was stored: rows are plain values."""
    return data
