"""The adapter of SQLAlchemy, https://docs.sqlalchemy.org.

`execute`, `scalars` and `scalar` of a `Connection` or a `Session`, sync or async, for text and for selects of columns.
A result is one of SQLAlchemy's own, of the type that the call gives, made of the driver's rows. A `stream` is not kept.

A SQLite connection is read off whole; where an async caller has none yet, its file is known by the URL. Of other
databases' sessions the engine's own settings are seen, and what PostgreSQL reports to its clients. What else is set
afterwards (`SET ROLE`, a tenant's setting) is not, so a connection is cached only where `using(scope=...)` names whose
answers they are. An engine (by `cached_db_query`) and a Session that has no connection yet take any of their pool's.
SQLAlchemy only rolls back what returns to a pool, so with PostgreSQL the one that answers is asked whether it is as it
was opened: where it is not, where rows have a security of their own, or where code speaks of the session, the answer is
not kept, and the engine needs a scope from then on. With MySQL it is not asked: give a scope where connections go back
with such settings. Only what an engine answers is refreshed in the background.
"""

import functools
import inspect
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy import types as sa_types
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from apicache.adapter import Identified, Snapshot
from apicache.credentials import is_credential
from apicache.errors import UnidentifiableError
from apicache.sql import labels, sqlalchemy_engines, sqlalchemy_pools
from apicache.sql.db_api import BY_FUNCTION, check_unread, check_values, copied, file_of, place_of, texts_in
from apicache.sql.postgresql_sessions import NO_LOGIN, UNSEEN, change_of, is_unqualified, reported_by
from apicache.sql.sqlalchemy_loads import check_fit, fetched, fetched_by
from apicache.sql.sqlalchemy_results import Asked, made
from apicache.sql.sqlite_connections import IN_MEMORY, in_transaction, plain_settings, settings_of
from apicache.sql.statements import Read, check_parameters, read_of
from apicache.sql.tokens import Dialect

try:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
except ImportError:  # greenlet is not there, which SQLAlchemy does not always bring: nor are async owners then

    class _Absent:
        pass

    AsyncConnection = AsyncEngine = AsyncSession = _Absent  # type: ignore[assignment,misc]

_METHODS: Final = ("execute", "scalars", "scalar")
_KINDS: Final = (Connection, AsyncConnection, Session, AsyncSession)
_ENGINES: Final = {Engine: sqlalchemy_engines.execute, AsyncEngine: sqlalchemy_engines.execute_async}
_DIALECTS: Final[Mapping[str, Dialect]] = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}
_ADDED_BY_DIALECT: Final = frozenset({"regexp", "floor"})
"""Functions that SQLAlchemy adds to each SQLite connection."""
_SERIALIZED: Final = 3
"""`sqlite3.threadsafety` where threads may share a connection."""
_STREAMED: Final = ("yield_per", "stream_results")
_NO_EFFECT: Final = frozenset({"timeout", "connect_timeout", "check_same_thread", "isolation_level"})


label_of = labels.label_of


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The engine, its settings, the compiled statement with the types of its columns, and the parameters."""
    owner = getattr(function, "__self__", None)
    if owner is None:
        return None
    name = _method(function, owner)
    statement, parameters, options = _given(*args, **kwargs)
    session, engine, connection, own = _asked(owner, statement)
    asked = Asked(name, session, engine, connection, copied(args), copied(kwargs))
    return _Call(owner, asked, own).identified(statement, parameters, options)


def is_bound(function: Callable[..., Any]) -> bool:
    """Whether it is no engine's, or that of one whose callers all have the same connection."""
    owner: Any = getattr(function, "__self__", None)
    return not isinstance(owner, Engine | AsyncEngine) or not sqlalchemy_pools.gives_each_its_own(owner.pool)


def _method(function: Callable[..., Any], owner: Any) -> str:
    """The name of a known method; raises UnidentifiableError for any other."""
    name, known = getattr(function, "__name__", ""), getattr(function, "__func__", None)
    if known is not None and known is _ENGINES.get(type(owner)):
        return "frozen"
    kind = next((kind for kind in _KINDS if isinstance(owner, kind)), None)
    if kind is None:
        raise UnidentifiableError(f"it belongs to a {type(owner).__name__}; only a Connection or a Session is known")
    if name not in _METHODS or known is not getattr(kind, name):
        raise UnidentifiableError(f"it is {name}(); only execute(), scalars() and scalar() with a query are kept")
    if any(getattr(type(owner), each) is not getattr(kind, each) for each in _METHODS):
        raise UnidentifiableError(f"it belongs to a {type(owner).__name__}, which may do it in its own way")
    return name


