"""psycopg_pool: pools that lend psycopg's connections; https://www.psycopg.org/psycopg3/docs/api/pool.html."""

from apicache_codemods.db_api import pool
from apicache_codemods.detector import Detector

_SYNC = pool("psycopg.Connection", "connection", "getconn")
_ASYNC = pool("psycopg.AsyncConnection", "connection", "getconn", is_async=True)

DETECTOR = Detector(
    documentation="https://www.psycopg.org/psycopg3/docs/api/pool.html",
    constructors={
        "psycopg_pool.ConnectionPool": _SYNC,
        "psycopg_pool.NullConnectionPool": _SYNC,
        "psycopg_pool.AsyncConnectionPool": _ASYNC,
        "psycopg_pool.AsyncNullConnectionPool": _ASYNC,
    },
    kind="db",
)
