"""The trace: which calls were asked for, in their order.

It holds a number for each key, no content. Of a key that was forgotten, its requests are forgotten too.
"""

import math
from array import array
from collections.abc import Iterator
from typing import Any

import msgspec

from apicache.usage import chunks
from apicache.usage.folding import KeyRow
from apicache.usage.log import UsageLog
from apicache.usage.report import parameters_of
from apicache.usage.tables import KEY_COLUMNS, row_from


class TracedKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key that the trace has by its number."""

    id: int
    key: str
    """In hexadecimal digits."""
    operation: str
    uses: int
    """Hits and loads, those included that the trace no longer has."""
    used_at: float
    loaded_at: float
    """When its newest entry was loaded: `ttl`, `seconds`, `cost` and `size` are that entry's."""
    ttl: float
    seconds: float
    """What the load took."""
    cost: float
    """US dollars; 0 where it is not known."""
    size: int | None
    """Bytes of the answer."""
    parameters: dict[str, Any] | None
    """As recorded; None for an operation without `record=True`."""
    complete: bool
    """Whether the call can be made again from `parameters`: none is redacted or left out."""


class Trace(msgspec.Struct, frozen=True):
    """Requests in the order of their times, and the keys that they name.

    Three arrays of one length: seconds since the epoch (d), ids of keys (q), bytes of answers (q; -1: not known).
    """

    at: "array[float]"
    ids: "array[int]"
    sizes: "array[int]"
    keys: dict[int, TracedKey]


def trace(log: UsageLog, since: float = -math.inf) -> Trace:
    """The requests since a time; whoever writes the log meanwhile waits no longer than its bytes are copied.

    Raises InputError for a log that is locked, damaged or foreign.
    """
    statement = f"SELECT key, {KEY_COLUMNS} FROM keys"  # noqa: S608 - constants
    with log.transaction() as database:
        packed = [] if database is None else chunks.packed_since(database, since)
        rows = [] if database is None else database.execute(statement).fetchall()
    keys = {row.id: _traced(key, row) for key, row in ((key, row_from(columns)) for key, *columns in rows)}
    at, ids, sizes = array("d"), array("q"), array("q")
    for chunk in packed:
        for moment, number, size in chunks.unpacked(chunk):
            if moment >= since and number in keys:
                at.append(moment)
                ids.append(number)
                sizes.append(size)
    order = sorted(range(len(at)), key=at.__getitem__)  # processes write in turns
    return Trace(
        array("d", map(at.__getitem__, order)),
        array("q", map(ids.__getitem__, order)),
        array("q", map(sizes.__getitem__, order)),
        keys,
    )


def requests(log: UsageLog, since: float = -math.inf) -> Iterator[tuple[float, int, str]]:
    """Time, key id and operation of each request since a time, in their order; raises InputError as `trace` does."""
    found = trace(log, since)
    for at, key in zip(found.at, found.ids, strict=True):
        yield at, key, found.keys[key].operation


def _traced(key: bytes, row: KeyRow) -> TracedKey:
    return TracedKey(
        id=row.id,
        key=key.hex(),
        operation=row.operation,
        uses=row.hits + row.loads,
        used_at=row.used_at,
        loaded_at=row.loaded_at,
        ttl=row.ttl,
        seconds=row.seconds,
        cost=row.cost,
        size=None if row.size < 0 else row.size,
        parameters=parameters_of(row),
        complete=row.complete,
    )
