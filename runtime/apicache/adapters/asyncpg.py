"""The adapter of asyncpg, https://magicstack.github.io/asyncpg.

`fetch`, `fetchrow` and `fetchval` of a Connection, a connection from a pool, and a Pool. Rows are replayed as real
`asyncpg.Record`s.

Of a connection's session, what PostgreSQL reports to its clients is read off (search_path from version 18 on). What it
does not report - `SET ROLE`, a tenant in a setting of the application's own - is not seen, so a connection, also one
from a pool, is cached only where `using(scope=...)` names whose answers they are. Who asks a pool takes any of its
connections: there only its own arguments count; of its `init=` function, the code. The connection that answers is asked
whether it is as it was opened: where a role was left set on one, or a search_path, the answer is not kept, and the pool
needs a scope from then on. Only what a pool answers is refreshed in the background.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import asyncpg
import asyncpg.pool
from asyncpg.protocol import protocol

from apicache import identity
from apicache.adapter import Identified, Snapshot
from apicache.errors import UnidentifiableError
from apicache.sql import labels
from apicache.sql.asyncpg_records import OWN_UUID, change_on, own_value, plain_value, records_of, stored_records
from apicache.sql.db_api import (
    check_values,
    copied,
    place_of,
    plain_snapshot,
    private,
    refused,
    rows_of,
    stored,
    texts_in,
)
from apicache.sql.postgresql_sessions import UNSEEN, change_of, note_change, reported_by
from apicache.sql.statements import Read, check_parameters, read_of

_METHODS: Final = ("fetch", "fetchrow", "fetchval")
_KINDS: Final = (asyncpg.Connection, asyncpg.Pool, asyncpg.pool.PoolConnectionProxy)


label_of = labels.label_of


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The database, the session's settings, the query and its parameters."""
    owner = getattr(function, "__self__", None)
    if not isinstance(owner, _KINDS):
        return None
    kind, name = type(owner), getattr(function, "__name__", "")
    if kind not in _KINDS:
        raise UnidentifiableError(f"it is a {kind.__name__}, which may do it in its own way")
    if name not in _METHODS or getattr(function, "__func__", None) is not getattr(kind, name):
        raise UnidentifiableError(f"it is {name}(); only fetch(), fetchrow() and fetchval() with a query are kept")
    if kwargs.get("record_class") is not None:
        raise UnidentifiableError("it has a record class of its own")
    query, *values = args or (kwargs["query"],)
    column = kwargs.get("column", 0)
    if type(query) is not str or type(column) is not int:
        raise UnidentifiableError("its query is not given as text, or its column not as a number")
    read = read_of(query, "postgresql")
    check_values(values)
    check_parameters(read, texts_in(values))
    is_pool = kind is asyncpg.Pool
    settings, credentials = _pool_identity(owner) if is_pool else _connection_identity(owner, read)
    change = change_of(settings) if is_pool else UNSEEN
    return Identified(
        label=f"{read.label} ({settings['database']})",
        parameters={
            "library": "asyncpg",
            "method": [name, column],
            "query": read.text,
            "parameters": values,
            "settings": settings,
        },
        credentials=credentials,
        context=None,
        carries_credentials=any(credentials),
        needs_scope=change,
        send=functools.partial(_asked, owner, settings, name, copied(args), copied(kwargs)) if change is None else None,
    )


def is_bound(function: Callable[..., Any]) -> bool:
    """Whether it is a connection's: a pool takes one of its own."""
    return not isinstance(getattr(function, "__self__", None), asyncpg.Pool)


