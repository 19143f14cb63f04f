"""Streams through the cache: received live by all who ask meanwhile, stored when complete, replayed chunk by chunk."""

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

from apicache import flights
from apicache.adapter import Streamed
from apicache.core import Judged, Route, Start, awaited
from apicache.entry import Verdict
from apicache.errors import InputError
from apicache.planning import Plan
from apicache.storing import outcome_of_snapshot, result_in
from apicache.streams.chunks import Consumer, Recording, Replay, end_broken, failure_of, is_cut, recording_of, stop_pump
from apicache.streams.live import STOPPED, LiveStream, LiveTable, Place, PumpLostError, StreamEndedEarlyError

if TYPE_CHECKING:
    from apicache.engine import Engine

_END: Final = object()
_ITSELF: Final = "waiting for the stream of it that is under way could never end"


class _LostError(Exception):
    """A stream has gone before anything came of it: it is begun anew."""


class Streams:
    """The streams of one cache."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._live = LiveTable()
        self._pumps: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Those that have not ended, and may yet be stored."""
        return len(self._live)

    async def open(self, plan: Plan) -> Any:
        """What the caller reads the stream from; raises what the call raises, where no other is made in its place."""
        while True:
            try:
                return await self._open(plan)
            except _LostError:
                continue
            except Exception as error:
                if plan.instead is None:
                    raise
                plan = plan.instead(plan, error)

    async def _open(self, plan: Plan) -> Any:
        route, streamed = self._engine.route(plan), plan.streamed
        check_kind(plan, is_async=True)
        if route is not Route.CACHE or streamed is None:
            self._note_aside(plan, route)
            return result_in(await awaited(plan.load()))
        stored, judged = await self._engine.look_up(plan)
        if stored is not None:
            return await self._replayed(plan, streamed, stored.value)
        place, leads = self._join(plan, asyncio.get_running_loop())
        if place is None:
            self._engine.count(plan, "bypassed", "bypassed", _ITSELF)
            return result_in(await awaited(plan.load()))
        consumer = Consumer(place, streamed)
        self._begin(place, plan, streamed) if leads else self._follow(plan)
        try:
            try:
                head, stale = await consumer.head_async(), None
                if place.stream.failure is not None:
                    stale = self._stale_for(plan, judged, place.stream.failure)
                elif self._may_fall_back(plan, judged) or (place.is_foreign and head is None):
                    await consumer.first_async()
            except Exception as error:  # noqa: BLE001 - raised there, where nothing may be served
                stale = self._stale_after(plan, judged, place, error)
            if stale is not None:
                consumer.close()
                return await self._replayed(plan, streamed, stale)
            return await awaited(streamed.give(head, consumer))
        except BaseException:
            consumer.close()
            raise

    def _join(self, plan: Plan, loop: asyncio.AbstractEventLoop | None) -> tuple[Place | None, bool]:
        concerned = functools.partial(self._is_concerned, plan)
        return self._live.join(plan.key or b"", loop, self._engine.start(), concerned)

    def _is_concerned(self, plan: Plan, start: Start) -> bool:
        """Whether an invalidation has come since the begin of the plan's stream."""
        markers, tags = self._engine.tiers.markers, plan.policy.tags
        if callable(tags):  # what it gives is known at the stream's end
            return start.created <= markers.latest
        return start.created <= max(markers.concerning(plan.label, tags, plan.key or b""))

    async def _replayed(self, plan: Plan, streamed: Streamed, data: dict[str, Any]) -> Any:
        return await awaited(streamed.give(data["head"], Replay(data, streamed, plan.policy.pace)))

    def _begin(self, place: Place, plan: Plan, streamed: Streamed) -> None:
        live, loop = place.stream, asyncio.get_running_loop()
        pump = loop.create_task(self._pump(live, plan, streamed), context=flights.inside(live.flight))
        self._pumps.add(pump)

        def stop() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed, and the pump with it
                loop.call_soon_threadsafe(pump.cancel)

        def ended(pump: "asyncio.Task[None]") -> None:
            self._pumps.discard(pump)
            if not pump.cancelled():
                pump.exception()  # its consumers raise
            live.end_cancelled()  # of a task that was cancelled before its first step
            self._live.forget(live)

        live.stop = stop
        pump.add_done_callback(ended)

    def _follow(self, plan: Plan) -> None:
        self._engine.count_coalesced(plan, _fixed_cost(plan))

    def _note_aside(self, plan: Plan, route: Route) -> None:
        if route is Route.OBSERVE:
            self._engine.observe(plan)

    def _may_fall_back(self, plan: Plan, judged: Judged | None) -> bool:
        return judged is not None and self._engine.is_servable_after_error(plan, judged)

    def _stale(self, plan: Plan, judged: Judged | None) -> Any:
        """What is stored, for a stream that failed before its first chunk; None where it may not be served."""
        if judged is None or not self._may_fall_back(plan, judged):
            return None
        outcome = self._engine.serve(plan, judged._replace(verdict=Verdict.STALE), "loading failed")
        return None if outcome is None else outcome.value

    def _stale_after(self, plan: Plan, judged: Judged | None, place: Place, error: Exception) -> Any:
        """As `_stale`, or raises the error; raises _LostError for a stream of which another event loop's end is all."""
        if place.is_foreign and isinstance(error, PumpLostError):
            raise _LostError from error
        stale = self._stale(plan, judged)
        if stale is None:
            raise error
        return stale

    def _stale_for(self, plan: Plan, judged: Judged | None, failure: str) -> Any:
        """As `_stale`, for an upstream that answers that it failed."""
        stale = self._stale(plan, judged)
        if stale is not None:
            self._engine.count(plan, "load_errors", "load_error", failure)
        return stale

    async def _pump(self, live: LiveStream, plan: Plan, streamed: Streamed) -> None:
        start, upstream, recording = live.start or self._engine.start(), None, None
        try:
            upstream = await awaited(streamed.open())
            recording = recording_of(plan, streamed, upstream)
            live.begin(upstream.head, failure_of(upstream))
            async for chunk in upstream.chunks:
                self._pass_on(live, plan, recording, chunk, start)
                if not live.has_room():
                    await live.wait_for_room_async()
            self._settle(plan, recording, start, has_ended=True)
        except asyncio.CancelledError:
            live.end_cancelled()
            raise
        except Exception as error:  # noqa: BLE001 - every consumer raises it
            self._failed(live, plan, recording, error)
        except BaseException as error:
            end_broken(live, recording, error)
            raise
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
            except _LostError:
                continue
            except Exception as error:
                if plan.instead is None:
                    raise
                plan = plan.instead(plan, error)

    def _open_sync(self, plan: Plan) -> Any:
        route, streamed = self._engine.route(plan), plan.streamed
        check_kind(plan, is_async=False)
        if route is not Route.CACHE or streamed is None:
            self._note_aside(plan, route)
            return result_in(plan.load())
        stored, judged = self._engine.look_up_sync(plan)
        if stored is not None:
            return self._replayed_sync(plan, streamed, stored.value)
        place, leads = self._join(plan, None)
        if place is None:
            self._engine.count(plan, "bypassed", "bypassed", _ITSELF)
            return result_in(plan.load())
        consumer = Consumer(place, streamed)
        self._begin_sync(place, plan, streamed) if leads else self._follow(plan)
        try:
            try:
                head, stale = consumer.head(), None
                if place.stream.failure is not None:
                    stale = self._stale_for(plan, judged, place.stream.failure)
                elif self._may_fall_back(plan, judged) or (place.is_foreign and head is None):
                    consumer.first()
            except Exception as error:  # noqa: BLE001 - raised there, where nothing may be served
                stale = self._stale_after(plan, judged, place, error)
            if stale is not None:
                consumer.close()
                return self._replayed_sync(plan, streamed, stale)
            return streamed.give(head, consumer)
        except BaseException:
            consumer.close()
            raise

    def _replayed_sync(self, plan: Plan, streamed: Streamed, data: dict[str, Any]) -> Any:
        return streamed.give(data["head"], Replay(data, streamed, plan.policy.pace))

    def _begin_sync(self, place: Place, plan: Plan, streamed: Streamed) -> None:
        live, stopped = place.stream, threading.Event()
        live.stop = stopped.set
        run, pump = flights.inside(live.flight).run, self._pump_sync
        threading.Thread(
            target=run, args=(pump, live, plan, streamed, stopped), name="apicache-stream", daemon=True
        ).start()

    def _pump_sync(self, live: LiveStream, plan: Plan, streamed: Streamed, stopped: threading.Event) -> None:
        start, upstream, recording = live.start or self._engine.start(), None, None
        try:
            upstream = streamed.open()
            recording = recording_of(plan, streamed, upstream)
            live.stop = functools.partial(stop_pump, stopped, upstream, recording)
            live.begin(upstream.head, failure_of(upstream))
            chunks = iter(upstream.chunks)
            while not stopped.is_set():
                chunk = next(chunks, _END)
                if chunk is _END:
                    self._ended(live, plan, recording, start, was_cut=is_cut(stopped, upstream))
                    return
                self._pass_on(live, plan, recording, chunk, start)
                live.wait_for_room()
            live.end(StreamEndedEarlyError(STOPPED))
        except Exception as error:  # noqa: BLE001 - every consumer raises it
            if upstream is not None and is_cut(stopped, upstream):
                live.end(StreamEndedEarlyError(STOPPED))
            else:
                self._failed(live, plan, recording, error)
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise it to
            end_broken(live, recording, error)
        finally:
            live.end()
            self._live.forget(live)
            if upstream is not None:
                with contextlib.suppress(Exception):  # as above
                    upstream.close()

    def _ended(self, live: LiveStream, plan: Plan, recording: Recording, start: Start, *, was_cut: bool) -> None:
        if was_cut:
            live.end(StreamEndedEarlyError(STOPPED))
        else:
            self._settle(plan, recording, start, has_ended=True)

    def _failed(self, live: LiveStream, plan: Plan, recording: Recording | None, error: Exception) -> None:
        if recording is not None and recording.is_settled:  # after the last chunk: the client has been closed meanwhile
            return
        self._engine.load_failed(plan, error)
        live.end(error)

    def _pass_on(self, live: LiveStream, plan: Plan, recording: Recording, chunk: Any, start: Start) -> None:
        """Give a chunk to all; store the stream before that when it is the last by the stream's own format.

        SDKs stop there, and their callers may close the client before the upstream's end has been read.
        """
        taken, size = recording.take(chunk)
        if recording.is_whole(has_ended=False):
            self._settle(plan, recording, start, has_ended=False)
        if recording.is_long and not live.is_long:
            live.grow_long()
            self._live.forget(live)
        live.add(taken, size)

    def _settle(self, plan: Plan, recording: Recording, start: Start, *, has_ended: bool) -> None:
        if recording.is_settled:
            return
        recording.is_settled = True
        load, refusal = self._engine.load_of(start), recording.refusal
        if refusal is None and not recording.is_whole(has_ended=has_ended):
            refusal = "a stream that ended before it was complete"
        outcome = outcome_of_snapshot(plan, recording.data(), recording.snapshot, load, refusal)
        self._engine.settle(plan, outcome, start)


