from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

import aiosqlite
from databases import Database
from hypothesis import strategies as st

from adapter_drivers._driver import Call, Driver, Variant
from adapter_drivers._sql import QUERY, TEXTS, VALUES, Served, sqlite_file


@contextmanager
def counted(served: Served) -> Iterator[None]:
    """The library opens a connection for each call, so the driver's own method tells what is sent."""
    plain = aiosqlite.Connection.execute

    def execute(self: Any, sql: str, *args: Any) -> Any:
        served.seen(sql)
        return plain(self, sql, *args)

    aiosqlite.Connection.execute = execute  # type: ignore[method-assign]
    try:
        yield
    finally:
        aiosqlite.Connection.execute = plain  # type: ignore[method-assign]


class _Databases(Driver):
    name = "databases"
    is_async = True
    variants: ClassVar[list[Variant]] = [{}, {"name": "second"}]
    failing: ClassVar[Variant] = {"fails": True}
    examples: ClassVar[list[Call]] = [
        ("fetch_all", (QUERY.format(mark=":a"), {"a": 3}), {}),
        ("fetch_all", ("SELECT name FROM item WHERE id < 0",), {}),
        ("fetch_one", (QUERY.format(mark=":a"), {"a": 3}), {}),
        ("fetch_one", ("SELECT name FROM item",), {}),
    ]
    refused: ClassVar[list[Call]] = [
        ("fetch_one", ("SELECT random() IS NULL AS r FROM item",), {}),
        ("fetch_one", ("UPDATE item SET name = name RETURNING id",), {}),
        ("execute", ("UPDATE item SET name = name",), {}),
    ]
    without = {  # noqa: RUF012 - as in the base
        "ignored": "its calls have no argument without effect",
        "secret": "a SQLite file has no password",
    }

    @property
    def arguments(self) -> st.SearchStrategy[Call]:  # type: ignore[override]
        named = st.tuples(st.just(QUERY.format(mark=":a")), st.fixed_dictionaries({"a": VALUES}))
        plain = st.tuples(
            st.sampled_from(["fetch_all", "fetch_one", "fetch_val"]), st.tuples(TEXTS) | named, st.just({})
        )
        column = st.fixed_dictionaries({}, optional={"column": st.sampled_from([1, "id", "name"])})
        return plain | st.tuples(st.just("fetch_val"), st.tuples(TEXTS), column)

    @asynccontextmanager
    async def open(self, _api: Any, variant: Variant) -> AsyncIterator[Served]:
        path = sqlite_file(variant)
        async with Database(f"sqlite:///{path}") as database:
            served = Served(database)
            with counted(served):
                yield served

    def call(self, client: Served, method: str, args: Any, kwargs: Any) -> Any:
        return getattr(client.client, method), args, kwargs

    def read(self, answer: Any) -> Any:
        if isinstance(answer, list):
            return type(answer), [self.read(each) for each in answer]
        if not hasattr(answer, "_mapping"):
            return type(answer), answer
        return type(answer), dict(answer._mapping), answer[0], len(answer), list(answer)

    def spoil(self, answer: Any) -> None:
        if isinstance(answer, list):
            answer.clear()
        else:
            answer._result_columns = None

    def sent(self, _api: Any, client: Served) -> int:
        return client.count

    def reset(self, _api: Any, client: Served) -> None:
        client.count = 0


DRIVERS = [_Databases()]
