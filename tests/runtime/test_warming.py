import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from apicache import InputError, UnifiedAPICache, WarmOutcome
from apicache.clock import ManualClock


def test_entries_are_warmed_fresh_or_failed_and_reported_in_order(cache: UnifiedAPICache, clock: ManualClock) -> None:
    @cache.operation("square")
    async def square(n: int) -> int:
        clock.advance(0.5)
        if n < 0:
            raise ValueError("negative")
        return n * n

    seen: list[WarmOutcome] = []
    entries = [{"operation": "square", "n": n} for n in (2, -1, 2)]
    outcomes = asyncio.run(cache.warm_cache(entries, concurrency=1, on_outcome=seen.append))
    assert [outcome.status for outcome in outcomes] == ["warmed", "failed", "fresh"]
    assert outcomes == seen
    assert outcomes[0].key == outcomes[2].key != outcomes[1].key
    assert outcomes[1].error == "ValueError: negative"
    assert outcomes[0].seconds == 0.5
    assert cache.cached_api_call_sync is not None
    assert asyncio.run(cache.cached_api_call(operation="square", n=2)) == 4
    assert cache.get_stats()["cache_misses"] == 1


def test_no_more_calls_run_at_once_than_asked_for(cache: UnifiedAPICache) -> None:
    running = most = 0

    @cache.operation("wait")
    async def wait(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return n

    asyncio.run(cache.warm_cache([{"operation": "wait", "n": n} for n in range(20)], concurrency=3))
    assert most == 3


def test_an_error_answer_is_a_failure_with_its_status(cache: UnifiedAPICache, api: Any) -> None:
    @cache.operation("down")
    async def down() -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"{api.url}/status/503")

    (outcome,) = asyncio.run(cache.warm_cache([{"operation": "down"}]))
    assert (outcome.status, outcome.error) == ("failed", "status 503")


def test_sync_operations_are_warmed_too(cache: UnifiedAPICache) -> None:
    cache.operation("plain")(lambda n: n)
    (outcome,) = asyncio.run(cache.warm_cache([{"operation": "plain", "n": 1}]))
    assert outcome.status == "warmed"


def test_sync_operations_are_warmed_at_the_same_time(cache: UnifiedAPICache) -> None:
    together = threading.Barrier(4, timeout=10)

    @cache.operation("plain")
    def plain(n: int) -> int:
        together.wait()
        return n

    outcomes = asyncio.run(cache.warm_cache([{"operation": "plain", "n": n} for n in range(4)], concurrency=4))
    assert [outcome.status for outcome in outcomes] == ["warmed"] * 4


def test_an_error_answer_that_is_no_json_is_told_by_its_status(cache: UnifiedAPICache, api: Any) -> None:
    @cache.operation("down", returns="json")
    def down() -> requests.Response:
        return requests.head(f"{api.url}/status/502", timeout=5)

    outcomes = asyncio.run(cache.warm_cache([{"operation": "down"}] * 3, concurrency=3))
    assert {(outcome.status, outcome.error) for outcome in outcomes} == {("failed", "status 502")}


def test_what_a_tier_could_not_keep_for_other_processes_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "cache.db").write_bytes(b"this is not SQLite" * 100)
    cache = UnifiedAPICache.create(directory=tmp_path)
    cache.operation("plain")(lambda n: n)
    (outcome,) = asyncio.run(cache.warm_cache([{"operation": "plain", "n": 1}]))
    assert (outcome.status, outcome.error) == ("failed", "the disk tier failed")


def test_an_off_cache_fails_every_entry_and_says_so() -> None:
    cache = UnifiedAPICache.create(mode="off")
    cache.operation("plain")(lambda n: n)
    (outcome,) = asyncio.run(cache.warm_cache([{"operation": "plain", "n": 1}]))
    assert (outcome.status, outcome.error) == ("failed", "the cache is off")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"prompt": "x"}, "entry 1 names no operation"),
        ({"operation": "plian", "n": 1}, "did you mean 'plain'"),
        ({"operation": "plain", "m": 1}, "entry 1: missing a required argument: 'n'"),
    ],
)
def test_a_bad_entry_is_refused_before_any_call(cache: UnifiedAPICache, entry: Any, message: str) -> None:
    called: list[int] = []
    cache.operation("plain")(lambda n: called.append(n))
    with pytest.raises(InputError, match=message):
        asyncio.run(cache.warm_cache([{"operation": "plain", "n": 1}, entry]))
    assert called == []


def test_a_concurrency_below_one_is_refused(cache: UnifiedAPICache) -> None:
    with pytest.raises(InputError, match="concurrency 0"):
        asyncio.run(cache.warm_cache([], concurrency=0))


def test_cancelling_keeps_what_had_been_reported(cache: UnifiedAPICache) -> None:
    gate = asyncio.Event()

    @cache.operation("wait")
    async def wait(n: int) -> int:
        if n:
            await gate.wait()
        return n

    seen: list[WarmOutcome] = []

    async def run() -> None:
        entries = [{"operation": "wait", "n": n} for n in (0, 1, 2)]
        warming = asyncio.create_task(cache.warm_cache(entries, concurrency=2, on_outcome=seen.append))
        while not seen:
            await asyncio.sleep(0)
        warming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await warming

    asyncio.run(run())
    assert [outcome.status for outcome in seen] == ["warmed"]
    assert len(cache._engine.flights) == 0


def test_what_was_warmed_is_hit_by_another_cache_on_the_same_folder(tmp_path: Path) -> None:
    calls: list[int] = []
    for _ in range(2):
        cache = UnifiedAPICache.create(directory=tmp_path)
        cache.operation("plain")(lambda n: calls.append(n) or {"n": n})
        asyncio.run(cache.warm_cache([{"operation": "plain", "n": 1}]))
        cache.close()
    assert calls == [1]
    assert cache.get_stats()["tier_hits"] == {"disk": 1}
