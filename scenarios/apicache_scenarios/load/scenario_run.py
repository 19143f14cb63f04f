"""The run of a scenario file: its stages, arms, keys and thresholds, on the application's operations."""

import tempfile
from collections.abc import Sequence
from typing import Final

import msgspec

from apicache import UnifiedAPICache
from apicache.errors import InputError
from apicache_scenarios.format.model import BenchPlan, Stage
from apicache_scenarios.load.default_run import cached_arms
from apicache_scenarios.load.executors import Shape, executor
from apicache_scenarios.load.keys import draws
from apicache_scenarios.load.plan import ArmPlan, Leg, RunPlan
from apicache_scenarios.load.result import BenchResult, Pass
from apicache_scenarios.load.run import OnProgress, run
from apicache_scenarios.load.scenario_cases import ScenarioSource, counted, read_file
from apicache_scenarios.load.settings import FileSettings

DEFAULT_STAGES: Final = (Stage(executor="constant-vus", duration=10.0, vus=8),)
"""Of a file that has none."""


def run_file(settings: FileSettings, cache: UnifiedAPICache, on_progress: OnProgress = lambda _: None) -> BenchResult:
    """Run a file against the application's cache; raises InputError for what is wrong with it, before any call."""
    plan = plan_of_file(settings, cache)
    with tempfile.TemporaryDirectory(prefix="apicache-bench-") as directory:
        source = ScenarioSource(
            path=str(settings.path),
            application=settings.application,
            working_directory=str(settings.working_directory),
            directory=directory,
            population=plan.population,
        )
        described = {"file": str(settings.path), "stages": [msgspec.to_builtins(leg.stage) for leg in plan.legs]}
        return run(plan, source, processes=settings.processes, on_progress=on_progress, described=described)


def plan_of_file(settings: FileSettings, cache: UnifiedAPICache) -> RunPlan:
    """What a file says, as a plan."""
    file = read_file(settings.path, cache)
    bench = file.bench
    seed = bench.seed if settings.seed is None else settings.seed
    population = counted(settings.path, file)
    draws(bench.keys, population, seed)  # refuses an unknown distribution, a trace that cannot be read
    arms = tuple(arm for name in bench.arms for arm in _arms(name, bench, settings.tiers))
    if not arms:
        raise InputError(f"{settings.path}: bench has no arms; leave them out for cached and direct")
    return RunPlan(
        seed=seed,
        keys=bench.keys,
        population=population,
        arms=arms,
        legs=tuple(_legs(bench, [arm.name for arm in arms], settings)),
        thresholds=bench.thresholds,
        max_lag_p99_ms=settings.max_lag_p99_ms,
        max_dropped_share=settings.max_dropped_share,
    )


def _arms(name: str, bench: BenchPlan, tiers: tuple[tuple[str, ...], ...]) -> tuple[ArmPlan, ...]:
    arm = bench.arms[name]
    if arm.cache == "bypass":
        return (ArmPlan(name=name, plan_arm=name, uses_cache=False, max_calls=arm.max_calls),)
    return cached_arms(name, tiers, arm.max_calls)


def _legs(bench: BenchPlan, arms: Sequence[str], settings: FileSettings) -> list[Leg]:
    """A warm-up at the first stage's load, then the stages; after a warm-up caches are warm."""
    stages = bench.stages or DEFAULT_STAGES
    for stage in stages:
        executor(Shape(stage=stage, processes=settings.processes))
    measured: Pass = "warm" if bench.warmup else "cold"
    legs = []
    if bench.warmup:
        steady = _steady(stages[0], bench.warmup)
        legs.append(Leg(stage=steady, arms=tuple(arms), rounds=1, measured=False))
    rate = 0.0
    for index, stage in enumerate(stages):
        passed: Pass = measured if index == 0 else "warm"
        legs.append(
            Leg(stage=stage, index=index, pass_=passed, arms=tuple(arms), rounds=settings.rounds, start_rate=rate)
        )
        rate = stage.target or stage.rate or 0.0
    return legs


def _steady(stage: Stage, seconds: float) -> Stage:
    """The load of a warm-up: a ramp's target from the start."""
    if stage.target is not None:
        return msgspec.structs.replace(
            stage, executor="constant-arrival-rate", rate=stage.target, target=None, duration=seconds
        )
    return msgspec.structs.replace(stage, duration=seconds)