def _given(statement: Any, parameters: Any = None, /, *rest: Any, **options: Any) -> tuple[Any, dict[str, Any], Any]:
    parameters = options.pop("parameters", options.pop("params", parameters))
    execution = options.pop("execution_options", None) or {}
    if rest or any(value for value in options.values()):
        raise UnidentifiableError("it is given arguments beside the statement, its parameters and execution_options")
    if not isinstance(statement, sa.Select | sa.CompoundSelect | sa.TextClause | sa.TextualSelect):
        raise UnidentifiableError(f"it is given a {type(statement).__name__}; only text and selects are kept")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise UnidentifiableError("its parameters are not one mapping")
    for description in getattr(statement, "column_descriptions", ()):
        if not isinstance(description.get("type"), sa_types.TypeEngine):
            raise UnidentifiableError("it selects ORM entities, whose state belongs to their session; select columns")
    return statement, dict(parameters or {}), {**statement.get_execution_options(), **execution}


def _asked(owner: Any, statement: Any) -> tuple[Session | None, Engine, Connection | None, dict[str, Any]]:
    """The session, the engine, the connection that answers (None where any of the pool's may), and their options."""
    bind, session = _sync(owner), None
    if isinstance(bind, Session):
        session = bind
        _check_session(session)
        bind = session.get_bind(clause=statement)
    connection = _held(session, bind) if isinstance(bind, Engine) else bind
    if connection is not None and any(_listeners(connection.dispatch)):
        raise UnidentifiableError("its connection has listeners, which may change what is asked or the session")
    if connection is not None and (connection.closed or connection.invalidated):
        raise UnidentifiableError("its connection is closed")
    options = {**(connection or bind).get_execution_options(), **(getattr(session, "execution_options", None) or {})}
    return session, bind.engine, connection, options


def _sync(owner: Any) -> Any:
    """The owner that does the work, in whose place an async one stands."""
    if isinstance(owner, AsyncEngine):
        return owner.sync_engine
    if isinstance(owner, AsyncSession):
        return owner.sync_session
    if not isinstance(owner, AsyncConnection):
        return owner
    if owner.sync_connection is None:
        raise UnidentifiableError("its connection is not open")
    return owner.sync_connection


def _held(session: Session | None, engine: Engine) -> Connection | None:
    """A session's own connection to an engine, once it has one."""
    transaction = None if session is None else session.get_transaction()
    if transaction is None:
        return None
    try:
        held = transaction._connections.get(engine)  # noqa: SLF001 - no public reader but one that connects
    except AttributeError:
        raise UnidentifiableError("this version of SQLAlchemy does not tell whether a session has begun") from None
    return None if held is None else held[0]


def _check_session(session: Session) -> None:
    if any(getattr(type(session), name) is not getattr(Session, name) for name in (*_METHODS, "get_bind")):
        raise UnidentifiableError(f"its session is a {type(session).__name__}, which may do it in its own way")
    if session.new or session.dirty or session.deleted:
        raise UnidentifiableError("its session has changes that are not in the database yet")
    listened = session.dispatch
    if any(map(list, (listened.do_orm_execute, listened.after_begin, listened.after_transaction_create))):
        raise UnidentifiableError("its session has listeners, which may change what is asked, or as whom")


