"""The stack of tiers: what a broken one costs, and what is written when."""

import asyncio
import importlib.util
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.entry import Entry
from apicache.errors import LoadTimeoutError
from apicache.tier import SharedTier
from apicache.tiers.memory import MemoryTier

_spec = importlib.util.spec_from_file_location("chaos_tier", Path(__file__).with_name("chaos_tier.py"))
chaotic: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(chaotic)
Call, ChaosTier, OPEN_SECONDS, chaos, disk, key, make_cache, until = (
    chaotic.Call,
    chaotic.ChaosTier,
    chaotic.OPEN_SECONDS,
    chaotic.chaos,
    chaotic.disk,
    chaotic.key,
    chaotic.make_cache,
    chaotic.until,
)


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


def test_an_entry_is_found_while_it_is_being_written(call: Call, make_cache: Call, chaos: ChaosTier) -> None:
    cache = make_cache(chaos)
    plain, begun, gate = chaos.set_many, threading.Event(), threading.Event()

    def set_many(entries: Mapping[bytes, Entry], now: float) -> None:
        begun.set()
        gate.wait(10)
        plain(entries, now)

    chaos.set_many = set_many  # type: ignore[method-assign]
    assert call(cache, operation="echo", n=1) == {"n": 1, "load": 1}
    assert begun.wait(10)
    assert call(cache, operation="echo", n=1) == {"n": 1, "load": 1}
    gate.set()
    assert cache.flush()


def test_warming_does_not_say_warmed_while_no_tier_has_the_entry(make_cache: Call, chaos: ChaosTier) -> None:
    cache = make_cache(chaos)
    gate = threading.Event()

    def set_many(_entries: Mapping[bytes, Entry], _now: float) -> None:
        gate.wait(10)
        raise OSError("full")

    chaos.set_many = set_many  # type: ignore[method-assign]
    engine = cache.engine
    engine.writer.flush = lambda _seconds: False  # as after the five seconds that it waits
    (outcome,) = asyncio.run(cache.warm_cache([{"operation": "echo", "n": 1}]))
    assert (outcome.status, outcome.error) == ("failed", "the chaos tier failed")
    gate.set()
