import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from apicache import InputError, UnifiedAPICache, WarmOutcome
from apicache.clock import ManualClock


def test_entries_are_warmed_fresh_or_failed_and_reported_in_order(cache: UnifiedAPICache, clock: ManualClock) -> None:
    @cache.operation("square")
    async def square(n: int) -> int:
        clock.advance(0.5)
        if n < 0:
            raise ValueError("negative")
        return n * n

    seen: list[WarmOutcome] = []
    entries = [{"operation": "square", "n": n} for n in (2, -1, 2)]
    outcomes = asyncio.run(cache.warm_cache(entries, concurrency=1, on_outcome=seen.append))
    assert [outcome.status for outcome in outcomes] == ["warmed", "failed", "fresh"]
    assert outcomes == seen
    assert outcomes[0].key == outcomes[2].key != outcomes[1].key
    assert outcomes[1].error == "ValueError: negative"
    assert outcomes[0].seconds == 0.5
    assert cache.cached_api_call_sync is not None
    assert asyncio.run(cache.cached_api_call(operation="square", n=2)) == 4
    assert cache.get_stats()["cache_misses"] == 1


def test_no_more_calls_run_at_once_than_asked_for(cache: UnifiedAPICache) -> None:
    running = most = 0

    @cache.operation("wait")
    async def wait(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return n

    asyncio.run(cache.warm_cache([{"operation": "wait", "n": n} for n in range(20)], concurrency=3))
    assert most == 3


def test_an_error_answer_is_a_failure_with_its_status(cache: UnifiedAPICache, api: Any) -> None:
    @cache.operation("down")
    async def down() -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"{api.url}/status/503")

    (outcome,) = asyncio.run(cache.warm_cache([{"operation": "down"}]))
    assert (outcome.status, outcome.error) == ("failed", "status 503")


def test_sync_operations_are_warmed_too(cache: UnifiedAPICache) -> None:
    cache.operation("plain")(lambda n: n)
    (outcome,) = asyncio.run(cache.warm_cache([{"operation": "plain", "n": 1}]))
    assert outcome.status == "warmed"


def test_sync_operations_are_warmed_at_the_same_time(cache: UnifiedAPICache) -> None:
    together = threading.Barrier(4, timeout=10)

    @cache.operation("plain")
    def plain(n: int) -> int:
        together.wait()
        return n

    outcomes = asyncio.run(cache.warm_cache([{"operation": "plain", "n": n} for n in range(4)], concurrency=4))
    assert [outcome.status for outcome in outcomes] == ["warmed"] * 4


def test_an_error_answer_that_is_no_json_is_told_by_its_status(cache: UnifiedAPICache, api: Any) -> None:
    @cache.operation("down", returns="json")
    def down() -> requests.Response:
        return requests.head(f"{api.url}/status/502", timeout=5)

    outcomes = asyncio.run(cache.warm_cache([{"operation": "down"}] * 3, concurrency=3))
    assert {(outcome.status, outcome.error) for outcome in outcomes} == {("failed", "status 502")}


def test_what_a_tier_could_not_keep_for_other_processes_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "cache.db").write_bytes(b"this is not SQLite" * 100)
    cache = UnifiedAPICache.create(directory=tmp_path)
    cache.operation("plain")(lambda n: n)
    (outcome,) = asyncio.run(cache.warm_cache([{"operation": "plain", "n": 1}]))
    assert (outcome.status, outcome.error) == ("failed", "the disk tier failed")


def test_an_off_cache_fails_every_entry_and_says_so() -> None:
    cache = UnifiedAPICache.create(mode="off")
    cache.operation("plain")(lambda n: n)
    (outcome,) = asyncio.run(cache.warm_cache([{"operation": "plain", "n": 1}]))
    assert (outcome.status, outcome.error) == ("failed", "the cache is off")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"prompt": "x"}, "entry 1 names no operation"),
        ({"operation": "plian", "n": 1}, "did you mean 'plain'"),
        ({"operation": "plain", "m": 1}, "entry 1: missing a required argument: 'n'"),
    ],
)
def test_a_bad_entry_is_refused_before_any_call(cache: UnifiedAPICache, entry: Any, message: str) -> None:
    called: list[int] = []
    cache.operation("plain")(lambda n: called.append(n))
    with pytest.raises(InputError, match=message):
        asyncio.run(cache.warm_cache([{"operation": "plain", "n": 1}, entry]))
    assert called == []


