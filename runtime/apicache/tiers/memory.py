"""Memory: entries in this process, evicted by S3-FIFO, bounded in bytes and in entries.

Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023. A new entry enters a small
queue, and leaves it for the main one only if it was read again; so a scan passes through a tenth of the store. A key
that left the small queue a short while ago enters the main one at once. Reading moves nothing, so it needs no lock.
"""

import math
import struct
import threading
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import ClassVar, Final

import msgspec

from apicache import forks
from apicache.entry import Entry
from apicache.packed import expires, pack, unpack
from apicache.tier import TierPlace, TierSize

OVERHEAD: Final = 270
"""Bytes an entry takes beside its key and its packed form, as resident memory shows.

140 for two objects' headers, the dict's slot and the queue's, in a store that fills (`tests/figures/hit_ratio.py`); 8
to 16 more once entries were read. In one that is full and takes new entries, 250 to 266: the dict grows to three times
its keys, and the ghosts take 16 to 32. The largest sum counts, so that `max_bytes` bounds what it really takes.
"""

_SMALL_SHARE: Final = 10
"""The small queue is kept to one in this many entries: the paper's share."""
_PROMOTING_VISITS: Final = 2
"""Visits that take an entry from the small queue to the main one: the paper's `freq > 1`."""
_VISITS_MAX: Final = 3
_REPRIEVES_MAX: Final = 256
"""Entries that one eviction may spare: where all were visited, a write would otherwise go round the whole store."""
_TOMBSTONES_MIN: Final = 1024
_SLOTS_PER_ENTRY: Final = 8
"""Of the table of visits, at least. On the traces of `tests/figures/hit_ratio.py`, 1 costs 2% of the hits, 8 0.3%."""
_OFTEN_SHARE: Final = 16
"""Packed entries that are `_Often` take at most one in this many of `max_bytes`, and 2 MiB."""
_OFTEN_MAX: Final = 2 * 2**20
_TAG: Final = 0xFC
_place: Callable[[bytes], tuple[int, int]] = struct.Struct("<IB").unpack_from


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[tool.apicache.tiers.memory]`."""

    max_bytes: int = 256 * 2**20
    max_entries: int = 1_000_000


class MemoryTier:
    """Entries in this process, packed. Payloads are immutable bytes, so what a caller mutates is always a copy.

    Every key in `_entries` stands in exactly one of the two queues, once, as the same object. A deleted key keeps both
    places with None for its entry (a tombstone) until it is met at a queue's head or swept: a queue cannot give up
    what is in its middle, and the key comes back to its old place if it is stored again.
    """

    name: ClassVar[str] = "memory"
    blocking: ClassVar[bool] = False

    def __init__(self, max_bytes: int = 256 * 2**20, max_entries: int = 1_000_000) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._often_max = min(max_bytes // _OFTEN_SHARE, _OFTEN_MAX)
        self._evictions = 0
        self._writing = threading.RLock()
        self._reset()
        forks.on_fork(self._after_fork)

    def _reset(self) -> None:
        self._entries: dict[bytes, bytes | None] = {}
        self._visits = _Visits()
        self._often = 0
        self._small: deque[bytes] = deque()
        self._main: deque[bytes] = deque()
        self._ghosts = _Ghosts(0)
        self._bytes = 0
        self._tombstones = 0

    def _after_fork(self) -> None:
        whole = self._writing.acquire(blocking=False)
        self._writing = threading.RLock()
        if not whole:  # another thread of the parent was amid a write, which nobody will finish here
            self._reset()

    def peek(self, key: bytes) -> bytes | None:
        """The packed entry, whether fresh or not; None for none. Counts as a visit, takes no lock."""
        packed = self._entries.get(key)
        if packed is not None and type(packed) is not _Often and self._visits.add(key, self._entries):
            self._mark_often(key, packed)
        return packed

    def _mark_often(self, key: bytes, packed: bytes) -> None:
        """Spare later readers the count, unless a writer is at work: the next reader will try again."""
        if self._often + len(packed) <= self._often_max and self._writing.acquire(blocking=False):
            try:
                if self._entries.get(key) is packed:
                    self._entries[key] = _Often(packed)
                    self._often += len(packed)
            finally:
                self._writing.release()

    def get(self, key: bytes) -> Entry | None:
        """The entry, whether fresh or not; None for none."""
        packed = self.peek(key)
        return None if packed is None else unpack(packed)

    def get_many(self, keys: Sequence[bytes], /) -> dict[bytes, Entry]:
        """The entries there are, whether fresh or not."""
        return {key: unpack(packed) for key in keys if (packed := self.peek(key)) is not None}

    def set(self, key: bytes, entry: Entry) -> None:
        """Store; past a bound others go. An entry larger than the whole bound is not kept, nor its older value."""
        self.put(key, pack(entry), -math.inf)

    def put(self, key: bytes, packed: bytes, now: float) -> None:
        """Store a packed entry, as `set_many` does."""
        self._writing.acquire()  # a third of the time of `with`
        try:
            self._put(key, packed, now)
        finally:
            self._writing.release()

    def set_many(self, entries: Mapping[bytes, Entry], now: float, /) -> None:
        """Store, as `set` does; what expired by `now` and is met at a queue's head goes first."""
        packs = [(key, pack(entry)) for key, entry in entries.items()]
        with self._writing:
            for key, packed in packs:
                self._put(key, packed, now)

    def delete_many(self, keys: Sequence[bytes], /) -> None:
        """Forget entries."""
        with self._writing:
            for key in keys:
                self._delete(key)

    def clear(self) -> None:
        """Forget all."""
        with self._writing:
            self._reset()

    def size(self) -> TierSize:
        """What it holds: `bytes` are the keys, the packed entries, and `OVERHEAD` for each."""
        with self._writing:
            return TierSize(
                entries=self._count(),
                bytes=self._bytes,
                max_bytes=self._max_bytes,
                max_entries=self._max_entries,
                evictions=self._evictions,
            )

    def close(self) -> None:
        """Nothing to release."""

    # What follows runs under `_writing`.

    def _count(self) -> int:
        return len(self._entries) - self._tombstones

    def _put(self, key: bytes, packed: bytes, now: float) -> None:
        entries = self._entries
        weight = len(key) + len(packed) + OVERHEAD
        if weight > self._max_bytes or self._max_entries < 1:
            self._delete(key)
            return
        old = entries.get(key)
        if old is not None:
            if type(old) is _Often:
                self._often += len(packed) - len(old)
                packed = _Often(packed)
            entries[key] = packed  # the dict keeps the key object that the queue holds
            self._bytes += weight - _weight(key, old)
            self._make_room(0, 0, now)
            return
        if self._bytes + weight > self._max_bytes or len(entries) - self._tombstones >= self._max_entries:
            self._make_room(weight, 1, now)
            entries = self._entries
        if self._tombstones and key in entries:
            self._tombstones -= 1
        elif self._ghosts.any and self._ghosts.take(key, len(entries) - self._tombstones):
            self._main.append(key)
        else:
            self._small.append(key)
        entries[key] = packed
        self._bytes += weight

    def _delete(self, key: bytes) -> None:
        packed = self._entries.get(key)
        if packed is None:
            return
        self._entries[key] = None
        self._tombstones += 1
        self._bytes -= _weight(key, packed)
        self._take_visits(key, packed)
        if self._tombstones > self._count() + _TOMBSTONES_MIN:
            self._sweep()

    def _sweep(self) -> None:
        """Take the tombstones out: they are the greater part, so each delete pays for a constant share of this."""
        entries = self._entries
        self._small = deque(key for key in self._small if entries.get(key) is not None)
        self._main = deque(key for key in self._main if entries.get(key) is not None)
        self._entries = {key: packed for key, packed in entries.items() if packed is not None}
        self._tombstones = 0

    def _make_room(self, more_bytes: int, more_entries: int, now: float) -> None:
        while self._bytes + more_bytes > self._max_bytes or self._count() + more_entries > self._max_entries:
            self._evict(now)

    def _evict(self, now: float) -> None:
        """Let one entry go; all of them if an interrupt amid a write left entries that stand in no queue."""
        if not (self._small or self._main):
            self._reset()
            return
        for spared in range(_REPRIEVES_MAX + 1):
            small, main = self._small, self._main
            from_small = not main or len(small) * _SMALL_SHARE >= len(small) + len(main)
            item = self._next(small if from_small else main)
            if item is None:
                continue
            key, packed = item
            visits = self._take_visits(key, packed)
            if expires(packed) <= now:
                self._forget(key, packed)
                return
            worth = visits - _PROMOTING_VISITS if from_small else visits - 1
            if worth >= 0 and spared < _REPRIEVES_MAX:
                self._keep(key, packed, 0 if from_small else worth)
                continue
            if from_small:
                self._remember(key)
            self._forget(key, packed)
            self._evictions += 1
            return

    def _next(self, queue: deque[bytes]) -> tuple[bytes, bytes] | None:
        """The entry at a queue's head, taken out of the queue, past tombstones; None when only those were left."""
        while queue:
            key = queue.popleft()
            packed = self._entries.get(key)
            if packed is not None:
                return key, packed
            if key in self._entries:
                del self._entries[key]
                self._tombstones -= 1
        return None

    def _take_visits(self, key: bytes, packed: bytes) -> int:
        """The visits to an entry that goes, or is to start anew."""
        visits = self._visits.take(key)
        if type(packed) is not _Often:
            return visits
        self._often -= len(packed)
        return _VISITS_MAX

    def _keep(self, key: bytes, packed: bytes, visits: int) -> None:
        """Put a key at the end of the main queue; one from the small queue starts there without visits."""
        if type(packed) is _Often:
            self._entries[key] = bytes(packed)
        if visits:
            self._visits.put(key, visits)
        self._main.append(key)

    def _remember(self, key: bytes) -> None:
        count = self._count()
        if count > self._ghosts.room:
            self._ghosts = _Ghosts(count)
        self._ghosts.add(key)

    def _forget(self, key: bytes, packed: bytes) -> None:
        del self._entries[key]
        self._bytes -= _weight(key, packed)


class _Ghosts:
    """The keys that left the small queue last, as the paper keeps them: fingerprints in a table of fixed size.

    A slot holds 32 bits of the key and, in the lower 32, how many had left before it. A later key of the same slot
    takes it over: that loses a fifth of the ghosts at most, for 16 to 32 bytes each where a queue and a set take 100.
    """

    _FEWEST: Final = 64

    def __init__(self, keys: int) -> None:
        self.room = 1 << (max(keys, self._FEWEST) - 1).bit_length()
        """Keys for which it is large enough: `keys`, rounded up to a power of two."""
        self._slots = 2 * self.room
        self._table = array("Q", bytes(8 * self._slots))
        self._left = 0
        self.any = False

    def add(self, key: bytes) -> None:
        """Take in a key that leaves."""
        self.any = True
        self._left = (self._left + 1) & 0xFFFFFFFF
        number = int.from_bytes(key[:8], "little")
        self._table[number % self._slots] = (number >> 32 << 32) | self._left

    def take(self, key: bytes, keys: int) -> bool:
        """Whether a key was among the last `keys` that left; it is forgotten thereby."""
        number = int.from_bytes(key[:8], "little")
        slot = number % self._slots
        known = self._table[slot]
        if known >> 32 != number >> 32:
            return False
        self._table[slot] = 0
        return (self._left - known) & 0xFFFFFFFF < keys


class _Often(bytes):
    """A packed entry with `_VISITS_MAX` visits: its type spares its readers the look into the table of visits.

    Not all are: each takes 16 bytes more and a part of each garbage collection, and leaves a gap where it was copied.
    """

    __slots__ = ()


class _Visits:
    """How often each key was read, up to `_VISITS_MAX`, in a byte of a table: 6 bits of the key, then 2 of the count.

    Who reads a key takes its slot over from another. Readers come without a lock, and at any moment: of two marks at
    once one may be lost, and one may outlive its entry, which then counts as read if it is stored again.
    """

    _FEWEST: Final = 64

    def __init__(self) -> None:
        self._table = bytearray(self._FEWEST), self._FEWEST - 1
        """The table and the bits that are a slot's number: one attribute, for readers that overlap with growth."""

    def add(self, key: bytes, entries: Sized) -> bool:
        """Count a visit to a key of `entries`; whether it has as many as are counted."""
        table, mask = self._table
        number, tag = _place(key)
        tag &= _TAG
        slot = number & mask
        visits = table[slot] ^ tag
        if visits < _VISITS_MAX:
            table[slot] = tag + visits + 1
            return visits == _VISITS_MAX - 1
        if visits == _VISITS_MAX:
            return True
        if len(entries) * _SLOTS_PER_ENTRY > len(table):
            table, mask = self._grow(table, len(entries))
        table[number & mask] = tag + 1
        return False

    def take(self, key: bytes) -> int:
        """The visits to a key, which has none from then on."""
        table, mask = self._table
        number, tag = _place(key)
        slot = number & mask
        visits = table[slot] ^ (tag & _TAG)
        if visits > _VISITS_MAX:  # another key's
            return 0
        table[slot] = 0
        return visits

    def put(self, key: bytes, visits: int) -> None:
        """Set the visits to a key."""
        table, mask = self._table
        number, tag = _place(key)
        table[number & mask] = (tag & _TAG) + visits

    def _grow(self, table: bytearray, keys: int) -> tuple[bytearray, int]:
        """Repeat the table: with more bits of the key, each mark is found again in one of the copies."""
        slots = 1 << (keys * _SLOTS_PER_ENTRY - 1).bit_length()
        self._table = grown = table * (slots // len(table)), slots - 1
        return grown


def _weight(key: bytes, packed: bytes) -> int:
    return len(key) + len(packed) + OVERHEAD


def build(place: TierPlace) -> MemoryTier:
    """The tier with its options; raises msgspec.ValidationError for one that is not known or of the wrong type."""
    options = msgspec.convert(place.options, Options, strict=False)
    return MemoryTier(options.max_bytes, options.max_entries)