class _Call:
    """A call of a known method, with the options of those that it goes through."""

    def __init__(self, owner: Any, asked: Asked, options: Mapping[str, Any]) -> None:
        self.owner, self.asked, self.options = owner, asked, options
        self.engine, self.connection = asked.engine, asked.connection

    def identified(self, statement: Any, given: dict[str, Any], options: Any) -> Identified:
        engine = self.engine
        dialect = _DIALECTS.get(engine.dialect.name)
        if dialect is None:
            raise UnidentifiableError(f"its database is {engine.dialect.name}; known: {', '.join(sorted(_DIALECTS))}")
        check_fit()
        options = {**self.options, **options}
        if any(options.get(each) for each in _STREAMED):
            raise UnidentifiableError("its rows are streamed")
        compiled = statement.compile(dialect=engine.dialect)
        if any(bind.callable is not None for bind in compiled.binds.values()):
            raise UnidentifiableError(BY_FUNCTION)
        read = read_of(str(compiled), dialect)
        parameters = {str(key): value for key, value in {**compiled.params, **given}.items()}
        check_values(parameters)
        check_parameters(read, texts_in(parameters))
        columns = [] if isinstance(statement, sa.TextClause) else list(statement.selected_columns)
        typed = {str(bind): _type(value.type, engine) for value, bind in compiled.bind_names.items()}
        settings, credentials = _engine_identity(engine)
        session = self._session(read, settings, dialect)
        is_pooled = dialect == "postgresql" and self.connection is None
        change = _change_of(settings) if is_pooled else None
        return Identified(
            label=f"{read.label} ({settings['name']})",
            parameters={
                "library": "sqlalchemy",
                "method": "execute" if self.asked.method == "frozen" else self.asked.method,
                "query": [read.text, str(compiled) if read.is_spelled else None],
                "parameters": parameters,
                "types": [typed, [[_name(column), _type(column.type, engine)] for column in columns]],
                "options": options,
                "settings": settings,
                "session": session,
            },
            credentials=credentials,
            context=self.asked,
            carries_credentials=any(credentials),
            needs_scope=change or self._needs_scope(session, dialect),
            send=self._send(settings if is_pooled and change is None else None),
        )

    def _send(self, watched: Mapping[str, Any] | None) -> Callable[[], Any]:
        owner, make = self.owner, functools.partial(fetched, self.asked, watched)
        if isinstance(owner, AsyncConnection | AsyncSession):
            return functools.partial(owner.run_sync, lambda _: make())
        return functools.partial(fetched_by, owner, self.asked, watched) if isinstance(owner, AsyncEngine) else make

    def _needs_scope(self, session: dict[str, Any] | None, dialect: Dialect) -> str | None:
        if session is not None and dialect == "sqlite":
            return None if session["file"] else IN_MEMORY
        return None if self.connection is None else UNSEEN

    def _session(self, read: Read, settings: dict[str, Any], dialect: Dialect) -> dict[str, Any] | None:
        """What is known of the session that answers; None where any of the engine's may."""
        if dialect == "sqlite":
            return self._sqlite(read, settings)
        if not sqlalchemy_pools.gives_each_its_own(self.engine.pool):
            raise UnidentifiableError("its pool gives one connection to several, whose transactions cannot be seen")
        self._check_transaction()
        if self.connection is None:
            return None
        if dialect == "postgresql":
            return reported_by(_reader(self.connection.connection.driver_connection), read)
        if is_unqualified(read):
            raise UnidentifiableError("its connection may use another database by now; name tables with theirs")
        return None

    def _check_transaction(self) -> None:
        if self.connection is None or self.options.get("isolation_level") == "AUTOCOMMIT":
            return
        if self.connection.in_transaction():
            raise UnidentifiableError("its connection is in a transaction, which may have written what it reads")

    def _sqlite(self, read: Read, settings: dict[str, Any]) -> dict[str, Any]:
        is_async = self.engine.dialect.is_async
        if self.connection is not None:
            return _sqlite_session(self.connection.connection.driver_connection, read, is_async=is_async)
        shared = sqlalchemy_pools.shared_by(self.engine.pool)
        if shared is not None and in_transaction(shared):
            raise UnidentifiableError("its pool's one connection is in a transaction, which may have written it")
        if is_async:
            return _sqlite_file(self.engine, settings)
        if shared is not None:
            return _sqlite_session(shared, read, is_async=False)
        if not sqlalchemy_pools.gives_each_its_own(self.engine.pool):
            raise UnidentifiableError("its pool gives one connection to several, and has none yet")
        with self.engine.connect() as connection:
            return _sqlite_session(connection.connection.driver_connection, read, is_async=False)


def _change_of(settings: Mapping[str, Any]) -> str | None:
    """Why an engine needs a scope; None where its connections are as it opened them, as far as is known."""
    return change_of(settings) if settings["connect"].get("user") else NO_LOGIN


def _reader(live: Any) -> Callable[[str], Any]:
    """Reads what a server has reported of a setting, off one of PostgreSQL's drivers."""
    if hasattr(live, "get_settings"):  # asyncpg
        told = live.get_settings()
        return lambda name: getattr(told, name, None)
    reader: Callable[[str], Any] = getattr(getattr(live, "info", None), "parameter_status", lambda _: None)
    return reader


def _sqlite_session(live: Any, read: Read, *, is_async: bool) -> dict[str, Any]:
    if is_async:
        live = getattr(live, "_conn", None)  # no public reader: aiosqlite's own connection, in a thread of its own
        if sqlite3.threadsafety < _SERIALIZED:
            raise UnidentifiableError("this SQLite's connections belong to one thread")
    if type(live) is not sqlite3.Connection:
        raise UnidentifiableError(f"its connection is a {type(live).__name__}, which cannot be read off")
    try:
        return settings_of(live, read, _ADDED_BY_DIALECT)
    except sqlite3.ProgrammingError:
        raise UnidentifiableError("its connection can be read in its own thread only (check_same_thread)") from None