def test_a_bad_entry_is_a_failed_outcome_where_that_is_asked_for(cache: UnifiedAPICache) -> None:
    cache.operation("plain")(lambda n: n)
    entries: list[Any] = [{"operation": "plian"}, {"operation": "plain", "n": 1}, {"operation": "plain"}, {"n": 1}, 7]
    seen: list[WarmOutcome] = []
    outcomes = asyncio.run(cache.warm_cache(entries, return_exceptions=True, on_outcome=seen.append))
    assert [outcome.status for outcome in outcomes] == ["failed", "warmed", "failed", "failed", "failed"]
    assert [outcome.operation for outcome in outcomes] == ["plian", "plain", "plain", "", ""]
    assert [outcome.position for outcome in outcomes] == [0, 1, 2, 3, 4]
    assert (outcomes[0].error or "").startswith("InputError: unknown operation 'plian'; did you mean 'plain'?")
    assert sorted(seen, key=lambda outcome: outcome.position) == outcomes


def test_a_concurrency_below_one_is_refused(cache: UnifiedAPICache) -> None:
    with pytest.raises(InputError, match="concurrency 0"):
        asyncio.run(cache.warm_cache([], concurrency=0))


def test_cancelling_keeps_what_had_been_reported(cache: UnifiedAPICache) -> None:
    gate = asyncio.Event()

    @cache.operation("wait")
    async def wait(n: int) -> int:
        if n:
            await gate.wait()
        return n

    seen: list[WarmOutcome] = []

    async def run() -> None:
        entries = [{"operation": "wait", "n": n} for n in (0, 1, 2)]
        warming = asyncio.create_task(cache.warm_cache(entries, concurrency=2, on_outcome=seen.append))
        while not seen:
            await asyncio.sleep(0)
        warming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await warming

    asyncio.run(run())
    assert [outcome.status for outcome in seen] == ["warmed"]
    assert len(cache._engine.flights) == 0


def test_what_was_warmed_is_hit_by_another_cache_on_the_same_folder(tmp_path: Path) -> None:
    calls: list[int] = []
    for _ in range(2):
        cache = UnifiedAPICache.create(directory=tmp_path)
        cache.operation("plain")(lambda n: calls.append(n) or {"n": n})
        asyncio.run(cache.warm_cache([{"operation": "plain", "n": 1}]))
        cache.close()
    assert calls == [1]
    assert cache.get_stats()["tier_hits"] == {"disk": 1}


class Batched:
    """A cache with the batched operation `embed`, in memory or on disk, async or sync; `sent` has each call's items."""

    def __init__(self, where: str, kind: str, directory: Path, **options: Any) -> None:
        self.sent: list[list[int]] = []
        self.options = options
        self.kind, self.clock = kind, ManualClock()
        self.cache = UnifiedAPICache.create(clock=self.clock, directory=directory if where == "disk" else None)
        self.before: Callable[[list[int]], None] = lambda ns: None
        self._register()

    def _register(self) -> None:
        def embed(ns: list[int]) -> list[Any]:
            self.sent.append(list(ns))
            self.before(ns)
            return [ValueError("negative") if n < 0 else n * n for n in ns]

        async def embed_async(ns: list[int]) -> list[Any]:
            return embed(ns)

        self.cache.batched("embed", over="n", ttl="1m", **self.options)(embed if self.kind == "sync" else embed_async)

    def warm(self, *ns: int, **options: Any) -> list[WarmOutcome]:
        return asyncio.run(self.cache.warm_cache([{"operation": "embed", "n": n} for n in ns], **options))

    def statuses(self, *ns: int) -> list[str]:
        return [outcome.status for outcome in self.warm(*ns)]


@pytest.fixture(params=["memory", "disk"])
def where(request: Any) -> str:
    found: str = request.param
    return found


@pytest.fixture(params=["async", "sync"])
def batched(request: Any, where: str, tmp_path: Path) -> Iterator[Batched]:
    made = Batched(where, request.param, tmp_path)
    yield made
    made.cache.close()


def test_calls_of_a_batched_operation_become_one_call_whatever_the_concurrency(batched: Batched) -> None:
    seen: list[WarmOutcome] = []
    outcomes = batched.warm(*range(20), concurrency=2, on_outcome=seen.append)
    assert [(outcome.position, outcome.status) for outcome in outcomes] == [(n, "warmed") for n in range(20)]
    assert sorted(seen, key=lambda outcome: outcome.position) == outcomes
    assert [sorted(ns) for ns in batched.sent] == [list(range(20))]
    found = asyncio.run(batched.cache.cached_api_calls([{"operation": "embed", "n": n} for n in range(20)]))
    assert found == [n * n for n in range(20)]
    assert len(batched.sent) == 1


