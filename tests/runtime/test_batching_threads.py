"""Batched sync functions: threads that wait, and event loops."""

import asyncio
import threading

import pytest

from apicache import UnifiedAPICache
from apicache.batching import collectors
from apicache.batching import threads as batch_threads
from apicache.batching.places import Places


class SyncUpstream:
    def __init__(self, **options):
        self.sent = []
        self.cache = UnifiedAPICache.create()

        @self.cache.batched("square", over="n", **options)
        def square(ns):
            self.sent.append(list(ns))
            return {n: ValueError("three") if n == 3 else n * n for n in ns}

    def square(self, n):
        return self.cache.cached_api_call_sync(operation="square", n=n)

    def in_threads(self, *ns):
        found = {}
        threads = [threading.Thread(target=lambda n=n: found.update({n: self.square(n)})) for n in ns]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


def test_a_sync_caller_alone_is_a_batch_of_one():
    upstream = SyncUpstream()
    assert [upstream.square(2), upstream.square(2)] == [4, 4]
    with pytest.raises(ValueError, match="three"):
        upstream.square(3)
    assert upstream.sent == [[2], [3]]


def test_threads_that_wait_are_sent_together():
    upstream = SyncUpstream(max_wait=20, batch_size=4)
    assert upstream.in_threads(1, 2, 4, 5) == {1: 1, 2: 4, 4: 16, 5: 25}
    assert [sorted(ns) for ns in upstream.sent] == [[1, 2, 4, 5]]


def test_a_sync_function_serves_async_callers_and_sync_code_in_a_loop():
    upstream = SyncUpstream(max_wait=0.001)

    async def main():
        together = await asyncio.gather(*(upstream.cache.cached_api_call(operation="square", n=n) for n in (1, 2)))
        return [*together, upstream.square(4)]

    assert asyncio.run(main()) == [1, 4, 16]
    assert upstream.sent == [[1, 2], [4]]


