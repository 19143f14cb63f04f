"""Invalidation, soft and hard: what it concerns, what writes do, and what is refused."""

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from apicache import InputError, UnifiedAPICache
from apicache.clock import ManualClock

_spec = importlib.util.spec_from_file_location("invalidated_items", Path(__file__).with_name("invalidated_items.py"))
invalidated: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(invalidated)
GRACE, Items, PLACES, Shop, TTL, UpstreamDownError, call, change = (
    invalidated.GRACE,
    invalidated.Items,
    invalidated.PLACES,
    invalidated.Shop,
    invalidated.TTL,
    invalidated.UpstreamDownError,
    invalidated.call,
    invalidated.change,
)


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
