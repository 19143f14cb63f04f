"""SQLAlchemy: running a statement; https://docs.sqlalchemy.org/en/20/core/connections.html.

A call site is a call that is given a statement and sends it: `execute`, `scalar`, `scalars`, `stream`,
`stream_scalars`, `exec_driver_sql` of engines, connections and sessions, async ones too. No call site is what the
object-relational mapper decides by itself: `Session.get`, `query(...)` and its `all` and `first`, `add`, `merge`,
`refresh`, `flush`, `commit`, attributes that load. A statement built by `select` and its like has a verb and no text.

Flask-SQLAlchemy's `db.session` and `db.engine` are SQLAlchemy's own.
"""

from apicache_codemods.db_api import CURSOR_CALLS, statement
from apicache_codemods.detector import Argument, Constructor, Detector, Request

_BUILT = Argument("statement", 0)
_STATEMENT = Request(method="", url=_BUILT, prepared=_BUILT, payload=(Argument("parameters", 1),))
_EXECUTED = dict.fromkeys(("execute", "scalar", "scalars"), _STATEMENT)
_STREAMED = dict.fromkeys(("stream", "stream_scalars"), _STATEMENT)
_DRIVER = {"exec_driver_sql": statement("statement", "parameters")}

_CONNECTION, _ASYNC_CONNECTION = "sqlalchemy.engine.Connection", "sqlalchemy.ext.asyncio.AsyncConnection"
_ENGINE, _ASYNC_ENGINE = "sqlalchemy.engine.Engine", "sqlalchemy.ext.asyncio.AsyncEngine"
_SESSION, _ASYNC_SESSION = "sqlalchemy.orm.Session", "sqlalchemy.ext.asyncio.AsyncSession"
_SCOPED, _ASYNC_SCOPED = "sqlalchemy.orm.scoped_session", "sqlalchemy.ext.asyncio.async_scoped_session"
_RAW, _RAW_CURSOR = "sqlalchemy.pool.PoolProxiedConnection", "sqlalchemy.engine.interfaces.DBAPICursor"


_SYNC = {
    # Before 2.0 an engine ran statements itself.
    _ENGINE: Constructor(calls=_EXECUTED, opens={"connect": _CONNECTION, "begin": _CONNECTION, "raw_connection": _RAW}),
    _CONNECTION: Constructor(calls={**_EXECUTED, **_DRIVER}, holds={"connection": _RAW}),
    _SESSION: Constructor(calls=_EXECUTED, opens={"connection": _CONNECTION}),
    _SCOPED: Constructor(calls=_EXECUTED, opens={"()": _SESSION, "connection": _CONNECTION}),
    "sqlalchemy.orm.sessionmaker": Constructor(calls={}, opens={"()": _SESSION, "begin": _SESSION}),
    _RAW: Constructor(calls={}, opens={"cursor": _RAW_CURSOR}),
    _RAW_CURSOR: Constructor(calls=CURSOR_CALLS),
}
_ASYNC = {
    _ASYNC_ENGINE: Constructor(
        is_async=True, calls={}, opens={"connect": _ASYNC_CONNECTION, "begin": _ASYNC_CONNECTION}
    ),
    _ASYNC_CONNECTION: Constructor(is_async=True, calls={**_EXECUTED, **_STREAMED, **_DRIVER}),
    _ASYNC_SESSION: Constructor(
        is_async=True, calls={**_EXECUTED, **_STREAMED}, opens={"connection": _ASYNC_CONNECTION}
    ),
    _ASYNC_SCOPED: Constructor(
        is_async=True, calls={**_EXECUTED, **_STREAMED}, opens={"()": _ASYNC_SESSION, "connection": _ASYNC_CONNECTION}
    ),
    "sqlalchemy.ext.asyncio.async_sessionmaker": Constructor(
        is_async=True, calls={}, opens={"()": _ASYNC_SESSION, "begin": _ASYNC_SESSION}
    ),
}
_FLASK = Constructor(calls={}, holds={"session": _SCOPED, "engine": _ENGINE})
_MADE = _SYNC | _ASYNC
_OTHER_NAMES = {
    "sqlalchemy.create_engine": _ENGINE,
    "sqlalchemy.engine.create_engine": _ENGINE,
    "sqlalchemy.engine_from_config": _ENGINE,
    "sqlalchemy.Engine": _ENGINE,
    "sqlalchemy.engine.base.Engine": _ENGINE,
    "sqlalchemy.future.Engine": _ENGINE,
    "sqlalchemy.future.create_engine": _ENGINE,
    "sqlalchemy.Connection": _CONNECTION,
    "sqlalchemy.engine.base.Connection": _CONNECTION,
    "sqlalchemy.future.Connection": _CONNECTION,
    "sqlalchemy.engine.interfaces.DBAPIConnection": _RAW,
    "sqlalchemy.orm.session.Session": _SESSION,
    "sqlalchemy.orm.session.sessionmaker": "sqlalchemy.orm.sessionmaker",
    "sqlalchemy.orm.scoping.scoped_session": _SCOPED,
    "sqlalchemy.ext.asyncio.create_async_engine": _ASYNC_ENGINE,
    "sqlalchemy.ext.asyncio.engine.AsyncEngine": _ASYNC_ENGINE,
    "sqlalchemy.ext.asyncio.engine.AsyncConnection": _ASYNC_CONNECTION,
    "sqlalchemy.ext.asyncio.session.AsyncSession": _ASYNC_SESSION,
}
_STATEMENTS = {
    **dict.fromkeys(("select", "union", "union_all", "exists"), "SELECT"),
    "insert": "INSERT",
    "update": "UPDATE",
    "delete": "DELETE",
}
_BUILDERS = ("sqlalchemy", "sqlalchemy.sql", "sqlalchemy.sql.expression", "sqlalchemy.future")
_DIALECTS = ("postgresql", "sqlite", "mysql")

DETECTOR = Detector(
    documentation="https://docs.sqlalchemy.org/en/20/core/connections.html",
    modules=("sqlalchemy", "flask_sqlalchemy"),
    constructors={
        **_MADE,
        **{name: _MADE[target] for name, target in _OTHER_NAMES.items()},
        "flask_sqlalchemy.SQLAlchemy": _FLASK,
        "flask_sqlalchemy.extension.SQLAlchemy": _FLASK,
    },
    same_client=frozenset({"execution_options"}),
    kind="db",
    texts=frozenset({f"{module}.text" for module in _BUILDERS}),
    statements={
        **{f"{module}.{name}": verb for module in _BUILDERS for name, verb in _STATEMENTS.items()},
        **{f"sqlalchemy.dialects.{dialect}.insert": "INSERT" for dialect in _DIALECTS},
    },
)
