"""Calls that are made on a connection or a session of the caller's own: at no other time, and nobody else's failure."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from apicache import UnifiedAPICache, core
from apicache.clock import ManualClock
from apicache.errors import LoadTimeoutError
from apicache.sql.queries import cached_db_query_sync

SQL = "SELECT x FROM public.held"
STALE: dict[str, Any] = {"ttl": 10, "stale_while_revalidate": 60}
SLOW = "SELECT x FROM public.held, pg_catalog.generate_series(1, 1000000) g ORDER BY g DESC LIMIT 1"
Open = Callable[[], contextlib.AbstractContextManager[Any]]


@pytest.fixture
def server(postgresql_host: str) -> Iterator[dict[str, Any]]:
    """How to connect, to a table of one row."""
    given = {"host": postgresql_host, "user": "postgres", "dbname": "postgres"}
    with psycopg.connect(**given, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS held; CREATE TABLE held (x int); INSERT INTO held VALUES (1)")
        yield given
        connection.execute("DROP TABLE held")


def url(server: dict[str, Any], driver: str) -> str:
    return f"postgresql+{driver}://postgres@/postgres?host={server['host']}"


@pytest.fixture(params=["sqlite3", "psycopg", "psycopg2", "Session", "Connection"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Any of the connections that a sync caller may have; those of a server are not in autocommit."""
    if request.param == "sqlite3":
        with contextlib.closing(sqlite3.connect(tmp_path / "held.db", check_same_thread=False)) as connection:
            connection.executescript("CREATE TABLE held (x int); INSERT INTO held VALUES (1)")
            yield connection
        return
    server = request.getfixturevalue("server")
    if request.param in {"psycopg", "psycopg2"}:
        library: Any = {"psycopg": psycopg, "psycopg2": psycopg2}[request.param]
        with contextlib.closing(library.connect(**server)) as connection:
            yield connection
        return
    engine = sa.create_engine(url(server, "psycopg2"))
    with Session(engine) if request.param == "Session" else engine.connect() as owner:
        yield owner
    engine.dispose()


def run(owner: Any, statement: str) -> None:
    if isinstance(owner, Session | sa.Connection):
        owner.execute(sa.text(statement))
    else:
        with contextlib.closing(owner.cursor()) as cursor:
            cursor.execute(statement)


def ask(cache: Any, owner: Any, **policy: Any) -> list[int]:
    sql = "SELECT x FROM held" if isinstance(owner, sqlite3.Connection) else SQL
    return [row["x"] for row in cached_db_query_sync(sql, database=owner, cache=cache, scope="mine", **policy)]


