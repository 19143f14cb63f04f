"""What is told of calls written otherwise than they are taken, and of calls that go uncached."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from apicache import UnifiedAPICache
from apicache.chain.settings import ProviderSettings
from apicache.errors import InputError
from apicache.sql.labels import label_of
from apicache.sql.mistakes import check_one_by_one
from apicache.sql.queries import cached_db_query_sync

# Built-in operations.


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> UnifiedAPICache:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    return UnifiedAPICache.create(providers={"order": ["openai"]})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"operation": "completion", "text": "x"}, r"did you mean 'prompt' by 'text'\? \(it takes extra, max_tokens"),
        ({"operation": "analysis", "question": "x"}, r"did you mean 'prompt' by 'question'\?"),
        ({"operation": "embedding", "prompt": "x"}, r"did you mean 'text' by 'prompt'\?"),
        ({"operation": "embedding", "texts": ["x"]}, r"did you mean 'text' by 'texts'\?"),
        ({"operation": "completion", "prompt": "x", "temprature": 0}, r"did you mean 'temperature'\?"),
        ({"operation": "embedding", "text": None}, r"^operation 'embedding' needs 'text': what is to be embedded$"),
        ({"operation": "completion", "prompt": "x", "provider": "nope"}, r"Known: anthropic, mock, openai$"),
        (
            {"operation": "completion", "prompt": "x", "provider": "zzzzzz"},
            r"'zzzzzz'; known: anthropic, mock, openai$",
        ),
        ({"operation": "zzzzzz"}, r"known: analysis, completion, embedding\. Of the application's own none"),
        ({"operation": "complete"}, r"did you mean 'completion'\? Of the application's own none"),
    ],
)
def test_a_call_written_otherwise_is_told_what_to_type(cache: UnifiedAPICache, given: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        cache.cached_api_call_sync(**given)


def test_endpoints_are_among_the_known_providers() -> None:
    tables = {"house": {"url": "https://house.test/"}}
    assert ProviderSettings(tables=tables).tables.keys() == {"house"}
    cache = UnifiedAPICache.create(providers={"tables": tables})
    with pytest.raises(InputError, match=r"anthropic, house, mock, openai"):
        cache.cached_api_call_sync(operation="completion", prompt="x", provider="zzzzzz")


# Scope functions.

NAMES: dict[str, str] = {}
SECRET = "planted-secret"


def by_environment() -> list[str]:
    return [os.environ["NO_SUCH_VARIABLE"]]


def by_secret() -> str:
    return NAMES[SECRET]


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        (by_environment, "by_environment raised KeyError('NO_SUCH_VARIABLE')"),
        (lambda: os.environ["NO_SUCH_VARIABLE"], "<lambda> raised KeyError('NO_SUCH_VARIABLE')"),
        (by_secret, "by_secret raised KeyError"),
    ],
)
def test_a_scope_function_that_raises_is_named(caplog: pytest.LogCaptureFixture, scope: Any, told: str) -> None:
    cache = UnifiedAPICache.create()
    cache.operation("one", scope=scope)(lambda: 1)
    assert cache.cached_api_call_sync(operation="one") == 1
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("one is called uncached: its scope function ")
    assert message.endswith(told)
    assert "secret" not in message.replace("by_secret", "")


# Queries.


@pytest.fixture
def database(tmp_path: Path) -> Any:
    connection = sqlite3.connect(tmp_path / "app.db")
    connection.execute("CREATE TABLE item (id INTEGER, name TEXT)")
    yield connection
    connection.close()


@pytest.mark.parametrize("query", ["SELECT * FROM item WHERE id = :i", "SELECT 1 WHERE 1 = $i", "SELECT %(i)s"])
def test_a_named_parameter_among_the_options_is_told_where_it_belongs(database: Any, query: str) -> None:
    with pytest.raises(
        InputError, match=r'give such parameters as one mapping: cached_db_query\(query, \{"i": \.\.\.\}\)'
    ):
        cached_db_query_sync(query, database=database, cache=UnifiedAPICache.create(), i=1)


@pytest.mark.parametrize("library", ["psycopg", "psycopg2", "pymysql"])
def test_drivers_that_write_percent_are_given_no_tuple(library: str) -> None:
    def nothing(*_: object) -> None:
        raise AssertionError

    made = type("Connection", (), {"__module__": f"{library}.connection", "cursor": nothing, "execute": nothing})
    with pytest.raises(InputError, match="as one tuple; give them one by one"):
        cached_db_query_sync("SELECT * FROM item WHERE id = %s", (1,), database=made(), cache=UnifiedAPICache.create())


def test_an_option_that_is_neither_a_policys_nor_the_querys_is_told_as_one(database: Any) -> None:
    with pytest.raises(InputError, match="unknown policy option 'tll'"):
        cached_db_query_sync("SELECT 1", database=database, cache=UnifiedAPICache.create(), tll=1)


@pytest.mark.parametrize(
    ("query", "given"),
    [("SELECT * FROM item WHERE id = %s", (1,)), ("SELECT %s, %s", (1, 2)), ("SELECT %s, %s", [1, 2])],
)
def test_parameters_in_one_tuple_are_told_to_be_given_one_by_one(query: str, given: Any) -> None:
    with pytest.raises(InputError, match="give them one by one"):
        check_one_by_one(query, (given,))


@pytest.mark.parametrize(
    ("query", "given"),
    [
        ("SELECT * FROM item WHERE id = ANY(%s)", [1]),
        ("SELECT * FROM item WHERE id = ANY(%s)", [1, 2]),
        ("SELECT * FROM item WHERE id IN %s", (1,)),
        ("SELECT * FROM item WHERE (id, name) = %s", (1, "a")),
        ("SELECT * FROM item WHERE id = %(i)s", {"i": 1}),
        ("SELECT * FROM item WHERE id = %s", 1),
    ],
)
def test_one_parameter_that_is_a_list_or_a_row_is_left_as_it_is(query: str, given: Any) -> None:
    check_one_by_one(query, (given,))


def test_a_query_that_goes_uncached_is_named_by_its_verb_and_table(
    database: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = UnifiedAPICache.create()
    cached_db_query_sync("SELECT random() FROM item WHERE name = 'planted'", database=database, cache=cache)
    cache.cached_api_call_sync(database.execute, "UPDATE item SET name = 'planted'")
    database.rollback()
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    cached_db_query_sync("SELECT datetime('now') FROM item AS planted", database=engine, cache=cache)
    with engine.connect() as connection:
        cache.cached_api_call_sync(connection.execute, text("DELETE FROM item"))
    engine.dispose()
    told = [record.getMessage().partition(" is called uncached")[0] for record in caplog.records]
    assert told == ["SELECT item", "UPDATE item", "SELECT item", "DELETE item"]
    assert "planted" not in caplog.text
    assert cache.get_stats()["operations"]["SELECT item"]["bypassed"] == 2


@pytest.mark.parametrize(
    ("sql", "label"),
    [
        ("SELECT 'x FROM planted' FROM item", "SELECT item"),
        ("select * from public.item join other", "SELECT public.item"),
        ("INSERT INTO item VALUES (1)", "INSERT item"),
        ("INSERT INTO item(id) VALUES (1)", "INSERT item"),
        ("UPDATE ONLY item SET id = 1", "UPDATE item"),
        ("CREATE TABLE IF NOT EXISTS item (id INTEGER)", "CREATE item"),
        ("WITH x AS (SELECT 1 FROM item) DELETE FROM x", "WITH item"),
        ("SELECT * FROM generate_series(1, 2)", "SELECT"),
        ("SELECT 1", "SELECT"),
        ("(SELECT 1)", "SELECT"),
        ("PRAGMA user_version", "PRAGMA"),
        ("planted", None),
        ("", None),
        ("SELECT 'without an end", None),
        (7, None),
        (b"SELECT 1", None),
    ],
)
def test_the_name_of_a_statement_holds_none_of_its_values(sql: Any, label: str | None) -> None:
    assert label_of((sql,), {}) == label
    assert label_of((), {"sql": sql}) == label


def test_without_arguments_a_statement_has_no_name() -> None:
    assert label_of((), {}) is None
