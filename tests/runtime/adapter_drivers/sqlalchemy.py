import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

import asyncpg
import sqlalchemy as sa
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from adapter_drivers._driver import Call, Driver, Variant
from adapter_drivers._postgresql import postgresql
from adapter_drivers._sql import QUERY, TEXTS, VALUES, Served, sqlite_file
from apicache.sql.sqlalchemy_engines import call_on

SECRET = "sa-planted-7c7c"
TABLES = """
    CREATE TABLE IF NOT EXISTS item (id int PRIMARY KEY, name text);
    CREATE TABLE IF NOT EXISTS other (LIKE item);
    INSERT INTO item VALUES (1, 'a'), (2, NULL) ON CONFLICT DO NOTHING;
"""
PARAMETERS = VALUES.filter(lambda value: value is not None)


class _Sqlalchemy(Driver):
    """Calls are (method, (SQL text, parameters), {}).

    `execute` answers with an IteratorResult where the library gives a CursorResult, so here it is only identified.
    """

    variants: ClassVar[list[Variant]] = [{}, {"name": "second"}, {"detect_types": 1}]
    failing: ClassVar[Variant] = {"fails": True}
    examples: ClassVar[list[Call]] = [
        ("scalars", (QUERY.format(mark=":a"), {"a": 3}), {}),
        ("scalars", ("SELECT name FROM item",), {}),
    ]
    ignored: ClassVar[list[Any]] = [{"execution_options": {}}]
    refused: ClassVar[list[Call]] = [
        ("scalars", ("SELECT random() IS NULL AS r FROM item",), {}),
        ("scalars", ("UPDATE item SET name = name RETURNING id",), {}),
    ]
    without = {"secret": "a SQLite file has no password"}  # noqa: RUF012 - as in the base

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"sqlalchemy-{self.kind.__name__.lower()}"

    @property
    def arguments(self) -> st.SearchStrategy[Call]:  # type: ignore[override]
        named = st.tuples(st.just(QUERY.format(mark=":a")), st.fixed_dictionaries({"a": PARAMETERS}))
        return st.tuples(st.sampled_from(["execute", "scalars", "scalar"]), st.tuples(TEXTS) | named, st.just({}))

    @contextmanager
    def open(self, _api: Any, variant: Variant) -> Iterator[Served]:
        path = sqlite_file(variant)
        engine = sa.create_engine(
            f"sqlite:///{path}",
            connect_args={"detect_types": variant.get("detect_types", 0)},
            isolation_level="AUTOCOMMIT",
        )
        with engine.connect() if self.kind is sa.Connection else Session(engine) as client:
            served = Served(client)
            live = client if self.kind is sa.Connection else client.connection()
            driver = live.connection.driver_connection
            assert driver is not None
            driver.set_trace_callback(served.seen)
            yield served
            driver.set_trace_callback(None)
        engine.dispose()

    def call(self, client: Served, method: str, args: Any, kwargs: Any) -> Any:
        sql, *parameters = args
        return getattr(client.client, method), (sa.text(sql), *parameters), kwargs

    def read(self, answer: Any) -> Any:
        return type(answer), answer.all()

    def spoil(self, answer: Any) -> None:
        answer.close()

    def sent(self, _api: Any, client: Served) -> int:
        return client.count

    def reset(self, _api: Any, client: Served) -> None:
        client.count = 0


class _Async(_Sqlalchemy):
    """The same over aiosqlite."""

    is_async = True

    @asynccontextmanager
    async def open(self, _api: Any, variant: Variant) -> AsyncIterator[Served]:  # type: ignore[override]
        engine = create_async_engine(
            f"sqlite+aiosqlite:///{sqlite_file(variant)}",
            connect_args={"detect_types": variant.get("detect_types", 0)},
            isolation_level="AUTOCOMMIT",
        )
        async with engine.connect() if self.kind is AsyncConnection else AsyncSession(engine) as client:
            served = Served(client)
            live = client if isinstance(client, AsyncConnection) else await client.connection()
            driver = (await live.get_raw_connection()).driver_connection
            assert driver is not None
            await driver.set_trace_callback(served.seen)
            yield served
            await driver.set_trace_callback(None)
        await engine.dispose()


class _Postgresql(_Sqlalchemy):
    """An engine as `cached_db_query` asks it, which reads the results of its uncached calls to their end, too."""

    is_async = True
    variants: ClassVar[list[Variant]] = [
        {},
        {"server_settings": {"search_path": "public, pg_temp"}},
        {"database": "another_alchemy"},
        {"password": SECRET},
    ]
    failing: ClassVar[Variant] = {"server_settings": {"search_path": "nowhere"}}
    examples: ClassVar[list[Call]] = [("execute", (QUERY.format(mark=":a"), {"a": 3}), {})]
    refused: ClassVar[list[Call]] = [("execute", ("UPDATE item SET name = name RETURNING id",), {})]
    secret = SECRET
    without = {"ignored": "it takes a statement and its parameters only"}  # noqa: RUF012 - as in the base
    ignored: ClassVar[list[Any]] = []

    @property
    def arguments(self) -> st.SearchStrategy[Call]:  # type: ignore[override]
        return super().arguments.map(lambda call: ("execute", *call[1:]))

    @asynccontextmanager
    async def open(self, _api: Any, variant: Variant) -> AsyncIterator[Served]:  # type: ignore[override]
        host, database = postgresql(), variant.get("database", "alchemy")
        await _prepare(host, database)
        url = sa.URL.create(
            "postgresql+asyncpg", "postgres", variant.get("password"), database=database, query={"host": host}
        )
        given = {"prepared_statement_cache_size": 0, "server_settings": variant.get("server_settings", {})}
        engine = create_async_engine(url, connect_args=given)
        served = Served(engine)
        with _counted(served):
            yield served
        await engine.dispose()

    def call(self, client: Served, _method: str, args: Any, kwargs: Any) -> Any:
        sql, *parameters = args
        return call_on(client.client), (sa.text(sql), *parameters), kwargs


@contextmanager
def _counted(served: Served) -> Iterator[None]:
    """The driver's query loggers are not told of prepared statements, which is all that SQLAlchemy makes."""
    plain = asyncpg.Connection.prepare

    async def prepare(self: Any, query: str, **options: Any) -> Any:
        served.seen(query)
        return await plain(self, query, **options)

    asyncpg.Connection.prepare = prepare
    try:
        yield
    finally:
        asyncpg.Connection.prepare = plain


async def _prepare(host: str, database: str) -> None:
    given = {"host": host, "user": "postgres"}
    for name, statements in (("postgres", f"CREATE DATABASE {database}"), (database, TABLES)):
        connection = await asyncpg.connect(**given, database=name)
        with contextlib.suppress(asyncpg.DuplicateDatabaseError):
            await connection.execute(statements)
        await connection.close()


DRIVERS = [
    _Sqlalchemy(sa.Connection),
    _Sqlalchemy(Session),
    _Async(AsyncConnection),
    _Async(AsyncSession),
    _Postgresql(AsyncEngine),
]
