"""Flights: one in-progress load that all concurrent callers of a key share, across threads and event loops.

The first caller of a key leads its flight; later ones wait for its outcome. A flight is counted: a caller that is
cancelled leaves it, and only when the last one has left is the load itself cancelled. A caller that stands inside a
flight's own load (a re-entrant key), or whose waiting would close a circle of flights waiting for each other, is told
to load by itself: waiting could never end.
"""

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

from apicache import forks, workers

_O = TypeVar("_O")

_thread = threading.get_ident
_CHECK_SECONDS: Final = 1.0
"""How often a waiter looks whether the leader's event loop still exists."""


class AbandonedError(Exception):
    """The flight ended without an outcome (its leader was interrupted): whoever waits starts over.

    All but its leader, if that waits too: it raises `by`, what the load was interrupted by, where that is known.
    """

    def __init__(self, by: BaseException | None = None) -> None:
        super().__init__()
        self.by = by


class WaitedTooLongError(Exception):
    """The flight goes on, but this waiter's time is over."""


class Flight(Generic[_O]):
    """One load; it lands once, with an outcome or an error."""

    # What most flights have alike stands in the class: there is one for each call that is not in memory.
    done = False
    outcome: _O | None = None
    error: BaseException | None = None
    waiters = 1
    kept = False
    """True when it goes on though nobody waits: a refresh, or a load that a caller did not wait out."""
    is_bound = False
    """True when its load is made on its leader's own connection: it ends when the leader waits no longer."""
    fallback: Any = None
    """What a caller whose time is over may be given instead, once the flight has found it."""
    waits_for: "set[Flight[_O]] | None" = None
    task: "asyncio.Task[None] | None" = None

    def __init__(self, key: bytes, loop: asyncio.AbstractEventLoop | None) -> None:
        self.key = key
        self.loop = loop
        self.thread = _thread()
        self.wakes: list[Callable[[], object]] = []

    def result(self) -> _O:
        """The outcome; raises the error it landed with."""
        if self.error is not None:
            raise self.error
        return self.outcome  # type: ignore[return-value] # landed without an error: there is one

    def is_dead(self) -> bool:
        """Whether the leader's event loop ended, or was stopped, before the load could finish."""
        return self.loop is not None and not self.done and not self.loop.is_running()

    def can_be_waited_for_in(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Whether this thread may wait for it; not when the load needs this very thread for another event loop."""
        return self.loop is None or self.loop is loop or self.thread != _thread()


_inside: contextvars.ContextVar[tuple[Flight[Any], ...]] = contextvars.ContextVar("apicache_flights", default=())


def current() -> tuple[Flight[Any], ...]:
    """The flights inside whose loads this context stands, the innermost last."""
    return _inside.get()


def stand_in(flights: tuple[Flight[Any], ...]) -> None:
    """Have this context, to its end, stand inside these flights' loads and no others."""
    _inside.set(flights)


def inside(flight: Flight[Any]) -> contextvars.Context:
    """A copy of the caller's context that stands inside the flight's load."""
    outer = _inside.get()
    entered = _inside.set((*outer, flight) if outer else (flight,))
    try:
        return contextvars.copy_context()
    finally:
        _inside.reset(entered)


class Loading:
    """Marks this context as standing inside the flight's load, while it is entered."""

    __slots__ = ("_flight", "_token")

    def __init__(self, flight: Flight[Any]) -> None:
        self._flight = flight

    def __enter__(self) -> None:
        self._token = _inside.set((*_inside.get(), self._flight))

    def __exit__(self, *_: object) -> None:
        _inside.reset(self._token)


class FlightTable(Generic[_O]):
    """The flights under way, by key. Safe for threads and event loops; a forked child starts with none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[bytes, Flight[_O]] = {}
        forks.on_fork(self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._flights = {}

    def join(
        self, key: bytes, loop: asyncio.AbstractEventLoop | None, *, may_lead: bool = True, is_bound: bool = False
    ) -> tuple[Flight[_O] | None, bool]:
        """The key's flight and whether the caller leads it; no flight when waiting for it could never end.

        Nor where there is none for a caller that may not lead it.
        """
        outer = _inside.get()
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None and flight.is_dead():
                self._forget(flight)
                flight = None
            if flight is None and not may_lead:
                return None, False
            if flight is None:
                own: Flight[_O] = Flight(key, loop)
                own.is_bound = is_bound
                flight = self._flights.setdefault(key, own)  # `lead` takes no lock
                if flight is own:
                    _note(outer, own)
                    return own, True
            if flight in outer or any(_reaches(flight, each) for each in outer):
                return None, False
            if not flight.can_be_waited_for_in(loop):
                return None, False
            flight.waiters += 1
            _note(outer, flight)
            return flight, False

    def lead(self, key: bytes, loop: asyncio.AbstractEventLoop) -> Flight[_O] | None:
        """A new flight, which the caller leads; None where there is one, and inside another flight's load.

        It takes no lock, and so does `land_at_once`: they are what every miss in memory pays for.
        """
        if _inside.get():
            return None
        flight: Flight[_O] = Flight(key, loop)
        return flight if self._flights.setdefault(key, flight) is flight else None

    def launch(self, flight: Flight[_O], load: Coroutine[Any, Any, _O]) -> None:
        """Begin the load at once, in a task of its own, so that no caller's cancellation reaches it."""
        try:
            task = workers.start(self._fly(flight, load), flight.loop or asyncio.get_running_loop(), inside(flight))
        except asyncio.CancelledError:  # raised by the load itself before it waited for anything
            self.land_with(flight, AbandonedError())
            return
        except BaseException:
            self.land_with(flight, AbandonedError())
            raise
        if task is not None:
            self._watch(flight, load, task)

    def launch_later(self, flight: Flight[_O], load: Coroutine[Any, Any, _O]) -> None:
        """Begin the load in a task of its own when the caller has gone on: nobody waits for it."""
        loop = asyncio.get_running_loop()
        self._watch(flight, load, loop.create_task(self._fly(flight, load), context=inside(flight)))

    def go_on(
        self,
        flight: Flight[_O],
        load: Coroutine[Any, Any, _O],
        worker: workers.Worker,
        context: contextvars.Context,
    ) -> None:
        """Have a load that awaits, to begin with, a `workers.Begun` go on in that worker's task and that context."""
        flying = self._fly(flight, load)
        worker.take_over(flying, context, context.run(flying.send, None))
        self._watch(flight, load, worker.task)

    def _watch(self, flight: Flight[_O], load: Coroutine[Any, Any, _O], task: "asyncio.Task[None]") -> None:
        if flight.done:
            return
        flight.task = task

        def ended(task: "asyncio.Task[None]") -> None:
            # A task cancelled before its first step has run nothing of `_fly`.
            load.close()
            self.land_with(flight, AbandonedError(None if task.cancelled() else task.exception()))

        task.add_done_callback(ended)

    async def _fly(self, flight: Flight[_O], load: Coroutine[Any, Any, _O]) -> None:
        try:
            outcome = await load
        except Exception as error:  # noqa: BLE001 - every waiter raises it
            self.land_with(flight, error)
        else:
            self._land(flight, outcome, None)

    def land(self, flight: Flight[_O], outcome: _O) -> None:
        """End the flight with its outcome."""
        self._land(flight, outcome, None)

    def land_with(self, flight: Flight[_O], error: BaseException) -> None:
        """End the flight with the exception that every waiter raises."""
        # A coroutine cannot raise StopIteration; whoever waits loads by itself.
        self._land(flight, None, AbandonedError() if isinstance(error, StopIteration) else error)

    def _land(self, flight: Flight[_O], outcome: _O | None, error: BaseException | None) -> None:
        with self._lock:
            if flight.done:
                return
            self._forget(flight)
            flight.outcome, flight.error, flight.done = outcome, error, True
        for wake in flight.wakes:
            wake()

    def land_at_once(self, flight: Flight[_O], outcome: _O) -> None:
        """End a flight that `lead` gave, before its leader has gone on."""
        # Whoever sees it not done now has its wake in the list: see `_on_landing`.
        flight.outcome = outcome
        flight.done = True
        self._flights.pop(flight.key, None)
        for wake in flight.wakes:
            wake()

    def leave(self, flight: Flight[_O], *, owns: bool = False) -> bool:
        """One waiter gives up; the last one to leave an async load cancels it. Gives whether this one did.

        So does one who `owns` it, whoever else waits: they start over.
        """
        with self._lock:
            flight.waiters -= 1
            last = (owns or (flight.waiters == 0 and not flight.kept)) and not flight.done
            if last:
                self._forget(flight)
        cancels = last and flight.task is not None and flight.loop is not None and not flight.loop.is_closed()
        if cancels and flight.loop is not None and flight.task is not None:
            flight.loop.call_soon_threadsafe(flight.task.cancel)
        return cancels

    def rejoin(self, flight: Flight[_O]) -> None:
        """Wait once more, after having waited too long."""
        with self._lock:
            flight.waiters += 1

    def _forget(self, flight: Flight[_O]) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    def _on_landing(self, flight: Flight[_O], wake: Callable[[], object]) -> bool:
        """Have `wake` called at the landing; False when it has landed already: then it may be called or not."""
        flight.wakes.append(wake)  # first: who lands sets `done` before looking here
        return not flight.done

    def wait(self, flight: Flight[_O], seconds: float | None = None) -> _O:
        """Block until the outcome; raises what the load raised, AbandonedError, or WaitedTooLongError."""
        try:
            landed = threading.Event()
            if self._on_landing(flight, landed.set):
                left = seconds
                while not landed.wait(_CHECK_SECONDS if left is None else min(left, _CHECK_SECONDS)):
                    if flight.is_dead():
                        raise AbandonedError
                    left = None if left is None else left - _CHECK_SECONDS
                    if left is not None and left <= 0:
                        flight.kept = True
                        raise WaitedTooLongError
            return flight.result()
        finally:
            self._stop_waiting(flight)

    def landed(self, flight: Flight[_O]) -> _O:
        """The outcome of a flight that has landed already; raises what the load raised, or AbandonedError."""
        wait_no_longer(flight)
        return flight.result()  # how many wait for it no longer matters

    async def wait_async(self, flight: Flight[_O], seconds: float | None = None, *, owns: bool = False) -> _O:
        """Wait for the outcome; raises what the load raised, AbandonedError, or WaitedTooLongError.

        Cancelling leaves the flight; waiting too long leaves it to go on by itself, unless the caller `owns` it.
        """
        if flight.done:  # landed before anybody had to wait
            return self.landed(flight)
        loop = asyncio.get_running_loop()
        is_closed = False
        try:
            woken = loop.create_future()
            if self._on_landing(flight, functools.partial(_wake, loop, woken)):
                await self._until(flight, loop, woken, seconds)
            return flight.result()
        except WaitedTooLongError:
            flight.kept = flight.kept or not owns
            raise
        except GeneratorExit:  # a coroutine that is closed can no longer wait
            is_closed = True
            raise
        finally:
            ends = self._stop_waiting(flight, owns=owns)
            if ends and flight.task is not None and flight.loop is loop and not is_closed:
                # As without a cache: a cancelled call has ended when its cleanup has.
                await asyncio.wait((flight.task,))

    async def _until(
        self, flight: Flight[_O], loop: asyncio.AbstractEventLoop, woken: "asyncio.Future[None]", seconds: float | None
    ) -> None:
        if seconds is None and flight.loop is loop:
            await woken
            return
        end = None if seconds is None else loop.time() + seconds
        while not flight.done:
            left = _CHECK_SECONDS if end is None else min(_CHECK_SECONDS, end - loop.time())
            await asyncio.wait((woken,), timeout=max(left, 0))
            if flight.is_dead():
                raise AbandonedError
            if not flight.done and end is not None and loop.time() >= end:
                raise WaitedTooLongError

    def _stop_waiting(self, flight: Flight[_O], *, owns: bool = False) -> bool:
        wait_no_longer(flight)
        return self.leave(flight, owns=owns)

    def __len__(self) -> int:
        return len(self._flights)


def _note(outer: tuple[Flight[_O], ...], flight: Flight[_O]) -> None:
    for each in outer:
        if each.waits_for is None:
            each.waits_for = set()
        each.waits_for.add(flight)


def wait_no_longer(flight: Flight[Any]) -> None:
    """The flights that the caller stands in no longer wait for this one."""
    for each in _inside.get():
        if each.waits_for is not None:
            each.waits_for.discard(flight)


def _wake(loop: asyncio.AbstractEventLoop, woken: "asyncio.Future[None]") -> None:
    try:
        if asyncio._get_running_loop() is loop:  # noqa: SLF001 - documented, and None where there is none
            _release(woken)
        else:
            loop.call_soon_threadsafe(_release, woken)
    except RuntimeError:  # the loop has been closed: nobody waits there any more
        return


def _release(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)


def _reaches(start: Flight[_O], goal: Flight[_O]) -> bool:
    """Whether `start` waits, through any chain of flights, for `goal`."""
    seen: set[Flight[_O]] = set()
    pending = [start]
    while pending:
        flight = pending.pop()
        if flight is goal:
            return True
        if flight not in seen:
            seen.add(flight)
            pending.extend(flight.waits_for or ())
    return False
