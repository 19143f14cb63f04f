"""What the usage log tells: reports per operation, the most used keys, the keys nearest to one that is missing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from apicache.usage.folding import AGE_BUCKETS, AGES, COUNTERS, GAPS, HOUR, KeyRow
from apicache.usage.log import UsageLog
from apicache.usage.tables import KEY_COLUMNS, row_from, rows_of

TARGET_HIT_RATE: Final = 0.7
"""The source document's target: "Cache hit rate (target: >70%)"."""
_WITHIN_ONE_TTL: Final = 3
"""Gap buckets that end at one ttl or before."""
_COMPARED_MAX: Final = 20_000
"""The most recently used keys of an operation that are compared."""


class OperationUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an operation's calls."""

    operation: str
    calls: int
    hits: int
    stale: int
    misses: int
    coalesced: int
    stored: int
    refreshed: int
    """Loads in the background: no misses, but what they took is spent."""
    errors: int
    revalidated: int
    hit_rate: float | None
    """(hits + stale) / (hits + stale + misses), 0 to 1; None without calls."""
    saved_seconds: float
    saved_cost: float
    """US dollars."""
    spent_seconds: float
    spent_cost: float
    ttl_seconds: float | None
    """The mean ttl of the entries that were hit."""
    ages: list[int]
    """Hits by the entry's age in tenths of its ttl."""
    gaps: list[int]
    """Misses of keys loaded before, by the time since their entry ended: up to 1/4, 1/2, 1, 2, 4 ttl, and more."""
    cut_short: int
    """Misses of keys whose entry had not ended: evicted, invalidated or purged."""
    double_ttl_gains: int
    """Misses that twice the ttl would have answered."""
    half_ttl_loses: int
    """Hits that half the ttl would have lost, at most: the first lost one loads an entry for those after it."""


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """Usage within a time; whole hours."""

    since: float
    """Seconds since the epoch."""
    until: float
    total: OperationUsage
    operations: list[OperationUsage]
    """Those with the most calls first."""


class Frequent(msgspec.Struct, frozen=True, kw_only=True):
    """A key that is used much."""

    key: str
    operation: str
    hits: int
    loads: int
    used_at: float
    parameters: dict[str, Any] | None
    """As recorded; None for an operation without `record=True`."""
    complete: bool
    """Whether the call can be made again from `parameters`: none is redacted or left out."""


class Near(msgspec.Struct, frozen=True, kw_only=True):
    """A stored key beside one that is missing."""

    key: str
    differing: list[str]
    """Names of the parameters that differ, or that one of both lacks."""
    otherwise: list[str]
    """What differs when no parameter does: one at least of these."""
    parameters: dict[str, Any] | None
    """As recorded."""
    scope: str | None
    """Its digest in hexadecimal digits."""
    used_at: float


class KeyUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one key."""

    operation: str
    loaded_at: float
    ttl: float
    hits: int
    loads: int
    used_at: float
    digests: dict[str, bytes]
    scope: bytes | None
    """Its digest."""


def report(log: UsageLog, since_seconds: float, now: float, operation: str | None = None) -> UsageReport:
    """Usage of the last `since_seconds`, of one operation or of each."""
    columns = ", ".join(f"SUM({name})" for name in COUNTERS)
    statement = f"SELECT operation, {columns} FROM counters WHERE hour >= ?"  # noqa: S608 - constants
    values: list[object] = [int((now - since_seconds) // HOUR)]
    if operation is not None:
        statement += " AND operation = ?"
        values.append(operation)
    with log.transaction() as database:
        rows = [] if database is None else database.execute(f"{statement} GROUP BY operation", values).fetchall()
    sums = {name: dict(zip(COUNTERS, counts, strict=True)) for name, *counts in rows}
    everything = {name: sum(counts[name] for counts in sums.values()) for name in COUNTERS}
    usages = [_usage(name, counts) for name, counts in sums.items()]
    return UsageReport(
        since=now - since_seconds,
        until=now,
        total=_usage("(all)", everything),
        operations=sorted(usages, key=lambda usage: (-usage.calls, usage.operation)),
    )


def _usage(operation: str, counts: Mapping[str, float]) -> OperationUsage:
    ages, gaps = [int(counts[name]) for name in AGES], [int(counts[name]) for name in GAPS]
    hits, stale, misses, coalesced = (int(counts[name]) for name in ("hits", "stale", "misses", "coalesced"))
    asked = hits + stale + misses
    return OperationUsage(
        operation=operation,
        calls=asked + coalesced,
        hits=hits,
        stale=stale,
        misses=misses,
        coalesced=coalesced,
        stored=int(counts["stored"]),
        refreshed=int(counts["refreshed"]),
        errors=int(counts["errors"]),
        revalidated=int(counts["revalidated"]),
        hit_rate=(hits + stale) / asked if asked else None,
        saved_seconds=counts["saved_seconds"],
        saved_cost=counts["saved_cost"],
        spent_seconds=counts["spent_seconds"],
        spent_cost=counts["spent_cost"],
        ttl_seconds=counts["ttl_seconds"] / counts["ttl_count"] if counts["ttl_count"] else None,
        ages=ages,
        gaps=gaps,
        cut_short=int(counts["cut_short"]),
        double_ttl_gains=sum(gaps[:_WITHIN_ONE_TTL]),
        half_ttl_loses=sum(ages[AGE_BUCKETS // 2 :]),
    )


def operations_in(log: UsageLog) -> list[str]:
    """Every operation that was ever recorded and is still kept."""
    with log.transaction() as database:
        rows = [] if database is None else database.execute("SELECT DISTINCT operation FROM counters").fetchall()
    return sorted(name for (name,) in rows)


def frequent(log: UsageLog, operation: str | None, count: int) -> list[Frequent]:
    """The keys with the most calls, of one operation or of all."""
    statement = f"SELECT key, {KEY_COLUMNS} FROM keys"  # noqa: S608 - constants
    values: list[object] = [count]
    if operation is not None:
        statement += " WHERE operation = ?"
        values.insert(0, operation)
    rows = _rows(log, f"{statement} ORDER BY hits + loads DESC, used_at DESC LIMIT ?", values)
    return [
        Frequent(
            key=key.hex(),
            operation=row.operation,
            hits=row.hits,
            loads=row.loads,
            used_at=row.used_at,
            parameters=parameters_of(row),
            complete=row.complete,
        )
        for key, row in rows
    ]


def nearest(log: UsageLog, like: KeyRow, key: bytes, count: int = 3) -> list[Near]:
    """The operation's other keys that differ from `like` in the fewest parameters, the most recently used first."""
    statement = f"SELECT key, {KEY_COLUMNS} FROM keys WHERE operation = ? ORDER BY used_at DESC LIMIT ?"  # noqa: S608 - constants
    rows = [(other, row) for other, row in _rows(log, statement, (like.operation, _COMPARED_MAX)) if other != key]
    compared = [(_differing(like.digests, row.digests), other, row) for other, row in rows if row.digests]
    compared.sort(key=lambda each: len(each[0]))
    return [
        Near(
            key=other.hex(),
            differing=differing,
            otherwise=[] if differing else _otherwise(like.scope, row.scope),
            parameters=parameters_of(row),
            scope=None if row.scope is None else row.scope.hex(),
            used_at=row.used_at,
        )
        for differing, other, row in compared[:count]
    ]


def _differing(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _otherwise(one: bytes | None, other: bytes | None) -> list[str]:
    """What else is part of a key; of all that, the log knows the scopes."""
    return ["scope"] if one != other else ["version", "namespace", "credentials", "http policy"]


def of_key(log: UsageLog, key: bytes) -> KeyUsage | None:
    """What is known of a key; None for nothing."""
    with log.transaction() as database:
        row = None if database is None else rows_of(database, [key]).get(key)
    if row is None:
        return None
    return KeyUsage(
        operation=row.operation,
        loaded_at=row.loaded_at,
        ttl=row.ttl,
        hits=row.hits,
        loads=row.loads,
        used_at=row.used_at,
        digests=row.digests,
        scope=row.scope,
    )


def keys_of_scopes(log: UsageLog, scopes: Iterable[bytes]) -> set[bytes]:
    """The keys that were loaded for any of these scopes."""
    with log.transaction() as database:
        if database is None:
            return set()
        return {
            key for scope in scopes for (key,) in database.execute("SELECT key FROM keys WHERE subject = ?", (scope,))
        }


def _rows(log: UsageLog, statement: str, values: Sequence[object]) -> list[tuple[bytes, KeyRow]]:
    with log.transaction() as database:
        if database is None:
            return []
        return [(row[0], row_from(row[1:])) for row in database.execute(statement, tuple(values))]


def parameters_of(row: KeyRow) -> dict[str, Any] | None:
    """A key's recorded parameters; None where there are none, or they are damaged."""
    try:
        parameters: dict[str, Any] | None = None if row.recorded is None else json.loads(row.recorded)
    except ValueError:  # damaged
        return None
    return parameters
