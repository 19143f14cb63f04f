"""psycopg, version 3: connections and cursors, sync and async; https://www.psycopg.org/psycopg3/docs/api/.

`copy` and `stream` run a statement; `copy` gives an object that carries rows, which is no further call. A pipeline, a
transaction block and `commit` send no statement that the code writes.
"""

from apicache_codemods.db_api import driver, statement
from apicache_codemods.detector import Constructor, Detector

_QUERY = statement("query", "params")
_MANY = statement("query", "params_seq")
_CALLS = {"execute": _QUERY, "executemany": _MANY, "copy": statement("statement", "params"), "stream": _QUERY}
_ON_CONNECTION = {"execute": _QUERY}


def _cursors(prefix: str) -> list[str]:
    return [f"psycopg.{prefix}{kind}Cursor" for kind in ("", "Client", "Server", "Raw")]


def _constructors() -> dict[str, Constructor]:
    found = driver(
        ("psycopg.connect", "psycopg.Connection", "psycopg.Connection.connect"),
        _cursors(""),
        connection_calls=_ON_CONNECTION,
        cursor_calls=_CALLS,
    )
    return found | driver(
        ("psycopg.AsyncConnection", "psycopg.AsyncConnection.connect"),
        _cursors("Async"),
        connection_calls=_ON_CONNECTION,
        cursor_calls=_CALLS,
        is_async=True,
    )


DETECTOR = Detector(
    documentation="https://www.psycopg.org/psycopg3/docs/api/",
    constructors=_constructors(),
    kind="db",
    texts=frozenset({"psycopg.sql.SQL"}),
)
