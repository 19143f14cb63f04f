"""Invalidation: what it overtakes, and who follows it."""

import asyncio
import importlib.util
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apicache import UnifiedAPICache
from apicache.clock import ManualClock

_spec = importlib.util.spec_from_file_location("invalidated_items", Path(__file__).with_name("invalidated_items.py"))
invalidated: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(invalidated)
GRACE, Items, PLACES, Shop, TTL, call, change = (
    invalidated.GRACE,
    invalidated.Items,
    invalidated.PLACES,
    invalidated.Shop,
    invalidated.TTL,
    invalidated.call,
    invalidated.change,
)


# The newer one wins: the clock stands still throughout.


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", ["invalidate", "expire"])
def test_a_value_loaded_before_an_invalidation_is_not_kept_after_it(
    cache: UnifiedAPICache, call: Any, place: str, method: str
) -> None:
    items = Items(cache)
    concerned = PLACES[place](cache)
    items.meanwhile = lambda: getattr(cache, f"{method}_sync")(**concerned)
    assert call(cache, operation="items.get", item="a") == "a 1"
    items.meanwhile = lambda: None
    assert call(cache, operation="items.get", item="a") == "a 2"
    assert call(cache, operation="items.get", item="a") == "a 2"


def test_a_value_loaded_after_an_invalidation_of_the_same_moment_is_kept(cache: UnifiedAPICache, call: Any) -> None:
    items = Items(cache)
    for n in range(1, 6):
        assert call(cache, operation="items.get", item="a") == f"a {n}"
        assert call(cache, operation="items.get", item="a") == f"a {n}"
        change(cache, call, "invalidate", tags=["a"])
    assert len(items.calls) == 5


@pytest.mark.parametrize("method", ["invalidate", "expire"])
def test_a_refresh_begun_before_an_invalidation_is_not_kept_after_it(
    cache: UnifiedAPICache, clock: ManualClock, method: str
) -> None:
    items = Items(cache, stale_while_revalidate=GRACE)
    cache.cached_api_call_sync(operation="items.get", item="a")
    clock.advance(TTL)
    begun, gate = threading.Event(), threading.Event()

    def meanwhile() -> None:
        begun.set()
        assert gate.wait(10)

    items.meanwhile = meanwhile
    assert cache.cached_api_call_sync(operation="items.get", item="a") == "a 1"
    assert begun.wait(10)
    getattr(cache, f"{method}_sync")(tags=["a"])
    gate.set()
    assert cache.flush()
    items.meanwhile = lambda: None
    assert cache.cached_api_call_sync(operation="items.get", item="a") == "a 3"


@pytest.mark.parametrize("method", ["invalidate", "expire"])
def test_a_call_after_an_invalidation_does_not_share_a_load_begun_before_it(
    cache: UnifiedAPICache, method: str
) -> None:
    loads: list[int] = []

    async def run() -> list[int]:
        gate = asyncio.Event()

        @cache.operation("slow", tags=["a"])
        async def slow() -> int:
            loads.append(len(loads))
            n = len(loads)
            await gate.wait()
            return n

        before = asyncio.create_task(cache.cached_api_call(operation="slow"))
        while not loads:
            await asyncio.sleep(0)
        await getattr(cache, method)(tags=["a"])
        after = [asyncio.create_task(cache.cached_api_call(operation="slow")) for _ in range(3)]
        await asyncio.sleep(0)
        gate.set()
        return list(await asyncio.gather(before, *after))

    assert asyncio.run(run()) == [1, 2, 2, 2]
    assert len(loads) == 2


def test_a_thread_that_calls_after_an_invalidation_does_not_share_an_older_load_either(
    cache: UnifiedAPICache,
) -> None:
    items = Items(cache)
    begun, gate = threading.Event(), threading.Event()

    def meanwhile() -> None:
        begun.set()
        assert gate.wait(10)

    items.meanwhile = meanwhile
    given: dict[str, Any] = {}

    def get(name: str) -> threading.Thread:
        thread = threading.Thread(
            target=lambda: given.update({name: cache.cached_api_call_sync(operation="items.get", item="a")})
        )
        thread.start()
        return thread

    first = get("before")
    assert begun.wait(10)
    cache.invalidate_sync(tags=["a"])
    second = get("after")
    while not any(flight.waiters == 2 for flight in list(cache._engine.flights._flights.values())):
        threading.Event().wait(0.001)
    gate.set()
    first.join(10)
    second.join(10)
    assert given == {"before": "a 1", "after": "a 2"}


