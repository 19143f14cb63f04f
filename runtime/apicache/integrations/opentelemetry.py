"""OpenTelemetry: the cache's statistics as metrics, its answers on spans. https://opentelemetry.io/docs/languages/python/."""

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

import apicache
from apicache.hooks import CacheEvent, EventKind, Hook
from apicache.integrations import METRICS, Metric, StatsSource, readings

try:
    from opentelemetry import metrics, trace
except ImportError as error:
    raise ImportError(
        f"OpenTelemetry needs opentelemetry-api ({error}); type: pip install 'apicache-toolkit[opentelemetry]'"
    ) from error

_ANSWERS: Final[tuple[EventKind, ...]] = ("hit", "miss", "stale")


class EventSource(Protocol):
    """What tells events: a cache."""

    def add_hook(self, hook: Hook, kinds: Iterable[EventKind] | None = None) -> Callable[[], None]:
        """Call `hook` with each event of `kinds`; returns what removes it."""


def instrument(cache: StatsSource | None = None, meter_provider: metrics.MeterProvider | None = None) -> None:
    """Report the cache (else the process-wide one) through a meter named `apicache`, of the global provider by default.

    Counters and gauges are observable: they are read when the provider collects, and cost nothing in between. Call it
    once for a provider: OpenTelemetry has no way to take instruments back.
    """
    meter = metrics.get_meter("apicache", meter_provider=meter_provider)
    source = _OncePerCollection(cache)
    for metric in METRICS:
        create = meter.create_observable_counter if metric.kind == "counter" else meter.create_observable_gauge
        create(f"apicache.{metric.name}", [source.callback(metric)], unit=metric.unit, description=metric.text)


def annotate_spans(cache: EventSource | None = None) -> Callable[[], None]:
    """Tell hits, misses and stale answers to the span that is current in the caller; returns what ends it.

    Each adds a span event `apicache.hit` (`miss`, `stale`) with the operation, key digest, tier and seconds; the last
    one's are the span's attributes too, with `apicache.outcome`, since backends search attributes.
    """
    source = apicache.UnifiedAPICache() if cache is None else cache
    return source.add_hook(_annotate, _ANSWERS)


def _annotate(event: CacheEvent) -> None:
    span = trace.get_current_span()
    if not span.is_recording():
        return
    attributes: dict[str, str | float] = {"apicache.operation": event.operation, "apicache.seconds": event.seconds}
    if event.key is not None:
        attributes["apicache.key"] = event.key
    if event.tier is not None:
        attributes["apicache.tier"] = event.tier
    span.add_event(f"apicache.{event.kind}", attributes)
    span.set_attributes({**attributes, "apicache.outcome": event.kind})


class _OncePerCollection:
    """One reading of the statistics for all instruments of a collection.

    OpenTelemetry calls each instrument by itself and does not tell when a collection begins: it begins with the first
    instrument that has already used the present reading.
    """

    def __init__(self, cache: StatsSource | None) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._stats: Mapping[str, Any] = {}
        self._unused: set[str] = set()

    def callback(self, metric: Metric) -> Callable[[metrics.CallbackOptions], list[metrics.Observation]]:
        """What an instrument calls to be read."""

        def observe(_: metrics.CallbackOptions) -> list[metrics.Observation]:
            stats = self._reading_for(metric.name)
            return [metrics.Observation(value, attributes) for attributes, value in readings(metric, stats)]

        return observe

    def _reading_for(self, name: str) -> Mapping[str, Any]:
        with self._lock:
            if name not in self._unused:
                cache = apicache.UnifiedAPICache() if self._cache is None else self._cache
                self._stats = cache.get_stats()
                self._unused = {metric.name for metric in METRICS}
            self._unused.discard(name)
            return self._stats
