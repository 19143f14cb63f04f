"""The run without a scenario file: cached against direct, a cold pass and a warm one, on the embedded upstream."""

import tempfile
from contextlib import ExitStack
from typing import Final

from apicache_scenarios.format.model import Keys, Stage
from apicache_scenarios.load.embedded import EmbeddedSource, user_agent
from apicache_scenarios.load.executors import Shape, executor
from apicache_scenarios.load.own_caches import SEPARATOR
from apicache_scenarios.load.plan import ArmPlan, Leg, RunPlan
from apicache_scenarios.load.result import BenchResult
from apicache_scenarios.load.run import OnProgress, run
from apicache_scenarios.load.settings import BenchSettings
from apicache_scenarios.upstream import Upstream, running_upstream

WARM_REPEATS: Final = 4
"""How often the warm pass asks for the cold pass's keys again: hits take microseconds."""
WARM_ROUNDS: Final = 5
"""Rounds of each of these: blocks long enough to time."""


def plan_of(settings: BenchSettings) -> RunPlan:
    """The legs of such a run; raises InputError for an executor that there is not, or that lacks its rate."""
    direct = ArmPlan(name="direct", plan_arm="direct", uses_cache=False, max_calls=settings.direct_calls)
    cached = cached_arms("cached", settings.tiers)
    stage = _stage(settings)
    executor(Shape(stage=stage, processes=settings.processes))
    again = Stage(executor="constant-vus", duration=0.0, vus=settings.concurrency)
    names = tuple(arm.name for arm in cached)
    requests = settings.requests if settings.rate is None else None
    cold = Leg(stage=stage, requests=requests, pass_="cold", arms=(*names, direct.name))  # noqa: S106 - no secret
    warm = Leg(stage=again, index=1, requests=settings.requests, arms=names, rounds=WARM_ROUNDS, replays=True)
    return RunPlan(
        seed=settings.seed,
        keys=Keys(dist="zipf"),
        population=settings.population,
        arms=(*cached, direct),
        legs=(cold, *[warm] * WARM_REPEATS),
        max_lag_p99_ms=settings.max_lag_p99_ms,
    )


def cached_arms(name: str, tiers: tuple[tuple[str, ...], ...], max_calls: int | None = None) -> tuple[ArmPlan, ...]:
    """The arm with the workload's own cache; or one for each set of tiers, with a cache on them."""
    if not tiers:
        return (ArmPlan(name=name, plan_arm=name, uses_cache=True, max_calls=max_calls),)
    return tuple(
        ArmPlan(name=f"{name}-{SEPARATOR.join(each)}", plan_arm=name, uses_cache=True, max_calls=max_calls, tiers=each)
        for each in tiers
    )


def run_default(settings: BenchSettings, on_progress: OnProgress = lambda _: None) -> BenchResult:
    """Run it and report; an interrupt (SIGINT) ends the run and reports what was measured until then.

    Starts the embedded upstream unless a url is given. Blocks until done; not for use inside a running event loop.
    """
    plan = plan_of(settings)
    with ExitStack() as stack:
        upstream = None
        if settings.url is None:
            upstream = stack.enter_context(running_upstream(latency_ms=settings.latency_ms, seed=settings.seed))
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="apicache-bench-"))
        source = EmbeddedSource(
            url=upstream.url if upstream else str(settings.url).rstrip("/"),
            population=settings.population,
            concurrency=settings.concurrency,
            directory=directory,
        )
        return run(
            plan,
            source,
            processes=settings.processes,
            on_progress=on_progress,
            served=None if upstream is None else lambda: served_by_arm(upstream, plan),
            described={
                "upstream": settings.url or f"embedded, log-normal latency, mean {settings.latency_ms:g} ms",
                "latency_ms": None if settings.url else settings.latency_ms,
                "requests": settings.requests,
                "concurrency": settings.concurrency,
            },
        )


def served_by_arm(upstream: Upstream, plan: RunPlan) -> dict[str, int]:
    """The upstream's own count of each arm's calls."""
    served = upstream.served().by_user_agent
    return {arm.name: served.get(user_agent(arm.name), 0) for arm in plan.arms}


def _stage(settings: BenchSettings) -> Stage:
    """The cold pass's load; at a rate it lasts as long as its requests take."""
    name, rate = settings.executor, settings.rate
    if rate is None:
        return Stage(executor=name, duration=0.0, vus=settings.concurrency)
    ramps = name.startswith("ramping")
    return Stage(
        executor=name,
        duration=settings.requests / rate * (2 if ramps else 1),
        vus=settings.concurrency,
        rate=None if ramps else rate,
        target=rate if ramps else None,
    )
