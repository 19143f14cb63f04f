"""`cached_db_query` over every kind of database it knows."""

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from databases import Database
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.errors import InputError
from apicache.sql.queries import cached_db_query, cached_db_query_sync, use_database

ROWS = [{"id": 1, "name": "a"}, {"id": 2, "name": None}]
QUERY = "SELECT id, name FROM item ORDER BY id"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "one.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE item (id INTEGER, name TEXT)")
    connection.execute("INSERT INTO item VALUES (1, 'a'), (2, NULL)")
    connection.commit()
    connection.close()
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    yield connection
    connection.close()


@pytest.fixture
def engine(path: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite3", "row_factory", "engine", "connection", "session", "function"])
def database(request: pytest.FixtureRequest, connection: sqlite3.Connection, engine: sa.Engine) -> Iterator[Any]:
    if request.param == "row_factory":
        connection.row_factory = sqlite3.Row
    if request.param == "connection":
        with engine.connect() as opened:
            yield opened
    elif request.param == "session":
        with Session(engine) as session:
            yield session
    elif request.param == "function":
        _connected.append(connection)
        yield run_on_sqlite
        _connected.clear()
    else:
        yield engine if request.param == "engine" else connection


_connected: list[sqlite3.Connection] = []
asked: list[str] = []


def run_on_sqlite(query: str, *parameters: Any) -> Any:
    """The application's own way to its database."""
    asked.append(query)
    if parameters and isinstance(parameters[0], dict):
        return _connected[0].execute(query, parameters[0])
    return _connected[0].execute(query, parameters)


async def run_slowly(query: str, *parameters: Any) -> Any:
    asked.append(query)
    await asyncio.sleep(0)
    return [{"query": query, "parameters": list(parameters)}]


def counts(cache: UnifiedAPICache) -> tuple[int, int, int]:
    stats = cache.get_stats()
    return stats["cache_hits"], stats["stored"], stats["bypassed"]


def test_rows_are_fresh_dicts(cache: UnifiedAPICache, database: Any) -> None:
    for _ in range(3):
        rows = cached_db_query_sync(QUERY, database=database, cache=cache)
        assert rows == ROWS
        assert type(rows) is list
        assert type(rows[0]) is dict
        rows[0]["name"] = "spoilt"
        rows.clear()
    assert counts(cache) == (2, 1, 0)


def test_the_async_form_shares_with_the_sync_one(cache: UnifiedAPICache, database: Any) -> None:
    assert cached_db_query_sync(QUERY, database=database, cache=cache) == ROWS
    assert asyncio.run(cached_db_query(QUERY, database=database, cache=cache)) == ROWS
    assert counts(cache) == (1, 1, 0)


def test_parameters_by_name_separate(cache: UnifiedAPICache, database: Any) -> None:
    for _ in range(2):
        for number, row in enumerate(ROWS, 1):
            query = "SELECT id, name FROM item WHERE id = :id"
            assert cached_db_query_sync(query, {"id": number}, database=database, cache=cache) == [row]
    assert counts(cache) == (2, 2, 0)


def test_parameters_one_by_one_separate(cache: UnifiedAPICache, connection: sqlite3.Connection) -> None:
    for _ in range(2):
        for number, row in enumerate(ROWS, 1):
            query = "SELECT id, name FROM item WHERE id = ? AND 1 = ?"
            assert cached_db_query_sync(query, number, 1, database=connection, cache=cache) == [row]
    assert counts(cache) == (2, 2, 0)


def test_a_table_is_a_tag(cache: UnifiedAPICache, database: Any, connection: sqlite3.Connection) -> None:
    assert cached_db_query_sync(QUERY, database=database, cache=cache) == ROWS
    with sqlite3.connect(connection.execute("PRAGMA database_list").fetchone()[2]) as writer:
        writer.execute("UPDATE item SET name = 'new'")
    writer.close()
    assert cached_db_query_sync(QUERY, database=database, cache=cache) == ROWS
    cache.invalidate_sync(tags=["table:other"])
    assert cached_db_query_sync(QUERY, database=database, cache=cache) == ROWS
    if isinstance(database, sa.Connection | Session):
        database.rollback()
    cache.invalidate_sync(tags=["table:item"])
    assert cached_db_query_sync(QUERY, database=database, cache=cache)[0]["name"] == "new"


def test_a_write_with_invalidates_forgets_a_tables_queries(
    cache: UnifiedAPICache, connection: sqlite3.Connection
) -> None:
    assert cached_db_query_sync(QUERY, database=connection, cache=cache) == ROWS
    cache.using(invalidates=["table:item"]).cached_api_call_sync(connection.execute, "DELETE FROM item")
    connection.commit()
    assert cached_db_query_sync(QUERY, database=connection, cache=cache) == []


@pytest.mark.parametrize("tags", [["own"], lambda parameters, rows: ["own"]])
def test_tags_of_the_callers_own_come_beside_the_tables(
    cache: UnifiedAPICache, connection: sqlite3.Connection, tags: Any
) -> None:
    for tag in ("own", "table:item"):
        cached_db_query_sync(QUERY, database=connection, cache=cache, tags=tags)
        cache.invalidate_sync(tags=[tag])
    cached_db_query_sync(QUERY, database=connection, cache=cache, tags=tags)
    assert counts(cache)[:2] == (0, 3)


def test_a_ttl_is_the_policys(cache: UnifiedAPICache, clock: Any, connection: sqlite3.Connection) -> None:
    cached_db_query_sync(QUERY, database=connection, cache=cache, ttl=10)
    clock.advance(9)
    cached_db_query_sync(QUERY, database=connection, cache=cache, ttl=10)
    clock.advance(2)
    cached_db_query_sync(QUERY, database=connection, cache=cache, ttl=10)
    assert counts(cache)[:2] == (1, 2)


def test_the_database_may_be_set_once_for_a_cache(cache: UnifiedAPICache, connection: sqlite3.Connection) -> None:
    with pytest.raises(InputError, match="use_database"):
        cached_db_query_sync(QUERY, cache=cache)
    use_database(connection, cache=cache)
    assert cached_db_query_sync(QUERY, cache=cache) == ROWS
    other = UnifiedAPICache.create()
    with pytest.raises(InputError, match="has no database"):
        asyncio.run(cached_db_query(QUERY, cache=other))
    other.close()


def test_a_view_asks_the_database_of_its_cache_under_its_own_policy(
    cache: UnifiedAPICache, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    use_database(connection, cache=cache.using(ttl=5))
    view = cache.using(ttl=10).using(tags=["shown"])
    assert view.home is cache.home is cache
    for seconds in (0, 9, 2):  # older than ten seconds at last
        clock.advance(seconds)
        assert cached_db_query_sync(QUERY, cache=view) == ROWS
    assert counts(cache) == (1, 2, 0)
    for tag in ("shown", "table:item"):
        cache.invalidate_sync(tags=[tag])
        assert asyncio.run(cached_db_query(QUERY, cache=view)) == ROWS
    assert counts(cache) == (1, 4, 0)


def test_a_views_scope_names_whose_database_in_memory_it_is(cache: UnifiedAPICache) -> None:
    with sqlite3.connect(":memory:") as memory:
        use_database(memory, cache=cache)
        for _ in range(2):
            assert cached_db_query_sync("SELECT 1 AS a", cache=cache.using(scope="mine")) == [{"a": 1}]
    memory.close()
    assert counts(cache) == (1, 1, 0)


def test_a_view_of_writes_asks_nothing(cache: UnifiedAPICache, connection: sqlite3.Connection) -> None:
    with pytest.raises(InputError, match="invalidates belongs to writes"):
        cached_db_query_sync(QUERY, database=connection, cache=cache.using(invalidates=["a"]))


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO item VALUES (3, 'c')",
        "DELETE FROM item RETURNING id",
        "WITH d AS (DELETE FROM item RETURNING *) SELECT * FROM d",
        "SELECT 1; DROP TABLE item",
        "SELECT * FROM item FOR UPDATE",
        "PRAGMA user_version = 3",
    ],
)
def test_a_write_is_refused_with_what_to_call_instead(cache: UnifiedAPICache, database: Any, query: str) -> None:
    before = len(asked)
    with pytest.raises(InputError, match=r"run it on the .* itself, then forget what it changes with invalidate"):
        cached_db_query_sync(query, database=database, cache=cache)
    with pytest.raises(InputError, match="only reads"):
        asyncio.run(cached_db_query(query, database=database, cache=cache))
    assert len(asked) == before
    assert cached_db_query_sync(QUERY, database=database, cache=cache) == ROWS


