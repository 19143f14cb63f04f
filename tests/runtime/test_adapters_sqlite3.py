"""The sqlite3 adapter against real files."""

import asyncio
import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apicache import UnifiedAPICache
from apicache.sql import file_births
from apicache.sql.db_api import file_of

Open = Callable[..., sqlite3.Connection]
QUERY = "SELECT id, name FROM item WHERE id < ? ORDER BY id"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / "one.db", "a", "b")


def make(path: Path, *names: str) -> Path:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE item (id INTEGER, name TEXT, made TIMESTAMP, body BLOB, size REAL)")
    rows = [(number, name, "2020-01-02 03:04:05", b"\x00'", 0.5) for number, name in enumerate(names, 1)]
    connection.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return path


@pytest.fixture
def connect(path: Path) -> Iterator[Open]:
    opened: list[sqlite3.Connection] = []

    def connect(file: Any = path, **options: Any) -> sqlite3.Connection:
        opened.append(sqlite3.connect(file, **options))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def ask(cache: UnifiedAPICache, connection: sqlite3.Connection, *args: Any) -> Any:
    return cache.cached_api_call_sync(connection.execute, *args)


def counts(cache: UnifiedAPICache) -> tuple[int, int, int]:
    stats = cache.get_stats()
    return stats["cache_hits"], stats["stored"], stats["bypassed"]


def test_a_replayed_cursor_reads_as_the_first_one_did(cache: UnifiedAPICache, connect: Open) -> None:
    connection = connect()
    sql = 'SELECT id, name AS "the [name]", body, size, NULL, id FROM item WHERE id < ?'
    direct = connection.execute(sql, (5,))
    for _ in range(3):
        cursor = ask(cache, connection, sql, (5,))
        assert type(cursor) is sqlite3.Cursor
        assert cursor.description == direct.description
        assert (cursor.rowcount, cursor.arraysize) == (-1, 1)
        assert cursor.fetchone() == (1, "a", b"\x00'", 0.5, None, 1)
        assert cursor.fetchmany(5) == [(2, "b", b"\x00'", 0.5, None, 2)]
        assert cursor.fetchall() == []
    assert counts(cache) == (2, 1, 0)


def test_an_empty_answer_has_its_columns(cache: UnifiedAPICache, connect: Open) -> None:
    connection = connect()
    for _ in range(2):
        cursor = ask(cache, connection, QUERY, (0,))
        assert list(cursor) == []
        assert [column[0] for column in cursor.description] == ["id", "name"]
    assert counts(cache) == (1, 1, 0)


def test_each_caller_has_its_own_row_factory(cache: UnifiedAPICache, connect: Open) -> None:
    plain, rows = connect(), connect()
    rows.row_factory = sqlite3.Row
    assert ask(cache, plain, QUERY, (2,)).fetchall() == [(1, "a")]
    (row,) = ask(cache, rows, QUERY, (2,)).fetchall()
    assert (type(row), row["name"], row.keys()) == (sqlite3.Row, "a", ["id", "name"])
    assert counts(cache)[0] == 1


@pytest.mark.parametrize(
    ("detected", "sql"),
    [
        (sqlite3.PARSE_DECLTYPES, "SELECT made, id FROM item WHERE id = 1"),
        (sqlite3.PARSE_COLNAMES, 'SELECT name, made AS "at [timestamp]" FROM item WHERE id = 1'),
        (sqlite3.PARSE_COLNAMES | sqlite3.PARSE_DECLTYPES, 'SELECT made, made AS "at [timestamp]" FROM item'),
    ],
)
def test_a_connection_that_converts_does_not_share_with_one_that_does_not(
    cache: UnifiedAPICache, connect: Open, detected: int, sql: str
) -> None:
    plain, converting = connect(), connect(detect_types=detected)
    for _ in range(2):
        for connection in (plain, converting):
            cursor, direct = ask(cache, connection, sql), connection.execute(sql)
            assert cursor.description == direct.description
            answer = cursor.fetchall()
            assert answer == direct.fetchall()
            assert any(type(value) is dt.datetime for value in answer[0]) == (connection is converting)
    assert counts(cache) == (2, 2, 0)


