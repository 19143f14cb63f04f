"""The memory tier: its bounds, what it evicts, and how entries are packed."""

import hashlib
import itertools
import math
import random
import struct
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apicache.entry import Entry
from apicache.packed import HEADER, INLINE, Meta, _below, expires, meta, pack, unpack
from apicache.tier import Tier, TierPlace
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


# Eviction


def test_entries_that_nobody_read_again_leave_first() -> None:
    tier = MemoryTier(max_entries=10)
    fill(tier, range(10))
    for _ in range(2):
        for name in (0, 3, 5):
            tier.peek(key(name))
    fill(tier, range(10, 17))
    assert kept(tier, range(10)) == [0, 3, 5]


def test_a_key_that_left_a_short_while_ago_comes_back_into_the_main_queue() -> None:
    tier = MemoryTier(max_entries=10)
    fill(tier, range(11))
    fill(tier, [0])
    assert key(0) in tier._main
    fill(tier, range(11, 30))
    assert kept(tier, [0, 1, 2]) == [0]


def test_a_visit_spares_an_entry_of_the_main_queue_once() -> None:
    tier = MemoryTier(max_entries=10)
    fill(tier, range(11))
    fill(tier, range(10))  # each has just left, so each enters the main queue
    assert [key(name) for name in range(10)] == list(tier._main)
    tier.peek(key(0))
    tier.peek(key(1))
    tier.peek(key(1))
    fill(tier, ["new"])
    assert kept(tier, range(4)) == [0, 1, 3]
    assert visits(tier, range(10)) == {1: 1}
    assert_whole(tier)


def test_visits_in_the_small_queue_are_spent_on_leaving_it() -> None:
    tier = MemoryTier(max_entries=10)
    fill(tier, range(10))
    for _ in range(5):
        tier.peek(key(0))
    fill(tier, ["new"])
    assert kept(tier, range(3)) == [0, 2]
    assert list(tier._main) == [key(0)]
    assert visits(tier, range(10)) == {}
    assert often(tier) == []
    assert_whole(tier)


def test_a_key_that_left_long_ago_is_a_new_one() -> None:
    tier = MemoryTier(max_entries=10)
    fill(tier, range(30))
    fill(tier, [0])
    assert key(0) not in tier._main


def test_ghosts_are_found_however_much_their_number_grows() -> None:
    ghosts = memory._Ghosts(1000)
    for name in range(1000):
        ghosts.add(key(name))
    found = sum(ghosts.take(key(name), 1000) for name in range(1000))
    assert found > 700
    assert sum(ghosts.take(key(name), 1000) for name in range(1000)) == 0
    assert not any(ghosts.take(key(name), 1000) for name in range(1000, 3000))


def test_a_store_full_of_visited_entries_still_takes_new_ones() -> None:
    tier = MemoryTier(max_entries=2000)
    fill(tier, range(2000))
    for _ in range(3):
        tier.get_many([key(name) for name in range(2000)])
    fill(tier, [2000])
    assert 0 < len(tier._main) <= memory._REPRIEVES_MAX  # one write does not go round the whole store
    fill(tier, range(2001, 2300))
    assert tier.size().entries == 2000
    assert kept(tier, [2299]) == [2299]
    assert len(kept(tier, range(2000))) >= 1700
    assert_whole(tier)


def test_an_expired_entry_at_the_head_goes_before_others_however_often_it_was_read() -> None:
    tier = MemoryTier(max_entries=3)
    tier.set(key("old"), entry(expires=NOW + 1))
    fill(tier, "ab")
    for _ in range(3):
        tier.peek(key("old"))
    fill(tier, "c", now=NOW + 1)
    assert kept(tier, ["old", "a", "b", "c"]) == ["a", "b", "c"]
    assert tier.size().evictions == 0  # it gave way to nobody: it had ended
    assert_whole(tier)


