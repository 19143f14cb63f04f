"""The adapter of PyMySQL against a real MariaDB (`apt-get install -y mariadb-server`)."""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.errors import InputError
from apicache.sql.queries import cached_db_query_sync

pytestmark = [pytest.mark.mysql, pytest.mark.xdist_group("pymysql")]
SQL = "SELECT id, name FROM my_item ORDER BY id"
ROWS = [{"id": 1, "name": "a"}, {"id": 2, "name": None}]


@pytest.fixture
def given() -> dict[str, Any]:
    path = Path(__file__).parent / "adapter_drivers" / "_mysql.py"
    name = "adapter_drivers._mysql"
    if name not in sys.modules:  # the suite's own, where it has started one
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    found = {"unix_socket": sys.modules[name].mysql(), "user": "plain", "database": "mine"}
    with pymysql.connect(**{**found, "database": "suite"}) as connection:
        for database, value in (("mine", "a"), ("theirs", "z")):
            run(connection, f"CREATE OR REPLACE DATABASE {database}")
            run(connection, f"CREATE TABLE {database}.my_item (id int, name text)")
            run(connection, f"INSERT INTO {database}.my_item VALUES (1, '{value}'), (2, NULL)")  # noqa: S608 - ours
        connection.commit()
    return found


@pytest.fixture
def connection(given: Any) -> Iterator[Any]:
    with pymysql.connect(**given, autocommit=True) as connection:
        yield connection


def run(connection: Any, statement: str) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(statement)


def ask(cache: Any, connection: Any, sql: str = SQL, *parameters: Any) -> Any:
    return cached_db_query_sync(sql, *parameters, database=connection, cache=cache)


def counts(cache: UnifiedAPICache) -> tuple[int, int, int]:
    stats = cache.get_stats()
    return stats["cache_hits"], stats["stored"], stats["bypassed"]


def test_rows_are_dicts_for_any_cursor_class(cache: UnifiedAPICache, given: Any) -> None:
    for kind in (pymysql.cursors.Cursor, pymysql.cursors.DictCursor, pymysql.cursors.SSCursor):
        with pymysql.connect(**given, autocommit=True, cursorclass=kind) as connection:
            assert ask(cache, connection) == ROWS
            assert ask(cache, connection, SQL.replace("ORDER", "WHERE rand() < 2 ORDER")) == ROWS
    assert counts(cache) == (2, 1, 3)


@pytest.mark.parametrize("statement", ["USE theirs", "SET time_zone = '+09:00'", "SET sql_mode = 'ANSI_QUOTES'"])
def test_what_is_set_for_the_session_separates(cache: UnifiedAPICache, connection: Any, statement: str) -> None:
    for _ in range(2):
        assert ask(cache, connection) == ROWS
    run(connection, statement)
    for _ in range(2):
        assert ask(cache, connection)[0]["name"] == ("z" if "USE" in statement else "a")
    assert counts(cache) == (2, 2, 0)


def test_a_transaction_is_asked_each_time_and_asking_begins_none(cache: UnifiedAPICache, given: Any) -> None:
    with pymysql.connect(**given) as connection:
        for _ in range(2):
            assert ask(cache, connection) == ROWS
            connection.rollback()
        run(connection, "UPDATE my_item SET name = 'changed'")
        assert ask(cache, connection)[0]["name"] == "changed"
        connection.rollback()
    assert counts(cache) == (1, 1, 1)


def test_what_is_stale_is_loaded_before_its_caller_goes_on(
    cache: UnifiedAPICache, clock: ManualClock, given: Any
) -> None:
    """A refresh in the background would read what the caller writes next, and does not commit."""
    view = cache.using(ttl=10, stale_while_revalidate=60)
    with pymysql.connect(**given) as connection:
        assert ask(view, connection) == ROWS
        connection.rollback()
        clock.advance(20)
        assert ask(view, connection) == ROWS
        run(connection, "UPDATE my_item SET name = 'changed'")
        assert cache.flush()
        connection.rollback()
        assert ask(view, connection) == ROWS
    stats = cache.get_stats()
    assert (stats["refreshes"], stats["stale"], stats["cache_misses"]) == (0, 0, 2)


def test_temporary_tables_own_converters_and_closed_connections_are_refused(
    cache: UnifiedAPICache, given: Any, connection: Any
) -> None:
    assert ask(cache, connection) == ROWS
    run(connection, "CREATE TEMPORARY TABLE my_item SELECT 5 AS id, 'hides' AS name")
    assert ask(cache, connection) == [{"id": 5, "name": "hides"}]
    own = {**pymysql.converters.conversions, pymysql.constants.FIELD_TYPE.LONG: float}
    with pymysql.connect(**given, conv=own) as converting:
        assert type(ask(cache, converting)[0]["id"]) is float
    with pytest.raises(pymysql.err.InterfaceError):
        ask(cache, converting)
    assert counts(cache) == (0, 1, 3)


def test_a_cursors_own_calls_and_writes_are_not_kept(cache: UnifiedAPICache, connection: Any) -> None:
    cursor = connection.cursor()
    for _ in range(2):
        assert cache.cached_api_call_sync(cursor.execute, SQL) == 2
        assert cursor.fetchall() == ((1, "a"), (2, None))
    with pytest.raises(InputError, match="only reads"):
        ask(cache, connection, "DELETE FROM my_item")
    assert counts(cache) == (0, 0, 2)


def test_sqlalchemy_replays_its_results_and_takes_no_connection_for_another_database(
    cache: UnifiedAPICache, given: Any
) -> None:
    url = sa.URL.create("mysql+pymysql", "plain", database="mine", query={"unix_socket": given["unix_socket"]})
    engine = sa.create_engine(url)
    plain, qualified = sa.text(SQL), sa.text(SQL.replace("my_item", "mine.my_item"))
    with engine.connect() as connection:
        direct = connection.execute(plain)
        told = (type(direct), direct.rowcount, direct.keys(), direct.all())
    for _ in range(2):
        with Session(engine) as session:
            answer = cache.cached_api_call_sync(session.execute, plain)
            assert (type(answer), answer.rowcount, answer.keys(), answer.all()) == told
    view = cache.using(scope="mine")
    with engine.connect() as connection:
        for _ in range(2):
            connection.exec_driver_sql("USE theirs")
            connection.rollback()
            assert view.cached_api_call_sync(connection.execute, plain).all() == [(1, "z"), (2, None)]
            connection.rollback()
            assert view.cached_api_call_sync(connection.execute, qualified).all() == [(1, "a"), (2, None)]
            connection.rollback()
    engine.dispose()
    assert counts(cache) == (2, 2, 2)