def test_a_read_that_is_not_kept_is_made_each_time(cache: UnifiedAPICache, database: Any) -> None:
    for _ in range(2):
        assert cached_db_query_sync("SELECT id FROM item ORDER BY random()", database=database, cache=cache)
    assert counts(cache) == (0, 0, 2)


def test_a_database_in_memory_is_whose_its_scope_says(cache: UnifiedAPICache) -> None:
    connections = [sqlite3.connect(":memory:") for _ in range(2)]
    for number, connection in enumerate(connections):
        connection.execute("CREATE TABLE item (id INTEGER)")
        connection.execute("INSERT INTO item VALUES (?)", (number,))
        connection.commit()
    for _ in range(2):
        for number, connection in enumerate(connections):
            rows = cached_db_query_sync(
                "SELECT id FROM item", database=connection, cache=cache, scope=f"tenant {number}"
            )
            assert rows == [{"id": number}]
    assert counts(cache) == (2, 2, 0)
    for number, connection in enumerate(connections):
        assert cached_db_query_sync("SELECT id FROM item", database=connection, cache=cache) == [{"id": number}]
        connection.close()
    assert counts(cache) == (2, 2, 2)


@pytest.mark.parametrize("key", ["mine", lambda query, *parameters: [query, parameters]])
def test_a_key_of_the_callers_own_identifies_a_query(
    cache: UnifiedAPICache, connection: sqlite3.Connection, key: Any
) -> None:
    for _ in range(2):
        query = "SELECT id, random() IS NULL AS r FROM item WHERE id = ?"
        assert cached_db_query_sync(query, 1, database=connection, cache=cache, key=key) == [{"id": 1, "r": 0}]
    assert counts(cache) == (1, 1, 0)