def test_an_expired_entry_is_returned_while_it_is_there() -> None:
    tier = MemoryTier()
    tier.set_many({key(1): entry(expires=NOW + 1)}, NOW + 5)
    assert tier.get(key(1)) == entry(expires=NOW + 1)


class Queue:
    """FIFO, or LRU, by number of entries."""

    def __init__(self, room: int, *, touch: bool) -> None:
        self.room, self.touch = room, touch
        self.held: OrderedDict[bytes, None] = OrderedDict()

    def visit(self, name: bytes) -> bool:
        if name in self.held:
            if self.touch:
                self.held.move_to_end(name)
            return True
        if len(self.held) == self.room:
            self.held.popitem(last=False)
        self.held[name] = None
        return False


def scanned_trace() -> list[bytes]:
    """2,000 keys drawn by Zipf's law, 20,000 times; after every 500 a scan of 150 keys that come once."""
    chance = random.Random(7)  # noqa: S311 - a trace has no secrets
    drawn = chance.choices(range(2000), weights=[1 / (rank + 1) for rank in range(2000)], k=20_000)
    trace = []
    for position, rank in enumerate(drawn):
        trace.append(key(rank))
        if position % 500 == 0:
            trace.extend(key((position, number)) for number in range(150))
    return trace


def test_scans_cost_it_fewer_hits_than_fifo_and_lru() -> None:
    tier, value = MemoryTier(max_entries=200), entry()

    def visit(name: bytes) -> bool:
        if tier.peek(name) is not None:
            return True
        tier.set(name, value)
        return False

    trace = scanned_trace()
    fifo, lru = Queue(200, touch=False), Queue(200, touch=True)
    ours = sum(map(visit, trace)) / len(trace)
    assert ours > sum(map(lru.visit, trace)) / len(trace) + 0.05
    assert ours > sum(map(fifo.visit, trace)) / len(trace) + 0.05
    assert_whole(tier)


# Threads, interrupts, forks


