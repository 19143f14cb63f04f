"""What a stack of tiers promises, whatever its tiers do: broken, slow, expired, of any number."""

import asyncio
import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
import redis

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.entry import Entry
from apicache.errors import LoadTimeoutError
from apicache.markers import Marker, MarkerTable
from apicache.tier import SharedTier, Tier, TierPlace, TierSize
from apicache.tiers import build
from apicache.tiers.memory import MemoryTier

Call = Callable[..., Any]

OPEN_SECONDS = 0.5
"""How long a breaker is open after a first failure."""


def until(met: Callable[[], bool], what: str) -> None:
    """Return when it is true; fail when it is not for long."""
    pause = threading.Event()
    assert any(met() or pause.wait(0.01) for _ in range(2000)), what


@dataclasses.dataclass
class Store:
    """What processes share."""

    entries: dict[bytes, Entry] = dataclasses.field(default_factory=dict)
    leases: dict[bytes, str] = dataclasses.field(default_factory=dict)
    markers: MarkerTable = dataclasses.field(default_factory=MarkerTable)


class ChaosTier:
    """A shared tier that fails, or blocks until it is released, as the test says."""

    name: ClassVar[str] = "chaos"
    blocking: ClassVar[bool] = True
    self_bounded: ClassVar[bool] = False

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Store()
        self.calls: list[tuple[str, tuple[bytes, ...]]] = []
        self.is_failing = False
        self.is_deaf = False
        """True when the news of markers do not come."""
        self.released = threading.Event()
        self.released.set()
        self.events: list[str] = []

    def _act(self, what: str, keys: Sequence[bytes] = ()) -> None:
        self.calls.append((what, tuple(keys)))
        if not self.released.is_set():
            self.released.wait(10)
            self.events.append("tier released")
        if self.is_failing:
            raise OSError(what)

    def of(self, what: str) -> list[tuple[bytes, ...]]:
        """The keys of each call of one method."""
        return [keys for name, keys in self.calls if name == what]

    def get_many(self, keys: Sequence[bytes], /) -> dict[bytes, Entry]:
        self._act("get_many", keys)
        return {key: self.store.entries[key] for key in keys if key in self.store.entries}

    def set_many(self, entries: Mapping[bytes, Entry], _now: float, /) -> None:
        self._act("set_many", tuple(entries))
        self.store.entries.update(entries)

    def delete_many(self, keys: Sequence[bytes], /) -> None:
        self._act("delete_many", keys)
        for key in keys:
            self.store.entries.pop(key, None)

    def clear(self) -> None:
        self._act("clear")
        self.store.entries.clear()

    def size(self) -> TierSize:
        return TierSize(entries=len(self.store.entries), bytes=0)

    def close(self) -> None:
        self.calls.append(("close", ()))

    def claim(self, key: bytes, owner: str, _seconds: float, /) -> bool:
        self._act("claim", (key,))
        return self.store.leases.setdefault(key, owner) == owner

    def release(self, key: bytes, owner: str, /) -> None:
        self._act("release", (key,))
        if self.store.leases.get(key) == owner:
            del self.store.leases[key]

    def publish(self, markers: Sequence[Marker], /) -> None:
        self._act("publish")
        self.store.markers.add(markers)

    def markers(self) -> Sequence[Marker]:
        self._act("markers")
        return self.store.markers.all()

    def watch(self, on_markers: Callable[[Sequence[Marker]], None], stopped: threading.Event, /) -> None:
        while not stopped.wait(0.02):
            if self.is_failing or not self.released.is_set():
                raise OSError("watch")
            if not self.is_deaf:
                on_markers(self.store.markers.all())

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        yield from list(self.store.entries.items())


@pytest.fixture
def chaos() -> Iterator[ChaosTier]:
    tier = ChaosTier()
    yield tier
    tier.is_failing = False
    tier.released.set()


@pytest.fixture
def make_cache(clock: ManualClock) -> Iterator[Callable[..., UnifiedAPICache]]:
    """`make_cache(*tiers)`: a cache with an operation `echo` whose answer counts its loads, closed with the test."""
    made: list[UnifiedAPICache] = []

    def make(*tiers: Tier, **options: Any) -> UnifiedAPICache:
        cache = UnifiedAPICache.create(tiers=list(tiers), **{"clock": clock, "tier_timeout": 10.0, **options})
        loads: dict[int, int] = {}

        @cache.operation("echo", ttl=100)
        def echo(n: int) -> dict[str, int]:
            loads[n] = loads.get(n, 0) + 1
            return {"n": n, "load": loads[n]}

        made.append(cache)
        return cache

    yield make
    for cache in made:
        for tier in cache._engine.tiers.far:
            if isinstance(tier, ChaosTier):
                tier.is_failing = False
                tier.released.set()
        cache.close()


