"""The order of requests: one row of the trace for what came within a second or so, its requests packed side by side.

A row a request would cost its writer more than all else that the log does with it.
"""

import sqlite3
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import compress
from typing import Final

from apicache.usage.folding import KeyRow
from apicache.usage.usage import Event

_ASKED: Final = frozenset({"hit", "stale", "miss", "coalesced"})
"""Kinds of events that a caller waited for."""
_CHUNK_MAX: Final = 4096
_REQUEST_BYTES: Final = 24

Request = tuple[float, int, int]
"""Its time in seconds since the epoch, its key's id, its answer's size in bytes (-1: not known)."""


def requests_in(events: Sequence[Event], rows: Mapping[bytes, KeyRow]) -> list[Request]:
    """The requests among events, those of keys that have a row: what was never stored can never be served.

    An answer's size is that of the newest entry.
    """
    return [
        (event.at, row.id, row.size)
        for event in events
        if event.kind in _ASKED and event.is_asked and (row := rows.get(event.key)) is not None
    ]


def append(database: sqlite3.Connection, requests: Sequence[Request], largest: int) -> None:
    """Write requests behind those that are there, in chunks that are small against `largest`, the bound of them all."""
    length = max(1, min(_CHUNK_MAX, largest // 10))
    for start in range(0, len(requests), length):
        database.execute(
            "INSERT INTO trace (first, last, count, requests) VALUES (?, ?, ?, ?)",
            _row(*zip(*requests[start : start + length], strict=True)),
        )


def packed_since(database: sqlite3.Connection, since: float) -> list[bytes]:
    """The chunks that have a request since a time, in the order in which they were written."""
    found = database.execute("SELECT requests FROM trace WHERE last >= ? ORDER BY id", (since,))
    return [packed for (packed,) in found]


def forget(database: sqlite3.Connection, ids: Collection[int]) -> None:
    """Take every request of some keys out."""
    if not ids:
        return
    gone = frozenset(ids)
    for (chunk,) in database.execute("SELECT id FROM trace").fetchall():
        (packed,) = database.execute("SELECT requests FROM trace WHERE id = ?", (chunk,)).fetchone()
        times, numbers, sizes = _unpacked(packed)
        if gone.isdisjoint(numbers):
            continue
        stays = [number not in gone for number in numbers]
        if any(stays):
            kept = _row(tuple(compress(times, stays)), tuple(compress(numbers, stays)), tuple(compress(sizes, stays)))
            database.execute(
                "UPDATE trace SET first = ?, last = ?, count = ?, requests = ? WHERE id = ?", (*kept, chunk)
            )
        else:
            database.execute("DELETE FROM trace WHERE id = ?", (chunk,))


def drop(database: sqlite3.Connection, oldest: float, largest: int) -> None:
    """Drop what is past its retention, then, past the bound, the chunks that were written first, and a tenth more."""
    database.execute("DELETE FROM trace WHERE last < ?", (oldest,))
    excess = count(database) - largest
    if excess <= 0:
        return
    excess += largest // 10
    for chunk, requests in database.execute("SELECT id, count FROM trace ORDER BY id"):
        excess -= requests
        if excess <= 0:
            database.execute("DELETE FROM trace WHERE id <= ?", (chunk,))
            return


def count(database: sqlite3.Connection) -> int:
    """How many requests are kept."""
    (requests,) = database.execute("SELECT COALESCE(SUM(count), 0) FROM trace").fetchone()
    return int(requests)


def unpacked(packed: bytes) -> Iterator[Request]:
    """The requests of a chunk; of damaged bytes, as many as there are."""
    return zip(*_unpacked(packed), strict=True)


def _row(times: tuple[float, ...], ids: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[float, float, int, bytes]:
    """First and last time, count; times, then ids, then sizes, packed."""
    number = len(times)
    return min(times), max(times), number, struct.pack(f"<{number}d{2 * number}q", *times, *ids, *sizes)


def _unpacked(packed: bytes) -> tuple[tuple[float, ...], tuple[int, ...], tuple[int, ...]]:
    number = len(packed) // _REQUEST_BYTES
    values = struct.unpack_from(f"<{number}d{2 * number}q", packed)
    return values[:number], values[number : 2 * number], values[2 * number :]
