"""Batched sync functions: threads that wait, and event loops."""

import asyncio
import threading

import pytest

from apicache import UnifiedAPICache


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