def check_kind(plan: Plan, *, is_async: bool) -> None:
    """Refuse a sync stream in async code and the reverse; raises InputError naming the call that fits.

    What is known of the call before it is identified is known of generators alone.
    """
    streamed = plan.streamed
    if streamed is None or streamed.is_async is None or streamed.is_async is is_async:
        return
    if is_async:
        raise InputError(f"{plan.label} streams in sync code: call cached_stream_sync instead of cached_stream")
    raise InputError(f"{plan.label} streams in async code: call cached_stream instead of cached_stream_sync")


def _fixed_cost(plan: Plan) -> float:
    """What a call costs, where that does not depend on its result, which a stream has not yet."""
    cost = plan.policy.cost
    return 0.0 if callable(cost) else cost


class _Once:
    """A call's plan, given out once: its arguments may be others by the next time."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._is_given = plan, False

    def plan(self) -> Plan:
        """The plan; raises InputError the second time."""
        if self._is_given:
            raise InputError(
                f"this stream of {self._plan.label} was opened already; call cached_stream anew for another"
            )
        self._is_given = True
        return self._plan


class StreamCall:
    """A streamed call of async code: await it, or enter it, for what the call gives; or iterate over its chunks."""

    def __init__(self, streams: Streams, plan: Plan) -> None:
        check_kind(plan, is_async=True)
        self._streams, self._once = streams, _Once(plan)
        self._given: Any = None

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._streams.open(self._once.plan()).__await__()

    async def __aenter__(self) -> Any:
        self._given = await self
        enter = getattr(self._given, "__aenter__", None)
        try:
            return self._given if enter is None else await enter()
        except BaseException:  # it is not left then: cancelled, for one
            if hasattr(self._given, "aclose"):
                await self._given.aclose()
            raise

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
        check_kind(plan, is_async=False)
        self._streams, self._once = streams, _Once(plan)
        self._given: Any = None

    def open(self) -> Any:
        """What the call gives; raises what the call raises."""
        return self._streams.open_sync(self._once.plan())

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