def test_an_error_of_the_function_is_every_threads():
    cache = UnifiedAPICache.create()

    @cache.batched("fails", over="n", max_wait=20, batch_size=2)
    def fails(ns):
        raise ConnectionError(len(ns))

    errors = []

    def call(n):
        with pytest.raises(ConnectionError) as raised:
            cache.cached_api_call_sync(operation="fails", n=n)
        errors.append(raised.value.args)

    threads = [threading.Thread(target=call, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [(2,), (2,)]


def test_an_interrupted_thread_leaves_its_batch_to_the_others():
    cache = UnifiedAPICache.create()
    sent = []

    @cache.batched("odd", over="n", max_wait=20, batch_size=2)
    def odd(ns):
        sent.append(sorted(ns))
        if len(sent) == 1:
            raise KeyboardInterrupt
        return ns

    outcomes = []

    def call(n):
        try:
            outcomes.append(cache.cached_api_call_sync(operation="odd", n=n))
        except KeyboardInterrupt:
            outcomes.append("interrupted")
            cache.cached_api_call_sync(operation="odd", n=3)  # fills the other's next batch

    threads = [threading.Thread(target=call, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes[0] == "interrupted" or outcomes[1] == "interrupted"
    assert sent[0] == [1, 2]
    assert len(sent[1]) == 2


def test_a_batched_function_may_call_its_own_operation_in_its_thread():
    cache = UnifiedAPICache.create()

    @cache.batched("down", over="n", concurrency=1)
    def down(ns):
        return [n + (cache.cached_api_call_sync(operation="down", n=n - 1) if n else 0) for n in ns]

    assert cache.cached_api_call_sync(operation="down", n=4) == 10


def in_daemons(*targets):
    """Run each in a thread, and wait for all; one that waits for ever fails the test, and holds nothing up."""
    threads = [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads), "they wait for each other"


def once_all_have_looked(monkeypatch, count):
    """Have the first looks for a circle, one a thread, all end before any thread goes by what it saw."""
    looked, here, look = threading.Barrier(count, timeout=10), threading.local(), Places.closes_circle

    def closes_circle(places, node):
        found = look(places, node)
        if not hasattr(here, "has_looked"):
            here.has_looked = True
            assert not found
            looked.wait()
        return found

    monkeypatch.setattr(Places, "closes_circle", closes_circle)


def test_threads_that_begin_at_one_moment_to_wait_for_each_others_places_go_on(monkeypatch):
    """Each holds its operation's only place and needs the other's; neither waited yet when the other one looked."""
    once_all_have_looked(monkeypatch, 2)
    monkeypatch.setattr(batch_threads, "CHECK_SECONDS", 0.01)
    cache = UnifiedAPICache.create()
    both_have_a_place = threading.Barrier(2, timeout=10)
    found = {}

    def square(ns, other):
        if ns == [2]:
            return [4]
        both_have_a_place.wait()
        return [cache.cached_api_call_sync(operation=other, n=2) for _ in ns]

    cache.batched("left", over="n", concurrency=1)(lambda ns: square(ns, "right"))
    cache.batched("right", over="n", concurrency=1)(lambda ns: square(ns, "left"))

    def ask(operation):
        found[operation] = cache.cached_api_call_sync(operation=operation, n=1)

    in_daemons(lambda: ask("left"), lambda: ask("right"))
    assert found == {"left": 4, "right": 4}


def test_loops_that_begin_at_one_moment_to_wait_for_each_others_places_go_on(monkeypatch):
    """As with threads: each loop's only place is held by a batch that waits for one which the other loop holds up."""
    once_all_have_looked(monkeypatch, 2)
    monkeypatch.setattr(collectors, "CHECK_SECONDS", 0.01)
    cache = UnifiedAPICache.create()
    both_wait = threading.Barrier(2, timeout=10)
    waiting, found = [], {}

    def operations(name, other):
        @cache.batched(name, over="n", concurrency=1, batch_size=2, max_wait=3600)
        async def square(ns):
            if 1 in ns:  # it holds the place
                while len(cache._engine.flights) < 6:  # both loops' calls are under way
                    await asyncio.sleep(0)
                waiting.append(name)
                await cache.cached_api_call(operation=other, n=3)
            return [n * n for n in ns]

    operations("left", "right")
    operations("right", "left")

    def run(name):
        def call(n):
            return asyncio.ensure_future(cache.cached_api_call(operation=name, n=n))

        async def main():
            calls = [call(1), call(2), call(3)]  # the last one waits for another to fill its batch
            while name not in waiting:
                await asyncio.sleep(0)
            both_wait.wait()
            found[name] = await asyncio.gather(*calls, call(4))

        asyncio.run(main())

    in_daemons(lambda: run("left"), lambda: run("right"))
    assert found == {"left": [1, 4, 9, 16], "right": [1, 4, 9, 16]}


@pytest.mark.parametrize("holds_up", [1, 2])
def test_a_thread_does_not_wait_for_a_call_that_its_own_waiting_holds_up(holds_up):
    """An own loop's batch blocks its thread, waiting for another one, which waits for the same loop's other call.

    That other call has not been sent yet, or it has been answered, but not been told.
    """
    cache = UnifiedAPICache.create()
    both_are_under_way = threading.Barrier(2, timeout=10)
    found = {}

    @cache.batched("inside", over="n", batch_size=1, concurrency=2)
    def inside(ns):
        if ns == [holds_up] and "begun" not in found:
            found["begun"] = True
            both_are_under_way.wait()
            return [cache.cached_api_call_sync(operation="outside", n=0) for _ in ns]
        return ns

    @cache.operation("outside")
    def outside(n):
        if "waits" not in found:
            found["waits"] = True
            both_are_under_way.wait()
            return cache.cached_api_call_sync(operation="inside", n=3 - holds_up)
        return 3 - holds_up

    def in_an_own_loop():
        found["inside"] = cache.cached_api_calls_sync([{"operation": "inside", "n": n} for n in (1, 2)])

    def in_a_thread():
        found["outside"] = cache.cached_api_call_sync(operation="outside", n=0)

    in_daemons(in_an_own_loop, in_a_thread)
    assert found["outside"] == 3 - holds_up
    assert found["inside"] == [3 - holds_up] * 2
