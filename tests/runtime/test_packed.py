"""How entries are packed."""

import importlib.util
import itertools
import math
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apicache.entry import Entry
from apicache.packed import HEADER, INLINE, Meta, _below, expires, meta, pack, unpack

_spec = importlib.util.spec_from_file_location("memory_entries", Path(__file__).with_name("memory_entries.py"))
small: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small)
NOW, entry = small.NOW, small.entry


# Packed entries

text = st.text("a:é", max_size=5)
finite = st.floats(allow_nan=False, allow_infinity=False)
entries = st.builds(
    Entry,
    operation=st.sampled_from(["completion", "embedding"]),
    codec=st.sampled_from(["value", "httpx"]),
    payload=st.binary(max_size=50),
    created=finite,
    fresh_until=st.floats(allow_nan=False),
    expires=st.floats(allow_nan=False),
    cost=st.sampled_from([0.0, 0.25]),
    compute_seconds=st.sampled_from([0.0, 0.5, 1024.0, 65504.0]),
    tags=st.lists(text, max_size=2).map(tuple),
    validators=st.lists(st.tuples(text, text), max_size=2).map(tuple),
    must_revalidate=st.booleans(),
)


@given(entries)
@example(Entry("o", "value", b"", 6e-16, 8.0, 8.0))  # `created + 8` is rounded to 8, `8 - created` to less
def test_what_is_unpacked_is_what_was_packed_and_lives_no_longer(stored: Entry) -> None:
    created, fresh_for, keep_for, *_ = HEADER.unpack_from(pack(stored))
    assert fresh_for <= stored.fresh_until - created
    assert keep_for <= stored.expires - created
    found = unpack(pack(stored))
    assert found.fresh_until <= stored.fresh_until
    assert found.expires <= stored.expires
    assert found == msgspec.structs.replace(stored, fresh_until=found.fresh_until, expires=found.expires)


@given(st.floats(1e9, 2e9), st.integers(0, 2**24), st.integers(0, 2**24))
def test_whole_seconds_stay_exact(created: float, fresh_for: int, keep_for: int) -> None:
    stored = Entry("o", "value", b"", created, created + fresh_for, created + keep_for)
    assert unpack(pack(stored)) == stored
    assert expires(pack(stored)) == stored.expires


@given(st.floats(1e9, 2e9), st.floats(0, 1e8))
def test_other_times_lose_a_ten_millionth_of_the_ttl_at_most(created: float, seconds: float) -> None:
    stored = Entry("o", "value", b"", created, created + seconds, created + seconds)
    lost = stored.expires - unpack(pack(stored)).expires
    assert 0 <= lost <= seconds * 2**-22 + 1e-6


@given(st.integers(0, 2**32 - 1).map(lambda bits: struct.unpack("<f", struct.pack("<I", bits))[0]))
def test_the_next_smaller_single_is_the_next(number: float) -> None:
    if math.isnan(number) or number == -math.inf:
        return
    below = _below(number)
    assert below < number
    between = (
        struct.unpack("<f", struct.pack("<f", (below + number) / 2))[0] if math.isfinite(below + number) else below
    )
    assert between in (below, number)


def test_what_never_ends_stays_so() -> None:
    stored = Entry("o", "value", b"", NOW, math.inf, math.inf)
    assert unpack(pack(stored)) == stored


@pytest.mark.parametrize(("given_seconds", "stored"), [(1e9, 65504.0), (65520.0, 65504.0), (math.inf, 65504.0)])
def test_a_load_of_a_day_counts_as_eighteen_hours(given_seconds: float, stored: float) -> None:
    load = msgspec.structs.replace(entry(), compute_seconds=given_seconds)
    assert unpack(pack(load)).compute_seconds == stored


def test_a_plain_entry_takes_twenty_bytes_beside_its_payload() -> None:
    data = pack(entry(b"payload"))
    number = HEADER.unpack_from(data)[-1]
    assert len(data) == 20 + len(b"payload")
    assert data[HEADER.size :] == b"payload"
    assert meta(number) == Meta("completion", "value")


def test_an_entry_with_tags_carries_its_meta() -> None:
    data = pack(entry(tags=("user:1",)))
    assert HEADER.unpack_from(data)[-1] == INLINE
    with pytest.raises(KeyError):
        meta(INLINE)


@pytest.mark.parametrize(
    ("known", "cost", "inline"),
    [(65_535, 0.0, True), (65_535, 0.5, True), (40_000, 0.5, True), (40_000, 0.0, False)],
)
def test_an_entry_that_finds_the_table_full_carries_its_meta(
    monkeypatch: pytest.MonkeyPatch, known: int, cost: float, inline: bool
) -> None:
    monkeypatch.setattr("apicache.packed._metas", dict.fromkeys(range(known), Meta("other", "value")))
    monkeypatch.setattr("apicache.packed._numbers", {})
    monkeypatch.setattr("apicache.packed._unused", itertools.count(known))
    stored = msgspec.structs.replace(entry(b"value"), cost=cost)
    data = pack(stored)
    assert (HEADER.unpack_from(data)[-1] == INLINE) is inline
    assert unpack(data) == stored
