"""The adapters of psycopg and psycopg2 against a real PostgreSQL: whose a connection's answers are."""

import asyncio
import contextlib
import importlib
import logging
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import psycopg2
import psycopg2.extensions
import pytest
from psycopg.rows import dict_row
from psycopg.types.numeric import FloatLoader

from apicache import UnifiedAPICache
from apicache.errors import InputError
from apicache.sql.cursors import call_on
from apicache.sql.queries import cached_db_query, cached_db_query_sync

TABLES = """
    DROP SCHEMA IF EXISTS other CASCADE;
    DROP TABLE IF EXISTS pg_item;
    CREATE TABLE pg_item (id int, name text, price numeric);
    INSERT INTO pg_item VALUES (1, 'a', 1.50), (2, 'b', NULL);
    CREATE SCHEMA other;
    CREATE TABLE other.pg_item AS SELECT 9 AS id, 'z' AS name, 0.5 AS price;
    DROP ROLE IF EXISTS reader;
    CREATE ROLE reader;
    GRANT USAGE ON SCHEMA other TO reader;
    GRANT SELECT ON pg_item, other.pg_item TO reader;
"""
SQL = "SELECT id, name FROM pg_item ORDER BY id"
ROWS = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]


@pytest.fixture
def given(postgresql_host: str) -> Iterator[dict[str, Any]]:
    found = {"host": postgresql_host, "user": "postgres", "dbname": "postgres"}
    with psycopg.connect(**found, autocommit=True) as connection:
        connection.execute(TABLES)
        yield found
        connection.execute("DROP SCHEMA other CASCADE; DROP TABLE pg_item; DROP ROLE reader")


@pytest.fixture(params=["psycopg", "psycopg2"])
def connection(request: pytest.FixtureRequest, given: Any) -> Iterator[Any]:
    """In autocommit."""
    library = {"psycopg": psycopg, "psycopg2": psycopg2}[request.param]
    opened = library.connect(**given)
    opened.autocommit = True
    yield opened
    opened.close()


def run(connection: Any, statement: str) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(statement)


def ask(cache: Any, connection: Any, sql: str = SQL, *parameters: Any, **policy: Any) -> Any:
    return cached_db_query_sync(sql, *parameters, database=connection, cache=cache, **policy)


def counts(cache: UnifiedAPICache) -> tuple[int, int, int]:
    stats = cache.get_stats()
    return stats["cache_hits"], stats["stored"], stats["bypassed"]


def test_rows_are_dicts_and_parameters_separate(cache: UnifiedAPICache, connection: Any) -> None:
    sql = "SELECT id, name, price FROM pg_item WHERE id < %s ORDER BY id"
    for _ in range(2):
        assert ask(cache, connection, sql, 2) == [{"id": 1, "name": "a", "price": Decimal("1.50")}]
        assert len(ask(cache, connection, sql.replace("%s", "%(below)s"), {"below": 3})) == 2
    assert counts(cache) == (2, 2, 0)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("SET search_path = other", [{"id": 9, "name": "z"}]),
        ("SELECT set_config('search_path', 'other', false)", [{"id": 9, "name": "z"}]),
        ("SET ROLE reader", ROWS),
        ("SET TimeZone = 'Asia/Tokyo'", ROWS),
    ],
)
def test_what_is_set_for_the_session_separates(
    cache: UnifiedAPICache, connection: Any, statement: str, found: Any
) -> None:
    for _ in range(2):
        assert ask(cache, connection) == ROWS
    run(connection, statement)
    for _ in range(2):
        assert ask(cache, connection) == found
    run(connection, "RESET ROLE; RESET ALL")
    assert ask(cache, connection) == ROWS
    assert counts(cache) == (3, 2, 0)


def test_row_level_security_needs_a_scope(cache: UnifiedAPICache, connection: Any) -> None:
    """Policies go by settings of the application's own, which no server lists."""
    run(connection, "ALTER TABLE pg_item ENABLE ROW LEVEL SECURITY")
    run(connection, "CREATE POLICY mine ON pg_item USING (name = current_setting('app.tenant'))")
    run(connection, "SET ROLE reader")
    for _ in range(2):
        for name in ("a", "b"):
            run(connection, f"SET app.tenant = '{name}'")
            assert [row["name"] for row in ask(cache, connection)] == [name]
            assert [row["name"] for row in ask(cache, connection, scope=name)] == [name]
    run(connection, "RESET ROLE")
    assert counts(cache) == (2, 2, 4)


