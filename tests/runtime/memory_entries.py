"""Entries for the memory tier, and what it holds of them."""

import hashlib
from collections.abc import Iterable, Sequence

from apicache.entry import Entry
from apicache.packed import HEADER
from apicache.tiers import memory
from apicache.tiers.memory import OVERHEAD, MemoryTier

NOW = 1_700_000_000.0
WEIGHT = 32 + HEADER.size + OVERHEAD
"""Bytes that an entry without a payload takes."""


def key(name: object) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


def entry(payload: bytes = b"", expires: float = NOW + 60, tags: tuple[str, ...] = ()) -> Entry:
    return Entry("completion", "value", payload, NOW, min(NOW + 30, expires), expires, tags=tags)


def fill(tier: MemoryTier, names: Sequence[object], now: float = NOW) -> None:
    for name in names:
        tier.set_many({key(name): entry(str(name).encode())}, now)


def kept(tier: MemoryTier, names: Sequence[object]) -> list[object]:
    """What is there, without a visit."""
    return [name for name in names if tier._entries.get(key(name)) is not None]


def visits(tier: MemoryTier, names: Iterable[object]) -> dict[object, int]:
    """The visits to those that have any; counts none."""
    counts = {}
    table, mask = tier._visits._table
    for name in names:
        number, tag = memory._place(key(name))
        count = table[number & mask] ^ (tag & memory._TAG)
        if 0 < count <= memory._VISITS_MAX:
            counts[name] = count
    return counts


def often(tier: MemoryTier) -> list[bytes]:
    return [name for name, packed in tier._entries.items() if type(packed) is memory._Often]


def assert_whole(tier: MemoryTier) -> None:
    """Queues, dict, counts and bytes agree, and both hold the same key objects."""
    queued = [*tier._small, *tier._main]
    assert len(queued) == len(set(queued)) == len(tier._entries)
    assert {id(name) for name in queued} == {id(name) for name in tier._entries}
    live = {name: value for name, value in tier._entries.items() if value is not None}
    size = tier.size()
    assert size.entries == len(live) == len(tier._entries) - tier._tombstones
    assert size.bytes == sum(len(name) + len(value) + OVERHEAD for name, value in live.items())
    assert tier._often == sum(len(value) for value in live.values() if type(value) is memory._Often)
    assert tier._often <= tier._often_max
    assert size.max_bytes is not None
    assert size.bytes <= size.max_bytes
    assert size.max_entries is not None
    assert size.entries <= size.max_entries
