import asyncio
from pathlib import Path

import pytest

from apicache import InputError, UnifiedAPICache
from apicache_scenarios.format.model import Case
from apicache_scenarios.warm import run_warming


@pytest.fixture
def calls():
    return []


@pytest.fixture
def cache(calls):
    return with_operations(UnifiedAPICache.create(), calls)


def with_operations(cache, calls):
    @cache.operation("completion", ttl="1h")
    async def completion(prompt: str):
        calls.append(prompt)
        if prompt == "bad":
            raise ValueError("refused by the provider")
        if prompt.startswith("http"):
            raise ValueError(f"no answer from '{prompt}'")
        return {"answer": prompt}

    return cache


def scenario(prompt, line=1, name=None):
    return Case(path=Path("faq.yaml"), line=line, operation="completion", params={"prompt": prompt}, name=name)


def warm(cache, *prompts, concurrency=2, on_progress=lambda done: None):
    scenarios = [scenario(prompt, line) for line, prompt in enumerate(prompts, start=1)]
    return run_warming(cache, scenarios, concurrency=concurrency, on_progress=on_progress)


def statuses(report):
    return [entry.status for entry in report.entries]


def test_each_scenario_is_called_once_and_then_fresh(cache, calls):
    assert statuses(warm(cache, "a", "b")) == ["warmed", "warmed"]
    assert statuses(warm(cache, "a", "b", "c")) == ["fresh", "fresh", "warmed"]
    assert sorted(calls) == ["a", "b", "c"]


def test_a_scenario_that_stands_twice_is_called_once(cache, calls):
    report = warm(cache, "a", "a")
    assert sorted(statuses(report)) == ["fresh", "warmed"]
    assert calls == ["a"]


def test_a_failing_call_is_reported_and_stops_nothing(cache, calls):
    report = warm(cache, "a", "bad", "b", concurrency=1)
    assert statuses(report) == ["warmed", "failed", "warmed"]
    failed = report.entries[1]
    assert failed.error == "ValueError: refused by the provider"
    assert (failed.path, failed.line) == ("faq.yaml", 2)
    assert statuses(warm(cache, "bad")) == ["failed"], "an error is not stored"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.example.com/v1?api_key=sk-1&page=2", "https://api.example.com/v1?api_key=REDACTED&page=REDACTED"),
        ("https://user:sk-1@api.example.com/v1", "https://api.example.com/v1"),
        ("https://[sk-1", "REDACTED"),
    ],
)
def test_an_error_never_shows_a_credential_of_the_url(cache, url, shown):
    assert warm(cache, url).entries[0].error == f"ValueError: no answer from '{shown}'"


def test_the_summary_counts_every_outcome(cache):
    warm(cache, "a")
    summary = warm(cache, "a", "b", "bad").summary
    assert (summary.scenarios, summary.warmed, summary.fresh, summary.failed, summary.not_run) == (3, 1, 1, 1, 0)
    assert summary.interrupted is False


def test_what_the_application_asks_then_is_a_hit(cache, calls):
    warm(cache, "a")
    answer = asyncio.run(cache.cached_api_call(operation="completion", prompt="a"))
    assert answer == {"answer": "a"}
    assert calls == ["a"]


def test_names_and_keys_are_reported(cache):
    report = run_warming(cache, [scenario("a", name="first")], concurrency=1, on_progress=lambda done: None)
    (entry,) = report.entries
    assert entry.name == "first"
    assert len(entry.key) == 64


def test_progress_counts_up_to_all(cache):
    seen = []
    warm(cache, "a", "bad", "b", on_progress=seen.append)
    assert seen == [1, 2, 3]


def test_warming_a_cache_that_is_off_is_refused_before_any_call(calls):
    cache = with_operations(UnifiedAPICache.create(mode="off"), calls)
    with pytest.raises(InputError, match="the application's cache is off"):
        warm(cache, "a")
    assert calls == []


def test_scenarios_of_a_batched_operation_are_sent_together():
    cache, sent = UnifiedAPICache.create(), []
    cache.batched("embed", over="text")(lambda texts: sent.append(texts) or texts)
    scenarios = [
        Case(path=Path("faq.yaml"), line=line, operation="embed", params={"text": text}, name=None)
        for line, text in enumerate("abcdefghij", start=1)
    ]
    report = run_warming(cache, scenarios, concurrency=2, on_progress=lambda done: None)
    assert statuses(report) == ["warmed"] * 10
    assert sent == [list("abcdefghij")]
