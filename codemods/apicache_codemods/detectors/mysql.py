"""mysql.connector: connections, cursors and pools, sync and async; https://dev.mysql.com/doc/connector-python/en/."""

from apicache_codemods.db_api import CALLPROC, driver, pool, statement
from apicache_codemods.detector import Detector

_CALLS = {
    "execute": statement("operation", "params"),
    "executemany": statement("operation", "seq_params"),
    "callproc": CALLPROC,
}
_CONNECTION = "mysql.connector.connection.MySQLConnection"

DETECTOR = Detector(
    documentation="https://dev.mysql.com/doc/connector-python/en/",
    modules=("mysql.connector",),
    constructors={
        **driver(
            (
                "mysql.connector.connect",
                "mysql.connector.MySQLConnection",
                _CONNECTION,
                "mysql.connector.connection_cext.CMySQLConnection",
                "mysql.connector.pooling.PooledMySQLConnection",
            ),
            ("mysql.connector.cursor.MySQLCursor", "mysql.connector.cursor.MySQLCursorDict"),
            connection_calls={"cmd_query": statement("query")},
            cursor_calls=_CALLS,
        ),
        **driver(
            ("mysql.connector.aio.connect", "mysql.connector.aio.MySQLConnection"),
            ("mysql.connector.aio.cursor.MySQLCursor",),
            connection_calls={"cmd_query": statement("query")},
            cursor_calls=_CALLS,
            is_async=True,
        ),
        "mysql.connector.pooling.MySQLConnectionPool": pool(_CONNECTION, "get_connection"),
    },
    kind="db",
)