def test_a_transaction_is_asked_each_time_and_asking_begins_none(cache: UnifiedAPICache, connection: Any) -> None:
    """psycopg2 cannot ask without beginning one, so what it does not see is for a scope to say."""
    idle = psycopg2.extensions.TRANSACTION_STATUS_IDLE
    sql = SQL.replace("pg_item", "public.pg_item")
    scope = {"scope": "mine"} if isinstance(connection, psycopg2.extensions.connection) else {}
    connection.autocommit = False
    assert ask(cache, connection, sql, **scope) == ROWS
    assert connection.info.transaction_status != idle  # the query's own
    run(connection, "UPDATE pg_item SET name = 'changed'")
    assert ask(cache, connection, sql, **scope)[0]["name"] == "changed"
    connection.rollback()
    assert ask(cache, connection, sql, **scope) == ROWS
    assert connection.info.transaction_status == idle
    assert connection.autocommit is False
    assert counts(cache) == (1, 1, 1)


def test_finding_a_key_changes_nothing_of_a_psycopg2_transaction(cache: UnifiedAPICache, given: Any) -> None:
    """Autocommit that is switched on and off would keep what is rolled back, in another thread or `with`."""
    with contextlib.closing(psycopg2.connect(**given)) as connection:
        for _ in range(2):
            with contextlib.suppress(ZeroDivisionError), connection:
                assert ask(cache, connection) == ROWS
                run(connection, "UPDATE pg_item SET name = 'lost'")
                raise ZeroDivisionError
            assert connection.autocommit is False
        assert ask(cache, connection) == ROWS
    assert counts(cache) == (0, 0, 3)


@pytest.mark.parametrize(
    ("made", "dropped", "is_known"),
    [
        ("CREATE VIEW v AS SELECT current_setting('app.tenant', true) AS t", "VIEW v", False),
        ("CREATE VIEW v AS SELECT user AS t", "VIEW v", False),
        ("CREATE VIEW v AS SELECT 'current' AS users, id AS \"user\", id AS show FROM pg_item", "VIEW v", True),
        ("CREATE FUNCTION f() RETURNS text STABLE LANGUAGE sql RETURN SESSION_USER", "FUNCTION f", False),
        ("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT /* a */ user /* b **/'", "FUNCTION f", False),
        ("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT ''--'' || user'", "FUNCTION f", False),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 /* user **/ -- show'", "FUNCTION f", True),
        ("CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql AS 'SELECT 1 -- for a user, to show'", "FUNCTION f", True),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN EXECUTE ''SHOW app.x''; RETURN 1; END'",
         "FUNCTION f", False),
        ("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name = current_user; RETURN NEW; END'",
         "FUNCTION f", True),
        ("CREATE AGGREGATE f(int) (SFUNC = int4pl, STYPE = int)", "AGGREGATE f(int)", True),
    ],
)  # fmt: skip
def test_code_that_speaks_of_the_session_needs_a_scope(
    cache: UnifiedAPICache, connection: Any, made: str, dropped: str, is_known: bool
) -> None:
    assert ask(cache, connection) == ROWS
    run(connection, made)
    try:
        for tenant in ("a", "b"):
            run(connection, f"SET app.tenant = '{tenant}'")
            assert ask(cache, connection) == ROWS
            assert ask(cache, connection, scope=tenant) == ROWS
    finally:
        run(connection, f"DROP {dropped}")
    assert ask(cache, connection) == ROWS
    assert counts(cache) == ((3, 3, 0) if is_known else (1, 3, 2))


def test_notifications_reach_who_listens(cache: UnifiedAPICache, given: Any, connection: Any) -> None:
    seen: list[str] = []
    ask(cache, connection)
    run(connection, "LISTEN pg_item")
    with psycopg.connect(**given, autocommit=True) as other:
        other.execute("NOTIFY pg_item, 'new'")
        other.execute("SELECT 1")  # the server has sent it by now, or does with the next answer
    for _ in range(2):
        assert ask(cache, connection) == ROWS
    if isinstance(connection, psycopg.Connection):
        seen = [each.payload for each in connection.notifies(timeout=1, stop_after=1)]
        connection.add_notify_handler(lambda _: None)
        run(connection, "UNLISTEN *")
        assert ask(cache, connection) == ROWS
    else:
        connection.poll()
        seen = [each.payload for each in connection.notifies]
        run(connection, "UNLISTEN *")
    assert seen == ["new"]
    assert counts(cache)[:2] == (0, 1)


def test_what_another_thread_has_begun_meanwhile_is_not_kept(connection: Any) -> None:
    """What a connection reads in a transaction may be what that has written."""
    library = "psycopg" if isinstance(connection, psycopg.Connection) else "psycopg2"
    adapter = importlib.import_module(f"apicache.adapters.{library}")
    function = connection.execute if library == "psycopg" else call_on(connection)
    identified = adapter.identify(function, (SQL,), {})
    run(connection, "BEGIN; UPDATE pg_item SET name = 'changed'")
    loaded = identified.send()
    assert loaded.snapshot.refusal == "rows of a transaction, which may have written them"
    run(connection, "ROLLBACK")


