"""Items of a batch that are equal, but not alike: a mapping has one place for them."""

import asyncio
import threading

import pytest

from apicache import UnifiedAPICache


class Upstream:
    """The batched operation `embed`, whose function returns a mapping; `sent` has the items of each call."""

    def __init__(self, answer=lambda texts: {text: repr(text) for text in texts}):
        self.sent = []
        self.cache = UnifiedAPICache.create()

        @self.cache.batched("embed", over="text")
        async def embed(texts):
            self.sent.append(list(texts))
            return answer(texts)

    def run(self, *texts):
        async def main():
            return await asyncio.gather(*(self.cache.cached_api_call(operation="embed", text=text) for text in texts))

        return asyncio.run(main())


@pytest.mark.parametrize("items", [(1, True, 1.0), (0.0, -0.0), ((1,), (True,)), (1, 2, True, 2.0)])
def test_items_that_are_equal_but_not_alike_get_their_own_results_from_a_mapping(items):
    upstream = Upstream()
    assert upstream.run(*items) == [repr(item) for item in items]
    assert upstream.run(*items) == [repr(item) for item in items]
    assert sum(map(len, upstream.sent)) == len(items)


def test_items_that_are_equal_but_not_alike_are_few_batches():
    upstream = Upstream()
    upstream.run(1, 2, 3, True, 1.0, 2.0, "1")
    assert sorted(map(repr, upstream.sent)) == ["[1, 2, 3, '1']", "[1.0]", "[True, 2.0]"]


def test_equal_items_that_have_no_key_are_sent_apart():
    class Equal:
        def __eq__(self, other):
            return isinstance(other, Equal)

        def __hash__(self):
            return 1

    upstream = Upstream(lambda texts: {text: id(text) for text in texts})
    items = [Equal(), Equal()]
    assert upstream.run(*items) == [id(item) for item in items]
    assert [len(sent) for sent in upstream.sent] == [1, 1]


def test_an_item_whose_hash_raises_is_sent_with_the_others():
    class Odd:
        def __hash__(self):
            raise RuntimeError("no hash")

    upstream = Upstream(lambda texts: ["result"] * len(texts))
    assert upstream.run(Odd(), "a") == ["result", "result"]
    assert len(upstream.sent) == 1


def test_items_of_threads_that_are_equal_but_not_alike_get_their_own_results():
    cache = UnifiedAPICache.create()

    @cache.batched("kinds", over="n", max_wait=0.02)
    def kinds(ns):
        return {n: type(n).__name__ for n in ns}

    found = {}

    def ask(n):
        found[repr(n)] = cache.cached_api_call_sync(operation="kinds", n=n)

    threads = [threading.Thread(target=ask, args=(n,)) for n in (1, True, 1.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"1": "int", "True": "bool", "1.0": "float"}
