"""SQLAlchemy's results as they are stored, and made again.

What is stored are the driver's own rows and the description of its cursor. SQLAlchemy itself makes its result of them,
of the type and with the names and values that it gives without a cache: the caller's statement is executed on a
`Connection` of the caller's engine over a stand-in for the driver, which has the rows.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, CursorResult, Engine
from sqlalchemy.orm import Session

from apicache.errors import UnstorableError
from apicache.sql.db_api import columns_of, rows_of, stored

_TEN_CODES = (int, type(None))


class Asked(NamedTuple):
    """A call, as a result is made for it."""

    method: str
    """`execute`, `scalars`, `scalar`; `frozen` for what an engine's own connection answers."""
    session: Session | None
    engine: Engine
    connection: Connection | None
    """The live one that a result belongs to; None where it has none yet."""
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


def read(result: Any, *, is_first_row: bool) -> dict[str, Any]:
    """The stored form of a result, which is read to its end; raises UnstorableError for one that it knows nothing of.

    It has not been read then.
    """
    found = cursor_result(result)
    cursor = found.cursor
    columns = [_column(each) for each in cursor.description]
    told = [cursor.rowcount, getattr(cursor, "lastrowid", None)]
    if not all(type(each) in _TEN_CODES for each in told):
        raise UnstorableError("rows whose cursor counts in its own way")
    strategy = found.cursor_strategy
    if is_first_row:
        row = strategy.fetchone(found, cursor)
        rows = [] if row is None else [row]
        found.close()
    else:
        rows = strategy.fetchall(found, cursor)
    names = [name for name, _ in columns]
    return {**stored(names, map(tuple, rows)), "codes": [code for _, code in columns], "told": told}


def cursor_result(result: Any) -> Any:
    """The result that has the cursor; raises UnstorableError where there is none that can be told."""
    found = getattr(result, "_real_result", None) or result  # a ScalarResult's
    if not isinstance(found, CursorResult):
        found = getattr(found, "raw", None)  # an ORM statement's
    if type(found) is not CursorResult or getattr(found, "cursor", None) is None:
        raise UnstorableError(f"a {type(result).__name__} without a cursor")
    if found.cursor_strategy.alternate_cursor_description is not None:
        raise UnstorableError("rows that their dialect has put together")
    return found


def _column(described: Sequence[Any]) -> tuple[str, Any]:
    name, code = described[0], described[1]
    if type(name) is not str or type(code) not in _TEN_CODES:
        raise UnstorableError("a cursor that describes its columns in its own way")
    return name, code


def made(data: Mapping[str, Any], asked: Asked) -> Any:
    """The answer that SQLAlchemy makes of stored rows."""
    connection = Connection(asked.engine, _StandIn(data), _has_events=False, _allow_revalidate=False)  # type: ignore[arg-type]
    connection._echo = False  # noqa: SLF001 - nothing is sent that the engine's log could tell of
    live = asked.connection
    if live is not None:
        connection._execution_options = live._execution_options  # noqa: SLF001 - else they set the driver's connection up
    owner: Any = connection if asked.session is None else _session(asked.session, connection)
    try:
        if asked.method == "frozen":
            return owner.execute(*asked.args, **asked.kwargs).freeze()()
        result = getattr(owner, asked.method)(*asked.args, **asked.kwargs)
    finally:
        connection.rollback()
        connection.close()  # what is asked of it now is an error, and not answered by the same rows
    if live is not None and asked.method != "scalar":
        _belong(result, live)
    return result


def _session(session: Session, connection: Connection) -> Session:
    options = getattr(session, "execution_options", None)
    return Session(bind=connection, **({"execution_options": options} if options else {}))


def _belong(result: Any, live: Connection) -> None:
    """Have a result belong to the connection that it is asked of."""
    found = cursor_result(result)
    found.connection = found.context.root_connection = live


class _StandIn:
    """Answers as a pool's connection, its driver's connection and their cursor do, once."""

    is_valid = True
    notices: Sequence[str] = ()
    arraysize = 1

    def __init__(self, data: Mapping[str, Any]) -> None:
        codes = data["codes"]
        self.description = [(name, code, *[None] * 5) for name, code in zip(columns_of(data), codes, strict=True)]
        self.rowcount, self.lastrowid = data["told"]
        self.info: dict[Any, Any] = {}
        self._rows = deque(tuple(row) for row in rows_of(data))
        self._is_asked = False

    @property
    def connection(self) -> "_StandIn":
        return self

    dbapi_connection = driver_connection = connection

    def cursor(self, *_: Any, **__: Any) -> "_StandIn":
        if self._is_asked:
            raise sa.exc.ResourceClosedError("This Connection is closed")
        self._is_asked = True
        return self

    def execute(self, *_: Any, **__: Any) -> None:
        """Do nothing: the rows are there."""

    setinputsizes = commit = rollback = begin = execute

    def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return [self._rows.popleft() for _ in range(min(len(self._rows), size or self.arraysize))]

    def fetchall(self) -> list[Any]:
        return self.fetchmany(len(self._rows)) if self._rows else []

    def close(self) -> None:
        """The connection is closed at once, a cursor when it is read: neither holds anything open."""