def test_an_async_function_is_a_database(cache: UnifiedAPICache) -> None:
    for _ in range(2):
        rows = asyncio.run(cached_db_query("SELECT 1", 2, database=run_slowly, cache=cache))
        assert rows == [{"query": "SELECT 1", "parameters": [2]}]
    assert counts(cache) == (1, 1, 0)
    with pytest.raises(InputError, match="await cached_db_query"):
        cached_db_query_sync("SELECT 1", database=run_slowly, cache=cache)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (3, "known: an asyncpg pool"),
        ("postgresql://host", "known: an asyncpg pool"),
        (lambda query: [], "not a function of a module"),
    ],
)
def test_what_is_no_database_is_refused(cache: UnifiedAPICache, given: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        cached_db_query_sync(QUERY, database=given, cache=cache)
    with pytest.raises(InputError, match=told):
        use_database(given, cache=cache)


def test_bad_arguments_are_told(cache: UnifiedAPICache, connection: sqlite3.Connection, engine: sa.Engine) -> None:
    with pytest.raises(InputError, match="give SQL text"):
        cached_db_query_sync(sa.select(1), database=connection, cache=cache)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="named parameters"):
        cached_db_query_sync("SELECT ?", 1, database=engine, cache=cache)
    with pytest.raises(InputError, match="parameters as one tuple; give them one by one"):
        cached_db_query_sync("SELECT ?", (1,), database=connection, cache=cache)
    with pytest.raises(InputError, match="belongs to writes"):
        cached_db_query_sync(QUERY, database=connection, cache=cache, invalidates=["x"])
    with pytest.raises(InputError, match="give the connection"):
        cached_db_query_sync(QUERY, database=connection.cursor(), cache=cache)
    with pytest.raises(InputError, match="unknown policy option"):
        cached_db_query_sync(QUERY, database=connection, cache=cache, tll=3)  # type: ignore[call-arg]


