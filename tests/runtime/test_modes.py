"""Off, observe, shadow, on, and a share of the keys: globally and per operation; calls that are never stored."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from apicache import CacheEvent, InputError, UnifiedAPICache
from apicache.clock import ManualClock


class Counter:
    """The operation `get`, whose answer is the number of its call."""

    def __init__(self, cache: UnifiedAPICache, **policy: Any) -> None:
        self.calls = 0
        cache.operation("get", **policy)(self.get)

    def get(self, n: int = 0, *, note: str | None = None, live: bool = False) -> dict[str, Any]:
        self.calls += 1
        return {"n": n, "call": self.calls, "note": note, "live": live}


def entries(cache: UnifiedAPICache) -> int:
    """How many there are in any tier."""
    cache.flush()
    stack = cache._engine.tiers
    return sum(tier.size().entries for tier in (*stack.near, *stack.far))


Modes = tuple[str, str | None]


def made(modes: Modes, **policy: Any) -> tuple[UnifiedAPICache, Counter]:
    """A cache in the first mode, with an operation in the second."""
    of_cache, of_operation = modes
    cache = UnifiedAPICache.create(mode=of_cache, clock=ManualClock())
    return cache, Counter(cache, mode=of_operation, **policy)


@pytest.mark.parametrize("modes", [("off", None), ("on", "off"), ("off", "on"), ("off", "shadow"), ("shadow", "off")])
def test_off_calls_go_straight_through(call: Any, modes: Modes) -> None:
    cache, counter = made(modes)
    assert [call(cache, operation="get")["call"] for _ in range(3)] == [1, 2, 3]
    stats = cache.get_stats()
    assert (stats["bypassed"], stats["cache_hits"], stats["stored"], entries(cache)) == (3, 0, 0, 0)
    assert counter.calls == 3


@pytest.mark.parametrize("modes", [("on", None), ("on", "on"), ("observe", "on"), ("shadow", "on"), ("0%", "on")])
def test_on_entries_are_served(call: Any, modes: Modes) -> None:
    cache, counter = made(modes)
    assert [call(cache, operation="get")["call"] for _ in range(3)] == [1, 1, 1]
    assert (counter.calls, cache.get_stats()["cache_hits"]) == (1, 2)


@pytest.mark.parametrize("modes", [("observe", None), ("on", "observe"), ("shadow", "observe")])
def test_observe_counts_would_be_hits_serves_nothing_and_stores_nothing(call: Any, modes: Modes) -> None:
    cache, counter = made(modes, ttl=60)
    assert [call(cache, operation="get")["call"] for _ in range(3)] == [1, 2, 3]
    call(cache, operation="get", n=1)
    stats = cache.get_stats()
    assert (stats["would_hit"], stats["cache_hits"], stats["stored"], entries(cache)) == (2, 0, 0, 0)
    assert counter.calls == 4


def test_observed_keys_are_forgotten_after_their_ttl(call: Any) -> None:
    clock = ManualClock()
    cache = UnifiedAPICache.create(mode="observe", clock=clock)
    Counter(cache, ttl=60)
    call(cache, operation="get")
    clock.advance(60)
    call(cache, operation="get")
    assert cache.get_stats()["would_hit"] == 0


@pytest.mark.parametrize("modes", [("shadow", None), ("on", "shadow"), ("observe", "shadow")])
def test_shadow_serves_the_fresh_answer_and_reports_where_the_cached_one_differs(
    call: Any, modes: Modes, caplog: pytest.LogCaptureFixture
) -> None:
    cache, counter = made(modes)
    events: list[CacheEvent] = []
    cache.add_hook(events.append, kinds=["difference", "would_hit"])
    assert [call(cache, operation="get")["call"] for _ in range(3)] == [1, 2, 3]
    assert [event.kind for event in events] == ["would_hit", "difference"] * 2
    assert {event.operation for event in events} == {"get"}
    assert events[0].key == cache.key_of(operation="get")
    stats = cache.get_stats()
    assert (stats["would_hit"], stats["differences"], stats["cache_hits"]) == (2, 2, 0)
    assert stats["operations"]["get"]["differences"] == 2
    assert caplog.text.count("would have been answered differently") == 1
    assert counter.calls == 3


def test_shadow_reports_nothing_where_the_answers_are_equal(call: Any) -> None:
    cache = UnifiedAPICache.create(mode="shadow")
    cache.operation("same")(lambda: {"always": "equal"})
    for _ in range(3):
        call(cache, operation="same")
    stats = cache.get_stats()
    assert (stats["would_hit"], stats["differences"]) == (2, 0)


def test_shadow_compares_a_responses_answer_and_not_its_headers(call: Any) -> None:
    cache = UnifiedAPICache.create(mode="shadow")
    answers = [(200, "a", "1"), (200, "a", "2"), (200, "b", "3")]

    @cache.operation("fetch")
    def fetch() -> httpx.Response:
        status, text, date = answers.pop(0)
        return httpx.Response(status, text=text, headers={"X-Request": date}, request=httpx.Request("GET", "http://h/"))

    for _ in range(3):
        call(cache, operation="fetch")
    stats = cache.get_stats()
    assert (stats["would_hit"], stats["differences"]) == (2, 1)


def test_shadow_raises_what_the_load_raises(call: Any) -> None:
    cache = UnifiedAPICache.create(mode="shadow", policy={"grace": 1000})
    fails = iter([False, True])

    @cache.operation("get")
    def get() -> int:
        if next(fails):
            raise ConnectionError
        return 1

    call(cache, operation="get")
    with pytest.raises(ConnectionError):
        call(cache, operation="get")


def test_shadow_compares_with_what_is_on_disk(tmp_path: Path, call: Any) -> None:
    for _ in range(2):
        cache = UnifiedAPICache.create(mode="shadow", directory=tmp_path)
        Counter(cache)
        call(cache, operation="get", n=1)
        cache.close()
    assert cache.get_stats()["would_hit"] == 1
    assert cache.get_stats()["differences"] == 0


@pytest.mark.parametrize("modes", [("25%", None), ("on", "25%"), ("off", "25%"), ("25%", "100%"), ("on", "0%")])
def test_a_percentage_is_on_for_that_share_of_the_keys(call: Any, modes: Modes) -> None:
    cache, counter = made(modes)
    for _ in range(2):
        for n in range(200):
            call(cache, operation="get", n=n)
    share = {("25%", None): 0.25, ("on", "25%"): 0.25, ("off", "25%"): 0.0, ("25%", "100%"): 1.0, ("on", "0%"): 0.0}
    kept = 400 - counter.calls
    assert abs(kept - 200 * share[modes]) <= (20 if share[modes] == 0.25 else 0)
    assert entries(cache) == kept


def test_a_key_stays_on_its_side_as_the_share_grows(call: Any) -> None:
    served: list[set[int]] = []
    for mode in ("10%", "40%", "100%"):
        cache = UnifiedAPICache.create(mode=mode)
        counter = Counter(cache)
        on = set()
        for n in range(60):
            call(cache, operation="get", n=n)
            before = counter.calls
            call(cache, operation="get", n=n)
            if counter.calls == before:
                on.add(n)
        served.append(on)
    assert served[0] < served[1] < served[2] == set(range(60))


@pytest.mark.parametrize("mode", ["observe", "shadow", "off", "0%"])
@pytest.mark.parametrize("of_operation", [True, False])
def test_many_calls_at_once_are_not_served_either(tmp_path: Path, mode: str, of_operation: bool) -> None:
    filled = UnifiedAPICache.create(directory=tmp_path)
    Counter(filled)
    filled.cached_api_call_sync(operation="get")
    filled.close()
    cache = UnifiedAPICache.create(directory=tmp_path, mode="on" if of_operation else mode)
    counter = Counter(cache, mode=mode if of_operation else None)
    answers = asyncio.run(cache.cached_api_calls([{"operation": "get"}, {"operation": "get"}]))
    assert sorted(answer["call"] for answer in answers) == [1, 2]
    assert counter.calls == 2
    stats = cache.get_stats()
    assert (stats["cache_hits"], stats["bypassed"]) == (0, 2 if mode in {"off", "0%"} else 0)
    cache.close()


@pytest.mark.parametrize("mode", ["of", "25", "101%", "", "on "])
def test_modes_are_checked(mode: str) -> None:
    if mode == "on ":
        assert UnifiedAPICache.create(mode=mode).mode == "on"
        return
    with pytest.raises(InputError, match="known: off, observe, shadow, on"):
        UnifiedAPICache.create(mode=mode)
    with pytest.raises(InputError, match="mode"):
        UnifiedAPICache.create().using(mode=mode)


# Calls that are never stored.


@pytest.mark.parametrize("no_store", [["note", "live"], lambda parameters: parameters["note"] or parameters["live"]])
def test_no_store_parameters_make_a_call_go_straight_through(call: Any, no_store: Any) -> None:
    cache = UnifiedAPICache.create()
    counter = Counter(cache, no_store=no_store)
    for parameters in ({}, {"note": None}, {"note": "x"}, {"live": True}, {"live": False}):
        before = counter.calls
        call(cache, operation="get", n=1, **parameters)
        call(cache, operation="get", n=1, **parameters)
        loads = counter.calls - before
        assert loads == (2 if any(parameters.values()) else int(before == 0))
    assert (entries(cache), cache.get_stats()["bypassed"]) == (1, 4)


notes: list[str | None] = []


def noted(n: int, note: str | None = None) -> int:
    notes.append(note)
    return n


async def noted_async(n: int, note: str | None = None) -> int:
    return noted(n, note)


@pytest.mark.parametrize("function", [noted, noted_async])
def test_no_store_applies_to_decorated_functions_by_their_parameters_names(function: Any) -> None:
    notes.clear()
    get = UnifiedAPICache.create().cached(no_store=["note"])(function)

    async def run() -> None:
        for args, kwargs in (((1,), {}), ((1, "x"), {}), ((), {"n": 1, "note": "y"})) * 2:
            given = get(*args, **kwargs)
            assert (given if function is noted else await given) == 1

    asyncio.run(run())
    assert notes == [None, "x", "y", "x", "y"]


def test_no_store_applies_to_wrapped_calls_by_their_keywords(api: Any, call: Any) -> None:
    cache = UnifiedAPICache.create()
    for _ in range(2):
        call(cache.using(no_store=["params"]), httpx.get, api.url, params={"a": "1"})
        call(cache.using(no_store=["params"]), httpx.get, api.url)
    assert len(api.seen) == 3


def raising(_: Any) -> bool:
    raise KeyError("absent")


def test_a_no_store_function_that_raises_stores_nothing_and_fails_no_call(
    call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache = UnifiedAPICache.create()
    Counter(cache, no_store=raising)
    assert [call(cache, operation="get")["call"] for _ in range(2)] == [1, 2]
    assert caplog.text.count("its no_store raised KeyError") == 1


# Tiers.


@pytest.fixture
def both(tmp_path: Path) -> Iterator[UnifiedAPICache]:
    cache = UnifiedAPICache.create(directory=tmp_path, clock=ManualClock())
    yield cache
    cache.close()


def sizes(cache: UnifiedAPICache) -> dict[str, int]:
    cache.flush()
    stack = cache._engine.tiers
    return {tier.name: tier.size().entries for tier in (*stack.near, *stack.far)}


@pytest.mark.parametrize(
    ("tiers", "expected"),
    [
        (None, {"memory": 1, "disk": 1}),
        (("memory",), {"memory": 1, "disk": 0}),
        (("disk",), {"memory": 0, "disk": 1}),
        (("unknown",), {"memory": 0, "disk": 0}),
    ],
)
def test_an_operation_uses_its_own_tiers(both: UnifiedAPICache, call: Any, tiers: Any, expected: Any) -> None:
    counter = Counter(both, tiers=tiers)
    for _ in range(2):
        call(both, operation="get")
        assert sizes(both) == expected
    assert counter.calls == (2 if tiers == ("unknown",) else 1)


def test_what_is_in_a_tier_that_an_operation_does_not_use_is_not_served(both: UnifiedAPICache, call: Any) -> None:
    counter = Counter(both)
    call(both.using(tiers=["disk"]), operation="get")
    both.flush()
    assert call(both.using(tiers=["memory"]), operation="get")["call"] == 2
    assert call(both.using(tiers=["disk"]), operation="get")["call"] == 1
    assert counter.calls == 2


def test_many_calls_at_once_do_not_look_there_either(tmp_path: Path) -> None:
    filled = UnifiedAPICache.create(directory=tmp_path)
    Counter(filled)
    filled.cached_api_call_sync(operation="get")
    filled.close()
    cache = UnifiedAPICache.create(directory=tmp_path)
    counter = Counter(cache, tiers=["memory"])
    asyncio.run(cache.cached_api_calls([{"operation": "get"}]))
    assert counter.calls == 1
    cache.close()


def test_no_lease_is_left_by_an_operation_that_does_not_use_the_shared_tier(
    both: UnifiedAPICache, call: Any, tmp_path: Path
) -> None:
    Counter(both, tiers=["memory"])
    call(both, operation="get")
    key = bytes.fromhex(both.key_of(operation="get"))
    (disk,) = both._engine.tiers.shared
    assert disk.claim(key, "somebody else", 1.0)
    # That lease is not waited for either: nothing that its owner stores would be read.
    both.invalidate_sync(operation="get")
    assert call(both, operation="get")["call"] == 2


# The usage log.


@pytest.mark.parametrize("record", [True, False])
def test_only_operations_that_ask_for_it_have_their_parameters_recorded(
    tmp_path: Path, call: Any, record: bool
) -> None:
    cache = UnifiedAPICache.create(directory=tmp_path, usage_log=True)
    Counter(cache, record=record)
    call(cache, operation="get", n=1, note="planted-5f1e")
    call(cache, operation="get", n=1, note="planted-5f1e")
    cache.close()
    written = b"".join(path.read_bytes() for path in tmp_path.glob("usage.db*"))
    assert b"get" in written
    assert (b"planted-5f1e" in written) == record