def _sqlite_file(engine: Engine, settings: dict[str, Any]) -> dict[str, Any]:
    """The file by its URL, where no connection can be looked at without waiting for it."""
    path = str(engine.url.database or "")
    if path.startswith("file:") or any(value is not None for value in settings["connect"].values()):
        raise UnidentifiableError("its engine is opened with options, and has no connection to look at yet")
    return plain_settings(None if path in {"", ":memory:"} else file_of(path))


def _engine_identity(engine: Engine) -> tuple[dict[str, Any], list[Any]]:
    if any(_listeners(engine.dispatch)):
        raise UnidentifiableError("its engine has listeners, which may change what is asked or the session")
    for place, dispatch in (("pool", engine.pool.dispatch), ("dialect", engine.dialect.dispatch)):
        if not all(_is_own(listener) for listener in _listeners(dispatch)):
            raise UnidentifiableError(f"its {place} has listeners, which may change what is asked or the session")
    for name in ("_json_serializer", "_json_deserializer"):
        if getattr(engine.dialect, name, None) is not None:
            raise UnidentifiableError("its engine has a JSON (de)serializer of its own")
    url = engine.url
    arguments = _connect_arguments(engine)
    pairs = [*url.query.items(), *arguments.items()]
    settings = {
        "name": url.host or str(url.database or "").replace("\\", "/").rpartition("/")[2],
        "driver": [engine.dialect.name, engine.dialect.driver, getattr(engine.dialect, "native_datetime", None)],
        "place": [place_of(url.host), url.port, url.database, url.username],
        "connect": {name: value for name, value in pairs if not is_credential(name) and name not in _NO_EFFECT},
    }
    secrets = [value for name, value in pairs if is_credential(name)]
    return settings, [*([str(url.password)] if url.password is not None else []), *secrets]


def _listeners(dispatch: Any) -> Iterator[Any]:
    for name in dir(dispatch):
        found = None if name.startswith("_") else getattr(dispatch, name)
        if isinstance(found, Sequence) or hasattr(found, "__iter__"):
            yield from cast("Any", found)


def _is_own(listener: Any) -> bool:
    """Whether SQLAlchemy itself listens, as dialects set up their connections; it also wraps what others give it."""
    if str(getattr(listener, "__module__", "")).partition(".")[0] != "sqlalchemy":
        return False
    held = inspect.getclosurevars(listener).nonlocals.values() if inspect.isfunction(listener) else ()
    return all(_is_own(each) for each in held if inspect.isroutine(each) and each is not listener)


def _connect_arguments(engine: Engine) -> dict[str, Any]:
    """What the engine gives to its driver, `connect_args` included."""
    creator = getattr(engine.pool, "_creator", None)  # no public reader
    found = inspect.getclosurevars(creator).nonlocals if inspect.isfunction(creator) else {}
    if not _is_own(creator) or "cparams" not in found:
        raise UnidentifiableError("its engine was given creator=, or connects in a way that cannot be read off")
    own = getattr(engine.dialect, "_psycopg_adapters_map", found)  # what the dialect itself adds for psycopg 3
    given = {
        name: value
        for name, value in dict(found["cparams"]).items()
        if name not in {"password", "passwd"} and value is not own
    }
    for name in ("host", "port", "user", "database", "dbname", "db"):  # from the URL, unless connect_args has them
        given.setdefault(name, None)
    return given


def _name(column: Any) -> str:
    """The key of a column in its rows; empty for one that the compiler names."""
    key = str(getattr(column, "key", None) or "")
    return "" if "%(" in key else key


def _type(kind: Any, engine: Engine) -> str:
    """A type as text; raises UnidentifiableError for one that is not SQLAlchemy's own."""
    implementation = kind.dialect_impl(engine.dialect)
    for each in (kind, implementation, getattr(kind, "item_type", kind)):
        module = type(each).__module__
        if module.partition(".")[0] != "sqlalchemy" or isinstance(each, sa_types.PickleType):
            raise UnidentifiableError(
                f"it has a column or parameter of type {type(each).__name__}, not SQLAlchemy's own"
            )
    if type(kind).__module__.startswith("sqlalchemy.dialects.sqlite"):
        raise UnidentifiableError("it has a column or parameter of one of SQLite's own types, whose formats may differ")
    return f"{type(kind).__name__} {kind!r} {type(implementation).__name__} {implementation!r}"


def snapshot(response: Any) -> Snapshot | None:
    """None for what is no result; raises UnstorableError for one, whose rows are the caller's to read."""
    if isinstance(response, sa.Result | sa.ScalarResult):
        check_unread(response)
    return None


def replay(data: Any, context: Asked) -> Any:
    """A new result at its first row, as SQLAlchemy makes it for the caller's own call."""
    return made(data, context)
