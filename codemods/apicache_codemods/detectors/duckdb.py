"""duckdb: connections and the module's own; https://duckdb.org/docs/stable/clients/python/reference/.

A relation (`duckdb.sql(...).filter(...)`) is run when its rows are asked for; its methods are no call sites.
"""

from apicache_codemods.db_api import statement
from apicache_codemods.detector import Constructor, Detector

_CALLS = {
    "execute": statement("query", "parameters"),
    "executemany": statement("query", "parameters"),
    "sql": statement("query"),
    "query": statement("query"),
}
_CONNECTION = "duckdb.DuckDBPyConnection"
_OPENS = {"cursor": _CONNECTION, "execute": _CONNECTION, "executemany": _CONNECTION}
_CONNECTIONS = (_CONNECTION, "duckdb.connect", "duckdb.cursor")

DETECTOR = Detector(
    documentation="https://duckdb.org/docs/stable/clients/python/reference/",
    constructors=dict.fromkeys(_CONNECTIONS, Constructor(opens=_OPENS)),
    calls=_CALLS,
    functions={f"duckdb.{name}": request for name, request in _CALLS.items()},
    kind="db",
)
