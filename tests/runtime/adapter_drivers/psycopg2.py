from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg2
from hypothesis import strategies as st

from adapter_drivers._driver import Call, Driver, Variant
from adapter_drivers._psycopg import WHOLE, Logged, closing, prepared
from adapter_drivers._sql import QUERY, TEXTS
from apicache.sql.cursors import call_on

SECRET = "p2-planted-2b2b"


class _Psycopg2(Driver):
    """A connection as `cached_db_query` asks it."""

    name = "psycopg2"
    variants: ClassVar[list[Variant]] = [
        {},
        {"settings": {"search_path": "public,pg_temp"}},
        {"settings": {"TimeZone": "Asia/Tokyo"}},
        {"dbname": "another_psycopg"},
        {"password": SECRET},
    ]
    failing: ClassVar[Variant] = {"settings": {"search_path": "nowhere"}}
    examples: ClassVar[list[Call]] = [
        ("fetch", (QUERY.format(mark="%s"), (3,)), {}),
        ("fetch", (QUERY.format(mark="%(a)s"), {"a": 3}), {}),
        ("fetch", (WHOLE,), {}),
        ("fetch", ("SELECT id, id AS id FROM item WHERE 1 = 0",), {}),
    ]
    refused: ClassVar[list[Call]] = [
        ("fetch", ("SELECT random() IS NULL FROM item",), {}),
        ("fetch", ("SELECT id FROM item ORDER BY id FOR UPDATE",), {}),
        ("fetch", ("UPDATE item SET name = name RETURNING id",), {}),
        ("cursor.execute", (WHOLE,), {}),
    ]
    secret = SECRET
    without = {"ignored": "its calls have no argument without effect"}  # noqa: RUF012 - as in the base

    @property
    def arguments(self) -> st.SearchStrategy[Call]:  # type: ignore[override]
        values = st.sampled_from([0, 1, 2, 3, True, 1.0, "1", "a", b"1", None])
        positional = st.tuples(st.just(QUERY.format(mark="%s")), st.tuples(values))
        named = st.tuples(st.just(QUERY.format(mark="%(a)s")), st.fixed_dictionaries({"a": values}))
        return st.tuples(st.just("fetch"), st.tuples(TEXTS) | positional | named, st.just({}))

    def meaning(self, value: Any) -> Any:
        """What is sent is one text: the mark of a parameter and how its value is written is all the same."""
        if isinstance(value, tuple) and len(value) == 3 and value[0] == "fetch":
            sql, *given = value[1]
            values = [*given[0].values()] if given and isinstance(given[0], dict) else [*(given or [()])[0]]
            return (sql.replace("%(a)s", "%s"), super().meaning(values))
        return super().meaning(value)

    @contextmanager
    def open(self, _api: Any, variant: Variant) -> Iterator[Logged]:
        with closing(psycopg2.connect(**prepared(variant))) as connection:
            connection.autocommit = True
            yield Logged(connection)

    def call(self, client: Logged, method: str, args: Any, kwargs: Any) -> Any:
        if method == "cursor.execute":
            return client.client.cursor().execute, args, kwargs
        return call_on(client.client), args, kwargs

    def read(self, answer: Any) -> Any:
        if answer is None:
            return answer
        names, rows = answer
        return names, [(type(row), row, [type(value) for value in row]) for row in rows]

    def sent(self, _api: Any, client: Logged) -> int:
        return client.count

    def reset(self, _api: Any, client: Logged) -> None:
        client.reset()


DRIVERS = [_Psycopg2()]
