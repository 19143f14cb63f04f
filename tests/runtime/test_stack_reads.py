"""The stack of tiers: reads that go together, promotion, and any subset of tiers."""

import asyncio
import importlib.util
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.entry import Entry
from apicache.tier import Tier
from apicache.tiers.memory import MemoryTier

_spec = importlib.util.spec_from_file_location("chaos_tier", Path(__file__).with_name("chaos_tier.py"))
chaotic: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(chaotic)
Call, ChaosTier, Store, chaos, disk, key, make_cache, until = (
    chaotic.Call,
    chaotic.ChaosTier,
    chaotic.Store,
    chaotic.chaos,
    chaotic.disk,
    chaotic.key,
    chaotic.make_cache,
    chaotic.until,
)


# Reads


def stored(make_cache: Call, store: Store, numbers: range) -> None:
    cache = make_cache(ChaosTier(store))
    for n in numbers:
        cache.cached_api_call_sync(operation="echo", n=n)
    assert cache.flush()


def test_reads_of_one_tick_are_one_get_many(make_cache: Call, chaos: ChaosTier) -> None:
    stored(make_cache, chaos.store, range(30))
    cache = make_cache(MemoryTier(), chaos)

    async def main() -> Any:
        return await asyncio.gather(*(cache.cached_api_call(operation="echo", n=n % 30) for n in range(60)))

    assert asyncio.run(main()) == [{"n": n % 30, "load": 1} for n in range(60)]
    (names,) = chaos.of("get_many")
    assert sorted(names) == sorted(key(cache, n) for n in range(30))


