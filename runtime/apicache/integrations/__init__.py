"""Integrations: one file for each library that is told what the cache does. What they share is here."""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, Protocol


class StatsSource(Protocol):
    """What metrics are read from: a cache."""

    def get_stats(self) -> Mapping[str, Any]:
        """Its statistics, as `UnifiedAPICache.get_stats` describes them."""


class Metric(NamedTuple):
    """A number that monitoring systems are told."""

    name: str
    kind: Literal["counter", "gauge"]
    label: Literal["operation", "tier"] | None
    """What there is one reading for each of; None for a single reading."""
    stat: str
    """Its name in `get_stats()`, or in the part of it that belongs to an operation or tier."""
    unit: str
    """In UCUM, as OpenTelemetry asks: what is counted stands in braces."""
    text: str


METRICS: Final = (
    Metric("hits", "counter", "operation", "cache_hits", "{call}", "Calls answered by an entry."),
    Metric("misses", "counter", "operation", "cache_misses", "{call}", "Calls that loaded."),
    Metric("coalesced", "counter", "operation", "coalesced", "{call}", "Calls answered by another caller's load."),
    Metric("stale", "counter", "operation", "stale", "{call}", "Hits whose entry was past its ttl."),
    Metric("bypassed", "counter", "operation", "bypassed", "{call}", "Calls that went straight through."),
    Metric("stored", "counter", "operation", "stored", "{entry}", "Results that became entries."),
    Metric("not_stored", "counter", "operation", "not_stored", "{result}", "Results handed out but not kept."),
    Metric("early_refreshes", "counter", "operation", "early_refreshes", "{load}", "Loads begun before the ttl ended."),
    Metric("refreshes", "counter", "operation", "refreshes", "{load}", "Loads in the background."),
    Metric("revalidated", "counter", "operation", "revalidated", "{entry}", "Entries confirmed by their origin."),
    Metric("load_errors", "counter", "operation", "load_errors", "{error}", "Loads that failed."),
    Metric("would_hit", "counter", "operation", "would_hit", "{call}", "Hits there would be, in observe mode."),
    Metric(
        "differences", "counter", "operation", "differences", "{call}", "Wrong hits there would be, in shadow mode."
    ),
    Metric("cost_saved", "counter", "operation", "cost_saved", "USD", "What answered calls would have cost."),
    Metric("cost_spent", "counter", "operation", "cost_spent", "USD", "What loads have cost."),
    Metric("latency_saved", "counter", "operation", "latency_saved_seconds", "s", "Time that hits would have taken."),
    Metric("hit_rate", "gauge", "operation", "hit_rate", "1", "Hits of hits and misses, 0 to 1."),
    Metric("tier_hits", "counter", "tier", "tier_hits", "{call}", "Calls answered by an entry of the tier."),
    Metric("tier_errors", "counter", "tier", "tier_errors", "{error}", "Failures of the tier."),
    Metric("entries", "gauge", "tier", "entries", "{entry}", "Entries in the tier."),
    Metric("bytes", "gauge", "tier", "bytes", "By", "Bytes in the tier."),
    Metric("evictions", "counter", None, "evictions", "{entry}", "Entries that gave way to others."),
    Metric("writes_dropped", "counter", None, "writes_dropped", "{entry}", "Entries that never reached a tier."),
)


def readings(metric: Metric, stats: Mapping[str, Any]) -> list[tuple[dict[str, str], float]]:
    """The values of a metric in `get_stats()`, each with its labels; what the statistics do not tell is left out."""
    if metric.label is None:
        return [({}, stats[metric.stat])] if metric.stat in stats else []
    if metric.label == "tier" and metric.kind == "counter":
        by_name = stats.get(metric.stat, {})
    else:
        parts = stats.get("operations" if metric.label == "operation" else "tiers", {})
        by_name = {name: part.get(metric.stat) for name, part in parts.items()}
    return [({metric.label: name}, value) for name, value in by_name.items() if isinstance(value, int | float)]
