"""Flights: one in-progress load that all concurrent callers of a key share, across threads and event loops.

The first caller of a key leads its flight; later ones wait for its outcome. A flight is counted: a caller that is
cancelled leaves it, and only when the last one has left is the load itself cancelled. A caller that stands inside a
flight's own load (a re-entrant key), or whose waiting would close a circle of flights waiting for each other, is told
to load by itself: waiting could never end.
"""

import asyncio
import concurrent.futures
import contextvars
import os
import threading
import weakref
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

_O = TypeVar("_O")

_CHECK_SECONDS: Final = 1.0
"""How often a waiter looks whether the leader's event loop still exists."""


class AbandonedError(Exception):
    """The flight ended without an outcome (its leader was interrupted): whoever waits starts over."""


class Flight(Generic[_O]):
    """One load; `outcome` is set once, by the leader."""

    __slots__ = ("__weakref__", "key", "loop", "outcome", "task", "thread", "waiters", "waits_for")

    def __init__(self, key: str, loop: asyncio.AbstractEventLoop | None) -> None:
        self.key = key
        self.loop = loop
        self.thread = threading.get_ident()
        self.outcome: concurrent.futures.Future[_O] = concurrent.futures.Future()
        # Running: a waiter's cancelled asyncio wrapper can then not cancel it for everybody.
        self.outcome.set_running_or_notify_cancel()
        self.waiters = 1
        self.waits_for: set[Flight[_O]] = set()
        self.task: asyncio.Task[None] | None = None

    def is_dead(self) -> bool:
        """Whether the leader's event loop ended, or was stopped, before the load could finish."""
        return self.loop is not None and not self.loop.is_running() and not self.outcome.done()

    def can_be_waited_for_in(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Whether this thread may wait for it; not when the load needs this very thread for another event loop."""
        return self.loop is None or self.loop is loop or self.thread != threading.get_ident()


_inside: contextvars.ContextVar[tuple[Flight[Any], ...]] = contextvars.ContextVar("apicache_flights", default=())


@contextmanager
def loading(flight: Flight[Any]) -> Iterator[None]:
    """Mark this context as standing inside the flight's load."""
    token = _inside.set((*_inside.get(), flight))
    try:
        yield
    finally:
        _inside.reset(token)


class FlightTable(Generic[_O]):
    """The flights under way, by key. Safe for threads and event loops; a forked child starts with none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, Flight[_O]] = {}
        forget = weakref.WeakMethod(self._after_fork)
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._flights = {}

    def join(self, key: str, loop: asyncio.AbstractEventLoop | None) -> tuple[Flight[_O] | None, bool]:
        """The key's flight and whether the caller leads it; no flight when waiting for it could never end."""
        with self._lock:
            outer = _inside.get()
            flight = self._flights.get(key)
            if flight is None or flight.is_dead():
                flight = self._flights[key] = Flight(key, loop)
                for each in outer:
                    each.waits_for.add(flight)
                return flight, True
            if flight in outer or any(_reaches(flight, each) for each in outer):
                return None, False
            if not flight.can_be_waited_for_in(loop):
                return None, False
            flight.waiters += 1
            for each in outer:
                each.waits_for.add(flight)
            return flight, False

    def launch(self, flight: Flight[_O], load: Coroutine[Any, Any, _O]) -> None:
        """Run the load as a task of its own on the running loop, so that no caller's cancellation reaches it."""
        task = flight.task = asyncio.get_running_loop().create_task(self._fly(flight, load))

        def ended(task: "asyncio.Task[None]") -> None:
            # A task cancelled before its first step has run nothing of `_fly`.
            load.close()
            self.land(flight, AbandonedError())
            _retrieve(task)

        task.add_done_callback(ended)

    async def _fly(self, flight: Flight[_O], load: Coroutine[Any, Any, _O]) -> None:
        try:
            with loading(flight):
                outcome = await load
        except Exception as error:  # noqa: BLE001 - every waiter raises it
            self.land(flight, error)
        else:
            self.land(flight, outcome)

    def leave(self, flight: Flight[_O]) -> bool:
        """One waiter gives up; the last one to leave an async load cancels it. Gives whether this one did."""
        with self._lock:
            flight.waiters -= 1
            last = flight.waiters == 0 and not flight.outcome.done()
            if last:
                self._forget(flight)
        cancels = last and flight.task is not None and flight.loop is not None and not flight.loop.is_closed()
        if cancels and flight.loop is not None and flight.task is not None:
            flight.loop.call_soon_threadsafe(flight.task.cancel)
        return cancels

    def land(self, flight: Flight[_O], outcome: _O | BaseException) -> None:
        """End the flight with its outcome, or with the exception that every waiter raises."""
        with self._lock:
            self._forget(flight)
            if flight.outcome.done():
                return
        if isinstance(outcome, StopIteration):  # no future can carry it; whoever waits loads by itself
            flight.outcome.set_exception(AbandonedError())
        elif isinstance(outcome, BaseException):
            flight.outcome.set_exception(outcome)
        else:
            flight.outcome.set_result(outcome)

    def _forget(self, flight: Flight[_O]) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    def wait(self, flight: Flight[_O]) -> _O:
        """Block until the outcome; raises what the load raised, or AbandonedError."""
        try:
            while True:
                try:
                    return flight.outcome.result(timeout=_CHECK_SECONDS)
                except concurrent.futures.TimeoutError:
                    # Also what a load may raise itself; then the flight is done and the error is its outcome.
                    if flight.outcome.done():
                        return flight.outcome.result()
                    if flight.is_dead():
                        raise AbandonedError from None
        finally:
            self._stop_waiting(flight)

    async def wait_async(self, flight: Flight[_O]) -> _O:
        """Wait for the outcome; raises what the load raised, or AbandonedError. Cancelling leaves the flight."""
        loop = asyncio.get_running_loop()
        wrapped = asyncio.wrap_future(flight.outcome, loop=loop)
        # An outcome that nobody is left to retrieve is no mistake here.
        wrapped.add_done_callback(_retrieve)
        try:
            while flight.loop is not loop and not wrapped.done():
                await asyncio.wait((wrapped,), timeout=_CHECK_SECONDS)
                if flight.is_dead():
                    raise AbandonedError
            return await wrapped
        finally:
            if self._stop_waiting(flight) and flight.task is not None and flight.loop is loop:
                # As without a cache: a cancelled call has ended when its cleanup has.
                await asyncio.wait((flight.task,))

    def _stop_waiting(self, flight: Flight[_O]) -> bool:
        for each in _inside.get():
            each.waits_for.discard(flight)
        return self.leave(flight)

    def __len__(self) -> int:
        return len(self._flights)


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
            pending.extend(flight.waits_for)
    return False


def _retrieve(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()
