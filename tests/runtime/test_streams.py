"""Streams: received live by all, stored when complete, replayed chunk by chunk; sync and async."""

import asyncio
import threading
import time

import msgspec
import pytest

from apicache import InputError, UnifiedAPICache
from apicache.packed import unpack
from apicache.streams.live import StreamEndedEarlyError
from apicache.streams.streams import StreamCall
from apicache.tagged import decode


class Teller:
    """A cache with a streaming operation `tell`, async or not, that counts its begins and its ends."""

    def __init__(self, *, is_async, chunks=("a", "b", "c"), error=None, **options):
        self.cache = UnifiedAPICache.create(**options)
        self.begun = self.ended = 0
        self.gates = [threading.Event() for _ in chunks]
        self.is_async = is_async

        def told():
            self.begun += 1
            try:
                yield from zip(self.gates, chunks, strict=True)
                if error is not None:
                    raise error
            finally:
                self.ended += 1

        async def tell(prompt):
            for gate, chunk in told():
                while not gate.is_set():
                    await asyncio.sleep(0.001)
                yield chunk

        def tell_sync(prompt):
            for gate, chunk in told():
                assert gate.wait(10)
                yield chunk

        self.cache.operation("tell")(tell if is_async else tell_sync)

    def open_gates(self, count=None):
        for gate in self.gates[:count]:
            gate.set()
        return self

    def all_of(self, prompt="p", cache=None):
        cache = cache or self.cache
        if not self.is_async:
            return list(cache.cached_stream_sync(operation="tell", prompt=prompt))

        async def collected():
            return [chunk async for chunk in cache.cached_stream(operation="tell", prompt=prompt)]

        return asyncio.run(collected())

    def read_into(self, seen):
        if not self.is_async:
            seen.extend(self.cache.cached_stream_sync(operation="tell", prompt="p"))
            return

        async def reading():
            async for chunk in self.cache.cached_stream(operation="tell", prompt="p"):
                seen.append(chunk)

        asyncio.run(reading())

    @property
    def counts(self):
        stats = self.cache.get_stats()
        return {name: stats[name] for name in ("cache_hits", "cache_misses", "coalesced", "stored")}


@pytest.fixture(params=[True, False], ids=["async", "sync"])
def is_async(request):
    return request.param


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.001)


def test_a_complete_stream_is_stored_and_replayed_chunk_by_chunk(is_async):
    teller = Teller(is_async=is_async).open_gates()
    assert teller.all_of() == ["a", "b", "c"]
    until(lambda: teller.counts["stored"] == 1)
    assert teller.all_of() == ["a", "b", "c"]
    assert teller.begun == teller.ended == 1
    assert teller.counts == {"cache_hits": 1, "cache_misses": 1, "coalesced": 0, "stored": 1}
    assert teller.all_of("other") == ["a", "b", "c"]
    assert teller.begun == 2


def test_a_stored_stream_is_found_on_disk_by_another_cache(is_async, tmp_path):
    teller = Teller(is_async=is_async, directory=tmp_path).open_gates()
    first = teller.all_of()
    until(lambda: teller.counts["stored"] == 1)
    teller.cache.close()
    other = Teller(is_async=is_async, directory=tmp_path).open_gates()
    assert other.all_of() == first
    assert other.begun == 0
    other.cache.close()


def test_any_value_that_can_be_stored_is_a_chunk_and_a_fresh_one_each_time(is_async):
    chunks = ({"n": [1]}, None, b"x", (1, 2.5), "")
    teller = Teller(is_async=is_async, chunks=chunks).open_gates()
    first = teller.all_of()
    first[0]["n"].append(2)
    until(lambda: teller.counts["stored"] == 1)
    assert teller.all_of() == list(chunks)


def test_a_chunk_that_cannot_be_stored_is_given_as_it_is_and_nothing_is_stored(is_async, caplog):
    thing = object()
    teller = Teller(is_async=is_async, chunks=("a", thing)).open_gates()
    assert teller.all_of() == ["a", thing]
    assert teller.all_of() == ["a", thing]
    assert teller.begun == 2
    until(lambda: "a value of type builtins.object" in caplog.text)