def key(cache: UnifiedAPICache, n: int) -> bytes:
    return bytes.fromhex(cache.key_of(operation="echo", n=n))


def disk(folder: Path) -> Tier:
    return build("disk", TierPlace(directory=folder, timeout=10.0))


# Broken tiers


def test_the_chaos_tier_is_a_shared_tier(chaos: ChaosTier) -> None:
    assert isinstance(chaos, SharedTier)


@pytest.mark.parametrize("is_blocking", [True, False])
def test_a_broken_tier_costs_nothing_but_is_counted_and_reported_once(
    call: Call, caplog: pytest.LogCaptureFixture, make_cache: Call, chaos: ChaosTier, *, is_blocking: bool
) -> None:
    chaos.blocking = is_blocking  # type: ignore[misc]  # an instance's own
    chaos.is_failing = True
    cache = make_cache(chaos)
    with caplog.at_level(logging.WARNING, logger="apicache"):
        results = [call(cache, operation="echo", n=n) for n in (1, 1, 2)]
        cache.clear()
    assert [result["n"] for result in results] == [1, 1, 2]
    # It failed at the first look and was left alone after that.
    assert cache.get_stats()["errors"] == 1
    assert [record.message for record in caplog.records] == ["the chaos tier failed (OSError); calls go on without it"]


def test_a_tier_that_failed_is_tried_again_after_its_pause(
    clock: ManualClock, make_cache: Call, chaos: ChaosTier
) -> None:
    chaos.blocking = False  # type: ignore[misc]  # nothing but these calls reaches it then
    chaos.is_failing = True
    cache = make_cache(chaos)
    errors = []
    for pause in (0.0, OPEN_SECONDS / 2, OPEN_SECONDS / 2, OPEN_SECONDS, OPEN_SECONDS):
        clock.advance(pause)
        cache.cached_api_call_sync(operation="echo", n=1)
        errors.append(cache.get_stats()["errors"])
    assert errors == [1, 1, 2, 2, 3]


def test_a_database_that_is_no_database_costs_nothing(
    tmp_path: Path, call: Call, make_cache: Call, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "cache.db").write_bytes(b"this is not SQLite" * 100)
    cache = make_cache(disk(tmp_path))
    assert [call(cache, operation="echo", n=1)["n"] for _ in range(2)] == [1, 1]
    assert "the disk tier failed" in caplog.text
    assert str(tmp_path / "entries") in caplog.text


def test_an_entry_of_a_future_format_is_a_miss(cache: UnifiedAPICache, call: Call) -> None:
    cache.operation("echo")(lambda n: {"n": n})
    call(cache, operation="echo", n=1)
    tier, name = cache._engine.tiers.near[0], key(cache, 1)
    stored = tier.get_many([name])[name]
    for other in ({"codec": "a library that is gone"}, {"payload": b"\xc1"}):
        tier.set_many({name: msgspec.structs.replace(stored, **other)}, cache.clock.now())
        assert call(cache, operation="echo", n=1) == {"n": 1}
    assert cache.get_stats()["cache_misses"] == 3


def test_a_call_gets_its_result_from_a_stack_that_only_fails(call: Call, make_cache: Call, chaos: ChaosTier) -> None:
    chaos.is_failing = True
    cache = make_cache(MemoryTier(), chaos)
    assert [call(cache, operation="echo", n=n)["n"] for n in range(20)] == list(range(20))
    assert cache.get_stats()["breakers"] == {"memory": "closed", "chaos": "open"}
    assert len(chaos.calls) == 1


@pytest.mark.parametrize("clock", [ManualClock(), None], ids=["still", "running"])
def test_nobody_waits_for_a_tier_that_blocks(
    call: Call, make_cache: Call, chaos: ChaosTier, clock: ManualClock | None, tmp_path: Path
) -> None:
    chaos.released.clear()
    cache = make_cache(MemoryTier(), chaos, disk(tmp_path), tier_timeout=0.02, clock=clock)
    # More calls than there are threads for tiers.
    for n in range(12):
        assert call(cache, operation="echo", n=n) == {"n": n, "load": 1}
        chaos.events.append("answered")
    assert set(chaos.events) == {"answered"}
    chaos.released.set()


def test_callers_of_one_loop_do_not_wait_for_a_tier_that_blocks(make_cache: Call, chaos: ChaosTier) -> None:
    chaos.released.clear()
    cache = make_cache(chaos, tier_timeout=0.02)

    async def main() -> Any:
        return await asyncio.gather(*(cache.cached_api_call(operation="echo", n=n % 20) for n in range(40)))

    assert asyncio.run(main()) == [{"n": n % 20, "load": 1} for n in range(40)]
    assert chaos.events == []
    chaos.released.set()


