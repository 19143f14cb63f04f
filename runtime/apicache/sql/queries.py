"""`cached_db_query`: rows of a query from whatever database the application has, through the cache.

    use_database(pool)
    rows = await cached_db_query("SELECT * FROM products WHERE featured = true", ttl=3600)

What identifies a query, and what is not kept, is the adapters' to say (`apicache.adapters`): a query that they refuse
is made each time. A pool or an engine is asked as such; a single connection to a server, and a database in memory, need
`scope=`, as only the caller knows whose answers they give. Entries are tagged `table:<name>` for each table that FROM
and JOIN name, where the text tells all.
"""

import functools
import inspect
import re
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Unpack

import msgspec

from apicache import adapters, identity
from apicache.cache import UnifiedAPICache
from apicache.errors import InputError, UnidentifiableError
from apicache.planning import in_callers_thread
from apicache.policy import PolicyOptions
from apicache.sql import cursors, sqlalchemy_engines
from apicache.sql.mistakes import check_named, check_one_by_one, not_one_by_one
from apicache.sql.statements import NotAReadError, Read, read_of
from apicache.sql.tokens import Dialect
from apicache.surface import CallSurface

Rows = list[dict[str, Any]]
_Call = tuple[Callable[..., Any], tuple[Any, ...]]

_KNOWN: Final = (
    "an asyncpg pool or connection, a databases.Database, a SQLAlchemy Engine, Connection or Session (sync or async), "
    "a sqlite3, psycopg, psycopg2 or pymysql connection, or a function of the query and its parameters that returns "
    "rows"
)
_DIALECTS: Final[Mapping[str, Dialect]] = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}
_databases: "weakref.WeakKeyDictionary[CallSurface, Any]" = weakref.WeakKeyDictionary()


def use_database(database: Any, *, cache: CallSurface | None = None) -> None:
    """Make it the database of queries that name none, for one cache (by default the process-wide one) and its views."""
    _source_of(database)
    _databases[(cache or UnifiedAPICache()).home] = database


async def cached_db_query(
    query: str,
    *parameters: Any,
    database: Any = None,
    cache: CallSurface | None = None,
    **policy: Unpack[PolicyOptions],
) -> Rows:
    """The rows of a query, as dicts that the caller may change.

    Parameters are given as the driver takes them: one by one for asyncpg (`$1`) and sqlite3 (`?`), as one mapping for
    named ones. A sync driver runs in the caller's thread. Raises InputError for a query that changes something and
    when there is no database, and what the query raises.
    """
    asked = _Asked(query, parameters, database, cache, policy)
    function, args = asked.call()
    return asked.rows(await asked.surface.cached_api_call(function, *args))


def cached_db_query_sync(
    query: str,
    *parameters: Any,
    database: Any = None,
    cache: CallSurface | None = None,
    **policy: Unpack[PolicyOptions],
) -> Rows:
    """As `cached_db_query`, for sync code; raises InputError for an async driver."""
    asked = _Asked(query, parameters, database, cache, policy)
    if asked.source.is_async:
        raise InputError(f"a {asked.source.name} is async; write `await cached_db_query(...)`")
    function, args = asked.call()
    return asked.rows(asked.surface.cached_api_call_sync(function, *args))


