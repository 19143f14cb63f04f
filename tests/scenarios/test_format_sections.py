"""The sections of a scenario file beside its entries: defaults, budget, operations, warm, bench."""

import asyncio
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from apicache import InputError, UnifiedAPICache
from apicache_scenarios.format.declared import register
from apicache_scenarios.format.loading import load_files
from apicache_scenarios.format.model import Arm, Budget, Defaults, Keys, RefreshAhead, Retries, Stage, WarmSettings
from apicache_scenarios.format.schema import schema
from apicache_scenarios.upstream import running_upstream

WHOLE = """
version: 1
defaults: {provider: openai, concurrency: 8, rate: 60/min, retries: {max: 4, backoff: exponential}}
budget: {usd: 5.00, calls: 2000, on_exceed: stop}
operations:
  quote: {request: {method: GET, url: "${{ env.QUOTES_URL }}/v1/quotes/${{ params.symbol }}"}, ttl: 30s}
scenarios:
  - {operation: completion, prompt: "Analyze emergency fund"}
  - {operation: quote, symbol: AAPL, priority: 10, ttl: 24h, skip_if: never, weight: 3, name: shares}
warm: {refresh_ahead: {when_ttl_below: 10%, jitter: 20%}, yield_to_live: true}
bench:
  seed: 7
  arms: {cached: {}, direct: {cache: bypass, max_calls: 300}}
  keys: {dist: zipf, s: 0.99, population: 10000}
  warmup: 30s
  stages:
    - {executor: ramping-arrival-rate, target: 200/s, duration: 1m}
    - {executor: constant-arrival-rate, rate: 200/s, duration: 2m, max_in_flight: 500}
  thresholds:
    cached.hit_rate: [">= 0.80"]
    "cached.latency{operation:completion}": ["p95 < 20ms"]
    errors.rate: [{check: "< 1%", abort: true, after: 10s}]
"""
ENVIRON = {"QUOTES_URL": "http://127.0.0.1:1"}


@pytest.fixture
def cache():
    cache = UnifiedAPICache.create()
    cache.operation("completion")(lambda prompt: prompt)
    return cache


