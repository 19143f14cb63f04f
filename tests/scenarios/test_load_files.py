"""Scenario files under load: the application's operations through its cache, and past it."""

import asyncio
import textwrap
from pathlib import Path

import pytest

from apicache import InputError, UnifiedAPICache
from apicache_scenarios.load.result import unpacked
from apicache_scenarios.load.scenario_run import plan_of_file, run_file
from apicache_scenarios.load.settings import FileSettings
from apicache_scenarios.upstream import running_upstream

APPLICATION = """
import asyncio
from apicache import UnifiedAPICache

api_cache = UnifiedAPICache.create()
calls = []

@api_cache.operation("completion", ttl="1h", cost=0.002)
async def completion(prompt: str, temperature: float = 0.0) -> dict:
    calls.append(prompt)
    await asyncio.sleep(0)
    if prompt == "fail":
        raise ValueError("no")
    return {"text": prompt}

@api_cache.operation("quote", ttl="1h")
def quote(symbol: str) -> dict:
    calls.append(symbol)
    return {"symbol": symbol}

@api_cache.batched("embed", over="text")
async def embed(texts: list[str]) -> list[int]:
    calls.extend(texts)
    return [len(text) for text in texts]
"""
ENTRIES = """
version: 1
scenarios:
  - {operation: completion, matrix: {n: [a, b, c, d]}, params: {prompt: "${{ matrix.n }}"}}
"""


@pytest.fixture
def application(tmp_path, monkeypatch, request):
    """The module, importable under a name of its own; its cache is new for each test."""
    monkeypatch.chdir(tmp_path)
    name = f"application_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{name}.py").write_text(APPLICATION)
    monkeypatch.syspath_prepend(str(tmp_path))
    return __import__(name)


@pytest.fixture
def run(application, tmp_path):
    def run(bench="", entries=ENTRIES, **settings):
        text = entries + ("bench:\n" + textwrap.indent(textwrap.dedent(bench), "  ") if bench else "")
        Path("faq.yaml").write_text(text)
        given = FileSettings(
            path=Path("faq.yaml"), application=f"{application.__name__}:api_cache", working_directory=tmp_path,
            **{"max_lag_p99_ms": 1e6} | settings,
        )  # fmt: skip
        return run_file(given, application.api_cache)

    return run


OPEN = "stages: [{executor: constant-arrival-rate, rate: 100/s, duration: 500ms}]\n"


def test_the_cached_arm_goes_through_the_cache_and_the_direct_arm_past_it(run, application):
    result = run(OPEN)
    cached, direct = result.arms["cached"], result.arms["direct"]
    assert (cached.requests, direct.requests) == (50, 50)
    assert (cached.misses, cached.upstream_calls, direct.upstream_calls) == (4, 4, 50)
    assert cached.hits == 46
    assert len(application.calls) == 54
    assert list(cached.passes) == ["cold"]
    assert cached.cache["at_start"] == "empty"


def test_the_application_has_its_own_functions_again(run, application):
    before = {name: operation.function for name, operation in application.api_cache.operations.items()}
    run(OPEN)
    assert {name: operation.function for name, operation in application.api_cache.operations.items()} == before


def test_what_was_under_load_is_what_live_calls_hit(run, application):
    run(OPEN)
    application.calls.clear()
    assert asyncio.run(application.api_cache.cached_api_call(operation="completion", prompt="a")) == {"text": "a"}
    assert application.calls == []


def test_a_cache_that_was_filled_is_said_to_be(run, application):
    asyncio.run(application.api_cache.cached_api_call(operation="completion", prompt="a"))
    cached = run(OPEN).arms["cached"]
    assert (cached.cache["at_start"], cached.cache["entries_at_start"]) == ("filled", 1)
    assert cached.misses == 3


def test_the_warm_up_is_in_no_figure(run, application):
    result = run("warmup: 500ms\n" + OPEN)
    cached = result.arms["cached"]
    assert list(cached.passes) == ["warm"]
    assert (cached.requests, cached.misses, cached.hit_rate) == (50, 0, 1.0)
    assert all(block.planned == 5 for block in result.blocks)
    assert sum(len(unpacked(block.keys)) for block in result.blocks if block.keys) == 50
    assert len(application.calls) == 4 + 50 + 50


def test_max_calls_bounds_what_the_direct_arm_sends_warm_up_included(run, application):
    result = run("warmup: 500ms\narms: {direct: {cache: bypass, max_calls: 20}}\n" + OPEN)
    assert len(application.calls) <= 20
    assert result.arms["direct"].requests == 10
    assert result.arms["direct"].thinned_to == 0.2


def test_max_calls_bounds_what_the_cached_arm_loads(run, application):
    cached = run("arms: {cached: {max_calls: 2}}\n" + OPEN).arms["cached"]
    assert len(application.calls) == cached.upstream_calls == 2
    assert cached.errors == 0
    assert cached.withheld > 0
    assert cached.requests + cached.withheld == 50


def test_stages_follow_each_other_and_ramps_begin_where_the_last_one_ended(run):
    result = run("""
        stages:
          - {executor: ramping-arrival-rate, target: 100/s, duration: 500ms}
          - {executor: constant-vus, vus: 2, duration: 200ms}
    """, rounds=2)  # fmt: skip
    stages = [block.stage for block in result.blocks]
    assert stages == [0, 0, 0, 0, 1, 1, 1, 1]
    assert sum(block.planned for block in result.blocks[:4]) == 50
    assert [block.lag is None for block in result.blocks] == [False] * 4 + [True] * 4
    assert [block.pass_ for block in result.blocks] == ["cold"] * 4 + ["warm"] * 4
    assert list(result.arms["cached"].passes) == ["cold", "warm"]


