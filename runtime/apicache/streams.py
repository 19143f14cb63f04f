"""Streams through the cache: received live by all who ask meanwhile, stored when complete, replayed chunk by chunk."""

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

from apicache.adapter import Streamed, Upstream
from apicache.core import Route, Start, awaited
from apicache.errors import UnencodableError
from apicache.live import LiveStream, LiveTable, StreamEndedEarlyError
from apicache.planning import Plan
from apicache.storing import outcome_of_snapshot

if TYPE_CHECKING:
    from apicache.engine import Engine

_STOPPED: Final = "everybody who received the stream has left"


class Recording:
    """The chunks of a stream as they came, and the seconds before each."""

    def __init__(self, streamed: Streamed, upstream: Upstream) -> None:
        self._pack, self._is_complete = streamed.pack, streamed.is_complete
        self.head, self.snapshot = upstream.head, upstream.snapshot
        self.refusal: str | None = None
        self.is_settled = False
        self._chunks: list[bytes] = []
        self._delays: list[float] = []
        self._last = time.monotonic()

    def take(self, chunk: Any) -> Any:
        """The chunk in the form that its consumers share: packed, or itself where it cannot be."""
        now = time.monotonic()
        self._delays.append(round(now - self._last, 4))
        self._last = now
        try:
            packed = self._pack(chunk)
        except UnencodableError as error:
            self.refusal = f"a stream of {error}"
            return _Unpackable(chunk)
        self._chunks.append(packed)
        return packed

    def is_whole(self, *, has_ended: bool) -> bool:
        """Whether all of it has come; `has_ended` when the upstream gives no more."""
        return has_ended if self._is_complete is None else self._is_complete(self._chunks)

    def data(self) -> dict[str, Any]:
        """What is stored."""
        return {"head": self.head, "chunks": self._chunks, "delays": self._delays}


class _Unpackable:
    """A chunk that has no stored form: all consumers are given the one object."""

    def __init__(self, chunk: Any) -> None:
        self.chunk = chunk


def _unpacked(streamed: Streamed, chunk: Any) -> Any:
    return chunk.chunk if isinstance(chunk, _Unpackable) else streamed.unpack(chunk)


class Consumer:
    """One consumer's way through a live stream; iterable, async or not, once."""

    def __init__(self, live: LiveStream, streamed: Streamed) -> None:
        self._live, self._streamed = live, streamed
        self._position = 0
        self._has_left = False

    def head(self) -> Any:
        """What comes before the chunks; blocks, raises the error of a call that failed."""
        self._live.wait(-1)
        return self._head()

    async def head_async(self) -> Any:
        """As `head`, in an event loop."""
        await self._live.wait_async(-1)
        return self._head()

    def _head(self) -> Any:
        try:
            return self._live.take(-1)
        except StopIteration:  # it ended without a head: stopped while it began
            raise StreamEndedEarlyError(_STOPPED) from None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._live.wait(self._position)
        return self._next()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        await self._live.wait_async(self._position)
        try:
            return self._next()
        except StopIteration:
            raise StopAsyncIteration from None

    def _next(self) -> Any:
        try:
            chunk = self._live.take(self._position)
        except BaseException:  # the end, or the stream's error: in both cases nothing more is wanted
            self.close()
            raise
        self._position += 1
        return _unpacked(self._streamed, chunk)

    def close(self) -> None:
        """Want no more; the last one to close a stream stops it."""
        if not self._has_left:
            self._has_left = True
            self._live.leave()

    async def aclose(self) -> None:
        """As `close`."""
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # amid the interpreter's end
            self.close()


class Replay:
    """A stored stream's chunks, at once or at a share of their first pace; iterable, async or not, once."""

    def __init__(self, data: dict[str, Any], streamed: Streamed, pace: float) -> None:
        """`pace` is how many times as fast as at first; 0 is at once."""
        waits = [delay / pace if pace else 0.0 for delay in data["delays"]]
        self._left = iter(list(zip(data["chunks"], waits, strict=True)))
        self._unpack = streamed.unpack

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        chunk, delay = next(self._left)
        if delay:
            time.sleep(delay)
        return self._unpack(chunk)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            chunk, delay = next(self._left)
        except StopIteration:
            raise StopAsyncIteration from None
        await asyncio.sleep(delay)  # even for 0: a reader of many chunks does not keep the loop from others
        return self._unpack(chunk)

    def close(self) -> None:
        """Want no more."""
        self._left = iter(())

    async def aclose(self) -> None:
        """As `close`."""
        self.close()


