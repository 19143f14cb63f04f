"""The adapter of SQLAlchemy, https://docs.sqlalchemy.org.

`execute`, `scalars` and `scalar` of a `Connection` or a `Session`, for text and for selects of columns. A result is
answered by what `Result.freeze()` gives: an `IteratorResult` of the same rows and keys, which has no cursor behind it.

A SQLite connection is read off whole. Of other databases' sessions only the engine's own settings are seen: where a
session is changed afterwards (`SET search_path`, a tenant's setting), name whose answers they are with
`using(scope=...)`.
"""

import functools
import inspect
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy import types as sa_types
from sqlalchemy.engine import Connection, Engine, IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.orm import Session

from apicache import tagged
from apicache.adapter import Identified, Snapshot
from apicache.credentials import is_credential
from apicache.db_api import check_values, columns_of, hand_over, place_of, rows_of, snapshot_of, stored, texts_in
from apicache.errors import UnencodableError, UnidentifiableError, UnstorableError
from apicache.sql import Read, check_parameters, read_of
from apicache.sql_tokens import Dialect
from apicache.sqlite_connections import settings_of

_METHODS: Final = ("execute", "scalars", "scalar")
_DIALECTS: Final[Mapping[str, Dialect]] = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}
_ADDED_BY_DIALECT: Final = frozenset({"regexp", "floor"})
"""Functions that SQLAlchemy adds to each SQLite connection."""
_STREAMED: Final = ("yield_per", "stream_results")
_NO_EFFECT: Final = frozenset({"timeout", "connect_timeout", "check_same_thread", "isolation_level"})


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The engine, its settings, the compiled statement with the types of its columns, and the parameters."""
    owner = getattr(function, "__self__", None)
    if owner is None:
        return None
    name = getattr(function, "__name__", "")
    kind = Session if isinstance(owner, Session) else Connection
    if not isinstance(owner, kind):
        raise UnidentifiableError(f"it belongs to a {type(owner).__name__}; only a Connection or a Session is known")
    if name not in _METHODS or getattr(function, "__func__", None) is not getattr(kind, name):
        raise UnidentifiableError(f"it is {name}(); only execute(), scalars() and scalar() with a query are kept")
    statement, parameters, options = _given(*args, **kwargs)
    session = _checked_session(owner, statement) if isinstance(owner, Session) else owner
    return _Call(function, args, dict(kwargs), session).identified(name, statement, parameters, options)


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


def _checked_session(session: Session, statement: Any) -> Connection:
    if any(getattr(type(session), name) is not getattr(Session, name) for name in (*_METHODS, "get_bind")):
        raise UnidentifiableError(f"its session is a {type(session).__name__}, which may do it in its own way")
    if session.new or session.dirty or session.deleted:
        raise UnidentifiableError("its session has changes that are not in the database yet")
    if list(session.dispatch.do_orm_execute):
        raise UnidentifiableError("its session has listeners, which may change what is asked")
    return session.connection(bind_arguments={"clause": statement})


class _Call:
    """A call of a known method; `connection` is the one that it goes through."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], connection: Connection
    ) -> None:
        self.make = functools.partial(function, *args, **kwargs)
        self.connection = connection

    def identified(self, name: str, statement: Any, given: dict[str, Any], options: Any) -> Identified:
        engine = self.connection.engine
        dialect = _DIALECTS.get(engine.dialect.name)
        if dialect is None:
            raise UnidentifiableError(f"its database is {engine.dialect.name}; known: {', '.join(sorted(_DIALECTS))}")
        if any(options.get(each) for each in _STREAMED):
            raise UnidentifiableError("its rows are streamed")
        compiled = statement.compile(dialect=engine.dialect)
        read = read_of(str(compiled), dialect)
        parameters = {str(key): value for key, value in {**compiled.params, **given}.items()}
        check_values(parameters)
        check_parameters(read, texts_in(parameters))
        columns = [] if isinstance(statement, sa.TextClause) else list(statement.selected_columns)
        described = getattr(statement, "column_descriptions", [{"expr": column} for column in columns])
        context = (name, [(column, about["expr"]) for column, about in zip(columns, described, strict=False)])
        typed = {str(bind): _type(value.type, engine) for value, bind in compiled.bind_names.items()}
        settings, credentials = _engine_identity(engine)
        return Identified(
            label=f"{read.label} ({settings['name']})",
            parameters={
                "library": "sqlalchemy",
                "method": name,
                "query": [read.text, str(compiled) if read.is_spelled else None],
                "parameters": parameters,
                "types": [typed, [[_name(column), _type(column.type, engine)] for column in columns]],
                "options": {**self.connection.get_execution_options(), **options},
                "settings": settings,
                "session": self._session(read),
            },
            credentials=credentials,
            context=context,
            carries_credentials=any(credentials),
            send=None if name == "scalar" else functools.partial(_fetched, self.make, context),
        )

    def _session(self, read: Read) -> Any:
        live = self.connection.connection.driver_connection
        if isinstance(live, sqlite3.Connection):
            if type(live) is not sqlite3.Connection:
                raise UnidentifiableError(f"its connection is a {type(live).__name__}")
            return settings_of(live, read, _ADDED_BY_DIALECT)
        options = self.connection.get_execution_options()
        if self.connection.in_transaction() and options.get("isolation_level") != "AUTOCOMMIT":
            raise UnidentifiableError("its connection is in a transaction, which may have written what it reads")
        return None


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
    given = {name: value for name, value in dict(found["cparams"]).items() if name not in {"password", "passwd"}}
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


