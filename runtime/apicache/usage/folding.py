"""What a batch of usage events adds to the log's rows: pure, so that the log only reads, folds and writes."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from apicache.credentials import REDACTED, is_credential
from apicache.usage.usage import Event, digests_of

HOUR: Final = 3600
AGE_BUCKETS: Final = 10
"""Tenths of the ttl."""
GAP_LIMITS: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Upper bounds of the gap buckets, in ttls; one more bucket has what is beyond."""

RECORDED_MAX: Final = 8192
"""Bytes of JSON that are kept of one call's parameters."""
_DEPTH_MAX: Final = 32

COUNTED: Final = {
    "hit": "hits",
    "stale": "stale",
    "miss": "misses",
    "coalesced": "coalesced",
    "stored": "stored",
    "refreshed": "refreshed",
    "error": "errors",
    "revalidated": "revalidated",
}
SUMS: Final = ("saved_seconds", "saved_cost", "spent_seconds", "spent_cost", "ttl_seconds", "ttl_count", "cut_short")
AGES: Final = tuple(f"age{bucket}" for bucket in range(AGE_BUCKETS))
GAPS: Final = tuple(f"gap{bucket}" for bucket in range(len(GAP_LIMITS) + 1))
COUNTERS: Final = (*COUNTED.values(), *SUMS, *AGES, *GAPS)
"""The columns of one hour of one operation.

`cut_short` counts misses of keys whose entry had not ended yet: evicted, invalidated, or purged. `refreshed` counts
loads in the background: nobody waited, so they are no misses. What was stored of them is told by `stored`, as of
misses.
"""

_SAVING: Final = frozenset({"hit", "stale", "coalesced"})
_SERVED: Final = frozenset({"hit", "stale"})
_OF_ENTRIES: Final = frozenset({"hit", "stale", "stored", "revalidated"})
_BEARER = re.compile(r"^(bearer|basic|token|digest)\s+\S", re.IGNORECASE)


class KeyRow(msgspec.Struct):
    """What the log knows of one key; the fields are in the order of the columns."""

    operation: str
    loaded_at: float = 0.0
    """When its last entry was created."""
    ttl: float = 0.0
    hits: int = 0
    loads: int = 0
    used_at: float = 0.0
    scope: bytes | None = None
    """Its digest."""
    digests: dict[str, bytes] = {}
    recorded: str | None = None
    """The recorded parameters as JSON."""
    complete: bool = False
    """Whether `recorded` has every parameter unchanged, so that the call can be made again from it."""
    seconds: float = 0.0
    """What the load of its last entry took."""
    cost: float = 0.0
    """US dollars of that load."""
    size: int = -1
    """Bytes of that entry's payload; -1 where they are not known."""
    id: int = 0
    """Its number in the trace; 0 for a row that has none yet."""


Counters = dict[tuple[int, str], dict[str, float]]
"""By hour (since the epoch) and operation."""


