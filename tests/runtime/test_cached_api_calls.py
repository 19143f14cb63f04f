"""Many calls at once: read at once, each key loaded once, in order; and the batches that their misses make."""

import asyncio
import contextvars
import math
import threading

import pytest

from apicache import InputError, UnifiedAPICache
from apicache.clock import ManualClock
from apicache.tier import TierPlace
from apicache.tiers import build
from apicache.tiers.memory import MemoryTier

ITEMS, CACHED, BATCH = 1000, 700, 64
SECONDS = 20.0
"""What a tier may take: on a busy machine, a read that was given up would be a miss."""


@pytest.fixture(params=["memory", "disk", "redis"])
def cache(request, tmp_path):
    if request.param == "memory":
        cache = UnifiedAPICache.create()
    elif request.param == "disk":
        tier = build("disk", TierPlace(directory=tmp_path, options={}, timeout=SECONDS))
        cache = UnifiedAPICache.create(tiers=[MemoryTier(), tier], tier_timeout=SECONDS)
    else:
        tier = request.getfixturevalue("make_redis")(request.getfixturevalue("redis_url"))
        cache = UnifiedAPICache.create(tiers=[MemoryTier(), tier], tier_timeout=SECONDS)
    yield cache
    cache.close()


def embedding(cache, **options):
    """Registers `embed`; gives the items of each upstream call."""
    sent = []

    @cache.batched("embed", over="text", **options)
    async def embed(texts, model="m"):
        sent.append(list(texts))
        await asyncio.sleep(0)
        return [[float(text), float(len(model))] for text in texts]

    return sent


def calls(numbers):
    return [{"operation": "embed", "text": str(number)} for number in numbers]


def test_misses_of_a_batched_operation_are_as_few_upstream_calls_as_can_be(cache):
    sent = embedding(cache, batch_size=BATCH)
    expected = [[float(number), 1.0] for number in range(ITEMS)]
    assert asyncio.run(cache.cached_api_calls(calls(range(CACHED)))) == expected[:CACHED]
    assert cache.flush(SECONDS)
    sent.clear()
    assert asyncio.run(cache.cached_api_calls(calls(range(ITEMS)))) == expected
    assert len(sent) == math.ceil((ITEMS - CACHED) / BATCH)
    assert sorted(int(text) for texts in sent for text in texts) == list(range(CACHED, ITEMS))


def test_concurrent_single_calls_are_as_few_upstream_calls_as_can_be(cache):
    sent = embedding(cache, batch_size=BATCH)

    async def main():
        return await asyncio.gather(*(cache.cached_api_call(**call) for call in calls(range(300))))

    assert asyncio.run(main()) == [[float(number), 1.0] for number in range(300)]
    assert len(sent) == math.ceil(300 / BATCH)


def test_what_only_a_far_tier_has_is_not_sent(cache):
    sent = embedding(cache)
    asyncio.run(cache.cached_api_calls(calls(range(50))))
    assert cache.flush(SECONDS)
    far = cache._engine.tiers.far
    if far:
        for tier in cache._engine.tiers.near:
            tier.clear()
    answers = asyncio.run(cache.cached_api_calls(calls(range(80))))
    assert [answer[0] for answer in answers] == list(range(80))
    assert [len(texts) for texts in sent] == [50, 30]


def test_each_key_is_loaded_once_and_every_place_has_its_own_copy(cache):
    loads = []

    @cache.operation("get", ttl=0)
    async def get(n):
        loads.append(n)
        return [n]

    answers = asyncio.run(cache.cached_api_calls([{"operation": "get", "n": n} for n in (2, 1, 2, 2, 1)]))
    assert answers == [[2], [1], [2], [2], [1]]
    assert sorted(loads) == [1, 2]
    assert len({id(answer) for answer in answers}) == 5


def test_duplicates_share_an_error_too(cache):
    loads = []

    @cache.operation("get")
    def get(n):
        loads.append(n)
        raise ValueError(n)

    wanted = [{"operation": "get", "n": 1}] * 3
    answers = asyncio.run(cache.cached_api_calls(wanted, return_exceptions=True))
    assert [type(answer) for answer in answers] == [ValueError] * 3
    assert loads == [1]


