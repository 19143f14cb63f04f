import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import asyncpg
from hypothesis import strategies as st

from adapter_drivers._driver import Call, Driver, Variant
from adapter_drivers._postgresql import postgresql
from adapter_drivers._sql import QUERY, TEXTS, Served

SECRET = "pg-planted-5e5e"
TABLES = """
    CREATE TABLE IF NOT EXISTS item (id int PRIMARY KEY, name text, at date, doc jsonb, ref uuid, marks int[]);
    CREATE TABLE IF NOT EXISTS other (LIKE item);
    INSERT INTO item VALUES (1, 'a', '2020-01-01', '{"x": 1}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{1,2}'),
        (2, NULL, NULL, NULL, NULL, NULL) ON CONFLICT DO NOTHING;
"""


async def _execute(statements: str, **given: Any) -> None:
    connection = await asyncpg.connect(**given)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


class _Asyncpg(Driver):
    name = "asyncpg"
    is_async = True
    variants: ClassVar[list[Variant]] = [
        {},
        {"server_settings": {"search_path": "public, pg_temp"}},
        {"database": "another"},
        {"password": SECRET},
    ]
    failing: ClassVar[Variant] = {"server_settings": {"search_path": "nowhere"}}
    examples: ClassVar[list[Call]] = [
        ("fetch", (QUERY.format(mark="$1"), 3), {}),
        ("fetch", ("SELECT *, id AS id FROM item ORDER BY id",), {}),
        ("fetch", (QUERY.format(mark="$1"), 0), {}),
        ("fetchrow", (QUERY.format(mark="$1"), 3), {}),
        ("fetchrow", ("SELECT *, id AS id FROM item WHERE id = 1",), {}),
        ("fetchval", ("SELECT marks FROM item WHERE id = 1",), {}),
        ("fetchval", ("SELECT ref FROM item WHERE id = 1",), {}),
    ]
    ignored: ClassVar[list[Any]] = [{"timeout": 3}, {"timeout": 7.5}]
    refused: ClassVar[list[Call]] = [
        ("fetchval", ("SELECT random() IS NULL FROM item",), {}),
        ("fetchval", ("SELECT id FROM item ORDER BY id FOR UPDATE",), {}),
        ("fetchval", ("UPDATE item SET name = name RETURNING id",), {}),
        ("execute", ("UPDATE item SET name = name",), {}),
    ]
    secret = SECRET

    @property
    def arguments(self) -> st.SearchStrategy[Call]:  # type: ignore[override]
        methods = st.sampled_from(["fetch", "fetchrow", "fetchval"])
        values = st.sampled_from([0, 1, 2, 3, True, 1.0, "1", b"1"])
        plain = st.tuples(methods, st.tuples(TEXTS) | st.tuples(st.just(QUERY.format(mark="$1")), values), st.just({}))
        column = st.fixed_dictionaries({}, optional={"column": st.sampled_from([1, 2])})
        return plain | st.tuples(st.just("fetchval"), st.tuples(TEXTS), column)

    @asynccontextmanager
    async def open(self, _api: Any, variant: Variant) -> AsyncIterator[Served]:
        given = {"host": postgresql(), "user": "postgres", "database": "suite", **variant}
        with contextlib.suppress(asyncpg.DuplicateDatabaseError):  # other tests have another table in `postgres`
            await _execute(f"CREATE DATABASE {given['database']}", host=given["host"], user="postgres")
        await _execute(TABLES, **{**given, "server_settings": None})
        # A pool of one connection: of a connection alone, nobody can see whose it is.
        async with asyncpg.create_pool(min_size=1, max_size=1, **given) as pool:
            served = Served(pool)
            async with pool.acquire() as connection:
                connection.add_query_logger(lambda record: served.seen(record.query))
            yield served

    def call(self, client: Served, method: str, args: Any, kwargs: Any) -> Any:
        return getattr(client.client, method), args, kwargs

    def read(self, answer: Any) -> Any:
        if isinstance(answer, list):
            return type(answer), [self.read(each) for each in answer]
        if not isinstance(answer, asyncpg.Record):
            return type(answer), answer
        kinds = [type(value) for value in answer]
        return type(answer), answer, repr(answer), list(answer.items()), kinds, answer["id"], answer[0]

    def spoil(self, answer: Any) -> None:
        if isinstance(answer, list):
            answer.clear()

    def sent(self, _api: Any, client: Served) -> int:
        return client.count

    def reset(self, _api: Any, client: Served) -> None:
        client.count = 0


DRIVERS = [_Asyncpg()]
