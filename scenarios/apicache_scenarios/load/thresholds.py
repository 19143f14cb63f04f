"""Thresholds held against what was measured. Without samples a threshold fails: nothing shows that it holds."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, cast

from apicache_scenarios.format.model import Threshold
from apicache_scenarios.load.figures import Total, operations_of
from apicache_scenarios.load.plan import ArmPlan
from apicache_scenarios.load.recording import Histogram
from apicache_scenarios.load.result import OUTCOMES, Block, Outcome, ThresholdResult

_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
_TIMES: Final = ("latency", "service_time", "lag")


def evaluated(
    thresholds: Sequence[Threshold],
    arms: Sequence[ArmPlan],
    blocks: Sequence[Block],
    costs: Mapping[str, float] | None = None,
    aborted_by: Sequence[str] = (),
) -> tuple[ThresholdResult, ...]:
    """Each threshold's result; one that names an arm of which there are several, by tiers, has one for each."""
    results = []
    for threshold in thresholds:
        for arm in _arms_of(threshold, arms):
            measured = measure(threshold, arm, arms, blocks, costs or {})
            results.append(_result(threshold, arm, measured, aborted=threshold.written in aborted_by))
    return tuple(results)


def _result(threshold: Threshold, arm: str | None, measured: float | None, *, aborted: bool = False) -> ThresholdResult:
    return ThresholdResult(
        written=threshold.written,
        place=f"{threshold.path}:{threshold.place.line}",
        arm=arm,
        measured=measured,
        holds=measured is not None and _COMPARISONS[threshold.comparison](measured, threshold.bound),
        aborted=aborted,
    )


def measure(
    threshold: Threshold, arm: str | None, arms: Sequence[ArmPlan], blocks: Sequence[Block], costs: Mapping[str, float]
) -> float | None:
    """The threshold's metric: seconds for times, 0 to 1 for shares; None without samples."""
    chosen = [block for block in blocks if arm in (None, block.arm)]
    total = Total(chosen, threshold.labels.get("operation"))
    labelled = threshold.labels.get("outcome")
    outcomes = OUTCOMES if labelled is None else (cast("Outcome", labelled),)
    if threshold.metric in _TIMES:
        histogram = {
            "latency": lambda: total.latency(outcomes),
            "service_time": lambda: total.service_time(outcomes),
            "lag": total.lag,
        }[threshold.metric]()
        return statistic(histogram, threshold.statistic or "p50")
    if threshold.metric in ("api_call_reduction", "speedup"):
        return _between(threshold.metric, arm, arms, blocks)
    if not total.requests and not total.dropped:
        return None
    if threshold.metric == "cost":
        operations = [threshold.labels["operation"]] if "operation" in threshold.labels else operations_of(chosen)
        priced = [Total(chosen, name).calls * costs[name] for name in operations if name in costs]
        return sum(priced) if priced else None
    return _COUNTED[threshold.metric](total)


class Counts(NamedTuple):
    """Of one block of an arm: all that is known while it runs."""

    arm: str
    requests: int
    hits: int
    errors: int


def live(
    thresholds: Sequence[Threshold], arms: Sequence[ArmPlan], counts: Sequence[Counts]
) -> tuple[ThresholdResult, ...]:
    """Those of the thresholds that counts decide."""
    return tuple(
        _result(threshold, arm, _LIVE[threshold.metric]([each for each in counts if arm in (None, each.arm)]))
        for threshold in thresholds
        if threshold.metric in _LIVE and not threshold.labels
        for arm in _arms_of(threshold, arms)
    )


def _share(part: int, counts: Sequence[Counts]) -> float | None:
    requests = sum(each.requests for each in counts)
    return part / requests if requests else None


_LIVE: Final[Mapping[str, Callable[[Sequence[Counts]], float | None]]] = {
    "hit_rate": lambda counts: _share(sum(each.hits for each in counts), counts),
    "errors.rate": lambda counts: _share(sum(each.errors for each in counts), counts),
    "errors.count": lambda counts: float(sum(each.errors for each in counts)),
}


def statistic(histogram: Histogram, name: str) -> float | None:
    """`p95`, `p99.9`, `med`, `avg`, `min` or `max` of a histogram, in seconds; None without samples."""
    summary = histogram.summary()
    named = {"min": summary.min_ms, "max": summary.max_ms, "avg": summary.mean_ms, "med": summary.p50_ms}
    value = named[name] if name in named else histogram.percentile_ms(float(name.removeprefix("p")))
    return None if value is None else value / 1000


_COUNTED: Final[Mapping[str, Callable[[Total], float | None]]] = {
    "hit_rate": lambda total: total.count("hit") / total.requests if total.requests else None,
    "throughput": lambda total: total.answered / total.seconds if total.seconds else None,
    "errors.rate": lambda total: total.errors.total() / total.requests if total.requests else None,
    "errors.count": lambda total: float(total.errors.total()),
    "requests.count": lambda total: float(total.requests),
    "dropped.count": lambda total: float(total.dropped),
    "upstream.calls": lambda total: float(total.calls),
}


def _between(metric: str, arm: str | None, arms: Sequence[ArmPlan], blocks: Sequence[Block]) -> float | None:
    """A metric of an arm with a cache, the first unless one is named, against the first one without."""
    cached = next((each.name for each in arms if each.uses_cache and arm in (None, each.name)), None)
    direct = next((each.name for each in arms if not each.uses_cache), None)
    ours, other = (Total([block for block in blocks if block.arm == name]) for name in (cached, direct))
    return reduction(ours, other) if metric == "api_call_reduction" else speedup(ours, other)


def reduction(cached: Total, direct: Total) -> float | None:
    """1 - calls per request (cached) / calls per request (direct); None where an arm has no answer."""
    if not (cached.answered and direct.answered and direct.calls):
        return None
    return 1 - (cached.calls / cached.requests) / (direct.calls / direct.requests)


def speedup(cached: Total, direct: Total) -> float | None:
    """The direct arm's p50 over the cached arm's."""
    ours, other = (total.latency().percentile_ms(50) for total in (cached, direct))
    return other / ours if other is not None and ours else None


def _arms_of(threshold: Threshold, arms: Sequence[ArmPlan]) -> list[str | None]:
    if threshold.arm is None:
        return [None]
    return [arm.name for arm in arms if arm.plan_arm == threshold.arm]
