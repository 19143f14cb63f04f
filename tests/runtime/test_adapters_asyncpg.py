"""The asyncpg adapter against a real PostgreSQL."""

import asyncio
import datetime as dt
import decimal
import json
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import asyncpg
import pytest

from apicache import UnifiedAPICache
from apicache.sql import postgresql_sessions

TABLE = """
    DROP TABLE IF EXISTS item;
    DROP SCHEMA IF EXISTS other CASCADE;
    CREATE TABLE item
        (id int, name text, doc jsonb, made timestamptz, price numeric, ref uuid, marks int[], body bytea);
    INSERT INTO item VALUES
        (1, 'a', '{"x": 1}', '2020-01-01 00:00+00', 1.50, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{1,2}', 'x'),
        (2, 'b', NULL, NULL, NULL, NULL, NULL, NULL);
    CREATE SCHEMA other;
    CREATE TABLE other.item (id int, name text);
    INSERT INTO other.item VALUES (1, 'other');
"""
QUERY = "SELECT id, name FROM item WHERE id < $1 ORDER BY id"
WHOLE = "SELECT *, id AS id FROM item ORDER BY id"
Run = Callable[[Callable[["Database"], Coroutine[Any, Any, None]]], None]


class Database:
    """Connections that are closed with the test."""

    def __init__(self, host: str, cache: UnifiedAPICache) -> None:
        self.host, self.cache = host, cache
        self._opened: list[Any] = []

    async def connect(self, **options: Any) -> asyncpg.Connection:
        connection = await asyncpg.connect(host=self.host, user="postgres", **{"database": "postgres", **options})
        self._opened.append(connection)
        return connection

    async def pool(self, **options: Any) -> asyncpg.Pool:
        given = {"database": "postgres", "min_size": 1, "max_size": 2, **options}
        pool = await asyncpg.create_pool(host=self.host, user="postgres", **given)
        self._opened.append(pool)
        return pool

    async def ask(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        is_pool = isinstance(getattr(function, "__self__", None), asyncpg.Pool)
        surface = self.cache if is_pool else self.cache.using(scope="mine")
        return await surface.cached_api_call(function, *args, **kwargs)

    @property
    def counts(self) -> tuple[int, int, int]:
        stats = self.cache.get_stats()
        return stats["cache_hits"], stats["stored"], stats["bypassed"]

    async def close(self) -> None:
        for each in self._opened:
            await each.close()


@pytest.fixture
def run(postgresql_host: str, cache: UnifiedAPICache) -> Iterator[Run]:
    with asyncio.Runner() as runner:

        def run(test: Callable[[Database], Coroutine[Any, Any, None]]) -> None:
            async def whole() -> None:
                database = Database(postgresql_host, cache)
                connection = await database.connect()
                await connection.execute(TABLE)
                try:
                    await test(database)
                finally:
                    await database.close()

            runner.run(whole())

        yield run


@pytest.mark.parametrize("kind", ["connect", "pool"])
def test_records_are_replayed_as_records(run: Run, kind: str) -> None:
    async def test(database: Database) -> None:
        owner = await getattr(database, kind)()
        for method in ("fetch", "fetchrow"):
            direct = await getattr(owner, method)(WHOLE)
            answers = [await database.ask(getattr(owner, method), WHOLE) for _ in range(3)]
            for answer in answers:
                assert answer == direct
                records = zip([answer, direct] if method == "fetchrow" else answer, direct, strict=False)
                for one, other in records if method == "fetch" else [(answer, direct)]:
                    assert type(one) is asyncpg.Record
                    assert list(one.items()) == list(other.items())
                    assert [type(value) for value in one] == [type(value) for value in other]
                    assert one["id"] == other["id"]
                    assert repr(one) == repr(other)
            assert isinstance(answers[0], list) == (method == "fetch")
        assert database.counts == (4, 2, 0)

    run(test)


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("SELECT 1", 1),
        ("SELECT NULL::int", None),
        ("SELECT 1.50::numeric", decimal.Decimal("1.50")),
        ("SELECT ARRAY[1, 2]", [1, 2]),
        ("SELECT date '2020-01-02'", dt.date(2020, 1, 2)),
        ("SELECT interval '1 day'", dt.timedelta(days=1)),
        ("SELECT ref FROM item WHERE id = 1", None),
    ],
)
def test_single_values_are_replayed_with_their_types(run: Run, sql: str, value: Any) -> None:
    async def test(database: Database) -> None:
        pool = await database.pool()
        direct = await pool.fetchval(sql)
        assert value is None or direct == value
        for _ in range(2):
            answer = await database.ask(pool.fetchval, sql)
            assert (type(answer), answer) == (type(direct), direct)
        assert database.counts == (1, 1, 0)

    run(test)


