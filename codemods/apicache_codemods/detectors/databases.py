"""databases: async queries over several drivers; https://www.encode.io/databases/database_queries/."""

from apicache_codemods.db_api import statement
from apicache_codemods.detector import Constructor, Detector

_QUERY = statement("query", "values")
_CALLS = {
    **dict.fromkeys(("execute", "execute_many", "fetch_all", "fetch_one", "iterate"), _QUERY),
    "fetch_val": statement("query", "values", "column"),
}
_CONNECTION = Constructor(is_async=True)
_DATABASE = Constructor(is_async=True, opens={"connection": "databases.core.Connection"})

DETECTOR = Detector(
    documentation="https://www.encode.io/databases/database_queries/",
    constructors={
        "databases.Database": _DATABASE,
        "databases.core.Database": _DATABASE,
        "databases.core.Connection": _CONNECTION,
    },
    calls=_CALLS,
    is_common_name=True,
    kind="db",
)
