"""Prometheus: the cache's statistics as metrics. https://prometheus.github.io/client_python/collector/custom/."""

from apicache.integrations import StatsSource
from apicache.web.prometheus_collector import REGISTRY, CacheCollector, CollectorRegistry

__all__ = ["CacheCollector", "register"]


def register(cache: StatsSource | None = None, registry: CollectorRegistry | None = None) -> CacheCollector:
    """Register a collector of the cache (else the process-wide one) with `registry` (else Prometheus's own).

    Raises ValueError when the registry has one already; `registry.unregister` takes the returned collector out.
    """
    collector = CacheCollector(cache)
    (REGISTRY if registry is None else registry).register(collector)
    return collector
