"""The adapter of psycopg 3, https://www.psycopg.org/psycopg3/docs.

`execute` of a `Connection` or an `AsyncConnection` with a query is answered by a real cursor of that connection. What
is stored is what the server sent, so the connection's own loaders and row factory make the rows each time; only
`pgresult` is a stand-in, of the same attributes.

A sync connection is asked for its role, its search_path and what else changes answers, before each call: one statement
outside of a transaction. With row-level security, or code that speaks of the session (`apicache.sql.session_code`), and
for an async connection, which cannot be asked without waiting, `using(scope=...)` names whose answers they are. A
connection in a transaction is asked each time: without `autocommit` that is every call until the next commit. So is one
that listens for notifications.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import psycopg
from psycopg import generators, pq
from psycopg._py_transformer import Transformer as PlainTransformer
from psycopg.adapt import PyFormat, Transformer

from apicache.adapter import Identified, Loaded, Snapshot
from apicache.errors import UnidentifiableError, UnstorableError
from apicache.sql import labels
from apicache.sql.db_api import (
    check_unread,
    check_values,
    copied,
    loaded,
    place_of,
    private,
    refused,
    rows_of,
    stored,
    texts_in,
)
from apicache.sql.postgresql_sessions import STATE, UNSEEN, reported_by, state_in
from apicache.sql.statements import Read, check_parameters, read_of

_CURSORS: Final[dict[type, type]] = {
    psycopg.Connection: psycopg.Cursor,
    psycopg.AsyncConnection: psycopg.AsyncCursor,
}


label_of = labels.label_of


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The database, the session, the query and the parameters as they are sent."""
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__name__", "")
    if isinstance(owner, psycopg.Cursor | psycopg.AsyncCursor):
        raise UnidentifiableError(f"it is a cursor's {name}(), which fills the cursor; call the connection's execute()")
    if not isinstance(owner, psycopg.Connection | psycopg.AsyncConnection):
        return None
    kind = type(owner)
    if kind not in _CURSORS or owner.cursor_factory is not _CURSORS[kind]:
        raise UnidentifiableError(f"it is a {kind.__name__}, or its cursors are of a class, which may do it otherwise")
    if name != "execute" or getattr(function, "__func__", None) is not getattr(kind, name):
        raise UnidentifiableError(f"it is {name}(); only execute() with a query is kept")
    return _identified(owner, function, args, kwargs)


def is_bound(_function: Callable[..., Any]) -> bool:
    """Always: it is made on the caller's connection."""
    return True


