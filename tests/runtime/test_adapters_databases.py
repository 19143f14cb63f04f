"""The databases adapter against SQLite files and a real PostgreSQL."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from databases import Database

from apicache import UnifiedAPICache
from apicache.operations import describe
from apicache.sql import postgresql_sessions

metadata = sa.MetaData()
item = sa.Table(
    "item",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String),
    sa.Column("doc", sa.JSON),
    sa.Column("made", sa.DateTime),
)
TEXT = ("SELECT id, name, doc FROM item WHERE id < :below ORDER BY id", {"below": 3})
Run = Callable[[Callable[[Database], Coroutine[Any, Any, None]]], None]


async def filled(database: Database, name: str = "a") -> Database:
    await database.connect()
    await database.execute("DROP TABLE IF EXISTS item")
    await database.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, doc JSON, made TIMESTAMP)")
    values = f"(1, '{name}', '[7]', '2020-01-01 00:00:00'), (2, NULL, NULL, NULL)"
    await database.execute(f"INSERT INTO item VALUES {values}")  # noqa: S608 - test data
    return database


def postgresql_url(host: str) -> str:
    # The library takes no socket's folder from a URL but for the options it hands on.
    return f"postgresql://postgres@/postgres?host={host}"


@pytest.fixture(params=["sqlite", "postgresql"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    def run(test: Callable[[Database], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            if request.param == "sqlite":
                database = Database(f"sqlite:///{tmp_path / 'one.db'}")
            else:
                database = Database(postgresql_url(request.getfixturevalue("postgresql_host")))
            await filled(database)
            try:
                await test(database)
            finally:
                await database.disconnect()

        asyncio.run(whole())

    return run


def counts(cache: UnifiedAPICache) -> tuple[int, int, int]:
    stats = cache.get_stats()
    return stats["cache_hits"], stats["stored"], stats["bypassed"]


def told(answer: Any) -> Any:
    """What a record tells, with the types."""
    if isinstance(answer, list):
        return [told(each) for each in answer]
    if hasattr(answer, "_mapping"):
        values = [answer[name] for name in answer._mapping.keys()]  # noqa: SIM118 - iterating gives values
        return type(answer), dict(answer._mapping), [(type(value), value) for value in values], answer.name
    return type(answer), answer


@pytest.mark.parametrize("query", [TEXT, (sa.select(item),), (sa.select(item.c.name, item.c.doc),)])
def test_records_are_made_by_the_library_itself(cache: UnifiedAPICache, run: Run, query: Any) -> None:
    async def test(database: Database) -> None:
        for method in ("fetch_all", "fetch_one", "fetch_val"):
            direct = await getattr(database, method)(*query)
            for _ in range(3):
                answer = await cache.cached_api_call(getattr(database, method), *query)
                assert told(answer) == told(direct)
                if method == "fetch_one" and len(query) == 1:
                    assert answer[item.c.doc] == direct[item.c.doc]
        assert counts(cache) == (6, 3, 0)

    run(test)


def test_a_list_that_was_changed_or_put_together_is_not_stored(cache: UnifiedAPICache, run: Run) -> None:
    async def test(database: Database) -> None:
        view = cache.using(ttl=60)
        changes = {
            "turned": lambda rows: rows[::-1],
            "doubled": lambda rows: [rows[0]] * 2,
            "cut": lambda rows: rows[:1],
            "plain": lambda rows: [each._mapping["id"] for each in rows],
        }

        def operation(change: Callable[[Any], Any]) -> Callable[[], Coroutine[Any, Any, Any]]:
            async def load() -> Any:
                return change(await view.cached_api_call(database.fetch_all, *TEXT))

            return load

        for name, change in changes.items():
            cache._operations.register(describe(name, operation(change), {}))
            expected = told(change(await database.fetch_all(*TEXT)))
            for _ in range(2):
                assert told(await cache.cached_api_call(operation=name)) == expected
        stored = {name: each["stored"] for name, each in cache.get_stats()["operations"].items() if name in changes}
        assert stored == {"turned": 0, "doubled": 0, "cut": 0, "plain": 1}

    run(test)


def test_no_row_is_an_answer(cache: UnifiedAPICache, run: Run) -> None:
    async def test(database: Database) -> None:
        for _ in range(2):
            assert await cache.cached_api_call(database.fetch_all, TEXT[0], {"below": 0}) == []
            assert await cache.cached_api_call(database.fetch_one, TEXT[0], {"below": 0}) is None
        assert counts(cache) == (2, 2, 0)

    run(test)


def test_other_parameters_do_not_share(cache: UnifiedAPICache, run: Run) -> None:
    async def test(database: Database) -> None:
        for _ in range(2):
            assert len(await cache.cached_api_call(database.fetch_all, TEXT[0], {"below": 2})) == 1
            assert len(await cache.cached_api_call(database.fetch_all, query=TEXT[0], values={"below": 3})) == 2
        assert counts(cache) == (2, 2, 0)

    run(test)


def test_a_value_that_a_type_makes_does_not_share_with_the_plain_one(cache: UnifiedAPICache, run: Run) -> None:
    async def test(database: Database) -> None:
        typed = sa.select(item.c.doc).where(item.c.id == 1)
        plain = sa.select(sa.type_coerce(item.c.doc, sa.String).label("doc")).where(item.c.id == 1)
        for _ in range(2):
            for query in (typed, plain):
                answer = await cache.cached_api_call(database.fetch_val, query)
                assert told(answer) == told(await database.fetch_val(query))

    run(test)


def test_a_read_within_a_transaction_sees_its_own_write_and_is_not_shared(cache: UnifiedAPICache, run: Run) -> None:
    async def test(database: Database) -> None:
        read = (database.fetch_val, "SELECT name FROM item WHERE id = 1")
        assert await cache.cached_api_call(*read) == "a"
        transaction = await database.transaction()
        await database.execute("UPDATE item SET name = 'changed'")
        answers = [await database.fetch_val(read[1]), await cache.cached_api_call(*read)]
        await transaction.rollback()
        assert answers[0] == "changed"
        assert await cache.cached_api_call(*read) == "a"
        assert counts(cache) == (1, 1, 1)

    run(test)


def test_a_write_between_two_reads_shows_once_the_entry_is_forgotten(cache: UnifiedAPICache, run: Run) -> None:
    async def test(database: Database) -> None:
        view = cache.using(tags=["items"])
        read = (database.fetch_val, "SELECT name FROM item WHERE id = 1")
        assert await view.cached_api_call(*read) == "a"
        await database.execute("UPDATE item SET name = 'changed'")
        assert await view.cached_api_call(*read) == "a"
        await cache.invalidate(tags=["items"])
        assert await view.cached_api_call(*read) == "changed"

    run(test)


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("execute", ("SELECT 1",)),
        ("fetch_val", ("INSERT INTO item (id) VALUES (9) RETURNING id",)),
        ("fetch_val", ("DELETE FROM item RETURNING id",)),
        ("fetch_val", ("SELECT random()",)),
        ("fetch_val", (sa.insert(item).values(id=11).returning(item.c.id),)),
    ],
)
def test_what_may_change_is_asked_each_time(
    cache: UnifiedAPICache, run: Run, method: str, args: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(database: Database) -> None:
        for _ in range(2):
            await cache.cached_api_call(getattr(database, method), *args)
            await database.execute("DELETE FROM item")
        assert counts(cache) == (0, 0, 2)

    with caplog.at_level(logging.WARNING, logger="apicache"):
        run(test)
    assert "arguments are refused" not in caplog.text


def test_two_databases_never_share(cache: UnifiedAPICache, tmp_path: Path) -> None:
    async def test() -> None:
        one = await filled(Database(f"sqlite:///{tmp_path / 'one.db'}"), "one")
        other = await filled(Database(f"sqlite:///{tmp_path / 'other.db'}"), "other")
        for _ in range(2):
            assert (await cache.cached_api_call(one.fetch_one, *TEXT)).name == "one"
            assert (await cache.cached_api_call(other.fetch_one, *TEXT)).name == "other"
        await one.disconnect()
        await other.disconnect()
        assert counts(cache) == (2, 2, 0)

    asyncio.run(test())


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("sqlite://", {}),
        ("sqlite:///{path}", {"force_rollback": True}),
        ("sqlite:///{path}", {"detect_types": 1}),
    ],
)
def test_a_database_that_cannot_be_read_off_is_asked_each_time(
    cache: UnifiedAPICache, tmp_path: Path, url: str, options: Any
) -> None:
    async def test() -> None:
        async with Database(url.format(path=tmp_path / "one.db"), **options) as database:
            for _ in range(2):
                assert await cache.cached_api_call(database.fetch_val, "SELECT 1") == 1
        assert counts(cache) == (0, 0, 2)

    asyncio.run(test())


def test_parameters_that_functions_give_and_urls_without_a_user_are_asked_each_time(
    cache: UnifiedAPICache, run: Run, postgresql_host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def number() -> int:
        asked.append(1)
        return 1

    async def test(database: Database) -> None:
        one = sa.select(item.c.id).where(item.c.id == sa.bindparam("id", callable_=number))
        await database.fetch_val(one)
        times = len(asked)  # the library's own
        for _ in range(2):
            assert await cache.cached_api_call(database.fetch_val, one) == 1
        assert len(asked) == 3 * times
        assert counts(cache) == (0, 0, 2)

    async def nameless() -> None:
        async with Database(f"postgresql:///postgres?host={postgresql_host}") as database:
            for _ in range(2):
                assert await cache.cached_api_call(database.fetch_val, "SELECT 1") == 1

    run(test)
    monkeypatch.setenv("PGUSER", "postgres")
    asyncio.run(nameless())
    assert counts(cache) == (0, 0, 4)


def test_a_role_that_was_left_on_a_connection_keeps_its_answer_out(
    cache: UnifiedAPICache, postgresql_host: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgresql_sessions, "_changes", {})

    async def test() -> None:
        async with Database(postgresql_url(postgresql_host), min_size=1, max_size=1) as database:
            await filled(database)
            await database.execute("DROP ROLE IF EXISTS lasting")
            await database.execute("CREATE ROLE lasting")
            await database.execute("GRANT SELECT ON item TO lasting")
            assert len(await cache.cached_api_call(database.fetch_all, *TEXT)) == 2
            await database.execute("SET ROLE lasting")
            for method in ("fetch_val", "fetch_all"):
                await cache.cached_api_call(getattr(database, method), "SELECT name FROM item ORDER BY id")
            view = cache.using(scope="lasting")
            for _ in range(2):
                assert len(await view.cached_api_call(database.fetch_all, *TEXT)) == 2
            await database.execute("RESET ROLE")
        assert counts(cache) == (1, 2, 1)

    with caplog.at_level(logging.WARNING, logger="apicache"):
        asyncio.run(test())
    assert "the role lasting set" in caplog.text
