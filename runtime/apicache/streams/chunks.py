"""A stream's chunks: recorded as they come, handed to each of its consumers, and replayed."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from apicache.adapter import Streamed, Upstream
from apicache.errors import UnencodableError
from apicache.planning import Plan
from apicache.storing import Outcome, is_failure
from apicache.streams import live

_LAST: Final = 8
"""Chunks of a long stream that are kept: its end is looked for among them."""
_UNPACKABLE_BYTES: Final = 4096
"""What a chunk that has no stored form counts; what it really takes cannot be known."""


class Recording:
    """The chunks of a stream as they came, and the seconds before each."""

    def __init__(self, streamed: Streamed, upstream: Upstream) -> None:
        self._pack, self._is_complete = streamed.pack, streamed.is_complete
        self.head, self.snapshot = upstream.head, upstream.snapshot
        self.refusal: str | None = None
        self.is_settled = False
        self.is_long = False
        """True when it is too long to be kept."""
        self._bytes = 0
        self._chunks: list[bytes] = []
        self._delays: list[float] = []
        self._last = time.monotonic()

    def take(self, chunk: Any) -> tuple[Any, int]:
        """The chunk in the form that its consumers share: packed, or itself where it cannot be; and what it counts."""
        now = time.monotonic()
        self._delays.append(round(now - self._last, 4))
        self._last = now
        try:
            packed = self._pack(chunk)
        except UnencodableError as error:
            self.refusal = self.refusal or f"a stream of {error}"
            return _Unpackable(chunk), self._counted(_UNPACKABLE_BYTES)
        self._chunks.append(packed)
        return packed, self._counted(len(packed) + live.CHUNK_BYTES)

    def _counted(self, size: int) -> int:
        self._bytes += size
        if self._bytes > live.KEPT_BYTES:
            self.is_long = True
            self.refusal = self.refusal or f"a stream longer than {live.KEPT_BYTES} bytes"
            del self._chunks[:-_LAST], self._delays[:-_LAST]
        return size

    def is_whole(self, *, has_ended: bool) -> bool:
        """Whether all of it has come; `has_ended` when the upstream gives no more."""
        return has_ended if self._is_complete is None else self._is_complete(self._chunks)

    def data(self) -> dict[str, Any]:
        """What is stored."""
        return {"head": self.head, "chunks": self._chunks, "delays": self._delays}


def recording_of(plan: Plan, streamed: Streamed, upstream: Upstream) -> Recording:
    """The recording of a stream that has begun; from now on the plan's arguments may be another call's."""
    recording = Recording(streamed, upstream)
    if streamed.is_sent_at_once:
        # SDKs stop at their API's own mark, before the stream has ended here: what their callers do then with the
        # arguments, the usual append to the messages for one, is about another call.
        if plan.has_changed():
            recording.refusal = "changed by its caller while it was sent"
        plan.is_fixed = True
    return recording


def stop_pump(stopped: threading.Event, upstream: Upstream, recording: Recording) -> None:
    """Stop a pump's thread; from another one."""
    stopped.set()  # first: what the interruption leads to is not the upstream's own end
    if upstream.interrupt is not None and not recording.is_settled:
        upstream.interrupt()


def end_broken(stream: live.LiveStream, recording: Recording | None, error: BaseException) -> None:
    """End a stream whose upstream raised what is no Exception, and so belongs to no consumer: SystemExit, for one."""
    if recording is None or not recording.is_settled:
        ended = live.StreamEndedEarlyError(f"what gives the stream raised {type(error).__name__}")
        ended.__cause__ = error
        stream.end(ended)


def is_cut(stopped: threading.Event, upstream: Upstream) -> bool:
    """Whether what ended the upstream may have been ourselves."""
    return stopped.is_set() and upstream.interrupt is not None


def failure_of(upstream: Upstream) -> str | None:
    """What an answer says by which the upstream failed; None for any other."""
    told = upstream.snapshot
    outcome = Outcome(value=None, entry=None, refusal=told.refusal, status=told.status)
    return outcome.refusal if is_failure(outcome) else None


class _Unpackable:
    """A chunk that has no stored form: all consumers are given the one object."""

    def __init__(self, chunk: Any) -> None:
        self.chunk = chunk


def _unpacked(streamed: Streamed, chunk: Any) -> Any:
    return chunk.chunk if isinstance(chunk, _Unpackable) else streamed.unpack(chunk)


class Consumer:
    """One consumer's way through a live stream; iterable, async or not, once."""

    def __init__(self, place: live.Place, streamed: Streamed) -> None:
        self._place, self._streamed = place, streamed

    def head(self) -> Any:
        """What comes before the chunks; blocks, raises the error of a call that failed."""
        self._place.wait(-1)
        return self._head()

    async def head_async(self) -> Any:
        """As `head`, in an event loop."""
        await self._place.wait_async(-1)
        return self._head()

    def _head(self) -> Any:
        try:
            return self._place.stream.take(-1)
        except StopIteration:  # it ended without a head: stopped while it began
            raise live.StreamEndedEarlyError(live.STOPPED) from None

    def first(self) -> None:
        """Wait until the first chunk has come; raises the error of a stream that failed before it."""
        self._place.wait(0)
        self._first()

    async def first_async(self) -> None:
        """As `first`, in an event loop."""
        await self._place.wait_async(0)
        self._first()

    def _first(self) -> None:
        stream = self._place.stream
        if not stream.count and stream.error is not None:
            raise stream.error

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._place.wait(self._place.position)
        return self._next()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        await self._place.wait_async(self._place.position)
        try:
            return self._next()
        except StopIteration:
            raise StopAsyncIteration from None

    def _next(self) -> Any:
        try:
            chunk = self._place.next()
        except BaseException:  # the end, or the stream's error: in both cases nothing more is wanted
            self.close()
            raise
        return _unpacked(self._streamed, chunk)

    def close(self) -> None:
        """Want no more; the last one to close a stream stops it."""
        self._place.leave()

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
