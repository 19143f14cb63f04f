"""Counters: what the cache did, in all and per operation."""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

_OPERATIONS_MAX: Final = 1000
_OTHERS: Final = "(others)"
"""Where operations past the first thousand are counted together: names may come from hosts, memory is bounded."""


class OperationCounts:
    """The counters of one operation."""

    __slots__ = ("bypassed", "coalesced", "cost_saved", "hits", "latency_saved", "misses", "not_stored", "stored")

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.coalesced = 0
        self.bypassed = 0
        self.stored = 0
        self.not_stored = 0
        self.latency_saved = 0.0
        self.cost_saved = 0.0

    def add(self, other: "OperationCounts") -> None:
        """Add the counts of another operation."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_dict(self) -> dict[str, Any]:
        """The counts under their public names."""
        asked = self.hits + self.misses
        return {
            "cache_hits": self.hits,
            "cache_misses": self.misses,
            "hit_rate": self.hits / asked if asked else 0.0,
            "coalesced": self.coalesced,
            "bypassed": self.bypassed,
            "stored": self.stored,
            "not_stored": self.not_stored,
            "latency_saved_seconds": self.latency_saved,
            "cost_saved": self.cost_saved,
        }


class Statistics:
    """Thread-safe counters since the cache was built."""

    def __init__(self) -> None:
        self.renew_lock()
        self._operations: dict[str, OperationCounts] = {}
        self._tier_hits: Counter[str] = Counter()
        self._tier_errors: Counter[str] = Counter()

    def renew_lock(self) -> None:
        """Take a new lock: at first, and in a forked child, where a thread that is gone may have held the old one.

        Re-entrant, because a signal handler may make a cached call in the middle of a count.
        """
        self._lock = threading.RLock()

    def _of(self, operation: str) -> OperationCounts:
        counts = self._operations.get(operation)
        if counts is None:
            name = operation if len(self._operations) < _OPERATIONS_MAX else _OTHERS
            counts = self._operations.setdefault(name, OperationCounts())
        return counts

    def hit(self, operation: str, tier: str, seconds_saved: float, cost_saved: float) -> None:
        """A call answered by an entry of `tier`; what the load had taken and cost is saved."""
        with self._lock:
            counts = self._of(operation)
            counts.hits += 1
            counts.latency_saved += seconds_saved
            counts.cost_saved += cost_saved
            self._tier_hits[tier] += 1

    def miss(self, operation: str) -> None:
        """A call that loaded."""
        with self._lock:
            self._of(operation).misses += 1

    def coalesced(self, operation: str, cost_saved: float) -> None:
        """A call that was answered by another caller's load."""
        with self._lock:
            counts = self._of(operation)
            counts.coalesced += 1
            counts.cost_saved += cost_saved

    def bypassed(self, operation: str) -> None:
        """A call that went straight through: the mode, or no safe identity."""
        with self._lock:
            self._of(operation).bypassed += 1

    def stored(self, operation: str) -> None:
        """A loaded result became an entry."""
        with self._lock:
            self._of(operation).stored += 1

    def not_stored(self, operation: str) -> None:
        """A loaded result was handed out but not kept."""
        with self._lock:
            self._of(operation).not_stored += 1

    def tier_error(self, tier: str) -> None:
        """A tier failed; the call went on without it."""
        with self._lock:
            self._tier_errors[tier] += 1

    def as_dict(self) -> Mapping[str, Any]:
        """A consistent copy of all counters."""
        with self._lock:
            total = OperationCounts()
            for counts in self._operations.values():
                total.add(counts)
            return {
                **total.as_dict(),
                "errors": self._tier_errors.total(),
                "tier_hits": dict(self._tier_hits),
                "tier_errors": dict(self._tier_errors),
                "operations": {name: counts.as_dict() for name, counts in sorted(self._operations.items())},
            }
