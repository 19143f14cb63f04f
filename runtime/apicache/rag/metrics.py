"""Plain counters for the RAG service."""

import threading
from collections import Counter
from typing import Any, Final

from apicache.rag.parts import IRAGMetrics

_KINDS_MAX: Final = 100
_OTHER: Final = "other"


class SimpleRAGMetrics(IRAGMetrics):
    """Counts in this process; for threads and event loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._cache_errors: Counter[str] = Counter()
        self._seconds = 0.0

    def record_query(self, seconds: float, *, from_cache: bool, error: str | None) -> None:
        """As the interface says."""
        with self._lock:
            self._seconds += seconds
            self._counts["queries"] += 1
            self._counts["cache_hits" if from_cache else "cache_misses"] += 1
            if error is not None:
                _add(self._errors, error)

    def record_batch(self, queries: int, distinct: int, seconds: float) -> None:  # noqa: ARG002 - of the interface
        """As the interface says."""
        with self._lock:
            self._counts["batches"] += 1
            self._counts["duplicates"] += queries - distinct

    def record_cache_error(self, kind: str) -> None:
        """As the interface says."""
        with self._lock:
            _add(self._cache_errors, kind)

    def as_dict(self) -> dict[str, Any]:
        """`batches`, `queries` (executed or from the cache), `duplicates` beside them, `cache_hits`, `cache_misses`.

        `hit_rate` is 0 to 1; `errors` and `cache_errors` are by kind; `average_seconds` is of one query.
        """
        with self._lock:
            counts = {
                name: self._counts[name] for name in ("batches", "queries", "duplicates", "cache_hits", "cache_misses")
            }
            asked = counts["queries"]
            return {
                **counts,
                "hit_rate": counts["cache_hits"] / asked if asked else 0.0,
                "average_seconds": self._seconds / asked if asked else 0.0,
                "errors": dict(self._errors),
                "cache_errors": dict(self._cache_errors),
            }


def _add(counts: Counter[str], kind: str) -> None:
    counts[kind if kind in counts or len(counts) < _KINDS_MAX else _OTHER] += 1
