"""The SQLAlchemy adapter against SQLite files."""

import datetime as dt
import decimal
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from apicache import UnifiedAPICache
from apicache.sql import sqlalchemy_loads

metadata = sa.MetaData()
item = sa.Table(
    "item",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String),
    sa.Column("price", sa.Numeric(10, 2)),
    sa.Column("made", sa.DateTime),
    sa.Column("doc", sa.JSON),
)


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


MakeEngine = Callable[..., sa.Engine]


@pytest.fixture
def make_engine(tmp_path: Path) -> Iterator[MakeEngine]:
    made: list[sa.Engine] = []

    def make(name: str = "one", **options: Any) -> sa.Engine:
        engine = sa.create_engine(f"sqlite:///{tmp_path / name}.db", **options)
        made.append(engine)
        if not sa.inspect(engine).has_table("item"):
            metadata.create_all(engine)
            rows = [
                {"id": 1, "name": name, "price": decimal.Decimal("1.50"), "made": dt.datetime(2020, 1, 2), "doc": [7]},
                {"id": 2, "name": "b", "price": None, "made": None, "doc": None},
            ]
            with engine.begin() as connection:
                connection.execute(item.insert(), rows)
        return engine

    yield make
    for engine in made:
        engine.dispose()


@pytest.fixture(params=["connection", "session"])
def owner(request: pytest.FixtureRequest, make_engine: MakeEngine) -> Iterator[Any]:
    engine = make_engine()
    with engine.connect() if request.param == "connection" else Session(engine) as owner:
        yield owner


def counts(cache: UnifiedAPICache) -> tuple[int, int, int]:
    stats = cache.get_stats()
    return stats["cache_hits"], stats["stored"], stats["bypassed"]


STATEMENTS = [
    sa.select(item).order_by(item.c.id),
    sa.select(item.c.name, item.c.price.label("cost")).where(item.c.id.in_([1, 2])).order_by(item.c.id),
    sa.select(item.c.id).union(sa.select(item.c.id + 10)).order_by("id"),
    sa.select(Item.id, Item.name).order_by(Item.id),
    sa.text("SELECT id, name FROM item WHERE id < :below ORDER BY id").bindparams(below=5),
    sa.text("SELECT made FROM item").columns(made=sa.DateTime),
]


@pytest.mark.parametrize("statement", STATEMENTS, ids=str)
def test_rows_are_replayed_with_their_keys_and_types(cache: UnifiedAPICache, owner: Any, statement: Any) -> None:
    direct = owner.execute(statement)
    keys, rows = list(direct.keys()), direct.all()
    for _ in range(3):
        result = cache.cached_api_call_sync(owner.execute, statement)
        assert isinstance(result, sa.Result)
        assert list(result.keys()) == keys
        answer = result.all()
        assert answer == rows
        assert [type(row) for row in answer] == [type(row) for row in rows]
        assert [row._asdict() for row in answer] == [row._asdict() for row in rows]
        for column in getattr(statement, "selected_columns", ()):
            assert answer[0]._mapping[column] == rows[0]._mapping[column]
    assert counts(cache) == (2, 1, 0)


def test_scalars_are_replayed(cache: UnifiedAPICache, owner: Any) -> None:
    statement = sa.select(item.c.price).order_by(item.c.id)
    for _ in range(2):
        result = cache.cached_api_call_sync(owner.scalars, statement)
        assert type(result) is sa.ScalarResult
        assert result.all() == [decimal.Decimal("1.50"), None]
        assert cache.cached_api_call_sync(owner.scalar, statement) == decimal.Decimal("1.50")
    assert counts(cache) == (2, 2, 0)


def test_a_mapped_column_finds_its_value_in_a_sessions_row(cache: UnifiedAPICache, make_engine: MakeEngine) -> None:
    with Session(make_engine()) as session:
        for _ in range(2):
            (row,) = cache.cached_api_call_sync(session.execute, sa.select(Item.id, Item.name).where(Item.id == 1))
            assert row._mapping[Item.name] == row.name == "one"


def test_parameters_and_types_separate(cache: UnifiedAPICache, owner: Any) -> None:
    text = sa.text("SELECT name FROM item WHERE id = :id")
    plain = sa.select(sa.type_coerce(item.c.price, sa.Float).label("price")).where(item.c.id == 1)
    for _ in range(2):
        assert cache.cached_api_call_sync(owner.execute, text, {"id": 1}).scalar() == "one"
        assert cache.cached_api_call_sync(owner.execute, text, {"id": 2}).scalar() == "b"
        typed = sa.select(item.c.price).where(item.c.id == 1)
        assert type(cache.cached_api_call_sync(owner.scalar, typed)) is decimal.Decimal
        assert type(cache.cached_api_call_sync(owner.scalar, plain)) is float
    assert counts(cache) == (4, 4, 0)