def test_a_stream_that_breaks_off_raises_after_its_chunks_and_is_not_stored(is_async):
    teller = Teller(is_async=is_async, error=OSError("cut")).open_gates()
    for _ in range(2):
        seen = []
        with pytest.raises(OSError, match="cut"):
            teller.read_into(seen)
        assert seen == ["a", "b", "c"]
    assert teller.begun == 2
    assert teller.cache.get_stats()["load_errors"] == 2


def test_followers_receive_a_stream_live_and_from_its_begin():
    teller = Teller(is_async=True)

    async def reading(stream, seen):
        async for chunk in stream:
            seen.append(chunk)

    async def main():
        first, second = [], []
        leader = asyncio.create_task(reading(teller.cache.cached_stream(operation="tell", prompt="p"), first))
        teller.open_gates(1)
        while first != ["a"]:
            await asyncio.sleep(0.001)
        follower = asyncio.create_task(reading(teller.cache.cached_stream(operation="tell", prompt="p"), second))
        while second != ["a"]:
            await asyncio.sleep(0.001)
        assert teller.ended == 0
        teller.open_gates(2)
        while not first == second == ["a", "b"]:
            await asyncio.sleep(0.001)
        teller.open_gates()
        await asyncio.gather(leader, follower)
        return first, second

    first, second = asyncio.run(main())
    assert first == second == ["a", "b", "c"]
    assert teller.begun == 1
    assert teller.counts["coalesced"] == 1


def test_threads_receive_a_sync_stream_live():
    teller = Teller(is_async=False)
    seen = [[], []]

    def reading(place):
        for chunk in teller.cache.cached_stream_sync(operation="tell", prompt="p"):
            place.append(chunk)

    threads = [threading.Thread(target=reading, args=(place,)) for place in seen]
    for thread in threads:
        thread.start()
    teller.open_gates(1)
    until(lambda: seen == [["a"], ["a"]])
    teller.open_gates()
    for thread in threads:
        thread.join(10)
    assert seen == [["a", "b", "c"]] * 2
    assert teller.begun == 1


def test_a_leader_that_is_cancelled_leaves_the_stream_to_its_followers():
    teller = Teller(is_async=True)

    async def reading(seen):
        async for chunk in teller.cache.cached_stream(operation="tell", prompt="p"):
            seen.append(chunk)

    async def main():
        first, second = [], []
        leader, follower = (asyncio.create_task(reading(seen)) for seen in (first, second))
        teller.open_gates(1)
        while not first == second == ["a"]:
            await asyncio.sleep(0.001)
        leader.cancel()
        await asyncio.gather(leader, return_exceptions=True)
        teller.open_gates()
        await follower
        return second

    assert asyncio.run(main()) == ["a", "b", "c"]
    assert (teller.begun, teller.counts["stored"]) == (1, 1)


def test_a_stream_that_all_have_left_is_stopped_and_not_stored(is_async):
    teller = Teller(is_async=is_async)
    teller.open_gates(1)

    async def leaving():
        async with teller.cache.cached_stream(operation="tell", prompt="p") as stream:
            assert await anext(stream) == "a"
        while not teller.ended:
            await asyncio.sleep(0.001)

    if is_async:
        asyncio.run(leaving())
    else:
        with teller.cache.cached_stream_sync(operation="tell", prompt="p") as stream:
            assert next(stream) == "a"
        teller.open_gates(2)
        until(lambda: teller.ended)
    assert teller.counts == {"cache_hits": 0, "cache_misses": 0, "coalesced": 0, "stored": 0}
    teller.open_gates()
    assert teller.all_of() == ["a", "b", "c"]
    assert teller.begun == 2


def test_an_invalidation_amid_a_stream_keeps_it_from_being_stored(is_async):
    teller = Teller(is_async=is_async)

    def invalidating():
        until(lambda: teller.begun)
        teller.cache.invalidate_sync(operation="tell")
        teller.open_gates()

    thread = threading.Thread(target=invalidating)
    thread.start()
    assert teller.all_of() == ["a", "b", "c"]
    thread.join(10)
    assert teller.all_of() == ["a", "b", "c"]
    assert teller.begun == 2


