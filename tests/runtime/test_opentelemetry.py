"""OpenTelemetry metrics and span annotations, against the real SDK."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Gauge, InMemoryMetricReader, Sum
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.hooks import CacheEvent, Hooks
from apicache.integrations import METRICS
from apicache.integrations.opentelemetry import annotate_spans, instrument
from apicache.stats import Statistics

KEY = "ab" * 32


class StandIn:
    def __init__(self):
        self.statistics = Statistics()
        self.readings = 0
        self.hooks = Hooks()
        self.add_hook = self.hooks.add

    def get_stats(self):
        self.readings += 1
        sizes = {"tiers": {"memory": {"entries": 2, "bytes": 400}}, "evictions": 5}
        return {**self.statistics.as_dict(0.0), **sizes}

    def hit(self):
        self.statistics.hit(self.statistics.of("completion"), "memory", 0.5, 0.25, 0.0)


@pytest.fixture
def cache():
    return StandIn()


@pytest.fixture
def reader(cache):
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    instrument(cache, provider)
    yield reader
    provider.shutdown()


def collected(reader):
    """The metrics of one collection by name."""
    data = reader.get_metrics_data()
    (resource,) = data.resource_metrics
    (scope,) = resource.scope_metrics
    assert scope.scope.name == "apicache"
    return {metric.name: metric for metric in scope.metrics}


def points(metric):
    return {tuple(point.attributes.values()): point.value for point in metric.data.data_points}


def test_statistics_are_observed(cache, reader):
    cache.hit()
    cache.statistics.miss(cache.statistics.of("embedding"), 0.0, 0.125)
    cache.statistics.tier_error("disk")
    seen = collected(reader)
    assert points(seen["apicache.hits"]) == {("completion",): 1, ("embedding",): 0}
    assert points(seen["apicache.misses"]) == {("completion",): 0, ("embedding",): 1}
    assert points(seen["apicache.cost_saved"])["completion",] == 0.25
    assert points(seen["apicache.cost_spent"])["embedding",] == 0.125
    assert points(seen["apicache.latency_saved"])["completion",] == 0.5
    assert points(seen["apicache.hit_rate"])["completion",] == 1.0
    assert points(seen["apicache.tier_hits"]) == {("memory",): 1}
    assert points(seen["apicache.tier_errors"]) == {("disk",): 1}
    assert points(seen["apicache.entries"]) == {("memory",): 2}
    assert points(seen["apicache.bytes"]) == {("memory",): 400}
    assert points(seen["apicache.evictions"]) == {(): 5}


def test_attributes_name_what_the_value_belongs_to(cache, reader):
    cache.hit()
    seen = collected(reader)
    assert [dict(point.attributes) for point in seen["apicache.hits"].data.data_points] == [{"operation": "completion"}]
    assert [dict(point.attributes) for point in seen["apicache.bytes"].data.data_points] == [{"tier": "memory"}]


def test_counters_are_monotonic_sums_and_gauges_are_gauges(cache, reader):
    cache.hit()
    cache.statistics.tier_error("disk")
    seen = collected(reader)
    assert set(seen) == {f"apicache.{metric.name}" for metric in METRICS}
    for metric in METRICS:
        data = seen[f"apicache.{metric.name}"].data
        assert isinstance(data, Sum if metric.kind == "counter" else Gauge)
        assert metric.kind == "gauge" or data.is_monotonic


def test_units_are_told(cache, reader):
    cache.hit()
    seen = collected(reader)
    assert seen["apicache.latency_saved"].unit == "s"
    assert seen["apicache.cost_saved"].unit == "USD"
    assert seen["apicache.bytes"].unit == "By"
    assert seen["apicache.hits"].unit == "{call}"


def test_instrumenting_does_not_touch_the_cache_and_a_collection_reads_it_once(cache, reader):
    assert cache.readings == 0
    cache.hit()
    collected(reader)
    assert cache.readings == 1
    cache.hit()
    assert points(collected(reader)["apicache.hits"]) == {("completion",): 2}
    assert cache.readings == 2


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("test")
    provider.shutdown()


def test_the_current_span_is_told_of_an_answer(cache, tracer, exporter):
    annotate_spans(cache)
    with tracer.start_as_current_span("request"):
        cache.hooks.emit(CacheEvent("hit", "completion", KEY, "memory", 0.5))
    (span,) = exporter.get_finished_spans()
    attributes = {
        "apicache.operation": "completion",
        "apicache.key": KEY,
        "apicache.tier": "memory",
        "apicache.seconds": 0.5,
    }
    assert dict(span.attributes) == {**attributes, "apicache.outcome": "hit"}
    (event,) = span.events
    assert event.name == "apicache.hit"
    assert dict(event.attributes) == attributes


def test_several_answers_in_one_span_are_all_told_and_the_last_is_its_outcome(cache, tracer, exporter):
    annotate_spans(cache)
    with tracer.start_as_current_span("request"):
        cache.hooks.emit(CacheEvent("hit", "completion", KEY, "memory"))
        cache.hooks.emit(CacheEvent("stale", "completion", KEY, "disk"))
        cache.hooks.emit(CacheEvent("miss", "embedding"))
    (span,) = exporter.get_finished_spans()
    assert [event.name for event in span.events] == ["apicache.hit", "apicache.stale", "apicache.miss"]
    assert span.attributes["apicache.outcome"] == "miss"
    assert span.attributes["apicache.operation"] == "embedding"


def test_other_events_leave_the_span_alone(cache, tracer, exporter):
    annotate_spans(cache)
    with tracer.start_as_current_span("request"):
        cache.hooks.emit(CacheEvent("stored", "completion", KEY))
    (span,) = exporter.get_finished_spans()
    assert not span.events
    assert not span.attributes


def test_without_a_span_nothing_happens(cache, exporter):
    annotate_spans(cache)
    cache.hooks.emit(CacheEvent("hit", "completion", KEY, "memory"))
    assert exporter.get_finished_spans() == ()


def test_annotating_ends_when_it_is_asked_to(cache, tracer, exporter):
    annotate_spans(cache)()
    assert not cache.hooks
    with tracer.start_as_current_span("request"):
        cache.hooks.emit(CacheEvent("hit", "completion", KEY, "memory"))
    (span,) = exporter.get_finished_spans()
    assert not span.events


def test_a_real_cache_is_reported_and_annotates(tracer, exporter):
    cache = UnifiedAPICache.create(clock=ManualClock())
    calls = cache.using(operation="doubling", ttl=60)
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    instrument(cache, provider)
    annotate_spans(cache)
    with tracer.start_as_current_span("request"):
        assert [calls.cached_api_call_sync(lambda number: 2 * number, 4) for _ in range(2)] == [8, 8]
    (span,) = exporter.get_finished_spans()
    assert [event.name for event in span.events] == ["apicache.miss", "apicache.hit"]
    assert span.attributes["apicache.tier"] == "memory"
    seen = collected(reader)
    assert points(seen["apicache.hits"]) == {("doubling",): 1}
    assert points(seen["apicache.entries"]) == {("memory",): 1}
    provider.shutdown()


def test_without_the_library_the_error_names_the_extra():
    code = "import sys; sys.modules['opentelemetry'] = None; import apicache.integrations.opentelemetry"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "pip install 'apicache-toolkit[opentelemetry]'" in ended.stderr