@pytest.mark.parametrize("policy", [STALE, {**STALE, "key": "own"}, {"ttl": 60, "early_refresh": 1.0}])
def test_what_is_stale_is_loaded_before_its_caller_goes_on(
    cache: UnifiedAPICache,
    clock: ManualClock,
    opened: Any,
    policy: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refresh in the background would read what the caller writes next, and does not commit."""
    monkeypatch.setattr(core, "is_due_early", lambda *_: True)
    assert ask(cache, opened, **policy) == [1]
    opened.rollback()
    clock.advance(20)
    for _ in range(2):
        assert ask(cache, opened, **policy) == [1]
        run(opened, "UPDATE held SET x = 2")
        assert cache.flush()
        opened.rollback()
    stats = cache.get_stats()
    assert (stats["refreshes"], stats["early_refreshes"], stats["stale"]) == (0, 0, 0)
    assert ask(cache, opened, **policy) == [1]


def test_a_timeout_leaves_the_load_of_a_sync_caller_in_its_thread(cache: UnifiedAPICache, opened: Any) -> None:
    begun: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", begun.append)
        assert ask(cache, opened, hard_timeout=60, soft_timeout=30) == [1]
    assert begun == []


def test_an_engines_answer_is_refreshed_in_the_background(
    cache: UnifiedAPICache, clock: ManualClock, server: dict[str, Any]
) -> None:
    engine = sa.create_engine(url(server, "psycopg2"))
    assert ask(cache, engine, **STALE) == [1]
    clock.advance(20)
    assert ask(cache, engine, **STALE) == [1]
    assert cache.flush()
    engine.dispose()
    stats = cache.get_stats()
    assert (stats["refreshes"], stats["stale"]) == (1, 1)


# Several callers of one key, each with a connection of its own.


@contextlib.asynccontextmanager
async def asyncpg_call(cache: Any, server: dict[str, Any]) -> AsyncIterator[tuple[Callable[[], Any], Any]]:
    connection = await asyncpg.connect(host=server["host"], user="postgres", database="postgres")
    try:
        yield lambda: cache.cached_api_call(connection.fetchval, SLOW), connection.fetchval
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def session_call(cache: Any, server: dict[str, Any]) -> AsyncIterator[tuple[Callable[[], Any], Any]]:
    engine = create_async_engine(url(server, "asyncpg"))
    async with AsyncSession(engine) as session:
        yield lambda: cache.cached_api_call(session.scalar, sa.text(SLOW)), lambda q: session.scalar(sa.text(q))
    await engine.dispose()


@contextlib.asynccontextmanager
async def psycopg_call(cache: Any, server: dict[str, Any]) -> AsyncIterator[tuple[Callable[[], Any], Any]]:
    async with await psycopg.AsyncConnection.connect(**server, autocommit=True) as connection:

        async def first(cursor: Any) -> Any:
            return (await (await cursor).fetchone())[0]

        yield (
            lambda: first(cache.cached_api_call(connection.execute, SLOW)),
            lambda query: first(connection.execute(query)),
        )


@pytest.fixture(params=[asyncpg_call, session_call, psycopg_call])
def caller(request: pytest.FixtureRequest) -> Any:
    return request.param


async def until(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.005)


async def until_it_runs(server: dict[str, Any], count: int = 1) -> list[int]:
    """The servers' processes that run the slow query, once there are so many."""
    sql = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%%1000000%%' AND pid <> %s"
    async with await psycopg.AsyncConnection.connect(**server, autocommit=True) as watching:
        while True:
            found = await (await watching.execute(sql, [watching.info.backend_pid])).fetchall()
            if len(found) >= count:
                return [pid for (pid,) in found]
            await asyncio.sleep(0.005)


def test_a_caller_that_is_cancelled_ends_its_load_and_no_other_callers(
    cache: UnifiedAPICache, server: dict[str, Any], caller: Any
) -> None:
    view = cache.using(scope="mine")

    async def test() -> None:
        async with caller(view, server) as (lead, ask_first), caller(view, server) as (follow, ask_second):
            leading = asyncio.ensure_future(lead())
            await until_it_runs(server)
            following = asyncio.ensure_future(follow())
            await asyncio.sleep(0)
            leading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leading
            with contextlib.suppress(sa.exc.InvalidRequestError, sa.exc.PendingRollbackError):
                await ask_first("SELECT 5")  # what was cancelled has ended: nothing else goes on there
            assert await following == 1
            assert await ask_second("SELECT 5") == 5

    asyncio.run(test())


def test_how_a_callers_connection_fails_is_told_to_no_other_caller(
    cache: UnifiedAPICache, server: dict[str, Any], caller: Any
) -> None:
    view = cache.using(scope="mine")

    async def test() -> None:
        async with caller(view, server) as (lead, _), caller(view, server) as (follow, ask_second):
            leading = asyncio.ensure_future(lead())
            (pid,) = await until_it_runs(server)
            following = asyncio.ensure_future(follow())
            await asyncio.sleep(0)
            async with await psycopg.AsyncConnection.connect(**server, autocommit=True) as other:
                await other.execute("SELECT pg_cancel_backend(%s)", [pid])
            with pytest.raises((asyncpg.QueryCanceledError, psycopg.errors.QueryCanceled, sa.exc.DBAPIError)):
                await leading
            assert await following == 1
            assert await ask_second("SELECT 5") == 5

    asyncio.run(test())


def test_callers_share_a_load_that_succeeds(cache: UnifiedAPICache, server: dict[str, Any], caller: Any) -> None:
    view = cache.using(scope="mine")

    async def test() -> None:
        async with caller(view, server) as (one, _), caller(view, server) as (other, _):
            assert await asyncio.gather(one(), other()) == [1, 1]

    asyncio.run(test())
    assert cache.get_stats()["cache_misses"] == 1


def test_a_timeout_cancels_the_load_of_an_async_caller(
    cache: UnifiedAPICache, server: dict[str, Any], caller: Any
) -> None:
    """It would go on where the caller asks something else next."""
    view = cache.using(scope="mine", hard_timeout=0.05)

    async def test() -> None:
        async with caller(view, server) as (late, ask_again):
            with pytest.raises(LoadTimeoutError, match="it was cancelled"):
                await late()
            with contextlib.suppress(sa.exc.InvalidRequestError, sa.exc.PendingRollbackError):
                assert await ask_again("SELECT 5") == 5

    asyncio.run(test())
    assert len(cache.engine.flights) == 0


def test_a_sync_callers_error_is_told_to_no_other_thread(cache: UnifiedAPICache, server: dict[str, Any]) -> None:
    found: dict[str, Any] = {}

    def go(name: str) -> None:
        with contextlib.closing(psycopg2.connect(**server)) as connection:
            found[f"{name} pid"] = connection.info.backend_pid
            try:
                rows = cached_db_query_sync(SLOW, database=connection, cache=cache, scope="mine")
            except psycopg2.Error as error:
                rows = [type(error).__name__]  # type: ignore[list-item]
            found[name] = rows

    threads = [threading.Thread(target=go, args=(name,)) for name in ("lead", "follow")]
    threads[0].start()
    asyncio.run(until_it_runs(server))
    threads[1].start()
    flight = next(iter(cache.engine.flights._flights.values()))
    asyncio.run(until(lambda: flight.waiters == 2))
    with psycopg.connect(**server, autocommit=True) as other:
        other.execute("SELECT pg_cancel_backend(%s)", [found["lead pid"]])
    for thread in threads:
        thread.join()
    assert (found["lead"], found["follow"]) == (["QueryCanceled"], [{"x": 1}])


# Pools that give one connection to several.


@pytest.mark.parametrize("pool", [StaticPool, SingletonThreadPool])
def test_finding_a_key_rolls_no_other_sessions_write_back(cache: UnifiedAPICache, pool: Any) -> None:
    engine = sa.create_engine("sqlite://", poolclass=pool, connect_args={"check_same_thread": False})
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE held (x int)"))
    with Session(engine) as writer:
        writer.execute(sa.text("INSERT INTO held VALUES (1)"))
        reader = Session(engine)
        view = cache.using(scope="mine")
        assert view.cached_api_call_sync(reader.execute, sa.text("SELECT x FROM held")).all() == [(1,)]
        writer.commit()
        assert writer.execute(sa.text("SELECT count(*) FROM held")).scalar() == 1
        assert cache.get_stats()["stored"] == 0
        reader.close()
    engine.dispose()


def test_what_another_session_of_one_connection_has_not_committed_is_not_kept(
    cache: UnifiedAPICache, server: dict[str, Any]
) -> None:
    engine = sa.create_engine(url(server, "psycopg2"), poolclass=StaticPool)
    with Session(engine) as writer, Session(engine) as reader:
        writer.execute(sa.text("UPDATE held SET x = 2"))
        assert ask(cache, reader) == [2]
        writer.rollback()
    assert cache.get_stats()["stored"] == 0
    engine.dispose()
