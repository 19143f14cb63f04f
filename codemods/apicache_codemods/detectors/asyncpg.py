"""asyncpg: connections, pools and prepared statements; https://magicstack.github.io/asyncpg/current/api/index.html.

`prepare` is no call site, running the prepared statement is one: the statement is what `prepare` was given.
"""

from apicache_codemods.db_api import statement
from apicache_codemods.detector import Address, Argument, Constructor, Detector, Request

_QUERY = statement("query")
_COPIED = Request(method="COPY", url=Argument("table_name", 0))
_CALLS = {
    **dict.fromkeys(("execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany"), _QUERY),
    "copy_from_query": _QUERY,
    **dict.fromkeys(("copy_from_table", "copy_to_table", "copy_records_to_table"), _COPIED),
}
_PREPARED = "asyncpg.prepared_stmt.PreparedStatement"
_RUN = Request(method="", url="")
_CONNECTION = Constructor(is_async=True, calls={**_CALLS, "cursor": _QUERY}, opens={"prepare": _PREPARED})
_POOL = Constructor(is_async=True, calls=_CALLS, opens={"acquire": "asyncpg.Connection"})

DETECTOR = Detector(
    documentation="https://magicstack.github.io/asyncpg/current/api/index.html",
    constructors={
        **dict.fromkeys(
            (
                "asyncpg.connect",
                "asyncpg.Connection",
                "asyncpg.connection.Connection",
                "asyncpg.pool.PoolConnectionProxy",
            ),
            _CONNECTION,
        ),
        **dict.fromkeys(("asyncpg.create_pool", "asyncpg.Pool", "asyncpg.pool.Pool"), _POOL),
        _PREPARED: Constructor(
            is_async=True,
            calls=dict.fromkeys(("fetch", "fetchrow", "fetchval", "fetchmany", "executemany", "cursor"), _RUN),
            address=Address(Argument("query", 0)),
        ),
    },
    kind="db",
)
