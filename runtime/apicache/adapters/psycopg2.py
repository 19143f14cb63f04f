"""The adapter of psycopg2, https://www.psycopg.org/docs.

`cached_db_query` on a connection. What is called otherwise fills a cursor, which is made each time.

A connection in autocommit is asked for its role, its search_path and what else changes answers, before each call. With
row-level security, or code that speaks of the session (`apicache.sql.session_code`), `using(scope=...)` names whose
answers they are. Any question to another connection would begin a transaction, so it needs a scope, and what the server
reports unasked is all that is known of it. A connection in a transaction is asked each time: without `autocommit` that
is every call until the next commit.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import psycopg2
from psycopg2 import _psycopg, _range, extensions

from apicache.adapter import Identified, Snapshot
from apicache.errors import UnidentifiableError
from apicache.sql import labels
from apicache.sql.cursors import fetch, fetched
from apicache.sql.db_api import check_unread, check_values, copied, place_of, refused, texts_in
from apicache.sql.postgresql_sessions import STATE, reported_by, state_in
from apicache.sql.statements import Read, check_parameters, read_of

_INSTEAD: Final = "it fills a cursor; ask the connection with cached_db_query(..., database=connection)"
_UNASKED: Final = "asking its connection what is set for it would begin a transaction, as it is not in autocommit"


label_of = labels.label_of


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The database, the session, and the query as it is sent."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, extensions.cursor) or (
        isinstance(owner, extensions.connection) and getattr(function, "__func__", None) is not fetch
    ):
        raise UnidentifiableError(f"it is {type(owner).__name__}.{getattr(function, '__name__', '')}(): {_INSTEAD}")
    if not isinstance(owner, extensions.connection):
        return None
    if type(owner) is not extensions.connection:
        raise UnidentifiableError(f"its connection is a {type(owner).__name__}, which may do it in its own way")
    sql, parameters = _given(*args, **kwargs)
    read = read_of(sql, "postgresql")
    check_values(parameters or ())
    check_parameters(read, texts_in(parameters))
    _check_idle(owner)
    types = _typecasters(owner)
    cursor = owner.cursor(cursor_factory=extensions.cursor)
    sent = cursor.mogrify(sql, parameters)
    read_of(sent.decode(extensions.encodings[owner.encoding]), "postgresql")
    settings, needs_scope = _session(owner, read)
    info = owner.info
    return Identified(
        label=f"{read.label} ({info.dbname})",
        parameters={
            "library": "psycopg2",
            "query": [read.text, sent],
            "types": types,
            "server": [place_of(info.host), info.port, info.dbname, info.user, info.options],
            "session": settings,
        },
        credentials=[info.password] if info.password else [],
        carries_credentials=bool(info.password),
        needs_scope=needs_scope,
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
    if connection.closed or connection.async_:
        raise UnidentifiableError("its connection is closed, or asynchronous")
    if connection.info.transaction_status != extensions.TRANSACTION_STATUS_IDLE:
        raise UnidentifiableError("its connection is in a transaction, which may have written what it reads")


def _typecasters(connection: Any) -> list[Any]:
    """Which of psycopg2's own make values; raises UnidentifiableError for an application's own."""
    named = [each for module in (_psycopg, extensions, _range) for each in vars(module).values()]
    ranges = [getattr(each, name, None) for each in named for name in ("typecaster", "array_typecaster")]
    own = {id(each) for each in (*named, *ranges)}
    known = extensions.string_types
    if connection.string_types or any(id(each) not in own for each in known.values()):
        raise UnidentifiableError("it has typecasters of its own, whose functions cannot be read off")
    return sorted([kind, each.name] for kind, each in known.items())


def is_bound(_function: Callable[..., Any]) -> bool:
    """Always: it is made on the caller's connection."""
    return True


def _session(connection: Any, read: Read) -> tuple[Any, str | None]:
    """What identifies the session, and why it needs a scope."""
    if not connection.autocommit:
        return reported_by(connection.info.parameter_status, read), _UNASKED
    try:
        return state_in(_told(connection, STATE), lambda question: _told(connection, question)[0])
    except psycopg2.Error:
        raise UnidentifiableError("its server does not tell what is set for the session") from None


def _told(connection: Any, question: str) -> tuple[Any, ...]:
    _, (row,) = fetched(connection.cursor(cursor_factory=extensions.cursor), question, None)
    return cast("tuple[Any, ...]", row)


def _fetched(connection: Any, sql: str, parameters: Any) -> Any:
    is_idle = connection.info.transaction_status == extensions.TRANSACTION_STATUS_IDLE
    result = fetched(connection.cursor(cursor_factory=extensions.cursor), sql, parameters)
    # Another thread may have begun a transaction on it since it was identified.
    return result if is_idle else refused(result, "psycopg2", "rows of a transaction, which may have written them")


def snapshot(response: Any) -> Snapshot | None:
    """None for what is no cursor; raises UnstorableError for a cursor, whose rows are the caller's to read."""
    if isinstance(response, extensions.cursor):
        check_unread(response)
    return None


def replay(data: Any, _context: Any) -> Any:
    """What was stored: rows are plain values."""
    return data
