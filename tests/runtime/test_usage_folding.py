"""What is folded into the usage log's rows: pure, so that each rule stands alone."""

import pytest

from apicache.entry import Entry
from apicache.planning import Plan
from apicache.policy import Policy
from apicache.tagged import canonical
from apicache.usage.feed import UsageFeed
from apicache.usage.folding import RECORDED_MAX, KeyRow, fold, storable_parameters
from apicache.usage.usage import Event, digest_of_scope, digests_of

NOW = 1_700_000_000.0
KEY = bytes(32)


def event(kind, after: float, key: bytes = KEY, **changes) -> Event:
    return Event(at=NOW + after, kind=kind, operation="quote", key=key, ttl=100.0, **changes)


def test_a_call_without_a_key_has_counters_and_no_row() -> None:
    rows: dict[bytes, KeyRow] = {}
    (counts,) = fold([event("miss", 0, b""), event("stored", 0, b"")], rows).values()
    assert (counts["misses"], counts["stored"], rows) == (1, 1, {})


def test_instances_of_other_classes_are_left_out() -> None:
    class Own(dict[str, int]):
        pass

    assert storable_parameters({"kept": 1, "own": Own(a=1)}) == ('{"kept":1}', False)


def test_events_are_folded_in_their_order() -> None:
    rows: dict[bytes, KeyRow] = {}
    counters = fold([event("miss", 0), event("stored", 0), event("miss", 150), event("stored", 150)], rows)
    (counts,) = counters.values()
    assert (counts["gap2"], rows[KEY].loads, rows[KEY].loaded_at) == (1, 2, NOW + 150)


def test_a_load_in_the_background_is_spent_and_no_miss() -> None:
    rows: dict[bytes, KeyRow] = {}
    events = [
        event("stored", 0),
        event("refreshed", 90, seconds=2.0, cost=0.5),
        event("stored", 90),
        event("miss", 200, seconds=1.0),
    ]
    (counts,) = fold(events, rows).values()
    assert (counts["refreshed"], counts["misses"], counts["stored"]) == (1, 1, 2)
    assert (counts["spent_seconds"], counts["spent_cost"], counts["saved_cost"]) == (3.0, 0.5, 0)
    assert (counts["gap0"], counts["cut_short"], rows[KEY].loaded_at) == (1, 0, NOW + 90)


@pytest.mark.parametrize(("is_refresh", "kind"), [(True, "refreshed"), (False, "miss")])
def test_a_load_is_told_by_whether_somebody_waited(is_refresh: bool, kind: str) -> None:
    written: list[Event] = []

    class Log:
        def write(self, events) -> bool:
            written.extend(events)
            return True

    feed = UsageFeed(Log)
    plan = Plan("quote", Policy(ttl=100.0, cost=0.5), lambda: None, lambda _plan: ({}, None))
    plan.is_refresh = is_refresh
    entry = Entry("quote", "value", b"", created=NOW, fresh_until=NOW + 100, expires=NOW + 100)
    feed.loaded(plan, entry, 2.0, NOW)
    feed.flush()
    assert [(event.kind, event.seconds, event.cost, event.ttl) for event in written] == [
        (kind, 2.0, 0.5, 0.0),
        ("stored", 2.0, 0.0, 100.0),
    ]


def test_a_load_in_the_background_that_was_not_stored_leaves_the_key_as_it_was() -> None:
    rows: dict[bytes, KeyRow] = {}
    fold([event("stored", 0), event("refreshed", 90)], rows)
    assert (rows[KEY].loaded_at, rows[KEY].loads) == (NOW, 1)


def test_of_parameters_only_digests_are_kept() -> None:
    material = canonical({"a": (1, 2), "b": "x"})
    assert digests_of(material) == {name: value for name, value in digests_of(material).items() if len(value) == 8}
    assert digests_of(material)["a"] != digests_of(canonical({"a": [1, 2]}))["a"]
    assert digests_of(canonical({"a": (1, 2), "c": 0}))["a"] == digests_of(material)["a"]
    assert list(digests_of(canonical([1, 2]))) == ["(parameters)"]
    assert list(digests_of(canonical({1: 2}))) == ["(parameters)"]


@pytest.mark.parametrize("material", [None, b"", b"\xc1", canonical({"a": 1})[:-1]])
def test_bytes_that_are_no_encoding_have_no_digests(material: bytes | None) -> None:
    assert digests_of(material) == {}


def test_equal_scopes_have_one_digest() -> None:
    assert digest_of_scope("ann") == digest_of_scope("ann") != digest_of_scope(b"ann")
    assert digest_of_scope(None) is None


def test_what_json_cannot_carry_is_left_out() -> None:
    recorded = {"kept": [1, 2.5, None, {"a": "b"}], "set": {1}, "nan": float("nan"), "tuple": (1,), "numbers": {1: 2}}
    assert storable_parameters(recorded) == ('{"kept":[1,2.5,null,{"a":"b"}]}', False)
    assert storable_parameters({"a": 1}) == ('{"a":1}', True)
    assert storable_parameters({}) == storable_parameters(None) == (None, False)


def test_long_and_endless_parameters_are_not_kept() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert storable_parameters({"prompt": "x" * RECORDED_MAX}) == (None, False)
    assert storable_parameters({"endless": endless}) == ("{}", False)
