from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import sqlalchemy as sa
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from adapter_drivers._driver import Call, Driver, Variant
from adapter_drivers._sql import QUERY, TEXTS, VALUES, Served, sqlite_file

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


DRIVERS = [_Sqlalchemy(sa.Connection), _Sqlalchemy(Session)]