def test_only_what_is_not_fresh_is_sent_and_an_item_that_fails_fails_alone(batched: Batched) -> None:
    assert batched.statuses(1, 2) == ["warmed"] * 2
    assert batched.statuses(1, -1, 3, 3, 2) == ["fresh", "failed", "warmed", "fresh", "fresh"]
    assert batched.warm(-1)[0].error == "ValueError: negative"
    batched.clock.advance(61)
    assert batched.statuses(1, 2) == ["warmed"] * 2
    assert [sorted(ns) for ns in batched.sent] == [[1, 2], [-1, 3], [-1], [1, 2]]


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_warmed_batch_is_on_disk_before_it_is_reported(kind: str, tmp_path: Path) -> None:
    first, second = Batched("disk", kind, tmp_path), Batched("disk", kind, tmp_path)
    tiers = first.cache._engine.tiers

    def on_outcome(outcome: WarmOutcome) -> None:
        assert outcome.key is not None
        found.update(tiers.far[0].get_many([bytes.fromhex(outcome.key)]))

    found: dict[bytes, Any] = {}
    outcomes = first.warm(1, 2, 3, on_outcome=on_outcome)
    assert {key.hex() for key in found} == {outcome.key for outcome in outcomes}
    assert second.statuses(1, 2, 3) == ["fresh"] * 3
    assert second.sent == []
    first.cache.close()
    second.cache.close()


def test_a_batch_is_not_held_back_by_other_calls_and_is_reported_as_it_ends(where: str, tmp_path: Path) -> None:
    batched = Batched(where, "async", tmp_path, batch_size=2)
    reported: list[int] = []

    @batched.cache.operation("last")
    async def last() -> int:
        while len(reported) < 4:
            await asyncio.sleep(0)
        return 1

    entries: list[dict[str, Any]] = [{"operation": "last"}, *({"operation": "embed", "n": n} for n in range(4))]
    outcomes = asyncio.run(
        batched.cache.warm_cache(entries, concurrency=1, on_outcome=lambda outcome: reported.append(outcome.position))
    )
    assert [outcome.operation for outcome in outcomes] == ["last", *["embed"] * 4]
    assert (sorted(reported[:4]), reported[4]) == ([1, 2, 3, 4], 0)
    batched.cache.close()


def test_a_sync_batch_does_not_hold_up_the_event_loop(where: str, tmp_path: Path) -> None:
    batched = Batched(where, "sync", tmp_path)
    released = threading.Event()
    batched.before = lambda ns: None if released.wait(10) else pytest.fail("the event loop stands still")

    @batched.cache.operation("release")
    async def release() -> None:
        while not batched.sent:
            await asyncio.sleep(0)
        released.set()

    entries: list[dict[str, Any]] = [
        {"operation": "embed", "n": 1},
        {"operation": "embed", "n": 2},
        {"operation": "release"},
    ]
    outcomes = asyncio.run(batched.cache.warm_cache(entries))
    assert [outcome.status for outcome in outcomes] == ["warmed"] * 3
    assert [sorted(ns) for ns in batched.sent] == [[1, 2]]
    batched.cache.close()


def test_a_sync_call_that_waits_for_a_batch_leaves_it_a_thread(where: str, tmp_path: Path) -> None:
    batched = Batched(where, "sync", tmp_path)

    @batched.cache.operation("outer")
    def outer(n: int) -> Any:
        return batched.cache.cached_api_call_sync(operation="embed", n=n)

    entries = [{"operation": operation, "n": n} for n in range(3) for operation in ("outer", "embed")]
    outcomes = asyncio.run(batched.cache.warm_cache(entries, concurrency=1))
    assert {outcome.error for outcome in outcomes} == {None}
    assert sorted(n for ns in batched.sent for n in ns) == [0, 1, 2]
    batched.cache.close()


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_long_list_of_batched_calls_begins_a_part_at_a_time(kind: str, tmp_path: Path) -> None:
    batched = Batched("memory", kind, tmp_path, batch_size=1000)
    assert set(batched.statuses(*range(201))) == {"warmed"}
    assert [len(ns) for ns in batched.sent] == [200, 1]


def test_cancelling_ends_a_batch_under_way(cache: UnifiedAPICache) -> None:
    begun: list[list[int]] = []

    @cache.batched("embed", over="n")
    async def embed(ns: list[int]) -> None:
        begun.append(ns)
        await asyncio.Event().wait()

    async def run() -> None:
        warming = asyncio.create_task(cache.warm_cache([{"operation": "embed", "n": n} for n in range(3)]))
        while not begun:
            await asyncio.sleep(0)
        warming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await warming

    asyncio.run(run())
    assert begun == [[0, 1, 2]]
    assert len(cache._engine.flights) == 0


@pytest.mark.parametrize("form", ["operation", "batched"])
def test_a_sync_call_that_raises_stop_iteration_fails_and_ends(cache: UnifiedAPICache, form: str) -> None:
    register = cache.operation("ends") if form == "operation" else cache.batched("ends", over="n")
    register(lambda n: next(iter(())))
    (outcome,) = asyncio.run(cache.warm_cache([{"operation": "ends", "n": 1}]))
    assert (outcome.status, outcome.error) == ("failed", "RuntimeError: the call raised StopIteration")