def counting(cache, name="slow"):
    """Registers an operation; gives how many of its loads were under way at most, and at each begin."""
    running = {"now": 0, "most": 0, "begun": []}

    @cache.operation(name)
    async def slow(n):
        running["now"] += 1
        running["most"] = max(running["most"], running["now"])
        running["begun"].append(running["now"])
        await asyncio.sleep(0.001)
        running["now"] -= 1
        return n

    return running


def test_no_more_loads_than_concurrency_are_under_way():
    cache = UnifiedAPICache.create()
    running = counting(cache)
    wanted = [{"operation": "slow", "n": n} for n in range(20)]
    assert asyncio.run(cache.cached_api_calls(wanted, concurrency=3)) == list(range(20))
    assert running["most"] == 3


def test_a_wave_begins_when_the_one_before_it_has_ended():
    cache = UnifiedAPICache.create()
    running, sent = counting(cache), embedding(cache)
    wanted = [{"operation": "slow", "n": n} for n in range(6)] + calls(range(5))
    answers = asyncio.run(cache.cached_api_calls(wanted, batch_size=4))
    assert answers[:6] == list(range(6))
    assert running["begun"] == [1, 2, 3, 4, 1, 2]
    assert sent == [["0", "1"], ["2", "3", "4"]]


def test_batched_and_other_calls_mix_and_keep_their_places():
    cache = UnifiedAPICache.create()
    counting(cache)
    sent = embedding(cache)
    wanted = [*calls([7]), {"operation": "slow", "n": 1}, *calls([8, 7])]
    answers = asyncio.run(cache.cached_api_calls(wanted, concurrency=1))
    assert answers == [[7.0, 1.0], 1, [8.0, 1.0], [7.0, 1.0]]
    assert sent == [["7", "8"]]


def test_two_lists_that_cross_wait_for_each_other_without_end_in_sight(cache):
    sent = embedding(cache)

    async def main():
        async with asyncio.timeout(SECONDS):
            return await asyncio.gather(
                cache.cached_api_calls(calls([1, 2, 3])), cache.cached_api_calls(calls([3, 2, 1, 4]))
            )

    first, second = asyncio.run(main())
    assert first + second == [[float(n), 1.0] for n in (1, 2, 3, 3, 2, 1, 4)]
    assert sorted(text for texts in sent for text in texts) == ["1", "2", "3", "4"]


def test_a_load_that_another_process_makes_holds_up_no_batch(tmp_path):
    cache = UnifiedAPICache.create(directory=tmp_path, tier_timeout=SECONDS)
    other = UnifiedAPICache.create(directory=tmp_path, tier_timeout=SECONDS)
    sent = embedding(cache)
    embedding(other)
    released = asyncio.Event()

    @other.batched("embed2", over="text")
    async def embed2(texts):
        await released.wait()
        return texts

    @cache.batched("embed2", over="text")
    async def embed2_here(texts):
        sent.append(list(texts))
        released.set()
        return texts

    async def main():
        elsewhere = asyncio.ensure_future(other.cached_api_call(operation="embed2", text="1"))
        while not other._engine.leases._held:
            await asyncio.sleep(0.001)
        wanted = [{"operation": "embed2", "text": text} for text in "123"]
        return await cache.cached_api_calls(wanted), await elsewhere

    assert asyncio.run(main()) == (["1", "2", "3"], "1")
    assert [sorted(texts) for texts in sent] == [["2", "3"]]
    cache.close()
    other.close()


def test_exceptions_stand_in_their_places_and_so_does_a_cancelled_load(cache):
    @cache.batched("odd", over="n")
    async def odd(ns):
        return [ValueError(n) if n % 2 else n for n in ns]

    @cache.operation("cancels")
    async def cancels():
        raise asyncio.CancelledError

    wanted = [*({"operation": "odd", "n": n} for n in range(3)), {"operation": "cancels"}]
    answers = asyncio.run(cache.cached_api_calls(wanted, return_exceptions=True))
    assert (answers[0], answers[2]) == (0, 2)
    assert [type(answers[place]) for place in (1, 3)] == [ValueError, asyncio.CancelledError]
    with pytest.raises(ValueError, match="1"):
        asyncio.run(cache.cached_api_calls(wanted))