class Streams:
    """The streams of one cache."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._live = LiveTable()
        self._pumps: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Those that have not ended."""
        return len(self._live)

    async def open(self, plan: Plan) -> Any:
        """What the caller reads the stream from; raises what the call raises, where no other is made in its place."""
        while True:
            try:
                return await self._open(plan)
            except Exception as error:
                if plan.instead is None:
                    raise
                plan = plan.instead(plan, error)

    async def _open(self, plan: Plan) -> Any:
        route, streamed = self._engine.route(plan), plan.streamed
        if route is not Route.CACHE or streamed is None:
            self._note_aside(plan, route)
            return await awaited(plan.load())
        stored = await self._engine.look_up(plan)
        if stored is not None:
            data = stored.value
            return await awaited(streamed.give(data["head"], Replay(data, streamed, plan.policy.pace)))
        loop = asyncio.get_running_loop()
        live, leads = self._live.join(plan.key or b"", loop)
        consumer = Consumer(live, streamed)
        if leads:
            pump = loop.create_task(self._pump(live, plan, streamed))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)
            live.stop = lambda: loop.call_soon_threadsafe(pump.cancel)
        else:
            self._engine.count_coalesced(plan, _fixed_cost(plan))
        try:
            return await awaited(streamed.give(await consumer.head_async(), consumer))
        except BaseException:
            consumer.close()
            raise

    def _note_aside(self, plan: Plan, route: Route) -> None:
        if route is Route.OBSERVE:
            self._engine.observe(plan)

    async def _pump(self, live: LiveStream, plan: Plan, streamed: Streamed) -> None:
        start, upstream, recording = self._engine.start(), None, None
        try:
            upstream = await awaited(streamed.open())
            recording = _recording(plan, streamed, upstream)
            live.begin(upstream.head)
            async for chunk in upstream.chunks:
                self._pass_on(live, plan, recording, chunk, start)
            self._settle(plan, recording, start, has_ended=True)
        except asyncio.CancelledError:
            live.end(StreamEndedEarlyError(_STOPPED))
            raise
        except Exception as error:  # noqa: BLE001 - every consumer raises it
            self._failed(live, plan, recording, error)
        finally:
            live.end()
            self._live.forget(live)
            if upstream is not None:
                with contextlib.suppress(Exception):  # what it was opened for is done
                    await awaited(upstream.close())

    def open_sync(self, plan: Plan) -> Any:
        """As `open`, for sync code; the upstream is read in a thread of its own."""
        while True:
            if plan.load_sync is not None:
                plan.load, plan.is_async = plan.load_sync, False
            try:
                return self._open_sync(plan)
            except Exception as error:
                if plan.instead is None:
                    raise
                plan = plan.instead(plan, error)

    def _open_sync(self, plan: Plan) -> Any:
        route, streamed = self._engine.route(plan), plan.streamed
        if route is not Route.CACHE or streamed is None:
            self._note_aside(plan, route)
            return plan.load()
        stored = self._engine.look_up_sync(plan)
        if stored is not None:
            data = stored.value
            return streamed.give(data["head"], Replay(data, streamed, plan.policy.pace))
        live, leads = self._live.join(plan.key or b"", None)
        consumer = Consumer(live, streamed)
        if leads:
            stopped = threading.Event()
            live.stop = stopped.set
            run, pump = contextvars.copy_context().run, self._pump_sync
            threading.Thread(
                target=run, args=(pump, live, plan, streamed, stopped), name="apicache-stream", daemon=True
            ).start()
        else:
            self._engine.count_coalesced(plan, _fixed_cost(plan))
        try:
            return streamed.give(consumer.head(), consumer)
        except BaseException:
            consumer.close()
            raise

    def _pump_sync(self, live: LiveStream, plan: Plan, streamed: Streamed, stopped: threading.Event) -> None:
        start, upstream, recording = self._engine.start(), None, None
        try:
            upstream = streamed.open()
            recording = _recording(plan, streamed, upstream)
            live.begin(upstream.head)
            for chunk in upstream.chunks:
                self._pass_on(live, plan, recording, chunk, start)
                if stopped.is_set():
                    live.end(StreamEndedEarlyError(_STOPPED))
                    return
            self._settle(plan, recording, start, has_ended=True)
        except Exception as error:  # noqa: BLE001 - every consumer raises it
            self._failed(live, plan, recording, error)
        finally:
            live.end()
            self._live.forget(live)
            if upstream is not None:
                with contextlib.suppress(Exception):  # as above
                    upstream.close()

    def _failed(self, live: LiveStream, plan: Plan, recording: Recording | None, error: Exception) -> None:
        if recording is not None and recording.is_settled:  # after the last chunk: the client has been closed meanwhile
            return
        self._engine.load_failed(plan, error)
        live.end(error)

    def _pass_on(self, live: LiveStream, plan: Plan, recording: Recording, chunk: Any, start: Start) -> None:
        """Give a chunk to all; store the stream before that when it is the last by the stream's own format.

        SDKs stop there, and their callers may close the client before the upstream's end has been read.
        """
        taken = recording.take(chunk)
        if recording.is_whole(has_ended=False):
            self._settle(plan, recording, start, has_ended=False)
        live.add(taken)

    def _settle(self, plan: Plan, recording: Recording, start: Start, *, has_ended: bool) -> None:
        if recording.is_settled:
            return
        recording.is_settled = True
        load, refusal = self._engine.load_of(start), recording.refusal
        if refusal is None and not recording.is_whole(has_ended=has_ended):
            refusal = "a stream that ended before it was complete"
        outcome = outcome_of_snapshot(plan, recording.data(), recording.snapshot, load, refusal)
        self._engine.settle(plan, outcome, start)


