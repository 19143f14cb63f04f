"""The statistics as web pages answer them: `get_stats()` with the source document's fields beside its own."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from apicache.usage.report import TARGET_HIT_RATE


def stats_document(stats: Mapping[str, Any], cost_per_call: float = 0.0) -> dict[str, Any]:
    """`stats`, and in all, per operation and per window `api_calls_saved` and `estimated_cost_saved` (US dollars).

    A saved call is a hit, or one that another caller's load answered. What it saved is what its load had cost; for
    operations that never told a cost it is `cost_per_call`. `target_hit_rate` is 0 to 1, `process` the answering
    process's id: each process counts for itself.
    """
    told = dict(stats)
    operations = {name: _with_savings(each, cost_per_call) for name, each in stats.get("operations", {}).items()}
    told["operations"] = operations
    told["windows"] = {
        label: _total(window, [each.get("windows", {}).get(label, {}) for each in operations.values()])
        for label, window in stats.get("windows", {}).items()
    }
    return {
        **_total(told, operations.values()),
        "target_hit_rate": TARGET_HIT_RATE,
        "process": os.getpid(),
    }


def _with_savings(operation: Mapping[str, Any], cost_per_call: float) -> dict[str, Any]:
    is_priced = bool(operation.get("cost_saved") or operation.get("cost_spent"))

    def saved(counts: Mapping[str, Any]) -> dict[str, Any]:
        calls = _calls_saved(counts)
        cost = counts.get("cost_saved", 0.0) if is_priced else calls * cost_per_call
        return {**counts, "api_calls_saved": calls, "estimated_cost_saved": cost}

    windows = {label: saved(window) for label, window in operation.get("windows", {}).items()}
    return {**saved(operation), "windows": windows}


def _total(counts: Mapping[str, Any], parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    cost = sum(part.get("estimated_cost_saved", 0.0) for part in parts)
    return {**counts, "api_calls_saved": _calls_saved(counts), "estimated_cost_saved": cost}


def _calls_saved(counts: Mapping[str, Any]) -> int:
    return int(counts.get("cache_hits", 0)) + int(counts.get("coalesced", 0))
