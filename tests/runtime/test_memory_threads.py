"""The memory tier among threads, interrupts and forks."""

import importlib.util
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from apicache.entry import Entry
from apicache.tiers.memory import MemoryTier

_spec = importlib.util.spec_from_file_location("memory_entries", Path(__file__).with_name("memory_entries.py"))
small: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small)
WEIGHT, assert_whole, entry, fill, kept, key, often, visits = (
    small.WEIGHT,
    small.assert_whole,
    small.entry,
    small.fill,
    small.kept,
    small.key,
    small.often,
    small.visits,
)


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
