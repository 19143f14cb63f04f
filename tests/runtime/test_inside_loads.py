"""Tasks, contexts and timeouts inside loads."""

import asyncio
import contextvars
import importlib.util
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from apicache import UnifiedAPICache

_spec = importlib.util.spec_from_file_location("quiet_loops", Path(__file__).with_name("quiet_loops.py"))
quiet: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(quiet)
_asyncio_says_nothing = quiet._asyncio_says_nothing


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


@pytest.mark.parametrize("goes_near", [True, False])
def test_an_expired_timeout_cancels_the_child_task_that_a_load_waits_for(
    cache: UnifiedAPICache, *, goes_near: bool
) -> None:
    ended: list[str] = []

    async def child() -> None:
        try:
            await asyncio.sleep(0.01)
            ended.append("went on")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    @cache.operation("load", tags=() if goes_near else ("t",))
    async def load(n: int) -> str:
        if n == 0:  # leaves an idle worker behind
            return "at once"
        try:
            async with asyncio.timeout(0):
                await asyncio.create_task(child())
        except TimeoutError:
            return "too late"
        return "in time"

    async def run() -> list[str]:
        answers = []
        for n in range(3):
            answers.append(await cache.cached_api_call(operation="load", n=n))
            await asyncio.sleep(0)
        await asyncio.sleep(0.03)
        return answers

    assert asyncio.run(run()) == ["at once", "too late", "too late"]
    assert "went on" not in ended


def test_a_load_goes_on_when_the_child_task_survives_its_cancellation(cache: UnifiedAPICache) -> None:
    async def child() -> str:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            return "survived"
        return "slept"

    @cache.operation("load")
    async def load(n: int) -> str:
        if n == 0:
            return "at once"
        task = asyncio.create_task(child())
        current = asyncio.current_task()
        assert current is not None
        asyncio.get_running_loop().call_soon(current.cancel, "enough")
        found = await task
        current.uncancel()
        return found

    async def run() -> list[str]:
        answers = []
        for n in range(2):
            answers.append(await cache.cached_api_call(operation="load", n=n))
            await asyncio.sleep(0)
        return answers

    assert asyncio.run(run()) == ["at once", "survived"]
