import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

import asyncpg
import sqlalchemy as sa
from hypothesis import strategies as st
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


CORE = sa.select(Item.__table__.c.name, Item.__table__.c.id.label("number")).order_by("number")
ORM = sa.select(Item.id, Item.name).order_by(Item.id)


class _Sqlalchemy(Driver):
    """Calls are (method, (SQL text or a statement, parameters), {})."""

    variants: ClassVar[list[Variant]] = [{}, {"name": "second"}, {"detect_types": 1}]
    failing: ClassVar[Variant] = {"fails": True}
    examples: ClassVar[list[Call]] = [
        ("execute", (QUERY.format(mark=":a"), {"a": 3}), {}),
        ("execute", (CORE,), {}),
        ("execute", (ORM,), {}),
        ("execute", ("SELECT id, name, id FROM item",), {}),
        ("execute", (QUERY.format(mark=":a"), {"a": 0}), {}),
        ("scalars", (QUERY.format(mark=":a"), {"a": 3}), {}),
        ("scalars", (ORM,), {}),
    ]
    ignored: ClassVar[list[Any]] = [{"execution_options": {}}]
    refused: ClassVar[list[Call]] = [
        ("scalars", ("SELECT random() IS NULL AS r FROM item",), {}),
        ("scalars", ("UPDATE item SET name = name RETURNING id",), {}),
        ("execute", (sa.select(Item.id).order_by(Item.id).execution_options(yield_per=1),), {}),
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
        return getattr(client.client, method), (sa.text(sql) if isinstance(sql, str) else sql, *parameters), kwargs

    def read(self, answer: Any) -> Any:
        if not isinstance(answer, sa.Result):
            return type(answer), answer.all() if isinstance(answer, sa.ScalarResult) else answer
        told = [type(answer), list(answer.keys()), answer.closed, _of_cursor(answer)]
        first, many, parts = answer.fetchone(), answer.fetchmany(1), list(answer.partitions(1))
        rows = [row for row in (first, *many, *(row for part in parts for row in part)) if row is not None]
        told += [rows, [(type(row), row._fields, [type(each) for each in row]) for row in rows]]
        told += [[_mapped(row) for row in rows], answer.all(), answer.closed]
        answer.close()
        return (*told, answer.closed, _raised(answer.fetchone))

    def spoil(self, answer: Any) -> None:
        if hasattr(answer, "close"):
            answer.close()

    def sent(self, _api: Any, client: Served) -> int:
        return client.count

    def reset(self, _api: Any, client: Served) -> None:
        client.count = 0


def _of_cursor(answer: Any) -> Any:
    if not isinstance(answer, sa.CursorResult):
        return None
    context = answer.context
    told = (answer.returns_rows, answer.rowcount, answer.is_insert, answer.supports_sane_rowcount())
    connection = answer.connection
    return (*told, type(answer.cursor_strategy), type(context), context.statement, type(connection))


def _mapped(row: Any) -> Any:
    """What a row's names, and the columns of the statements, find in it."""
    columns = [*CORE.selected_columns, *ORM.selected_columns, Item.id, Item.name]
    return [_raised(lambda key=key: row._mapping[key]) for key in ("id", "name", "number", "nowhere", *columns)]


def _raised(work: Any) -> Any:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - whichever the library raises
        return type(error), str(error)


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
    examples: ClassVar[list[Call]] = [
        ("execute", (QUERY.format(mark=":a"), {"a": 3}), {}),
        ("execute", (CORE,), {}),
        ("execute", ("SELECT id, name, id FROM item",), {}),
    ]
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
        return call_on(client.client), (sa.text(sql) if isinstance(sql, str) else sql, *parameters), kwargs


class _OnServer(_Sqlalchemy):
    """A Session that has no connection yet, over a sync driver of PostgreSQL."""

    variants: ClassVar[list[Variant]] = [
        {},
        {"path": "public,pg_temp"},
        {"database": "another_alchemy"},
        {"password": SECRET},
    ]
    failing: ClassVar[Variant] = {"path": "nowhere"}
    secret = SECRET
    without: ClassVar[dict[str, str]] = {}

    def __init__(self, driver: str) -> None:
        super().__init__(Session)
        self.driver = driver

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"sqlalchemy-{self.driver}"

    @contextmanager
    def open(self, _api: Any, variant: Variant) -> Iterator[Served]:
        host, database = postgresql(), variant.get("database", "alchemy")
        asyncio.run(_prepare(host, database))
        query = {"host": host, **({"options": f"-csearch_path={variant['path']}"} if "path" in variant else {})}
        url = sa.URL.create(
            f"postgresql+{self.driver}", "postgres", variant.get("password"), database=database, query=query
        )
        engine = sa.create_engine(url)
        with Session(engine) as client:
            served = Served(client)
            with _executed(served):
                yield served
        engine.dispose()

    def call(self, client: Served, method: str, args: Any, kwargs: Any) -> Any:
        client.client.rollback()  # in a transaction it would be asked each time
        return super().call(client, method, args, kwargs)


@contextmanager
def _executed(served: Served) -> Iterator[None]:
    """What the dialects hand to their drivers: psycopg2's own cursors cannot be watched."""
    plain = DefaultDialect.do_execute

    def do_execute(self: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if type(cursor).__module__.startswith("psycopg"):
            served.seen(statement)
        plain(self, cursor, statement, *rest)

    DefaultDialect.do_execute = do_execute  # type: ignore[method-assign]
    try:
        yield
    finally:
        DefaultDialect.do_execute = plain  # type: ignore[method-assign]


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
    _OnServer("psycopg"),
    _OnServer("psycopg2"),
]