def test_an_unrelated_invalidation_does_not_part_callers_from_their_load(cache: UnifiedAPICache) -> None:
    loads: list[int] = []

    async def run() -> list[int]:
        gate = asyncio.Event()

        @cache.operation("slow", tags=["a"])
        async def slow() -> int:
            loads.append(1)
            await gate.wait()
            return len(loads)

        before = asyncio.create_task(cache.cached_api_call(operation="slow"))
        while not loads:
            await asyncio.sleep(0)
        await cache.invalidate(tags=["b"])
        after = asyncio.create_task(cache.cached_api_call(operation="slow"))
        await asyncio.sleep(0)
        gate.set()
        return list(await asyncio.gather(before, after))

    assert asyncio.run(run()) == [1, 1]
    assert loads == [1]


# Restarts and other processes: two caches on one folder.


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[UnifiedAPICache, UnifiedAPICache]]:
    clock = ManualClock()
    caches = tuple(UnifiedAPICache.create(directory=tmp_path, clock=clock, tier_timeout=5.0) for _ in range(2))
    yield caches  # type: ignore[misc] # of two
    for each in caches:
        each.close()


def follows(met: Callable[[], bool]) -> bool:
    """Whether it comes about within a second."""
    return any(met() or threading.Event().wait(0.02) for _ in range(50))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", ["invalidate", "expire"])
def test_another_process_follows_within_a_second(
    pair: tuple[UnifiedAPICache, UnifiedAPICache], call: Any, place: str, method: str
) -> None:
    here, there = pair
    items, other = Items(here), Items(there)
    assert call(here, operation="items.get", item="a") == "a 1"
    here.flush()
    assert call(there, operation="items.get", item="a") == "a 1"  # from disk, and in memory from now on
    assert other.calls == []
    change(here, call, method, **PLACES[place](here))
    assert (
        follows(lambda: len(other.calls) == 0 and call(there, operation="items.get", item="a") != "a 1") or other.calls
    )
    assert other.calls == ["a"]
    assert items.calls == ["a"]


def test_another_processs_write_is_followed_too(pair: tuple[UnifiedAPICache, UnifiedAPICache], call: Any) -> None:
    here, there = pair
    Shop(here)
    other = Shop(there)
    call(there, operation="items.get", item="a")
    call(here, operation="items.put")
    assert follows(lambda: bool(call(there, operation="items.get", item="a")) and len(other.items.calls) == 2)


@pytest.mark.parametrize("method", ["invalidate", "expire"])
def test_an_invalidation_outlives_a_restart_and_so_does_its_order(tmp_path: Path, call: Any, method: str) -> None:
    clock = ManualClock()
    loads = 0
    for _ in range(4):
        cache = UnifiedAPICache.create(directory=tmp_path, clock=clock)
        items = Items(cache)
        change(cache, call, method, tags=["a"])
        call(cache, operation="items.get", item="a")
        call(cache, operation="items.get", item="a")
        loads += len(items.calls)
        cache.close()
    assert loads == 4


def test_what_was_cleared_is_nowhere_after_a_restart(tmp_path: Path, call: Any) -> None:
    clock = ManualClock()
    for _ in range(2):
        cache = UnifiedAPICache.create(directory=tmp_path, clock=clock)
        items = Items(cache)
        call(cache, operation="items.get", item="a")
        cache.clear()
        cache.close()
        assert items.calls == ["a"]


def test_the_clears_of_two_processes_both_count(pair: tuple[UnifiedAPICache, UnifiedAPICache], call: Any) -> None:
    here, there = pair
    one, other = Items(here), Items(there)
    call(here, operation="items.get", item="a")
    call(there, operation="items.get", item="b")
    here.clear()
    there.clear()
    call(here, operation="items.get", item="a")
    call(there, operation="items.get", item="b")
    assert one.calls == ["a", "a"]
    assert other.calls == ["b", "b"]