def test_converted_values_under_a_name_with_a_bracket_are_asked_for_each_time(
    cache: UnifiedAPICache, connect: Open
) -> None:
    connection = connect(detect_types=sqlite3.PARSE_DECLTYPES)
    for _ in range(2):
        cursor = ask(cache, connection, 'SELECT made AS "at [1]" FROM item WHERE id = 1')
        assert cursor.description[0][0] == "at [1]"
        assert cursor.fetchall() == [(dt.datetime(2020, 1, 2, 3, 4, 5),)]
    assert counts(cache)[:2] == (0, 0)


def test_a_text_factory_is_part_of_the_identity(cache: UnifiedAPICache, connect: Open) -> None:
    plain, raw, own = connect(), connect(), connect()
    raw.text_factory, own.text_factory = bytes, lambda text: text.decode().upper()
    for _ in range(2):
        assert ask(cache, plain, QUERY, (2,)).fetchall() == [(1, "a")]
        assert ask(cache, raw, QUERY, (2,)).fetchall() == [(1, b"a")]
        assert ask(cache, own, QUERY, (2,)).fetchall() == [(1, "A")]
    assert counts(cache) == (2, 2, 2)


def test_spelling_counts_only_where_it_names_a_column(cache: UnifiedAPICache, connect: Open) -> None:
    connection = connect()
    for sql in ("SELECT id FROM item", "SELECT  id /* x */ FROM item;"):
        ask(cache, connection, sql)
    assert counts(cache)[:2] == (1, 1)
    for sql in ("SELECT count(*) FROM item", "SELECT count( * ) FROM item"):
        assert ask(cache, connection, sql).description == connection.execute(sql).description
    assert counts(cache)[:2] == (1, 3)


@pytest.mark.parametrize(
    ("one", "other"), [((1,), (2,)), ((1,), (1.0,)), ((1,), ("1",)), (("1",), (b"1",)), ((1,), (True,))]
)
def test_parameters_of_another_value_or_type_do_not_share(
    cache: UnifiedAPICache, connect: Open, one: Any, other: Any
) -> None:
    connection = connect()
    for parameters in (one, other, one, other):
        assert ask(cache, connection, "SELECT typeof(?) AS t", parameters).fetchall()
    assert counts(cache)[:2] == (2, 2)


def test_parameters_by_name_are_taken(cache: UnifiedAPICache, connect: Open) -> None:
    connection = connect()
    for parameters in ({"a": 1, "b": 2}, {"b": 2, "a": 1}):
        assert ask(cache, connection, "SELECT :a AS a, :b AS b", parameters).fetchall() == [(1, 2)]
    assert counts(cache)[:2] == (1, 1)


def test_two_databases_never_share(cache: UnifiedAPICache, connect: Open, tmp_path: Path) -> None:
    one, other = connect(), connect(make(tmp_path / "other.db", "x"))
    for _ in range(2):
        assert ask(cache, one, QUERY, (2,)).fetchall() == [(1, "a")]
        assert ask(cache, other, QUERY, (2,)).fetchall() == [(1, "x")]
    assert counts(cache) == (2, 2, 0)


def test_a_file_that_takes_the_place_of_another_is_another_database(
    cache: UnifiedAPICache, connect: Open, tmp_path: Path, path: Path
) -> None:
    assert ask(cache, connect(), QUERY, (2,)).fetchall() == [(1, "a")]
    make(tmp_path / "new.db", "new").replace(path)
    assert ask(cache, connect(), QUERY, (2,)).fetchall() == [(1, "new")]


