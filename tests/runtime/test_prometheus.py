"""The Prometheus collector, against the real client library."""

import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.integrations import METRICS
from apicache.integrations.prometheus import CacheCollector, register
from apicache.stats import Statistics


class StandIn:
    def __init__(self, tiers=None):
        self.statistics = Statistics()
        self.tiers = tiers
        self.readings = 0

    def get_stats(self):
        self.readings += 1
        tiers = {} if self.tiers is None else {"tiers": self.tiers}
        return {"mode": "on", **self.statistics.as_dict(0.0), "evictions": 5, **tiers}


@pytest.fixture
def cache():
    cache = StandIn({"memory": {"entries": 2, "bytes": 400}, "disk": {"entries": 7, "bytes": None}})
    counts = cache.statistics.of("completion")
    for _ in range(3):
        cache.statistics.hit(counts, "memory", 0.5, 0.25, 0.0)
    cache.statistics.stale(counts, "disk", 0.5, 0.25, 0.0)
    cache.statistics.miss(counts, 0.0, 0.125)
    cache.statistics.count(counts, "stored")
    cache.statistics.count(cache.statistics.of("embedding"), "bypassed")
    cache.statistics.tier_error("disk")
    return cache


@pytest.fixture
def registry(cache):
    registry = CollectorRegistry()
    register(cache, registry)
    return registry


@pytest.mark.parametrize(
    ("sample", "labels", "expected"),
    [
        ("apicache_hits_total", {"operation": "completion"}, 4),
        ("apicache_hits_total", {"operation": "embedding"}, 0),
        ("apicache_misses_total", {"operation": "completion"}, 1),
        ("apicache_stale_total", {"operation": "completion"}, 1),
        ("apicache_coalesced_total", {"operation": "completion"}, 0),
        ("apicache_bypassed_total", {"operation": "embedding"}, 1),
        ("apicache_stored_total", {"operation": "completion"}, 1),
        ("apicache_load_errors_total", {"operation": "completion"}, 0),
        ("apicache_cost_saved_usd_total", {"operation": "completion"}, 1.0),
        ("apicache_cost_spent_usd_total", {"operation": "completion"}, 0.125),
        ("apicache_latency_saved_seconds_total", {"operation": "completion"}, 2.0),
        ("apicache_hit_rate", {"operation": "completion"}, 0.8),
        ("apicache_tier_hits_total", {"tier": "memory"}, 3),
        ("apicache_tier_hits_total", {"tier": "disk"}, 1),
        ("apicache_tier_errors_total", {"tier": "disk"}, 1),
        ("apicache_entries", {"tier": "disk"}, 7),
        ("apicache_bytes", {"tier": "memory"}, 400),
        ("apicache_evictions_total", {}, 5),
        ("apicache_writes_dropped_total", {}, 0),
    ],
)
def test_each_statistic_is_a_sample(registry, sample, labels, expected):
    assert registry.get_sample_value(sample, labels) == expected


def test_a_size_that_the_tier_does_not_tell_is_left_out(registry):
    assert registry.get_sample_value("apicache_bytes", {"tier": "disk"}) is None


def test_tiers_that_are_not_reported_are_left_out():
    registry = CollectorRegistry()
    register(StandIn(), registry)
    text = generate_latest(registry).decode()
    assert "apicache_entries{" not in text
    assert "# TYPE apicache_entries gauge" in text


def test_registering_does_not_touch_the_cache_and_a_scrape_reads_it_once(cache):
    registry = CollectorRegistry(auto_describe=True)
    register(cache, registry)
    assert cache.readings == 0
    generate_latest(registry)
    assert cache.readings == 1


def test_registering_twice_is_refused(cache, registry):
    with pytest.raises(ValueError, match="apicache_hits"):
        register(cache, registry)


def test_what_was_registered_can_be_taken_out(cache):
    registry = CollectorRegistry()
    collector = register(cache, registry)
    registry.unregister(collector)
    assert generate_latest(registry) == b""


def test_counters_are_counters_and_gauges_are_gauges(cache):
    families = list(CacheCollector(cache).collect())
    kinds = ["counter" if isinstance(family, CounterMetricFamily) else "gauge" for family in families]
    assert kinds == [metric.kind for metric in METRICS]


def test_label_values_are_escaped():
    cache = StandIn()
    cache.statistics.miss(cache.statistics.of('a"b\nc'), 0.0)
    registry = CollectorRegistry()
    register(cache, registry)
    assert 'apicache_misses_total{operation="a\\"b\\nc"} 1.0' in generate_latest(registry).decode()


def test_each_metric_reads_what_the_statistics_have():
    cache = UnifiedAPICache.create(clock=ManualClock())
    cache.using(operation="completion").cached_api_call_sync(abs, -1)
    known = cache.get_stats()
    for metric in METRICS:
        if metric.label == "operation":
            assert metric.stat in known["operations"]["completion"]
        elif metric.kind == "counter":
            assert metric.stat in known


def test_a_real_cache_is_reported():
    cache = UnifiedAPICache.create(clock=ManualClock())
    calls = cache.using(operation="doubling", ttl=60)
    assert [calls.cached_api_call_sync(lambda number: 2 * number, 4) for _ in range(3)] == [8, 8, 8]
    registry = CollectorRegistry()
    register(cache, registry)
    assert registry.get_sample_value("apicache_hits_total", {"operation": "doubling"}) == 2
    assert registry.get_sample_value("apicache_misses_total", {"operation": "doubling"}) == 1
    assert registry.get_sample_value("apicache_tier_hits_total", {"tier": "memory"}) == 2
    assert registry.get_sample_value("apicache_entries", {"tier": "memory"}) == 1
    assert registry.get_sample_value("apicache_bytes", {"tier": "memory"}) > 0


def test_without_the_library_the_error_names_the_extra():
    code = "import sys; sys.modules['prometheus_client'] = None; import apicache.integrations.prometheus"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "pip install 'apicache-toolkit[prometheus]'" in ended.stderr