def test_an_error_of_the_database_is_raised_as_it_is(cache: UnifiedAPICache, connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        cached_db_query_sync("SELECT * FROM nowhere", database=connection, cache=cache)


@pytest.mark.parametrize("kind", ["sqlite", "memory", "postgresql", "connection", "session"])
def test_async_sqlalchemy_is_known(
    cache: UnifiedAPICache, request: pytest.FixtureRequest, path: Path, kind: str
) -> None:
    """An engine is asked on a connection of its own; a connection, or a database in memory, needs a scope."""
    url = {"sqlite": f"sqlite+aiosqlite:///{path}", "memory": "sqlite+aiosqlite://"}.get(kind)
    url = url or f"postgresql+asyncpg://postgres@/postgres?host={request.getfixturevalue('postgresql_host')}"
    needs_scope = kind in {"memory", "connection"}

    async def test() -> None:
        engine = create_async_engine(url)
        opened = {"connection": engine.connect, "session": lambda: AsyncSession(engine)}.get(kind)
        query = "SELECT CAST(:a AS int) AS a"
        for _ in range(2):
            async with contextlib.nullcontext(engine) if opened is None else opened() as database:
                asked = functools.partial(cached_db_query, query, {"a": 1}, database=database, cache=cache)
                assert await asked(scope="mine" if needs_scope else None) == [{"a": 1}]
                with pytest.raises(InputError, match="only reads"):
                    await cached_db_query("DELETE FROM item", database=database, cache=cache)
                with pytest.raises(InputError, match="await cached_db_query"):
                    cached_db_query_sync(query, {"a": 1}, database=database, cache=cache)
        assert counts(cache) == (1, 1, 0)
        if needs_scope:
            async with contextlib.nullcontext(engine) if opened is None else opened() as database:
                assert await cached_db_query(query, {"a": 1}, database=database, cache=cache) == [{"a": 1}]
            assert counts(cache) == (1, 1, 1)
        await engine.dispose()

    asyncio.run(test())


def test_a_refresh_asks_an_async_engine_on_a_connection_of_its_own(
    cache: UnifiedAPICache, path: Path, connection: sqlite3.Connection, clock: ManualClock
) -> None:
    async def test() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        ask = functools.partial(cached_db_query, QUERY, database=engine, cache=cache, ttl=5, stale_while_revalidate=50)
        assert await ask() == ROWS
        connection.execute("DELETE FROM item WHERE id = 2")
        connection.commit()
        clock.advance(9)
        assert await ask() == ROWS
        for _ in range(200):
            if cache.get_stats()["stored"] == 2:
                break
            await asyncio.sleep(0.005)
        assert await ask() == ROWS[:1]
        await engine.dispose()

    asyncio.run(test())


@pytest.mark.parametrize("kind", ["pool", "connection", "databases", "method"])
def test_async_drivers_are_known(cache: UnifiedAPICache, postgresql_host: str, kind: str) -> None:
    async def test() -> None:
        if kind == "databases":
            database: Any = Database(f"postgresql://postgres@/postgres?host={postgresql_host}")
            await database.connect()
            query, parameters = "SELECT :a::int AS a", ({"a": 1},)
            query = "SELECT CAST(:a AS int) AS a"
        else:
            connect = asyncpg.create_pool if kind == "pool" else asyncpg.connect
            database = await connect(host=postgresql_host, user="postgres", database="postgres")
            query, parameters = "SELECT $1::int AS a", (1,)
        asked_of = database.fetch if kind == "method" else database
        for _ in range(2):
            scope = "mine" if kind in {"connection", "method"} else None
            assert await cached_db_query(query, *parameters, database=asked_of, cache=cache, scope=scope) == [{"a": 1}]
            with pytest.raises(InputError, match="only reads"):
                await cached_db_query("DELETE FROM item", database=asked_of, cache=cache)
        if kind in {"pool", "connection"}:
            with pytest.raises(InputError, match="parameters as one list; give them one by one"):
                await cached_db_query("SELECT $1::int + $2::int AS a", [1, 2], database=database, cache=cache)
        if kind != "method":
            with pytest.raises(InputError, match="await cached_db_query"):
                cached_db_query_sync(query, *parameters, database=database, cache=cache)
        await (database.disconnect() if kind == "databases" else database.close())
        assert counts(cache) == (1, 1, 0)

    asyncio.run(test())
