"""Which cases are called, in which order, and how they are kept fresh."""

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.warm_calls import WarmCalls
from apicache_scenarios.format.loading import load_checked
from apicache_scenarios.warming.journal import Journal
from apicache_scenarios.warming.refreshing import Refresher
from apicache_scenarios.warming.report import Tally
from apicache_scenarios.warming.running import run_warming
from apicache_scenarios.warming.warmer import Warmer, WarmOptions

_spec = importlib.util.spec_from_file_location("virtual_time", Path(__file__).with_name("virtual_time.py"))
virtual_time: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(virtual_time)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def cache(clock, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return with_operations(UnifiedAPICache.create(clock=clock))


def with_operations(cache):
    cache.made, cache.failing = [], {}

    @cache.operation("answer", ttl=100, grace=1000)
    async def answer(n: int) -> int:
        cache.made.append(n)
        if cache.failing.get(n, 0):
            cache.failing[n] -= 1
            raise ConnectionError
        return n

    return cache


def load(cache, text):
    Path("faq.yaml").write_text(text)
    [(file, total)] = load_checked([Path("faq.yaml")], cache.operations).values()
    return file, total


def warm(cache, text, **options):
    file, total = load(cache, text)
    return run_warming(
        cache, [file], WarmOptions(**options), total=total, directory=Path("cache"), on_progress=lambda _: None
    )


def test_the_highest_priority_is_called_first_and_equal_ones_in_their_order(cache):
    warm(
        cache,
        "[{operation: answer, n: 1}, {operation: answer, n: 2, priority: 5}, {operation: answer, n: 3}, "
        "{operation: answer, n: 4, priority: 5}, {operation: answer, n: 5, priority: -1}]",
        concurrency=1,
    )
    assert cache.made == [2, 4, 1, 3, 5]


def test_a_stale_entry_is_loaded_unless_any_entry_will_do(cache, clock):
    text = (
        "[{operation: answer, n: 1}, {operation: answer, n: 2, skip_if: exists}, "
        "{operation: answer, n: 3, skip_if: never}]"
    )
    warm(cache, text)
    assert sorted(cache.made) == [1, 2, 3]
    report = warm(cache, text)
    assert sorted(entry.status for entry in report.entries) == ["fresh", "fresh", "warmed"]
    assert sorted(cache.made) == [1, 2, 3, 3]
    clock.advance(150)
    warm(cache, text)
    assert sorted(cache.made) == [1, 1, 2, 3, 3, 3]


def test_a_case_s_ttl_is_that_of_its_entry_shortened_by_jitter(cache):
    warm(cache, "version: 1\nwarm: {ttl_jitter: 50%}\nscenarios: [{operation: answer, n: 1, ttl: 1000s}]")
    with WarmCalls(1) as calls:
        standing = asyncio.run(calls.standing(cache.using(ttl=1000), "answer", {"n": 1}))
    assert 500 <= standing.fresh_for < 1000


def test_a_call_that_fails_for_a_moment_is_made_again(cache):
    cache.failing[1] = 2
    text = "version: 1\ndefaults: {retries: {max: 3, first: 0s}}\nscenarios: [{operation: answer, n: 1}]"
    (entry,) = warm(cache, text).entries
    assert (entry.status, entry.attempts) == ("warmed", 3)


def test_no_more_attempts_are_made_than_declared(cache):
    cache.failing[1] = 9
    text = "version: 1\ndefaults: {retries: {max: 1, first: 0s}}\nscenarios: [{operation: answer, n: 1}]"
    (entry,) = warm(cache, text).entries
    assert (entry.status, entry.attempts, entry.error) == ("failed", 2, "ConnectionError")


def test_warming_waits_while_live_calls_are_under_way(cache):
    file, _ = load(cache, "version: 1\nwarm: {yield_to_live: true}\nscenarios: [{operation: answer, n: 1}]")
    order = []
    ends = asyncio.Event()

    @cache.operation("live")
    async def live() -> int:
        await ends.wait()
        order.append("live")
        return 1

    async def work():
        warmer = warmer_of(cache, file)
        running = asyncio.create_task(cache.cached_api_call(operation="live"))
        await asyncio.sleep(0)
        with WarmCalls(4) as calls:
            warming = asyncio.create_task(warmer.run(calls))
            await asyncio.sleep(0.5)
            assert cache.made == []
            ends.set()
            await asyncio.gather(running, warming)

    virtual_time.run(work())
    assert order == ["live"]
    assert cache.made == [1]


def warmer_of(cache, file):
    tally = Tally(keep=lambda entry, kept: True)
    journal = Journal.of(Path("cache"), [file.path])
    return Warmer(cache, [file], WarmOptions(), journal, tally=tally, on_entry=lambda entry: None)


def test_entries_are_loaded_anew_before_they_end_and_no_caller_waits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loop = virtual_time.VirtualLoop()

    class Clock:
        def now(self):
            return 1_700_000_000.0 + loop.time()

        monotonic = now

    cache = with_operations(UnifiedAPICache.create(clock=Clock()))
    file, _ = load(
        cache,
        "version: 1\nwarm: {refresh_ahead: {when_ttl_below: 20%}, ttl_jitter: 0%}\n"
        "scenarios: [{operation: answer, n: 1}]",
    )

    async def work():
        warmer = warmer_of(cache, file)
        refresher = Refresher(warmer, [file])
        with WarmCalls(4) as calls:
            await warmer.run(calls)
            watching = asyncio.create_task(refresher.run(calls))
            for _ in range(50):
                await asyncio.sleep(10)
                await cache.cached_api_call(operation="answer", n=1)
            watching.cancel()
            await asyncio.wait([watching])
        return refresher.refreshed

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        refreshed = runner.run(work())
    assert refreshed in {5, 6}
    assert len(cache.made) == 1 + refreshed
    assert cache.get_stats()["cache_hits"] == 50
