"""How streams end when they are invalidated, broken off, or held up; sync and async."""

import asyncio
import threading
import time

import pytest

from apicache import InputError, UnifiedAPICache
from apicache.streams import live
from apicache.streams.live import StreamEndedEarlyError


@pytest.fixture(params=[True, False], ids=["async", "sync"])
def is_async(request):
    return request.param


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.001)


def register(cache, make, *, is_async, **options):
    """Register as `read` what the generator function `make` gives, async or not."""

    async def read(key=0):
        for chunk in make():
            while isinstance(chunk, threading.Event) and not chunk.is_set():
                await asyncio.sleep(0.001)
            if not isinstance(chunk, threading.Event):
                yield chunk

    def read_sync(key=0):
        for chunk in make():
            if isinstance(chunk, threading.Event):
                assert chunk.wait(10)
            else:
                yield chunk

    cache.operation("read", **options)(read if is_async else read_sync)


def read_into(seen, cache, *, is_async, **parameters):
    if not is_async:
        seen.extend(cache.cached_stream_sync(operation="read", **parameters))
        return seen

    async def reading():
        async for chunk in cache.cached_stream(operation="read", **parameters):
            seen.append(chunk)

    asyncio.run(reading())
    return seen


# Invalidated while it comes.


@pytest.fixture
def told(is_async):
    """A cache whose `read` gives `value` before a gate and after it, with a reader amid it."""
    cache = UnifiedAPICache.create()
    cache.value, cache.gate, cache.begun = "old", threading.Event(), 0

    def make():
        cache.begun += 1
        value = cache.value
        yield value
        yield cache.gate
        yield value

    yield cache, make
    cache.gate.set()


def _asked_amid(cache, is_async, change):
    """What a reader amid the stream gets in all, and what another does who asks after `change`."""
    first, second = [], []

    async def main():
        stream = await cache.cached_stream(operation="read")
        first.append(await anext(stream))
        cache.value = "new"
        await change()
        other = await cache.cached_stream(operation="read")
        second.append(await anext(other))
        cache.gate.set()
        second.extend([chunk async for chunk in other])
        first.extend([chunk async for chunk in stream])

    def main_sync():
        stream = cache.cached_stream_sync(operation="read").open()
        first.append(next(stream))
        cache.value = "new"
        asyncio.run(change())
        other = cache.cached_stream_sync(operation="read").open()
        second.append(next(other))
        cache.gate.set()
        second.extend(other)
        first.extend(stream)

    asyncio.run(main()) if is_async else main_sync()
    return first, second


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({}, {"operation": "read"}),
        ({}, {"everything": True}),
        ({"tags": ["t"]}, {"tags": ["t"]}),
        ({"tags": lambda parameters, value: ["t"]}, {"tags": ["t"]}),
    ],
    ids=["operation", "everything", "tag", "computed tag"],
)
def test_who_asks_after_an_invalidation_gets_a_new_stream(told, is_async, options, what):
    cache, make = told
    register(cache, make, is_async=is_async, ttl=60, **options)
    assert _asked_amid(cache, is_async, lambda: cache.invalidate(**what)) == (["old", "old"], ["new", "new"])
    until(lambda: cache.get_stats()["cache_misses"] == 2)
    assert cache.begun == 2


def test_an_invalidation_of_something_else_leaves_a_stream_to_all_who_ask(told, is_async):
    cache, make = told
    register(cache, make, is_async=is_async, ttl=60, tags=["t"])
    assert _asked_amid(cache, is_async, lambda: cache.invalidate(tags=["u"])) == (["old", "old"], ["old", "old"])
    assert cache.begun == 1


# Broken off by what is no Exception.


class OwnError(BaseException):
    """One that no `except Exception` catches."""


@pytest.mark.parametrize(
    "error", [SystemExit(3), OwnError("x"), asyncio.CancelledError()], ids=lambda e: type(e).__name__
)
def test_a_sync_stream_that_any_error_breaks_off_does_not_end_as_a_complete_one(error):
    cache = UnifiedAPICache.create()

    def make():
        yield "a"
        raise error

    register(cache, make, is_async=False)
    for _ in range(2):
        seen = []
        stream = cache.cached_stream_sync(operation="read").open()
        with pytest.raises(StreamEndedEarlyError, match=f"raised {type(error).__name__}") as raised:
            seen.extend([next(stream), next(stream)])
        assert raised.value.__cause__ is error
    assert cache.get_stats()["stored"] == 0


@pytest.mark.parametrize("error", [OwnError("x"), asyncio.CancelledError()], ids=lambda e: type(e).__name__)
def test_an_async_stream_that_any_error_breaks_off_does_not_end_as_a_complete_one(error, caplog):
    cache = UnifiedAPICache.create()

    def make():
        yield "a"
        raise error

    register(cache, make, is_async=True)
    with pytest.raises(StreamEndedEarlyError):
        read_into([], cache, is_async=True)
    assert cache.get_stats()["stored"] == 0
    assert not caplog.records  # no exception that was never retrieved


def test_system_exit_in_an_async_stream_ends_the_event_loop_as_without_a_cache():
    cache = UnifiedAPICache.create()

    def make():
        yield "a"
        raise SystemExit(3)

    register(cache, make, is_async=True)
    with pytest.raises(SystemExit):
        read_into([], cache, is_async=True)
    assert cache.get_stats()["stored"] == 0


# Writes.


