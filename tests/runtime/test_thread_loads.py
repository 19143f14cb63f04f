"""Sync functions that async code calls: in a thread where a timeout has to hold, or where many are made at once."""

import asyncio
import contextvars
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from apicache import InputError, LoadTimeoutError, UnifiedAPICache, cached_db_query
from apicache.clock import ManualClock
from apicache.tier import TierPlace
from apicache.tiers import build
from apicache.tiers.memory import MemoryTier

SECONDS = 20.0
WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")
held = threading.Event()
threads: list[int] = []


def wait_for_it(n: int) -> int:
    held.wait(SECONDS)
    return n


def which_thread(n: int) -> int:
    threads.append(threading.get_ident())
    return n


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    held.clear()
    threads.clear()
    yield
    held.set()


def timed_out(cache: UnifiedAPICache, *args: Any, **given: Any) -> None:
    async def run() -> None:
        with pytest.raises(LoadTimeoutError, match=r"hard_timeout of 0\.02 s"):
            await cache.using(hard_timeout=0.02).cached_api_call(*args, **given)
        held.set()
        assert await cache.cached_api_call(*args, **given) == 1  # the load has gone on

    asyncio.run(run())


def test_the_hard_timeout_of_a_sync_operation_holds_for_async_code(cache: UnifiedAPICache) -> None:
    cache.operation("wait")(wait_for_it)
    timed_out(cache, operation="wait", n=1)


def test_the_hard_timeout_of_a_wrapped_function_holds_for_async_code(cache: UnifiedAPICache) -> None:
    timed_out(cache, wait_for_it, 1)


def test_the_hard_timeout_of_a_batched_function_holds_for_async_code(cache: UnifiedAPICache) -> None:
    sent = []

    @cache.batched("wait", over="n", hard_timeout=0.02)
    def wait(ns: list[int]) -> list[int]:
        sent.append(ns)
        held.wait(SECONDS)
        return ns

    async def run() -> list[Any]:
        calls = (cache.cached_api_call(operation="wait", n=n) for n in (1, 2))
        return await asyncio.gather(*calls, return_exceptions=True)

    assert [type(each) for each in asyncio.run(run())] == [LoadTimeoutError] * 2
    assert sent == [[1, 2]]


def test_a_stale_entry_answers_while_a_sync_load_takes_too_long(clock: ManualClock) -> None:
    cache = UnifiedAPICache.create(clock=clock)
    cache.operation("wait", ttl=10, grace=100, soft_timeout=0.01)(wait_for_it)
    held.set()
    assert asyncio.run(cache.cached_api_call(operation="wait", n=1)) == 1
    held.clear()
    clock.advance(11)
    assert asyncio.run(cache.cached_api_call(operation="wait", n=1)) == 1
    assert cache.get_stats()["stale"] == 1


@pytest.mark.parametrize("policy", [{}, {"hard_timeout": SECONDS}])
def test_one_sync_load_is_in_the_callers_thread_unless_it_has_a_timeout(
    cache: UnifiedAPICache, policy: dict[str, Any]
) -> None:
    cache.operation("which", **policy)(which_thread)
    assert asyncio.run(cache.cached_api_call(operation="which", n=1)) == 1
    assert asyncio.run(cache.using(**policy).cached_api_call(which_thread, 1)) == 1
    assert [ident == threading.get_ident() for ident in threads] == [not policy] * 2


def test_what_a_thread_sees_and_raises_is_as_in_the_callers(cache: UnifiedAPICache) -> None:
    @cache.operation("who", hard_timeout=SECONDS)
    def who(fails: bool) -> str:
        if fails:
            raise KeyError("none")
        return WHO.get()

    async def run(fails: bool) -> Any:
        WHO.set("the caller")
        return await cache.cached_api_call(operation="who", fails=fails)

    assert asyncio.run(run(fails=False)) == "the caller"
    with pytest.raises(KeyError, match="none"):
        asyncio.run(run(fails=True))


def test_a_stop_iteration_of_a_thread_ends_the_call(cache: UnifiedAPICache) -> None:
    @cache.operation("stops")
    def stops(n: int) -> Any:
        return next(iter(()))

    wanted = [{"operation": "stops", "n": n} for n in (1, 2)]
    answers = asyncio.run(cache.cached_api_calls(wanted, return_exceptions=True))
    answers += cache.cached_api_calls_sync(wanted, concurrency=2, return_exceptions=True)
    answers += cache.cached_api_calls_sync(wanted, return_exceptions=True)
    assert [type(answer) for answer in answers] == [RuntimeError] * 6
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(cache.using(hard_timeout=SECONDS).cached_api_call(operation="stops", n=3))


def test_a_plain_function_around_an_async_one_may_have_a_timeout(cache: UnifiedAPICache) -> None:
    async def value() -> int:
        await asyncio.sleep(0)
        return 1

    cache.operation("later", hard_timeout=SECONDS)(lambda: value())
    assert asyncio.run(cache.cached_api_call(operation="later")) == 1