def test_a_range_is_answered_and_not_stored(run: Run) -> None:
    async def test(database: Database) -> None:
        pool = await database.pool()
        for _ in range(2):
            assert await database.ask(pool.fetchval, "SELECT '[1,2)'::int4range") == asyncpg.Range(1, 2)
        assert database.counts[:2] == (0, 0)

    run(test)


def test_an_operation_may_give_a_list_of_records(run: Run) -> None:
    async def test(database: Database) -> None:
        pool = await database.pool()

        @database.cache.operation("items")
        async def items(sql: str) -> list[Any]:
            return await pool.fetch(sql)

        direct = await pool.fetch(WHOLE)
        for _ in range(2):
            answer = await database.cache.cached_api_call(operation="items", sql=WHOLE)
            assert (type(answer), repr(answer)) == (list, repr(direct))
            assert {type(each) for each in answer} == {asyncpg.Record}
        assert database.counts == (1, 1, 0)

    run(test)


@pytest.mark.parametrize("others", [["SELECT id FROM item", "SELECT name FROM item"], [QUERY.replace("$1", "9")]])
def test_a_list_that_is_no_one_querys_records_is_not_stored(run: Run, others: list[str]) -> None:
    async def test(database: Database) -> None:
        pool = await database.pool()

        @database.cache.operation("mixed")
        async def mixed() -> list[Any]:
            found = [await pool.fetchrow(sql) for sql in others]
            return found if len(others) > 1 else [*found, 7]

        direct = await mixed()
        for _ in range(2):
            assert await database.cache.cached_api_call(operation="mixed") == direct
        assert database.counts[:2] == (0, 0)

    run(test)


def test_no_row_and_no_rows_are_answers(run: Run) -> None:
    async def test(database: Database) -> None:
        pool = await database.pool()
        for _ in range(2):
            assert await database.ask(pool.fetch, QUERY, 0) == []
            assert await database.ask(pool.fetchrow, QUERY, 0) is None
        assert database.counts == (2, 2, 0)

    run(test)


def test_parameters_columns_and_methods_do_not_share_and_timeouts_and_comments_do(run: Run) -> None:
    async def test(database: Database) -> None:
        pool = await database.pool()
        for _ in range(2):
            assert len(await database.ask(pool.fetch, QUERY, 2)) == 1
            assert len(await database.ask(pool.fetch, QUERY, 3, timeout=5)) == 2
            assert (await database.ask(pool.fetchrow, QUERY, 3))["id"] == 1
            assert await database.ask(pool.fetchval, QUERY, 3) == 1
            assert await database.ask(pool.fetchval, QUERY, 3, column=1) == "a"
        assert database.counts == (5, 5, 0)
        await database.ask(pool.fetch, QUERY.replace(" FROM", "\n/* here */ FROM"), 3)
        assert database.counts == (6, 5, 0)

    run(test)


def test_two_databases_never_share(run: Run) -> None:
    async def test(database: Database) -> None:
        one = await database.connect()
        await one.execute("DROP DATABASE IF EXISTS second")
        await one.execute("CREATE DATABASE second")
        other = await database.connect(database="second")
        await other.execute("CREATE TABLE item (id int, name text); INSERT INTO item VALUES (1, 'second')")
        for _ in range(2):
            assert (await database.ask(one.fetchrow, QUERY, 2))["name"] == "a"
            assert (await database.ask(other.fetchrow, QUERY, 2))["name"] == "second"
        assert database.counts == (2, 2, 0)

    run(test)


