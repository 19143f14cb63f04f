import pytest
from hypothesis import given
from hypothesis import strategies as st

from apicache.entry import Entry, Freshness, decide, seal, unseal
from apicache.identity import key_of

ENTRY = Entry(
    operation="completion", codec="value", payload=b"\x01", created=1.0, expires=2.0, cost=0.5, compute_seconds=0.25
)
GOLDEN = (
    "617069630139c10ee5000000000000003997aa636f6d706c6574696f6ea576616c7565c40101"
    "cb3ff0000000000000cb4000000000000000cb3fe0000000000000cb3fd0000000000000"
)


def test_the_envelope_is_what_it_was_in_the_first_release() -> None:
    assert seal(ENTRY).hex() == GOLDEN
    assert unseal(bytes.fromhex(GOLDEN)) == ENTRY


def test_the_key_is_what_it_was_in_the_first_release() -> None:
    key = key_of(
        operation="completion",
        version="1",
        namespace="",
        scope=None,
        credentials=None,
        parameters={"t": 0.0, "prompt": "hi", "n": 1, "tags": ("a",)},
    )
    assert key == "26c074db41bbd853c4ac24abcf0a3945947f5d7bab3e57ae974281193f368cda"


@given(st.data())
def test_an_envelope_cut_short_or_changed_anywhere_is_a_miss(data: st.DataObject) -> None:
    sealed = seal(ENTRY)
    if data.draw(st.booleans()):
        damaged = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    else:
        position = data.draw(st.integers(0, len(sealed) - 1))
        flip = data.draw(st.integers(1, 255))
        damaged = sealed[:position] + bytes([sealed[position] ^ flip]) + sealed[position + 1 :]
    assert unseal(damaged) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_miss_and_never_an_exception(data: bytes) -> None:
    assert unseal(data) is None
    assert unseal(b"apic\x01" + data) is None


def test_bytes_after_the_body_are_a_miss() -> None:
    assert unseal(seal(ENTRY) + b"x") is None


@pytest.mark.parametrize(
    ("now", "freshness"),
    [(0.0, Freshness.FRESH), (1.999, Freshness.FRESH), (2.0, Freshness.EXPIRED), (9.0, Freshness.EXPIRED)],
)
def test_an_entry_is_fresh_until_its_expiry_and_not_at_it(now: float, freshness: Freshness) -> None:
    assert decide(ENTRY, now) is freshness