def test_a_replay_keeps_the_first_pace_where_it_is_asked_to(is_async, monkeypatch):
    teller = Teller(is_async=is_async).open_gates()
    teller.all_of()
    until(lambda: teller.counts["stored"] == 1)
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    sleep = asyncio.sleep

    async def slept(seconds):
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", slept)
    assert teller.all_of(cache=teller.cache.using(pace=0.5)) == ["a", "b", "c"]
    delays = _recorded(teller.cache)["delays"]
    assert [wait for wait in waited if wait] == [2 * delay for delay in delays if delay]


def _recorded(cache):
    (packed,) = [each for each in cache._engine.tiers.near[0]._entries.values() if each]
    return decode(unpack(packed).payload)


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_a_mode_that_serves_nothing_hands_out_the_functions_own_stream(is_async, mode):
    teller = Teller(is_async=is_async, mode=mode).open_gates()
    assert teller.all_of() == teller.all_of() == ["a", "b", "c"]
    assert teller.begun == 2


def test_a_module_level_generator_needs_no_operation():
    cache = UnifiedAPICache.create()

    async def main():
        return [chunk async for chunk in cache.cached_stream(counting, 3)]

    first = asyncio.run(main())
    assert first == asyncio.run(main()) == [0, 1, 2]
    assert COUNTED == [3]


COUNTED = []


async def counting(until):
    COUNTED.append(until)
    for number in range(until):
        yield number


def test_each_kind_of_operation_names_the_call_that_fits_it():
    cache = UnifiedAPICache.create()

    @cache.operation("whole")
    async def whole():
        return 1

    @cache.operation("streamed")
    async def streamed():
        yield 1

    with pytest.raises(InputError, match=r"'streamed' is a generator: call cached_stream\(operation='streamed'"):
        cache.cached_api_call_sync(operation="streamed")
    with pytest.raises(InputError, match="'whole' gives one answer; call cached_api_call"):
        cache.cached_stream(operation="whole")
    with pytest.raises(InputError, match="did you mean 'streamed'"):
        cache.cached_stream(operation="steamed")
    with pytest.raises(InputError, match="neither a callable nor operation"):
        cache.cached_stream()


def test_a_stream_whose_event_loop_has_stopped_tells_who_waits_elsewhere():
    teller = Teller(is_async=True)
    loop = asyncio.new_event_loop()

    async def begin():
        return await teller.cache.cached_stream(operation="tell", prompt="p")

    teller.open_gates(1)
    mine = loop.run_until_complete(begin())

    async def follow():
        async for _ in teller.cache.cached_stream(operation="tell", prompt="p"):
            pass

    with pytest.raises(StreamEndedEarlyError, match="has stopped; ask again"):
        asyncio.run(follow())
    mine.close()
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()


class Hanging:
    """What a caller is given that never lets itself be entered."""

    def __init__(self, chunks):
        self.aclose = chunks.aclose
        self.is_entered = False

    async def __aenter__(self):
        self.is_entered = True
        await asyncio.Event().wait()

    async def __aexit__(self, *_):
        raise AssertionError


@pytest.mark.parametrize("hangs_in", ["give", "enter"])
def test_a_caller_that_is_cancelled_before_it_has_its_stream_leaves_it(hangs_in):
    teller = Teller(is_async=True).open_gates(1)
    given = []

    async def give(_head, chunks):
        given.append(Hanging(chunks))
        if hangs_in == "give":
            await asyncio.Event().wait()
        return given[0]

    async def main():
        plan = teller.cache._plan_stream(None, (), {"operation": "tell", "prompt": "p"})
        plan.streamed = msgspec.structs.replace(plan.streamed, give=give)

        async def entering():
            async with StreamCall(teller.cache._engine.streams, plan):
                raise AssertionError

        caller = asyncio.create_task(entering())
        while not given or (hangs_in == "enter" and not given[0].is_entered):
            await asyncio.sleep(0.001)
        assert teller.ended == 0
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        while not teller.ended:
            await asyncio.sleep(0.001)

    asyncio.run(main())
