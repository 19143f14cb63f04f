"""What is served past its ttl, and for how long: grace, refreshes, timeouts, negative answers, HTTP's own words."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from apicache import LoadTimeoutError, UnifiedAPICache
from apicache.clock import ManualClock

TTL = 100.0


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """As the shared one, but an event loop stays until refreshes have ended: with it, they would end."""
    if request.param == "sync":
        return lambda cache, *args, **kwargs: cache.cached_api_call_sync(*args, **kwargs)

    async def run(cache: UnifiedAPICache, *args: Any, **kwargs: Any) -> Any:
        value = await cache.cached_api_call(*args, **kwargs)
        await asyncio.to_thread(cache.flush)
        return value

    return lambda cache, *args, **kwargs: asyncio.run(run(cache, *args, **kwargs))


class Upstream:
    """An operation `get` that counts its calls, and can fail, hang at a gate, and take a while on the clock."""

    def __init__(self, cache: UnifiedAPICache, clock: ManualClock, **policy: Any) -> None:
        self.clock = clock
        self.calls = 0
        self.error: Exception | None = None
        self.takes = 0.0
        self.gate = threading.Event()
        self.gate.set()
        self.result: Callable[[int], Any] = lambda n: n
        cache.operation("get", **{"ttl": TTL, **policy})(self.get)

    def get(self) -> Any:
        self.calls += 1
        n = self.calls
        assert self.gate.wait(10)
        self.clock.advance(self.takes)
        if self.error is not None:
            raise self.error
        return self.result(n)


class UpstreamDownError(Exception):
    pass


DOWN = UpstreamDownError("down")


def test_past_its_ttl_an_entry_is_loaded_anew(cache: UnifiedAPICache, clock: ManualClock, call: Any) -> None:
    Upstream(cache, clock)
    assert call(cache, operation="get") == 1
    clock.advance(TTL - 0.01)
    assert call(cache, operation="get") == 1
    clock.advance(0.01)
    assert call(cache, operation="get") == 2


@pytest.mark.parametrize("window", [{"grace": 50}, {"stale_if_error": 50}, {"grace": 5, "stale_if_error": 50}])
def test_a_stale_entry_is_served_when_the_load_fails(
    cache: UnifiedAPICache, clock: ManualClock, call: Any, window: dict[str, Any]
) -> None:
    upstream = Upstream(cache, clock, **window)
    assert call(cache, operation="get") == 1
    upstream.error = DOWN
    clock.advance(TTL + 49.9)
    assert call(cache, operation="get") == 1
    assert upstream.calls == 2
    assert cache.get_stats()["stale"] == 1
    clock.advance(0.1)
    with pytest.raises(UpstreamDownError):
        call(cache, operation="get")


@pytest.mark.parametrize("window", [{}, {"grace": 50, "stale_if_error": 0}, {"stale_while_revalidate": 0}])
def test_without_grace_a_failure_is_the_callers(
    cache: UnifiedAPICache, clock: ManualClock, call: Any, window: dict[str, Any]
) -> None:
    upstream = Upstream(cache, clock, **window)
    call(cache, operation="get")
    upstream.error = DOWN
    clock.advance(TTL)
    with pytest.raises(UpstreamDownError):
        call(cache, operation="get")
    assert cache.get_stats()["stale"] == 0


def test_a_failure_with_nothing_stored_is_the_callers_and_is_not_kept(
    cache: UnifiedAPICache, clock: ManualClock, call: Any
) -> None:
    upstream = Upstream(cache, clock, grace=50)
    upstream.error = DOWN
    with pytest.raises(UpstreamDownError):
        call(cache, operation="get")
    upstream.error = None
    assert call(cache, operation="get") == 2


def test_after_a_stale_answer_the_next_call_tries_again(cache: UnifiedAPICache, clock: ManualClock, call: Any) -> None:
    upstream = Upstream(cache, clock, grace=50)
    call(cache, operation="get")
    clock.advance(TTL)
    upstream.error = DOWN
    assert call(cache, operation="get") == 1
    upstream.error = None
    assert call(cache, operation="get") == 3


def test_grace_does_not_serve_stale_while_the_load_succeeds(
    cache: UnifiedAPICache, clock: ManualClock, call: Any
) -> None:
    Upstream(cache, clock, grace=50)
    call(cache, operation="get")
    clock.advance(TTL)
    assert call(cache, operation="get") == 2


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_upstreams_error_response_is_a_failed_load(
    cache: UnifiedAPICache, clock: ManualClock, api: Any, call: Any, status: int
) -> None:
    path = {"now": "/fine"}

    @cache.operation("fetch", ttl=TTL, grace=50)
    def fetch() -> httpx.Response:
        return httpx.get(api.url + path["now"])

    first = call(cache, operation="fetch")
    path["now"] = f"/status/{status}"
    clock.advance(TTL)
    stale = call(cache, operation="fetch")
    assert (stale.status_code, stale.json()) == (200, first.json())
    clock.advance(50)
    assert call(cache, operation="fetch").status_code == status
    assert len(api.seen) == 3


def test_a_404_is_an_answer_and_not_a_failed_load(
    cache: UnifiedAPICache, clock: ManualClock, api: Any, call: Any
) -> None:
    path = {"now": "/fine"}

    @cache.operation("fetch", ttl=TTL, grace=50)
    def fetch() -> httpx.Response:
        return httpx.get(api.url + path["now"])

    call(cache, operation="fetch")
    path["now"] = "/status/404"
    clock.advance(TTL)
    assert call(cache, operation="fetch").status_code == 404


def header(*lines: str) -> dict[str, Any]:
    return {"params": [("header", line) for line in lines]}


def test_must_revalidate_forbids_every_stale_answer(
    cache: UnifiedAPICache, clock: ManualClock, api: Any, call: Any
) -> None:
    target = {"url": api.url}

    @cache.operation("fetch", ttl=TTL, grace=50, stale_while_revalidate=50)
    def fetch() -> httpx.Response:
        return httpx.get(target["url"], **header("Cache-Control:max-age=60, must-revalidate"))

    call(cache, operation="fetch")
    target["url"] = "http://127.0.0.1:1"
    call(cache, operation="fetch")
    clock.advance(60)
    with pytest.raises(httpx.ConnectError):
        call(cache, operation="fetch")
    with pytest.raises(httpx.ConnectError):
        call(cache, operation="fetch")


def test_an_override_may_serve_stale_what_must_be_revalidated(
    cache: UnifiedAPICache, clock: ManualClock, api: Any, call: Any
) -> None:
    target = {"url": api.url}

    @cache.operation("fetch", ttl=TTL, grace=50, http="override")
    def fetch() -> httpx.Response:
        return httpx.get(target["url"], **header("Cache-Control:max-age=60, must-revalidate"))

    first = call(cache, operation="fetch")
    target["url"] = "http://127.0.0.1:1"
    clock.advance(TTL)
    assert call(cache, operation="fetch").json() == first.json()


# Refreshing in the background.


def test_a_stale_entry_is_served_at_once_and_refreshed_once(
    cache: UnifiedAPICache, clock: ManualClock, call: Any
) -> None:
    upstream = Upstream(cache, clock, stale_while_revalidate=50)
    call(cache, operation="get")
    clock.advance(TTL + 49)
    assert call(cache, operation="get") == 1
    cache.flush()
    assert upstream.calls == 2
    assert call(cache, operation="get") == 2
    cache.flush()
    assert upstream.calls == 2
    clock.advance(TTL + 50)
    assert call(cache, operation="get") == 3


def test_while_a_refresh_runs_nobody_waits_and_nobody_begins_another(
    cache: UnifiedAPICache, clock: ManualClock
) -> None:
    upstream = Upstream(cache, clock, stale_while_revalidate=50)
    cache.cached_api_call_sync(operation="get")
    clock.advance(TTL)
    upstream.gate.clear()
    assert [cache.cached_api_call_sync(operation="get") for _ in range(5)] == [1] * 5
    upstream.gate.set()
    cache.flush()
    assert upstream.calls == 2
    assert cache.cached_api_call_sync(operation="get") == 2


def test_async_callers_do_not_wait_for_a_refresh_either(cache: UnifiedAPICache, clock: ManualClock) -> None:
    calls: list[int] = []

    async def run() -> None:
        gate = asyncio.Event()
        gate.set()

        @cache.operation("slow", ttl=TTL, stale_while_revalidate=50)
        async def slow() -> int:
            calls.append(len(calls))
            await gate.wait()
            return len(calls)

        await cache.cached_api_call(operation="slow")
        clock.advance(TTL)
        gate.clear()
        assert [await cache.cached_api_call(operation="slow") for _ in range(5)] == [1] * 5
        assert len(cache._engine.flights) == 1
        gate.set()
        assert await asyncio.to_thread(cache.flush)
        assert await cache.cached_api_call(operation="slow") == 2

    asyncio.run(run())
    assert len(calls) == 2


def test_a_failing_refresh_disturbs_nobody_and_is_tried_again(
    cache: UnifiedAPICache, clock: ManualClock, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = Upstream(cache, clock, stale_while_revalidate=50)
    call(cache, operation="get")
    clock.advance(TTL)
    upstream.error = DOWN
    for _ in range(2):
        assert call(cache, operation="get") == 1
        cache.flush()
    assert upstream.calls == 3
    upstream.error = None
    call(cache, operation="get")
    cache.flush()
    assert call(cache, operation="get") == 4
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_whoever_joins_a_refresh_that_fails_is_given_the_stale_entry(
    cache: UnifiedAPICache, clock: ManualClock
) -> None:
    upstream = Upstream(cache, clock, stale_while_revalidate=10, stale_if_error=50)
    cache.cached_api_call_sync(operation="get")
    clock.advance(TTL)
    upstream.gate.clear()
    assert cache.cached_api_call_sync(operation="get") == 1
    clock.advance(20)  # no longer to be served at once
    given: list[Any] = []
    joined = threading.Thread(target=lambda: given.append(cache.cached_api_call_sync(operation="get")))
    joined.start()
    while not sum(flight.waiters for flight in list(cache._engine.flights._flights.values())):
        threading.Event().wait(0.001)
    upstream.error = DOWN
    upstream.gate.set()
    joined.join(10)
    assert given == [1]
    assert upstream.calls == 2


def test_an_entry_found_on_disk_alone_is_refreshed_too(tmp_path: Any, clock: ManualClock, call: Any) -> None:
    cache = UnifiedAPICache.create(directory=tmp_path, clock=clock)
    upstream = Upstream(cache, clock, stale_while_revalidate=50, tiers=["disk"])
    call(cache, operation="get")
    cache.flush()
    clock.advance(TTL)
    assert call(cache, operation="get") == 1
    cache.flush()
    assert upstream.calls == 2
    assert call(cache, operation="get") == 2
    cache.close()


def test_a_callers_shorter_ttl_counts_for_its_windows_too(
    cache: UnifiedAPICache, clock: ManualClock, call: Any
) -> None:
    upstream = Upstream(cache, clock, grace=1000)
    call(cache, operation="get")
    upstream.error = DOWN
    impatient = cache.using(ttl=10, stale_if_error=5)
    clock.advance(14)
    assert call(_with_flush(impatient, cache), operation="get") == 1
    clock.advance(1)
    with pytest.raises(UpstreamDownError):
        call(_with_flush(impatient, cache), operation="get")


class _with_flush:  # noqa: N801 - a view with the cache's flush, for `call`
    def __init__(self, view: Any, cache: UnifiedAPICache) -> None:
        self.cached_api_call, self.cached_api_call_sync, self.flush = (
            view.cached_api_call,
            view.cached_api_call_sync,
            cache.flush,
        )


def test_an_early_refresh_comes_before_the_end_when_the_draw_says_so(
    cache: UnifiedAPICache, clock: ManualClock, call: Any
) -> None:
    upstream = Upstream(cache, clock, early_refresh=True)
    upstream.takes = 10.0
    call(cache, operation="get")
    upstream.takes = 0.0
    clock.advance(TTL - 20)
    cache._engine.random = lambda: 0.5  # -10 * ln(0.5) is 6.9 s, and 20 are left
    assert call(cache, operation="get") == 1
    cache.flush()
    assert upstream.calls == 1
    cache._engine.random = lambda: 0.9  # 23 s
    assert call(cache, operation="get") == 1
    cache.flush()
    assert upstream.calls == 2
    assert call(cache, operation="get") == 2
    assert cache.get_stats()["early_refreshes"] == 1
    assert cache.get_stats()["stale"] == 0


def test_without_early_refresh_the_draw_is_not_asked(cache: UnifiedAPICache, clock: ManualClock, call: Any) -> None:
    upstream = Upstream(cache, clock)
    upstream.takes = 1000.0
    cache._engine.random = lambda: 0.999_999
    call(cache, operation="get")
    call(cache, operation="get")
    cache.flush()
    assert upstream.calls == 1


# Timeouts: these wait for the clock on the wall, a few milliseconds.


def test_a_slow_load_is_answered_by_the_stale_entry_and_goes_on(cache: UnifiedAPICache, clock: ManualClock) -> None:
    upstream = Upstream(cache, clock, grace=50, soft_timeout=0.01)
    assert cache.cached_api_call_sync(operation="get") == 1
    clock.advance(TTL)
    upstream.gate.clear()
    assert cache.cached_api_call_sync(operation="get") == 1
    upstream.gate.set()
    assert cache.flush()
    assert cache.cached_api_call_sync(operation="get") == 2
    assert upstream.calls == 2


def test_a_slow_async_load_is_answered_by_the_stale_entry_and_goes_on(
    cache: UnifiedAPICache, clock: ManualClock
) -> None:
    async def run() -> None:
        gate = asyncio.Event()
        gate.set()
        calls: list[int] = []

        @cache.operation("slow", ttl=TTL, grace=50, soft_timeout=0.01)
        async def slow() -> int:
            calls.append(1)
            await gate.wait()
            return len(calls)

        assert await cache.cached_api_call(operation="slow") == 1
        clock.advance(TTL)
        gate.clear()
        assert await cache.cached_api_call(operation="slow") == 1
        gate.set()
        assert await asyncio.to_thread(cache.flush)
        assert await cache.cached_api_call(operation="slow") == 2
        assert len(calls) == 2

    asyncio.run(run())


def test_a_soft_timeout_without_a_stale_entry_waits_for_the_load(cache: UnifiedAPICache, clock: ManualClock) -> None:
    upstream = Upstream(cache, clock, grace=50, soft_timeout=0.001)
    upstream.gate.clear()
    threading.Timer(0.03, upstream.gate.set).start()
    assert cache.cached_api_call_sync(operation="get") == 1
    assert upstream.calls == 1


def test_a_soft_timeout_without_a_stale_entry_waits_for_an_async_load(cache: UnifiedAPICache) -> None:
    @cache.operation("slow", soft_timeout=0.001)
    async def slow() -> int:
        await asyncio.sleep(0.03)
        return 1

    assert asyncio.run(cache.cached_api_call(operation="slow")) == 1


@pytest.mark.parametrize("timeouts", [{"hard_timeout": 0.02}, {"soft_timeout": 0.01, "hard_timeout": 0.02}])
def test_a_load_past_its_hard_timeout_raises_and_goes_on(
    cache: UnifiedAPICache, clock: ManualClock, timeouts: dict[str, float]
) -> None:
    upstream = Upstream(cache, clock, **timeouts)
    upstream.gate.clear()
    with pytest.raises(LoadTimeoutError, match=r"hard_timeout of 0\.02 s"):
        cache.cached_api_call_sync(operation="get")
    upstream.gate.set()
    assert cache.flush()
    assert cache.cached_api_call_sync(operation="get") == 1


def test_an_async_load_past_its_hard_timeout_raises_and_goes_on(cache: UnifiedAPICache) -> None:
    async def run() -> None:
        gate = asyncio.Event()

        @cache.operation("slow", hard_timeout=0.02)
        async def slow() -> int:
            await gate.wait()
            return 1

        with pytest.raises(TimeoutError):
            await cache.cached_api_call(operation="slow")
        gate.set()
        assert await asyncio.to_thread(cache.flush)
        assert await cache.cached_api_call(operation="slow") == 1

    asyncio.run(run())


def test_a_load_past_its_hard_timeout_is_answered_by_the_stale_entry(
    cache: UnifiedAPICache, clock: ManualClock
) -> None:
    upstream = Upstream(cache, clock, grace=50, hard_timeout=0.02)
    cache.cached_api_call_sync(operation="get")
    clock.advance(TTL)
    upstream.gate.clear()
    assert cache.cached_api_call_sync(operation="get") == 1
    clock.advance(50)
    with pytest.raises(LoadTimeoutError):
        cache.cached_api_call_sync(operation="get")
    upstream.gate.set()
    cache.flush()
    assert upstream.calls == 2


def test_loads_with_timeouts_that_call_each_other_do_not_wait_for_a_free_thread(cache: UnifiedAPICache) -> None:
    @cache.operation("depth", soft_timeout=0.001)
    def depth(n: int) -> int:
        return 0 if n == 0 else 1 + cache.cached_api_call_sync(operation="depth", n=n - 1)

    assert cache.cached_api_call_sync(operation="depth", n=30) == 30
