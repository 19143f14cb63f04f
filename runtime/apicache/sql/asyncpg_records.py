"""asyncpg's records as they are stored, and made again; and what is asked of its connections."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

from asyncpg.pgproto import pgproto
from asyncpg.protocol import protocol

from apicache.errors import UnstorableError
from apicache.sql.db_api import columns_of, rows_of, stored
from apicache.sql.postgresql_sessions import NOT_TOLD, ROLE_CHANGED, change_in

OWN_UUID: Final[Any] = pgproto.UUID
"""The driver's subclass of `uuid.UUID`."""
_MAKER: Final = "_create_record"


def stored_records(records: Sequence[Any]) -> dict[str, Any]:
    """The stored form; raises UnstorableError for a version of asyncpg whose records cannot be made.

    Raises it too for records that differ in their columns: an operation may have put several queries' together.
    """
    if not hasattr(protocol, _MAKER):
        raise UnstorableError(f"this version of asyncpg has no {_MAKER}")
    columns = list(records[0].keys()) if records else []
    if any(list(record.keys()) != columns for record in records):
        raise UnstorableError("a list of records with different columns")
    return stored(columns, ([plain_value(value) for value in record.values()] for record in records))


def records_of(data: Any) -> list[Any]:
    """New records, equal to those that were stored."""
    columns, make = _Columns(columns_of(data)), getattr(protocol, _MAKER)
    return [make(columns, tuple(own_value(value) for value in row)) for row in rows_of(data)]


def plain_value(value: Any) -> Any:
    """The value with the driver's own UUIDs as plain ones; raises UnstorableError for one that is plain already."""
    kind = type(value)
    if kind is OWN_UUID:
        return uuid.UUID(int=value.int)
    if kind is list or kind is tuple:
        return kind(plain_value(item) for item in value)
    if kind is uuid.UUID:
        raise UnstorableError("a UUID that no codec of asyncpg's has made")
    return value


def own_value(value: Any) -> Any:
    """The value as the driver gives it."""
    kind = type(value)
    if kind is uuid.UUID:
        return OWN_UUID(value.bytes)
    return kind(own_value(item) for item in value) if kind is list or kind is tuple else value


async def change_on(connection: Any) -> str | None:
    """How a connection of a pool is another one than it was opened as; None where it is not."""
    try:
        row = await connection.fetchrow(ROLE_CHANGED)
        login = connection._params.user  # noqa: SLF001 - no public reader
    except Exception:  # noqa: BLE001 - the query itself was answered: what is not told forbids storing it, no more
        return NOT_TOLD
    return change_in(row, login, lambda _: None)


class _Columns(dict[str, int]):
    """The positions of columns by name, iterated with every name, the repeated ones too."""

    def __init__(self, names: list[str]) -> None:
        super().__init__((name, position) for position, name in enumerate(names))
        self._names = names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)