def mgets(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        told: Any = client.info("commandstats")
        return int(told.get("cmdstat_mget", {"calls": 0})["calls"])


def test_reads_of_one_tick_are_one_mget(make_cache: Call, make_redis: Call, redis_url: str) -> None:
    first = make_cache(make_redis(redis_url))
    for n in range(30):
        first.cached_api_call_sync(operation="echo", n=n)
    assert first.flush()
    cache = make_cache(make_redis(redis_url))

    async def main() -> Any:
        return await asyncio.gather(*(cache.cached_api_call(operation="echo", n=n) for n in range(30)))

    before = mgets(redis_url)
    assert asyncio.run(main()) == [{"n": n, "load": 1} for n in range(30)]
    assert mgets(redis_url) == before + 1


# Promotion


@pytest.fixture
def shared(make_redis: Call, redis_url: str, tmp_path: Path) -> Callable[[], list[Tier]]:
    """Builds Redis and disk tiers, anew each time, over the same stores."""
    return lambda: [make_redis(redis_url), disk(tmp_path)]


@pytest.mark.parametrize("origin", ["redis", "disk"])
def test_a_promoted_entry_lives_no_longer_than_the_one_it_was_copied_from(
    origin: str, call: Call, make_cache: Call, shared: Callable[[], list[Tier]], clock: ManualClock
) -> None:
    first = make_cache(*(tier for tier in shared() if tier.name == origin))
    assert call(first, operation="echo", n=1) == {"n": 1, "load": 1}
    assert first.flush()
    clock.advance(70)
    cache = make_cache(MemoryTier(), *shared())
    call(cache, operation="echo", n=2)
    assert call(cache, operation="echo", n=1) == {"n": 1, "load": 1}
    promoted = cache._engine.tiers.near[0].get_many([key(cache, 1)])[key(cache, 1)]
    assert clock.now() + 29 < promoted.fresh_until <= clock.now() + 30
    assert cache.get_stats()["tier_hits"] == {origin: 1}
    clock.advance(29)
    assert call(cache, operation="echo", n=1) == {"n": 1, "load": 1}
    assert cache.get_stats()["tier_hits"] == {origin: 1, "memory": 1}
    clock.advance(1)
    assert call(cache, operation="echo", n=1) == {"n": 1, "load": 1}
    assert cache.get_stats()["cache_misses"] == 2


def test_a_late_write_lasts_no_longer_than_what_is_left(
    make_cache: Call, make_redis: Call, redis_url: str, clock: ManualClock
) -> None:
    tier = make_redis(redis_url)
    cache = make_cache(MemoryTier(), tier)
    plain, failed = tier.set_many, threading.Event()

    def set_many(entries: Mapping[bytes, Entry], now: float) -> None:
        if clock.now() < now_then + 70:
            failed.set()
            raise OSError("set_many")
        plain(entries, now)

    now_then, tier.set_many = clock.now(), set_many
    cache.cached_api_call_sync(operation="echo", n=1)
    assert failed.wait(10)
    clock.advance(70)
    with redis.Redis.from_url(redis_url) as client:
        until(lambda: cache.flush() and bool(client.keys("apicache:e:*")), "the write")
        (name,) = client.keys("apicache:e:*")
        assert 0 < client.pttl(name) <= 30_000


def test_an_expired_entry_is_not_promoted(call: Call, make_cache: Call, chaos: ChaosTier, clock: ManualClock) -> None:
    stored(make_cache, chaos.store, range(1))
    clock.advance(100)
    cache = make_cache(MemoryTier(), chaos)
    promoted: list[Any] = []
    cache._engine.promote = lambda *told: promoted.append(told)
    assert call(cache, operation="echo", n=0) == {"n": 0, "load": 1}
    assert promoted == []
    assert cache.get_stats()["cache_misses"] == 1


# Any subset of tiers


@pytest.fixture(params=["memory", "disk", "redis", "redis disk", "memory redis", "memory disk", "memory redis disk"])
def subset(request: pytest.FixtureRequest, shared: Callable[[], list[Tier]]) -> Callable[[], list[Tier]]:
    """Builds the tiers, anew each time, over the same stores."""
    names = request.param.split()
    return lambda: [tier for tier in (MemoryTier(), *shared()) if tier.name in names]


def test_any_subset_of_tiers_works(call: Call, make_cache: Call, subset: Callable[[], list[Tier]]) -> None:
    first, second = subset(), subset()
    cache = make_cache(*first)
    assert [call(cache, operation="echo", n=1) for _ in range(3)] == [{"n": 1, "load": 1}] * 3
    assert cache.flush()
    assert cache.get_stats()["tier_hits"] == {first[0].name: 2}
    assert all(key(cache, 1) in tier.get_many([key(cache, 1)]) for tier in first)
    other = make_cache(*second)
    call(other, operation="echo", n=1)
    names = [tier.name for tier in second if tier.blocking]
    assert other.get_stats()["tier_hits"] == ({names[0]: 1} if names else {})
    cache.invalidate_sync(operation="echo")
    assert call(cache, operation="echo", n=1) == {"n": 1, "load": 2}
    cache.clear()
    assert call(cache, operation="echo", n=1) == {"n": 1, "load": 3}
    assert cache.get_stats()["errors"] == 0


def test_many_calls_are_read_at_once_and_answered_in_their_order(
    make_cache: Call, subset: Callable[[], list[Tier]]
) -> None:
    first = make_cache(*subset())
    wanted = [{"operation": "echo", "n": n} for n in (5, 3, 5, 1, 4, 3)]
    expected = [{"n": call["n"], "load": 1} for call in wanted]
    assert asyncio.run(first.cached_api_calls(wanted)) == expected
    assert first.get_stats()["cache_misses"] == 4
    assert first.flush()
    again = make_cache(*subset())
    assert asyncio.run(again.cached_api_calls(wanted)) == expected
    assert again.get_stats()["errors"] == 0


def test_many_calls_are_one_get_many(make_cache: Call, chaos: ChaosTier) -> None:
    stored(make_cache, chaos.store, range(40))
    cache = make_cache(MemoryTier(), chaos)
    wanted = [{"operation": "echo", "n": n % 40} for n in range(80)]
    assert asyncio.run(cache.cached_api_calls(wanted)) == [{"n": n % 40, "load": 1} for n in range(80)]
    assert [len(names) for names in chaos.of("get_many")] == [40]
    assert chaos.of("claim") == []


def test_exceptions_stand_in_their_places_when_asked_for(make_cache: Call, chaos: ChaosTier) -> None:
    cache: UnifiedAPICache = make_cache(MemoryTier(), chaos)

    @cache.operation("refuses")
    async def refuses(n: int) -> int:
        if n % 2:
            raise ValueError(f"no {n}")
        return n

    wanted = [{"operation": "refuses", "n": n} for n in range(4)]
    answers = asyncio.run(cache.cached_api_calls(wanted, return_exceptions=True))
    assert [str(answer) for answer in answers] == ["0", "no 1", "2", "no 3"]
    assert [type(answer) for answer in answers] == [int, ValueError, int, ValueError]
    with pytest.raises(ValueError, match="no 1"):
        asyncio.run(cache.cached_api_calls(wanted))
    assert cache.flush()
    until(lambda: chaos.store.leases == {}, "the end of the leases of failed loads")
