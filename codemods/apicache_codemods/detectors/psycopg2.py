"""psycopg2: cursors, the pools and the helpers that run one statement many times; https://www.psycopg.org/docs/.

A connection of psycopg2 runs no statement itself. `copy_from` and `copy_to` name a table, `copy_expert` a statement.
"""

from apicache_codemods.db_api import CALLPROC, driver, pool, statement
from apicache_codemods.detector import Argument, Detector, Request

_COPY = Request(method="COPY", url=Argument("table", 1))
_CALLS = {
    "execute": statement("query", "vars"),
    "executemany": statement("query", "vars_list"),
    "callproc": CALLPROC,
    "copy_expert": statement("sql"),
    "copy_from": _COPY,
    "copy_to": _COPY,
}
_HELPER = Request(method="", url=Argument("sql", 1), payload=(Argument("argslist", 2),))
_CURSORS = (
    "psycopg2.extensions.cursor",
    "psycopg2.extras.DictCursor",
    "psycopg2.extras.RealDictCursor",
    "psycopg2.extras.NamedTupleCursor",
    "psycopg2.extras.LoggingCursor",
)
_POOL = pool("psycopg2.extensions.connection", "getconn")

DETECTOR = Detector(
    documentation="https://www.psycopg.org/docs/",
    constructors={
        **driver(("psycopg2.connect", "psycopg2.extensions.connection"), _CURSORS, cursor_calls=_CALLS),
        "psycopg2.pool.SimpleConnectionPool": _POOL,
        "psycopg2.pool.ThreadedConnectionPool": _POOL,
        "psycopg2.pool.AbstractConnectionPool": _POOL,
    },
    functions={
        "psycopg2.extras.execute_values": _HELPER,
        "psycopg2.extras.execute_batch": _HELPER,
    },
    kind="db",
    texts=frozenset({"psycopg2.sql.SQL"}),
)
