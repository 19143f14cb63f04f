import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pymysql
from hypothesis import strategies as st

from adapter_drivers._driver import Call, Driver, Variant
from adapter_drivers._mysql import PLANTED, mysql
from adapter_drivers._sql import QUERY, TEXTS, Served
from apicache.sql.cursors import call_on

TABLES = (
    "CREATE TABLE item (id int PRIMARY KEY, name text, at date, stamp datetime, price decimal(9,2), raw blob, t time)",
    "CREATE TABLE other LIKE item",
    "INSERT INTO item VALUES (1, 'a', '2020-01-01', '2020-01-01 12:00', 1.50, x'00ff', '01:02:03')",
    "INSERT INTO item (id) VALUES (2)",
)
WHOLE = "SELECT * FROM item ORDER BY id"


@functools.cache
def _fill(name: str) -> None:
    with pymysql.connect(unix_socket=mysql(), user="plain", database=name) as connection, connection.cursor() as cursor:
        for statement in TABLES:
            cursor.execute(statement)
        connection.commit()


class _Counting(Served):
    def __init__(self, client: Any) -> None:
        super().__init__(client)
        plain = client._execute_command

        def counting(command: Any, sql: Any) -> Any:
            self.seen(sql.decode() if isinstance(sql, bytes) else sql)
            return plain(command, sql)

        client._execute_command = counting


class _Pymysql(Driver):
    """A connection as `cached_db_query` asks it."""

    name = "pymysql"
    needs = "mysql"
    variants: ClassVar[list[Variant]] = [
        {},
        {"database": "another"},
        {"sql_mode": "ANSI_QUOTES"},
        {"init_command": "SET time_zone = '+09:00'"},
        {"user": "secret", "password": PLANTED},
    ]
    failing: ClassVar[Variant] = {"database": "empty"}
    examples: ClassVar[list[Call]] = [
        ("fetch", (QUERY.format(mark="%s"), (3,)), {}),
        ("fetch", (QUERY.format(mark="%(a)s"), {"a": 3}), {}),
        ("fetch", (WHOLE,), {}),
        ("fetch", ("SELECT id, count(*) FROM item WHERE 1 = 0 GROUP BY id",), {}),
    ]
    refused: ClassVar[list[Call]] = [
        ("fetch", ("SELECT rand() IS NULL FROM item",), {}),
        ("fetch", ("SELECT @own FROM item",), {}),
        ("fetch", ("SELECT id FROM item ORDER BY id FOR UPDATE",), {}),
        ("fetch", ("UPDATE item SET name = name",), {}),
        ("cursor.execute", (WHOLE,), {}),
    ]
    secret = PLANTED
    without = {"ignored": "its calls have no argument without effect"}  # noqa: RUF012 - as in the base

    @property
    def arguments(self) -> st.SearchStrategy[Call]:  # type: ignore[override]
        values = st.sampled_from([0, 1, 2, 3, True, 1.0, "1", "a", b"1", None])
        positional = st.tuples(st.just(QUERY.format(mark="%s")), st.tuples(values))
        named = st.tuples(st.just(QUERY.format(mark="%(a)s")), st.fixed_dictionaries({"a": values}))
        return st.tuples(st.just("fetch"), st.tuples(TEXTS) | positional | named, st.just({}))

    @contextmanager
    def open(self, _api: Any, variant: Variant) -> Iterator[Served]:
        given = {"unix_socket": mysql(), "user": "plain", "database": "suite", "autocommit": True, **variant}
        if given["database"] != "empty":
            _fill(given["database"])
        with pymysql.connect(**given) as connection:
            yield _Counting(connection)

    def call(self, client: Served, method: str, args: Any, kwargs: Any) -> Any:
        if method == "cursor.execute":
            return client.client.cursor().execute, args, kwargs
        return call_on(client.client), args, kwargs

    def read(self, answer: Any) -> Any:
        if not isinstance(answer, list):
            return answer
        names, rows = answer
        return names, [(type(row), row, [type(value) for value in row]) for row in rows]

    def sent(self, _api: Any, client: Served) -> int:
        return client.count

    def reset(self, _api: Any, client: Served) -> None:
        client.count = 0


DRIVERS = [_Pymysql()]
