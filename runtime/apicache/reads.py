"""Reads of many keys in one event-loop tick become one read of the far tiers."""

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from apicache import forks
from apicache.entry import Entry
from apicache.stack import Found, Reading, TierStack

if TYPE_CHECKING:
    import concurrent.futures


class _Tick:
    """The keys that one event loop's tick asks for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.is_sent = False
        self.futures: dict[bytes, list[asyncio.Future[Found | None]]] = {}
        """One for each caller: who is cancelled cancels nobody else's."""
        self.reading = Reading()


class _Gathering(threading.local):
    """The tick that this thread's event loop is in: a loop runs in one thread at a time, so this needs no lock."""

    tick: _Tick | None = None


class BatchedReads:
    """Far reads of async callers, gathered per event loop."""

    def __init__(
        self,
        stack: TierStack,
        is_fresh: Callable[[bytes, Entry], bool],
        submit: Callable[..., "concurrent.futures.Future[Any] | None"],
        timeout: float,
    ) -> None:
        """`timeout`, in seconds, holds where the tiers do not end by themselves."""
        self._stack = stack
        self._is_fresh = is_fresh
        self._submit = submit
        self._timeout = timeout
        self._renew()
        forks.on_fork(self._renew)

    def _renew(self) -> None:
        """A forked child begins anew: what its parent's loops had gathered, its parent reads."""
        self._gathering = _Gathering()

    def read(self, key: bytes) -> "asyncio.Future[Found | None]":
        """The entry that the far tiers have, fresh or not; None for none, and when they take too long."""
        loop = asyncio.get_running_loop()
        tick = self._gathering.tick
        if tick is None or tick.is_sent or tick.loop is not loop:
            tick = self._gathering.tick = _Tick(loop)
            loop.call_soon(self._send, tick)
        future: asyncio.Future[Found | None] = loop.create_future()
        tick.futures.setdefault(key, []).append(future)
        return future

    def _send(self, tick: _Tick) -> None:
        loop, tick.is_sent = tick.loop, True
        if self._gathering.tick is tick:
            self._gathering.tick = None
        doing = self._submit(self._stack.get_far, tuple(tick.futures), self._is_fresh, tick.reading)
        if doing is None:  # the interpreter is ending and takes no more work
            _deliver(tick, {})
            return
        timer = None if self._stack.self_bounded else loop.call_later(self._timeout, self._give_up, tick)
        doing.add_done_callback(functools.partial(_hand_over, loop, tick, timer))

    def _give_up(self, tick: _Tick) -> None:
        self._stack.timed_out(tick.reading)
        _deliver(tick, {})


def _hand_over(
    loop: asyncio.AbstractEventLoop,
    tick: _Tick,
    timer: asyncio.TimerHandle | None,
    done: "concurrent.futures.Future[Any]",
) -> None:
    found = {} if done.cancelled() or done.exception() is not None else done.result()

    def deliver() -> None:
        if timer is not None:
            timer.cancel()
        _deliver(tick, found)

    try:
        loop.call_soon_threadsafe(deliver)
    except RuntimeError:  # the loop has been closed: nobody waits there any more
        return


def _deliver(tick: _Tick, found: dict[bytes, Found]) -> None:
    for key, futures in tick.futures.items():
        for future in futures:
            if not future.done():
                future.set_result(found.get(key))