def fold(events: Sequence[Event], rows: dict[bytes, KeyRow]) -> Counters:
    """Take events in, in their order: `rows` (the known ones of their keys) are updated, the counters returned.

    This runs beside the application's own threads, so a hit must take no more than a microsecond or two.
    """
    counters: Counters = {}
    for event in events:
        place = (int(event.at // HOUR), event.operation)
        counts = counters.get(place)
        if counts is None:
            counts = counters[place] = dict.fromkeys(COUNTERS, 0.0)
        row = rows.get(event.key)
        kind = event.kind
        counts[COUNTED[kind]] += 1
        if kind in _SAVING:
            counts["saved_seconds"] += event.seconds
            counts["saved_cost"] += event.cost
            if kind == "hit" and event.ttl > 0:
                tenth = int(AGE_BUCKETS * event.age / event.ttl)
                counts[AGES[tenth if 0 <= tenth < AGE_BUCKETS else _nearest_bucket(tenth)]] += 1
                counts["ttl_seconds"] += event.ttl
                counts["ttl_count"] += 1
        elif kind == "miss":
            _count_miss(event, row, counts)
        elif kind == "refreshed":
            _count_spent(event, counts)
        if event.key and kind in _OF_ENTRIES:
            if row is None:
                row = rows[event.key] = KeyRow(event.operation)
            _follow(row, event)
    return counters


def _nearest_bucket(tenth: int) -> int:
    return 0 if tenth < 0 else AGE_BUCKETS - 1


def _count_miss(event: Event, row: KeyRow | None, counts: dict[str, float]) -> None:
    _count_spent(event, counts)
    if row is not None and row.ttl > 0:
        counts[gap_bucket(event.at - row.loaded_at - row.ttl, row.ttl)] += 1


def _count_spent(event: Event, counts: dict[str, float]) -> None:
    counts["spent_seconds"] += event.seconds
    counts["spent_cost"] += event.cost


def gap_bucket(gap: float, ttl: float) -> str:
    """The counter for a miss that came `gap` seconds after the key's last entry had ended."""
    if gap < 0:
        return "cut_short"
    for bucket, limit in enumerate(GAP_LIMITS):
        if gap < limit * ttl:
            return GAPS[bucket]
    return GAPS[-1]


def _follow(row: KeyRow, event: Event) -> None:
    at = event.at
    if at > row.used_at:  # noqa: PLR1730 - a function call less
        row.used_at = at
    if at - event.age >= row.loaded_at:
        row.loaded_at = at - event.age
        row.ttl = event.ttl or row.ttl
    if event.scope is not None:
        row.scope = event.scope
    if event.kind in _SERVED:
        row.hits += 1
        if not row.seconds:  # of an entry that this log has not seen stored
            _learn(row, event)
    elif event.kind == "stored":
        row.loads += 1
        _learn(row, event)
        row.digests = digests_of(event.material) or row.digests
        row.recorded, row.complete = storable_parameters(event.recorded)


def _learn(row: KeyRow, event: Event) -> None:
    row.seconds, row.cost = event.seconds, event.cost
    if event.size is not None:
        row.size = event.size


def storable_parameters(recorded: Mapping[str, Any] | None) -> tuple[str | None, bool]:
    """The JSON text that the log keeps of recorded parameters, and whether it has all of them unchanged.

    Values whose names look like a credential's are replaced; parameters that JSON cannot carry are left out; nothing is
    kept past 8 KiB.
    """
    if not recorded:
        return None, False
    kept: dict[str, Any] = {}
    for name, value in recorded.items():
        try:
            kept[name] = _storable(name, value, 0)
        except (ValueError, RuntimeError):  # RuntimeError: its caller is changing it meanwhile
            continue
    text = json.dumps(kept, separators=(",", ":"))
    return (text, kept == recorded) if len(text) <= RECORDED_MAX else (None, False)


def _storable(name: str, value: Any, depth: int) -> Any:
    """A copy without credentials; raises ValueError for what would not come back from JSON as it was."""
    kind = type(value)
    if is_credential(name):
        return REDACTED
    if kind is str:
        return _without_credentials(value)
    if value is None or kind in {bool, int} or (kind is float and math.isfinite(value)):
        return value
    if depth < _DEPTH_MAX and kind is list:
        return [_storable("", item, depth + 1) for item in value]
    if depth < _DEPTH_MAX and kind is dict and all(type(key) is str for key in value):
        return {key: _storable(key, item, depth + 1) for key, item in value.items()}
    raise ValueError(f"a {kind.__name__} is not JSON-like")


def _without_credentials(text: str) -> str:
    """The text; an Authorization value and the credentials of a URL are replaced."""
    if _BEARER.match(text):
        return REDACTED
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return REDACTED
    if not parts.netloc:
        return text
    pairs = [pair.partition("=") for pair in parts.query.split("&")]
    query = "&".join(name + sign + (REDACTED if sign and is_credential(name) else value) for name, sign, value in pairs)
    clean = parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query)
    return text if clean == parts else urlunsplit(clean)
