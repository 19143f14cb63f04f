"""Misses that are answered in one go, and where they go on as every other one does."""

import asyncio
import contextvars
import dataclasses
import threading

import pytest

from apicache import UnifiedAPICache
from apicache.near_loads import NearLoads
from apicache.tiers.memory import MemoryTier


class Upstream:
    """A cache in memory alone, and an operation whose first stretch is `does`."""

    def __init__(self, does=lambda question: f"answer to {question}", **options):
        self.loads = 0
        self.cache = UnifiedAPICache.create(**options)

        @self.cache.operation("ask")
        async def ask(question):
            self.loads += 1
            result = does(question)
            return await result if asyncio.iscoroutine(result) else result

    def ask(self, question="why"):
        return self.cache.cached_api_call(operation="ask", question=question)

    def run(self, *questions):
        async def all_of_them():
            return [await self.ask(question) for question in questions]

        return asyncio.run(all_of_them())

    @property
    def counts(self):
        stats = self.cache.get_stats()
        return {name: stats[name] for name in ("cache_hits", "cache_misses", "coalesced", "stored", "not_stored")}

    @property
    def makes_loads_in_one_go(self):
        return isinstance(self.cache._bound_operation("ask").near_loads, NearLoads)

    @property
    def flights(self):
        return len(self.cache._engine.flights)


def test_a_load_that_does_not_wait_is_stored_and_counted_once():
    upstream = Upstream()
    assert upstream.run("a", "a", "b") == ["answer to a", "answer to a", "answer to b"]
    assert upstream.makes_loads_in_one_go
    assert upstream.counts == {"cache_hits": 1, "cache_misses": 2, "coalesced": 0, "stored": 2, "not_stored": 0}
    assert upstream.flights == 0


SPECIAL = {
    "tags": {"policy": {"tags": ["t"]}},
    "jitter": {"policy": {"jitter": 0.5}},
    "a negative ttl": {"policy": {"negative_ttl": 5}},
    "a hard timeout": {"policy": {"hard_timeout": 5}},
    "a soft timeout": {"policy": {"soft_timeout": 5}},
    "nothing kept": {"policy": {"ttl": 0}},
    "a ttl by result": {"policy": {"ttl": lambda _result: 5}},
    "shadow mode": {"mode": "shadow"},
    "two tiers": {"tiers": [MemoryTier(), MemoryTier()]},
    "no tier": {"tiers": []},
}


@pytest.mark.parametrize("what", SPECIAL)
def test_whatever_is_special_is_left_to_the_engine(what):
    upstream = Upstream(**SPECIAL[what])
    assert upstream.run("a") == ["answer to a"]
    assert not upstream.makes_loads_in_one_go


def test_a_disk_tier_is_left_to_the_engine(tmp_path):
    upstream = Upstream(directory=tmp_path)
    assert upstream.run("a") == ["answer to a"]
    assert not upstream.makes_loads_in_one_go
    upstream.cache.close()


def test_one_task_of_its_own_runs_the_load_before_and_after_it_waits():
    seen = []

    async def slowly(_question):
        seen.append(asyncio.current_task())
        async with asyncio.timeout(5):  # takes the current task at its begin
            await asyncio.sleep(0)
            seen.append(asyncio.current_task())
            await asyncio.get_running_loop().run_in_executor(None, int)
        seen.append(asyncio.current_task())
        return "slow"

    async def main():
        return await upstream.ask(), asyncio.current_task()

    upstream = Upstream(slowly)
    answer, caller = asyncio.run(main())
    assert answer == "slow"
    assert len(set(seen)) == 1
    assert caller not in seen
    assert upstream.counts["stored"] == 1
    assert upstream.flights == 0


def test_callers_in_the_same_loop_share_a_load_that_waits():
    async def slowly(question):
        await asyncio.sleep(0)
        return [question]

    async def main():
        return await asyncio.gather(*(upstream.ask() for _ in range(5)))

    upstream = Upstream(slowly)
    answers = asyncio.run(main())
    assert answers == [["why"]] * 5
    assert len({id(answer) for answer in answers}) == 5
    assert upstream.loads == 1
    assert upstream.counts["coalesced"] == 4


def test_a_thread_that_joins_in_the_first_stretch_gets_a_copy():
    joined = threading.Event()
    began = threading.Event()

    def blocks(question):
        began.set()
        assert joined.wait(5)
        return {"asked": question}

    upstream = Upstream(blocks)
    other = []

    def follow():
        assert began.wait(5)
        other.append(upstream.run("why")[0])

    def watch():
        while not any(flight.wakes for flight in list(upstream.cache._engine.flights._flights.values())):
            threading.Event().wait(0.001)
        joined.set()

    threads = [threading.Thread(target=work) for work in (follow, watch)]
    for thread in threads:
        thread.start()
    (mine,) = upstream.run("why")
    for thread in threads:
        thread.join(5)
    assert mine == other[0] == {"asked": "why"}
    assert mine is not other[0]
    assert upstream.loads == 1
    assert upstream.counts["coalesced"] == 1


