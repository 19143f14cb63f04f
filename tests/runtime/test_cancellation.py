"""Who is cancelled with whom; tasks, contexts and timeouts inside loads; one load for a thousand callers."""

import asyncio
import contextvars
import gc
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from apicache import UnifiedAPICache


@pytest.fixture(autouse=True)
def _asyncio_says_nothing(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No `Task was destroyed but it is pending`, no `exception was never retrieved`."""
    caplog.set_level(logging.DEBUG - 1, logger="asyncio")
    yield
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio" and record.levelno > 10] == []


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


# Inside a load: the task, its context, its timeouts.


def loaded(cache: UnifiedAPICache, function: Callable[[], Awaitable[Any]], times: int = 3) -> list[Any]:
    """What the function gives as an operation of several keys, in one event loop: later ones meet idle workers."""

    async def operation(n: int) -> Any:
        return await function()

    cache.operation("inside")(operation)

    async def run() -> list[Any]:
        return [await cache.cached_api_call(operation="inside", n=n) for n in range(times)]

    return asyncio.run(run())


async def _never() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("first_waits", [True, False])
@pytest.mark.parametrize("library", ["asyncio", "anyio"])
@pytest.mark.parametrize("ends", ["in time", "too late", "in the first stretch"])
def test_timeouts_work_in_a_load(cache: UnifiedAPICache, first_waits: bool, library: str, ends: str) -> None:
    async def load() -> str:
        if first_waits:
            await asyncio.sleep(0)
        within = 10 if ends != "too late" else 0.01
        try:
            if library == "asyncio":
                async with asyncio.timeout(within):
                    await wait()
            else:
                with anyio.fail_after(within):
                    await wait()
        except TimeoutError:
            return "too late"
        await asyncio.sleep(0)
        return "in time"

    async def wait() -> None:
        if ends == "too late":
            await _never()
        elif ends == "in time":
            await asyncio.sleep(0.001)

    assert loaded(cache, load) == ["too late" if ends == "too late" else "in time"] * 3


def test_a_timeout_across_the_first_await_of_a_load(cache: UnifiedAPICache) -> None:
    async def load() -> int:
        with anyio.move_on_after(0.01) as scope:
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0))
                await _never()
        return int(scope.cancelled_caught)

    assert loaded(cache, load) == [1, 1, 1]


def test_task_groups_work_in_a_load(cache: UnifiedAPICache) -> None:
    async def load() -> list[int]:
        done: list[int] = []

        async def child(n: int) -> None:
            await asyncio.sleep(0)
            done.append(n)

        async with asyncio.TaskGroup() as group:
            for n in range(2):
                group.create_task(child(n))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child, 2)
        return done

    assert loaded(cache, load) == [[0, 1, 2]] * 3


def test_the_current_task_is_one_throughout_a_load_and_not_the_callers(cache: UnifiedAPICache) -> None:
    callers: list[Any] = []

    async def load() -> list[bool]:
        before = asyncio.current_task()
        await asyncio.sleep(0)
        between = asyncio.current_task()
        await asyncio.sleep(0.001)
        assert before is not None
        assert before in asyncio.all_tasks()
        return [before is between is asyncio.current_task(), before in callers, before.cancelling() == 0]

    async def run() -> list[Any]:
        callers.append(asyncio.current_task())
        cache.operation("inside")(load)
        first = await cache.cached_api_call(operation="inside")
        assert asyncio.current_task() is callers[0]
        return [first]

    assert asyncio.run(run()) == [[True, False, True]]


def test_no_idle_worker_is_among_the_loops_tasks(cache: UnifiedAPICache) -> None:
    @cache.operation("inside")
    async def inside(n: int, pauses: int) -> int:
        for _ in range(pauses):
            await asyncio.sleep(0)
        return n

    async def run() -> None:
        for pauses in (0, 1, 3, 0):
            await asyncio.gather(*(cache.cached_api_call(operation="inside", n=n, pauses=pauses) for n in range(20)))
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run(), debug=True)


USER: contextvars.ContextVar[str] = contextvars.ContextVar("USER", default="nobody")


@pytest.mark.parametrize("waits", [True, False])
def test_a_load_sees_its_callers_context_and_leaves_it_alone(cache: UnifiedAPICache, waits: bool) -> None:
    @cache.operation("who")
    async def who(n: int) -> list[str]:
        seen = [USER.get(), str(n)]
        USER.set("load")
        if waits:
            await asyncio.sleep(0)
        return [*seen, USER.get()]

    async def one(n: int) -> Any:
        USER.set(f"user {n}")
        answer = await cache.cached_api_call(operation="who", n=n)
        assert USER.get() == f"user {n}"
        return answer

    async def run() -> Any:
        return await asyncio.gather(*(one(n) for n in range(5)))

    assert asyncio.run(run()) == [[f"user {n}", str(n), "load"] for n in range(5)]


@pytest.mark.parametrize("soft_timeout", [None, 5.0])
def test_a_sync_load_sees_its_callers_context_too(cache: UnifiedAPICache, soft_timeout: float | None) -> None:
    cache.operation("who", soft_timeout=soft_timeout)(lambda: USER.get())
    token = USER.set("user")
    assert cache.cached_api_call_sync(operation="who") == "user"
    USER.reset(token)


@pytest.mark.parametrize("waits", [True, False])
def test_cached_calls_inside_loads_three_deep(cache: UnifiedAPICache, waits: bool) -> None:
    calls: list[str] = []

    def register(name: str, inner: str | None) -> None:
        @cache.operation(name)
        async def load() -> list[str]:
            calls.append(name)
            if waits:
                await asyncio.sleep(0)
            below = [] if inner is None else await cache.cached_api_call(operation=inner)
            return [name, *below]

    for name, inner in (("one", "two"), ("two", "three"), ("three", None)):
        register(name, inner)

    async def run() -> list[Any]:
        return await asyncio.gather(*(cache.cached_api_call(operation=name) for name in ("one", "two", "three") * 3))

    answers = asyncio.run(run())
    assert answers == [["one", "two", "three"], ["two", "three"], ["three"]] * 3
    assert sorted(calls) == ["one", "three", "two"]


def test_cancelling_the_outermost_of_nested_calls_cancels_all_of_them(cache: UnifiedAPICache) -> None:
    cancelled: list[str] = []

    def register(name: str, inner: str | None) -> None:
        @cache.operation(name)
        async def load() -> None:
            try:
                await (_never() if inner is None else cache.cached_api_call(operation=inner))
            except asyncio.CancelledError:
                cancelled.append(name)
                raise

    for name, inner in (("one", "two"), ("two", "three"), ("three", None)):
        register(name, inner)

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cache.cached_api_call(operation="one"), 0.02)
        assert len(cache._engine.flights) == 0

    asyncio.run(run())
    assert cancelled == ["three", "two", "one"]


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