def test_two_databases_never_share(cache: UnifiedAPICache, make_engine: MakeEngine) -> None:
    one, other = make_engine("one"), make_engine("other")
    for _ in range(2):
        for engine in (one, other):
            with engine.connect() as connection:
                name = cache.cached_api_call_sync(connection.scalar, sa.select(item.c.name).where(item.c.id == 1))
                assert name == Path(str(engine.url.database)).stem
    assert counts(cache) == (2, 2, 0)


def test_a_read_after_a_write_in_its_transaction_is_not_shared(cache: UnifiedAPICache, owner: Any) -> None:
    read = sa.select(item.c.name).where(item.c.id == 1)
    assert cache.cached_api_call_sync(owner.scalar, read) == "one"
    owner.execute(item.update().values(name="changed"))
    assert cache.cached_api_call_sync(owner.scalar, read) == "changed"
    owner.rollback()
    assert cache.cached_api_call_sync(owner.scalar, read) == "one"
    assert counts(cache) == (1, 1, 1)


def test_a_session_with_changes_to_flush_is_not_shared(cache: UnifiedAPICache, make_engine: MakeEngine) -> None:
    with Session(make_engine()) as session:
        session.add(Item(id=5, name="new"))
        for _ in range(2):
            assert cache.cached_api_call_sync(session.scalar, sa.select(sa.func.count()).select_from(item)) in {2, 3}
            session.new  # noqa: B018 - still there, or flushed into the transaction
    assert counts(cache) == (0, 0, 2)


class Upper(sa.TypeDecorator[str]):
    impl = sa.String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value and value.upper()


@pytest.mark.parametrize(
    "statement",
    [
        sa.select(Item),
        item.insert().values(id=9),
        item.update().values(name="x"),
        sa.select(item.c.id).with_for_update(),
        sa.select(sa.func.random()),
        sa.select(sa.func.now()),
        sa.select(sa.type_coerce(item.c.name, Upper)),
        sa.select(sa.type_coerce(item.c.name, sa.PickleType)).where(sa.false()),
        sa.text("DELETE FROM item"),
        sa.select(item.c.id).execution_options(yield_per=1),
    ],
    ids=str,
)
def test_what_may_change_or_cannot_be_compared_is_asked_each_time(
    cache: UnifiedAPICache, make_engine: MakeEngine, statement: Any, caplog: pytest.LogCaptureFixture
) -> None:
    if "FOR UPDATE" in str(statement):  # SQLite has none, so that the compiler leaves it out
        statement = sa.text("SELECT id FROM item FOR UPDATE")
    with caplog.at_level(logging.WARNING, logger="apicache"):
        for _ in range(2):
            with Session(make_engine()) as session:
                try:
                    cache.cached_api_call_sync(session.execute, statement).close()
                except sa.exc.OperationalError:
                    continue
    assert counts(cache) == (0, 0, 2)
    assert "arguments are refused" not in caplog.text


def test_listeners_creators_and_changed_sessions_are_refused(
    cache: UnifiedAPICache, make_engine: MakeEngine, tmp_path: Path
) -> None:
    import sqlite3

    listening, pooled, made = (
        make_engine(),
        make_engine(),
        make_engine(creator=lambda: sqlite3.connect(tmp_path / "one.db")),
    )
    event.listen(listening, "before_cursor_execute", lambda *_: None)
    event.listen(pooled, "checkout", lambda *_: None)

    class Own(Session):
        def execute(self, *args: Any, **kwargs: Any) -> Any:
            return super().execute(*args, **kwargs)

    owners = [listening.connect(), pooled.connect(), made.connect(), Own(make_engine())]
    for owner in owners:
        with owner:
            assert cache.cached_api_call_sync(owner.execute, sa.select(item.c.id)).all() == [(1,), (2,)]
    assert counts(cache) == (0, 0, 4)


