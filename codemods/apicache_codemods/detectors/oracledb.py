"""python-oracledb: connections, cursors and pools; https://python-oracledb.readthedocs.io/en/latest/api_manual/module.html."""

from apicache_codemods.db_api import driver, pool, statement
from apicache_codemods.detector import Argument, Detector, Request

_CALLS = {
    "execute": statement("statement", "parameters"),
    "executemany": statement("statement", "parameters"),
    "callproc": Request(method="CALL", url=Argument("name", 0), payload=(Argument("parameters", 1),)),
    "callfunc": Request(method="CALL", url=Argument("name", 0), payload=(Argument("parameters", 2),)),
}
_ASYNC_ON_CONNECTION = {
    **_CALLS,
    "fetchone": statement("statement", "parameters"),
    "fetchall": statement("statement", "parameters"),
    "fetchmany": statement("statement", "parameters"),
}
_POOL = pool("oracledb.Connection", "acquire")
_ASYNC_POOL = pool("oracledb.AsyncConnection", "acquire", is_async=True)

DETECTOR = Detector(
    documentation="https://python-oracledb.readthedocs.io/en/latest/api_manual/module.html",
    constructors={
        **driver(("oracledb.connect", "oracledb.Connection"), ("oracledb.Cursor",), cursor_calls=_CALLS),
        **driver(
            ("oracledb.connect_async", "oracledb.AsyncConnection"),
            ("oracledb.AsyncCursor",),
            connection_calls=_ASYNC_ON_CONNECTION,
            cursor_calls=_CALLS,
            is_async=True,
        ),
        "oracledb.create_pool": _POOL,
        "oracledb.ConnectionPool": _POOL,
        "oracledb.create_pool_async": _ASYNC_POOL,
        "oracledb.AsyncConnectionPool": _ASYNC_POOL,
    },
    kind="db",
)
