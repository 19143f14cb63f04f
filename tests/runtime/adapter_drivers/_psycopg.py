"""What the drivers of psycopg and psycopg2 share: a database, and what its server has logged of them."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from adapter_drivers._postgresql import postgresql

TABLES = """
    CREATE TABLE item (
        id int PRIMARY KEY, name text, at date, stamp timestamptz, doc jsonb, ref uuid, marks int[], price numeric,
        raw bytea
    );
    CREATE TABLE other (LIKE item);
    INSERT INTO item VALUES
        (1, 'a', '2020-01-01', '2020-01-01 12:00+02', '{"x": 1}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{1,2}', 1.50,
            '\\x00ff'),
        (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"""
WHOLE = "SELECT * FROM item ORDER BY id"


class Logged:
    """A connection whose statements its server logs."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._log = Path(postgresql()) / "log"
        self._from = 0
        self.reset()

    def reset(self) -> None:
        """Count from now on."""
        self._from = self._log.stat().st_size

    @property
    def count(self) -> int:
        """Statements of the test's own since then; what an adapter asks of the session is none."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            lines = log.read().decode(errors="replace").splitlines()
        told = ("statement: ", "execute ", "STATEMENT: ")  # the last of those that failed before they ran
        return sum(" item" in line and any(each in line for each in told) for line in lines)


def prepared(variant: Any) -> dict[str, Any]:
    """What to connect with, once the database is there."""
    given = {"host": postgresql(), "user": "postgres", "dbname": "psycopg_suite", **variant}
    settings = {"log_statement": "all", **given.pop("settings", {})}
    _fill(given["host"], given["dbname"])
    return {**given, "options": " ".join(f"-c {name}={value}" for name, value in settings.items())}


@functools.cache
def _fill(host: str, name: str) -> None:
    with psycopg.connect(host=host, user="postgres", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    with psycopg.connect(host=host, user="postgres", dbname=name) as connection:
        connection.execute(TABLES)


@contextlib.contextmanager
def closing(connection: Any) -> Iterator[Any]:
    """The connection, until it is closed."""
    try:
        yield connection
    finally:
        connection.close()