def _identified(
    owner: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Identified:
    sql, parameters, prepare, is_binary = _given(*args, **kwargs)
    read = read_of(sql, "postgresql")
    check_values(parameters or ())
    check_parameters(read, texts_in(parameters))
    _check_idle(owner)
    sent = _sent(owner, parameters)
    settings, needs_scope = _session(owner, read)
    info = owner.info
    context = (owner, is_binary)
    make = functools.partial(function, sql, copied(parameters), prepare=prepare, binary=is_binary)
    return Identified(
        label=f"{read.label} ({info.dbname})",
        parameters={
            "library": "psycopg",
            "query": read.text,
            "parameters": [parameters, sent],
            "binary": is_binary,
            "server": [place_of(info.host), info.port, info.dbname, info.user, info.options],
            "session": settings,
        },
        credentials=[info.password] if info.password else [],
        carries_credentials=bool(info.password),
        needs_scope=needs_scope,
        context=context,
        send=functools.partial(_awaited if type(owner) is psycopg.AsyncConnection else _fetched, make, context),
    )


def _given(query: Any, params: Any = None, *, prepare: Any = None, binary: Any = False) -> tuple[str, Any, Any, bool]:
    if type(query) is not str:
        raise UnidentifiableError(f"its query is a {type(query).__name__}; give it as text")
    if params is not None and type(params) not in {tuple, list, dict}:
        raise UnidentifiableError(f"its parameters are a {type(params).__name__}; give a tuple, a list or a dict")
    return query, params, prepare, bool(binary)


def _check_idle(connection: Any) -> None:
    if connection.closed or connection.broken:
        raise UnidentifiableError("its connection is closed")
    if connection.pgconn.pipeline_status != pq.PipelineStatus.OFF:
        raise UnidentifiableError("its connection is in pipeline mode")
    if private(connection, "_notify_handlers"):
        raise UnidentifiableError("its connection has handlers of notifications, which it takes in when it is asked")
    if not _is_idle(connection):
        raise UnidentifiableError("its connection is in a transaction, which may have written what it reads")


def _sent(connection: Any, parameters: Any) -> list[Any]:
    """Parameters as the connection's own dumpers write them, with the types that it gives them."""
    values = list(parameters.values() if isinstance(parameters, dict) else parameters or ())
    transformer = Transformer(connection)
    dumped = transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
    return [[None if each is None else bytes(each) for each in dumped], list(transformer.types or ())]


def _session(connection: Any, read: Read) -> tuple[Any, str | None]:
    """What identifies the session, and why it needs a scope."""
    if type(connection) is psycopg.AsyncConnection:
        return reported_by(connection.info.parameter_status, read), UNSEEN
    return state_in(_told(connection, STATE), lambda question: _told(connection, question)[0])


def _told(connection: Any, question: str) -> list[str | None]:
    """The one row of a question, asked as the connection itself asks, which begins no transaction.

    What comes meanwhile, a notification or a notice, is the connection's own to hand on.
    """
    with connection.lock:
        if not _is_idle(connection):  # by another thread, meanwhile
            raise UnidentifiableError("its connection is in a transaction, which may have written what it reads")
        connection.pgconn.send_query(question.encode())
        (result, *_) = connection.wait(generators.execute(connection.pgconn))
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise UnidentifiableError("its server does not tell what is set for the session")
    row = [result.get_value(0, column) for column in range(result.nfields)]
    return [None if each is None else each.decode("utf-8", "surrogateescape") for each in row]


def _fetched(make: Callable[[], Any], context: tuple[Any, bool]) -> Loaded:
    is_idle = _is_idle(context[0])
    return _loaded(make(), context, is_idle=is_idle)


async def _awaited(make: Callable[[], Any], context: tuple[Any, bool]) -> Loaded:
    is_idle = _is_idle(context[0])
    return _loaded(await make(), context, is_idle=is_idle)


def _is_idle(connection: Any) -> bool:
    return bool(connection.info.transaction_status == pq.TransactionStatus.IDLE)


def _loaded(cursor: Any, context: tuple[Any, bool], *, is_idle: bool) -> Loaded:
    """The call's own cursor, still unread, with what the server sent."""
    if not is_idle:  # another task or thread has begun a transaction on it since the call was identified
        return refused(cursor, "psycopg", "rows of a transaction, which may have written them")
    try:
        data = _stored(cursor.pgresult)
        replay(data, context)
    except Exception as error:  # noqa: BLE001 - another version's cursor: the call itself was answered
        return refused(cursor, "psycopg", f"a cursor that cannot be made again ({type(error).__name__})")
    return loaded(cursor, "psycopg", data)


def _stored(result: Any) -> dict[str, Any]:
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise UnstorableError("not made of rows")
    columns = range(result.nfields)
    rows = ([result.get_value(row, column) for column in columns] for row in range(result.ntuples))
    return {
        **stored((), ([None if value is None else bytes(value) for value in row] for row in rows)),
        "columns": [[getattr(result, name)(column) for name in _StoredResult.DESCRIBED] for column in columns],
        "tag": result.command_status,
    }


class _StoredResult:
    """What of a `pq.PGresult` its cursor and its readers ask, for rows that were stored."""

    DESCRIBED: Final = ("fname", "ftable", "ftablecol", "fformat", "ftype", "fmod", "fsize")

    status = int(pq.ExecStatus.TUPLES_OK)
    error_message = b""
    oid_value = 0
    nparams = 0

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._rows = rows_of(data)
        self._columns = [dict(zip(self.DESCRIBED, column, strict=True)) for column in data["columns"]]
        self.ntuples, self.nfields = len(self._rows), len(self._columns)
        self.command_status = data["tag"]
        self.command_tuples = self.ntuples
        self.binary_tuples = int(bool(self._columns) and all(each["fformat"] for each in self._columns))

    def __getattr__(self, name: str) -> Callable[[int], Any]:
        if name not in self.DESCRIBED:
            raise AttributeError(name)
        none = None if name == "fname" else 0
        return lambda column: self._columns[column][name] if 0 <= column < self.nfields else none

    def get_value(self, row: int, column: int) -> bytes | None:
        """One value, as it was sent."""
        return cast("bytes | None", self._rows[row][column])

    def clear(self) -> None:
        """Nothing is held."""


def snapshot(response: Any) -> Snapshot | None:
    """None for what is no cursor; raises UnstorableError for a cursor, whose rows are the caller's to read."""
    if isinstance(response, psycopg.Cursor | psycopg.AsyncCursor):
        check_unread(response)
    return None


def replay(data: Any, context: tuple[Any, bool]) -> Any:
    """A new cursor of the caller's connection at its first row."""
    connection, is_binary = context
    cursor = connection.cursor()
    if is_binary:
        cursor.format = pq.Format.BINARY
    # The private parts into which execute() puts a result; another version's raise, and nothing is stored.
    cursor._tx = PlainTransformer(cursor)  # noqa: SLF001 - the one that takes a stand-in
    cursor._results = [_StoredResult(data)]  # noqa: SLF001
    cursor._select_current_result(0)  # noqa: SLF001
    return cursor
