"""Hits from the far tiers, the short way: one by one, sync and async, and in a batch; and what is left to the flow."""

import asyncio
import itertools
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.entry import Entry, Verdict, decide
from apicache.far_hits import FarHits, Missed, may_hit
from apicache.hooks import CacheEvent
from apicache.markers import Marker, MarkerTable
from apicache.operations import describe
from apicache.policy import Policy
from apicache.records import RecordTypes
from apicache.stack import Found
from apicache.tier import TierPlace
from apicache.tiers import build

Ask = Callable[..., list[Any]]
Make = Callable[..., UnifiedAPICache]
KEY = b"k" * 32


def one_by_one(cache: Any, calls: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [cache.cached_api_call_sync(**call) for call in calls]


def one_by_one_async(cache: Any, calls: Sequence[Mapping[str, Any]]) -> list[Any]:
    async def main() -> list[Any]:
        return [await cache.cached_api_call(**call) for call in calls]

    return asyncio.run(main())


def together(cache: Any, calls: Sequence[Mapping[str, Any]]) -> list[Any]:
    return asyncio.run(cache.cached_api_calls(calls))


@pytest.fixture(params=[one_by_one, one_by_one_async, together])
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def make(tmp_path: Path, clock: ManualClock) -> Iterator[Make]:
    """`make()`: a cache with an empty memory over one folder, with operations whose answers count their loads."""
    made: list[UnifiedAPICache] = []
    loads = itertools.count(1)

    def make_cache(**options: Any) -> UnifiedAPICache:
        cache = UnifiedAPICache.create(directory=tmp_path, clock=clock, **options)

        @cache.operation("docs.search", ttl=100, tags=["docs"], cost=0.5)
        def search(n: int) -> dict[str, int]:
            clock.advance(2)
            return {"n": n, "load": next(loads)}

        @cache.operation("docs.count", ttl=100)
        def count(n: int) -> int:
            if n < 0:
                raise ValueError(n)
            return next(loads)

        made.append(cache)
        return cache

    yield make_cache
    for cache in made:
        cache.close()


def searches(*numbers: int) -> list[dict[str, Any]]:
    return [{"operation": "docs.search", "n": n} for n in numbers]


@pytest.fixture
def stored(make: Make) -> list[dict[str, int]]:
    """The answers to searches 0 to 2, which are on disk."""
    cache = make()
    answers = one_by_one(cache, searches(0, 1, 2))
    assert cache.flush()
    return answers


def test_a_hit_is_a_fresh_copy_and_saves_what_its_load_took_and_cost(
    make: Make, ask: Ask, stored: list[dict[str, int]]
) -> None:
    cache = make()
    answers = ask(cache, searches(0, 1, 2))
    assert answers == stored
    stats = cache.get_stats()
    assert stats["tier_hits"] == {"disk": 3}
    assert (stats["cache_hits"], stats["cache_misses"], stats["stored"], stats["errors"]) == (3, 0, 0, 0)
    assert (stats["latency_saved_seconds"], stats["cost_saved"]) == (6.0, 1.5)


def test_statistics_are_the_same_for_a_batch_and_for_single_calls(make: Make, stored: list[dict[str, int]]) -> None:
    told = []
    for ask in (one_by_one, one_by_one_async, together):
        cache = make()
        assert ask(cache, searches(0, 1, 2)) == stored
        told.append((cache.get_stats()["operations"]["docs.search"], cache.get_stats()["tier_hits"]))
    assert told[0] == told[1] == told[2]
    assert told[0][1] == {"disk": 3}


def test_a_hit_is_copied_into_memory_for_what_is_left_of_its_life(
    make: Make, ask: Ask, stored: list[dict[str, int]], clock: ManualClock
) -> None:
    cache = make()
    clock.advance(80)
    assert ask(cache, searches(0, 1)) == stored[:2]
    assert ask(cache, searches(0, 1)) == stored[:2]
    assert cache.get_stats()["tier_hits"] == {"disk": 2, "memory": 2}
    clock.advance(30)
    assert ask(cache, searches(0))[0]["load"] > 3


def test_a_batch_is_read_and_copied_into_memory_at_once(
    make: Make, stored: list[dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make()
    stack = cache._engine.tiers
    reads: list[int] = []
    copies: list[int] = []
    get_many, set_near = stack.far[0].get_many, stack.set_near

    def counted_read(keys: Sequence[bytes]) -> dict[bytes, Entry]:
        reads.append(len(keys))
        return get_many(keys)

    def counted_copy(entries: Mapping[bytes, Entry], now: float, names: Sequence[str] | None) -> None:
        copies.append(len(entries))
        set_near(entries, now, names)

    monkeypatch.setattr(stack.far[0], "get_many", counted_read)
    monkeypatch.setattr(stack, "set_near", counted_copy)
    assert together(cache, searches(0, 1, 2, 0)) == [*stored, stored[0]]
    assert (reads, copies) == ([3], [3])


def test_hooks_are_told_of_each_hit(make: Make, ask: Ask, stored: list[dict[str, int]]) -> None:
    cache = make()
    told: list[CacheEvent] = []
    cache.add_hook(told.append)
    ask(cache, searches(0, 1))
    keys = [cache.key_of(operation="docs.search", n=n) for n in (0, 1)]
    assert told == [CacheEvent("hit", "docs.search", key, "disk", 2.0) for key in keys]


def test_the_usage_log_is_told_of_each_hit(
    make: Make, ask: Ask, stored: list[dict[str, int]], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make(usage_log=True)
    assert cache._engine.tiers.far
    told: list[tuple[Any, ...]] = []
    monkeypatch.setattr(cache._engine.usage, "note", told.append)
    ask(cache, searches(0, 2))
    assert [(at, kind, name, seconds, cost) for at, kind, name, _, _, _, seconds, cost, *_ in told] == [
        (clock.now(), "hit", "docs.search", 2.0, 0.5)
    ] * 2
    assert [note[3].hex() for note in told] == [cache.key_of(operation="docs.search", n=n) for n in (0, 2)]


@pytest.mark.parametrize("what", ["key", "tags", "operation", "prefix", "everything"])
@pytest.mark.parametrize("soft", [False, True])
def test_what_was_invalidated_since_is_loaded_anew(
    make: Make, ask: Ask, stored: list[dict[str, int]], what: str, soft: bool
) -> None:
    cache = make()
    concerned: Any = {
        "key": {"key": cache.key_of(operation="docs.search", n=1)},
        "tags": {"tags": ["docs"]},
        "operation": {"operation": "docs.search"},
        "prefix": {"prefix": "docs."},
        "everything": {"everything": True},
    }[what]
    (cache.expire_sync if soft else cache.invalidate_sync)(**concerned)
    (answer,) = ask(cache, searches(1))
    assert answer["load"] > 3
    assert cache.get_stats()["cache_hits"] == 0


def test_an_invalidation_of_something_else_concerns_no_hit(make: Make, ask: Ask, stored: list[dict[str, int]]) -> None:
    cache = make()
    cache.invalidate_sync(tags=["other"], operation="docs.count", key=cache.key_of(operation="docs.search", n=1))
    answers = ask(cache, searches(0, 1, 2))
    assert [answers[0], answers[2]] == [stored[0], stored[2]]
    assert answers[1]["load"] > 3
    assert cache.get_stats()["tier_hits"] == {"disk": 2}


def test_the_callers_own_ttl_holds(
    make: Make, ask: Ask, stored: list[dict[str, int]], tmp_path: Path, clock: ManualClock
) -> None:
    clock.advance(20)
    cache = make()
    assert ask(cache, searches(0)) == stored[:1]
    other = UnifiedAPICache.create(directory=tmp_path, clock=clock)

    @other.operation("docs.search", ttl=10)
    def search(n: int) -> str:
        return "anew"

    assert ask(other, searches(1)) == ["anew"]
    other.close()


def test_damaged_bytes_are_a_miss_and_removed(
    make: Make, ask: Ask, stored: list[dict[str, int]], tmp_path: Path
) -> None:
    (database,) = tmp_path.rglob("cache.db")
    with sqlite3.connect(database) as connection:
        assert connection.execute("UPDATE Cache SET value = CAST(value || x'00' AS BLOB)").rowcount == 3
    connection.close()
    cache = make()
    assert sorted(answer["load"] for answer in ask(cache, searches(0, 1))) == [4, 5]
    assert cache.flush()
    assert cache.get_stats()["cache_misses"] == 2
    assert ask(make(), searches(0, 1)) == ask(cache, searches(0, 1))


def test_a_value_that_cannot_be_decoded_is_counted_and_loaded_anew(
    make: Make, ask: Ask, stored: list[dict[str, int]]
) -> None:
    cache = make()
    disk = cache._engine.tiers.far[0]
    key = bytes.fromhex(cache.key_of(operation="docs.search", n=1))
    entry = disk.get_many([key])[key]
    disk.set_many({key: msgspec.structs.replace(entry, payload=b"\xc1")}, 0.0)
    answers = ask(cache, searches(0, 1, 2))
    assert [answer["load"] for answer in answers] == [1, 4, 3]
    stats = cache.get_stats()
    assert stats["tier_errors"]["disk"] >= 1
    assert stats["cache_misses"] == 1


def test_a_batch_may_repeat_a_call(make: Make, stored: list[dict[str, int]]) -> None:
    cache = make()
    one, other = together(cache, searches(0, 0))
    assert one == other == stored[0]
    assert one is not other
    assert cache.get_stats()["tier_hits"] == {"disk": 2}
    first, second = together(cache, searches(7, 7))
    assert first == second
    assert first is not second
    assert (cache.get_stats()["cache_misses"], cache.get_stats()["coalesced"]) == (1, 1)


def test_hits_misses_and_errors_stand_in_their_places(make: Make, stored: list[dict[str, int]]) -> None:
    cache = make()
    calls = [
        *searches(2, 8),
        {"operation": "docs.count", "n": -1},
        *searches(0),
        {"operation": "docs.count", "n": 4},
    ]

    async def main() -> list[Any]:
        return await cache.cached_api_calls(calls, return_exceptions=True)

    hit, miss, error, other_hit, other_miss = asyncio.run(main())
    assert (hit, other_hit) == (stored[2], stored[0])
    assert {miss["load"], other_miss} == {4, 5}
    assert isinstance(error, ValueError)
    with pytest.raises(ValueError, match="-1"):
        together(cache, calls)
    operations = cache.get_stats()["operations"]
    assert operations["docs.search"]["cache_hits"] == 5
    assert operations["docs.count"]["load_errors"] == 2


def test_an_entry_that_waits_to_be_written_stands_for_the_older_one_on_disk(
    make: Make, ask: Ask, stored: list[dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make()
    key = bytes.fromhex(cache.key_of(operation="docs.search", n=1))
    entry = cache._engine.tiers.far[0].get_many([key])[key]
    newer = msgspec.structs.replace(entry, payload=RecordTypes.EMPTY.encode("newer"), created=entry.created + 1)
    monkeypatch.setattr(cache._engine.writer, "waiting", {key: newer}.get)
    monkeypatch.setattr(cache._engine.writer, "is_waited_for", lambda: True)
    assert ask(cache, searches(0, 1)) == [stored[0], "newer"]


def test_a_stale_entry_is_left_to_the_flow(
    make: Make, ask: Ask, stored: list[dict[str, int]], tmp_path: Path, clock: ManualClock
) -> None:
    first = UnifiedAPICache.create(directory=tmp_path, clock=clock)
    second = UnifiedAPICache.create(directory=tmp_path, clock=clock)
    broken = False
    for cache in (first, second):

        @cache.operation("docs.search", ttl=10, stale_if_error=100, version="2")
        def search(n: int) -> int:
            if broken:
                raise OSError("down")
            return n

    assert one_by_one(first, searches(5)) == [5]
    assert first.flush()
    clock.advance(50)
    broken = True
    assert ask(second, searches(5)) == [5]
    assert second.get_stats()["stale"] == 1
    first.close()
    second.close()


def test_a_policy_that_keeps_a_call_in_memory_reads_no_far_tier(
    make: Make, ask: Ask, stored: list[dict[str, int]], tmp_path: Path, clock: ManualClock
) -> None:
    cache = UnifiedAPICache.create(directory=tmp_path, clock=clock)

    @cache.operation("docs.search", ttl=100, tiers=["memory"])
    def search(n: int) -> str:
        return "loaded"

    assert ask(cache, searches(0)) == ["loaded"]
    cache.close()


def test_without_a_near_tier_each_hit_is_read(
    ask: Ask, make: Make, stored: list[dict[str, int]], tmp_path: Path, clock: ManualClock
) -> None:
    tier = build("disk", TierPlace(directory=tmp_path, timeout=10.0))
    cache = UnifiedAPICache.create(tiers=[tier], clock=clock, tier_timeout=10.0)

    @cache.operation("docs.search", ttl=100)
    def search(n: int) -> str:
        return "loaded"

    assert ask(cache, searches(0, 1)) == stored[:2]
    assert ask(cache, searches(0, 9)) == [stored[0], "loaded"]
    assert cache.get_stats()["tier_hits"] == {"disk": 3}
    cache.close()


def test_hooks_that_are_added_later_are_told(make: Make, stored: list[dict[str, int]]) -> None:
    cache = make()
    together(cache, searches(0))
    told: list[CacheEvent] = []
    remove = cache.add_hook(told.append, ["hit"])
    together(cache, searches(1))
    remove()
    together(cache, searches(2))
    assert [event.tier for event in told] == ["disk"]


def test_a_read_that_its_event_loop_never_sent_holds_up_no_later_one(make: Make, stored: list[dict[str, int]]) -> None:
    cache = make()
    loop = asyncio.new_event_loop()

    async def ask_and_leave() -> None:
        cache._engine._batched_reads().read(KEY)
        loop.stop()

    left = loop.create_task(ask_and_leave())
    loop.run_until_complete(left)
    loop.close()
    assert one_by_one_async(cache, searches(0)) == stored[:1]


# The terms, against the one decision about entries.


class Bound:
    """What `FarHits` asks of an operation."""

    def __init__(self, policy: Policy) -> None:
        self.operation = describe("op", lambda: None, {})
        self.policy = policy
        self.types = RecordTypes.EMPTY

    def planned(self, *_: Any) -> Any:
        raise AssertionError("no plan is wanted")


MARKERS = (
    (),
    (Marker("all", "", gone_at=100.0),),
    (Marker("tag", "tag", stale_at=100.0),),
    (Marker("tag", "other", gone_at=100.0),),
    (Marker("key", KEY.hex(), gone_at=100.0),),
    (Marker("operation", "op", stale_at=99.0),),
    (Marker("prefix", "o", gone_at=100.0, stale_at=101.0),),
)


@pytest.mark.parametrize("markers", MARKERS)
@pytest.mark.parametrize("ttl", [5.0, 20.0, math.nan])
def test_an_entry_is_admitted_when_the_flow_takes_it_for_fresh(
    make: Make, clock: ManualClock, markers: Sequence[Marker], ttl: float
) -> None:
    cache = make()
    policy = Policy(ttl=(lambda _value: 1.0) if math.isnan(ttl) else ttl)
    known = cache._engine.tiers.markers
    assert isinstance(known, MarkerTable)
    known.add(markers)
    hits = FarHits(cache._engine, Bound(policy))
    verdicts = set()
    for created, fresh_until, expires, now in itertools.product(
        (99.0, 100.0, 101.0), (105.0, 110.0), (105.0, 110.0, math.inf), (100.5, 105.0, 106.0, 107.5, 110.0, 120.0)
    ):
        entry = Entry("op", "value", b"", created, fresh_until, expires, compute_seconds=1.5, tags=("tag",))
        gone_at, stale_at = known.concerning("op", ("tag",), KEY)
        max_age = math.inf if math.isnan(ttl) else ttl + 1.5
        verdict = decide(entry, now, gone_at=gone_at, stale_at=stale_at, max_age=max_age)
        assert hits.admits(KEY, Found(entry, "disk"), now) == (verdict is Verdict.FRESH)
        verdicts.add(verdict)
    assert len(verdicts) > 1


def test_an_entry_of_another_tier_or_of_a_client_library_is_not_admitted(make: Make) -> None:
    cache = make()
    hits = FarHits(cache._engine, Bound(Policy(ttl=60.0, tiers=("memory", "disk"))))
    entry = Entry("op", "value", b"", 1.0, 9.0, 9.0)
    assert hits.admits(KEY, Found(entry, "disk"), 2.0)
    assert not hits.admits(KEY, Found(entry, "redis"), 2.0)
    assert not hits.admits(KEY, Found(msgspec.structs.replace(entry, codec="httpx"), "disk"), 2.0)


@pytest.mark.parametrize(
    "options",
    [
        {"early_refresh": 1.0},
        {"returns": "json"},
        {"soft_timeout": 1.0},
        {"hard_timeout": 1.0},
        {"tiers": ("memory",)},
        {"tiers": ()},
    ],
)
def test_a_policy_that_the_flow_has_to_look_at_has_no_short_way(make: Make, options: dict[str, Any]) -> None:
    engine = make()._engine
    assert may_hit(engine, Policy(ttl=60.0))
    assert may_hit(engine, Policy(ttl=60.0, tiers=("disk",)))
    assert not may_hit(engine, Policy(ttl=60.0, **options))


def test_memory_alone_has_no_far_hits(clock: ManualClock) -> None:
    cache = UnifiedAPICache.create(clock=clock)
    assert not may_hit(cache._engine, Policy(ttl=60.0))
    cache.operation("echo")(lambda n: n)
    assert type(cache._look_up_entry(0, {"operation": "echo", "n": 1})) is not Missed
    assert together(cache, [{"operation": "echo", "n": 1}]) == [1]


def test_what_is_missed_makes_the_plan_that_the_flow_would_have_had(make: Make) -> None:
    cache = make()
    missed = cache._look_up_entry(0, {"operation": "docs.search", "n": 1})
    assert type(missed) is Missed
    plan, other = missed.plan(), cache.plan_of(operation="docs.search", n=1)
    assert (plan.key, plan.label, plan.parameters, plan.given) == (other.key, "docs.search", {"n": 1}, {"n": 1})
    assert plan.material == other.material
    assert plan.is_fixed
