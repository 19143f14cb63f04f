"""What the benchmark itself costs, and whether its figures can be believed."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import freezing_server
import numpy as np
from turns import Figure, at_most, in_turns

from apicache_scenarios.format.model import Keys, Stage
from apicache_scenarios.load.arms import DirectArm
from apicache_scenarios.load.embedded import bench_client, body, completions, prompt_of
from apicache_scenarios.load.figures import Total
from apicache_scenarios.load.keys import draws
from apicache_scenarios.load.plan import ArmPlan, Leg, RunPlan, Turn, turns
from apicache_scenarios.load.recording import Latencies
from apicache_scenarios.load.result import Block
from apicache_scenarios.load.session import Session
from apicache_scenarios.upstream import running_upstream

RECORDS: Final = 100_000
DRAWS: Final = 10_000_000
POPULATION: Final = 10_000
IN_FLIGHT: Final = 32
DIRECT_REQUESTS: Final = 640
DIRECT_ROUNDS: Final = 9
GENERATOR_RUNS: Final = 3
GENERATOR_SECONDS: Final = 5.0
# The anchors' prototype: 100/s for 30 s, 1 ms service, the server frozen from 10 to 13 s.
ORACLE_MS: Final = {"p95": 1502.0, "p99": 2701.0}
SOURCE_RPS: Final = 194.53


class OneArm:
    """A workload of one arm that calls."""

    groups: Sequence[tuple[float, Sequence[int]]] = ()

    def __init__(self, ask: Any) -> None:
        self.arms = {"direct": DirectArm("direct", ["get"], ask)}

    async def warm_up(self) -> None:
        """Nothing to open."""

    def costs(self) -> dict[str, float]:
        """Nothing is paid."""
        return {}

    async def aclose(self) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Nothing is open."""


def plan(stage: Stage, requests: int | None = None) -> RunPlan:
    """One block of one arm."""
    arm = ArmPlan(name="direct", plan_arm="direct", uses_cache=False)
    leg = Leg(stage=stage, requests=requests, arms=("direct",), rounds=1)
    return RunPlan(seed=1, keys=Keys(), population=1, arms=(arm,), legs=(leg,))


async def block_of(stage: Stage, ask: Any, requests: int | None = None) -> Block:
    """What such a block measures."""
    given = plan(stage, requests)
    (turn,) = turns(given)
    return await Session(given, OneArm(ask)).run(Turn(*turn))


def under_load(stage: Stage, begin: float = 0.0, end: float = 0.0) -> Block:
    """A block against the freezing server."""

    async def run(port: int) -> Block:
        client = freezing_server.Client(port)
        block = await block_of(stage, client.get)
        client.close()
        await asyncio.sleep(0.05)
        return block

    with freezing_server.running(begin, end) as port:
        return asyncio.run(run(port))


def oracle() -> list[Figure]:
    """An open loop's percentiles of a stall, for real."""
    block = under_load(Stage(executor="constant-arrival-rate", rate=100.0, duration=30.0), 10.0, 13.0)
    latency = Total([block]).latency()
    figures = []
    for name, expected in ORACLE_MS.items():
        measured = latency.percentile_ms(float(name[1:])) or 0.0
        work = f"{name} of 100 requests a second for 30 s, of 1 ms each, the server frozen from 10 to 13 s"
        kept = abs(measured / expected - 1) <= 0.05
        figures.append(Figure(work, f"{measured:,.0f} ms", f"within 5% of {expected:,.0f} ms", kept))
    return figures


def generator() -> Figure:
    """How late requests are sent at 1,000 a second by one process, whose event loop is on one core; median of runs."""
    stage = Stage(executor="constant-arrival-rate", rate=1000.0, duration=GENERATOR_SECONDS, max_in_flight=200)
    totals = [Total([under_load(stage)]) for _ in range(GENERATOR_RUNS)]
    dropped = sum(total.dropped for total in totals)
    sent = sum(total.requests for total in totals)
    lag = statistics.median(total.lag().percentile_ms(99) or 0.0 for total in totals)
    return Figure(
        f"1,000 requests a second for {GENERATOR_SECONDS:.0f} s from one core: dropped; lag p99",
        f"{dropped}; {lag:.1f} ms",
        "none; under 10 ms",
        dropped == 0 and sent == 1000 * GENERATOR_SECONDS * GENERATOR_RUNS and lag < 10,
    )


