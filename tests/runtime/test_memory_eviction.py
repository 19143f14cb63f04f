"""What the memory tier evicts."""

import importlib.util
import random
from collections import OrderedDict
from pathlib import Path
from typing import Any

from apicache.tiers import memory
from apicache.tiers.memory import MemoryTier

_spec = importlib.util.spec_from_file_location("memory_entries", Path(__file__).with_name("memory_entries.py"))
small: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small)
NOW, assert_whole, entry, fill, kept, key, often, visits = (
    small.NOW,
    small.assert_whole,
    small.entry,
    small.fill,
    small.kept,
    small.key,
    small.often,
    small.visits,
)


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
