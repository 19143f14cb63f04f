"""Single calls of a warmer: what stands, and what loading gives."""

import asyncio
import threading

import pytest

from apicache import InputError, UnifiedAPICache
from apicache.clock import ManualClock
from apicache.warm_calls import WarmCalls


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=["memory", "disk"])
def cache(request, clock, tmp_path):
    cache = UnifiedAPICache.create(clock=clock, directory=tmp_path if request.param == "disk" else None)
    cache.loads = []

    @cache.operation("answer", ttl=60, cost=0.5, grace=600)
    async def answer(prompt: str) -> str:
        cache.loads.append(prompt)
        return f"{prompt} {len(cache.loads)}"

    @cache.operation("sync")
    def sync(prompt: str) -> str:
        cache.loads.append(threading.current_thread().name)
        return prompt

    @cache.operation("broken")
    async def broken(prompt: str) -> str:
        raise ConnectionError(prompt)

    yield cache
    cache.close()


def run(cache, work):
    with WarmCalls(4) as calls:
        return asyncio.run(work(calls))


def test_nothing_stands_of_a_call_that_was_never_made(cache):
    standing = run(cache, lambda calls: calls.standing(cache, "answer", {"prompt": "a"}))
    assert (standing.fresh_for, standing.exists) == (None, False)
    assert standing.key == cache.key_of(operation="answer", prompt="a")
    assert cache.get_stats()["cache_misses"] == 0


def test_a_loaded_call_stands_for_its_ttl_and_then_exists(cache, clock):
    async def work(calls):
        loaded = await calls.load(cache, "answer", {"prompt": "a"})
        clock.advance(20)
        fresh = await calls.standing(cache, "answer", {"prompt": "a"})
        clock.advance(50)
        return loaded, fresh, await calls.standing(cache, "answer", {"prompt": "a"})

    loaded, fresh, stale = run(cache, work)
    assert (loaded.status, loaded.cost, loaded.fresh_for) == ("warmed", 0.5, 60)
    assert fresh.fresh_for == 40
    assert (stale.fresh_for, stale.exists) == (None, True)


def test_a_fresh_entry_is_not_loaded_again_unless_asked(cache):
    async def work(calls):
        return [await calls.load(cache, "answer", {"prompt": "a"}, reload=reload) for reload in (False, False, True)]

    first, second, third = run(cache, work)
    assert [each.status for each in (first, second, third)] == ["warmed", "fresh", "warmed"]
    assert (second.cost, third.cost) == (0.0, 0.5)
    assert cache.loads == ["a", "a"]
    assert asyncio.run(cache.cached_api_call(operation="answer", prompt="a")) == "a 2"


def test_a_view_s_ttl_is_that_of_what_is_warmed(cache):
    loaded = run(cache, lambda calls: calls.load(cache.using(ttl=600), "answer", {"prompt": "a"}))
    assert loaded.fresh_for == 600


def test_a_failure_is_the_result_with_its_error(cache):
    loaded = run(cache, lambda calls: calls.load(cache, "broken", {"prompt": "a"}))
    assert loaded.status == "failed"
    assert isinstance(loaded.error, ConnectionError)


def test_an_unknown_operation_is_a_failure_that_names_the_known(cache):
    loaded = run(cache, lambda calls: calls.load(cache, "anwser", {"prompt": "a"}))
    assert isinstance(loaded.error, InputError)
    assert "answer" in str(loaded.error)


def test_an_answer_that_is_not_stored_is_a_failure_with_its_reason(cache):
    view = cache.using(no_store=("prompt",))
    loaded = run(cache, lambda calls: calls.load(view, "answer", {"prompt": "a"}))
    assert loaded.status == "failed"
    assert loaded.refusal


def test_a_sync_operation_is_made_in_a_thread(cache):
    loaded = run(cache, lambda calls: calls.load(cache, "sync", {"prompt": "a"}))
    assert loaded.status == "warmed"
    assert cache.loads[0].startswith("apicache-warm")


def test_a_live_call_shares_the_load(cache):
    async def work(calls):
        warmed = asyncio.create_task(calls.load(cache, "answer", {"prompt": "a"}))
        live = asyncio.create_task(cache.cached_api_call(operation="answer", prompt="a"))
        return await warmed, await live

    run(cache, work)
    assert cache.loads == ["a"]


def test_calls_that_were_not_entered_say_so(cache):
    with pytest.raises(InputError, match="was not entered"):
        asyncio.run(WarmCalls(1).load(cache, "answer", {"prompt": "a"}))


@pytest.mark.parametrize("far", [False, True])
def test_what_is_warmed_for_longer_is_served_for_longer_to_callers_with_a_shorter_ttl(clock, tmp_path, far):
    made = []

    def build():
        cache = UnifiedAPICache.create(clock=clock, directory=tmp_path if far else None)

        @cache.operation("answer", ttl=60)
        async def answer(prompt: str) -> str:
            made.append(prompt)
            return prompt

        return cache

    async def warm(cache):
        with WarmCalls(1) as calls:
            await calls.load(cache.using(ttl=600), "answer", {"prompt": "a"}, outlives=True)
            await calls.load(cache.using(ttl=600), "answer", {"prompt": "b"})

    async def ask(cache):
        clock.advance(300)
        for prompt in ("a", "b", "a"):
            assert await cache.cached_api_call(operation="answer", prompt=prompt) == prompt
        assert made == ["a", "b", "b"]
        clock.advance(400)
        await cache.cached_api_call(operation="answer", prompt="a")
        assert made == ["a", "b", "b", "a"]

    cache = build()
    asyncio.run(warm(cache))
    if far:
        cache.close()
        cache = build()
    asyncio.run(ask(cache))
    cache.close()