def test_a_file_that_has_the_inode_of_one_that_was_removed_is_another_database(
    cache: UnifiedAPICache, connect: Open, tmp_path: Path
) -> None:
    place = tmp_path / "again.db"
    for names in (("a",), ("z",), ("y",)):
        connection = connect(make(place, *names))
        assert ask(cache, connection, "SELECT name FROM item").fetchall() == [names]
        connection.close()
        place.unlink()
    assert counts(cache) == (0, 3, 0)


def test_where_no_birth_of_a_file_is_told_each_change_makes_it_another(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert file_of(path) == file_of(path)
    assert file_of(path)[4] == "made"
    monkeypatch.setattr(file_births, "_birth_on_linux", lambda _: None)
    before = file_of(path)
    path.write_bytes(path.read_bytes() + b"more")
    assert before != file_of(path)
    assert file_of(path)[4] in {"made", "changed"}


def test_one_file_is_one_database_by_whatever_name(cache: UnifiedAPICache, connect: Open, path: Path) -> None:
    for file in (path, f"{path.parent}/./{path.name}", f"file:{path}?mode=ro"):
        ask(cache, connect(file, uri=str(file).startswith("file:")), QUERY, (2,))
    assert counts(cache) == (2, 1, 0)


def test_a_read_within_a_transaction_sees_its_own_write_and_is_not_shared(
    cache: UnifiedAPICache, connect: Open
) -> None:
    connection, other = connect(), connect()
    assert ask(cache, connection, QUERY, (2,)).fetchall() == [(1, "a")]
    connection.execute("UPDATE item SET name = 'changed'")
    assert ask(cache, connection, QUERY, (2,)).fetchall() == [(1, "changed")]
    assert ask(cache, other, QUERY, (2,)).fetchall() == [(1, "a")]
    connection.rollback()
    assert ask(cache, connection, QUERY, (2,)).fetchall() == [(1, "a")]
    assert counts(cache) == (2, 1, 1)


def test_a_write_between_two_reads_shows_once_the_entry_is_forgotten(cache: UnifiedAPICache, connect: Open) -> None:
    connection = connect()
    view = cache.using(tags=["items"])
    read = lambda: view.cached_api_call_sync(connection.execute, QUERY, (2,)).fetchall()  # noqa: E731 - one line
    assert read() == [(1, "a")]
    connection.execute("UPDATE item SET name = 'changed'")
    connection.commit()
    assert read() == [(1, "a")]
    cache.invalidate_sync(tags=["items"])
    assert read() == [(1, "changed")]


def with_function(connection: sqlite3.Connection) -> str:
    connection.create_function("upper", 1, lambda text: f"own {text}")
    return "SELECT upper(name) AS name FROM item"


def with_function_in_a_view(connection: sqlite3.Connection) -> str:
    connection.create_function("own", 0, lambda: 1)
    connection.execute("CREATE VIEW IF NOT EXISTS v AS SELECT own() AS a")
    return "SELECT a FROM v"


def with_collation(connection: sqlite3.Connection) -> str:
    connection.create_collation("own", lambda one, other: (one < other) - (one > other))
    return "SELECT name FROM item ORDER BY name COLLATE own"


def with_case_sensitive_like(connection: sqlite3.Connection) -> str:
    connection.execute("PRAGMA case_sensitive_like = 1")
    return "SELECT name FROM item WHERE name LIKE 'A'"


def with_temporary_table(connection: sqlite3.Connection) -> str:
    connection.execute("CREATE TEMP TABLE item AS SELECT 7 AS id")
    return "SELECT id FROM item"


def with_attached_database(connection: sqlite3.Connection) -> str:
    connection.execute("ATTACH ':memory:' AS more")
    return "SELECT id FROM item"


def with_row_returning_write(connection: sqlite3.Connection) -> str:
    connection.isolation_level = None
    return "INSERT INTO item (id) VALUES (9) RETURNING id"


@pytest.mark.parametrize(
    "prepare",
    [
        with_function,
        with_function_in_a_view,
        with_collation,
        with_case_sensitive_like,
        with_temporary_table,
        with_attached_database,
        with_row_returning_write,
        lambda _: "SELECT random() AS r",
        lambda _: "SELECT name, datetime('now') AS at FROM item",
        lambda _: "PRAGMA user_version",
    ],
)
def test_what_cannot_be_read_off_or_may_change_is_asked_each_time(
    cache: UnifiedAPICache, connect: Open, prepare: Any, caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect()
    sql = prepare(connection)
    for _ in range(2):
        assert ask(cache, connection, sql).description == connection.execute(sql).description
    assert counts(cache) == (0, 0, 2)
    assert "arguments are refused" not in caplog.text


@pytest.mark.parametrize("file", [":memory:", ""])
def test_a_database_in_memory_is_not_shared(cache: UnifiedAPICache, connect: Open, file: str) -> None:
    for _ in range(2):
        assert ask(cache, connect(file), "SELECT 1 AS a").fetchall() == [(1,)]
    assert counts(cache) == (0, 0, 2)


def test_a_parameter_of_a_class_of_its_own_and_a_subclass_of_the_connection_are_refused(
    cache: UnifiedAPICache, connect: Open
) -> None:
    class Own(sqlite3.Connection):
        pass

    class Text(str):
        __slots__ = ()

    assert ask(cache, connect(factory=Own), QUERY, (2,)).fetchall() == [(1, "a")]
    assert ask(cache, connect(), "SELECT ? AS a", (Text("x"),)).fetchall() == [("x",)]
    assert counts(cache) == (0, 0, 2)


def test_a_cursors_own_execute_fills_the_cursor(cache: UnifiedAPICache, connect: Open) -> None:
    cursor = connect().cursor()
    for _ in range(2):
        assert cache.cached_api_call_sync(cursor.execute, QUERY, (2,)) is cursor
        assert cursor.fetchall() == [(1, "a")]
    assert counts(cache) == (0, 0, 2)


def test_an_error_is_raised_as_it_is(cache: UnifiedAPICache, connect: Open) -> None:
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            ask(cache, connect(), "SELECT a FROM nowhere")
    assert counts(cache)[:2] == (0, 0)


@pytest.mark.parametrize("pragma", ["short_column_names = 0", "full_column_names = 1", "reverse_unordered_selects = 1"])
def test_a_setting_that_names_columns_or_orders_rows_is_part_of_the_identity(
    cache: UnifiedAPICache, connect: Open, pragma: str
) -> None:
    plain, changed = connect(), connect()
    changed.execute(f"PRAGMA {pragma}")
    sql = "SELECT name FROM item"
    for _ in range(2):
        for connection in (plain, changed):
            cursor, direct = ask(cache, connection, sql), connection.execute(sql)
            assert cursor.description == direct.description
            assert cursor.fetchall() == direct.fetchall()
    assert counts(cache) == (2, 2, 0)


@pytest.mark.parametrize("name", ["NOCASE", "RTRIM", "BINARY"])
def test_a_collation_in_place_of_a_built_in_one_is_refused(cache: UnifiedAPICache, connect: Open, name: str) -> None:
    connection = connect()

    def order(text: str) -> str:
        return text.lower() if name == "BINARY" else text

    connection.create_collation(name, lambda one, other: (order(one) > order(other)) - (order(one) < order(other)))
    ask(cache, connection, QUERY, (5,))
    assert counts(cache) == (0, 0, 1)


@pytest.mark.parametrize("mode", ["observe", "shadow", "off", "on"])
def test_a_caller_is_given_a_cursor_in_every_mode(connect: Open, mode: Any) -> None:
    connection = connect()
    cache = UnifiedAPICache.create(mode=mode)
    for _ in range(2):
        cursor = cache.cached_api_call_sync(connection.execute, QUERY, (5,))
        assert type(cursor) is sqlite3.Cursor
        assert cursor.fetchall() == [(1, "a"), (2, "b")]
        assert asyncio.run(cache.cached_api_call(connection.execute, QUERY, (2,))).fetchall() == [(1, "a")]
    cache.close()
