"""The cache's statistics as Prometheus collects them. https://prometheus.github.io/client_python/collector/custom/."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import apicache
from apicache.integrations import METRICS, Metric, StatsSource, readings

try:
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        f"Prometheus metrics need prometheus-client ({error}); type: pip install 'apicache-toolkit[prometheus]'"
    ) from error

__all__ = ["REGISTRY", "CacheCollector", "CollectorRegistry", "exposition"]

_SUFFIXES: Final = {"USD": "_usd", "s": "_seconds"}
"""Base units end a metric's name: https://prometheus.io/docs/practices/naming/."""


class CacheCollector(Collector):
    """Reads `get_stats()` whenever Prometheus scrapes; between scrapes it costs nothing.

    Without a cache it reads the process-wide one.
    """

    def __init__(self, cache: StatsSource | None = None) -> None:
        self._cache = cache

    def describe(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        """The metrics without values, so that registering does not touch the cache."""
        return _families(None)

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        """The metrics with their values, all from one reading."""
        cache = apicache.UnifiedAPICache() if self._cache is None else self._cache
        return _families(cache.get_stats())


def exposition(cache: StatsSource | None, accept: str) -> tuple[bytes, str]:
    """The cache's metrics alone, in the format that an Accept header asks for, and that format's content type."""
    registry = CollectorRegistry()
    registry.register(CacheCollector(cache))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def _families(stats: Mapping[str, Any] | None) -> list[CounterMetricFamily | GaugeMetricFamily]:
    return [_family(metric, stats) for metric in METRICS]


def _family(metric: Metric, stats: Mapping[str, Any] | None) -> CounterMetricFamily | GaugeMetricFamily:
    family_type = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    labels = [] if metric.label is None else [metric.label]
    family = family_type(f"apicache_{metric.name}{_SUFFIXES.get(metric.unit, '')}", metric.text, labels=labels)
    if stats is not None:
        for attributes, value in readings(metric, stats):
            family.add_metric(list(attributes.values()), value)
    return family