def test_a_streamed_operation_that_invalidates_is_refused(is_async):
    cache = UnifiedAPICache.create()
    register(cache, lambda: iter("ab"), is_async=is_async, invalidates=["t"])
    call = cache.cached_stream if is_async else cache.cached_stream_sync
    with pytest.raises(
        InputError, match=r"operation 'read' has invalidates=\.\.\., and a write is called by cached_api"
    ):
        call(operation="read")


def test_a_streamed_callable_that_invalidates_is_refused():
    def told():
        yield 1

    with pytest.raises(InputError, match="this stream has invalidates"):
        UnifiedAPICache.create().using(invalidates=["t"]).cached_stream_sync(told)


# Held up by who takes nothing.


@pytest.fixture
def long(monkeypatch, is_async):
    """A cache whose `read` gives 100 chunks of which ten are kept, and whoever takes nothing is idle at once."""
    monkeypatch.setattr(live, "KEPT_BYTES", 3000)
    monkeypatch.setattr(live, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(live, "_CHECK_SECONDS", 0.001)
    cache = UnifiedAPICache.create()
    cache.gate, cache.made = threading.Event(), 0

    def make():
        yield cache.gate
        for number in range(100):
            cache.made += 1
            yield b"%95d" % number

    register(cache, make, is_async=is_async)
    return cache


def test_an_idle_consumer_of_a_long_stream_is_dropped_when_others_wait_for_more(long, is_async):
    async def main():
        idle, busy = [await long.cached_stream(operation="read") for _ in range(2)]
        long.gate.set()
        assert int(await anext(idle)) == 0
        assert [int(chunk) async for chunk in busy] == list(range(100))
        with pytest.raises(StreamEndedEarlyError, match="others waited for this consumer"):
            await anext(idle)
        with pytest.raises(StreamEndedEarlyError):
            await anext(idle)

    def main_sync():
        idle, busy = [long.cached_stream_sync(operation="read").open() for _ in range(2)]
        long.gate.set()
        assert int(next(idle)) == 0
        assert [int(chunk) for chunk in busy] == list(range(100))
        with pytest.raises(StreamEndedEarlyError, match="others waited for this consumer"):
            next(idle)

    asyncio.run(main()) if is_async else main_sync()


def test_a_pause_of_the_only_consumer_of_a_long_stream_ends_nothing(long, is_async):
    long.gate.set()

    async def main():
        only = await long.cached_stream(operation="read")
        while long.made < 11:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        return [int(chunk) async for chunk in only]

    def main_sync():
        only = long.cached_stream_sync(operation="read").open()
        until(lambda: long.made >= 11)
        threading.Event().wait(0.02)
        return [int(chunk) for chunk in only]

    assert (asyncio.run(main()) if is_async else main_sync()) == list(range(100))


# Left.


def test_a_stream_of_a_closed_loop_can_be_closed():
    cache = UnifiedAPICache.create()
    gate = threading.Event()
    register(cache, lambda: iter(("a", gate, "b")), is_async=True)

    async def begin():
        stream = await cache.cached_stream(operation="read")
        await anext(stream)
        return stream

    loop = asyncio.new_event_loop()
    stream = loop.run_until_complete(begin())
    pump = next(iter(cache._engine.streams._pumps))
    pump._log_destroy_pending = False  # what the test is about, and no news
    loop.close()
    stream.close()
    gate.set()
    assert read_into([], cache, is_async=True) == ["a", "b"]


def test_waiting_with_a_timeout_again_and_again_keeps_nothing():
    cache = UnifiedAPICache.create()
    gate = threading.Event()
    register(cache, lambda: iter(("a", gate, "b")), is_async=True)

    async def main():
        stream = await cache.cached_stream(operation="read")
        await anext(stream)
        for _ in range(20):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.001)
        assert stream._place.stream.more._wakes == []
        gate.set()
        assert await anext(stream) == "b"

    asyncio.run(main())


@pytest.mark.parametrize("is_ended", [True, False], ids=["ended", "stopped"])
def test_who_has_no_chunk_yet_when_another_loops_stream_is_lost_begins_it_anew(is_ended):
    cache = UnifiedAPICache.create()
    begun, gate, seen = [], threading.Event(), []

    def make():
        begun.append(1)
        if len(begun) == 1:
            yield gate
        yield from "ab"

    register(cache, make, is_async=True)
    follower = threading.Thread(target=lambda: read_into(seen, cache, is_async=True))

    async def lead():
        stream = await cache.cached_stream(operation="read")
        await asyncio.sleep(0)
        follower.start()
        while cache.get_stats()["coalesced"] == 0:
            await asyncio.sleep(0.001)
        return stream

    loop = asyncio.new_event_loop()
    if is_ended:
        asyncio.run(lead())
    else:
        stream = loop.run_until_complete(lead())
    follower.join(10)
    assert (seen, len(begun)) == (["a", "b"], 2)
    if not is_ended:
        gate.set()
        loop.run_until_complete(stream.aclose())
        while cache._engine.streams._pumps:
            loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_who_has_a_chunk_of_another_loops_stream_that_is_lost_is_told():
    cache = UnifiedAPICache.create()
    register(cache, lambda: iter(("a", threading.Event(), "b")), is_async=True)
    seen, raised = [], []

    def follow():
        with pytest.raises(StreamEndedEarlyError, match="its event loop has stopped; ask again") as told:
            read_into(seen, cache, is_async=True)
        raised.append(told.value)

    follower = threading.Thread(target=follow)

    async def lead():
        stream = await cache.cached_stream(operation="read")
        await anext(stream)
        follower.start()
        while not seen:
            await asyncio.sleep(0.001)

    asyncio.run(lead())
    follower.join(10)
    assert (seen, len(raised)) == (["a"], 1)
