"""Calls that belong to their caller's thread: by what a `threading.local` tells, by a connection, by an event loop."""

import asyncio
import contextvars
import functools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apicache import LoadTimeoutError, UnifiedAPICache
from apicache.clock import ManualClock
from apicache.planning import Plan, plan_callable
from apicache.policy import DEFAULT

SECONDS = 20.0
TIMED: list[dict[str, Any]] = [{"hard_timeout": SECONDS}, {"soft_timeout": SECONDS}]
HERE = threading.local()
WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


def tenant() -> str:
    return getattr(HERE, "tenant", "nobody")


@pytest.fixture(autouse=True)
def _is_a() -> Iterator[None]:
    HERE.tenant = "A"
    yield
    del HERE.tenant


def in_another_thread(work: Callable[[], Any]) -> Any:
    """What `work` gives where nothing is known of this thread's tenant."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(SECONDS)
    return found[0]


# Whose answer it is, told by the thread.


def rows(n: int) -> str:
    return f"{n} of {tenant()}"


Ask = Callable[[UnifiedAPICache], Any]
WANTED: list[dict[str, Any]] = [{"operation": "rows", "n": n} for n in (1, 2)]
WAYS: dict[str, tuple[dict[str, Any], Ask]] = {
    "many": ({}, lambda cache: asyncio.run(cache.cached_api_calls(WANTED))),
    "many, whose policy has threads": ({"threads": True}, lambda cache: asyncio.run(cache.cached_api_calls(WANTED))),
    "many, in threads": ({}, lambda cache: cache.cached_api_calls_sync(WANTED, concurrency=2)),
    "many, with a timeout": (TIMED[0], lambda cache: asyncio.run(cache.cached_api_calls(WANTED))),
    "many of sync code, with a timeout": (TIMED[0], lambda cache: cache.cached_api_calls_sync(WANTED)),
    "async, with a hard timeout": (TIMED[0], lambda cache: asyncio.run(one_by_one(cache))),
    "async, with a soft timeout": (TIMED[1], lambda cache: asyncio.run(one_by_one(cache))),
    "sync, with a hard timeout": (TIMED[0], lambda cache: [cache.cached_api_call_sync(**call) for call in WANTED]),
    "sync, with a soft timeout": (TIMED[1], lambda cache: [cache.cached_api_call_sync(**call) for call in WANTED]),
    "warming": ({}, lambda cache: asyncio.run(warmed(cache))),
}


async def one_by_one(cache: UnifiedAPICache) -> list[Any]:
    return [await cache.cached_api_call(**call) for call in WANTED]


async def warmed(cache: UnifiedAPICache) -> list[Any]:
    assert [each.status for each in await cache.warm_cache(WANTED)] == ["warmed"] * 2
    return await one_by_one(cache)


@pytest.mark.parametrize("told_by", ["scope", "key"])
@pytest.mark.parametrize("way", WAYS)
def test_no_other_tenants_answer_is_given_or_stored_as_this_ones(
    cache: UnifiedAPICache, way: str, told_by: str
) -> None:
    options, ask = WAYS[way]
    policy: dict[str, Any] = {"scope": tenant} if told_by == "scope" else {"key": lambda n: f"{n} {tenant()}"}
    cache.operation("rows", **policy, **options)(rows)
    mine = ["1 of A", "2 of A"]
    assert ask(cache) == mine
    assert [cache.cached_api_call_sync(**call) for call in WANTED] == mine
    assert cache.get_stats()["stored"] == 2
    assert in_another_thread(lambda: cache.cached_api_call_sync(operation="rows", n=1)) == "1 of nobody"


@pytest.mark.parametrize("way", ["many", "async, with a hard timeout", "warming"])
def test_a_batch_is_made_where_its_callers_tenant_is_known(cache: UnifiedAPICache, way: str) -> None:
    options, ask = WAYS[way]

    @cache.batched("rows", over="n", scope=tenant, **options)
    def many_rows(ns: list[int]) -> list[str]:
        return [rows(n) for n in ns]

    assert ask(cache) == ["1 of A", "2 of A"]
    assert cache.cached_api_call_sync(operation="rows", n=1) == "1 of A"


def test_calls_of_one_scope_share_a_batch_in_a_thread(cache: UnifiedAPICache) -> None:
    sent: list[list[int]] = []

    @cache.batched("rows", over="n", scope=WHO.get, hard_timeout=SECONDS)
    def many_rows(ns: list[int]) -> list[int]:
        sent.append(ns)
        return [threading.get_ident()] * len(ns)

    async def run() -> list[Any]:
        return await asyncio.gather(*(cache.cached_api_call(**call) for call in WANTED))

    assert threading.get_ident() not in asyncio.run(run())
    assert sent == [[1, 2]]


@pytest.mark.parametrize("is_async", [True, False])
def test_a_timeout_holds_where_the_scope_is_the_same_in_every_thread(cache: UnifiedAPICache, *, is_async: bool) -> None:
    held = threading.Event()

    @cache.operation("wait", scope=WHO.get, hard_timeout=0.02)
    def wait() -> str:
        held.wait(SECONDS)
        return WHO.get()

    call: Callable[..., Any] = cache.cached_api_call_sync
    if is_async:
        call = lambda **given: asyncio.run(cache.cached_api_call(**given))  # noqa: E731 - as the other
    try:
        with pytest.raises(LoadTimeoutError):
            call(operation="wait")
    finally:
        held.set()


def test_a_scope_that_fails_in_another_thread_keeps_the_call_in_its_callers(cache: UnifiedAPICache) -> None:
    cache.operation("rows", scope=lambda: HERE.tenant, hard_timeout=SECONDS)(rows)
    assert cache.cached_api_call_sync(operation="rows", n=1) == "1 of A"
    assert asyncio.run(cache.cached_api_call(operation="rows", n=2)) == "2 of A"
    assert cache.get_stats()["stored"] == 2


def test_nothing_is_loaded_in_the_background_for_another_tenant() -> None:
    clock = ManualClock()
    cache = UnifiedAPICache.create(clock=clock)
    loaded: list[str] = []

    @cache.operation("rows", scope=tenant, ttl=10, stale_while_revalidate=100)
    def noted(n: int) -> str:
        loaded.append(rows(n))
        return loaded[-1]

    assert cache.cached_api_call_sync(operation="rows", n=1) == "1 of A"
    clock.advance(11)
    assert cache.cached_api_call_sync(operation="rows", n=1) == "1 of A"
    assert cache.flush(SECONDS)
    assert loaded == ["1 of A"]
    clock.advance(100)
    assert cache.cached_api_call_sync(operation="rows", n=1) == "1 of A"
    assert loaded == ["1 of A"] * 2


def test_a_call_that_is_fixed_is_another_one_where_its_scope_is() -> None:
    def parts(plan: Plan) -> tuple[Any, Any]:
        parts_asked.append(plan)
        plan.is_fixed = True
        return {}, None

    parts_asked: list[Plan] = []
    plan = Plan("rows", DEFAULT.merged({"scope": tenant}), tenant, parts)
    plan.identify()
    assert plan.is_same_here()
    assert in_another_thread(plan.is_same_here) is False
    assert len(parts_asked) == 1  # it is not prepared anew
    assert plan.scope == "A"


# Exceptions that are no Exception.


class StopNowError(BaseException):
    pass


@pytest.mark.parametrize("policy", [*TIMED, {}])
@pytest.mark.parametrize("error", [StopNowError("now"), SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
def test_what_a_sync_load_with_a_timeout_raises_is_raised_once(
    cache: UnifiedAPICache, error: BaseException, policy: dict[str, Any]
) -> None:
    cause = KeyError("why")
    calls: list[int] = []

    @cache.operation("stop", **policy)
    def stop() -> None:
        calls.append(1)
        raise error from cause

    with pytest.raises(type(error)) as raised:
        cache.cached_api_call_sync(operation="stop")
    assert raised.value is error
    assert error.__cause__ is cause
    assert calls == [1]
    assert len(cache._engine.flights) == 0


def test_who_waits_for_an_interrupted_load_makes_the_call_itself(cache: UnifiedAPICache) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    calls: list[int] = []

    @cache.operation("stop", hard_timeout=SECONDS)
    def stop() -> str:
        calls.append(1)
        if len(calls) == 1:
            begun.set()
            goes_on.wait(SECONDS)
            raise StopNowError
        return "made"

    def first() -> None:
        with pytest.raises(StopNowError):
            cache.cached_api_call_sync(operation="stop")

    def waiters() -> int:
        return sum(flight.waiters for flight in cache._engine.flights._flights.values())

    leader = threading.Thread(target=first)
    leader.start()
    assert begun.wait(SECONDS)
    found: list[str] = []
    follower = threading.Thread(target=lambda: found.append(cache.cached_api_call_sync(operation="stop")))
    follower.start()
    while waiters() < 2:
        time.sleep(0.001)
    goes_on.set()
    for thread in (leader, follower):
        thread.join(SECONDS)
    assert found == ["made"]
    assert calls == [1, 1]


@pytest.mark.parametrize("error", [StopNowError(), GeneratorExit()])
def test_what_a_load_raises_in_a_thread_is_raised_at_its_async_caller(
    cache: UnifiedAPICache, error: BaseException
) -> None:
    calls: list[int] = []

    @cache.operation("stop", hard_timeout=SECONDS)
    def stop() -> None:
        calls.append(1)
        raise error

    async def run() -> BaseException | None:
        try:
            await cache.cached_api_call(operation="stop")
        except BaseException as raised:  # noqa: BLE001 - that one
            return raised
        return None

    assert asyncio.run(run()) is error
    assert calls == [1]


@pytest.mark.parametrize("is_async", [True, False])
def test_a_generator_exit_of_a_batched_function_is_told_to_its_callers(
    cache: UnifiedAPICache, *, is_async: bool
) -> None:
    async def later(ns: list[int]) -> list[int]:
        await asyncio.sleep(0)
        return at_once(ns)

    def at_once(ns: list[int]) -> list[int]:
        raise GeneratorExit

    cache.batched("rows", over="n")(later if is_async else at_once)

    async def run() -> list[Any]:
        calls = [cache.cached_api_call(**call) for call in WANTED]
        found = await asyncio.gather(*calls, return_exceptions=True)
        return found + await cache.cached_api_calls(WANTED, return_exceptions=True)

    for error in asyncio.run(run()):
        assert type(error) is RuntimeError
        assert "'rows' raised GeneratorExit" in str(error)


# What belongs to a thread or a loop.


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript("CREATE TABLE tea (name TEXT); INSERT INTO tea VALUES ('oolong')")
    yield connection
    connection.close()


class Shop:
    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def teas(self) -> list[Any]:
        return [list(row) for row in self.database.execute("SELECT name FROM tea")]


@pytest.mark.parametrize("policy", TIMED)
def test_a_connections_method_is_called_in_its_thread_by_sync_code(
    cache: UnifiedAPICache, database: sqlite3.Connection, policy: dict[str, Any]
) -> None:
    execute = cache.using(scope="me", **policy).cached_api_call_sync(database.execute, "SELECT name FROM tea")
    assert execute.fetchall() == [("oolong",)]
    shop = Shop(database)
    teas = functools.partial(cache.using(key="teas", **policy).cached_api_call_sync, shop.teas)
    assert teas() == teas() == [["oolong"]]
    assert cache.get_stats()["cache_hits"] == 1


@pytest.mark.parametrize("policy", TIMED)
def test_a_decorated_method_is_called_in_its_callers_thread(
    cache: UnifiedAPICache, database: sqlite3.Connection, policy: dict[str, Any]
) -> None:
    class CachedShop(Shop):
        teas = cache.cached(key="teas", **policy)(Shop.teas)

    assert CachedShop(database).teas() == [["oolong"]]


def test_the_timeout_of_a_decorated_function_holds(cache: UnifiedAPICache) -> None:
    held = threading.Event()

    @cache.cached(key="wait", hard_timeout=0.02)
    def wait() -> None:
        held.wait(SECONDS)

    try:
        with pytest.raises(LoadTimeoutError):
            wait()
    finally:
        held.set()


@pytest.mark.parametrize("is_blocking", [True, False])
def test_which_calls_may_leave_their_thread(database: sqlite3.Connection, *, is_blocking: bool) -> None:
    policy = DEFAULT.merged(TIMED[0])
    functions: list[Any] = (
        [rows, functools.partial(rows, 1)] if is_blocking else [database.execute, Shop(database).teas]
    )
    assert {plan_callable(each, (), {}, None, policy).is_blocking for each in functions} == {is_blocking}


@pytest.mark.parametrize("mode", ["on", "off"])
def test_many_calls_may_use_one_threads_connection(database: sqlite3.Connection, mode: str) -> None:
    cache = UnifiedAPICache.create(mode=mode)

    @cache.operation("teas")
    def teas(n: int) -> list[Any]:
        return [[n, *row] for row in database.execute("SELECT name FROM tea")]

    wanted = [{"operation": "teas", "n": n} for n in (1, 2)]
    assert asyncio.run(cache.cached_api_calls(wanted)) == [[[1, "oolong"]], [[2, "oolong"]]]
    assert cache.cached_api_calls_sync(wanted) == [[[1, "oolong"]], [[2, "oolong"]]]


@pytest.mark.parametrize("mode", ["on", "off"])
def test_many_calls_may_begin_tasks_of_their_event_loop(mode: str) -> None:
    cache = UnifiedAPICache.create(mode=mode)

    @cache.operation("later")
    def later(n: int) -> Any:
        return asyncio.ensure_future(asyncio.sleep(0, n))

    wanted = [{"operation": "later", "n": n} for n in (1, 2)]
    assert asyncio.run(cache.cached_api_calls(wanted)) == [1, 2]
