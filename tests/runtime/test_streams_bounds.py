"""What keeps streams from waiting for ever, and from growing for ever; sync and async."""

import asyncio
import threading
import time

import httpx
import pytest

from apicache import InputError, UnifiedAPICache
from apicache.clock import ManualClock
from apicache.streams import live
from apicache.streams.live import LiveTable, StreamEndedEarlyError


@pytest.fixture(params=[True, False], ids=["async", "sync"])
def is_async(request):
    return request.param


@pytest.fixture
def kept(monkeypatch):
    """At most ten chunks of 100 bytes are kept."""
    monkeypatch.setattr(live, "KEPT_BYTES", 3000)
    return 10


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.001)


class Source:
    """A cache with an operation `read`, async or not, that gives so many chunks of 100 bytes, and what it raises."""

    def __init__(self, *, is_async, count, **options):
        self.cache = UnifiedAPICache.create(**options)
        self.is_async, self.count, self.made, self.ended, self.begun = is_async, count, 0, 0, 0
        self.error = None
        self.gate = threading.Event()
        self.gate.set()

        def reading():
            self.begun += 1
            assert self.gate.wait(10)
            try:
                for number in range(self.count):
                    if self.error is not None and number == self.error[0]:
                        raise self.error[1]
                    self.made += 1
                    yield b"%95d" % number
            finally:
                self.ended += 1

        async def read():
            for chunk in reading():
                yield chunk

        def read_sync():
            yield from reading()

        self.cache.operation("read", ttl=100, grace=100)(read if is_async else read_sync)

    def all(self):
        if not self.is_async:
            return [int(chunk) for chunk in self.cache.cached_stream_sync(operation="read")]

        async def collected():
            return [int(chunk) async for chunk in self.cache.cached_stream(operation="read")]

        return asyncio.run(collected())


# What could never end.


def test_sync_code_in_an_event_loops_thread_joins_no_stream_of_that_loop():
    table = LiveTable()

    async def main():
        loop = asyncio.get_running_loop()
        place, leads = table.join(b"k", loop)
        assert leads
        assert table.join(b"k", None) == (None, False)
        other, leads = table.join(b"k", loop)
        assert (other.stream, leads) == (place.stream, False)
        joined, leads = await asyncio.to_thread(table.join, b"k", None)
        assert (joined.stream, leads) == (place.stream, False)

    asyncio.run(main())


def test_a_stream_that_asks_for_itself_goes_by_itself(is_async):
    cache = UnifiedAPICache.create()
    depth = []

    async def told():
        depth.append(1)
        yield "a"
        if len(depth) == 1:
            async for chunk in cache.cached_stream(operation="told"):
                yield chunk

    def told_sync():
        depth.append(1)
        yield "a"
        if len(depth) == 1:
            yield from cache.cached_stream_sync(operation="told")

    cache.operation("told")(told if is_async else told_sync)

    async def collected():
        return [chunk async for chunk in cache.cached_stream(operation="told")]

    seen = asyncio.run(collected()) if is_async else list(cache.cached_stream_sync(operation="told"))
    assert seen == ["a", "a"]
    assert cache.get_stats()["bypassed"] == 1


def test_two_streams_that_ask_for_each_other_do_not_wait_for_each_other():
    cache = UnifiedAPICache.create()
    asked = []

    @cache.operation("one")
    async def one():
        asked.append("one")
        yield 1
        if asked.count("one") == 1:
            async for chunk in cache.cached_stream(operation="two"):
                yield chunk

    @cache.operation("two")
    async def two():
        asked.append("two")
        yield 2
        async for chunk in cache.cached_stream(operation="one"):
            yield chunk

    async def main():
        return [chunk async for chunk in cache.cached_stream(operation="one")]

    assert asyncio.run(main()) == [1, 2, 1]


def test_a_stream_whose_loop_was_found_stopped_is_begun_anew():
    source = Source(is_async=True, count=3)
    loop = asyncio.new_event_loop()
    gate = asyncio.Event()

    @source.cache.operation("held")
    async def held():
        source.begun += 1
        yield 1
        if source.begun == 1:
            await gate.wait()

    async def begin():
        return await source.cache.cached_stream(operation="held")

    async def follow():
        return [chunk async for chunk in source.cache.cached_stream(operation="held")]

    mine = loop.run_until_complete(begin())
    with pytest.raises(StreamEndedEarlyError):
        asyncio.run(follow())
    assert asyncio.run(follow()) == [1]
    mine.close()
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


# What could grow for ever.


@pytest.mark.usefixtures("kept")
def test_a_long_stream_is_received_whole_and_not_stored(is_async):
    events = []
    source = Source(is_async=is_async, count=100, hooks=[events.append])
    assert source.all() == source.all() == list(range(100))
    until(lambda: source.ended == 2)
    until(lambda: source.cache.get_stats()["cache_misses"] == 2)
    assert source.cache.get_stats()["stored"] == 0
    assert {event.detail for event in events if event.kind == "not_stored"} == {"a stream longer than 3000 bytes"}


@pytest.mark.usefixtures("kept")
def test_a_stream_within_the_bound_is_stored(is_async):
    source = Source(is_async=is_async, count=9)
    assert source.all() == list(range(9))
    until(lambda: source.cache.get_stats()["stored"] == 1)
    assert source.all() == list(range(9))
    assert source.begun == 1


async def _opened(cache):
    return await cache.cached_stream(operation="read")