@pytest.mark.parametrize(
    "statement", ["SET search_path = other", "SET TimeZone = 'Asia/Tokyo'", "SET DateStyle = 'German'"]
)
def test_a_setting_that_the_server_reports_separates(run: Run, statement: str) -> None:
    async def test(database: Database) -> None:
        plain, changed = await database.connect(), await database.connect()
        await changed.execute(statement)
        for _ in range(2):
            for connection in (plain, changed):
                sql = "SELECT name, timestamptz '2020-01-01 00:00+00'::text AS at FROM item WHERE id = 1"
                assert await database.ask(connection.fetchrow, sql) == await connection.fetchrow(sql)
        assert database.counts == (2, 2, 0)

    run(test)


def test_settings_given_when_connecting_separate(run: Run) -> None:
    async def test(database: Database) -> None:
        plain, changed = await database.pool(), await database.pool(server_settings={"search_path": "other"})
        for _ in range(2):
            assert (await database.ask(plain.fetchrow, QUERY, 2))["name"] == "a"
            assert (await database.ask(changed.fetchrow, QUERY, 2))["name"] == "other"
        assert database.counts == (2, 2, 0)

    run(test)


def test_a_read_within_a_transaction_sees_its_own_write_and_is_not_shared(run: Run) -> None:
    async def test(database: Database) -> None:
        connection, other = await database.connect(), await database.connect()
        assert (await database.ask(connection.fetchrow, QUERY, 2))["name"] == "a"
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE item SET name = 'changed'")
        assert (await database.ask(connection.fetchrow, QUERY, 2))["name"] == "changed"
        assert (await database.ask(other.fetchrow, QUERY, 2))["name"] == "a"
        await transaction.rollback()
        assert (await database.ask(connection.fetchrow, QUERY, 2))["name"] == "a"
        assert database.counts == (2, 1, 1)

    run(test)


def test_a_write_between_two_reads_shows_once_the_entry_is_forgotten(run: Run) -> None:
    async def test(database: Database) -> None:
        connection = await database.connect()
        view = database.cache.using(tags=["items"], scope="mine")
        assert await view.cached_api_call(connection.fetchval, "SELECT name FROM item WHERE id = 1") == "a"
        await connection.execute("UPDATE item SET name = 'changed'")
        assert await view.cached_api_call(connection.fetchval, "SELECT name FROM item WHERE id = 1") == "a"
        await database.cache.invalidate(tags=["items"])
        assert await view.cached_api_call(connection.fetchval, "SELECT name FROM item WHERE id = 1") == "changed"

    run(test)


