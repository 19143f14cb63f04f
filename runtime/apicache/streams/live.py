"""Live streams: one upstream stream that all who ask for its key meanwhile receive as it comes.

The upstream is read by a pump of its own, a task or a thread, so that no consumer's end reaches the others. Whoever
comes later first gets what has come so far. A stream that has become long is no longer kept from its begin: nobody
joins it any more, what all have read is dropped, and its pump waits for the slowest consumer, as long as that one
takes something now and then, or nobody else waits for more. When the last consumer has left, a task is cancelled at
once, and a thread where its upstream can be interrupted; any other thread ends with the next chunk that comes to it.
"""

import asyncio
import functools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from apicache import forks
from apicache.flights import Flight, FlightTable, wait_no_longer

if TYPE_CHECKING:
    from apicache.core import Start

KEPT_BYTES: Final = 64 * 2**20
"""How much is kept of a stream, as its chunks are packed and counted: a quarter of what memory holds by default, and a
hundred times the longest text that a model writes."""
CHUNK_BYTES: Final = 200
"""What a chunk costs besides its packed bytes, in CPython: its places in a dict and two lists, and a header."""
IDLE_SECONDS: Final = 30.0
"""How long the slowest consumer of a long stream may take nothing while others wait for more: longer than one chunk
takes to handle, and well within the minutes after which servers drop a connection that nobody reads."""
_CHECK_SECONDS: Final = 1.0
"""How often a consumer looks whether the pump's event loop still runs, and a pump for consumers that are idle."""
STOPPED: Final = "everybody who received the stream has left"
_IDLE: Final = "others waited for this consumer, which had taken nothing for a while, of a stream too long to keep"


class StreamEndedEarlyError(RuntimeError):
    """The stream's event loop or thread ended before the stream did."""


class PumpLostError(StreamEndedEarlyError):
    """Its pump ended though consumers were left: the event loop has ended, most often."""

    def __init__(self) -> None:
        super().__init__("the task that read the stream was cancelled, or its event loop has stopped; ask again")


class Signal:
    """Wakes those who wait for something to come true, in threads and in event loops."""

    def __init__(self) -> None:
        # Re-entrant, as a stream's: a consumer that is collected as garbage leaves amid whatever its thread is doing.
        self._changing = threading.RLock()
        self._wakes: list[Callable[[], object]] = []

    def ring(self) -> None:
        """It may have come true."""
        with self._changing:
            wakes, self._wakes = self._wakes, []
        for wake in wakes:
            wake()

    def _on_ring(self, is_true: Callable[[], bool], wake: Callable[[], object]) -> bool:
        with self._changing:
            if is_true():
                return False
            self._wakes.append(wake)
            return True

    def _off_ring(self, wake: Callable[[], object]) -> None:
        with self._changing:
            if wake in self._wakes:
                self._wakes.remove(wake)

    def wait(self, is_true: Callable[[], bool], check: Callable[[], object]) -> None:
        """Block until it is true; `check`, called each second meanwhile, may raise."""
        rung = threading.Event()
        try:
            while self._on_ring(is_true, rung.set):
                while not rung.wait(_CHECK_SECONDS):
                    check()
                rung.clear()
        except BaseException:
            self._off_ring(rung.set)
            raise

    async def wait_async(self, is_true: Callable[[], bool], check: Callable[[], object] | None) -> None:
        """As `wait`; no `check` where whoever rings needs this very loop."""
        loop = asyncio.get_running_loop()
        while not is_true():
            rung: asyncio.Future[None] = loop.create_future()

            def wake(rung: "asyncio.Future[None]" = rung) -> None:
                try:
                    loop.call_soon_threadsafe(_release, rung)
                except RuntimeError:  # the loop has been closed: nobody waits there any more
                    return

            if not self._on_ring(is_true, wake):
                return
            try:
                while not rung.done():
                    await asyncio.wait((rung,), timeout=None if check is None else _CHECK_SECONDS)
                    if check is not None and not rung.done():
                        check()
            except BaseException:  # who polls with a timeout would leave one each time
                self._off_ring(wake)
                raise


def _release(rung: "asyncio.Future[None]") -> None:
    if not rung.done():
        rung.set_result(None)