@pytest.mark.parametrize("error", [ValueError("no"), StopAsyncIteration(), OSError()], ids=repr)
def test_an_error_is_raised_counted_and_not_kept(error):
    def fails(_question):
        raise error

    upstream = Upstream(fails)
    for _ in range(2):
        with pytest.raises(type(error)):
            upstream.run("a")
    assert upstream.loads == 2
    assert upstream.counts == {"cache_hits": 0, "cache_misses": 0, "coalesced": 0, "stored": 0, "not_stored": 0}
    assert upstream.cache.get_stats()["load_errors"] == 2
    assert upstream.flights == 0


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
def test_an_interrupt_in_the_first_stretch_leaves_no_flight(error):
    def interrupted(_question):
        raise error

    upstream = Upstream(interrupted)

    async def main():
        try:
            await upstream.ask()
        except BaseException as raised:  # noqa: BLE001 - of any kind
            return type(raised)

    assert asyncio.run(main()) is error
    assert upstream.flights == 0
    assert upstream.cache.get_stats()["load_errors"] == 0


def test_a_load_that_asks_for_its_own_key_makes_that_call_by_itself():
    depth = 0

    async def again(question):
        nonlocal depth
        depth += 1
        return "bottom" if depth == 3 else await upstream.ask(question)

    upstream = Upstream(again)
    assert upstream.run("a") == ["bottom"]
    assert depth == 3


def test_a_load_that_asks_for_another_key_is_no_circle():
    async def of_each_other(question):
        return 1 if question == 0 else await upstream.ask(question - 1) + 1

    upstream = Upstream(of_each_other)
    assert upstream.run(5) == [6]
    assert upstream.loads == 6
    assert upstream.run(3) == [4]
    assert upstream.loads == 6


def test_what_is_invalidated_in_the_first_stretch_is_not_kept():
    def invalidates(_question):
        upstream.cache.invalidate_sync(operation="ask")
        return "old"

    upstream = Upstream(invalidates)
    assert upstream.run("a", "a") == ["old", "old"]
    assert upstream.counts["not_stored"] == 2


@dataclasses.dataclass
class Undeclared:
    number: int


def test_a_result_that_cannot_be_stored_is_returned_and_counted():
    upstream = Upstream(lambda _question: Undeclared(1))
    assert upstream.run("a") == [Undeclared(1)]
    assert upstream.counts["not_stored"] == 1
    assert upstream.flights == 0


class Broken(MemoryTier):
    """Memory that takes nothing."""

    def put(self, key, packed, now):
        raise OSError

    def set_many(self, entries, now, /):
        raise OSError


def test_a_tier_that_fails_is_counted_and_the_call_answered():
    upstream = Upstream(tiers=[Broken()])
    assert upstream.run("a") == ["answer to a"]
    assert upstream.cache.get_stats()["tier_errors"] == {"memory": 1}


def test_a_hook_that_is_added_later_sees_the_next_miss():
    upstream, seen = Upstream(), []
    upstream.run("a")
    upstream.cache.add_hook(lambda event: seen.append(event.kind))
    upstream.run("b")
    assert seen == ["miss", "stored"]


def test_what_the_load_sets_in_its_context_stays_there():
    variable = contextvars.ContextVar("variable", default="outside")

    def sets(_question):
        variable.set("inside")
        return variable.get()

    async def main():
        return await upstream.ask(), variable.get()

    upstream = Upstream(sets)
    assert asyncio.run(main()) == ("inside", "outside")


@pytest.mark.parametrize("question", [2**70, -(2**70), 0, True, None, 1.5, b"x", "ü"], ids=repr)
def test_any_immutable_parameter_is_told_from_others(question):
    upstream = Upstream(repr)
    assert upstream.run(question, question, "other") == [repr(question), repr(question), "'other'"]
    assert upstream.loads == 2


def test_a_text_that_no_key_can_hold_is_called_uncached(caplog):
    upstream = Upstream(repr)
    assert upstream.run("\ud800", "\ud800") == [repr("\ud800")] * 2
    assert upstream.loads == 2
    assert "lone surrogates" in caplog.text


def test_one_cache_serves_several_event_loops_one_after_another():
    upstream = Upstream()
    for number in range(5):
        upstream.run(f"question {number}")
    assert upstream.counts["stored"] == 5


def test_a_stored_result_is_the_callers_to_change():
    upstream = Upstream(lambda _question: ["kept"])
    upstream.run("a")[0].append("changed")
    assert upstream.run("a") == [["kept"]]