async def _asked(
    pool: asyncpg.Pool, settings: Mapping[str, Any], name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """What the pool itself does, and a look at the connection that it was done on."""
    async with pool.acquire() as connection:
        result = await getattr(connection, name)(*args, **kwargs)
        change = await change_on(connection)
    if change is None:
        return result
    note_change(settings, change)
    return refused(result, "asyncpg", f"rows of a pool of which {change}")


def _connection_identity(given: Any, read: Read) -> tuple[dict[str, Any], list[Any]]:
    connection = given._con if type(given) is asyncpg.pool.PoolConnectionProxy else given  # noqa: SLF001 - as below
    if type(connection) is not asyncpg.Connection or connection.is_closed():
        raise UnidentifiableError("its connection is closed, or of a class of its own")
    if connection.is_in_transaction():
        raise UnidentifiableError("its connection is in a transaction, which may have written what it reads")
    server, credentials = _server(connection)
    told = connection.get_settings()
    reported = reported_by(lambda setting: getattr(told, setting, None), read)
    if _has_own_codecs(connection, _builtin_types()):
        raise UnidentifiableError("its connection has type codecs of its own, whose functions cannot be read off")
    if private(private(connection, "_protocol"), "get_record_class")() is not asyncpg.Record:
        raise UnidentifiableError("its records are of a class of their own")
    return {**server, "reported": reported}, credentials


def _pool_identity(pool: asyncpg.Pool) -> tuple[dict[str, Any], list[Any]]:
    # Private, as a pool has no public reader of what it was built with.
    for name, usual in (("_setup", None), ("_reset", None), ("_connect", asyncpg.connect)):
        if private(pool, name) not in {usual, getattr(asyncpg.connection, "connect", usual)}:
            raise UnidentifiableError(f"its pool was given {name[1:]}=, which may set anything")
    if (private(pool, "_connection_class"), private(pool, "_record_class")) != (asyncpg.Connection, asyncpg.Record):
        raise UnidentifiableError("its pool has a connection class or a record class of its own")
    init = private(pool, "_init")
    found = [_server(each) for each in _open_connections(pool, is_prepared=init is not None)]
    if not found:
        raise UnidentifiableError("its pool has no open connection from which to read its database")
    if any(each != found[0] for each in found):
        raise UnidentifiableError("its pool has connections to several servers")
    server, credentials = found[0]
    prepared = None if init is None else [getattr(init, "__qualname__", ""), identity.function_content(init)]
    if prepared is not None and prepared[1] is None:
        raise UnidentifiableError("its pool was given init= that is no function")
    return {**server, "init": prepared}, credentials


def _open_connections(pool: asyncpg.Pool, *, is_prepared: bool) -> Iterator[Any]:
    for holder in private(pool, "_holders"):
        connection = private(holder, "_con")
        if connection is None or connection.is_closed():
            continue
        if not is_prepared and _has_own_codecs(connection, _usual_types()):
            raise UnidentifiableError("its pool has a connection with type codecs of its own; set them with init=")
        yield connection


def _server(connection: Any) -> tuple[dict[str, Any], list[Any]]:
    address, given = private(connection, "_addr"), private(connection, "_params")
    if getattr(connection.get_settings(), "standard_conforming_strings", "on") != "on":
        raise UnidentifiableError("its server reads backslashes in texts (standard_conforming_strings)")
    host, port = (address, None) if isinstance(address, str) else address[:2]
    server = {
        "host": place_of(host),
        "port": port,
        "database": given.database,
        "user": given.user,
        "settings": dict(given.server_settings or {}),
    }
    return server, [given.password] if isinstance(given.password, str) else []


def _has_own_codecs(connection: Any, types: Iterable[int]) -> bool:
    settings = connection.get_settings()
    core = _core_codecs(settings)
    return any(settings.get_data_codec(kind) is not core[kind] for kind in types)


_core: dict[int, Any] = {}


def _core_codecs(settings: Any) -> Mapping[int, Any]:
    if not _core:
        _core.update({kind: settings.get_data_codec(kind, ignore_custom_codec=True) for kind in _builtin_types()})
    return _core


@functools.cache
def _builtin_types() -> tuple[int, ...]:
    return tuple(sorted(set(protocol.BUILTIN_TYPE_NAME_MAP.values())))


@functools.cache
def _usual_types() -> tuple[int, ...]:
    """Those that applications have codecs for: a pool may have many connections to look at."""
    names = "json jsonb uuid numeric date timestamp timestamptz time interval bytea inet text varchar int8 bool"
    return tuple(protocol.BUILTIN_TYPE_NAME_MAP[name] for name in names.split())


def snapshot(response: Any) -> Snapshot | None:
    """A list of one query's records, one record, or a UUID; None for what has no form of its own.

    Raises UnstorableError for a version of asyncpg whose records cannot be made, and for records of several queries.
    """
    if type(response) is OWN_UUID:
        return plain_snapshot({"kind": "value", **stored([], [[plain_value(response)]])})
    if type(response) is asyncpg.Record:
        return plain_snapshot({"kind": "row", **stored_records([response])})
    if type(response) is list and all(type(each) is asyncpg.Record for each in response):
        return plain_snapshot({"kind": "rows", **stored_records(response)})
    return None


def replay(data: Any, _context: Any) -> Any:
    """New records, as many as there were."""
    if data["kind"] == "value":
        return own_value(rows_of(data)[0][0])
    records = records_of(data)
    return records[0] if data["kind"] == "row" else records