MIXED = """
version: 1
scenarios:
  - {operation: completion, matrix: {n: [a, b]}, params: {prompt: "${{ matrix.n }}"}, weight: 8}
  - {operation: quote, symbol: A}
  - {operation: embed, text: long}
"""


def test_sync_and_batched_operations_are_told_apart_and_weighed(run, application):
    result = run("stages: [{executor: constant-arrival-rate, rate: 200/s, duration: 1s}]\n", MIXED)
    cached, direct = result.arms["cached"], result.arms["direct"]
    assert list(cached.operations) == ["completion", "embed", "quote"]
    assert {name: each.misses for name, each in cached.operations.items()} == {"completion": 2, "embed": 1, "quote": 1}
    assert cached.upstream_calls == 4
    assert (cached.errors, direct.errors) == (0, 0)
    assert 130 < cached.operations["completion"].requests < 185
    assert sum(each.requests for each in direct.operations.values()) == direct.requests == 200
    assert direct.operations["embed"].misses == direct.operations["embed"].requests


def test_failed_calls_are_counted_by_class_and_operation(run):
    result = run(OPEN, ENTRIES.replace("[a, b, c, d]", "[fail]"))
    cached = result.arms["cached"]
    assert (cached.errors, cached.error_classes, cached.p50_ms) == (50, {"ValueError": 50}, None)
    assert cached.operations["completion"].errors == 50


def test_thresholds_are_evaluated_with_their_place(run):
    result = run(OPEN + "thresholds:\n  cached.hit_rate: ['>= 0.9', '>= 0.95']\n  direct.lag: ['p99 < 1h']\n")
    assert [(each.place, each.holds) for each in result.thresholds] == [
        ("faq.yaml:8", True),
        ("faq.yaml:8", False),
        ("faq.yaml:9", True),
    ]
    assert [each.measured for each in result.missed] == [0.92]


def test_a_threshold_that_aborts_ends_the_run_early(run):
    failing = ENTRIES.replace("[a, b, c, d]", "[fail]")
    result = run("""
        stages: [{executor: constant-arrival-rate, rate: 100/s, duration: 60s}]
        thresholds: {errors.rate: [{check: "< 1%", abort: true}]}
    """, failing)  # fmt: skip
    assert result.aborted
    (threshold,) = result.thresholds
    assert (threshold.holds, threshold.aborted, threshold.measured) == (False, True, 1.0)
    (block,) = result.blocks
    assert block.seconds < 6


def test_tiers_are_compared_in_caches_that_know_the_applications_operations(run, application):
    result = run(OPEN, MIXED, tiers=(("memory",), ("memory", "disk")))
    assert list(result.arms) == ["cached-memory", "cached-memory+disk", "direct"]
    for name in ("cached-memory", "cached-memory+disk"):
        assert result.arms[name].errors == 0
        assert result.arms[name].upstream_calls == 4
    assert application.api_cache.get_stats()["stored"] == 0


def test_processes_import_the_application_themselves(run, application):
    result = run("arms: {cached: {}}\n" + OPEN, processes=2)
    assert application.calls == []
    cached = result.arms["cached"]
    assert (cached.requests, cached.errors) == (50, 0)
    assert cached.upstream_calls == cached.misses
    assert 4 <= cached.misses <= 8


def test_a_case_with_a_ttl_of_its_own_is_stored_for_that_long(run, application):
    result = run(OPEN, ENTRIES.replace('"}}', '"}, ttl: 0s}'))
    assert result.arms["cached"].hit_rate == 0


@pytest.mark.parametrize(
    ("bench", "message"),
    [
        ("keys: {dist: zif}\n", "unknown key distribution 'zif'; did you mean 'zipf'?"),
        ("keys: {dist: trace, file: gone.txt}\n", "the trace gone.txt cannot be read"),
        ("stages: [{executor: rush, duration: 1s}]\n", "unknown executor 'rush'"),
        ("stages: [{executor: constant-arrival-rate, duration: 1s}]\n", "a constant-arrival-rate stage needs a rate"),
        ("arms: {}\n", "faq.yaml: bench has no arms"),
    ],
)
def test_what_cannot_be_run_is_refused_before_any_call(run, application, bench, message):
    with pytest.raises(InputError) as refused:
        run(bench)
    assert str(refused.value).startswith(message)
    assert application.calls == []


def test_without_stages_there_is_a_default_one(application, tmp_path):
    Path("faq.yaml").write_text(ENTRIES + "bench: {keys: {population: 2}}\n")
    settings = FileSettings(path=Path("faq.yaml"), working_directory=tmp_path)
    plan = plan_of_file(settings, application.api_cache)
    assert [leg.stage.executor for leg in plan.legs] == ["constant-vus"]
    assert plan.population == 2
    assert isinstance(application.api_cache, UnifiedAPICache)


def test_http_operations_that_the_file_declares_share_their_connections(run, monkeypatch):
    with running_upstream(latency_ms=0) as upstream:
        monkeypatch.setenv("QUOTES_URL", upstream.url)
        entries = """
version: 1
operations:
  share: {request: {url: "${{ env.QUOTES_URL }}/v1/quotes/${{ params.symbol }}"}, ttl: 1h}
scenarios:
  - {operation: share, matrix: {symbol: [A, B, C]}, params: {symbol: "${{ matrix.symbol }}"}}
"""
        result = run(OPEN, entries)
        assert upstream.requests_served() == 3 + 50
    assert result.errors == 0
    assert result.arms["cached"].misses == 3
    assert result.arms["direct"].upstream_calls == 50