def test_temporary_tables_and_closed_connections_are_refused(
    cache: UnifiedAPICache, connection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert ask(cache, connection) == ROWS
    run(connection, "CREATE TEMPORARY TABLE pg_item AS SELECT 5 AS id, 'hides' AS name")
    with caplog.at_level(logging.WARNING, logger="apicache"):
        assert ask(cache, connection) == [{"id": 5, "name": "hides"}]
    assert "temporary tables" in caplog.text
    connection.close()
    with pytest.raises((psycopg.OperationalError, psycopg2.InterfaceError)):
        ask(cache, connection)
    assert counts(cache) == (0, 1, 2)


@pytest.mark.parametrize("sql", ["SELECT * FROM pg_settings", "SELECT now() AS at", "SELECT nextval('s')"])
def test_what_may_change_is_not_kept(cache: UnifiedAPICache, connection: Any, sql: str) -> None:
    if "nextval" in sql:
        with pytest.raises(InputError, match="only reads"):
            ask(cache, connection, sql)
        return
    for _ in range(2):
        assert ask(cache, connection, sql)
    assert counts(cache) == (0, 0, 2)


def test_rows_are_made_by_the_callers_own_factory_and_loaders(cache: UnifiedAPICache, given: Any) -> None:
    sql = "SELECT id, price FROM pg_item WHERE id = 1"
    with psycopg.connect(**given, autocommit=True) as plain, psycopg.connect(**given, autocommit=True) as own:
        own.row_factory = dict_row  # type: ignore[assignment]
        own.adapters.register_loader("numeric", FloatLoader)
        for _ in range(2):
            assert cache.cached_api_call_sync(plain.execute, sql).fetchall() == [(1, Decimal("1.50"))]
            assert cache.cached_api_call_sync(own.execute, sql).fetchall() == [{"id": 1, "price": 1.5}]
        cursor = cache.cached_api_call_sync(own.execute, sql)
        assert (cursor.connection, cursor.nextset(), cursor.scroll(0), cursor.rownumber) == (own, None, None, 0)
    assert counts(cache) == (4, 1, 0)


def test_cursors_and_classes_of_ones_own_are_asked_each_time(
    cache: UnifiedAPICache, given: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Own(psycopg2.extensions.connection):
        pass

    with caplog.at_level(logging.WARNING, logger="apicache"):
        with psycopg.connect(**given, autocommit=True, cursor_factory=psycopg.ClientCursor) as other:
            assert cache.cached_api_call_sync(other.execute, SQL).fetchall() == [(1, "a"), (2, "b")]
            cursor = other.cursor()
            cache.cached_api_call_sync(cursor.execute, SQL)
            assert cursor.fetchone() == (1, "a")
        with contextlib.closing(psycopg2.connect(**given, connection_factory=Own)) as own:
            assert ask(cache, own) == ROWS
            made = own.cursor()
            assert cache.cached_api_call_sync(made.execute, SQL) is None
            assert made.fetchall() == [(1, "a"), (2, "b")]
    assert counts(cache) == (0, 0, 4)
    assert "cached_db_query(..., database=connection)" in caplog.text


def test_typecasters_of_ones_own_are_refused(cache: UnifiedAPICache, given: Any) -> None:
    caster = psycopg2.extensions.new_type((1700,), "FLOAT", lambda value, _: value and float(value))
    with contextlib.closing(psycopg2.connect(**given)) as connection:
        connection.autocommit = True
        psycopg2.extensions.register_type(caster, connection)
        for _ in range(2):
            assert ask(cache, connection, "SELECT price FROM pg_item WHERE id = 1") == [{"price": 1.5}]
    assert counts(cache) == (0, 0, 2)


def test_an_async_connection_needs_a_scope(cache: UnifiedAPICache, given: Any) -> None:
    async def test() -> None:
        async with await psycopg.AsyncConnection.connect(**given, autocommit=True) as connection:
            for view in (cache, cache.using(scope="mine")) * 2:
                assert await cached_db_query(SQL, database=connection, cache=view) == ROWS
            await connection.execute("SET search_path = other")
            view = cache.using(scope="mine")
            assert await cached_db_query(SQL, database=connection, cache=view) == [{"id": 9, "name": "z"}]
            assert await (await connection.execute(SQL)).fetchall() == [(9, "z")]

    asyncio.run(test())
    assert counts(cache) == (1, 2, 2)
