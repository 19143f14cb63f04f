"""Two runs held against each other: a verdict for each metric, and why there is none."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from apicache.errors import InputError
from apicache_scenarios.load.result import BenchResult, Block
from apicache_scenarios.reporting.bootstrap import (
    FEWEST_BLOCKS,
    Counted,
    Interval,
    Statistic,
    drawn,
    interval,
    percentile,
    share,
    throughput,
)
from apicache_scenarios.reporting.counting import counted, shared_values
from apicache_scenarios.reporting.sameness import Sameness, sameness

if TYPE_CHECKING:
    import numpy as np

Verdict = Literal["better", "worse", "no difference shown", "not comparable"]
SCHEMA: Final = 1
_SEED: Final = 7
"""Of the resampling: the same files give the same verdicts."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as a difference: shown with this confidence, and larger than this."""

    confidence: float = 0.95
    times: float = 0.05
    """Relative, of latencies and throughput."""
    shares: float = 0.005
    """Absolute, of hit rates, error rates and calls per request: half a percentage point."""

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise InputError(f"confidence {self.confidence} is not usable; expected more than 0 and less than 1")
        if not 0 <= self.times < float("inf"):
            raise InputError(f"tolerance {self.times} is not usable; expected 0 or more, such as 0.05 for 5%")


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one pass of one arm.

    `change` is B over A less 1 where `relative`, else B less A; `low` and `high` bound it. Times are in ms.
    """

    arm: str
    pass_: str = msgspec.field(name="pass")
    metric: str
    before: float | None
    after: float | None
    relative: bool
    change: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    """Why it is not comparable."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Run B against run A."""

    schema: int = SCHEMA
    confidence: float
    metrics: tuple[Compared, ...]
    machine_differs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def worse(self) -> tuple[Compared, ...]:
        """The regressions."""
        return tuple(each for each in self.metrics if each.verdict == "worse")

    @property
    def is_possible(self) -> bool:
        """Whether any metric could be compared."""
        return any(each.verdict != "not comparable" for each in self.metrics)


class _Metric(NamedTuple):
    """Times and throughput change relatively and are a machine's; shares change absolutely and are the work's."""

    name: str
    statistic: Statistic
    higher_is_better: bool
    is_time: bool


_METRICS: Final = (
    _Metric("hit_rate", share("hits", "requests"), higher_is_better=True, is_time=False),
    _Metric("calls_per_request", share("calls", "requests"), higher_is_better=False, is_time=False),
    _Metric("errors.rate", share("errors", "requests"), higher_is_better=False, is_time=False),
    _Metric("p50_ms", percentile(50), higher_is_better=False, is_time=True),
    _Metric("p95_ms", percentile(95), higher_is_better=False, is_time=True),
    _Metric("p99_ms", percentile(99), higher_is_better=False, is_time=True),
    _Metric("throughput_rps", throughput, higher_is_better=True, is_time=True),
)


def compare(before: BenchResult, after: BenchResult, limits: Limits | None = None) -> Comparison:
    """B (`after`) against A, arm by arm, pass by pass."""
    limits = limits or Limits()
    same = sameness(before, after)
    pairs = _pairs(before, after)
    metrics = [each for (arm, pass_), blocks in pairs.items() for each in _of_pass(arm, pass_, blocks, same, limits)]
    return Comparison(
        confidence=limits.confidence,
        metrics=tuple(metrics),
        machine_differs=same.machine,
        notes=same.notes,
    )


_Blocks = tuple[Sequence[Block], Sequence[Block]]


def _pairs(before: BenchResult, after: BenchResult) -> dict[tuple[str, str], _Blocks]:
    """Both runs' blocks by arm and pass; one side is empty where a run lacks them."""
    names = dict.fromkeys(
        (arm, pass_) for run in (before, after) for arm, figures in run.arms.items() for pass_ in figures.passes
    )
    return {(arm, pass_): (_blocks(before, arm, pass_), _blocks(after, arm, pass_)) for arm, pass_ in names}


def _blocks(run: BenchResult, arm: str, pass_: str) -> list[Block]:
    own = [block for block in run.blocks if (block.arm, block.pass_) == (arm, pass_)]
    return sorted(own, key=lambda block: (block.stage, block.round))


