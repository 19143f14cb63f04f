"""Redis stopped, frozen and restarted under load: no call fails, none is wrong, none waits, and it is used again."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apicache import UnifiedAPICache
from apicache.tiers.memory import MemoryTier

Make = Callable[..., Any]

THREADS = 8
TASKS = 50
CALLS = 400
"""Of the threads and the tasks together, in one storm."""
KEYS = 40
SLOWEST_SECONDS = 5.0
"""What a call may take on a busy machine; a tier's own time is a fraction of a second."""


def until(met: Callable[[], bool], what: str) -> None:
    """Return when it is true; fail when it is not for long."""
    pause = threading.Event()
    assert any(met() or pause.wait(0.01) for _ in range(2000)), what


class Storm:
    """Threads and an event loop's tasks that call on, while something happens to Redis."""

    def __init__(self, cache: UnifiedAPICache) -> None:
        self.cache = cache
        self.numbers = itertools.count()
        self.answered = threading.Semaphore(0)
        self.durations: list[float] = []
        self.failures: list[object] = []
        self.go_on = threading.Event()

        @cache.operation("double", ttl=1000)
        def double(n: int) -> dict[str, int]:
            return {"n": n, "doubled": 2 * n}

        @cache.operation("double_async", ttl=1000)
        async def double_async(n: int) -> dict[str, int]:
            await asyncio.sleep(0)
            return {"n": n, "doubled": 2 * n}

    def _note(self, n: int, answer: object, began: float) -> None:
        self.durations.append(time.monotonic() - began)
        if answer != {"n": n, "doubled": 2 * n}:
            self.failures.append((n, answer))
        self.answered.release()

    def _sync_calls(self) -> None:
        for _ in range(CALLS // 2 // THREADS):
            n, began = next(self.numbers) % KEYS, time.monotonic()
            try:
                answer: object = self.cache.cached_api_call_sync(operation="double", n=n)
            except BaseException as error:  # noqa: BLE001 - carried to the test's own thread
                answer = error
            self._note(n, answer, began)

    async def _async_calls(self) -> None:
        for _ in range(CALLS // 2 // TASKS):
            n, began = next(self.numbers) % KEYS, time.monotonic()
            try:
                answer: object = await self.cache.cached_api_call(operation="double_async", n=n)
            except BaseException as error:  # noqa: BLE001 - carried to the test's own thread
                answer = error
            self._note(n, answer, began)
            await asyncio.sleep(0)

    async def _tasks(self) -> None:
        await asyncio.gather(*(self._async_calls() for _ in range(TASKS)))

    def rage(self, disturb: Callable[[], None]) -> None:
        """All the calls; `disturb` happens when some have been answered."""
        threads = [threading.Thread(target=self._sync_calls) for _ in range(THREADS)]
        threads.append(threading.Thread(target=lambda: asyncio.run(self._tasks())))
        for thread in threads:
            thread.start()
        for _ in range(CALLS // 10):
            assert self.answered.acquire(timeout=60)
        disturb()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)

    def check(self, storms: int) -> None:
        assert self.failures == []
        assert len(self.durations) == storms * CALLS
        assert max(self.durations) < SLOWEST_SECONDS

    def hits(self) -> int:
        return int(self.cache.get_stats()["tier_hits"].get("redis", 0))

    def _grows(self) -> bool:
        before = self.hits()
        for n in range(KEYS):
            assert self.cache.cached_api_call_sync(operation="double", n=n) == {"n": n, "doubled": 2 * n}
        return self.hits() > before

    def is_used(self) -> bool:
        """Whether Redis answers calls now; what waits to be written to it answers too, so that has to be written."""
        is_back = self._grows() and self.cache.get_stats()["breakers"]["redis"] == "closed" and self.cache.flush()
        return is_back and self._grows()


@pytest.fixture
def storm(own_redis: Any, make_redis: Make) -> Iterator[Storm]:
    cache = UnifiedAPICache.create(tiers=[make_redis(own_redis.url, timeout=0.25)])
    yield Storm(cache)
    cache.close()


def nothing() -> None:
    """Happens to Redis while nothing happens."""


@pytest.mark.parametrize(
    ("cut", "restore"),
    [("stop", "start"), ("kill", "start"), ("freeze", "thaw")],
    ids=["stopped", "killed", "frozen"],
)
def test_no_call_fails_while_redis_is_away_and_it_is_used_when_it_is_back(
    cut: str, restore: str, storm: Storm, own_redis: Any
) -> None:
    storm.rage(nothing)
    until(storm.is_used, "a hit before")
    storm.rage(getattr(own_redis, cut))
    storm.rage(nothing)  # all the while it is away
    assert storm.cache.get_stats()["breakers"]["redis"] != "closed"
    storm.rage(getattr(own_redis, restore))
    until(storm.is_used, "a hit after")
    storm.check(storms=4)
    assert storm.cache.flush(20)


def test_no_call_fails_while_redis_restarts_empty(storm: Storm, own_redis: Any) -> None:
    storm.rage(nothing)
    for _ in range(2):
        storm.rage(own_redis.restart)
    until(storm.is_used, "a hit after")
    storm.check(storms=3)


def test_memory_goes_on_answering_while_redis_is_frozen(own_redis: Any, make_redis: Make) -> None:
    cache = UnifiedAPICache.create(tiers=[MemoryTier(), make_redis(own_redis.url, timeout=0.25)])
    storm = Storm(cache)
    storm.rage(nothing)
    errors = cache.get_stats()["errors"]
    own_redis.freeze()
    storm.rage(nothing)
    storm.check(storms=2)
    assert cache.get_stats()["cache_misses"] <= 2 * KEYS
    assert cache.get_stats()["errors"] <= errors + 1
    own_redis.thaw()
    cache.close()


def test_an_application_starts_while_redis_is_away(own_redis: Any, make_redis: Make) -> None:
    own_redis.kill()
    cache = UnifiedAPICache.create(tiers=[make_redis(own_redis.url, timeout=0.25)])
    storm = Storm(cache)
    storm.rage(own_redis.start)
    until(storm.is_used, "a hit after")
    storm.check(storms=1)
    cache.close()
