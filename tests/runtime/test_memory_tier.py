"""The memory tier: its bounds, what is deleted, and that it keeps what a model keeps."""

import importlib.util
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apicache.entry import Entry
from apicache.packed import pack
from apicache.tier import Tier, TierPlace
from apicache.tiers import memory
from apicache.tiers.memory import MemoryTier

_spec = importlib.util.spec_from_file_location("memory_entries", Path(__file__).with_name("memory_entries.py"))
small: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small)
NOW, WEIGHT, assert_whole, entry, fill, kept, key, visits = (
    small.NOW,
    small.WEIGHT,
    small.assert_whole,
    small.entry,
    small.fill,
    small.kept,
    small.key,
    small.visits,
)


# The tier's protocol and bounds


def test_it_is_a_tier_that_does_no_io() -> None:
    tier: Tier = memory.build(TierPlace(directory=Path("unused")))
    assert (tier.name, tier.blocking) == ("memory", False)
    size = tier.size()
    assert (size.entries, size.bytes, size.evictions) == (0, 0, 0)
    assert (size.max_bytes, size.max_entries) == (256 * 2**20, 1_000_000)
    tier.close()


def test_what_was_stored_comes_back_and_the_rest_is_left_out() -> None:
    tier = MemoryTier()
    stored = entry(b"value", tags=("user:1",))
    tier.set_many({key(1): stored, key(2): entry()}, NOW)
    assert tier.get_many([key(1), key(3)]) == {key(1): stored}
    assert tier.get(key(1)) == stored
    assert tier.get(key(3)) is None
    assert tier.peek(key(2)) == pack(entry())
    assert tier.peek(key(3)) is None


def test_options_are_read_from_text_and_unknown_ones_are_refused() -> None:
    options = {"max_bytes": "5000", "max_entries": 7}
    size = memory.build(TierPlace(directory=Path("unused"), options=options)).size()
    assert (size.max_bytes, size.max_entries) == (5000, 7)
    for refused in ({"max_byte": 5000}, {"max_bytes": "many"}):
        with pytest.raises(msgspec.ValidationError):
            memory.build(TierPlace(directory=Path("unused"), options=refused))


def test_entries_stay_within_their_number() -> None:
    tier = MemoryTier(max_entries=10)
    fill(tier, range(25))
    assert tier.size().entries == 10
    assert tier.size().evictions == 15
    assert_whole(tier)


def test_entries_stay_within_their_bytes() -> None:
    tier = MemoryTier(max_bytes=10 * (WEIGHT + 100))
    for name in range(25):
        tier.set(key(name), entry(bytes(100)))
    assert tier.size().entries == 10
    assert tier.size().bytes == 10 * (WEIGHT + 100)
    assert_whole(tier)


def test_an_entry_larger_than_the_whole_bound_is_not_kept_and_evicts_nothing() -> None:
    tier = MemoryTier(max_bytes=4 * WEIGHT)
    fill(tier, "ab")
    tier.set(key("huge"), entry(bytes(4 * WEIGHT)))
    assert tier.get(key("huge")) is None
    assert kept(tier, "ab") == ["a", "b"]
    assert tier.size().evictions == 0
    assert_whole(tier)


def test_an_oversized_entry_takes_the_older_value_of_its_key_away() -> None:
    tier = MemoryTier(max_bytes=4 * WEIGHT)
    fill(tier, "ab")
    tier.set(key("a"), entry(bytes(4 * WEIGHT)))
    assert kept(tier, "ab") == ["b"]
    assert_whole(tier)


def test_a_tier_without_room_keeps_nothing() -> None:
    for tier in (MemoryTier(max_entries=0), MemoryTier(max_bytes=0)):
        fill(tier, "ab")
        assert tier.size().entries == 0