class LiveStream:
    """What is kept of a stream; its pump adds to it, any number of consumers read it."""

    def __init__(self, flight: "Flight[LiveStream]", start: "Start | None" = None) -> None:
        """`flight` stands for it among all that callers wait for; its loop is the pump's, None for a thread.

        `start` is the begin of its load; without one, no invalidation concerns it.
        """
        self.flight = flight
        self.start = start
        self.head: Any = None
        """What the upstream sent before its first chunk."""
        self.has_head = False
        self.failure: str | None = None
        """`status 503` and its like, when the head says that the upstream failed."""
        self.count = 0
        """How many chunks have come."""
        self.is_long = False
        self.is_lost = False
        """True when its pump's event loop was found to have stopped."""
        self.ended = False
        self.error: BaseException | None = None
        self.stop: Callable[[], object] = lambda: None
        """Stops the pump; set by it."""
        self.more = Signal()
        self._room = Signal()
        self._changing = threading.RLock()
        self._places: set[Place] = set()
        self._chunks: dict[int, tuple[Any, int]] = {}
        """By position: each with the bytes that it counts."""
        self._first = 0
        self._bytes = 0

    def begin(self, head: Any, failure: str | None) -> None:
        """The upstream has answered; perhaps that it failed."""
        self.failure = failure
        self.head, self.has_head = head, True
        self.more.ring()

    def add(self, chunk: Any, size: int) -> None:
        """The next chunk, and the bytes that it counts."""
        with self._changing:
            self._chunks[self.count] = (chunk, size)
            self.count += 1
            self._bytes += size
            self._drop()
        self.more.ring()

    def end(self, error: BaseException | None = None) -> None:
        """It is complete; or broken off by an error, which every consumer raises after the chunks before it."""
        with self._changing:
            if self.ended:
                return
            self.error, self.ended = error, True
        self.more.ring()

    def grow_long(self) -> None:
        """Keep no more from now on than consumers have yet to read, and let nobody join."""
        with self._changing:
            self.is_long = True
            self._drop()

    def _drop(self) -> None:
        """Drop what all have read."""
        if not self.is_long:
            return
        slowest = min((place.position for place in tuple(self._places)), default=self.count)
        while self._first < slowest:
            self._bytes -= self._chunks.pop(self._first)[1]
            self._first += 1

    def enter(self) -> "Place | None":
        """One consumer more; None when it is long, or when the last one has left, and so the pump is stopped."""
        place = Place(self)
        with self._changing:
            if self.is_long or not (self._places or self.ended):
                return None
            self._places.add(place)
        return place

    def lead(self) -> "Place":
        """Its first consumer."""
        place = Place(self)
        self._places.add(place)
        return place

    def leave(self, place: "Place") -> None:
        """One consumer fewer; the last one to leave stops the pump."""
        with self._changing:
            if place not in self._places:
                if place.is_dropped:
                    wait_no_longer(self.flight)
                return
            self._places.discard(place)
            stops = not self._places and not self.ended
            self._drop()
        wait_no_longer(self.flight)
        self._room.ring()
        if stops:
            self.stop()

    def end_cancelled(self) -> None:
        """Its pump was cancelled: by the last consumer to leave, or else by somebody else."""
        self.end(PumpLostError() if self._places else StreamEndedEarlyError(STOPPED))

    def has(self, position: int) -> bool:
        """Whether there is a chunk at `position`, or the head at -1, or the end before it."""
        return self.ended or (self.has_head if position < 0 else self.count > position)

    def take(self, position: int) -> Any:
        """The chunk at `position`, or the head at -1; raises StopIteration past the end, or the stream's error."""
        if position < 0 and self.has_head:
            return self.head
        with self._changing:
            if position in self._chunks:
                return self._chunks[position][0]
        if self.error is not None:
            raise self.error
        raise StopIteration

    def pass_by(self, place: "Place") -> None:
        """A consumer has read the chunk at its place."""
        place.position += 1
        place.taken_at = time.monotonic()
        if self.is_long:
            with self._changing:
                self._drop()
            self._room.ring()

    def has_room(self) -> bool:
        """Whether the slowest consumer is near enough for more to come."""
        return not self.is_long or self._bytes <= KEPT_BYTES or not self._places

    def wait_for_room(self) -> None:
        """Block the pump's thread until there is room."""
        self._room.wait(self.has_room, functools.partial(self._drop_idle, time.monotonic()))

    async def wait_for_room_async(self) -> None:
        """Have the pump's task wait until there is room."""
        await self._room.wait_async(self.has_room, functools.partial(self._drop_idle, time.monotonic()))

    def _drop_idle(self, since: float) -> None:
        """Let go of the slowest consumer when it, and so the pump `since`, is idle and another one waits for more."""
        until = time.monotonic() - IDLE_SECONDS
        with self._changing:
            places = tuple(self._places)
            if self.has_room() or not any(place.is_waiting and place.position == self.count for place in places):
                return
            for place in places:
                if place.position == self._first and max(place.taken_at, since) <= until:
                    place.is_dropped = True
                    self._places.discard(place)
            self._drop()
        self._room.ring()

    def check_alive(self) -> None:
        """Raises PumpLostError when its pump's event loop has stopped."""
        loop = self.flight.loop  # the flight itself may have landed: nobody joins a long stream
        if loop is not None and not loop.is_running() and not self.ended:
            self.is_lost = True
            raise PumpLostError


