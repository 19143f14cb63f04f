"""Invalidation, soft and hard: what it concerns, what it overtakes, and who follows it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from apicache import InputError, UnifiedAPICache
from apicache.clock import ManualClock
from apicache.markers import Marker, MarkerTable

TTL = 100.0
GRACE = 50.0


class UpstreamDownError(Exception):
    pass


class Items:
    """The operation `items.get`, its calls by item, and a switch that makes it fail."""

    def __init__(self, cache: UnifiedAPICache, **policy: Any) -> None:
        self.calls: list[str] = []
        self.fails = False
        self.meanwhile: Callable[[], Any] = lambda: None
        options = {"ttl": TTL, "tags": lambda parameters, _: [parameters["item"], "items"], **policy}
        cache.operation("items.get", **options)(self.get)

    def get(self, item: str) -> str:
        self.calls.append(item)
        n = len(self.calls)
        self.meanwhile()
        if self.fails:
            raise UpstreamDownError
        return f"{item} {n}"


def change(cache: UnifiedAPICache, call: Any, method: str, **concerned: Any) -> None:
    """Invalidate or expire, by the method of the same colour as the call."""
    if call.colour == "sync":
        getattr(cache, f"{method}_sync")(**concerned)
    else:
        asyncio.run(getattr(cache, method)(**concerned))


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Any:
    def run(cache: UnifiedAPICache, *args: Any, **kwargs: Any) -> Any:
        if request.param == "sync":
            return cache.cached_api_call_sync(*args, **kwargs)
        return asyncio.run(cache.cached_api_call(*args, **kwargs))

    run.colour = request.param  # type: ignore[attr-defined] # which methods go with it
    return run


PLACES: dict[str, Callable[[UnifiedAPICache], dict[str, Any]]] = {
    "key": lambda cache: {"key": cache.key_of(operation="items.get", item="a")},
    "tag": lambda _: {"tags": ["unrelated", "a"]},
    "prefix": lambda _: {"prefix": "items."},
    "operation": lambda _: {"operation": "items.get"},
    "everything": lambda _: {"everything": True},
}


class Case(NamedTuple):
    method: str
    grace: float
    succeeds: bool
    answer: str | None
    """What the call after it gives; None when it raises what the load raises."""


# One table: what is named x how x whether there is a grace x whether the load succeeds.
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "case",
    [
        Case("invalidate", 0.0, True, "a 3"),
        Case("invalidate", 0.0, False, None),
        Case("invalidate", GRACE, True, "a 3"),
        Case("invalidate", GRACE, False, None),  # not served again, whatever the grace
        Case("expire", 0.0, True, "a 3"),
        Case("expire", 0.0, False, None),
        Case("expire", GRACE, True, "a 3"),
        Case("expire", GRACE, False, "a 1"),  # stale beats failed
    ],
)
@pytest.mark.parametrize("tiers", ["memory", "disk"])
def test_invalidated_entries_are_loaded_anew_and_expired_ones_outlive_a_failure(
    tmp_path: Path, call: Any, place: str, case: Case, tiers: str
) -> None:
    method, grace, succeeds, answer = case
    cache = UnifiedAPICache.create(clock=ManualClock(), directory=None if tiers == "memory" else tmp_path)
    items = Items(cache, grace=grace, tiers=["disk"] if tiers == "disk" else None)
    assert [call(cache, operation="items.get", item=item) for item in ("a", "b")] == ["a 1", "b 2"]
    cache.flush()
    change(cache, call, method, **PLACES[place](cache))
    items.fails = not succeeds
    if answer is None:
        with pytest.raises(UpstreamDownError):
            call(cache, operation="items.get", item="a")
    else:
        assert call(cache, operation="items.get", item="a") == answer
        cache.flush()
    assert items.calls == ["a", "b", "a"]
    items.fails = False
    if place in {"key", "tag"}:
        assert call(cache, operation="items.get", item="b") == "b 2"  # not concerned
    if succeeds:
        assert call(cache, operation="items.get", item="a") == answer  # kept
    cache.close()


@pytest.mark.parametrize("method", ["invalidate", "expire"])
@pytest.mark.parametrize(
    "other",
    [{"tags": ["ite", "items.get", ""]}, {"prefix": "items.get."}, {"prefix": "tems"}, {"operation": "items"},
     {"operation": "ITEMS.GET"}, {"key": "0" * 64}],
)  # fmt: skip
def test_what_is_not_named_exactly_is_not_concerned(
    cache: UnifiedAPICache, call: Any, method: str, other: dict[str, Any]
) -> None:
    items = Items(cache)
    call(cache, operation="items.get", item="a")
    change(cache, call, method, **other)
    assert call(cache, operation="items.get", item="a") == "a 1"
    assert items.calls == ["a"]


@pytest.mark.parametrize("method", ["invalidate", "expire"])
def test_several_places_at_once(cache: UnifiedAPICache, call: Any, method: str) -> None:
    items = Items(cache)
    for item in "abc":
        call(cache, operation="items.get", item=item)
    change(cache, call, method, tags=["a"], key=cache.key_of(operation="items.get", item="b"))
    for item in "abc":
        call(cache, operation="items.get", item=item)
    assert items.calls == ["a", "b", "c", "a", "b"]


def test_expired_then_invalidated_is_gone(cache: UnifiedAPICache, call: Any) -> None:
    items = Items(cache, grace=GRACE)
    call(cache, operation="items.get", item="a")
    change(cache, call, "expire", tags=["a"])
    change(cache, call, "invalidate", tags=["a"])
    items.fails = True
    with pytest.raises(UpstreamDownError):
        call(cache, operation="items.get", item="a")


def test_invalidated_then_expired_stays_gone(cache: UnifiedAPICache, call: Any) -> None:
    items = Items(cache, grace=GRACE)
    call(cache, operation="items.get", item="a")
    change(cache, call, "invalidate", tags=["a"])
    change(cache, call, "expire", tags=["a"])
    items.fails = True
    with pytest.raises(UpstreamDownError):
        call(cache, operation="items.get", item="a")


def test_an_expired_entry_is_not_served_while_it_is_revalidated(
    cache: UnifiedAPICache, clock: ManualClock, call: Any
) -> None:
    items = Items(cache, stale_while_revalidate=GRACE)
    call(cache, operation="items.get", item="a")
    change(cache, call, "expire", tags=["a"])
    assert call(cache, operation="items.get", item="a") == "a 2"
    clock.advance(TTL + GRACE)
    assert call(cache, operation="items.get", item="a") == "a 3"
    assert len(items.calls) == 3


def test_tags_may_follow_from_the_result(cache: UnifiedAPICache, call: Any) -> None:
    calls: list[int] = []

    @cache.operation("orders", tags=lambda parameters, result: [f"user:{parameters['user']}", *result["products"]])
    def orders(user: int, page: int = 1) -> dict[str, Any]:
        calls.append(user)
        return {"products": [f"product:{user + page}"]}

    for user in (1, 2):
        call(cache, operation="orders", user=user)
    change(cache, call, "invalidate", tags=["product:3"])
    for user in (1, 2):
        call(cache, operation="orders", user=user)
    assert calls == [1, 2, 2]
    change(cache, call, "invalidate", tags=["user:1"])
    for user in (1, 2):
        call(cache, operation="orders", user=user)
    assert calls == [1, 2, 2, 1]


def raising(*_: Any) -> list[str]:
    raise KeyError("absent")


@pytest.mark.parametrize("tags", [raising, lambda *_: "text", lambda *_: [1], lambda *_: None])
def test_a_result_without_its_tags_is_not_kept(cache: UnifiedAPICache, call: Any, tags: Any) -> None:
    items = Items(cache, tags=tags)
    assert [call(cache, operation="items.get", item="a") for _ in range(2)] == ["a 1", "a 2"]
    assert len(items.calls) == 2


# Writes.


class Shop:
    """A read with tags, and a write that expires them."""

    def __init__(self, cache: UnifiedAPICache, invalidates: Any = ("a",), **policy: Any) -> None:
        self.items = Items(cache)
        self.writes = 0
        self.result: Any = "written"
        cache.operation("items.put", invalidates=invalidates, **policy)(self.put)

    def put(self, item: str = "a") -> Any:
        self.writes += 1
        if isinstance(self.result, Exception):
            raise self.result
        return self.result if self.result is not None else item


def test_a_write_is_always_made_and_expires_its_tags(cache: UnifiedAPICache, call: Any) -> None:
    shop = Shop(cache, ["a"])
    call(cache, operation="items.get", item="a")
    call(cache, operation="items.get", item="b")
    assert [call(cache, operation="items.put") for _ in range(2)] == ["written"] * 2
    assert shop.writes == 2
    call(cache, operation="items.get", item="a")
    call(cache, operation="items.get", item="b")
    assert shop.items.calls == ["a", "b", "a"]


def test_what_a_write_expires_may_follow_from_its_parameters_and_result(cache: UnifiedAPICache, call: Any) -> None:
    shop = Shop(cache, lambda parameters, result: [parameters["item"], result])
    shop.result = "b"
    for item in "abc":
        call(cache, operation="items.get", item=item)
    call(cache, operation="items.put", item="c")
    for item in "abc":
        call(cache, operation="items.get", item=item)
    assert shop.items.calls == ["a", "b", "c", "b", "c"]


def test_a_failed_write_expires_nothing(cache: UnifiedAPICache, call: Any) -> None:
    shop = Shop(cache)
    shop.result = UpstreamDownError()
    call(cache, operation="items.get", item="a")
    with pytest.raises(UpstreamDownError):
        call(cache, operation="items.put")
    call(cache, operation="items.get", item="a")
    assert shop.items.calls == ["a"]


@pytest.mark.parametrize(
    ("status", "expires"),
    [(200, True), (201, True), (202, True), (204, True), (303, True), (400, False), (404, False), (409, False),
     (429, False), (500, False), (503, False)],
)  # fmt: skip
@pytest.mark.parametrize("policy", [{}, {"negative_ttl": 60}])
def test_a_write_that_the_upstream_refuses_expires_nothing(
    cache: UnifiedAPICache, call: Any, status: int, expires: bool, policy: dict[str, Any]
) -> None:
    shop = Shop(cache, **policy)
    shop.result = httpx.Response(status, content=b"", request=httpx.Request("POST", "http://host/"))
    call(cache, operation="items.get", item="a")
    assert call(cache, operation="items.put").status_code == status
    call(cache, operation="items.get", item="a")
    assert shop.items.calls == (["a", "a"] if expires else ["a"])


def test_a_wrapped_call_can_be_a_write(cache: UnifiedAPICache, api: Any, call: Any) -> None:
    items = Items(cache)
    call(cache, operation="items.get", item="a")
    for _ in range(2):
        call(cache.using(invalidates=["a"]), httpx.delete, f"{api.url}/items/a")
    assert [seen.method for seen in api.seen] == ["DELETE"] * 2
    call(cache, operation="items.get", item="a")
    assert items.calls == ["a", "a"]


def test_a_write_whose_function_raises_is_made_even_so_and_says_it(
    cache: UnifiedAPICache, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    Shop(cache, raising)
    assert call(cache, operation="items.put") == "written"
    assert "invalidates nothing: its function raised KeyError" in caplog.text


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


# What is refused.


@pytest.mark.parametrize("method", ["invalidate", "expire"])
@pytest.mark.parametrize(
    ("concerned", "told"),
    [
        ({}, "nothing was named; give key="),
        ({"tags": []}, "nothing was named"),
        ({"everything": False}, "nothing was named"),
        ({"tag": ["a"]}, "did you mean 'tags'"),
        ({"tags": "user:1"}, "tags='user:1' is one text; give a list"),
        ({"tags": [1]}, "a tag=1 is a int; give one text"),
        ({"tags": 1}, "tags=1 is a int; give a list of texts"),
        ({"key": "abc"}, "key='abc' is not a key; give its 64 hexadecimal digits"),
        ({"key": "A" * 64}, "is not a key"),
        ({"key": b"abc"}, "give one text"),
        ({"operation": ["items.get"]}, "give one text"),
        ({"prefix": 3}, "give one text"),
    ],
)
def test_what_names_nothing_is_refused_and_changes_nothing(
    cache: UnifiedAPICache, call: Any, method: str, concerned: dict[str, Any], told: str
) -> None:
    items = Items(cache)
    call(cache, operation="items.get", item="a")
    with pytest.raises(InputError, match=told):
        change(cache, call, method, **concerned)
    assert call(cache, operation="items.get", item="a") == "a 1"
    assert len(items.calls) == 1


# The table of markers.


@pytest.mark.parametrize("soft", [True, False])
def test_past_ten_thousand_markers_more_is_invalidated_and_never_less(soft: bool) -> None:
    table = MarkerTable()
    kinds = ("tag", "key", "operation", "prefix")
    digits = [f"{n:064x}" for n in range(10_002)]
    for n in range(10_002):
        at = {"stale_at": float(n)} if soft else {"gone_at": float(n), "stale_at": float(n)}
        table.add([Marker(kinds[n % 4], digits[n], **at)])  # type: ignore[arg-type] # one of the scopes
    assert len(table) <= 10_000
    for n in (*range(0, 10_002, 97), 10_000, 10_001):
        concerned = {
            "tag": ("op", [digits[n]], b"other"),
            "key": ("op", [], bytes.fromhex(digits[n])),
            "operation": (digits[n], [], b"other"),
            "prefix": (f"{digits[n]}.x", [], b"other"),
        }[kinds[n % 4]]
        gone_at, stale_at = table.concerning(*concerned)
        assert stale_at >= n
        assert soft or gone_at >= n
        assert not soft or gone_at < 0


def test_markers_joined_by_many_threads_are_all_known() -> None:
    table = MarkerTable()
    barrier = threading.Barrier(4)

    def add(first: int) -> None:
        barrier.wait()
        for n in range(first, 4000, 4):
            table.add([Marker("tag", "a", float(n), float(n)), Marker("operation", "o", float(n))])
            table.of_operation("o")

    threads = [threading.Thread(target=add, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.concerning("o", ["a"], b"") == (3999.0, 3999.0)
    assert table.of_operation("o")[0] == 3999.0
