"""One load for a thousand callers."""

import asyncio
import importlib.util
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from apicache import UnifiedAPICache

_spec = importlib.util.spec_from_file_location("quiet_loops", Path(__file__).with_name("quiet_loops.py"))
quiet: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(quiet)
_asyncio_says_nothing = quiet._asyncio_says_nothing


# A thousand callers.


class Cold:
    """An operation whose load ends only when all its callers wait."""

    def __init__(self, cache: UnifiedAPICache, callers: int) -> None:
        self.cache = cache
        self.callers = callers
        self.loads = 0
        self.lock = threading.Lock()
        cache.operation("cold")(self.cold)
        cache.operation("cold_sync")(self.cold_sync)

    def _are_all_there(self) -> bool:
        flights = list(self.cache._engine.flights._flights.values())
        return sum(flight.waiters for flight in flights) >= self.callers

    async def cold(self) -> list[int]:
        with self.lock:
            self.loads += 1
        async with asyncio.timeout(30):
            while not self._are_all_there():
                await asyncio.sleep(0.001)
        return [1]

    def cold_sync(self) -> list[int]:
        with self.lock:
            self.loads += 1
        for _ in range(30_000):
            if self._are_all_there():
                return [1]
            threading.Event().wait(0.001)
        raise AssertionError("not all callers came")


async def gathered(cache: UnifiedAPICache, callers: int) -> list[Any]:
    return await asyncio.gather(*(cache.cached_api_call(operation="cold") for _ in range(callers)))


def test_a_thousand_async_callers_of_a_cold_key_make_one_load(cache: UnifiedAPICache) -> None:
    cold = Cold(cache, 1000)
    answers = asyncio.run(gathered(cache, 1000))
    assert answers == [[1]] * 1000
    assert len({id(answer) for answer in answers}) == 1000  # each has its own copy
    assert cold.loads == 1
    assert cache.get_stats()["coalesced"] == 999


def test_a_thousand_threads_that_call_a_cold_key_make_one_load(cache: UnifiedAPICache) -> None:
    cold = Cold(cache, 1000)
    with ThreadPoolExecutor(1000) as threads:
        calls = [threads.submit(cache.cached_api_call_sync, operation="cold_sync") for _ in range(1000)]
        assert [call.result() for call in calls] == [[1]] * 1000
    assert cold.loads == 1


def test_a_thousand_callers_in_several_event_loops_make_one_load(cache: UnifiedAPICache) -> None:
    cold = Cold(cache, 1000)
    with ThreadPoolExecutor(4) as threads:
        loops = [threads.submit(asyncio.run, gathered(cache, 250)) for _ in range(4)]
        for loop in loops:
            assert loop.result() == [[1]] * 250
    assert cold.loads == 1
