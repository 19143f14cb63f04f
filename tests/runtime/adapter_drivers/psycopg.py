import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

import psycopg
from hypothesis import strategies as st
from psycopg.rows import dict_row

from adapter_drivers._driver import Call, Driver, Variant
from adapter_drivers._psycopg import WHOLE, Logged, prepared
from adapter_drivers._sql import QUERY, TEXTS

SECRET = "pp-planted-8d8d"


class _Psycopg(Driver):
    name = "psycopg"
    variants: ClassVar[list[Variant]] = [
        {},
        {"settings": {"search_path": "public,pg_temp"}},
        {"settings": {"TimeZone": "Asia/Tokyo"}},
        {"dbname": "another_psycopg"},
        {"password": SECRET},
    ]
    failing: ClassVar[Variant] = {"settings": {"search_path": "nowhere"}}
    examples: ClassVar[list[Call]] = [
        ("execute", (QUERY.format(mark="%s"), (3,)), {}),
        ("execute", (QUERY.format(mark="%(a)s"), {"a": 3}), {}),
        ("execute", (WHOLE,), {}),
        ("execute", (WHOLE,), {"binary": True}),
        ("execute", ("SELECT id, id AS id FROM item WHERE 1 = 0",), {}),
    ]
    ignored: ClassVar[list[Any]] = [{"prepare": True}, {"prepare": False}, {"binary": False}]
    refused: ClassVar[list[Call]] = [
        ("execute", ("SELECT random() IS NULL FROM item",), {}),
        ("execute", ("SELECT id FROM item ORDER BY id FOR UPDATE",), {}),
        ("execute", ("UPDATE item SET name = name RETURNING id",), {}),
        ("cursor.execute", (WHOLE,), {}),
    ]
    secret = SECRET

    @property
    def arguments(self) -> st.SearchStrategy[Call]:  # type: ignore[override]
        values = st.sampled_from([0, 1, 2, 3, 70_000, True, 1.0, "1", "a", b"1", None])
        positional = st.tuples(st.just(QUERY.format(mark="%s")), st.tuples(values))
        named = st.tuples(st.just(QUERY.format(mark="%(a)s")), st.fixed_dictionaries({"a": values}))
        binary = st.fixed_dictionaries({}, optional={"binary": st.just(True)})
        return st.tuples(st.just("execute"), st.tuples(TEXTS) | positional | named, binary)

    @contextmanager
    def open(self, _api: Any, variant: Variant) -> Iterator[Logged]:
        with psycopg.connect(**prepared(variant), autocommit=True) as connection:
            yield Logged(connection)

    def call(self, client: Logged, method: str, args: Any, kwargs: Any) -> Any:
        if method == "cursor.execute":
            return client.client.cursor().execute, args, kwargs
        return getattr(client.client, method), args, kwargs

    def read(self, answer: Any) -> Any:
        told = self._told(answer)
        rows = [answer.fetchone(), *answer.fetchmany(1), *answer]
        return (*told, _typed(rows), answer.fetchone(), answer.rownumber)

    def _told(self, answer: Any) -> Any:
        columns = [(each.name, tuple(each), each.type_display, repr(each)) for each in answer.description]
        result = answer.pgresult
        described = [(result.fname(at), result.ftable(at), result.fformat(at)) for at in range(result.nfields + 1)]
        sent = [result.get_value(row, at) for row in range(result.ntuples) for at in range(result.nfields)]
        counts = (result.ntuples, result.nfields, result.command_tuples, result.binary_tuples, result.status)
        made = (answer.statusmessage, answer.rowcount, answer.rownumber, answer.closed, answer.format)
        return (type(answer), columns, described, sent, counts, made, repr(answer).partition(" at ")[0])

    def spoil(self, answer: Any) -> None:
        answer.row_factory = dict_row
        answer.fetchall()

    def sent(self, _api: Any, client: Logged) -> int:
        return client.count

    def reset(self, _api: Any, client: Logged) -> None:
        client.reset()


def _typed(rows: list[Any]) -> Any:
    return [None if row is None else (type(row), row, [type(value) for value in row]) for row in rows]


class _Async(_Psycopg):
    name = "psycopg-async"
    is_async = True
    scope = "mine"  # it cannot be asked without waiting

    @asynccontextmanager
    async def open(self, _api: Any, variant: Variant) -> AsyncIterator[Logged]:  # type: ignore[override]
        connection = await psycopg.AsyncConnection.connect(**prepared(variant), autocommit=True)
        async with connection:
            yield Logged(connection)

    async def read(self, answer: Any) -> Any:
        told = self._told(answer)
        rows = [await answer.fetchone(), *await answer.fetchmany(1), *[row async for row in answer]]
        return (*told, _typed(rows), await answer.fetchone(), answer.rownumber)

    def spoil(self, answer: Any) -> None:
        with contextlib.suppress(StopIteration):
            answer.fetchall().send(None)


DRIVERS = [_Psycopg(), _Async()]