def test_eight_threads_leave_it_whole() -> None:
    tier = MemoryTier(max_bytes=40 * (WEIGHT + 50), max_entries=35)
    names = [key(name) for name in range(80)]
    wrong: list[object] = []

    def hammer(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - nor has a mix of calls
        try:
            for _ in range(1500):
                name, draw = chance.choice(names), chance.random()
                if draw < 0.6:
                    found = tier.get(name)
                    if found is not None and not found.payload.startswith(name):
                        wrong.append(found)
                elif draw < 0.9:
                    tier.set(name, entry(name + bytes(chance.randrange(100))))
                elif draw < 0.998:
                    tier.delete_many(chance.sample(names, 3))
                else:
                    tier.clear()
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            wrong.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert_whole(tier)


def test_reading_waits_for_no_writer() -> None:
    tier = MemoryTier()
    fill(tier, "a")
    seen: list[Entry | None] = []
    with tier._writing:
        reader = threading.Thread(target=lambda: seen.append(tier.get(key("a"))))
        reader.start()
        reader.join(10)
        assert seen == [entry(b"a")]


def test_readers_mark_while_writers_make_the_table_grow_and_clear_it() -> None:
    tier = MemoryTier()
    wrong: list[BaseException] = []
    written = threading.Event()

    def read(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - a mix of reads
        try:
            while not written.is_set():
                for _ in range(200):
                    tier.peek(key(chance.randrange(2000)))
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            wrong.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            tier.clear()
            fill(tier, range(2000))
        written.set()
        for thread in threads:
            thread.join()
    finally:
        written.set()
        sys.setswitchinterval(interval)
    assert wrong == []
    assert_whole(tier)


def test_marks_last_when_the_table_grows() -> None:
    tier = MemoryTier()
    fill(tier, range(8))
    tier.get_many([key(name) for name in range(8)])
    before = visits(tier, range(8))
    assert len(before) > 4
    fill(tier, range(8, 2000))
    tier.get_many([key(name) for name in range(8, 2000)])
    assert len(tier._visits._table[0]) == 8 * 2048
    assert len(visits(tier, range(2000))) > 1700
    assert len(visits(tier, before)) >= len(before) - 1


def test_what_is_read_often_needs_no_more_counting_and_loses_that_when_it_goes() -> None:
    tier = MemoryTier(max_entries=3)
    fill(tier, "abc")
    for _ in range(2):
        tier.peek(key("a"))
    assert often(tier) == []
    tier.peek(key("a"))
    assert often(tier) == [key("a")]
    assert_whole(tier)
    tier.set(key("a"), entry(b"another"))
    assert often(tier) == [key("a")]
    assert tier.get(key("a")) == entry(b"another")
    assert_whole(tier)
    tier.delete_many([key("a")])
    assert_whole(tier)
    fill(tier, "a")
    assert often(tier) == []
    assert visits(tier, "a") == {}


def test_an_entry_read_often_outlives_another_that_takes_its_slot() -> None:
    tier = MemoryTier(max_entries=10)
    fill(tier, range(10))
    for _ in range(3):
        tier.peek(key(0))
    tier._visits._table[0][:] = bytes(len(tier._visits._table[0]))
    fill(tier, ["new"])
    assert kept(tier, [0, 1]) == [0]
    assert list(tier._main) == [key(0)]


def test_no_more_entries_are_marked_as_read_often_than_there_is_room_for() -> None:
    tier = MemoryTier(max_bytes=160 * WEIGHT)
    for name in range(100):
        tier.set(key(name), entry())
    for _ in range(5):
        tier.get_many([key(name) for name in range(100)])
    assert 0 < len(often(tier)) < 100
    assert_whole(tier)


def test_a_writer_at_work_keeps_no_reader_waiting_that_would_mark_an_entry_as_read_often() -> None:
    tier = MemoryTier()
    fill(tier, "a")
    for _ in range(2):
        tier.peek(key("a"))
    seen: list[Entry | None] = []
    with tier._writing:
        reader = threading.Thread(target=lambda: seen.append(tier.get(key("a"))))
        reader.start()
        reader.join(10)
        assert seen == [entry(b"a")]
    assert often(tier) == []
    tier.peek(key("a"))
    assert often(tier) == [key("a")]


def test_an_interrupt_amid_a_write_costs_entries_and_never_hangs() -> None:
    tier = MemoryTier(max_entries=5)
    fill(tier, range(5))
    tier._small.clear()  # as if the interrupt had come before each entry's place was taken
    fill(tier, range(5, 12))
    assert tier.size().entries == 5
    tier._small.append(key("queued only"))
    tier._small.appendleft(key("queued only too"))
    fill(tier, range(20, 40))
    assert tier.size().entries == 5
    assert_whole(tier)


FORKING = """
import hashlib, os, sys, threading
from apicache.entry import Entry
from apicache.tiers.memory import MemoryTier

tier = MemoryTier()
key, entry = hashlib.sha256(b"k").digest(), Entry("o", "value", b"v", 1.0, 2.0, 3.0)
tier.set(key, entry)
held, done = threading.Event(), threading.Event()

def write():
    with tier._writing:
        held.set()
        done.wait()

if sys.argv[1] == "writing":
    threading.Thread(target=write).start()
    held.wait()
child = os.fork()
if child == 0:
    before = tier.get(key)
    tier.set(key, entry)
    os._exit(10 + (before is not None) if tier.get(key) == entry and tier.size().entries == 1 else 1)
done.set()
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(status if tier.get(key) == entry else 2)
"""


@pytest.mark.parametrize(("parent", "status"), [("idle", 11), ("writing", 10)])
def test_a_forked_child_writes_and_keeps_the_entries_unless_a_write_was_cut(parent: str, status: int) -> None:
    child = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKING, parent], check=False, timeout=30)
    assert child.returncode == status


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
