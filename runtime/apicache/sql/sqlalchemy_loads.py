"""Calls of SQLAlchemy that are made to be stored: their rows are read, and its answer is made of them."""

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from apicache.errors import UnidentifiableError, UnstorableError
from apicache.sql.db_api import loaded, refused
from apicache.sql.postgresql_sessions import CHANGED, NOT_TOLD, change_in, note_change
from apicache.sql.sqlalchemy_results import Asked, cursor_result, made, read
from apicache.sql.sqlite_connections import in_transaction

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_REASON: Final = "this version of SQLAlchemy makes no result of stored rows"
_SAVEPOINT: Final = "apicache_question"
_unfit: set[str] = set()
"""What making a result of stored rows has raised."""


def check_fit() -> None:
    """Raises UnidentifiableError where this version of SQLAlchemy has made no result of stored rows."""
    if _unfit:
        raise UnidentifiableError(f"{_REASON} ({', '.join(sorted(_unfit))})")


def fetched(asked: Asked, watched: Mapping[str, Any] | None) -> Any:
    """The answer as SQLAlchemy makes it of rows that were fetched, with what is stored of them."""
    owner: Any = asked.connection if asked.session is None else asked.session
    if owner is not None:
        return _loaded(_asked_for(owner, asked), asked, watched)
    with asked.engine.connect() as connection:
        return _loaded(_asked_for(connection, asked), asked, watched)


def _asked_for(owner: Any, asked: Asked) -> Any:
    return (owner.scalars if asked.method == "scalars" else owner.execute)(*asked.args, **asked.kwargs)


def _loaded(result: Any, asked: Asked, watched: Mapping[str, Any] | None) -> Any:
    try:
        live = cursor_result(result).connection
        data = read(result, is_first_row=asked.method == "scalar")
    except UnstorableError as error:
        return refused(_in_form(result, asked.method), "sqlalchemy", str(error))
    asked = asked._replace(connection=live)
    try:
        answer = made(data, asked)
    except Exception as error:  # noqa: BLE001 - whatever this version of SQLAlchemy misses: then it is asked again
        again = _in_form(_asked_for(live if asked.session is None else asked.session, asked), asked.method)
        _unfit.add(type(error).__name__)
        return refused(again, "sqlalchemy", _REASON)
    if live.dialect.name == "sqlite" and in_transaction(live.connection.driver_connection):
        return refused(answer, "sqlalchemy", "rows of a transaction, which may have written them")
    change = None if watched is None else _change_on(live, watched["connect"]["user"], is_own=asked.session is None)
    if watched is None or change is None:
        return loaded(answer, "sqlalchemy", data)
    note_change(watched, change)
    return refused(answer, "sqlalchemy", f"rows of an engine of which {change}")


def _in_form(result: Any, method: str) -> Any:
    """A result in the form in which the method gives it."""
    if method == "frozen":
        return result.freeze()()
    return result.scalar() if method == "scalar" else result


def _change_on(connection: Connection, login: str, *, is_own: bool) -> str | None:
    """How a connection that the engine gave is another one than it was opened as; None where it is not.

    On one that the caller goes on with (not `is_own`) a question that fails would fail the caller's transaction.
    """

    def ask(question: str) -> Any:
        return connection.exec_driver_sql(question).scalar_one()

    try:
        with contextlib.nullcontext() if is_own or _is_autocommit(connection) else _Savepoint(connection):
            return change_in(connection.exec_driver_sql(CHANGED).one(), login, ask)
    except sa.exc.SQLAlchemyError:
        return NOT_TOLD


def _is_autocommit(connection: Connection) -> bool:
    live: Any = connection.connection.dbapi_connection
    if getattr(live, "autocommit", False) is True:
        return True
    return getattr(live, "isolation_level", None) == "autocommit"  # SQLAlchemy's own, of asyncpg's connections


class _Savepoint:
    """What fails inside leaves the transaction as it was."""

    def __init__(self, connection: Connection) -> None:
        self._ask = connection.exec_driver_sql

    def __enter__(self) -> None:
        self._ask(f"SAVEPOINT {_SAVEPOINT}")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, Exception):  # cancelled: nothing more can be asked
            return
        if kind is not None:
            self._ask(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        self._ask(f"RELEASE SAVEPOINT {_SAVEPOINT}")


async def fetched_by(engine: "AsyncEngine", asked: Asked, watched: Mapping[str, Any] | None) -> Any:
    """The same of an async engine, on a connection of its own."""
    async with engine.connect() as connection:
        return await connection.run_sync(lambda live: _loaded(_asked_for(live, asked), asked, watched))
