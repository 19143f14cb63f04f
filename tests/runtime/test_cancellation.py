"""Who is cancelled with whom, and what a load may raise."""

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import pytest

from apicache import UnifiedAPICache

_spec = importlib.util.spec_from_file_location("quiet_loops", Path(__file__).with_name("quiet_loops.py"))
quiet: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(quiet)
_asyncio_says_nothing = quiet._asyncio_says_nothing


class Slow:
    """The operation `slow`: it waits for `gate`, and tells of its begin and of its cancelling."""

    def __init__(self, cache: UnifiedAPICache) -> None:
        self.cache = cache
        self.begun = self.cancelled = 0
        self.gate = asyncio.Event()
        cache.operation("slow")(self.slow)

    async def slow(self) -> dict[str, int]:
        self.begun += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            await asyncio.sleep(0)  # its cleanup takes a while
            raise
        return {"n": self.begun}

    async def callers(self, number: int) -> list["asyncio.Task[Any]"]:
        """So many, all waiting."""
        tasks = [asyncio.create_task(self.cache.cached_api_call(operation="slow")) for _ in range(number)]
        while not self.begun or self.waiters() < number:
            await asyncio.sleep(0)
        return tasks

    def waiters(self) -> int:
        return sum(flight.waiters for flight in self.cache._engine.flights._flights.values())


Scene = Callable[[Slow], Awaitable[None]]


def played(cache: UnifiedAPICache, scene: Callable[[Slow], Coroutine[Any, Any, None]]) -> Slow:
    """The scene in an event loop of its own; afterwards no flight and no task is left."""

    async def run() -> Slow:
        slow = Slow(cache)
        await scene(slow)
        assert len(cache._engine.flights) == 0
        for _ in range(3):  # anyio cancels again and again, so that its callers do not wait for a load's cleanup
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return slow

    return asyncio.run(run())


@pytest.mark.parametrize("victims", [[0], [1], [2], [0, 1], [1, 2], [0, 2]])
def test_cancelled_callers_cancel_nobody_else(cache: UnifiedAPICache, victims: list[int]) -> None:
    async def scene(slow: Slow) -> None:
        tasks = await slow.callers(3)
        for victim in victims:
            tasks[victim].cancel()
        await asyncio.wait([tasks[victim] for victim in victims])
        slow.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for position, result in enumerate(results):
            assert isinstance(result, asyncio.CancelledError) if position in victims else result == {"n": 1}

    slow = played(cache, scene)
    assert (slow.begun, slow.cancelled) == (1, 0)
    assert cache.cached_api_call_sync(lambda: 1) == 1


@pytest.mark.parametrize("callers", [1, 2, 5])
def test_when_all_are_cancelled_so_is_the_load_and_the_next_call_begins_anew(
    cache: UnifiedAPICache, callers: int
) -> None:
    async def scene(slow: Slow) -> None:
        tasks = await slow.callers(callers)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert (slow.begun, slow.cancelled, len(cache._engine.flights)) == (1, 1, 0)
        slow.gate.set()
        assert await cache.cached_api_call(operation="slow") == {"n": 2}

    played(cache, scene)


def test_a_call_made_while_the_load_is_being_cancelled_begins_anew(cache: UnifiedAPICache) -> None:
    async def scene(slow: Slow) -> None:
        (task,) = await slow.callers(1)
        task.cancel()
        while slow.cancelled == 0:
            await asyncio.sleep(0)
        slow.gate.set()
        assert await cache.cached_api_call(operation="slow") == {"n": 2}
        with pytest.raises(asyncio.CancelledError):
            await task

    played(cache, scene)