async def with_codec(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


def test_a_connection_with_codecs_of_its_own_is_asked_each_time(run: Run) -> None:
    async def test(database: Database) -> None:
        plain, own = await database.connect(), await database.connect()
        await with_codec(own)
        sql = "SELECT doc FROM item WHERE id = 1"
        for _ in range(2):
            assert await database.ask(plain.fetchval, sql) == '{"x": 1}'
            assert await database.ask(own.fetchval, sql) == {"x": 1}
        assert database.counts == (1, 1, 2)

    run(test)


def test_a_pools_init_function_is_part_of_the_identity(run: Run) -> None:
    async def test(database: Database) -> None:
        plain, own = await database.pool(), await database.pool(init=with_codec)
        sql = "SELECT doc FROM item WHERE id = 1"
        for _ in range(2):
            assert await database.ask(plain.fetchval, sql) == '{"x": 1}'
            assert await database.ask(own.fetchval, sql) == {"x": 1}
        assert database.counts == (2, 2, 0)

    run(test)


def test_a_codec_that_was_left_on_a_pools_connection_is_seen(run: Run) -> None:
    async def test(database: Database) -> None:
        pool = await database.pool(max_size=1)
        async with pool.acquire() as connection:
            await with_codec(connection)
        for _ in range(2):
            assert await database.ask(pool.fetchval, "SELECT doc FROM item WHERE id = 1") == {"x": 1}
        assert database.counts == (0, 0, 2)

    run(test)


async def set_up(connection: Any) -> None:
    await connection.execute("SET search_path = other")


class OwnRecord(asyncpg.Record):
    pass


@pytest.mark.parametrize("options", [{"setup": set_up}, {"record_class": OwnRecord}, {"reset": set_up}])
def test_a_pool_whose_settings_cannot_be_read_off_is_asked_each_time(run: Run, options: Any) -> None:
    async def test(database: Database) -> None:
        pool = await database.pool(**options)
        for _ in range(2):
            assert (await database.ask(pool.fetchrow, QUERY, 2))["id"] == 1
        assert database.counts == (0, 0, 2)

    run(test)


@pytest.mark.parametrize(
    ("method", "args", "kwargs"),
    [
        ("fetchval", ("INSERT INTO item (id) VALUES (9) RETURNING id",), {}),
        ("fetchval", ("SELECT count(*) FROM item FOR UPDATE OF item",), {}),
        ("fetchval", ("SELECT random()",), {}),
        ("fetchval", ("SELECT now()",), {}),
        ("fetchval", ("SELECT $1::text::timestamp IS NULL", "now"), {}),
        ("fetch", (QUERY, 2), {"record_class": OwnRecord}),
        ("execute", ("SELECT 1",), {}),
    ],
)
def test_what_may_change_is_asked_each_time(
    run: Run, method: str, args: Any, kwargs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(database: Database) -> None:
        pool = await database.pool()
        for _ in range(2):
            try:
                await database.ask(getattr(pool, method), *args, **kwargs)
            except asyncpg.FeatureNotSupportedError:  # FOR UPDATE with count(), which only the server knows
                continue
        assert database.counts == (0, 0, 2)

    with caplog.at_level(logging.WARNING, logger="apicache"):
        run(test)
    assert "arguments are refused" not in caplog.text


def test_an_error_is_raised_as_it_is(run: Run) -> None:
    async def test(database: Database) -> None:
        pool = await database.pool()
        for _ in range(2):
            with pytest.raises(asyncpg.UndefinedTableError):
                await database.ask(pool.fetch, "SELECT * FROM nowhere")
        assert database.counts[:2] == (0, 0)

    run(test)


def test_a_connection_whose_role_cannot_be_read_needs_a_scope(run: Run) -> None:
    async def test(database: Database) -> None:
        alone = await database.connect()
        await alone.execute("DROP ROLE IF EXISTS tenant; CREATE ROLE tenant; GRANT SELECT ON item TO tenant")
        await alone.execute("ALTER TABLE item ENABLE ROW LEVEL SECURITY")
        async with (await database.pool()).acquire() as pooled:
            for owner in (alone, pooled):
                for role, found in (("postgres", 2), ("tenant", 0)):
                    await owner.execute(f"SET ROLE {role}")
                    for surface in (database.cache, database.cache.using(scope=role)) * 2:
                        assert len(await surface.cached_api_call(owner.fetch, WHOLE)) == found
        assert database.counts == (6, 2, 8)

    run(test)


def test_a_connection_from_a_pool_is_known(run: Run) -> None:
    async def test(database: Database) -> None:
        pool = await database.pool()
        for _ in range(2):
            async with pool.acquire() as connection:
                assert (await database.ask(connection.fetchrow, QUERY, 2))["name"] == "a"
        assert database.counts == (1, 1, 0)

    run(test)


@pytest.mark.parametrize(
    ("left", "told"),
    [
        ("SET ROLE leaving", "the role leaving set"),
        ("CREATE TEMPORARY TABLE item AS SELECT * FROM item LIMIT 0", "temporary tables"),
        ("SET SESSION AUTHORIZATION leaving", "that of leaving, not of postgres"),
    ],
)
def test_what_was_left_on_a_pools_connection_keeps_its_answer_out(
    run: Run, left: str, told: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A pool resets settings, but no role: with row-level security its next caller sees what that role sees."""
    monkeypatch.setattr(postgresql_sessions, "_changes", {})

    async def test(database: Database) -> None:
        pool = await database.pool(max_size=1)
        async with pool.acquire() as connection:
            await connection.execute(
                "DROP ROLE IF EXISTS leaving; CREATE ROLE leaving; GRANT SELECT ON item TO leaving"
            )
            await connection.execute("ALTER TABLE item ENABLE ROW LEVEL SECURITY")
            await connection.execute(left)
        for _ in range(2):
            assert await database.ask(pool.fetch, WHOLE) == []
        view = database.cache.using(scope="leaving")
        for _ in range(2):
            assert await view.cached_api_call(pool.fetch, WHOLE) == []
        assert database.counts == (1, 1, 1)
        assert len(await database.ask((await database.pool()).fetch, WHOLE)) == 2  # its own connections are as usual

    with caplog.at_level(logging.WARNING, logger="apicache"):
        run(test)
    assert told in caplog.text
