"""The adapter of databases, https://www.encode.io/databases, with SQLite and with PostgreSQL through asyncpg.

What is stored are the driver's own rows; the library itself makes its records of them, for the caller's query, by its
own connection class over a stand-in for the driver.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Self

import sqlalchemy as sa
from databases import Database
from databases.interfaces import Record
from sqlalchemy.sql import visitors

from apicache import tagged
from apicache.adapter import Identified, Loaded, Snapshot
from apicache.credentials import is_credential
from apicache.errors import UnidentifiableError, UnstorableError
from apicache.sql import labels
from apicache.sql.db_api import (
    BY_FUNCTION,
    check_unread,
    check_values,
    columns_of,
    file_of,
    loaded,
    place_of,
    private,
    refused,
    rows_of,
    stored,
    texts_in,
)
from apicache.sql.postgresql_sessions import NO_LOGIN, change_of, note_change
from apicache.sql.statements import check_parameters, read_of
from apicache.sql.tokens import Dialect

_METHODS: Final = ("fetch_all", "fetch_one", "fetch_val")
_BACKENDS: Final[Mapping[str, Dialect]] = {
    "databases.backends.sqlite": "sqlite",
    "databases.backends.postgres": "postgresql",
}
_NO_EFFECT: Final = frozenset({"min_size", "max_size", "ssl", "timeout", "command_timeout"})


label_of = labels.label_of


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The database, the compiled query and the parameters as they are sent."""
    owner = getattr(function, "__self__", None)
    if owner is None:
        return None
    name = getattr(function, "__name__", "")
    if type(owner) is not Database:
        raise UnidentifiableError(f"it belongs to a {type(owner).__name__}; only calls of a Database are kept")
    if name not in _METHODS or getattr(function, "__func__", None) is not getattr(Database, name):
        raise UnidentifiableError(f"it is {name}(); only fetch_all(), fetch_one() and fetch_val() are kept")
    _check_task(owner)
    backend = private(owner, "_backend")
    dialect = _BACKENDS.get(type(backend).__module__)
    if dialect is None:
        raise UnidentifiableError(f"its backend is {type(backend).__module__}; only SQLite and asyncpg are known")
    query, column = _given(*args, **kwargs)
    _check_binds(query)
    sql, values, described, *_ = private(backend.connection(), "_compile")(query)
    read = read_of(sql, dialect)
    check_values(values)
    check_parameters(read, texts_in(values))
    settings, credentials = _database_identity(owner, dialect)
    is_nameless = dialect == "postgresql" and not owner.url.username
    change = NO_LOGIN if is_nameless else change_of(settings)
    watched = settings if dialect == "postgresql" and change is None else None
    return Identified(
        label=f"{read.label} ({settings['name']})",
        parameters={
            "library": "databases",
            "method": [name, column, _types(described) if name == "fetch_val" else None],
            "query": [read.text, sql if read.is_spelled else None],
            "parameters": list(values),
            "settings": settings,
        },
        credentials=credentials,
        context=(owner, query),
        carries_credentials=any(credentials),
        needs_scope=change,
        send=functools.partial(_asked, function, name, (owner, query), column, watched),
    )


def _given(query: Any, values: Any = None, column: Any = 0) -> tuple[Any, Any]:
    if type(column) not in {int, str}:
        raise UnidentifiableError(f"its column is a {type(column).__name__}; give its number or its name")
    if isinstance(query, str):
        query = sa.text(query)
        return (query.bindparams(**values) if values is not None else query), column
    if values or not isinstance(query, sa.Select | sa.CompoundSelect | sa.TextClause | sa.TextualSelect):
        raise UnidentifiableError(
            f"it is given a {type(query).__name__}, or values for it; only text and selects are kept"
        )
    return query, column


def _check_binds(query: Any) -> None:
    """Refuse parameters that a function gives anew each time it is asked."""
    if any(isinstance(each, sa.BindParameter) and each.callable for each in visitors.iterate(query)):
        raise UnidentifiableError(BY_FUNCTION)


def _check_task(database: Database) -> None:
    """Refuse a task that holds a connection: it may have begun a transaction, or changed the session."""
    if private(database, "_global_connection") is not None:
        raise UnidentifiableError("its database rolls everything back (force_rollback)")
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop: the call itself will say so
        task = None
    held = None if task is None else private(database, "_connection_map").get(task)
    if held is not None and (private(held, "_connection_counter") or private(held, "_transaction_stack")):
        raise UnidentifiableError("its task holds a connection, which may have written what it reads")


def _database_identity(database: Database, dialect: Dialect) -> tuple[dict[str, Any], list[Any]]:
    unknown = sorted(database.options.keys() - _NO_EFFECT)
    if unknown:
        raise UnidentifiableError(f"its database was given {', '.join(unknown)}, which may change its answers")
    url = database.url
    if dialect == "sqlite":
        path = str(url.database)
        if path in {"", ":memory:"} or path.startswith("file:") or url.options:
            raise UnidentifiableError("its database is in memory, or opened by a URI of SQLite's")
        return {"name": path.replace("\\", "/").rpartition("/")[2], "file": file_of(path)}, []
    options = [[name, value] for name, value in sorted(url.options.items()) if not is_credential(name)]
    settings = {
        "name": url.database,
        "place": [place_of(url.hostname), url.port, url.database, url.username],
        "options": options,
    }
    password = url.password
    return settings, [] if password is None else [password]