def recording() -> Figure:
    """What it takes to record a latency."""
    samples = list(range(RECORDS))

    def ours() -> None:
        record = Latencies().record
        for sample in samples:
            record(sample)

    def appended() -> None:
        append = [].append
        for sample in samples:
            append(sample)

    seconds = in_turns({"ours": ours, "list": appended}, RECORDS)
    return at_most(10, "recording one latency, against `list.append`", seconds["ours"], seconds["list"])


def zipf() -> Figure:
    """Draws of the keys that benchmarks ask for."""
    generator = np.random.default_rng(1)
    draw = draws(Keys(dist="zipf", s=0.99), POPULATION, 1)
    turns_ = {"ours": lambda: draw(DRAWS), "numpy": lambda: (generator.random(DRAWS), generator.random(DRAWS))}
    seconds = in_turns(turns_, DRAWS, rounds=5)
    work = f"{DRAWS:,} draws by Zipf 0.99 over {POPULATION:,} keys, against two passes of numpy's `random`"
    return at_most(3, work, seconds["ours"], seconds["numpy"])


def direct_arm() -> Figure:
    """The direct arm against a bare loop over the same client, in turns."""
    stage = Stage(executor="constant-vus", vus=IN_FLIGHT, duration=0.0)

    async def compared(url: str) -> list[float]:
        client = bench_client(IN_FLIGHT, "figures")

        async def ask(key: int) -> Any:
            return (await client.post(completions(url), json=body(prompt_of(key)))).raise_for_status().json()

        async def user() -> None:
            for _ in range(DIRECT_REQUESTS // IN_FLIGHT):
                await ask(0)

        ratios = []
        for number in range(DIRECT_ROUNDS + 1):
            started = time.perf_counter()
            await asyncio.gather(*(user() for _ in range(IN_FLIGHT)))
            bare = time.perf_counter() - started
            block = await block_of(stage, ask, DIRECT_REQUESTS)
            if number:
                ratios.append(bare / block.seconds)
        await client.aclose()
        return ratios

    with running_upstream(latency_ms=0) as upstream:
        measured = statistics.median(asyncio.run(compared(upstream.url)))
    return Figure(
        "the direct arm's throughput at 32 in flight and 0 ms, against a bare loop over the same client",
        f"{measured:.0%}",
        "at least 80%",
        measured >= 0.8,
    )


def default_run() -> list[Figure]:
    """The default `apicache bench`, whole: how long it takes, wall time, and what it finds."""
    command = [sys.executable, "-m", "apicache_cli", "bench", "--format", "json"]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    seconds = time.perf_counter() - started
    document = json.loads(done.stdout)
    cached, direct = document["arms"]["cached"], document["arms"]["direct"]
    hit_rate, reduction = cached["hit_rate"], document["api_call_reduction"]
    warm = cached["passes"]["warm"]
    cold_speedup, speedup = (direct["p50_ms"] / each["p50_ms"] for each in (cached, warm))
    throughput = warm["throughput_rps"]
    floor = 50 * SOURCE_RPS
    name = "default `apicache bench`"
    return [
        Figure(name, f"{seconds:.1f} s", "at most 30 s", seconds < 30),
        Figure(f"{name}: hit rate from an empty cache", f"{hit_rate:.1%}", "at least 70%", hit_rate >= 0.7),
        Figure(f"{name}: API calls saved", f"{reduction:.1%}", "at least 70%", reduction >= 0.7),
        Figure(
            f"{name}: cached p50 against direct, in the warm pass (in the cold one, misses included)",
            f"{speedup:,.0f}x ({cold_speedup:,.0f}x)",
            "at least 5,000x faster",
            speedup >= 5000,
        ),
        Figure(
            f"{name}: throughput of the warm pass", f"{throughput:,.0f}/s", f"at least {floor:,.0f}/s",
            throughput >= floor,
        ),
    ]  # fmt: skip


def measure() -> list[Figure]:
    """All rows of the benchmark."""
    return [*default_run(), *oracle(), generator(), recording(), direct_arm(), zipf()]


if __name__ == "__main__":
    for row in measure():
        print(row)