class Place:
    """Where a consumer stands in a live stream."""

    def __init__(self, stream: LiveStream) -> None:
        self.stream = stream
        self.position = 0
        self.is_foreign = False
        """True when another event loop's pump feeds it, which may end before it does."""
        self.taken_at = time.monotonic()
        """When it last took a chunk, or came."""
        self.is_waiting = False
        self.is_dropped = False
        """True when it held up others for too long: it is given no more than is kept for them."""

    def wait(self, position: int) -> None:
        """Block until there is something at `position`; raises StreamEndedEarlyError."""
        stream = self.stream
        if not stream.has(position):
            self.is_waiting = True
            try:
                stream.more.wait(lambda: stream.has(position), stream.check_alive)
            finally:
                self.is_waiting = False

    async def wait_async(self, position: int) -> None:
        """As `wait`, in an event loop."""
        stream = self.stream
        if not stream.has(position):
            is_same = stream.flight.loop is asyncio.get_running_loop()
            self.is_waiting = True
            try:
                await stream.more.wait_async(lambda: stream.has(position), None if is_same else stream.check_alive)
            finally:
                self.is_waiting = False

    def next(self) -> Any:
        """The chunk here; moves on. Raises as `LiveStream.take` does."""
        try:
            chunk = self.stream.take(self.position)
        except StopIteration:
            if self.is_dropped and self.position < self.stream.count:
                raise StreamEndedEarlyError(_IDLE) from None
            raise
        self.stream.pass_by(self)
        return chunk

    def leave(self) -> None:
        """Want no more."""
        self.stream.leave(self)


class LiveTable:
    """The live streams by key. A forked child starts with none."""

    def __init__(self) -> None:
        self._flights: FlightTable[LiveStream] = FlightTable()
        self._after_fork()
        forks.on_fork(self._after_fork)

    def _after_fork(self) -> None:
        self._changing = threading.Lock()
        self._streams: dict[bytes, LiveStream] = {}

    def join(
        self,
        key: bytes,
        loop: asyncio.AbstractEventLoop | None,
        start: "Start | None" = None,
        is_concerned: "Callable[[Start], bool]" = lambda _: False,
    ) -> tuple[Place | None, bool]:
        """A place in the key's stream, and whether the caller has to start its pump, whose load begins at `start`.

        A stream that began at a start that `is_concerned` by an invalidation is left to those who have it.

        No place when waiting for the stream could never end: inside of its own pump, or of one that it waits for, and
        in the thread of the event loop that it needs, for other code than that loop's.
        """
        with self._changing:
            stream = self._streams.get(key)
            if stream is not None and _is_open(stream, is_concerned):
                if not stream.flight.is_dead():
                    flight, _ = self._flights.join(key, loop)
                    if flight is None:
                        return None, False
                place = stream.enter()
                if place is not None:
                    place.is_foreign = stream.flight.loop not in (None, loop)
                    return place, False
            if stream is not None:
                self._flights.land(stream.flight, stream)
            flight, _ = self._flights.join(key, loop)
            if flight is None:
                return None, False
            stream = self._streams[key] = LiveStream(flight, start)
            return stream.lead(), True

    def forget(self, stream: LiveStream) -> None:
        """Whoever asks from now on finds what is stored, or begins a new one."""
        key = stream.flight.key
        with self._changing:
            if self._streams.get(key) is stream:
                del self._streams[key]
            self._flights.land(stream.flight, stream)

    def __len__(self) -> int:
        return len(self._streams)


def _is_open(stream: LiveStream, is_concerned: "Callable[[Start], bool]") -> bool:
    """Whether a caller who asks now may have it."""
    if stream.is_lost or (stream.ended and stream.error is not None):
        return False
    return stream.start is None or not is_concerned(stream.start)