def test_overwriting_adjusts_the_bytes() -> None:
    tier = MemoryTier()
    for length in (10, 500, 0):
        tier.set(key(1), entry(bytes(length)))
        assert tier.size().bytes == WEIGHT + length
    assert tier.size().entries == 1
    assert_whole(tier)


def test_an_overwriting_entry_that_grows_makes_room() -> None:
    tier = MemoryTier(max_bytes=4 * WEIGHT)
    for name in "abcd":
        tier.set(key(name), entry())
    tier.set(key("d"), entry(bytes(2 * WEIGHT)))
    assert kept(tier, "abcd") == ["c", "d"] or kept(tier, "abcd") == ["d"]
    assert_whole(tier)


# Deletion


def test_deleted_entries_are_gone_and_deleting_again_changes_nothing() -> None:
    tier = MemoryTier()
    fill(tier, "abc")
    for _ in range(2):
        tier.delete_many([key("a"), key("b"), key("unknown")])
        assert kept(tier, "abc") == ["c"]
        assert_whole(tier)


def test_a_key_that_is_stored_again_takes_its_old_place() -> None:
    tier = MemoryTier(max_entries=3)
    fill(tier, "abc")
    tier.delete_many([key("a")])
    fill(tier, "a")
    assert_whole(tier)
    fill(tier, "d")
    assert kept(tier, "abcd") == ["b", "c", "d"]


def test_a_deleted_key_makes_room_for_another() -> None:
    tier = MemoryTier(max_entries=3)
    fill(tier, "abc")
    tier.delete_many([key("b")])
    fill(tier, "d")
    assert kept(tier, "abcd") == ["a", "c", "d"]
    assert tier.size().evictions == 0


def test_a_deleted_key_loses_its_visits() -> None:
    tier = MemoryTier(max_entries=3)
    fill(tier, "abc")
    for _ in range(3):
        tier.peek(key("a"))
    tier.delete_many([key("a")])
    assert visits(tier, "abc") == {}
    fill(tier, ["a", "d"])
    assert kept(tier, "abcd") == ["b", "c", "d"]


def test_what_deletes_leave_behind_does_not_pile_up() -> None:
    tier = MemoryTier()
    for name in range(10_000):
        tier.set(key(name), entry())
        tier.delete_many([key(name)])
    fill(tier, "ab")
    assert len(tier._entries) <= 2 * memory._TOMBSTONES_MIN
    assert kept(tier, "ab") == ["a", "b"]
    assert_whole(tier)


def test_clearing_forgets_all() -> None:
    tier = MemoryTier(max_entries=5)
    fill(tier, range(8))
    tier.clear()
    assert tier.size().entries == tier.size().bytes == 0
    fill(tier, range(5))
    assert tier.size().entries == 5
    assert_whole(tier)


# Against a model

NAMES = [key(name) for name in range(12)]
names = st.sampled_from(NAMES)
payloads = st.integers(0, 900).map(bytes)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), names, payloads, st.integers(-5, 5)),
        st.tuples(st.just("get"), names),
        st.tuples(st.just("delete"), names),
        st.tuples(st.just("clear")),
    ),
    max_size=120,
)


@given(steps, st.integers(0, 3000), st.integers(0, 8))
def test_it_returns_what_was_stored_last_or_nothing(
    taken: list[tuple[Any, ...]], max_bytes: int, max_entries: int
) -> None:
    tier = MemoryTier(max_bytes, max_entries)
    model: dict[bytes, Entry] = {}
    for step in taken:
        match step:
            case "set", name, body, seconds:
                model[name] = entry(body, expires=NOW + seconds)
                tier.set_many({name: model[name]}, NOW)
            case "get", name:
                assert tier.get(name) in (None, model.get(name))
            case "delete", name:
                model.pop(name, None)
                tier.delete_many([name])
                assert tier.get(name) is None
            case _:
                model.clear()
                tier.clear()
        assert_whole(tier)
    assert all(model[name] == found for name, found in tier.get_many(NAMES).items())
