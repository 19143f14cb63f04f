"""mysqlclient, imported as MySQLdb: connections and cursors; https://mysqlclient.readthedocs.io/MySQLdb.html."""

from apicache_codemods.db_api import CALLPROC, driver, statement
from apicache_codemods.detector import Detector

_CALLS = {
    "execute": statement("query", "args"),
    "executemany": statement("query", "args"),
    "callproc": CALLPROC,
}
_CURSORS = ("Cursor", "DictCursor", "SSCursor", "SSDictCursor")

DETECTOR = Detector(
    library="MySQLdb",
    modules=("MySQLdb",),
    documentation="https://mysqlclient.readthedocs.io/MySQLdb.html",
    constructors=driver(
        ("MySQLdb.connect", "MySQLdb.Connect", "MySQLdb.Connection", "MySQLdb.connections.Connection"),
        [f"MySQLdb.cursors.{name}" for name in _CURSORS],
        connection_calls={"query": statement("query")},
        cursor_calls=_CALLS,
    ),
    kind="db",
)