def _recording(plan: Plan, streamed: Streamed, upstream: Upstream) -> Recording:
    recording = Recording(streamed, upstream)
    if streamed.is_sent_at_once:
        # SDKs stop at their API's own mark, before the stream has ended here: what their callers do then with the
        # arguments, the usual append to the messages for one, is about another call.
        if plan.has_changed():
            recording.refusal = "changed by its caller while it was sent"
        plan.is_fixed = True
    return recording


def _fixed_cost(plan: Plan) -> float:
    """What a call costs, where that does not depend on its result, which a stream has not yet."""
    cost = plan.policy.cost
    return 0.0 if callable(cost) else cost


class StreamCall:
    """A streamed call of async code: await it, or enter it, for what the call gives; or iterate over its chunks."""

    def __init__(self, streams: Streams, plan: Plan) -> None:
        self._streams, self._plan = streams, plan
        self._given: Any = None

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._streams.open(self._plan).__await__()

    async def __aenter__(self) -> Any:
        self._given = await self
        enter = getattr(self._given, "__aenter__", None)
        return self._given if enter is None else await enter()

    async def __aexit__(self, *raised: object) -> Any:
        leave = getattr(self._given, "__aexit__", None)
        if leave is not None:
            return await leave(*raised)
        await self._given.aclose()
        return None

    async def __aiter__(self) -> AsyncIterator[Any]:
        async with self as given:
            async for chunk in given if hasattr(given, "__aiter__") else given.aiter_bytes():
                yield chunk


class SyncStreamCall:
    """A streamed call of sync code: `open` it, or enter it, for what the call gives; or iterate over its chunks."""

    def __init__(self, streams: Streams, plan: Plan) -> None:
        self._streams, self._plan = streams, plan
        self._given: Any = None

    def open(self) -> Any:
        """What the call gives; raises what the call raises."""
        return self._streams.open_sync(self._plan)

    def __enter__(self) -> Any:
        self._given = self.open()
        enter = getattr(self._given, "__enter__", None)
        return self._given if enter is None else enter()

    def __exit__(self, *raised: object) -> Any:
        leave = getattr(self._given, "__exit__", None)
        if leave is not None:
            return leave(*raised)
        self._given.close()
        return None

    def __iter__(self) -> Iterator[Any]:
        with self as given:
            yield from given if hasattr(given, "__iter__") else given.iter_bytes()
