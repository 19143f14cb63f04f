"""aiosqlite: connections and cursors; https://aiosqlite.omnilib.dev/en/stable/api.html."""

from apicache_codemods.db_api import driver, statement
from apicache_codemods.detector import Detector

_QUERY = statement("sql", "parameters")
_CALLS = {"execute": _QUERY, "executemany": _QUERY, "executescript": statement("sql_script")}

DETECTOR = Detector(
    documentation="https://aiosqlite.omnilib.dev/en/stable/api.html",
    constructors=driver(
        ("aiosqlite.connect", "aiosqlite.Connection", "aiosqlite.core.Connection"),
        ("aiosqlite.Cursor", "aiosqlite.cursor.Cursor"),
        connection_calls={**_CALLS, "execute_fetchall": _QUERY, "execute_insert": _QUERY},
        cursor_calls=_CALLS,
        is_async=True,
    ),
    kind="db",
)