def _of_pass(arm: str, pass_: str, blocks: _Blocks, same: Sameness, limits: Limits) -> Iterator[Compared]:
    ours, theirs = blocks
    lacking = [f"run {name} has no such arm or pass" for name, own in (("A", ours), ("B", theirs)) if not own]
    few = [
        f"run {name} has {len(own)} blocks, fewer than {FEWEST_BLOCKS}"
        for name, own in (("A", ours), ("B", theirs))
        if 0 < len(own) < FEWEST_BLOCKS
    ]
    values = shared_values([*ours, *theirs])
    sides = counted(ours, values), counted(theirs, values)
    weights = _weights(ours, theirs) if not (lacking or few) else None
    for metric in _METRICS:
        # Without blocks a run has neither: what made it unusable says more than that they lack.
        reasons = (same.of_times if metric.is_time else same.of_counts) or (*lacking, *few)
        yield _compared((arm, pass_), metric, sides, weights, reasons, limits=limits)


def _weights(ours: Sequence[Block], theirs: Sequence[Block]) -> "tuple[np.ndarray, np.ndarray]":
    """Resamples of both runs: of the same rounds where both have the same, else of each run by itself.

    Rounds ask for the same keys in both runs, and a pass changes from round to round as the cache fills: drawn
    together, such change is in neither run's favour and not in the interval.
    """
    rounds = [[(block.stage, block.round) for block in blocks] for blocks in (ours, theirs)]
    if rounds[0] == rounds[1]:
        both = drawn(_strata(ours), _SEED)
        return both, both
    return drawn(_strata(ours), _SEED), drawn(_strata(theirs), _SEED + 1)


def _strata(blocks: Sequence[Block]) -> list[int]:
    stages = [block.stage for block in blocks]
    return [stages.count(stage) for stage in dict.fromkeys(stages)]


def _compared(
    place: tuple[str, str],
    metric: _Metric,
    sides: tuple[Counted, Counted],
    weights: "tuple[np.ndarray, np.ndarray] | None",
    reasons: Sequence[str],
    *,
    limits: Limits,
) -> Compared:
    before, after = (_whole(metric.statistic, side) for side in sides)
    found = None
    if not reasons and weights is not None:
        found = _change(metric, sides, weights, (before, after), limits.confidence)
        if found is None:
            reasons = ("there is no sample",)
    return Compared(
        arm=place[0],
        pass_=place[1],
        metric=metric.name,
        before=before,
        after=after,
        relative=metric.is_time,
        change=None if found is None else found.change,
        low=None if found is None else found.low,
        high=None if found is None else found.high,
        verdict="not comparable" if found is None else _verdict(metric, found, limits),
        reasons=tuple(reasons),
    )


def _whole(statistic: Statistic, side: Counted) -> float | None:
    import numpy as np  # noqa: PLC0415 - for comparisons only

    if not len(side.requests):
        return None
    value = float(statistic(side, np.ones((1, len(side.requests))))[0])
    return None if math.isnan(value) else value


def _change(
    metric: _Metric,
    sides: tuple[Counted, Counted],
    weights: "tuple[np.ndarray, np.ndarray]",
    estimates: tuple[float | None, float | None],
    confidence: float,
) -> Interval | None:
    before, after = estimates
    if before is None or after is None or (metric.is_time and not before):
        return None
    ours, theirs = (metric.statistic(side, drawn) for side, drawn in zip(sides, weights, strict=True))
    blocks = min(len(side.requests) for side in sides)
    if metric.is_time:
        usable = ours > 0
        return interval(after / before - 1, theirs[usable] / ours[usable] - 1, blocks, confidence)
    return interval(after - before, theirs - ours, blocks, confidence)


def _verdict(metric: _Metric, found: Interval, limits: Limits) -> Verdict:
    limit = limits.times if metric.is_time else limits.shares
    if found.low <= 0 <= found.high or abs(found.change) < limit:
        return "no difference shown"
    return "better" if (found.change > 0) == metric.higher_is_better else "worse"


def as_json(comparison: Comparison) -> str:
    """The comparison for `--format json`: one document, ending with a line feed."""
    return json.dumps(msgspec.to_builtins(comparison), indent=2, ensure_ascii=False) + "\n"
