"""Thresholds against blocks that were made by hand."""

from array import array
from pathlib import Path

import pytest

from apicache_scenarios.format.model import Threshold
from apicache_scenarios.format.problems import Place
from apicache_scenarios.load.figures import Total
from apicache_scenarios.load.merging import merged_block
from apicache_scenarios.load.plan import ArmPlan
from apicache_scenarios.load.recording import Histogram
from apicache_scenarios.load.result import Block, Series, packed, unpacked
from apicache_scenarios.load.thresholds import Counts, evaluated, live

ARMS = (
    ArmPlan(name="cached", plan_arm="cached", uses_cache=True),
    ArmPlan(name="direct", plan_arm="direct", uses_cache=False),
)


def histogram(*milliseconds):
    return Histogram.of(array("q", (int(value * 1e6) for value in milliseconds))).encoded()


def series(*milliseconds, outcome="hit", operation="ask", service=None):
    given = None if service is None else histogram(*service)
    return Series(operation=operation, outcome=outcome, latency=histogram(*milliseconds), service_time=given)


def block(*given, arm="cached", number=0, **fields):
    return Block(number=number, round=0, arm=arm, pass_="cold", stage=0, **{"started": 0.0, "seconds": 2.0} | fields,
                 series=given)  # fmt: skip


BLOCKS = (
    block(
        series(1, 2, 3, service=(1, 1, 1)), series(90, outcome="miss", service=(90,)),
        errors={"ask": {"HTTP 500": 1}}, dropped=2, lag=histogram(5), upstream_calls=2,
    ),
    block(series(100, 100, outcome="miss"), arm="direct", upstream_calls=2),
)  # fmt: skip


def threshold(metric, comparison="<", bound=1.0, *, arm=None, statistic=None, abort=False, **labels):
    return Threshold(
        path=Path("faq.yaml"), place=Place(16, 4), written=f"{metric}: {comparison} {bound}", arm=arm, metric=metric,
        labels=labels, statistic=statistic, comparison=comparison, bound=bound, abort=abort,
    )  # fmt: skip


def result(*arguments, blocks=BLOCKS, **keywords):
    (found,) = evaluated([threshold(*arguments, **keywords)], ARMS, blocks, {"ask": 0.5})
    return found


@pytest.mark.parametrize(
    ("metric", "keywords", "expected"),
    [
        ("hit_rate", {"arm": "cached"}, 0.6),
        ("hit_rate", {}, 3 / 7),
        ("latency", {"arm": "cached", "statistic": "max"}, 0.090),
        ("latency", {"arm": "cached", "statistic": "p50", "outcome": "hit"}, 0.002),
        ("latency", {"arm": "cached", "statistic": "avg", "outcome": "hit"}, 0.002),
        ("service_time", {"arm": "cached", "statistic": "med"}, 0.001),
        ("service_time", {"arm": "direct", "statistic": "min"}, 0.100),
        ("lag", {"arm": "cached", "statistic": "p99"}, 0.005),
        ("throughput", {"arm": "cached"}, 2.0),
        ("errors.rate", {"arm": "cached"}, 0.2),
        ("errors.count", {}, 1.0),
        ("requests.count", {}, 7.0),
        ("dropped.count", {"arm": "cached"}, 2.0),
        ("upstream.calls", {"arm": "cached"}, 2.0),
        ("api_call_reduction", {}, 0.6),
        ("speedup", {}, 50),
        ("cost", {"arm": "direct"}, 1.0),
    ],
)
def test_each_metric_is_measured(metric, keywords, expected):
    assert result(metric, **keywords).measured == pytest.approx(expected, rel=0.002)


def test_every_metric_that_files_may_bound_is_measured():
    from apicache_scenarios.format.thresholds import METRICS

    for metric, unit in METRICS.items():
        assert result(metric, statistic="p50" if unit == "time" else None).measured is not None


@pytest.mark.parametrize(
    ("comparison", "bound", "holds"),
    [("<", 0.6, False), ("<=", 0.6, True), (">", 0.6, False), (">=", 0.6, True), ("==", 0.6, True), ("==", 0.5, False)],
)
def test_it_holds_or_not(comparison, bound, holds):
    assert result("hit_rate", comparison, bound, arm="cached").holds is holds


@pytest.mark.parametrize("metric", ["hit_rate", "latency", "errors.rate", "errors.count", "speedup", "throughput"])
def test_without_samples_it_fails(metric):
    found = result(metric, "<", 1e9, statistic="p50" if metric == "latency" else None, blocks=())
    assert (found.measured, found.holds) == (None, False)
    labelled = result("latency", "<", 1e9, statistic="p50", operation="other")
    assert (labelled.measured, labelled.holds) == (None, False)


def test_it_says_where_it_is_written():
    found = result("hit_rate", arm="cached")
    assert (found.place, found.written, found.arm) == ("faq.yaml:16", "hit_rate: < 1.0", "cached")


def test_an_arm_that_tiers_made_several_of_has_a_result_for_each():
    arms = [ArmPlan(name=f"cached-{name}", plan_arm="cached", uses_cache=True) for name in ("memory", "disk")]
    found = evaluated([threshold("hit_rate", arm="cached")], arms, [block(series(1), arm="cached-disk")])
    assert [(each.arm, each.measured) for each in found] == [("cached-memory", None), ("cached-disk", 1.0)]


def test_counts_decide_while_a_block_runs():
    counts = [Counts("cached", 10, 4, 1), Counts("direct", 10, 0, 5)]
    rates = [threshold("errors.rate", bound=0.2), threshold("errors.rate", bound=0.2, arm="cached")]
    assert [each.holds for each in live(rates, ARMS, counts)] == [False, True]
    assert live([threshold("latency", statistic="p50"), threshold("hit_rate", operation="ask")], ARMS, counts) == ()
    assert live(rates, ARMS, [])[0].measured is None


def test_merging_blocks_adds_counts():
    one, other = (
        block(
            series(*latencies), number=3, started=started, seconds=seconds, planned=4, dropped=1, upstream_calls=2,
            errors={"ask": {"HTTP 500": 1}}, keys=packed(keys), sent=packed(sent), lag=histogram(1),
        )
        for latencies, started, seconds, keys, sent in [
            ((1, 2), 10.0, 2.0, [5, 6], [100, 300]), ((3,), 10.5, 2.0, [7], [200]),
        ]
    )  # fmt: skip
    merged = merged_block([one, other])
    assert (merged.number, merged.started, merged.seconds, merged.planned) == (3, 10.0, 2.5, 8)
    assert (merged.dropped, merged.upstream_calls, merged.errors) == (2, 4, {"ask": {"HTTP 500": 2}})
    assert Total([merged]).latency().counts() == Histogram.of(array("q", [10**6, 2 * 10**6, 3 * 10**6])).counts()
    assert list(unpacked(merged.keys)) == [5, 7, 6]
    assert list(unpacked(merged.sent)) == [100, 200, 300]
    assert merged_block([one]) is one