@pytest.mark.parametrize("mode", ["off", "observe", "shadow"])
def test_modes_that_serve_nothing_still_batch(mode):
    cache = UnifiedAPICache.create(mode=mode)
    sent = embedding(cache)
    assert len(asyncio.run(cache.cached_api_calls(calls([1, 2, 3])))) == 3
    assert sent == [["1", "2", "3"]]


@pytest.mark.parametrize("bounds", [{"concurrency": 0}, {"batch_size": 0}])
def test_a_bound_below_1_is_refused(cache, bounds):
    embedding(cache)
    with pytest.raises(InputError, match="not at least 1"):
        asyncio.run(cache.cached_api_calls(calls([1]), **bounds))
    with pytest.raises(InputError, match="not at least 1"):
        cache.cached_api_calls_sync(calls([1]), **bounds)


# Sync code.


def squares(cache, **options):
    sent, threads = [], []

    @cache.batched("square", over="n", **options)
    def square(ns):
        sent.append(list(ns))
        threads.append(threading.get_ident())
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return [n * n for n in ns]

    @cache.operation("plain")
    def plain(n):
        threads.append(threading.get_ident())
        if n == 3:
            raise ValueError(n)
        return asyncio.run(asyncio.sleep(0, n))

    return sent, threads


def test_sync_code_has_its_misses_sent_together_in_its_own_thread(cache):
    sent, threads = squares(cache, batch_size=2)
    wanted = [*({"operation": "square", "n": n} for n in (1, 2, 3, 1)), {"operation": "plain", "n": 5}]
    assert cache.cached_api_calls_sync(wanted) == [1, 4, 9, 1, 5]
    assert cache.cached_api_calls_sync(wanted) == [1, 4, 9, 1, 5]
    assert [len(ns) for ns in sent] == [2, 1]
    assert sorted(n for ns in sent for n in ns) == [1, 2, 3]
    assert set(threads) == {threading.get_ident()}


def test_sync_code_in_a_running_loop_may_ask_for_many():
    cache = UnifiedAPICache.create()
    sent, _ = squares(cache)

    async def main():
        found = cache.cached_api_calls_sync([{"operation": "square", "n": n} for n in (1, 2)])
        return found, asyncio.get_running_loop() is not None

    assert asyncio.run(main()) == ([1, 4], True)
    assert sent == [[1, 2]]


def test_sync_loads_run_in_threads_with_a_concurrency_of_more_than_1():
    cache = UnifiedAPICache.create()
    who = contextvars.ContextVar("who", default="nobody")
    together = threading.Barrier(2, timeout=SECONDS)

    @cache.operation("meet")
    def meet(n):
        together.wait()
        return [n, who.get()]

    who.set("the caller")
    answers = cache.cached_api_calls_sync([{"operation": "meet", "n": n} for n in (1, 2)], concurrency=2)
    assert answers == [[1, "the caller"], [2, "the caller"]]


def test_sync_code_gets_exceptions_in_their_places_and_no_async_load():
    cache = UnifiedAPICache.create()
    squares(cache)
    embedding(cache)
    wanted = [{"operation": "plain", "n": 3}, {"operation": "plain", "n": 4}, *calls([1])]
    answers = cache.cached_api_calls_sync(wanted, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError, int, TypeError]
    assert "embed is async" in str(answers[2])
    with pytest.raises(ValueError, match="3"):
        cache.cached_api_calls_sync(wanted)
    asyncio.run(cache.cached_api_calls(calls([1])))
    assert cache.cached_api_calls_sync(calls([1])) == [[1.0, 1.0]]


def test_a_stale_answer_of_sync_code_is_refreshed_by_a_thread():
    clock = ManualClock()
    cache = UnifiedAPICache.create(clock=clock)
    loads = []

    @cache.operation("get", ttl=10, stale_while_revalidate=100)
    def get(n):
        loads.append(n)
        return len(loads)

    wanted = [{"operation": "get", "n": 1}]
    assert cache.cached_api_calls_sync(wanted, concurrency=2) == [1]
    clock.advance(11)
    assert cache.cached_api_calls_sync(wanted, concurrency=2) == [1]
    assert cache.flush(SECONDS)
    assert cache.cached_api_calls_sync(wanted, concurrency=2) == [2]
