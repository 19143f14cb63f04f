"""sqlite3: connections and cursors; https://docs.python.org/3/library/sqlite3.html."""

from apicache_codemods.db_api import driver, statement
from apicache_codemods.detector import Detector

_CALLS = {
    "execute": statement("sql", "parameters"),
    "executemany": statement("sql", "parameters"),
    "executescript": statement("sql_script"),
}

DETECTOR = Detector(
    documentation="https://docs.python.org/3/library/sqlite3.html",
    constructors=driver(
        ("sqlite3.connect", "sqlite3.Connection", "sqlite3.dbapi2.connect", "sqlite3.dbapi2.Connection"),
        ("sqlite3.Cursor", "sqlite3.dbapi2.Cursor"),
        connection_calls=_CALLS,
        cursor_calls=_CALLS,
    ),
    kind="db",
)