def test_a_long_stream_waits_for_its_slowest_consumer(kept):
    source = Source(is_async=True, count=100)

    async def main():
        slow, fast = await asyncio.gather(*(_opened(source.cache) for _ in range(2)))
        ahead = [int(await anext(fast)) for _ in range(kept)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert source.made <= kept + 1
        behind = [int(await anext(slow)) for _ in range(5)]
        while source.made < kept + 4:
            await asyncio.sleep(0.001)
        await slow.aclose()  # who leaves holds up nobody
        return ahead + [int(chunk) async for chunk in fast], behind

    assert asyncio.run(main()) == (list(range(100)), list(range(5)))
    assert source.made == 100


def test_a_long_sync_stream_waits_for_its_slowest_consumer(kept):
    source = Source(is_async=False, count=100)
    source.gate.clear()
    slow, fast = (source.cache.cached_stream_sync(operation="read").open() for _ in range(2))
    source.gate.set()
    ahead = [int(next(fast)) for _ in range(kept)]
    assert source.made <= kept + 1
    assert [int(next(slow)) for _ in range(5)] == list(range(5))
    until(lambda: source.made >= kept + 4)
    slow.close()
    assert ahead + [int(chunk) for chunk in fast] == list(range(100))


def test_what_all_have_read_of_a_long_stream_is_dropped(kept):
    source = Source(is_async=True, count=100)

    async def main():
        most = 0
        async with source.cache.cached_stream(operation="read") as stream:
            async for _ in stream:
                most = max(most, len(stream._place.stream._chunks))
        return most

    assert asyncio.run(main()) <= kept + 1


def test_nobody_joins_a_long_stream(kept):
    source = Source(is_async=True, count=100)

    async def main():
        first = await source.cache.cached_stream(operation="read")
        for _ in range(kept + 5):
            await anext(first)
        second = await source.cache.cached_stream(operation="read")
        assert int(await anext(second)) == 0
        assert source.begun == 2
        await first.aclose()
        await second.aclose()

    asyncio.run(main())


def test_a_long_stream_that_all_leave_while_it_waits_is_stopped(kept, is_async):
    source = Source(is_async=is_async, count=100)

    async def leaving():
        stream = await source.cache.cached_stream(operation="read")
        while source.made <= kept:
            await asyncio.sleep(0.001)
        await stream.aclose()
        while not source.ended:
            await asyncio.sleep(0.001)

    if is_async:
        asyncio.run(leaving())
    else:
        stream = source.cache.cached_stream_sync(operation="read").open()
        until(lambda: source.made > kept)
        stream.close()
        until(lambda: source.ended)
    assert source.made == kept + 1


# Stale beats failed.


@pytest.fixture
def aged(is_async):
    """A source whose stream is stored, and past its time, and fails from now on."""
    clock = ManualClock()
    source = Source(is_async=is_async, count=3, clock=clock)
    source.all()
    until(lambda: source.cache.get_stats()["stored"] == 1)
    clock.advance(150)
    source.clock = clock
    source.error = (0, OSError("down"))
    return source


def test_a_stale_stream_is_replayed_when_it_fails_before_its_first_chunk(aged):
    assert aged.all() == [0, 1, 2]
    stats = aged.cache.get_stats()
    assert (stats["stale"], stats["load_errors"], aged.begun) == (1, 1, 2)


def test_a_stream_that_breaks_off_later_is_not_replaced_by_a_stale_one(aged):
    aged.error = (1, OSError("down"))
    with pytest.raises(OSError, match="down"):
        aged.all()
    assert aged.cache.get_stats()["stale"] == 0


def test_a_stream_past_its_grace_is_not_replayed(aged):
    aged.clock.advance(100)
    with pytest.raises(OSError, match="down"):
        aged.all()


def test_a_stream_that_comes_again_replaces_the_stale_one(aged):
    aged.error, aged.count = None, 4
    assert aged.all() == [0, 1, 2, 3]
    until(lambda: aged.cache.get_stats()["stored"] == 2)
    assert aged.cache.get_stats()["stale"] == 0


# What does not fit.


def test_a_stream_of_the_other_kind_names_the_call_that_fits(is_async):
    source = Source(is_async=is_async, count=3)
    if is_async:
        with pytest.raises(InputError, match="read streams in async code: call cached_stream instead"):
            source.cache.cached_stream_sync(operation="read")
    else:
        with pytest.raises(InputError, match="read streams in sync code: call cached_stream_sync instead"):
            source.cache.cached_stream(operation="read")
    assert source.begun == 0


def test_a_sync_client_in_the_async_call_is_refused_before_it_sends():
    cache = UnifiedAPICache.create()

    async def main():
        with httpx.Client() as client:
            await cache.cached_stream(client.stream, "GET", "http://127.0.0.1:9/")

    with pytest.raises(InputError, match="call cached_stream_sync instead"):
        asyncio.run(main())


def test_a_call_is_opened_once(is_async):
    source = Source(is_async=is_async, count=1)

    async def twice():
        call = source.cache.cached_stream(operation="read")
        await (await call).aclose()
        await call

    def twice_sync():
        call = source.cache.cached_stream_sync(operation="read")
        assert len(list(call)) == 1
        list(call)

    with pytest.raises(InputError, match="this stream of read was opened already; call cached_stream"):
        asyncio.run(twice()) if is_async else twice_sync()