@pytest.mark.parametrize("wait", ["wait_for", "asyncio.timeout", "anyio.fail_after"])
@pytest.mark.parametrize("others", [0, 1])
def test_a_timeout_around_a_call_is_a_cancelled_caller(cache: UnifiedAPICache, wait: str, others: int) -> None:
    async def timed() -> Any:
        if wait == "wait_for":
            return await asyncio.wait_for(cache.cached_api_call(operation="slow"), 0.02)
        if wait == "asyncio.timeout":
            async with asyncio.timeout(0.02):
                return await cache.cached_api_call(operation="slow")
        with anyio.fail_after(0.02):
            return await cache.cached_api_call(operation="slow")

    async def scene(slow: Slow) -> None:
        first = asyncio.create_task(timed())  # it leads
        while not slow.begun:
            await asyncio.sleep(0)
        rest = [asyncio.create_task(cache.cached_api_call(operation="slow")) for _ in range(others)]
        with pytest.raises(TimeoutError):
            await first
        assert slow.cancelled == (0 if others else 1)
        slow.gate.set()
        assert await asyncio.gather(*rest) == [{"n": 1}] * others

    played(cache, scene)


def test_a_cancelled_group_leaves_nothing_behind(cache: UnifiedAPICache) -> None:
    async def scene(slow: Slow) -> None:
        async def failing() -> None:
            while slow.waiters() < 2:
                await asyncio.sleep(0)
            raise ValueError

        async def caller() -> None:
            await cache.cached_api_call(operation="slow")

        async def grouped() -> None:
            async with asyncio.TaskGroup() as group:
                for task in (caller(), caller(), failing()):
                    group.create_task(task)

        with pytest.raises(ExceptionGroup):
            await grouped()

    assert played(cache, scene).cancelled == 1


def test_an_event_loop_that_ends_amid_a_load_ends_it(cache: UnifiedAPICache) -> None:
    ended: list[str] = []

    @cache.operation("endless")
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("load")

    async def run() -> None:
        task = asyncio.create_task(cache.cached_api_call(operation="endless"))
        await asyncio.sleep(0.01)
        assert not task.done()

    asyncio.run(run())
    assert ended == ["load"]
    assert len(cache._engine.flights) == 0


# What a load may raise.


class OwnError(BaseException):
    pass


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("error", [asyncio.CancelledError, ValueError, StopAsyncIteration, TimeoutError])
def test_what_an_async_load_raises_reaches_its_caller(
    cache: UnifiedAPICache, error: type[BaseException], waits: bool
) -> None:
    @cache.operation("raising")
    async def raising() -> None:
        if waits:
            await asyncio.sleep(0)
        raise error

    async def run() -> None:
        for _ in range(2):
            with pytest.raises(error):
                await cache.cached_api_call(operation="raising")
        assert len(cache._engine.flights) == 0
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)

    asyncio.run(run())


@pytest.mark.parametrize("error", [OwnError, KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_what_a_sync_load_raises_reaches_its_caller(cache: UnifiedAPICache, error: type[BaseException]) -> None:
    @cache.operation("raising")
    def raising() -> None:
        raise error

    for _ in range(2):
        with pytest.raises(error):
            cache.cached_api_call_sync(operation="raising")
    assert len(cache._engine.flights) == 0


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_an_async_load_ends_the_program_as_without_a_cache(
    cache: UnifiedAPICache, error: type[BaseException], waits: bool
) -> None:
    @cache.operation("raising")
    async def raising() -> None:
        if waits:
            await asyncio.sleep(0)
        raise error

    async def run() -> None:
        await cache.cached_api_call(operation="raising")

    with pytest.raises(error):
        asyncio.run(run())
    assert len(cache._engine.flights) == 0


def test_a_load_that_gives_up_leaves_its_followers_to_begin_anew(cache: UnifiedAPICache) -> None:
    calls: list[int] = []

    @cache.operation("once")
    async def once() -> int:
        calls.append(1)
        await asyncio.sleep(0.005)
        if len(calls) == 1:
            raise asyncio.CancelledError
        return len(calls)

    async def run() -> list[Any]:
        tasks = [asyncio.create_task(cache.cached_api_call(operation="once")) for _ in range(3)]
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *rest = asyncio.run(run())
    assert isinstance(first, asyncio.CancelledError)
    assert rest == [2, 2]


def test_a_pending_call_can_be_closed(cache: UnifiedAPICache) -> None:
    async def run() -> None:
        slow = Slow(cache)
        call = cache.cached_api_call(operation="slow")
        call.send(None)
        assert slow.begun == 1
        call.close()
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)
        assert (slow.cancelled, len(cache._engine.flights)) == (1, 0)

    asyncio.run(run())
