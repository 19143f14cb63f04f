"""PyMySQL: connections and cursors; https://pymysql.readthedocs.io/en/latest/modules/.

`Connection.query` sends a statement past any cursor.
"""

from apicache_codemods.db_api import CALLPROC, driver, statement
from apicache_codemods.detector import Detector

_CALLS = {
    "execute": statement("query", "args"),
    "executemany": statement("query", "args"),
    "callproc": CALLPROC,
}
_CURSORS = ("Cursor", "DictCursor", "SSCursor", "SSDictCursor")

DETECTOR = Detector(
    documentation="https://pymysql.readthedocs.io/en/latest/modules/",
    constructors=driver(
        (
            "pymysql.connect",
            "pymysql.Connect",
            "pymysql.Connection",
            "pymysql.connections.Connection",
        ),
        [f"pymysql.cursors.{name}" for name in _CURSORS],
        connection_calls={"query": statement("sql")},
        cursor_calls=_CALLS,
    ),
    kind="db",
)