class _Source(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of database is asked."""

    name: str
    dialects: tuple[Dialect, ...]
    """In which a query must be a read."""
    is_async: bool
    call: Callable[[Any, str, tuple[Any, ...]], _Call]
    """Gives the function of the library and its arguments."""
    rows: Callable[[Any], Rows]
    key: Callable[..., object] | None = None
    """What identifies a call that no adapter knows."""


class _Asked:
    """One query, checked."""

    def __init__(
        self,
        query: str,
        parameters: tuple[Any, ...],
        database: Any,
        cache: CallSurface | None,
        given: Mapping[str, Any],
    ) -> None:
        surface = cache or UnifiedAPICache()
        policy = {**surface.options, **given}
        self.database = _databases.get(surface.home) if database is None else database
        if self.database is None:
            raise InputError("cached_db_query has no database; give database=..., or call use_database(...) once")
        if not isinstance(query, str):
            raise InputError(f"cached_db_query was given a {type(query).__name__} as its query; give SQL text")
        check_named(query, given)
        if policy.get("invalidates"):
            raise InputError("invalidates belongs to writes; give tags=[...] to a query")
        self.query, self.parameters = query, parameters
        self.source = _source_of(self.database)
        options = {**policy, "tags": _tags(policy.get("tags", ()), _table_tags(query, self.source))}
        own = policy.get("key")
        self.is_keyed = own is not None
        if callable(own):
            options["key"] = lambda _rows, _function, *_args: own(query, *parameters)
        elif own is None and self.source.key is not None:
            options["key"] = self.source.key
        if options.get("key") is not None:
            options["operation"] = f"db_query {self.source.name}"
        self.surface = surface.using(**options)

    def call(self) -> _Call:
        """What is called; with a key of the caller's own, what gives rows: a library's result needs its adapter."""
        function, args = self.source.call(self.database, self.query, self.parameters)
        return (functools.partial(_as_rows, self.source.rows, function) if self.is_keyed else function), args

    def rows(self, result: Any) -> Rows:
        """The answer of what `call` gave as rows."""
        rows: Rows = result if self.is_keyed else self.source.rows(result)
        return rows


def _table_tags(query: str, source: _Source) -> tuple[str, ...]:
    """The tags of a query's tables; raises InputError for one that is no read."""
    found: list[Read] = []
    for dialect in source.dialects:
        try:
            found.append(read_of(query, dialect))
        except NotAReadError as error:
            raise InputError(
                f"cached_db_query only reads, and {error}; run it on the {source.name} itself, then forget what it "
                "changes with invalidate(tags=['table:...'])"
            ) from None
        except UnidentifiableError:  # it is made each time: the adapter tells why
            return ()
    return found[0].tags if all(read.tables == found[0].tables for read in found) else ()


def _tags(given: Any, tables: tuple[str, ...]) -> Any:
    if isinstance(given, str):
        return given  # the policy's own check refuses it
    if not callable(given):
        return [*given, *tables]

    def tags(parameters: Mapping[str, Any], result: Any) -> Iterable[str]:
        return [*given(parameters, result), *tables]

    return tags


def _source_of(database: Any) -> _Source:
    """How it is asked, told by its class, so that no library is imported for it; raises InputError for none known."""
    for kind in type(database).__mro__:
        library = kind.__module__.partition(".")[0]
        find = _SOURCES.get(library)
        if find is not None:
            return find(database)
    if callable(database):
        return _function_source(database)
    raise InputError(f"database= is a {type(database).__name__}; known: {_KNOWN}")


def _asyncpg_source(database: Any) -> _Source:
    return _Source(
        name=f"asyncpg {type(database).__name__}",
        dialects=("postgresql",),
        is_async=True,
        call=_asyncpg_call,
        rows=lambda records: [dict(record.items()) for record in records],
    )


def _asyncpg_call(database: Any, query: str, parameters: tuple[Any, ...]) -> _Call:
    is_list = len(parameters) == 1 and isinstance(parameters[0], list | tuple)  # it may be an array: `= ANY($1)`
    if is_list and re.search(r"\$2\b", query):
        raise not_one_by_one(parameters[0])
    return database.fetch, (query, *parameters)


def _databases_source(database: Any) -> _Source:
    return _Source(
        name="databases.Database",
        dialects=(_dialect(database.url.dialect),),
        is_async=True,
        call=lambda database, query, parameters: (
            database.fetch_all,
            (query, *_named(parameters, "databases.Database")),
        ),
        rows=lambda records: [dict(record._mapping) for record in records],  # noqa: SLF001 - documented
    )


def _sqlalchemy_source(database: Any) -> _Source:
    name = type(database).__name__
    is_engine = name in {"Engine", "AsyncEngine"}
    if not is_engine and not hasattr(database, "execute"):
        raise InputError(f"database= is a SQLAlchemy {name}; known: an Engine, a Connection or a Session")
    engine = database.get_bind() if hasattr(database, "get_bind") else database

    def call(database: Any, query: str, parameters: tuple[Any, ...]) -> _Call:
        from sqlalchemy import text  # noqa: PLC0415 - loaded already: the database is one of its objects

        args = (text(query), *_named(parameters, f"SQLAlchemy {name}"))
        return (sqlalchemy_engines.call_on(database) if is_engine else database.execute), args

    return _Source(
        name=f"SQLAlchemy {name}",
        dialects=(_dialect(engine.dialect.name),),
        is_async=sqlalchemy_engines.is_async(database),
        call=call,
        rows=lambda result: [dict(row) for row in result.mappings().all()],
    )


def _sqlite_source(database: Any) -> _Source:
    if not hasattr(database, "execute") or hasattr(database, "fetchall"):
        raise InputError(f"database= is a sqlite3 {type(database).__name__}; give the connection")

    def call(database: Any, query: str, parameters: tuple[Any, ...]) -> _Call:
        given: Any = parameters
        if len(parameters) == 1 and isinstance(parameters[0], Mapping):
            given = dict(parameters[0])
        elif len(parameters) == 1 and isinstance(parameters[0], list | tuple):
            raise not_one_by_one(parameters[0])
        return database.execute, (query, given)

    return _Source(
        name="sqlite3 connection",
        dialects=("sqlite",),
        is_async=False,
        call=call,
        rows=_sqlite_rows,
    )


def _sqlite_rows(cursor: Any) -> Rows:
    names = [column[0] for column in cursor.description]
    return [dict(row) if isinstance(row, dict) else dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _psycopg_source(database: Any) -> _Source:
    name = type(database).__name__
    if not hasattr(database, "execute") or hasattr(database, "fetchall"):
        raise InputError(f"database= is a psycopg {name}; give the connection")
    is_async = inspect.iscoroutinefunction(database.execute)
    return _Source(
        name=f"psycopg {name}",
        dialects=("postgresql",),
        is_async=is_async,
        call=lambda database, query, parameters: (database.execute, (query, _of_percent(query, parameters))),
        rows=cursors.rows_at_once if is_async else _sqlite_rows,
    )


def _cursor_source(dialect: Dialect, database: Any) -> _Source:
    library = next(kind.__module__.partition(".")[0] for kind in type(database).__mro__)
    if not hasattr(database, "cursor"):
        raise InputError(f"database= is a {library} {type(database).__name__}; give the connection")
    return _Source(
        name=f"{library} connection",
        dialects=(dialect,),
        is_async=False,
        call=lambda database, query, parameters: (
            cursors.call_on(database),
            (query, _of_percent(query, parameters)),
        ),
        rows=lambda answer: [dict(zip(answer[0], row, strict=True)) for row in answer[1]],
    )


def _of_percent(query: str, parameters: tuple[Any, ...]) -> Any:
    check_one_by_one(query, parameters)
    return cursors.parameters_in(parameters)


def _function_source(function: Callable[..., Any]) -> _Source:
    if adapters.of_callable(function) is None:
        name = identity.function_name(function)
        if name is None:
            raise InputError(
                f"database= is {type(function).__name__} {getattr(function, '__qualname__', '')!r}, which is not a "
                "function of a module: two of its name may ask other databases; define it at the top of one"
            )
        key = functools.partial(_function_key, name, identity.function_content(function))
    else:
        key = None
    return _Source(
        name="function",
        dialects=("sqlite", "postgresql"),  # it does not say which: a read in both
        is_async=inspect.iscoroutinefunction(function),
        call=lambda function, query, parameters: (
            functools.partial(_plain_result, function) if key is not None else function,
            (query, *parameters),
        ),
        rows=_plain_rows,
        key=key,
    )


def _function_key(name: str, content: Any, _function: Any, query: str, *parameters: Any) -> object:
    for dialect in ("sqlite", "postgresql"):
        read_of(query, dialect)
    return [name, content, query, list(parameters)]


@in_callers_thread
def _plain_result(function: Callable[..., Any], query: str, *parameters: Any) -> Any:
    """What the function returns as rows that can be stored, or an awaitable of them."""
    return _as_rows(_plain_rows, function, query, *parameters)


@in_callers_thread
def _as_rows(rows: Callable[[Any], Rows], function: Callable[..., Any], *args: Any) -> Any:
    result = function(*args)
    if not inspect.isawaitable(result):
        return rows(result)

    async def awaited() -> Rows:
        return rows(await result)

    return awaited()


def _plain_rows(result: Any) -> Rows:
    if hasattr(result, "description") and hasattr(result, "fetchall"):
        return _sqlite_rows(result)
    if not isinstance(result, Iterable):
        raise InputError(f"the function of cached_db_query returned a {type(result).__name__}; return rows")
    return [_plain_row(row) for row in result]


def _plain_row(row: Any) -> dict[str, Any]:
    mapping = row if isinstance(row, Mapping) else getattr(row, "_mapping", row)
    if not isinstance(mapping, Mapping) and not hasattr(mapping, "keys"):
        raise InputError(f"the function of cached_db_query returned rows of {type(row).__name__}; return mappings")
    return {str(key): mapping[key] for key in mapping.keys()}  # noqa: SIM118 - iterating a record gives its values


def _named(parameters: Sequence[Any], name: str) -> tuple[Any, ...]:
    if not parameters:
        return ()
    if len(parameters) > 1 or not isinstance(parameters[0], Mapping):
        raise InputError(f"a {name} takes named parameters; write :name in the query and give one mapping")
    return (dict(parameters[0]),)


def _dialect(name: str) -> Dialect:
    dialect = _DIALECTS.get(name)
    if dialect is None:
        raise InputError(f"the database is {name}; known: {', '.join(_DIALECTS)}")
    return dialect


_SOURCES: Final[Mapping[str, Callable[[Any], _Source]]] = {
    "asyncpg": _asyncpg_source,
    "databases": _databases_source,
    "psycopg": _psycopg_source,
    "psycopg2": functools.partial(_cursor_source, "postgresql"),
    "pymysql": functools.partial(_cursor_source, "mysql"),
    "sqlalchemy": _sqlalchemy_source,
    "sqlite3": _sqlite_source,
}
