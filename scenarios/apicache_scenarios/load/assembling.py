"""A run's blocks as a result."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from apicache_scenarios.load.figures import Total, operations_of
from apicache_scenarios.load.parts import thinned_to
from apicache_scenarios.load.plan import ArmPlan, RunPlan
from apicache_scenarios.load.result import ArmResult, BenchResult, Block, Figures, Pass, Validity
from apicache_scenarios.load.session import Ends
from apicache_scenarios.load.thresholds import evaluated

PassCalls = Mapping[tuple[str, Pass], int]
"""Calls by arm and pass, as the upstream counted them."""


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What there is when a run has ended."""

    plan: RunPlan
    blocks: tuple[Block, ...]
    ends: Ends
    environment: dict[str, Any]
    counted: PassCalls | None = None
    interrupted: bool = False
    aborted_by: tuple[str, ...] = ()


def assembled(ran: Ran) -> BenchResult:
    """The result."""
    plan = ran.plan
    arms = {arm.name: _arm(arm, ran) for arm in plan.arms}
    cached = next((arm for arm in arms.values() if arm.uses_cache), None)
    direct = next((arm for arm in arms.values() if not arm.uses_cache), None)
    counted_by: Literal["upstream", "client"] = "client" if ran.counted is None else "upstream"
    return BenchResult(
        arms=arms,
        api_call_reduction=_reduction(cached, direct),
        speedup_p50=_speedup(direct, cached),
        speedup_hit_p50=_speedup(direct, cached, hits=True),
        calls_counted_by=counted_by,
        interrupted=ran.interrupted,
        aborted=bool(ran.aborted_by),
        validity=validity(plan, ran.blocks),
        thresholds=evaluated(plan.thresholds, plan.arms, ran.blocks, ran.ends.costs, ran.aborted_by),
        environment=ran.environment,
        cost_per_call=ran.ends.costs,
        blocks=ran.blocks,
    )


def validity(plan: RunPlan, blocks: Sequence[Block]) -> Validity:
    """Whether the generator kept its times and sent what was due, in every arm."""
    reasons = []
    for arm in plan.arms:
        own = [block for block in blocks if block.arm == arm.name and block.lag is not None]
        total = Total(own)
        lag = total.lag().percentile_ms(99)
        if lag is not None and lag > plan.max_lag_p99_ms:
            reasons.append(
                f"{arm.name}: requests were sent late, lag p99 {lag:.1f} ms, limit {plan.max_lag_p99_ms:g} ms"
            )
        due = sum(block.planned or 0 for block in own)
        if due and total.dropped / due > plan.max_dropped_share:
            reasons.append(
                f"{arm.name}: {total.dropped:,} of {due:,} requests were dropped, limit {plan.max_dropped_share:.1%}"
            )
    return Validity(
        valid=not reasons,
        reasons=tuple(reasons),
        max_lag_p99_ms=plan.max_lag_p99_ms,
        max_dropped_share=plan.max_dropped_share,
    )


def _arm(arm: ArmPlan, ran: Ran) -> ArmResult:
    own = [block for block in ran.blocks if block.arm == arm.name]
    names: list[Pass] = [name for name in ("cold", "warm") if any(block.pass_ == name for block in own)]
    passes = {name: _figures([block for block in own if block.pass_ == name], arm, name, ran) for name in names}
    first = [block for block in own if names and block.pass_ == names[0]]
    figures = passes[names[0]] if names else Total(()).figures()
    return ArmResult(
        **msgspec.structs.asdict(figures),
        uses_cache=arm.uses_cache,
        plan_arm=arm.plan_arm,
        tiers=arm.tiers or (),
        max_calls=arm.max_calls,
        thinned_to=thinned_to(ran.plan, arm),
        passes={str(name): each for name, each in passes.items()},
        operations={name: Total(first, name).figures() for name in operations_of(first)},
        cache=ran.ends.caches.get(arm.name, {"at_start": "none"}),
    )


def _figures(blocks: Sequence[Block], arm: ArmPlan, name: Pass, ran: Ran) -> Figures:
    calls = None if ran.counted is None else ran.counted.get((arm.name, name), 0)
    return Total(blocks).figures(calls)


def _reduction(cached: ArmResult | None, direct: ArmResult | None) -> float | None:
    """By calls per request: the arms may have unequal numbers of requests."""
    if cached is None or direct is None or cached.p50_ms is None or direct.p50_ms is None or not direct.upstream_calls:
        return None  # an arm without one answer saves nothing
    return 1 - (cached.upstream_calls / cached.requests) / (direct.upstream_calls / direct.requests)


def _speedup(direct: ArmResult | None, cached: ArmResult | None, *, hits: bool = False) -> float | None:
    """The direct arm's p50 over the cached arm's, or its hits' in the warm pass, where there is one."""
    if direct is None or cached is None or direct.p50_ms is None:
        return None
    ours = cached.passes.get("warm", cached).hit_p50_ms if hits else cached.p50_ms
    return direct.p50_ms / ours if ours else None
