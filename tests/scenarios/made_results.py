"""Benchmark results that no run made: blocks of drawn latencies, assembled as a run's are."""

import random
from array import array
from pathlib import Path

import msgspec

from apicache_scenarios.format.model import Keys, Threshold
from apicache_scenarios.format.problems import Place
from apicache_scenarios.load.assembling import Ran, assembled
from apicache_scenarios.load.plan import ArmPlan, RunPlan
from apicache_scenarios.load.recording import Histogram
from apicache_scenarios.load.result import Block, Series, packed
from apicache_scenarios.load.session import Ends

ENVIRONMENT = {
    "started_at": "2026-01-02T03:04:05+00:00", "python": "CPython 3.11.7", "platform": "Linux", "cpu_count": 2,
    "cpu": "a processor", "load_average": [0.1, 0.1, 0.1], "versions": {"apicache-toolkit": "1"}, "seed": 42,
    "population": 100, "keys": "zipf 0.99", "executor": "constant-arrival-rate", "loop": "open", "warmup_seconds": 0,
    "blocks": 10, "processes": 1, "file": "scenarios.yaml",
}  # fmt: skip
THRESHOLDS = tuple(
    Threshold(
        path=Path("scenarios.yaml"), place=Place(7, 4), written=written, arm="cached", metric="hit_rate", labels={},
        statistic=None, comparison=">=", bound=bound,
    )
    for written, bound in (("cached.hit_rate: >= 0.5", 0.5), ("cached.hit_rate: >= 0.99", 0.99))
)  # fmt: skip


def histogram(milliseconds):
    return Histogram.of(array("q", (int(value * 1e6) for value in milliseconds))).encoded()


def series(operation, outcome, milliseconds):
    encoded = histogram(milliseconds)
    return Series(operation=operation, outcome=outcome, latency=encoded, service_time=encoded)


def result(seed=1, *, slower=1.0, hits=160, requests=200, rounds=10, errors=0, keys=100, held=40, drift=0.1, **changed):
    """A run; `slower` multiplies latencies, `drift` is by how much blocks differ from each other."""
    draw = random.Random(seed)  # noqa: S311 - the same latencies each time
    blocks = []
    for turn in range(rounds):
        for arm in ("cached", "direct") if turn % 2 == 0 else ("direct", "cached"):
            factor = slower * draw.lognormvariate(0, drift)
            misses = requests - hits if arm == "cached" else requests
            found = [draw.lognormvariate(-4, 0.3) * factor for _ in range(requests - misses)]
            loaded = [draw.lognormvariate(3, 0.3) * factor for _ in range(misses)]
            asked = [int(keys * draw.random() ** 3) for _ in range(requests)] if arm == "cached" else []
            begun = len(blocks) * 1.1
            blocks.append(
                Block(
                    number=len(blocks), round=turn, arm=arm, pass_="warm", stage=0, started=begun, seconds=1.0,
                    planned=requests + errors,
                    series=(*([series("ask", "hit", found)] if found else []), series("ask", "miss", loaded[:-5]),
                            series("tell=", "miss", loaded[-5:])),
                    errors={"ask": {"HTTP 500": errors}} if errors else {}, lag=histogram([0.5]), upstream_calls=misses,
                    keys=packed(asked) if asked else None,
                    sent=packed(int((begun + place / requests) * 1e6) for place in range(requests)) if asked else None,
                )
            )  # fmt: skip
    plan = RunPlan(
        seed=42, keys=Keys(), population=keys, legs=(), thresholds=THRESHOLDS,
        arms=(ArmPlan(name="cached", plan_arm="cached", uses_cache=True),
              ArmPlan(name="direct", plan_arm="direct", uses_cache=False)),
    )  # fmt: skip
    state = {"at_start": "filled", "mode": "on", "entries_at_start": 0, "entries_stored": 40, "coalesced": 0,
             "hits_by_tier": {"memory": 9}, "disk_bytes": 0, "entry_bytes": 2048.0,
             "tiers": {"memory": {"entries": held, "bytes": held * 2048}}}  # fmt: skip
    costs = {"ask": 0.002} if "costs" not in changed else changed.pop("costs")
    ran = Ran(plan=plan, blocks=tuple(blocks), ends=Ends(caches={"cached": state}, costs=costs),
              environment=ENVIRONMENT | changed)  # fmt: skip
    return assembled(ran)


def without_blocks(made):
    return msgspec.structs.replace(made, blocks=())