def test_a_connection_is_asked_in_its_own_thread_whatever_the_timeout(tmp_path: Path) -> None:
    cache = UnifiedAPICache.create()
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.executescript("CREATE TABLE tea (name TEXT); INSERT INTO tea VALUES ('oolong')")
    rows = asyncio.run(cached_db_query("SELECT name FROM tea", database=database, cache=cache, hard_timeout=SECONDS))
    assert rows == [{"name": "oolong"}]
    database.close()


def rows_here(query: str) -> list[dict[str, Any]]:
    which_thread(1)
    return [{"n": 1}]


@pytest.mark.parametrize("policy", [{}, {"key": "mine"}])
def test_a_function_of_queries_is_called_in_the_callers_thread(cache: UnifiedAPICache, policy: dict[str, Any]) -> None:
    asked = cached_db_query("SELECT n FROM t", database=rows_here, cache=cache, hard_timeout=SECONDS, **policy)
    assert asyncio.run(asked) == [{"n": 1}]
    assert threads == [threading.get_ident()]


# Many at once.


@pytest.fixture(params=["memory", "disk", "off"])
def many(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    tiers: list[Any] = [MemoryTier()]
    if request.param == "disk":
        tiers.append(build("disk", TierPlace(directory=tmp_path, options={}, timeout=SECONDS)))
    mode = "off" if request.param == "off" else "on"
    cache = UnifiedAPICache.create(tiers=tiers, tier_timeout=SECONDS, mode=mode)
    yield cache
    cache.close()


def test_many_sync_loads_are_made_at_once_in_the_callers_context(many: UnifiedAPICache) -> None:
    together = threading.Barrier(3, timeout=SECONDS)

    @many.operation("meet", threads=True)
    def meet(n: int) -> list[Any]:
        together.wait()
        return [n, WHO.get()]

    async def run() -> list[Any]:
        WHO.set("the caller")
        return await many.cached_api_calls([{"operation": "meet", "n": n} for n in (1, 2, 3)])

    assert asyncio.run(run()) == [[n, "the caller"] for n in (1, 2, 3)]


def test_no_more_threads_than_concurrency(many: UnifiedAPICache) -> None:
    running, most, lock = 0, 0, threading.Lock()
    pair = threading.Barrier(2, timeout=SECONDS)

    @many.operation("count", threads=True)
    def count(n: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        pair.wait()
        with lock:
            running -= 1
        pair.wait()
        return n

    wanted = [{"operation": "count", "n": n} for n in range(8)]
    assert asyncio.run(many.cached_api_calls(wanted, concurrency=2)) == list(range(8))
    assert most == 2


def test_a_concurrency_of_1_stays_in_the_callers_thread(many: UnifiedAPICache) -> None:
    many.operation("which", threads=True)(which_thread)
    wanted = [{"operation": "which", "n": n} for n in (1, 2)]
    assert asyncio.run(many.cached_api_calls(wanted, concurrency=1)) == [1, 2]
    assert set(threads) == {threading.get_ident()}


def test_many_sync_loads_are_made_one_after_another_in_the_callers_thread(many: UnifiedAPICache) -> None:
    many.operation("which")(which_thread)
    wanted = [{"operation": "which", "n": n} for n in (1, 2)]
    assert asyncio.run(many.cached_api_calls(wanted)) == [1, 2]
    assert threads == [threading.get_ident()] * 2


def test_batches_of_many_calls_are_made_in_the_callers_thread(many: UnifiedAPICache) -> None:
    @many.batched("double", over="n", threads=True)
    def double(ns: list[int]) -> list[int]:
        which_thread(0)
        return [2 * n for n in ns]

    assert asyncio.run(many.cached_api_calls([{"operation": "double", "n": n} for n in (1, 2)])) == [2, 4]
    assert threads == [threading.get_ident()]


def test_a_load_in_a_thread_may_call_the_cache_for_its_own_key(cache: UnifiedAPICache) -> None:
    @cache.operation("again", threads=True)
    def again(n: int) -> int:
        depth = WHO.get()
        if depth == "inside":
            return n
        token = WHO.set("inside")
        try:
            value: int = cache.cached_api_call_sync(operation="again", n=n)
            return value
        finally:
            WHO.reset(token)

    assert asyncio.run(cache.cached_api_calls([{"operation": "again", "n": n} for n in (1, 2)])) == [1, 2]


def test_the_hard_timeout_of_a_sync_operation_holds_in_a_list_of_sync_code(cache: UnifiedAPICache) -> None:
    cache.operation("wait", hard_timeout=0.02)(wait_for_it)
    answers = cache.cached_api_calls_sync([{"operation": "wait", "n": 1}], return_exceptions=True)
    assert [type(answer) for answer in answers] == [LoadTimeoutError]


def test_a_load_that_ends_after_its_event_loop_tells_nobody(cache: UnifiedAPICache) -> None:
    cache.operation("wait", hard_timeout=0.01)(wait_for_it)
    with pytest.raises(LoadTimeoutError):
        asyncio.run(cache.cached_api_call(operation="wait", n=1))
    held.set()
    for thread in threading.enumerate():
        if thread.name == "apicache-load":
            thread.join(SECONDS)


def test_a_policy_with_a_bad_timeout_is_refused(cache: UnifiedAPICache) -> None:
    with pytest.raises(InputError, match="hard_timeout"):
        cache.using(hard_timeout=-1)