def test_a_hard_timeout_holds_while_a_tier_blocks(call: Call, make_cache: Call, chaos: ChaosTier) -> None:
    chaos.released.clear()
    cache = make_cache(chaos)  # whose own time is far longer
    with pytest.raises(LoadTimeoutError):
        call(cache.using(hard_timeout=0.02), operation="echo", n=1)
    assert chaos.events == []
    chaos.released.set()
    cache.flush()


def test_the_breaker_lets_one_probe_through(call: Call, make_cache: Call, chaos: ChaosTier, clock: ManualClock) -> None:
    chaos.is_failing = True
    cache = make_cache(chaos)
    for expected in (1, 2, 3):
        for n in range(20):
            call(cache, operation="echo", n=n)
        until(lambda expected=expected: len(chaos.calls) >= expected, "a probe")  # type: ignore[misc]
        assert len(chaos.calls) == expected
        clock.advance(OPEN_SECONDS * 2**expected)


# Writes


def test_writes_leave_the_callers_path(call: Call, make_cache: Call, chaos: ChaosTier) -> None:
    cache = make_cache(MemoryTier(), chaos)
    writers: list[str] = []
    plain = chaos.set_many
    gate = threading.Event()

    def set_many(entries: Mapping[bytes, Entry], now: float) -> None:
        writers.append(threading.current_thread().name)
        gate.wait(10)
        plain(entries, now)

    chaos.set_many = set_many  # type: ignore[method-assign]
    assert call(cache, operation="echo", n=1) == {"n": 1, "load": 1}
    assert chaos.store.entries == {}  # the call has ended, the write has not
    gate.set()
    assert cache.flush()
    assert writers == ["apicache-writer"]
    assert list(chaos.store.entries) == [key(cache, 1)]


def test_what_could_not_be_written_is_written_later_the_newest_of_each_key(
    make_cache: Call, chaos: ChaosTier, clock: ManualClock
) -> None:
    cache = make_cache(MemoryTier(), chaos)
    cache.cached_api_call_sync(operation="echo", n=0)
    assert cache.flush()
    chaos.is_failing = True
    for load in (1, 2, 3):
        for n in (1, 2):
            clock.advance(0.001)
            assert cache.cached_api_call_sync(operation="echo", n=n) == {"n": n, "load": load}
        cache.invalidate_sync(operation="echo")
    for n in (1, 2):
        cache.cached_api_call_sync(operation="echo", n=n)
    chaos.is_failing = False
    chaos.calls.clear()
    clock.advance(60)
    until(lambda: cache.flush() and key(cache, 2) in chaos.store.entries, "the writes")
    assert [chaos.store.entries[key(cache, n)].payload[-1] for n in (1, 2)] == [4, 4]
    assert sorted(name for names in chaos.of("set_many") for name in names) == sorted(key(cache, n) for n in (1, 2))
    # The markers too, and before the entries that were loaded because of them.
    assert [marker.value for marker in chaos.store.markers.all()] == ["echo"]
    told = [name for name, _ in chaos.calls if name in {"publish", "set_many"}]
    assert told[0] == "publish"


def test_an_older_write_never_replaces_a_newer_one(make_cache: Call, chaos: ChaosTier, clock: ManualClock) -> None:
    cache = make_cache(MemoryTier(), chaos)
    cache.cached_api_call_sync(operation="echo", n=0)
    assert cache.flush()
    chaos.is_failing = True
    for n in (1, 2):
        cache.cached_api_call_sync(operation="echo", n=n)
    until(lambda: cache.get_stats()["breakers"]["chaos"] == "open", "a failure")
    mine = {n: cache._engine.tiers.near[0].get_many([key(cache, n)])[key(cache, n)] for n in (1, 2)}
    newer = msgspec.structs.replace(mine[1], created=mine[1].created + 1, payload=b"another process's")
    older = msgspec.structs.replace(mine[2], created=mine[2].created - 1, payload=b"another process's")
    chaos.store.entries |= {key(cache, 1): newer, key(cache, 2): older}
    chaos.is_failing = False
    clock.advance(60)
    until(lambda: cache.flush() and chaos.store.entries[key(cache, 2)] == mine[2], "the write")
    assert chaos.store.entries[key(cache, 1)] == newer


def test_a_tier_is_not_read_after_it_was_away_before_its_markers_are(
    make_cache: Call, chaos: ChaosTier, clock: ManualClock
) -> None:
    cache, other = make_cache(chaos), make_cache(ChaosTier(chaos.store))
    assert other.cached_api_call_sync(operation="echo", n=1) == {"n": 1, "load": 1}
    assert other.flush()
    chaos.is_failing = True  # when its markers are read for the first time
    cache.cached_api_call_sync(operation="echo", n=2)
    chaos.is_deaf = True
    other.invalidate_sync(operation="echo")
    chaos.is_failing = False
    clock.advance(60)
    cache.cached_api_call_sync(operation="echo", n=1)
    assert cache.get_stats()["cache_hits"] == 0


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
