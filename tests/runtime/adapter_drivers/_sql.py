"""What the database drivers share: a table, the queries that are asked of it, and a count of what reached it."""

import atexit
import functools
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

QUERY = "SELECT id, name FROM item WHERE id < {mark} ORDER BY id"
COLUMNS = st.sampled_from(["id", "name", "id, name", "name, id", "*", "id AS name"])
CONDITIONS = st.sampled_from(["", " WHERE id < 2", " WHERE id < 3", " WHERE name = 'a'", " WHERE name = 'a '"])
ENDS = st.sampled_from(["", " ORDER BY id", " ORDER BY name", " LIMIT 1"])
TEXTS = st.tuples(COLUMNS, st.sampled_from(["item", "other"]), CONDITIONS, ENDS).map(
    lambda parts: f"SELECT {parts[0]} FROM {parts[1]}{parts[2]}{parts[3]}"  # noqa: S608 - text under test
)
VALUES: st.SearchStrategy[Any] = st.sampled_from([0, 1, 2, 1.0, "1", "a", b"a", None])


class Served:
    """A connection with a count of the queries that reached its database."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.count = 0

    def seen(self, statement: str) -> None:
        """Count a statement of the test's own; what an adapter asks of the session is none."""
        if " item" in statement and not statement.startswith(("SELECT m.", 'SELECT "')):
            self.count += 1


@functools.cache
def _folder() -> Path:
    """One for the process: a database that is opened again is to be the same file."""
    folder = Path(tempfile.mkdtemp(prefix="apicache-drivers-"))
    atexit.register(shutil.rmtree, folder)
    return folder


def sqlite_file(variant: Any) -> Path:
    """A database, whose `name` makes it another one; queries of the one that is to fail overflow as they run."""
    fails = variant.get("fails", False)
    path = _folder() / f"{variant.get('name', 'plain')}-{fails}.db"
    connection = sqlite3.connect(path)
    if fails:
        connection.execute("CREATE VIEW IF NOT EXISTS item AS SELECT abs(-9223372036854775808) AS id, 'a' AS name")
    else:
        for table in ("item", "other"):
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY, name TEXT, at DATE)")
            connection.execute(f"INSERT OR IGNORE INTO {table} VALUES (1, 'a', '2020-01-01'), (2, NULL, NULL)")  # noqa: S608 - ours
    connection.commit()
    connection.close()
    return path
