"""One load for all concurrent callers: threads, event loops, both mixed; cancellation; re-entrance."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from apicache import UnifiedAPICache


class Loader:
    """An operation whose load waits at a gate and counts how often it ran."""

    def __init__(self, cache: UnifiedAPICache, error: Exception | None = None) -> None:
        self.calls = 0
        self.cancelled = 0
        self.entered = threading.Event()
        self.gate = threading.Event()
        self._error = error
        cache.operation("slow")(self.slow)
        cache.operation("slow_sync")(self.slow_sync)

    def _result(self, n: int) -> dict[str, Any]:
        if self._error is not None:
            raise self._error
        return {"n": n, "mutable": []}

    async def slow(self, n: int) -> dict[str, Any]:
        self.calls += 1
        self.entered.set()
        try:
            while not self.gate.is_set():
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self._result(n)

    def slow_sync(self, n: int) -> dict[str, Any]:
        self.calls += 1
        self.entered.set()
        assert self.gate.wait(10)
        return self._result(n)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def waiters(cache: UnifiedAPICache) -> int:
    return sum(flight.waiters for flight in cache._engine.flights._flights.values())


@pytest.mark.parametrize("callers", [10, 100, 1000])
def test_concurrent_async_callers_share_one_load(cache: UnifiedAPICache, callers: int) -> None:
    loader = Loader(cache)

    async def run() -> list[Any]:
        tasks = [asyncio.create_task(cache.cached_api_call(operation="slow", n=1)) for _ in range(callers)]
        await until(lambda: waiters(cache) == callers)
        loader.gate.set()
        return await asyncio.gather(*tasks)

    results = asyncio.run(run())
    assert loader.calls == 1
    assert all(result == {"n": 1, "mutable": []} for result in results)
    assert len({id(result["mutable"]) for result in results}) == callers, "each caller mutates its own copy"
    assert cache.get_stats()["coalesced"] == callers - 1
    assert len(cache._engine.flights) == 0


@pytest.mark.parametrize("callers", [10, 100])
def test_concurrent_threads_share_one_load(cache: UnifiedAPICache, callers: int) -> None:
    loader = Loader(cache)
    with ThreadPoolExecutor(callers) as pool:
        futures = [pool.submit(cache.cached_api_call_sync, operation="slow_sync", n=1) for _ in range(callers)]
        asyncio.run(until(lambda: waiters(cache) == callers))
        loader.gate.set()
        results = [future.result(10) for future in futures]
    assert loader.calls == 1
    assert len({id(result["mutable"]) for result in results}) == callers


@pytest.mark.parametrize("leader", ["sync", "async"])
def test_threads_and_event_loops_share_one_load(cache: UnifiedAPICache, leader: str) -> None:
    loader = Loader(cache)
    name = "slow" if leader == "async" else "slow_sync"

    def in_a_loop() -> Any:
        return asyncio.run(cache.cached_api_call(operation=name, n=1))

    def in_a_thread() -> Any:
        return cache.cached_api_call_sync(operation=name, n=1)

    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(in_a_loop if leader == "async" else in_a_thread)
        assert loader.entered.wait(10)
        rest = [pool.submit(each) for each in (in_a_loop, in_a_thread) * 4]
        asyncio.run(until(lambda: waiters(cache) == 9))
        loader.gate.set()
        results = [future.result(10) for future in (first, *rest)]
    assert loader.calls == 1
    assert all(result["n"] == 1 for result in results)


def test_a_failing_load_fails_every_waiter_once_and_is_not_kept(cache: UnifiedAPICache) -> None:
    loader = Loader(cache, error=ValueError("upstream said no"))

    async def run() -> list[Any]:
        tasks = [asyncio.create_task(cache.cached_api_call(operation="slow", n=1)) for _ in range(20)]
        await until(lambda: waiters(cache) == 20)
        loader.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(run())
    assert loader.calls == 1
    assert all(isinstance(result, ValueError) for result in results)
    with pytest.raises(ValueError, match="upstream said no"):
        asyncio.run(cache.cached_api_call(operation="slow", n=1))
    assert loader.calls == 2


@pytest.mark.parametrize("victim", ["leader", "follower"])
def test_one_cancelled_caller_cancels_nobody_else(cache: UnifiedAPICache, victim: str) -> None:
    loader = Loader(cache)

    async def run() -> None:
        tasks = [asyncio.create_task(cache.cached_api_call(operation="slow", n=1)) for _ in range(3)]
        await until(lambda: waiters(cache) == 3)
        cancelled = tasks.pop(0 if victim == "leader" else 1)
        cancelled.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await cancelled
        assert cancelled.cancelled()
        loader.gate.set()
        assert [result["n"] for result in await asyncio.gather(*tasks)] == [1, 1]

    asyncio.run(run())
    assert (loader.calls, loader.cancelled) == (1, 0)


def test_when_all_callers_are_cancelled_the_load_is_cancelled_and_no_flight_is_left(cache: UnifiedAPICache) -> None:
    loader = Loader(cache)

    async def run() -> None:
        tasks = [asyncio.create_task(cache.cached_api_call(operation="slow", n=1)) for _ in range(3)]
        await until(lambda: waiters(cache) == 3 and loader.calls == 1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: loader.cancelled == 1)
        assert len(cache._engine.flights) == 0
        loader.gate.set()
        assert (await cache.cached_api_call(operation="slow", n=1))["n"] == 1

    asyncio.run(run())
    assert loader.calls == 2


def test_a_timeout_around_the_call_cancels_the_load(cache: UnifiedAPICache) -> None:
    loader = Loader(cache)

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cache.cached_api_call(operation="slow", n=1), timeout=0.02)
        await until(lambda: loader.cancelled == 1)

    asyncio.run(run())


def test_a_caller_in_another_loop_starts_over_when_the_leaders_loop_ends(cache: UnifiedAPICache) -> None:
    loader = Loader(cache)
    leader_may_end = threading.Event()

    async def abandon() -> None:
        leading = asyncio.create_task(cache.cached_api_call(operation="slow", n=1))
        await until(lambda: waiters(cache) == 2 or leader_may_end.is_set())
        del leading  # asyncio.run cancels what is left when the loop ends

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: asyncio.run(abandon()))
        assert loader.entered.wait(10)
        second = pool.submit(lambda: asyncio.run(cache.cached_api_call(operation="slow", n=1)))
        first.result(10)
        loader.gate.set()
        assert second.result(10)["n"] == 1
    assert loader.calls == 2


def test_an_operation_may_call_its_own_key_again(cache: UnifiedAPICache) -> None:
    depth = 0

    @cache.operation("again")
    async def again(n: int) -> int:
        nonlocal depth
        depth += 1
        return await cache.cached_api_call(operation="again", n=n) if depth < 3 else 42

    @cache.operation("again_sync")
    def again_sync(n: int) -> int:
        nonlocal depth
        depth += 1
        return cache.cached_api_call_sync(operation="again_sync", n=n) if depth < 3 else 42

    async def run() -> int:
        async with asyncio.timeout(10):
            return await cache.cached_api_call(operation="again", n=1)

    assert asyncio.run(run()) == 42
    depth = 0
    assert cache.cached_api_call_sync(operation="again_sync", n=1) == 42


def test_two_operations_that_need_each_other_do_not_wait_forever(cache: UnifiedAPICache) -> None:
    started = {"a": asyncio.Event(), "b": asyncio.Event()}
    calls: list[str] = []

    async def load(own: str, other: str) -> str:
        first = own not in calls
        calls.append(own)
        started[own].set()
        await started[other].wait()
        return own + (await cache.cached_api_call(operation=other) if first else "")

    @cache.operation("a")
    async def a() -> str:
        return await load("a", "b")

    @cache.operation("b")
    async def b() -> str:
        return await load("b", "a")

    async def run() -> list[str]:
        async with asyncio.timeout(10):
            calling = (cache.cached_api_call(operation="a"), cache.cached_api_call(operation="b"))
            return await asyncio.gather(*calling)

    one, other = asyncio.run(run())
    assert one.startswith("ab")
    assert other.startswith("ba")


def test_a_sync_call_inside_the_leaders_event_loop_does_not_block_it_forever(cache: UnifiedAPICache) -> None:
    calls = 0

    async def waits() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return calls

    def at_once() -> int:
        return -1

    async def run() -> tuple[int, int]:
        view = cache.using(operation="shared", key="k")
        leading = asyncio.create_task(view.cached_api_call(waits))
        await until(lambda: calls == 1)
        return view.cached_api_call_sync(at_once), await leading

    assert asyncio.run(run()) == (-1, 1)


def test_a_keyboard_interrupt_in_a_sync_load_reaches_its_caller_only(cache: UnifiedAPICache) -> None:
    entered = threading.Event()
    gate = threading.Event()
    calls = 0

    @cache.operation("stopped")
    def stopped() -> str:
        nonlocal calls
        calls += 1
        if calls > 1:
            return "fine"
        entered.set()
        assert gate.wait(10)
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.cached_api_call_sync, operation="stopped")
        assert entered.wait(10)
        second = pool.submit(cache.cached_api_call_sync, operation="stopped")
        asyncio.run(until(lambda: waiters(cache) == 2))
        gate.set()
        with pytest.raises(KeyboardInterrupt):
            first.result(10)
        assert second.result(10) == "fine"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_its_parents_flights(cache: UnifiedAPICache) -> None:
    loader = Loader(cache)
    with ThreadPoolExecutor(1) as pool:
        leading = pool.submit(cache.cached_api_call_sync, operation="slow_sync", n=1)
        assert loader.entered.wait(10)
        child = os.fork()
        if child == 0:
            loader.gate.set()
            answered = cache.cached_api_call_sync(operation="slow_sync", n=1)["n"] == 1
            os._exit(0 if answered else 1)
        _, status = os.waitpid(child, 0)
        loader.gate.set()
        leading.result(10)
    assert os.waitstatus_to_exitcode(status) == 0


def test_results_that_cannot_be_copied_are_loaded_by_each_caller(cache: UnifiedAPICache) -> None:
    gate = asyncio.Event()
    made: list[object] = []

    @cache.operation("uncopyable")
    async def uncopyable() -> object:
        await gate.wait()
        made.append(object())
        return made[-1]

    async def run() -> list[object]:
        tasks = [asyncio.create_task(cache.cached_api_call(operation="uncopyable")) for _ in range(5)]
        await until(lambda: waiters(cache) == 5)
        gate.set()
        return await asyncio.gather(*tasks)

    results = asyncio.run(run())
    assert len({id(result) for result in results}) == 5
    assert cache.get_stats()["stored"] == 0