def test_listeners_on_one_connection_or_session_are_refused(cache: UnifiedAPICache, make_engine: MakeEngine) -> None:
    engine = make_engine()
    for name in ("a", "b"):
        with engine.connect() as connection:
            event.listen(connection, "before_cursor_execute", _only(name), retval=True)
            statement = sa.text("SELECT id FROM item")
            found = cache.cached_api_call_sync(connection.execute, statement).all()
            assert found == connection.execute(statement).all()
        with engine.connect() as connection, Session(connection) as session:
            event.listen(connection, "before_cursor_execute", _only(name), retval=True)
            assert cache.cached_api_call_sync(session.execute, statement).all() == found
        with Session(engine) as session:
            event.listen(session, "do_orm_execute", lambda _: None)
            cache.cached_api_call_sync(session.execute, statement)
    assert counts(cache) == (0, 0, 6)


def _only(name: str) -> Callable[..., Any]:
    return lambda _connection, _cursor, sql, parameters, *_: (f"{sql} WHERE name = '{name}'", parameters)


def test_a_parameter_that_a_function_gives_is_refused_and_asked_for_once(
    cache: UnifiedAPICache, make_engine: MakeEngine
) -> None:
    given = iter(range(1, 9))
    one = sa.select(item.c.id).where(item.c.id == sa.bindparam("id", callable_=lambda: next(given)))
    with make_engine().connect() as connection:
        for number in (1, 2):
            assert cache.cached_api_call_sync(connection.scalar, one) == number
    assert counts(cache) == (0, 0, 2)


def test_a_session_of_a_sessionmaker_is_known_and_a_database_in_memory_is_not(
    cache: UnifiedAPICache, make_engine: MakeEngine
) -> None:
    make_session = sessionmaker(make_engine())
    for _ in range(2):
        with make_session() as session:
            cache.cached_api_call_sync(session.execute, sa.select(item.c.id))
    assert counts(cache) == (1, 1, 0)
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        cache.cached_api_call_sync(connection.execute, sa.text("SELECT 1"))
    engine.dispose()
    assert counts(cache) == (1, 1, 1)


def test_a_version_that_makes_no_result_of_stored_rows_is_asked_each_time(
    cache: UnifiedAPICache, owner: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlalchemy_loads, "_unfit", set())
    monkeypatch.setattr(sqlalchemy_loads, "made", lambda data, asked: asked.of_another_version)
    statement = sa.select(item.c.name).order_by(item.c.id)
    with caplog.at_level(logging.WARNING, logger="apicache"):
        for _ in range(2):
            for method in ("execute", "scalars", "scalar"):
                direct = getattr(owner, method)(statement)
                owner.rollback()
                answer = cache.cached_api_call_sync(getattr(owner, method), statement)
                assert type(answer) is type(direct)
                assert answer == "one" if method == "scalar" else len(answer.all()) == 2
    assert counts(cache) == (0, 0, 5)
    assert "AttributeError" in caplog.text


def test_an_error_in_a_stored_value_is_the_callers_alone(cache: UnifiedAPICache, make_engine: MakeEngine) -> None:
    with make_engine().connect() as connection:
        connection.execute(sa.text("UPDATE item SET doc = 'no JSON'"))
        connection.commit()
        for statement in (sa.select(item.c.doc), sa.select(item.c.doc, item.c.id)):
            with pytest.raises(ValueError, match="Expecting value"):
                cache.cached_api_call_sync(connection.scalar, statement)
        assert cache.cached_api_call_sync(connection.scalar, sa.select(item.c.id).order_by(item.c.id)) == 1
    assert counts(cache)[1:] == (1, 0)


def test_what_is_asked_of_a_replayed_results_connection_reaches_the_database(
    cache: UnifiedAPICache, make_engine: MakeEngine
) -> None:
    statement = sa.select(item.c.id).order_by(item.c.id)
    with make_engine().connect() as connection:
        for _ in range(2):
            result = cache.cached_api_call_sync(connection.execute, statement)
            assert result.connection is connection
            assert result.connection.scalar(sa.select(sa.func.count()).select_from(item)) == 2
            assert result.all() == [(1,), (2,)]
            connection.rollback()
    with Session(make_engine()) as session:
        hit = cache.cached_api_call_sync(session.execute, statement)
        with pytest.raises(sa.exc.ResourceClosedError):
            hit.connection.execute(statement)
        assert hit.all() == [(1,), (2,)]
    assert counts(cache) == (2, 1, 0)


def test_an_engines_log_tells_of_what_is_sent_alone(
    cache: UnifiedAPICache, make_engine: MakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    with make_engine(echo=True).connect() as connection:
        caplog.clear()
        for _ in range(3):
            cache.cached_api_call_sync(connection.execute, sa.select(item.c.id)).all()
            connection.rollback()
    assert caplog.text.count("SELECT item.id") == 1