def _fetched(make: Callable[[], Any], context: tuple[str, list[tuple[Any, Any]]]) -> Any:
    """The answer as rows that were fetched, handed over where they can be stored."""
    result = make()
    if context[0] == "scalars":
        values = result.all()
        data = stored(["scalar"], ([value] for value in values))
        own = IteratorResult(SimpleResultMetaData(["scalar"]), iter([(value,) for value in values])).scalars()
    else:
        keys = [str(key) for key in result.keys()]  # noqa: SIM118 - a result has no items

        frozen = result.freeze()
        data = stored(keys, (tuple(row) for row in frozen().all()))
        own = frozen()
        if len(set(keys)) < len(keys):  # reading such a name is an error, which no replay would raise
            return own
    try:
        tagged.encode(data)
    except UnencodableError:
        return own
    copy = replay(data, context)
    hand_over(_rows(copy), data)
    return copy


def snapshot(response: Any) -> Snapshot | None:
    """The rows of a result that `send` has made."""
    return snapshot_of(_rows(response)) if isinstance(response, sa.Result | sa.ScalarResult) else None


def _rows(result: Any) -> Any:
    """The result whose rows a ScalarResult takes its values from, which takes no weak reference; else itself."""
    return getattr(result, "_real_result", None) or result


def replay(data: Any, context: tuple[str, list[tuple[Any, Any]]] | None) -> Any:
    """A new result at its first row; its rows are known by names, and by the columns of the caller's statement."""
    method, columns = context or ("execute", [])
    names = columns_of(data)
    extra = [_known_as(*column) for column in columns] if len(columns) == len(names) and method != "scalars" else None
    result: IteratorResult[Any] = IteratorResult(
        SimpleResultMetaData(names, extra=extra), iter([tuple(row) for row in rows_of(data)])
    )
    return result.scalars() if method == "scalars" else result


def _known_as(column: Any, given: Any) -> tuple[Any, ...]:
    """By what a row's mapping finds the column: itself, as it was given, and what it was made from."""
    found = (column, given, *getattr(column, "proxy_set", ()))
    return tuple({id(each): each for each in found}.values())


def not_modified(_response: Any) -> bool:
    """Never: a database does not say so."""
    return False


def renewed(_data: Any, _response: Any) -> Snapshot:
    """Raises UnstorableError."""
    raise UnstorableError("a database does not say that rows still hold")
