"""The SQLAlchemy adapter over aiosqlite and asyncpg: async owners, and whose a server's connection is."""

import asyncio
import decimal
import importlib.util
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from apicache import UnifiedAPICache
from apicache.sql import postgresql_sessions, sqlalchemy_loads


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "alchemy_item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[decimal.Decimal | None] = mapped_column(sa.Numeric(10, 2))
    doc: Mapped[Any] = mapped_column(sa.JSON)


item: Any = Item.__table__
READ = sa.select(item).where(item.c.id.in_([1, 2])).order_by(item.c.id)
NAMES = sa.select(item.c.name).order_by(item.c.id)
ROWS = [(1, "a", decimal.Decimal("1.50"), {"x": [7]}), (2, "b", None, None)]
Run = Callable[[Callable[[AsyncEngine], Coroutine[Any, Any, None]]], None]


@asynccontextmanager
async def filled(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
            await connection.run_sync(Base.metadata.create_all)
            names = ("id", "name", "price", "doc")
            await connection.execute(item.insert(), [dict(zip(names, row, strict=True)) for row in ROWS])
        yield engine
    finally:
        await engine.dispose()


def runner(url: str) -> Run:
    def run(test: Callable[[AsyncEngine], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            async with filled(url) as engine:
                await test(engine)

        asyncio.run(whole())

    return run


@pytest.fixture
def on_server(postgresql_host: str) -> Run:
    return runner(f"postgresql+asyncpg://postgres@/postgres?host={postgresql_host}")


@pytest.fixture
def on_file(tmp_path: Path) -> Run:
    return runner(f"sqlite+aiosqlite:///{tmp_path / 'one.db'}")


@pytest.fixture(params=["on_file", "on_server"])
def run(request: pytest.FixtureRequest) -> Run:
    found: Run = request.getfixturevalue(request.param)
    return found


def counts(cache: UnifiedAPICache) -> tuple[int, int, int]:
    stats = cache.get_stats()
    return stats["cache_hits"], stats["stored"], stats["bypassed"]


@pytest.mark.parametrize("kind", [AsyncConnection, AsyncSession])
def test_rows_scalars_and_values_are_replayed(cache: UnifiedAPICache, run: Run, kind: Any) -> None:
    async def test(engine: AsyncEngine) -> None:
        view = cache.using(scope="mine")
        for _ in range(3):
            for method, told in (("execute", ROWS), ("scalars", [1, 2]), ("scalar", 1)):
                async with AsyncSession(engine) if kind is AsyncSession else engine.connect() as owner:
                    answer = await view.cached_api_call(getattr(owner, method), READ)
                    if method == "scalar":
                        assert (type(answer), answer) == (int, told)
                        continue
                    assert isinstance(answer, sa.Result if method == "execute" else sa.ScalarResult)
                    rows = answer.all()
                    assert rows == told
                    if method == "execute":
                        assert rows[0]._mapping[item.c.price] == rows[0].price == decimal.Decimal("1.50")
        assert counts(cache) == (6, 3, 0)

    run(test)


def test_parameters_and_methods_do_not_share_and_are_as_they_were_when_asked(cache: UnifiedAPICache, run: Run) -> None:
    async def test(engine: AsyncEngine) -> None:
        text = sa.text("SELECT name FROM alchemy_item WHERE id = :id")
        for _ in range(2):
            for number, name in ((1, "a"), (2, "b")):
                async with AsyncSession(engine) as session:
                    given = {"id": number}
                    call = asyncio.ensure_future(cache.cached_api_call(session.scalar, text, given))
                    await asyncio.sleep(0)
                    given["id"] = 3 - number
                    assert await call in {name, "ab"[2 - number]}
        async with engine.connect() as connection:
            for number, name in ((1, "a"), (2, "b")):
                view = cache.using(scope="mine")
                assert await view.cached_api_call(connection.scalar, text, {"id": number}) == name
                await connection.rollback()

    run(test)


def test_sessions_share_whether_or_not_they_have_a_connection_yet(cache: UnifiedAPICache, on_file: Run) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            for _ in range(2):
                assert (await cache.cached_api_call(session.execute, READ)).all() == ROWS
                await session.connection()
        assert counts(cache) == (1, 1, 0)

    on_file(test)


def test_a_hit_of_a_session_takes_no_connection(cache: UnifiedAPICache, run: Run) -> None:
    async def test(engine: AsyncEngine) -> None:
        for has_asked in (True, False):
            async with AsyncSession(engine) as session:
                await cache.cached_api_call(session.execute, READ)
                assert session.in_transaction() is has_asked
        assert counts(cache) == (1, 1, 0)

    run(test)


def test_a_read_after_a_write_in_its_transaction_is_not_shared(cache: UnifiedAPICache, run: Run) -> None:
    async def test(engine: AsyncEngine) -> None:
        view = cache.using(scope="mine")
        for owner in (engine.connect(), AsyncSession(engine)):
            async with owner as opened:
                await opened.execute(item.update().values(name="changed"))
                assert (await view.cached_api_call(opened.scalars, NAMES)).all() == ["changed"] * 2
                await opened.rollback()
            assert counts(cache)[1] == 0
        assert counts(cache) == (0, 0, 2)

    run(test)


def test_streams_entities_and_writes_are_asked_each_time(
    cache: UnifiedAPICache, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(engine: AsyncEngine) -> None:
        for _ in range(2):
            async with AsyncSession(engine) as session:
                stream = await cache.cached_api_call(session.stream, READ)
                assert [tuple(row) async for row in stream] == ROWS
                assert (await cache.cached_api_call(session.scalar, sa.select(Item))).name == "a"
                await cache.cached_api_call(session.execute, item.update().values(name="a"))
        assert counts(cache) == (0, 0, 6)

    with caplog.at_level(logging.WARNING, logger="apicache"):
        run(test)
    assert "arguments are refused" not in caplog.text


@pytest.mark.parametrize("name", ["do_orm_execute", "after_begin", "after_transaction_create"])
def test_a_session_with_listeners_is_asked_each_time(cache: UnifiedAPICache, on_file: Run, name: str) -> None:
    async def test(engine: AsyncEngine) -> None:
        for _ in range(2):
            async with AsyncSession(engine) as session:
                event.listen(session.sync_session, name, lambda *_: None)
                assert (await cache.cached_api_call(session.execute, READ)).all() == ROWS
        assert counts(cache) == (0, 0, 2)

    on_file(test)


def test_classes_of_ones_own_and_closed_connections_are_refused(cache: UnifiedAPICache, on_file: Run) -> None:
    class Own(AsyncSession):
        async def execute(self, *args: Any, **kwargs: Any) -> Any:
            return await super().execute(*args, **kwargs)

    async def test(engine: AsyncEngine) -> None:
        async with Own(engine) as session:
            assert (await cache.cached_api_call(session.scalars, NAMES)).all() == ["a", "b"]
        async with engine.connect() as connection:
            pass
        for closed in (connection, engine.connect()):
            with pytest.raises(sa.exc.SQLAlchemyError):
                await cache.cached_api_call(closed.execute, READ)
        assert counts(cache) == (0, 0, 3)

    on_file(test)


def test_the_options_of_a_session_separate(cache: UnifiedAPICache, on_server: Run) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            for statement in ("DROP SCHEMA IF EXISTS elsewhere CASCADE", "CREATE SCHEMA elsewhere"):
                await connection.execute(sa.text(statement))
            await connection.execute(sa.text("CREATE TABLE elsewhere.alchemy_item AS SELECT 9 AS id, 'z' AS name"))
        mapped = engine.execution_options(schema_translate_map={None: "elsewhere"})
        for _ in range(3):
            for each, names in ((engine, ["a", "b"]), (mapped, ["z"])):
                async with AsyncSession(each) as session:
                    assert (await cache.cached_api_call(session.scalars, NAMES)).all() == names
        assert counts(cache) == (3, 3, 0)  # SQLAlchemy adds a name to the map as it first uses it

    on_server(test)


def test_sync_owners_are_known_where_there_is_no_greenlet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy.ext.asyncio", None)
    spec = importlib.util.find_spec("apicache.adapters.sqlalchemy")
    assert spec is not None
    assert spec.loader is not None
    adapter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(adapter)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'one.db'}")
    with Session(engine) as session:
        assert adapter.identify(session.execute, (sa.text("SELECT 1"),), {}).needs_scope is None
    engine.dispose()


def test_two_databases_never_share(cache: UnifiedAPICache, tmp_path: Path) -> None:
    async def test() -> None:
        for _ in range(2):
            for name in ("one", "other"):
                async with filled(f"sqlite+aiosqlite:///{tmp_path / name}.db") as engine:
                    async with engine.begin() as connection:
                        await connection.execute(item.update().values(name=name))
                    async with AsyncSession(engine) as session:
                        assert await cache.cached_api_call(session.scalar, NAMES) == name

    asyncio.run(test())
    assert counts(cache) == (2, 2, 0)


def test_a_servers_connection_needs_a_scope(
    cache: UnifiedAPICache, on_server: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Its role and its tenant cannot be read off: with row-level security they say what is seen."""

    async def test(engine: AsyncEngine) -> None:
        tenant = sa.text("SELECT current_setting('app.tenant', true) || name FROM alchemy_item WHERE id = 1")
        for _ in range(2):
            for name in ("one", "other"):
                async with engine.connect() as connection:
                    await connection.execute(sa.text(f"SET app.tenant = '{name}'"))
                    await connection.commit()
                    assert (await cache.cached_api_call(connection.scalars, NAMES)).all() == ["a", "b"]
                    await connection.rollback()
                    plain = await connection.scalar(tenant)
                    await connection.rollback()
                    view = cache.using(scope=name)
                    assert (await view.cached_api_call(connection.scalars, NAMES)).all() == ["a", "b"]
                    assert plain == f"{name}a"
        assert counts(cache) == (2, 2, 4)

    with caplog.at_level(logging.WARNING, logger="apicache"):
        on_server(test)
    assert "using(scope=...)" in caplog.text


def test_a_session_on_a_connection_needs_a_scope_as_the_connection_does(cache: UnifiedAPICache, on_server: Run) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            for view, told in ((cache, (0, 0, 1)), (cache.using(scope="mine"), (0, 1, 1))):
                async with AsyncSession(connection) as session:
                    assert await view.cached_api_call(session.scalar, NAMES) == "a"
                assert counts(cache) == told

    on_server(test)


def test_a_database_in_memory_is_whose_its_scope_says(cache: UnifiedAPICache) -> None:
    for number in range(2):
        engine = sa.create_engine("sqlite://")
        with Session(engine) as session:
            session.execute(sa.text("CREATE TABLE item (id INTEGER)"))
            session.execute(sa.text("INSERT INTO item VALUES (:number)"), {"number": number})
            session.commit()
            for _ in range(2):
                for surface in (cache, cache.using(scope=f"tenant {number}")):
                    assert surface.cached_api_call_sync(session.scalar, sa.text("SELECT id FROM item")) == number
        engine.dispose()
    assert counts(cache) == (2, 2, 4)


def test_an_async_connection_in_memory_is_asked_each_time(
    cache: UnifiedAPICache, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with filled("sqlite+aiosqlite://") as engine, engine.connect() as connection:
            for _ in range(2):
                view = cache.using(scope="mine")
                assert await view.cached_api_call(connection.scalar, NAMES) == "a"

    with caplog.at_level(logging.WARNING, logger="apicache"):
        asyncio.run(test())
    assert counts(cache) == (0, 0, 2)
    assert "check_same_thread" in caplog.text


@pytest.fixture
def no_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seen of a pool is remembered for the process."""
    monkeypatch.setattr(postgresql_sessions, "_changes", {})


@pytest.mark.usefixtures("no_changes")
@pytest.mark.parametrize(
    ("left", "told"),
    [
        ("SET ROLE staying", "the role staying set"),
        ("SET search_path = public, pg_temp", "search_path set"),
        ("SELECT set_config('TimeZone', 'Asia/Tokyo', false)", "TimeZone set"),
        ("CREATE POLICY by_tenant ON alchemy_item USING (name = current_setting('app.tenant'))", "row-level security"),
        ("SET SESSION AUTHORIZATION staying", "that of staying, not of postgres"),
        ("CREATE VIEW alchemy_view AS SELECT current_setting('app.tenant', true)", "views, functions or operators"),
    ],
)
def test_what_was_left_on_an_engines_connection_keeps_its_answer_out(
    cache: UnifiedAPICache, on_server: Run, caplog: pytest.LogCaptureFixture, left: str, told: str
) -> None:
    """SQLAlchemy only rolls back what returns to its pool."""

    async def test(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            for statement in (
                "DROP VIEW IF EXISTS alchemy_view",
                "DROP ROLE IF EXISTS staying",
                "CREATE ROLE staying",
            ):
                await connection.execute(sa.text(statement))
            await connection.execute(sa.text("GRANT SELECT ON alchemy_item TO staying"))
        for statement in ("SELECT 1", left):
            async with engine.begin() as connection:
                await connection.execute(sa.text(statement))
            for _ in range(2):
                for method in ("scalar", "scalars"):
                    async with AsyncSession(engine) as session:
                        await cache.cached_api_call(
                            getattr(session, method), NAMES.limit(3 if statement == left else 2)
                        )
        assert counts(cache) == (2, 2, 3)  # the first one's is not kept, and none is after it
        view = cache.using(scope="mine")
        for _ in range(2):
            async with AsyncSession(engine) as session:
                assert await view.cached_api_call(session.scalar, NAMES) == "a"
        assert counts(cache) == (3, 3, 3)
        async with engine.begin() as connection:
            await connection.execute(sa.text("RESET SESSION AUTHORIZATION"))
            await connection.execute(sa.text("DROP VIEW IF EXISTS alchemy_view"))

    with caplog.at_level(logging.WARNING, logger="apicache"):
        on_server(test)
    assert told in caplog.text


@pytest.mark.usefixtures("no_changes")
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
@pytest.mark.parametrize("level", ["READ COMMITTED", "AUTOCOMMIT"])
def test_a_question_that_fails_fails_no_transaction_and_says_nothing_of_the_next(
    cache: UnifiedAPICache, postgresql_host: str, monkeypatch: pytest.MonkeyPatch, driver: str, level: Any
) -> None:
    one = sa.text("SELECT count(*) FROM pg_catalog.pg_type WHERE typname = 'int4'")

    def ask(session: Session) -> Any:
        return cache.cached_api_call_sync(session.scalar, one)

    async def test() -> None:
        url = f"postgresql+{driver}://postgres@/postgres?host={postgresql_host}"
        engine = create_async_engine(url, isolation_level=level) if driver == "asyncpg" else None
        sync_engine = sa.create_engine(url, isolation_level=level) if engine is None else engine.sync_engine
        for question in ("SELECT 1 / 0", postgresql_sessions.CHANGED):
            monkeypatch.setattr(sqlalchemy_loads, "CHANGED", question)
            for _ in range(2):
                if engine is None:
                    with Session(sync_engine) as session:
                        assert ask(session) == 1
                        assert session.scalar(sa.text("SELECT 2")) == 2
                else:
                    async with AsyncSession(engine) as asked:
                        assert await cache.cached_api_call(asked.scalar, one) == 1
                        assert await asked.scalar(sa.text("SELECT 2")) == 2
        if engine is None:
            sync_engine.dispose()
        else:
            await engine.dispose()

    asyncio.run(test())
    assert counts(cache) == (1, 1, 0)


@pytest.mark.usefixtures("no_changes")
def test_a_url_without_a_user_needs_a_scope(
    cache: UnifiedAPICache, postgresql_host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver logs in as whom the environment says, which is no part of the engine."""
    monkeypatch.setenv("PGUSER", "postgres")
    engine = sa.create_engine(f"postgresql+psycopg2:///postgres?host={postgresql_host}")
    for view in (cache, cache, cache.using(scope="mine"), cache.using(scope="mine")):
        with Session(engine) as session:
            assert view.cached_api_call_sync(session.scalar, sa.text("SELECT 1")) == 1
    engine.dispose()
    assert counts(cache) == (1, 1, 2)


def test_a_connections_search_path_separates(cache: UnifiedAPICache, on_server: Run) -> None:
    async def test(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            for statement in ("DROP SCHEMA IF EXISTS beside CASCADE", "CREATE SCHEMA beside"):
                await connection.execute(sa.text(statement))
            await connection.execute(sa.text("CREATE TABLE beside.alchemy_item (LIKE alchemy_item)"))
            await connection.execute(sa.text("INSERT INTO beside.alchemy_item VALUES (9, 'z', NULL, 'null')"))
        view = cache.using(scope="mine")
        async with engine.connect() as connection:
            for path, name in (("public", "a"), ("beside", "z")) * 2:
                await connection.execute(sa.text(f"SET search_path = {path}"))
                await connection.commit()
                assert await view.cached_api_call(connection.scalar, NAMES) == name
                await connection.rollback()
        assert counts(cache) == (2, 2, 0)

    on_server(test)