@pytest.fixture
def load(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load(text, environ=ENVIRON):
        Path("faq.yaml").write_text(text)
        (file,) = load_files([Path("faq.yaml")], cache.operations, environ)
        return file

    return load


def test_every_section_is_read_with_its_units(load):
    file = load(WHOLE)
    assert file.defaults == Defaults(provider="openai", concurrency=8, rate=1.0, retries=Retries(max=4))
    assert file.budget == Budget(usd=5.0, calls=2000)
    assert file.warm == WarmSettings(refresh_ahead=RefreshAhead(when_ttl_below=0.1, jitter=0.2), yield_to_live=True)
    assert file.bench.seed == 7
    assert file.bench.arms == {"cached": Arm(), "direct": Arm(cache="bypass", max_calls=300)}
    assert file.bench.keys == Keys(dist="zipf", s=0.99, population=10000)
    assert file.bench.warmup == 30.0
    assert file.bench.stages == (
        Stage(executor="ramping-arrival-rate", target=200.0, duration=60.0),
        Stage(executor="constant-arrival-rate", rate=200.0, duration=120.0, max_in_flight=500),
    )


def test_entries_take_the_defaults_unless_they_say_otherwise(load):
    plain, quote = load(WHOLE).cases()
    assert (plain.skip_if, plain.provider, plain.ttl, plain.priority, plain.weight) == ("fresh", "openai", None, 0, 1.0)
    assert (quote.skip_if, quote.ttl, quote.priority, quote.weight, quote.name) == ("never", 86400.0, 10, 3.0, "shares")


def test_thresholds_are_read_with_arm_labels_statistic_and_bound(load):
    hit_rate, latency, errors = load(WHOLE).bench.thresholds
    assert (hit_rate.arm, hit_rate.metric, hit_rate.comparison, hit_rate.bound) == ("cached", "hit_rate", ">=", 0.8)
    assert (latency.labels, latency.statistic, latency.bound) == ({"operation": "completion"}, "p95", 0.02)
    assert (errors.arm, errors.metric, errors.bound, errors.abort, errors.after) == (
        None,
        "errors.rate",
        0.01,
        True,
        10.0,
    )


def test_a_whole_file_is_what_its_schema_describes(load):
    load(WHOLE)
    jsonschema.validate(YAML(typ="safe").load(WHOLE), schema())
    jsonschema.validate([{"operation": "completion", "prompt": "x"}], schema())


@pytest.mark.parametrize(
    "change",
    [
        ("budget:", "budgets:"),
        ("rate: 60/min", "rate: fast"),
        ("on_exceed: stop", "on_exceed: go"),
        ("when_ttl_below: 10%", "when_ttl_below: x"),
    ],
)
def test_what_is_refused_is_not_what_the_schema_describes(load, change):
    text = WHOLE.replace(*change)
    with pytest.raises(InputError):
        load(text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(YAML(typ="safe").load(text), schema())


BAD = {
    "an unknown section": ("budget:", "budgte:", "4:1: unknown key 'budgte'; did you mean 'budget'?"),
    "an unknown key of a section": ("usd:", "eur:", "4:10: unknown key 'eur' of budget; known: calls, on_exceed, usd"),
    "a rate that is none": (
        "rate: 60/min",
        "rate: fast",
        "3:52: defaults.rate 'fast' is not usable; expected a rate such as 200/s or 60/min",
    ),
    "a share of more than all": (
        "when_ttl_below: 10%",
        "when_ttl_below: 110%",
        "10:40: warm.refresh_ahead.when_ttl_below '110%' is not usable; expected a share such as 10% or 0.1",
    ),
    "an unset variable of an operation": (
        "env.QUOTES_URL",
        "env.QUOTES_URI",
        "6:39: the environment variable 'QUOTES_URI' is not set; did you mean 'QUOTES_URL'?",
    ),
    "a stage without an executor": (
        "{executor: ramping-arrival-rate, target: 200/s,",
        "{target: 200/s,",
        "17:7: bench.stages needs 'executor'; add executor:",
    ),
    "an unknown metric": (
        "cached.hit_rate:",
        "cached.hitrate:",
        "20:5: unknown metric 'hitrate'; did you mean 'hit_rate'?",
    ),
    "a check that cannot be read": (
        "p95 < 20ms",
        "p95 below 20ms",
        (
            "21:46: check 'p95 below 20ms' of cached.latency{operation:completion} is not understood; "
            "expected for example 'p95 < 20ms' or '>= 0.80'"
        ),
    ),
    "a time without a statistic": (
        "p95 < 20ms",
        "< 20ms",
        (
            "21:46: check '< 20ms' of cached.latency{operation:completion} names no statistic; "
            "write for example 'p95 < 20ms'"
        ),
    ),
    "a share with a statistic": (
        ">= 0.80",
        "p95 >= 0.80",
        (
            "20:23: check 'p95 >= 0.80' of cached.hit_rate has a statistic, 'p95', for a metric that has none; "
            "leave it out"
        ),
    ),
    "a bound of another kind": (
        ">= 0.80",
        ">= 20ms",
        "20:23: check '>= 20ms' of cached.hit_rate has no bound that hit_rate can have; it is a share",
    ),
    "a parameter that the request does not refer to": (
        "symbol: AAPL",
        "symbl: AAPL",
        None,
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), BAD.values(), ids=BAD.keys())
def test_bad_sections_are_named_with_their_place(load, old, new, message):
    with pytest.raises(InputError) as refused:
        load(WHOLE.replace(old, new, 1))
    told = str(refused.value)
    if message is None:
        assert "quote has no parameter 'symbl'; did you mean 'symbol'?" in told
        assert "quote needs parameter 'symbol'; add symbol:" in told
    else:
        assert told == f"faq.yaml:{message}"


def test_all_faults_of_all_sections_are_told_at_once(load):
    text = WHOLE.replace("60/min", "fast").replace("usd:", "eur:").replace("AAPL", "[]").replace("10%", "x")
    with pytest.raises(InputError, match=r"^3 problems"):
        load(text)


def test_a_declared_operation_makes_its_request_and_is_cached(load, cache, monkeypatch):
    with running_upstream(latency_ms=0) as upstream:
        monkeypatch.setenv("QUOTES_URL", upstream.url)
        file = load(WHOLE, {"QUOTES_URL": upstream.url})
        register(cache, file.operations)

        async def twice():
            return [await cache.cached_api_call(operation="quote", symbol="A/B?c") for _ in range(2)]

        first, second = asyncio.run(twice())
        assert first == second
        assert first["symbol"] == "A/B?C"
        assert upstream.served().requests == 1


def test_a_declared_operation_of_a_name_that_the_application_has_is_refused(load, cache):
    file = load("""
version: 1
operations: {completion: {request: {url: "http://127.0.0.1:1/${{ params.symbol }}"}}}
scenarios: [{operation: completion, symbol: A}]
""")
    with pytest.raises(InputError, match="'completion' is declared in the file and registered by the application"):
        register(cache, file.operations)


def test_a_variable_that_is_unset_when_the_call_is_made_is_named(load, cache, monkeypatch):
    monkeypatch.delenv("QUOTES_URL", raising=False)
    register(cache, load(WHOLE).operations)
    with pytest.raises(InputError, match="the environment variable 'QUOTES_URL' is not set"):
        asyncio.run(cache.cached_api_call(operation="quote", symbol="A"))
