"""pyodbc: connections and cursors; https://github.com/mkleehammer/pyodbc/wiki.

`Connection.execute` runs a statement by a cursor of its own. `tables`, `columns` and their like ask the driver.
"""

from apicache_codemods.db_api import driver, statement
from apicache_codemods.detector import Detector

_CALLS = {"execute": statement("sql", "params"), "executemany": statement("sql", "params")}

DETECTOR = Detector(
    documentation="https://github.com/mkleehammer/pyodbc/wiki",
    constructors=driver(
        ("pyodbc.connect", "pyodbc.Connection"),
        ("pyodbc.Cursor",),
        connection_calls={"execute": statement("sql", "params")},
        cursor_calls=_CALLS,
    ),
    kind="db",
)
