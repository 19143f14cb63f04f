"""Counters: what the cache did, in all, per operation, and over the last minutes."""

import math
import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

_OPERATIONS_MAX: Final = 1000
_OTHERS: Final = "(others)"
"""Where operations past the first thousand are counted together: names may come from hosts, memory is bounded."""

WINDOWS: Final[Mapping[str, int]] = {"1m": 1, "5m": 5, "1h": 60}
"""Minutes by name. A window begins with a clock minute: it covers its length and up to one minute more."""
_MINUTE: Final = 60.0
_SNAPSHOTS_MAX: Final = 61
"""The minutes of the longest window and the one that is running."""

_PENDING_MAX: Final = 3 * 128
"""Three times the hits of an operation that wait to be added up: they share one lock, the dearest part of a hit."""

Occurrence = Literal[
    "bypassed",
    "stored",
    "not_stored",
    "early_refreshes",
    "revalidated",
    "load_errors",
    "would_hit",
    "differences",
]


class _Answers(NamedTuple):
    """How calls were answered: the part of the counts that windows report."""

    hits: int = 0
    misses: int = 0
    coalesced: int = 0
    latency_saved: float = 0.0
    cost_saved: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The counts under their public names."""
        asked = self.hits + self.misses
        return {
            "cache_hits": self.hits,
            "cache_misses": self.misses,
            "hit_rate": self.hits / asked if asked else 0.0,
            "coalesced": self.coalesced,
            "latency_saved_seconds": self.latency_saved,
            "cost_saved": self.cost_saved,
        }


class OperationCounts:
    """The counters of one operation. Only `Statistics` changes them, under its lock."""

    __slots__ = (
        "_snapshots",
        "bypassed",
        "coalesced",
        "cost_saved",
        "cost_spent",
        "differences",
        "early_refreshes",
        "hits",
        "latency_saved",
        "load_errors",
        "minute_ends",
        "misses",
        "not_stored",
        "pending",
        "pending_misses",
        "refreshes",
        "revalidated",
        "stale",
        "stored",
        "would_hit",
    )

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.coalesced = 0
        self.bypassed = 0
        self.stored = 0
        self.not_stored = 0
        self.stale = 0
        self.early_refreshes = 0
        self.revalidated = 0
        self.refreshes = 0
        self.load_errors = 0
        self.would_hit = 0
        self.differences = 0
        self.latency_saved = 0.0
        self.cost_saved = 0.0
        self.cost_spent = 0.0
        self.minute_ends = -math.inf
        """Monotonic seconds from which on an answer belongs to a new minute."""
        self.pending: list[Any] = []
        """Hits not added up yet, each as tier, seconds saved, cost saved: extending a list is atomic, needs no lock."""
        self.pending_misses: list[Any] = []
        """Misses not added up yet, each as cost and 1 or 0 for stored."""
        self._snapshots: deque[tuple[int, _Answers]] = deque(maxlen=_SNAPSHOTS_MAX)
        """Minutes that had an answer, each with what had been counted before it."""

    def begin_minute(self, now: float) -> None:
        """Keep what was counted before this minute."""
        minute = int(now // _MINUTE)
        self.minute_ends = (minute + 1) * _MINUTE
        self._snapshots.append((minute, self._answers()))

    def _answers(self) -> _Answers:
        return _Answers(self.hits, self.misses, self.coalesced, self.latency_saved, self.cost_saved)

    def since(self, minute: int) -> _Answers:
        """What was counted in that minute and later."""
        for begun, before in self._snapshots:
            if begun >= minute:
                pairs = zip(self._answers(), before, strict=True)
                return _Answers._make(current - earlier for current, earlier in pairs)
        return _Answers()

    def as_dict(self) -> dict[str, Any]:
        """The counts under their public names."""
        return {
            **self._answers().as_dict(),
            "bypassed": self.bypassed,
            "stored": self.stored,
            "not_stored": self.not_stored,
            "stale": self.stale,
            "early_refreshes": self.early_refreshes,
            "refreshes": self.refreshes,
            "revalidated": self.revalidated,
            "load_errors": self.load_errors,
            "would_hit": self.would_hit,
            "differences": self.differences,
            "cost_spent": self.cost_spent,
        }


class Statistics:
    """Thread-safe counters since the cache was built.

    Each answered call is one of: a hit (served stale or not), a miss, coalesced, bypassed. Callers keep the counts
    object that `of` gives, so that a hit looks nothing up. `now` is always monotonic seconds, `seconds` what the load
    had taken, `cost` US dollars.
    """

    def __init__(self) -> None:
        self.renew_lock()
        self._operations: dict[str, OperationCounts] = {}
        self._tier_hits: Counter[str] = Counter()
        self._tier_errors: Counter[str] = Counter()
        self._writes_dropped = 0

    def renew_lock(self) -> None:
        """Take a new lock: at first, and in a forked child, where a thread that is gone may have held the old one.

        Re-entrant, because a signal handler may make a cached call in the middle of a count.
        """
        self._lock = threading.RLock()
        self._adding = False

    def of(self, operation: str) -> OperationCounts:
        """The counts of an operation, for as long as this object lives."""
        counts = self._operations.get(operation)
        if counts is None:
            with self._lock:
                name = operation if len(self._operations) < _OPERATIONS_MAX else _OTHERS
                counts = self._operations.setdefault(name, OperationCounts())
        return counts

    def hit(self, counts: OperationCounts, tier: str, seconds: float, cost: float, now: float) -> None:
        """A call answered by an entry of `tier`; what the load had taken and cost is saved."""
        if now >= counts.minute_ends:
            self._begin_minute(counts, now)
        pending = counts.pending
        pending += (tier, seconds, cost)
        if len(pending) >= _PENDING_MAX:
            self._add_up(counts)

    def hits(self, counts: OperationCounts, answers: Sequence[Any], now: float) -> None:
        """As `hit`, for several calls at once: `answers` are the tier, seconds and cost of each, one after another."""
        if now >= counts.minute_ends:
            self._begin_minute(counts, now)
        pending = counts.pending
        pending += answers
        if len(pending) >= _PENDING_MAX:
            self._add_up(counts)

    def stale(self, counts: OperationCounts, tier: str, seconds: float, cost: float, now: float) -> None:
        """A hit whose entry was past its ttl, or expired."""
        self.hit(counts, tier, seconds, cost, now)
        with self._lock:
            counts.stale += 1

    def miss(self, counts: OperationCounts, now: float, cost: float = 0.0, stored: int = 0) -> None:
        """A call that loaded, for `cost`; `stored` is 1 when its result was stored."""
        if now >= counts.minute_ends:
            self._begin_minute(counts, now)
        pending = counts.pending_misses
        pending += (cost, stored)
        if len(pending) >= _PENDING_MAX:
            self._add_up(counts)

    def coalesced(self, counts: OperationCounts, cost: float, now: float) -> None:
        """A call that was answered by another caller's load, whose `cost` is saved."""
        with self._lock:
            self._begin_minute(counts, now)
            counts.coalesced += 1
            counts.cost_saved += cost

    def _begin_minute(self, counts: OperationCounts, now: float) -> None:
        with self._lock:
            if now >= counts.minute_ends:
                self._add_up(counts)
                counts.begin_minute(now)

    def _add_up(self, counts: OperationCounts) -> None:
        with self._lock:
            if self._adding:  # a signal handler's call, inside an addition of this very thread
                return
            self._adding = True
            try:
                length = len(counts.pending)  # other threads may extend it meanwhile: theirs wait for the next time
                pending = counts.pending[:length]
                del counts.pending[:length]
                counts.hits += length // 3
                counts.latency_saved += sum(pending[1::3])
                counts.cost_saved += sum(pending[2::3])
                tiers = pending[::3]
                for tier in set(tiers):
                    self._tier_hits[tier] += tiers.count(tier)
                length = len(counts.pending_misses)
                pending = counts.pending_misses[:length]
                del counts.pending_misses[:length]
                counts.misses += length // 2
                counts.cost_spent += sum(pending[::2])
                counts.stored += sum(pending[1::2])
            finally:
                self._adding = False

    def refreshed(self, counts: OperationCounts, cost: float = 0.0, stored: int = 0) -> None:
        """A load in the background, for `cost`; `stored` as in `miss`."""
        with self._lock:
            counts.refreshes += 1
            counts.stored += stored
            counts.cost_spent += cost

    def count(self, counts: OperationCounts, what: Occurrence) -> None:
        """One more of what needs no more than counting."""
        with self._lock:
            setattr(counts, what, getattr(counts, what) + 1)

    def tier_error(self, tier: str) -> None:
        """A tier failed; the call went on without it."""
        with self._lock:
            self._tier_errors[tier] += 1

    def write_dropped(self, entries: int = 1) -> None:
        """Entries never reached a tier: too many writes were waiting, or it was down."""
        with self._lock:
            self._writes_dropped += entries

    def as_dict(self, now: float) -> dict[str, Any]:
        """A consistent copy of all counters; the windows end at `now`."""
        minute = int(now // _MINUTE)
        with self._lock:
            known = sorted(self._operations.items())
            for _, counts in known:
                self._add_up(counts)
            operations = {name: {**counts.as_dict(), "windows": {}} for name, counts in known}
            windows: dict[str, Any] = {}
            for label, minutes in WINDOWS.items():
                parts = {name: counts.since(minute - minutes) for name, counts in known}
                windows[label] = _summed(parts.values()).as_dict()
                for name, part in parts.items():
                    operations[name]["windows"][label] = part.as_dict()
            return {
                **_total(counts for _, counts in known).as_dict(),
                "errors": self._tier_errors.total(),
                "writes_dropped": self._writes_dropped,
                "tier_hits": dict(self._tier_hits),
                "tier_errors": dict(self._tier_errors),
                "windows": windows,
                "operations": operations,
            }


_NO_COUNTERS: Final = frozenset({"_snapshots", "minute_ends", "pending", "pending_misses"})


def _total(parts: Iterable[OperationCounts]) -> OperationCounts:
    total = OperationCounts()
    counters = [name for name in OperationCounts.__slots__ if name not in _NO_COUNTERS]
    for counts in parts:
        for name in counters:
            setattr(total, name, getattr(total, name) + getattr(counts, name))
    return total


def _summed(parts: Iterable[_Answers]) -> _Answers:
    return _Answers._make(sum(column) for column in zip(_Answers(), *parts, strict=True))
