import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from hypothesis import strategies as st

from adapter_drivers._driver import Call, Driver, Variant
from adapter_drivers._sql import QUERY, TEXTS, VALUES, Served, sqlite_file


class _Sqlite(Driver):
    name = "sqlite3"
    variants: ClassVar[list[Variant]] = [
        {},
        {"name": "second"},
        {"text_factory": bytes},
        {"detect_types": sqlite3.PARSE_DECLTYPES},
        {"detect_types": sqlite3.PARSE_COLNAMES},
    ]
    failing: ClassVar[Variant] = {"fails": True}
    examples: ClassVar[list[Call]] = [
        ("execute", (QUERY.format(mark="?"), (3,)), {}),
        ("execute", (QUERY.format(mark=":a"), {"a": 3}), {}),
        ("execute", ("SELECT count(*), x'00', 0.5, NULL FROM item",), {}),
        ("execute", ("SELECT id FROM item WHERE 1 = 0",), {}),
    ]
    refused: ClassVar[list[Call]] = [
        ("execute", ("SELECT random() IS NULL AS r FROM item",), {}),
        ("execute", ("SELECT * FROM item WHERE at < date('now') ORDER BY id",), {}),
        ("execute", ("UPDATE item SET name = name",), {}),
        ("executescript", ("UPDATE item SET name = name",), {}),
    ]
    without = {  # noqa: RUF012 - as in the base
        "ignored": "execute() has no argument without effect",
        "secret": "a SQLite file has no password",
    }

    @property
    def arguments(self) -> st.SearchStrategy[Call]:  # type: ignore[override]
        plain = st.tuples(TEXTS)
        positional = st.tuples(st.just(QUERY.format(mark="?")), st.tuples(VALUES))
        named = st.tuples(st.just(QUERY.format(mark=":a")), st.fixed_dictionaries({"a": VALUES}))
        return st.tuples(st.just("execute"), plain | positional | named, st.just({}))

    @contextmanager
    def open(self, _api: Any, variant: Variant) -> Iterator[Served]:
        path = sqlite_file(variant)
        connection = sqlite3.connect(path, detect_types=variant.get("detect_types", 0), isolation_level=None)
        connection.text_factory = variant.get("text_factory", str)
        served = Served(connection)
        connection.set_trace_callback(served.seen)
        yield served
        connection.close()

    def call(self, client: Served, method: str, args: Any, kwargs: Any) -> Any:
        return getattr(client.client, method), args, kwargs

    def read(self, answer: Any) -> Any:
        return type(answer), answer.description, answer.rowcount, answer.fetchone(), answer.fetchmany(1), list(answer)

    def spoil(self, answer: Any) -> None:
        answer.close()

    def sent(self, _api: Any, client: Served) -> int:
        return client.count

    def reset(self, _api: Any, client: Served) -> None:
        client.count = 0


DRIVERS = [_Sqlite()]
