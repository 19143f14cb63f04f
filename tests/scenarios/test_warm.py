import asyncio
import json
from pathlib import Path

import pytest

from apicache import InputError, UnifiedAPICache
from apicache_scenarios.format.loading import load_checked
from apicache_scenarios.warming.running import run_warming
from apicache_scenarios.warming.warmer import WarmOptions


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


@pytest.fixture
def warm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def warm(cache, *prompts, concurrency=2, on_progress=lambda done: None, operation="completion", by="prompt"):
        entries = [{"operation": operation, by: prompt} for prompt in prompts]
        return warm_text(cache, json.dumps(entries, indent=0), concurrency=concurrency, on_progress=on_progress)

    return warm


def warm_text(cache, text, concurrency=2, on_progress=lambda done: None, **options):
    """Warm the one file of this text."""
    file = Path("faq.yaml")
    file.write_text(text)
    [(loaded, total)] = load_checked([file], cache.operations).values()
    return run_warming(
        cache,
        [loaded],
        WarmOptions(concurrency=concurrency, **options),
        total=total,
        directory=Path("cache"),
        on_progress=on_progress,
    )


def statuses(report):
    return [entry.status for entry in report.entries]


def test_each_scenario_is_called_once_and_then_fresh(cache, calls, warm):
    assert statuses(warm(cache, "a", "b")) == ["warmed", "warmed"]
    assert statuses(warm(cache, "a", "b", "c")) == ["fresh", "fresh", "warmed"]
    assert sorted(calls) == ["a", "b", "c"]


def test_a_scenario_that_stands_twice_is_called_once(cache, calls, warm):
    report = warm(cache, "a", "a")
    assert sorted(statuses(report)) == ["fresh", "warmed"]
    assert calls == ["a"]


def test_a_failing_call_is_reported_and_stops_nothing(cache, calls, warm):
    report = warm(cache, "a", "bad", "b", concurrency=1)
    assert statuses(report) == ["warmed", "failed", "warmed"]
    failed = report.entries[1]
    assert failed.error == "ValueError: refused by the provider"
    assert (failed.path, failed.line) == ("faq.yaml", 6)
    assert statuses(warm(cache, "bad")) == ["failed"], "an error is not stored"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.example.com/v1?api_key=sk-1&page=2", "https://api.example.com/v1?api_key=REDACTED&page=REDACTED"),
        ("https://user:sk-1@api.example.com/v1", "https://api.example.com/v1"),
        ("https://[sk-1", "REDACTED"),
    ],
)
def test_an_error_never_shows_a_credential_of_the_url(cache, warm, url, shown):
    assert warm(cache, url).entries[0].error == f"ValueError: no answer from '{shown}'"


def test_the_summary_counts_every_outcome(cache, warm):
    warm(cache, "a")
    summary = warm(cache, "a", "b", "bad").summary
    assert (summary.scenarios, summary.warmed, summary.fresh, summary.failed, summary.not_run) == (3, 1, 1, 1, 0)
    assert summary.interrupted is False


def test_what_the_application_asks_then_is_a_hit(cache, calls, warm):
    warm(cache, "a")
    answer = asyncio.run(cache.cached_api_call(operation="completion", prompt="a"))
    assert answer == {"answer": "a"}
    assert calls == ["a"]


def test_names_and_keys_are_reported(cache, warm):
    (entry,) = warm_text(cache, "[{operation: completion, prompt: a, name: first}]").entries
    assert entry.name == "first"
    assert len(entry.key) == 64


def test_progress_counts_up_to_all(cache, warm):
    seen = []
    warm(cache, "a", "bad", "b", on_progress=seen.append)
    assert seen == [1, 2, 3]


def test_warming_a_cache_that_is_off_is_refused_before_any_call(calls, warm):
    cache = with_operations(UnifiedAPICache.create(mode="off"), calls)
    with pytest.raises(InputError, match="the application's cache is off"):
        warm(cache, "a")
    assert calls == []


def test_scenarios_of_a_batched_operation_are_sent_together(warm):
    cache, sent = UnifiedAPICache.create(), []
    cache.batched("embed", over="text")(lambda texts: sent.append(texts) or texts)
    report = warm(cache, *"abcdefghij", operation="embed", by="text")
    assert statuses(report) == ["warmed"] * 10
    assert sent == [list("abcdefghij")]