def _types(described: Any) -> list[str]:
    """The types that make a value of what the driver gives; raises UnidentifiableError for an application's own."""
    kinds = [entry[3] for entry in described or ()]
    for kind in kinds:
        if type(kind).__module__.partition(".")[0] != "sqlalchemy" or isinstance(kind, sa.PickleType):
            raise UnidentifiableError(f"it has a column of type {type(kind).__name__}, not SQLAlchemy's own")
    return [f"{type(kind).__name__} {kind!r}" for kind in kinds]


async def _asked(
    function: Callable[..., Any], name: str, context: tuple[Database, Any], column: Any, watched: dict[str, Any] | None
) -> Any:
    """The answer, its stored form where it has one; not stored where the connection is not as it was opened."""
    database, query = context
    async with database.connection() as connection:
        if name == "fetch_val":
            answer = await function(query, column=column)
        else:
            answer = await _fetched(functools.partial(function, query), name, connection, context)
        change = None if watched is None else await _change_on(connection)
    if watched is None or change is None:
        return answer
    note_change(watched, change)
    result = answer.result if isinstance(answer, Loaded) else answer
    return refused(result, "databases", f"rows of a database of which {change}")


async def _change_on(connection: Any) -> str | None:
    from apicache.sql.asyncpg_records import change_on  # noqa: PLC0415 - who uses SQLite may have no asyncpg

    async with private(connection, "_query_lock"):
        return await change_on(connection.raw_connection)


async def _fetched(make: Callable[[], Any], name: str, connection: Any, context: tuple[Database, Any]) -> Any:
    """The answer as the library makes it of rows that were fetched, with what is stored of them."""
    database, query = context
    compiled = private(private(database, "_backend").connection(), "_compile")(query)
    fetch = _fetched_by_sqlite if _is_sqlite(database) else _fetched_by_asyncpg
    async with private(connection, "_query_lock"):
        data = await fetch(connection.raw_connection, name, compiled[0], compiled[1])
    try:
        tagged.encode(data)
        return loaded(replay(data, context), "databases", data)
    except Exception:  # noqa: BLE001 - whatever cannot be copied, or another version's records: the plain call tells
        return await make()


def _is_sqlite(database: Database) -> bool:
    return type(private(database, "_backend")).__module__ == "databases.backends.sqlite"


async def _fetched_by_sqlite(live: Any, name: str, sql: str, values: Any) -> dict[str, Any]:
    async with live.execute(sql, values) as cursor:
        rows = await cursor.fetchall() if name == "fetch_all" else [await cursor.fetchone()]
        columns = [column[0] for column in cursor.description]
    return {"name": name, **stored(columns, (row for row in rows if row is not None))}


async def _fetched_by_asyncpg(live: Any, name: str, sql: str, values: Any) -> dict[str, Any]:
    from apicache.sql.asyncpg_records import stored_records  # noqa: PLC0415 - who uses SQLite may have no asyncpg

    rows = await live.fetch(sql, *values) if name == "fetch_all" else [await live.fetchrow(sql, *values)]
    return {"name": name, **stored_records([row for row in rows if row is not None])}


def snapshot(response: Any) -> Snapshot | None:
    """None for what is no record; raises UnstorableError for records, whose columns only their query tells."""
    if isinstance(response[0] if type(response) is list and response else response, Record):
        check_unread(response)
    return None


def replay(data: Any, context: Any) -> Any:
    """What the library makes of the stored rows for the caller's query; `context` is the database and the query."""
    database, query = context
    backend = private(database, "_backend").connection()
    backend._connection = _stand_in(database, data)  # noqa: SLF001 - where the driver's connection lies
    return _run(getattr(backend, data["name"])(query))


def _stand_in(database: Database, data: Any) -> Any:
    if _is_sqlite(database):
        description = [(name, *[None] * 6) for name in columns_of(data)]
        return _StoredConnection(description, [tuple(row) for row in rows_of(data)])
    from apicache.sql.asyncpg_records import records_of  # noqa: PLC0415 - as above

    return _StoredConnection([], records_of(data))


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    coroutine.close()
    raise UnstorableError("this version of databases waits for something when it makes its records")


class _StoredConnection:
    """Answers as aiosqlite's connection and cursor do, and as asyncpg's connection."""

    def __init__(self, description: list[tuple[Any, ...]], rows: list[Any]) -> None:
        self.description = description
        self._rows = rows

    def execute(self, _sql: str, _values: Any) -> "_StoredConnection":
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def fetchall(self) -> list[Any]:
        return self._rows

    async def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None

    async def fetch(self, _sql: str, *_values: Any) -> list[Any]:
        return self._rows

    async def fetchrow(self, _sql: str, *_values: Any) -> Any:
        return await self.fetchone()
